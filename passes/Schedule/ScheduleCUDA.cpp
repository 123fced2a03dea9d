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

/// Rows and columns of the output that a block makes, the depth of a step, steps in flight. 64 sums a thread leave registers for operands;
/// f32 products are bound by multiply-adds, so small steps serve them as well. The tiles of all steps stay within 48 KiB.
SmallVector<std::pair<StringRef, int64_t>> productTiles(MatmulOp op) {
  auto lhs = cast<RankedTensorType>(op.getLhs().getType());
  // f32 by f32, and by f16: bf16 has the range of f32, and two of its numbers make one of f32.
  bool exact = lhs.getElementType().isF32() && !cast<RankedTensorType>(op.getRhs().getType()).getElementType().isBF16();
  int64_t rows = lhs.getDimSize(lhs.getRank() - 2);
  bool few = !ShapedType::isDynamic(rows) && rows <= 64;
  return {{"rows", exact || few ? 64 : 128}, {"cols", 64}, {"depth", exact ? 16 : 32}, {"stages", 3}};
}

/// Rows of a block in prefill, keys of a step, steps in flight: what a thread keeps of logits and values has to fit its registers.
SmallVector<std::pair<StringRef, int64_t>> attentionTiles(KVAttendOp op) {
  auto q = cast<RankedTensorType>(op.getQ()[0].getType());
  bool wide = q.getDimSize(3) > 128 || cast<RankedTensorType>(op.getV()[0].getType()).getDimSize(3) > 128;
  return {{"rows", 64}, {"keys", q.getElementType().isF32() || wide ? 32 : 64}, {"stages", 2}};
}

struct ScheduleCUDA : impl::ScheduleCUDABase<ScheduleCUDA> {
  void runOnOperation() override {
    Builder b(&getContext());
    for (auto kernel : getOperation().getOps<KernelFuncOp>()) {
      if (kernel.getScheduleAttr())
        continue;
      // The smallest tasks: threads are many and cost nothing to start.
      SmallVector<std::pair<StringRef, int64_t>> params{{"columns", 1}, {"grain", 1}};
      StringRef strategy = "thread";
      for (Operation &op : kernel.getBody().front()) {
        if (auto matmul = dyn_cast<MatmulOp>(op))
          llvm::append_range(params, productTiles(matmul));
        else if (auto attend = dyn_cast<KVAttendOp>(op))
          llvm::append_range(params, attentionTiles(attend));
        else if (!isa<MatmulNBitsOp, SoftmaxOp, LayerNormOp>(op))
          continue;
        strategy = "tile";
        break;
      }
      auto attrs = llvm::map_to_vector(params, [&](auto p) { return b.getNamedAttr(p.first, b.getI64IntegerAttr(p.second)); });
      kernel.setScheduleAttr(ScheduleAttr::get(&getContext(), strategy, b.getDictionaryAttr(attrs)));
    }
  }
};
} // namespace

} // namespace leat::schedule
