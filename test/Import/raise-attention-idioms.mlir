// RUN: leat-opt %s -leat-raise-attention -split-input-file | FileCheck %s

// BART, OPT: products of [B * H, S, D], the sum with the mask in [B, H, S, T]; the heads are those of the reshaped scores.
// CHECK-LABEL: func.func @flat
// CHECK: %[[BH:.*]] = onnx.node "Shape"(%{{.*}}) : (tensor<?x2x?x?xf32>) -> tensor<2xi64>
// CHECK: %[[QS:.*]] = onnx.node "Shape"(%arg0) : (tensor<?x?x4xf32>) -> tensor<2xi64>
// CHECK: %[[QT:.*]] = onnx.node "Concat"(%[[BH]], %[[QS]])
// CHECK: %[[Q:.*]] = onnx.node "Reshape"(%arg0, %[[QT]]) : {{.*}} -> tensor<?x2x?x4xf32> attributes {attrs = {allowzero = 1
// CHECK: %[[A:.*]] = onnx.node "Attention"(%[[Q]], %{{.*}}, %{{.*}}, %arg3) {{.*}} -> tensor<?x2x?x4xf32> attributes {attrs = {scale = 5.000000e-01
// CHECK: %[[R:.*]] = onnx.node "Reshape"(%[[A]], %{{.*}}) : {{.*}} -> tensor<?x?x4xf32>
// CHECK: return %[[R]]
func.func @flat(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x4xf32>, %m: tensor<?x1x?x?xf32>, %s4: tensor<4xi64>, %s3: tensor<3xi64>) -> tensor<?x?x4xf32> {
  %half = onnx.constant dense<0.5> : tensor<f32>
  %qs = onnx.node "Mul"(%q, %half) : (tensor<?x?x4xf32>, tensor<f32>) -> tensor<?x?x4xf32> attributes {version = 14 : i64}
  %kt = onnx.node "Transpose"(%k) : (tensor<?x?x4xf32>) -> tensor<?x4x?xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 2, 1>}}
  %0 = onnx.node "MatMul"(%qs, %kt) : (tensor<?x?x4xf32>, tensor<?x4x?xf32>) -> tensor<?x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Reshape"(%0, %s4) : (tensor<?x?x?xf32>, tensor<4xi64>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Add"(%1, %m) : (tensor<?x2x?x?xf32>, tensor<?x1x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Reshape"(%2, %s3) : (tensor<?x2x?x?xf32>, tensor<3xi64>) -> tensor<?x?x?xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Softmax"(%3) : (tensor<?x?x?xf32>) -> tensor<?x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %5 = onnx.node "MatMul"(%4, %v) : (tensor<?x?x?xf32>, tensor<?x?x4xf32>) -> tensor<?x?x4xf32> attributes {version = 13 : i64}
  return %5 : tensor<?x?x4xf32>
}

// -----

// The same with sizes that differ on both sides of a reshape: not the scores any more.
// CHECK-LABEL: func.func @reshaped_otherwise
// CHECK-NOT: "Attention"
// CHECK: return
func.func @reshaped_otherwise(%q: tensor<?x6x4xf32>, %k: tensor<?x6x4xf32>, %v: tensor<?x3x4xf32>, %m: tensor<1x1x12x3xf32>, %s4: tensor<4xi64>, %s3: tensor<3xi64>) -> tensor<?x12x4xf32> {
  %kt = onnx.node "Transpose"(%k) : (tensor<?x6x4xf32>) -> tensor<?x4x6xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 2, 1>}}
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x6x4xf32>, tensor<?x4x6xf32>) -> tensor<?x6x6xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Reshape"(%0, %s4) : (tensor<?x6x6xf32>, tensor<4xi64>) -> tensor<?x2x12x3xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Add"(%1, %m) : (tensor<?x2x12x3xf32>, tensor<1x1x12x3xf32>) -> tensor<?x2x12x3xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Reshape"(%2, %s3) : (tensor<?x2x12x3xf32>, tensor<3xi64>) -> tensor<?x12x3xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Softmax"(%3) : (tensor<?x12x3xf32>) -> tensor<?x12x3xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %5 = onnx.node "MatMul"(%4, %v) : (tensor<?x12x3xf32>, tensor<?x3x4xf32>) -> tensor<?x12x4xf32> attributes {version = 13 : i64}
  return %5 : tensor<?x12x4xf32>
}

// -----

