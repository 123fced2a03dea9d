// RUN: leat-opt %s --split-input-file --leat-quantize-weights=kind=int4 --verify-diagnostics | FileCheck %s --check-prefix=INT4
// RUN: leat-opt %s --split-input-file --leat-quantize-weights="kind=int8 int8-activations" 2>/dev/null | FileCheck %s --check-prefix=INT8
// RUN: leat-opt %s --split-input-file --leat-quantize-weights="kind=int4(g=64)" 2>/dev/null | FileCheck %s --check-prefix=WIDE
// RUN: leat-opt %s --split-input-file --leat-quantize-weights=kind=bf16 2>/dev/null | FileCheck %s --check-prefix=BF16
// RUN: leat-opt %s --split-input-file --leat-quantize-weights=kind=f16 2>/dev/null | FileCheck %s --check-prefix=F16
// RUN: leat-opt %s --split-input-file --leat-quantize-weights 2>/dev/null | FileCheck %s --check-prefix=F32

// Without a kind nothing happens.
// F32: leat.param @matrix : tensor<40x3xf32>
// F32-NOT: matmul_nbits
// F32-NOT: bf16

// Columns of 40 values are two blocks; both products, in different functions, read one set of codes.
// INT4-LABEL: module attributes {leat.weights = {bytes_after = 108 : i64, bytes_before = 480 : i64, count = 1 : i64, kind = "int4(g=32)",
// INT4-DAG: leat.param @matrix.int4 : tensor<3x2x16xi8> {key = "matrix.int4"}
// INT4-DAG: leat.param @matrix.int4.scales : tensor<3x2xf16> {key = "matrix.int4.scales"}
// INT4-NOT: leat.param @matrix :
// INT4-LABEL: func.func @main
// INT4-DAG: %[[C:.*]] = leat.param_ref @matrix.int4 : tensor<3x2x16xi8>
// INT4-DAG: %[[S:.*]] = leat.param_ref @matrix.int4.scales
// INT4: leat.matmul_nbits %{{.*}}, %[[C]], %[[S]] {bits = 4 : i64, block = 32 : i64, k = 40 : i64, n = 3 : i64} : (tensor<?x?x40xf32>, tensor<3x2x16xi8>, tensor<3x2xf16>) -> tensor<?x?x3xf32>
// INT4-LABEL: func.func @step
// INT4: leat.matmul_nbits

// In groups that are wider than the column one block is as long as it has to be.
// INT8: kind = "int8(g=256)"
// INT8: leat.param @matrix.int8 : tensor<3x1x64xi8> {key = "matrix.int8"}
// INT8: leat.matmul_nbits {{.*}} {bits = 8 : i64, block = 64 : i64, int8_activations, k = 40 : i64, n = 3 : i64}

// WIDE: leat.param @matrix.int4 : tensor<3x1x32xi8> {key = "matrix.int4"}
// WIDE: leat.param @matrix.int4.scales : tensor<3x1xf16>
// WIDE: leat.matmul_nbits {{.*}} {bits = 4 : i64, block = 64 : i64, k = 40 : i64

// F16: leat.param @matrix.f16 : tensor<40x3xf16> {key = "matrix.f16"}
// BF16: leat.param @matrix.bf16 : tensor<40x3xbf16> {key = "matrix.bf16"}
// BF16: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x?x40xf32>, tensor<40x3xbf16>) -> tensor<?x?x3xf32>

