// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda --canonicalize --cse | FileCheck %s

// Greedy: one pass over the row, a pair of a value and a position from each thread.
// CHECK-LABEL: func.func @greedy.program0(
// CHECK:         tile.program threads 512
// CHECK-COUNT-15:  tile.from_lane
// CHECK-COUNT-1:   tile.barrier
// CHECK-COUNT-12:  tile.from_lane
// CHECK-NOT:       math.exp
// CHECK:           llvm.store %{{.*}} : i64, !llvm.ptr
// CHECK-NOT:     @greedy.program1
leat.kernel_func @greedy inputs 1 -> [tensor<?xi64>] {
^bb0(%x: tensor<?x49152xf32>, %step: index):
  %t = leat.sample %x step %step {seed = 5 : i64, temperature = 0.0 : f64} : tensor<?x49152xf32> -> tensor<?xi64>
  leat.yield %t : tensor<?xi64>
}

// Weights in memory, then two loops: one looks for the least weight that is kept, one for the token.
// CHECK-LABEL: func.func @nucleus.program0(
// CHECK:         tile.program threads 128
// CHECK:           math.exp %{{.*}} : f64
// CHECK:           scf.while
// CHECK:             arith.minsi
// CHECK:             tile.barrier
// CHECK:           scf.while
// CHECK:             tile.barrier
// CHECK-LABEL: func.func @nucleus.geometry(
leat.kernel_func @nucleus inputs 1 -> [tensor<?xi64>] {
^bb0(%x: tensor<?x1000xf16>, %step: index):
  %t = leat.sample %x step %step {seed = 5 : i64, temperature = 1.0 : f64, top_p = 0.9 : f64} : tensor<?x1000xf16> -> tensor<?xi64>
  leat.yield %t : tensor<?xi64>
}
