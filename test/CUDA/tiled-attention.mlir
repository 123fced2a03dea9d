// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda | FileCheck %s

// Three launches, two of them with an empty grid: prefill, or decode over parts of the keys and what joins the parts.

// CHECK-LABEL: func.func @attend.program0
// CHECK: tile.program threads 128
// CHECK: %[[Q:.*]] = tile.load {{.*}} -> {{.*}}<64x64xf16, #tile.layout<a, 4x1>>
// What each row sees is known before the loop; blocks that no row sees are not visited.
// CHECK: tile.map -> {{.*}}<64x1xi32, #tile.layout<row, 4x1>>, {{.*}}<64x1xi32, #tile.layout<row, 4x1>>
// CHECK: tile.pipeline {{.*}} produce {
// CHECK-COUNT-2: tile.copy_async
// CHECK: } consume {
// CHECK:   %[[S:.*]] = tile.dot %[[Q]], {{.*}} {trans_b} : {{.*}}<64x64xf32, #tile.layout<acc, 4x1>>
// Only blocks that some row does not see whole are masked.
// CHECK:   scf.if {{.*}} -> (!tile.reg<64x64xf32, #tile.layout<acc, 4x1>>) {
// CHECK:     tile.map ins(%[[S]],
// CHECK:   } else {
// CHECK:     scf.yield %[[S]]
// CHECK:   tile.reduce max
// CHECK:   tile.exp2
// CHECK:   tile.reduce add {{.*}} {partial}
// CHECK:   %[[P:.*]] = tile.convert
// CHECK:   tile.dot %[[P]],
// CHECK: tile.join add
// CHECK: tile.visit
// CHECK-LABEL: func.func @attend.program1
// CHECK: tile.program threads 32
// CHECK: tile.for_each
// CHECK-LABEL: func.func @attend.program2
// CHECK: tile.program threads 64
leat.kernel_func @attend inputs 3 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// A ring cache says where its slots are. A launch of its own finds out which blocks a tile of rows sees, a warp a block; the loop walks from one that is seen to the next. Positions are
// staged beside keys where the block is masked, and f32 weights go through shared memory. In decode a part of the keys classifies its blocks itself.
// CHECK-LABEL: func.func @ring.program0
// CHECK: tile.program threads 128
// CHECK: tile.lanes max
// CHECK: llvm.store %{{.*}} : i8, !llvm.ptr
// CHECK-LABEL: func.func @ring.program1
// CHECK-NOT: tile.lanes
// CHECK: math.ctpop
// CHECK: math.cttz
// CHECK: tile.pipeline {{.*}} first {{.*}} next {
// CHECK:   math.cttz
// CHECK: } produce {
// CHECK:   tile.copy_async
// CHECK:   scf.if
// CHECK:     tile.fill {{.*}}<1x32xi32>
// CHECK: } consume {
// CHECK:   scf.if
// CHECK:   tile.read {{.*}} : {{.*}}<1x32xi32> -> i32
// CHECK:   tile.store_shared
// CHECK:   tile.barrier
// CHECK:   tile.dot {{.*}} : !tile.shared<64x32xf32, pad = 16>
// CHECK-LABEL: func.func @ring.program2
// CHECK: tile.lanes max
// CHECK: tile.barrier
// CHECK: tile.pipeline {{.*}} next {
leat.kernel_func @ring inputs 4 -> [tensor<1x4x?x16xf32>] {
^bb0(%q: tensor<1x4x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x16xf32>, %at: tensor<?xi64>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) k_pos(%at) {scale = 0.25 : f64, causal} : (tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<?xi64>) -> tensor<1x4x?x16xf32>
  leat.yield %0 : tensor<1x4x?x16xf32>
}

// Keys and values in 16 bits under f32 queries become f32 on the way to shared memory.
// CHECK-LABEL: func.func @narrow_cache.program0
// CHECK: tile.pipeline {{.*}} produce {
// CHECK-COUNT-2: tile.fill {{.*}}<32x16xf32, pad = 16>
leat.kernel_func @narrow_cache inputs 3 -> [tensor<1x4x?x16xf32>] {
^bb0(%q: tensor<1x4x?x16xf32>, %k: tensor<1x2x?x16xbf16>, %v: tensor<1x2x?x16xbf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25 : f64, causal} : (tensor<1x4x?x16xf32>, tensor<1x2x?x16xbf16>, tensor<1x2x?x16xbf16>) -> tensor<1x4x?x16xf32>
  leat.yield %0 : tensor<1x4x?x16xf32>
}
