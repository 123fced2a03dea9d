// Which of two candidates a search for the position of a maximum or minimum (leat.arg_reduce) goes on with.
#pragma once

#include "passes/CPU/KernelBuilder.h"

namespace leat::cpu {

struct Extremum {
  bool max, last; ///< of equal values the last position

  /// i1: `x`, whose position is behind that of `than`, takes its place. Scalars or vectors.
  mlir::Value overtakes(KernelBuilder &k, mlir::Value x, mlir::Value than) const;
  /// The better one of two pairs of a value and a position (index), in whatever order they come.
  llvm::SmallVector<mlir::Value> join(KernelBuilder &k, mlir::ValueRange x, mlir::ValueRange y) const;
  static llvm::SmallVector<mlir::Value> choose(KernelBuilder &k, mlir::Value cond, mlir::ValueRange x, mlir::ValueRange y);
};

} // namespace leat::cpu
