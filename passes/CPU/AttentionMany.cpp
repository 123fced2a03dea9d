// Attention of many rows, as in prefill. 64 rows are the columns of a panel: logits^T = keys * queries^T and out += weights * values are
// both register-tiled products that read the cache as it lies in memory, and nothing in the softmax crosses lanes.
#include "passes/CPU/Attention.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {

AttendMany::AttendMany(KVAttendOp op, KernelBuilder &k) : AttendEmitter(op, k), blockKeys(scheduled(k.kernel, "keys", 64)) {
  Value panelRow = k.idx(kPanel * 4);
  rowRoom = reserve(k.mul(depth, panelRow));
  queries = reserve(k.mul(depth, panelRow));
  keyRoom = reserve(k.mul(depth, k.idx(blockKeys * 4)));
  valueRoom = reserve(k.mul(valueDepth, k.idx(blockKeys * 4)));
  logits = reserve(blockKeys * kPanel * 4);
  biasRoom = reserve(op.getBias().empty() ? 0 : 2 * blockKeys * kPanel * 4);
  valuePanel = reserve(blockKeys * kPanel * 4);
  out = reserve(k.mul(paddedValueDepth, panelRow));
  maxima = reserve(kPanel * 4);
  sums = reserve(kPanel * 4);
  factors = reserve(kPanel * 4);
  low = reserve(kPanel * 4);
  high = reserve(kPanel * 4);
  positions = reserve(llvm::alignTo(blockKeys, lanes) * 4);
  rowPositions = reserve(isProgram(op) ? kPanel * 4 : 0);
  rowHeadsRoom = reserve(isProgram(op) ? kPanel * 4 : 0);
}

AttendEmitter::Bounds AttendMany::bounds() { return {at(low), at(high), at(positions), at(rowPositions), at(maxima)}; }

Value AttendMany::tasks() { return k.mul(k.ceilDiv(allRows, k.idx(kPanel)), pairs); }

void AttendMany::chooseTile(Value task) {
  // All tiles that read the same keys one after the other. Later ones see more keys under a causal mask: they go first.
  Value tiles = k.ceilDiv(allRows, k.idx(kPanel)), turn = k.rem(task, tiles);
  choosePair(k.div(task, tiles));
  row0 = k.mul(k.sub(k.sub(tiles, k.idx(1)), turn), k.idx(kPanel));
  rows = k.min(k.sub(allRows, row0), k.idx(kPanel));
  columns = k.mul(k.ceilDiv(rows, k.idx(lanes)), k.idx(lanes));
  firstTile = k.compare(arith::CmpIPredicate::eq, turn, k.idx(0));
}

void AttendMany::run(Value task) {
  // What the next task begins with, and where this one will end.
  chooseTile(k.min(k.add(task, k.idx(1)), k.sub(tasks(), k.idx(1))));
  fetchQueries();
  fetchKeys(0, k.idx(0));
  chooseTile(task);
  fetchOutput();
  start();
  for (unsigned segment = 0; segment < op.getK().size(); ++segment) {
    packQueries(segment);
    forBlocks(segment, k.idx(0), keyCount(segment), blockKeys, bounds(),
              [&](Value t0, Value keys, Hidden hidden) { block(segment, t0, keys, hidden); });
  }
  finish();
}

void AttendMany::start() {
  Value lowAt = at(low), highAt = at(high), maximaAt = at(maxima), sumsAt = at(sums), outAt = at(out),
        outSize = k.i64(k.mul(paddedValueDepth, k.idx(kPanel)));
  Emit e = emitter();
  VectorType vec = Emit::vec(lanes, f32), ints = Emit::vec(lanes, i32);
  for (int64_t j = 0; j < kPanel; j += lanes) {
    e.store(e.zero(ints), e.at(lowAt, i32, j));
    e.store(e.constant(ints, std::numeric_limits<int32_t>::max()), e.at(highAt, i32, j));
    e.store(e.constant(vec, -std::numeric_limits<double>::infinity()), e.at(maximaAt, f32, j));
    e.store(e.zero(vec), e.at(sumsAt, f32, j));
  }
  e.loop(e.c(0), outSize, e.c(lanes), [&](Value d) { e.store(e.zero(vec), e.at(outAt, f32, d)); });
  Value rowPositionsAt = at(rowPositions), rowHeadsAt = at(rowHeadsRoom);
  if (!isBounded(op) && !isProgram(op) && !op.getSinkBias())
    return;
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    storeRange(r, lowAt, highAt);
    if (isProgram(op)) {
      Emit inner = emitter();
      k.store(inner.convert(positionOf(r), i32), rowPositionsAt, i32, r);
      k.store(arith::IndexCastOp::create(k.b, i32, rowAt(r).second), rowHeadsAt, i32, r);
    }
    if (!op.getSinkBias())
      return;
    Value sink = convertCarried(k, pullScalar(op.getSinkBias(), {rowAt(r).second}), f32);
    Emit inner = emitter();
    k.store(inner.mul(sink, inner.constant(f32, 1 / natural())), maximaAt, f32, r);
    // A sink of -inf is none.
    Value some =
        arith::CmpFOp::create(inner, arith::CmpFPredicate::OGT, sink, inner.constant(f32, -std::numeric_limits<double>::infinity()));
    k.store(inner.select(some, inner.constant(f32, 1), inner.constant(f32, 0)), sumsAt, f32, r);
  });
}

