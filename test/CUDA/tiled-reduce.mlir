// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda --canonicalize --cse | FileCheck %s

// A row of 32 elements: 8 lanes, each with four of them; no barrier.
// CHECK-LABEL: func.func @short.program0(
// CHECK:         tile.program threads 256
// CHECK-NOT:       tile.barrier
// CHECK-COUNT-4:   arith.maxnumf
// CHECK-COUNT-3:   tile.from_lane
// CHECK-NOT:       tile.from_lane
// CHECK:           return
leat.kernel_func @short inputs 1 -> [tensor<?xf32>] {
^bb0(%x: tensor<?x32xf32>):
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x32xf32>
  %z = arith.constant 0xFF800000 : f32
  %e = tensor.empty(%m) : tensor<?xf32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x32xf32>) outs(%i : tensor<?xf32>) {
  ^bb0(%v: f32, %o: f32):
    %0 = arith.maxnumf %v, %o : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  leat.yield %r : tensor<?xf32>
}

// A row of logits: blocks leave a value and a position each, which another launch joins.
// CHECK-LABEL: func.func @argmax.program0(
// CHECK:         tile.program threads 256
// CHECK-COUNT-15:  tile.from_lane
// CHECK:           tile.write
// CHECK:           tile.barrier
// CHECK-COUNT-9:   tile.from_lane
// CHECK-COUNT-2:   llvm.store
// CHECK-LABEL: func.func @argmax.program1(
// CHECK:         tile.program threads 32
// CHECK-COUNT-15:  tile.from_lane
// CHECK:           llvm.store
leat.kernel_func @argmax inputs 1 -> [tensor<1x1xi64>] {
^bb0(%x: tensor<1x49152xf32>):
  %0 = leat.arg_reduce %x {axis = 1 : i64, max = true} : (tensor<1x49152xf32>) -> tensor<1x1xi64>
  leat.yield %0 : tensor<1x1xi64>
}

// Columns are neighbours here: a thread each, in the generic form.
// CHECK-LABEL: func.func @columns(
// CHECK-NOT:   tile.program
// CHECK:       llvm.func @leat_columns(
leat.kernel_func @columns inputs 1 -> [tensor<1x?xi64>] {
^bb0(%x: tensor<64x?xf32>):
  %0 = leat.arg_reduce %x {axis = 0 : i64, max = true} : (tensor<64x?xf32>) -> tensor<1x?xi64>
  leat.yield %0 : tensor<1x?xi64>
}
