// RUN: leat-opt %s -leat-narrow-caches=policy=prec=i8(g=8) -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,I8
// RUN: leat-opt %s -leat-narrow-caches=policy=prec=i4(g=8) -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,I4
// RUN: not leat-opt %s -leat-narrow-caches=policy=prec=f8 -split-input-file | FileCheck %s --check-prefix=F8

// I8: #[[GROUP:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3 floordiv 8)>
// I4-DAG: #[[BYTE:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, (d3 floordiv 8) * 4 + d3 mod 4)>
// I4-DAG: #[[GROUP:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3 floordiv 8)>
// I4-DAG: #[[LEAST:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3 floordiv 8 + 2)>

// Codes stay in the slot of the model's name; scales, and minima behind them, get one of their own.
// I8: leat.slot @k : tensor<?x2x?x16xi8> growth ring {axis = 2 : i64, batch_axis = 0 : i64, input_name = "past", ring = 8 : i64, sink = 2 : i64}
// I8: leat.slot @k.scales : tensor<?x2x?x2xf16> growth ring {axis = 2 : i64, batch_axis = 0 : i64, ring = 8 : i64, sink = 2 : i64}
// I4: leat.slot @k : tensor<?x2x?x8xi8> growth ring
// I4: leat.slot @k.scales : tensor<?x2x?x4xf16> growth ring
// F8: leat.slot @k : tensor<?x2x?x16xf8E4M3FN> growth ring
// F8-NOT: leat.slot
// CHECK-LABEL: func @step
// F8-LABEL: func @step
// The new entry is encoded once, and this step sees it as later ones do; so does who else reads it.
// F8: arith.maximumf
// F8: arith.minimumf
// F8: arith.truncf %{{.*}} : f32 to f8E4M3FN
// I8: math.absf
// I8: math.roundeven
// I8: arith.fptosi %{{.*}} : f32 to i8
// I4: arith.minimumf
// I4: tensor.concat dim(3)
// I4: math.floor
// CHECK: %[[NEW:.*]] = tensor.collapse_shape
// CHECK: %[[SEES:.*]] = linalg.generic {{.*}} ins(%[[NEW]],

// What is viewed is decoded; attention reads nothing else.
// CHECK: %[[S:.*]] = leat.state_get @k :
// CHECK: %[[T:.*]] = leat.state_get @k.scales :
// CHECK: %[[CODES:.*]] = leat.cache_view %[[S]][
// CHECK: %[[SCALES:.*]] = leat.cache_view %[[T]][
// I8: %[[SEEN:.*]] = linalg.generic {indexing_maps = [#{{.*}}, #[[GROUP]], #{{.*}}]{{.*}}} ins(%[[CODES]], %[[SCALES]] :
// I8: arith.sitofp
// I8: arith.mulf
// I4: %[[SEEN:.*]] = linalg.generic {indexing_maps = [#[[BYTE]], #[[GROUP]], #[[LEAST]], #{{.*}}]{{.*}}} ins(%[[CODES]], %[[SCALES]], %[[SCALES]] :
// F8: arith.extf %{{.*}} : f8E4M3FN to f32

// CHECK: %[[N0:.*]] = leat.cache_append %[[S]], %[[NEW]] at
// CHECK: %[[N1:.*]] = leat.cache_append %[[T]], %{{.*}} at
// CHECK: leat.state_put @k, %[[N0]]
// CHECK: leat.state_put @k.scales, %[[N1]]
// CHECK: leat.kv_attend q(%arg0, %arg0) k(%[[SEEN]], %[[SEES]]) v(%[[SEEN]], %[[SEES]])
// CHECK: return %{{.*}}, %[[SEES]]
leat.slot @k : tensor<?x2x?x16xf32> growth ring {axis = 2 : i64, batch_axis = 0 : i64, sink = 2 : i64, ring = 8 : i64, input_name = "past"}
func.func @step(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %at: index, %n: index) -> (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>) {
  %c0 = arith.constant 0 : index
  %s0 = leat.state_get @k : !leat.state<tensor<?x2x?x16xf32>>
  %ks = leat.cache_view %s0[%c0, %n] : !leat.state<tensor<?x2x?x16xf32>> -> tensor<?x2x?x16xf32>
  %s1 = leat.cache_append %s0, %k at %at : !leat.state<tensor<?x2x?x16xf32>>, tensor<?x2x?x16xf32>
  leat.state_put @k, %s1 : !leat.state<tensor<?x2x?x16xf32>>
  %o = leat.kv_attend q(%q, %q) k(%ks, %k) v(%ks, %k) {scale = 0.5 : f64} : (tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>) -> tensor<?x4x?x16xf32>
  return %o, %k : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>
}

// -----

// expected-error @below {{does not apply: the model has no cache that only attention reads}}
module {
// expected-warning @below {{cache 'k' keeps 'f32': values of one head are not adjacent, or not of known number}}
leat.slot @k : tensor<?x2x16x?xf32> growth append {axis = 3 : i64, batch_axis = 0 : i64}
func.func @step() {
  return
}
}

// -----

module {
// expected-error @below {{prec (dimension D7) does not fit cache 'k': its heads have 12 values, which are not groups of 8}}
leat.slot @k : tensor<?x2x?x12xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
func.func @step(%q: tensor<?x2x?x12xf32>, %n: index) -> tensor<?x2x?x12xf32> {
  %c0 = arith.constant 0 : index
  %s = leat.state_get @k : !leat.state<tensor<?x2x?x12xf32>>
  %k = leat.cache_view %s[%c0, %n] : !leat.state<tensor<?x2x?x12xf32>> -> tensor<?x2x?x12xf32>
  %o = leat.kv_attend q(%q) k(%k) v(%k) {scale = 0.5 : f64} : (tensor<?x2x?x12xf32>, tensor<?x2x?x12xf32>, tensor<?x2x?x12xf32>) -> tensor<?x2x?x12xf32>
  return %o : tensor<?x2x?x12xf32>
}
}
