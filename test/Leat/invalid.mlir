// RUN: leat-opt %s -split-input-file -verify-diagnostics

// One case for each message of the dialect's verifiers.

// expected-error @+1 {{needs a ranked tensor type of static shape}}
leat.param @w : tensor<?xf32> {key = "w"}

// -----
// expected-error @+1 {{needs either 'key' or 'value'}}
leat.param @w : tensor<2xf32>

// -----
// expected-error @+1 {{but its value has type}}
leat.param @w : tensor<2xf32> {value = dense<0.0> : tensor<3xf32>}

// -----
func.func @f() {
  // expected-error @+1 {{names no leat.param: @w}}
  %0 = leat.param_ref @w : tensor<2xf32>
  return
}

// -----
leat.param @w : tensor<2xf32> {key = "w"}
func.func @f() {
  // expected-error @+1 {{but parameter @w has type}}
  %0 = leat.param_ref @w : tensor<3xf32>
  return
}

// -----
func.func @f(%a: tensor<4xf32>, %b: tensor<4x4xf32>) {
  // expected-error @+1 {{needs operands of rank 2 or more}}
  %0 = leat.matmul %a, %b : (tensor<4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%a: tensor<4x3xf32>, %b: tensor<4x4xf32>) {
  // expected-error @+1 {{contracts dimensions of different size: 3 and 4}}
  %0 = leat.matmul %a, %b : (tensor<4x3xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%a: tensor<4x3xf32>, %b: tensor<3x5xf32>) {
  // expected-error @+1 {{that do not give}}
  %0 = leat.matmul %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<1x32xf32>, %c: tensor<8x1x16xi8>, %s: tensor<8x1xf32>) {
  // expected-error @+1 {{knows 2, 4 and 8 bits, got 3}}
  %0 = leat.matmul_nbits %x, %c, %s {k = 32 : i64, n = 8 : i64, bits = 3 : i64, block = 32 : i64} : (tensor<1x32xf32>, tensor<8x1x16xi8>, tensor<8x1xf32>) -> tensor<1x8xf32>
  return
}

// -----
func.func @f(%x: tensor<1x32xf32>, %c: tensor<8x1x16xi8>, %s: tensor<8x1xf32>) {
  // expected-error @+1 {{needs a block size of 16 or of a multiple of 32, got 24}}
  %0 = leat.matmul_nbits %x, %c, %s {k = 32 : i64, n = 8 : i64, bits = 4 : i64, block = 24 : i64} : (tensor<1x32xf32>, tensor<8x1x16xi8>, tensor<8x1xf32>) -> tensor<1x8xf32>
  return
}

// -----
func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error @+1 {{needs 1 strides and dilations and 2 pads}}
  %0 = leat.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64} : (tensor<1x4x8xf32>, tensor<6x4x3xf32>) -> tensor<1x6x6xf32>
  return
}

