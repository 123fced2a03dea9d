// Decides which weights the artifact holds packed: those that are only ever the right operand of a product.
#include "passes/Schedule/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"

namespace leat::schedule {
#define GEN_PASS_DEF_PACKPARAMS
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

/// The parameter behind an operand, seen through views: all of them keep the bytes as they are.
ParamRefOp findParam(Value operand) {
  while (Operation *op = operand.getDefiningOp()) {
    if (auto ref = dyn_cast<ParamRefOp>(op))
      return ref;
    if (!isa<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op))
      break;
    operand = op->getOperand(0);
  }
  return nullptr;
}

struct PackParams : impl::PackParamsBase<PackParams> {
  using PackParamsBase::PackParamsBase;
  void runOnOperation() override;

private:
  using Wanted = llvm::SmallDenseMap<unsigned, std::string>;
  /// Layouts that the ops of a kernel would like for its operands.
  Wanted wantedLayouts(KernelFuncOp kernel);
  StringAttr packed(ParamRefOp ref, RankedTensorType type, StringRef layout);
  /// The packed form of the parameter behind `operand`, if there is one that single elements of `type` can be read from, and its layout.
  std::pair<StringAttr, StringRef> sharedForm(Value operand, Type type);

  llvm::MapVector<std::pair<Attribute, Attribute>, StringAttr> copies; ///< (parameter, type and layout) -> packed parameter
  SymbolTable *symbols = nullptr;
};

PackParams::Wanted PackParams::wantedLayouts(KernelFuncOp kernel) {
  Wanted wanted;
  auto argument = [&](Value v) -> BlockArgument {
    auto arg = dyn_cast_or_null<BlockArgument>(v);
    auto type = arg ? dyn_cast<RankedTensorType>(arg.getType()) : RankedTensorType();
    return type && type.hasStaticShape() && arg.hasOneUse() && arg.getOwner() == &kernel.getBody().front() ? arg : BlockArgument();
  };
  for (Operation &op : kernel.getBody().front()) {
    if (auto matmul = dyn_cast<MatmulOp>(op)) {
      auto rhs = argument(matmul.getRhs());
      auto type = rhs ? cast<RankedTensorType>(rhs.getType()) : RankedTensorType();
      if (!rhs || type.getElementTypeBitWidth() % 8 != 0)
        continue;
      // Pairs of bf16 are words whose halves become f32 by a shift and a mask, and what dot instructions take.
      int64_t depth = type.getDimSize(type.getRank() - (matmul.getTransB() ? 1 : 2));
      bool pairs = type.getElementType().isBF16() && depth % 2 == 0;
      wanted[rhs.getArgNumber()] = llvm::formatv("panel64{0}{1}", matmul.getTransB() ? "t" : "", pairs ? ".2" : "");
      continue;
    }
    auto product = dyn_cast<MatmulNBitsOp>(op);
    if (!product)
      continue;
    // All operands of the weight or none.
    auto codes = argument(product.getCodes()), scales = argument(product.getScales()), zeros = argument(product.getZeros());
    auto isMatrix = [](BlockArgument arg) { return cast<RankedTensorType>(arg.getType()).getRank() == 2; };
    if (!codes || !scales || !isMatrix(scales) || (product.getZeros() && (!zeros || !isMatrix(zeros))))
      continue;
    int64_t bits = product.getBits();
    wanted[codes.getArgNumber()] = llvm::formatv("nbits64.{0}.{1}", bits, std::min<int64_t>(product.getBlock(), 32));
    wanted[scales.getArgNumber()] = "panel64t";
    if (zeros) {
      bool bytes = isa<FloatType>(cast<RankedTensorType>(zeros.getType()).getElementType()) || bits == 8;
      wanted[zeros.getArgNumber()] = bytes ? "panel64t" : llvm::formatv("zeros64.{0}", bits).str();
    }
  }
  return wanted;
}

/// The name of a parameter with the bytes of `ref`'s in this layout: itself if nobody else wants it otherwise.
StringAttr PackParams::packed(ParamRefOp ref, RankedTensorType type, StringRef layout) {
  std::string key = layout.str();
  llvm::raw_string_ostream(key) << ' ' << type;
  auto &known = copies[{ref.getParamAttr(), StringAttr::get(ref.getContext(), key)}];
  if (known)
    return known;
  auto param = symbols->lookup<ParamOp>(ref.getParam());
  auto copy = cast<ParamOp>(param->clone());
  copy.setSymName((param.getSymName() + "." + layout).str());
  copy.setTypeAttr(TypeAttr::get(type));
  copy.setLayout(layout);
  if (auto value = dyn_cast_or_null<DenseElementsAttr>(copy.getValueAttr()))
    copy.setValueAttr(value.reshape(type));
  return known = symbols->insert(copy, std::next(param->getIterator()));
}

