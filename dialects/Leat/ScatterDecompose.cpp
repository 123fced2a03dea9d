// Scatters as loops over the updates, in their order.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

static Value combine(Decomposer &in, ScatterKind kind, Value old, Value update) {
  switch (kind) {
  case ScatterKind::None:
    return update;
  case ScatterKind::Add:
    return in.add(old, update);
  case ScatterKind::Mul:
    return in.mul(old, update);
  case ScatterKind::Max:
    return in.combined(old, update, Decomposer::Combine::Max);
  case ScatterKind::Min:
    return in.combined(old, update, Decomposer::Combine::Min);
  }
  llvm_unreachable("covered");
}

/// f16 and bf16 combine in f32 and round once for each update.
static Value store(Decomposer &in, ScatterKind kind, Value into, Value update, ValueRange where) {
  Type element = update.getType(), wide = computeType(element);
  Value combined = combine(in, kind, in.convert(in.at(into, where), wide), in.convert(update, wide));
  return tensor::InsertOp::create(in.b, in.loc, in.convert(combined, element), into, where);
}

FailureOr<SmallVector<Value>> ScatterElementsOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  Value length = d.asIndex(d.size(getData(), getAxis()));
  return d.forEach(d.sizes(getIndices()), d.toType(getData(), getType()), [&](Decomposer &in, ValueRange at, ValueRange carried) {
    SmallVector<Value> where(at);
    where[getAxis()] = in.position(in.at(getIndices(), at), length);
    return SmallVector<Value>{store(in, getReduction(), carried[0], in.at(getUpdates(), at), where)};
  });
}

FailureOr<SmallVector<Value>> ScatterNDOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  int64_t depth = rankedType(getIndices()).getShape().back();
  if (ShapedType::isDynamic(depth))
    return emitOpError("needs indices whose last dimension is static, got ") << getIndices().getType();
  auto sizes = d.sizes(getData()), loops = d.sizes(getIndices());
  loops.pop_back();
  size_t outer = loops.size();
  SmallVector<Value> lengths;
  for (OpFoldResult size : ArrayRef(sizes).take_front(depth))
    lengths.push_back(d.asIndex(size));
  loops.append(sizes.begin() + depth, sizes.end());
  return d.forEach(loops, d.toType(getData(), getType()), [&](Decomposer &in, ValueRange at, ValueRange carried) {
    SmallVector<Value> where, from(at.take_front(outer));
    for (int64_t i = 0; i < depth; ++i) {
      from.push_back(in.index(i));
      where.push_back(in.position(in.at(getIndices(), from), lengths[i]));
      from.pop_back();
    }
    llvm::append_range(where, at.drop_front(outer));
    return SmallVector<Value>{store(in, getReduction(), carried[0], in.at(getUpdates(), at), where)};
  });
}

} // namespace leat
