// RUN: leat-opt %s -leat-fold-layouts -split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// Gemm as exporters write it: flatten, product, bias, unflatten.
// CHECK-LABEL: func @linear
// CHECK-NOT: tensor.collapse_shape
// CHECK: %[[M:.*]] = leat.matmul %arg0, %arg1 : (tensor<?x?x64xf32>, tensor<64x32xf32>) -> tensor<?x?x32xf32>
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[M]], %arg2 : tensor<?x?x32xf32>, tensor<32xf32>)
// CHECK: return %[[R]]
func.func @linear(%x: tensor<?x?x64xf32>, %w: tensor<64x32xf32>, %b: tensor<32xf32>) -> tensor<?x?x32xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %d0 = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %d1 = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %n = arith.muli %d0, %d1 : index
  %f = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>
  %0 = leat.matmul %f, %w : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %b : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  %2 = tensor.expand_shape %1 [[0, 1], [2]] output_shape [%d0, %d1, 32] : tensor<?x32xf32> into tensor<?x?x32xf32>
  return %2 : tensor<?x?x32xf32>
}

// -----

// Other sizes than before: the view stays.
// CHECK-LABEL: func @regrouped
// CHECK: %[[M:.*]] = leat.matmul %arg0
// CHECK: %[[F:.*]] = tensor.collapse_shape %[[M]]
// CHECK: tensor.expand_shape %[[F]]
func.func @regrouped(%x: tensor<?x?x64xf32>, %w: tensor<64x32xf32>, %p: index, %q: index) -> tensor<?x?x32xf32> {
  %f = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>
  %0 = leat.matmul %f, %w : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  %2 = tensor.expand_shape %0 [[0, 1], [2]] output_shape [%p, %q, 32] : tensor<?x32xf32> into tensor<?x?x32xf32>
  return %2 : tensor<?x?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// A column per flattened row has no place in the unflattened op.
// CHECK-LABEL: func @row_scale
// CHECK: %[[F:.*]] = tensor.collapse_shape %arg0
// CHECK: linalg.generic {{.*}} ins(%[[F]], %arg1
func.func @row_scale(%x: tensor<2x3x4xf32>, %s: tensor<6xf32>) -> tensor<6x4xf32> {
  %f = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
  %e = tensor.empty() : tensor<6x4xf32>
  %1 = linalg.generic {indexing_maps = [#id, affine_map<(d0, d1) -> (d0)>, #id], iterator_types = ["parallel", "parallel"]} ins(%f, %s : tensor<6x4xf32>, tensor<6xf32>) outs(%e : tensor<6x4xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %m = arith.mulf %a, %c : f32
    linalg.yield %m : f32
  } -> tensor<6x4xf32>
  return %1 : tensor<6x4xf32>
}

// -----

// The heads of a fused projection: the view goes to the buffer, the window to its reader.
// CHECK-LABEL: func @heads
// CHECK: %[[E:.*]] = tensor.expand_shape %arg0 {{\[\[}}0], [1], [2, 3]] output_shape [%{{.*}}, %{{.*}}, 36, 64] : tensor<?x?x2304xf32> into tensor<?x?x36x64xf32>
// CHECK: tensor.extract_slice %[[E]][0, 0, 12, 0] [%{{.*}}, %{{.*}}, 12, 64] [1, 1, 1, 1] : tensor<?x?x36x64xf32> to tensor<?x?x12x64xf32>
func.func @heads(%x: tensor<?x?x2304xf32>, %b: index, %s: index) -> tensor<?x?x12x64xf32> {
  %0 = tensor.extract_slice %x[0, 0, 768] [%b, %s, 768] [1, 1, 1] : tensor<?x?x2304xf32> to tensor<?x?x768xf32>
  %1 = tensor.expand_shape %0 [[0], [1], [2, 3]] output_shape [%b, %s, 12, 64] : tensor<?x?x768xf32> into tensor<?x?x12x64xf32>
  return %1 : tensor<?x?x12x64xf32>
}

// -----

// A window that cuts through a head is not moved.
// CHECK-LABEL: func @cut
// CHECK: tensor.extract_slice %arg0
// CHECK: tensor.expand_shape
func.func @cut(%x: tensor<4x100xf32>) -> tensor<4x2x32xf32> {
  %0 = tensor.extract_slice %x[0, 10] [4, 64] [1, 1] : tensor<4x100xf32> to tensor<4x64xf32>
  %1 = tensor.expand_shape %0 [[0], [1, 2]] output_shape [4, 2, 32] : tensor<4x64xf32> into tensor<4x2x32xf32>
  return %1 : tensor<4x2x32xf32>
}

// -----

// Heads joined and rows flattened in one reshape, behind attention: the sizes are the query's.
// CHECK-LABEL: func @attention_out
// CHECK: %[[O:.*]] = leat.kv_attend
// CHECK: %[[J:.*]] = tensor.collapse_shape %[[O]] {{\[\[}}0], [1], [2, 3]]
// CHECK: %[[M:.*]] = leat.matmul %[[J]], %arg1 : (tensor<?x?x32xf32>, tensor<32x16xf32>) -> tensor<?x?x16xf32>
// CHECK: return %[[M]]
func.func @attention_out(%q: tensor<?x?x4x8xf32>, %w: tensor<32x16xf32>) -> tensor<?x?x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %q, %c0 : tensor<?x?x4x8xf32>
  %s = tensor.dim %q, %c1 : tensor<?x?x4x8xf32>
  %0 = leat.kv_attend q(%q) k(%q) v(%q) {scale = 0.5 : f64, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"} : (tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>) -> tensor<?x?x4x8xf32>
  %1 = tensor.collapse_shape %0 [[0, 1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x32xf32>
  %2 = leat.matmul %1, %w : (tensor<?x32xf32>, tensor<32x16xf32>) -> tensor<?x16xf32>
  %3 = tensor.expand_shape %2 [[0, 1], [2]] output_shape [%b, %s, 16] : tensor<?x16xf32> into tensor<?x?x16xf32>
  return %3 : tensor<?x?x16xf32>
}

// -----

// CHECK-LABEL: func @unbind
// CHECK: %[[W:.*]] = tensor.extract_slice %arg0[1, 0, 0] [1, 5, 8] [1, 1, 1] : tensor<3x5x8xf32> to tensor<5x8xf32>
// CHECK: return %[[W]]
func.func @unbind(%x: tensor<3x5x8xf32>) -> tensor<5x8xf32> {
  %0 = tensor.extract_slice %x[1, 0, 0] [1, 5, 8] [1, 1, 1] : tensor<3x5x8xf32> to tensor<1x5x8xf32>
  %1 = tensor.collapse_shape %0 [[0, 1], [2]] : tensor<1x5x8xf32> into tensor<5x8xf32>
  return %1 : tensor<5x8xf32>
}
