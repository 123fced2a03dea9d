// RUN: leat-opt %s | leat-opt | FileCheck %s
// RUN: leat-opt %s -emit-bytecode | leat-opt | FileCheck %s

// CHECK: leat.param @w : tensor<16x32xf32> {key = "w"}
leat.param @w : tensor<16x32xf32> {key = "w"}
// CHECK: leat.slot @k : tensor<?x2x?x8xf32> growth ring {axis = 2 : i64, batch_axis = 0 : i64, ring = 60 : i64, sink = 4 : i64}
leat.slot @k : tensor<?x2x?x8xf32> growth ring {axis = 2 : i64, batch_axis = 0 : i64, ring = 60 : i64, sink = 4 : i64}

// CHECK-LABEL: @products
func.func @products(%x: tensor<?x16xf32>, %c: tensor<8x1x16xi8>, %s: tensor<8x1xf32>, %i: tensor<1x4x?xf32>, %f: tensor<6x2x3xf32>) {
  // CHECK: leat.param_ref @w : tensor<16x32xf32>
  %w = leat.param_ref @w : tensor<16x32xf32>
  // CHECK: leat.matmul %{{.*}}, %{{.*}} : (tensor<?x16xf32>, tensor<16x32xf32>) -> tensor<?x32xf32>
  %0 = leat.matmul %x, %w : (tensor<?x16xf32>, tensor<16x32xf32>) -> tensor<?x32xf32>
  // CHECK: leat.matmul_nbits %{{.*}}, %{{.*}}, %{{.*}} {bits = 4 : i64, block = 32 : i64, k = 32 : i64, n = 8 : i64}
  %1 = leat.matmul_nbits %0, %c, %s {k = 32 : i64, n = 8 : i64, bits = 4 : i64, block = 32 : i64} : (tensor<?x32xf32>, tensor<8x1x16xi8>, tensor<8x1xf32>) -> tensor<?x8xf32>
  // CHECK: leat.conv
  %2 = leat.conv %i, %f {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 1, 1>, group = 2 : i64} : (tensor<1x4x?xf32>, tensor<6x2x3xf32>) -> tensor<1x6x?xf32>
  return
}

// CHECK-LABEL: @rows
func.func @rows(%x: tensor<?x?x16xf32>, %s: tensor<16xf32>, %n: index) {
  // CHECK: leat.softmax %{{.*}} {axis = 2 : i64, log} : tensor<?x?x16xf32>
  %0 = leat.softmax %x {axis = 2 : i64, log} : tensor<?x?x16xf32>
  // CHECK: leat.layer_norm %{{.*}} scale %{{.*}} : tensor<16xf32> bias %{{.*}} : tensor<16xf32>
  %1 = leat.layer_norm %x scale %s : tensor<16xf32> bias %s : tensor<16xf32> {axis = 2 : i64, epsilon = 1.0e-5 : f64} : tensor<?x?x16xf32> -> tensor<?x?x16xf32>
  // CHECK: leat.cumsum %{{.*}} {axis = 1 : i64, reverse}
  %2 = leat.cumsum %x {axis = 1 : i64, reverse} : tensor<?x?x16xf32>
  // CHECK: leat.topk %{{.*}} {axis = 2 : i64, largest = true}
  %3, %4 = leat.topk %x {axis = 2 : i64, largest = true} : (tensor<?x?x16xf32>) -> (tensor<?x?x4xf32>, tensor<?x?x4xi64>)
  // CHECK: leat.arg_reduce
  %5 = leat.arg_reduce %x {axis = 2 : i64, max = true} : (tensor<?x?x16xf32>) -> tensor<?x?x1xi64>
  // CHECK: leat.scatter_elements
  %6 = leat.scatter_elements %x, %4, %3 {axis = 2 : i64, reduction = 1 : i32} : (tensor<?x?x16xf32>, tensor<?x?x4xi64>, tensor<?x?x4xf32>) -> tensor<?x?x16xf32>
  return
}

