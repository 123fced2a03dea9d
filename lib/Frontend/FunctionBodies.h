// Function bodies of ONNX operators as IR: the fallback of Import for every operator that has one and no handler.
#pragma once

#include "dialects/ONNX/ONNX.h"

#include "mlir/IR/Builders.h"

#include <string>

namespace leat {

/// Builds the ONNX function body of `node` where the builder stands; fits passes/Import/FunctionExpander.h. Results are in the order of the
/// node's, null where the node's is absent. Fails with a reason, nothing built, when there is no body for these types and attributes.
mlir::FailureOr<llvm::SmallVector<mlir::Value>> expandFunctionBody(mlir::OpBuilder &builder, onnxir::NodeOp node, std::string &reason);

/// Expands every node of these operators in place; fails with the node and the reason at the first that has no body.
mlir::LogicalResult expandFunctionBodies(mlir::ModuleOp module, llvm::ArrayRef<std::string> opTypes, std::string &error);

} // namespace leat
