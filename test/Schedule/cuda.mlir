// RUN: leat-opt %s --leat-schedule-cuda | FileCheck %s

// CHECK-LABEL: leat.kernel_func @softmax
// CHECK-SAME: #leat.schedule<"thread", {columns = 1 : i64, grain = 1 : i64}>
leat.kernel_func @softmax inputs 1 -> [tensor<8x64xf32>] {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<8x64xf32>
  leat.yield %0 : tensor<8x64xf32>
}

// What is written by hand stays.
// CHECK-LABEL: leat.kernel_func @given
// CHECK-SAME: #leat.schedule<"thread", {grain = 4 : i64}>
leat.kernel_func @given inputs 1 -> [tensor<8x64xf32>] attributes {schedule = #leat.schedule<"thread", {grain = 4 : i64}>} {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<8x64xf32>
  leat.yield %0 : tensor<8x64xf32>
}
