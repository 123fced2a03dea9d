#ifndef LEAT_PASSES_SCHEDULE
#define LEAT_PASSES_SCHEDULE
include "mlir/Pass/PassBase.td"

def ScheduleCPU : Pass<"leat-schedule-cpu", "mlir::ModuleOp"> {
  let summary = "choose how each kernel runs on a CPU";
  let description = [{
    Writes `#leat.schedule<strategy, {...}>` on each leat.kernel_func that has none; a schedule written by hand stays. Code generators read it. All
    parameters are i64 integers. Those in bold may be chosen (`passes/Schedule/Strategies.cpp` has their bounds; `leat-override-schedule` and `leat tune` change
    them); the others say what follows from the target.

    The root is the op that decides the strategy: the first op of the table in the body, else the op that defines the first result.

    | strategy | root | parameters |
    |---|---|---|
    | `map` | elementwise, movement, copies, rotary, cache_append, state_write | `vector`: lanes along the innermost dimension; **`grain`**: elements per task |
    | `reduce` | linalg.generic with reduction loops, arg_reduce | `vector`; `inner`: 1 if the innermost loop of the inputs is reduced (lanes are joined at the end), 0 if lanes are results; **`grain`**: input elements per task |
    | `row` | softmax, layer_norm, cumsum, attn_merge | `vector`; `inner`: 1 if the row is contiguous, 0 if lanes are rows; **`grain`** |
    | `gemm` | matmul | `mr`, `nr`: register tile; **`kc`**: depth of one pass, at least K means all; **`mc`**: rows per task; **`grain`**: weights per task at least; `vector`; `bf16`: 1 if both operands are bf16 in the product (the weight is, the activations are or may be rounded, and the target has dots of them) |
    | `qgemm` | matmul_nbits | `mr`, `nr`, `vector`; `int8`: 1 if activations may be quantised to 8 bits (the op allows it and it was asked for) |
    | `conv` | conv | `vector` |
    | `attention` | kv_attend | **`keys`**: keys per step of the online softmax where there are many rows; `vector` |
    | `serial` | scatter, topk, nonzero, sample, anything else | none: one task, or one per independent row |

    `vector` counts lanes of the widest float type of the kernel (f32 unless f64 occurs), or of i32 if there is none; 1 asks for scalar code.

    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] {...}
    ```
    becomes
    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"row", {grain = 4096 : i64, inner = 1 : i64, vector = 16 : i64}>} {...}
    ```
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "256", "width of a vector register">,
    Option<"int8Activations", "int8-activations", "bool", "false", "let products that allow it quantise their activations to 8 bits">,
    Option<"bf16Activations", "bf16-activations", "bool", "false", "let products with bf16 weights round their activations to bf16">,
    Option<"bf16Dots", "bf16-dots", "bool", "false", "the processor multiplies pairs of bf16">,
    Option<"registers", "registers", "int64_t", "16", "number of vector registers">];
  let dependentDialects = ["leat::LeatDialect"];
}

def ScheduleCUDA : Pass<"leat-schedule-cuda", "mlir::ModuleOp"> {
  let summary = "choose how each kernel runs on a GPU";
  let description = [{
    Writes `#leat.schedule<strategy, {...}>` on each leat.kernel_func that has none; a schedule written by hand stays.

      - `thread`, which every kernel can take: a thread handles one row of a reduction (`columns` results of one that runs along another dimension) and `grain` elements of
        elementwise work;
      - `tile`, for products, attention and rows that are normalised: a block makes a tile of the result, from tiles in shared memory with `stages` steps in flight. Products: `rows` x `cols` of the output, `depth` a step;
        `int8`: 1 if activations of a matmul_nbits may be quantised to 8 bits (the op allows it and it was asked for).
        Attention: `rows` of queries, `keys` a step; on Hopper also `group_rows` and `group_keys`, for many rows in 16 bits by groups of four warps, from what a thread's registers and the
        shared memory hold. Where no tuned generator takes the kernel it runs as `thread`.

    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] {...}
    ```
    becomes
    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"thread", {columns = 1 : i64, grain = 1 : i64}>} {...}
    ```
  }];
  let options = [Option<"gpu", "gpu", "std::string", "\"sm_80\"", "the GPU: sm_80, sm_90a, ...">,
                 Option<"int8Activations", "int8-activations", "bool", "false", "let products that allow it quantise their activations to 8 bits">];
  let dependentDialects = ["leat::LeatDialect"];
}

