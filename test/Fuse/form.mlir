// RUN: leat-opt %s -leat-form-kernels -split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
leat.param @w : tensor<64x32xf32> {value = dense<1.0> : tensor<64x32xf32>}

// A product with its bias and activation is one kernel; sizes are known outside.
// CHECK-LABEL: func @epilogue
// CHECK: %[[N:.*]] = tensor.dim %arg0
// CHECK: %[[K:.*]] = leat.kernel ins(%arg0, %{{.*}}, %arg1 : tensor<?x64xf32>, tensor<64x32xf32>, tensor<32xf32>) scalars(%[[N]] : index) sizes(%[[N]]) -> tensor<?x32xf32> attributes {hint = "matmul_add_tanh"}
// CHECK: ^bb0(
// CHECK: leat.matmul
// CHECK: addf
// CHECK: math.tanh
// CHECK: leat.yield
// CHECK-NOT: leat.kernel
// CHECK: return %[[K]]
func.func @epilogue(%x: tensor<?x64xf32>, %b: tensor<32xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %w = leat.param_ref @w : tensor<64x32xf32>
  %0 = leat.matmul %x, %w : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  %n = tensor.dim %0, %c0 : tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %b : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%1 : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.tanh %a : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  return %2 : tensor<?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// The operand of a product is read many times: what makes it is a kernel of its own.
// CHECK-LABEL: func @matmul_operand
// CHECK: leat.kernel {{.*}}hint = "exp"
// CHECK: leat.kernel {{.*}}hint = "matmul"
func.func @matmul_operand(%x: tensor<8x64xf32>, %w: tensor<64x32xf32>) -> tensor<8x32xf32> {
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %1 = leat.matmul %0, %w : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32>
  return %1 : tensor<8x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// The residual stream is needed twice, so it is a result, not repeated; the normalisation that follows reads it.
// CHECK-LABEL: func @residual
// CHECK: %[[X:.*]] = leat.kernel {{.*}}hint = "matmul_add"
// CHECK: %[[Y:.*]] = leat.kernel ins(%[[X]], %arg3 : {{.*}}hint = "rms_norm"
// CHECK: return %[[X]], %[[Y]]
func.func @residual(%x: tensor<8x64xf32>, %w: tensor<64x64xf32>, %r: tensor<8x64xf32>, %g: tensor<64xf32>) -> (tensor<8x64xf32>, tensor<8x64xf32>) {
  %0 = leat.matmul %x, %w : (tensor<8x64xf32>, tensor<64x64xf32>) -> tensor<8x64xf32>
  %e = tensor.empty() : tensor<8x64xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %r : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %2 = leat.layer_norm %1 scale %g : tensor<64xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64, rms} : tensor<8x64xf32> -> tensor<8x64xf32>
  return %1, %2 : tensor<8x64xf32>, tensor<8x64xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Two products meet in one elementwise op: the later one takes it as its epilogue, with the function of the other.
// CHECK-LABEL: func @swiglu
// CHECK: %[[G:.*]] = leat.kernel ins(%arg0, %arg1 {{.*}}hint = "matmul"
// CHECK: %[[U:.*]] = leat.kernel ins(%arg0, %arg2, %[[G]]
// CHECK-SAME: hint = "matmul_exp_mul"
// CHECK: return %[[U]]
func.func @swiglu(%x: tensor<8x64xf32>, %w: tensor<64x64xf32>, %v: tensor<64x64xf32>) -> tensor<8x64xf32> {
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = leat.matmul %x, %w : (tensor<8x64xf32>, tensor<64x64xf32>) -> tensor<8x64xf32>
  %u = leat.matmul %x, %v : (tensor<8x64xf32>, tensor<64x64xf32>) -> tensor<8x64xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%1, %u : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.mulf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  return %2 : tensor<8x64xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// A broadcast operand would be computed once per row: a cheap one is pulled, an exponential is not.
// CHECK-LABEL: func @broadcast
// CHECK: %[[E:.*]] = leat.kernel ins(%arg1 : tensor<64xf32>) {{.*}}hint = "exp"
// CHECK: leat.kernel ins(%arg2, %arg0, %[[E]] : {{.*}}hint = "neg_add"
func.func @broadcast(%x: tensor<8x64xf32>, %a: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<8x64xf32> {
  %e1 = tensor.empty() : tensor<64xf32>
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a : tensor<64xf32>) outs(%e1 : tensor<64xf32>) {
  ^bb0(%p: f32, %o: f32):
    %s = math.exp %p : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%b : tensor<64xf32>) outs(%e1 : tensor<64xf32>) {
  ^bb0(%p: f32, %o: f32):
    %s = arith.negf %p : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %2 = linalg.generic {indexing_maps = [#id, #row, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %0, %1 : tensor<8x64xf32>, tensor<64xf32>, tensor<64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%p: f32, %q: f32, %r: f32, %o: f32):
    %s = arith.addf %p, %q : f32
    %t = arith.addf %s, %r : f32
    linalg.yield %t : f32
  } -> tensor<8x64xf32>
  return %2 : tensor<8x64xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Arguments that name a size alike share it.
// CHECK-LABEL: func @named_sizes
// CHECK: tensor.dim
// CHECK-NOT: tensor.dim
// CHECK: leat.kernel {{.*}} scalars(%[[N:.*]] : index) sizes(%[[N]])
// CHECK: leat.kernel {{.*}} sizes(%[[N]])
func.func @named_sizes(%x: tensor<?x4xf32> {onnx.dims = ["n", "4"]}, %y: tensor<?x4xf32> {onnx.dims = ["n", "4"]}) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>
  %1 = leat.softmax %y {axis = 1 : i64} : tensor<?x4xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>

// Queries, keys and values are read in place through strides, so windows of one buffer need no copy; what is computed comes from memory.
// CHECK-LABEL: func @windows
// CHECK: %[[Q:.*]] = leat.kernel ins(%arg0 {{.*}}hint = "slice_exp"
// CHECK: %[[V:.*]] = leat.kernel ins(%arg0 {{.*}}hint = "slice_neg"
// CHECK: leat.kernel ins(%arg0, %[[Q]], %[[V]] {{.*}}hint = "attend"
// CHECK-COUNT-1: tensor.extract_slice
// CHECK: leat.kv_attend
// CHECK-NOT: leat.kernel
// CHECK: return
func.func @windows(%qkv: tensor<2x5x12x8xf32>) -> tensor<2x5x4x8xf32> {
  %q = tensor.extract_slice %qkv[0, 0, 0, 0] [2, 5, 4, 8] [1, 1, 1, 1] : tensor<2x5x12x8xf32> to tensor<2x5x4x8xf32>
  %k = tensor.extract_slice %qkv[0, 0, 4, 0] [2, 5, 4, 8] [1, 1, 1, 1] : tensor<2x5x12x8xf32> to tensor<2x5x4x8xf32>
  %v = tensor.extract_slice %qkv[0, 0, 8, 0] [2, 5, 4, 8] [1, 1, 1, 1] : tensor<2x5x12x8xf32> to tensor<2x5x4x8xf32>
  %e = tensor.empty() : tensor<2x5x4x8xf32>
  %eq = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%q : tensor<2x5x4x8xf32>) outs(%e : tensor<2x5x4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<2x5x4x8xf32>
  %nv = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%v : tensor<2x5x4x8xf32>) outs(%e : tensor<2x5x4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  } -> tensor<2x5x4x8xf32>
  %0 = leat.kv_attend q(%eq) k(%k) v(%nv) {scale = 0.5 : f64, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"} : (tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32>) -> tensor<2x5x4x8xf32>
  return %0 : tensor<2x5x4x8xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

// Bias and residual could be pulled into the normalisation, which reads its row twice; they are the product's epilogue.
// CHECK-LABEL: func @post_norm
// CHECK: %[[X:.*]] = leat.kernel {{.*}}hint = "matmul_add"
// CHECK: leat.kernel ins(%[[X]], %arg4 : {{.*}}hint = "layer_norm"
func.func @post_norm(%x: tensor<8x64xf32>, %w: tensor<64x64xf32>, %b: tensor<64xf32>, %r: tensor<8x64xf32>, %g: tensor<64xf32>) -> tensor<8x64xf32> {
  %0 = leat.matmul %x, %w : (tensor<8x64xf32>, tensor<64x64xf32>) -> tensor<8x64xf32>
  %e = tensor.empty() : tensor<8x64xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%0, %b : tensor<8x64xf32>, tensor<64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%1, %r : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %3 = leat.layer_norm %2 scale %g : tensor<64xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64} : tensor<8x64xf32> -> tensor<8x64xf32>
  return %3 : tensor<8x64xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#group = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3 floordiv 8)>

// Attention decodes what it reads of a cache, window or not: the decoded cache is never written. Other readers get it from a kernel of its own.
// CHECK-LABEL: func @decode_where_attention_reads
// CHECK-COUNT-1: leat.kernel
// CHECK: leat.cache_view
// CHECK: leat.cache_view
// CHECK: linalg.generic
// CHECK: leat.kv_attend
// CHECK-NOT: leat.kernel
leat.slot @codes : tensor<1x2x?x16xi8> growth append {axis = 2 : i64}
leat.slot @scales : tensor<1x2x?x2xf16> growth append {axis = 2 : i64}
func.func @decode_where_attention_reads(%q: tensor<1x2x1x16xf32>, %n: index) -> tensor<1x2x1x16xf32> {
  %c0 = arith.constant 0 : index
  %s = leat.state_get @codes : !leat.state<tensor<1x2x?x16xi8>>
  %t = leat.state_get @scales : !leat.state<tensor<1x2x?x2xf16>>
  %codes = leat.cache_view %s[%c0, %n] : !leat.state<tensor<1x2x?x16xi8>> -> tensor<1x2x?x16xi8>
  %scales = leat.cache_view %t[%c0, %n] : !leat.state<tensor<1x2x?x2xf16>> -> tensor<1x2x?x2xf16>
  %e = tensor.empty(%n) : tensor<1x2x?x16xf32>
  %k = linalg.generic {indexing_maps = [#id, #group, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%codes, %scales : tensor<1x2x?x16xi8>, tensor<1x2x?x2xf16>) outs(%e : tensor<1x2x?x16xf32>) {
  ^bb0(%c: i8, %h: f16, %o: f32):
    %x = arith.sitofp %c : i8 to f32
    %y = arith.extf %h : f16 to f32
    %z = arith.mulf %x, %y : f32
    linalg.yield %z : f32
  } -> tensor<1x2x?x16xf32>
  %w = tensor.extract_slice %k[0, 0, 0, 0] [1, 2, %n, 16] [1, 1, 1, 1] : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
  %0 = leat.kv_attend q(%q) k(%w) v(%w) {scale = 0.5 : f64} : (tensor<1x2x1x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x1x16xf32>
  return %0 : tensor<1x2x1x16xf32>
}

// CHECK-LABEL: func @decode_for_a_product
// CHECK-COUNT-2: leat.kernel
func.func @decode_for_a_product(%x: tensor<1x2x4x16xf32>, %n: index) -> tensor<1x2x4x?xf32> {
  %c0 = arith.constant 0 : index
  %s = leat.state_get @codes : !leat.state<tensor<1x2x?x16xi8>>
  %codes = leat.cache_view %s[%c0, %n] : !leat.state<tensor<1x2x?x16xi8>> -> tensor<1x2x?x16xi8>
  %e = tensor.empty(%n) : tensor<1x2x?x16xf32>
  %k = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%codes : tensor<1x2x?x16xi8>) outs(%e : tensor<1x2x?x16xf32>) {
  ^bb0(%c: i8, %o: f32):
    %y = arith.sitofp %c : i8 to f32
    linalg.yield %y : f32
  } -> tensor<1x2x?x16xf32>
  %0 = leat.matmul %x, %k {trans_b} : (tensor<1x2x4x16xf32>, tensor<1x2x?x16xf32>) -> tensor<1x2x4x?xf32>
  return %0 : tensor<1x2x4x?xf32>
}
