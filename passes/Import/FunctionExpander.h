// How Import asks for the ONNX function body of an operator that has no handler. The bodies live in ONNX's own library, behind
// lib/Frontend; passes do not depend on it, so the pass takes this callback.
#pragma once

#include "dialects/ONNX/ONNX.h"

#include "mlir/IR/Builders.h"

#include <functional>
#include <string>

namespace leat::import {

/// Builds the body of `node` as onnx ops where the builder stands and returns a value for each result of the node (null for a result of
/// type none). The node itself is left for the caller to replace. Fails with a reason in `reason`, nothing built, when ONNX defines no
/// body.
using FunctionExpander =
    std::function<mlir::FailureOr<llvm::SmallVector<mlir::Value>>(mlir::OpBuilder &builder, onnxir::NodeOp node, std::string &reason)>;

} // namespace leat::import
