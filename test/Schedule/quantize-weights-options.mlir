// RUN: leat-opt %s --leat-quantize-weights="kind=int4 keep=m*trix" 2>&1 | FileCheck %s --check-prefix=KEEP
// RUN: not leat-opt %s --leat-quantize-weights=kind=int3 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not leat-opt %s --leat-quantize-weights="kind=int4 keep=[" 2>&1 | FileCheck %s --check-prefix=PATTERN

// KEEP: remark: weight 'matrix' stays as it is: a pattern says so
// KEEP: warning: no weight can be stored as int4
// KEEP: leat.matmul %
// KIND: weights are stored as f32, bf16, f16, int8 or int4, not as 'int3'
// PATTERN: bad pattern of weights to keep, '['
leat.param @matrix : tensor<40x3xf32> {value = dense<0.5> : tensor<40x3xf32>}
func.func @main(%x: tensor<?x40xf32>) -> tensor<?x3xf32> {
  %w = leat.param_ref @matrix : tensor<40x3xf32>
  %y = leat.matmul %x, %w : (tensor<?x40xf32>, tensor<40x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
