// RUN: leat-opt %s -leat-cuda-lower-tile -canonicalize -cse -split-input-file | FileCheck %s

// What each op becomes for one thread.

!acc = !tile.reg<16x16xf32, #tile.layout<acc, 1x1>>
!row = !tile.reg<16x1xf32, #tile.layout<row, 1x1>>

// A row lies in four neighbouring lanes; each of them holds elements of two rows.
// CHECK-LABEL: func.func @rows
// CHECK: arith.maxnumf
// CHECK: nvvm.shfl.sync  bfly %{{.*}}, %{{.*}}, %c1_i32
// CHECK: nvvm.shfl.sync  bfly %{{.*}}, %{{.*}}, %c2_i32
// CHECK: arith.subf
// CHECK: llvm.inline_asm "ex2.approx.ftz.f32 $0, $1;", "=f,f"
// A partial sum needs no shuffles until it is joined.
// CHECK-COUNT-8: arith.addf
// CHECK: nvvm.shfl.sync
// CHECK: llvm.store
func.func @rows(%p: !llvm.ptr, %x: f32, %n: index) {
  %c0 = arith.constant 0 : index
  tile.program threads 32 {
    %t = tile.splat %x : f32 -> !acc
    %v = tile.map ins(%t : !acc) -> !acc {
    ^bb0(%e: f32, %i: index, %j: index):
      %k = arith.index_cast %j : index to i32
      %f = arith.sitofp %k : i32 to f32
      %s = arith.mulf %e, %f : f32
      tile.yield %s : f32
    }
    %m = tile.reduce max %v : !acc -> !row
    %w = tile.map ins(%v, %m : !acc, !row) -> !acc {
    ^bb0(%e: f32, %top: f32, %i: index, %j: index):
      %d = arith.subf %e, %top : f32
      %s = tile.exp2 %d
      tile.yield %s : f32
    }
    %l = tile.reduce add %w {partial} : !acc -> !row
    %all = tile.join add %l : !row
    tile.for_each %all : !row {
    ^bb0(%e: f32, %i: index, %j: index):
      %k = arith.index_cast %i : index to i64
      %q = llvm.getelementptr %p[%k] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.store %e, %q : f32, !llvm.ptr
      tile.yield
    }
  }
  return
}

// -----

// An accumulator is the next product's left operand: pairs are rounded, nothing moves between lanes.
// CHECK-LABEL: func.func @second_product
// CHECK-NOT: nvvm.shfl
// CHECK-COUNT-3: llvm.inline_asm "cvt.rn.bf16x2.f32 $0, $1, $2;"
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>{{.*}}num = 2
// CHECK: llvm.inline_asm "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// Bounds of the view guard each pair of columns.
// CHECK: scf.if
// CHECK: llvm.store {{.*}} : vector<2xf32>, !llvm.ptr
func.func @second_product(%p: !llvm.ptr, %x: f32, %n: index) {
  %c0 = arith.constant 0 : index
  tile.program threads 32 {
    %c = tile.view %p rows %n cols %n stride %n align 16 : !llvm.ptr -> !tile.view<f32>
    %t = tile.alloc : !tile.shared<16x8xbf16>
    %s = tile.map -> !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> {
    ^bb0(%i: index, %j: index):
      %sum = arith.addi %i, %j : index
      %k = arith.index_cast %sum : index to i32
      %f = arith.sitofp %k : i32 to f32
      %e = arith.mulf %f, %x : f32
      tile.yield %e : f32
    }
    %a = tile.convert %s : !tile.reg<16x16xf32, #tile.layout<acc, 1x1>> -> !tile.reg<16x16xbf16, #tile.layout<a, 1x1>>
    %z = tile.splat %x : f32 -> !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
    %o = tile.dot %a, %t, %z : !tile.reg<16x16xbf16, #tile.layout<a, 1x1>>, !tile.shared<16x8xbf16>, !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
    tile.store %o, %c[%c0, %c0] : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, !tile.view<f32>
  }
  return
}

// -----

