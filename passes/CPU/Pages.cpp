// See Pages.h.
#include "passes/CPU/Pages.h"

using namespace mlir;

namespace leat::cpu {

/// What LeatState's capacity counts of a pool.
constexpr int64_t kStrideBytes = 64;

static BlockArgument slotBehind(Value state) {
  while (Operation *op = state.getDefiningOp())
    state = op->getOperand(0);
  return cast<BlockArgument>(state);
}

Pages Pages::of(Value state, Value table) {
  BlockArgument pool = slotBehind(state);
  auto content = cast<StateType>(pool.getType()).getContent();
  return {pool, slotBehind(table), content.getElementType(), content.getDimSize(1), content.getDimSize(2), content.getDimSize(3)};
}

Value Pages::stride(KernelBuilder &k) const {
  return k.mul(k.stateCapacity(pool), k.idx(kStrideBytes / KernelBuilder::byteWidth(element)));
}

Value Pages::number(KernelBuilder &k, Value row, Value entry) const {
  Value at = k.add(k.mul(row, k.dim(table, 1)), k.div(entry, k.idx(entries)));
  return arith::IndexCastOp::create(k.b, k.b.getIndexType(), k.load(k.buffer(table), k.b.getI32Type(), at, 1));
}

Value Pages::offsetOf(KernelBuilder &k, Value row, Value head, Value entry) const {
  Value inPage = k.add(k.mul(head, k.idx(entries)), k.rem(entry, k.idx(entries)));
  return k.add(k.mul(number(k, row, entry), stride(k)), k.mul(inPage, k.idx(size)));
}

} // namespace leat::cpu
