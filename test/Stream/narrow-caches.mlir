// RUN: leat-opt %s -leat-narrow-caches=policy=prec=f16 -split-input-file -verify-diagnostics | FileCheck %s
// RUN: leat-opt %s -leat-narrow-caches -split-input-file | FileCheck %s --check-prefix=ALL

// ALL-NOT: f16

// The new entry is rounded once; the attention of this step sees what later ones see. Who else reads it gets it widened.
// CHECK: leat.slot @k : tensor<?x2x?x4xf16> growth append
// CHECK: leat.slot @v : tensor<?x2x?x4xf16> growth ring
// CHECK: leat.slot @seen : tensor<i64> growth counter
// CHECK-LABEL: func @step
// CHECK: %[[K:.*]] = linalg.generic {{.*}}ins(%arg1 : tensor<?x2x?x4xf32>)
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: %[[WIDE:.*]] = linalg.generic {{.*}}ins(%[[K]] : tensor<?x2x?x4xf16>)
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: leat.cache_append %{{.*}}, %[[K]] at %arg3 : <tensor<?x2x?x4xf16>>, tensor<?x2x?x4xf16>
// CHECK: %[[KS:.*]] = leat.cache_view {{.*}} -> tensor<?x2x?x4xf16>
// CHECK: %[[NEW:.*]] = tensor.extract_slice %{{.*}} : tensor<?x2x?x4xf16> to tensor<?x2x?x4xf16>
// CHECK: leat.kv_attend q(%arg0, %arg0) k(%[[KS]], %[[K]]) v(%{{.*}}, %[[NEW]])
// CHECK: return %{{.*}}, %[[WIDE]]
leat.slot @k : tensor<?x2x?x4xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
leat.slot @v : tensor<?x2x?x4xf32> growth ring {axis = 2 : i64, batch_axis = 0 : i64, ring = 8 : i64}
leat.slot @seen : tensor<i64> growth counter
func.func @step(%q: tensor<?x4x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>, %at: index, %n: index) -> (tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>) {
  %c0 = arith.constant 0 : index
  %s0 = leat.state_get @k : !leat.state<tensor<?x2x?x4xf32>>
  %s1 = leat.cache_append %s0, %k at %at : !leat.state<tensor<?x2x?x4xf32>>, tensor<?x2x?x4xf32>
  %ks = leat.cache_view %s1[%c0, %n] : !leat.state<tensor<?x2x?x4xf32>> -> tensor<?x2x?x4xf32>
  leat.state_put @k, %s1 : !leat.state<tensor<?x2x?x4xf32>>
  %t0 = leat.state_get @v : !leat.state<tensor<?x2x?x4xf32>>
  %vs = leat.cache_view %t0[%c0, %n] : !leat.state<tensor<?x2x?x4xf32>> -> tensor<?x2x?x4xf32>
  %b = tensor.dim %v, %c0 : tensor<?x2x?x4xf32>
  %new = tensor.extract_slice %v[0, 0, 0, 0] [%b, 2, %n, 4] [1, 1, 1, 1] : tensor<?x2x?x4xf32> to tensor<?x2x?x4xf32>
  %t1 = leat.cache_append %t0, %v at %at : !leat.state<tensor<?x2x?x4xf32>>, tensor<?x2x?x4xf32>
  leat.state_put @v, %t1 : !leat.state<tensor<?x2x?x4xf32>>
  %o = leat.kv_attend q(%q, %q) k(%ks, %k) v(%vs, %new) {scale = 0.5 : f64} : (tensor<?x4x?x4xf32>, tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x4x?x4xf32>
  return %o, %k : tensor<?x4x?x4xf32>, tensor<?x2x?x4xf32>
}

// -----

// expected-error @below {{prec (dimension D7) does not apply: the model has no f32 cache that only attention reads}}
module {
// expected-warning @below {{cache 'k' keeps 'f32': something else than attention reads it}}
leat.slot @k : tensor<?x4xf32> growth append {axis = 0 : i64}
func.func @step(%at: index) -> tensor<?x4xf32> {
  %s = leat.state_get @k : !leat.state<tensor<?x4xf32>>
  %v = leat.cache_view %s[%at, %at] : !leat.state<tensor<?x4xf32>> -> tensor<?x4xf32>
  return %v : tensor<?x4xf32>
}
}