// -----
func.func @f(%x: tensor<1x4x8xf32>, %w: tensor<6x3x3xf32>) {
  // expected-error @+1 {{has 4 input channels but filter and group need 3}}
  %0 = leat.conv %x, %w {strides = array<i64: 1>, dilations = array<i64: 1>, pads = array<i64: 0, 0>, group = 1 : i64} : (tensor<1x4x8xf32>, tensor<6x3x3xf32>) -> tensor<1x6x6xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{has axis 2 but its operand has rank 2}}
  %0 = leat.softmax %x {axis = 2 : i64} : tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xi32>) {
  // expected-error @+1 {{needs a float element type, got 'i32'}}
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<4x4xi32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %s: tensor<4xf32>) {
  // expected-error @+1 {{has no bias in its rms form}}
  %0 = leat.layer_norm %x scale %s : tensor<4xf32> bias %s : tensor<4xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64, rms} : tensor<4x4xf32> -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<1x2x3x8xf32>, %c: tensor<1x3x4xf32>) {
  // expected-error @+1 {{needs an even rotary_dim in (0, 8], got 10}}
  %0 = leat.rotary %x, %c, %c {rotary_dim = 10 : i64} : (tensor<1x2x3x8xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----
func.func @f(%x: tensor<1x2x3x8xf32>, %c: tensor<1x3x2xf32>) {
  // expected-error @+1 {{needs cos and sin [B, S, 4]}}
  %0 = leat.rotary %x, %c, %c {rotary_dim = 8 : i64} : (tensor<1x2x3x8xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x3x5x8xf32>, %k: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{needs a multiple of 2 query heads, got 3}}
  %0 = leat.kv_attend q(%q) k(%k) v(%k) {scale = 1.0} : (tensor<1x3x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x3x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>, %k: tensor<1x2x5x4xf32>) {
  // expected-error @+1 {{has queries of head size 8 and keys of head size 4}}
  %0 = leat.kv_attend q(%q) k(%k) v(%k) {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>) -> tensor<1x2x5x4xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>, %k: tensor<1x2x5x8xf32>, %v: tensor<1x2x6x8xf32>) {
  // expected-error @+1 {{has 5 keys and 6 values in segment 0}}
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x6x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{needs k_pos to mask by position over several segments}}
  %0 = leat.kv_attend q(%q, %q) k(%q, %q) v(%q, %q) {scale = 1.0, causal} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{knows the layouts bhsd and bshd, got sbhd}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) {scale = 1.0, q_layout = "sbhd"} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%v: tensor<1x2x5x8xf32>, %l: tensor<1x2xf32>) {
  // expected-error @+1 {{needs an lse of one rank less than its value}}
  %0, %1 = leat.attn_merge values(%v) lses(%l) : (tensor<1x2x5x8xf32>, tensor<1x2xf32>) -> (tensor<1x2x5x8xf32>, tensor<1x2xf32>)
  return
}

// -----
// expected-error @+1 {{needs the axis along which it grows, got -1}}
leat.slot @k : tensor<1x2x?x8xf32> growth append

// -----
// expected-error @+1 {{needs ring >= 1 and sink >= 0}}
leat.slot @k : tensor<1x2x?x8xf32> growth ring {axis = 2 : i64}

// -----
// expected-error @+1 {{of growth counter needs type tensor<i64>}}
leat.slot @k : tensor<4xi64> growth counter

// -----
func.func @f() {
  // expected-error @+1 {{names no leat.slot: @k}}
  %0 = leat.state_get @k : !leat.state<tensor<1x2x?x8xf32>>
  return
}

// -----
func.func @f(%l: tensor<4xf32>, %i: index) {
  // expected-error @+1 {{needs float logits [B, V]}}
  %0 = leat.sample %l step %i {seed = 0 : i64, temperature = 1.0 : f64} : tensor<4xf32> -> tensor<1xi64>
  return
}

// -----
func.func @f(%l: tensor<1x4xf32>, %i: index) {
  // expected-error @+1 {{needs top_p in (0, 1]}}
  %0 = leat.sample %l step %i {seed = 0 : i64, temperature = 1.0 : f64, top_p = 1.5 : f64} : tensor<1x4xf32> -> tensor<1xi64>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<4x2xi64>, %u: tensor<4x2xf32>) {
  // expected-error @+1 {{has axis 2 but its operand has rank 2}}
  %0 = leat.scatter_elements %x, %i, %u {axis = 2 : i64, reduction = 0 : i32} : (tensor<4x4xf32>, tensor<4x2xi64>, tensor<4x2xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<4x2xi64>, %u: tensor<4x3xf32>) {
  // expected-error @+1 {{needs indices and updates of one shape and of the rank of its data}}
  %0 = leat.scatter_elements %x, %i, %u {axis = 1 : i64, reduction = 0 : i32} : (tensor<4x4xf32>, tensor<4x2xi64>, tensor<4x3xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<4x2xf32>, %u: tensor<4x2xf32>) {
  // expected-error @+1 {{needs indices i32, i64 or index}}
  %0 = leat.scatter_elements %x, %i, %u {axis = 1 : i64, reduction = 0 : i32} : (tensor<4x4xf32>, tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<4x2xi64>, %u: tensor<4x2xf16>) {
  // expected-error @+1 {{needs updates and a result like its data}}
  %0 = leat.scatter_elements %x, %i, %u {axis = 1 : i64, reduction = 0 : i32} : (tensor<4x4xf32>, tensor<4x2xi64>, tensor<4x2xf16>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<4x2xi64>, %u: tensor<4x2xf32>) {
  // expected-error @+1 {{needs a result of the shape of its data}}
  %0 = leat.scatter_elements %x, %i, %u {axis = 1 : i64, reduction = 0 : i32} : (tensor<4x4xf32>, tensor<4x2xi64>, tensor<4x2xf32>) -> tensor<4x5xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<2x3xi64>, %u: tensor<2xf32>) {
  // expected-error @+1 {{needs indices whose last dimension is static and at most 2}}
  %0 = leat.scatter_nd %x, %i, %u {reduction = 0 : i32} : (tensor<4x4xf32>, tensor<2x3xi64>, tensor<2xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>, %i: tensor<2x1xi64>, %u: tensor<2xf32>) {
  // expected-error @+1 {{needs updates of rank 2}}
  %0 = leat.scatter_nd %x, %i, %u {reduction = 0 : i32} : (tensor<4x4xf32>, tensor<2x1xi64>, tensor<2xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs values like its operand and indices i64}}
  %0, %1 = leat.topk %x {axis = 1 : i64, largest = true} : (tensor<4x4xf32>) -> (tensor<4x2xf32>, tensor<4x2xi32>)
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs values and indices of one shape and of its operand's rank}}
  %0, %1 = leat.topk %x {axis = 1 : i64, largest = true} : (tensor<4x4xf32>) -> (tensor<4x2xf32>, tensor<4x3xi64>)
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs k as an operand where it is not static}}
  %0, %1 = leat.topk %x {axis = 1 : i64, largest = true} : (tensor<4x4xf32>) -> (tensor<4x?xf32>, tensor<4x?xi64>)
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{has axis 7 but its operand has rank 2}}
  %0 = leat.cumsum %x {axis = 7 : i64} : tensor<4x4xf32>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs a result i64 of its operand's rank with size 1 along the axis}}
  %0 = leat.arg_reduce %x {axis = 1 : i64, max = true} : (tensor<4x4xf32>) -> tensor<4xi64>
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs coordinates i64 [2, elements]}}
  %0, %1 = leat.nonzero %x : (tensor<4x4xf32>) -> (tensor<3x16xi64>, tensor<1xi64>)
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs a count i64 of one element}}
  %0, %1 = leat.nonzero %x : (tensor<4x4xf32>) -> (tensor<2x16xi64>, tensor<2xi64>)
  return
}

