// RUN: leat-opt %s -leat-cuda-expand-pipelines -leat-cuda-lower-tile -canonicalize -cse | FileCheck %s

// A block multiplies 32 rows by 32 columns, two tiles of 16 of the depth in flight: asynchronous copies, one barrier a step, ldmatrix, mma.sync.

// CHECK: llvm.mlir.global external @tile_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK-LABEL: func.func @gemm
// CHECK-SAME: tile.shared_bytes = 4096 : i64, tile.threads = 128 : i64
// The first step is on its way before the loop.
// CHECK: scf.if
// CHECK:   nvvm.cp.async.shared.global {{.*}}, 16, cache =  cg, %{{.*}} : !llvm.ptr<3>, !llvm.ptr<1>, i32
// CHECK: nvvm.cp.async.commit.group
// CHECK: scf.for {{.*}} -> (f32, f32, f32, f32, f32, f32, f32, f32, index, index)
// CHECK:   nvvm.cp.async.wait.group 0
// CHECK-NEXT: nvvm.barrier0
// CHECK:   scf.if
// CHECK:     nvvm.cp.async.shared.global
// CHECK:   nvvm.cp.async.commit.group
// CHECK:   nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>{{.*}}num = 4
// CHECK:   nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>{{.*}}num = 4
// CHECK-COUNT-2: llvm.inline_asm "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
// CHECK:   scf.yield
// CHECK: llvm.store {{.*}} : vector<2xf16>, !llvm.ptr
func.func @gemm(%A: !llvm.ptr, %B: !llvm.ptr, %C: !llvm.ptr, %m: index, %n: index, %k: index) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %f0 = arith.constant 0.0 : f32
  tile.program threads 128 {
    %x = tile.block_id 0
    %y = tile.block_id 1
    %row = arith.muli %y, %c32 : index
    %col = arith.muli %x, %c32 : index
    %a = tile.view %A rows %m cols %k stride %k align 16 : !llvm.ptr -> !tile.view<f16>
    %b = tile.view %B rows %k cols %n stride %n align 16 : !llvm.ptr -> !tile.view<f16>
    %c = tile.view %C rows %m cols %n stride %n align 16 : !llvm.ptr -> !tile.view<f16>
    %sa = tile.alloc : !tile.shared<32x16xf16, swizzle = 32, stages = 2>
    %sb = tile.alloc : !tile.shared<16x32xf16, swizzle = 64, stages = 2>
    %zero = tile.splat %f0 : f32 -> !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>
    %sum = tile.pipeline %c0 to %k step %c16 buffers(%sa, %sb : !tile.shared<32x16xf16, swizzle = 32, stages = 2>, !tile.shared<16x32xf16, swizzle = 64, stages = 2>)
        carry(%zero : !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>) -> !tile.reg<32x32xf32, #tile.layout<acc, 2x2>> produce {
    ^bb0(%i: index, %ta: !tile.shared<32x16xf16, swizzle = 32>, %tb: !tile.shared<16x32xf16, swizzle = 64>):
      tile.copy_async %a[%row, %i] to %ta : !tile.view<f16> to !tile.shared<32x16xf16, swizzle = 32>
      tile.copy_async %b[%i, %col] to %tb : !tile.view<f16> to !tile.shared<16x32xf16, swizzle = 64>
      tile.yield
    } consume {
    ^bb0(%i: index, %ta: !tile.shared<32x16xf16, swizzle = 32>, %tb: !tile.shared<16x32xf16, swizzle = 64>, %acc: !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>):
      %next = tile.dot %ta, %tb, %acc : !tile.shared<32x16xf16, swizzle = 32>, !tile.shared<16x32xf16, swizzle = 64>, !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>
      tile.yield %next : !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>
    }
    tile.store %sum, %c[%row, %col] : !tile.reg<32x32xf32, #tile.layout<acc, 2x2>>, !tile.view<f16>
  }
  return
}
