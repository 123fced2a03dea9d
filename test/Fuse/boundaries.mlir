// What must not be fused, and what stays outside of kernels.
// RUN: leat-opt %s -leat-form-kernels -split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// The product is needed by two kernels: no epilogue, and nothing is computed twice.
// CHECK-LABEL: func @two_users
// CHECK: %[[M:.*]] = leat.kernel {{.*}}hint = "matmul"}
// CHECK: %[[T:.*]] = leat.kernel ins(%[[M]] {{.*}}hint = "tanh"
// CHECK: return %[[M]], %[[T]]
func.func @two_users(%x: tensor<8x64xf32>, %w: tensor<64x32xf32>) -> (tensor<8x32xf32>, tensor<8x32xf32>) {
  %0 = leat.matmul %x, %w : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32>
  %e = tensor.empty() : tensor<8x32xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<8x32xf32>) outs(%e : tensor<8x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.tanh %a : f32
    linalg.yield %s : f32
  } -> tensor<8x32xf32>
  return %0, %1 : tensor<8x32xf32>, tensor<8x32xf32>
}

// -----

// A product whose elements go elsewhere (a transpose) keeps its result in memory.
// CHECK-LABEL: func @transposed_user
// CHECK: leat.kernel {{.*}}hint = "matmul"}
// CHECK: leat.kernel {{.*}}hint = "transpose"}
func.func @transposed_user(%x: tensor<8x64xf32>, %w: tensor<64x32xf32>) -> tensor<32x8xf32> {
  %0 = leat.matmul %x, %w : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32>
  %e = tensor.empty() : tensor<32x8xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<8x32xf32>) outs(%e : tensor<32x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<32x8xf32>
  return %1 : tensor<32x8xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Two normalisations share a sum of two tensors: it is stored once. They share a conversion of one: each converts for itself.
// CHECK-LABEL: func @shared_sum
// CHECK: leat.kernel {{.*}}hint = "add"
// CHECK-COUNT-2: leat.softmax
// CHECK-LABEL: func @shared_cast
// CHECK-NOT: hint = "cast"
// CHECK: arith.extf
// CHECK: leat.softmax
// CHECK: arith.extf
// CHECK: leat.softmax
func.func @shared_sum(%x: tensor<8x64xf32>, %y: tensor<8x64xf32>) -> (tensor<8x64xf32>, tensor<8x64xf32>) {
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%x, %y : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %1 = leat.softmax %0 {axis = 1 : i64} : tensor<8x64xf32>
  %2 = leat.softmax %0 {axis = 0 : i64} : tensor<8x64xf32>
  return %1, %2 : tensor<8x64xf32>, tensor<8x64xf32>
}
func.func @shared_cast(%x: tensor<8x64xf16>) -> (tensor<8x64xf32>, tensor<8x64xf32>) {
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<8x64xf16>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f16, %o: f32):
    %s = arith.extf %a : f16 to f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %1 = leat.softmax %0 {axis = 1 : i64} : tensor<8x64xf32>
  %2 = leat.softmax %0 {axis = 0 : i64} : tensor<8x64xf32>
  return %1, %2 : tensor<8x64xf32>, tensor<8x64xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Views of what is in memory stay outside; a view of what is computed here is inside.
// CHECK-LABEL: func @views
// CHECK: %[[E:.*]] = tensor.expand_shape %arg0
// CHECK: %[[K:.*]] = leat.kernel ins(%[[E]] : tensor<8x64xf32>) -> tensor<512xf32>
// CHECK: arith.negf
// CHECK: tensor.collapse_shape
// CHECK: math.exp
// CHECK: %[[V:.*]] = tensor.expand_shape %[[K]]
// CHECK: return %[[V]]
func.func @views(%x: tensor<512xf32>) -> tensor<4x128xf32> {
  %v = tensor.expand_shape %x [[0, 1]] output_shape [8, 64] : tensor<512xf32> into tensor<8x64xf32>
  %e = tensor.empty() : tensor<8x64xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%v : tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  } -> tensor<8x64xf32>
  %c = tensor.collapse_shape %0 [[0, 1]] : tensor<8x64xf32> into tensor<512xf32>
  %f = tensor.empty() : tensor<512xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%c : tensor<512xf32>) outs(%f : tensor<512xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<512xf32>
  %2 = tensor.expand_shape %1 [[0, 1]] output_shape [4, 128] : tensor<512xf32> into tensor<4x128xf32>
  return %2 : tensor<4x128xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>

// The host reads a condition and runs one of two blocks; a value of the outer block is in memory for both, a splat is made where it is used.
// CHECK-LABEL: func @control_flow
// CHECK: %[[N:.*]] = leat.kernel ins(%arg0 : tensor<4xf32>) {{.*}}hint = "neg"
// CHECK: %[[C:.*]] = tensor.extract %arg1[]
// CHECK: scf.if %[[C]]
// CHECK: leat.kernel ins(%[[N]] : tensor<4xf32>)
// CHECK: arith.constant dense<1.0
// CHECK: scf.yield
// CHECK: else
// CHECK: scf.yield %[[N]]
func.func @control_flow(%x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %one = arith.constant dense<1.0> : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  %c = tensor.extract %p[] : tensor<i1>
  %r = scf.if %c -> (tensor<4xf32>) {
    %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%0, %one : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
    scf.yield %1 : tensor<4xf32>
  } else {
    scf.yield %0 : tensor<4xf32>
  }
  return %r : tensor<4xf32>
}

// -----

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>

// Attention reads its bias for each query: the mask is computed once, before.
// CHECK-LABEL: func @mask
// CHECK: %[[B:.*]] = leat.kernel {{.*}}hint = "select"
// CHECK: leat.kernel ins(%arg0, %[[B]]
// CHECK: leat.kv_attend
func.func @mask(%q: tensor<1x2x4x8xf32>, %m: tensor<1x1x4x4xi1>) -> tensor<1x2x4x8xf32> {
  %e = tensor.empty() : tensor<1x1x4x4xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%m : tensor<1x1x4x4xi1>) outs(%e : tensor<1x1x4x4xf32>) {
  ^bb0(%a: i1, %o: f32):
    %z = arith.constant 0.0 : f32
    %i = arith.constant 0xFF800000 : f32
    %s = arith.select %a, %z, %i : f32
    linalg.yield %s : f32
  } -> tensor<1x1x4x4xf32>
  %0 = leat.kv_attend q(%q) k(%q) v(%q) bias(%b) {scale = 0.5 : f64} : (tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>, tensor<1x1x4x4xf32>) -> tensor<1x2x4x8xf32>
  return %0 : tensor<1x2x4x8xf32>
}

