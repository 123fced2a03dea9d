// Caches as values: an append is a loop of insertions into the slot's content, a view is a slice of it. What is left, reading a slot's
// content as a tensor and writing a tensor to it, is the identity on values. Pages are looked up in their table, element by element.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

SlotOp slotOf(Value state) {
  while (auto *op = state.getDefiningOp()) {
    if (auto get = dyn_cast<StateGetOp>(op))
      return SymbolTable::lookupNearestSymbolFrom<SlotOp>(get, get.getSlotAttr());
    if (!isa<CacheAppendOp, StateWriteOp>(op))
      break;
    state = op->getOperand(0);
  }
  return {};
}

/// The slot behind a handle; null after an error.
static SlotOp knownSlot(Operation *op) {
  SlotOp slot = slotOf(op->getOperand(0));
  if (!slot)
    op->emitOpError("has no decomposition here: its state does not come from a leat.state_get in this function");
  return slot;
}

static Value contentOf(Decomposer &d, Value state) {
  return StateReadOp::create(d.b, d.loc, cast<StateType>(state.getType()).getContent(), state);
}

/// Coordinates in a pool of pages of those that a row's entries have.
static SmallVector<Value> inPages(Decomposer &d, Value table, int64_t page, ArrayRef<Value> at) {
  Value number = d.at(table, {at[0], d.div(at[2], d.index(page))});
  return {d.convert(number, d.b.getIndexType()), at[1], d.rem(at[2], d.index(page)), at[3]};
}

FailureOr<SmallVector<Value>> CacheAppendOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  SlotOp slot = knownSlot(*this);
  if (!slot)
    return failure();
  unsigned axis = slot.getAxis();
  bool ring = slot.getGrowth() == Growth::Ring, swapped = getLayout() == "bshd";
  Value table = getTable() ? contentOf(d, getTable()) : Value();
  SmallVector<Value> next =
      d.forEach(d.sizes(getUpdate()), contentOf(d, getState()), [&](Decomposer &in, ValueRange at, ValueRange carried) {
        SmallVector<Value> where(at);
        if (swapped)
          std::swap(where[1], where[2]);
        Value token = in.add(getAt(), where[axis]);
        where[axis] = token;
        if (ring) {
          Value sink = in.index(slot.getSink()), isSink = in.less(token, sink);
          Value turn = in.rem(in.choose(isSink, in.index(0), in.sub(token, sink)), in.index(slot.getRing()));
          where[axis] = in.choose(isSink, token, in.add(sink, turn));
        }
        if (table)
          where = inPages(in, table, slot.getPage(), where);
        return SmallVector<Value>{tensor::InsertOp::create(in.b, in.loc, in.at(getUpdate(), at), carried[0], where)};
      });
  return SmallVector<Value>{StateWriteOp::create(b, getLoc(), getState(), next[0])};
}

FailureOr<SmallVector<Value>> CacheViewOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  SlotOp slot = knownSlot(*this);
  if (!slot)
    return failure();
  Value content = contentOf(d, getState());
  if (getTable()) {
    Value table = contentOf(d, getTable());
    Decomposer::Sizes sizes = d.sizes(content);
    sizes[0] = d.size(table, 0), sizes[2] = OpFoldResult(getLength());
    Value gathered = d.each(sizes, rankedType(content).getElementType(), ValueRange(), [&](Decomposer &in, ValueRange) {
      Value entry = in.add(getOffset(), in.loop(2));
      return in.at(content, inPages(in, table, slot.getPage(), {in.loop(0), in.loop(1), entry, in.loop(3)}));
    });
    return SmallVector<Value>{d.toType(gathered, getType())};
  }
  Decomposer::Sizes offsets(rankedType(content).getRank(), b.getIndexAttr(0)), strides(offsets.size(), b.getIndexAttr(1)),
      sizes = d.sizes(content);
  offsets[slot.getAxis()] = getOffset();
  sizes[slot.getAxis()] = getLength();
  Value slice = tensor::ExtractSliceOp::create(b, getLoc(), content, offsets, sizes, strides);
  return SmallVector<Value>{d.toType(slice, getType())};
}

} // namespace leat
