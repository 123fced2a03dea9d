// RUN: leat-opt %s -leat-decompose -canonicalize -cse -split-input-file | FileCheck %s
// RUN: not leat-opt %s -leat-decompose=ops=yield -split-input-file 2>&1 | FileCheck %s --check-prefix=WRONG

// WRONG: leat-decompose: leat has no op 'yield' with a decomposition

// CHECK-LABEL: @greedy
func.func @greedy(%x: tensor<?x32xf32>, %s: index) -> tensor<?xi64> {
  // CHECK: arith.maximumf
  // CHECK: arith.minsi
  // CHECK-NOT: math.exp
  %0 = leat.sample %x step %s {seed = 7 : i64, temperature = 0.0 : f64} : tensor<?x32xf32> -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// CHECK-LABEL: @filters
func.func @filters(%x: tensor<?x32xf32>, %h: tensor<?x?xi64>, %s: index) -> tensor<?xi64> {
  // The penalty, weights in f64, places for top-k, mass before for top-p, the draw.
  // CHECK: linalg.generic {{.*}}ins(%arg1 : tensor<?x?xi64>)
  // CHECK: arith.divf
  // CHECK: math.exp {{.*}} : f64
  // CHECK: iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK: iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK: iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK: arith.uitofp {{.*}} : i64 to f64
  %0 = leat.sample %x history %h : tensor<?x?xi64> step %s {seed = 7 : i64, temperature = 0.8 : f64, top_k = 4 : i64, top_p = 0.9 : f64, repetition_penalty = 1.2 : f64} : tensor<?x32xf32> -> tensor<?xi64>
  return %0 : tensor<?xi64>
}
