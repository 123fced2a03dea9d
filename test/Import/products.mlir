// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// Batch sizes broadcast as numpy's do; a matrix on the right stays a matrix.
// CHECK-LABEL: func.func @matmul
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x?x4xf32>, tensor<4x5xf32>) -> tensor<?x?x5xf32>
func.func @matmul(%a: tensor<?x?x4xf32> {onnx.name = "a", onnx.dims = ["b", "s", ""]}, %w: tensor<4x5xf32> {onnx.name = "w", onnx.dims = ["", ""]})
    -> (tensor<?x?x5xf32> {onnx.name = "y", onnx.dims = ["b", "s", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "MatMul"(%a, %w) : (tensor<?x?x4xf32>, tensor<4x5xf32>) -> tensor<?x?x5xf32> attributes {version = 13 : i64}
  return %0 : tensor<?x?x5xf32>
}

// -----

// Vectors get an axis and lose it again.
// CHECK-LABEL: func.func @vectors
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<1x4xf32>, tensor<4x1xf32>) -> tensor<1x1xf32>
// CHECK: into tensor<f32>
func.func @vectors(%a: tensor<4xf32> {onnx.name = "a", onnx.dims = [""]}, %b: tensor<4xf32> {onnx.name = "b", onnx.dims = [""]})
    -> (tensor<f32> {onnx.name = "y", onnx.dims = []}) attributes {onnx.graph} {
  %0 = onnx.node "MatMul"(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<f32> attributes {version = 13 : i64}
  return %0 : tensor<f32>
}

// -----

// A batch size that may be 1 at run time is broadcast before the product; a static 1 is not.
// CHECK-LABEL: func.func @batches
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x2x3x4xf32>, tensor<1x2x4x5xf32>) -> tensor<?x2x3x5xf32>
// CHECK: linalg.generic
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x2x3x4xf32>, tensor<?x2x4x5xf32>) -> tensor<?x2x3x5xf32>
func.func @batches(%a: tensor<?x2x3x4xf32> {onnx.name = "a", onnx.dims = ["b", "", "", ""]}, %w: tensor<1x2x4x5xf32> {onnx.name = "w", onnx.dims = ["", "", "", ""]},
                   %v: tensor<?x2x4x5xf32> {onnx.name = "v", onnx.dims = ["c", "", "", ""]})
    -> (tensor<?x2x3x5xf32> {onnx.name = "y", onnx.dims = ["", "", "", ""]}, tensor<?x2x3x5xf32> {onnx.name = "z", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "MatMul"(%a, %w) : (tensor<?x2x3x4xf32>, tensor<1x2x4x5xf32>) -> tensor<?x2x3x5xf32> attributes {version = 13 : i64}
  %1 = onnx.node "MatMul"(%a, %v) : (tensor<?x2x3x4xf32>, tensor<?x2x4x5xf32>) -> tensor<?x2x3x5xf32> attributes {version = 13 : i64}
  return %0, %1 : tensor<?x2x3x5xf32>, tensor<?x2x3x5xf32>
}

// -----

// CHECK-LABEL: func.func @gemm
// CHECK: leat.matmul %{{.*}}, %{{.*}} {trans_a, trans_b} : (tensor<4x3xf32>, tensor<5x4xf32>) -> tensor<3x5xf32>
// CHECK: arith.mulf
// CHECK: arith.addf
func.func @gemm(%a: tensor<4x3xf32> {onnx.name = "a", onnx.dims = ["", ""]}, %b: tensor<5x4xf32> {onnx.name = "b", onnx.dims = ["", ""]},
                %c: tensor<5xf32> {onnx.name = "c", onnx.dims = [""]})
    -> (tensor<3x5xf32> {onnx.name = "y", onnx.dims = ["", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "Gemm"(%a, %b, %c) : (tensor<4x3xf32>, tensor<5x4xf32>, tensor<5xf32>) -> tensor<3x5xf32>
    attributes {version = 13 : i64, attrs = {transA = 1 : i64, transB = 1 : i64, alpha = 0.5 : f32}}
  return %0 : tensor<3x5xf32>
}

// -----

// uint8 times int8 with zero points of rows and columns.
// CHECK-LABEL: func.func @integers
// CHECK: arith.extui
// CHECK: arith.subi
// CHECK: arith.extsi
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<3x4xi32>, tensor<4x5xi32>) -> tensor<3x5xi32>
func.func @integers(%a: tensor<3x4xui8> {onnx.name = "a", onnx.dims = ["", ""]}, %b: tensor<4x5xi8> {onnx.name = "b", onnx.dims = ["", ""]},
                    %az: tensor<3xui8> {onnx.name = "az", onnx.dims = [""]}, %bz: tensor<5xi8> {onnx.name = "bz", onnx.dims = [""]})
    -> (tensor<3x5xi32> {onnx.name = "y", onnx.dims = ["", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "MatMulInteger"(%a, %b, %az, %bz) : (tensor<3x4xui8>, tensor<4x5xi8>, tensor<3xui8>, tensor<5xi8>) -> tensor<3x5xi32> attributes {version = 10 : i64}
  return %0 : tensor<3x5xi32>
}

// -----

// Scales may be a vector; packed zero points keep their bytes.
// CHECK-LABEL: func.func @nbits
// CHECK: leat.matmul_nbits %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {bits = 4 : i64, block = 32 : i64, int8_activations, k = 64 : i64, n = 3 : i64} : (tensor<?x64xf32>, tensor<3x2x16xi8>, tensor<3x2xf32>, tensor<3x1xi8>) -> tensor<?x3xf32>
func.func @nbits(%a: tensor<?x64xf32> {onnx.name = "a", onnx.dims = ["m", ""]}, %b: tensor<3x2x16xui8> {onnx.name = "b", onnx.dims = ["", "", ""]},
                 %s: tensor<6xf32> {onnx.name = "s", onnx.dims = [""]}, %z: tensor<3xui8> {onnx.name = "z", onnx.dims = [""]})
    -> (tensor<?x3xf32> {onnx.name = "y", onnx.dims = ["m", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "MatMulNBits"(%a, %b, %s, %z) : (tensor<?x64xf32>, tensor<3x2x16xui8>, tensor<6xf32>, tensor<3xui8>) -> tensor<?x3xf32>
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {K = 64 : i64, N = 3 : i64, bits = 4 : i64, block_size = 32 : i64, accuracy_level = 4 : i64}}
  return %0 : tensor<?x3xf32>
}
