// Kernels update states in place, so whoever reads the old content must run before it is gone.
#pragma once

#include "mlir/IR/Block.h"
#include "mlir/Support/LLVM.h"

namespace leat::fuse {

/// Reorders the kernels of a block where a state would be read after the kernel that changes it. Keeps the order of everything else.
llvm::LogicalResult orderStateUses(mlir::Block &block);

} // namespace leat::fuse
