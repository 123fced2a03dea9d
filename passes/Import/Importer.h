// The forward walk that turns onnx.node graphs into linalg, tensor, arith and leat ops.
#pragma once

#include "passes/Import/Coverage.h"
#include "passes/Import/Handlers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace leat::import {

class Importer {
public:
  Importer(mlir::ModuleOp module, FunctionExpander expander) : module(module), expander(std::move(expander)), b(module.getContext()) {}

  /// Converts every onnx graph of the module. With failures, the module is left in an unusable state and the reports say why.
  mlir::LogicalResult run();

  struct Failure {
    mlir::Location loc;
    std::string text;
  };
  std::vector<Failure> failures;
  std::vector<NodeReport> reports;

  /// The converted value of an onnx value; null for absent ones.
  mlir::Value lookup(mlir::Value onnx) const { return values.lookup(onnx); }
  void define(mlir::Value onnx, mlir::Value converted) { values[onnx] = converted; }
  /// Converts the ops of `graph` at the builder's place.
  mlir::LogicalResult importBlock(mlir::Block &graph, llvm::SmallVectorImpl<mlir::Value> &results);

private:
  mlir::LogicalResult importFunction(mlir::func::FuncOp func);
  mlir::LogicalResult importOp(mlir::Operation &op);
  mlir::LogicalResult importNode(onnxir::NodeOp node);
  void failNode(onnxir::NodeOp node, NodeReport report, llvm::StringRef reason);
  void shareSymbolicDims(mlir::func::FuncOp func, mlir::Block &entry);
  void convertParams();

  mlir::ModuleOp module;
  FunctionExpander expander;
  GraphBuilder b;
  HandlerTable handlers;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
  /// Onnx ops that the walk has passed.
  llvm::DenseSet<mlir::Operation *> done;
  unsigned expansionDepth = 0;
};

} // namespace leat::import