// -----
func.func @f(%s: !leat.state<tensor<2x3xf32>>) {
  // expected-error @+1 {{needs a result like the content}}
  %0 = leat.state_read %s : !leat.state<tensor<2x3xf32>> -> tensor<2x4xf32>
  return
}

// -----
func.func @f(%s: !leat.state<tensor<2x3xf32>>, %v: tensor<2x3xf16>) {
  // expected-error @+1 {{needs a value like the content}}
  %0 = leat.state_write %s, %v : !leat.state<tensor<2x3xf32>>, tensor<2x3xf16>
  return
}

// -----
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<1x3x4xf32>) {
  // expected-error @+1 {{needs an input [B, H, S, D], got}}
  %0 = leat.rotary %x, %c, %c {rotary_dim = 8 : i64} : (tensor<2x3x8xf32>, tensor<1x3x4xf32>, tensor<1x3x4xf32>) -> tensor<2x3x8xf32>
  return
}

// -----
func.func @f() {
  // expected-error @+1 {{needs at least one segment}}
  %0 = "leat.kv_attend"() ({}) {scale = 0.5, operandSegmentSizes = array<i32: 0, 0, 0, 0, 0, 0, 0, 0>} : () -> tensor<1x2x3x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x3x8xf32>) {
  // expected-error @+1 {{needs one q, k and v per segment, got 1, 2, 1}}
  %0 = "leat.kv_attend"(%q, %q, %q, %q) ({}) {scale = 0.5, operandSegmentSizes = array<i32: 1, 2, 1, 0, 0, 0, 0, 0>} : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----
func.func @f(%v: tensor<1x2x3x8xf32>, %l: tensor<1x2x3xf32>) {
  // expected-error @+1 {{needs one lse per value and at least one of each}}
  %0, %1 = leat.attn_merge values(%v, %v) lses(%l) : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3xf32>) -> (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>)
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{needs a result of the operand's shape}}
  %0 = leat.layer_norm %x {axis = 1 : i64, epsilon = 1.0e-5 : f64} : tensor<4x4xf32> -> tensor<4x5xf32>
  return
}

// -----
func.func @f(%x: tensor<4xf32>, %s: tensor<4x4xf32>) {
  // expected-error @+1 {{needs scale and bias of at most the operand's rank, got 'tensor<4x4xf32>'}}
  %0 = leat.layer_norm %x scale %s : tensor<4x4xf32> {axis = 0 : i64, epsilon = 1.0e-5 : f64} : tensor<4xf32> -> tensor<4xf32>
  return
}

// -----
func.func @f(%a: tensor<4x3xf32>, %b: tensor<3x5xf64>) {
  // expected-error @+1 {{needs operands of one element type, got 'f32' and 'f64'}}
  %0 = leat.matmul %a, %b : (tensor<4x3xf32>, tensor<3x5xf64>) -> tensor<4x5xf32>
  return
}

// -----
func.func @f(%x: tensor<1x48xf32>, %c: tensor<8x1x16xi8>, %s: tensor<8x1xf32>) {
  // expected-error @+1 {{needs activations with last dimension 32, got}}
  %0 = leat.matmul_nbits %x, %c, %s {k = 32 : i64, n = 8 : i64, bits = 4 : i64, block = 32 : i64} : (tensor<1x48xf32>, tensor<8x1x16xi8>, tensor<8x1xf32>) -> tensor<1x8xf32>
  return
}

// -----
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{returns ranked tensors and states, got 'index'}}
  %0 = leat.kernel ins(%x : tensor<4xf32>) -> index {
  ^bb0(%a: tensor<4xf32>):
    %c = arith.constant 1 : index
    leat.yield %c : index
  }
  return
}

