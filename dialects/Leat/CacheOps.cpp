// Verifiers of state slots and caches.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

LogicalResult SlotOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type)
    return emitOpError("needs a ranked tensor type, got ") << getType();
  bool grows = getGrowth() == Growth::Append || getGrowth() == Growth::Ring;
  if (grows && (static_cast<int64_t>(getAxis()) < 0 || static_cast<int64_t>(getAxis()) >= type.getRank()))
    return emitOpError("needs the axis along which it grows, got ") << static_cast<int64_t>(getAxis());
  if (getGrowth() == Growth::Ring && (static_cast<int64_t>(getRing()) < 1 || static_cast<int64_t>(getSink()) < 0))
    return emitOpError("needs ring >= 1 and sink >= 0");
  if (getGrowth() == Growth::Counter && !(type.getRank() == 0 && type.getElementType().isInteger(64)))
    return emitOpError("of growth counter needs type tensor<i64>, got ") << type;
  return success();
}

static LogicalResult verifySlot(Operation *op, SymbolTableCollection &symbols, FlatSymbolRefAttr name, StateType type) {
  auto slot = symbols.lookupNearestSymbolFrom<SlotOp>(op, name);
  if (!slot)
    return op->emitOpError("names no leat.slot: ") << name;
  if (slot.getType() != type.getContent())
    return op->emitOpError("has content ") << type.getContent() << " but slot " << name << " has type " << slot.getType();
  return success();
}

LogicalResult StateGetOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifySlot(*this, symbols, getSlotAttr(), getState().getType());
}
LogicalResult StatePutOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifySlot(*this, symbols, getSlotAttr(), getState().getType());
}

LogicalResult CacheAppendOp::verify() {
  auto content = getState().getType().getContent(), update = rankedType(getUpdate());
  if (update.getRank() != content.getRank() || update.getElementType() != content.getElementType())
    return emitOpError("needs an update like the content ") << content << ", got " << update;
  if (getLayout() != "bhsd" && getLayout() != "bshd")
    return emitOpError("knows the layouts bhsd and bshd, got ") << getLayout();
  return success();
}

LogicalResult CacheViewOp::verify() {
  auto content = getState().getType().getContent(), out = rankedType(getOutput());
  if (out.getRank() != content.getRank() || out.getElementType() != content.getElementType())
    return emitOpError("needs a result like the content ") << content << ", got " << out;
  return success();
}

LogicalResult StateReadOp::verify() {
  auto content = getState().getType().getContent(), out = rankedType(getOutput());
  if (out.getElementType() != content.getElementType() || failed(verifyCompatibleShape(content, out)))
    return emitOpError("needs a result like the content ") << content << ", got " << out;
  return success();
}

LogicalResult StateWriteOp::verify() {
  auto content = getState().getType().getContent(), value = rankedType(getValue());
  if (value.getElementType() != content.getElementType() || failed(verifyCompatibleShape(content, value)))
    return emitOpError("needs a value like the content ") << content << ", got " << value;
  return success();
}

} // namespace leat
