// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda | FileCheck %s

// Operands that lie in memory as they are needed are copied asynchronously; the epilogue is the kernel's own.

// CHECK-LABEL: func.func @half.program0
// CHECK: tile.program threads 128
// CHECK: tile.pipeline {{.*}} produce {
// CHECK:   tile.copy_async
// CHECK:   tile.copy_async
// CHECK: } consume {
// CHECK:   tile.dot {{.*}} !tile.shared<128x32xf16, swizzle = 64>, {{.*}}<32x64xf16, swizzle = 128>, {{.*}}<128x64xf32, #tile.layout<acc, 2x2>>
// CHECK: tile.barrier
// CHECK: tile.store_shared
// CHECK: tile.barrier
// CHECK: tile.visit
// CHECK:   arith.addf
// CHECK: llvm.func @leat_half(
// CHECK:   call @half.program0(
// CHECK-LABEL: func.func @half.geometry(
// CHECK-LABEL: func.func @half.cost(
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

// f32 by bf16: two products, of what rounds to bf16 and of the rest.
// CHECK-LABEL: func.func @mixed.program0
// CHECK: %[[HIGH:.*]] = tile.load {{.*}}<64x32xf32, pad = 32> -> {{.*}}<64x32xbf16, #tile.layout<a, 2x2>>
// CHECK: %[[REST:.*]] = tile.load {{.*}} {residual = 1 : i64}
// CHECK: %[[FIRST:.*]] = tile.dot %[[HIGH]], %{{.*}}, %{{.*}} {trans_b}
// CHECK: tile.dot %[[REST]], %{{.*}}, %[[FIRST]] {trans_b}
leat.kernel_func @mixed inputs 2 -> [tensor<48x96xf32>] {
^bb0(%x: tensor<48x64xf32>, %w: tensor<96x64xbf16>):
  %y = leat.matmul %x, %w {trans_b} : (tensor<48x64xf32>, tensor<96x64xbf16>) -> tensor<48x96xf32>
  leat.yield %y : tensor<48x96xf32>
}

// Rows of 33 elements are not aligned: elements are written one by one.
// CHECK-LABEL: func.func @ragged.program0
// CHECK-NOT: tile.copy_async
// CHECK: tile.fill
// CHECK: tile.fill
// CHECK: tile.dot {{.*}}<64x16xf32, pad = 16>
leat.kernel_func @ragged inputs 2 -> [tensor<7x33xf32>] {
^bb0(%x: tensor<7x33xf32>, %w: tensor<33x33xf32>):
  %y = leat.matmul %x, %w : (tensor<7x33xf32>, tensor<33x33xf32>) -> tensor<7x33xf32>
  leat.yield %y : tensor<7x33xf32>
}

// A schedule for threads stays one.
// CHECK-LABEL: func.func @threads(
// CHECK-NOT: tile.
leat.kernel_func @threads inputs 2 -> [tensor<7x33xf32>] attributes {schedule = #leat.schedule<"thread", {}>} {
^bb0(%x: tensor<7x33xf32>, %w: tensor<33x33xf32>):
  %y = leat.matmul %x, %w : (tensor<7x33xf32>, tensor<33x33xf32>) -> tensor<7x33xf32>
  leat.yield %y : tensor<7x33xf32>
}
