// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// Static pads are the convolution's own.
// CHECK-LABEL: func.func @same
// CHECK: leat.conv %{{.*}} {dilations = array<i64: 1>, group = 1 : i64, pads = array<i64: 0, 1>, strides = array<i64: 2>} : (tensor<?x3x8xf32>, tensor<5x3x3xf32>) -> tensor<?x5x4xf32>
func.func @same(%x: tensor<?x3x8xf32> {onnx.name = "x", onnx.dims = ["n", "3", "8"]}, %w: tensor<5x3x3xf32> {onnx.name = "w", onnx.dims = ["5", "3", "3"]})
    -> (tensor<?x5x4xf32> {onnx.name = "y", onnx.dims = ["n", "5", "4"]}) attributes {onnx.graph} {
  %0 = onnx.node "Conv"(%x, %w) : (tensor<?x3x8xf32>, tensor<5x3x3xf32>) -> tensor<?x5x4xf32> attributes {version = 11 : i64, attrs = {auto_pad = "SAME_UPPER", strides = array<i64: 2>}}
  return %0 : tensor<?x5x4xf32>
}

// -----

// Padding that depends on the size of the input is a tensor.pad.
// CHECK-LABEL: func.func @dynamic
// CHECK: tensor.pad
// CHECK: leat.conv {{.*}}pads = array<i64: 0, 0>
func.func @dynamic(%x: tensor<?x3x?xf32> {onnx.name = "x", onnx.dims = ["n", "3", "t"]}, %w: tensor<5x3x3xf32> {onnx.name = "w", onnx.dims = ["5", "3", "3"]})
    -> (tensor<?x5x?xf32> {onnx.name = "y", onnx.dims = ["n", "5", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "Conv"(%x, %w) : (tensor<?x3x?xf32>, tensor<5x3x3xf32>) -> tensor<?x5x?xf32> attributes {version = 11 : i64, attrs = {auto_pad = "SAME_UPPER", strides = array<i64: 2>}}
  return %0 : tensor<?x5x?xf32>
}

// -----

// A transposed convolution is a convolution of the spread input.
// CHECK-LABEL: func.func @transposed
// CHECK: arith.remui
// CHECK: leat.conv {{.*}}pads = array<i64: 3, 3>, strides = array<i64: 1>} : (tensor<1x3x9xf32>, tensor<6x3x4xf32>) -> tensor<1x6x12xf32>
func.func @transposed(%x: tensor<1x3x5xf32> {onnx.name = "x", onnx.dims = ["1", "3", "5"]}, %w: tensor<3x6x4xf32> {onnx.name = "w", onnx.dims = ["3", "6", "4"]})
    -> (tensor<1x6x12xf32> {onnx.name = "y", onnx.dims = ["1", "6", "12"]}) attributes {onnx.graph} {
  %0 = onnx.node "ConvTranspose"(%x, %w) : (tensor<1x3x5xf32>, tensor<3x6x4xf32>) -> tensor<1x6x12xf32> attributes {version = 11 : i64, attrs = {strides = array<i64: 2>}}
  return %0 : tensor<1x6x12xf32>
}

// -----

// CHECK-LABEL: func.func @pool
// CHECK: tensor.extract
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction"]
// CHECK: arith.maximumf
func.func @pool(%x: tensor<1x3x8xf32> {onnx.name = "x", onnx.dims = ["1", "3", "8"]}) -> (tensor<1x3x4xf32> {onnx.name = "y", onnx.dims = ["1", "3", "4"]}) attributes {onnx.graph} {
  %0 = onnx.node "MaxPool"(%x) : (tensor<1x3x8xf32>) -> tensor<1x3x4xf32> attributes {version = 12 : i64, attrs = {kernel_shape = array<i64: 2>, strides = array<i64: 2>}}
  return %0 : tensor<1x3x4xf32>
}
