// See AttendTile.h.
#include "passes/CUDA/AttendTile.h"

using namespace mlir;

namespace leat::cuda {

AttendTile::AttendTile(KVAttendOp op, KernelBuilder &k) : AttendEmitter(op, k), b(k.b) {
  element = cast<RankedTensorType>(op.getQ()[0].getType()).getElementType();
  headSize = cast<RankedTensorType>(op.getQ()[0].getType()).getDimSize(3);
  valueSize = cast<RankedTensorType>(op.getV()[0].getType()).getDimSize(3);
  tileRows = cpu::scheduled(k.kernel, "rows", 64);
  tileKeys = cpu::scheduled(k.kernel, "keys", 32);
  stages = cpu::scheduled(k.kernel, "stages", 2);
  index = b.getIndexType();
}

// --- types
// ------------------------------------------------------------------------------------------------------------------------------------

tile::RegType AttendTile::reg(tile::LayoutKind kind, int64_t cols, Type type) {
  return tile::RegType::get(b.getContext(), tileRows, cols, type, tile::LayoutAttr::get(b.getContext(), kind, tileRows / 16, 1));
}

tile::SharedType AttendTile::sharedType(int64_t rows, int64_t cols, Type type, int64_t stages) {
  int64_t bytes = cols * type.getIntOrFloatBitWidth() / 8, swizzle = 0;
  for (int64_t span : {32, 64, 128})
    if (type.getIntOrFloatBitWidth() == 16 && bytes % span == 0)
      swizzle = span;
  return tile::SharedType::get(b.getContext(), rows, cols, type, swizzle, swizzle || type.isInteger(32) ? 0 : 16, stages);
}

Value AttendTile::allocate(KernelBuilder &k, tile::SharedType type, std::optional<int64_t> at) {
  return tile::AllocOp::create(k.b, type, at ? k.b.getI64IntegerAttr(*at) : IntegerAttr());
}

// --- what rows see
// ----------------------------------------------------------------------------------------------------------------------------

Values AttendTile::rangeOfRows() {
  auto at = [&](Value r) {
    auto [low, high] = rangeOf(r);
    return Values{toIndex(low), toIndex(high)};
  };
  Value last = k.sub(rows, k.idx(1));
  if (!op.getQPos()) { // positions grow with rows
    Values first = at(k.idx(0)), final = at(last);
    return {first[0], final[1], final[0], first[1]};
  }
  Value far = k.idx(std::numeric_limits<int32_t>::max());
  return k.forLoop(k.idx(0), rows, k.idx(1), {far, k.idx(-1), k.idx(0), far}, [&](Value r, ValueRange carried) -> Values {
    Values range = at(r);
    return {k.min(carried[0], range[0]), k.max(carried[1], range[1]), k.max(carried[2], range[0]), k.min(carried[3], range[1])};
  });
}

AttendTile::Extent AttendTile::extentOf(unsigned segment) {
  Value count = keyCount(segment);
  Extent extent{count, k.idx(0), count, k.idx(0), count};
  if (op.getKPos().empty() && isBounded(op)) {
    Values seen = rangeOfRows();
    extent.from = k.mul(k.div(k.min(seen[0], count), k.idx(tileKeys)), k.idx(tileKeys));
    extent.to = k.min(count, k.add(seen[1], k.idx(1)));
    extent.allLow = seen[2], extent.allHigh = seen[3];
  }
  return extent;
}

Values AttendTile::rowRanges() {
  if (!isBounded(op))
    return {};
  auto rowI32 = reg(tile::LayoutKind::Row, 1, i32);
  return mapTiles(k, {}, {rowI32, rowI32}, [&](ValueRange at) -> Values {
    auto [low, high] = rangeOf(bounded(at[0]));
    return {low, high};
  });
}

Value AttendTile::isPartial(const Extent &extent, Value t0) {
  Value last = k.add(t0, k.idx(tileKeys - 1)), end = k.min(extent.allHigh, k.sub(extent.count, k.idx(1)));
  return arith::OrIOp::create(b, k.compare(arith::CmpIPredicate::slt, t0, extent.allLow), k.compare(arith::CmpIPredicate::sgt, last, end));
}

Value AttendTile::maskLogits(Value logits, ArrayRef<Value> ranges, Value t0, Value count, llvm::function_ref<Value(Value)> position) {
  Values tiles{logits};
  llvm::append_range(tiles, ranges);
  Value first = arith::IndexCastOp::create(b, i32, t0), end = arith::IndexCastOp::create(b, i32, count);
  return mapTiles(k, tiles, logitsType(), [&](ValueRange at) -> Values {
    Value place =
        position ? position(at.back()) : arith::AddIOp::create(b, first, arith::IndexCastOp::create(b, i32, at.back())).getResult();
    // The first position that a row sees is 0 at least, so that slots without a key (-1) are hidden.
    Value visible = position ? k.compare(arith::CmpIPredicate::sge, place, ranges.empty() ? k.constantInt(i32, 0) : at[1])
                             : k.compare(arith::CmpIPredicate::slt, place, end);
    auto needs = [&](arith::CmpIPredicate predicate, Value bound) {
      visible = arith::AndIOp::create(b, visible, k.compare(predicate, place, bound));
    };
    if (!ranges.empty()) {
      if (!position && int64_t(op.getWindowLeft()) >= 0)
        needs(arith::CmpIPredicate::sge, at[1]);
      needs(arith::CmpIPredicate::sle, at[2]);
    }
    return {arith::SelectOp::create(b, visible, at[0], k.constant(f32, -kInfinity))};
  })[0];
}

// --- numbers
// ----------------------------------------------------------------------------------------------------------------------------------

Value AttendTile::finite(Value maximum) {
  // A row that has seen nothing yet keeps -inf; subtracting 0 instead gives weights of zero, not NaN.
  Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, k.constant(f32, -kInfinity));
  return arith::SelectOp::create(b, nothing, k.constant(f32, 0), maximum);
}

