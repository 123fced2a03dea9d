// Merged decoders: one graph that holds the decoder with a past and the decoder without one behind If(use_cache_branch). A step is the
// branch with the past, also at the start, where the past is empty.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/BitVector.h"

namespace leat::stream {

/// Set on an attention of the branch with the past whose counterpart without a past is causal. That branch is often traced with one token,
/// where a causal mask would hide nothing, so it has none; leat-classify-masks then makes the attention causal.
inline constexpr llvm::StringLiteral causalWithoutPastAttr = "leat.causal_without_past";

struct PastPair {
  unsigned input, output;
};

/// Makes the flag of a merged decoder a constant in `step` and inlines the branch with the past. Pasts that this branch only reads (the
/// keys and values of an encoder) are computed as the other branch computes them. What is no argument or result of a step any more is
/// marked in `goneArgs` and `goneResults`; nothing uses it. Without such a flag nothing happens.
void takePastBranch(mlir::func::FuncOp step, llvm::ArrayRef<PastPair> pairs, llvm::BitVector &goneArgs, llvm::BitVector &goneResults);

} // namespace leat::stream
