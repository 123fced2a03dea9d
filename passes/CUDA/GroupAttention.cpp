// See GroupAttention.h.
#include "passes/CUDA/GroupAttention.h"

#include "leat/KernelABI.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kGroupRows = 64, kGroupThreads = 128;

static int64_t scheduledRows(KVAttendOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "group_rows", 0); }

/// Registers of a thread of the consumers and of the producer: a multiprocessor has 64 Ki.
static std::pair<int64_t, int64_t> registersOf(int64_t groups) { return groups == 3 ? std::pair(160, 32) : std::pair(240, 24); }

GroupAttend::GroupAttend(KVAttendOp op, KernelBuilder &k) : AttendBlocks(op, k) {
  sumLayout = tile::LayoutKind::WgmmaAcc;
  tileRows = scheduledRows(op);
  tileKeys = cpu::scheduled(k.kernel, "group_keys", 64);
  groups = tileRows / kGroupRows;
  std::optional<int64_t> heads = getConstantIntValue(group);
  packed = heads && *heads > 0 && tileRows % *heads == 0;
  for (Value q : op.getQ()) {
    auto known = llvm::find(distinct, q);
    queryOf.push_back(k.idx(known - distinct.begin()));
    if (known == distinct.end())
      distinct.push_back(q);
  }
}

bool GroupAttend::fits(KVAttendOp op) {
  llvm::SmallDenseSet<Value> queries(op.getQ().begin(), op.getQ().end());
  return scheduledRows(op) > 0 && queries.size() + 2 * op.getK().size() <= LEAT_MAX_TENSOR_MAPS &&
         !cast<RankedTensorType>(op.getQ()[0].getType()).getElementType().isF32();
}

int64_t GroupAttend::threads(KVAttendOp op) { return (scheduledRows(op) / kGroupRows + 1) * kGroupThreads; }

Values GroupAttend::grid() { return {k.mul(owners(), tiles()), k.idx(1), k.idx(1)}; }

SmallVector<TensorMap> GroupAttend::tensorMaps() {
  unsigned queryDim = 3 - qHeads, keyDim = 3 - kvHeads;
  Value one = k.idx(1), heads = headsOfTile();
  MapDim inner{3, one}, batch{0, one}, keys{keyDim, k.idx(tileKeys)}, kvHead{unsigned(kvHeads), one};
  SmallVector<TensorMap> maps;
  auto add = [&](Value tensor, ArrayRef<MapDim> dims, tile::SharedType tile) {
    std::optional<TensorMap> map = tensorMapOf(k, tensor, dims, tile);
    if (map)
      maps.push_back(*map);
    return map.has_value();
  };
  auto keyTile = sharedType(tileKeys, headSize, element, 1), valueTile = sharedType(tileKeys, valueSize, element, 1);
  for (Value q : distinct)
    if (!add(q, {inner, {unsigned(qHeads), heads}, {queryDim, k.div(k.idx(tileRows), heads)}, batch},
             sharedType(tileRows, headSize, element, 1)))
      return {};
  for (auto [key, value] : llvm::zip_equal(op.getK(), op.getV()))
    if (!add(key, {inner, keys, kvHead, batch}, keyTile) || !add(value, {inner, keys, kvHead, batch}, valueTile))
      return {};
  return maps;
}

void GroupAttend::attend() {
  for (size_t i = 0; i < distinct.size() + 2 * op.getK().size(); ++i)
    maps.push_back(tensorMapArgument(k));
  // All tiles of one number, then the next number: where rows see what is before them, those with the most keys come first.
  Value block = tile::BlockIdOp::create(b, index, 0), tile = k.div(block, owners()), owner = k.rem(block, owners());
  if (op.getCausal())
    tile = k.sub(k.sub(tiles(), k.idx(1)), tile);
  packed ? choosePair(owner) : chooseHead(owner);
  row0 = k.mul(tile, k.idx(tileRows));
  rows = k.min(k.sub(k.mul(queryCount, rowHeads), row0), k.idx(tileRows));
  listBlocks();

  Value queryTile = allocate(k, sharedType(tileRows, headSize, element, distinct.size()));
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
  for (unsigned q = 0; q < distinct.size(); ++q)
    queries.copy(maps[q], {zero, firstHead, k.div(row0, rowHeads), batch}, queries.begin(k.idx(q))[0], k.idx(q));
  auto bring = [&](Ring &ring, bool isValue, Value tile, Value i) {
    bySegment(i, [&](unsigned s) -> Values {
      ring.copy(maps[distinct.size() + 2 * s + isValue], {zero, firstKey(i), kvHead, batch}, tile, i);
      return {};
    });
  };
  bring(keys, false, keys.begin(zero)[0], zero);
  k.forLoop(one, blocks, one, [&](Value i) {
    Value before = k.sub(i, one);
    bring(keys, false, keys.acquire(i)[0], i);
    bring(values, true, values.acquire(before)[0], before);
  });
  Value last = k.sub(blocks, one);
  bring(values, true, values.acquire(last)[0], last);
}

