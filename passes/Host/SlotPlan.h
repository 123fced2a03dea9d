// Which scratch slot each buffer of a host function lives in: two buffers share one only when their lifetimes do not overlap.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

namespace leat::host {

/// The plan covers the values that need memory of their own: results of launches, tensors made on the host, and the tensors a loop
/// carries from one iteration to the next (two slots each: the next value is written while the current one is still read).
class SlotPlan {
public:
  explicit SlotPlan(mlir::func::FuncOp function);

  int64_t numSlots() const { return slots; }
  /// The slot of a value that owns memory.
  int64_t slotOf(mlir::Value value) const { return valueSlot.lookup(value); }
  bool owns(mlir::Value value) const { return valueSlot.contains(value); }
  /// The first of the two slots of tensor `index` carried by `loop`; -1 if every iteration hands the same tensor on and nothing is copied.
  int64_t carrySlot(mlir::Operation *loop, unsigned index) const {
    auto it = carried.find({loop, index});
    return it == carried.end() ? -1 : it->second;
  }

private:
  struct Planner;
  int64_t slots = 0;
  llvm::DenseMap<mlir::Value, int64_t> valueSlot;
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, int64_t> carried;
};

/// True when `value`, a tensor made on the host from scalars, is ever read as memory (and not only as a list of scalars known to the host).
bool needsBuffer(mlir::Value value);

} // namespace leat::host