/// Rows of heads in turns are no order that the processor would fetch ahead in.
void AttendMany::fetchQueries() {
  Value q = op.getQ()[0];
  auto s = traceStrided(k, q);
  std::optional<int64_t> columnCount = getConstantIntValue(depth);
  if (!s || s->knownStrides[3] != 1 || !columnCount)
    return;
  Type type = productType(k, s->element);
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    auto [query, head] = rowAt(r);
    Value offset = s->offset;
    for (auto [at, stride] : llvm::zip(coordinates(qHeads, head, query), s->strides))
      offset = k.add(offset, k.mul(at, stride));
    emitter().prefetch(k.elementPtr(k.buffer(s->argument), type, offset), *columnCount * KernelBuilder::byteWidth(type));
  });
}

void AttendMany::fetchOutput() {
  if (std::optional<int64_t> width = getConstantIntValue(valueDepth))
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
      auto [query, head] = rowAt(r);
      fetchResults(k, op.getOutput(), coordinates(op.getOLayout() == "bhsd" ? 1 : 2, head, query), k.idx(0), *width);
    });
}

/// Nor are keys and values, where their heads take turns: the first tile that reads a block of them fetches the next one.
void AttendMany::fetchKeys(unsigned segment, Value t0) {
  Value keys = k.min(k.sub(keyCount(segment), t0), k.idx(blockKeys)); // none if negative
  for (Value tensor : {op.getK()[segment], op.getV()[segment]}) {
    if (auto rows = rowsOf(tensor); rows && rows->pages) // heads of a page follow each other
      continue;
    int64_t width = cast<RankedTensorType>(tensor.getType()).getDimSize(3);
    std::optional<InPlace> source = inPlace(tensor, t0);
    if (!source || ShapedType::isDynamic(width) || getConstantIntValue(source->stride) == width)
      continue;
    k.ifThen(firstTile, [&] {
      k.forLoop(k.idx(0), keys, k.idx(1), [&](Value j) {
        emitter().prefetch(k.elementPtr(source->pointer, source->type, k.mul(j, source->stride)),
                           width * KernelBuilder::byteWidth(source->type));
      });
    });
  }
}

void AttendMany::packQueries(unsigned segment) {
  auto module = k.kernel->getParentOfType<ModuleOp>();
  Value q = op.getQ()[segment], room = at(rowRoom);
  auto s = traceStrided(k, q);
  if (s && s->knownStrides[3] == 1 && s->element.isF32() && getConstantIntValue(group) == 1) { // rows at even distances: in place
    Value offset = s->offset;
    for (auto [at, stride] : llvm::zip(coordinates(qHeads, firstHead, row0), s->strides))
      offset = k.add(offset, k.mul(at, stride));
    Value rowsAt = k.elementPtr(k.buffer(s->argument), f32, offset);
    func::CallOp::create(k.b, packTransposed(module, k.target, f32, f32),
                         ValueRange{at(queries), rowsAt, k.i64(s->strides[3 - qHeads]), k.i64(rows), k.i64(depth)});
    return;
  }
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    auto [query, head] = rowAt(r);
    SmallVector<Value> lead = coordinates(qHeads, head, query);
    k.forLanes(k.idx(0), depth, lanes, [&](Value d, int64_t width) {
      Puller pull(k, width);
      SmallVector<Idx> where = pull.at(lead);
      where.push_back(pull.at(d, width > 1));
      k.store(convertCarried(k, pull.pullVector(q, where), f32), room, f32, k.add(k.mul(r, depth), d));
    });
  });
  auto pack = packTransposed(module, k.target, f32, f32);
  func::CallOp::create(k.b, pack, ValueRange{at(queries), room, k.i64(depth), k.i64(rows), k.i64(depth)});
}

AttendEmitter::InPlace AttendMany::wideRowsOf(Value tensor, Value t0, Value keys, Value width, Value room) {
  InPlace source = floatRowsOf(tensor, t0, keys, width, room);
  if (source.type.isF32())
    return source;
  auto widen = widenRows(k.kernel->getParentOfType<ModuleOp>(), k.target, source.type);
  func::CallOp::create(k.b, widen, ValueRange{room, k.i64(width), source.pointer, k.i64(source.stride), k.i64(width), k.i64(keys)});
  return {room, f32, width};
}

