// RUN: leat-opt %s -leat-raise-norm -split-input-file | FileCheck %s

// Pow, Reciprocal, as Optimum exports Llama.
// CHECK-LABEL: func.func @rms_pow
// CHECK-SAME: (%[[X:.*]]: tensor<?x?x8xf32>, %[[W:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[Y:.*]] = onnx.node "RMSNormalization"(%[[X]], %[[W]]) {{.*}} attributes {attrs = {axis = -1 : i64, epsilon = 9.99999974E-6 : f32, stash_type = 1 : i64}, node_name = "last", version = 23 : i64}
// CHECK-NEXT: return %[[Y]]
func.func @rms_pow(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) -> tensor<?x?x8xf32> {
  %two = onnx.constant dense<2.0> : tensor<f32>
  %eps = onnx.constant dense<1.0e-5> : tensor<f32>
  %axes = onnx.constant dense<-1> : tensor<1xi64>
  %0 = onnx.node "Pow"(%x, %two) : (tensor<?x?x8xf32>, tensor<f32>) -> tensor<?x?x8xf32> attributes {version = 18 : i64}
  %1 = onnx.node "ReduceMean"(%0, %axes) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x?x1xf32> attributes {version = 18 : i64, attrs = {keepdims = 1 : i64}}
  %2 = onnx.node "Add"(%1, %eps) : (tensor<?x?x1xf32>, tensor<f32>) -> tensor<?x?x1xf32> attributes {version = 18 : i64}
  %3 = onnx.node "Sqrt"(%2) : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32> attributes {version = 18 : i64}
  %4 = onnx.node "Reciprocal"(%3) : (tensor<?x?x1xf32>) -> tensor<?x?x1xf32> attributes {version = 18 : i64}
  %5 = onnx.node "Mul"(%x, %4) : (tensor<?x?x8xf32>, tensor<?x?x1xf32>) -> tensor<?x?x8xf32> attributes {version = 18 : i64}
  %6 = onnx.node "Mul"(%w, %5) : (tensor<8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32> attributes {version = 18 : i64, node_name = "last"}
  return %6 : tensor<?x?x8xf32>
}

// -----

// An f16 model that takes the statistics in f32: Cast, Mul, Div, Cast; axes as an attribute.
// CHECK-LABEL: func.func @rms_casts
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf16>, %[[W:.*]]: tensor<8xf16>)
// CHECK-NEXT: onnx.node "RMSNormalization"(%[[X]], %[[W]]) : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16>
// CHECK-NEXT: return
func.func @rms_casts(%x: tensor<?x8xf16>, %w: tensor<8xf16>) -> tensor<?x8xf16> {
  %eps = onnx.constant dense<1.0e-6> : tensor<1xf32>
  %0 = onnx.node "Cast"(%x) : (tensor<?x8xf16>) -> tensor<?x8xf32> attributes {version = 13 : i64, attrs = {to = 1 : i64}}
  %1 = onnx.node "Mul"(%0, %0) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "ReduceMean"(%1) : (tensor<?x8xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: 1>}}
  %3 = onnx.node "Add"(%eps, %2) : (tensor<1xf32>, tensor<?x1xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Sqrt"(%3) : (tensor<?x1xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Div"(%0, %4) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Cast"(%5) : (tensor<?x8xf32>) -> tensor<?x8xf16> attributes {version = 13 : i64, attrs = {to = 10 : i64}}
  %7 = onnx.node "Mul"(%6, %w) : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16> attributes {version = 13 : i64}
  return %7 : tensor<?x8xf16>
}

// -----

