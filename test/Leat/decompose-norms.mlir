// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file | FileCheck %s
// RUN: leat-opt %s -leat-decompose=ops=layer_norm -split-input-file | FileCheck %s --check-prefix=ONLY

// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: @softmax
// ONLY-LABEL: @softmax
func.func @softmax(%x: tensor<?x8xf16>) -> tensor<?x8xf16> {
  // Everything in f32, and one rounding at the end.
  // CHECK: linalg.fill ins(%{{.*}} : f32)
  // CHECK: %[[MAX:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]]], iterator_types = ["parallel", "reduction"]} ins(%{{.*}} : tensor<?x8xf16>) outs(%{{.*}} : tensor<?xf32>)
  // CHECK: arith.extf
  // CHECK: arith.maximumf
  // CHECK: %[[SHIFTED:.*]] = linalg.generic {{.*}}ins(%{{.*}}, %[[MAX]] : tensor<?x8xf16>, tensor<?xf32>)
  // CHECK: arith.subf
  // CHECK: %[[SUM:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]]], iterator_types = ["parallel", "reduction"]} ins(%[[SHIFTED]] : tensor<?x8xf32>)
  // CHECK: math.exp
  // CHECK: arith.addf
  // CHECK: linalg.generic {{.*}}ins(%[[SHIFTED]], %[[SUM]] : tensor<?x8xf32>, tensor<?xf32>)
  // CHECK: arith.divf
  // CHECK: arith.truncf
  // ONLY: leat.softmax
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x8xf16>
  return %0 : tensor<?x8xf16>
}

// -----

// CHECK-LABEL: @empty_rows
func.func @empty_rows(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK: arith.maximumf
  // CHECK: arith.cmpf oeq
  // CHECK: arith.select
  // CHECK: arith.subf
  // CHECK: math.exp
  // CHECK: arith.cmpf oeq
  // CHECK: arith.select
  // CHECK: math.log
  // CHECK: arith.subf
  %0 = leat.softmax %x {axis = 1 : i64, log, zero_empty_rows} : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

// CHECK-LABEL: @layer_norm
// ONLY-LABEL: @layer_norm
func.func @layer_norm(%x: tensor<?x3x5xf32>, %s: tensor<1x5xf32>, %b: tensor<3x5xf32>) -> tensor<?x3x5xf32> {
  // Two means over 15 elements: of x, and of the squares of what is left.
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "reduction"]{{.*}} ins(%arg0
  // CHECK: arith.divf %{{.*}}, %{{.*}} : f32
  // CHECK: %[[CENTERED:.*]] = linalg.generic
  // CHECK: arith.subf
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "reduction"]{{.*}} ins(%[[CENTERED]]
  // CHECK: arith.mulf
  // CHECK: linalg.generic {{.*}}ins(%[[CENTERED]], %{{.*}}, %arg1, %arg2
  // CHECK: math.sqrt
  // CHECK: arith.divf
  // CHECK: arith.mulf
  // CHECK: arith.addf
  // ONLY-NOT: leat.layer_norm
  %0 = leat.layer_norm %x scale %s : tensor<1x5xf32> bias %b : tensor<3x5xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64} : tensor<?x3x5xf32> -> tensor<?x3x5xf32>
  return %0 : tensor<?x3x5xf32>
}

// -----

// CHECK-LABEL: @rms_norm
func.func @rms_norm(%x: tensor<2x8xf64>) -> tensor<2x8xf64> {
  // CHECK-NOT: arith.subf
  // CHECK: linalg.generic
  // CHECK: arith.mulf {{.*}} : f64
  // CHECK: math.sqrt {{.*}} : f64
  %0 = leat.layer_norm %x {axis = 1 : i64, epsilon = 1.0e-5 : f64, rms} : tensor<2x8xf64> -> tensor<2x8xf64>
  return %0 : tensor<2x8xf64>
}
