// RUN: leat-opt %s --leat-lower-kernels-cuda --canonicalize --cse | FileCheck %s

// A product, convolution or attention whose CPU code works on panels has one task per element of the result here.

// CHECK-LABEL: func.func @matmul(
// CHECK-NOT:     vector<
// CHECK:         scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (f32)
// CHECK:           math.fma %{{.*}}, %{{.*}}, %[[SUM]] : f32
// CHECK-LABEL: func.func @matmul.tasks(
leat.kernel_func @matmul inputs 2 -> [tensor<?x32xf32>] {
^bb0(%a: tensor<?x64xf32>, %b: tensor<32x64xbf16>):
  %0 = leat.matmul %a, %b {trans_b} : (tensor<?x64xf32>, tensor<32x64xbf16>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// The scale of a block is read once for all of its codes.
// CHECK-LABEL: func.func @nbits(
// CHECK:         scf.for
// CHECK:           arith.extf %{{.*}} : f16 to f32
// CHECK:           scf.for
// CHECK:             arith.andi
// CHECK:             arith.sitofp
// CHECK:             math.fma
// CHECK-LABEL: func.func @nbits.tasks(
leat.kernel_func @nbits inputs 3 -> [tensor<?x32xf32>] {
^bb0(%x: tensor<?x64xf32>, %codes: tensor<32x2x16xi8>, %scales: tensor<32x2xf16>):
  %0 = leat.matmul_nbits %x, %codes, %scales {bits = 4 : i64, block = 32 : i64, k = 64 : i64, n = 32 : i64}
      : (tensor<?x64xf32>, tensor<32x2x16xi8>, tensor<32x2xf16>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// CHECK-LABEL: func.func @conv(
// CHECK-COUNT-3: scf.for
// CHECK:           scf.if
// CHECK:             math.fma
// CHECK-LABEL: func.func @conv.tasks(
leat.kernel_func @conv inputs 2 -> [tensor<1x8x6x6xf32>] {
^bb0(%x: tensor<1x4x8x8xf32>, %w: tensor<8x4x3x3xf32>):
  %0 = leat.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>, group = 1 : i64}
      : (tensor<1x4x8x8xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x6x6xf32>
  leat.yield %0 : tensor<1x8x6x6xf32>
}

// One query and head: the maximum and the sum are carried from key to key, and keys that the mask hides are not read.
// CHECK-LABEL: func.func @attend(
// CHECK:         scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) -> (f32, f32)
// CHECK:           math.exp2
// CHECK-LABEL: func.func @attend.tasks(
leat.kernel_func @attend inputs 3 -> [tensor<1x4x?x16xf32>] {
^bb0(%q: tensor<1x4x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x16xf32>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25 : f64, causal}
      : (tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x4x?x16xf32>
  leat.yield %0 : tensor<1x4x?x16xf32>
}
