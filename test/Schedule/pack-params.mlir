// RUN: leat-opt %s --split-input-file --leat-pack-params | FileCheck %s

// The right side of a product is packed; a weight with another use is copied.
// CHECK: leat.param @w.panel64t : tensor<4x2xf32> {key = "w", layout = "panel64t"}
// CHECK: leat.param @tied : tensor<4x2xf32> {key = "tied"}
// CHECK: leat.param @tied.panel64t : tensor<4x2xf32> {key = "tied", layout = "panel64t"}
// CHECK: leat.kernel_func @mm {{.*}}leat.layouts = ["", "panel64t"]
leat.param @w : tensor<4x2xf32> {key = "w"}
leat.param @tied : tensor<4x2xf32> {key = "tied"}
leat.kernel_func @mm inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2xf32>, %b: tensor<4x2xf32>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x2xf32>, tensor<4x2xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
// CHECK-LABEL: func.func @both
// CHECK-DAG: %[[E:.*]] = leat.param_ref @tied :
// CHECK-DAG: %[[W:.*]] = leat.param_ref @w.panel64t
// CHECK-DAG: %[[T:.*]] = leat.param_ref @tied.panel64t
// CHECK-DAG: leat.launch @mm ins(%{{.*}}, %[[W]]
// CHECK-DAG: leat.launch @mm ins(%{{.*}}, %[[T]]
// CHECK: return %{{.*}}, %{{.*}}, %[[E]]
func.func @both(%x: tensor<?x2xf32>, %n: index) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x2xf32>) {
  %w = leat.param_ref @w : tensor<4x2xf32>
  %e = leat.param_ref @tied : tensor<4x2xf32>
  %0 = leat.launch @mm ins(%x, %w : tensor<?x2xf32>, tensor<4x2xf32>) sizes(%n) -> tensor<?x4xf32>
  %1 = leat.launch @mm ins(%x, %e : tensor<?x2xf32>, tensor<4x2xf32>) sizes(%n) -> tensor<?x4xf32>
  return %0, %1, %e : tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x2xf32>
}

// -----

