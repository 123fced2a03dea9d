// Appending to caches and overwriting fixed slots, element by element, straight from the values that are pulled.
#include "passes/CPU/State.h"

#include "passes/CPU/Pages.h"

using namespace mlir;

namespace leat::cpu {

int64_t slotFact(Operation *op, StringRef name, int64_t absent) {
  auto attr = op->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : absent;
}

SmallVector<Operation *> stateChanges(KernelFuncOp kernel) {
  SmallVector<Operation *> changes;
  for (Operation &op : kernel.getBody().front())
    if (isa<CacheAppendOp, StateWriteOp>(op))
      changes.push_back(&op);
  return changes;
}

Value storedTensor(Operation *change) {
  if (auto append = dyn_cast<CacheAppendOp>(change))
    return append.getUpdate();
  return cast<StateWriteOp>(change).getValue();
}

static unsigned slotAxis(CacheAppendOp append) { return slotFact(append, "axis", append.getState().getType().getContent().getRank() - 2); }

/// Dimension d of the slot is this dimension of the update.
static unsigned updateDim(CacheAppendOp append, unsigned d) { return append.getLayout() == "bshd" && (d == 1 || d == 2) ? 3 - d : d; }

std::optional<unsigned> wrappingDim(Operation *change) {
  auto append = dyn_cast<CacheAppendOp>(change);
  if (!append || (slotFact(append, "ring", 0) == 0 && !append.getTable()))
    return std::nullopt;
  return updateDim(append, slotAxis(append));
}

void storeState(Puller &p, Operation *change, ArrayRef<Idx> at) {
  KernelBuilder &k = p.k;
  auto &b = k.b;
  Value state = change->getOperand(0);
  while (Operation *op = state.getDefiningOp())
    state = op->getOperand(0);
  auto slot = cast<BlockArgument>(state);
  Type element = cast<StateType>(slot.getType()).getContent().getElementType();
  auto append = dyn_cast<CacheAppendOp>(change);
  auto put = [&](ArrayRef<Idx> where) {
    Idx linear;
    if (append && append.getTable()) // lanes lie along the last dimension, if at all
      linear = p.add(p.at(Pages::of(slot, append.getTable()).offsetOf(k, where[0].base, where[1].base, where[2].base)), where[3]);
    else
      linear = p.linearize(where, k.dims(slot));
    Value value = p.pull(storedTensor(change), at);
    if (linear.uniform() || p.lanes() == 1)
      return k.store(value, k.buffer(slot), element, linear.base);
    value = k.splat(value, p.lanes());
    if (linear.contiguous())
      return k.store(value, k.buffer(slot), element, linear.base);
    k.scatter(value, k.buffer(slot), element, p.vector(linear));
  };
  if (!append)
    return put(at);
  unsigned axis = slotAxis(append), from = updateDim(append, axis);
  SmallVector<Idx> where;
  for (unsigned d = 0; d < at.size(); ++d)
    where.push_back(at[updateDim(append, d)]);
  Value seen = k.scalar(append.getAt());
  int64_t ring = slotFact(append, "ring", 0), sink = slotFact(append, "sink", 0);
  if (ring == 0) {
    where[axis] = p.add(p.at(seen), at[from]);
    return put(where);
  }
  // Entry t goes to t below `sink`, then round the ring. Of entries of one step that meet in a place only the last is stored.
  Value t = k.add(seen, at[from].base), total = k.add(seen, k.dim(append.getUpdate(), from));
  Value isSink = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, t, k.idx(sink));
  Value round = k.add(k.idx(sink), arith::RemSIOp::create(b, k.sub(t, k.idx(sink)), k.idx(ring)));
  where[axis] = p.at(arith::SelectOp::create(b, isSink, t, round));
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, k.add(t, k.idx(ring)), total);
  k.ifThen(arith::OrIOp::create(b, isSink, isLast), [&] { put(where); });
}

} // namespace leat::cpu
