// Verifiers of kernels and launches.
#include "dialects/Leat/Verifiers.h"

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

} // namespace leat
