// RUN: leat-opt %s | leat-opt | FileCheck %s

// Every op of the dialect, printed and read again.

// CHECK-LABEL: func.func @attend_step
// CHECK: tile.program threads 128 {
// CHECK:   tile.block_id 0
// CHECK:   tile.thread_id
// CHECK:   tile.view %{{.*}} rows %{{.*}} cols %{{.*}} stride %{{.*}} align 16 : !llvm.ptr -> {{.*}}<bf16>
// CHECK:   tile.alloc : {{.*}}<64x64xbf16, swizzle = 128>
// CHECK:   tile.alloc at 8192 : {{.*}}<64x64xbf16, swizzle = 128, stages = 2>
// CHECK:   tile.copy_async %{{.*}}[%{{.*}}, %{{.*}}] to %{{.*}} : {{.*}}<bf16> to {{.*}}<64x64xbf16, swizzle = 128>
// CHECK:   tile.commit : !tile.token
// CHECK:   tile.wait pending 0
// CHECK:   tile.barrier
// CHECK:   tile.load %{{.*}} : {{.*}}<64x64xbf16, swizzle = 128> -> {{.*}}<64x64xbf16, #tile.layout<a, 4x1>>
// CHECK:   tile.splat %{{.*}} : f32 -> {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>
// CHECK:   tile.pipeline %{{.*}} to %{{.*}} step %{{.*}} buffers(%{{.*}} : {{.*}}<64x64xbf16, swizzle = 128, stages = 2>) carry(%{{.*}}, %{{.*}} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>, {{.*}}<64x1xf32, #tile.layout<row, 4x1>>) -> {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>, {{.*}}<64x1xf32, #tile.layout<row, 4x1>> produce {
// CHECK:   } consume {
// CHECK:     tile.dot %{{.*}}, %{{.*}}, %{{.*}} {trans_b} : {{.*}}<64x64xbf16, #tile.layout<a, 4x1>>, {{.*}}<64x64xbf16, swizzle = 128>, {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>
// CHECK:     tile.reduce max %{{.*}} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>> -> {{.*}}<64x1xf32, #tile.layout<row, 4x1>>
// CHECK:     tile.map ins(%{{.*}}, %{{.*}} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>, {{.*}}<64x1xf32, #tile.layout<row, 4x1>>) -> {{.*}}<64x64xf32, #tile.layout<acc, 4x1>> {
// CHECK:       tile.exp2
// CHECK:     tile.reduce add %{{.*}} {partial}
// CHECK:     tile.join add %{{.*}} : {{.*}}<64x1xf32, #tile.layout<row, 4x1>>
// CHECK:     tile.convert %{{.*}} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>> -> {{.*}}<64x64xbf16, #tile.layout<a, 4x1>>
// CHECK:   tile.for_each %{{.*}} : {{.*}}<64x1xf32, #tile.layout<row, 4x1>> {
// CHECK:   tile.slot %{{.*}}[%{{.*}}] : {{.*}}<64x64xbf16, swizzle = 128, stages = 2> -> {{.*}}<64x64xbf16, swizzle = 128>
// CHECK:   tile.store_shared %{{.*}}, %{{.*}} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>, {{.*}}<64x64xbf16, swizzle = 128>
// CHECK:   tile.fill %{{.*}} {by_rows} : {{.*}}<64x64xbf16, swizzle = 128> {
// CHECK:   tile.visit %{{.*}} : {{.*}}<64x64xbf16, swizzle = 128> {
// CHECK:   tile.store %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}] : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>, {{.*}}<bf16>
// CHECK-LABEL: func.func @beside_tiles
// CHECK:   tile.read %{{.*}}[%{{.*}}, %{{.*}}] : {{.*}}<1x64xf32> -> f32
// CHECK:   tile.read %{{.*}}[%{{.*}}, %{{.*}}] : {{.*}}<1x64xf32> -> vector<4xf32>
// CHECK:   tile.lanes add %{{.*}} width 32
// CHECK:   tile.from_lane %{{.*}}[%{{.*}}]
// CHECK:   tile.barrier products
// CHECK:   tile.write %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}] : f32, {{.*}}<1x64xf32>
// CHECK:   tile.visit %{{.*}} {width = 4 : i64} : {{.*}}<1x64xf32> {
// CHECK-LABEL: func.func @roles
// CHECK:   tile.mbarriers arrivals 1 : {{.*}}<2>
// CHECK:   tile.roles consume 256 registers 240 {
// CHECK:     tile.await %{{.*}}[%{{.*}}] parity %{{.*}} : {{.*}}<2>
// CHECK:     tile.take_turn
// CHECK:     tile.dot_fence(%{{.*}}, %{{.*}} : !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>, !tile.reg<128x64xbf16, #tile.layout<wgmma_a, 8x1>>)
// CHECK:     tile.dot %{{.*}} : {{.*}}<128x64xbf16, #tile.layout<wgmma_a, 8x1>>, {{.*}}<64x64xbf16, swizzle = 128>, {{.*}}<128x64xf32, #tile.layout<wgmma_acc, 8x1>>
// CHECK:     tile.give_turn
// CHECK:     tile.dot_wait pending 0(%{{.*}} : !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>)
// CHECK:     tile.dot_wait pending 1{{$}}
// CHECK:     tile.arrive %{{.*}}[%{{.*}}] : {{.*}}<2>
// CHECK:   } produce registers 24 {
// CHECK:     tile.expect %{{.*}}[%{{.*}}] bytes 8192 : {{.*}}<2>
// CHECK:     tile.copy_tensor %{{.*}}[%{{.*}}, %{{.*}}] to %{{.*}} signal %{{.*}}[%{{.*}}] : !llvm.ptr to {{.*}}<64x64xbf16, swizzle = 128> signal {{.*}}<2>
// CHECK:     tile.block_count
// CHECK:     %[[N:.*]] = tile.ticket %{{.*}} of %{{.*}} : !llvm.ptr
// CHECK:     tile.launder %[[N]]
// CHECK:     tile.expect %{{.*}}[%{{.*}}] bytes 0 : {{.*}}<2>
!tile64 = !tile.shared<64x64xbf16, swizzle = 128>
!acc = !tile.reg<64x64xf32, #tile.layout<acc, 4x1>>
!row = !tile.reg<64x1xf32, #tile.layout<row, 4x1>>
!left = !tile.reg<64x64xbf16, #tile.layout<a, 4x1>>
func.func @attend_step(%Q: !llvm.ptr, %K: !llvm.ptr, %n: index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %f0 = arith.constant 0.0 : f32
  %b0 = arith.constant 0.0 : bf16
  tile.program threads 128 {
    %x = tile.block_id 0
    %t = tile.thread_id
    %q = tile.view %Q rows %c64 cols %c64 stride %c64 align 16 : !llvm.ptr -> !tile.view<bf16>
    %k = tile.view %K rows %n cols %c64 stride %c64 align 16 : !llvm.ptr -> !tile.view<bf16>
    %sq = tile.alloc : !tile64
    %sk = tile.alloc at 8192 : !tile.shared<64x64xbf16, swizzle = 128, stages = 2>
    tile.copy_async %q[%x, %c0] to %sq : !tile.view<bf16> to !tile64
    %g = tile.commit : !tile.token
    tile.wait pending 0
    tile.barrier
    %a = tile.load %sq : !tile64 -> !left
    %zero = tile.splat %f0 : f32 -> !acc
    %none = tile.splat %f0 : f32 -> !row
    %o, %m = tile.pipeline %c0 to %n step %c64 buffers(%sk : !tile.shared<64x64xbf16, swizzle = 128, stages = 2>) carry(%zero, %none : !acc, !row) -> !acc, !row produce {
    ^bb0(%i: index, %slot: !tile64):
      tile.copy_async %k[%i, %c0] to %slot : !tile.view<bf16> to !tile64
      tile.yield
    } consume {
    ^bb0(%i: index, %slot: !tile64, %sum: !acc, %max: !row):
      %s = tile.dot %a, %slot, %zero {trans_b} : !left, !tile64, !acc
      %r = tile.reduce max %s : !acc -> !row
      %p = tile.map ins(%s, %r : !acc, !row) -> !acc {
      ^bb0(%e: f32, %top: f32, %i0: index, %j0: index):
        %d = arith.subf %e, %top : f32
        %w = tile.exp2 %d
        tile.yield %w : f32
      }
      %l = tile.reduce add %p {partial} : !acc -> !row
      %all = tile.join add %l : !row
      %left = tile.convert %p : !acc -> !left
      %next = tile.dot %left, %slot, %sum : !left, !tile64, !acc
      tile.yield %next, %all : !acc, !row
    }
    tile.for_each %m : !row {
    ^bb0(%e: f32, %i0: index, %j0: index):
      tile.yield
    }
    %slot0 = tile.slot %sk[%c0] : !tile.shared<64x64xbf16, swizzle = 128, stages = 2> -> !tile64
    tile.store_shared %o, %slot0 : !acc, !tile64
    tile.fill %sq {by_rows} : !tile64 {
    ^bb0(%i0: index, %j0: index):
      tile.yield %b0 : bf16
    }
    tile.visit %slot0 : !tile64 {
    ^bb0(%e: bf16, %i0: index, %j0: index):
      tile.yield
    }
    tile.store %o, %q[%x, %c0] : !acc, !tile.view<bf16>
  }
  return
}

