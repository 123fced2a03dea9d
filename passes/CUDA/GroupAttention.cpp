// See GroupAttention.h.
#include "passes/CUDA/GroupAttention.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kGroupRows = 64, kGroupThreads = 128;

static int64_t scheduledRows(KVAttendOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "group_rows", 0); }

/// Registers of a thread of the consumers and of the producer: a multiprocessor has 64 Ki.
static std::pair<int64_t, int64_t> registersOf(int64_t groups) { return groups == 3 ? std::pair(160, 32) : std::pair(240, 24); }

GroupAttend::GroupAttend(KVAttendOp op, KernelBuilder &k) : AttendTile(op, k) {
  sumLayout = tile::LayoutKind::WgmmaAcc;
  tileRows = scheduledRows(op);
  tileKeys = cpu::scheduled(k.kernel, "group_keys", 64);
  groups = tileRows / kGroupRows;
  std::optional<int64_t> heads = getConstantIntValue(group);
  packed = heads && *heads > 0 && tileRows % *heads == 0;
}

bool GroupAttend::fits(KVAttendOp op) {
  return scheduledRows(op) > 0 && op.getK().size() == 1 && op.getKPos().empty() && !op.getKvLen() &&
         !cast<RankedTensorType>(op.getQ()[0].getType()).getElementType().isF32();
}

int64_t GroupAttend::threads(KVAttendOp op) { return (scheduledRows(op) / kGroupRows + 1) * kGroupThreads; }

Values GroupAttend::grid() { return {k.mul(owners(), tiles()), k.idx(1), k.idx(1)}; }

SmallVector<TensorMap> GroupAttend::tensorMaps() {
  unsigned queryDim = 3 - qHeads, keyDim = 3 - kvHeads;
  Value one = k.idx(1), heads = headsOfTile();
  MapDim inner{3, one}, batch{0, one}, keys{keyDim, k.idx(tileKeys)}, kvHead{unsigned(kvHeads), one};
  auto q = tensorMapOf(k, op.getQ()[0], {inner, {unsigned(qHeads), heads}, {queryDim, k.div(k.idx(tileRows), heads)}, batch},
                       sharedType(tileRows, headSize, element, 1));
  auto key = tensorMapOf(k, op.getK()[0], {inner, keys, kvHead, batch}, sharedType(tileKeys, headSize, element, 1));
  auto value = tensorMapOf(k, op.getV()[0], {inner, keys, kvHead, batch}, sharedType(tileKeys, valueSize, element, 1));
  if (!q || !key || !value)
    return {};
  return {*q, *key, *value};
}

void GroupAttend::attend() {
  for (unsigned i = 0; i < 3; ++i)
    maps.push_back(tensorMapArgument(k));
  // All tiles of one number, then the next number: where rows see what is before them, those with the most keys come first.
  Value block = tile::BlockIdOp::create(b, index, 0), tile = k.div(block, owners()), owner = k.rem(block, owners());
  if (op.getCausal())
    tile = k.sub(k.sub(tiles(), k.idx(1)), tile);
  packed ? choosePair(owner) : chooseHead(owner);
  row0 = k.mul(tile, k.idx(tileRows));
  rows = k.min(k.sub(k.mul(queryCount, rowHeads), row0), k.idx(tileRows));
  extent = extentOf(0);
  // Where no row sees a key, one block of keys behind the last stands in: all of it is hidden.
  some = k.compare(arith::CmpIPredicate::slt, extent.from, extent.to);
  Value step = k.idx(tileKeys);
  from = arith::SelectOp::create(b, some, extent.from, k.mul(k.add(k.div(extent.count, step), k.idx(1)), step));
  blocks = arith::SelectOp::create(b, some, k.ceilDiv(k.sub(extent.to, extent.from), step), k.idx(1));

  Value queryTile = allocate(k, sharedType(tileRows, headSize, element, 1));
  Value keyTiles = allocate(k, sharedType(tileKeys, headSize, element, stages));
  Value valueTiles = allocate(k, sharedType(tileKeys, valueSize, element, stages));
  Ring queries(k, queryTile, 0), keys(k, keyTiles, groups), values(k, valueTiles, groups);
  auto [mine, producers] = registersOf(groups);
  auto roles = tile::RolesOp::create(b, groups * kGroupThreads, mine, producers);
  buildRegion(k, roles.getConsume(), {}, [&](ValueRange) -> Values {
    consume(queries, keys, values);
    return {};
  });
  buildRegion(k, roles.getProduce(), {}, [&](ValueRange) -> Values {
    produce(queries, keys, values);
    return {};
  });
}

