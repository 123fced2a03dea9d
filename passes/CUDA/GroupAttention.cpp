// See GroupAttention.h.
#include "passes/CUDA/GroupAttention.h"

#include "leat/KernelABI.h"
#include "passes/CUDA/Target.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kGroupRows = 64, kGroupThreads = 128;

static int64_t scheduledRows(KVAttendOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "group_rows", 0); }

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
  auto addRows = [&](Value tensor, tile::SharedType tile) {
    auto rows = pagesOf(tensor);
    if (!rows)
      return add(tensor, {inner, keys, kvHead, batch}, tile);
    if (rows->element != element || !inOnePage(*rows))
      return false;
    maps.push_back(tensorMapOfPages(k, *rows->pages, tileKeys, tile));
    return true;
  };
  auto keyTile = sharedType(tileKeys, headSize, element, 1), valueTile = sharedType(tileKeys, valueSize, element, 1);
  for (Value q : distinct)
    if (!add(q, {inner, {unsigned(qHeads), heads}, {queryDim, k.div(k.idx(tileRows), heads)}, batch},
             sharedType(tileRows, headSize, element, 1)))
      return {};
  for (auto [key, value] : llvm::zip_equal(op.getK(), op.getV()))
    if (!addRows(key, keyTile) || !addRows(value, valueTile))
      return {};
  return maps;
}

tile::SharedType GroupAttend::results() {
  Type stored = cast<RankedTensorType>(op.getOutput().getType()).getElementType();
  return stored.isF32() ? paddedResults() : sharedType(tileRows, valueSize, stored, 1);
}

bool GroupAttend::stays() {
  // With one swizzle, rows of results lie where the same rows of queries did: a group overwrites no other's.
  auto left = results(), taken = sharedType(tileRows, headSize, element, 1);
  return left.getSwizzle() == taken.getSwizzle() && left.getStageBytes() <= int64_t(distinct.size()) * taken.getStageBytes();
}

void GroupAttend::chooseRows(Value tile) {
  // All tiles of one number, then the next number: where rows see what is before them, those with the most keys come first.
  Value number = k.div(tile, owners()), owner = k.rem(tile, owners());
  if (op.getCausal())
    number = k.sub(k.sub(tiles(), k.idx(1)), number);
  chooseTile(owner, number);
  if (isClassified(op))
    classes = classesOf(owner, number);
}

void GroupAttend::chooseTile(Value owner, Value number) {
  packed ? choosePair(owner) : chooseHead(owner);
  row0 = k.mul(number, k.idx(tileRows));
  rows = k.min(k.sub(k.mul(queryCount, rowHeads), row0), k.idx(tileRows));
}

void GroupAttend::attend() {
  for (size_t i = 0; i < distinct.size() + 2 * op.getK().size(); ++i)
    maps.push_back(tensorMapArgument(k));
  auto queryType = sharedType(tileRows, headSize, element, distinct.size());
  queryTile = allocate(k, queryType);
  Values queryTiles;
  for (unsigned q = 0; q < distinct.size(); ++q)
    queryTiles.push_back(tile::SlotOp::create(b, queryType.oneStage(), queryTile, k.idx(q)));
  Value keyTiles = allocate(k, sharedType(tileKeys, headSize, element, stages));
  Value valueTiles = allocate(k, sharedType(tileKeys, valueSize, element, stages));
  Rings rings{{k, queryTiles, stays() ? groups : 0}, {k, keyTiles, groups}, {k, valueTiles, groups}};
  std::optional<Tickets> tickets;
  if (stays())
    tickets.emplace(k, k.mul(owners(), tiles()));

  auto [mine, producers] = RoleRegisters::ofAttention(groups, op.getK().size() + pagesOf(op.getK()[0]).has_value() + isClassified(op));
  auto roles = tile::RolesOp::create(b, groups * kGroupThreads, mine, producers);
  auto consumeTile = [&](Value tile, Value round, Value first) { return consume(rings, tile, round, first); };
  auto produceTile = [&](Value tile, Value round, Value first) { return produce(rings, tile, round, first); };
  auto release = [&](Value round) { rings.queries.release(round); };
  auto only = [&](Tickets::Body body) { body(tile::BlockIdOp::create(b, index, 0), k.idx(0), k.idx(0)); };
  buildRegion(k, roles.getConsume(), {}, [&](ValueRange) -> Values {
    tickets ? tickets->consume(consumeTile, release) : only(consumeTile);
    return {};
  });
  buildRegion(k, roles.getProduce(), {}, [&](ValueRange) -> Values {
    tickets ? tickets->produce(produceTile) : only(produceTile);
    return {};
  });
}