// No scale: a row of ones; 1 / sqrt as a power.
// CHECK-LABEL: func.func @rms_no_scale
// CHECK: %[[ONE:.*]] = onnx.constant dense<1.000000e+00> : tensor<8xf32>
// CHECK-NEXT: onnx.node "RMSNormalization"(%{{.*}}, %[[ONE]])
// CHECK-NEXT: return
func.func @rms_no_scale(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %two = onnx.constant dense<2.0> : tensor<f32>
  %power = onnx.constant dense<-0.5> : tensor<f32>
  %eps = onnx.constant dense<1.0e-6> : tensor<f32>
  %axes = onnx.constant dense<-1> : tensor<1xi64>
  %1 = onnx.node "Pow"(%x, %two) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 18 : i64}
  %2 = onnx.node "ReduceMean"(%1, %axes) : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32> attributes {version = 18 : i64}
  %3 = onnx.node "Add"(%2, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32> attributes {version = 18 : i64}
  %4 = onnx.node "Pow"(%3, %power) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32> attributes {version = 18 : i64}
  %5 = onnx.node "Mul"(%4, %x) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 18 : i64}
  return %5 : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @layer
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8xf32>, %[[B:.*]]: tensor<8xf32>)
// CHECK-NEXT: onnx.node "LayerNormalization"(%[[X]], %[[W]], %[[B]]) {{.*}}epsilon = 9.99999996E-13{{.*}}version = 17
// CHECK-NEXT: return
func.func @layer(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<?x8xf32> {
  %two = onnx.constant dense<2.0> : tensor<f32>
  %eps = onnx.constant dense<1.0e-12> : tensor<f32>
  %m = onnx.node "ReduceMean"(%x) : (tensor<?x8xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: -1>}}
  %d = onnx.node "Sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %0 = onnx.node "Pow"(%d, %two) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %1 = onnx.node "ReduceMean"(%0) : (tensor<?x8xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: -1>}}
  %2 = onnx.node "Add"(%1, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %3 = onnx.node "Sqrt"(%2) : (tensor<?x1xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Div"(%d, %3) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Mul"(%4, %w) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Add"(%5, %b) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  return %6 : tensor<?x8xf32>
}

// -----

// A mean over the first axis is no row norm.
// CHECK-LABEL: func.func @wrong_axis
// CHECK-NOT: Normalization
func.func @wrong_axis(%x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
  %eps = onnx.constant dense<1.0e-6> : tensor<f32>
  %1 = onnx.node "Mul"(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "ReduceMean"(%1) : (tensor<4x8xf32>) -> tensor<1x8xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: 0>}}
  %3 = onnx.node "Add"(%2, %eps) : (tensor<1x8xf32>, tensor<f32>) -> tensor<1x8xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Sqrt"(%3) : (tensor<1x8xf32>) -> tensor<1x8xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Div"(%x, %4) : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Mul"(%5, %w) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  return %6 : tensor<4x8xf32>
}

// -----

// Another tensor is divided by the root.
// CHECK-LABEL: func.func @wrong_operand
// CHECK-NOT: Normalization
func.func @wrong_operand(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
  %eps = onnx.constant dense<1.0e-6> : tensor<f32>
  %1 = onnx.node "Mul"(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "ReduceMean"(%1) : (tensor<4x8xf32>) -> tensor<4x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: 1>}}
  %3 = onnx.node "Add"(%2, %eps) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Sqrt"(%3) : (tensor<4x1xf32>) -> tensor<4x1xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Div"(%z, %4) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Mul"(%5, %w) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  return %6 : tensor<4x8xf32>
}

// -----

// The scale varies from row to row: the norm is raised, the product stays.
// CHECK-LABEL: func.func @scale_of_rows
// CHECK: %[[N:.*]] = onnx.node "RMSNormalization"
// CHECK: onnx.node "Mul"(%[[N]], %{{.*}})
func.func @scale_of_rows(%x: tensor<4x8xf32>, %w: tensor<4x1xf32>) -> tensor<4x8xf32> {
  %eps = onnx.constant dense<1.0e-6> : tensor<f32>
  %1 = onnx.node "Mul"(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "ReduceMean"(%1) : (tensor<4x8xf32>) -> tensor<4x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: 1>}}
  %3 = onnx.node "Add"(%2, %eps) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Sqrt"(%3) : (tensor<4x1xf32>) -> tensor<4x1xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Div"(%x, %4) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Mul"(%5, %w) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32> attributes {version = 13 : i64}
  return %6 : tensor<4x8xf32>
}

// -----

// The two centred operands differ: mean of x, but the square is of x itself.
// CHECK-LABEL: func.func @half_centred
// CHECK-NOT: Normalization
func.func @half_centred(%x: tensor<?x8xf32>, %w: tensor<8xf32>) -> tensor<?x8xf32> {
  %eps = onnx.constant dense<1.0e-12> : tensor<f32>
  %m = onnx.node "ReduceMean"(%x) : (tensor<?x8xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: -1>}}
  %d = onnx.node "Sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %0 = onnx.node "Mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %1 = onnx.node "ReduceMean"(%0) : (tensor<?x8xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64, attrs = {axes = array<i64: -1>}}
  %2 = onnx.node "Add"(%1, %eps) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %3 = onnx.node "Sqrt"(%2) : (tensor<?x1xf32>) -> tensor<?x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Div"(%d, %3) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Mul"(%4, %w) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  return %5 : tensor<?x8xf32>
}
