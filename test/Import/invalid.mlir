// RUN: leat-opt %s -leat-import-onnx -split-input-file -verify-diagnostics

// All refusals of a module come at once, and what follows a refused node is still tried.
func.func @unknown(%x: tensor<4xf32>) -> tensor<4xf32> attributes {onnx.graph} {
  // expected-error @+1 {{cannot lower com.example.Foo node "/foo" (operator Foo, domain "com.example", version 1): the operator is not known, and it has no function body to expand}}
  %0 = onnx.node "Foo"(%x) : (tensor<4xf32>) -> tensor<4xf32> attributes {version = 1 : i64, domain = "com.example", node_name = "/foo"}
  %1 = onnx.node "Abs"(%0) : (tensor<4xf32>) -> tensor<4xf32> attributes {version = 13 : i64}
  %2 = onnx.constant dense<[3, 3]> : tensor<2xi64>
  // expected-error @+1 {{cannot reshape 4 elements to 9}}
  %3 = onnx.node "Reshape"(%1, %2) : (tensor<4xf32>, tensor<2xi64>) -> tensor<3x3xf32> attributes {version = 14 : i64, node_name = "/r"}
  return %1 : tensor<4xf32>
}

// -----

func.func @mismatch(%x: tensor<4xf32>, %y: tensor<3xf32>) -> tensor<4xf32> attributes {onnx.graph} {
  // expected-error @+1 {{sizes 4 and 3 of axis 0 do not broadcast}}
  %0 = onnx.node "Add"(%x, %y) : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32> attributes {version = 13 : i64}
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{input "s" has type tensor<4x!onnx.string>; only tensors of numbers or booleans}}
func.func @strings(%x: tensor<4x!onnx.string> {onnx.name = "s"}) -> tensor<4x!onnx.string> attributes {onnx.graph} {
  return %x : tensor<4x!onnx.string>
}
