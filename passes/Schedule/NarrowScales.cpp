// Halves the scales of quantised weights where that loses nothing: formats such as GGUF hold them in 16 bits, and exporters widen them.
#include "passes/Schedule/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace leat::schedule {
#define GEN_PASS_DEF_NARROWSCALES
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

struct NarrowScales : impl::NarrowScalesBase<NarrowScales> {
  void runOnOperation() override;

private:
  /// The parameter's values as f16, or nothing if one of them would change.
  std::optional<std::string> narrowed(ParamOp param);
};

/// Argument `number` of a kernel.
using Slot = std::pair<KernelFuncOp, unsigned>;

} // namespace

std::optional<std::string> NarrowScales::narrowed(ParamOp param) {
  auto type = dyn_cast<RankedTensorType>(param.getType());
  if (!type || !type.hasStaticShape() || !type.getElementType().isF32() || param.getLayout())
    return std::nullopt;
  SmallVector<float> values(type.getNumElements());
  if (auto value = dyn_cast_or_null<DenseElementsAttr>(param.getValueAttr())) {
    llvm::copy(value.getValues<float>(), values.begin());
  } else {
    ArrayRef<char> bytes;
    if (param.getKey())
      bytes = getContext().getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
    if (bytes.size() != values.size() * sizeof(float))
      return std::nullopt;
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  std::string halves(values.size() * 2, 0);
  for (auto [i, value] : llvm::enumerate(values)) {
    llvm::APFloat half(value);
    bool loses = false;
    half.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven, &loses);
    if (loses || half.isNaN())
      return std::nullopt;
    auto bits = static_cast<uint16_t>(half.bitcastToAPInt().getZExtValue());
    std::memcpy(halves.data() + 2 * i, &bits, 2);
  }
  return halves;
}

void NarrowScales::runOnOperation() {
  ModuleOp module = getOperation();
  SymbolTable symbols(module);
  // Where scales go in, and which parameters they are.
  llvm::MapVector<Slot, SmallVector<LaunchOp>> slots;
  module.walk([&](LaunchOp launch) {
    auto kernel = symbols.lookup<KernelFuncOp>(launch.getKernel());
    if (!kernel)
      return;
    for (auto product : kernel.getBody().front().getOps<MatmulNBitsOp>())
      if (auto scales = dyn_cast<BlockArgument>(product.getScales());
          scales && scales.hasOneUse() && scales.getOwner() == &kernel.getBody().front() && getElementTypeOrSelf(scales.getType()).isF32())
        slots[{kernel, scales.getArgNumber()}].push_back(launch);
  });
  auto paramOf = [&](LaunchOp launch, unsigned number) {
    auto ref = launch.getInputs()[number].getDefiningOp<ParamRefOp>();
    return ref ? symbols.lookup<ParamOp>(ref.getParam()) : ParamOp();
  };
  // A parameter that anything else reads stays as it is, or it would be held twice.
  llvm::SetVector<Operation *> kept;
  module.walk([&](ParamRefOp ref) {
    for (OpOperand &use : ref->getUses()) {
      auto launch = dyn_cast<LaunchOp>(use.getOwner());
      auto kernel = launch ? symbols.lookup<KernelFuncOp>(launch.getKernel()) : KernelFuncOp();
      if (!kernel || use.getOperandNumber() >= launch.getInputs().size() || !slots.contains({kernel, use.getOperandNumber()}))
        kept.insert(symbols.lookup(ref.getParam()));
    }
  });
  llvm::MapVector<Operation *, std::string> halves;
  for (auto &[slot, launches] : slots)
    for (LaunchOp launch : launches)
      if (ParamOp param = paramOf(launch, slot.second); param && !kept.contains(param) && !halves.contains(param)) {
        if (auto bytes = narrowed(param))
          halves[param] = std::move(*bytes);
        else
          kept.insert(param);
      }
  // Launches share kernels, kernels share parameters: one that cannot be narrowed keeps all that hang together with it.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto &[slot, launches] : slots) {
      bool all = llvm::all_of(launches, [&, number = slot.second](LaunchOp launch) {
        ParamOp param = paramOf(launch, number);
        return param && !kept.contains(param);
      });
      if (all)
        continue;
      for (LaunchOp launch : launches)
        if (ParamOp param = paramOf(launch, slot.second))
          changed |= kept.insert(param);
    }
  }

  auto half = Float16Type::get(&getContext());
  ParamStore &store = getContext().getLoadedDialect<LeatDialect>()->params();
  for (auto &[op, bytes] : halves) {
    if (kept.contains(op))
      continue;
    auto param = cast<ParamOp>(op);
    std::string key = (param.getSymName() + ".f16").str();
    store.set(key, std::move(bytes));
    param.setTypeAttr(TypeAttr::get(cast<RankedTensorType>(param.getType()).clone(half)));
    param.setKey(key);
    param.removeValueAttr();
    ++numNarrowed;
  }
  module.walk([&](ParamRefOp ref) {
    if (auto param = symbols.lookup<ParamOp>(ref.getParam()))
      if (halves.contains(param) && !kept.contains(param))
        ref.getResult().setType(cast<RankedTensorType>(param.getType()));
  });
  for (auto &[slot, launches] : slots)
    if (ParamOp param = paramOf(launches.front(), slot.second); param && !kept.contains(param)) {
      BlockArgument arg = cast<KernelFuncOp>(slot.first).getBody().getArgument(slot.second);
      arg.setType(cast<RankedTensorType>(arg.getType()).clone(half));
    }
}

} // namespace leat::schedule
