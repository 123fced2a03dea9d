// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file | FileCheck %s

// CHECK-LABEL: @scatter_elements
func.func @scatter_elements(%x: tensor<?x8xf16>, %i: tensor<?x3xi64>, %u: tensor<?x3xf16>) -> tensor<?x8xf16> {
  // One update after the other, each rounded.
  // CHECK: scf.for {{.*}} iter_args(%[[Y:.*]] = %arg0)
  // CHECK: scf.for {{.*}} iter_args(%[[Z:.*]] = %[[Y]])
  // CHECK: tensor.extract %arg1
  // CHECK: tensor.extract %[[Z]]
  // CHECK: arith.addf {{.*}} : f32
  // CHECK: arith.truncf
  // CHECK: tensor.insert %{{.*}} into %[[Z]]
  %0 = leat.scatter_elements %x, %i, %u {axis = 1 : i64, reduction = 1 : i32} : (tensor<?x8xf16>, tensor<?x3xi64>, tensor<?x3xf16>) -> tensor<?x8xf16>
  return %0 : tensor<?x8xf16>
}

// -----

// CHECK-LABEL: @scatter_nd
func.func @scatter_nd(%x: tensor<5x8xi32>, %i: tensor<?x1xi64>, %u: tensor<?x8xi32>) -> tensor<5x8xi32> {
  // CHECK: scf.for
  // CHECK: scf.for
  // CHECK: tensor.extract %arg1[%{{.*}}, %c0]
  // CHECK: tensor.extract %arg2
  // CHECK: tensor.insert
  %0 = leat.scatter_nd %x, %i, %u {reduction = 0 : i32} : (tensor<5x8xi32>, tensor<?x1xi64>, tensor<?x8xi32>) -> tensor<5x8xi32>
  return %0 : tensor<5x8xi32>
}

// -----

// CHECK-LABEL: @topk
func.func @topk(%x: tensor<?x16xf32>, %k: index) -> (tensor<?x?xf32>, tensor<?x?xi64>) {
  // How many come before each element, which element is at each place, its value.
  // CHECK: %[[PLACE:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]{{.*}} ins(%arg0, %arg0
  // CHECK: %[[INDEX:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]{{.*}} ins(%[[PLACE]]
  // CHECK: linalg.generic {{.*}}ins(%[[INDEX]]
  // CHECK: tensor.extract %arg0
  %v, %i = leat.topk %x, %k {axis = 1 : i64, largest = true} : (tensor<?x16xf32>, index) -> (tensor<?x?xf32>, tensor<?x?xi64>)
  return %v, %i : tensor<?x?xf32>, tensor<?x?xi64>
}

// -----

// CHECK-LABEL: @cumsum
func.func @cumsum(%x: tensor<4x?xi64>) -> tensor<4x?xi64> {
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK: %[[TO:.*]] = linalg.index 2
  // CHECK: %[[FROM:.*]] = linalg.index 1
  // CHECK: arith.cmpi slt, %[[FROM]], %[[TO]]
  %0 = leat.cumsum %x {axis = 1 : i64, exclusive, reverse} : tensor<4x?xi64>
  return %0 : tensor<4x?xi64>
}

// -----

// CHECK-LABEL: @arg_reduce
func.func @arg_reduce(%x: tensor<4x?xf32>) -> tensor<4x1xi64> {
  // CHECK: arith.minimumf
  // CHECK: arith.cmpf ueq
  // CHECK: arith.maxsi {{.*}} : i64
  %0 = leat.arg_reduce %x {axis = 1 : i64, max = false, select_last} : (tensor<4x?xf32>) -> tensor<4x1xi64>
  return %0 : tensor<4x1xi64>
}

// -----

// CHECK-LABEL: @nonzero
func.func @nonzero(%x: tensor<?x?xi1>) -> (tensor<2x?xi64>, tensor<1xi64>) {
  // CHECK: scf.for
  // CHECK: scf.for
  // CHECK-COUNT-2: tensor.insert
  %0, %1 = leat.nonzero %x : (tensor<?x?xi1>) -> (tensor<2x?xi64>, tensor<1xi64>)
  return %0, %1 : tensor<2x?xi64>, tensor<1xi64>
}
