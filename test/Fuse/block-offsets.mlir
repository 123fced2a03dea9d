// RUN: leat-opt %s -leat-fold-block-offsets -canonicalize -split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#blocks = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#sums = affine_map<(d0, d1, d2) -> (d0, d1)>

// CHECK: leat.param @z.zeros : tensor<2x3xf32> {key = "z.zeros"}
// CHECK-LABEL: func @split
// CHECK: %[[Z:.*]] = leat.param_ref @z.zeros
// CHECK: %[[R:.*]] = leat.matmul_nbits %arg0, %arg1, %{{.*}}, %[[Z]]
// CHECK-NOT: leat.matmul
// CHECK: return %[[R]]
leat.param @z : tensor<3x2xf32> {value = dense<1.5> : tensor<3x2xf32>}
leat.param @s : tensor<2x3xf32> {value = dense<0.5> : tensor<2x3xf32>}
func.func @split(%x: tensor<4x96xf32>, %c: tensor<2x3x16xi8>) -> tensor<4x2xf32> {
  %s = leat.param_ref @s : tensor<2x3xf32>
  %z = leat.param_ref @z : tensor<3x2xf32>
  %0 = leat.matmul_nbits %x, %c, %s {bits = 4 : i64, block = 32 : i64, k = 96 : i64, n = 2 : i64} : (tensor<4x96xf32>, tensor<2x3x16xi8>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %e = tensor.expand_shape %x [[0], [1, 2]] output_shape [4, 3, 32] : tensor<4x96xf32> into tensor<4x3x32xf32>
  %zero = arith.constant 0.0 : f32
  %i = tensor.empty() : tensor<4x3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%i : tensor<4x3xf32>) -> tensor<4x3xf32>
  %b = linalg.generic {indexing_maps = [#blocks, #sums], iterator_types = ["parallel", "parallel", "reduction"]} ins(%e : tensor<4x3x32xf32>) outs(%f : tensor<4x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %o, %a : f32
    linalg.yield %t : f32
  } -> tensor<4x3xf32>
  %1 = leat.matmul %b, %z : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %j = tensor.empty() : tensor<4x2xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %1 : tensor<4x2xf32>, tensor<4x2xf32>) outs(%j : tensor<4x2xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %t = arith.addf %p, %q : f32
    linalg.yield %t : f32
  } -> tensor<4x2xf32>
  return %2 : tensor<4x2xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#blocks = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#sums = affine_map<(d0, d1, d2) -> (d0, d1)>

// A block of equal weights: scale 0 leaves no zero point that could give its offset.
// CHECK-LABEL: func @flat_block
// CHECK: leat.matmul_nbits %arg0, %arg1, %{{[^,]*}} {
// CHECK: leat.matmul
leat.param @z : tensor<3x2xf32> {value = dense<1.5> : tensor<3x2xf32>}
leat.param @s : tensor<2x3xf32> {value = dense<0.0> : tensor<2x3xf32>}
func.func @flat_block(%x: tensor<4x96xf32>, %c: tensor<2x3x16xi8>) -> tensor<4x2xf32> {
  %s = leat.param_ref @s : tensor<2x3xf32>
  %z = leat.param_ref @z : tensor<3x2xf32>
  %0 = leat.matmul_nbits %x, %c, %s {bits = 4 : i64, block = 32 : i64, k = 96 : i64, n = 2 : i64} : (tensor<4x96xf32>, tensor<2x3x16xi8>, tensor<2x3xf32>) -> tensor<4x2xf32>
  %e = tensor.expand_shape %x [[0], [1, 2]] output_shape [4, 3, 32] : tensor<4x96xf32> into tensor<4x3x32xf32>
  %zero = arith.constant 0.0 : f32
  %i = tensor.empty() : tensor<4x3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%i : tensor<4x3xf32>) -> tensor<4x3xf32>
  %b = linalg.generic {indexing_maps = [#blocks, #sums], iterator_types = ["parallel", "parallel", "reduction"]} ins(%e : tensor<4x3x32xf32>) outs(%f : tensor<4x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %o, %a : f32
    linalg.yield %t : f32
  } -> tensor<4x3xf32>
  %1 = leat.matmul %b, %z : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  %j = tensor.empty() : tensor<4x2xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %1 : tensor<4x2xf32>, tensor<4x2xf32>) outs(%j : tensor<4x2xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %t = arith.addf %p, %q : f32
    linalg.yield %t : f32
  } -> tensor<4x2xf32>
  return %2 : tensor<4x2xf32>
}
