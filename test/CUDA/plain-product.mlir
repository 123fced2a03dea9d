// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda | FileCheck %s

// A kernel that is one product and nothing else says how a library would be asked for it, and the artifact's list what it is.
// CHECK: module attributes {leat.kernels = [
// CHECK-SAME: cublaslt = false, description = "", entries = [{{.*}}], gemm = "bf16 x bf16^T + bias -> bf16", kind = "tuned", name = "biased"
// CHECK-SAME: gemm = "f32 x f32 -> f32", kind = "tuned", name = "ones"
// CHECK-NOT: gemm
// CHECK-SAME: name = "rows"
// CHECK-NOT: gemm
// CHECK-SAME: name = "uneven"
module attributes {leat.kernels = [{name = "biased", description = "", strategy = ""}, {name = "ones", description = "", strategy = ""},
                                   {name = "rows", description = "", strategy = ""}, {name = "uneven", description = "", strategy = ""}]} {

// CHECK-LABEL: func.func @biased.gemm(
// CHECK-DAG: %[[EIGHT:.*]] = arith.constant 8 : index
// CHECK: %[[FEW:.*]] = arith.cmpi sle, %[[M:.*]], %[[EIGHT]]
// CHECK: arith.select %[[FEW]], %{{.*}}, %[[M]]
leat.kernel_func @biased inputs 3 -> [tensor<?x24xbf16>] {
^bb0(%a: tensor<?x40xbf16>, %b: tensor<24x40xbf16>, %c: tensor<24xbf16>):
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?x40xbf16>
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x40xbf16>, tensor<24x40xbf16>) -> tensor<?x24xbf16>
  %e = tensor.empty(%n) : tensor<?x24xbf16>
  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%y, %c : tensor<?x24xbf16>, tensor<24xbf16>) outs(%e : tensor<?x24xbf16>) {
  ^bb0(%x: bf16, %s: bf16, %o: bf16):
    %0 = arith.addf %x, %s : bf16
    linalg.yield %0 : bf16
  } -> tensor<?x24xbf16>
  leat.yield %z : tensor<?x24xbf16>
}

// CHECK-LABEL: func.func @ones.gemm(
leat.kernel_func @ones inputs 2 -> [tensor<1x?x24xf32>] {
^bb0(%a: tensor<1x?x40xf32>, %b: tensor<40x24xf32>):
  %y = leat.matmul %a, %b : (tensor<1x?x40xf32>, tensor<40x24xf32>) -> tensor<1x?x24xf32>
  leat.yield %y : tensor<1x?x24xf32>
}

// What is fused is generated: here each row has a number of its own.
// CHECK-NOT: func.func @rows.gemm(
leat.kernel_func @rows inputs 3 -> [tensor<24x24xbf16>] {
^bb0(%a: tensor<24x40xbf16>, %b: tensor<40x24xbf16>, %c: tensor<24xbf16>):
  %y = leat.matmul %a, %b : (tensor<24x40xbf16>, tensor<40x24xbf16>) -> tensor<24x24xbf16>
  %e = tensor.empty() : tensor<24x24xbf16>
  %z = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%y, %c : tensor<24x24xbf16>, tensor<24xbf16>) outs(%e : tensor<24x24xbf16>) {
  ^bb0(%x: bf16, %s: bf16, %o: bf16):
    %0 = arith.addf %x, %s : bf16
    linalg.yield %0 : bf16
  } -> tensor<24x24xbf16>
  leat.yield %z : tensor<24x24xbf16>
}

// Matrices of a batch that are not evenly spaced: the inner ones are 40 elements apart, the outer ones 3 rows.
// CHECK-NOT: func.func @uneven.gemm(
leat.kernel_func @uneven inputs 2 -> [tensor<2x3x16x24xbf16>] {
^bb0(%a: tensor<2x16x3x40xbf16>, %b: tensor<2x3x40x24xbf16>):
  %e = tensor.empty() : tensor<2x3x16x40xbf16>
  %h = linalg.generic {indexing_maps = [affine_map<(b, h, i, j) -> (b, i, h, j)>, affine_map<(b, h, i, j) -> (b, h, i, j)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<2x16x3x40xbf16>) outs(%e : tensor<2x3x16x40xbf16>) {
  ^bb0(%x: bf16, %o: bf16):
    linalg.yield %x : bf16
  } -> tensor<2x3x16x40xbf16>
  %y = leat.matmul %h, %b : (tensor<2x3x16x40xbf16>, tensor<2x3x40x24xbf16>) -> tensor<2x3x16x24xbf16>
  leat.yield %y : tensor<2x3x16x24xbf16>
}
}
