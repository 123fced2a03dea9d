// Verifiers of kernels and launches.
#include "dialects/Leat/Verifiers.h"
#include "leat/KernelABI.h"

using namespace mlir;

namespace leat {

/// States have no dimensions here: the runtime knows theirs.
static int64_t dynamicDims(TypeRange types) {
  int64_t count = 0;
  for (Type t : types)
    if (auto tensor = dyn_cast<RankedTensorType>(t))
      count += tensor.getNumDynamicDims();
  return count;
}

static LogicalResult verifyResultTypes(Operation *op, TypeRange types) {
  for (Type t : types)
    if (!isa<RankedTensorType, StateType>(t))
      return op->emitOpError("returns ranked tensors and states, got ") << t;
  return success();
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  SmallVector<Type> expected(getInputs().getTypes());
  llvm::append_range(expected, getScalars().getTypes());
  if (block.getArgumentTypes() != TypeRange(expected))
    return emitOpError("needs one block argument per input and scalar, of the same type");
  if (failed(verifyResultTypes(*this, getResultTypes())))
    return failure();
  if (dynamicDims(getResultTypes()) != static_cast<int64_t>(getSizes().size()))
    return emitOpError("has ") << dynamicDims(getResultTypes()) << " dynamic result dimensions but " << getSizes().size() << " sizes";
  if (block.getTerminator()->getOperandTypes() != getResultTypes())
    return emitOpError("yields other types than it returns");
  return success();
}

LogicalResult KernelFuncOp::verify() {
  SmallVector<Type> results(getResultTypes().getAsValueRange<TypeAttr>());
  if (failed(verifyResultTypes(*this, results)))
    return failure();
  Block &block = getBody().front();
  if (static_cast<int64_t>(getNumInputs()) < 0 || getNumInputs() > block.getNumArguments())
    return emitOpError("has ") << getNumInputs() << " inputs but only " << block.getNumArguments() << " block arguments";
  if (block.getTerminator()->getOperandTypes() != TypeRange(results))
    return emitOpError("yields other types than its result types");
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  Operation *callee = symbols.lookupNearestSymbolFrom(*this, getKernelAttr());
  auto kernel = dyn_cast_or_null<KernelFuncOp>(callee);
  if (isa_and_nonnull<FunctionOpInterface>(callee))
    return success(); // already machine code, whose signature is the ABI's
  if (!kernel)
    return emitOpError("names no leat.kernel_func: ") << getKernelAttr();
  SmallVector<Type> given(getInputs().getTypes());
  llvm::append_range(given, getScalars().getTypes());
  if (kernel.getBody().front().getArgumentTypes() != TypeRange(given))
    return emitOpError("passes other types than ") << getKernelAttr() << " takes";
  if (SmallVector<Type>(kernel.getResultTypes().getAsValueRange<TypeAttr>()) != SmallVector<Type>(getResultTypes()))
    return emitOpError("has other result types than ") << getKernelAttr();
  if (dynamicDims(getResultTypes()) != static_cast<int64_t>(getSizes().size()))
    return emitOpError("has ") << dynamicDims(getResultTypes()) << " dynamic result dimensions but " << getSizes().size() << " sizes";
  return success();
}

std::optional<unsigned> LaunchOp::getChangedInput(unsigned result) {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelFuncOp>(*this, getKernelAttr());
  if (!kernel)
    return std::nullopt;
  Value v = kernel.getBody().front().getTerminator()->getOperand(result);
  while (Operation *op = v.getDefiningOp()) {
    auto append = dyn_cast<CacheAppendOp>(op);
    auto write = dyn_cast<StateWriteOp>(op);
    if (!append && !write)
      return std::nullopt;
    v = append ? append.getState() : write.getState();
  }
  unsigned at = cast<BlockArgument>(v).getArgNumber();
  return at < getInputs().size() ? std::optional(at) : std::nullopt;
}

LogicalResult LaunchGroupOp::verify() {
  Block &block = getBody().front();
  SmallVector<Value> results;
  int64_t count = 0;
  for (Operation &op : block.without_terminator()) {
    if (!isa<LaunchOp>(op))
      return op.emitOpError("is in a group of launches, which holds nothing else");
    for (Value operand : op.getOperands())
      if (operand.getParentBlock() == &block)
        return op.emitOpError("takes a result of a member of its group");
    llvm::append_range(results, op.getResults());
    ++count;
  }
  if (count < 2 || count > LEAT_MAX_GROUP)
    return emitOpError("has ") << count << " launches, not 2 to " << LEAT_MAX_GROUP;
  if (SmallVector<Value>(block.getTerminator()->getOperands()) != results || ValueRange(results).getTypes() != getResultTypes())
    return emitOpError("yields something else than all results of its launches, in order");
  return success();
}

LogicalResult LaunchGroupOp::verifySymbolUses(SymbolTableCollection &) {
  for (LaunchOp changes : getMembers())
    for (auto [i, result] : llvm::enumerate(changes.getOutputs())) {
      auto input = isa<StateType>(result.getType()) ? changes.getChangedInput(i) : std::nullopt;
      for (LaunchOp other : getMembers())
        if (input && other != changes && llvm::is_contained(other.getInputs(), changes.getInputs()[*input]))
          return other.emitOpError("takes a state that another member of its group changes");
    }
  return success();
}

} // namespace leat
