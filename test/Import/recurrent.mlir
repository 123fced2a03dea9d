// RUN: leat-opt %s -leat-import-onnx | FileCheck %s

// The product with the input is taken once, before the loop over time.
// CHECK-LABEL: func.func @lstm
// CHECK: leat.matmul %{{.*}} {trans_b} : (tensor<?x2x5xf32>, tensor<16x5xf32>) -> tensor<?x2x16xf32>
// CHECK: scf.for
// CHECK: leat.matmul %{{.*}} {trans_b} : (tensor<2x4xf32>, tensor<16x4xf32>) -> tensor<2x16xf32>
// CHECK: math.tanh
// CHECK: tensor.concat dim(0)
// CHECK: scf.yield
func.func @lstm(%x: tensor<?x2x5xf32> {onnx.name = "x", onnx.dims = ["t", "2", "5"]}, %w: tensor<1x16x5xf32> {onnx.name = "w", onnx.dims = ["1", "16", "5"]}, %r: tensor<1x16x4xf32> {onnx.name = "r", onnx.dims = ["1", "16", "4"]})
    -> (tensor<?x1x2x4xf32> {onnx.name = "y", onnx.dims = ["t", "1", "2", "4"]}) attributes {onnx.graph} {
  %0 = onnx.node "LSTM"(%x, %w, %r) : (tensor<?x2x5xf32>, tensor<1x16x5xf32>, tensor<1x16x4xf32>) -> tensor<?x1x2x4xf32> attributes {version = 14 : i64, attrs = {hidden_size = 4 : i64}}
  return %0 : tensor<?x1x2x4xf32>
}
