// RUN: leat-opt %s -leat-lower-host=device -split-input-file | FileCheck %s

// Tensors are in the device's memory: what the host makes is written there, what it looks at is read from there, and a constant that a
// kernel takes is asked for once per use. The counter stays with the host.
leat.slot @seen : tensor<i64> growth counter
leat.kernel_func @copy inputs 1 -> [tensor<i64>] {
^bb0(%s: !leat.state<tensor<i64>>):
  %0 = leat.state_read %s : <tensor<i64>> -> tensor<i64>
  leat.yield %0 : tensor<i64>
}
leat.kernel_func @use inputs 2 -> [tensor<2xi64>] {
^bb0(%a: tensor<2xi64>, %b: tensor<2xi64>):
  leat.yield %a : tensor<2xi64>
}
// CHECK-LABEL: llvm.func @leat_step(
// CHECK-SAME:    %[[FRAME:.*]]: !llvm.ptr)
// The counter is copied where it is: no launch.
// CHECK:         "llvm.intr.memcpy"
// CHECK:         %[[GLOBAL:.*]] = llvm.mlir.addressof @leat.const
// CHECK:         llvm.call %{{.*}}(%[[FRAME]], %[[CELL:.*]], %[[GLOBAL]], %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> i64
// CHECK:         %[[CONSTANT:.*]] = llvm.load %[[CELL]] : !llvm.ptr -> !llvm.ptr
// A tensor from scalars is written to its slot.
// CHECK:         %[[SLOT:.*]] = llvm.call @leat.ensure.0
// CHECK:         llvm.call %{{.*}}(%[[FRAME]], %[[SLOT]], %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> i64
// CHECK:         llvm.store %[[SLOT]], %[[BUFFERS:.*]] : !llvm.ptr, !llvm.ptr
// CHECK:         llvm.store %[[CONSTANT]],
// CHECK:         llvm.call %{{.*}}(%[[FRAME]], %{{.*}}, %[[BUFFERS]], %{{.*}}) : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr) -> i64
// An element of a result is read back.
// CHECK:         llvm.call %{{.*}}(%[[FRAME]], %[[ROOM:.*]], %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> i64
// CHECK:         llvm.load %[[ROOM]] : !llvm.ptr -> i64
// CHECK-NOT:     llvm.call
// CHECK:       llvm.func internal @leat.ensure.0
func.func @step(%x: tensor<2xi64>) {
  %c0 = arith.constant 0 : index
  %c = leat.state_get @seen : !leat.state<tensor<i64>>
  %old = leat.launch @copy ins(%c : !leat.state<tensor<i64>>) -> tensor<i64>
  %seen = tensor.extract %old[] : tensor<i64>
  %k = arith.constant dense<[3, 4]> : tensor<2xi64>
  %pair = tensor.from_elements %seen, %seen : tensor<2xi64>
  %y = leat.launch @use ins(%pair, %k : tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %next = tensor.extract %y[%c0] : tensor<2xi64>
  %new = tensor.from_elements %next : tensor<i64>
  %c1 = leat.state_write %c, %new : !leat.state<tensor<i64>>, tensor<i64>
  leat.state_put @seen, %c1 : !leat.state<tensor<i64>>
  return
}

// -----

// A loop's tensors are copied by the device.
leat.kernel_func @next inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
// CHECK-LABEL: llvm.func @leat_main(
// CHECK-NOT:     llvm.intr.memcpy
// CHECK:         llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> i64
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%t = %x) -> (tensor<4xf32>) {
    %y = leat.launch @next ins(%t : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %y : tensor<4xf32>
  }
  return %r : tensor<4xf32>
}
