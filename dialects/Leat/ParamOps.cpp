// Verifiers of the parameter ops.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

LogicalResult ParamOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape())
    return emitOpError("needs a ranked tensor type of static shape, got ") << getType();
  if (getKey().has_value() == getValue().has_value())
    return emitOpError("needs either 'key' or 'value'");
  if (getValue() && getValue()->getType() != type)
    return emitOpError("has type ") << type << " but its value has type " << getValue()->getType();
  return success();
}

LogicalResult ParamRefOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto param = symbols.lookupNearestSymbolFrom<ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError("names no leat.param: ") << getParamAttr();
  if (param.getType() != getType())
    return emitOpError("has type ") << getType() << " but parameter " << getParamAttr() << " has type " << param.getType();
  return success();
}

} // namespace leat
