// RUN: leat-opt %s -leat-make-step -canonicalize -cse -split-input-file -verify-diagnostics | FileCheck %s

// Keys and values of a layer in one tensor: a slot for each.
// CHECK-DAG: leat.slot @past_0.key : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64, input_name = "past_0.key", output_name = "present_0.key"}
// CHECK-DAG: leat.slot @past_0.value : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0
// CHECK-LABEL: func.func @step(%arg0: tensor<?x?xi64>
// CHECK-NOT: past_0
// CHECK-SAME: -> (tensor<?x2x?x8xf32> {{.*}}"out"
// CHECK: %[[K:.*]] = leat.cache_append
// CHECK: %[[KV:.*]] = leat.cache_view %[[K]]
// CHECK: %[[V:.*]] = leat.cache_append
// CHECK: %[[VV:.*]] = leat.cache_view %[[V]]
// CHECK: leat.kv_attend q({{.*}}) k(%[[KV]]) v(%[[VV]])
// CHECK-NOT: tensor.concat
// CHECK: leat.state_put @past_0.key, %[[K]]
// CHECK: leat.state_put @past_0.value, %[[V]]
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %p: tensor<2x?x2x?x8xf32> {onnx.name = "past_0", onnx.dims = ["2", "b", "2", "past", "8"]},
                %q: tensor<?x2x?x8xf32> {onnx.name = "q", onnx.dims = ["b", "2", "s", "8"]},
                %n: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]})
    -> (tensor<?x2x?x8xf32> {onnx.name = "out"}, tensor<2x?x2x?x8xf32> {onnx.name = "present_0", onnx.dims = ["2", "b", "2", "total", "8"]}) attributes {onnx.graph} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %ids, %c0 : tensor<?x?xi64>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %p, %c3 : tensor<2x?x2x?x8xf32>
  %total = arith.addi %past, %s : index
  %k1 = tensor.extract_slice %p[0, 0, 0, 0, 0] [1, %b, 2, %past, 8] [1, 1, 1, 1, 1] : tensor<2x?x2x?x8xf32> to tensor<1x?x2x?x8xf32>
  %k0 = tensor.collapse_shape %k1 [[0, 1], [2], [3], [4]] : tensor<1x?x2x?x8xf32> into tensor<?x2x?x8xf32>
  %v0 = tensor.extract_slice %p[1, 0, 0, 0, 0] [1, %b, 2, %past, 8] [1, 1, 1, 1, 1] : tensor<2x?x2x?x8xf32> to tensor<?x2x?x8xf32>
  %k = tensor.concat dim(2) %k0, %n : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %v = tensor.concat dim(2) %v0, %n : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {causal, scale = 0.35} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %ke = tensor.expand_shape %k [[0, 1], [2], [3], [4]] output_shape [1, %b, 2, %total, 8] : tensor<?x2x?x8xf32> into tensor<1x?x2x?x8xf32>
  %ve = tensor.expand_shape %v [[0, 1], [2], [3], [4]] output_shape [1, %b, 2, %total, 8] : tensor<?x2x?x8xf32> into tensor<1x?x2x?x8xf32>
  %r = tensor.concat dim(0) %ke, %ve : (tensor<1x?x2x?x8xf32>, tensor<1x?x2x?x8xf32>) -> tensor<2x?x2x?x8xf32>
  return %o, %r : tensor<?x2x?x8xf32>, tensor<2x?x2x?x8xf32>
}

// -----

// Joined, but the second part is not the past with entries behind it.
// CHECK-NOT: func.func @step
// expected-warning@below {{no step function: output 'present_0.value' does not append to input 'past_0.value', and its dimension 2 is not the batch and not fixed}}
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "input_ids", onnx.dims = ["b", "s"]},
                %p: tensor<2x?x2x?x8xf32> {onnx.name = "past_0", onnx.dims = ["2", "b", "2", "past", "8"]},
                %n: tensor<?x2x?x8xf32> {onnx.name = "k", onnx.dims = ["b", "2", "s", "8"]})
    -> (tensor<2x?x2x?x8xf32> {onnx.name = "present_0", onnx.dims = ["2", "b", "2", "total", "8"]}) attributes {onnx.graph} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %ids, %c0 : tensor<?x?xi64>
  %s = tensor.dim %ids, %c1 : tensor<?x?xi64>
  %past = tensor.dim %p, %c3 : tensor<2x?x2x?x8xf32>
  %total = arith.addi %past, %s : index
  %k0 = tensor.extract_slice %p[0, 0, 0, 0, 0] [1, %b, 2, %past, 8] [1, 1, 1, 1, 1] : tensor<2x?x2x?x8xf32> to tensor<?x2x?x8xf32>
  %v0 = tensor.extract_slice %p[1, 0, 0, 0, 0] [1, %b, 2, %past, 8] [1, 1, 1, 1, 1] : tensor<2x?x2x?x8xf32> to tensor<?x2x?x8xf32>
  %k = tensor.concat dim(2) %k0, %n : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %v = tensor.concat dim(2) %n, %v0 : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  %ke = tensor.expand_shape %k [[0, 1], [2], [3], [4]] output_shape [1, %b, 2, %total, 8] : tensor<?x2x?x8xf32> into tensor<1x?x2x?x8xf32>
  %ve = tensor.expand_shape %v [[0, 1], [2], [3], [4]] output_shape [1, %b, 2, %total, 8] : tensor<?x2x?x8xf32> into tensor<1x?x2x?x8xf32>
  %r = tensor.concat dim(0) %ke, %ve : (tensor<1x?x2x?x8xf32>, tensor<1x?x2x?x8xf32>) -> tensor<2x?x2x?x8xf32>
  return %r : tensor<2x?x2x?x8xf32>
}