// A kernel that is launched with something else once reads row-major memory everywhere.
// CHECK: leat.param @w : tensor<2x4xf32> {key = "w"}
// CHECK-NOT: leat.layouts
leat.param @w : tensor<2x4xf32> {key = "w"}
leat.kernel_func @mm inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2xf32>, %b: tensor<2x4xf32>):
  %y = leat.matmul %a, %b : (tensor<?x2xf32>, tensor<2x4xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @mixed(%x: tensor<?x2xf32>, %y: tensor<2x4xf32>, %n: index) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %w = leat.param_ref @w : tensor<2x4xf32>
  %0 = leat.launch @mm ins(%x, %w : tensor<?x2xf32>, tensor<2x4xf32>) sizes(%n) -> tensor<?x4xf32>
  %1 = leat.launch @mm ins(%x, %y : tensor<?x2xf32>, tensor<2x4xf32>) sizes(%n) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// A quantised weight: codes, scales and zero points together, through the views in front of the launch.
// CHECK: leat.param @codes.nbits64.4.32 : tensor<4x2x16xi8> {key = "codes", layout = "nbits64.4.32"}
// CHECK: leat.param @scales.panel64t : tensor<4x2xf32> {key = "scales", layout = "panel64t"}
// CHECK: leat.param @zeros.zeros64.4 : tensor<4x1xi8> {key = "zeros", layout = "zeros64.4"}
// CHECK: leat.layouts = ["", "nbits64.4.32", "panel64t", "zeros64.4"]
leat.param @codes : tensor<4x2x16xi8> {key = "codes"}
leat.param @scales : tensor<8xf32> {key = "scales"}
leat.param @zeros : tensor<4x1xi8> {key = "zeros"}
leat.kernel_func @q inputs 4 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x64xf32>, %c: tensor<4x2x16xi8>, %s: tensor<4x2xf32>, %z: tensor<4x1xi8>):
  %y = leat.matmul_nbits %a, %c, %s, %z {k = 64, n = 4, bits = 4, block = 32} : (tensor<?x64xf32>, tensor<4x2x16xi8>, tensor<4x2xf32>, tensor<4x1xi8>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @quantised(%x: tensor<?x64xf32>, %n: index) -> tensor<?x4xf32> {
  %c = leat.param_ref @codes : tensor<4x2x16xi8>
  %s = leat.param_ref @scales : tensor<8xf32>
  %s2 = tensor.expand_shape %s [[0, 1]] output_shape [4, 2] : tensor<8xf32> into tensor<4x2xf32>
  %z = leat.param_ref @zeros : tensor<4x1xi8>
  %0 = leat.launch @q ins(%x, %c, %s2, %z : tensor<?x64xf32>, tensor<4x2x16xi8>, tensor<4x2xf32>, tensor<4x1xi8>) sizes(%n) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// An embedding tied to the logits is held once: the lookup reads the packed form.
// CHECK-NOT: leat.param @embedding :
// CHECK: leat.param @embedding.panel64t : tensor<4x2xf32> {key = "embedding", layout = "panel64t"}
// CHECK-NOT: leat.param @embedding :
// CHECK: leat.kernel_func @lookup inputs 2 -> [tensor<?x2xf32>] attributes {leat.layouts = ["panel64t", ""]}
// CHECK: leat.kernel_func @logits {{.*}}leat.layouts = ["", "panel64t"]
// CHECK: leat.launch @lookup ins(%[[E:.*]], %{{.*}} : tensor<4x2xf32>, tensor<?xi64>)
leat.param @embedding : tensor<4x2xf32> {key = "embedding"}
leat.kernel_func @lookup inputs 2 -> [tensor<?x2xf32>] {
^bb0(%table: tensor<4x2xf32>, %ids: tensor<?xi64>):
  %c0 = arith.constant 0 : index
  %n = tensor.dim %ids, %c0 : tensor<?xi64>
  %empty = tensor.empty(%n) : tensor<?x2xf32>
  %rows = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<?xi64>) outs(%empty : tensor<?x2xf32>) {
  ^bb0(%id: i64, %out: f32):
    %row = arith.index_cast %id : i64 to index
    %column = linalg.index 1 : index
    %element = tensor.extract %table[%row, %column] : tensor<4x2xf32>
    linalg.yield %element : f32
  } -> tensor<?x2xf32>
  leat.yield %rows : tensor<?x2xf32>
}
leat.kernel_func @logits inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2xf32>, %b: tensor<4x2xf32>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x2xf32>, tensor<4x2xf32>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @language_model(%ids: tensor<?xi64>, %n: index) -> tensor<?x4xf32> {
  %w = leat.param_ref @embedding : tensor<4x2xf32>
  %x = leat.launch @lookup ins(%w, %ids : tensor<4x2xf32>, tensor<?xi64>) sizes(%n) -> tensor<?x2xf32>
  %y = leat.launch @logits ins(%x, %w : tensor<?x2xf32>, tensor<4x2xf32>) sizes(%n) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// The same for codes of a quantised weight and their scales.
// CHECK-NOT: leat.param @codes :
// CHECK: leat.kernel_func @lookup_codes inputs 2 -> [tensor<?xi8>] attributes {leat.layouts = ["nbits64.8.32", ""]}
// CHECK: leat.launch @lookup_codes ins(%[[C:.*]], %{{.*}} : tensor<4x1x32xi8>, tensor<?xi64>)
leat.param @codes : tensor<4x1x32xi8> {key = "codes"}
leat.param @scales : tensor<4x1xf16> {key = "scales"}
leat.kernel_func @lookup_codes inputs 2 -> [tensor<?xi8>] {
^bb0(%table: tensor<4x1x32xi8>, %ids: tensor<?xi64>):
  %c0 = arith.constant 0 : index
  %n = tensor.dim %ids, %c0 : tensor<?xi64>
  %empty = tensor.empty(%n) : tensor<?xi8>
  %rows = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%ids : tensor<?xi64>) outs(%empty : tensor<?xi8>) {
  ^bb0(%id: i64, %out: i8):
    %row = arith.index_cast %id : i64 to index
    %element = tensor.extract %table[%row, %c0, %c0] : tensor<4x1x32xi8>
    linalg.yield %element : i8
  } -> tensor<?xi8>
  leat.yield %rows : tensor<?xi8>
}
leat.kernel_func @logits inputs 3 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x32xf32>, %b: tensor<4x1x32xi8>, %s: tensor<4x1xf16>):
  %y = leat.matmul_nbits %a, %b, %s {k = 32, n = 4, bits = 8, block = 32} : (tensor<?x32xf32>, tensor<4x1x32xi8>, tensor<4x1xf16>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @language_model(%ids: tensor<?xi64>, %x: tensor<?x32xf32>, %n: index) -> (tensor<?xi8>, tensor<?x4xf32>) {
  %w = leat.param_ref @codes : tensor<4x1x32xi8>
  %s = leat.param_ref @scales : tensor<4x1xf16>
  %r = leat.launch @lookup_codes ins(%w, %ids : tensor<4x1x32xi8>, tensor<?xi64>) sizes(%n) -> tensor<?xi8>
  %y = leat.launch @logits ins(%x, %w, %s : tensor<?x32xf32>, tensor<4x1x32xi8>, tensor<4x1xf16>) sizes(%n) -> tensor<?x4xf32>
  return %r, %y : tensor<?xi8>, tensor<?x4xf32>
}

// -----

// Weights in bf16 lie in pairs of k, if there is no odd one left.
// CHECK: leat.kernel_func @even {{.*}}leat.layouts = ["", "panel64.2"]
// CHECK: leat.kernel_func @turned {{.*}}leat.layouts = ["", "panel64t.2"]
// CHECK: leat.kernel_func @odd {{.*}}leat.layouts = ["", "panel64"]
leat.param @w : tensor<2x4xbf16> {key = "w"}
leat.param @t : tensor<4x2xbf16> {key = "t"}
leat.param @o : tensor<3x4xbf16> {key = "o"}
leat.kernel_func @even inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2xf32>, %b: tensor<2x4xbf16>):
  %y = leat.matmul %a, %b : (tensor<?x2xf32>, tensor<2x4xbf16>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
leat.kernel_func @turned inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2xf32>, %b: tensor<4x2xbf16>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x2xf32>, tensor<4x2xbf16>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
leat.kernel_func @odd inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x3xf32>, %b: tensor<3x4xbf16>):
  %y = leat.matmul %a, %b : (tensor<?x3xf32>, tensor<3x4xbf16>) -> tensor<?x4xf32>
  leat.yield %y : tensor<?x4xf32>
}
func.func @main(%x: tensor<?x2xf32>, %z: tensor<?x3xf32>, %n: index) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
  %w = leat.param_ref @w : tensor<2x4xbf16>
  %t = leat.param_ref @t : tensor<4x2xbf16>
  %o = leat.param_ref @o : tensor<3x4xbf16>
  %0 = leat.launch @even ins(%x, %w : tensor<?x2xf32>, tensor<2x4xbf16>) sizes(%n) -> tensor<?x4xf32>
  %1 = leat.launch @turned ins(%x, %t : tensor<?x2xf32>, tensor<4x2xbf16>) sizes(%n) -> tensor<?x4xf32>
  %2 = leat.launch @odd ins(%z, %o : tensor<?x3xf32>, tensor<3x4xbf16>) sizes(%n) -> tensor<?x4xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
}