void AttendMany::hideByProgram(Value keys) {
  Value x = at(logits), never = k.constant(Emit::vec(lanes, f32), -std::numeric_limits<double>::infinity());
  auto indices = [&](Value room, Value at) {
    return arith::IndexCastOp::create(k.b, VectorType::get({lanes}, k.b.getIndexType()), k.load(room, i32, at, lanes));
  };
  k.forLoop(k.idx(0), columns, k.idx(lanes), [&](Value c) {
    Value query = indices(at(rowPositions), c), head = indices(at(rowHeadsRoom), c);
    k.forLoop(k.idx(0), keys, k.idx(1), [&](Value j) {
      Value offset = k.add(k.mul(j, k.idx(kPanel)), c), visible = isVisible(k.b, head, query, toIndex(k.load(at(positions), i32, j, 1)));
      k.store(arith::SelectOp::create(k.b, k.splat(visible, lanes), k.load(x, f32, offset, lanes), never), x, f32, offset);
    });
  });
}

void AttendMany::block(unsigned segment, Value t0, Value keys, Hidden hidden) {
  auto module = k.kernel->getParentOfType<ModuleOp>();
  Value no = arith::ConstantIntOp::create(k.b, 0, 1), x = at(logits), width = k.i64(columns);
  fetchKeys(segment, k.add(t0, k.idx(blockKeys)));
  forEvenRows(rowsOf(op.getK()[segment]), t0, keys, blockKeys, [&](Value first, Value count) {
    InPlace key = wideRowsOf(op.getK()[segment], k.add(t0, first), count, depth, at(keyRoom));
    callProduct(k, {f32, f32, f32}, key.pointer, key.stride, k.idx(1), at(queries), k.idx(kPanel), depth,
                k.elementPtr(x, f32, k.mul(first, k.idx(kPanel))), no, count, {}, columns);
  });
  // Scale and a bias that all rows share are added by the softmax, where no key is hidden from some rows: what its bias is must not matter.
  bool biased = transforms() && !op.getBias().empty() && isBiasPerKey(segment) && softcap == 0 && scale > 0 && !isBounded(op) &&
                !isProgram(op) && op.getKPos().empty();
  if (transforms() && !biased)
    transformLogits(segment, t0, keys);
  k.ifThen(hidden.byRange, [&] {
    func::CallOp::create(k.b, maskColumns(module, k.target), ValueRange{x, at(low), at(high), at(positions), k.i64(keys), width});
  });
  if (hidden.byProgram)
    k.ifThen(hidden.byProgram, [&] { hideByProgram(keys); });
  // The softmax takes four keys at a time: those that do not exist weigh nothing.
  Value wholeKeys = k.mul(k.ceilDiv(keys, k.idx(4)), k.idx(4));
  k.forLoop(keys, wholeKeys, k.idx(1), [&](Value j) {
    k.forLoop(k.idx(0), columns, k.idx(lanes), [&](Value c) {
      k.store(k.constant(Emit::vec(lanes, f32), -std::numeric_limits<double>::infinity()), x, f32, k.add(k.mul(j, k.idx(kPanel)), c));
    });
  });
  SmallVector<Value> args{x, at(maxima), at(sums), at(out), k.i64(wholeKeys), k.i64(paddedValueDepth), width, k.constant(f32, unit())};
  if (biased) {
    pullKeyBias(segment, t0, keys, wholeKeys);
    args.append({at(biasRoom), k.constant(f32, scale)});
  }
  func::CallOp::create(k.b, softmaxColumns(module, k.target, biased), args);
  forEvenRows(rowsOf(op.getV()[segment]), t0, keys, blockKeys, [&](Value first, Value count) {
    InPlace value = wideRowsOf(op.getV()[segment], k.add(t0, first), count, valueDepth, at(valueRoom));
    auto add = [&](Value row, Value rowCount, Value keyCount) {
      InPlace weights{k.elementPtr(x, f32, k.add(k.mul(first, k.idx(kPanel)), row)), f32, k.idx(1)};
      addRows(weights, k.idx(kPanel), rowCount, value, keyCount, k.elementPtr(at(out), f32, k.mul(row, paddedValueDepth)), at(valuePanel));
      return SmallVector<Value>();
    };
    auto all = [&] { return add(k.idx(0), rows, count); };
    if (!isBounded(op) || !op.getKPos().empty() || !inWholeVectors()) {
      all();
      return;
    }
    // Where keys are counted, a tile of rows needs none behind the last one that it sees.
    auto tiles = [&]() -> SmallVector<Value> {
      k.forLoop(k.idx(0), rows, k.idx(kTileRows), [&](Value row) {
        Value rowCount = k.min(k.sub(rows, row), k.idx(kTileRows)), last = k.idx(-1);
        for (int64_t i = 0; i < kTileRows; ++i)
          last = k.max(last, toIndex(k.load(at(high), i32, k.min(k.add(row, k.idx(i)), k.sub(rows, k.idx(1))), 1)));
        add(row, rowCount, k.max(k.min(k.sub(last, k.sub(k.add(t0, first), k.idx(1))), count), k.idx(0)));
      });
      return {};
    };
    k.ifElse(hidden.byRange, tiles, all);
  });
}

