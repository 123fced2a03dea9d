// RUN: not leat-opt %s --leat-lower-kernels-cpu 2>&1 | FileCheck %s

// CHECK: error: cannot generate code for kernel @f: op 'leat.cumsum' cannot be computed on demand inside another kernel
// CHECK: note: in this kernel
leat.kernel_func @f inputs 1 -> [tensor<4x4xf32>] {
^bb0(%x: tensor<4x4xf32>):
  %0 = leat.cumsum %x {axis = 0 : i64} : tensor<4x4xf32>
  %1 = leat.softmax %0 {axis = 1 : i64} : tensor<4x4xf32>
  leat.yield %1 : tensor<4x4xf32>
}
