// RUN: leat-opt %s -leat-raise-attention -split-input-file | FileCheck %s

// BERT: k transposed from [B, S, H, D] in one go, the product divided, an additive mask.
// CHECK-LABEL: func.func @bert
// CHECK-SAME: (%[[Q:.*]]: tensor<?x2x?x4xf32>, %[[K:.*]]: tensor<?x?x2x4xf32>, %[[V:.*]]: tensor<?x2x?x4xf32>, %[[M:.*]]: tensor<?x1x1x?xf32>)
// CHECK-NEXT: %[[KT:.*]] = onnx.node "Transpose"(%[[K]]) : {{.*}} -> tensor<?x2x?x4xf32> attributes {attrs = {perm = array<i64: 0, 2, 1, 3>}
// CHECK-NEXT: onnx.node "Attention"(%[[Q]], %[[KT]], %[[V]], %[[M]]) {{.*}}scale = 5.000000e-01{{.*}}version = 23
// CHECK-NEXT: return
func.func @bert(%q: tensor<?x2x?x4xf32>, %k: tensor<?x?x2x4xf32>, %v: tensor<?x2x?x4xf32>, %m: tensor<?x1x1x?xf32>) -> tensor<?x2x?x4xf32> {
  %two = onnx.constant dense<2.0> : tensor<f32>
  %0 = onnx.node "Transpose"(%k) : (tensor<?x?x2x4xf32>) -> tensor<?x2x4x?xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 2, 3, 1>}}
  %1 = onnx.node "MatMul"(%q, %0) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Div"(%1, %two) : (tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Add"(%2, %m) : (tensor<?x2x?x?xf32>, tensor<?x1x1x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Softmax"(%3) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %5 = onnx.node "MatMul"(%4, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %5 : tensor<?x2x?x4xf32>
}

// -----

// Grouped queries: repeated keys and values are read from the narrow ones.
// CHECK-LABEL: func.func @repeat_kv
// CHECK-SAME: (%[[Q:.*]]: tensor<?x6x?x4xf32>, %[[K:.*]]: tensor<?x2x?x4xf32>, %[[V:.*]]: tensor<?x2x?x4xf32>, %[[S5:.*]]: tensor<5xi64>
// CHECK-NEXT: onnx.node "Attention"(%[[Q]], %[[K]], %[[V]])
// CHECK-NEXT: return
func.func @repeat_kv(%q: tensor<?x6x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>, %s5: tensor<5xi64>, %s4: tensor<4xi64>) -> tensor<?x6x?x4xf32> {
  %axis = onnx.constant dense<2> : tensor<1xi64>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Unsqueeze"(%k, %axis) : (tensor<?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x2x1x?x4xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Expand"(%0, %s5) : (tensor<?x2x1x?x4xf32>, tensor<5xi64>) -> tensor<?x2x3x?x4xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Reshape"(%1, %s4) : (tensor<?x2x3x?x4xf32>, tensor<4xi64>) -> tensor<?x6x?x4xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Transpose"(%2) : (tensor<?x6x?x4xf32>) -> tensor<?x6x4x?xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 1, 3, 2>}}
  %4 = onnx.node "Unsqueeze"(%v, %axis) : (tensor<?x2x?x4xf32>, tensor<1xi64>) -> tensor<?x2x1x?x4xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Expand"(%4, %s5) : (tensor<?x2x1x?x4xf32>, tensor<5xi64>) -> tensor<?x2x3x?x4xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Reshape"(%5, %s4) : (tensor<?x2x3x?x4xf32>, tensor<4xi64>) -> tensor<?x6x?x4xf32> attributes {version = 14 : i64}
  %7 = onnx.node "MatMul"(%q, %3) : (tensor<?x6x?x4xf32>, tensor<?x6x4x?xf32>) -> tensor<?x6x?x?xf32> attributes {version = 13 : i64}
  %8 = onnx.node "Mul"(%7, %half) : (tensor<?x6x?x?xf32>, tensor<f32>) -> tensor<?x6x?x?xf32> attributes {version = 14 : i64}
  %9 = onnx.node "Softmax"(%8) : (tensor<?x6x?x?xf32>) -> tensor<?x6x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %10 = onnx.node "MatMul"(%9, %6) : (tensor<?x6x?x?xf32>, tensor<?x6x?x4xf32>) -> tensor<?x6x?x4xf32> attributes {version = 13 : i64}
  return %10 : tensor<?x6x?x4xf32>
}

// -----