// gpt-oss: a logit per head that takes weight and is dropped behind the softmax.
// CHECK-LABEL: func.func @sink
// CHECK: %[[S:.*]] = onnx.node "Reshape"(%arg3, %{{.*}}) : (tensor<1x2x1x1xf32>, tensor<1xi64>) -> tensor<2xf32>
// CHECK: onnx.node "Attention"(%arg0, %{{.*}}, %arg2, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[S]])
// CHECK-NOT: "Softmax"
func.func @sink(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %s: tensor<1x2x1x1xf32>, %e: tensor<4xi64>) -> tensor<?x2x?x4xf32> {
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %last = onnx.constant dense<-1> : tensor<1xi64>
  %one = onnx.constant dense<1> : tensor<1xi64>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Expand"(%s, %e) : (tensor<1x2x1x1xf32>, tensor<4xi64>) -> tensor<?x2x?x1xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Concat"(%0, %1) : (tensor<?x2x?x?xf32>, tensor<?x2x?x1xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "ReduceMax"(%2, %last) : (tensor<?x2x?x?xf32>, tensor<1xi64>) -> tensor<?x2x?x1xf32> attributes {version = 18 : i64, attrs = {keepdims = 1 : i64}}
  %4 = onnx.node "Sub"(%2, %3) : (tensor<?x2x?x?xf32>, tensor<?x2x?x1xf32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Softmax"(%4) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "Slice"(%5, %zero, %last, %last, %one) : (tensor<?x2x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %7 = onnx.node "MatMul"(%6, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %7 : tensor<?x2x?x4xf32>
}

// -----

// The first weight is dropped, and the extra logit stands behind: a key is dropped, not the extra logit.
// CHECK-LABEL: func.func @drops_a_key
// CHECK-NOT: "Attention"
// CHECK: return
func.func @drops_a_key(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %s: tensor<1x2x1x1xf32>, %e: tensor<4xi64>) -> tensor<?x2x?x4xf32> {
  %end = onnx.constant dense<9223372036854775807> : tensor<1xi64>
  %last = onnx.constant dense<-1> : tensor<1xi64>
  %one = onnx.constant dense<1> : tensor<1xi64>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Expand"(%s, %e) : (tensor<1x2x1x1xf32>, tensor<4xi64>) -> tensor<?x2x?x1xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Concat"(%0, %1) : (tensor<?x2x?x?xf32>, tensor<?x2x?x1xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %5 = onnx.node "Softmax"(%2) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "Slice"(%5, %one, %end, %last, %one) : (tensor<?x2x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %7 = onnx.node "MatMul"(%6, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %7 : tensor<?x2x?x4xf32>
}

// -----

// Einsum: q comes as [B, S, H, D], and the result goes there.
// CHECK-LABEL: func.func @einsum
// CHECK: %[[Q:.*]] = onnx.node "Transpose"(%arg0) {{.*}}perm = array<i64: 0, 2, 1, 3>
// CHECK: %[[A:.*]] = onnx.node "Attention"(%[[Q]], %{{.*}}, %arg2)
// CHECK: onnx.node "Transpose"(%[[A]]) {{.*}}perm = array<i64: 0, 2, 1, 3>
func.func @einsum(%q: tensor<?x?x2x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32> {
  %0 = onnx.node "Einsum"(%q, %k) : (tensor<?x?x2x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32> attributes {version = 12 : i64, attrs = {equation = "bqhd,bhkd->bhqk"}}
  %1 = onnx.node "Softmax"(%0) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %2 = onnx.node "Einsum"(%1, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x?x2x4xf32> attributes {version = 12 : i64, attrs = {equation = "bhqk,bhkd->bqhd"}}
  return %2 : tensor<?x?x2x4xf32>
}

// -----

// Softmax over keys, but the second product sums over the queries.
// CHECK-LABEL: func.func @einsum_over_queries
// CHECK-NOT: "Attention"
// CHECK: return
func.func @einsum_over_queries(%q: tensor<?x2x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> {
  %0 = onnx.node "Einsum"(%q, %k) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x?xf32> attributes {version = 12 : i64, attrs = {equation = "bhqd,bhkd->bhqk"}}
  %1 = onnx.node "Softmax"(%0) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %2 = onnx.node "Einsum"(%1, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 12 : i64, attrs = {equation = "bhqk,bhqd->bhkd"}}
  return %2 : tensor<?x2x?x4xf32>
}

// -----

// DeBERTa: hidden scores, and weights that are set to zero under the same mask: rows without keys give zeros.
// CHECK-LABEL: func.func @zeroed
// CHECK: %[[N:.*]] = onnx.node "Not"(%arg3)
// CHECK: onnx.node "Attention"(%arg0, %{{.*}}, %arg2, %[[N]])
func.func @zeroed(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %hidden: tensor<?x1x?x?xi1>) -> tensor<?x2x?x4xf32> {
  %low = onnx.constant dense<0xFF7FFFFF> : tensor<f32>
  %zero = onnx.constant dense<0.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Where"(%hidden, %low, %0) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 16 : i64}
  %2 = onnx.node "Softmax"(%1) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "Where"(%hidden, %zero, %2) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 16 : i64}
  %4 = onnx.node "MatMul"(%3, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %4 : tensor<?x2x?x4xf32>
}

// -----

// Weights that are zeroed under a mask that did not hide the scores do not sum to one any more.
// CHECK-LABEL: func.func @zeroed_otherwise
// CHECK-NOT: "Attention"
// CHECK: return
func.func @zeroed_otherwise(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %hidden: tensor<?x1x?x?xi1>) -> tensor<?x2x?x4xf32> {
  %zero = onnx.constant dense<0.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Softmax"(%0) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "Where"(%hidden, %zero, %2) : (tensor<?x1x?x?xi1>, tensor<f32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 16 : i64}
  %4 = onnx.node "MatMul"(%3, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %4 : tensor<?x2x?x4xf32>
}

// -----

// Swin 2: a temperature for each head scales the queries instead of the scores.
// CHECK-LABEL: func.func @temperature
// CHECK: %[[Q:.*]] = onnx.node "Mul"(%arg0, %arg3)
// CHECK: onnx.node "Attention"(%[[Q]], %{{.*}}, %arg2)
func.func @temperature(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %t: tensor<2x1x1xf32>) -> tensor<?x2x?x4xf32> {
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %t) : (tensor<?x2x?x?xf32>, tensor<2x1x1xf32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Softmax"(%1) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "MatMul"(%2, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %3 : tensor<?x2x?x4xf32>
}

// -----

// A factor for each key does not scale the queries.
// CHECK-LABEL: func.func @by_key
// CHECK-NOT: "Attention"
// CHECK: return
func.func @by_key(%q: tensor<?x2x?x4xf32>, %kt: tensor<?x2x4x?xf32>, %v: tensor<?x2x?x4xf32>, %t: tensor<1x1x?xf32>) -> tensor<?x2x?x4xf32> {
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %t) : (tensor<?x2x?x?xf32>, tensor<1x1x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Softmax"(%1) : (tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "MatMul"(%2, %v) : (tensor<?x2x?x?xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32> attributes {version = 13 : i64}
  return %3 : tensor<?x2x?x4xf32>
}

// -----

// The first GPT-2: scores times a triangle of ones, 1e4 taken off the rest.
// CHECK-LABEL: func.func @multiplied
// CHECK: %[[T:.*]] = onnx.node "Cast"(%{{.*}}) {{.*}}to = 9
// CHECK: %[[B:.*]] = onnx.node "Where"(%[[T]],
// CHECK: onnx.node "Attention"(%arg0, %{{.*}}, %arg2, %[[B]])
func.func @multiplied(%q: tensor<1x2x2x4xf32>, %kt: tensor<1x2x4x2xf32>, %v: tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32> {
  %m = onnx.constant dense<[[1.0, 0.0], [1.0, 1.0]]> : tensor<2x2xf32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %low = onnx.constant dense<10000.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x2x4xf32>, tensor<1x2x4x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %m) : (tensor<1x2x2x2xf32>, tensor<2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<2x2xf32>) -> tensor<2x2xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%2, %low) : (tensor<2x2xf32>, tensor<f32>) -> tensor<2x2xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Sub"(%1, %3) : (tensor<1x2x2x2xf32>, tensor<2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Softmax"(%4) : (tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "MatMul"(%5, %v) : (tensor<1x2x2x2xf32>, tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32> attributes {version = 13 : i64}
  return %6 : tensor<1x2x2x4xf32>
}

// -----

// One entry is a half: that scales a score and does not hide it.
// CHECK-LABEL: func.func @multiplied_by_halves
// CHECK-NOT: "Attention"
// CHECK: return
func.func @multiplied_by_halves(%q: tensor<1x2x2x4xf32>, %kt: tensor<1x2x4x2xf32>, %v: tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32> {
  %m = onnx.constant dense<[[1.0, 0.0], [0.5, 1.0]]> : tensor<2x2xf32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %low = onnx.constant dense<10000.0> : tensor<f32>
  %0 = onnx.node "MatMul"(%q, %kt) : (tensor<1x2x2x4xf32>, tensor<1x2x4x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %m) : (tensor<1x2x2x2xf32>, tensor<2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Sub"(%one, %m) : (tensor<f32>, tensor<2x2xf32>) -> tensor<2x2xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%2, %low) : (tensor<2x2xf32>, tensor<f32>) -> tensor<2x2xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Sub"(%1, %3) : (tensor<1x2x2x2xf32>, tensor<2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Softmax"(%4) : (tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "MatMul"(%5, %v) : (tensor<1x2x2x2xf32>, tensor<1x2x2x4xf32>) -> tensor<1x2x2x4xf32> attributes {version = 13 : i64}
  return %6 : tensor<1x2x2x4xf32>
}
