// RUN: leat-opt %s | leat-opt | FileCheck %s

// CHECK: onnx.opsets = {ai.onnx = 21 : i64, com.microsoft = 1 : i64}
module attributes {onnx.opsets = {ai.onnx = 21 : i64, com.microsoft = 1 : i64}} {
  // CHECK: leat.param @w : tensor<4x8xf32> {key = "w"}
  leat.param @w : tensor<4x8xf32> {key = "w"}
  // CHECK: func.func @main(%[[X:.*]]: tensor<?x4xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}, %[[C:.*]]: tensor<i1>, %[[S:.*]]: !onnx.opaque<"seq(tensor(FLOAT))">)
  func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["batch", ""]}, %c: tensor<i1>, %s: !onnx.opaque<"seq(tensor(FLOAT))">)
      -> (tensor<?x8xf32>, tensor<*xf32>) attributes {onnx.graph} {
    %w = leat.param_ref @w : tensor<4x8xf32>
    // CHECK: onnx.constant dense<[-1, 8]> : tensor<2xi64>
    %shape = onnx.constant dense<[-1, 8]> : tensor<2xi64>
    // CHECK: onnx.constant dense<["a", "b"]> : tensor<2x!onnx.string>
    %strings = onnx.constant dense<["a", "b"]> : tensor<2x!onnx.string>
    // CHECK: %[[ABSENT:.*]] = onnx.absent
    %absent = onnx.absent
    // CHECK: onnx.node "MatMul"(%[[X]], %{{.*}}) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32> attributes {node_name = "/fc/MatMul", version = 13 : i64}
    %h = onnx.node "MatMul"(%x, %w) : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32> attributes {version = 13 : i64, node_name = "/fc/MatMul"}
    // CHECK: onnx.node "Clip"(%{{.*}}, %[[ABSENT]], %[[ABSENT]]) : (tensor<?x8xf32>, none, none) -> (tensor<?x8xf32>, none)
    // CHECK-SAME: attrs = {alpha = 5.000000e-01 : f32, axes = array<i64: 0, 1>, mode = "x", scales = array<f32: 1.000000e+00>, to = tensor<*xf32>}
    // CHECK-SAME: domain = "com.microsoft"
    %k:2 = onnx.node "Clip"(%h, %absent, %absent) : (tensor<?x8xf32>, none, none) -> (tensor<?x8xf32>, none)
        attributes {version = 1 : i64, domain = "com.microsoft", attrs = {axes = array<i64: 0, 1>, alpha = 0.5 : f32, mode = "x", scales = array<f32: 1.0>, to = tensor<*xf32>}}
    // CHECK: onnx.node "If"(%[[C]]) : (tensor<i1>) -> tensor<*xf32> attributes {graphs = ["then_branch", "else_branch"], output_names = ["y"], version = 21 : i64} {
    // CHECK: onnx.yield %{{.*}} : tensor<?x8xf32>
    // CHECK: }, {
    // CHECK: onnx.yield %{{.*}} : tensor<*xf32>
    %y = onnx.node "If"(%c) : (tensor<i1>) -> tensor<*xf32> attributes {version = 21 : i64, graphs = ["then_branch", "else_branch"], output_names = ["y"]} {
      onnx.yield %h : tensor<?x8xf32>
    }, {
      %n = onnx.node "Neg"(%h) : (tensor<?x8xf32>) -> tensor<*xf32> attributes {version = 13 : i64}
      onnx.yield %n : tensor<*xf32>
    }
    // CHECK: onnx.node "Loop"
    // CHECK: ^bb0(%{{.*}}: tensor<i64>, %{{.*}}: tensor<i1>):
    // CHECK: onnx.yield %{{.*}} : tensor<i1>
    onnx.node "Loop"(%absent, %c) : (none, tensor<i1>) -> () attributes {version = 21 : i64, graphs = ["body"]} {
    ^bb0(%i: tensor<i64>, %go: tensor<i1>):
      onnx.yield %go : tensor<i1>
    }
    return %k#0, %y : tensor<?x8xf32>, tensor<*xf32>
  }
}
