// RUN: leat-opt %s --split-input-file --leat-narrow-scales | FileCheck %s

// Every value is an f16: the parameter and the kernel change.
// CHECK: leat.param @exact : tensor<4x1xf16> {key = "exact.f16"}
// CHECK: leat.kernel_func @q
// CHECK-NEXT: tensor<4x1xf16>
// CHECK: leat.matmul_nbits {{.*}}tensor<4x1xf16>
// CHECK-LABEL: func.func @f
// CHECK: leat.param_ref @exact : tensor<4x1xf16>
leat.param @codes : tensor<4x1x16xi8> {key = "codes"}
leat.param @exact : tensor<4x1xf32> {value = dense<[[0.5], [0.25], [-1.0], [0.0]]> : tensor<4x1xf32>}
leat.kernel_func @q inputs 3 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x32xf32>, %c: tensor<4x1x16xi8>, %s: tensor<4x1xf32>):
  %y = leat.matmul_nbits %a, %c, %s {bits = 4, block = 32, k = 32, n = 4} : (tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x32xf32>, %n: index) -> tensor<?x4xf32> {
  %c = leat.param_ref @codes : tensor<4x1x16xi8>
  %s = leat.param_ref @exact : tensor<4x1xf32>
  %0 = leat.launch @q ins(%x, %c, %s : tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) sizes(%n) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// The kernel is shared with scales that are not; and a parameter that is also returned stays.
// CHECK: leat.param @exact : tensor<4x1xf32>
// CHECK: leat.param @inexact : tensor<4x1xf32>
// CHECK: leat.param @read : tensor<4x1xf32>
// CHECK-NOT: f16
leat.param @codes : tensor<4x1x16xi8> {key = "codes"}
leat.param @exact : tensor<4x1xf32> {value = dense<0.5> : tensor<4x1xf32>}
leat.param @inexact : tensor<4x1xf32> {value = dense<0.1> : tensor<4x1xf32>}
leat.param @read : tensor<4x1xf32> {value = dense<0.5> : tensor<4x1xf32>}
leat.kernel_func @q inputs 3 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x32xf32>, %c: tensor<4x1x16xi8>, %s: tensor<4x1xf32>):
  %y = leat.matmul_nbits %a, %c, %s {bits = 4, block = 32, k = 32, n = 4} : (tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
leat.kernel_func @p inputs 3 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x32xf32>, %c: tensor<4x1x16xi8>, %s: tensor<4x1xf32>):
  %y = leat.matmul_nbits %a, %c, %s {bits = 4, block = 32, k = 32, n = 4} : (tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x32xf32>, %n: index) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x1xf32>) {
  %c = leat.param_ref @codes : tensor<4x1x16xi8>
  %e = leat.param_ref @exact : tensor<4x1xf32>
  %i = leat.param_ref @inexact : tensor<4x1xf32>
  %r = leat.param_ref @read : tensor<4x1xf32>
  %0 = leat.launch @q ins(%x, %c, %e : tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) sizes(%n) -> tensor<?x4xf32>
  %1 = leat.launch @q ins(%x, %c, %i : tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) sizes(%n) -> tensor<?x4xf32>
  %2 = leat.launch @p ins(%x, %c, %r : tensor<?x32xf32>, tensor<4x1x16xi8>, tensor<4x1xf32>) sizes(%n) -> tensor<?x4xf32>
  return %0, %1, %2, %r : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x1xf32>
}
