// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// Packed query, key and value, rotated, written to the cache. local_window_size counts the current token, window_left does not.
// CHECK-LABEL: func.func @gqa
// CHECK: leat.rotary %{{.*}} {rotary_dim = 8 : i64} : (tensor<?x4x?x8xf32>
// CHECK: leat.rotary %{{.*}} {rotary_dim = 8 : i64} : (tensor<?x2x?x8xf32>
// CHECK: %[[K:.*]] = linalg.generic {{.*}}leat.cache_write = 2 : i64
// CHECK: %[[V:.*]] = linalg.generic {{.*}}leat.cache_write = 2 : i64
// CHECK: leat.kv_attend q(%{{.*}}) k(%[[K]]) v(%[[V]]) kv_len(%{{.*}}) {causal, scale = 2.500000e-01 : f64, window_left = 15 : i64}
func.func @gqa(%x: tensor<?x?x64xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}, %pk: tensor<?x2x?x8xf32> {onnx.name = "pk", onnx.dims = ["b", "", "p", ""]},
               %pv: tensor<?x2x?x8xf32> {onnx.name = "pv", onnx.dims = ["b", "", "p", ""]}, %l: tensor<?xi32> {onnx.name = "l", onnx.dims = ["b"]},
               %t: tensor<i32> {onnx.name = "t", onnx.dims = []}, %c: tensor<32x4xf32> {onnx.name = "c", onnx.dims = ["", ""]}, %s: tensor<32x4xf32> {onnx.name = "s", onnx.dims = ["", ""]})
    -> (tensor<?x?x32xf32> {onnx.name = "y", onnx.dims = ["", "", ""]}, tensor<?x2x?x8xf32> {onnx.name = "nk", onnx.dims = ["", "", "", ""]},
        tensor<?x2x?x8xf32> {onnx.name = "nv", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %n = onnx.absent
  %0:3 = onnx.node "GroupQueryAttention"(%x, %n, %n, %pk, %pv, %l, %t, %c, %s) : (tensor<?x?x64xf32>, none, none, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?xi32>, tensor<i32>, tensor<32x4xf32>, tensor<32x4xf32>)
    -> (tensor<?x?x32xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>)
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {num_heads = 4 : i64, kv_num_heads = 2 : i64, do_rotary = 1 : i64, scale = 0.25 : f32, local_window_size = 16 : i64}}
  return %0#0, %0#1, %0#2 : tensor<?x?x32xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// An integer mask of keys adds mask_filter_value.
// CHECK-LABEL: func.func @mha
// CHECK-DAG: arith.constant -1.000000e+04 : f32
// CHECK: leat.kv_attend q(%{{.*}}) k(%{{.*}}) v(%{{.*}}) bias(%{{.*}}) {scale = {{.*}}} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x1x1x?xf32>)
func.func @mha(%q: tensor<?x?x16xf32> {onnx.name = "q", onnx.dims = ["b", "s", ""]}, %k: tensor<?x?x16xf32> {onnx.name = "k", onnx.dims = ["b", "t", ""]},
               %m: tensor<?x?xi32> {onnx.name = "m", onnx.dims = ["b", "t"]})
    -> (tensor<?x?x16xf32> {onnx.name = "y", onnx.dims = ["b", "s", ""]}) attributes {onnx.graph} {
  %n = onnx.absent
  %0 = onnx.node "MultiHeadAttention"(%q, %k, %k, %n, %m) : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, none, tensor<?x?xi32>) -> tensor<?x?x16xf32>
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {num_heads = 2 : i64}}
  return %0 : tensor<?x?x16xf32>
}

// -----

// The first Attention projects by itself.
// CHECK-LABEL: func.func @legacy
// CHECK: leat.matmul %{{.*}} : (tensor<?x?x8xf32>, tensor<8x48xf32>) -> tensor<?x?x48xf32>
// CHECK: leat.kv_attend q(%{{.*}}) k(%{{.*}}) v(%{{.*}}) {causal,
func.func @legacy(%x: tensor<?x?x8xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}, %w: tensor<8x48xf32> {onnx.name = "w", onnx.dims = ["", ""]}, %b: tensor<48xf32> {onnx.name = "c", onnx.dims = [""]})
    -> (tensor<?x?x16xf32> {onnx.name = "y", onnx.dims = ["b", "s", ""]}) attributes {onnx.graph} {
  %0 = onnx.node "Attention"(%x, %w, %b) : (tensor<?x?x8xf32>, tensor<8x48xf32>, tensor<48xf32>) -> tensor<?x?x16xf32>
    attributes {version = 1 : i64, domain = "com.microsoft", attrs = {num_heads = 2 : i64, unidirectional = 1 : i64}}
  return %0 : tensor<?x?x16xf32>
}
