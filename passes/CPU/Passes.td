#ifndef LEAT_PASSES_CPU
#define LEAT_PASSES_CPU
include "mlir/Pass/PassBase.td"

def LowerKernelsToCPU : Pass<"leat-lower-kernels-cpu", "::mlir::ModuleOp"> {
  let summary = "write the code of kernels: loops over vectors";
  let description = [{
    Every `leat.kernel_func @k` becomes the functions of `LeatKernel` (include/leat/KernelABI.h): `@k`, `@k.tasks`, `@k.scratch`, `@k.cost`. One value of the kernel is its
    root; everything before and after it is computed where it is needed.

    ```mlir
    leat.kernel_func @k inputs 1 -> [tensor<?xf32>] {
    ^bb0(%x: tensor<?xf32>):
      %d = tensor.dim %x, %c0 : tensor<?xf32>
      %e = tensor.empty(%d) : tensor<?xf32>
      %y = linalg.generic {...} ins(%x) outs(%e) { %0 = arith.mulf %in, %in : f32  linalg.yield %0 : f32 }
      leat.yield %y : tensor<?xf32>
    }
    ```
    becomes
    ```mlir
    func.func @k(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr) {
      ... scf.for %i = %lo to %hi step %c16 {
        %v = llvm.load %p : vector<16xf32>
        %w = arith.mulf %v, %v : vector<16xf32>
        llvm.store %w, %q
    ```
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "unsigned", "128", "width of a vector register: 128, 256 or 512">,
    ListOption<"features", "features", "std::string", "LLVM names of the processor's features that change the code: fma, f16c, sse4.1, avx512f, avx512vnni, ...">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def ExpandMath : Pass<"leat-cpu-expand-math", ""> {
  let summary = "elementary functions as polynomials, the same for vectors and scalars";
  let description = [{
    exp, exp2, log, tanh, erf, sin, cos and their kin on f32 become arithmetic that gives the same bits for a vector lane and for a scalar, so that results do
    not depend on where a loop's tail begins. Other types and functions are left for the math library; where there is none, exp of f64 becomes arithmetic, too.
  }];
  let options = [
    Option<"hasFMA", "fma", "bool", "false", "fused multiply-add in one instruction">,
    Option<"hasLibrary", "library", "bool", "true", "functions of f64 are calls of the math library">,
    Option<"hasRound", "round", "bool", "false", "rounding to integers in one instruction">,
    Option<"hasTables", "tables", "bool", "false", "each of 16 lanes looks one of 16 numbers up in one instruction (AVX-512); f32 values are scalars or such vectors">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

#endif
