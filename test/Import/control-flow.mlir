// RUN: leat-opt %s -leat-import-onnx -split-input-file | FileCheck %s

// A constant condition takes its branch.
// CHECK-LABEL: func.func @constant_if
// CHECK-NOT: scf.if
// CHECK: math.absf
// CHECK-NOT: math.exp
func.func @constant_if(%x: tensor<4xf32>) -> tensor<4xf32> attributes {onnx.graph} {
  %c = onnx.constant dense<true> : tensor<i1>
  %0 = onnx.node "If"(%c) : (tensor<i1>) -> tensor<4xf32> attributes {version = 16 : i64, graphs = ["then_branch", "else_branch"]} {
    %1 = onnx.node "Abs"(%x) : (tensor<4xf32>) -> tensor<4xf32> attributes {version = 13 : i64}
    onnx.yield %1 : tensor<4xf32>
  }, {
    %1 = onnx.node "Exp"(%x) : (tensor<4xf32>) -> tensor<4xf32> attributes {version = 13 : i64}
    onnx.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// Branches of different size give a tensor and its size; scalars stay host scalars.
// CHECK-LABEL: func.func @if
// CHECK: %[[COND:.*]] = tensor.extract %arg0[]
// CHECK: %[[R:.*]]:3 = scf.if %[[COND]] -> (tensor<?xf32>, index, index)
// CHECK: tensor.cast %arg1 : tensor<4xf32> to tensor<?xf32>
// CHECK: } else {
// CHECK: tensor.cast %arg2 : tensor<8xf32> to tensor<?xf32>
// CHECK-DAG: tensor.empty(%[[R]]#1)
// CHECK-DAG: arith.index_cast %[[R]]#2
func.func @if(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<8xf32>) -> (tensor<?xf32>, tensor<i64>) attributes {onnx.graph} {
  %0:2 = onnx.node "If"(%c) : (tensor<i1>) -> (tensor<?xf32>, tensor<i64>) attributes {version = 16 : i64, graphs = ["then_branch", "else_branch"]} {
    %1 = onnx.constant dense<7> : tensor<i64>
    onnx.yield %x, %1 : tensor<4xf32>, tensor<i64>
  }, {
    %1 = onnx.constant dense<9> : tensor<i64>
    onnx.yield %y, %1 : tensor<8xf32>, tensor<i64>
  }
  %2 = onnx.node "Abs"(%0#0) : (tensor<?xf32>) -> tensor<?xf32> attributes {version = 13 : i64}
  return %2, %0#1 : tensor<?xf32>, tensor<i64>
}

// -----

// A known number of iterations is an scf.for; a size that stays the same stays static, a collected value grows.
// CHECK-LABEL: func.func @for
// CHECK-SAME: -> (tensor<4xf32>{{.*}}, tensor<?x4xf32>
// CHECK: scf.for %[[I:.*]] = %c0 to %{{.*}} step %c1 iter_args(%[[X:.*]] = %arg1, %[[ACC:.*]] = %{{.*}}) -> (tensor<4xf32>, tensor<?x4xf32>)
// CHECK: tensor.concat dim(0)
func.func @for(%n: tensor<i64>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<?x4xf32>) attributes {onnx.graph} {
  %c = onnx.absent
  %0:2 = onnx.node "Loop"(%n, %c, %x) : (tensor<i64>, none, tensor<4xf32>) -> (tensor<4xf32>, tensor<?x4xf32>) attributes {version = 16 : i64, graphs = ["body"]} {
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %v: tensor<4xf32>):
    %1 = onnx.node "Abs"(%v) : (tensor<4xf32>) -> tensor<4xf32> attributes {version = 13 : i64}
    onnx.yield %go, %1, %1 : tensor<i1>, tensor<4xf32>, tensor<4xf32>
  }
  return %0#0, %0#1 : tensor<4xf32>, tensor<?x4xf32>
}

// -----

// A condition makes an scf.while; the value that grows carries its size.
// CHECK-LABEL: func.func @while
// CHECK: scf.while (%[[I:.*]] = %c0, %[[C:.*]] = %true, %[[V:.*]] = %{{.*}}, %[[N:.*]] = %c1) : (index, i1, tensor<?xf32>, index)
// CHECK: scf.condition
// CHECK: tensor.concat
// CHECK: scf.yield
func.func @while(%x: tensor<1xf32>) -> tensor<?xf32> attributes {onnx.graph} {
  %m = onnx.absent
  %c = onnx.constant dense<true> : tensor<i1>
  %0 = onnx.node "Loop"(%m, %c, %x) : (none, tensor<i1>, tensor<1xf32>) -> tensor<?xf32> attributes {version = 16 : i64, graphs = ["body"]} {
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %v: tensor<?xf32>):
    %1 = onnx.node "Concat"(%v, %x) : (tensor<?xf32>, tensor<1xf32>) -> tensor<?xf32> attributes {version = 13 : i64, attrs = {axis = 0 : i64}}
    %five = onnx.constant dense<5> : tensor<i64>
    %2 = onnx.node "Less"(%i, %five) : (tensor<i64>, tensor<i64>) -> tensor<i1> attributes {version = 13 : i64}
    onnx.yield %2, %1 : tensor<i1>, tensor<?xf32>
  }
  return %0 : tensor<?xf32>
}
