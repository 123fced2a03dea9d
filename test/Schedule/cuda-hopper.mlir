// RUN: leat-opt %s --leat-schedule-cuda=gpu=sm_90a | FileCheck %s

// On Hopper, sizes by what a multiprocessor has, beside those of the form for all GPUs.

// Many columns: the widest tile reads least for what it multiplies. Few, or a last wave that is nearly empty: narrower ones. Two blocks of rows
// share their columns, where it may be that there are two.
// CHECK-LABEL: leat.kernel_func @wide
// CHECK-SAME: group_cluster = 2 : i64, group_cols = 256 : i64, group_depth = 64 : i64, group_rows = 128 : i64, group_stages = 4 : i64
leat.kernel_func @wide inputs 2 -> [tensor<?x4096xf16>] {
^bb0(%a: tensor<?x64xf16>, %b: tensor<64x4096xf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf16>, tensor<64x4096xf16>) -> tensor<?x4096xf16>
  leat.yield %0 : tensor<?x4096xf16>
}

// CHECK-LABEL: leat.kernel_func @narrow
// CHECK-SAME: group_cluster = 2 : i64, group_cols = 128 : i64
leat.kernel_func @narrow inputs 2 -> [tensor<?x96xf16>] {
^bb0(%a: tensor<?x64xf16>, %b: tensor<64x96xf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf16>, tensor<64x96xf16>) -> tensor<?x96xf16>
  leat.yield %0 : tensor<?x96xf16>
}

// CHECK-LABEL: leat.kernel_func @one_wave
// CHECK-SAME: group_cluster = 1 : i64, group_cols = 64 : i64
leat.kernel_func @one_wave inputs 2 -> [tensor<128x4096xf16>] {
^bb0(%a: tensor<128x64xf16>, %b: tensor<64x4096xf16>):
  %0 = leat.matmul %a, %b : (tensor<128x64xf16>, tensor<64x4096xf16>) -> tensor<128x4096xf16>
  leat.yield %0 : tensor<128x4096xf16>
}

// CHECK-LABEL: leat.kernel_func @even
// CHECK-SAME: group_cluster = 2 : i64
leat.kernel_func @even inputs 2 -> [tensor<512x4096xf16>] {
^bb0(%a: tensor<512x64xf16>, %b: tensor<64x4096xf16>):
  %0 = leat.matmul %a, %b : (tensor<512x64xf16>, tensor<64x4096xf16>) -> tensor<512x4096xf16>
  leat.yield %0 : tensor<512x4096xf16>
}

// CHECK-LABEL: leat.kernel_func @odd
// CHECK-SAME: group_cluster = 1 : i64
leat.kernel_func @odd inputs 2 -> [tensor<384x4096xf16>] {
^bb0(%a: tensor<384x64xf16>, %b: tensor<64x4096xf16>):
  %0 = leat.matmul %a, %b : (tensor<384x64xf16>, tensor<64x4096xf16>) -> tensor<384x4096xf16>
  leat.yield %0 : tensor<384x4096xf16>
}

// f32 has no products of groups of warps.
// CHECK-LABEL: leat.kernel_func @exact
// CHECK-NOT: group_rows
leat.kernel_func @exact inputs 2 -> [tensor<?x32xf32>] {
^bb0(%a: tensor<?x64xf32>, %b: tensor<64x32xf32>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// Attention: three groups of 64 rows for small heads, two for others; fewer keys where sums of values fill the registers.
// CHECK-LABEL: leat.kernel_func @attend64
// CHECK-SAME: group_keys = 128 : i64, group_rows = 192 : i64
leat.kernel_func @attend64 inputs 3 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// CHECK-LABEL: leat.kernel_func @attend128
// CHECK-SAME: group_keys = 176 : i64, group_rows = 128 : i64
leat.kernel_func @attend128 inputs 3 -> [tensor<1x4x?x128xf16>] {
^bb0(%q: tensor<1x4x?x128xf16>, %k: tensor<1x2x?x128xf16>, %v: tensor<1x2x?x128xf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64} : (tensor<1x4x?x128xf16>, tensor<1x2x?x128xf16>, tensor<1x2x?x128xf16>) -> tensor<1x4x?x128xf16>
  leat.yield %0 : tensor<1x4x?x128xf16>
}

// CHECK-LABEL: leat.kernel_func @attend256
// CHECK-SAME: group_keys = 64 : i64, group_rows = 128 : i64
leat.kernel_func @attend256 inputs 3 -> [tensor<1x4x?x256xf16>] {
^bb0(%q: tensor<1x4x?x256xf16>, %k: tensor<1x2x?x256xf16>, %v: tensor<1x2x?x256xf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64} : (tensor<1x4x?x256xf16>, tensor<1x2x?x256xf16>, tensor<1x2x?x256xf16>) -> tensor<1x4x?x256xf16>
  leat.yield %0 : tensor<1x4x?x256xf16>
}
