// RUN: leat-opt %s -leat-form-kernels -split-input-file -verify-diagnostics | FileCheck %s

// The new content is read in place; the handle orders the two kernels.
// CHECK-LABEL: func @append_then_read
// CHECK: %[[S:.*]] = leat.state_get @k
// CHECK: %[[N:.*]] = leat.kernel ins(%[[S]], %arg0 {{.*}} -> !leat.state<tensor<1x2x?x4xf32>> attributes {hint = "cache_append"}
// CHECK: leat.kernel ins(%arg0, %[[N]] {{.*}}hint = "attend"
// CHECK: leat.cache_view
// CHECK: leat.kv_attend
// CHECK: leat.state_put @k, %[[N]]
leat.slot @k : tensor<1x2x?x4xf32> growth append {axis = 2 : i64}
func.func @append_then_read(%q: tensor<1x2x1x4xf32>, %at: index, %len: index) -> tensor<1x2x1x4xf32> {
  %s = leat.state_get @k : !leat.state<tensor<1x2x?x4xf32>>
  %n = leat.cache_append %s, %q at %at : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>
  %c0 = arith.constant 0 : index
  %v = leat.cache_view %n[%c0, %len] : !leat.state<tensor<1x2x?x4xf32>> -> tensor<1x2x?x4xf32>
  %0 = leat.kv_attend q(%q) k(%v) v(%v) {scale = 0.5 : f64} : (tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x1x4xf32>
  leat.state_put @k, %n : !leat.state<tensor<1x2x?x4xf32>>
  return %0 : tensor<1x2x1x4xf32>
}

// -----

// A ring is overwritten: whoever needs the old content runs first, although it comes later in the program.
// CHECK-LABEL: func @read_old
// CHECK: %[[S:.*]] = leat.state_get @k
// CHECK: leat.kernel {{.*}}hint = "attend"
// CHECK: leat.kernel {{.*}}hint = "cache_append"
// CHECK: leat.state_put
leat.slot @k : tensor<1x2x?x4xf32> growth ring {axis = 2 : i64, ring = 8 : i64}
func.func @read_old(%q: tensor<1x2x1x4xf32>, %at: index, %len: index) -> tensor<1x2x1x4xf32> {
  %s = leat.state_get @k : !leat.state<tensor<1x2x?x4xf32>>
  %c0 = arith.constant 0 : index
  %v = leat.cache_view %s[%c0, %len] : !leat.state<tensor<1x2x?x4xf32>> -> tensor<1x2x?x4xf32>
  %n = leat.cache_append %s, %q at %at : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>
  leat.state_put @k, %n : !leat.state<tensor<1x2x?x4xf32>>
  %0 = leat.kv_attend q(%q) k(%v) v(%v) {scale = 0.5 : f64} : (tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x1x4xf32>
  return %0 : tensor<1x2x1x4xf32>
}

// -----

leat.slot @k : tensor<1x2x?x4xf32> growth ring {axis = 2 : i64, ring = 8 : i64}
func.func @cycle(%q: tensor<1x2x1x4xf32>, %at: index, %len: index) -> tensor<1x2x1x4xf32> {
  %s = leat.state_get @k : !leat.state<tensor<1x2x?x4xf32>>
  %c0 = arith.constant 0 : index
  %v = leat.cache_view %s[%c0, %len] : !leat.state<tensor<1x2x?x4xf32>> -> tensor<1x2x?x4xf32>
  %n = leat.cache_append %s, %q at %at : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>
  %w = leat.cache_view %n[%c0, %len] : !leat.state<tensor<1x2x?x4xf32>> -> tensor<1x2x?x4xf32>
  leat.state_put @k, %n : !leat.state<tensor<1x2x?x4xf32>>
  // expected-error @+1 {{needs the old content of a state and a result of the kernel that overwrites it}}
  %0 = leat.kv_attend q(%q) k(%v) v(%w) {scale = 0.5 : f64} : (tensor<1x2x1x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x1x4xf32>
  return %0 : tensor<1x2x1x4xf32>
}

// -----

// A value that depends on the state it replaces is computed before the update, in memory of its own.
// CHECK-LABEL: func @shift
// CHECK: %[[X:.*]] = leat.kernel {{.*}}hint = "state_read"
// CHECK: leat.kernel ins(%{{.*}}, %[[X]] {{.*}}hint = "state_write"
leat.slot @t : tensor<4xf32> growth fixed
leat.slot @u : tensor<4xf32> growth fixed
func.func @shift() {
  %s = leat.state_get @t : !leat.state<tensor<4xf32>>
  %u = leat.state_get @u : !leat.state<tensor<4xf32>>
  %x = leat.state_read %s : !leat.state<tensor<4xf32>> -> tensor<4xf32>
  %n = leat.state_write %u, %x : !leat.state<tensor<4xf32>>, tensor<4xf32>
  leat.state_put @u, %n : !leat.state<tensor<4xf32>>
  return
}

// -----

// Keys are rotated on their way into the cache, from the layout that the projection left them in.
// CHECK-LABEL: func @rotate_append
// CHECK: leat.kernel {{.*}}hint = "cache_append"
// CHECK: leat.rotary
// CHECK: leat.cache_append
// CHECK-NOT: leat.kernel
// CHECK: leat.state_put
leat.slot @k : tensor<1x2x?x4xf32> growth append {axis = 2 : i64}
func.func @rotate_append(%k: tensor<1x2x?x4xf32>, %cos: tensor<1x?x2xf32>, %sin: tensor<1x?x2xf32>, %at: index) {
  %s = leat.state_get @k : !leat.state<tensor<1x2x?x4xf32>>
  %r = leat.rotary %k, %cos, %sin {rotary_dim = 4 : i64} : (tensor<1x2x?x4xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<1x2x?x4xf32>
  %n = leat.cache_append %s, %r at %at : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x?x4xf32>
  leat.state_put @k, %n : !leat.state<tensor<1x2x?x4xf32>>
  return
}

// -----

// No operand tells the batch: the session does.
// CHECK-LABEL: func @view_only
// CHECK: %[[S:.*]] = leat.state_get @k
// CHECK: %[[ALL:.*]] = leat.state_read %[[S]]
// CHECK: %[[BATCH:.*]] = tensor.dim %[[ALL]], %c0
// CHECK: leat.kernel ins(%[[S]] {{.*}} sizes(%[[BATCH]], %arg0)
leat.slot @k : tensor<?x2x?x4xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64}
func.func @view_only(%n: index) -> tensor<?x2x?x4xf32> {
  %zero = arith.constant 0 : index
  %s = leat.state_get @k : !leat.state<tensor<?x2x?x4xf32>>
  %v = leat.cache_view %s[%zero, %n] : !leat.state<tensor<?x2x?x4xf32>> -> tensor<?x2x?x4xf32>
  return %v : tensor<?x2x?x4xf32>
}
