// leat-classify-masks: mask tensors become attributes of attention.
#include "passes/Stream/IndexAnalysis.h"
#include "passes/Stream/Passes.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_CLASSIFYMASKS
#include "passes/Stream/Passes.h.inc"

namespace {

/// The axis of the sequence in a layout.
int64_t sequenceAxis(StringRef layout) { return layout == "bhsd" ? 2 : 1; }

struct ClassifyMasks : impl::ClassifyMasksBase<ClassifyMasks> {
  void runOnOperation() override {
    getOperation().walk([](KVAttendOp op) {
      if (op.getK().size() != 1 || op.getQPos() || !op.getKPos().empty())
        return;
      IndexAnalysis sizes;
      Linear queries = sizes.size(op.getQ()[0], sequenceAxis(op.getQLayout()));
      Linear keys = sizes.size(op.getK()[0], sequenceAxis(op.getKvLayout()));
      if (Value length = op.getKvLen()) {
        Formula f = IndexAnalysis().element(length, {Linear::formal(0)});
        if (!f.linear || !(*f.linear == keys))
          return; // positions follow the length: the mask is relative to them
        op.getKvLenMutable().clear();
      }
      if (op.getBias().empty())
        return;
      MaskClass mask = classifyMask(op.getBias()[0], queries, keys);
      if (mask.kind == MaskClass::Unknown)
        return;
      op.getBiasMutable().clear();
      if (mask.kind == MaskClass::None)
        return;
      op.setCausal(true);
      if (mask.kind == MaskClass::Window) {
        int64_t old = op.getWindowLeft();
        op.setWindowLeft(old < 0 ? mask.left : std::min(old, mask.left));
      }
    });
  }
};

} // namespace
} // namespace leat::stream
