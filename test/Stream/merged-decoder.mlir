// RUN: leat-opt %s -leat-make-step -canonicalize -cse | FileCheck %s
// RUN: leat-opt %s -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize | FileCheck %s --check-prefix=MASK

// A decoder and a decoder with a past behind If(use_cache_branch), as Optimum merges them. The keys of the encoder are made by the branch without a past; the
// other one hands on something empty. It was traced with one token and has no causal mask.

// CHECK-DAG: leat.slot @past_key_values.0.decoder.key : tensor<?x2x?x8xf32> growth append {axis = 2
// CHECK-NOT: leat.slot @past_key_values.0.encoder.key
// @main keeps both branches.
// CHECK-LABEL: func.func @main
// CHECK: scf.if
// CHECK-LABEL: func.func @step(%arg0: tensor<?x?xi64> {{.*}}"input_ids"
// CHECK-SAME: %arg1: tensor<?x?x16xf32> {{.*}}"encoder_hidden_states"
// CHECK-NOT: use_cache_branch
// CHECK-SAME: -> (tensor<?x2x?x8xf32> {{.*}}"out"
// CHECK-NOT: scf.if
// CHECK: %[[CROSS:.*]] = linalg.generic {{.*}} ins(%{{.*}} : tensor<?x?x2x8xf32>)
// CHECK: %[[NEXT:.*]] = leat.cache_append
// CHECK: leat.cache_view %[[NEXT]]
// CHECK: leat.kv_attend q(%{{.*}}) k(%[[CROSS]]) v(%[[CROSS]]) {scale
// CHECK: return

// MASK-LABEL: func.func @main
// MASK: leat.kv_attend {{.*}} {scale
// MASK-LABEL: func.func @step
// MASK: leat.kv_attend {{.*}} {causal, scale
// MASK: leat.kv_attend {{.*}} {scale
// MASK-NOT: leat.causal_without_past

func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %enc: tensor<?x?x16xf32> {onnx.name = "encoder_hidden_states", onnx.dims = ["b", "e", "16"]},
                %pk: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.decoder.key", onnx.dims = ["b", "2", "past", "8"]},
                %pe: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.encoder.key", onnx.dims = ["b", "2", "encoder_past", "8"]},
                %q: tensor<?x2x?x8xf32> {onnx.name = "q", onnx.dims = ["b", "2", "s", "8"]},
                %kn: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]},
                %use: tensor<1xi1> {onnx.name = "use_cache_branch", onnx.dims = ["1"]})
    -> (tensor<?x2x?x8xf32> {onnx.name = "out"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.decoder.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.encoder.key"})
    attributes {onnx.graph} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %ids, %c0 : tensor<?x?xi64>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %e = tensor.dim %enc, %c1 : tensor<?x?x16xf32>
  %c = tensor.extract %use[%c0] : tensor<1xi1>
  %r:3 = scf.if %c -> (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) {
    %kc = tensor.concat dim(2) %pk, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %o = leat.kv_attend q(%q) k(%kc) v(%kc) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %x = leat.kv_attend q(%o) k(%pe) v(%pe) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    %empty = arith.constant dense<0.0> : tensor<0x2x1x8xf32>
    %none = tensor.cast %empty : tensor<0x2x1x8xf32> to tensor<?x2x?x8xf32>
    scf.yield %x, %kc, %none : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
  } else {
    %me = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
    %mask = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      outs(%me : tensor<1x1x?x?xf32>) {
    ^bb0(%o: f32):
      %zero = arith.constant 0.0 : f32
      %low = arith.constant 0xFF7FFFFF : f32
      %i = linalg.index 2 : index
      %j = linalg.index 3 : index
      %le = arith.cmpi sle, %j, %i : index
      %v = arith.select %le, %zero, %low : f32
      linalg.yield %v : f32
    } -> tensor<1x1x?x?xf32>
    %o = leat.kv_attend q(%q) k(%kn) v(%kn) bias(%mask) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<1x1x?x?xf32>) -> tensor<?x2x?x8xf32>
    %split = tensor.expand_shape %enc [[0], [1], [2, 3]] output_shape [%b, %e, 2, 8] : tensor<?x?x16xf32> into tensor<?x?x2x8xf32>
    %ee = tensor.empty(%b, %e) : tensor<?x2x?x8xf32>
    %ek = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>],
                          iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%split : tensor<?x?x2x8xf32>) outs(%ee : tensor<?x2x?x8xf32>) {
    ^bb0(%v: f32, %o2: f32):
      linalg.yield %v : f32
    } -> tensor<?x2x?x8xf32>
    %x = leat.kv_attend q(%o) k(%ek) v(%ek) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
    scf.yield %x, %kn, %ek : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
  }
  return %r#0, %r#1, %r#2 : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