// --- the producer: keys are a block ahead of values, in the order of the consumers' waits
// ----------------------------------------------------------------------

void GroupAttend::produce(Ring &queries, Ring &keys, Ring &values) {
  Value zero = k.idx(0), one = k.idx(1);
  queries.copy(maps[0], {zero, firstHead, k.div(row0, rowHeads), batch}, queries.begin()[0], zero);
  auto bring = [&](Ring &ring, Value map, Value tile, Value i) {
    ring.copy(map, {zero, k.add(from, k.mul(i, k.idx(tileKeys))), kvHead, batch}, tile, i);
  };
  bring(keys, maps[1], keys.begin()[0], zero);
  k.forLoop(one, blocks, one, [&](Value i) {
    Value before = k.sub(i, one);
    bring(keys, maps[1], keys.acquire(i)[0], i);
    bring(values, maps[2], values.acquire(before)[0], before);
  });
  Value last = k.sub(blocks, one);
  bring(values, maps[2], values.acquire(last)[0], last);
}

// --- the consumers
// ----------------------------------------------------------------------------------------------------------------------------

Value GroupAttend::dot(Value left, Value right, Value init, bool transB) {
  return tile::DotOp::create(b, init.getType(), left, right, init, transB ? b.getUnitAttr() : UnitAttr());
}

Values GroupAttend::waitFor(int64_t pending, ValueRange tiles) {
  return Values(tile::DotWaitOp::create(b, tiles.getTypes(), pending, tiles).getResults());
}

Value GroupAttend::visible(Value logits, ArrayRef<Value> ranges, Value i) {
  Value t0 = k.add(from, k.mul(i, k.idx(tileKeys)));
  auto transformed = [&]() -> Values { return {transformLogits(0, logits, t0, extent.count)}; };
  if (!op.getBias().empty()) // none is read for the block that stands in
    logits = k.ifElse(some, transformed, [&]() -> Values { return {logits}; })[0];
  else if (transforms())
    logits = transformed()[0];
  return k.ifElse(
      isPartial(extent, t0), [&]() -> Values { return {maskLogits(logits, ranges, t0, extent.count, {})}; },
      [&]() -> Values { return {logits}; })[0];
}

void GroupAttend::consume(Ring &queries, Ring &keys, Ring &values) {
  Value first = k.idx(0), one = k.idx(1), nothing = splat(logitsType(), k.constant(f32, 0));
  auto operand = reg(tile::LayoutKind::WgmmaA, tileKeys, element);
  State state = start();
  Values ranges = rowRanges(extent.count);
  Value query = queries.await(first)[0];
  // Fences stand behind the waits: nothing may come between them and the product.
  auto beginLogits = [&](Value key) {
    tile::DotFenceOp::create(b, TypeRange(), ValueRange());
    return dot(query, key, nothing, true);
  };
  auto beginValues = [&](Value weights, Value out, Value i) {
    Value value = values.await(i)[0];
    auto fence = tile::DotFenceOp::create(b, TypeRange{out.getType(), operand}, ValueRange{out, weights});
    return dot(fence.getResult(1), value, fence.getResult(0), false);
  };

  Value logits = waitFor(0, beginLogits(keys.await(first)[0]))[0];
  keys.release(first);
  Step step = softmax(state.maxima, state.sums, visible(logits, ranges, first));
  Value weights = tile::ConvertOp::create(b, operand, step.weights);

  Values inits{state.out, step.maxima, step.sums, step.factor, weights};
  Values carried = k.forLoop(one, blocks, one, inits, [&](Value i, ValueRange at) -> Values {
    Value before = k.sub(i, one), key = keys.await(i)[0];
    if (groups > 1)
      tile::TakeTurnOp::create(b);
    Value logits = beginLogits(key), out = beginValues(at[4], rescale(at[0], at[3]), before);
    if (groups > 1)
      tile::GiveTurnOp::create(b);
    logits = waitFor(1, logits)[0];
    keys.release(i);
    Step next = softmax(at[1], at[2], visible(logits, ranges, i));
    // The weights go through the wait as well: those of the block before are operands until then, and want the same registers.
    Values done = waitFor(0, {out, next.weights});
    values.release(before);
    return {done[0], next.maxima, next.sums, next.factor, tile::ConvertOp::create(b, operand, done[1])};
  });

  Value out = waitFor(0, beginValues(carried[4], rescale(carried[0], carried[3]), k.sub(blocks, one)))[0];
  finish({out, carried[1], tile::JoinOp::create(b, rowType(), tile::Combine::Add, carried[2])}, /*at=*/0);
}

} // namespace leat::cuda
