// Chooses a strategy for each kernel on a GPU.
#include "passes/Schedule/Passes.h"

#include "dialects/Leat/Leat.h"

namespace leat::schedule {
#define GEN_PASS_DEF_SCHEDULECUDA
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {
struct ScheduleCUDA : impl::ScheduleCUDABase<ScheduleCUDA> {
  void runOnOperation() override {
    Builder b(&getContext());
    // The smallest tasks: threads are many and cost nothing to start.
    auto params = b.getDictionaryAttr({b.getNamedAttr("columns", b.getI64IntegerAttr(1)), b.getNamedAttr("grain", b.getI64IntegerAttr(1))});
    for (auto kernel : getOperation().getOps<KernelFuncOp>())
      if (!kernel.getScheduleAttr())
        kernel.setScheduleAttr(ScheduleAttr::get(&getContext(), "thread", params));
  }
};
} // namespace

} // namespace leat::schedule
