// Verifiers of state slots and caches.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

/// A pool [pages, H, page, D], and a table that says which of its pages are a row's.
static LogicalResult verifyPool(Operation *op, RankedTensorType pool, StateType table) {
  if (pool.getRank() != 4 || !pool.isDynamicDim(0) || pool.isDynamicDim(2) || !isPageSize(pool.getDimSize(2)))
    return op->emitOpError("needs a pool of pages [?, heads, page, size] with pages of ")
           << kLeastPage << " to " << kLargestPage << " entries, a power of two, got " << pool;
  RankedTensorType type = table.getContent();
  if (type.getRank() != 2 || !type.getElementType().isInteger(32))
    return op->emitOpError("needs a table of page numbers, tensor<?x?xi32>, got ") << type;
  return success();
}

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
  int64_t page = getPage();
  bool isTable = getGrowth() == Growth::Table;
  if ((page || isTable) && !isPageSize(page))
    return emitOpError("needs pages of ") << kLeastPage << " to " << kLargestPage << " entries, a power of two, got " << page;
  if (isTable && (type.getRank() != 2 || !type.getElementType().isInteger(32) || getAxis() != 1 || getBatchAxis() != 0))
    return emitOpError("of growth table needs type tensor<?x?xi32>, axis 1 and batch_axis 0, got ") << type;
  bool isPool = type.getRank() == 4 && type.isDynamicDim(0) && type.getDimSize(2) == page && getAxis() == 2 && int64_t(getBatchAxis()) < 0;
  if (page && !isTable && !(grows && isPool))
    return emitOpError("with pages grows (append or ring) and needs a pool [?, heads, page, size], axis 2 and no batch_axis, got ") << type;
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
  return getTable() ? verifyPool(*this, content, getTable().getType()) : success();
}

LogicalResult CacheViewOp::verify() {
  auto content = getState().getType().getContent(), out = rankedType(getOutput());
  if (out.getRank() != content.getRank() || out.getElementType() != content.getElementType())
    return emitOpError("needs a result like the content ") << content << ", got " << out;
  return getTable() ? verifyPool(*this, content, getTable().getType()) : success();
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
