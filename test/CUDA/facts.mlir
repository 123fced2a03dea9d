// RUN: leat-opt %s --leat-lower-kernels-cuda | FileCheck %s

// What the artifact says of each kernel: its kind, its entries, and how many pointers and numbers they take. Two pointers are scratch and
// what phases share; a number for each scalar and each dynamic dimension of operands and results.
// CHECK: module attributes {leat.kernels = [
// CHECK-SAME: {buffers = 5 : i64, description = "", entries = [{shared = 0 : i64, symbol = "leat_relu_0", threads = 128 : i64}], kind = "generic", name = "relu.0", scalars = 3 : i64, strategy = ""},
// CHECK-SAME: {buffers = 5 : i64, description = "", entries = [], kind = "host", name = "sine", scalars = 2 : i64, strategy = ""}]}
module attributes {leat.kernels = [{name = "relu.0", description = "", strategy = ""}, {name = "sine", description = "", strategy = ""}]} {
  leat.kernel_func @relu.0 inputs 1 -> [tensor<?xf32>] {
  ^bb0(%x: tensor<?xf32>, %n: index):
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
        ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %0 = arith.maximumf %a, %zero : f32
      linalg.yield %0 : f32
    } -> tensor<?xf32>
    leat.yield %r : tensor<?xf32>
  }
  // CHECK: func.func @sine.extents(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
  leat.kernel_func @sine inputs 1 -> [tensor<?xf64>] {
  ^bb0(%x: tensor<?xf64>):
    %c0 = arith.constant 0 : index
    %n = tensor.dim %x, %c0 : tensor<?xf64>
    %e = tensor.empty(%n) : tensor<?xf64>
    %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
        ins(%x : tensor<?xf64>) outs(%e : tensor<?xf64>) {
    ^bb0(%a: f64, %o: f64):
      %0 = math.sin %a : f64
      linalg.yield %0 : f64
    } -> tensor<?xf64>
    leat.yield %r : tensor<?xf64>
  }
}
