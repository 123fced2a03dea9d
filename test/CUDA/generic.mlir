// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda --canonicalize --cse | FileCheck %s
// RUN: leat-opt %s --leat-schedule-cuda --leat-lower-kernels-cuda --leat-cuda-to-nvvm | FileCheck %s --check-prefix=NVVM

#id = affine_map<(a, b) -> (a, b)>

// One element per task; a thread takes every threads-th of them. Buffers and scalars are arguments by value.
// CHECK-LABEL: func.func @half(
// CHECK-NOT:     vector<
// CHECK:         llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr -> i16
// CHECK:         arith.extf %{{.*}} : f16 to f32
// CHECK:       func.func @half.tasks(
// CHECK:       llvm.func @leat_half(
// CHECK-SAME:    %[[BUFFERS:.*]]: !llvm.ptr {llvm.align = 8 : i64, llvm.byval = !llvm.array<5 x ptr>, nvvm.grid_constant},
// CHECK-SAME:    %[[SCALARS:.*]]: !llvm.ptr {llvm.align = 8 : i64, llvm.byval = !llvm.array<4 x i64>, nvvm.grid_constant})
// CHECK-SAME:    leat.entry = {kernel = "half", phase = 0 : i64, shared = 0 : i64, threads = 128 : i64}, nvvm.kernel, nvvm.maxntid = array<i32: 128>, nvvm.minctasm = 1 : i32
// CHECK-DAG:     nvvm.read.ptx.sreg.ctaid.x
// CHECK-DAG:     nvvm.read.ptx.sreg.tid.x
// CHECK-DAG:     %[[TASKS:.*]] = {{.*}}call @half.tasks(%[[SCALARS]])
// CHECK:         scf.for %[[TASK:.*]] = %{{.*}} to %[[TASKS]] step
// CHECK:           call @half(%[[BUFFERS]], %[[SCALARS]], %[[TASK]], %{{.*}}, %{{.*}}, %{{.*}})
// CHECK:         llvm.return
// CHECK:       func.func @half.geometry(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
// CHECK:         call @half.tasks
// CHECK:         llvm.store
// NVVM-LABEL:  llvm.func @leat_half(
// NVVM:          llvm.call @half(
// NVVM:          llvm.return
leat.kernel_func @half inputs 1 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf16>):
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf16>
  %n = tensor.dim %x, %c1 : tensor<?x?xf16>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf16>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f16, %o: f32):
    %0 = arith.extf %a : f16 to f32
    %1 = arith.mulf %0, %0 : f32
    linalg.yield %1 : f32
  } -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
}

// Elementary functions of f32 are arithmetic.
// NVVM-LABEL:  llvm.func @softmax(
// NVVM-NOT:      llvm.call
// NVVM:          llvm.return
leat.kernel_func @softmax inputs 1 -> [tensor<?x64xf32>] attributes {schedule = #leat.schedule<"thread", {columns = 1, grain = 1}>} {
^bb0(%x: tensor<?x64xf32>):
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x64xf32>
  leat.yield %0 : tensor<?x64xf32>
}

// Those of f64 but exp are calls of a library: the kernel stays on the host.
// CHECK-LABEL: func.func @wide(
// CHECK-NOT:   llvm.func @leat_wide(
// CHECK-NOT:   @wide.geometry
// CHECK:       func.func @wide.tasks(
leat.kernel_func @wide inputs 1 -> [tensor<?xf64>] {
^bb0(%x: tensor<?xf64>):
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?xf64>
  %e = tensor.empty(%m) : tensor<?xf64>
  %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf64>) outs(%e : tensor<?xf64>) {
  ^bb0(%a: f64, %o: f64):
    %0 = math.log %a : f64
    linalg.yield %0 : f64
  } -> tensor<?xf64>
  leat.yield %r : tensor<?xf64>
}
