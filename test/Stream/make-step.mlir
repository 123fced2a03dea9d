// RUN: leat-opt %s -leat-make-step -canonicalize -cse | FileCheck %s
// RUN: leat-opt %s -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize | FileCheck %s --check-prefix=MASK
// RUN: leat-opt %s -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize "-leat-apply-kv-policy=policy=sink(4)+recent(60)" -canonicalize -cse | FileCheck %s --check-prefix=SINK
// RUN: leat-opt %s -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize "-leat-apply-kv-policy=policy=recent(60)" -canonicalize -cse | FileCheck %s --check-prefix=RECENT

// A decoder layer as exporters write it: causal and padding mask from shapes and attention_mask, rotary tables from position_ids.

// CHECK-DAG: leat.slot @past_key_values.0.key : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64, input_name = "past_key_values.0.key", output_name = "present.0.key"}
// CHECK-DAG: leat.slot @leat.seen : tensor<i64> growth counter
// CHECK-LABEL: func.func @main(
// CHECK-SAME: %arg3
// CHECK-LABEL: func.func @step(%arg0: tensor<?x?xi64> {{.*}}"input_ids"
// CHECK-SAME: -> (tensor<?x2x?x8xf32> {{.*}}"out"
// CHECK-DAG: %[[SEEN:.*]] = arith.index_cast %{{.*}} : i64 to index
// CHECK-DAG: %[[S:.*]] = tensor.dim %arg0, %c1
// CHECK: %[[TOTAL:.*]] = arith.addi %[[SEEN]], %[[S]]
// CHECK: %[[NEXT:.*]] = leat.cache_append %{{.*}}, %{{.*}} at %[[SEEN]]
// CHECK: leat.cache_view %[[NEXT]][%c0, %[[TOTAL]]]
// CHECK: leat.state_put @past_key_values.0.key, %[[NEXT]]

// MASK-LABEL: func.func @step
// MASK: leat.kv_attend q({{.*}}) k({{.*}}) v({{[^)]*}}) {causal, scale
// MASK-NOT: linalg.generic {{.*}}f32

// SINK: leat.slot @past_key_values.0.key : tensor<?x2x?x8xf32> growth ring {{.*}}ring = 60 : i64, sink = 4 : i64
// SINK-LABEL: func.func @step
// SINK-SAME: leat.kv = #leat.kv<"retain=sink(4)+recent(60),pos=sink:rank;local:abs,event=after">
// SINK: arith.minsi
// SINK: %[[LOCAL:.*]], %[[LLSE:.*]] = leat.kv_attend {{.*}}causal, scale = {{.*}}window_left = 60
// SINK: %[[FIRST:.*]], %[[FLSE:.*]] = leat.kv_attend {{.*}}{causal, scale
// SINK: leat.attn_merge values(%[[FIRST]], %[[LOCAL]]) lses(%[[FLSE]], %[[LLSE]])
// SINK: leat.cache_append
// SINK: leat.cache_append
// SINK: leat.state_put

// RECENT-LABEL: func.func @step
// RECENT: leat.kv_attend q(%[[Q:[0-9]+]], %[[Q]]) k({{.*}}window_left = 60
// RECENT-NOT: leat.attn_merge

func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %am: tensor<?x?xi64> {onnx.name = "attention_mask", onnx.dims = ["b", "total"]},
                %pos: tensor<?x?xi64> {onnx.name = "position_ids", onnx.dims = ["b", "s"]},
                %pk: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.key", onnx.dims = ["b", "2", "past", "8"]},
                %pv: tensor<?x2x?x8xf32> {onnx.name = "past_key_values.0.value", onnx.dims = ["b", "2", "past", "8"]},
                %q: tensor<?x2x?x8xf32> {onnx.name = "q", onnx.dims = ["b", "2", "s", "8"]},
                %kn: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]})
    -> (tensor<?x2x?x8xf32> {onnx.name = "out"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) attributes {onnx.graph} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %ids, %c0 : tensor<?x?xi64>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %pk, %c2 : tensor<?x2x?x8xf32>
  %total = arith.addi %past, %s : index
  %kc = tensor.concat dim(2) %pk, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %vc = tensor.concat dim(2) %pv, %kn : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %am_e = tensor.dim %am, %c1 : tensor<?x?xi64>
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %e = tensor.empty(%b, %s, %total) : tensor<?x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%am : tensor<?x?xi64>) outs(%e : tensor<?x1x?x?xf32>) {
  ^bb0(%m: i64, %o: f32):
    %k = linalg.index 3 : index
    %i = linalg.index 2 : index
    %qi = arith.addi %i, %past : index
    %le = arith.cmpi sle, %k, %qi : index
    %z = arith.constant 0 : i64
    %ne = arith.cmpi ne, %m, %z : i64
    %both = arith.andi %le, %ne : i1
    %v = arith.select %both, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<?x1x?x?xf32>
  %ce = tensor.empty(%b, %s) : tensor<?x?x4xf32>
  %cos = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%pos : tensor<?x?xi64>) outs(%ce : tensor<?x?x4xf32>) {
  ^bb0(%p: i64, %o: f32):
    %f = arith.sitofp %p : i64 to f32
    %c = math.cos %f : f32
    linalg.yield %c : f32
  } -> tensor<?x?x4xf32>
  %qr = leat.rotary %q, %cos, %cos {rotary_dim = 8 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x2x?x8xf32>
  %o = leat.kv_attend q(%qr) k(%kc) v(%vc) bias(%mask) {scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x1x?x?xf32>) -> tensor<?x2x?x8xf32>
  return %o, %kc, %vc : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