// f32 stays f32: a loop over the depth, four steps at a time, of fused multiply-adds.
// CHECK-LABEL: func.func @exact
// CHECK: scf.for {{.*}} -> (f32, f32, f32, f32)
// CHECK:   llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xf32>
// CHECK-COUNT-16: llvm.intr.fma
// CHECK: llvm.store {{.*}} : vector<2xf32>, !llvm.ptr<3>
func.func @exact(%x: f32) {
  tile.program threads 32 {
    %a = tile.alloc : !tile.shared<16x32xf32, pad = 16>
    %b = tile.alloc : !tile.shared<8x32xf32, pad = 16>
    %c = tile.alloc : !tile.shared<16x8xf32, pad = 32>
    %z = tile.splat %x : f32 -> !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
    %o = tile.dot %a, %b, %z {trans_b} : !tile.shared<16x32xf32, pad = 16>, !tile.shared<8x32xf32, pad = 16>, !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>
    tile.store_shared %o, %c : !tile.reg<16x8xf32, #tile.layout<acc, 1x1>>, !tile.shared<16x8xf32, pad = 32>
  }
  return
}

// -----

// Threads take elements in turns; a tile behind another begins where it says.
// CHECK-LABEL: func.func @elements
// CHECK-SAME: tile.shared_bytes = 1024 : i64, tile.threads = 64 : i64
// CHECK: scf.for
// CHECK:   llvm.store {{.*}} : f16, !llvm.ptr<3>
// CHECK: nvvm.barrier0
// CHECK: scf.for
// CHECK:   llvm.load {{.*}} : !llvm.ptr<3> -> f16
// A run of neighbours is one access; 32 of them have no loop for 64 threads.
// CHECK: scf.if
// CHECK:   llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<8xf16>
// CHECK: llvm.load {{.*}} : !llvm.ptr<3> -> vector<4xf16>
// CHECK-COUNT-5: nvvm.shfl.sync
// CHECK: nvvm.shfl.sync idx
func.func @elements(%p: !llvm.ptr, %h: f16, %x: f32) {
  %c0 = arith.constant 0 : index
  tile.program threads 64 {
    %t = tile.alloc at 512 : !tile.shared<8x32xf16>
    tile.fill %t : !tile.shared<8x32xf16> {
    ^bb0(%i: index, %j: index):
      tile.yield %h : f16
    }
    tile.barrier
    tile.visit %t : !tile.shared<8x32xf16> {
    ^bb0(%e: f16, %i: index, %j: index):
      %k = arith.index_cast %j : index to i64
      %q = llvm.getelementptr %p[%k] : (!llvm.ptr, i64) -> !llvm.ptr, f16
      llvm.store %e, %q : f16, !llvm.ptr
      tile.yield
    }
    tile.visit %t {width = 8 : i64} : !tile.shared<8x32xf16> {
    ^bb0(%e: vector<8xf16>, %i: index, %j: index):
      llvm.store %e, %p : vector<8xf16>, !llvm.ptr
      tile.yield
    }
    %v = tile.read %t[%c0, %c0] : !tile.shared<8x32xf16> -> vector<4xf16>
    llvm.store %v, %p : vector<4xf16>, !llvm.ptr
    %s = tile.lanes add %x width 32
    llvm.store %s, %p : f32, !llvm.ptr
    %first = llvm.load %p : !llvm.ptr -> i32
    %other = tile.from_lane %first[%c0]
    llvm.store %other, %p : i32, !llvm.ptr
  }
  return
}

// -----

