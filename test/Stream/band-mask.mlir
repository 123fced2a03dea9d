// RUN: leat-opt %s -leat-classify-masks -canonicalize -split-input-file | FileCheck %s

// Rows [past, total) of a triangle that is stored: causal. Where the total exceeds the table, the sizes do not fit, and import's checks end the call.
// CHECK-LABEL: func.func @triangle
// CHECK: leat.kv_attend q(%{{.*}}) k(%{{.*}}) v(%{{[^)]*}}) {causal, scale
func.func @triangle(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "t", "4"]}) -> tensor<1x2x?x4xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %table = arith.constant dense<[[[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]]]> : tensor<1x1x4x4xi8>
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %t = tensor.dim %k, %c2 : tensor<1x2x?x4xf32>
  %past = arith.subi %t, %s : index
  %from = arith.minsi %past, %c4 : index
  %to = arith.minsi %t, %c4 : index
  %d = arith.subi %to, %from : index
  %rows = arith.maxsi %d, %c0 : index
  %cut = tensor.extract_slice %table[0, 0, %from, 0] [1, 1, %rows, %to] [1, 1, 1, 1] : tensor<1x1x4x4xi8> to tensor<1x1x?x?xi8>
  %e = tensor.empty(%rows, %to) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%cut : tensor<1x1x?x?xi8>) outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%m: i8, %o: f32):
    %z = arith.constant 0 : i8
    %ne = arith.cmpi ne, %m, %z : i8
    %v = arith.select %ne, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %o : tensor<1x2x?x4xf32>
}

// -----

// One entry off the triangle.
// CHECK-LABEL: func.func @almost_a_triangle
// CHECK: leat.kv_attend {{.*}} bias(
func.func @almost_a_triangle(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "t", "4"]}) -> tensor<1x2x?x4xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %table = arith.constant dense<[[[[0.0, -1.0e9, -1.0e9, -1.0e9], [0.0, 0.0, -1.0e9, -1.0e9], [-1.0e9, 0.0, 0.0, -1.0e9], [0.0, 0.0, 0.0, 0.0]]]]> : tensor<1x1x4x4xf32>
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %t = tensor.dim %k, %c2 : tensor<1x2x?x4xf32>
  %past = arith.subi %t, %s : index
  %from = arith.minsi %past, %c4 : index
  %to = arith.minsi %t, %c4 : index
  %d = arith.subi %to, %from : index
  %rows = arith.maxsi %d, %c0 : index
  %mask = tensor.extract_slice %table[0, 0, %from, 0] [1, 1, %rows, %to] [1, 1, 1, 1] : tensor<1x1x4x4xf32> to tensor<1x1x?x?xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %o : tensor<1x2x?x4xf32>
}
