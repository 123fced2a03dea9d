// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=512 features=avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,sse4.1" | FileCheck %s

// Keys come from the slot in place (its strides are the capacity's), 64 at a time: few rows take dot products with them, more bring them into panel order.
// Values are read where they are. Keys that a causal mask hides are not visited.
// CHECK-LABEL: func.func @cached(
// CHECK: scf.for
// CHECK: call @row_dots_f32_64
// CHECK: call @pack_transposed_f32_f32
// CHECK: call @product_f32_f32_f32
// CHECK: vector.reduction <maxnumf>
// CHECK: llvm.x86.avx512.mask.scalef.ps.512
// CHECK: call @product_f32_f32_f32
// CHECK-NOT: call @pack_columns
// CHECK: vector.reduction <add>
// CHECK-LABEL: func.func @cached.tasks(
leat.kernel_func @cached inputs 3 -> [tensor<?x9x?x64xf32>] {
^bb0(%q: tensor<?x9x?x64xf32>, %ks: !leat.state<tensor<?x3x?x64xf32>>, %vs: !leat.state<tensor<?x3x?x64xf32>>, %n: index):
  %c0 = arith.constant 0 : index
  %k = leat.cache_view %ks[%c0, %n] : !leat.state<tensor<?x3x?x64xf32>> -> tensor<?x3x?x64xf32>
  %v = leat.cache_view %vs[%c0, %n] : !leat.state<tensor<?x3x?x64xf32>> -> tensor<?x3x?x64xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125, causal} : (tensor<?x9x?x64xf32>, tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>) -> tensor<?x9x?x64xf32>
  leat.yield %o : tensor<?x9x?x64xf32>
}

// -----

// 16-bit values are widened as they are multiplied; a head size that is no multiple of 64 is packed.
// CHECK-LABEL: func.func @half(
// CHECK: call @pack_transposed_bf16_f32
// CHECK: call @pack_columns_bf16_f32
leat.kernel_func @half inputs 3 -> [tensor<?x8x?x80xbf16>] {
^bb0(%q: tensor<?x8x?x80xbf16>, %k: tensor<?x8x?x80xbf16>, %v: tensor<?x8x?x80xbf16>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125} : (tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>) -> tensor<?x8x?x80xbf16>
  leat.yield %o : tensor<?x8x?x80xbf16>
}
