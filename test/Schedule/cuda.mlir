// RUN: leat-opt %s --leat-schedule-cuda | FileCheck %s
// RUN: leat-opt %s --leat-schedule-cuda=int8-activations | FileCheck %s --check-prefix=INT8

// CHECK-LABEL: leat.kernel_func @softmax
// CHECK-SAME: #leat.schedule<"tile", {columns = 1 : i64, grain = 1 : i64}>
leat.kernel_func @softmax inputs 1 -> [tensor<8x64xf32>] {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<8x64xf32>
  leat.yield %0 : tensor<8x64xf32>
}

// What is written by hand stays.
// CHECK-LABEL: leat.kernel_func @given
// CHECK-SAME: #leat.schedule<"thread", {grain = 4 : i64}>
leat.kernel_func @given inputs 1 -> [tensor<8x64xf32>] attributes {schedule = #leat.schedule<"thread", {grain = 4 : i64}>} {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.softmax %a {axis = 1 : i64} : tensor<8x64xf32>
  leat.yield %0 : tensor<8x64xf32>
}

// Products and attention are made in tiles.
// CHECK-LABEL: leat.kernel_func @exact
// CHECK-SAME: #leat.schedule<"tile", {cols = 64 : i64, columns = 1 : i64, cublaslt = 0 : i64, depth = 16 : i64, grain = 1 : i64, rows = 64 : i64, stages = 3 : i64}>
leat.kernel_func @exact inputs 2 -> [tensor<?x32xf32>] {
^bb0(%a: tensor<?x64xf32>, %b: tensor<64x32xf32>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf32>, tensor<64x32xf32>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// CHECK-LABEL: leat.kernel_func @half
// CHECK-SAME: depth = 32 : i64, grain = 1 : i64, rows = 128 : i64, stages = 3 : i64}>
leat.kernel_func @half inputs 2 -> [tensor<?x32xf16>] {
^bb0(%a: tensor<?x64xf16>, %b: tensor<64x32xf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf16>, tensor<64x32xf16>) -> tensor<?x32xf16>
  leat.yield %0 : tensor<?x32xf16>
}

// Only where a product is all there is, a library may have it instead.
// CHECK-LABEL: leat.kernel_func @mixed
// CHECK-NOT: cublaslt
leat.kernel_func @mixed inputs 2 -> [tensor<?x32xf32>] {
^bb0(%a: tensor<?x64xf32>, %b: tensor<64x32xbf16>):
  %0 = leat.matmul %a, %b : (tensor<?x64xf32>, tensor<64x32xbf16>) -> tensor<?x32xf32>
  leat.yield %0 : tensor<?x32xf32>
}

// CHECK-LABEL: leat.kernel_func @attend
// CHECK-SAME: #leat.schedule<"tile", {columns = 1 : i64, grain = 1 : i64, keys = 64 : i64, rows = 64 : i64, stages = 2 : i64}>
leat.kernel_func @attend inputs 3 -> [tensor<1x4x?x64xf16>] {
^bb0(%q: tensor<1x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>):
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64, causal} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  leat.yield %0 : tensor<1x4x?x64xf16>
}

// So are reductions; what else the kernel has decides the sizes.
// CHECK-LABEL: leat.kernel_func @argmax
// CHECK-SAME: #leat.schedule<"tile", {columns = 1 : i64, grain = 1 : i64}>
leat.kernel_func @argmax inputs 1 -> [tensor<8x1xi64>] {
^bb0(%a: tensor<8x64xf32>):
  %0 = leat.arg_reduce %a {axis = 1 : i64, max = true} : (tensor<8x64xf32>) -> tensor<8x1xi64>
  leat.yield %0 : tensor<8x1xi64>
}

// Activations are coded where the op allows it and it was asked for. Few rows and few columns have smaller tiles.
// CHECK-LABEL: leat.kernel_func @coded
// CHECK-SAME: #leat.schedule<"tile", {cols = 64 : i64, columns = 1 : i64, grain = 1 : i64, rows = 64 : i64, stages = 2 : i64}>
// INT8-LABEL: leat.kernel_func @coded
// INT8-SAME: #leat.schedule<"tile", {cols = 128 : i64, columns = 1 : i64, depth = 128 : i64, grain = 1 : i64, int8 = 1 : i64, rows = 128 : i64, stages = 3 : i64}>
leat.kernel_func @coded inputs 3 -> [tensor<?x1024xf32>] {
^bb0(%a: tensor<?x64xf32>, %c: tensor<1024x1x64xi8>, %s: tensor<1024x1xf16>):
  %0 = leat.matmul_nbits %a, %c, %s {int8_activations, k = 64, n = 1024, bits = 8, block = 64} : (tensor<?x64xf32>, tensor<1024x1x64xi8>, tensor<1024x1xf16>) -> tensor<?x1024xf32>
  leat.yield %0 : tensor<?x1024xf32>
}

// INT8-LABEL: leat.kernel_func @few_coded
// INT8-SAME: cols = 64 : i64, {{.*}} int8 = 1 : i64, rows = 64 : i64
leat.kernel_func @few_coded inputs 3 -> [tensor<48x64xf32>] {
^bb0(%a: tensor<48x64xf32>, %c: tensor<64x1x64xi8>, %s: tensor<64x1xf16>):
  %0 = leat.matmul_nbits %a, %c, %s {int8_activations, k = 64, n = 64, bits = 8, block = 64} : (tensor<48x64xf32>, tensor<64x1x64xi8>, tensor<64x1xf16>) -> tensor<48x64xf32>
  leat.yield %0 : tensor<48x64xf32>
}

// INT8-LABEL: leat.kernel_func @exact_coded
// INT8-NOT: int8 =
leat.kernel_func @exact_coded inputs 3 -> [tensor<?x64xf32>] {
^bb0(%a: tensor<?x64xf32>, %c: tensor<64x1x64xi8>, %s: tensor<64x1xf16>):
  %0 = leat.matmul_nbits %a, %c, %s {k = 64, n = 64, bits = 8, block = 64} : (tensor<?x64xf32>, tensor<64x1x64xi8>, tensor<64x1xf16>) -> tensor<?x64xf32>
  leat.yield %0 : tensor<?x64xf32>
}
