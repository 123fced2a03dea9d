// RUN: leat-opt %s -leat-group-launches -split-input-file | FileCheck %s

// The order of a layer: a product and what follows from it, then the next product. Products of one operand become a group, and so does what follows
// from them; the views and parameters that they need move. The sum of all of them has to wait.
leat.param @w : tensor<4x4xf32> {value = dense<1.0> : tensor<4x4xf32>}
leat.kernel_func @product inputs 2 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x4xf32>, %b: tensor<4x4xf32>):
  leat.yield %a : tensor<?x4xf32>
}
leat.kernel_func @turn inputs 1 -> [tensor<?x2x2xf32>] {
^bb0(%a: tensor<?x2x2xf32>):
  leat.yield %a : tensor<?x2x2xf32>
}
leat.kernel_func @join inputs 3 -> [tensor<?x4xf32>] {
^bb0(%a: tensor<?x2x2xf32>, %b: tensor<?x2x2xf32>, %c: tensor<?x4xf32>):
  leat.yield %c : tensor<?x4xf32>
}
// CHECK-LABEL: @layer
// CHECK-COUNT-3: leat.param_ref
// CHECK:      %[[P:.*]]:3 = leat.launch_group -> tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32> {
// CHECK-NEXT:   %[[Q:.*]] = leat.launch @product
// CHECK-NEXT:   %[[K:.*]] = leat.launch @product
// CHECK-NEXT:   %[[V:.*]] = leat.launch @product
// CHECK-NEXT:   leat.yield %[[Q]], %[[K]], %[[V]]
// CHECK:      %[[QH:.*]] = tensor.expand_shape %[[P]]#0
// CHECK:      %[[KH:.*]] = tensor.expand_shape %[[P]]#1
// CHECK:      %[[T:.*]]:2 = leat.launch_group
// CHECK-NEXT:   leat.launch @turn ins(%[[QH]]
// CHECK-NEXT:   leat.launch @turn ins(%[[KH]]
// CHECK:      %[[Y:.*]] = leat.launch @join ins(%[[T]]#0, %[[T]]#1, %[[P]]#2
// CHECK-NEXT: return %[[Y]]
func.func @layer(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %wq = leat.param_ref @w : tensor<4x4xf32>
  %q = leat.launch @product ins(%x, %wq : tensor<?x4xf32>, tensor<4x4xf32>) sizes(%n) -> tensor<?x4xf32>
  %qh = tensor.expand_shape %q [[0], [1, 2]] output_shape [%n, 2, 2] : tensor<?x4xf32> into tensor<?x2x2xf32>
  %qr = leat.launch @turn ins(%qh : tensor<?x2x2xf32>) sizes(%n) -> tensor<?x2x2xf32>
  %wk = leat.param_ref @w : tensor<4x4xf32>
  %k = leat.launch @product ins(%x, %wk : tensor<?x4xf32>, tensor<4x4xf32>) sizes(%n) -> tensor<?x4xf32>
  %kh = tensor.expand_shape %k [[0], [1, 2]] output_shape [%n, 2, 2] : tensor<?x4xf32> into tensor<?x2x2xf32>
  %kr = leat.launch @turn ins(%kh : tensor<?x2x2xf32>) sizes(%n) -> tensor<?x2x2xf32>
  %wv = leat.param_ref @w : tensor<4x4xf32>
  %v = leat.launch @product ins(%x, %wv : tensor<?x4xf32>, tensor<4x4xf32>) sizes(%n) -> tensor<?x4xf32>
  %y = leat.launch @join ins(%qr, %kr, %v : tensor<?x2x2xf32>, tensor<?x2x2xf32>, tensor<?x4xf32>) sizes(%n) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// What touches different slots is a group. Who reads a slot that another changes is not in its group, whichever comes first; neither is the
// counter's copy in any.
leat.slot @seen : tensor<i64> growth counter
leat.slot @k : tensor<?xf32> growth append {axis = 0 : i64}
leat.slot @v : tensor<?xf32> growth append {axis = 0 : i64}
leat.kernel_func @copy inputs 1 -> [tensor<i64>] {
^bb0(%s: !leat.state<tensor<i64>>):
  %0 = leat.state_read %s : <tensor<i64>> -> tensor<i64>
  leat.yield %0 : tensor<i64>
}
leat.kernel_func @append inputs 2 -> [!leat.state<tensor<?xf32>>] {
^bb0(%s: !leat.state<tensor<?xf32>>, %x: tensor<?xf32>, %at: index):
  %n = leat.cache_append %s, %x at %at : !leat.state<tensor<?xf32>>, tensor<?xf32>
  leat.yield %n : !leat.state<tensor<?xf32>>
}
leat.kernel_func @read inputs 1 -> [tensor<?xf32>] {
^bb0(%s: !leat.state<tensor<?xf32>>, %n: index):
  %0 = leat.cache_view %s[%n, %n] : !leat.state<tensor<?xf32>> -> tensor<?xf32>
  leat.yield %0 : tensor<?xf32>
}
// CHECK-LABEL: @step
// CHECK-DAG:  %[[K:.*]] = leat.state_get @k
// CHECK-DAG:  %[[V:.*]] = leat.state_get @v
// CHECK:      leat.launch @copy
// CHECK:      %[[OLD:.*]]:2 = leat.launch_group
// CHECK-NEXT:   leat.launch @read ins(%[[K]]
// CHECK-NEXT:   leat.launch @append ins(%[[V]]
// CHECK:      %[[NEW:.*]]:2 = leat.launch_group
// CHECK-NEXT:   leat.launch @append ins(%[[K]]
// CHECK-NEXT:   leat.launch @read ins(%[[OLD]]#1
// CHECK:      leat.launch @read ins(%[[NEW]]#0
// CHECK-NOT:  leat.launch
func.func @step(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %c = leat.state_get @seen : !leat.state<tensor<i64>>
  %k = leat.state_get @k : !leat.state<tensor<?xf32>>
  %v = leat.state_get @v : !leat.state<tensor<?xf32>>
  %count = leat.launch @copy ins(%c : !leat.state<tensor<i64>>) -> tensor<i64>
  %seen = tensor.extract %count[] : tensor<i64>
  %at = arith.index_cast %seen : i64 to index
  %old = leat.launch @read ins(%k : !leat.state<tensor<?xf32>>) scalars(%n : index) sizes(%n) -> tensor<?xf32>
  %k1 = leat.launch @append ins(%k, %x : !leat.state<tensor<?xf32>>, tensor<?xf32>) scalars(%at : index) -> !leat.state<tensor<?xf32>>
  %a = leat.launch @read ins(%k1 : !leat.state<tensor<?xf32>>) scalars(%n : index) sizes(%n) -> tensor<?xf32>
  %v1 = leat.launch @append ins(%v, %x : !leat.state<tensor<?xf32>>, tensor<?xf32>) scalars(%at : index) -> !leat.state<tensor<?xf32>>
  %b = leat.launch @read ins(%v1 : !leat.state<tensor<?xf32>>) scalars(%n : index) sizes(%n) -> tensor<?xf32>
  leat.state_put @k, %k1 : !leat.state<tensor<?xf32>>
  leat.state_put @v, %v1 : !leat.state<tensor<?xf32>>
  return %old, %a, %b : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// -----

// A kernel relies on the checks in front of it: what can be checked before the group moves there, and what follows a check that needs a member's
// result stays behind it. Nor does anything leave a branch.
leat.kernel_func @f inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
// CHECK-LABEL: @checks
// CHECK:      arith.cmpi
// CHECK-NEXT: cf.assert
// CHECK-NEXT: leat.launch_group
// CHECK-NEXT:   leat.launch @f
// CHECK-NEXT:   leat.launch @f
// CHECK-NEXT:   leat.yield
// CHECK:      cf.assert
// CHECK-NEXT: leat.launch @f
// CHECK-NEXT: scf.if
// CHECK-NEXT:   leat.launch @f
// CHECK-NOT:  leat.launch_group
func.func @checks(%x: tensor<4xf32>, %n: tensor<index>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %a = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %m = tensor.extract %n[] : tensor<index>
  %fits = arith.cmpi eq, %m, %c0 : index
  cf.assert %fits, "does not fit"
  %b = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %first = tensor.extract %a[%c0] : tensor<4xf32>
  %positive = arith.cmpf ogt, %first, %zero : f32
  cf.assert %positive, "is negative"
  %c = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %d = scf.if %fits -> tensor<4xf32> {
    %e = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
    scf.yield %e : tensor<4xf32>
  } else {
    scf.yield %x : tensor<4xf32>
  }
  return %a, %b, %c, %d : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// At most eight launches are a group, and a launch overtakes no more than eight others.
leat.kernel_func @f inputs 1 -> [tensor<4xf32>] {
^bb0(%a: tensor<4xf32>):
  leat.yield %a : tensor<4xf32>
}
// CHECK-LABEL: @many
// CHECK:      leat.launch_group
// CHECK-COUNT-8: leat.launch @f
// CHECK-NEXT: leat.yield
// CHECK:      leat.launch @f
// CHECK-NOT:  leat.launch_group
// CHECK-LABEL: @far
// CHECK-COUNT-3: leat.launch @f
// CHECK-NEXT: leat.launch_group
// CHECK-COUNT-2: leat.launch @f
// CHECK-NEXT: leat.yield
// CHECK-COUNT-8: leat.launch @f
// CHECK-NEXT: return
func.func @many(%x: tensor<4xf32>) {
  %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %1 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %2 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %3 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %4 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %5 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %6 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %7 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %8 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  return
}
func.func @far(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  %1 = leat.launch @f ins(%0 : tensor<4xf32>) -> tensor<4xf32>
  %2 = leat.launch @f ins(%1 : tensor<4xf32>) -> tensor<4xf32>
  %3 = leat.launch @f ins(%2 : tensor<4xf32>) -> tensor<4xf32>
  %4 = leat.launch @f ins(%3 : tensor<4xf32>) -> tensor<4xf32>
  %5 = leat.launch @f ins(%4 : tensor<4xf32>) -> tensor<4xf32>
  %6 = leat.launch @f ins(%5 : tensor<4xf32>) -> tensor<4xf32>
  %7 = leat.launch @f ins(%6 : tensor<4xf32>) -> tensor<4xf32>
  %8 = leat.launch @f ins(%7 : tensor<4xf32>) -> tensor<4xf32>
  %9 = leat.launch @f ins(%8 : tensor<4xf32>) -> tensor<4xf32>
  %10 = leat.launch @f ins(%9 : tensor<4xf32>) -> tensor<4xf32>
  %11 = leat.launch @f ins(%10 : tensor<4xf32>) -> tensor<4xf32>
  %12 = leat.launch @f ins(%x : tensor<4xf32>) -> tensor<4xf32>
  return %11, %12 : tensor<4xf32>, tensor<4xf32>
}
