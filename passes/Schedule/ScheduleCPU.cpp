// Chooses a strategy and its sizes for each kernel from what the body computes and what the target's registers hold.
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/Strategies.h"

#include "dialects/Leat/Leat.h"
#include "passes/CPU/Operands.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

namespace leat::schedule {
#define GEN_PASS_DEF_SCHEDULECPU
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

using Param = std::pair<StringRef, int64_t>;
constexpr int64_t kPackedRows = 24; ///< of a block, where weights are packed

struct ScheduleCPU : impl::ScheduleCPUBase<ScheduleCPU> {
  using ScheduleCPUBase::ScheduleCPUBase;
  void runOnOperation() override;

private:
  ScheduleAttr choose(KernelFuncOp kernel);
};

} // namespace

static bool hasLoopOfItsOwn(Operation &op) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return generic.getNumReductionLoops() > 0;
  return isa<MatmulOp, MatmulNBitsOp, ConvOp, KVAttendOp, AttnMergeOp, SoftmaxOp, LayerNormOp, CumSumOp, ArgReduceOp, ScatterElementsOp,
             ScatterNDOp, TopKOp, NonZeroOp, SampleOp>(op);
}

static Operation *rootOf(KernelFuncOp kernel) {
  Block &body = kernel.getBody().front();
  for (Operation &op : body)
    if (hasLoopOfItsOwn(op))
      return &op;
  Operation *yield = body.getTerminator();
  return yield->getNumOperands() ? yield->getOperand(0).getDefiningOp() : nullptr;
}

/// Bits of the element type that vectors are counted in.
static int64_t elementBits(KernelFuncOp kernel) {
  int64_t floatBits = 0;
  kernel.getBody().walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto real = dyn_cast<FloatType>(getElementTypeOrSelf(type)))
        floatBits = std::max<int64_t>(floatBits, real.getWidth());
  });
  return std::max<int64_t>(floatBits, 32);
}

static bool reducesInnermost(Operation *root) {
  auto isLast = [](int64_t axis, Value input) {
    int64_t rank = cast<RankedTensorType>(input.getType()).getRank();
    return axis == rank - 1 || axis == -1;
  };
  return TypeSwitch<Operation *, bool>(root)
      .Case<SoftmaxOp, CumSumOp, ArgReduceOp>([&](auto op) { return isLast(op.getAxis(), op.getInput()); })
      .Case<linalg::GenericOp>([](linalg::GenericOp op) {
        for (OpOperand *input : op.getDpsInputOperands()) {
          AffineMap map = op.getMatchingIndexingMap(input);
          if (map.getNumResults() == 0)
            continue;
          if (auto dim = dyn_cast<AffineDimExpr>(map.getResults().back()))
            return op.getIteratorTypesArray()[dim.getPosition()] == utils::IteratorType::reduction;
        }
        return true;
      })
      .Default([](Operation *) { return true; });
}

ScheduleAttr ScheduleCPU::choose(KernelFuncOp kernel) {
  Builder builder(&getContext());
  auto make = [&](StringRef strategy, ArrayRef<Param> params) {
    SmallVector<NamedAttribute> attrs;
    for (auto [name, value] : params)
      attrs.push_back(builder.getNamedAttr(name, builder.getI64IntegerAttr(value)));
    for (const Tunable &tunable : tunablesOf(strategy))
      if (llvm::none_of(attrs, [&](NamedAttribute attr) { return attr.getName() == tunable.name; }))
        attrs.push_back(builder.getNamedAttr(tunable.name, builder.getI64IntegerAttr(tunable.standard)));
    return ScheduleAttr::get(&getContext(), strategy, builder.getDictionaryAttr(attrs));
  };
  int64_t vector = std::max<int64_t>(vectorBits / elementBits(kernel), 1);
  // Register tiles that fill the registers without spilling: 6x4 vectors of 32 registers, 6x2 of 16.
  int64_t columns = registers >= 32 ? 4 : 2;
  Operation *root = rootOf(kernel);
  if (!root)
    return make("serial", {});
  return TypeSwitch<Operation *, ScheduleAttr>(root)
      .Case<MatmulOp>([&](MatmulOp op) {
        Type lhs = getElementTypeOrSelf(op.getLhs());
        StringRef layout = cpu::operandLayout(kernel, op.getRhs());
        int64_t bf16 = bf16Dots && cpu::isInPairs(layout) && (lhs.isBF16() || (lhs.isF32() && bf16Activations));
        SmallVector<Param> params{{"mr", 6}, {"nr", columns * vector}, {"vector", vector}, {"bf16", bf16}};
        // The rows of a block, the panel and what is written share the second cache. Larger blocks where a panel is packed for each, and
        // for dots, which read panels twice as fast.
        if (!layout.empty() && !bf16)
          params.push_back({"mc", kPackedRows});
        return make("gemm", params);
      })
      .Case<MatmulNBitsOp>([&](MatmulNBitsOp op) {
        int64_t int8 = int8Activations && op.getInt8Activations();
        return make("qgemm", {{"mr", 4}, {"nr", columns * vector}, {"vector", vector}, {"int8", int8}});
      })
      .Case<ConvOp>([&](ConvOp) { return make("conv", {{"vector", vector}}); })
      .Case<KVAttendOp>([&](KVAttendOp) { return make("attention", {{"vector", vector}}); })
      .Case<SoftmaxOp, LayerNormOp, CumSumOp, AttnMergeOp>(
          [&](Operation *op) { return make("row", {{"vector", vector}, {"inner", reducesInnermost(op)}}); })
      .Case<ArgReduceOp>([&](ArgReduceOp op) { return make("reduce", {{"vector", vector}, {"inner", reducesInnermost(op)}}); })
      .Case<linalg::GenericOp>([&](linalg::GenericOp op) {
        if (op.getNumReductionLoops())
          return make("reduce", {{"vector", vector}, {"inner", reducesInnermost(op)}});
        return make("map", {{"vector", vector}});
      })
      .Case<tensor::ExtractSliceOp, tensor::ConcatOp, tensor::PadOp, tensor::SplatOp, tensor::ReshapeOp, tensor::ExpandShapeOp,
            tensor::CollapseShapeOp, tensor::CastOp, tensor::FromElementsOp, RotaryOp, CacheAppendOp, StateWriteOp, CacheViewOp,
            StateReadOp>([&](Operation *) { return make("map", {{"vector", vector}}); })
      .Default([&](Operation *) { return make("serial", {}); });
}

void ScheduleCPU::runOnOperation() {
  for (auto kernel : getOperation().getOps<KernelFuncOp>())
    if (!kernel.getScheduleAttr())
      kernel.setScheduleAttr(choose(kernel));
}

} // namespace leat::schedule
