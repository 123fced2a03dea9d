// See AttendBlocks.h.
#include "passes/CUDA/AttendBlocks.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kLanes = 32;
/// A block behind all keys, whose places are still i32. A constant: what would have to be kept for it spilled.
constexpr int64_t kBehind = 1 << 20;

void AttendBlocks::listBlocks() {
  Value zero = k.idx(0), step = k.idx(tileKeys);
  blocks = zero;
  for (Values *list : {&from, &begin, &counts, &allLows, &allHighs})
    list->clear();
  Values lengths;
  for (unsigned s = 0; s < op.getK().size(); ++s) {
    if (isClassified(op)) {
      from.push_back(zero);
      begin.push_back(blocks);
      counts.push_back(keyCount(s));
      blocks = k.add(blocks, paddedBlocks(s));
      continue;
    }
    Extent extent = extentOf(s);
    Value some = k.compare(arith::CmpIPredicate::slt, extent.from, extent.to);
    lengths.push_back(arith::SelectOp::create(b, some, k.ceilDiv(k.sub(extent.to, extent.from), step), zero));
    from.push_back(extent.from);
    begin.push_back(blocks);
    counts.push_back(extent.count);
    allLows.push_back(extent.allLow);
    allHighs.push_back(extent.allHigh);
    blocks = k.add(blocks, lengths.back());
  }
  firstFound = zero;
  if (isClassified(op)) {
    Value behind = k.idx(kBehind * kClasses + Masked);
    visits = visitsOf(classes, blocks);
    Value none = k.compare(arith::CmpIPredicate::eq, visits.count, zero);
    blocks = k.max(visits.count, k.idx(1));
    visits.end = {}; // no block is looked for that is not there
    firstFound = k.ifElse(none, [&]() -> Values { return {behind}; }, [&]() -> Values { return {find(visits, zero)}; })[0];
    return;
  }
  Value none = k.compare(arith::CmpIPredicate::eq, blocks, zero);
  Value behind = k.mul(k.add(k.div(counts.back(), step), k.idx(1)), step);
  from.back() = arith::SelectOp::create(b, none, behind, from.back());
  blocks = arith::SelectOp::create(b, none, k.idx(1), blocks);
}

std::pair<Values, Value> AttendBlocks::forOtherVisits(ValueRange inits, VisitBody body) {
  Value one = k.idx(1);
  if (!isClassified(op)) {
    auto run = [&](Value n, ValueRange carried) { return body({n, {}}, n, k.sub(n, one), carried); };
    return {k.forLoop(one, blocks, one, inits, run), k.sub(blocks, one)};
  }
  Values all(inits);
  all.push_back(firstFound);
  Values carried = k.forLoop(one, blocks, one, all, [&](Value n, ValueRange carried) -> Values {
    Value before = blockOf(carried.back()), found = find(visits, k.add(before, one));
    Values next = body(visitOf(found), n, before, carried.drop_back());
    next.push_back(found);
    return next;
  });
  Value last = blockOf(carried.pop_back_val());
  return {carried, last};
}

Values AttendBlocks::bySegment(Value i, llvm::function_ref<Values(unsigned)> body) {
  std::function<Values(unsigned)> choose = [&](unsigned s) -> Values {
    if (s + 1 == begin.size())
      return body(s);
    return k.ifElse(k.compare(arith::CmpIPredicate::slt, i, begin[s + 1]), [&] { return body(s); }, [&] { return choose(s + 1); });
  };
  return choose(0);
}

Value AttendBlocks::pick(Value i, ValueRange ofSegment) {
  Value picked = ofSegment[0];
  for (unsigned s = 1; s < ofSegment.size(); ++s)
    picked = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::sge, i, begin[s]), ofSegment[s], picked);
  return picked;
}

Value AttendBlocks::firstKey(Value i) { return k.add(pick(i, from), k.mul(k.sub(i, pick(i, begin)), k.idx(tileKeys))); }

Values AttendBlocks::positions(Visit visit) {
  if (!hasPositions())
    return {};
  return k.ifElse(
      isOf(visit.found, Masked), [&] { return readPositions(visit.number); },
      [&]() -> Values { return Values(llvm::divideCeil(tileKeys, kLanes), k.constantInt(i32, 0)); });
}

Values AttendBlocks::readPositions(Value i) {
  Value lane = k.rem(tile::ThreadIdOp::create(b, index), k.idx(kLanes)), first = k.add(firstKey(i), lane);
  Value far = k.idx(std::numeric_limits<int32_t>::max()), no = k.idx(-1);
  return bySegment(i, [&](unsigned s) {
    Values held;
    for (int64_t part = 0; part < tileKeys; part += kLanes) {
      Value key = k.add(first, k.idx(part));
      Value position = k.ifElse(
          k.compare(arith::CmpIPredicate::slt, key, counts[s]),
          [&]() -> Values { return {k.max(k.min(toIndex(pullScalar(op.getKPos()[s], {key})), far), no)}; },
          [&]() -> Values { return {no}; })[0];
      held.push_back(arith::IndexCastOp::create(b, i32, position));
    }
    return held;
  });
}

