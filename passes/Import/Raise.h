// Small matchers over onnx.node that the raising passes share: they read the graph as exporters write it, and never look at names.
#pragma once

#include "dialects/ONNX/ONNX.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <optional>

namespace leat::import::raise {

using onnxir::NodeOp;

/// The value behind nodes that change nothing: Identity, Dropout at inference.
mlir::Value through(mlir::Value value);
/// The value behind those and behind casts between float types.
mlir::Value throughCasts(mlir::Value value);
/// The default-domain node of this operator that makes `value` (looking through()), or null.
NodeOp node(mlir::Value value, llvm::StringRef opType);
/// The same, looking through float casts.
NodeOp nodeBehindCasts(mlir::Value value, llvm::StringRef opType);

/// The number that `value` holds in every element, if it is known: constants, and arithmetic over constants and static dimensions.
std::optional<double> number(mlir::Value value);
/// The integers of a constant tensor.
std::optional<llvm::SmallVector<int64_t>> integers(mlir::Value value);
/// Entry `i` of a vector of integers, if it is known.
std::optional<int64_t> integerAt(mlir::Value value, int64_t i);
/// The size of a tensor along an axis.
struct Size {
  mlir::Value tensor;
  int64_t axis;
};
/// What entry `i` of a vector of integers is the size of, if it was read from a shape.
std::optional<Size> sizeAt(mlir::Value value, int64_t i);

int64_t intAttr(NodeOp node, llvm::StringRef name, int64_t byDefault);
llvm::StringRef stringAttr(NodeOp node, llvm::StringRef name, llvm::StringRef byDefault);
std::optional<llvm::SmallVector<int64_t>> intsAttr(NodeOp node, llvm::StringRef name);
/// Input `i`, null if it is absent.
mlir::Value input(NodeOp node, unsigned i);

/// Rank and dimensions of a ranked tensor; -1 and kDynamic otherwise. `dim` takes negative axes.
int64_t rank(mlir::Value value);
int64_t dim(mlir::Value value, int64_t axis);
mlir::Type elementType(mlir::Value value);
bool isFloat(mlir::Value value);
/// `axis` counted from the front; a negative one needs a known rank.
int64_t axisOf(mlir::Value value, int64_t axis);

/// A Slice (opset 10 and later) along the last axis alone, with its numbers as they are written: negative ones count from the end.
struct LastAxisSlice {
  mlir::Value x;
  int64_t start, end, step;
};
std::optional<LastAxisSlice> lastAxisSlice(NodeOp slice);

/// True when the node reduces exactly the trailing axes from `*axis` on (in terms of its operand) and keeps them as ones.
bool reducesTrailing(NodeOp reduce, int64_t *axis);

/// Calls `match` with both orders of a node's two operands until one succeeds.
template <typename F> bool eitherOrder(NodeOp node, F match) {
  if (!node || node.getInputs().size() != 2)
    return false;
  mlir::Value a = node.getInputs()[0], b = node.getInputs()[1];
  return match(a, b) || match(b, a);
}

/// A node of the default domain in place of `root`: its location and name.
NodeOp make(mlir::OpBuilder &builder, NodeOp root, llvm::StringRef opType, int64_t version, mlir::ValueRange inputs,
            mlir::TypeRange results, llvm::ArrayRef<mlir::NamedAttribute> attrs = {});
mlir::Value constantInts(mlir::OpBuilder &builder, mlir::Location loc, llvm::ArrayRef<int64_t> values);
mlir::Value absent(mlir::OpBuilder &builder, mlir::Location loc);
/// Transpose, or `value` itself when the permutation is the identity.
mlir::Value transposed(mlir::OpBuilder &builder, NodeOp root, mlir::Value value, llvm::ArrayRef<int64_t> perm);

/// Offers every node to `rewrite`, users before producers so that the largest form of an idiom is seen first, then drops what nobody uses.
/// `rewrite` returns true after it has replaced the node's results.
void forEachNode(mlir::func::FuncOp func, llvm::function_ref<bool(mlir::OpBuilder &, NodeOp)> rewrite);

} // namespace leat::import::raise