// -----

// An op with several results keeps them; the size of its dynamic axis is known outside.
// CHECK-LABEL: func @several
// CHECK: %[[D:.*]] = tensor.dim %arg0
// CHECK: leat.kernel ins(%arg0 : tensor<?x64xf32>) scalars(%arg1 : index) sizes(%[[D]], %arg1, %[[D]], %arg1) -> tensor<?x?xf32>, tensor<?x?xi64>
func.func @several(%x: tensor<?x64xf32>, %k: index) -> (tensor<?x?xf32>, tensor<?x?xi64>) {
  %v, %i = leat.topk %x, %k {axis = 1 : i64, largest = true} : (tensor<?x64xf32>, index) -> (tensor<?x?xf32>, tensor<?x?xi64>)
  return %v, %i : tensor<?x?xf32>, tensor<?x?xi64>
}

// -----

// A gather: the table is captured by the body, so what makes the table stays apart; the index is pulled.
// CHECK-LABEL: func @gather
// CHECK: %[[T:.*]] = leat.kernel {{.*}}hint = "exp"
// CHECK: leat.kernel ins(%arg1, %[[T]] : tensor<3xi32>, tensor<10x4xf32>)
// CHECK-SAME: hint = "cast_gather"
func.func @gather(%t: tensor<10x4xf32>, %i: tensor<3xi32>) -> tensor<3x4xf32> {
  %e = tensor.empty() : tensor<10x4xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%t : tensor<10x4xf32>) outs(%e : tensor<10x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<10x4xf32>
  %ei = tensor.empty() : tensor<3xi64>
  %1 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%i : tensor<3xi32>) outs(%ei : tensor<3xi64>) {
  ^bb0(%a: i32, %o: i64):
    %s = arith.extsi %a : i32 to i64
    linalg.yield %s : i64
  } -> tensor<3xi64>
  %eo = tensor.empty() : tensor<3x4xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%1 : tensor<3xi64>) outs(%eo : tensor<3x4xf32>) {
  ^bb0(%a: i64, %o: f32):
    %r = arith.index_cast %a : i64 to index
    %c = linalg.index 1 : index
    %s = tensor.extract %0[%r, %c] : tensor<10x4xf32>
    linalg.yield %s : f32
  } -> tensor<3x4xf32>
  return %2 : tensor<3x4xf32>
}