module {
// expected-remark @below {{weight 'matrix' is stored as int4(g=32): relative error 0.00E+00, 108 of 480 bytes}}
leat.param @matrix : tensor<40x3xf32> {value = dense<0.5> : tensor<40x3xf32>}
func.func @main(%x: tensor<?x?x40xf32>) -> tensor<?x?x3xf32> {
  %w = leat.param_ref @matrix : tensor<40x3xf32>
  %y = leat.matmul %x, %w : (tensor<?x?x40xf32>, tensor<40x3xf32>) -> tensor<?x?x3xf32>
  return %y : tensor<?x?x3xf32>
}
func.func @step(%x: tensor<?x40xf32>) -> tensor<?x3xf32> {
  %w = leat.param_ref @matrix : tensor<40x3xf32>
  %y = leat.matmul %x, %w : (tensor<?x40xf32>, tensor<40x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
}

// -----

// An embedding tied to the logits: the lookup reads the same codes, which have 8 bits also where others have 4. Its scales are too small for f16.
// INT4-LABEL: func.func @tied
// INT4-DAG: leat.param_ref @embedding.int8 : tensor<2x1x32xi8>
// INT4-DAG: leat.param_ref @embedding.int8.scales : tensor<2x1xf32>
// INT4: linalg.generic
// INT4: %[[BYTE:.*]] = tensor.extract %{{.*}} : tensor<2x1x32xi8>
// INT4: arith.extui %[[BYTE]] : i8 to i32
// INT4: arith.sitofp
// INT4: %[[SCALE:.*]] = tensor.extract %{{.*}} : tensor<2x1xf32>
// INT4: arith.mulf %{{.*}}, %[[SCALE]] : f32
// INT4: leat.matmul_nbits {{.*}}bits = 8
// INT8-LABEL: func.func @tied
// INT8: tensor.extract %{{.*}} : tensor<2x1x32xi8>
// INT8: leat.matmul_nbits
// BF16-LABEL: func.func @tied
// BF16: %[[E:.*]] = tensor.extract %{{.*}} : tensor<2x32xbf16>
// BF16: arith.extf %[[E]] : bf16 to f32
// BF16: leat.matmul {{.*}}trans_b
module {
// expected-remark @below {{weight 'embedding' is stored as int8(g=32)}}
leat.param @embedding : tensor<2x32xf32> {value = dense<1.0e-7> : tensor<2x32xf32>}
func.func @tied(%ids: tensor<4xi64>, %x: tensor<4x32xf32>) -> (tensor<4x32xf32>, tensor<4x2xf32>) {
  %w = leat.param_ref @embedding : tensor<2x32xf32>
  %empty = tensor.empty() : tensor<4x32xf32>
  %rows = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<4xi64>) outs(%empty : tensor<4x32xf32>) {
  ^bb0(%id: i64, %out: f32):
    %row = arith.index_cast %id : i64 to index
    %column = linalg.index 1 : index
    %element = tensor.extract %w[%row, %column] : tensor<2x32xf32>
    linalg.yield %element : f32
  } -> tensor<4x32xf32>
  %y = leat.matmul %x, %w {trans_b} : (tensor<4x32xf32>, tensor<2x32xf32>) -> tensor<4x2xf32>
  return %rows, %y : tensor<4x32xf32>, tensor<4x2xf32>
}
}

// -----

// What stays: a weight with another use, short sums, doubles, several matrices (but for bf16), both orders, a right side that is computed.
// INT4-LABEL: func.func @stays
// INT4-NOT: matmul_nbits
// BF16-LABEL: func.func @stays
// BF16: leat.matmul {{.*}} : (tensor<2x4x32xf32>, tensor<2x32x4xbf16>)
// expected-warning @below {{no weight can be stored as int4}}
module {
// expected-remark @below {{weight 'returned' stays as it is: it is also read by something else than products}}
leat.param @returned : tensor<32x32xf32> {value = dense<1.0> : tensor<32x32xf32>}
// expected-remark @below {{weight 'left' stays as it is: it is also read by something else than products}}
leat.param @left : tensor<32x32xf32> {value = dense<1.0> : tensor<32x32xf32>}
// expected-remark @below {{weight 'short' stays as it is: it has fewer than 32 values to a sum}}
leat.param @short : tensor<31x32xf32> {value = dense<1.0> : tensor<31x32xf32>}
// expected-remark @below {{weight 'double' stays as it is: it is not f32, f16 or bf16}}
leat.param @double : tensor<32x4xf64> {value = dense<1.0> : tensor<32x4xf64>}
// expected-remark @below {{weight 'several' stays as it is: it is more than one matrix}}
leat.param @several : tensor<2x32x4xf32> {value = dense<1.0> : tensor<2x32x4xf32>}
// expected-remark @below {{weight 'both' stays as it is: products read it in both orders}}
leat.param @both : tensor<32x32xf32> {value = dense<1.0> : tensor<32x32xf32>}
func.func @stays(%x: tensor<4x32xf32>, %d: tensor<4x32xf64>, %s: tensor<4x31xf32>, %b: tensor<2x4x32xf32>, %w: tensor<32x32xf32>)
    -> (tensor<4x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>, tensor<4x32xf32>, tensor<4x4xf64>, tensor<2x4x4xf32>, tensor<4x32xf32>, tensor<4x32xf32>, tensor<4x32xf32>) {
  %returned = leat.param_ref @returned : tensor<32x32xf32>
  %0 = leat.matmul %x, %returned : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32>
  %left = leat.param_ref @left : tensor<32x32xf32>
  %1 = leat.matmul %left, %left : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %short = leat.param_ref @short : tensor<31x32xf32>
  %2 = leat.matmul %s, %short : (tensor<4x31xf32>, tensor<31x32xf32>) -> tensor<4x32xf32>
  %double = leat.param_ref @double : tensor<32x4xf64>
  %3 = leat.matmul %d, %double : (tensor<4x32xf64>, tensor<32x4xf64>) -> tensor<4x4xf64>
  %several = leat.param_ref @several : tensor<2x32x4xf32>
  %4 = leat.matmul %b, %several : (tensor<2x4x32xf32>, tensor<2x32x4xf32>) -> tensor<2x4x4xf32>
  %both = leat.param_ref @both : tensor<32x32xf32>
  %5 = leat.matmul %x, %both : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32>
  %6 = leat.matmul %x, %both {trans_b} : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32>
  %7 = leat.matmul %x, %w : (tensor<4x32xf32>, tensor<32x32xf32>) -> tensor<4x32xf32>
  return %0, %returned, %1, %2, %3, %4, %5, %6, %7
      : tensor<4x32xf32>, tensor<32x32xf32>, tensor<32x32xf32>, tensor<4x32xf32>, tensor<4x4xf64>, tensor<2x4x4xf32>, tensor<4x32xf32>, tensor<4x32xf32>, tensor<4x32xf32>
}
}
