// leat-classify-masks: mask tensors become attributes of attention.
#include "passes/Stream/IndexAnalysis.h"
#include "passes/Stream/Passes.h"
#include "passes/Stream/PastBranch.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_CLASSIFYMASKS
#include "passes/Stream/Passes.h.inc"

namespace {

struct ClassifyMasks : impl::ClassifyMasksBase<ClassifyMasks> {
  using ClassifyMasksBase::ClassifyMasksBase;

  void runOnOperation() override {
    getOperation().walk([&](KVAttendOp op) {
      bool causalWithoutPast = op->removeAttr(causalWithoutPastAttr) != nullptr;
      if (op.getK().size() != 1 || op.getQPos() || !op.getKPos().empty())
        return;
      if (Value length = op.getKvLen()) {
        Formula f = IndexAnalysis().element(length, {Linear::formal(0)});
        if (!f.linear || !(*f.linear == lengths(op).second))
          return; // positions follow the length: the mask is relative to them
        op.getKvLenMutable().clear();
      }
      if (!op.getBias().empty()) {
        MaskClass mask = classifyMask(op);
        if (mask.kind == MaskClass::Unknown) {
          if (programs && !causalWithoutPast) // the bias is that of calls with a past alone
            biasToRegion(op);
          return;
        }
        op.getBiasMutable().clear();
        if (mask.kind != MaskClass::None)
          op.setCausal(true);
        if (mask.kind == MaskClass::Window) {
          int64_t old = op.getWindowLeft();
          op.setWindowLeft(old < 0 ? mask.left : std::min(old, mask.left));
        }
      }
      if (causalWithoutPast)
        op.setCausal(true);
    });
  }
};

} // namespace
} // namespace leat::stream
