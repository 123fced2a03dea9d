// RUN: leat-opt %s --leat-schedule-cuda=gpu=sm_90a --leat-lower-kernels-cuda=gpu=sm_90a | FileCheck %s

// Prefill on Hopper: a thread brings tiles by tensor maps, which are arguments of the entry; groups of four warps multiply. The products of one block of keys run beside the softmax
// of another. Blocks take tiles of the grid one after another: results leave by the memory of the queries, and the producer draws the next tile when all of one is on its way.

// CHECK-LABEL: func.func @attend.program0(
// CHECK-SAME: %[[QUERIES:[a-z0-9]*]]: !llvm.ptr, %[[KEYS:[a-z0-9]*]]: !llvm.ptr, %[[VALUES:[a-z0-9]*]]: !llvm.ptr) attributes {leat.program}
// CHECK: tile.program threads 384
// CHECK: tile.alloc : {{.*}}<128x128xbf16, swizzle = 128>
// CHECK-COUNT-2: tile.alloc : {{.*}}<128x128xbf16, swizzle = 128, stages = 2>
// CHECK: tile.alloc : {{.*}}<1x4xi32>
// CHECK: tile.roles consume 256 registers 232 {
// CHECK:  scf.while
// CHECK:   tile.map -> {{.*}}<128x1xi32, #tile.layout<row, 8x1>>, {{.*}}<128x1xi32, #tile.layout<row, 8x1>>
// CHECK:   tile.dot {{.*}} {trans_b} : {{.*}}<128x128xbf16, swizzle = 128>, {{.*}}<128x128xbf16, swizzle = 128>, {{.*}}<128x128xf32, #tile.layout<wgmma_acc, 8x1>>
// CHECK:   tile.dot_wait pending 0
// CHECK:   scf.for
// CHECK:     tile.await
// CHECK:     tile.take_turn
// CHECK:     tile.dot_fence{{$}}
// CHECK:     %[[S:.*]] = tile.dot {{.*}} {trans_b}
// CHECK:     tile.await
// CHECK:     tile.dot_fence(
// CHECK:     %[[O:.*]] = tile.dot {{.*}} : {{.*}}<128x128xbf16, #tile.layout<wgmma_a, 8x1>>, {{.*}}<128x128xbf16, swizzle = 128>, {{.*}}<128x128xf32, #tile.layout<wgmma_acc, 8x1>>
// CHECK:     tile.give_turn
// CHECK:     tile.dot_wait pending 1(%[[S]]
// CHECK:     tile.arrive
// CHECK:     tile.reduce max
// CHECK:     tile.dot_wait pending 0(%[[O]], %
// CHECK:     tile.arrive
// CHECK:     tile.convert
// CHECK:   tile.arrive
// CHECK:   tile.visit {{.*}} {width = 8 : i64} : {{.*}}<128x128xbf16, swizzle = 128>
// CHECK:   tile.await
// CHECK:   tile.read {{.*}}<1x4xi32>
// CHECK:   tile.barrier products
// CHECK:   tile.arrive
// CHECK: produce registers 48 {
// CHECK:  scf.while
// CHECK:   tile.await
// CHECK:   tile.expect {{.*}} bytes 32768
// CHECK:   tile.copy_tensor %[[KEYS]][
// CHECK:   tile.await
// CHECK:   tile.copy_tensor %[[QUERIES]][
// CHECK:   scf.for
// CHECK:     tile.copy_tensor %[[KEYS]][
// CHECK:     tile.copy_tensor %[[VALUES]][
// CHECK:   tile.copy_tensor %[[VALUES]][
// CHECK:   tile.ticket
// CHECK:   tile.block_count
// CHECK:   tile.write
// CHECK:   tile.expect {{.*}} bytes 0
// CHECK: llvm.func @leat_attend(
// CHECK-SAME: !llvm.array<128 x i8>
// CHECK-SAME: nvvm.minctasm = 1 : i32
// CHECK-LABEL: func.func @attend.program1
// CHECK: tile.program threads 32
leat.kernel_func @attend inputs 3 -> [tensor<1x4x?x128xbf16>] {
^bb0(%q: tensor<1x4x?x128xbf16>, %k: tensor<1x2x?x128xbf16>, %v: tensor<1x2x?x128xbf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x128xbf16>, tensor<1x2x?x128xbf16>, tensor<1x2x?x128xbf16>) -> tensor<1x4x?x128xbf16>
  leat.yield %0 : tensor<1x4x?x128xbf16>
}