bool AttendMany::isBiasPerKey(unsigned segment) {
  auto shape = cast<RankedTensorType>(op.getBias()[segment].getType()).getShape();
  return llvm::all_of(shape.take_back(3).drop_back(), [](int64_t d) { return d == 1; });
}

void AttendMany::pullKeyBias(unsigned segment, Value t0, Value keys, Value wholeKeys) {
  Value room = at(biasRoom);
  k.forLanes(k.idx(0), keys, lanes,
             [&](Value j, int64_t width) { k.store(pullBias(segment, k.idx(0), k.add(t0, j), width), room, f32, j); });
  k.forLoop(keys, wholeKeys, k.idx(1), [&](Value j) { k.store(k.constant(f32, 0), room, f32, j); });
}

/// Products to logits: scale, softcap, bias.
void AttendMany::transformLogits(unsigned segment, Value t0, Value keys) {
  Value x = at(logits);
  Value rowBias = at(biasRoom), keyBias; // [row][key] and [key][row]
  bool perKey = false;                   // the same for all rows
  if (!op.getBias().empty()) {
    perKey = isBiasPerKey(segment);
    if (perKey) {
      pullKeyBias(segment, t0, keys, keys);
    } else {
      k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
        k.forLanes(k.idx(0), keys, lanes, [&](Value j, int64_t width) {
          k.store(pullBias(segment, r, k.add(t0, j), width), rowBias, f32, k.add(k.mul(r, k.idx(blockKeys)), j));
        });
      });
      keyBias = k.bytePtr(rowBias, k.idx(blockKeys * kPanel * 4));
      auto pack = packTransposed(k.kernel->getParentOfType<ModuleOp>(), k.target, f32, f32);
      func::CallOp::create(k.b, pack, ValueRange{keyBias, rowBias, k.i64(k.idx(blockKeys)), k.i64(rows), k.i64(keys)});
    }
  }
  k.forLoop(k.idx(0), keys, k.idx(1), [&](Value j) {
    Value splat;
    if (perKey)
      splat = k.splat(k.load(rowBias, f32, j, 1), lanes);
    k.forLoop(k.idx(0), columns, k.idx(lanes), [&](Value c) {
      Value offset = k.add(k.mul(j, k.idx(kPanel)), c), v = k.load(x, f32, offset, lanes);
      Value bias = keyBias ? k.load(keyBias, f32, offset, lanes) : splat;
      Emit e = emitter();
      v = raw(e, v);
      k.store(bias ? e.add(v, bias) : v, x, f32, offset);
    });
  });
}

void AttendMany::finish() {
  int64_t outHeads = op.getOLayout() == "bhsd" ? 1 : 2;
  Value outAt = at(out), sumsAt = at(sums), maximaAt = at(maxima), factorsAt = at(factors), width = k.i64(columns);
  Emit e = emitter();
  VectorType vec = Emit::vec(lanes, f32);
  e.loop(e.c(0), width, e.c(lanes), [&](Value c) {
    Value sum = e.load(vec, e.at(sumsAt, f32, c));
    Value seen = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, sum, e.zero(vec));
    e.store(e.select(seen, e.div(e.constant(vec, 1), sum), e.zero(vec)), e.at(factorsAt, f32, c));
  });
  k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) {
    auto [query, head] = rowAt(r);
    SmallVector<Value> where = coordinates(outHeads, head, query);
    Value factor = k.load(factorsAt, f32, r, 1), base = k.mul(r, paddedValueDepth);
    k.forLanes(k.idx(0), valueDepth, lanes, [&](Value d, int64_t count) {
      Value values = k.load(outAt, f32, k.add(base, d), count);
      emitElements(k, op.getOutput(), where, d, count, arith::MulFOp::create(k.b, values, k.splat(factor, count)));
    });
  });
  if (op.getLse())
    k.forLoop(k.idx(0), rows, k.idx(1), [&](Value r) { emitLse(r, k.load(maximaAt, f32, r, 1), k.load(sumsAt, f32, r, 1)); });
}

} // namespace leat::cpu
