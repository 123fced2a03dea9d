// leat-lower-host: numbers kernels, parameters, states; lowers each host function; leaves what the manifest needs as attributes.
#include "passes/Host/FunctionLowering.h"
#include "passes/Host/Passes.h"

namespace leat::host {
#define GEN_PASS_DEF_LOWERHOST
#include "passes/Host/Passes.h.inc"
} // namespace leat::host

using namespace mlir;

namespace leat::host {

/// ONNX's number for an element type; the sign of integers is lost by now, they count as signed.
static int32_t dtypeOf(Type element) {
  if (auto integer = dyn_cast<IntegerType>(element)) {
    switch (integer.getWidth()) {
    case 1:
      return 9;
    case 4:
      return 22;
    case 8:
      return 3;
    case 16:
      return 5;
    case 32:
      return 6;
    default:
      return 7;
    }
  }
  if (element.isIndex())
    return 7;
  if (element.isF16())
    return 10;
  if (element.isBF16())
    return 16;
  if (element.isF64())
    return 11;
  if (isa<Float8E4M3FNType>(element))
    return 17;
  if (isa<Float8E4M3FNUZType>(element))
    return 18;
  if (isa<Float8E5M2Type>(element))
    return 19;
  if (isa<Float8E5M2FNUZType>(element))
    return 20;
  return 1;
}

/// {name, dtype, dims = ["batch", "4", ...]} of an argument or result.
static DictionaryAttr tensorInfo(Builder b, Type type, DictionaryAttr attrs, Twine fallbackName) {
  auto tensor = cast<RankedTensorType>(type);
  auto get = [&](StringRef key) { return attrs ? attrs.get(key) : Attribute(); };
  auto name = dyn_cast_or_null<StringAttr>(get("onnx.name"));
  auto dims = dyn_cast_or_null<ArrayAttr>(get("onnx.dims"));
  auto dtype = dyn_cast_or_null<IntegerAttr>(get("leat.dtype"));
  SmallVector<Attribute> list;
  for (auto [i, dim] : llvm::enumerate(tensor.getShape())) {
    if (!ShapedType::isDynamic(dim))
      list.push_back(b.getStringAttr(Twine(dim)));
    else
      list.push_back(dims && i < dims.size() ? dims[i] : b.getStringAttr(""));
  }
  return b.getDictionaryAttr(
      {b.getNamedAttr("name", name ? name : b.getStringAttr(fallbackName)),
       b.getNamedAttr("dtype", dtype ? b.getI32IntegerAttr(dtype.getInt()) : b.getI32IntegerAttr(dtypeOf(tensor.getElementType()))),
       b.getNamedAttr("dims", b.getArrayAttr(list))});
}

static DictionaryAttr functionInfo(func::FuncOp source, bool stateful, int64_t slots) {
  Builder b(source.getContext());
  StringAttr kind = b.getStringAttr(stateful ? "step" : "main");
  SmallVector<Attribute> inputs, outputs;
  for (unsigned i = 0; i < source.getNumArguments(); ++i)
    inputs.push_back(tensorInfo(b, source.getArgument(i).getType(), source.getArgAttrDict(i), "input" + Twine(i)));
  for (unsigned i = 0; i < source.getNumResults(); ++i)
    outputs.push_back(tensorInfo(b, source.getResultTypes()[i], source.getResultAttrDict(i), "output" + Twine(i)));
  int64_t launches = 0, groups = 0;
  source.walk([&](LaunchOp) { ++launches; });
  source.walk([&](LaunchGroupOp) { ++groups; });
  return b.getDictionaryAttr({b.getNamedAttr("name", source.getSymNameAttr()), b.getNamedAttr("kind", kind),
                              b.getNamedAttr("launches", b.getI64IntegerAttr(launches)),
                              b.getNamedAttr("groups", b.getI64IntegerAttr(groups)), b.getNamedAttr("slots", b.getI64IntegerAttr(slots)),
                              b.getNamedAttr("inputs", b.getArrayAttr(inputs)), b.getNamedAttr("outputs", b.getArrayAttr(outputs))});
}

/// One line on what a kernel computes: its hint if it has one, otherwise the ops of its body that are not scaffolding.
static std::string describeKernel(KernelFuncOp kernel) {
  if (auto hint = kernel->getAttrOfType<StringAttr>("hint"))
    return hint.str();
  std::string text;
  unsigned named = 0;
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (isa<arith::ArithDialect, tensor::TensorDialect>(op.getDialect()))
      continue;
    if (named++ == 6)
      return text + " ...";
    text += (named > 1 ? " " : "") + op.getName().getStringRef().str();
  }
  return text;
}

