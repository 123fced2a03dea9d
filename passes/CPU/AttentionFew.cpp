// Attention of a few rows, as in decoding: bound by reading the cache. Every task has a range of keys, which it reads once for all rows;
// the ranges depend on the number of keys only, and their results are joined in order, so threads do not change a bit.
#include "passes/CPU/Attention.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {

namespace {
constexpr int64_t kBlock = 256;  ///< keys at a time: long enough for the processor's own prefetching, logits stay in the first cache
constexpr int64_t kBrought = 64; ///< the same of rows that are computed first: they stay in the first cache until they are used
constexpr int64_t kColumns = kCodedColumns; ///< the distance of rows of logits and weights, which both kinds of rows share
static_assert(kBlock == kCodedBlock);
constexpr int64_t kAheadKeys = 64; ///< between asking for a key and reading it
constexpr int64_t kMaxSplits = 16; ///< bounds the memory for results of ranges
} // namespace

bool AttendFew::possible(KVAttendOp op, KernelBuilder &k) {
  return llvm::all_of(op.getK(), [&](Value key) { return hasRowDots(k.target, cast<RankedTensorType>(key.getType()).getDimSize(3)); });
}

AttendFew::AttendFew(KVAttendOp op, KernelBuilder &k) : AttendEmitter(op, k) {
  queries = reserve(k.mul(depth, k.idx(kRows * 4)));
  logits = reserve(kRows * kColumns * 4);
  values = reserve(kBlock * kPanel * 4);
  out = reserve(k.mul(paddedValueDepth, k.idx(kRows * 4)));
  maxima = reserve(64);
  sums = reserve(kRows * 64);
  low = reserve(64);
  high = reserve(64);
  positions = reserve(kBlock * 4);
  rowPositions = reserve(isProgram(op) ? 64 : 0);
  auto room = [&](ValueRange tensors, Value width) {
    Value bytes = k.idx(0);
    for (Value tensor : tensors)
      if (auto rows = coded(tensor))
        bytes = k.max(bytes, k.idx(rows->code.factors() * kColumns * 4 + std::max(codedDotsRoom(rows->code), codedSumsRoom(rows->code))));
      else if (!rowsOf(tensor))
        bytes = k.max(bytes, k.mul(width, k.idx(kBrought * 4)));
    return reserve(bytes);
  };
  keyRoom = room(op.getK(), depth);
  valueRoom = room(op.getV(), valueDepth);
}

AttendEmitter::Bounds AttendFew::bounds() { return {at(low), at(high), at(positions), at(rowPositions), at(maxima)}; }

Value AttendFew::splits() {
  Value total = k.idx(0);
  for (Value key : op.getK())
    total = k.add(total, k.dim(key, 3 - kvHeads));
  return k.max(k.min(k.ceilDiv(total, k.idx(kBlock)), k.idx(kMaxSplits)), k.idx(1));
}

Value AttendFew::tasks() { return k.mul(pairs, splits()); }

/// Results of one range of keys, in memory that all tasks share: out[rows][value depth], maximum and sum of every row.
AttendFew::Part AttendFew::part(Value pair, Value split) {
  Value outFloats = k.mul(paddedValueDepth, k.idx(kRows)), floats = k.add(outFloats, k.idx(16));
  Value begin = k.elementPtr(k.shared(), f32, k.mul(k.add(k.mul(pair, k.idx(kMaxSplits)), split), floats));
  return {begin, k.elementPtr(begin, f32, outFloats), k.elementPtr(begin, f32, k.add(outFloats, k.idx(8)))};
}

Value AttendFew::shared() { return k.mul(k.mul(pairs, k.idx(kMaxSplits * 4)), k.add(k.mul(paddedValueDepth, k.idx(kRows)), k.idx(16))); }