Value AttendTile::weightOf(Value logit, Value reference) {
  Value factor = k.constant(f32, unit());
  // The difference of large numbers keeps its bits, and that of biases which are the least float is not infinite.
  if (element.isF32() || !op.getBias().empty())
    return tile::Exp2Op::create(b, f32, arith::MulFOp::create(b, arith::SubFOp::create(b, logit, reference), factor));
  // One multiply-add for each logit: the product with the reference is the row's.
  Value shift = arith::MulFOp::create(b, reference, k.constant(f32, -unit()));
  return tile::Exp2Op::create(b, f32, k.fma(logit, factor, shift));
}

Value AttendTile::inverse(Value sum) {
  Value seen = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, sum, k.constant(f32, 0));
  return arith::SelectOp::create(b, seen, arith::DivFOp::create(b, k.constant(f32, 1), sum), k.constant(f32, 0));
}

// --- the algorithm
// ----------------------------------------------------------------------------------------------------------------------------

AttendTile::State AttendTile::start() {
  Value zero = k.constant(f32, 0), never = k.constant(f32, -kInfinity);
  State state{splat(outType(), zero), splat(rowType(), never), splat(rowType(), zero)};
  if (!op.getSinkBias())
    return state;
  // One more logit without a value; of the lanes of a row, whose sums are added in the end, the first has it, in the first part of the
  // keys.
  Value first = k.compare(arith::CmpIPredicate::eq, k.rem(tile::ThreadIdOp::create(b, index), k.idx(4)), k.idx(0));
  if (split)
    first = arith::AndIOp::create(b, first, k.compare(arith::CmpIPredicate::eq, split, k.idx(0)));
  Values both = mapTiles(k, {}, {rowType(), rowType()}, [&](ValueRange at) -> Values {
    Value sink = cpu::convertCarried(k, pullScalar(op.getSinkBias(), {rowAt(bounded(at[0])).second}), f32);
    if (split)
      sink = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::eq, split, k.idx(0)), sink, never);
    Value some = arith::AndIOp::create(b, first, arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, sink, never));
    return {arith::MulFOp::create(b, sink, k.constant(f32, 1 / natural())), arith::SelectOp::create(b, some, k.constant(f32, 1), zero)};
  });
  return {state.out, both[0], both[1]};
}

