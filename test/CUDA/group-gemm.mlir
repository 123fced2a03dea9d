// RUN: leat-opt %s --leat-schedule-cuda=gpu=sm_90a --leat-lower-kernels-cuda=gpu=sm_90a | FileCheck %s

// Products in 16 bits on Hopper: both operands by tensor maps, a step in the tensor cores while the next one begins.

// CHECK-LABEL: func.func @half.program0(
// CHECK-SAME: %[[LEFT:[a-z0-9]*]]: !llvm.ptr, %[[RIGHT:[a-z0-9]*]]: !llvm.ptr) attributes {leat.program}
// CHECK: tile.program threads 384
// CHECK: tile.alloc : {{.*}}<128x64xf16, swizzle = 128, stages = 4>
// CHECK: tile.alloc : {{.*}}<64x128xf16, swizzle = 128, stages = 4>
// CHECK: tile.roles consume 256
// CHECK:   scf.for
// CHECK:     tile.await
// CHECK:     tile.dot_fence
// CHECK:     tile.dot
// CHECK:     tile.dot_wait pending 1{{$}}
// CHECK:     tile.arrive
// CHECK:   tile.dot_wait pending 0(
// CHECK:   tile.visit
// CHECK:     arith.addf
// CHECK: produce registers
// CHECK:   scf.for
// CHECK:     tile.expect {{.*}} bytes 32768
// CHECK:     tile.copy_tensor %[[LEFT]][
// CHECK:     tile.copy_tensor %[[RIGHT]][
leat.kernel_func @half inputs 3 -> [tensor<?x96xf16>] {
^bb0(%x: tensor<?x64xf16>, %w: tensor<64x96xf16>, %bias: tensor<96xf16>):
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x64xf16>
  %y = leat.matmul %x, %w : (tensor<?x64xf16>, tensor<64x96xf16>) -> tensor<?x96xf16>
  %e = tensor.empty(%m) : tensor<?x96xf16>
  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%y, %bias : tensor<?x96xf16>, tensor<96xf16>) outs(%e : tensor<?x96xf16>) {
  ^bb0(%a: f16, %b: f16, %o: f16):
    %s = arith.addf %a, %b : f16
    linalg.yield %s : f16
  } -> tensor<?x96xf16>
  leat.yield %z : tensor<?x96xf16>
}

// With two rows of blocks, or four, ... a launch of its own, in which both blocks of a cluster bring half of the right operand to both.
// CHECK-LABEL: func.func @half.program2(
// CHECK-SAME: %[[LEFT:[a-z0-9]*]]: !llvm.ptr, %[[RIGHT:[a-z0-9]*]]: !llvm.ptr) attributes {leat.program}
// CHECK: tile.program threads 384 cluster 2
// CHECK: tile.mbarriers arrivals 1 :
// CHECK: tile.mbarriers arrivals 4 :
// CHECK: tile.roles consume 256
// CHECK:     tile.arrive {{.*}} {everywhere}
// CHECK: produce registers
// CHECK:     tile.await {{.*}} {everywhere}
// CHECK:     tile.expect {{.*}} bytes 32768
// CHECK:     tile.copy_tensor %[[LEFT]][
// CHECK-NOT: multicast
// CHECK:     tile.copy_tensor %[[RIGHT]][{{.*}} {multicast} :

// A batch of matrices has a dimension of the map for each of the batch's.
// CHECK-LABEL: func.func @batch.program0(
// CHECK: tile.copy_tensor %{{.*}}[%{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}}] to
leat.kernel_func @batch inputs 2 -> [tensor<?x3x64x64xbf16>] {
^bb0(%x: tensor<?x3x64x32xbf16>, %w: tensor<?x3x64x32xbf16>):
  %y = leat.matmul %x, %w {trans_b} : (tensor<?x3x64x32xbf16>, tensor<?x3x64x32xbf16>) -> tensor<?x3x64x64xbf16>
  leat.yield %y : tensor<?x3x64x64xbf16>
}

// Rows of 33 elements are no multiple of 16 bytes: no map shows them.
// CHECK-LABEL: func.func @ragged.program0
// CHECK-NOT: tile.roles
leat.kernel_func @ragged inputs 2 -> [tensor<70x33xf16>] {
^bb0(%x: tensor<70x33xf16>, %w: tensor<33x33xf16>):
  %y = leat.matmul %x, %w : (tensor<70x33xf16>, tensor<33x33xf16>) -> tensor<70x33xf16>
  leat.yield %y : tensor<70x33xf16>
}
