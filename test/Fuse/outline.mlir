// RUN: leat-opt %s -leat-outline-kernels -split-input-file | FileCheck %s

#map = affine_map<(d0) -> (d0)>

// Equal bodies share a function, whatever their operands; another constant is another kernel.
// CHECK: leat.kernel_func @add_0 inputs 1 -> [tensor<?xf32>] {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<?xf32>, %{{.*}}: index):
// CHECK: leat.kernel_func @add_1 inputs 1
// CHECK-NOT: leat.kernel_func
// CHECK-LABEL: func @main
// CHECK: %[[A:.*]] = leat.launch @add_0 ins(%arg0 : tensor<?xf32>) scalars(%arg1 : index) sizes(%arg1) -> tensor<?xf32>
// CHECK: %[[B:.*]] = leat.launch @add_0 ins(%[[A]] : tensor<?xf32>) scalars(%arg1 : index) sizes(%arg1) -> tensor<?xf32>
// CHECK: %[[C:.*]] = leat.launch @add_1 ins(%[[B]]
// CHECK: return %[[C]]
func.func @main(%x: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %0 = leat.kernel ins(%x : tensor<?xf32>) scalars(%n : index) sizes(%n) -> tensor<?xf32> attributes {hint = "add"} {
  ^bb0(%a: tensor<?xf32>, %m: index):
    %e = tensor.empty(%m) : tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%p: f32, %o: f32):
      %c = arith.constant 1.0 : f32
      %s = arith.addf %p, %c : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    leat.yield %r : tensor<?xf32>
  }
  %1 = leat.kernel ins(%0 : tensor<?xf32>) scalars(%n : index) sizes(%n) -> tensor<?xf32> attributes {hint = "add"} {
  ^bb0(%a: tensor<?xf32>, %m: index):
    %e = tensor.empty(%m) : tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%p: f32, %o: f32):
      %c = arith.constant 1.0 : f32
      %s = arith.addf %p, %c : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    leat.yield %r : tensor<?xf32>
  }
  %2 = leat.kernel ins(%1 : tensor<?xf32>) scalars(%n : index) sizes(%n) -> tensor<?xf32> attributes {hint = "add"} {
  ^bb0(%a: tensor<?xf32>, %m: index):
    %e = tensor.empty(%m) : tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%p: f32, %o: f32):
      %c = arith.constant 2.0 : f32
      %s = arith.addf %p, %c : f32
      linalg.yield %s : f32
    } -> tensor<?xf32>
    leat.yield %r : tensor<?xf32>
  }
  return %2 : tensor<?xf32>
}

// -----

// A state that a kernel changes is its result: the order of steps is in the values.
// CHECK: leat.kernel_func @append_0 inputs 2 -> [!leat.state<tensor<1x2x?x4xf32>>]
// CHECK-LABEL: func @step
// CHECK: %[[S:.*]] = leat.state_get @kv
// CHECK: %[[T:.*]] = leat.launch @append_0 ins(%[[S]], %arg0 : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>) scalars(%arg1 : index) -> !leat.state<tensor<1x2x?x4xf32>>
// CHECK: leat.state_put @kv, %[[T]]
leat.slot @kv : tensor<1x2x?x4xf32> growth append {axis = 2 : i64}
func.func @step(%k: tensor<1x2x1x4xf32>, %at: index) {
  %s = leat.state_get @kv : !leat.state<tensor<1x2x?x4xf32>>
  %t = leat.kernel ins(%s, %k : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>) scalars(%at : index) -> !leat.state<tensor<1x2x?x4xf32>> attributes {hint = "append"} {
  ^bb0(%a: !leat.state<tensor<1x2x?x4xf32>>, %b: tensor<1x2x1x4xf32>, %i: index):
    %n = leat.cache_append %a, %b at %i : !leat.state<tensor<1x2x?x4xf32>>, tensor<1x2x1x4xf32>
    leat.yield %n : !leat.state<tensor<1x2x?x4xf32>>
  }
  leat.state_put @kv, %t : !leat.state<tensor<1x2x?x4xf32>>
  return
}