void AttendFew::run(Value task) {
  Value pair = k.rem(task, pairs), split = k.div(task, pairs), count = splits();
  choosePair(pair);
  row0 = k.idx(0);
  rows = allRows;
  start();
  for (unsigned segment = 0; segment < op.getK().size(); ++segment) {
    Value key = op.getK()[segment], all = k.dim(key, 3 - kvHeads);
    Value share = k.mul(k.ceilDiv(k.ceilDiv(all, count), k.idx(kPanel)), k.idx(kPanel)), from = k.mul(split, share);
    Value to = k.min(keyCount(segment), k.add(from, share));
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      SmallVector<Value> lead = coordinates(qHeads, rowAt(r).second, rowAt(r).first);
      k.forLanes(k.idx(0), depth, lanes, [&](Value d, int64_t width) {
        Puller pull(k, width);
        SmallVector<Idx> where = pull.at(lead);
        where.push_back(pull.at(d, width > 1));
        Value x = convertCarried(k, pull.pullVector(op.getQ()[segment], where), f32);
        k.store(x, at(queries), f32, k.add(k.mul(r, depth), d));
      });
    });
    bool readInPlace = llvm::all_of(ValueRange{key, op.getV()[segment]}, [&](Value tensor) { return rowsOf(tensor) || coded(tensor); });
    forBlocks(segment, from, to, readInPlace ? kBlock : kBrought, bounds(),
              [&](Value t0, Value keys, Hidden hidden) { block(segment, t0, keys, hidden.byProgram); });
  }
  Part result = part(pair, split);
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    Emit e = emitter();
    Value row = e.fromIndex(r), width = k.i64(paddedValueDepth);
    e.setInsertionPoint(k.b.getInsertionBlock(), k.b.getInsertionPoint());
    VectorType vec = Emit::vec(lanes, f32);
    Value partial = e.load(vec, e.at(at(sums), f32, e.mul(row, e.c(16))));
    Value sum = vector::ReductionOp::create(e, vector::CombiningKind::ADD, partial, arith::FastMathFlags::reassoc);
    e.store(sum, e.at(result.sums, f32, row));
    e.store(e.load(f32, e.at(at(maxima), f32, row)), e.at(result.maxima, f32, row));
    Value from = e.at(at(out), f32, e.mul(row, width)), to = e.at(result.out, f32, e.mul(row, width));
    e.loop(e.c(0), width, e.c(lanes), [&](Value d) { e.store(e.load(vec, e.at(from, f32, d)), e.at(to, f32, d)); });
  });
}

void AttendFew::start() {
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    storeRange(r, at(low), at(high));
    if (isProgram(op)) {
      Value position = positionOf(r);
      k.store(emitter().convert(position, i32), at(rowPositions), i32, r);
    }
    Value outAt = at(out), maximaAt = at(maxima), sumsAt = at(sums), width = k.i64(paddedValueDepth);
    Emit e = emitter();
    VectorType vec = Emit::vec(lanes, f32);
    Value row = e.fromIndex(r);
    e.store(e.constant(f32, -std::numeric_limits<double>::infinity()), e.at(maximaAt, f32, row));
    e.store(e.zero(vec), e.at(sumsAt, f32, e.mul(row, e.c(16))));
    Value outRow = e.at(outAt, f32, e.mul(row, width));
    e.loop(e.c(0), width, e.c(lanes), [&](Value d) { e.store(e.zero(vec), e.at(outRow, f32, d)); });
  });
}

void AttendFew::block(unsigned segment, Value t0, Value keys, Value byProgram) {
  dots(segment, t0, keys);
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) { softmaxRow(segment, r, t0, keys, byProgram); });
  addValues(segment, t0, keys);
}

/// Factors of keys [t0, t0 + keys), from the first place in the room on.
Value AttendFew::stage(const CodedRows &coded, Value t0, Value keys, Value room) {
  auto stage = stageFactors(k.kernel->getParentOfType<ModuleOp>(), k.target, coded.code);
  func::CallOp::create(k.b, stage, ValueRange{room, addressOf(coded.factors, t0), k.i64(keys)});
  return k.bytePtr(room, k.idx(coded.code.factors() * kColumns * 4));
}

Value AttendFew::existing(unsigned segment, Value t) { return k.min(t, k.sub(k.dim(op.getK()[segment], 3 - kvHeads), k.idx(1))); }

Value AttendFew::aheadOf(unsigned segment, const InPlace &source, Value t) {
  auto rows = rowsOf(op.getK()[segment]);
  if (!rows || !rows->pages)
    return k.mul(source.stride, k.idx(kAheadKeys));
  auto offset = [&](Value key) { return rows->pages->offsetOf(k, batch, kvHead, k.add(rows->first, key)); };
  return k.sub(offset(existing(segment, k.add(t, k.idx(kAheadKeys)))), offset(t));
}

/// Logits of all rows: products of queries and keys.
void AttendFew::dots(unsigned segment, Value t0, Value keys) {
  auto module = k.kernel->getParentOfType<ModuleOp>();
  Value key = op.getK()[segment];
  auto codes = coded(key);
  forEvenRows(codes ? std::optional(codes->codes) : rowsOf(key), t0, keys, kAheadKeys, [&](Value first, Value count) {
    Value t = k.add(t0, first), out = k.elementPtr(at(logits), f32, first);
    if (codes) {
      Value room = stage(*codes, t, count, at(keyRoom));
      func::CallOp::create(k.b, codedDots(module, k.target, codes->code),
                           ValueRange{out, at(queries), addressOf(codes->codes, t), at(keyRoom), k.i64(count), k.i64(rows), room});
      return;
    }
    InPlace source = floatRowsOf(key, t, count, depth, at(keyRoom));
    func::CallOp::create(k.b, rowDots(module, k.target, source.type, cast<RankedTensorType>(key.getType()).getDimSize(3)),
                         ValueRange{out, k.i64(k.idx(kColumns)), at(queries), source.pointer, k.i64(source.stride), k.i64(count),
                                    k.i64(rows), k.i64(aheadOf(segment, source, t))});
  });
}

