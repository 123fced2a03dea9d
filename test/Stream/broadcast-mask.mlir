// RUN: leat-opt %s -leat-classify-masks | FileCheck %s

// A mask whose last size might be 1 is read at index * (size == 1 ? 0 : 1); below that size it is the index.
// CHECK-LABEL: func.func @main
// CHECK: leat.kv_attend q(%arg0) k(%arg1) v(%arg1) {causal, scale = 1.000000e+00 : f64}
func.func @main(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x8xf32>
  %t = tensor.dim %k, %c2 : tensor<1x2x?x8xf32>
  %past = arith.subi %t, %s : index
  %is1 = arith.cmpi eq, %t, %c1 : index
  %f = arith.select %is1, %c0, %c1 : index
  %e = tensor.empty(%s, %t) : tensor<1x1x?x?xi1>
  %m = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xi1>) {
  ^bb0(%o: i1):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %jj = arith.muli %j, %f : index
    %p = arith.addi %i, %past : index
    %le = arith.cmpi sle, %jj, %p : index
    linalg.yield %le : i1
  } -> tensor<1x1x?x?xi1>
  %ef = tensor.empty(%s, %t) : tensor<1x1x?x?xf32>
  %b = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>, affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%m : tensor<1x1x?x?xi1>) outs(%ef : tensor<1x1x?x?xf32>) {
  ^bb0(%x: i1, %o: f32):
    %r = arith.select %x, %zero, %low : f32
    linalg.yield %r : f32
  } -> tensor<1x1x?x?xf32>
  %b2 = linalg.generic {indexing_maps = [affine_map<(a,b,c,d) -> (a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%ef : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %jj = arith.muli %j, %f : index
    %r = tensor.extract %b[%c0, %c0, %i, %jj] : tensor<1x1x?x?xf32>
    linalg.yield %r : f32
  } -> tensor<1x1x?x?xf32>
  %y = leat.kv_attend q(%q) k(%k) v(%k) bias(%b2) {scale = 1.0 : f64} : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x8xf32>
  return %y : tensor<1x2x?x8xf32>
}
