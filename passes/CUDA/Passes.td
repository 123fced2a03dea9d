#ifndef LEAT_PASSES_CUDA
#define LEAT_PASSES_CUDA
include "mlir/Pass/PassBase.td"

def LowerKernelsToCUDA : Pass<"leat-lower-kernels-cuda", "::mlir::ModuleOp"> {
  let summary = "write the code of kernels for a GPU";
  let description = [{
    Every `leat.kernel_func @k` becomes device code and the host functions that describe it. Where a tuned generator takes the kernel (passes/CUDA/Generator.h) it writes both. All others
    take the generic form: the functions `@k`, `@k.tasks`, `@k.scratch`, `@k.cost` of `leat-lower-kernels-cpu`, for one lane, and an entry in which thread t takes tasks t, t + threads, ...
    A kernel with functions that have no form in PTX runs on the host.

    ```mlir
    leat.kernel_func @k inputs 1 -> [tensor<?xf32>] {...}
    ```
    becomes
    ```mlir
    func.func @k(%buffers: !llvm.ptr, %scalars: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr, %shared: !llvm.ptr) {...}
    llvm.func @leat_k(%buffers: !llvm.ptr {llvm.byval = !llvm.array<4 x ptr>, ...}, %scalars: !llvm.ptr {llvm.byval = !llvm.array<2 x i64>, ...})
        attributes {leat.entry = {kernel = "k", phase = 0}, nvvm.kernel} {
      ... scf.for %task = %thread to %tasks step %threads : i64 {
        func.call @k(%buffers, %scalars, %task, %next, %scratch, %shared)
    func.func @k.geometry(%scalars: !llvm.ptr, %out: !llvm.ptr) {...}
    ```
    Entries of `leat.kernels` (left by leat-lower-host) gain `kind` ("tuned", "generic" or "host"), `entries`, `buffers` and `scalars`.
  }];
  let options = [Option<"gpu", "gpu", "std::string", "\"sm_80\"", "the GPU: sm_80, sm_90a, ...">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

#endif
