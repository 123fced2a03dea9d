// RUN: leat-opt %s -leat-import-onnx -leat-make-step -canonicalize -cse -leat-classify-masks -canonicalize -cse | FileCheck %s

// A static cache: TensorScatter at write_indices and attention up to nonpad_kv_seqlen become an append and causal attention over what was seen.
// CHECK-LABEL: func.func @step
// CHECK: %[[KN:.*]] = leat.cache_append
// CHECK: %[[K:.*]] = leat.cache_view %[[KN]]
// CHECK: %[[VN:.*]] = leat.cache_append
// CHECK: %[[V:.*]] = leat.cache_view %[[VN]]
// CHECK: leat.kv_attend q(%{{.*}}) k(%[[K]]) v(%[[V]]) {causal, scale = 2.500000e-01 : f64}
// CHECK-NOT: leat.cache_write
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %x: tensor<?x2x?x4xf32> {onnx.name = "x", onnx.dims = ["b", "2", "s", "4"]},
                %w: tensor<?xi64> {onnx.name = "write_indices", onnx.dims = ["b"]},
                %pk: tensor<?x2x?x4xf32> {onnx.name = "past_key_values.0.key", onnx.dims = ["b", "2", "max", "4"]},
                %pv: tensor<?x2x?x4xf32> {onnx.name = "past_key_values.0.value", onnx.dims = ["b", "2", "max", "4"]})
    -> (tensor<?x2x?x4xf32> {onnx.name = "y", onnx.dims = ["", "", "", ""]}, tensor<?x2x?x4xf32> {onnx.name = "present.0.key", onnx.dims = ["", "", "", ""]},
        tensor<?x2x?x4xf32> {onnx.name = "present.0.value", onnx.dims = ["", "", "", ""]}) attributes {onnx.graph} {
  %n = onnx.absent
  %s = onnx.node "Shape"(%ids) : (tensor<?x?xi64>) -> tensor<1xi64> attributes {version = 24 : i64, attrs = {start = 1 : i64, end = 2 : i64}}
  %l = onnx.node "Add"(%w, %s) : (tensor<?xi64>, tensor<1xi64>) -> tensor<?xi64> attributes {version = 14 : i64}
  %k = onnx.node "TensorScatter"(%pk, %x, %w) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi64>) -> tensor<?x2x?x4xf32> attributes {version = 24 : i64, attrs = {axis = 2 : i64}}
  %v = onnx.node "TensorScatter"(%pv, %x, %w) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?xi64>) -> tensor<?x2x?x4xf32> attributes {version = 24 : i64, attrs = {axis = 2 : i64}}
  %y = onnx.node "Attention"(%x, %k, %v, %n, %n, %n, %l) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, none, none, none, tensor<?xi64>)
    -> tensor<?x2x?x4xf32> attributes {version = 24 : i64, attrs = {is_causal = 1 : i64, scale = 0.25 : f32}}
  return %y, %k, %v : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}
