// Combining what the threads of a block have, lane by lane and then warp by warp: sums, extrema and pairs of a value and a position. The
// order follows from the number of threads only.
#pragma once

#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

/// Makes one list of values of two; has to be commutative, so that all lanes get the same bits.
using JoinValues = llvm::function_ref<Values(mlir::ValueRange x, mlir::ValueRange y)>;

/// Combines values (carried scalars) over each group of `width` neighbouring lanes; all of them get the result. All lanes of a warp come
/// by.
Values foldLanes(KernelBuilder &k, mlir::ValueRange values, int64_t width, JoinValues join);

/// The same over all threads of a block, a power of two of whole warps. All threads come by.
class BlockFold {
public:
  /// Takes shared memory for lists of up to `types`.
  BlockFold(KernelBuilder &k, mlir::Value thread, int64_t threads, mlir::TypeRange types);
  Values operator()(mlir::ValueRange mine, JoinValues join);
  /// What each warp's lane 0 has, in the order of warps: read(warp) gives it to any thread, until the next call of either.
  std::function<Values(mlir::Value warp)> share(mlir::ValueRange mine);

  const int64_t warps;

private:
  KernelBuilder &k;
  mlir::Value warp, lane, words;
  bool used = false;
};

} // namespace leat::cuda