def QuantizeWeights : Pass<"leat-quantize-weights", "mlir::ModuleOp"> {
  let summary = "store weights of products in fewer bits";
  let description = [{
    Every weight that is only ever the right side of leat.matmul is stored as `kind` says: `bf16` or `f16`, rounded to the nearest even, or `int8` and `int4`, symmetric
    codes with a scale for a group of values of k (f16 where its range suffices), whose products become leat.matmul_nbits. A group has 256 values with `int8` and 32
    with `int4`, or what is asked for: `int8(g=64)`. Where k is no multiple of that, blocks are shorter, so that next to nothing is filled up: 576 values are 3 blocks of 192. Lookups of single elements, as in an embedding
    tied to the logits, read the same codes. A weight with another use, with fewer than 32 values to a sum, or whose name matches a pattern of `keep`, stays. A
    value that is infinite or not a number is an error.

    The scale of a block of int4 is the one of several that has the smallest squared error. Codes are made when the artifact is written, from the model's bytes.
    The module's `leat.weights` says how large the errors are, relative to the Frobenius norm; each weight has a remark.

    ```mlir
    leat.param @w : tensor<576x1536xf32> {key = "w"}
    %w = leat.param_ref @w : tensor<576x1536xf32>
    %y = leat.matmul %x, %w : (tensor<?x576xf32>, tensor<576x1536xf32>) -> tensor<?x1536xf32>
    ```
    becomes with `kind=int4`
    ```mlir
    leat.param @w.int4 : tensor<1536x18x16xi8> {key = "w.int4"}
    leat.param @w.int4.scales : tensor<1536x18xf16> {key = "w.int4.scales"}
    %codes = leat.param_ref @w.int4 : tensor<1536x18x16xi8>
    %scales = leat.param_ref @w.int4.scales : tensor<1536x18xf16>
    %y = leat.matmul_nbits %x, %codes, %scales {bits = 4 : i64, block = 32 : i64, k = 576 : i64, n = 1536 : i64} : ...
    ```
  }];
  let options = [
    Option<"kind", "kind", "std::string", "\"f32\"", "f32 (as the model has them), bf16, f16, int8 or int4, the last two also with a group, as in int8(g=64)">,
    ListOption<"keep", "keep", "std::string", "patterns of names of weights that stay">,
    Option<"int8Activations", "int8-activations", "bool", "false", "let the products quantise their activations to 8 bits">];
  let dependentDialects = ["leat::LeatDialect", "mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"numConverted", "converted", "Number of weights that are stored in fewer bits">];
}

def NarrowScales : Pass<"leat-narrow-scales", "mlir::ModuleOp"> {
  let summary = "hold scales of quantised weights in 16 bits where that is exact";
  let description = [{
    Quantised weights in blocks of 32 are read at 4 bits each and one bit more for an f32 scale. Formats that models come from hold scales as f16, which is half of that;
    where every value of every scale that a kernel is launched with is one, parameters and kernels change to f16. Products widen them again: no bit of a result changes.
    A parameter that something else reads stays as it is.

    ```mlir
    leat.param @s : tensor<64x18xf32> {key = "s"}
    ```
    becomes
    ```mlir
    leat.param @s : tensor<64x18xf16> {key = "s.f16"}
    ```
  }];
  let dependentDialects = ["leat::LeatDialect"];
  let statistics = [Statistic<"numNarrowed", "narrowed", "Number of parameters that are narrowed">];
}

def PackParams : Pass<"leat-pack-params", "mlir::ModuleOp"> {
  let summary = "choose the layout of weights";
  let description = [{
    A weight that all launches of a kernel give to the right side of a product is packed in panels of 64 columns, [ceil(N/64)][K][64], in the artifact. The kernel
    learns of it by `leat.layouts`, one string per block argument. Layouts: `panel64` from [.., K, N], `panel64t` from [.., N, K] (also scales and zero points of
    quantised weights), the same with `.2` for weights in bf16 with an even K, [ceil(N/64)][K/2][64][2], `nbits64.B.G` codes of B bits in groups of G values of k, `zeros64.B` packed zero points of B bits, one byte each.

    An embedding tied to the logits is held once: the lookup, which reads single rows, takes the packed form. A weight that is also read whole in another order
    is copied: each use reads memory in its own order.

    ```mlir
    leat.param @w : tensor<576x1536xf32> {key = "w"}
    leat.kernel_func @matmul_0 inputs 2 -> [tensor<?x1536xf32>] {...}
    %w = leat.param_ref @w : tensor<576x1536xf32>
    ```
    becomes
    ```mlir
    leat.param @w.panel64 : tensor<576x1536xf32> {key = "w", layout = "panel64"}
    leat.kernel_func @matmul_0 inputs 2 -> [tensor<?x1536xf32>] attributes {leat.layouts = ["", "panel64"]} {...}
    %w = leat.param_ref @w.panel64 : tensor<576x1536xf32>
    ```
  }];
  let dependentDialects = ["leat::LeatDialect"];
  let statistics = [Statistic<"numPacked", "packed", "Number of operands that are packed">];
}

def OverrideSchedule : Pass<"leat-override-schedule", "mlir::ModuleOp"> {
  let summary = "take sizes of kernels from a file";
  let description = [{
    Lines `KERNEL [STRATEGY] PARAMETER=NUMBER ...`; KERNEL is a name as `leat inspect --schedule` prints it, or a pattern with `*`; `#` starts a comment.
    Later lines win. Only what may be chosen can be changed (see `leat-schedule-cpu`); results may differ by rounding where a sum is cut elsewhere.

    ```
    matmul_add_3 gemm kc=512 mc=96
    * attention keys=96
    ```
    ```mlir
    leat.kernel_func @matmul_add_3 inputs 2 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"gemm", {kc = 1024 : i64, mc = 48 : i64}>} {...}
    // becomes
    leat.kernel_func @matmul_add_3 inputs 2 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"gemm", {kc = 512 : i64, mc = 96 : i64}>} {...}
    ```
  }];
  let options = [Option<"file", "file", "std::string", "\"\"", "the file">];
  let dependentDialects = ["::leat::LeatDialect"];
}

#endif
