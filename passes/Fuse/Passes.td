#ifndef LEAT_PASSES_FUSE
#define LEAT_PASSES_FUSE
include "mlir/Pass/PassBase.td"

def Decompose : Pass<"leat-decompose"> {
  let summary = "replace leat ops by what they mean in linalg, tensor, scf, arith and math";
  let description = [{
    Every computational leat op implements linalg's `AggregatedOpInterface`: its decomposition is correct on every target, slow and obviously right. This
    pass applies it, to all ops or to those that `ops` names. It is how a target without a kernel for an op still runs it, and how a kernel is checked.

    ```mlir
    %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x8xf32>
    ```
    becomes
    ```mlir
    %max = linalg.generic {maximumf, reduction over d1} ins(%x : tensor<?x8xf32>) outs(%lowest : tensor<?xf32>) ...
    %shifted = linalg.generic {x - max} ins(%x, %max : tensor<?x8xf32>, tensor<?xf32>) outs(%e : tensor<?x8xf32>) ...
    %sum = linalg.generic {sum + exp(shifted), reduction over d1} ins(%shifted : tensor<?x8xf32>) outs(%zeros : tensor<?xf32>) ...
    %0 = linalg.generic {exp(shifted) / sum} ins(%shifted, %sum : tensor<?x8xf32>, tensor<?xf32>) outs(%e : tensor<?x8xf32>) ...
    ```
  }];
  let options = [ListOption<"ops", "ops", "std::string", "names of ops without the dialect's (kv_attend,matmul); none: all">,
                 ListOption<"keep", "keep", "std::string", "names of ops to leave as they are">];
  let dependentDialects = ["leat::LeatDialect", "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect", "mlir::math::MathDialect", "mlir::scf::SCFDialect",
                           "mlir::tensor::TensorDialect"];
}

def FoldBlockOffsets : Pass<"leat-fold-block-offsets", "mlir::ModuleOp"> {
  let summary = "write a quantised product and its per-block offsets as one product with zero points";
  let description = [{
    ```mlir
    %0 = leat.matmul_nbits %x, %codes, %scales {...}
    %s = linalg.generic {sums of blocks of x} ...
    %1 = leat.matmul %s, %offsets
    %2 = linalg.generic {%0 + %1} ...
    ```
    becomes
    ```mlir
    %2 = leat.matmul_nbits %x, %codes, %scales, %zeros {...}
    ```
    with `zeros = 2^(bits-1) - offsets / scales`, one rounding to f32. Blocks whose scale is too small for that keep the two products.
  }];
  let dependentDialects = ["leat::LeatDialect"];
  let statistics = [Statistic<"numFolded", "folded", "Number of products that took their offsets">];
}

def FoldLayouts : Pass<"leat-fold-layouts", "mlir::func::FuncOp"> {
  let summary = "absorb transposes and reshapes into the ops that can read or write the other layout";
  let description = [{
    A swap of the last two axes in front of a product becomes `trans_a` or `trans_b`; a swap of heads and steps around attention, or in front of a cache, becomes
    its layout. Transposes in a row become one, of reshapes in a row the last stays. A flattening of leading axes in front of a linear layer moves behind it, to meet
    the reshape that undoes it.

    ```mlir
    %t = linalg.generic {transpose [0, 2, 1, 3]} ins(%q : tensor<?x?x12x32xf32>) ...
    %o = leat.kv_attend q(%t) k(%k) v(%v) {scale = 0.17 : f64} : (tensor<?x12x?x32xf32>, ...) -> ...
    ```
    becomes
    ```mlir
    %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.17 : f64, q_layout = "bshd"} : (tensor<?x?x12x32xf32>, ...) -> ...
    ```
  }];
  let dependentDialects = ["leat::LeatDialect", "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect"];
}

def FormKernels : Pass<"leat-form-kernels", "mlir::func::FuncOp"> {
  let summary = "group the tensor computations of a function into leat.kernel regions";
  let description = [{
    Walks each block from consumers to producers. An op that computes much per element it reads, or in an order of its own (a product, attention,
    normalisation, reduction, scatter, ...), is the *root* of a kernel. An op whose elements can be computed one at a time is *pulled* into the kernel of its
    consumer, or copied into each of several when that is trivially cheap; an elementwise consumer of a root that no other kernel needs becomes
    its *epilogue*. Whatever is left is a kernel of its own.

    Operands of products, convolutions and attention are read many times, so they come from buffers, cache views or state; softmax, normalisation and
    reductions read each element once or twice and pull their producers. Work that would be repeated (a broadcast operand, a gathered one) is pulled only
    when it is a few cheap instructions.

    Outside of kernels stay scalars, `tensor.dim` of arguments, views (reshape, expand, collapse, cast), host-made tensors and control flow.
    Constants, splats and ranges of slots are rematerialised inside. The dynamic sizes of results are computed outside, before the kernel.

    ```mlir
    %0 = leat.matmul %x, %w : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
    %e = tensor.empty(%n) : tensor<?x32xf32>
    %1 = linalg.generic {add} ins(%0, %b : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) ...
    ```
    becomes
    ```mlir
    %1 = leat.kernel ins(%x, %w, %b : ...) scalars(%n : index) sizes(%n) -> tensor<?x32xf32> attributes {hint = "matmul_add"} {
    ^bb0(%bx: tensor<?x64xf32>, %bw: tensor<64x32xf32>, %bb: tensor<32xf32>, %bn: index):
      %0 = leat.matmul %bx, %bw : ...
      %e = tensor.empty(%bn) : ...
      %1 = linalg.generic {add} ins(%0, %bb) outs(%e) ...
      leat.yield %1 : tensor<?x32xf32>
    }
    ```
  }];
  let dependentDialects = ["leat::LeatDialect", "mlir::arith::ArithDialect", "mlir::tensor::TensorDialect", "mlir::linalg::LinalgDialect"];
  let statistics = [Statistic<"numKernels", "kernels", "Number of kernels formed">, Statistic<"numPulled", "pulled", "Number of ops pulled into a consumer's kernel">];
}

def OutlineKernels : Pass<"leat-outline-kernels", "mlir::ModuleOp"> {
  let summary = "turn leat.kernel regions into shared leat.kernel_func symbols and leat.launch";
  let description = [{
    Kernels with equal bodies share one function, so a stack of identical layers is compiled once: weights are operands and do not tell kernels apart. Bodies
    are found by hash and then compared, in time linear in the size of the module.

    ```mlir
    %1 = leat.kernel ins(%x : tensor<4xf32>) -> tensor<4xf32> attributes {hint = "neg"} { ^bb0(%a: tensor<4xf32>): ... }
    ```
    becomes
    ```mlir
    leat.kernel_func @neg_0 inputs 1 -> [tensor<4xf32>] { ^bb0(%a: tensor<4xf32>): ... }
    %1 = leat.launch @neg_0 ins(%x : tensor<4xf32>) -> tensor<4xf32>
    ```
  }];
  let dependentDialects = ["leat::LeatDialect"];
  let statistics = [Statistic<"numLaunches", "launches", "Number of launches">, Statistic<"numFunctions", "functions", "Number of distinct kernels">];
}

#endif
