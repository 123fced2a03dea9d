// RUN: leat-opt %s -split-input-file -verify-diagnostics

func.func @no_operator(%x: tensor<2xf32>) {
  // expected-error @+1 {{needs an operator name}}
  %0 = onnx.node ""(%x) : (tensor<2xf32>) -> tensor<2xf32> attributes {version = 13 : i64}
  return
}

// -----

func.func @unnamed_subgraph(%c: tensor<i1>) {
  // expected-error @+1 {{has 2 subgraphs but 'graphs' names 1}}
  onnx.node "If"(%c) : (tensor<i1>) -> () attributes {version = 21 : i64, graphs = ["then_branch"]} {
    onnx.yield
  }, {
    onnx.yield
  }
  return
}

// -----

func.func @missing_subgraph(%c: tensor<i1>) {
  // expected-error @+1 {{has 0 subgraphs but 'graphs' names 1}}
  onnx.node "If"(%c) : (tensor<i1>) -> () attributes {version = 21 : i64, graphs = ["then_branch"]}
  return
}

// -----

func.func @output_names(%x: tensor<2xf32>) {
  // expected-error @+1 {{has 1 results but 'output_names' names 2}}
  %0 = onnx.node "Neg"(%x) : (tensor<2xf32>) -> tensor<2xf32> attributes {version = 13 : i64, output_names = ["a", "b"]}
  return
}

// -----

func.func @constant_type() {
  // expected-error @+1 {{'onnx.constant' op failed to verify that all of {value, output} have same type}}
  %0 = "onnx.constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<3xf32>
  return
}
