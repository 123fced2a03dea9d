// RUN: leat-opt %s -leat-import-onnx -canonicalize | FileCheck %s

// torch's expand over TorchScript asks whether each size is -1; sizes never are, so nothing is left of the question.
// CHECK-LABEL: func.func @expand
// CHECK-NOT: arith.cmpi
// CHECK-NOT: arith.select
// CHECK: -> tensor<?x3x4xf32>
func.func @expand(%x: tensor<?x1x4xf32> {onnx.name = "x", onnx.dims = ["n", "1", "4"]}) -> (tensor<?x3x4xf32> {onnx.name = "y", onnx.dims = ["n", "3", "4"]}) attributes {onnx.graph} {
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %three = onnx.constant dense<3> : tensor<1xi64>
  %minus = onnx.constant dense<-1> : tensor<i64>
  %m = onnx.constant dense<-1> : tensor<1xi64>
  %rank = onnx.constant dense<3> : tensor<1xi64>
  %s = onnx.node "Shape"(%x) : (tensor<?x1x4xf32>) -> tensor<3xi64> attributes {version = 15 : i64}
  %n = onnx.node "Gather"(%s, %zero) : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64> attributes {version = 13 : i64}
  %shape = onnx.node "Concat"(%n, %three, %m) : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xi64> attributes {version = 13 : i64, attrs = {axis = 0 : i64}}
  %ones = onnx.node "ConstantOfShape"(%rank) : (tensor<1xi64>) -> tensor<3xi64> attributes {version = 9 : i64, attrs = {value = dense<1> : tensor<1xi64>}}
  %all = onnx.node "Mul"(%ones, %minus) : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64> attributes {version = 14 : i64}
  %eq = onnx.node "Equal"(%shape, %all) : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi1> attributes {version = 13 : i64}
  %w = onnx.node "Where"(%eq, %ones, %shape) : (tensor<3xi1>, tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64> attributes {version = 16 : i64}
  %y = onnx.node "Expand"(%x, %w) : (tensor<?x1x4xf32>, tensor<3xi64>) -> tensor<?x3x4xf32> attributes {version = 13 : i64}
  return %y : tensor<?x3x4xf32>
}