// A ring: the first launch classifies blocks; lanes hold positions of a block that is masked, which columns ask for; values of empty slots are cleared in front of the turn, where all groups meet.
// CHECK-LABEL: func.func @ring.program1
// CHECK: tile.program threads 512
// CHECK: tile.roles consume 384 registers 152 {
// CHECK:   scf.for
// CHECK:     scf.if
// CHECK:       tile.await
// CHECK:       tile.write %{{.*}} : vector<8xf16>, {{.*}}<{{[0-9]+}}x64xf16, swizzle = 128>
// CHECK:       tile.barrier products
// CHECK:     tile.take_turn
// CHECK:     tile.give_turn
// CHECK:     scf.if
// CHECK:       tile.from_lane
// CHECK:     tile.lanes max
// CHECK:   tile.barrier products
leat.kernel_func @ring inputs 4 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>, %at: tensor<?xi64>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) k_pos(%at) {scale = 0.25 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<?xi64>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// A length in memory hides keys at the end only: the last block is cleared, behind the loop.
// CHECK-LABEL: func.func @lengths.program0
// CHECK: tile.roles
// CHECK:   scf.for
// CHECK-NOT: tile.barrier products
// CHECK:     tile.give_turn
// CHECK:   tile.barrier products
// CHECK:   tile.dot_fence(
leat.kernel_func @lengths inputs 4 -> [tensor<?x4x?x64xf16>] {
^bb0(%q: tensor<?x4x?x64xf16>, %k: tensor<?x2x?x64xf16>, %v: tensor<?x2x?x64xf16>, %n: tensor<?xi64>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) kv_len(%n) {scale = 0.25 : f64, causal} : (tensor<?x4x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?xi64>) -> tensor<?x4x?x64xf16>
  leat.yield %0 : tensor<?x4x?x64xf16>
}

// Two segments with queries of their own: six tensor maps, and one list of blocks.
// CHECK-LABEL: func.func @segments.program1(
// CHECK-SAME: %[[Q0:[a-z0-9]*]]: !llvm.ptr, %[[Q1:[a-z0-9]*]]: !llvm.ptr, %[[K0:[a-z0-9]*]]: !llvm.ptr, %[[V0:[a-z0-9]*]]: !llvm.ptr, %[[K1:[a-z0-9]*]]: !llvm.ptr, %[[V1:[a-z0-9]*]]: !llvm.ptr) attributes {leat.program}
// CHECK: tile.alloc : {{.*}}<192x64xf16, swizzle = 128, stages = 2>
// CHECK: produce registers
// CHECK:   scf.if
// CHECK:     tile.copy_tensor %[[K0]][
// CHECK:   } else {
// CHECK:     tile.copy_tensor %[[K1]][
// CHECK:   tile.copy_tensor %[[Q0]][
// CHECK:   tile.copy_tensor %[[Q1]][
// CHECK:   scf.for
// CHECK:     scf.if
// CHECK:       tile.copy_tensor %[[K0]][
// CHECK:     } else {
// CHECK:       tile.copy_tensor %[[K1]][
// CHECK:     scf.if
// CHECK:       tile.copy_tensor %[[V0]][
// CHECK:     } else {
// CHECK:       tile.copy_tensor %[[V1]][
leat.kernel_func @segments inputs 9 -> [tensor<1x4x?x64xf16>] {
^bb0(%q0: tensor<1x4x?x64xf16>, %q1: tensor<1x4x?x64xf16>, %k0: tensor<1x2x?x64xf16>, %k1: tensor<1x2x?x64xf16>, %v0: tensor<1x2x?x64xf16>, %v1: tensor<1x2x?x64xf16>, %qp: tensor<?xi64>, %p0: tensor<?xi64>, %p1: tensor<?xi64>):
  %0 = leat.kv_attend q(%q0, %q1) k(%k0, %k1) v(%v0, %v1) q_pos(%qp) k_pos(%p0, %p1) {scale = 0.25 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// A step of a stream: its sinks and its ring are views of states, new keys and values a slice of what the step computed, in another order.
// CHECK-LABEL: func.func @step.program1(
// CHECK: tile.program threads 512
// CHECK: tile.roles
leat.kernel_func @step inputs 8 -> [tensor<?x4x?x64xf16>] {
^bb0(%new: tensor<?x?x2x64xf16>, %k: tensor<?x2x?x64xf16>, %q: tensor<?x4x?x64xf16>, %ks: !leat.state<tensor<?x2x?x64xf16>>, %vs: !leat.state<tensor<?x2x?x64xf16>>, %at: tensor<?xi64>, %p0: tensor<?xi64>, %p1: tensor<?xi64>, %b: index, %s: index, %from: index, %n: index, %ring: index):
  %c4 = arith.constant 4 : index
  %e = tensor.empty(%b, %s) : tensor<?x2x?x64xf16>
  %v = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, c, b, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%new : tensor<?x?x2x64xf16>) outs(%e : tensor<?x2x?x64xf16>) {
  ^bb0(%in: f16, %out: f16):
    linalg.yield %in : f16
  } -> tensor<?x2x?x64xf16>
  %k1 = tensor.extract_slice %k[0, 0, %from, 0] [%b, 2, %n, 64] [1, 1, 1, 1] : tensor<?x2x?x64xf16> to tensor<?x2x?x64xf16>
  %v1 = tensor.extract_slice %v[0, 0, %from, 0] [%b, 2, %n, 64] [1, 1, 1, 1] : tensor<?x2x?x64xf16> to tensor<?x2x?x64xf16>
  %k0 = leat.cache_view %ks[%c4, %ring] {axis = 2 : i64} : <tensor<?x2x?x64xf16>> -> tensor<?x2x?x64xf16>
  %v0 = leat.cache_view %vs[%c4, %ring] {axis = 2 : i64} : <tensor<?x2x?x64xf16>> -> tensor<?x2x?x64xf16>
  %0 = leat.kv_attend q(%q, %q) k(%k0, %k1) v(%v0, %v1) q_pos(%at) k_pos(%p0, %p1) {scale = 0.125 : f64, causal, window_left = 60 : i64} : (tensor<?x4x?x64xf16>, tensor<?x4x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>) -> tensor<?x4x?x64xf16>
  leat.yield %0 : tensor<?x4x?x64xf16>
}

// Rows that are no multiple of 16 bytes have no tensor map: the form of all GPUs.
// CHECK-LABEL: func.func @unaligned.program0
// CHECK: tile.program threads 128
// CHECK-NOT: tile.roles
// CHECK: func.func @unaligned.program1
leat.kernel_func @unaligned inputs 3 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %wide: tensor<1x2x?x68xf16>, %v: tensor<1x2x?x64xf16>, %t: index):
  %k = tensor.extract_slice %wide[0, 0, 0, 0] [1, 2, %t, 64] [1, 1, 1, 1] : tensor<1x2x?x68xf16> to tensor<1x2x?x64xf16>
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// Results that take more memory than the queries had: a block for each tile, which ends with it.
// CHECK-LABEL: func.func @wider.program0
// CHECK: tile.roles
// CHECK-NOT: scf.while
// CHECK-NOT: tile.ticket
// CHECK: func.func @wider.program1
leat.kernel_func @wider inputs 3 -> [tensor<1x4x?x128xbf16>] {
^bb0(%q: tensor<1x4x?x64xbf16>, %k: tensor<1x2x?x64xbf16>, %v: tensor<1x2x?x128xbf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x2x?x128xbf16>) -> tensor<1x4x?x128xbf16>
  leat.yield %0 : tensor<1x4x?x128xbf16>
}
