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
        attributes {leat.entry = {kernel = "k", phase = 0, threads = 128, shared = 0}, nvvm.kernel} {
      ... scf.for %task = %thread to %tasks step %threads : i64 {
        func.call @k(%buffers, %scalars, %task, %next, %scratch, %shared)
    func.func @k.geometry(%scalars: !llvm.ptr, %out: !llvm.ptr) {...}
    ```
    Entries of `leat.kernels` (left by leat-lower-host) gain `kind` ("tuned", "generic" or "host"), `entries` (symbol, threads and bytes of shared memory of a block), `buffers` and `scalars`.
  }];
  let options = [Option<"gpu", "gpu", "std::string", "\"sm_80\"", "the GPU: sm_80, sm_90a, ...">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::leat::tile::TileDialect"];
}

def ExpandPipelines : Pass<"leat-cuda-expand-pipelines", ""> {
  let summary = "software pipelines as loops over asynchronous copies, groups and barriers";
  let description = [{
    `tile.pipeline` with N stages brings N - 1 steps ahead and then works a step while the next ones are on their way:

    ```mlir
    tile.pipeline %lo to %hi step %s buffers(%b : ...) produce { P } consume { C }
    ```
    becomes
    ```mlir
    // steps 0 .. N-2:
    scf.if %exists { P }  tile.commit
    scf.for %i = %lo to %hi step %s iter_args(%read = 0, %write = N-1) {
      tile.wait pending N-2
      tile.barrier
      scf.if %ahead_exists { P }  tile.commit
      C
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect", "::leat::tile::TileDialect"];
}

def LowerTile : Pass<"leat-cuda-lower-tile", "::mlir::ModuleOp"> {
  let summary = "tile programs as NVVM ops and inline PTX";
  let description = [{
    Each tile in registers becomes the elements that one thread holds, each tile in shared memory an address, and what is done with them instructions: cp.async, ldmatrix, mma.sync m16n8k16, shuffles
    among the four lanes of a row, ex2.approx; for Hopper wgmma, tensor copies and mbarriers, and a branch between the threads of a `tile.roles`. Loops and branches that carry tiles carry their elements. The function of a program gets `tile.threads` and `tile.shared_bytes`, what a launch has to
    provide.

    ```mlir
    %d = tile.dot %a, %b, %c : !tile.reg<16x16xf16, #tile.layout<a, 1x1>>, !tile.shared<16x8xf16, pad = 16>, !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
    ```
    becomes
    ```mlir
    %p = llvm.inttoptr %address : i32 to !llvm.ptr<3>
    %b = nvvm.ldmatrix %p {num = 2, layout = #nvvm.mma_layout<col>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32)>
    %d = llvm.inline_asm "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 ..." %a0, %a1, %a2, %a3, %b0, %b1, %c0, %c1, %c2, %c3
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect", "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

#endif
