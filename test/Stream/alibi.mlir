// RUN: leat-opt %s -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize "-leat-apply-kv-policy=policy=recent(60)" -canonicalize -cse -split-input-file -verify-diagnostics | FileCheck %s

// A slope per head times the position of the key, and a causal mask, in one bias: the slope is computed from the positions of the ring and of what is new.
// CHECK-LABEL: func.func @step
// CHECK: %[[A:.*]] = linalg.generic {{.*}} ins(%[[RING:.*]], %{{.*}} : tensor<?xi64>, tensor<?xi64>) outs(%{{.*}} : tensor<1x2x?x?xf32>)
// CHECK: arith.subi
// CHECK: %[[B:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x2x?x?xf32>)
// CHECK: leat.kv_attend {{.*}} k_pos(%[[RING]], %{{.*}}) bias(%[[A]], %[[B]]) {causal, {{.*}}window_left = 60
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %pk: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.key", onnx.dims = ["b", "2", "past", "8"]},
                %pv: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.value", onnx.dims = ["b", "2", "past", "8"]},
                %q: tensor<?x2x?x8xf32> {onnx.name = "q", onnx.dims = ["b", "2", "s", "8"]},
                %kn: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]})
    -> (tensor<?x2x?x8xf32> {onnx.name = "out"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) attributes {onnx.graph} {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %pk, %c2 : tensor<?x2x?x8xf32>
  %total = arith.addi %past, %s : index
  %kc = tensor.concat dim(2) %pk, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %vc = tensor.concat dim(2) %pv, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %slopes = arith.constant dense<[0.5, 0.25]> : tensor<2xf32>
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %e = tensor.empty(%s, %total) : tensor<1x2x?x?xf32>
  %bias = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (b)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%slopes : tensor<2xf32>) outs(%e : tensor<1x2x?x?xf32>) {
  ^bb0(%m: f32, %o: f32):
    %k = linalg.index 3 : index
    %i = linalg.index 2 : index
    %at = arith.index_cast %k : index to i64
    %f = arith.sitofp %at : i64 to f32
    %rise = arith.mulf %m, %f : f32
    %qi = arith.addi %i, %past : index
    %le = arith.cmpi sle, %k, %qi : index
    %hide = arith.select %le, %zero, %low : f32
    %v = arith.addf %rise, %hide : f32
    linalg.yield %v : f32
  } -> tensor<1x2x?x?xf32>
  %o = leat.kv_attend q(%q) k(%kc) v(%vc) bias(%bias) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<1x2x?x?xf32>) -> tensor<?x2x?x8xf32>
  return %o, %kc, %vc : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// With the square of the position it is no slope.
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %pk: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.key", onnx.dims = ["b", "2", "past", "8"]},
                %pv: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.value", onnx.dims = ["b", "2", "past", "8"]},
                %q: tensor<?x2x?x8xf32> {onnx.name = "q", onnx.dims = ["b", "2", "s", "8"]},
                %kn: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]})
    -> (tensor<?x2x?x8xf32> {onnx.name = "out"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) attributes {onnx.graph} {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %pk, %c2 : tensor<?x2x?x8xf32>
  %total = arith.addi %past, %s : index
  %kc = tensor.concat dim(2) %pk, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %vc = tensor.concat dim(2) %pv, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %slopes = arith.constant dense<[0.5, 0.25]> : tensor<2xf32>
  %e = tensor.empty(%s, %total) : tensor<1x2x?x?xf32>
  %bias = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (b)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%slopes : tensor<2xf32>) outs(%e : tensor<1x2x?x?xf32>) {
  ^bb0(%m: f32, %o: f32):
    %k = linalg.index 3 : index
    %at = arith.index_cast %k : index to i64
    %f = arith.sitofp %at : i64 to f32
    %square = arith.mulf %f, %f : f32
    %v = arith.mulf %m, %square : f32
    linalg.yield %v : f32
  } -> tensor<1x2x?x?xf32>
  // expected-error@below {{its mask is not causal in a way that Leat can prove}}
  %o = leat.kv_attend q(%q) k(%kc) v(%vc) bias(%bias) {causal, scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<1x2x?x?xf32>) -> tensor<?x2x?x8xf32>
  return %o, %kc, %vc : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
