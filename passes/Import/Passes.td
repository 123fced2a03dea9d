#ifndef LEAT_PASSES_IMPORT
#define LEAT_PASSES_IMPORT
include "mlir/Pass/PassBase.td"
include "passes/Import/RaisePasses.td"

def ImportOnnxPass : Pass<"leat-import-onnx", "::mlir::ModuleOp"> {
  let summary = "turn onnx.node graphs into linalg, tensor, arith, math and leat ops";
  let description = [{
    One forward walk over each `onnx.graph` function. A node goes to its handler in the table (domain, operator, since_version); one without a
    handler is replaced by its ONNX function body. Shapes are settled on the way: inputs with the same symbolic dimension share one `tensor.dim`,
    shape arithmetic becomes index arithmetic in a normal form, and types get as static as they can. What cannot be lowered is reported for the
    whole module at once, each with operator, domain, version, node name and reason.

    Before:
    ```mlir
    func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", "4"]}, %y: tensor<4xf32> {onnx.name = "y", onnx.dims = ["4"]})
        -> (tensor<?x4xf32> {onnx.name = "z", onnx.dims = ["n", "4"]}) attributes {onnx.graph} {
      %0 = onnx.node "Add"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32> attributes {version = 14 : i64, node_name = "/add"}
      return %0 : tensor<?x4xf32>
    }
    ```
    After:
    ```mlir
    func.func @main(%x: tensor<?x4xf32> {leat.dtype = 1 : i32, ...}, %y: tensor<4xf32> {leat.dtype = 1 : i32, ...}) -> (tensor<?x4xf32> {...}) {
      %n = tensor.dim %x, %c0 : tensor<?x4xf32>
      %init = tensor.empty(%n) : tensor<?x4xf32>
      %0 = linalg.generic {indexing_maps = [(d0, d1) -> (d0, d1), (d0, d1) -> (d1), (d0, d1) -> (d0, d1)], iterator_types = ["parallel", "parallel"]}
          ins(%x, %y) outs(%init) { arith.addf } -> tensor<?x4xf32>
      return %0 : tensor<?x4xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::leat::LeatDialect"];
}

#endif
