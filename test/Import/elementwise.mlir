// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// A static broadcast is an indexing map; equal symbols share one size.
// CHECK-LABEL: func.func @add
// CHECK-SAME: tensor<?x4xf32> {leat.dtype = 1 : i32
// CHECK: %[[N:.*]] = tensor.dim %arg0, %c0
// CHECK-NOT: tensor.dim
// CHECK: tensor.empty(%[[N]]) : tensor<?x4xf32>
// CHECK: linalg.generic
// CHECK-SAME: ins(%arg0, %arg1, %arg2 : tensor<?x4xf32>, tensor<4xf32>, tensor<?x1xf32>)
// CHECK: arith.addf
func.func @add(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", "4"]}, %y: tensor<4xf32> {onnx.name = "y", onnx.dims = ["4"]},
    %z: tensor<?x1xf32> {onnx.name = "z", onnx.dims = ["n", "1"]}) -> (tensor<?x4xf32> {onnx.name = "r", onnx.dims = ["n", "4"]}) attributes {onnx.graph} {
  %0 = onnx.node "Sum"(%x, %y, %z) : (tensor<?x4xf32>, tensor<4xf32>, tensor<?x1xf32>) -> tensor<?x4xf32> attributes {version = 13 : i64}
  return %0 : tensor<?x4xf32>
}

// -----

// Sizes that may be 1 at run time are read with a factor; others that do not fit end the call.
// CHECK-LABEL: func.func @unknown
// CHECK: %[[A:.*]] = tensor.dim %arg0
// CHECK: %[[B:.*]] = tensor.dim %arg1
// CHECK: cf.assert %{{.*}}, "sizes of axis 0 do not broadcast in Mul node"
// CHECK: %[[R:.*]] = arith.select %{{.*}}, %[[B]], %[[A]]
// CHECK: linalg.generic
// CHECK: %[[I:.*]] = linalg.index 0
// CHECK: arith.muli %[[I]]
// CHECK: tensor.extract %arg0
// CHECK: arith.mulf
func.func @unknown(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> attributes {onnx.graph} {
  %0 = onnx.node "Mul"(%x, %y) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32> attributes {version = 13 : i64}
  return %0 : tensor<?xf32>
}

// -----

// Shape arithmetic is host arithmetic, and it cancels: the head size of the result is static.
// CHECK-LABEL: func.func @heads
// CHECK-SAME: -> (tensor<?x?x3x64xf32>
// CHECK-NOT: linalg
// CHECK: tensor.expand_shape %arg0 {{\[\[}}0], [1], [2, 3]]
func.func @heads(%x: tensor<?x?x192xf32> {onnx.dims = ["b", "s", "192"]}) -> (tensor<?x?x?x?xf32>) attributes {onnx.graph} {
  %s = onnx.node "Shape"(%x) : (tensor<?x?x192xf32>) -> tensor<3xi64> attributes {version = 15 : i64, attrs = {start = 0 : i64, end = 2 : i64}}
  %m = onnx.constant dense<-1> : tensor<i64>
  %three = onnx.constant dense<3> : tensor<i64>
  %f = onnx.node "Constant"() : () -> tensor<4xi64> attributes {version = 15 : i64, attrs = {value_ints = array<i64: 0, 0, 3, -1>}}
  %0 = onnx.node "Reshape"(%x, %f) : (tensor<?x?x192xf32>, tensor<4xi64>) -> tensor<?x?x?x?xf32> attributes {version = 14 : i64}
  return %0 : tensor<?x?x?x?xf32>
}

// -----

// Unsigned integers lose their sign in the type, not in the arithmetic.
// CHECK-LABEL: func.func @unsigned
// CHECK-SAME: tensor<4xi8> {leat.dtype = 2 : i32}
// CHECK: arith.maxui
func.func @unsigned(%x: tensor<4xui8>, %y: tensor<4xui8>) -> tensor<4xui8> attributes {onnx.graph} {
  %0 = onnx.node "Max"(%x, %y) : (tensor<4xui8>, tensor<4xui8>) -> tensor<4xui8> attributes {version = 13 : i64}
  return %0 : tensor<4xui8>
}