// -----
func.func @f(%x: tensor<4xf32>, %n: index) {
  // expected-error @+1 {{needs one block argument per input and scalar, of the same type}}
  %0 = leat.kernel ins(%x : tensor<4xf32>) scalars(%n : index) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    leat.yield %a : tensor<4xf32>
  }
  return
}

// -----
func.func @f(%x: tensor<?xf32>) {
  // expected-error @+1 {{has 1 dynamic result dimensions but 0 sizes}}
  %0 = leat.kernel ins(%x : tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>):
    leat.yield %a : tensor<?xf32>
  }
  return
}

// -----
// expected-error @+1 {{has 2 inputs but only 1 block arguments}}
leat.kernel_func @k inputs 2 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}

// -----
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{names no leat.kernel_func: @k}}
  %0 = leat.launch @k ins(%x : tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----
leat.kernel_func @k inputs 1 -> [tensor<?xf32>] {
^bb0(%a: tensor<?xf32>):
  leat.yield %a : tensor<?xf32>
}
func.func @f(%x: tensor<4xf32>, %n: index) {
  // expected-error @+1 {{passes other types than @k takes}}
  %0 = leat.launch @k ins(%x : tensor<4xf32>) sizes(%n) -> tensor<?xf32>
  return
}

// -----
leat.kernel_func @k inputs 1 -> [tensor<?xf32>] {
^bb0(%a: tensor<?xf32>):
  leat.yield %a : tensor<?xf32>
}
func.func @f(%x: tensor<?xf32>) {
  // expected-error @+1 {{has 1 dynamic result dimensions but 0 sizes}}
  %0 = leat.launch @k ins(%x : tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----
// expected-error @+1 {{needs pages of 8 to 256 entries, a power of two, got 24}}
leat.slot @k : tensor<?x2x24x8xf32> growth append {axis = 2 : i64, page = 24 : i64}

// -----
// expected-error @+1 {{needs pages of 8 to 256 entries, a power of two, got 0}}
leat.slot @t : tensor<?x?xi32> growth table {axis = 1 : i64, batch_axis = 0 : i64}

// -----
// expected-error @+1 {{of growth table needs type tensor<?x?xi32>, axis 1 and batch_axis 0, got 'tensor<?x?xi64>'}}
leat.slot @t : tensor<?x?xi64> growth table {axis = 1 : i64, batch_axis = 0 : i64, page = 16 : i64}

// -----
// expected-error @+1 {{with pages grows (append or ring) and needs a pool [?, heads, page, size], axis 2 and no batch_axis}}
leat.slot @k : tensor<?x2x?x8xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64, page = 16 : i64}

// -----
func.func @f(%s: !leat.state<tensor<?x2x?x8xf32>>, %t: !leat.state<tensor<?x?xi32>>, %i: index) {
  // expected-error @+1 {{needs a pool of pages [?, heads, page, size] with pages of 8 to 256 entries, a power of two, got 'tensor<?x2x?x8xf32>'}}
  %0 = leat.cache_view %s[%i, %i] table(%t) : !leat.state<tensor<?x2x?x8xf32>>, !leat.state<tensor<?x?xi32>> -> tensor<?x2x?x8xf32>
  return
}

// -----
func.func @f(%s: !leat.state<tensor<?x2x16x8xf32>>, %t: !leat.state<tensor<?xi32>>, %x: tensor<?x2x?x8xf32>, %i: index) {
  // expected-error @+1 {{needs a table of page numbers, tensor<?x?xi32>, got 'tensor<?xi32>'}}
  %0 = leat.cache_append %s, %x at %i table(%t) : !leat.state<tensor<?x2x16x8xf32>>, tensor<?x2x?x8xf32>, !leat.state<tensor<?xi32>>
  return
}

// -----
leat.kernel_func @k inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) {
  %0:2 = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
    %a = leat.launch @k ins(%x : tensor<4xf32>) -> tensor<4xf32>
    // expected-error @+1 {{takes a result of a member of its group}}
    %b = leat.launch @k ins(%a : tensor<4xf32>) -> tensor<4xf32>
    leat.yield %a, %b : tensor<4xf32>, tensor<4xf32>
  }
  return
}