/// out += weights * values.
void AttendFew::addValues(unsigned segment, Value t0, Value keys) {
  Value value = op.getV()[segment];
  auto source = coded(value);
  forEvenRows(source ? std::optional(source->codes) : rowsOf(value), t0, keys, kBlock, [&](Value first, Value count) {
    Value t = k.add(t0, first), weights = k.elementPtr(at(logits), f32, first);
    if (!source)
      return addRows({weights, f32, k.idx(kColumns)}, k.idx(1), rows, floatRowsOf(value, t, count, valueDepth, at(valueRoom)), count,
                     at(out), at(values));
    Value room = stage(*source, t, count, at(valueRoom)), next = weights;
    auto key = coded(op.getK()[segment]);
    if (key)
      next = addressOf(key->codes, existing(segment, k.add(t, k.idx(kBlock))));
    func::CallOp::create(k.b, codedSums(k.kernel->getParentOfType<ModuleOp>(), k.target, source->code, key ? key->code.bytes() : 0),
                         ValueRange{at(out), k.i64(paddedValueDepth), weights, addressOf(source->codes, t), at(valueRoom), k.i64(count),
                                    k.i64(rows), room, next});
  });
}

/// Turns a row of products into weights relative to the row's running maximum, and rescales what was summed so far when the maximum grows.
void AttendFew::softmaxRow(unsigned segment, Value r, Value t0, Value keys, Value byProgram) {
  if (!op.getBias().empty())
    k.forLanes(k.idx(0), keys, lanes, [&](Value j, int64_t width) {
      Value bias = pullBias(segment, r, k.add(t0, j), width), offset = k.add(k.mul(r, k.idx(kColumns)), j);
      Value x = k.load(at(logits), f32, offset, width);
      Emit e = emitter();
      k.store(e.add(raw(e, x), bias), at(logits), f32, offset);
    });
  Value head = rowAt(r).second, query = byProgram ? toIndex(k.load(at(rowPositions), i32, r, 1)) : Value();
  Value logitsAt = at(logits), lowAt = at(low), highAt = at(high), positionsAt = at(positions), maximaAt = at(maxima), sumsAt = at(sums),
        outAt = at(out), width = k.i64(paddedValueDepth), count = k.i64(keys);
  Emit e = emitter();
  VectorType vec = Emit::vec(lanes, f32), ints = Emit::vec(lanes, i32);
  Value row = e.fromIndex(r), lo = e.splat(e.load(i32, e.at(lowAt, i32, row)), lanes),
        hi = e.splat(e.load(i32, e.at(highAt, i32, row)), lanes);
  Value logitRow = e.at(logitsAt, f32, e.mul(row, e.c(kColumns))), never = e.constant(vec, -std::numeric_limits<double>::infinity());
  Value unitVec = e.constant(vec, unit());
  auto hide = [&](bool asked) { // returns the largest of what is visible
    return e.loop(e.c(0), count, e.c(lanes), {never}, [&](Value j, ValueRange carried) {
      Value at = e.at(logitRow, f32, j), x = e.load(vec, at), p = e.load(ints, e.at(positionsAt, i32, j));
      if (op.getBias().empty())
        x = raw(e, x);
      Value visible = arith::AndIOp::create(e, e.le(lo, p), e.le(p, hi));
      if (asked) {
        Value key = arith::IndexCastOp::create(e, VectorType::get({lanes}, e.getIndexType()), p), also = isVisible(e, head, query, key);
        visible = arith::AndIOp::create(e, visible, isa<VectorType>(also.getType()) ? also : e.splat(also, lanes));
      }
      x = e.select(visible, x, never);
      e.store(x, at);
      return Values{e.max(carried[0], x)};
    });
  };
  Value maximum = (byProgram ? e.choose(byProgram, {vec}, [&] { return hide(true); }, [&] { return hide(false); }) : hide(false))[0];
  Value blockMax =
      vector::ReductionOp::create(e, vector::CombiningKind::MAXNUMF, maximum, arith::FastMathFlags::nnan | arith::FastMathFlags::reassoc);
  Value oldAt = e.at(maximaAt, f32, row), oldMax = e.load(f32, oldAt), newMax = e.max(oldMax, blockMax);
  Value sumAt = e.at(sumsAt, f32, e.mul(row, e.c(16))), sum = e.load(vec, sumAt);
  // A row that has seen nothing yet keeps -inf; subtracting 0 instead gives weights of zero, not NaN.
  Value nothing = arith::CmpFOp::create(e, arith::CmpFPredicate::OEQ, newMax, e.constant(f32, -std::numeric_limits<double>::infinity()));
  Value reference = e.splat(e.select(nothing, e.constant(f32, 0), newMax), lanes);
  Value grows = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, newMax, oldMax);
  sum = e.choose(
      grows, {vec},
      [&] {
        Value factor = exp2Small(e, k.target, e.mul(e.sub(e.splat(oldMax, lanes), reference), unitVec));
        Value outRow = e.at(outAt, f32, e.mul(row, width));
        e.loop(e.c(0), width, e.c(lanes), [&](Value d) {
          Value p = e.at(outRow, f32, d);
          e.store(e.mul(e.load(vec, p), factor), p);
        });
        e.store(newMax, oldAt);
        return Values{e.mul(sum, factor)};
      },
      [&] { return Values{sum}; })[0];
  sum = e.loop(e.c(0), count, e.c(lanes), {sum}, [&](Value j, ValueRange carried) {
    Value at = e.at(logitRow, f32, j), w = exp2Small(e, k.target, e.mul(e.sub(e.load(vec, at), reference), unitVec));
    e.store(w, at);
    return Values{e.add(carried[0], w)};
  })[0];
  e.store(sum, sumAt);
}

