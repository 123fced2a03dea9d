// RUN: leat-opt %s --pass-pipeline='builtin.module(func.func(canonicalize,cse,leat-form-kernels))' | FileCheck %s

// A number that a mask takes from outside is a scalar of the kernel; constants move in.
// CHECK-LABEL: func.func @prefix(
// CHECK-SAME: %[[N:[a-z0-9]+]]: index
// CHECK: leat.kernel ins(%{{.*}}, %{{.*}} : {{.*}} scalars(%[[N]] : index)
// CHECK: ^bb0(%{{.*}}, %{{.*}}, %[[INNER:.*]]: index)
// CHECK: %[[C16:.*]] = arith.constant 16 : index
// CHECK: leat.kv_attend {{.*}} visible (%{{.*}}, %{{.*}}, %[[I:.*]], %[[J:.*]]) {
// CHECK: arith.divsi %[[I]], %[[C16]]
// CHECK: arith.cmpi slt, %[[J]], %[[INNER]]
func.func @prefix(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %n: index) -> tensor<1x2x?x8xf32> {
  %c16 = arith.constant 16 : index
  %0 = leat.kv_attend q(%q) k(%k) v(%k) visible(%b, %h, %i, %j) {
    %x = arith.divsi %i, %c16 : index
    %y = arith.divsi %j, %c16 : index
    %s = arith.cmpi sle, %y, %x : index
    %p = arith.cmpi slt, %j, %n : index
    %e = arith.ori %s, %p : i1
    leat.yield %e : i1
  } {scale = 0.25} : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}