// torch's SDPA: roots of the scale on q and k, computed from the shape; a bool mask as Where with -inf, and a guard against rows without keys.
// CHECK-LABEL: func.func @sdpa
// CHECK-SAME: (%[[Q:.*]]: tensor<?x2x?x4xf32>, %[[K:.*]]: tensor<?x2x?x4xf32>, %[[V:.*]]: tensor<?x2x?x4xf32>, %[[M:.*]]: tensor<1x1x?x?xi1>)
// CHECK: onnx.node "Attention"(%[[Q]], %[[K]], %[[V]], %[[M]]) {{.*}}scale = 5.000000e-01
// CHECK-NEXT: return
func.func @sdpa(%q: tensor<?x2x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>, %m: tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32> {
  %last = onnx.constant dense<3> : tensor<i64>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %zero = onnx.constant dense<0.0> : tensor<f32>
  %inf = onnx.constant dense<0xFF800000> : tensor<f32>
  %s = onnx.node "Shape"(%q) : (tensor<?x2x?x4xf32>) -> tensor<4xi64> attributes {version = 15 : i64}
  %d = onnx.node "Gather"(%s, %last) : (tensor<4xi64>, tensor<i64>) -> tensor<i64> attributes {version = 13 : i64}
  %f = onnx.node "Cast"(%d) : (tensor<i64>) -> tensor<f32> attributes {version = 13 : i64, attrs = {to = 1 : i64}}
  %r = onnx.node "Sqrt"(%f) : (tensor<f32>) -> tensor<f32> attributes {version = 13 : i64}
  %i = onnx.node "Div"(%one, %r) : (tensor<f32>, tensor<f32>) -> tensor<f32> attributes {version = 14 : i64}
  %w = onnx.node "Sqrt"(%i) : (tensor<f32>) -> tensor<f32> attributes {version = 13 : i64}
  %0 = onnx.node "Mul"(%q, %w) : (tensor<?x2x?x4xf32>, tensor<f32>) -> tensor<?x2x?x4xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Transpose"(%k) : (tensor<?x2x?x4xf32>) -> tensor<?x2x4x?xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 1, 3, 2>}}
  %2 = onnx.node "Mul"(%1, %w) : (tensor<?x2x4x?xf32>, tensor<f32>) -> tensor<?x2x4x?xf32> attributes {version = 14 : i64}
  %3 = onnx.node "MatMul"(%0, %2) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Where"(%m, %3, %inf) : (tensor<1x1x?x?xi1>, tensor<?x2x?x?xf32>, tensor<f32>) -> tensor<?x2x?x?xf32> attributes {version = 16 : i64}
  %5 = onnx.node "Softmax"(%4) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "IsNaN"(%5) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xi1> attributes {version = 13 : i64}
  %7 = onnx.node "Where"(%6, %zero, %5) : (tensor<?x2x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 16 : i64}
  %8 = onnx.node "MatMul"(%7, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %8 : tensor<?x2x?x4xf32>
}

// -----

// An f16 model with softmax in f32, softcap, a causal Where with the smallest number and then a padding mask: one additive mask.
// CHECK-LABEL: func.func @half
// CHECK-SAME: (%[[Q:.*]]: tensor<1x2x?x4xf16>, %[[K:.*]]: tensor<1x2x4x?xf16>, %[[V:.*]]: tensor<1x2x?x4xf16>, %[[C:.*]]: tensor<?x?xi1>, %[[P:.*]]: tensor<1x1x1x?xf32>)
// CHECK-DAG: %[[Z:.*]] = onnx.constant dense<0.000000e+00> : tensor<f32>
// CHECK-DAG: %[[MIN:.*]] = onnx.constant dense<-3.40282347E+38> : tensor<f32>
// CHECK: %[[W:.*]] = onnx.node "Where"(%[[C]], %[[Z]], %[[MIN]])
// CHECK: %[[B:.*]] = onnx.node "Add"(%[[W]], %[[P]])
// CHECK: onnx.node "Attention"(%[[Q]], %{{.*}}, %[[V]], %[[B]]) {{.*}}scale = 2.500000e-01 : f32, softcap = 5.000000e+01
func.func @half(%q: tensor<1x2x?x4xf16>, %k: tensor<1x2x4x?xf16>, %v: tensor<1x2x?x4xf16>, %c: tensor<?x?xi1>, %p: tensor<1x1x1x?xf32>) -> tensor<1x2x?x4xf16> {
  %min = onnx.constant dense<-3.40282347E+38> : tensor<f32>
  %s = onnx.constant dense<0.25> : tensor<f16>
  %cap = onnx.constant dense<50.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %k) : (tensor<1x2x?x4xf16>, tensor<1x2x4x?xf16>) -> tensor<1x2x?x?xf16> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %s) : (tensor<1x2x?x?xf16>, tensor<f16>) -> tensor<1x2x?x?xf16> attributes {version = 14 : i64}
  %2 = onnx.node "Cast"(%1) : (tensor<1x2x?x?xf16>) -> tensor<1x2x?x?xf32> attributes {version = 13 : i64, attrs = {to = 1 : i64}}
  %3 = onnx.node "Div"(%2, %cap) : (tensor<1x2x?x?xf32>, tensor<f32>) -> tensor<1x2x?x?xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Tanh"(%3) : (tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Mul"(%4, %cap) : (tensor<1x2x?x?xf32>, tensor<f32>) -> tensor<1x2x?x?xf32> attributes {version = 14 : i64}
  %6 = onnx.node "Where"(%c, %5, %min) : (tensor<?x?xi1>, tensor<1x2x?x?xf32>, tensor<f32>) -> tensor<1x2x?x?xf32> attributes {version = 16 : i64}
  %7 = onnx.node "Add"(%6, %p) : (tensor<1x2x?x?xf32>, tensor<1x1x1x?xf32>) -> tensor<1x2x?x?xf32> attributes {version = 14 : i64}
  %8 = onnx.node "Softmax"(%7) : (tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = 3 : i64}}
  %9 = onnx.node "Cast"(%8) : (tensor<1x2x?x?xf32>) -> tensor<1x2x?x?xf16> attributes {version = 13 : i64, attrs = {to = 10 : i64}}
  %10 = onnx.node "MatMul"(%9, %v) : (tensor<1x2x?x?xf16>, tensor<1x2x?x4xf16>) -> tensor<1x2x?x4xf16> attributes {version = 13 : i64}
  return %10 : tensor<1x2x?x4xf16>
}

