// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file -verify-diagnostics | FileCheck %s

leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}

// CHECK-LABEL: @append
func.func @append(%new: tensor<?x?x2x8xf32>, %seen: index) {
  // CHECK: %[[OLD:.*]] = leat.state_read %[[SLOT:.*]] :
  // CHECK: scf.for
  // CHECK: scf.for %[[S:.*]] = %{{.*}} iter_args
  // CHECK-DAG: %[[TOKEN:.*]] = arith.addi %arg1, %{{.*}} : index
  // CHECK-DAG: tensor.extract %arg0[%[[B:.*]], %[[T:.*]], %[[H:.*]], %[[D:.*]]]
  // CHECK: tensor.insert %{{.*}} into %{{.*}}[%[[B]], %[[H]], %[[TOKEN]], %[[D]]]
  // CHECK: %[[NEXT:.*]] = leat.state_write %[[SLOT]], %
  // CHECK: leat.state_put @k, %[[NEXT]]
  %0 = leat.state_get @k : !leat.state<tensor<?x2x?x8xf32>>
  %1 = leat.cache_append %0, %new at %seen {layout = "bshd"} : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x?x2x8xf32>
  leat.state_put @k, %1 : !leat.state<tensor<?x2x?x8xf32>>
  return
}

// CHECK-LABEL: @view
func.func @view(%from: index, %length: index) -> tensor<?x2x?x8xf32> {
  // CHECK: %[[ALL:.*]] = leat.state_read
  // CHECK: tensor.extract_slice %[[ALL]][0, 0, %arg0, 0] [%{{.*}}, 2, %arg1, 8] [1, 1, 1, 1]
  %0 = leat.state_get @k : !leat.state<tensor<?x2x?x8xf32>>
  %1 = leat.cache_view %0[%from, %length] : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  return %1 : tensor<?x2x?x8xf32>
}

// -----

leat.slot @k : tensor<7x4xf32> growth ring {axis = 0 : i64, sink = 2 : i64, ring = 5 : i64}

// CHECK-LABEL: @ring
func.func @ring(%new: tensor<?x4xf32>, %seen: index) {
  // CHECK-DAG: %[[SINK:.*]] = arith.constant 2 : index
  // CHECK-DAG: %[[RING:.*]] = arith.constant 5 : index
  // CHECK: %[[TOKEN:.*]] = arith.addi %arg1
  // CHECK: %[[IS_SINK:.*]] = arith.cmpi {{slt|ult}}, %[[TOKEN]], %[[SINK]]
  // CHECK: arith.remui %{{.*}}, %[[RING]]
  // CHECK: %[[PLACE:.*]] = arith.select %[[IS_SINK]], %[[TOKEN]]
  // CHECK: tensor.insert %{{.*}} into %{{.*}}[%[[PLACE]],
  %0 = leat.state_get @k : !leat.state<tensor<7x4xf32>>
  %1 = leat.cache_append %0, %new at %seen : !leat.state<tensor<7x4xf32>>, tensor<?x4xf32>
  leat.state_put @k, %1 : !leat.state<tensor<7x4xf32>>
  return
}

// -----

leat.slot @table : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}
leat.slot @k : tensor<?x2x16x8xf32> growth append {axis = 2 : i64, page = 16 : i64}

// CHECK-LABEL: @append_in_pages
func.func @append_in_pages(%new: tensor<?x2x?x8xf32>, %seen: index) {
  // CHECK-DAG: %[[PAGE:.*]] = arith.constant 16 : index
  // CHECK-DAG: %[[TABLE:.*]] = leat.state_read %{{.*}} : <tensor<?x?xi32>>
  // CHECK: scf.for %[[B:.*]] = %{{.*}} iter_args
  // CHECK: scf.for %[[H:.*]] = %{{.*}} iter_args
  // CHECK: %[[TOKEN:.*]] = arith.addi %arg1, %{{.*}} : index
  // CHECK: %[[ENTRY:.*]] = arith.divui %[[TOKEN]], %[[PAGE]]
  // CHECK: %[[NUMBER:.*]] = tensor.extract %[[TABLE]][%[[B]], %[[ENTRY]]]
  // CHECK: %[[AT:.*]] = arith.index_cast %[[NUMBER]]
  // CHECK: %[[IN:.*]] = arith.remui %[[TOKEN]], %[[PAGE]]
  // CHECK: tensor.insert %{{.*}} into %{{.*}}[%[[AT]], %[[H]], %[[IN]], %{{.*}}]
  %t = leat.state_get @table : !leat.state<tensor<?x?xi32>>
  %0 = leat.state_get @k : !leat.state<tensor<?x2x16x8xf32>>
  %1 = leat.cache_append %0, %new at %seen table(%t) : !leat.state<tensor<?x2x16x8xf32>>, tensor<?x2x?x8xf32>, !leat.state<tensor<?x?xi32>>
  leat.state_put @k, %1 : !leat.state<tensor<?x2x16x8xf32>>
  return
}

// CHECK-LABEL: @view_of_pages
func.func @view_of_pages(%from: index, %length: index) -> tensor<?x2x?x8xf32> {
  // CHECK-DAG: %[[POOL:.*]] = leat.state_read %{{.*}} : <tensor<?x2x16x8xf32>>
  // CHECK-DAG: %[[TABLE:.*]] = leat.state_read %{{.*}} : <tensor<?x?xi32>>
  // CHECK: linalg.generic
  // CHECK: tensor.extract %[[TABLE]]
  // CHECK: tensor.extract %[[POOL]]
  %t = leat.state_get @table : !leat.state<tensor<?x?xi32>>
  %0 = leat.state_get @k : !leat.state<tensor<?x2x16x8xf32>>
  %1 = leat.cache_view %0[%from, %length] table(%t) : !leat.state<tensor<?x2x16x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
  return %1 : tensor<?x2x?x8xf32>
}

// -----

func.func @unknown_slot(%state: !leat.state<tensor<7x4xf32>>, %at: index) -> tensor<?x4xf32> {
  // expected-error @+1 {{has no decomposition here: its state does not come from a leat.state_get in this function}}
  %0 = leat.cache_view %state[%at, %at] : !leat.state<tensor<7x4xf32>> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