void AttendFew::finish(Value task) {
  choosePair(task);
  row0 = k.idx(0);
  rows = allRows;
  int64_t outHeads = op.getOLayout() == "bhsd" ? 1 : 2;
  Value count = splits(), none = k.constant(f32, -std::numeric_limits<double>::infinity());
  auto cell = [&](Value base, Value r) { return k.load(base, f32, r, 1); };
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    auto [query, head] = rowAt(r);
    Value maximum = none;
    if (op.getSinkBias()) {
      Value sink = convertCarried(k, pullScalar(op.getSinkBias(), {head}), f32);
      Emit e = emitter();
      maximum = e.mul(sink, e.constant(f32, 1 / natural()));
    }
    Value sinkLogit = maximum;
    maximum = k.forLoop(k.idx(0), count, k.idx(1), {maximum}, [&](Value split, ValueRange carried) -> SmallVector<Value> {
      Value other = cell(part(task, split).maxima, r);
      return {emitter().max(carried[0], other)};
    })[0];
    VectorType vec = Emit::vec(lanes, f32);
    Value outRow = k.elementPtr(at(out), f32, k.mul(r, paddedValueDepth)), width = k.i64(paddedValueDepth);
    Value reference;
    // 2^((x - maximum) * unit) in all lanes.
    auto factorOf = [&](Emit &e, Value x) {
      return exp2Small(e, k.target, e.mul(e.sub(e.splat(x, lanes), reference), e.constant(vec, unit())));
    };
    Value sum;
    {
      Emit e = emitter();
      Value nothing = arith::CmpFOp::create(e, arith::CmpFPredicate::OEQ, maximum, none);
      reference = e.splat(e.select(nothing, e.constant(f32, 0), maximum), lanes);
      sum = op.getSinkBias() ? factorOf(e, sinkLogit) : e.zero(vec);
      e.loop(e.c(0), width, e.c(lanes), [&](Value d) { e.store(e.zero(vec), e.at(outRow, f32, d)); });
    }
    sum = k.forLoop(k.idx(0), count, k.idx(1), {sum}, [&](Value split, ValueRange carried) -> SmallVector<Value> {
      Part p = part(task, split);
      Value partSum = cell(p.sums, r), partMax = cell(p.maxima, r);
      Value partRow = k.elementPtr(p.out, f32, k.mul(r, paddedValueDepth));
      Emit e = emitter();
      Value factor = factorOf(e, partMax);
      e.loop(e.c(0), width, e.c(lanes), [&](Value d) {
        Value to = e.at(outRow, f32, d);
        e.store(e.fma(k.target, e.load(vec, e.at(partRow, f32, d)), factor, e.load(vec, to)), to);
      });
      return {e.fma(k.target, e.splat(partSum, lanes), factor, carried[0])};
    })[0];
    Value total;
    {
      Emit e = emitter();
      total = vector::ExtractOp::create(e, sum, ArrayRef<int64_t>{0});
      Value seen = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, total, e.constant(f32, 0));
      Value inverse = e.splat(e.select(seen, e.div(e.constant(f32, 1), total), e.constant(f32, 0)), lanes);
      e.loop(e.c(0), width, e.c(lanes), [&](Value d) {
        Value p = e.at(outRow, f32, d);
        e.store(e.mul(e.load(vec, p), inverse), p);
      });
    }
    emitRow(k, op.getOutput(), coordinates(outHeads, head, query), k.idx(0), valueDepth, at(out), k.mul(r, paddedValueDepth), f32);
    emitLse(r, maximum, total);
  });
}

} // namespace leat::cpu