// Four warps are a group: the right operand by a descriptor, the left one too or from registers. Sums that begin with zero are written without being read; others go through the fence
// and the wait.
// CHECK-LABEL: func.func @group
// CHECK: llvm.inline_asm has_side_effects "wgmma.fence.sync.aligned;", "" : () -> ()
// CHECK: llvm.inline_asm has_side_effects "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {$0, $1, $2, $3, $4, $5, $6, $7}, $8, $9, 0, 1, 1, 0, 0;", "=f,=f,=f,=f,=f,=f,=f,=f,l,l"
// CHECK-COUNT-3: llvm.inline_asm has_side_effects "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {$0, $1, $2, $3, $4, $5, $6, $7}, $8, $9, 1, 1, 1, 0, 0;", "=f,=f,=f,=f,=f,=f,=f,=f,l,l,0,1,2,3,4,5,6,7"
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: llvm.inline_asm has_side_effects "wgmma.wait_group.sync.aligned 0;", "=f,=f,=f,=f,=f,=f,=f,=f,0,1,2,3,4,5,6,7"
// CHECK-COUNT-4: "cvt.rn.bf16x2.f32 $0, $1, $2;"
// CHECK: llvm.inline_asm has_side_effects "wgmma.fence.sync.aligned;", "=r,=r,=r,=r,=f,=f,=f,=f,=f,=f,=f,=f,0,1,2,3,4,5,6,7,8,9,10,11"
// CHECK: llvm.inline_asm has_side_effects "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {$0, $1, $2, $3, $4, $5, $6, $7}, {$8, $9, $10, $11}, $12, 1, 1, 1, 1;", "=f,=f,=f,=f,=f,=f,=f,=f,r,r,r,r,l,0,1,2,3,4,5,6,7"
func.func @group(%p: !llvm.ptr, %x: f32, %n: index) {
  %c0 = arith.constant 0 : index
  %f0 = arith.constant 0.0 : f32
  tile.program threads 128 {
    %c = tile.view %p rows %n cols %n stride %n align 16 : !llvm.ptr -> !tile.view<f32>
    %a = tile.alloc : !tile.shared<64x64xbf16, swizzle = 128>
    %b = tile.alloc : !tile.shared<16x64xbf16, swizzle = 128>
    %v = tile.alloc : !tile.shared<16x16xbf16, swizzle = 32>
    %z = tile.splat %f0 : f32 -> !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>
    %s = tile.splat %x : f32 -> !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>
    tile.dot_fence
    %0 = tile.dot %a, %b, %z {trans_b} : !tile.shared<64x64xbf16, swizzle = 128>, !tile.shared<16x64xbf16, swizzle = 128>, !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>
    %1 = tile.dot_wait pending 0(%0 : !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>)
    %2 = tile.convert %1 : !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>> -> !tile.reg<64x16xbf16, #tile.layout<wgmma_a, 4x1>>
    %3, %4 = tile.dot_fence(%2, %s : !tile.reg<64x16xbf16, #tile.layout<wgmma_a, 4x1>>, !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>)
    %5 = tile.dot %3, %v, %4 : !tile.reg<64x16xbf16, #tile.layout<wgmma_a, 4x1>>, !tile.shared<16x16xbf16, swizzle = 32>, !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>
    %6 = tile.dot_wait pending 0(%5 : !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>)
    tile.store %6, %c[%c0, %c0] : !tile.reg<64x16xf32, #tile.layout<wgmma_acc, 4x1>>, !tile.view<f32>
  }
  return
}

// -----

// Roles: barriers are made before the threads part; one thread of the last 128 brings tiles, a slab of 128 bytes by one copy.
// CHECK-LABEL: func.func @roles
// CHECK-SAME: tile.shared_bytes = 16400 : i64, tile.threads = 384 : i64
// CHECK: scf.if
// CHECK-COUNT-2: llvm.inline_asm has_side_effects "mbarrier.init.shared::cta.b64 [$0], $1;", "r,r"
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK-NEXT: nvvm.barrier0
// CHECK: scf.if
// CHECK:   nvvm.setmaxregister increase 240
// The last group gives the first one its turn.
// CHECK:   scf.if
// CHECK:     llvm.inline_asm has_side_effects "bar.arrive $0, $1;", "r,r" %c2_i32, %c256_i32
// CHECK:   llvm.inline_asm has_side_effects {{.*}}mbarrier.try_wait.parity.shared::cta.b64
// CHECK:   nvvm.barrier id = %{{.*}} number_of_threads = %c256_i32
// CHECK:   llvm.inline_asm has_side_effects "bar.arrive $0, $1;", "r,r" %{{.*}}, %c256_i32
// CHECK:   nvvm.barrier id = %c1_i32 number_of_threads = %c256_i32
// CHECK:   nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK-NEXT: nvvm.barrier id = %c1_i32 number_of_threads = %c256_i32
// CHECK:   scf.if
// CHECK:     llvm.inline_asm has_side_effects "mbarrier.arrive.shared::cta.b64 _, [$0];", "r"
// CHECK: } else {
// CHECK:   nvvm.setmaxregister decrease 24
// CHECK:   scf.if
// CHECK:     llvm.inline_asm has_side_effects "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", "r,r"
// CHECK-COUNT-2: llvm.inline_asm has_side_effects "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1, {$2, $3, $4}], [$5];", "r,l,r,r,r,r"
func.func @roles(%map: !llvm.ptr, %i: index) {
  tile.program threads 384 {
    %t = tile.alloc : !tile.shared<64x128xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 2 : !tile.mbarriers<2>
    tile.roles consume 256 registers 240 {
      tile.await %b[%i] parity %i : !tile.mbarriers<2>
      tile.take_turn
      tile.give_turn
      tile.barrier
      tile.barrier products
      tile.arrive %b[%i] : !tile.mbarriers<2>
    } produce registers 24 {
      tile.expect %b[%i] bytes 16384 : !tile.mbarriers<2>
      tile.copy_tensor %map[%i, %i, %i] to %t signal %b[%i] : !llvm.ptr to !tile.shared<64x128xbf16, swizzle = 128> signal !tile.mbarriers<2>
    }
  }
  return
}

// -----

// A cluster: blocks meet before the roles and at the end. Each brings a share of the rows to all of them, and the consumers' groups arrive at
// the barriers of all, a thread for each.
// CHECK-LABEL: func.func @cluster
// CHECK: llvm.inline_asm has_side_effects "fence.mbarrier_init.release.cluster;", ""
// CHECK-NEXT: llvm.inline_asm has_side_effects "barrier.cluster.arrive.release;", ""
// CHECK-NEXT: llvm.inline_asm has_side_effects "barrier.cluster.wait.acquire;", ""
// CHECK-NOT: nvvm.barrier0
// CHECK: scf.if
// CHECK:   %[[THREAD:.*]] = arith.remui %{{.*}}, %c128_i32
// CHECK:   %[[FIRST:.*]] = arith.cmpi slt, %[[THREAD]], %c2_i32
// CHECK:   scf.if %[[FIRST]]
// CHECK:     %[[THERE:.*]] = llvm.inline_asm "mapa.shared::cluster.u32 $0, $1, $2;", "=r,r,r" %{{.*}}, %[[THREAD]]
// CHECK:     llvm.inline_asm has_side_effects "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [$0];", "r" %[[THERE]]
// CHECK: } else {
// CHECK:   llvm.inline_asm has_side_effects {{.*}}mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64
// CHECK:   %[[RANK:.*]] = nvvm.read.ptx.sreg.cluster.ctarank
// CHECK:   %[[SHARE:.*]] = arith.muli %[[RANK]], %c32_i32
// CHECK:   %[[ROW:.*]] = arith.addi %{{.*}}, %[[SHARE]]
// CHECK:   arith.muli %[[RANK]], %c4096_i32
// CHECK-COUNT-2: llvm.inline_asm has_side_effects "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [$0], [$1, {$2, $3}], [$4], $5;", "r,l,r,r,r,h" %{{.*}}, %{{.*}}, %{{.*}}, %[[ROW]], %{{.*}}, %c3_i16
// CHECK: llvm.inline_asm has_side_effects "barrier.cluster.arrive.release;", ""
// CHECK-NEXT: llvm.inline_asm has_side_effects "barrier.cluster.wait.acquire;", ""
// CHECK-NEXT: return
func.func @cluster(%map: !llvm.ptr, %i: index) {
  tile.program threads 384 cluster 2 {
    %t = tile.alloc : !tile.shared<64x128xbf16, swizzle = 128>
    %b = tile.mbarriers arrivals 4 : !tile.mbarriers<2>
    tile.roles consume 256 registers 240 {
      tile.arrive %b[%i] {everywhere} : !tile.mbarriers<2>
    } produce registers 24 {
      tile.await %b[%i] parity %i {everywhere} : !tile.mbarriers<2>
      tile.copy_tensor %map[%i, %i] to %t signal %b[%i] {multicast} : !llvm.ptr to !tile.shared<64x128xbf16, swizzle = 128> signal !tile.mbarriers<2>
    }
  }
  return
}

// -----

// Blocks that stay: each round asks anew where its threads stand, and the producer draws what comes next. The last number wraps the counter to 0.
// CHECK-LABEL: func.func @rounds
// CHECK: nvvm.setmaxregister increase 240
// CHECK: %[[WARP:.*]] = nvvm.shfl.sync
// CHECK: scf.while
// CHECK:   %[[TID:.*]] = llvm.inline_asm has_side_effects "mov.u32 $0, %tid.x;", "=r"
// CHECK:   %[[OF:.*]] = arith.divui %[[TID]], %c32_i32
// CHECK:   nvvm.shfl.sync {{.*}}%[[OF]]
// CHECK:   nvvm.barrier id = %c1_i32 number_of_threads = %c256_i32
// CHECK: nvvm.setmaxregister decrease 24
// CHECK: scf.while
// CHECK-NOT: nvvm.shfl.sync
// CHECK:   %[[LAST:.*]] = arith.addi %{{.*}}, %c-1_i32
// CHECK:   %[[NUMBER:.*]] = llvm.atomicrmw uinc_wrap %{{.*}}, %[[LAST]] syncscope("device") monotonic : !llvm.ptr<1>, i32
// CHECK:   nvvm.read.ptx.sreg.nctaid.x
// CHECK:   llvm.inline_asm has_side_effects "mov.b32 $0, $1;", "=r,r"
// CHECK:   llvm.store %{{.*}} : i32, !llvm.ptr<3>
// CHECK:   llvm.inline_asm has_side_effects "mbarrier.arrive.shared::cta.b64 _, [$0];", "r"
func.func @rounds(%counter: !llvm.ptr, %n: index) {
  %c0 = arith.constant 0 : index
  tile.program threads 384 {
    %t = tile.alloc : !tile.shared<1x4xi32>
    %b = tile.mbarriers arrivals 1 : !tile.mbarriers<1>
    tile.roles consume 256 registers 240 {
      %end = scf.while (%i = %c0) : (index) -> index {
        %more = arith.cmpi slt, %i, %n : index
        scf.condition(%more) %i : index
      } do {
      ^bb0(%i: index):
        tile.await %b[%c0] parity %i : !tile.mbarriers<1>
        %v = tile.read %t[%c0, %c0] : !tile.shared<1x4xi32> -> i32
        tile.barrier
        %next = arith.index_cast %v : i32 to index
        scf.yield %next : index
      }
    } produce registers 24 {
      %end = scf.while (%i = %c0) : (index) -> index {
        %more = arith.cmpi slt, %i, %n : index
        scf.condition(%more) %i : index
      } do {
      ^bb0(%i: index):
        %number = tile.ticket %counter of %n : !llvm.ptr
        %blocks = tile.block_count
        %sum = arith.addi %number, %blocks : index
        %next = tile.launder %sum
        %v = arith.index_cast %next : index to i32
        tile.write %v, %t[%c0, %c0] : i32, !tile.shared<1x4xi32>
        tile.expect %b[%c0] bytes 0 : !tile.mbarriers<1>
        scf.yield %next : index
      }
    }
  }
  return
}

// -----

// Each thread looks up the page of the row of its chunk: of one that exists.
// CHECK-LABEL: func.func @pages
// CHECK: %[[THERE:.*]] = arith.minsi
// CHECK: %[[ENTRY:.*]] = arith.addi %arg2, %{{.*}} : index
// CHECK: %[[AT:.*]] = arith.divui %[[ENTRY]], %c8
// CHECK: %[[NUMBER:.*]] = llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: arith.muli %{{.*}}, %arg4 : index
// CHECK: arith.remui %[[ENTRY]], %c8
// CHECK: nvvm.cp.async.shared.global
func.func @pages(%pool: !llvm.ptr, %table: !llvm.ptr, %first: index, %rows: index, %step: index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  tile.program threads 32 {
    %to = tile.alloc : !tile.shared<16x64xbf16, swizzle = 128>
    %v = tile.paged_view %pool table %table first %first rows %rows cols %c64 stride %c64 page_stride %step page 8 : !llvm.ptr, !llvm.ptr -> !tile.view<bf16>
    tile.copy_async %v[%c0, %c0] to %to : !tile.view<bf16> to !tile.shared<16x64xbf16, swizzle = 128>
    tile.commit : !tile.token
    tile.wait pending 0
    tile.yield
  }
  return
}

// -----

// Bytes are fragments of 16-bit elements to ldmatrix: rows of 32 bytes, four elements a register. Signed ones meet unsigned ones; their sums
// are integers.
// CHECK-LABEL: func.func @bytes
// The left operand, two fragments of its rows along the depth:
// CHECK-COUNT-2: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>{{.*}}num = 4
// CHECK-NOT: mma_layout<col>
// The same one from shared memory, and two fragments of columns at a time:
// CHECK: nvvm.ldmatrix {{.*}}num = 4
// CHECK-COUNT-2: llvm.inline_asm "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};", "=r,=r,=r,=r,r,r,r,r,r,r,r,r,r,r" {{.*}} -> !llvm.struct<(i32, i32, i32, i32)>
// CHECK: nvvm.ldmatrix {{.*}}num = 4
// CHECK-COUNT-2: llvm.inline_asm "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32
// CHECK: nvvm.ldmatrix {{.*}}num = 4
// CHECK: nvvm.ldmatrix {{.*}}num = 2
// CHECK: llvm.inline_asm "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32
// CHECK: nvvm.ldmatrix {{.*}}num = 4
// CHECK: nvvm.ldmatrix {{.*}}num = 2
// CHECK: llvm.inline_asm "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32
func.func @bytes(%p: !llvm.ptr, %n: index) {
  %c0 = arith.constant 0 : index
  %i0 = arith.constant 0 : i32
  tile.program threads 32 {
    %c = tile.view %p rows %n cols %n stride %n align 4 : !llvm.ptr -> !tile.view<i32>
    %a = tile.alloc : !tile.shared<16x64xi8, swizzle = 64>
    %b = tile.alloc : !tile.shared<16x64xui8, swizzle = 64>
    %d = tile.alloc : !tile.shared<8x64xi8, pad = 16>
    %left = tile.load %a : !tile.shared<16x64xi8, swizzle = 64> -> !tile.reg<16x64xi8, #tile.layout<a, 1x1>>
    %z = tile.splat %i0 : i32 -> !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>
    %x = tile.dot %left, %b, %z {trans_b} : !tile.reg<16x64xi8, #tile.layout<a, 1x1>>, !tile.shared<16x64xui8, swizzle = 64>, !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>
    tile.store %x, %c[%c0, %c0] : !tile.reg<16x16xi32, #tile.layout<acc, 1x1>>, !tile.view<i32>
    %w = tile.splat %i0 : i32 -> !tile.reg<16x8xi32, #tile.layout<acc, 1x1>>
    %y = tile.dot %a, %d, %w {trans_b} : !tile.shared<16x64xi8, swizzle = 64>, !tile.shared<8x64xi8, pad = 16>, !tile.reg<16x8xi32, #tile.layout<acc, 1x1>>
    tile.store %y, %c[%c0, %c0] : !tile.reg<16x8xi32, #tile.layout<acc, 1x1>>, !tile.view<i32>
  }
  return
}
