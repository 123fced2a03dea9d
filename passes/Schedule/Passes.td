#ifndef LEAT_PASSES_SCHEDULE
#define LEAT_PASSES_SCHEDULE
include "mlir/Pass/PassBase.td"

def ScheduleCPU : Pass<"leat-schedule-cpu", "mlir::ModuleOp"> {
  let summary = "choose how each kernel runs on a CPU";
  let description = [{
    Writes `#leat.schedule<strategy, {...}>` on each leat.kernel_func that has none; a schedule written by hand stays. Code generators read it and decide
    nothing. All parameters are i64 integers.

    The root is the op that decides the strategy: the first op of the table in the body, else the op that defines the first result.

    | strategy | root | parameters |
    |---|---|---|
    | `map` | elementwise, movement, copies, rotary, cache_append, state_write | `vector`: lanes along the innermost dimension; `grain`: elements per task |
    | `reduce` | linalg.generic with reduction loops, arg_reduce | `vector`; `inner`: 1 if the innermost loop of the inputs is reduced (lanes are joined at the end), 0 if lanes are results; `grain`: input elements per task |
    | `row` | softmax, layer_norm, cumsum, attn_merge | `vector`; `inner`: 1 if the row is contiguous, 0 if lanes are rows; `grain` |
    | `gemm` | matmul | `mr`, `nr`: register tile; `kc`: depth of one pass, at least K means all; `mc`: rows per task; `vector`; `packed`: panel width of a packed right side, 0 if it is row major |
    | `qgemm` | matmul_nbits | `mr`, `nr`, `vector`, `mc` |
    | `conv` | conv | `vector`; `grain` |
    | `attention` | kv_attend | `mr`: queries per task; `nr`: keys per step of the online softmax; `vector` |
    | `serial` | scatter, topk, nonzero, sample, anything else | none: one task, or one per independent row |

    `vector` counts lanes of the widest float type of the kernel (f32 unless f64 occurs), or of i32 if there is none; 1 asks for scalar code.

    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] {...}
    ```
    becomes
    ```mlir
    leat.kernel_func @softmax_0 inputs 1 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"row", {grain = 16384 : i64, inner = 1 : i64, vector = 16 : i64}>} {...}
    ```
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "256", "width of a vector register">,
    Option<"registers", "registers", "int64_t", "16", "number of vector registers">];
  let dependentDialects = ["leat::LeatDialect"];
}

#endif
