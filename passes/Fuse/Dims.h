// Dynamic sizes of tensors as values that are known before the tensor is: what a launch needs to reserve its results.
#pragma once

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace leat::fuse {

/// Follows shapes through the ops of a function. A value it makes is placed right before the op whose result has the size (after it for
/// control flow and block arguments), so it dominates every use of the tensor. Each size is made once.
class Dims {
public:
  explicit Dims(mlir::MLIRContext *context) : builder(context) {}
  /// All sizes of a ranked tensor: attributes where static. Fails, with a diagnostic at the op, for an op without a known rule.
  mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>> of(mlir::Value tensor);
  /// The dynamic ones, as values.
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> dynamicOf(mlir::Value tensor);
  mlir::Value materialize(mlir::OpFoldResult size, mlir::Operation *before);

private:
  mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>> compute(mlir::Value tensor);
  mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>> ofOp(mlir::OpResult tensor);
  mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>> ofState(mlir::Operation *read);

  void settleChain(mlir::Value tensor);

  bool settling = false;
  mlir::OpBuilder builder;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::OpFoldResult>> known;
  llvm::StringMap<mlir::Value> symbols; // one size for all arguments of a function that name it alike (onnx.dims)
};

} // namespace leat::fuse
