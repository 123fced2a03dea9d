// RUN: leat-opt %s "-leat-schedule-cpu=vector-bits=512 registers=32" | FileCheck %s --check-prefixes=CHECK,WIDE
// RUN: leat-opt %s -leat-schedule-cpu | FileCheck %s --check-prefixes=CHECK,NARROW
// RUN: leat-opt %s "-leat-schedule-cpu=bf16-activations" | FileCheck %s --check-prefix=EXACT
// RUN: leat-opt %s "-leat-schedule-cpu=bf16-dots" | FileCheck %s --check-prefix=DOTS
// RUN: leat-opt %s "-leat-schedule-cpu=bf16-dots bf16-activations" | FileCheck %s --check-prefix=ROUND

#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>

// CHECK-LABEL: leat.kernel_func @gemm
// WIDE-SAME: #leat.schedule<"gemm", {bf16 = 0 : i64, grain = 32768 : i64, kc = 1024 : i64, mc = 48 : i64, mr = 6 : i64, nr = 64 : i64, vector = 16 : i64}>
// NARROW-SAME: #leat.schedule<"gemm", {bf16 = 0 : i64, grain = 32768 : i64, kc = 1024 : i64, mc = 48 : i64, mr = 6 : i64, nr = 16 : i64, vector = 8 : i64}>
leat.kernel_func @gemm inputs 2 -> [tensor<?x32xf32>] {
^bb0(%a: tensor<?x64xf32>, %b: tensor<64x32xf32>, %n: index):
  %0 = leat.matmul %a, %b : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%p: f32, %o: f32):
    %s = math.tanh %p : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  leat.yield %1 : tensor<?x32xf32>
}

// A row that is not contiguous: lanes are rows.
// CHECK-LABEL: leat.kernel_func @outer
// CHECK-SAME: #leat.schedule<"row", {grain = 4096 : i64, inner = 0 : i64
leat.kernel_func @outer inputs 1 -> [tensor<8x64xf32>] {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.softmax %a {axis = 0 : i64} : tensor<8x64xf32>
  leat.yield %0 : tensor<8x64xf32>
}

// CHECK-LABEL: leat.kernel_func @column_sum
// CHECK-SAME: #leat.schedule<"reduce", {grain = 4096 : i64, inner = 0 : i64
leat.kernel_func @column_sum inputs 1 -> [tensor<64xf64>] {
^bb0(%a: tensor<8x64xf64>):
  %c = arith.constant 0.0 : f64
  %e = tensor.empty() : tensor<64xf64>
  %f = linalg.fill ins(%c : f64) outs(%e : tensor<64xf64>) -> tensor<64xf64>
  %0 = linalg.generic {indexing_maps = [#id, #col], iterator_types = ["reduction", "parallel"]} ins(%a : tensor<8x64xf64>) outs(%f : tensor<64xf64>) {
  ^bb0(%p: f64, %o: f64):
    %s = arith.addf %p, %o : f64
    linalg.yield %s : f64
  } -> tensor<64xf64>
  leat.yield %0 : tensor<64xf64>
}

// What is written by hand stays.
// CHECK-LABEL: leat.kernel_func @hand
// CHECK-SAME: #leat.schedule<"map", {vector = 4 : i64}>
leat.kernel_func @hand inputs 1 -> [tensor<8xf32>] attributes {schedule = #leat.schedule<"map", {vector = 4 : i64}>} {
^bb0(%a: tensor<8xf32>):
  leat.yield %a : tensor<8xf32>
}

// CHECK-LABEL: leat.kernel_func @append
// CHECK-SAME: #leat.schedule<"map"
leat.kernel_func @append inputs 2 -> [!leat.state<tensor<1x2x?x4xf32>>] {
^bb0(%a: !leat.state<tensor<1x2x?x4xf32>>, %b: tensor<1x2x1x4xf32>, %i: index):
  %n = leat.cache_append %a, %b at %i : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>
  leat.yield %n : !leat.state<tensor<1x2x?x4xf32>>
}

// CHECK-LABEL: leat.kernel_func @sorted
// CHECK-SAME: #leat.schedule<"serial", {}>
leat.kernel_func @sorted inputs 1 -> [tensor<8x2xf32>, tensor<8x2xi64>] {
^bb0(%a: tensor<8x64xf32>):
  %v, %i = leat.topk %a {axis = 1 : i64, largest = true} : (tensor<8x64xf32>) -> (tensor<8x2xf32>, tensor<8x2xi64>)
  leat.yield %v, %i : tensor<8x2xf32>, tensor<8x2xi64>
}

// Activations are rounded only where that was asked for and the processor gains from it; bf16 is multiplied as it is.
// Where weights are packed blocks have fewer rows, but for dots.
// EXACT-LABEL: @short_weight
// EXACT-SAME: bf16 = 0 : i64, grain = 32768 : i64, kc = 1024 : i64, mc = 24
// DOTS-LABEL: @short_weight
// DOTS-SAME: bf16 = 0
// ROUND-LABEL: @short_weight
// ROUND-SAME: bf16 = 1 : i64, grain = 32768 : i64, kc = 1024 : i64, mc = 48
leat.kernel_func @short_weight inputs 2 -> [tensor<?x32xf32>] attributes {leat.layouts = ["", "panel64.2"]} {
^bb0(%a: tensor<?x64xf32>, %b: tensor<64x32xbf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf32>, tensor<64x32xbf16>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// EXACT-LABEL: @all_short
// EXACT-SAME: bf16 = 0
// DOTS-LABEL: @all_short
// DOTS-SAME: bf16 = 1
leat.kernel_func @all_short inputs 2 -> [tensor<?x32xbf16>] attributes {leat.layouts = ["", "panel64.2"]} {
^bb0(%a: tensor<?x64xbf16>, %b: tensor<64x32xbf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xbf16>, tensor<64x32xbf16>) -> tensor<?x32xbf16>
  leat.yield %0 : tensor<?x32xbf16>
}

// Without pairs there is nothing to multiply as they are.
// ROUND-LABEL: @not_in_pairs
// ROUND-SAME: bf16 = 0
leat.kernel_func @not_in_pairs inputs 2 -> [tensor<?x32xf32>] attributes {leat.layouts = ["", "panel64"]} {
^bb0(%a: tensor<?x63xf32>, %b: tensor<63x32xbf16>):
  %0 = leat.matmul %a, %b : (tensor<?x63xf32>, tensor<63x32xbf16>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}
