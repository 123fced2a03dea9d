// Verifiers of the normalisations.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

static LogicalResult verifyAxis(Operation *op, int64_t axis, RankedTensorType type) {
  if (axis < 0 || axis >= type.getRank())
    return op->emitOpError("has axis ") << axis << " but its operand has rank " << type.getRank();
  if (!isa<FloatType>(type.getElementType()))
    return op->emitOpError("needs a float element type, got ") << type.getElementType();
  return success();
}

LogicalResult SoftmaxOp::verify() { return verifyAxis(*this, getAxis(), rankedType(getInput())); }

LogicalResult LayerNormOp::verify() {
  auto type = rankedType(getInput());
  if (failed(verifyAxis(*this, getAxis(), type)))
    return failure();
  if (rankedType(getOutput()).getShape() != type.getShape())
    return emitOpError("needs a result of the operand's shape");
  for (Value v : {getScale(), getBias()})
    if (v && rankedType(v).getRank() > type.getRank())
      return emitOpError("needs scale and bias of at most the operand's rank, got ") << v.getType();
  if (getRms() && getBias())
    return emitOpError("has no bias in its rms form");
  return success();
}

} // namespace leat