// -----
leat.kernel_func @k inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{has 1 launches, not 2 to 8}}
  %0 = leat.launch_group -> tensor<4xf32> {
    %a = leat.launch @k ins(%x : tensor<4xf32>) -> tensor<4xf32>
    leat.yield %a : tensor<4xf32>
  }
  return
}

// -----
leat.kernel_func @k inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{yields something else than all results of its launches, in order}}
  %0:2 = leat.launch_group -> tensor<4xf32>, tensor<4xf32> {
    %a = leat.launch @k ins(%x : tensor<4xf32>) -> tensor<4xf32>
    %b = leat.launch @k ins(%x : tensor<4xf32>) -> tensor<4xf32>
    leat.yield %b, %a : tensor<4xf32>, tensor<4xf32>
  }
  return
}

// -----
func.func @f(%x: tensor<4x4xf32>) {
  leat.launch_group {
    // expected-error @+1 {{is in a group of launches, which holds nothing else}}
    %a = tensor.collapse_shape %x [[0, 1]] : tensor<4x4xf32> into tensor<16xf32>
    leat.yield
  }
  return
}

// -----
leat.slot @s : tensor<4xf32> growth fixed
leat.kernel_func @write inputs 2 -> [!leat.state<tensor<4xf32>>] {
^bb0(%s: !leat.state<tensor<4xf32>>, %x: tensor<4xf32>):
  %0 = leat.state_write %s, %x : !leat.state<tensor<4xf32>>, tensor<4xf32>
  leat.yield %0 : !leat.state<tensor<4xf32>>
}
leat.kernel_func @read inputs 1 -> [tensor<4xf32>] {
^bb0(%s: !leat.state<tensor<4xf32>>):
  %0 = leat.state_read %s : <tensor<4xf32>> -> tensor<4xf32>
  leat.yield %0 : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) {
  %s = leat.state_get @s : !leat.state<tensor<4xf32>>
  %0:2 = leat.launch_group -> tensor<4xf32>, !leat.state<tensor<4xf32>> {
    // expected-error @+1 {{takes a state that another member of its group changes}}
    %a = leat.launch @read ins(%s : !leat.state<tensor<4xf32>>) -> tensor<4xf32>
    %b = leat.launch @write ins(%s, %x : !leat.state<tensor<4xf32>>, tensor<4xf32>) -> !leat.state<tensor<4xf32>>
    leat.yield %a, %b : tensor<4xf32>, !leat.state<tensor<4xf32>>
  }
  leat.state_put @s, %0#1 : !leat.state<tensor<4xf32>>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{needs a mask of (batch, head, query position, key position), each of type index, got ('index', 'index')}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%i, %j) {
    %s = arith.cmpi sle, %i, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{needs a mask that yields one i1: whether the key is visible}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    leat.yield %j : index
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>, %n: index) {
  // expected-error @+1 {{knows in a mask divisions of indices by positive constants, got arith.divsi}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %x = arith.divsi %i, %n : index
    %s = arith.cmpi sle, %x, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{knows in a mask addi, subi, muli, divsi, floordivsi, remsi, minsi, maxsi, cmpi, andi, ori, xori, select and constants of arith, got arith.divui}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %x = arith.divui %i, %j : index
    %s = arith.cmpi sle, %x, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{knows in a mask signed comparisons of indices, got arith.cmpi}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %s = arith.cmpi ule, %i, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{knows in a mask and, or and xor of i1, got arith.andi}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %x = arith.andi %i, %j : index
    %s = arith.cmpi sle, %x, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{knows in a mask constants of type index or i1, got arith.constant}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %x = arith.constant 1 : i64
    %s = arith.cmpi sle, %i, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>, %n: i64) {
  // expected-error @+1 {{knows in a mask arithmetic on indices, got arith.addi}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %x = arith.addi %n, %n : i64
    %s = arith.cmpi sle, %i, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>, %n: i64) {
  // expected-error @+1 {{knows in a mask selects of indices or i1, got arith.select}}
  %0 = leat.kv_attend q(%q) k(%q) v(%q) visible(%b, %h, %i, %j) {
    %z = arith.cmpi sle, %i, %j : index
    %x = arith.select %z, %n, %n : i64
    leat.yield %z : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}

// -----
func.func @f(%q: tensor<1x2x5x8xf32>) {
  // expected-error @+1 {{needs k_pos to mask by position over several segments}}
  %0 = leat.kv_attend q(%q, %q) k(%q, %q) v(%q, %q) visible(%b, %h, %i, %j) {
    %s = arith.cmpi sle, %i, %j : index
    leat.yield %s : i1
  } {scale = 1.0} : (tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>) -> tensor<1x2x5x8xf32>
  return
}
