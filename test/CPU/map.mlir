// RUN: leat-opt %s --leat-lower-kernels-cpu="vector-bits=256 features=fma,f16c,sse4.1" --canonicalize --cse | FileCheck %s
// RUN: leat-opt %s --leat-lower-kernels-cpu="vector-bits=128" --leat-cpu-to-llvm | FileCheck %s --check-prefix=LLVM

#id = affine_map<(a, b) -> (a, b)>

// All values are elementwise over buffers of one shape: one loop over the whole tensor. The scalar's bits come first, then dimensions.
// CHECK-LABEL: func.func @linear(
// CHECK-SAME:    %[[BUFFERS:.*]]: !llvm.ptr, %[[SCALARS:.*]]: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// CHECK:             llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr -> vector<8xi16>
// CHECK:             arith.extf %{{.*}} : vector<8xf16> to vector<8xf32>
// CHECK:             arith.mulf %{{.*}} : vector<8xf32>
// CHECK:             llvm.store %{{.*}} : vector<8xf32>, !llvm.ptr
// The tail.
// CHECK:           scf.for
// CHECK:             arith.mulf %{{.*}} : f32
// CHECK:         return
// CHECK-LABEL: func.func @linear.tasks(%{{.*}}: !llvm.ptr) -> i64
// CHECK-LABEL: func.func @linear.scratch(%{{.*}}: !llvm.ptr) -> i64
// CHECK-LABEL: func.func @linear.cost(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
// LLVM-LABEL: llvm.func @linear(
// The baseline converts f16 with integer operations.
// LLVM-NOT:     fpext
// LLVM:         llvm.fmul %{{.*}} : vector<4xf32>
leat.kernel_func @linear inputs 2 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %y: tensor<?x?xf16>, %s: f32, %m: index, %n: index):
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : tensor<?x?xf32>, tensor<?x?xf16>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f16, %o: f32):
    %0 = arith.extf %b : f16 to f32
    %1 = arith.addf %a, %0 : f32
    %2 = arith.mulf %1, %s : f32
    linalg.yield %2 : f32
  } -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
}

// A transposed operand is gathered, a gathered row is one run of memory, and a position from a tensor is kept inside the table.
// CHECK-LABEL: func.func @rows(
// CHECK:         arith.minsi
// CHECK:         arith.maxsi
// CHECK:         llvm.load %{{.*}} : !llvm.ptr -> vector<8xf32>
// CHECK:         llvm.intr.masked.gather
// CHECK:         return
leat.kernel_func @rows inputs 3 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %table: tensor<?x?xf32>, %ids: tensor<?xi64>, %m: index, %n: index):
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %id = tensor.extract %ids[%i] : tensor<?xi64>
    %row = arith.index_cast %id : i64 to index
    %g = tensor.extract %table[%row, %j] : tensor<?x?xf32>
    %0 = arith.addf %g, %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
}

// The slot's capacity, length and dimensions are scalars; a state result has no buffer.
// CHECK-LABEL: func.func @append(
// CHECK:         llvm.store %{{.*}} : vector<8xf32>, !llvm.ptr
// CHECK:         return
leat.kernel_func @append inputs 2 -> [!leat.state<tensor<1x2x?x8xf32>>] {
^bb0(%s: !leat.state<tensor<1x2x?x8xf32>>, %x: tensor<1x2x?x8xf32>, %at: index):
  %n = leat.cache_append %s, %x at %at {axis = 2 : i64} : !leat.state<tensor<1x2x?x8xf32>>, tensor<1x2x?x8xf32>
  leat.yield %n : !leat.state<tensor<1x2x?x8xf32>>
}
