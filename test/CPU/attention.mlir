// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=512 features=avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,sse4.1" | FileCheck %s

// Keys and values come from the slot in place (its strides are the capacity's). Few rows take dot products with keys and leave their results in
// memory that all tasks share; more rows become columns of a panel, and keys and values are the left operands of both products.
// CHECK-LABEL: func.func @cached(
// CHECK: scf.if
// CHECK: call @row_dots_f32_64
// CHECK: vector.reduction <maxnumf>
// CHECK: call @product_f32_f32_f32
// CHECK: else
// CHECK: call @pack_transposed_f32_f32
// CHECK: scf.for
// CHECK: call @product_f32_f32_f32_narrow
// CHECK: call @product_f32_f32_f32
// CHECK: call @mask_columns
// CHECK: call @softmax_columns
// CHECK: call @product_f32_f32_f32
// CHECK-NOT: call @widen_rows
// CHECK-LABEL: func.func @cached.tasks(
// The second phase joins the ranges of keys.
// CHECK-LABEL: func.func @cached.finish(
// CHECK: llvm.x86.avx512.mask.scalef.ps.512
// CHECK-LABEL: func.func @cached.finish_tasks(
// CHECK-LABEL: func.func @cached.shared(
leat.kernel_func @cached inputs 3 -> [tensor<?x9x?x64xf32>] {
^bb0(%q: tensor<?x9x?x64xf32>, %ks: !leat.state<tensor<?x3x?x64xf32>>, %vs: !leat.state<tensor<?x3x?x64xf32>>, %n: index):
  %c0 = arith.constant 0 : index
  %k = leat.cache_view %ks[%c0, %n] : !leat.state<tensor<?x3x?x64xf32>> -> tensor<?x3x?x64xf32>
  %v = leat.cache_view %vs[%c0, %n] : !leat.state<tensor<?x3x?x64xf32>> -> tensor<?x3x?x64xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125, causal} : (tensor<?x9x?x64xf32>, tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>) -> tensor<?x9x?x64xf32>
  leat.yield %o : tensor<?x9x?x64xf32>
}

// -----

// 16-bit values are widened as they are multiplied, or before they are the left operand of a product; for few rows a head size that is no multiple
// of 64 is packed.
// CHECK-LABEL: func.func @half(
// CHECK: call @row_dots_bf16_80
// CHECK: call @product_f32_bf16_f32
// CHECK: call @pack_columns_bf16_f32
// CHECK: call @widen_rows_bf16
// CHECK: call @widen_rows_bf16
leat.kernel_func @half inputs 3 -> [tensor<?x8x?x80xbf16>] {
^bb0(%q: tensor<?x8x?x80xbf16>, %k: tensor<?x8x?x80xbf16>, %v: tensor<?x8x?x80xbf16>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125} : (tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>) -> tensor<?x8x?x80xbf16>
  leat.yield %o : tensor<?x8x?x80xbf16>
}

// -----

// Heads in turns, as an encoder has them: keys and values, which the processor would not fetch ahead, are asked for; queries are packed where they
// lie; the softmax adds the bias that all rows share. A bias of rows takes a pass of its own.
// CHECK-LABEL: func.func @encoder(
// CHECK: else
// CHECK: llvm.intr.prefetch
// CHECK: call @pack_transposed_f32_f32
// CHECK: call @product_f32_f32_f32
// CHECK: call @softmax_columns_biased(
// CHECK-LABEL: func.func @encoder.tasks(
leat.kernel_func @encoder inputs 4 -> [tensor<?x?x12x32xf32>] {
^bb0(%q: tensor<?x?x12x32xf32>, %k: tensor<?x?x12x32xf32>, %v: tensor<?x?x12x32xf32>, %b: tensor<?x1x1x?xf32>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) bias(%b) {scale = 0.25, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"} : (tensor<?x?x12x32xf32>, tensor<?x?x12x32xf32>, tensor<?x?x12x32xf32>, tensor<?x1x1x?xf32>) -> tensor<?x?x12x32xf32>
  leat.yield %o : tensor<?x?x12x32xf32>
}
// CHECK-LABEL: func.func @rows(
// CHECK-NOT: call @softmax_columns_biased(
// CHECK: call @softmax_columns(
// CHECK-LABEL: func.func @rows.tasks(
leat.kernel_func @rows inputs 4 -> [tensor<?x?x12x32xf32>] {
^bb0(%q: tensor<?x?x12x32xf32>, %k: tensor<?x?x12x32xf32>, %v: tensor<?x?x12x32xf32>, %b: tensor<?x1x?x?xf32>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) bias(%b) {scale = 0.25, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"} : (tensor<?x?x12x32xf32>, tensor<?x?x12x32xf32>, tensor<?x?x12x32xf32>, tensor<?x1x?x?xf32>) -> tensor<?x?x12x32xf32>
  leat.yield %o : tensor<?x?x12x32xf32>
}
