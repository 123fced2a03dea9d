// What Import can do with each node of a module, without changing the module: `leat inspect --coverage`.
#pragma once

#include "passes/Import/FunctionExpander.h"

#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace leat::import {

enum class NodeStatus {
  Handled,  ///< a handler converted it
  Expanded, ///< replaced by its ONNX function body
  Failed,   ///< `reason` says why
  Blocked,  ///< not tried: an operand comes from a node that failed and its type is unknown
};

struct NodeReport {
  std::string node, op, domain;
  int64_t version = 0;
  NodeStatus status = NodeStatus::Handled;
  std::string reason;
};

/// One entry per node in graph order, subgraphs and expanded bodies included.
std::vector<NodeReport> coverage(mlir::ModuleOp module, FunctionExpander expander = {});

} // namespace leat::import
