#ifndef LEAT_PASSES_STREAM
#define LEAT_PASSES_STREAM
include "mlir/Pass/PassBase.td"

def MakeStep : Pass<"leat-make-step", "::mlir::ModuleOp"> {
  let summary = "pair past and present tensors into state slots and make the step function";
  let description = [{
    Finds inputs and outputs of `@main` that are the same state one step apart (by a table of exporters' names, checked by type, or by an override file), and
    adds `@step`: the same function with the state in slots. A result that is the input with entries appended becomes an in-place append.
    Inputs that only say where the stream is (positions, masks of ones, lengths, write indices) are computed from the number of tokens seen.
    Of a merged decoder (If on `use_cache_branch`) the step is the branch with the past; pasts that it only reads are computed as the other branch computes
    them. A past that joins several caches along an axis of fixed size becomes a slot for each. `@main` stays as it is. Without any pair nothing is added.

    ```mlir
    func.func @main(%ids, %past: tensor<?x3x?x64xf32> {onnx.name = "past_key_values.0.key"}) -> (..., tensor<?x3x?x64xf32> {onnx.name = "present.0.key"})
      %present = tensor.concat dim(2) %past, %new
    // becomes, in @step
      %s0 = leat.state_get @"past_key_values.0.key"
      %s1 = leat.cache_append %s0, %new at %seen
      %present = leat.cache_view %s1[%c0, %total]
      leat.state_put @"past_key_values.0.key", %s1
    ```
  }];
  let options = [Option<"overrideFile", "override", "std::string", "\"\"", "file with lines INPUT OUTPUT [append AXIS | fixed] that come before the name table">];
  let dependentDialects = ["::leat::LeatDialect", "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect"];
}

def HoistCacheMaps : Pass<"leat-hoist-cache-maps", "::mlir::ModuleOp"> {
  let summary = "compute what depends on one entry of a cache when the entry is appended";
  let description = [{
    Where the only reader of a cache maps every element by itself to its own type (rounding to 8 bits and back), the map goes in front of the append. Where it
    is a transposition, the slot gets the transposed layout.

    ```mlir
    %s1 = leat.cache_append %s0, %new at %seen
    %all = leat.cache_view %s1[%c0, %total]
    %k = linalg.generic ... ins(%all)
    // becomes
    %rounded = linalg.generic ... ins(%new)
    %s1 = leat.cache_append %s0, %rounded at %seen
    %k = leat.cache_view %s1[%c0, %total]
    ```
  }];
  let dependentDialects = ["::leat::LeatDialect", "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect"];
}

def ClassifyMasks : Pass<"leat-classify-masks", "::mlir::func::FuncOp"> {
  let summary = "turn mask tensors of attention into causal and window attributes";
  let description = [{
    Exporters compute masks as tensors. Where the tensor provably is "key j <= query i" or a sliding window, the attention gets the attribute and the tensor
    goes away; so does a key length that is the number of keys.

    ```mlir
    leat.kv_attend q(%q) k(%k) v(%v) bias(%mask) {scale = 0.125}
    // becomes
    leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125, causal}
    ```
    A mask that compares positions otherwise (blocks, strides, a prefix, the first tokens and a window) becomes the region `visible`, with what holds in all
    of it as attributes. Each query has to see its own position, provably; integers may be divided by constants where they are not negative.
  }];
  let dependentDialects = ["::leat::LeatDialect"];
  let options = [Option<"programs", "programs", "bool", "true", "also make regions of masks, not only attributes">];
}

def ApplyKVPolicy : Pass<"leat-apply-kv-policy", "::mlir::ModuleOp"> {
  let summary = "give the caches of @step a retention policy";
  let description = [{
    `retain=sink(S)+recent(R)`: each cache becomes S fixed entries and a ring of R. Attention reads the past from the slots and the new tokens from its
    operands, so that appending may overwrite what the last step still saw; sinks are read by a query rotated at its rank in the cache (the dual-query form), the rest
    at true positions, and the two results are merged. Every query sees the sinks, R past tokens and itself, however the text is cut into steps.
    A bias that grows with the distance (ALiBi) is computed from the positions of what is kept.
  }];
  let options = [Option<"policy", "policy", "std::string", "\"retain=all\"", "policy in the grammar of #leat.kv">];
  let dependentDialects = ["::leat::LeatDialect", "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect"];
}

def NarrowCaches : Pass<"leat-narrow-caches", "::mlir::ModuleOp"> {
  let summary = "store caches in 16, 8 or 4 bits, where the policy says so";
  let description = [{
    `prec=f16` or `prec=bf16` in the policy: f32 caches that only attention reads hold 16-bit floats. Entries are rounded before anyone reads them, also the
    step that brings them, so that results do not depend on how the text is cut. Attention widens what it reads and computes as before.

    ```mlir
    %s1 = leat.cache_append %s0, %new at %seen : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
    %k = leat.cache_view %s1[%c0, %total] : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
    // becomes
    %rounded = linalg.generic ... ins(%new) { arith.truncf }
    %s1 = leat.cache_append %s0, %rounded at %seen : !leat.state<tensor<?x2x?x8xf16>>, tensor<?x2x?x8xf16>
    %k = leat.cache_view %s1[%c0, %total] : !leat.state<tensor<?x2x?x8xf16>> -> tensor<?x2x?x8xf16>
    ```

    `prec=f8`, `i8(g=N)`, `i4(g=N)`, of caches of any floats: what is appended is encoded, what is viewed is decoded, both as linalg (passes/Stream/CacheCoding.h);
    scales get a slot of their own, `NAME.scales`. Fusion puts decoding into the attention's kernel.
  }];
  let options = [Option<"policy", "policy", "std::string", "\"retain=all\"", "policy in the grammar of #leat.kv">];
  let dependentDialects = ["::leat::LeatDialect", "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect"];
}

def PageCaches : Pass<"leat-page-caches", "::mlir::ModuleOp"> {
  let summary = "keep caches in pages, where the policy says so";
  let description = [{
    `layout=paged(P)` in the policy: every growing slot becomes a pool of pages of P entries, and appends and views find them by a table, which all pools share. What they
    mean for the rest of the program does not change, nor does the order in which kernels read entries.

    ```mlir
    leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
    %s1 = leat.cache_append %s0, %new at %seen : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
    %k = leat.cache_view %s1[%c0, %total] : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
    // becomes, with layout=paged(16)
    leat.slot @leat.table : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}
    leat.slot @k : tensor<?x2x16x8xf32> growth append {axis = 2 : i64, page = 16 : i64}
    %t = leat.state_get @leat.table : !leat.state<tensor<?x?xi32>>
    %s1 = leat.cache_append %s0, %new at %seen table(%t) : !leat.state<tensor<?x2x16x8xf32>>, tensor<?x2x?x8xf32>, !leat.state<tensor<?x?xi32>>
    %k = leat.cache_view %s1[%c0, %total] table(%t) : !leat.state<tensor<?x2x16x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
    ```
  }];
  let options = [Option<"policy", "policy", "std::string", "\"retain=all\"", "policy in the grammar of #leat.kv">];
  let dependentDialects = ["::leat::LeatDialect"];
}

def StateToValues : Pass<"leat-state-to-values", "::mlir::ModuleOp"> {
  let summary = "make the slots that a function uses its operands and results";
  let description = [{
    A stream's step without a session: every slot becomes an operand with its content before the step, and one that the step changes also a result. They
    come last, in the order of the module's slots, with the slot's name in `leat.slot`. `leat-decompose` runs before, so that caches are read and written
    as a whole. Slow, and what the step means; test/oracles runs single ops so.

    ```mlir
    leat.slot @total : tensor<3xf32> growth fixed
    func.func @step(%x: tensor<3xf32>) -> tensor<3xf32>
      %s0 = leat.state_get @total : !leat.state<tensor<3xf32>>
      %old = leat.state_read %s0 : !leat.state<tensor<3xf32>> -> tensor<3xf32>
      %new = linalg.add ins(%old, %x : tensor<3xf32>, tensor<3xf32>) ...
      %s1 = leat.state_write %s0, %new : !leat.state<tensor<3xf32>>, tensor<3xf32>
      leat.state_put @total, %s1 : !leat.state<tensor<3xf32>>
      return %old : tensor<3xf32>
    // becomes
    func.func @step(%x: tensor<3xf32>, %old: tensor<3xf32> {leat.slot = @total}) -> (tensor<3xf32>, tensor<3xf32> {leat.slot = @total})
      %new = linalg.add ins(%old, %x : tensor<3xf32>, tensor<3xf32>) ...
      return %old, %new : tensor<3xf32>, tensor<3xf32>
    ```
  }];
  let dependentDialects = ["::leat::LeatDialect", "::mlir::tensor::TensorDialect"];
}

#endif
