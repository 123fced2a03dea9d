// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file | FileCheck %s

// CHECK-DAG: #[[LHS:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3, d1)>
// CHECK-DAG: #[[RHS:.*]] = affine_map<(d0, d1, d2, d3) -> (0, d2, d3)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: @matmul
func.func @matmul(%a: tensor<?x?x?xf16>, %b: tensor<1x7x?xf16>) -> tensor<?x?x7xf16> {
  // CHECK: linalg.generic {indexing_maps = [#[[LHS]], #[[RHS]], #[[OUT]]], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%arg0, %arg1 {{.*}} outs(%{{.*}} : tensor<?x?x7xf32>)
  // CHECK: arith.extf
  // CHECK: arith.extf
  // CHECK: arith.mulf
  // CHECK: arith.addf
  // CHECK: linalg.generic
  // CHECK: arith.truncf
  %0 = leat.matmul %a, %b {trans_a, trans_b} : (tensor<?x?x?xf16>, tensor<1x7x?xf16>) -> tensor<?x?x7xf16>
  return %0 : tensor<?x?x7xf16>
}

// -----

// CHECK-LABEL: @matmul_i8
func.func @matmul_i8(%a: tensor<3x4xi8>, %b: tensor<4x5xi8>) -> tensor<3x5xi32> {
  // CHECK: linalg.generic {{.*}}outs(%{{.*}} : tensor<3x5xi32>)
  // CHECK: arith.extsi
  // CHECK: arith.extsi
  // CHECK: arith.muli
  // CHECK: arith.addi
  // CHECK-NOT: linalg.generic
  %0 = leat.matmul %a, %b : (tensor<3x4xi8>, tensor<4x5xi8>) -> tensor<3x5xi32>
  return %0 : tensor<3x5xi32>
}

// -----

// CHECK-LABEL: @matmul_nbits
func.func @matmul_nbits(%x: tensor<?x64xf32>, %c: tensor<8x2x16xi8>, %s: tensor<8x2xf32>, %z: tensor<8x1xi8>) -> tensor<?x8xf32> {
  // The weights, dequantised; then a product.
  // CHECK: %[[W:.*]] = linalg.generic {{.*}}outs(%{{.*}} : tensor<8x64xf32>)
  // CHECK: tensor.extract %arg1
  // CHECK: arith.extui
  // CHECK: arith.shrui
  // CHECK: arith.andi
  // CHECK: tensor.extract %arg3
  // CHECK: arith.subf
  // CHECK: tensor.extract %arg2
  // CHECK: arith.mulf
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]{{.*}} ins(%arg0, %[[W]] : tensor<?x64xf32>, tensor<8x64xf32>)
  %0 = leat.matmul_nbits %x, %c, %s, %z {k = 64 : i64, n = 8 : i64, bits = 4 : i64, block = 32 : i64} : (tensor<?x64xf32>, tensor<8x2x16xi8>, tensor<8x2xf32>, tensor<8x1xi8>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: @conv
func.func @conv(%x: tensor<?x4x?xf32>, %w: tensor<6x2x3xf32>, %b: tensor<6xf32>) -> tensor<?x6x?xf32> {
  // CHECK: %[[PADDED:.*]] = tensor.pad %arg0 low[0, 0, 1] high[0, 0, 2]
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]{{.*}} ins(%arg1
  // CHECK: tensor.extract %[[PADDED]]
  // CHECK: arith.mulf
  // CHECK: arith.addf
  // CHECK: linalg.generic {{.*}}ins(%[[SUM]], %arg2
  // CHECK: arith.addf
  %0 = leat.conv %x, %w, %b {strides = array<i64: 2>, dilations = array<i64: 1>, pads = array<i64: 1, 2>, group = 2 : i64} : (tensor<?x4x?xf32>, tensor<6x2x3xf32>, tensor<6xf32>) -> tensor<?x6x?xf32>
  return %0 : tensor<?x6x?xf32>
}
