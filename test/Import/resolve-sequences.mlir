// RUN: leat-opt %s -leat-resolve-sequences -split-input-file | FileCheck %s

// torch.chunk and torch.stack.
// CHECK-LABEL: func.func @chunk
// CHECK: %[[P:.*]]:3 = onnx.node "Split"(%arg0, %{{.*}}) : (tensor<?x8xf32>, tensor<3xi64>) -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x2xf32>)
// CHECK: %[[A:.*]] = onnx.node "Unsqueeze"(%[[P]]#0
// CHECK: %[[B:.*]] = onnx.node "Unsqueeze"(%[[P]]#1
// CHECK: onnx.node "Concat"(%[[A]], %[[B]])
// CHECK-NOT: "Sequence
func.func @chunk(%x: tensor<?x8xf32>) -> (tensor<?x2xf32>, tensor<2x?x3xf32>) {
  %three = onnx.constant dense<3> : tensor<i64>
  %last = onnx.constant dense<-1> : tensor<i64>
  %s = onnx.node "SplitToSequence"(%x, %three) : (tensor<?x8xf32>, tensor<i64>) -> !onnx.opaque<"seq(tensor(float))"> attributes {version = 11 : i64, attrs = {axis = -1 : i64}}
  %0 = onnx.node "SequenceAt"(%s, %last) : (!onnx.opaque<"seq(tensor(float))">, tensor<i64>) -> tensor<?x2xf32> attributes {version = 11 : i64}
  %t = onnx.node "SequenceErase"(%s) : (!onnx.opaque<"seq(tensor(float))">) -> !onnx.opaque<"seq(tensor(float))"> attributes {version = 11 : i64}
  %1 = onnx.node "ConcatFromSequence"(%t) : (!onnx.opaque<"seq(tensor(float))">) -> tensor<2x?x3xf32> attributes {version = 11 : i64, attrs = {axis = 0 : i64, new_axis = 1 : i64}}
  return %0, %1 : tensor<?x2xf32>, tensor<2x?x3xf32>
}

// -----

// Of a size that is not known, pieces counted from the front are slices.
// CHECK-LABEL: func.func @piece
// CHECK: onnx.node "Slice"(%arg0, {{.*}} -> tensor<1x4xf32>
// CHECK-NOT: Sequence
func.func @piece(%x: tensor<?x4xf32>) -> tensor<1x4xf32> {
  %one = onnx.constant dense<1> : tensor<i64>
  %s = onnx.node "SplitToSequence"(%x, %one) : (tensor<?x4xf32>, tensor<i64>) -> !onnx.opaque<"seq(tensor(float))"> attributes {version = 11 : i64, attrs = {axis = 0 : i64}}
  %0 = onnx.node "SequenceAt"(%s, %one) : (!onnx.opaque<"seq(tensor(float))">, tensor<i64>) -> tensor<1x4xf32> attributes {version = 11 : i64}
  return %0 : tensor<1x4xf32>
}

// -----

// Counted from the end it is not known which.
// CHECK-LABEL: func.func @from_the_end
// CHECK: "SplitToSequence"
// CHECK: "SequenceAt"
func.func @from_the_end(%x: tensor<?x4xf32>) -> tensor<1x4xf32> {
  %one = onnx.constant dense<1> : tensor<i64>
  %last = onnx.constant dense<-1> : tensor<i64>
  %s = onnx.node "SplitToSequence"(%x, %one) : (tensor<?x4xf32>, tensor<i64>) -> !onnx.opaque<"seq(tensor(float))"> attributes {version = 11 : i64, attrs = {axis = 0 : i64}}
  %0 = onnx.node "SequenceAt"(%s, %last) : (!onnx.opaque<"seq(tensor(float))">, tensor<i64>) -> tensor<1x4xf32> attributes {version = 11 : i64}
  return %0 : tensor<1x4xf32>
}
