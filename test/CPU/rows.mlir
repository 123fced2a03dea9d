// RUN: leat-opt %s --leat-lower-kernels-cpu="vector-bits=512 features=fma" --canonicalize --cse | FileCheck %s

// Three passes over the row: maximum, exponentials and their sum, quotient. The row lies in scratch between them.
// CHECK-LABEL: func.func @softmax(
// CHECK-SAME:    %[[SCRATCH:[a-z0-9]+]]: !llvm.ptr) {
// CHECK:         arith.cmpf olt, %{{.*}} : vector<16xf32>
// CHECK:         vector.extract_strided_slice %{{.*}} : vector<16xf32> to vector<8xf32>
// CHECK:         math.exp %{{.*}} : vector<16xf32>
// CHECK:         arith.divf %{{.*}} : f32
// CHECK:         arith.mulf %{{.*}} : vector<16xf32>
// CHECK-LABEL: func.func @softmax.scratch(
// CHECK:         arith.muli %{{.*}}, %c4 : index
leat.kernel_func @softmax inputs 1 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>):
  %r = leat.softmax %x {axis = 1 : i64} : tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
}

// Along another axis than the last, lanes are rows.
// CHECK-LABEL: func.func @columns(
// CHECK-NOT:     vector.extract_strided_slice
// CHECK:         return
leat.kernel_func @columns inputs 1 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>):
  %r = leat.softmax %x {axis = 0 : i64} : tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
}

// f16 is summed in f32, in four accumulators.
// CHECK-LABEL: func.func @sum(
// CHECK:         scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
leat.kernel_func @sum inputs 1 -> [tensor<?xf16>] {
^bb0(%x: tensor<?x?xf16>, %n: index):
  %z = arith.constant 0.0 : f16
  %e = tensor.empty(%n) : tensor<?xf16>
  %f = linalg.fill ins(%z : f16) outs(%e : tensor<?xf16>) -> tensor<?xf16>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf16>) outs(%f : tensor<?xf16>) {
  ^bb0(%a: f16, %o: f16):
    %0 = arith.addf %a, %o : f16
    linalg.yield %0 : f16
  } -> tensor<?xf16>
  leat.yield %r : tensor<?xf16>
}
