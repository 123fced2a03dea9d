// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @layer
// CHECK: leat.layer_norm %{{.*}} scale %{{.*}} : tensor<8xf32> bias %{{.*}} : tensor<8xf32> {axis = 1 : i64, epsilon = {{.*}} : f64} : tensor<?x8xf32> -> tensor<?x8xf32>
func.func @layer(%x: tensor<?x8xf32> {onnx.name = "x", onnx.dims = ["n", ""]}, %w: tensor<8xf32> {onnx.name = "w", onnx.dims = [""]}, %b: tensor<8xf32> {onnx.name = "b", onnx.dims = [""]})
    -> (tensor<?x8xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "LayerNormalization"(%x, %w, %b) : (tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8xf32> attributes {version = 17 : i64, attrs = {axis = -1 : i64}}
  return %0 : tensor<?x8xf32>
}

// -----

// The result has the scale's type.
// CHECK-LABEL: func.func @rms
// CHECK: leat.layer_norm %{{.*}} scale %{{.*}} : tensor<8xf16> {axis = 1 : i64, epsilon = {{.*}} : f64, rms} : tensor<?x8xf32> -> tensor<?x8xf16>
func.func @rms(%x: tensor<?x8xf32> {onnx.name = "x", onnx.dims = ["n", ""]}, %w: tensor<8xf16> {onnx.name = "w", onnx.dims = [""]})
    -> (tensor<?x8xf16> {onnx.name = "y", onnx.dims = ["n", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "RMSNormalization"(%x, %w) : (tensor<?x8xf32>, tensor<8xf16>) -> tensor<?x8xf16> attributes {version = 23 : i64}
  return %0 : tensor<?x8xf16>
}

// -----

// The fourth result is the sum that the next layer adds to.
// CHECK-LABEL: func.func @skip
// CHECK: %[[SUM:.*]] = linalg.generic
// CHECK: %[[NORM:.*]] = leat.layer_norm %[[SUM]] scale {{.*}}rms
// CHECK: return %[[NORM]], %[[SUM]]
func.func @skip(%x: tensor<?x?x8xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}, %r: tensor<?x?x8xf32> {onnx.name = "r", onnx.dims = ["b", "s", ""]}, %w: tensor<8xf32> {onnx.name = "w", onnx.dims = [""]})
    -> (tensor<?x?x8xf32> {onnx.name = "y", onnx.dims = ["b", "s", ""]}, tensor<?x?x8xf32> {onnx.name = "z", onnx.dims = ["b", "s", ""]}) attributes {onnx.graph} {
  %0:4 = onnx.node "SkipSimplifiedLayerNormalization"(%x, %r, %w) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<8xf32>) -> (tensor<?x?x8xf32>, none, none, tensor<?x?x8xf32>)
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {epsilon = 1.0e-5 : f32}}
  return %0#0, %0#3 : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Groups are rows of a reshaped tensor.
// CHECK-LABEL: func.func @groups
// CHECK: leat.layer_norm %{{.*}} {axis = 2 : i64, epsilon = {{.*}}} : tensor<?x2x18xf32> -> tensor<?x2x18xf32>
func.func @groups(%x: tensor<?x4x3x3xf32> {onnx.name = "x", onnx.dims = ["n", "", "", ""]}, %w: tensor<4xf32> {onnx.name = "w", onnx.dims = [""]}, %b: tensor<4xf32> {onnx.name = "b", onnx.dims = [""]})
    -> (tensor<?x4x3x3xf32> {onnx.name = "y", onnx.dims = ["n", "", "", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "GroupNormalization"(%x, %w, %b) : (tensor<?x4x3x3xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x3x3xf32> attributes {version = 21 : i64, attrs = {num_groups = 2 : i64}}
  return %0 : tensor<?x4x3x3xf32>
}