// -----

// A softmax over another axis.
// CHECK-LABEL: func.func @wrong_axis
// CHECK-NOT: "Attention"
func.func @wrong_axis(%q: tensor<1x2x5x4xf32>, %k: tensor<1x2x4x5xf32>, %v: tensor<1x2x5x4xf32>) -> tensor<1x2x5x4xf32> {
  %0 = onnx.node "MatMul"(%q, %k) : (tensor<1x2x5x4xf32>, tensor<1x2x4x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Softmax"(%0) : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64, attrs = {axis = 2 : i64}}
  %2 = onnx.node "MatMul"(%1, %v) : (tensor<1x2x5x5xf32>, tensor<1x2x5x4xf32>) -> tensor<1x2x5x4xf32> attributes {version = 13 : i64}
  return %2 : tensor<1x2x5x4xf32>
}

// -----

// The weights are a result of the model.
// CHECK-LABEL: func.func @weights_wanted
// CHECK-NOT: "Attention"
func.func @weights_wanted(%q: tensor<1x2x5x4xf32>, %k: tensor<1x2x4x5xf32>, %v: tensor<1x2x5x4xf32>) -> (tensor<1x2x5x4xf32>, tensor<1x2x5x5xf32>) {
  %0 = onnx.node "MatMul"(%q, %k) : (tensor<1x2x5x4xf32>, tensor<1x2x4x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Softmax"(%0) : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %2 = onnx.node "MatMul"(%1, %v) : (tensor<1x2x5x5xf32>, tensor<1x2x5x4xf32>) -> tensor<1x2x5x4xf32> attributes {version = 13 : i64}
  return %2, %1 : tensor<1x2x5x4xf32>, tensor<1x2x5x5xf32>
}

// -----

// A Where that hides with -10000: a sum would not give the same row when all keys are hidden.
// CHECK-LABEL: func.func @small_mask
// CHECK-NOT: "Attention"
func.func @small_mask(%q: tensor<1x2x5x4xf32>, %k: tensor<1x2x4x5xf32>, %v: tensor<1x2x5x4xf32>, %c: tensor<5x5xi1>) -> tensor<1x2x5x4xf32> {
  %min = onnx.constant dense<-10000.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %k) : (tensor<1x2x5x4xf32>, tensor<1x2x4x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Where"(%c, %0, %min) : (tensor<5x5xi1>, tensor<1x2x5x5xf32>, tensor<f32>) -> tensor<1x2x5x5xf32> attributes {version = 16 : i64}
  %2 = onnx.node "Softmax"(%1) : (tensor<1x2x5x5xf32>) -> tensor<1x2x5x5xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "MatMul"(%2, %v) : (tensor<1x2x5x5xf32>, tensor<1x2x5x4xf32>) -> tensor<1x2x5x4xf32> attributes {version = 13 : i64}
  return %3 : tensor<1x2x5x4xf32>
}

// -----

// MatMul broadcasts the keys over the batch: Attention would not.
// CHECK-LABEL: func.func @broadcast
// CHECK-NOT: "Attention"
func.func @broadcast(%q: tensor<3x2x5x4xf32>, %k: tensor<1x2x4x5xf32>, %v: tensor<3x2x5x4xf32>) -> tensor<3x2x5x4xf32> {
  %0 = onnx.node "MatMul"(%q, %k) : (tensor<3x2x5x4xf32>, tensor<1x2x4x5xf32>) -> tensor<3x2x5x5xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Softmax"(%0) : (tensor<3x2x5x5xf32>) -> tensor<3x2x5x5xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %2 = onnx.node "MatMul"(%1, %v) : (tensor<3x2x5x5xf32>, tensor<3x2x5x4xf32>) -> tensor<3x2x5x4xf32> attributes {version = 13 : i64}
  return %2 : tensor<3x2x5x4xf32>
}
