// RUN: leat-opt %s --leat-quantize-weights="kind=int4 keep=m*trix" 2>&1 | FileCheck %s --check-prefix=KEEP
// RUN: not leat-opt %s --leat-quantize-weights=kind=int3 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not leat-opt %s --leat-quantize-weights="kind=int8(g=100)" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not leat-opt %s --leat-quantize-weights="kind=bf16(g=32)" 2>&1 | FileCheck %s --check-prefix=FLOAT
// RUN: not leat-opt %s --leat-quantize-weights="kind=int4 keep=[" 2>&1 | FileCheck %s --check-prefix=PATTERN

// KEEP: remark: weight 'matrix' stays as it is: a pattern says so
// KEEP: warning: no weight can be stored as int4
// KEEP: leat.matmul %
// KIND: 'int3' is no way to store weights: those are f32, bf16, f16, int8, int4, and codes with a group, as in int8(g=64)
// GROUP: 'int8(g=100)' has no valid group: (g=N), N a multiple of 32 up to 65536
// FLOAT: 'bf16(g=32)' asks for a group, which only int8 and int4 have
// PATTERN: bad pattern of weights to keep, '['
leat.param @matrix : tensor<40x3xf32> {value = dense<0.5> : tensor<40x3xf32>}
func.func @main(%x: tensor<?x40xf32>) -> tensor<?x3xf32> {
  %w = leat.param_ref @matrix : tensor<40x3xf32>
  %y = leat.matmul %x, %w : (tensor<?x40xf32>, tensor<40x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
