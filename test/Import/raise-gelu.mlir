// RUN: leat-opt %s -leat-raise-gelu -split-input-file | FileCheck %s

// torch: x / sqrt 2, (x * (erf + 1)) * 0.5
// CHECK-LABEL: func.func @erf
// CHECK-NEXT: onnx.node "Gelu"(%arg0) {{.*}}approximate = "none"{{.*}}version = 20
// CHECK-NEXT: return
func.func @erf(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %root = onnx.constant dense<1.41421354> : tensor<f32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Div"(%x, %root) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Erf"(%0) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Add"(%1, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%x, %2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%3, %half) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %4 : tensor<?x8xf32>
}

// -----

// (0.5 * x) * (1 + erf(x * 0.7071)), as dynamo writes it, gated afterwards: the gate stays outside.
// CHECK-LABEL: func.func @erf_gated
// CHECK-NEXT: %[[G:.*]] = onnx.node "Gelu"(%arg0)
// CHECK-NEXT: onnx.node "Mul"(%[[G]], %arg1)
func.func @erf_gated(%x: tensor<?x8xf32>, %gate: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %root = onnx.constant dense<0.707106769> : tensor<f32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Mul"(%x, %root) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Erf"(%0) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Add"(%one, %1) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%half, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%3, %2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Mul"(%4, %gate) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %5 : tensor<?x8xf32>
}

// -----

// GPT-2's gelu_new: x + 0.044715 * x ** 3.
// CHECK-LABEL: func.func @tanh_pow
// CHECK-NEXT: onnx.node "Gelu"(%arg0) {{.*}}approximate = "tanh"
// CHECK-NEXT: return
func.func @tanh_pow(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %three = onnx.constant dense<3.0> : tensor<f32>
  %c = onnx.constant dense<0.044715> : tensor<f32>
  %s = onnx.constant dense<0.797884583> : tensor<f32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Mul"(%x, %half) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Pow"(%x, %three) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Mul"(%1, %c) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Add"(%x, %2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%3, %s) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Tanh"(%4) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Add"(%5, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %7 = onnx.node "Mul"(%0, %6) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %7 : tensor<?x8xf32>
}

// -----

// gelu_fast: x * 0.79788456 * (1 + 0.044715 * x * x).
// CHECK-LABEL: func.func @tanh_fast
// CHECK-NEXT: onnx.node "Gelu"(%arg0) {{.*}}approximate = "tanh"
// CHECK-NEXT: return
func.func @tanh_fast(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = onnx.constant dense<0.044715> : tensor<f32>
  %s = onnx.constant dense<0.7978845608> : tensor<f32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Mul"(%x, %half) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Mul"(%x, %s) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Mul"(%x, %c) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%2, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Add"(%3, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Mul"(%1, %4) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %6 = onnx.node "Tanh"(%5) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %7 = onnx.node "Add"(%6, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %8 = onnx.node "Mul"(%0, %7) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %8 : tensor<?x8xf32>
}

// -----

// SiLU and QuickGelu.
// CHECK-LABEL: func.func @swish
// CHECK: %[[A:.*]] = onnx.node "Swish"(%arg0) {{.*}}alpha = 1.000000e+00
// CHECK: %[[B:.*]] = onnx.node "Swish"(%[[A]]) {{.*}}alpha = 1.702
// CHECK-NEXT: return %[[B]]
func.func @swish(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = onnx.constant dense<1.702> : tensor<f32>
  %0 = onnx.node "Sigmoid"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Mul"(%0, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Mul"(%1, %c) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Sigmoid"(%2) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Mul"(%1, %3) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %4 : tensor<?x8xf32>
}

// -----

// Not these: another constant, another operand, a sigmoid that is not of x, a bare sigmoid gate.
// CHECK-LABEL: func.func @others
// CHECK-NOT: "Gelu"
// CHECK-NOT: "Swish"
func.func @others(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  %root = onnx.constant dense<1.5> : tensor<f32>
  %sqrt2 = onnx.constant dense<1.41421354> : tensor<f32>
  %one = onnx.constant dense<1.0> : tensor<f32>
  %half = onnx.constant dense<0.5> : tensor<f32>
  %0 = onnx.node "Div"(%x, %root) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %1 = onnx.node "Erf"(%0) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Add"(%1, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Mul"(%x, %2) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%3, %half) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Sigmoid"(%y) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Mul"(%x, %5) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %7 = onnx.node "Div"(%y, %sqrt2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %8 = onnx.node "Erf"(%7) : (tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64}
  %9 = onnx.node "Add"(%8, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %10 = onnx.node "Mul"(%x, %9) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  %11 = onnx.node "Mul"(%10, %half) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32> attributes {version = 14 : i64}
  return %4, %6, %11 : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}
