// RUN: leat-opt %s -leat-raise-rotary -split-input-file | FileCheck %s

// cos(concat(f, f)) with a head axis put in; one half of the tables serves all layers.
// CHECK-LABEL: func.func @rotate_half
// CHECK-SAME: (%[[X:.*]]: tensor<?x3x?x8xf32>, %[[F:.*]]: tensor<?x?x4xf32>)
// CHECK: %[[COS:.*]] = onnx.node "Cos"
// CHECK: %[[C:.*]] = onnx.node "Slice"(%[[COS]], {{.*}} -> tensor<?x?x4xf32>
// CHECK: %[[SIN:.*]] = onnx.node "Sin"
// CHECK: %[[S:.*]] = onnx.node "Slice"(%[[SIN]], {{.*}} -> tensor<?x?x4xf32>
// CHECK: %[[A:.*]] = onnx.node "RotaryEmbedding"(%[[X]], %[[C]], %[[S]]) {{.*}}interleaved = 0{{.*}}version = 23
// CHECK: %[[B:.*]] = onnx.node "RotaryEmbedding"(%[[A]], %[[C]], %[[S]])
// CHECK: return %[[B]]
func.func @rotate_half(%x: tensor<?x3x?x8xf32>, %f: tensor<?x?x4xf32>) -> tensor<?x3x?x8xf32> {
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %one = onnx.constant dense<1> : tensor<1xi64>
  %axis = onnx.constant dense<3> : tensor<1xi64>
  %half = onnx.constant dense<4> : tensor<1xi64>
  %end = onnx.constant dense<9223372036854775807> : tensor<1xi64>
  %0 = onnx.node "Concat"(%f, %f) : (tensor<?x?x4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %1 = onnx.node "Cos"(%0) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32> attributes {version = 7 : i64}
  %c = onnx.node "Unsqueeze"(%1, %one) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Sin"(%0) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32> attributes {version = 7 : i64}
  %s = onnx.node "Unsqueeze"(%2, %one) : (tensor<?x?x8xf32>, tensor<1xi64>) -> tensor<?x1x?x8xf32> attributes {version = 13 : i64}
  %3 = onnx.node "Slice"(%x, %zero, %half, %axis, %one) : (tensor<?x3x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3x?x4xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Slice"(%x, %half, %end, %axis, %one) : (tensor<?x3x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3x?x4xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Neg"(%4) : (tensor<?x3x?x4xf32>) -> tensor<?x3x?x4xf32> attributes {version = 13 : i64}
  %6 = onnx.node "Concat"(%5, %3) : (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) -> tensor<?x3x?x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %7 = onnx.node "Mul"(%x, %c) : (tensor<?x3x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  %8 = onnx.node "Mul"(%6, %s) : (tensor<?x3x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  %9 = onnx.node "Add"(%7, %8) : (tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  %10:2 = onnx.node "Split"(%9) : (tensor<?x3x?x8xf32>) -> (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) attributes {version = 18 : i64, attrs = {axis = 3 : i64, num_outputs = 2 : i64}}
  %11 = onnx.node "Neg"(%10#1) : (tensor<?x3x?x4xf32>) -> tensor<?x3x?x4xf32> attributes {version = 13 : i64}
  %12 = onnx.node "Concat"(%11, %10#0) : (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) -> tensor<?x3x?x8xf32> attributes {version = 13 : i64, attrs = {axis = 3 : i64}}
  %13 = onnx.node "Mul"(%12, %s) : (tensor<?x3x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  %14 = onnx.node "Mul"(%9, %c) : (tensor<?x3x?x8xf32>, tensor<?x1x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  %15 = onnx.node "Add"(%13, %14) : (tensor<?x3x?x8xf32>, tensor<?x3x?x8xf32>) -> tensor<?x3x?x8xf32> attributes {version = 14 : i64}
  return %15 : tensor<?x3x?x8xf32>
}

// -----

// Two halves, each turned with tables of one half.
// CHECK-LABEL: func.func @two_halves
// CHECK: onnx.node "RotaryEmbedding"(%arg0, %arg1, %arg2)
// CHECK-NEXT: return
func.func @two_halves(%x: tensor<2x3x5x8xf32>, %c: tensor<1x5x4xf32>, %s: tensor<1x5x4xf32>) -> tensor<2x3x5x8xf32> {
  %0:2 = onnx.node "Split"(%x) : (tensor<2x3x5x8xf32>) -> (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) attributes {version = 18 : i64, attrs = {axis = -1 : i64, num_outputs = 2 : i64}}
  %1 = onnx.node "Mul"(%0#0, %c) : (tensor<2x3x5x4xf32>, tensor<1x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %2 = onnx.node "Mul"(%0#1, %s) : (tensor<2x3x5x4xf32>, tensor<1x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Sub"(%1, %2) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%0#1, %c) : (tensor<2x3x5x4xf32>, tensor<1x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Mul"(%0#0, %s) : (tensor<2x3x5x4xf32>, tensor<1x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %6 = onnx.node "Add"(%5, %4) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 14 : i64}
  %7 = onnx.node "Concat"(%3, %6) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  return %7 : tensor<2x3x5x8xf32>
}

// -----

// Tables given from outside: nothing proves that their halves are equal.
// CHECK-LABEL: func.func @unknown_tables
// CHECK-NOT: RotaryEmbedding
func.func @unknown_tables(%x: tensor<2x3x5x8xf32>, %c: tensor<1x5x8xf32>, %s: tensor<1x5x8xf32>) -> tensor<2x3x5x8xf32> {
  %0:2 = onnx.node "Split"(%x) : (tensor<2x3x5x8xf32>) -> (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) attributes {version = 18 : i64, attrs = {axis = -1 : i64, num_outputs = 2 : i64}}
  %1 = onnx.node "Neg"(%0#1) : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Concat"(%1, %0#0) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "Mul"(%x, %c) : (tensor<2x3x5x8xf32>, tensor<1x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%2, %s) : (tensor<2x3x5x8xf32>, tensor<1x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Add"(%3, %4) : (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  return %5 : tensor<2x3x5x8xf32>
}

// -----

// Turned the other way: concat(x2, -x1). And a table per head.
// CHECK-LABEL: func.func @other_direction
// CHECK-NOT: RotaryEmbedding
func.func @other_direction(%x: tensor<2x3x5x8xf32>, %f: tensor<1x5x4xf32>, %g: tensor<3x5x4xf32>) -> (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) {
  %c = onnx.node "Concat"(%f, %f) : (tensor<1x5x4xf32>, tensor<1x5x4xf32>) -> tensor<1x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %h = onnx.node "Concat"(%g, %g) : (tensor<3x5x4xf32>, tensor<3x5x4xf32>) -> tensor<3x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %0:2 = onnx.node "Split"(%x) : (tensor<2x3x5x8xf32>) -> (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) attributes {version = 18 : i64, attrs = {axis = -1 : i64, num_outputs = 2 : i64}}
  %1 = onnx.node "Neg"(%0#0) : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Concat"(%0#1, %1) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %3 = onnx.node "Mul"(%x, %c) : (tensor<2x3x5x8xf32>, tensor<1x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %4 = onnx.node "Mul"(%2, %c) : (tensor<2x3x5x8xf32>, tensor<1x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %5 = onnx.node "Add"(%3, %4) : (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %6 = onnx.node "Neg"(%0#1) : (tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> attributes {version = 13 : i64}
  %7 = onnx.node "Concat"(%6, %0#0) : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x8xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %8 = onnx.node "Mul"(%x, %h) : (tensor<2x3x5x8xf32>, tensor<3x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %9 = onnx.node "Mul"(%7, %h) : (tensor<2x3x5x8xf32>, tensor<3x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  %10 = onnx.node "Add"(%8, %9) : (tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32> attributes {version = 14 : i64}
  return %5, %10 : tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>
}

// -----

// GPT-J: neighbours turn, tables by repeat_interleave, tokens before heads; the transposition behind is taken in.
// CHECK-LABEL: func.func @neighbours
// CHECK: %[[C:.*]] = onnx.node "Slice"(%{{.*}}) {{.*}} -> tensor<?x?x2xf32>
// CHECK: %[[X:.*]] = onnx.node "Transpose"(%arg0) {{.*}}perm = array<i64: 0, 2, 1, 3>
// CHECK: %[[R:.*]] = onnx.node "RotaryEmbedding"(%[[X]], %[[C]], %{{.*}}) {{.*}}interleaved = 1
// CHECK: return %[[R]]
func.func @neighbours(%x: tensor<?x?x3x4xf32>, %c: tensor<?x?x1x2x1xf32>, %s: tensor<?x?x1x2x1xf32>, %n: tensor<4xi64>, %m: tensor<4xi64>) -> tensor<?x3x?x4xf32> {
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %one = onnx.constant dense<1> : tensor<1xi64>
  %two = onnx.constant dense<2> : tensor<1xi64>
  %three = onnx.constant dense<3> : tensor<1xi64>
  %last = onnx.constant dense<-1> : tensor<1xi64>
  %times = onnx.constant dense<[1, 1, 1, 1, 2]> : tensor<5xi64>
  %end = onnx.constant dense<9223372036854775807> : tensor<1xi64>
  %c1 = onnx.node "Tile"(%c, %times) : (tensor<?x?x1x2x1xf32>, tensor<5xi64>) -> tensor<?x?x1x2x2xf32> attributes {version = 13 : i64}
  %c2 = onnx.node "Reshape"(%c1, %m) : (tensor<?x?x1x2x2xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32> attributes {version = 14 : i64}
  %s1 = onnx.node "Tile"(%s, %times) : (tensor<?x?x1x2x1xf32>, tensor<5xi64>) -> tensor<?x?x1x2x2xf32> attributes {version = 13 : i64}
  %s2 = onnx.node "Reshape"(%s1, %m) : (tensor<?x?x1x2x2xf32>, tensor<4xi64>) -> tensor<?x?x1x4xf32> attributes {version = 14 : i64}
  %0 = onnx.node "Slice"(%x, %zero, %end, %three, %two) : (tensor<?x?x3x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x3x2xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Slice"(%x, %one, %end, %three, %two) : (tensor<?x?x3x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x?x3x2xf32> attributes {version = 13 : i64}
  %2 = onnx.node "Neg"(%1) : (tensor<?x?x3x2xf32>) -> tensor<?x?x3x2xf32> attributes {version = 13 : i64}
  %3 = onnx.node "Unsqueeze"(%2, %last) : (tensor<?x?x3x2xf32>, tensor<1xi64>) -> tensor<?x?x3x2x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Unsqueeze"(%0, %last) : (tensor<?x?x3x2xf32>, tensor<1xi64>) -> tensor<?x?x3x2x1xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Concat"(%3, %4) : (tensor<?x?x3x2x1xf32>, tensor<?x?x3x2x1xf32>) -> tensor<?x?x3x2x2xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "Reshape"(%5, %n) : (tensor<?x?x3x2x2xf32>, tensor<4xi64>) -> tensor<?x?x3x4xf32> attributes {version = 14 : i64}
  %7 = onnx.node "Mul"(%x, %c2) : (tensor<?x?x3x4xf32>, tensor<?x?x1x4xf32>) -> tensor<?x?x3x4xf32> attributes {version = 14 : i64}
  %8 = onnx.node "Mul"(%6, %s2) : (tensor<?x?x3x4xf32>, tensor<?x?x1x4xf32>) -> tensor<?x?x3x4xf32> attributes {version = 14 : i64}
  %9 = onnx.node "Add"(%7, %8) : (tensor<?x?x3x4xf32>, tensor<?x?x3x4xf32>) -> tensor<?x?x3x4xf32> attributes {version = 14 : i64}
  %10 = onnx.node "Transpose"(%9) : (tensor<?x?x3x4xf32>) -> tensor<?x3x?x4xf32> attributes {version = 13 : i64, attrs = {perm = array<i64: 0, 2, 1, 3>}}
  return %10 : tensor<?x3x?x4xf32>
}

// -----

// Even and odd elements exchanged: no rotation of neighbours.
// CHECK-LABEL: func.func @neighbours_swapped
// CHECK-NOT: "RotaryEmbedding"
// CHECK: return
func.func @neighbours_swapped(%x: tensor<?x3x?x4xf32>, %c: tensor<?x1x?x2xf32>, %s: tensor<?x1x?x2xf32>, %n: tensor<4xi64>) -> tensor<?x3x?x4xf32> {
  %zero = onnx.constant dense<0> : tensor<1xi64>
  %one = onnx.constant dense<1> : tensor<1xi64>
  %two = onnx.constant dense<2> : tensor<1xi64>
  %three = onnx.constant dense<3> : tensor<1xi64>
  %last = onnx.constant dense<-1> : tensor<1xi64>
  %end = onnx.constant dense<9223372036854775807> : tensor<1xi64>
  %0 = onnx.node "Slice"(%x, %zero, %end, %three, %two) : (tensor<?x3x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3x?x2xf32> attributes {version = 13 : i64}
  %1 = onnx.node "Slice"(%x, %one, %end, %three, %two) : (tensor<?x3x?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x3x?x2xf32> attributes {version = 13 : i64}
  %a = onnx.node "Mul"(%1, %c) : (tensor<?x3x?x2xf32>, tensor<?x1x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %b = onnx.node "Mul"(%0, %s) : (tensor<?x3x?x2xf32>, tensor<?x1x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %d = onnx.node "Sub"(%a, %b) : (tensor<?x3x?x2xf32>, tensor<?x3x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %e = onnx.node "Mul"(%0, %c) : (tensor<?x3x?x2xf32>, tensor<?x1x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %f = onnx.node "Mul"(%1, %s) : (tensor<?x3x?x2xf32>, tensor<?x1x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %g = onnx.node "Add"(%e, %f) : (tensor<?x3x?x2xf32>, tensor<?x3x?x2xf32>) -> tensor<?x3x?x2xf32> attributes {version = 14 : i64}
  %3 = onnx.node "Unsqueeze"(%d, %last) : (tensor<?x3x?x2xf32>, tensor<1xi64>) -> tensor<?x3x?x2x1xf32> attributes {version = 13 : i64}
  %4 = onnx.node "Unsqueeze"(%g, %last) : (tensor<?x3x?x2xf32>, tensor<1xi64>) -> tensor<?x3x?x2x1xf32> attributes {version = 13 : i64}
  %5 = onnx.node "Concat"(%3, %4) : (tensor<?x3x?x2x1xf32>, tensor<?x3x?x2x1xf32>) -> tensor<?x3x?x2x2xf32> attributes {version = 13 : i64, attrs = {axis = -1 : i64}}
  %6 = onnx.node "Reshape"(%5, %n) : (tensor<?x3x?x2x2xf32>, tensor<4xi64>) -> tensor<?x3x?x4xf32> attributes {version = 14 : i64}
  return %6 : tensor<?x3x?x4xf32>
}