Value AttendTile::transformLogits(unsigned segment, Value logits, Value t0, Value count, bool added) {
  return mapTiles(k, logits, logitsType(), [&](ValueRange at) -> Values {
    cpu::Emit e = emitter();
    Value x = raw(e, at[0]);
    if (added) {
      Value key = k.min(k.add(t0, at[2]), k.sub(count, k.idx(1)));
      x = arith::AddFOp::create(b, x, pullBias(segment, bounded(at[1]), key, 1));
    }
    return {x};
  })[0];
}

AttendTile::Step AttendTile::softmax(Value maxima, Value sums, Value logits) {
  Value highest = tile::ReduceOp::create(b, rowType(), tile::Combine::Max, logits, false);
  Values rowsNow = mapTiles(k, {maxima, highest}, {rowType(), rowType(), rowType()}, [&](ValueRange at) -> Values {
    Value maximum = arith::MaxNumFOp::create(b, at[0], at[1]), reference = finite(maximum);
    return {maximum, reference, weightOf(at[0], reference)};
  });
  Step next{rowsNow[0], {}, {}, rowsNow[2]};
  next.weights = mapTiles(k, {logits, rowsNow[1]}, logitsType(), [&](ValueRange at) -> Values { return {weightOf(at[0], at[1])}; })[0];
  Value added = tile::ReduceOp::create(b, rowType(), tile::Combine::Add, next.weights, true);
  next.sums = mapTiles(k, {sums, next.factor, added}, rowType(), [&](ValueRange at) -> Values { return {k.fma(at[0], at[1], at[2])}; })[0];
  return next;
}

Value AttendTile::rescale(Value out, Value factor) {
  return mapTiles(k, {out, factor}, outType(), [&](ValueRange at) -> Values { return {arith::MulFOp::create(b, at[0], at[1])}; })[0];
}

tile::SharedType AttendTile::paddedResults() {
  Type stored = cast<RankedTensorType>(op.getOutput().getType()).getElementType();
  return tile::SharedType::get(b.getContext(), tileRows, valueSize, stored, 0, stored.isF32() ? 32 : 16, 1);
}

void AttendTile::finish(State state, tile::SharedType type, int64_t at) {
  Value out = mapTiles(k, {state.out, state.sums}, outType(),
                       [&](ValueRange at) -> Values { return {arith::MulFOp::create(b, at[0], inverse(at[1]))}; })[0];
  Type stored = type.getElement();
  Value staged = allocate(k, type, at);
  tile::StoreSharedOp::create(b, out, staged);
  tile::BarrierOp::create(b);
  // What is stored as it is goes in runs of 16 bytes: heads are a multiple of that.
  std::optional<unsigned> plain = plainResult(k, op.getOutput());
  int64_t width = plain ? 16 / type.getElementBytes() : 1;
  auto visit = tile::VisitOp::create(b, staged, width);
  Type run = plain ? Type(VectorType::get({width}, stored)) : stored;
  buildRegion(k, visit.getBody(), {run, index, index}, [&](ValueRange at) -> Values {
    k.ifThen(k.compare(arith::CmpIPredicate::slt, at[1], rows), [&] {
      auto [query, head] = rowAt(at[1]);
      Values where = outputAt(head, query);
      where.push_back(at[2]);
      if (plain)
        return storeRun(k, *plain, where, at[0]);
      Value sum = stored.isF32() ? Value(at[0]) : arith::ExtFOp::create(b, f32, at[0]).getResult();
      emitElement(k, op.getOutput(), where, sum);
    });
    return {};
  });
  if (!op.getLse())
    return;
  Value lse = mapTiles(k, {state.maxima, state.sums}, rowType(), [&](ValueRange at) -> Values { return {logSum(at[0], at[1])}; })[0];
  auto each = tile::ForEachOp::create(b, lse);
  buildRegion(k, each.getBody(), {f32, index, index}, [&](ValueRange at) -> Values {
    k.ifThen(k.compare(arith::CmpIPredicate::slt, at[1], rows), [&] {
      auto [query, head] = rowAt(at[1]);
      emitElement(k, op.getLse(), {batch, head, query}, at[0]);
    });
    return {};
  });
}

} // namespace leat::cuda
