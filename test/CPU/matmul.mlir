// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=512 features=avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,sse4.1" | FileCheck %s --check-prefixes=CHECK,V4
// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=256 features=fma,f16c,sse4.1" | FileCheck %s --check-prefixes=CHECK,V3
// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=128" | FileCheck %s --check-prefixes=CHECK,V1

// RUN: leat-opt %s --split-input-file --leat-lower-kernels-cpu="vector-bits=512 features=avx512f,avx512bw,avx512dq,avx512vl,fma,f16c,sse4.1,avx512bf16" | FileCheck %s --check-prefix=DOTS

// A packed weight: the inner loop holds a tile of sums in registers and reads one row of the panel; nothing is packed at run time.
// V4-LABEL: func.func private @product_f32_f32_f32_6x64(
// V4: scf.for {{.*}} -> (vector<16xf32>
// V4-COUNT-24: vector.fma
// V4-NOT: vector.fma
// The next panel is fetched meanwhile, into the first cache.
// V4: "llvm.intr.prefetch"({{.*}}) <{cache = 1 : i32, hint = 3 : i32, rw = 0 : i32}>
// V4: scf.yield
// V3-LABEL: func.func private @product_f32_f32_f32_6x16(
// V3-COUNT-12: vector.fma {{.*}} : vector<8xf32>
// V3-NOT: vector.fma
// V3: scf.yield
// Without the instruction there is no fma: it would be a call.
// V1-LABEL: func.func private @product_f32_f32_f32_6x8(
// V1-NOT: vector.fma
// V1: arith.mulf {{.*}} : vector<4xf32>
// CHECK-LABEL: func.func @packed(
// CHECK-NOT: call @pack_
// Whole tiles: between parts of the loop over k a vector of the tile before ends, and rows of the next one are asked for.
// V4: scf.for {{.*}} -> (vector<16xf32>
// V4: llvm.load {{.*}} -> vector<16xf32>
// V4: llvm.store {{.*}} : vector<16xf32>
// V4-COUNT-6: "llvm.intr.prefetch"({{.*}}) <{cache = 1 : i32, hint = 2 : i32, rw = 0 : i32}>
// V4: scf.for {{.*}} -> (vector<16xf32>
// V4-COUNT-24: vector.fma
// V4-NOT: vector.fma
// V4: scf.yield
// V4: scf.for {{.*}} -> (vector<16xf32>
// V4-COUNT-24: vector.fma
// V4: scf.yield
// V4-COUNT-24: llvm.store {{.*}} : vector<16xf32>
// V3-COUNT-12: vector.fma {{.*}} : vector<8xf32>
// V3-COUNT-12: vector.fma {{.*}} : vector<8xf32>
// V3-COUNT-12: llvm.store {{.*}} : vector<8xf32>
// The last tile has none behind it; what is left goes by way of scratch.
// CHECK: scf.for
// CHECK: llvm.store
// CHECK: call @product_f32_f32_f32(
// CHECK-LABEL: func.func @packed.tasks(
// CHECK-LABEL: func.func @packed.scratch(
// CHECK-LABEL: func.func @packed.cost(
leat.kernel_func @packed inputs 2 -> [tensor<?x128xf32>] attributes {leat.layouts = ["", "panel64"]} {
^bb0(%a: tensor<?x96xf32>, %b: tensor<96x128xf32>):
  %y = leat.matmul %a, %b : (tensor<?x96xf32>, tensor<96x128xf32>) -> tensor<?x128xf32>
  leat.yield %y : tensor<?x128xf32>
}

// -----

// What is added to the product is asked for before its tile is computed: four lines of each of six rows.
// CHECK-LABEL: func.func @residual(
// V4-COUNT-24: "llvm.intr.prefetch"({{.*}}) <{cache = 1 : i32, hint = 2 : i32, rw = 0 : i32}>
// V4-NOT: llvm.intr.prefetch
// V4: scf.for {{.*}} -> (vector<16xf32>
// CHECK-LABEL: func.func @residual.tasks(
#elements = affine_map<(i, j) -> (i, j)>
leat.kernel_func @residual inputs 3 -> [tensor<?x128xf32>] attributes {leat.layouts = ["", "panel64", ""]} {
^bb0(%a: tensor<?x96xf32>, %b: tensor<96x128xf32>, %c: tensor<?x128xf32>, %n: index):
  %y = leat.matmul %a, %b : (tensor<?x96xf32>, tensor<96x128xf32>) -> tensor<?x128xf32>
  %e = tensor.empty(%n) : tensor<?x128xf32>
  %z = linalg.generic {indexing_maps = [#elements, #elements, #elements], iterator_types = ["parallel", "parallel"]} ins(%y, %c : tensor<?x128xf32>, tensor<?x128xf32>) outs(%e : tensor<?x128xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %s = arith.addf %p, %q : f32
    linalg.yield %s : f32
  } -> tensor<?x128xf32>
  leat.yield %z : tensor<?x128xf32>
}

// -----

// A long epilogue is written once.
// CHECK-LABEL: func.func @long(
// CHECK-NOT: vector.fma
// CHECK-NOT: llvm.intr.prefetch
// CHECK: call @product_f32_f32_f32(
// CHECK-LABEL: func.func @long.tasks(
#id = affine_map<(i, j) -> (i, j)>
leat.kernel_func @long inputs 2 -> [tensor<?x64xf32>] attributes {leat.layouts = ["", "panel64"]} {
^bb0(%a: tensor<?x96xf32>, %b: tensor<96x64xf32>, %n: index):
  %y = leat.matmul %a, %b : (tensor<?x96xf32>, tensor<96x64xf32>) -> tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%y : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%q: f32, %o: f32):
    %s0 = arith.addf %q, %q : f32
    %s1 = arith.mulf %s0, %q : f32
    %s2 = arith.mulf %s1, %q : f32
    %s3 = arith.mulf %s2, %q : f32
    %s4 = arith.mulf %s3, %q : f32
    %s5 = arith.mulf %s4, %q : f32
    %s6 = arith.mulf %s5, %q : f32
    %s7 = arith.mulf %s6, %q : f32
    %s8 = arith.mulf %s7, %q : f32
    %s9 = arith.mulf %s8, %q : f32
    %s10 = arith.mulf %s9, %q : f32
    %s11 = arith.mulf %s10, %q : f32
    %s12 = arith.mulf %s11, %q : f32
    %s13 = arith.mulf %s12, %q : f32
    %s14 = arith.mulf %s13, %q : f32
    %s15 = arith.mulf %s14, %q : f32
    %s16 = arith.mulf %s15, %q : f32
    %s17 = arith.mulf %s16, %q : f32
    %s18 = arith.mulf %s17, %q : f32
    %s19 = arith.mulf %s18, %q : f32
    %s20 = arith.mulf %s19, %q : f32
    %s21 = arith.mulf %s20, %q : f32
    %s22 = arith.mulf %s21, %q : f32
    %s23 = arith.mulf %s22, %q : f32
    linalg.yield %s23 : f32
  } -> tensor<?x64xf32>
  leat.yield %z : tensor<?x64xf32>
}

