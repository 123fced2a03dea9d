// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @forms
// CHECK: math.erf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: math.erf
// CHECK: math.exp
func.func @forms(%x: tensor<?x8xf32> {onnx.name = "x", onnx.dims = ["n", ""]}, %b: tensor<8xf32> {onnx.name = "b", onnx.dims = [""]})
    -> (tensor<?x8xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "Gelu"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 20 : i64}
  %1 = onnx.node "Gelu"(%0) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 20 : i64, attrs = {approximate = "tanh"}}
  %2 = onnx.node "BiasGelu"(%1, %b) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> attributes {version = 1 : i64, domain = "com.microsoft"}
  %3 = onnx.node "Swish"(%2) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 24 : i64}
  return %3 : tensor<?x8xf32>
}
