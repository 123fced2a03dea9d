// RUN: leat-opt %s --split-input-file --leat-quantize-weights=kind=int4 --verify-diagnostics

// expected-error @below {{weight 'broken' cannot be stored as int4: its value at k = 1, n = 0 is not a finite number; keep it as it is with --keep='broken'}}
leat.param @broken : tensor<32x1xf32> {value = dense<[[1.0], [0x7FC00000], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0], [1.0], [1.0], [2.0], [3.0]]> : tensor<32x1xf32>}
func.func @f(%x: tensor<4x32xf32>) -> tensor<4x1xf32> {
  %w = leat.param_ref @broken : tensor<32x1xf32>
  %y = leat.matmul %x, %w : (tensor<4x32xf32>, tensor<32x1xf32>) -> tensor<4x1xf32>
  return %y : tensor<4x1xf32>
}

// -----

// expected-error @below {{the bytes of weight 'absent' are missing}}
leat.param @absent : tensor<32x1xf32> {key = "nowhere"}
func.func @f(%x: tensor<4x32xf32>) -> tensor<4x1xf32> {
  %w = leat.param_ref @absent : tensor<32x1xf32>
  %y = leat.matmul %x, %w : (tensor<4x32xf32>, tensor<32x1xf32>) -> tensor<4x1xf32>
  return %y : tensor<4x1xf32>
}