// -----

// Operands of run time are packed by the task: rows of a transposed one in registers.
// CHECK-LABEL: func.func private @pack_transposed_f16_f32(
// V4: vector.shuffle {{.*}} : vector<16xf32>
// CHECK-LABEL: func.func @runtime(
// CHECK: call @pack_transposed_f16_f32
// CHECK: call @product_f16_f32_f32
leat.kernel_func @runtime inputs 2 -> [tensor<?x4x?x?xf16>] {
^bb0(%a: tensor<?x4x?x?xf16>, %b: tensor<?x1x?x?xf16>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x4x?x?xf16>, tensor<?x1x?x?xf16>) -> tensor<?x4x?x?xf16>
  leat.yield %y : tensor<?x4x?x?xf16>
}

// -----

// 8-bit integers are widened and added up in 32 bits.
// CHECK-LABEL: func.func private @product_i8_i32_i32_1x
// CHECK: arith.extsi
// CHECK: arith.muli
leat.kernel_func @integers inputs 2 -> [tensor<?x?xi32>] {
^bb0(%a: tensor<?x?xi8>, %b: tensor<?x?xi8>):
  %y = leat.matmul %a, %b : (tensor<?x?xi8>, tensor<?x?xi8>) -> tensor<?x?xi32>
  leat.yield %y : tensor<?x?xi32>
}

// -----

// 4-bit codes become floats by a table of 16 in a register, or by shift, mask and conversion.
// CHECK-LABEL: func.func private @dequantize_q4_32_f32(
// V4: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
// V3: arith.sitofp {{.*}} : vector<8xi32> to vector<8xf32>
// CHECK-LABEL: func.func @quantised(
// CHECK: call @product_f32_q4_32_f32_x1
// CHECK: call @dequantize_q4_32_f32
leat.kernel_func @quantised inputs 3 -> [tensor<?x64xf32>] attributes {leat.layouts = ["", "nbits64.4.32", "panel64t"]} {
^bb0(%a: tensor<?x64xf32>, %c: tensor<64x2x16xi8>, %s: tensor<64x2xf32>):
  %y = leat.matmul_nbits %a, %c, %s {k = 64, n = 64, bits = 4, block = 32} : (tensor<?x64xf32>, tensor<64x2x16xi8>, tensor<64x2xf32>) -> tensor<?x64xf32>
  leat.yield %y : tensor<?x64xf32>
}

// -----

// bf16 in pairs: both halves are widened, or multiplied as they are where the schedule says so and the processor can.
// CHECK-LABEL: func.func private @product_f32_bf16_pairs_f32_1x
// CHECK: arith.shli
// CHECK: arith.andi
// CHECK-LABEL: func.func @pairs(
// CHECK: call @product_f32_bf16_pairs_f32(
// DOTS-LABEL: func.func private @product_bf16_bf16_dots_f32_6x64(
// DOTS: scf.for {{.*}} -> (vector<16xf32>
// DOTS-COUNT-24: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// DOTS-NOT: llvm.call_intrinsic
// DOTS: scf.yield
// DOTS-LABEL: func.func @pairs(
// DOTS: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// DOTS: call @product_bf16_bf16_dots_f32(
leat.kernel_func @pairs inputs 2 -> [tensor<?x128xf32>] attributes {leat.layouts = ["", "panel64.2"], schedule = #leat.schedule<"gemm", {bf16 = 1 : i64}>} {
^bb0(%a: tensor<?x96xf32>, %b: tensor<96x128xbf16>):
  %y = leat.matmul %a, %b : (tensor<?x96xf32>, tensor<96x128xbf16>) -> tensor<?x128xf32>
  leat.yield %y : tensor<?x128xf32>
}
