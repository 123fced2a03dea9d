// What the operands of an attention's products stand for: numbers that scale them, permuted axes, heads repeated for groups.
#pragma once

#include "passes/Import/Raise.h"

namespace leat::import::raise {

/// One element, of any rank.
bool isScalar(mlir::Value value);

/// value = inner * factor, through products with known numbers.
struct Scaled {
  mlir::Value inner;
  double factor = 1;
};
Scaled unscaled(mlir::Value value);

/// What a chain of permutations (and scales) does to `inner`.
struct Permuted {
  mlir::Value inner;
  llvm::SmallVector<int64_t> perm;
  double factor = 1;
};
Permuted unpermuted(mlir::Value value);

/// x [B, G, T, D] behind Reshape(Expand(Unsqueeze(x, 2), [B, G, n, T, D]), [B, G*n, T, D]) (or Tile instead of Expand); otherwise the value
/// itself.
mlir::Value beforeRepeat(mlir::Value value);

} // namespace leat::import::raise
