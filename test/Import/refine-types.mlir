// RUN: leat-opt %s -leat-refine-types | FileCheck %s

// The rank of a Reshape is the length of its shape; constants in it are sizes, and all that follows is known.
// CHECK-LABEL: func.func @heads
// CHECK: onnx.node "Reshape"{{.*}} -> tensor<?x?x4x8xf32>
// CHECK: onnx.node "Transpose"{{.*}} -> tensor<?x4x?x8xf32>
// CHECK: onnx.node "Transpose"{{.*}} -> tensor<?x4x8x?xf32>
// CHECK: onnx.node "MatMul"{{.*}} -> tensor<?x4x?x?xf32>
// CHECK: onnx.node "Softmax"{{.*}} -> tensor<?x4x?x?xf32>
// CHECK: onnx.node "Identity"{{.*}} -> tensor<*xf32>
func.func @heads(%x: tensor<?x?x32xf32>, %n: tensor<2xi64>) -> tensor<*xf32> {
  %c = onnx.constant dense<[4, 8]> : tensor<2xi64>
  %s = onnx.node "Concat"(%n, %c) : (tensor<2xi64>, tensor<2xi64>) -> tensor<4xi64> attributes {version = 11 : i64, attrs = {axis = 0 : i64}}
  %0 = onnx.node "Reshape"(%x, %s) : (tensor<?x?x32xf32>, tensor<4xi64>) -> tensor<*xf32> attributes {version = 11 : i64}
  %1 = onnx.node "Transpose"(%0) : (tensor<*xf32>) -> tensor<*xf32> attributes {version = 11 : i64, attrs = {perm = array<i64: 0, 2, 1, 3>}}
  %2 = onnx.node "Transpose"(%0) : (tensor<*xf32>) -> tensor<*xf32> attributes {version = 11 : i64, attrs = {perm = array<i64: 0, 2, 3, 1>}}
  %3 = onnx.node "MatMul"(%1, %2) : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32> attributes {version = 11 : i64}
  %4 = onnx.node "Softmax"(%3) : (tensor<*xf32>) -> tensor<*xf32> attributes {version = 11 : i64, attrs = {axis = 3 : i64}}
  // What the graph returns keeps its declared type.
  %5 = onnx.node "Identity"(%4) : (tensor<*xf32>) -> tensor<*xf32> attributes {version = 11 : i64}
  return %5 : tensor<*xf32>
}
