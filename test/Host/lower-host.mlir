// RUN: leat-opt %s -leat-lower-host -split-input-file | FileCheck %s

// A launch with a result of dynamic size; an unused parameter is dropped; names come from attributes.
// CHECK: module attributes {leat.kernels = [{description = "", name = "add", strategy = ""}]
// CHECK-SAME: leat.params = [@w]
// CHECK-NOT: @unused
leat.param @unused : tensor<4xf32> {value = dense<1.0> : tensor<4xf32>}
leat.param @w : tensor<4xf32> {value = dense<1.0> : tensor<4xf32>}
leat.kernel_func @add inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x4xf32>, %b: tensor<4xf32>, %n: index):
  leat.yield %a : tensor<?x4xf32>
}
// CHECK: llvm.func @leat_main(%[[FRAME:.*]]: !llvm.ptr) -> i64
// CHECK-SAME: inputs = [{dims = ["n", "4"], dtype = 1 : i32, name = "x"}]
// CHECK-SAME: outputs = [{dims = ["n", "4"], dtype = 1 : i32, name = "y"}]
// CHECK-SAME: slots = 1 : i64
// CHECK: %[[DATA:.*]] = llvm.call @leat.ensure.1(%[[FRAME]],
// CHECK: llvm.call %{{.*}}(%[[FRAME]], {{.*}}) : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr) -> i64
// CHECK: llvm.store %[[DATA]],
// CHECK: llvm.func internal @leat.ensure.1
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x4xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %w = leat.param_ref @w : tensor<4xf32>
  %y = leat.launch @add ins(%x, %w : tensor<?x4xf32>, tensor<4xf32>) scalars(%n : index) sizes(%n) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Views are free. A reshape whose counts are equal by construction is not checked, another one is.
// CHECK: leat.messages = ["a tensor of {0} elements is reshaped to {1} elements
// CHECK: llvm.func @leat_main
// CHECK-COUNT-1: llvm.icmp "eq"
// CHECK-NOT: llvm.icmp
func.func @main(%x: tensor<?x4xf32>, %k: tensor<?xf32>) -> (tensor<4x?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %m = tensor.dim %k, %c0 : tensor<?xf32>
  %c4 = arith.constant 4 : index
  %s = tensor.from_elements %c4, %n : tensor<2xindex>
  %r = tensor.reshape %x(%s) : (tensor<?x4xf32>, tensor<2xindex>) -> tensor<4x?xf32>
  %t = tensor.from_elements %m : tensor<1xindex>
  %q = tensor.reshape %x(%t) : (tensor<?x4xf32>, tensor<1xindex>) -> tensor<?xf32>
  return %r, %q : tensor<4x?xf32>, tensor<?xf32>
}

// -----

// Lengths of append slots follow the counter; the capacity is checked before the first kernel that takes one.
// CHECK: leat.messages = ["cache overflow
// CHECK-SAME: leat.states = [@seen, @k]
leat.slot @seen : tensor<i64> growth counter
leat.slot @k : tensor<?x2xf32> growth append {axis = 0 : i64}
leat.kernel_func @append inputs 2 -> [!leat.state<tensor<?x2xf32>>] {
^bb0(%s: !leat.state<tensor<?x2xf32>>, %x: tensor<?x2xf32>, %at: index):
  %n = leat.cache_append %s, %x at %at : !leat.state<tensor<?x2xf32>>, tensor<?x2xf32>
  leat.yield %n : !leat.state<tensor<?x2xf32>>
}
// CHECK: llvm.func @leat_step
// CHECK: %[[NEW:.*]] = arith.addi
// CHECK: %[[FITS:.*]] = llvm.icmp "sle"
// CHECK: llvm.cond_br %[[FITS]]
// CHECK: llvm.intr.memcpy
func.func @step(%x: tensor<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x2xf32>
  %c = leat.state_get @seen : !leat.state<tensor<i64>>
  %old = leat.state_read %c : !leat.state<tensor<i64>> -> tensor<i64>
  %seen = tensor.extract %old[] : tensor<i64>
  %at = arith.index_cast %seen : i64 to index
  %s = leat.state_get @k : !leat.state<tensor<?x2xf32>>
  %s1 = leat.launch @append ins(%s, %x : !leat.state<tensor<?x2xf32>>, tensor<?x2xf32>) scalars(%at : index) -> !leat.state<tensor<?x2xf32>>
  %n64 = arith.index_cast %n : index to i64
  %sum = arith.addi %seen, %n64 : i64
  %new = tensor.from_elements %sum : tensor<i64>
  %c1 = leat.state_write %c, %new : !leat.state<tensor<i64>>, tensor<i64>
  leat.state_put @k, %s1 : !leat.state<tensor<?x2xf32>>
  leat.state_put @seen, %c1 : !leat.state<tensor<i64>>
  return
}
