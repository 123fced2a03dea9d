// Pasts that hold several caches at once: keys and values of a layer as [2, B, H, P, D] (GPT-2), or all layers in one tensor.
#pragma once

#include "passes/Stream/PastBranch.h"

namespace leat::stream {

/// Splits every pair whose output joins its parts along an axis that does not grow into one pair for each part, so that each part becomes a
/// slot of its own. The parts are new arguments and results of `step` at the end; `goneArgs` and `goneResults` grow with them and mark what
/// was split. Returns the pairs of the parts.
llvm::SmallVector<PastPair> splitJoinedPasts(mlir::func::FuncOp step, llvm::ArrayRef<PastPair> pairs, llvm::BitVector &goneArgs,
                                             llvm::BitVector &goneResults);

} // namespace leat::stream