Value GroupAttend::pageOf(const cpu::CachedRows &rows, Value tensor, Value key) {
  return k.ifElse(
      k.compare(arith::CmpIPredicate::slt, key, k.dim(tensor, 3 - kvHeads)),
      [&]() -> Values { return {rows.pages->number(k, batch, k.add(rows.first, key))}; },
      [&]() -> Values { return {k.dim(rows.pages->pool, 0)}; })[0];
}

// --- the producer: keys are a block ahead of values, in the order of the consumers' waits
// ----------------------------------------------------------------------

Value GroupAttend::produce(Rings &rings, Value tile, Value round, Value begin) {
  chooseRows(tile);
  listBlocks();
  Value first = firstVisit().number, zero = k.idx(0), one = k.idx(1);
  // Block `i`, which is the n-th visit.
  auto bring = [&](Ring &ring, bool isValue, Value into, Value i, Value n) {
    bySegment(i, [&](unsigned s) -> Values {
      Value tensor = isValue ? op.getV()[s] : op.getK()[s], map = maps[distinct.size() + 2 * s + isValue], key = firstKey(i);
      if (auto rows = pagesOf(tensor))
        ring.copy(map, {zero, k.rem(k.add(rows->first, key), k.idx(rows->pages->entries)), kvHead, pageOf(*rows, tensor, key)}, into,
                  k.add(begin, n));
      else
        ring.copy(map, {zero, key, kvHead, batch}, into, k.add(begin, n));
      return {};
    });
  };
  auto bringNext = [&](Ring &ring, bool isValue, Value i, Value n) { bring(ring, isValue, ring.acquire(k.add(begin, n))[0], i, n); };
  // The first of a tile: nobody has used the memory, unless there was a tile before.
  auto enter = [&](Ring &ring, Value step) { return stays() ? ring.acquire(step) : ring.begin(step); };
  // Keys before queries, whose memory is free only when the results of the tile before are out.
  bring(rings.keys, false, enter(rings.keys, begin)[0], first, zero);
  Values into = enter(rings.queries, round);
  for (unsigned q = 0; q < distinct.size(); ++q)
    rings.queries.copy(maps[q], {zero, firstHead, k.div(row0, rowHeads), batch}, into[q], round);
  Value last = forOtherVisits({}, [&](Visit visit, Value n, Value before, ValueRange) -> Values {
                 bringNext(rings.keys, false, visit.number, n);
                 bringNext(rings.values, true, before, k.sub(n, one));
                 return {};
               }).second;
  bringNext(rings.values, true, last, k.sub(blocks, one));
  return k.add(begin, blocks);
}

// --- the consumers
// ----------------------------------------------------------------------------------------------------------------------------

Value GroupAttend::dot(Value left, Value right, Value init, bool transB) {
  return tile::DotOp::create(b, init.getType(), left, right, init, transB ? b.getUnitAttr() : UnitAttr());
}

Values GroupAttend::waitFor(int64_t pending, ValueRange tiles) {
  return Values(tile::DotWaitOp::create(b, tiles.getTypes(), pending, tiles).getResults());
}

Value GroupAttend::queriesOf(Value i) {
  auto type = cast<tile::SharedType>(queryTile.getType());
  return distinct.size() == 1 ? queryTile : tile::SlotOp::create(b, type.oneStage(), queryTile, pick(i, queryOf)).getResult();
}

