// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// Ends beyond the axis stop at it; what covers the axis is no slice at all.
// CHECK-LABEL: func.func @slice
// CHECK-NOT: linalg
// CHECK: %[[S:.*]] = tensor.extract_slice %arg0[0, 1] [%{{.*}}, 2] [1, 1] : tensor<?x4xf32> to tensor<?x2xf32>
// CHECK: return %[[S]], %arg0
func.func @slice(%x: tensor<?x4xf32>) -> (tensor<?x2xf32>, tensor<?x4xf32>) attributes {onnx.graph} {
  %one = onnx.constant dense<1> : tensor<1xi64>
  %three = onnx.constant dense<-1> : tensor<1xi64>
  %axis = onnx.constant dense<1> : tensor<1xi64>
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %max = onnx.constant dense<9223372036854775807> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %one, %three, %axis) : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Slice"(%x, %zero, %max, %zero) : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32> attributes {version = 13 : i64}
  return %0, %1 : tensor<?x2xf32>, tensor<?x4xf32>
}

// -----

// A negative step reads from computed positions.
// CHECK-LABEL: func.func @reverse
// CHECK: linalg.generic
// CHECK: linalg.index 0
// CHECK: arith.muli %{{.*}}, %c-1
// CHECK: tensor.extract %arg0
func.func @reverse(%x: tensor<4xf32>) -> tensor<4xf32> attributes {onnx.graph} {
  %start = onnx.constant dense<-1> : tensor<1xi64>
  %end = onnx.constant dense<-9223372036854775808> : tensor<1xi64>
  %axis = onnx.constant dense<0> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %start, %end, %axis, %start) : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xf32> attributes {version = 13 : i64}
  return %0 : tensor<4xf32>
}

// -----

// The size of a concatenation, cut at the size of its first part, is the size of the second.
// CHECK-LABEL: func.func @cancel
// CHECK: %[[P:.*]] = tensor.dim %arg0
// CHECK: %[[S:.*]] = tensor.dim %arg1
// CHECK: tensor.concat dim(0) %arg0, %arg1
// CHECK: tensor.extract_slice %{{.*}}[%[[P]]] [%[[S]]] [1]
func.func @cancel(%x: tensor<?xf32> {onnx.dims = ["past"]}, %y: tensor<?xf32> {onnx.dims = ["seq"]}) -> tensor<?xf32> attributes {onnx.graph} {
  %0 = onnx.node "Concat"(%x, %y) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32> attributes {version = 13 : i64, attrs = {axis = 0 : i64}}
  %s = onnx.node "Shape"(%x) : (tensor<?xf32>) -> tensor<1xi64> attributes {version = 15 : i64}
  %e = onnx.node "Shape"(%0) : (tensor<?xf32>) -> tensor<1xi64> attributes {version = 15 : i64}
  %1 = onnx.node "Slice"(%0, %s, %e) : (tensor<?xf32>, tensor<1xi64>, tensor<1xi64>) -> tensor<?xf32> attributes {version = 13 : i64}
  return %1 : tensor<?xf32>
}

// -----

// CHECK: affine_map<(d0, d1, d2) -> (d1, d2, d0)>
// CHECK-LABEL: func.func @transpose
// CHECK: ins(%arg0 : tensor<2x3x4xf32>) outs(%{{.*}} : tensor<4x2x3xf32>)
func.func @transpose(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> attributes {onnx.graph} {
  %0 = onnx.node "Transpose"(%x) : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 2, 0, 1>}}
  return %0 : tensor<4x2x3xf32>
}

// -----

// CHECK-LABEL: func.func @gather
// CHECK: linalg.generic
// CHECK-SAME: ins(%arg1 : tensor<?xi64>)
// CHECK: ^bb0(%[[I:.*]]: i64, %{{.*}}: f32)
// CHECK: arith.index_cast %[[I]]
// CHECK: tensor.extract %arg0
func.func @gather(%x: tensor<10x4xf32>, %i: tensor<?xi64>) -> tensor<?x4xf32> attributes {onnx.graph} {
  %0 = onnx.node "Gather"(%x, %i) : (tensor<10x4xf32>, tensor<?xi64>) -> tensor<?x4xf32> attributes {version = 13 : i64}
  return %0 : tensor<?x4xf32>
}

// -----

// The 16-bit sum is kept in f32.
// CHECK-LABEL: func.func @reduce
// CHECK: linalg.fill
// CHECK: iterator_types = ["parallel", "reduction"]
// CHECK: arith.extf
// CHECK: arith.addf %{{.*}} : f32
// CHECK: arith.truncf
// CHECK: tensor<?x1xf16>
func.func @reduce(%x: tensor<?x8xf16>) -> tensor<?x1xf16> attributes {onnx.graph} {
  %axes = onnx.constant dense<-1> : tensor<1xi64>
  %0 = onnx.node "ReduceSum"(%x, %axes) : (tensor<?x8xf16>, tensor<1xi64>) -> tensor<?x1xf16> attributes {version = 13 : i64}
  return %0 : tensor<?x1xf16>
}

// -----

// CHECK-LABEL: func.func @einsum
// CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x2x?x4xf32>, tensor<?x2x4x?xf32>) -> tensor<?x2x?x?xf32>
func.func @einsum(%q: tensor<?x?x2x4xf32> {onnx.dims = ["b", "s", "2", "4"]}, %k: tensor<?x?x2x4xf32> {onnx.dims = ["b", "t", "2", "4"]}) -> tensor<?x2x?x?xf32> attributes {onnx.graph} {
  %0 = onnx.node "Einsum"(%q, %k) : (tensor<?x?x2x4xf32>, tensor<?x?x2x4xf32>) -> tensor<?x2x?x?xf32> attributes {version = 12 : i64, attrs = {equation = "bshd,bthd->bhst"}}
  return %0 : tensor<?x2x?x?xf32>
}
