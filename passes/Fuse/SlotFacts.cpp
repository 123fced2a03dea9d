// See SlotFacts.h.
#include "passes/Fuse/SlotFacts.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::fuse {

void annotateSlotFacts(func::FuncOp func) {
  Builder builder(func.getContext());
  func.walk([&](Operation *op) {
    if (!isa<CacheAppendOp, CacheViewOp>(op))
      return;
    SlotOp slot = slotOf(op->getOperand(0));
    if (!slot)
      return;
    op->setAttr("axis", builder.getI64IntegerAttr(slot.getAxis()));
    if (isa<CacheAppendOp>(op) && slot.getGrowth() == Growth::Ring) {
      op->setAttr("sink", builder.getI64IntegerAttr(slot.getSink()));
      op->setAttr("ring", builder.getI64IntegerAttr(slot.getRing()));
    }
  });
}

} // namespace leat::fuse
