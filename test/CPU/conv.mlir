// RUN: leat-opt %s --leat-lower-kernels-cpu="vector-bits=256 features=fma,f16c,sse4.1" | FileCheck %s

// Windows are gathered into a panel, zero outside the input; filters are the rows of the product.
// CHECK-LABEL: func.func @conv(
// CHECK: arith.cmpi ult
// CHECK: scf.if
// CHECK: call @product_f32_f32_f32
// CHECK-LABEL: func.func @conv.cost(
leat.kernel_func @conv inputs 3 -> [tensor<?x8x?xf32>] {
^bb0(%x: tensor<?x4x?xf32>, %w: tensor<8x2x3xf32>, %b: tensor<8xf32>):
  %y = leat.conv %x, %w, %b {strides = array<i64: 2>, dilations = array<i64: 1>, pads = array<i64: 1, 1>, group = 2} : (tensor<?x4x?xf32>, tensor<8x2x3xf32>, tensor<8xf32>) -> tensor<?x8x?xf32>
  leat.yield %y : tensor<?x8x?xf32>
}
