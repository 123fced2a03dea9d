// Verifiers of scatters, sorts, running sums and searches.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

static bool isIndexLike(Type element) { return element.isIndex() || element.isInteger(32) || element.isInteger(64); }

static LogicalResult verifyAxis(Operation *op, int64_t axis, RankedTensorType type) {
  if (axis < 0 || axis >= type.getRank())
    return op->emitOpError("has axis ") << axis << " but its operand has rank " << type.getRank();
  return success();
}

static LogicalResult verifyScatter(Operation *op, RankedTensorType data, RankedTensorType indices, RankedTensorType updates,
                                   RankedTensorType output) {
  if (!isIndexLike(indices.getElementType()))
    return op->emitOpError("needs indices i32, i64 or index, got ") << indices;
  if (updates.getElementType() != data.getElementType() || output.getElementType() != data.getElementType())
    return op->emitOpError("needs updates and a result like its data ") << data << ", got " << updates << " and " << output;
  if (failed(verifyCompatibleShape(data, output)))
    return op->emitOpError("needs a result of the shape of its data ") << data << ", got " << output;
  return success();
}

LogicalResult ScatterElementsOp::verify() {
  auto data = rankedType(getData()), indices = rankedType(getIndices()), updates = rankedType(getUpdates());
  if (failed(verifyAxis(*this, getAxis(), data)))
    return failure();
  if (indices.getRank() != data.getRank() || failed(verifyCompatibleShape(indices, updates)))
    return emitOpError("needs indices and updates of one shape and of the rank of its data ")
           << data << ", got " << indices << " and " << updates;
  return verifyScatter(*this, data, indices, updates, rankedType(getOutput()));
}

LogicalResult ScatterNDOp::verify() {
  auto data = rankedType(getData()), indices = rankedType(getIndices()), updates = rankedType(getUpdates());
  int64_t depth = indices.getRank() == 0 ? ShapedType::kDynamic : indices.getShape().back();
  if (ShapedType::isDynamic(depth) || depth > data.getRank())
    return emitOpError("needs indices whose last dimension is static and at most ") << data.getRank() << ", got " << indices;
  if (updates.getRank() != indices.getRank() - 1 + data.getRank() - depth)
    return emitOpError("needs updates of rank ") << indices.getRank() - 1 + data.getRank() - depth << ", got " << updates;
  return verifyScatter(*this, data, indices, updates, rankedType(getOutput()));
}

LogicalResult TopKOp::verify() {
  auto input = rankedType(getInput()), values = rankedType(getValues()), indices = rankedType(getIndices());
  if (failed(verifyAxis(*this, getAxis(), input)))
    return failure();
  if (values.getElementType() != input.getElementType() || !indices.getElementType().isInteger(64))
    return emitOpError("needs values like its operand and indices i64, got ") << values << " and " << indices;
  if (values.getRank() != input.getRank() || failed(verifyCompatibleShape(values, indices)))
    return emitOpError("needs values and indices of one shape and of its operand's rank, got ") << values << " and " << indices;
  if (values.isDynamicDim(getAxis()) && !getK())
    return emitOpError("needs k as an operand where it is not static");
  return success();
}

LogicalResult CumSumOp::verify() { return verifyAxis(*this, getAxis(), rankedType(getInput())); }

LogicalResult ArgReduceOp::verify() {
  auto input = rankedType(getInput()), output = rankedType(getOutput());
  if (failed(verifyAxis(*this, getAxis(), input)))
    return failure();
  if (!output.getElementType().isInteger(64) || output.getRank() != input.getRank() || !mayBeEqual(output.getDimSize(getAxis()), 1))
    return emitOpError("needs a result i64 of its operand's rank with size 1 along the axis, got ") << output;
  return success();
}

LogicalResult NonZeroOp::verify() {
  auto input = rankedType(getInput()), coords = rankedType(getCoords()), count = rankedType(getCount());
  if (!coords.getElementType().isInteger(64) || coords.getRank() != 2 || !mayBeEqual(coords.getDimSize(0), input.getRank()))
    return emitOpError("needs coordinates i64 [") << input.getRank() << ", elements], got " << coords;
  if (!count.getElementType().isInteger(64) || !count.hasStaticShape() || count.getNumElements() != 1)
    return emitOpError("needs a count i64 of one element, got ") << count;
  return success();
}

} // namespace leat
