// RUN: leat-opt %s -leat-classify-masks -canonicalize -split-input-file | FileCheck %s
// RUN: leat-opt %s "-leat-classify-masks=programs=false" -canonicalize -split-input-file | FileCheck %s --check-prefix=NONE
// NONE-NOT: visible

// Blocks that see themselves: the order of positions becomes an attribute, the blocks a program.
// CHECK-LABEL: func.func @blocks
// CHECK: leat.kv_attend q(%{{[^)]*}}) k(%{{[^)]*}}) v(%{{[^)]*}}) visible (%{{.*}}, %{{.*}}, %[[Q:.*]], %[[K:.*]]) {
// CHECK: %[[KB:.*]] = arith.divsi %[[K]], %c16
// CHECK: %[[QB:.*]] = arith.divsi %[[Q]], %c16
// CHECK: arith.cmpi eq, %[[KB]], %[[QB]] : index
// CHECK: } {causal, scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @blocks(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %c16 : index
    %kb = arith.divsi %j, %c16 : index
    %same = arith.cmpi eq, %kb, %qb : index
    %seen = arith.andi %same, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// A chunk sees what comes in it: not causal.
// CHECK-LABEL: func.func @chunks
// CHECK: leat.kv_attend q(%{{[^)]*}}) k(%{{[^)]*}}) v(%{{[^)]*}}) visible (%{{.*}}, %{{.*}}, %[[Q:.*]], %[[K:.*]]) {
// CHECK: %[[KB:.*]] = arith.divsi %[[K]], %c16
// CHECK: %[[QB:.*]] = arith.divsi %[[Q]], %c16
// CHECK: arith.cmpi sle, %[[KB]], %[[QB]] : index
// CHECK: } {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @chunks(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %c16 : index
    %kb = arith.divsi %j, %c16 : index
    %seen = arith.cmpi sle, %kb, %qb : index
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// CHECK-LABEL: func.func @prefix
// CHECK: leat.kv_attend q(%{{[^)]*}}) k(%{{[^)]*}}) v(%{{[^)]*}}) visible (%{{.*}}, %{{.*}}, %[[Q:.*]], %[[K:.*]]) {
// CHECK: %[[FIRST:.*]] = arith.cmpi slt, %[[K]], %c4
// CHECK: %[[D:.*]] = arith.subi %[[K]], %[[Q]]
// CHECK: %[[BEHIND:.*]] = arith.cmpi sle, %[[D]], %c0
// CHECK: arith.ori %[[FIRST]], %[[BEHIND]]
// CHECK: } {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @prefix(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %first = arith.cmpi slt, %j, %c4 : index
    %seen = arith.ori %first, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// CHECK-LABEL: func.func @sinks
// CHECK: leat.kv_attend q(%{{[^)]*}}) k(%{{[^)]*}}) v(%{{[^)]*}}) visible (%{{.*}}, %{{.*}}, %[[Q:.*]], %[[K:.*]]) {
// CHECK: %[[FIRST:.*]] = arith.cmpi slt, %[[K]], %c4
// CHECK: %[[D:.*]] = arith.subi %[[K]], %[[Q]]
// CHECK: %[[NEAR:.*]] = arith.cmpi sge, %[[D]], %c-15
// CHECK: arith.ori %[[FIRST]], %[[NEAR]]
// CHECK: } {causal, scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @sinks(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %first = arith.cmpi slt, %j, %c4 : index
    %d = arith.subi %i, %j : index
    %near = arith.cmpi slt, %d, %c16 : index
    %some = arith.ori %first, %near : i1
    %seen = arith.andi %some, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// CHECK-LABEL: func.func @strided_window
// CHECK: leat.kv_attend q(%{{[^)]*}}) k(%{{[^)]*}}) v(%{{[^)]*}}) visible (%{{.*}}, %{{.*}}, %[[Q:.*]], %[[K:.*]]) {
// CHECK: %[[QR:.*]] = arith.remsi %[[Q]], %c4
// CHECK: %[[KR:.*]] = arith.remsi %[[K]], %c4
// CHECK: arith.cmpi eq, %[[QR]], %[[KR]]
// CHECK: } {causal, scale = 5.000000e-01 : f64, window_left = 16 : i64}
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @strided_window(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qr = arith.remsi %i, %c4 : index
    %kr = arith.remsi %j, %c4 : index
    %same = arith.cmpi eq, %qr, %kr : index
    %d = arith.subi %i, %j : index
    %near = arith.cmpi sle, %d, %c16 : index
    %some = arith.andi %same, %near : i1
    %seen = arith.andi %some, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// What is hidden keeps some weight.
// CHECK-LABEL: func.func @weak
// CHECK: leat.kv_attend {{.*}} bias({{.*}}) {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @weak(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant -1.0 : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %c16 : index
    %kb = arith.divsi %j, %c16 : index
    %same = arith.cmpi eq, %kb, %qb : index
    %seen = arith.andi %same, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// The caller says what is visible.
// CHECK-LABEL: func.func @given
// CHECK: leat.kv_attend {{.*}} bias({{.*}}) {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @given(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %given: tensor<1x1x?x?xi1>) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%given : tensor<1x1x?x?xi1>) outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%m: i1, %o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %c16 : index
    %kb = arith.divsi %j, %c16 : index
    %same = arith.cmpi eq, %kb, %qb : index
    %some = arith.andi %same, %m : i1
    %seen = arith.andi %some, %behind : i1
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// The first chunk sees nothing: with a finite bias that is an average.
// CHECK-LABEL: func.func @before
// CHECK: leat.kv_attend {{.*}} bias({{.*}}) {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @before(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %c16 : index
    %kb = arith.divsi %j, %c16 : index
    %seen = arith.cmpi slt, %kb, %qb : index
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}

// -----

// A divisor that is known at run time only.
// CHECK-LABEL: func.func @divisor_at_run_time
// CHECK: leat.kv_attend {{.*}} bias({{.*}}) {scale
#all = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @divisor_at_run_time(%q: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}, %k: tensor<1x2x?x4xf32> {onnx.dims = ["1", "2", "s", "4"]}) -> tensor<1x2x?x4xf32> {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF7FFFFF : f32
  %s = tensor.dim %q, %c2 : tensor<1x2x?x4xf32>
  %e = tensor.empty(%s, %s) : tensor<1x1x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} outs(%e : tensor<1x1x?x?xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 2 : index
    %j = linalg.index 3 : index
    %behind = arith.cmpi sle, %j, %i : index
    %qb = arith.divsi %i, %s : index
    %kb = arith.divsi %j, %s : index
    %seen = arith.cmpi eq, %kb, %qb : index
    %v = arith.select %seen, %zero, %low : f32
    linalg.yield %v : f32
  } -> tensor<1x1x?x?xf32>
  %r = leat.kv_attend q(%q) k(%k) v(%k) bias(%mask) {scale = 0.5} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x1x?x?xf32>) -> tensor<1x2x?x4xf32>
  return %r : tensor<1x2x?x4xf32>
}