static std::string strategyText(KernelFuncOp kernel) {
  std::string text;
  if (ScheduleAttr schedule = kernel.getScheduleAttr()) {
    llvm::raw_string_ostream os(text);
    os << schedule.getStrategy();
    for (NamedAttribute param : schedule.getParams()) {
      os << " " << param.getName().getValue() << "=";
      param.getValue().print(os, /*elideType=*/true);
    }
  }
  return text;
}

struct LowerHostPass : impl::LowerHostBase<LowerHostPass> {
  using LowerHostBase::LowerHostBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    OpBuilder b(module.getContext());
    Messages messages;
    ModuleIndex index;

    llvm::StringSet<> used;
    module.walk([&](ParamRefOp ref) { used.insert(ref.getParam()); });
    SmallVector<Attribute> kernels, params, states;
    for (Operation &op : llvm::make_early_inc_range(*module.getBody())) {
      if (auto kernel = dyn_cast<KernelFuncOp>(op)) {
        index.kernels[kernel.getSymName()] = kernels.size();
        kernels.push_back(b.getDictionaryAttr({b.getNamedAttr("name", kernel.getSymNameAttr()),
                                               b.getNamedAttr("description", b.getStringAttr(describeKernel(kernel))),
                                               b.getNamedAttr("strategy", b.getStringAttr(strategyText(kernel)))}));
      } else if (auto param = dyn_cast<ParamOp>(op)) {
        if (!used.contains(param.getSymName())) {
          param.erase();
          continue;
        }
        index.params[param.getSymName()] = params.size();
        params.push_back(FlatSymbolRefAttr::get(param.getSymNameAttr()));
      } else if (auto slot = dyn_cast<SlotOp>(op)) {
        index.states[slot.getSymName()] = {static_cast<int64_t>(states.size()), slot};
        states.push_back(FlatSymbolRefAttr::get(slot.getSymNameAttr()));
      }
    }

    auto pointer = LLVM::LLVMPointerType::get(module.getContext());
    auto type = LLVM::LLVMFunctionType::get(b.getI64Type(), {pointer});
    for (auto source : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (source.isExternal() || !source.getBody().hasOneBlock()) {
        source.emitError("a host function needs a body of one block; branches are scf ops here");
        return signalPassFailure();
      }
      b.setInsertionPoint(source);
      auto target = LLVM::LLVMFuncOp::create(b, source.getLoc(), ("leat_" + source.getName()).str(), type);
      target->setAttr("leat.host", b.getUnitAttr());
      bool stateful = source.getName() == "step" || source.walk([](StateGetOp) { return WalkResult::interrupt(); }).wasInterrupted();
      FunctionLowering lowering(source, target, index, messages, device);
      if (failed(lowering.run()))
        return signalPassFailure();
      target->setAttr("leat.function", functionInfo(source, stateful, lowering.numSlots()));
      source.erase();
    }
    module->setAttr("leat.kernels", b.getArrayAttr(kernels));
    module->setAttr("leat.params", b.getArrayAttr(params));
    module->setAttr("leat.states", b.getArrayAttr(states));
    SmallVector<StringRef> texts(messages.all().begin(), messages.all().end());
    module->setAttr("leat.messages", b.getStrArrayAttr(texts));
  }
};

} // namespace leat::host