/// True if the kernel reads single elements of the argument, at positions it computes (the lookup of an embedding).
static bool isLookup(BlockArgument arg) {
  return !arg.use_empty() && llvm::all_of(arg.getUsers(), [](Operation *user) {
    return isa<tensor::ExtractOp>(user) && isa<linalg::GenericOp>(user->getParentOp());
  });
}

std::pair<StringAttr, StringRef> PackParams::sharedForm(Value operand, Type type) {
  ParamRefOp ref = operand.getDefiningOp<ParamRefOp>();
  if (!ref || ref.getType() != type)
    return {};
  // Floats, or codes of a quantised weight.
  bool codes = cast<RankedTensorType>(type).getRank() == 3;
  if (!codes && cast<RankedTensorType>(type).getRank() != 2)
    return {};
  constexpr StringRef floats[] = {"panel64t", "panel64t.2"}, packedCodes[] = {"nbits64.4.32", "nbits64.8.32"};
  for (StringRef layout : codes ? ArrayRef<StringRef>(packedCodes) : ArrayRef<StringRef>(floats)) {
    std::string key = layout.str();
    llvm::raw_string_ostream(key) << ' ' << type;
    if (StringAttr name = copies.lookup({ref.getParamAttr(), StringAttr::get(&getContext(), key)}))
      return {name, layout};
  }
  return {};
}

} // namespace

void PackParams::runOnOperation() {
  ModuleOp module = getOperation();
  SymbolTable table(module);
  symbols = &table;
  llvm::MapVector<KernelFuncOp, SmallVector<LaunchOp>> launches;
  module.walk([&](LaunchOp launch) {
    if (auto kernel = table.lookup<KernelFuncOp>(launch.getKernel()))
      launches[kernel].push_back(launch);
  });

  OpBuilder builder(&getContext());
  for (auto &[kernel, sites] : launches) {
    Wanted wanted = wantedLayouts(kernel);
    bool everywhere = llvm::all_of(wanted, [&](auto &entry) {
      return llvm::all_of(sites, [&](LaunchOp launch) {
        ParamRefOp ref = findParam(launch.getInputs()[entry.first]);
        return ref && cast<RankedTensorType>(ref.getType()).hasStaticShape() && !table.lookup<ParamOp>(ref.getParam()).getLayout();
      });
    });
    if (wanted.empty() || !everywhere)
      continue;
    SmallVector<StringRef> layouts(kernel.getBody().front().getNumArguments(), "");
    for (auto &[arg, layout] : wanted) {
      layouts[arg] = layout;
      for (LaunchOp launch : sites) {
        Value operand = launch.getInputs()[arg];
        auto type = cast<RankedTensorType>(kernel.getBody().getArgument(arg).getType());
        StringAttr name = packed(findParam(operand), type, layout);
        builder.setInsertionPoint(launch);
        launch.getInputsMutable()[arg].set(ParamRefOp::create(builder, operand.getLoc(), type, FlatSymbolRefAttr::get(name)));
        ++numPacked;
      }
    }
    kernel->setAttr("leat.layouts", builder.getStrArrayAttr(layouts));
  }

  // A lookup takes the packed form where a product has made one: an embedding tied to the logits is held once.
  for (auto &[kernel, sites] : launches) {
    for (BlockArgument arg : kernel.getBody().getArguments()) {
      unsigned number = arg.getArgNumber();
      auto shared = [&](LaunchOp launch) { return sharedForm(launch.getInputs()[number], arg.getType()); };
      if (!isLookup(arg))
        continue;
      StringRef layout = shared(sites.front()).second;
      if (layout.empty() || !llvm::all_of(sites, [&](LaunchOp launch) { return shared(launch).second == layout; }))
        continue;
      auto old = kernel->getAttrOfType<ArrayAttr>("leat.layouts");
      SmallVector<Attribute> layouts(kernel.getBody().getNumArguments(), builder.getStringAttr(""));
      if (old)
        layouts.assign(old.begin(), old.end());
      layouts[number] = builder.getStringAttr(layout);
      kernel->setAttr("leat.layouts", builder.getArrayAttr(layouts));
      for (LaunchOp launch : sites) {
        auto name = FlatSymbolRefAttr::get(shared(launch).first);
        builder.setInsertionPoint(launch);
        launch.getInputsMutable()[number].set(ParamRefOp::create(builder, launch.getLoc(), arg.getType(), name));
      }
    }
  }

  // References and parameters that nothing reads any more.
  SmallVector<Operation *> views;
  module.walk([&](Operation *op) {
    if (isa<ParamRefOp, tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op))
      views.push_back(op);
  });
  for (Operation *op : llvm::reverse(views))
    if (op->use_empty())
      op->erase();
  for (auto &[from, to] : copies) {
    auto param = table.lookup<ParamOp>(cast<FlatSymbolRefAttr>(from.first).getValue());
    if (param && SymbolTable::symbolKnownUseEmpty(param, module))
      table.erase(param);
  }
}

} // namespace leat::schedule
