// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @per_axis
// CHECK: arith.extui
// CHECK: arith.subi
// CHECK: arith.sitofp
// CHECK: arith.mulf
func.func @per_axis(%x: tensor<3x4xui8> {onnx.name = "x", onnx.dims = ["", ""]}, %s: tensor<4xf32> {onnx.name = "s", onnx.dims = [""]}, %z: tensor<4xui8> {onnx.name = "z", onnx.dims = [""]})
    -> (tensor<3x4xf32> {onnx.name = "y", onnx.dims = ["", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "DequantizeLinear"(%x, %s, %z) : (tensor<3x4xui8>, tensor<4xf32>, tensor<4xui8>) -> tensor<3x4xf32> attributes {version = 13 : i64, attrs = {axis = 1 : i64}}
  return %0 : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func.func @blocks
// CHECK: arith.divui
// CHECK: tensor.extract %{{.*}} : tensor<2x4xf32>
func.func @blocks(%x: tensor<6x4xi8> {onnx.name = "x", onnx.dims = ["", ""]}, %s: tensor<2x4xf32> {onnx.name = "s", onnx.dims = ["", ""]})
    -> (tensor<6x4xf32> {onnx.name = "y", onnx.dims = ["", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "DequantizeLinear"(%x, %s) : (tensor<6x4xi8>, tensor<2x4xf32>) -> tensor<6x4xf32> attributes {version = 21 : i64, attrs = {axis = 0 : i64, block_size = 3 : i64}}
  return %0 : tensor<6x4xf32>
}

// -----

// Rounds to even, then adds the zero point, then saturates.
// CHECK-LABEL: func.func @quantize
// CHECK: arith.divf
// CHECK: math.roundeven
// CHECK: arith.addf
// CHECK: arith.maxnumf
// CHECK: arith.minnumf
// CHECK: arith.fptosi
func.func @quantize(%x: tensor<?xf32> {onnx.name = "x", onnx.dims = ["n"]}, %s: tensor<f32> {onnx.name = "s", onnx.dims = []}, %z: tensor<i8> {onnx.name = "z", onnx.dims = []})
    -> (tensor<?xi8> {onnx.name = "y", onnx.dims = ["n"]}) attributes {onnx.graph} {
  %0 = onnx.node "QuantizeLinear"(%x, %s, %z) : (tensor<?xf32>, tensor<f32>, tensor<i8>) -> tensor<?xi8> attributes {version = 13 : i64}
  return %0 : tensor<?xi8>
}

// -----

// CHECK-LABEL: func.func @table
// CHECK: linalg.generic
// CHECK: arith.extui
// CHECK: -> tensor<?x64xf32>
func.func @table(%d: tensor<10x64xui8> {onnx.name = "d", onnx.dims = ["", ""]}, %i: tensor<?xi64> {onnx.name = "i", onnx.dims = ["n"]}, %s: tensor<10x2xf32> {onnx.name = "s", onnx.dims = ["", ""]})
    -> (tensor<?x64xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "GatherBlockQuantized"(%d, %i, %s) : (tensor<10x64xui8>, tensor<?xi64>, tensor<10x2xf32>) -> tensor<?x64xf32>
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {bits = 8 : i64, block_size = 32 : i64, gather_axis = 0 : i64, quantize_axis = 1 : i64}}
  return %0 : tensor<?x64xf32>
}