void GroupAttend::clean(Ring &values, Value stale, Value i, Value step) {
  k.ifThen(stale, [&] { clearStale(values.await(step)[0], i); });
}

Value GroupAttend::consume(Rings &rings, Value tile, Value round, Value begin) {
  auto &[queries, keys, values] = rings;
  chooseRows(tile);
  listBlocks();
  Visit first = firstVisit();
  Value one = k.idx(1), nothing = splat(logitsType(), k.constant(f32, 0));
  auto operand = reg(tile::LayoutKind::WgmmaA, tileKeys, element);
  State state = start();
  Values ranges = rowRanges();
  queries.await(round);
  Value query = queriesOf(first.number);
  // Fences stand behind the waits: nothing may come between them and the product.
  auto beginLogits = [&](Value query, Value key) {
    tile::DotFenceOp::create(b, TypeRange(), ValueRange());
    return dot(query, key, nothing, true);
  };
  auto beginValues = [&](Value weights, Value out, Value step) {
    Value value = values.await(step)[0];
    auto fence = tile::DotFenceOp::create(b, TypeRange{out.getType(), operand}, ValueRange{out, weights});
    return dot(fence.getResult(1), value, fence.getResult(0), false);
  };

  Values held = positions(first);
  Value logits = waitFor(0, beginLogits(query, keys.await(begin)[0]))[0];
  keys.release(begin);
  Step step = softmax(state.maxima, state.sums, visible(logits, ranges, first, held));
  Value weights = tile::ConvertOp::create(b, operand, step.weights);

  Values inits{state.out, step.maxima, step.sums, step.factor, weights};
  // Keys that are nobody's: with positions any block may have some, and without only the last one of a segment.
  bool anywhere = hasPositions(), inside = anywhere || (mayBeStale() && op.getK().size() > 1);
  if (anywhere)
    inits.push_back(isStale(first.number, held));
  auto [carried, last] = forOtherVisits(inits, [&](Visit visit, Value n, Value before, ValueRange at) -> Values {
    Value i = visit.number, step = k.add(begin, n), stepBefore = k.sub(step, one);
    Values held = positions(visit);
    // Before the turn: all groups meet.
    if (inside)
      clean(values, anywhere ? Value(at[5]) : isStale(before, {}), before, stepBefore);
    if (distinct.size() > 1)
      query = queriesOf(i);
    Value key = keys.await(step)[0];
    if (groups > 1)
      tile::TakeTurnOp::create(b);
    Value logits = beginLogits(query, key), out = beginValues(at[4], rescale(at[0], at[3]), stepBefore);
    if (groups > 1)
      tile::GiveTurnOp::create(b);
    logits = waitFor(1, logits)[0];
    keys.release(step);
    Step next = softmax(at[1], at[2], visible(logits, ranges, visit, held));
    // The weights go through the wait as well: those of the block before are operands until then, and want the same registers.
    Values done = waitFor(0, {out, next.weights});
    values.release(stepBefore);
    Values results{done[0], next.maxima, next.sums, next.factor, tile::ConvertOp::create(b, operand, done[1])};
    if (anywhere)
      results.push_back(isStale(i, held));
    return results;
  });

  Value end = k.add(begin, blocks), lastStep = k.sub(end, one);
  if (mayBeStale())
    clean(values, anywhere ? carried[5] : isStale(last, {}), last, lastStep);
  Value out = waitFor(0, beginValues(carried[4], rescale(carried[0], carried[3]), lastStep))[0];
  if (stays())
    values.release(lastStep); // results take the memory of the group's own queries
  else
    tile::BarrierOp::create(b);
  if (valueSize > 128) // sums take half of the registers: what results need of the tile is not kept through the loop
    chooseRows(tile::LaunderOp::create(b, index, tile));
  finish({out, carried[1], tile::JoinOp::create(b, rowType(), tile::Combine::Add, carried[2])}, results(), /*at=*/0);
  return end;
}

} // namespace leat::cuda