// --- the consumers
// ----------------------------------------------------------------------------------------------------------------------------

Value GroupAttend::dot(Value left, Value right, Value init, bool transB) {
  return tile::DotOp::create(b, init.getType(), left, right, init, transB ? b.getUnitAttr() : UnitAttr());
}

Values GroupAttend::waitFor(int64_t pending, ValueRange tiles) {
  return Values(tile::DotWaitOp::create(b, tiles.getTypes(), pending, tiles).getResults());
}

Value GroupAttend::queriesOf(Ring &queries, Value i) { return queries.tiles(pick(i, queryOf))[0]; }

void GroupAttend::clean(Ring &values, Value stale, Value i) {
  k.ifThen(stale, [&] { clearStale(values.await(i)[0], i); });
}

void GroupAttend::consume(Ring &queries, Ring &keys, Ring &values) {
  Value first = k.idx(0), one = k.idx(1), nothing = splat(logitsType(), k.constant(f32, 0));
  auto operand = reg(tile::LayoutKind::WgmmaA, tileKeys, element);
  State state = start();
  Values ranges = rowRanges();
  // All of them, also those of a segment without keys: their memory is used again in the end.
  for (unsigned q = 0; q < distinct.size(); ++q)
    queries.await(k.idx(q));
  Value query = queriesOf(queries, first);
  // Fences stand behind the waits: nothing may come between them and the product.
  auto beginLogits = [&](Value query, Value key) {
    tile::DotFenceOp::create(b, TypeRange(), ValueRange());
    return dot(query, key, nothing, true);
  };
  auto beginValues = [&](Value weights, Value out, Value i) {
    Value value = values.await(i)[0];
    auto fence = tile::DotFenceOp::create(b, TypeRange{out.getType(), operand}, ValueRange{out, weights});
    return dot(fence.getResult(1), value, fence.getResult(0), false);
  };

  Values held = positions(first);
  Value logits = waitFor(0, beginLogits(query, keys.await(first)[0]))[0];
  keys.release(first);
  Step step = softmax(state.maxima, state.sums, visible(logits, ranges, first, held));
  Value weights = tile::ConvertOp::create(b, operand, step.weights);

  Values inits{state.out, step.maxima, step.sums, step.factor, weights};
  // Keys that are nobody's: with positions any block may have some, and without only the last one of a segment.
  bool anywhere = hasPositions(), inside = anywhere || (mayBeStale() && op.getK().size() > 1);
  if (anywhere)
    inits.push_back(isStale(first, held));
  Values carried = k.forLoop(one, blocks, one, inits, [&](Value i, ValueRange at) -> Values {
    Value before = k.sub(i, one);
    Values held = positions(i);
    // Before the turn: all groups meet.
    if (inside)
      clean(values, anywhere ? Value(at[5]) : isStale(before, {}), before);
    if (distinct.size() > 1)
      query = queriesOf(queries, i);
    Value key = keys.await(i)[0];
    if (groups > 1)
      tile::TakeTurnOp::create(b);
    Value logits = beginLogits(query, key), out = beginValues(at[4], rescale(at[0], at[3]), before);
    if (groups > 1)
      tile::GiveTurnOp::create(b);
    logits = waitFor(1, logits)[0];
    keys.release(i);
    Step next = softmax(at[1], at[2], visible(logits, ranges, i, held));
    // The weights go through the wait as well: those of the block before are operands until then, and want the same registers.
    Values done = waitFor(0, {out, next.weights});
    values.release(before);
    Values results{done[0], next.maxima, next.sums, next.factor, tile::ConvertOp::create(b, operand, done[1])};
    if (anywhere)
      results.push_back(isStale(i, held));
    return results;
  });

  Value last = k.sub(blocks, one);
  if (mayBeStale())
    clean(values, anywhere ? carried[5] : isStale(last, {}), last);
  Value out = waitFor(0, beginValues(carried[4], rescale(carried[0], carried[3]), last))[0];
  finish({out, carried[1], tile::JoinOp::create(b, rowType(), tile::Combine::Add, carried[2])}, /*at=*/0);
}

} // namespace leat::cuda
