// RUN: leat-opt %s -leat-fold-layouts -split-input-file | FileCheck %s

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#heads = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>
#kt = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3, d2)>

// CHECK-LABEL: func @attend
// CHECK: %[[O:.*]] = leat.kv_attend q(%arg0) k(%arg1) v(%arg2) {kv_layout = "bshd", o_layout = "bshd", q_layout = "bshd"
// CHECK-SAME: -> tensor<?x?x12x32xf32>
// CHECK: return %[[O]]
func.func @attend(%q: tensor<?x?x12x32xf32>, %k: tensor<?x?x12x32xf32>, %v: tensor<?x?x12x32xf32>, %b: index, %s: index) -> tensor<?x?x12x32xf32> {
  %e = tensor.empty(%b, %s) : tensor<?x12x?x32xf32>
  %qt = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%q : tensor<?x?x12x32xf32>) outs(%e : tensor<?x12x?x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x12x?x32xf32>
  %kh = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%k : tensor<?x?x12x32xf32>) outs(%e : tensor<?x12x?x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x12x?x32xf32>
  %vh = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%v : tensor<?x?x12x32xf32>) outs(%e : tensor<?x12x?x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x12x?x32xf32>
  %0 = leat.kv_attend q(%qt) k(%kh) v(%vh) {scale = 0.17 : f64} : (tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>) -> tensor<?x12x?x32xf32>
  %f = tensor.empty(%b, %s) : tensor<?x?x12x32xf32>
  %1 = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%0 : tensor<?x12x?x32xf32>) outs(%f : tensor<?x?x12x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x?x12x32xf32>
  return %1 : tensor<?x?x12x32xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#heads = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>
#kt = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3, d2)>

// Two transposes become the one that is left after the product took the last two axes.
// CHECK: #[[HEADS:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>
// CHECK-LABEL: func @scores
// CHECK: %[[T:.*]] = linalg.generic {indexing_maps = [#[[HEADS]],
// CHECK: leat.matmul %arg0, %[[T]] {trans_b}
func.func @scores(%q: tensor<2x4x5x8xf32>, %k: tensor<2x5x4x8xf32>) -> tensor<2x4x5x5xf32> {
  %e = tensor.empty() : tensor<2x4x5x8xf32>
  %0 = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%k : tensor<2x5x4x8xf32>) outs(%e : tensor<2x4x5x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x4x5x8xf32>
  %f = tensor.empty() : tensor<2x4x8x5xf32>
  %1 = linalg.generic {indexing_maps = [#kt, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%0 : tensor<2x4x5x8xf32>) outs(%f : tensor<2x4x8x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x4x8x5xf32>
  %2 = leat.matmul %q, %1 : (tensor<2x4x5x8xf32>, tensor<2x4x8x5xf32>) -> tensor<2x4x5x5xf32>
  return %2 : tensor<2x4x5x5xf32>
}

// -----

#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#rot = affine_map<(d0, d1, d2) -> (d2, d0, d1)>

// Three rotations of three axes are the identity.
// CHECK-LABEL: func @rotations
// CHECK-NOT: linalg.generic
// CHECK: return %arg0
func.func @rotations(%x: tensor<2x2x2xf32>) -> tensor<2x2x2xf32> {
  %e = tensor.empty() : tensor<2x2x2xf32>
  %0 = linalg.generic {indexing_maps = [#rot, #id], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<2x2x2xf32>) outs(%e : tensor<2x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2xf32>
  %1 = linalg.generic {indexing_maps = [#rot, #id], iterator_types = ["parallel", "parallel", "parallel"]} ins(%0 : tensor<2x2x2xf32>) outs(%e : tensor<2x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2xf32>
  %2 = linalg.generic {indexing_maps = [#rot, #id], iterator_types = ["parallel", "parallel", "parallel"]} ins(%1 : tensor<2x2x2xf32>) outs(%e : tensor<2x2x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x2x2xf32>
  return %2 : tensor<2x2x2xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#heads = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>

// CHECK-LABEL: func @append
// CHECK: leat.cache_append %{{.*}}, %arg0 at %arg1 {layout = "bshd"} : <tensor<1x2x?x4xf32>>, tensor<1x?x2x4xf32>
leat.slot @kv : tensor<1x2x?x4xf32> growth append {axis = 2 : i64}
func.func @append(%k: tensor<1x?x2x4xf32>, %at: index, %s: index) {
  %e = tensor.empty(%s) : tensor<1x2x?x4xf32>
  %0 = linalg.generic {indexing_maps = [#heads, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%k : tensor<1x?x2x4xf32>) outs(%e : tensor<1x2x?x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<1x2x?x4xf32>
  %c = leat.state_get @kv : !leat.state<tensor<1x2x?x4xf32>>
  %n = leat.cache_append %c, %0 at %at : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x?x4xf32>
  leat.state_put @kv, %n : !leat.state<tensor<1x2x?x4xf32>>
  return
}
