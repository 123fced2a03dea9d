// Verifiers of kernels and launches.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

static int64_t dynamicDims(TypeRange types) {
  int64_t count = 0;
  for (Type t : types)
    count += cast<RankedTensorType>(t).getNumDynamicDims();
  return count;
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  SmallVector<Type> expected(getInputs().getTypes());
  llvm::append_range(expected, getScalars().getTypes());
  if (block.getArgumentTypes() != TypeRange(expected))
    return emitOpError("needs one block argument per input and scalar, of the same type");
  if (dynamicDims(getResultTypes()) != static_cast<int64_t>(getSizes().size()))
    return emitOpError("has ") << dynamicDims(getResultTypes()) << " dynamic result dimensions but " << getSizes().size() << " sizes";
  if (block.getTerminator()->getOperandTypes() != getResultTypes())
    return emitOpError("yields other types than it returns");
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelFuncOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("names no leat.kernel_func: ") << getKernelAttr();
  SmallVector<Type> given(getInputs().getTypes());
  llvm::append_range(given, getScalars().getTypes());
  if (kernel.getBody().front().getArgumentTypes() != TypeRange(given))
    return emitOpError("passes other types than ") << getKernelAttr() << " takes";
  if (dynamicDims(getResultTypes()) != static_cast<int64_t>(getSizes().size()))
    return emitOpError("has ") << dynamicDims(getResultTypes()) << " dynamic result dimensions but " << getSizes().size() << " sizes";
  return success();
}

} // namespace leat