Value AttendBlocks::visible(Value logits, ArrayRef<Value> ranges, Visit visit, ValueRange held) {
  Value i = visit.number, t0 = firstKey(i), count = pick(i, counts);
  if (!op.getBias().empty())
    logits = bySegment(i, [&](unsigned s) -> Values { return {biased(s, logits, t0, count, visit.found)}; })[0];
  else
    logits = biased(0, logits, t0, count, {});
  if (hasPositions())
    return masked(isOf(visit.found, Masked), logits, ranges, t0, count, [&](Value col) -> Value {
      // All lanes want the same part: columns of a fragment are neighbours.
      Value part = held[0];
      for (unsigned p = 1; p < held.size(); ++p)
        part = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::sge, col, k.idx(p * kLanes)), held[p], part);
      return tile::FromLaneOp::create(b, part, k.rem(col, k.idx(kLanes)));
    });
  Value partial = visit.found ? isOf(visit.found, Masked) : isPartial({count, {}, {}, pick(i, allLows), pick(i, allHighs)}, t0);
  return masked(partial, logits, ranges, t0, count);
}

//===--- Keys that are nobody's -----------------------------------------------------------------------------------===//

Value AttendBlocks::stored(unsigned s) {
  Value keys = k.dim(op.getK()[s], 3 - kvHeads);
  auto rows = pagesOf(op.getK()[s]);
  if (!rows)
    return keys;
  Value page = k.idx(rows->pages->entries);
  return k.sub(k.mul(k.ceilDiv(k.add(rows->first, keys), page), page), rows->first);
}

Value AttendBlocks::isNobodys(unsigned s, Value key) {
  Value there = k.compare(arith::CmpIPredicate::slt, key, stored(s)), used = k.compare(arith::CmpIPredicate::slt, key, counts[s]);
  Value owned = k.ifElse(
      used,
      [&]() -> Values {
        if (!hasPositions())
          return {used};
        return {k.compare(arith::CmpIPredicate::sge, toIndex(pullScalar(op.getKPos()[s], {key})), k.idx(0))};
      },
      [&]() -> Values { return {used}; })[0];
  return arith::AndIOp::create(b, there, arith::XOrIOp::create(b, owned, arith::ConstantIntOp::create(b, 1, 1)));
}

Value AttendBlocks::isStale(Value i, ValueRange held) {
  Value t0 = firstKey(i);
  auto anyStored = [&](Value key, Value end) { // some key from `key` on, below `end`, is in memory
    return bySegment(i, [&](unsigned s) -> Values { return {k.compare(arith::CmpIPredicate::slt, key, k.min(end, stored(s)))}; })[0];
  };
  Value end = k.add(t0, k.idx(tileKeys));
  if (!hasPositions())
    return anyStored(k.max(t0, pick(i, counts)), end);
  // Each warp holds all positions of the block, so each comes to the same answer.
  Value first = k.add(t0, k.rem(tile::ThreadIdOp::create(b, index), k.idx(kLanes))), found = k.constant(f32, 0);
  for (auto [part, position] : llvm::enumerate(held)) {
    Value hidden = k.compare(arith::CmpIPredicate::slt, position, k.constantInt(i32, 0));
    Value here = arith::AndIOp::create(b, hidden, anyStored(k.add(first, k.idx(part * kLanes)), end));
    found = arith::SelectOp::create(b, here, k.constant(f32, 1), found);
  }
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, tile::LanesOp::create(b, tile::Combine::Max, found, kLanes),
                               k.constant(f32, 0));
}

void AttendBlocks::clearStale(Value values, Value i) {
  auto type = cast<tile::SharedType>(values.getType());
  int64_t width = 16 / type.getElementBytes(), perRow = type.getCols() / width, consumers = tileRows * 2;
  auto run = VectorType::get({width}, type.getElement());
  Value t0 = firstKey(i), zeros = arith::ConstantOp::create(b, b.getZeroAttr(run));
  k.forLoop(tile::ThreadIdOp::create(b, index), k.idx(tileKeys * perRow), k.idx(consumers), [&](Value e) {
    Value row = k.div(e, k.idx(perRow)), key = k.add(t0, row);
    Value nobodys = bySegment(i, [&](unsigned s) -> Values { return {isNobodys(s, key)}; })[0];
    k.ifThen(nobodys, [&] { tile::WriteOp::create(b, zeros, values, row, k.mul(k.rem(e, k.idx(perRow)), k.idx(width))); });
  });
  tile::BarrierOp::create(b, /*products=*/true);
}

} // namespace leat::cuda