// CHECK-LABEL: @others
func.func @others(%x: tensor<?x?xf32>, %i: tensor<?x1xi64>, %s: !leat.state<tensor<2x3xf32>>, %q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>) {
  // CHECK: leat.scatter_nd %{{.*}}, %{{.*}}, %{{.*}} {reduction = 4 : i32}
  %0 = leat.scatter_nd %x, %i, %x {reduction = 4 : i32} : (tensor<?x?xf32>, tensor<?x1xi64>, tensor<?x?xf32>) -> tensor<?x?xf32>
  // CHECK: leat.nonzero %{{.*}} : (tensor<?x?xf32>) -> (tensor<2x?xi64>, tensor<1xi64>)
  %1, %2 = leat.nonzero %x : (tensor<?x?xf32>) -> (tensor<2x?xi64>, tensor<1xi64>)
  // CHECK: %[[READ:.*]] = leat.state_read %{{.*}} : <tensor<2x3xf32>> -> tensor<2x3xf32>
  %3 = leat.state_read %s : !leat.state<tensor<2x3xf32>> -> tensor<2x3xf32>
  // CHECK: leat.state_write %{{.*}}, %[[READ]] : <tensor<2x3xf32>>, tensor<2x3xf32>
  %4 = leat.state_write %s, %3 : !leat.state<tensor<2x3xf32>>, tensor<2x3xf32>
  // Several segments without masks need no positions.
  // CHECK: leat.kv_attend q(%{{.*}}, %{{.*}}) k(%{{.*}}, %{{.*}}) v(%{{.*}}, %{{.*}}) {scale = 5.000000e-01 : f64}
  %5 = leat.kv_attend q(%q, %q) k(%k, %k) v(%k, %k) {scale = 0.5}
      : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32>
  // A mask as a program.
  // CHECK: leat.kv_attend q(%{{.*}}) k(%{{.*}}) v(%{{.*}}) visible (%[[B:.*]], %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
  // CHECK-NEXT: %[[X:.*]] = arith.divsi %[[I]], %{{.*}} : index
  // CHECK-NEXT: %[[Y:.*]] = arith.divsi %[[J]], %{{.*}} : index
  // CHECK-NEXT: %[[V:.*]] = arith.cmpi sle, %[[Y]], %[[X]] : index
  // CHECK-NEXT: leat.yield %[[V]] : i1
  // CHECK-NEXT: } {scale = 5.000000e-01 : f64} : (tensor<?x4x?x8xf32>
  %c16 = arith.constant 16 : index
  %6 = leat.kv_attend q(%q) k(%k) v(%k) visible(%batch, %head, %qp, %kp) {
    %qc = arith.divsi %qp, %c16 : index
    %kc = arith.divsi %kp, %c16 : index
    %seen = arith.cmpi sle, %kc, %qc : index
    leat.yield %seen : i1
  } {scale = 0.5} : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x4x?x8xf32>
  return
}

