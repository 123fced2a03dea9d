// The plain graph of Graph.h as IR.
#pragma once

#include "lib/Frontend/Graph.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace leat::frontend {

/// The MLIR element type of an ONNX data type; null for numbers that ONNX does not define.
mlir::Type elementType(mlir::MLIRContext *context, int32_t onnxType);
/// The ONNX data type of an MLIR element type; 0 if there is none.
int32_t onnxElementType(mlir::Type type);
mlir::Type toMLIR(mlir::MLIRContext *context, const ValueType &type);
ValueType fromMLIR(mlir::Type type);

/// Builds graphs into a module: nodes where the builder stands, weights as leat.param at the start of the module.
class GraphBuilder {
public:
  explicit GraphBuilder(mlir::ModuleOp module);

  /// The values of one graph by name, and the graph around it.
  struct Scope {
    llvm::StringMap<mlir::Value> values;
    const Scope *outer = nullptr;
    mlir::Value find(llvm::StringRef name) const;
  };

  /// Builds constants and nodes of `graph`, whose inputs are already in `scope`. Returns the values of its outputs, or nothing and a reason
  /// when a name is not defined.
  mlir::LogicalResult build(mlir::OpBuilder &builder, const Graph &graph, Scope &scope, llvm::SmallVectorImpl<mlir::Value> &outputs,
                            std::string &error);

private:
  mlir::ModuleOp module;
  mlir::MLIRContext *context;
  llvm::StringSet<> symbols;
  mlir::Operation *lastParam = nullptr;

  mlir::LogicalResult buildNode(mlir::OpBuilder &builder, const Graph &graph, const Node &node, Scope &scope, std::string &error);
  mlir::Value buildConstant(mlir::OpBuilder &builder, mlir::Location loc, const Tensor &tensor, llvm::StringRef name);
  mlir::Value buildConstantNode(mlir::OpBuilder &builder, mlir::Location loc, const Node &node);
  mlir::FlatSymbolRefAttr declareParam(mlir::Location loc, const Tensor &tensor, llvm::StringRef name);
  mlir::Attribute toAttribute(mlir::Location loc, const Attribute &attribute, llvm::StringRef name);
};

} // namespace leat::frontend
