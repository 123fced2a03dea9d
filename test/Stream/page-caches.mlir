// RUN: leat-opt %s --leat-page-caches=policy=layout=paged(16) -split-input-file -verify-diagnostics | FileCheck %s

// CHECK: leat.slot @leat.table : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}
// CHECK: leat.slot @k : tensor<?x2x16x8xf32> growth append {axis = 2 : i64, input_name = "past", page = 16 : i64}
// CHECK: leat.slot @ring : tensor<?x2x16x4xi8> growth ring {axis = 2 : i64, page = 16 : i64, ring = 60 : i64, sink = 4 : i64}
// CHECK: leat.slot @sum : tensor<?x3xf32> growth fixed
leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64, input_name = "past"}
leat.slot @ring : tensor<?x2x?x4xi8> growth ring {axis = 2 : i64, batch_axis = 0 : i64, sink = 4 : i64, ring = 60 : i64}
leat.slot @sum : tensor<?x3xf32> growth fixed

// CHECK-LABEL: @step
// CHECK: %[[T:.*]] = leat.state_get @leat.table : <tensor<?x?xi32>>
func.func @step(%x: tensor<?x2x?x8xf32>, %codes: tensor<?x2x?x4xi8>, %at: index, %n: index) -> (tensor<?x2x?x8xf32>, tensor<?x2x?x4xi8>) {
  %0 = leat.state_get @k : !leat.state<tensor<?x2x?x8xf32>>
  // CHECK: leat.cache_append %{{.*}}, %arg0 at %arg2 table(%[[T]])
  %1 = leat.cache_append %0, %x at %at : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
  leat.state_put @k, %1 : !leat.state<tensor<?x2x?x8xf32>>
  // CHECK: leat.cache_view %{{.*}}[%arg2, %arg3] table(%[[T]]) : <tensor<?x2x16x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
  %2 = leat.cache_view %1[%at, %n] : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  %3 = leat.state_get @ring : !leat.state<tensor<?x2x?x4xi8>>
  // CHECK: leat.cache_view %{{.*}}[%arg2, %arg3] table(%[[T]]) : <tensor<?x2x16x4xi8>>
  %4 = leat.cache_view %3[%at, %n] : !leat.state<tensor<?x2x?x4xi8>> -> tensor<?x2x?x4xi8>
  // CHECK: leat.cache_append %{{.*}}, %arg1 at %arg2 table(%[[T]])
  %5 = leat.cache_append %3, %codes at %at : !leat.state<tensor<?x2x?x4xi8>>, tensor<?x2x?x4xi8>
  leat.state_put @ring, %5 : !leat.state<tensor<?x2x?x4xi8>>
  return %2, %4 : tensor<?x2x?x8xf32>, tensor<?x2x?x4xi8>
}

// -----
// expected-error @+1 {{cache policy "layout=paged(16)": layout=paged (dimension D1) does not fit cache 'k': 'tensor<?x?x8xf32>' does not grow as [batch, heads, tokens, size] with heads and size that the model says}}
leat.slot @k : tensor<?x?x8xf32> growth append {axis = 1 : i64, batch_axis = 0 : i64}

// -----
// expected-error @+1 {{cache policy "layout=paged(16)": layout=paged (dimension D1) does not fit cache 'k': 'leat.state_read' reads it as one block}}
leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
func.func @step() -> tensor<?x2x?x8xf32> {
  %0 = leat.state_get @k : !leat.state<tensor<?x2x?x8xf32>>
  %1 = leat.state_read %0 : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  return %1 : tensor<?x2x?x8xf32>
}

// -----
// expected-error @+1 {{layout=paged (dimension D1) does not apply: the model has no state that Leat recognises as growing}}
module {}