func.func @beside_tiles(%i: index, %mine: i32) {
  %c0 = arith.constant 0 : index
  tile.program threads 32 {
    %t = tile.alloc : !tile.shared<1x64xf32>
    %x = tile.read %t[%c0, %i] : !tile.shared<1x64xf32> -> f32
    %v = tile.read %t[%c0, %c0] : !tile.shared<1x64xf32> -> vector<4xf32>
    %s = tile.lanes add %x width 32
    %other = tile.from_lane %mine[%i]
    tile.barrier products
    tile.write %s, %t[%c0, %i] : f32, !tile.shared<1x64xf32>
    tile.visit %t {width = 4 : i64} : !tile.shared<1x64xf32> {
    ^bb0(%e: vector<4xf32>, %r: index, %c: index):
      tile.yield
    }
  }
  return
}

func.func @roles(%map: !llvm.ptr, %x: f32, %i: index) {
  tile.program threads 384 {
    %t = tile.alloc : !tile.shared<64x64xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 1 : !tile.mbarriers<2>
    tile.roles consume 256 registers 240 {
      %c = tile.splat %x : f32 -> !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>
      %a = tile.convert %c : !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>> -> !tile.reg<128x64xbf16, #tile.layout<wgmma_a, 8x1>>
      tile.await %b[%i] parity %i : !tile.mbarriers<2>
      tile.take_turn
      %c1, %a1 = tile.dot_fence(%c, %a : !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>, !tile.reg<128x64xbf16, #tile.layout<wgmma_a, 8x1>>)
      %d = tile.dot %a1, %t, %c1 : !tile.reg<128x64xbf16, #tile.layout<wgmma_a, 8x1>>, !tile.shared<64x64xbf16, swizzle = 128>, !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>
      tile.give_turn
      %e = tile.dot_wait pending 0(%d : !tile.reg<128x64xf32, #tile.layout<wgmma_acc, 8x1>>)
      tile.dot_wait pending 1
      tile.arrive %b[%i] : !tile.mbarriers<2>
    } produce registers 24 {
      tile.expect %b[%i] bytes 8192 : !tile.mbarriers<2>
      tile.copy_tensor %map[%i, %i] to %t signal %b[%i] : !llvm.ptr to !tile.shared<64x64xbf16, swizzle = 128> signal !tile.mbarriers<2>
      %count = tile.block_count
      %n = tile.ticket %map of %count : !llvm.ptr
      %m = tile.launder %n
      tile.expect %b[%m] bytes 0 : !tile.mbarriers<2>
    }
  }
  return
}

// CHECK-LABEL: func.func @cluster
func.func @cluster(%map: !llvm.ptr, %i: index) {
  // CHECK: tile.program threads 256 cluster 4 {
  tile.program threads 256 cluster 4 {
    %t = tile.alloc : !tile.shared<64x64xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 4 : !tile.mbarriers<2>
    tile.roles consume 128 registers 240 {
      // CHECK: tile.arrive %{{.*}}[%{{.*}}] {everywhere} : {{.*}}<2>
      tile.arrive %b[%i] {everywhere} : !tile.mbarriers<2>
    } produce registers 24 {
      // CHECK: tile.await %{{.*}}[%{{.*}}] parity %{{.*}} {everywhere} : {{.*}}<2>
      tile.await %b[%i] parity %i {everywhere} : !tile.mbarriers<2>
      // CHECK: tile.copy_tensor %{{.*}}[%{{.*}}, %{{.*}}] to %{{.*}} signal %{{.*}}[%{{.*}}] {multicast} : !llvm.ptr to
      tile.copy_tensor %map[%i, %i] to %t signal %b[%i] {multicast} : !llvm.ptr to !tile.shared<64x64xbf16, swizzle = 128> signal !tile.mbarriers<2>
    }
  }
  return
}

// CHECK-LABEL: func.func @pages
func.func @pages(%pool: !llvm.ptr, %table: !llvm.ptr, %n: index) {
  tile.program threads 32 {
    %to = tile.alloc : !tile.shared<16x64xbf16, swizzle = 128>
    // CHECK: tile.paged_view %{{.*}} table %{{.*}} first %{{.*}} rows %{{.*}} cols %{{.*}} stride %{{.*}} page_stride %{{.*}} page 8 : !llvm.ptr, !llvm.ptr -> {{.*}}<bf16>
    %v = tile.paged_view %pool table %table first %n rows %n cols %n stride %n page_stride %n page 8 : !llvm.ptr, !llvm.ptr -> !tile.view<bf16>
    tile.copy_async %v[%n, %n] to %to : !tile.view<bf16> to !tile.shared<16x64xbf16, swizzle = 128>
    tile.yield
  }
  return
}
