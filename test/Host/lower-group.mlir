// RUN: leat-opt %s -leat-lower-host | FileCheck %s

// A group: all buffers first, then one call with two launches, whose arguments lie one behind the other.
leat.kernel_func @add inputs 2 -> [tensor<?xf32>] {
^bb0(%a: tensor<?xf32>, %b: tensor<?xf32>):
  leat.yield %a : tensor<?xf32>
}
// CHECK-LABEL: llvm.func @leat_main(
// CHECK-SAME:    %[[FRAME:.*]]: !llvm.ptr)
// CHECK-SAME:    groups = 1 : i64
// CHECK-SAME:    launches = 2 : i64
// CHECK-SAME:    slots = 2 : i64
// CHECK:       %[[BUFFERS:.*]] = llvm.alloca %{{.*}} x !llvm.array<6 x i64>
// CHECK:       %[[SCALARS:.*]] = llvm.alloca %{{.*}} x !llvm.array<6 x i64>
// CHECK:       %[[LAUNCHES:.*]] = llvm.alloca %{{.*}} x !llvm.array<24 x i64>
// CHECK:       %[[FIRST:.*]] = llvm.call @leat.ensure.1
// CHECK:       %[[SECOND:.*]] = llvm.call @leat.ensure.1
// CHECK:       llvm.store %{{.*}}, %[[LAUNCHES]] : i64, !llvm.ptr
// CHECK:       llvm.getelementptr %[[BUFFERS]][24]
// CHECK:       llvm.getelementptr %[[SCALARS]][24]
// CHECK:       %[[AT:.*]] = llvm.getelementptr %[[LAUNCHES]][32]
// CHECK-NEXT:  llvm.store %{{.*}}, %[[AT]] : !llvm.ptr, !llvm.ptr
// CHECK:       llvm.call %{{.*}}(%[[FRAME]], %[[LAUNCHES]], %{{.*}}) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, i64) -> i64
// CHECK:       llvm.store %[[SECOND]],
// CHECK:       llvm.store %[[FIRST]],
func.func @main(%x: tensor<?xf32>, %y: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %0:2 = leat.launch_group -> tensor<?xf32>, tensor<?xf32> {
    %a = leat.launch @add ins(%x, %y : tensor<?xf32>, tensor<?xf32>) sizes(%n) -> tensor<?xf32>
    %b = leat.launch @add ins(%y, %y : tensor<?xf32>, tensor<?xf32>) sizes(%n) -> tensor<?xf32>
    leat.yield %a, %b : tensor<?xf32>, tensor<?xf32>
  }
  return %0#1, %0#0 : tensor<?xf32>, tensor<?xf32>
}
