// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// A past is joined by a concatenation; causal is then bottom-right, which is leat's default.
// CHECK-LABEL: func.func @past
// CHECK: %[[K:.*]] = tensor.concat dim(2)
// CHECK: %[[V:.*]] = tensor.concat dim(2)
// CHECK: %[[Y:.*]] = leat.kv_attend q(%{{.*}}) k(%[[K]]) v(%[[V]]) {causal, scale = 5.000000e-01 : f64}
// CHECK: return %[[Y]], %[[K]], %[[V]]
func.func @past(%q: tensor<?x4x?x4xf32> {onnx.name = "q", onnx.dims = ["b", "", "s", ""]}, %k: tensor<?x2x?x4xf32> {onnx.name = "k", onnx.dims = ["b", "", "s", ""]},
                %v: tensor<?x2x?x4xf32> {onnx.name = "v", onnx.dims = ["b", "", "s", ""]}, %pk: tensor<?x2x?x4xf32> {onnx.name = "pk", onnx.dims = ["b", "", "p", ""]},
                %pv: tensor<?x2x?x4xf32> {onnx.name = "pv", onnx.dims = ["b", "", "p", ""]})
    -> (tensor<?x4x?x4xf32> {onnx.name = "y", onnx.dims = ["", "", "", ""]}, tensor<?x2x?x4xf32> {onnx.name = "nk", onnx.dims = ["", "", "", ""]},
        tensor<?x2x?x4xf32> {onnx.name = "nv", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %n = onnx.absent
  %0:3 = onnx.node "Attention"(%q, %k, %v, %n, %pk, %pv) : (tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, none, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>)
    -> (tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) attributes {version = 23 : i64, attrs = {is_causal = 1 : i64}}
  return %0#0, %0#1, %0#2 : tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// Without a past the first query stands at the first key: positions are given where lengths differ. A bool mask becomes a bias.
// CHECK-LABEL: func.func @top_left
// CHECK-DAG: arith.constant 0xFF800000 : f32
// CHECK: leat.kv_attend q(%{{.*}}) k(%{{.*}}) v(%{{.*}}) q_pos(%{{.*}}) bias(%{{.*}}) {causal,{{.*}}softcap = 3.0{{.*}}, window_left = 7 : i64}
func.func @top_left(%q: tensor<1x2x3x4xf32> {onnx.name = "q", onnx.dims = ["", "", "", ""]}, %k: tensor<1x2x9x4xf32> {onnx.name = "k", onnx.dims = ["", "", "", ""]},
                    %m: tensor<3x9xi1> {onnx.name = "m", onnx.dims = ["", ""]})
    -> (tensor<1x2x3x4xf32> {onnx.name = "y", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "Attention"(%q, %k, %k, %m) : (tensor<1x2x3x4xf32>, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>, tensor<3x9xi1>) -> tensor<1x2x3x4xf32>
    attributes {version = 24 : i64, attrs = {is_causal = 1 : i64, softcap = 3.0 : f32, left_window_size = 7 : i64}}
  return %0 : tensor<1x2x3x4xf32>
}

// -----

// The static cache: written in place of the rows at write_indices, read up to nonpad_kv_seqlen.
// CHECK-LABEL: func.func @scattered
// CHECK: %[[ALL:.*]] = tensor.concat dim(2)
// CHECK: %[[K:.*]] = linalg.generic
// CHECK-SAME: leat.cache_write = 2 : i64
// CHECK: tensor.extract %[[ALL]]
// CHECK: leat.kv_attend q(%{{.*}}) k(%[[K]]) v(%[[K]]) kv_len(%{{.*}}) {causal, scale = 2.500000e-01 : f64}
func.func @scattered(%q: tensor<?x2x?x4xf32> {onnx.name = "q", onnx.dims = ["b", "", "s", ""]}, %k: tensor<?x2x?x4xf32> {onnx.name = "k", onnx.dims = ["b", "", "s", ""]},
                     %c: tensor<?x2x?x4xf32> {onnx.name = "c", onnx.dims = ["b", "", "max", ""]}, %w: tensor<?xi64> {onnx.name = "w", onnx.dims = ["b"]},
                     %l: tensor<?xi64> {onnx.name = "l", onnx.dims = ["b"]})
    -> (tensor<?x2x?x4xf32> {onnx.name = "y", onnx.dims = ["", "", "", ""]}, tensor<?x2x?x4xf32> {onnx.name = "z", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %n = onnx.absent
  %0 = onnx.node "TensorScatter"(%c, %k, %w) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi64>) -> tensor<?x2x?x4xf32> attributes {version = 24 : i64}
  %1 = onnx.node "Attention"(%q, %0, %0, %n, %n, %n, %l) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, none, none, none, tensor<?xi64>)
    -> tensor<?x2x?x4xf32> attributes {version = 24 : i64, attrs = {is_causal = 1 : i64, scale = 0.25 : f32}}
  return %1, %0 : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// Tables are gathered by position; [B, S, heads * D] is turned to heads and back.
// CHECK-LABEL: func.func @rotary
// CHECK: %[[C:.*]] = linalg.generic {{.*}} ins(%arg3 : tensor<?x?xi64>)
// CHECK: tensor.extract %arg1
// CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%arg3 : tensor<?x?xi64>)
// CHECK: tensor.extract %arg2
// CHECK: leat.rotary %{{.*}}, %[[C]], %[[S]] {interleaved, rotary_dim = 8 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x2x?x8xf32>
func.func @rotary(%x: tensor<?x?x16xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}, %c: tensor<32x4xf32> {onnx.name = "c", onnx.dims = ["", ""]},
                  %s: tensor<32x4xf32> {onnx.name = "s", onnx.dims = ["", ""]}, %p: tensor<?x?xi64> {onnx.name = "p", onnx.dims = ["b", "s"]})
    -> (tensor<?x?x16xf32> {onnx.name = "y", onnx.dims = ["b", "s", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "RotaryEmbedding"(%x, %c, %s, %p) : (tensor<?x?x16xf32>, tensor<32x4xf32>, tensor<32x4xf32>, tensor<?x?xi64>) -> tensor<?x?x16xf32>
    attributes {version = 23 : i64, attrs = {num_heads = 2 : i64, interleaved = 1 : i64}}
  return %0 : tensor<?x?x16xf32>
}
