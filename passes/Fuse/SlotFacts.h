// What a kernel must know of a state slot that it cannot see: kernels are isolated from the module's leat.slot ops.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace leat::fuse {
/// Writes `axis` on every leat.cache_view, and `axis`, `sink` and `ring` on every leat.cache_append, from the slot of their state.
void annotateSlotFacts(mlir::func::FuncOp func);
} // namespace leat::fuse
