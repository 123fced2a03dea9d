// RUN: leat-opt %s -leat-state-to-values -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-NOT: leat.slot @
leat.slot @unused : tensor<2xf32> growth fixed
leat.slot @total : tensor<?xf32> growth fixed {batch_axis = 0 : i64}
leat.slot @seen : tensor<i64> growth counter

// Operands and results in the order of the slots, whatever the order of use; only what is put becomes a result.
// CHECK: func.func @step(%[[X:.*]]: tensor<4xf32>, %[[TOTAL:.*]]: tensor<?xf32> {leat.slot = @total}, %[[SEEN:.*]]: tensor<i64> {leat.slot = @seen})
// CHECK-SAME: -> (tensor<?xf32>, tensor<i64>, tensor<?xf32> {leat.slot = @total})
func.func @step(%x: tensor<4xf32>) -> (tensor<?xf32>, tensor<i64>) {
  %c0 = leat.state_get @seen : !leat.state<tensor<i64>>
  %seen = leat.state_read %c0 : !leat.state<tensor<i64>> -> tensor<i64>
  %s0 = leat.state_get @total : !leat.state<tensor<?xf32>>
  // CHECK: %[[NEW:.*]] = tensor.cast %[[X]] : tensor<4xf32> to tensor<?xf32>
  %s1 = leat.state_write %s0, %x : !leat.state<tensor<?xf32>>, tensor<4xf32>
  %new = leat.state_read %s1 : !leat.state<tensor<?xf32>> -> tensor<?xf32>
  leat.state_put @total, %s1 : !leat.state<tensor<?xf32>>
  // CHECK: return %[[NEW]], %[[SEEN]], %[[NEW]]
  return %new, %seen : tensor<?xf32>, tensor<i64>
}

// What has no state stays as it is.
// CHECK: func.func @main(%{{.*}}: tensor<4xf32>) -> tensor<4xf32>
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

leat.slot @k : tensor<?x4xf32> growth append {axis = 0 : i64}
func.func @step(%at: index) -> tensor<?x4xf32> {
  %s0 = leat.state_get @k : !leat.state<tensor<?x4xf32>>
  // expected-error @+1 {{uses a state in a way that has no form on values: run leat-decompose before leat-state-to-values}}
  %0 = leat.cache_view %s0[%at, %at] : !leat.state<tensor<?x4xf32>> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
