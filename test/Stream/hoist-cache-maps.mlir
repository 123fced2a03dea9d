// RUN: leat-opt %s -leat-hoist-cache-maps -canonicalize -split-input-file | FileCheck %s

// Rounded when appended, not when read.
// CHECK-LABEL: func.func @rounded
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<?x2x?x8xf32>)
// CHECK: math.roundeven
// CHECK: %[[N:.*]] = leat.cache_append %{{.*}}, %[[R]]
// CHECK: %[[V:.*]] = leat.cache_view %[[N]]
// CHECK-NOT: linalg.generic
// CHECK: return %[[V]]
leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
func.func @rounded(%new: tensor<?x2x?x8xf32>, %seen: index, %total: index, %b: index) -> tensor<?x2x?x8xf32> {
  %c0 = arith.constant 0 : index
  %s0 = leat.state_get @k : <tensor<?x2x?x8xf32>>
  %s1 = leat.cache_append %s0, %new at %seen : <tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
  %all = leat.cache_view %s1[%c0, %total] : <tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  %e = tensor.empty(%b, %total) : tensor<?x2x?x8xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%all : tensor<?x2x?x8xf32>) outs(%e : tensor<?x2x?x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %v = math.roundeven %x : f32
    linalg.yield %v : f32
  } -> tensor<?x2x?x8xf32>
  leat.state_put @k, %s1 : <tensor<?x2x?x8xf32>>
  return %r : tensor<?x2x?x8xf32>
}

// -----

// What depends on where an entry stands is not the same for all entries.
// CHECK-LABEL: func.func @by_position
// CHECK: leat.cache_append %{{.*}}, %arg0
// CHECK: leat.cache_view
// CHECK: linalg.generic
leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
func.func @by_position(%new: tensor<?x2x?x8xf32>, %seen: index, %total: index, %b: index) -> tensor<?x2x?x8xf32> {
  %c0 = arith.constant 0 : index
  %s0 = leat.state_get @k : <tensor<?x2x?x8xf32>>
  %s1 = leat.cache_append %s0, %new at %seen : <tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
  %all = leat.cache_view %s1[%c0, %total] : <tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  %e = tensor.empty(%b, %total) : tensor<?x2x?x8xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%all : tensor<?x2x?x8xf32>) outs(%e : tensor<?x2x?x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    %i = linalg.index 2 : index
    %j = arith.index_cast %i : index to i64
    %f = arith.sitofp %j : i64 to f32
    %v = arith.addf %x, %f : f32
    linalg.yield %v : f32
  } -> tensor<?x2x?x8xf32>
  leat.state_put @k, %s1 : <tensor<?x2x?x8xf32>>
  return %r : tensor<?x2x?x8xf32>
}

// -----

// [B, T, H, D] that is only read as [B, H, T, D] is kept as that.
// CHECK: leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
// CHECK-LABEL: func.func @transposed
// CHECK: %[[T:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<?x?x2x8xf32>)
// CHECK: %[[N:.*]] = leat.cache_append %{{.*}}, %[[T]] {{.*}} : <tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
// CHECK: %[[V:.*]] = leat.cache_view %[[N]]
// CHECK: return %[[V]]
leat.slot @k : tensor<?x?x2x8xf32> growth append {axis = 1 : i64, batch_axis = 0 : i64}
func.func @transposed(%new: tensor<?x?x2x8xf32>, %seen: index, %total: index, %b: index) -> tensor<?x2x?x8xf32> {
  %c0 = arith.constant 0 : index
  %s0 = leat.state_get @k : <tensor<?x?x2x8xf32>>
  %s1 = leat.cache_append %s0, %new at %seen : <tensor<?x?x2x8xf32>>, tensor<?x?x2x8xf32>
  %all = leat.cache_view %s1[%c0, %total] : <tensor<?x?x2x8xf32>> -> tensor<?x?x2x8xf32>
  %e = tensor.empty(%b, %total) : tensor<?x2x?x8xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b, c, d) -> (a, c, b, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%all : tensor<?x?x2x8xf32>) outs(%e : tensor<?x2x?x8xf32>) {
  ^bb0(%x: f32, %o: f32):
    linalg.yield %x : f32
  } -> tensor<?x2x?x8xf32>
  leat.state_put @k, %s1 : <tensor<?x?x2x8xf32>>
  return %r : tensor<?x2x?x8xf32>
}
