// Decides which ops of a block form a kernel together. Pure analysis: builds nothing.
#pragma once

#include "passes/Fuse/OpKinds.h"

#include "mlir/IR/Block.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

namespace leat::fuse {

/// One kernel to be.
struct Group {
  mlir::Operation *last = nullptr;              // its results are the kernel's
  mlir::Operation *root = nullptr;              // null: the last op, an elementwise or movement op
  llvm::SmallVector<mlir::Operation *> members; // in program order, with `last`
};

/// Groups of a block in program order of their last ops. An op may be in several groups (cheap work that is repeated).
llvm::SmallVector<Group> formGroups(mlir::Block &block);

} // namespace leat::fuse