// CHECK-LABEL: @stream
func.func @stream(%q: tensor<?x4x?x8xf32>, %new: tensor<?x2x?x8xf32>, %cos: tensor<?x?x4xf32>, %p: tensor<?xi64>, %at: index, %logits: tensor<?x32xf32>) {
  %c0 = arith.constant 0 : index
  // CHECK: %[[S:.*]] = leat.state_get @k : <tensor<?x2x?x8xf32>>
  %s = leat.state_get @k : !leat.state<tensor<?x2x?x8xf32>>
  // CHECK: %[[V:.*]] = leat.cache_view %[[S]][%{{.*}}, %{{.*}}]
  %v = leat.cache_view %s[%c0, %at] : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  // CHECK: leat.rotary %{{.*}}, %{{.*}}, %{{.*}} {interleaved, rotary_dim = 8 : i64}
  %r = leat.rotary %q, %cos, %cos {rotary_dim = 8 : i64, interleaved} : (tensor<?x4x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x4x?x8xf32>
  // CHECK: leat.kv_attend q(%{{.*}}, %{{.*}}) k(%[[V]], %{{.*}}) v(%[[V]], %{{.*}}) q_pos(%{{.*}}) k_pos(%{{.*}}, %{{.*}}) {causal, scale = 5.000000e-01 : f64, window_left = 60 : i64}
  %o, %l = leat.kv_attend q(%r, %r) k(%v, %new) v(%v, %new) q_pos(%p) k_pos(%p, %p) {scale = 0.5, causal, window_left = 60 : i64}
      : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>) -> (tensor<?x4x?x8xf32>, tensor<?x4x?xf32>)
  // CHECK: leat.attn_merge
  %m, %ml = leat.attn_merge values(%o, %o) lses(%l, %l) : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?xf32>, tensor<?x4x?xf32>) -> (tensor<?x4x?x8xf32>, tensor<?x4x?xf32>)
  // CHECK: %[[N:.*]] = leat.cache_append %[[S]], %{{.*}} at %{{.*}}
  %n = leat.cache_append %s, %new at %at : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
  // CHECK: leat.state_put @k, %[[N]]
  leat.state_put @k, %n : !leat.state<tensor<?x2x?x8xf32>>
  // CHECK: leat.sample %{{.*}} step %{{.*}} {seed = 7 : i64, temperature = 8.000000e-01 : f64, top_k = 40 : i64}
  %t = leat.sample %logits step %at {seed = 7 : i64, temperature = 0.8 : f64, top_k = 40 : i64} : tensor<?x32xf32> -> tensor<?xi64>
  return
}

// CHECK: leat.slot @table : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}
leat.slot @table : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}
leat.slot @pool : tensor<?x2x16x8xf32> growth append {axis = 2 : i64, page = 16 : i64}

// CHECK-LABEL: @pages
func.func @pages(%new: tensor<?x2x?x8xf32>, %at: index, %n: index) -> tensor<?x2x?x8xf32> {
  %t = leat.state_get @table : !leat.state<tensor<?x?xi32>>
  %s = leat.state_get @pool : !leat.state<tensor<?x2x16x8xf32>>
  // CHECK: leat.cache_append %{{.*}}, %{{.*}} at %{{.*}} table(%{{.*}}) : <tensor<?x2x16x8xf32>>, tensor<?x2x?x8xf32>, !leat.state<tensor<?x?xi32>>
  %1 = leat.cache_append %s, %new at %at table(%t) : !leat.state<tensor<?x2x16x8xf32>>, tensor<?x2x?x8xf32>, !leat.state<tensor<?x?xi32>>
  leat.state_put @pool, %1 : !leat.state<tensor<?x2x16x8xf32>>
  // CHECK: leat.cache_view %{{.*}}[%{{.*}}, %{{.*}}] table(%{{.*}}) : <tensor<?x2x16x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
  %2 = leat.cache_view %1[%at, %n] table(%t) : !leat.state<tensor<?x2x16x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
  return %2 : tensor<?x2x?x8xf32>
}

leat.kernel_func @twice inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}

// CHECK-LABEL: @group
func.func @group(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[GROUP:.*]]:2 = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
  // CHECK:   %[[A:.*]] = leat.launch @twice
  // CHECK:   %[[B:.*]] = leat.launch @twice
  // CHECK:   leat.yield %[[A]], %[[B]] : tensor<4xf32>, tensor<4xf32>
  // CHECK: return %[[GROUP]]#1
  %0:2 = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
    %a = leat.launch @twice ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %b = leat.launch @twice ins(%y : tensor<4xf32>) -> tensor<4xf32>
    leat.yield %a, %b : tensor<4xf32>, tensor<4xf32>
  }
  return %0#1 : tensor<4xf32>
}
