// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=512 features=avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,sse4.1" | FileCheck %s

// Keys and values come from the slot in place (its strides are the capacity's). Few rows take dot products with keys and leave their results in
// memory that all tasks share; more rows become columns of a panel, keys are the left operand of their product, and results are rows again. Where
// a block is partly hidden, each register tile of rows multiplies the keys that its rows see.
// CHECK-LABEL: func.func @cached(
// CHECK: scf.if
// CHECK: call @row_dots_f32_64
// CHECK: vector.reduction <maxnumf>
// CHECK: call @product_f32_f32_f32
// CHECK: else
// CHECK: call @pack_transposed_f32_f32
// CHECK: scf.for
// CHECK: call @product_f32_f32_f32_strip16
// CHECK: call @product_f32_f32_f32(
// CHECK: call @mask_columns
// CHECK: call @softmax_columns
// CHECK: scf.if
// CHECK: scf.for %{{.*}} step %c6
// CHECK: call @product_f32_f32_f32(
// CHECK: else
// CHECK: call @product_f32_f32_f32(
// CHECK-NOT: call @widen_rows
// CHECK-NOT: call @pack
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

// Codes of a cache become floats in the loops that use them; only their scales and minima go through memory. More rows take rows of floats.
// CHECK-LABEL: func.func @coded(
// CHECK: call @stage_factors_2
// CHECK: call @coded_dots_8_64_32
// CHECK: vector.reduction <maxnumf>
// CHECK: call @stage_factors_4
// CHECK: call @coded_sums_4_64_32_64
// CHECK: else
// CHECK-NOT: call @coded
// CHECK: call @product_f32_f32_f32
// CHECK-LABEL: func.func @coded.tasks(
#last = affine_map<(b, h, s, d) -> (b, h, s, d)>
#group = affine_map<(b, h, s, d) -> (b, h, s, d floordiv 32)>
#byte = affine_map<(b, h, s, d) -> (b, h, s, (d floordiv 32) * 16 + d mod 16)>
#minimum = affine_map<(b, h, s, d) -> (b, h, s, d floordiv 32 + 2)>
leat.kernel_func @coded inputs 5 -> [tensor<?x9x?x64xf32>] {
^bb0(%q: tensor<?x9x?x64xf32>, %kc: !leat.state<tensor<?x3x?x64xi8>>, %kf: !leat.state<tensor<?x3x?x2xf16>>, %vc: !leat.state<tensor<?x3x?x32xi8>>,
     %vf: !leat.state<tensor<?x3x?x4xf16>>, %b: index, %n: index):
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c15_i32 = arith.constant 15 : i32
  %0 = leat.cache_view %kc[%c0, %n] : !leat.state<tensor<?x3x?x64xi8>> -> tensor<?x3x?x64xi8>
  %1 = leat.cache_view %kf[%c0, %n] : !leat.state<tensor<?x3x?x2xf16>> -> tensor<?x3x?x2xf16>
  %2 = leat.cache_view %vc[%c0, %n] : !leat.state<tensor<?x3x?x32xi8>> -> tensor<?x3x?x32xi8>
  %3 = leat.cache_view %vf[%c0, %n] : !leat.state<tensor<?x3x?x4xf16>> -> tensor<?x3x?x4xf16>
  %empty = tensor.empty(%b, %n) : tensor<?x3x?x64xf32>
  %k = linalg.generic {indexing_maps = [#last, #group, #last], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%0, %1 : tensor<?x3x?x64xi8>, tensor<?x3x?x2xf16>) outs(%empty : tensor<?x3x?x64xf32>) {
  ^bb0(%code: i8, %scale: f16, %out: f32):
    %4 = arith.sitofp %code : i8 to f32
    %5 = arith.extf %scale : f16 to f32
    %6 = arith.mulf %4, %5 : f32
    linalg.yield %6 : f32
  } -> tensor<?x3x?x64xf32>
  %v = linalg.generic {indexing_maps = [#byte, #group, #minimum, #last], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%2, %3, %3 : tensor<?x3x?x32xi8>, tensor<?x3x?x4xf16>, tensor<?x3x?x4xf16>) outs(%empty : tensor<?x3x?x64xf32>) {
  ^bb0(%byte: i8, %scale: f16, %least: f16, %out: f32):
    %d = linalg.index 3 : index
    %4 = arith.remui %d, %c32 : index
    %5 = arith.divui %4, %c16 : index
    %6 = arith.muli %5, %c4 : index
    %7 = arith.extui %byte : i8 to i32
    %8 = arith.index_cast %6 : index to i32
    %9 = arith.shrui %7, %8 : i32
    %10 = arith.andi %9, %c15_i32 : i32
    %11 = arith.sitofp %10 : i32 to f32
    %12 = arith.extf %scale : f16 to f32
    %13 = arith.mulf %11, %12 : f32
    %14 = arith.extf %least : f16 to f32
    %15 = arith.addf %13, %14 : f32
    linalg.yield %15 : f32
  } -> tensor<?x3x?x64xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125, causal} : (tensor<?x9x?x64xf32>, tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>) -> tensor<?x9x?x64xf32>
  leat.yield %o : tensor<?x9x?x64xf32>
}

// -----

// 16-bit values are widened as they are multiplied, or before many rows are. Of a head size that is no multiple of 64, the rest takes narrower
// strips; only what is no multiple of a vector is packed.
// CHECK-LABEL: func.func @half(
// CHECK: call @row_dots_bf16_80
// CHECK: call @product_f32_bf16_f32(
// CHECK: call @product_f32_bf16_f32_strip16(
// CHECK: call @widen_rows_bf16
// CHECK: call @widen_rows_bf16
// CHECK: call @product_f32_f32_f32(
// CHECK: call @product_f32_f32_f32_strip16(
// CHECK-NOT: call @pack_columns
// CHECK-LABEL: func.func @half.tasks(
leat.kernel_func @half inputs 3 -> [tensor<?x8x?x80xbf16>] {
^bb0(%q: tensor<?x8x?x80xbf16>, %k: tensor<?x8x?x80xbf16>, %v: tensor<?x8x?x80xbf16>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125} : (tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>, tensor<?x8x?x80xbf16>) -> tensor<?x8x?x80xbf16>
  leat.yield %o : tensor<?x8x?x80xbf16>
}

// -----

// CHECK-LABEL: func.func @odd(
// CHECK: call @pack_columns_f32_f32
// CHECK-LABEL: func.func @odd.tasks(
leat.kernel_func @odd inputs 3 -> [tensor<?x8x?x72xf32>] {
^bb0(%q: tensor<?x8x?x72xf32>, %k: tensor<?x8x?x72xf32>, %v: tensor<?x8x?x72xf32>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125} : (tensor<?x8x?x72xf32>, tensor<?x8x?x72xf32>, tensor<?x8x?x72xf32>) -> tensor<?x8x?x72xf32>
  leat.yield %o : tensor<?x8x?x72xf32>
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
