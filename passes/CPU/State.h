// Where a state slot's entries lie: the placement of appended entries.
#pragma once

#include "passes/CPU/Pull.h"

namespace leat::cpu {
/// The ops that change a state in place and are reached from the kernel's results, in order.
llvm::SmallVector<mlir::Operation *> stateChanges(KernelFuncOp kernel);
/// The tensor that a state change stores.
mlir::Value storedTensor(mlir::Operation *change);
/// Dimension of the update along which lanes may not lie (a ring wraps there, and a page ends), if any.
std::optional<unsigned> wrappingDim(mlir::Operation *change);
/// Stores the element of the stored tensor at `at` where it belongs in the slot.
void storeState(Puller &p, mlir::Operation *change, llvm::ArrayRef<Idx> at);
/// Facts about the slot that the kernel's ops carry as attributes (see passes/Fuse/SlotFacts.h).
int64_t slotFact(mlir::Operation *op, llvm::StringRef name, int64_t absent);
} // namespace leat::cpu
