// leat.kv_attend: one pass over keys and values with an online softmax. Many rows (prefill) and few (decode) want different loops; the
// number of rows, known at the launch, chooses.
#include "passes/CPU/Attention.h"

#include "passes/CPU/SmallFloats.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <functional>
#include <limits>

using namespace mlir;

namespace leat::cpu {

AttendEmitter::AttendEmitter(KVAttendOp op, KernelBuilder &k) : op(op), k(k) {
  qHeads = op.getQLayout() == "bhsd" ? 1 : 2;
  kvHeads = op.getKvLayout() == "bhsd" ? 1 : 2;
  scale = op.getScale().convertToDouble();
  softcap = op.getSoftcap().convertToDouble();
  f32 = k.b.getF32Type();
  i32 = k.b.getI32Type();
  lanes = k.target.lanes();
  Value q = op.getQ()[0];
  heads = k.dim(q, qHeads);
  queryCount = k.dim(q, 3 - qHeads);
  kvHeadCount = k.dim(op.getK()[0], kvHeads);
  group = k.div(heads, k.max(kvHeadCount, k.idx(1)));
  depth = k.dim(q, 3);
  valueDepth = k.dim(op.getV()[0], 3);
  paddedValueDepth = k.mul(k.ceilDiv(valueDepth, k.idx(kPanel)), k.idx(kPanel));
  allRows = k.mul(queryCount, group);
  pairs = k.mul(k.dim(q, 0), kvHeadCount);
  scratchEnd = k.idx(0);
}

bool AttendEmitter::isBounded(KVAttendOp op) {
  return op.getCausal() || int64_t(op.getWindowLeft()) >= 0 || int64_t(op.getWindowRight()) >= 0;
}

Value AttendEmitter::reserve(Value bytes) {
  Value begin = scratchEnd;
  scratchEnd = k.add(scratchEnd, bytes);
  return begin;
}

void AttendEmitter::choosePair(Value pair) {
  batch = k.div(pair, kvHeadCount);
  kvHead = k.rem(pair, kvHeadCount);
  firstHead = k.mul(kvHead, group);
  rowHeads = group;
}

void AttendEmitter::chooseHead(Value head) {
  batch = k.div(head, heads);
  firstHead = k.rem(head, heads);
  kvHead = k.div(firstHead, group);
  rowHeads = k.idx(1);
}

std::pair<Value, Value> AttendEmitter::rowAt(Value r) {
  Value row = k.add(row0, r);
  return {k.div(row, rowHeads), k.add(firstHead, k.rem(row, rowHeads))};
}

SmallVector<Value> AttendEmitter::coordinates(int64_t headDim, Value head, Value position) {
  SmallVector<Value> c{batch, head, position};
  if (headDim == 2)
    std::swap(c[1], c[2]);
  return c;
}

Value AttendEmitter::pullScalar(Value tensor, ValueRange at) {
  Puller pull(k, 1);
  return pull.pull(tensor, pull.at(at));
}

Value AttendEmitter::toIndex(Value integer) {
  return integer.getType().isIndex() ? integer : arith::IndexCastOp::create(k.b, k.b.getIndexType(), integer).getResult();
}

Value AttendEmitter::keyCount(unsigned segment) {
  Value count = k.dim(op.getK()[segment], 3 - kvHeads);
  return op.getKvLen() ? k.max(k.min(count, toIndex(pullScalar(op.getKvLen(), {batch}))), k.idx(0)) : count;
}

Value AttendEmitter::positionOf(Value r) {
  Value query = rowAt(r).first;
  if (Value given = op.getQPos()) {
    auto type = cast<RankedTensorType>(given.getType());
    Value b = type.getRank() == 2 && type.getDimSize(0) == 1 ? k.idx(0) : batch;
    return k.i64(toIndex(pullScalar(given, type.getRank() == 2 ? ValueRange{b, query} : ValueRange{query})));
  }
  Value reach = op.getKvLen() ? toIndex(pullScalar(op.getKvLen(), {batch})) : k.dim(op.getK()[0], 3 - kvHeads);
  return k.i64(k.add(query, k.sub(reach, queryCount)));
}

std::pair<Value, Value> AttendEmitter::rangeOf(Value r) {
  Value position = positionOf(r);
  Emit e = emitter();
  Value last = e.c(std::numeric_limits<int32_t>::max()), lo = e.c(0), hi = last;
  if (op.getCausal())
    hi = e.min(hi, position);
  if (int64_t right = op.getWindowRight(); right >= 0)
    hi = e.min(hi, e.add(position, e.c(right)));
  if (int64_t left = op.getWindowLeft(); left >= 0)
    lo = e.max(lo, e.sub(position, e.c(left)));
  return {e.convert(e.min(lo, last), i32), e.convert(e.max(hi, e.c(-1)), i32)};
}

void AttendEmitter::storeRange(Value r, Value low, Value high) {
  auto [first, final] = rangeOf(r);
  k.store(first, low, i32, r);
  k.store(final, high, i32, r);
}

MaskProgram AttendEmitter::maskProgram(OpBuilder &b) {
  return MaskProgram(op.getVisible(), b, k.b.getLoc(), k.b.getIndexType(), [this](Value v) { return k.scalar(v); });
}

Value AttendEmitter::isVisible(OpBuilder &b, Value head, Value query, Value key) {
  return maskProgram(b).evaluate({batch, head, query, key});
}

MaskProgram::Interval AttendEmitter::queryInterval(Value rowPositions) {
  Value first = toIndex(k.load(rowPositions, i32, k.idx(0), 1));
  auto range = k.forLoop(k.idx(1), rows, k.idx(1), {first, first}, [&](Value r, ValueRange carried) -> SmallVector<Value> {
    Value position = toIndex(k.load(rowPositions, i32, r, 1));
    return {k.min(carried[0], position), k.max(carried[1], position)};
  });
  return {range[0], range[1]};
}

void AttendEmitter::countPositions(Value t0, Value keys, int64_t block, Value positions) {
  SmallVector<int32_t> steps;
  for (int64_t i = 0; i < lanes; ++i)
    steps.push_back(static_cast<int32_t>(i));
  VectorType ints = Emit::vec(lanes, i32);
  Value lane = arith::ConstantOp::create(k.b, DenseElementsAttr::get(ints, ArrayRef<int32_t>(steps)));
  auto everywhere = [&](Value index) { return k.splat(arith::IndexCastOp::create(k.b, i32, index), lanes); };
  Value end = everywhere(k.add(t0, keys));
  k.forLoop(k.idx(0), k.idx(block), k.idx(lanes), [&](Value j) {
    Value position = arith::AddIOp::create(k.b, everywhere(k.add(t0, j)), lane);
    Value exists = k.compare(arith::CmpIPredicate::slt, position, end);
    k.store(arith::SelectOp::create(k.b, exists, position, k.constantInt(ints, -1)), positions, i32, j);
  });
}

Value AttendEmitter::biasShows(unsigned segment, Value t0, Value keys, Value maxima) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  auto shape = cast<RankedTensorType>(op.getBias()[segment].getType()).getShape();
  bool perRow = shape.size() >= 2 && shape[shape.size() - 2] != 1, perHead = shape.size() >= 3 && shape[shape.size() - 3] != 1;
  // Heads that share the bias have it in the same place: one row for each query. NaN is seen.
  Value step = perHead ? k.idx(1) : rowHeads, no = arith::ConstantIntOp::create(k.b, 0, 1);
  auto above = [&](double least, Value bias) -> Value {
    Value found = arith::CmpFOp::create(k.b, arith::CmpFPredicate::UGT, bias, k.constant(bias.getType(), least));
    return isa<VectorType>(found.getType()) ? vector::ReductionOp::create(k.b, vector::CombiningKind::OR, found).getResult() : found;
  };
  auto found = k.forLoop(k.idx(0), perRow || perHead ? rows : k.idx(1), step, {no, no}, [&](Value r, ValueRange before) {
    SmallVector<Value> state(before);
    Value whole = k.sub(keys, k.rem(keys, k.idx(lanes)));
    auto scan = [&](Value from, Value to, int64_t width) {
      state = k.forLoop(from, to, k.idx(width), state, [&](Value j, ValueRange carried) -> SmallVector<Value> {
        Value bias = pullBias(segment, r, k.add(t0, j), width);
        return {arith::OrIOp::create(k.b, carried[0], above(kFaint, bias)), arith::OrIOp::create(k.b, carried[1], above(-kInfinity, bias))};
      });
    };
    scan(k.idx(0), whole, lanes);
    scan(whole, keys, 1);
    return state;
  });
  auto isHidden = [&](Value r) -> Value { // the row has seen nothing that counts
    return arith::CmpFOp::create(k.b, arith::CmpFPredicate::ULE, k.load(maxima, f32, r, 1), k.constant(f32, kEvident));
  };
  auto faintly = [&] {
    return k.forLoop(k.idx(0), rows, k.idx(1), {no}, [&](Value r, ValueRange carried) -> SmallVector<Value> {
      return {arith::OrIOp::create(k.b, carried[0], isHidden(r))};
    });
  };
  return k.ifElse(
      found[0], [&]() -> SmallVector<Value> { return {found[0]}; },
      [&]() -> SmallVector<Value> { return k.ifElse(found[1], faintly, [&]() -> SmallVector<Value> { return {no}; }); })[0];
}

void AttendEmitter::forBlocks(unsigned segment, Value from, Value to, int64_t block, Bounds bounds,
                              llvm::function_ref<void(Value, Value, Hidden)> body) {
  Value far = k.idx(std::numeric_limits<int32_t>::max()), none = k.idx(-1);
  bool given = !op.getKPos().empty();
  auto isTrue = [&](arith::CmpIPredicate p, Value x, Value y) -> Value { return arith::CmpIOp::create(k.b, p, x, y); };
  // What the rows see: everything in [allLow, allHigh], nothing outside of [anyLow, anyHigh].
  Value anyLow = k.idx(0), anyHigh = far, allLow = k.idx(0), allHigh = far;
  if (isBounded(op)) {
    auto range = k.forLoop(k.idx(0), rows, k.idx(1), {far, none, k.idx(0), far}, [&](Value r, ValueRange carried) -> SmallVector<Value> {
      Value lo = toIndex(k.load(bounds.low, i32, r, 1)), hi = toIndex(k.load(bounds.high, i32, r, 1));
      return {k.min(carried[0], lo), k.max(carried[1], hi), k.max(carried[2], lo), k.min(carried[3], hi)};
    });
    anyLow = range[0], anyHigh = range[1], allLow = range[2], allHigh = range[3];
    if (!given) {
      to = k.min(to, k.add(anyHigh, k.idx(1)));
      from = k.max(from, k.mul(k.div(anyLow, k.idx(block)), k.idx(block)));
    }
  }
  MaskProgram::Interval queries = isProgram(op) ? queryInterval(bounds.rowPositions) : MaskProgram::Interval();
  k.forLoop(from, to, k.idx(block), [&](Value t0) {
    Value keys = k.min(k.sub(to, t0), k.idx(block)), least = t0, greatest = k.sub(k.add(t0, keys), k.idx(1));
    if (given) {
      auto range = k.forLoop(k.idx(0), keys, k.idx(1), {far, none}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
        Value position = k.max(k.min(toIndex(pullScalar(op.getKPos()[segment], {k.add(t0, j)})), far), none);
        k.store(arith::IndexCastOp::create(k.b, i32, position), bounds.positions, i32, j);
        return {k.min(carried[0], position), k.max(carried[1], position)};
      });
      k.forLoop(keys, k.idx(block), k.idx(1), [&](Value j) { k.store(k.constantInt(i32, -1), bounds.positions, i32, j); });
      least = range[0], greatest = range[1];
    } else {
      countPositions(t0, keys, block, bounds.positions);
    }
    Hidden hidden{arith::ConstantIntOp::create(k.b, 0, 1), {}};
    auto visit = [&] {
      if (op.getBias().empty())
        return body(t0, keys, hidden);
      k.ifThen(biasShows(segment, t0, keys, bounds.maxima), [&] { body(t0, keys, hidden); });
    };
    if (!isBounded(op) && !given && !isProgram(op))
      return visit();
    Value some =
        arith::AndIOp::create(k.b, isTrue(arith::CmpIPredicate::sle, least, anyHigh), isTrue(arith::CmpIPredicate::sge, greatest, anyLow));
    hidden.byRange =
        arith::OrIOp::create(k.b, isTrue(arith::CmpIPredicate::slt, least, allLow), isTrue(arith::CmpIPredicate::sgt, greatest, allHigh));
    if (isProgram(op)) {
      Value lastHead = k.sub(k.add(firstHead, rowHeads), k.idx(1));
      auto [visible, partly] =
          maskProgram(k.b).classify({{batch, batch}, {firstHead, lastHead}, queries, {k.max(least, k.idx(0)), greatest}});
      some = arith::AndIOp::create(k.b, some, visible);
      hidden.byProgram = partly;
    } else if (!given) {
      return visit();
    }
    k.ifThen(some, visit);
  });
}

std::optional<CachedRows> AttendEmitter::rowsOf(Value tensor) {
  auto s = traceRows(k, tensor);
  return s && s->knownStrides[3] == 1 && isa<FloatType>(s->element) && !isSmallFloat(s->element) ? s : std::nullopt;
}

std::optional<AttendEmitter::InPlace> AttendEmitter::inPlace(Value tensor, Value t0) {
  auto s = rowsOf(tensor);
  if (!s)
    return std::nullopt;
  return InPlace{addressOf(*s, t0), s->element, s->strides[3 - kvHeads]};
}

void AttendEmitter::forEvenRows(const std::optional<CachedRows> &rows, Value t0, Value keys, int64_t most,
                                llvm::function_ref<void(Value, Value)> body) {
  if (!rows || !rows->pages)
    return body(k.idx(0), keys);
  Value size = k.idx(std::min(most, rows->pages->entries)), begin = k.add(rows->first, t0), end = k.add(begin, keys);
  k.forLoop(k.div(begin, size), k.ceilDiv(end, size), k.idx(1), [&](Value part) {
    Value from = k.max(k.mul(part, size), begin), to = k.min(k.mul(k.add(part, k.idx(1)), size), end);
    body(k.sub(from, begin), k.sub(to, from));
  });
}

Value AttendEmitter::addressOf(const CachedRows &rows, Value t0) {
  if (rows.pages)
    return k.elementPtr(k.buffer(rows.argument), rows.element, rows.pages->offsetOf(k, batch, kvHead, k.add(rows.first, t0)));
  Value offset = k.add(rows.offset, k.add(k.mul(batch, rows.strides[0]), k.mul(kvHead, rows.strides[kvHeads])));
  offset = k.add(offset, k.mul(t0, rows.strides[3 - kvHeads]));
  return k.elementPtr(k.buffer(rows.argument), rows.element, offset);
}

AttendEmitter::InPlace AttendEmitter::floatRowsOf(Value tensor, Value t0, Value keys, Value width, Value room) {
  if (auto source = inPlace(tensor, t0))
    return *source;
  k.forLoop(k.idx(0), keys, k.idx(1), [&](Value j) {
    SmallVector<Value> lead = coordinates(kvHeads, kvHead, k.add(t0, j));
    auto value = [&](Puller &pull, Value d) {
      SmallVector<Idx> where = pull.at(lead);
      where.push_back(pull.at(d, pull.lanes() > 1, pull.lanes()));
      return convertCarried(k, pull.pullVector(tensor, where), f32);
    };
    auto store = [&](Value x, Value d) { k.store(x, room, f32, k.add(k.mul(j, width), d)); };
    std::optional<int64_t> length = getConstantIntValue(width);
    if (!length || *length % lanes != 0 || *length > 16 * lanes)
      return k.forLanes(k.idx(0), width, lanes, [&](Value d, int64_t n) {
        Puller pull(k, n);
        store(value(pull, d), d);
      });
    // A row of known length is computed as a whole, and stored then: what its vectors share, a scale say, is read once.
    Puller pull(k, lanes);
    SmallVector<Value> row;
    for (int64_t d = 0; d < *length; d += lanes)
      row.push_back(value(pull, k.idx(d)));
    for (auto [i, x] : llvm::enumerate(row))
      store(x, k.idx(int64_t(i) * lanes));
  });
  return {room, f32, width};
}

bool AttendEmitter::inWholeVectors() {
  std::optional<int64_t> count = getConstantIntValue(valueDepth);
  return count && *count % lanes == 0;
}

void AttendEmitter::addRows(InPlace weights, Value keyStride, Value rowCount, InPlace source, Value keys, Value sumsAt, Value room) {
  Value yes = arith::ConstantIntOp::create(k.b, 1, 1), whole = k.sub(valueDepth, k.rem(valueDepth, k.idx(kPanel)));
  auto addColumns = [&](Value d0, Value columns, InPlace panel, std::optional<int64_t> strip) {
    callProduct(k, {f32, panel.type, f32}, weights.pointer, weights.stride, keyStride, panel.pointer, panel.stride, keys,
                k.elementPtr(sumsAt, f32, d0), yes, rowCount, paddedValueDepth, columns, {}, {}, strip);
  };
  k.forLoop(k.idx(0), whole, k.idx(kPanel), [&](Value d0) {
    addColumns(d0, k.idx(kPanel), {k.elementPtr(source.pointer, source.type, d0), source.type, source.stride}, kPanel);
  });
  Value left = k.sub(valueDepth, whole), leftAt = k.elementPtr(source.pointer, source.type, whole);
  if (inWholeVectors()) { // narrower strips
    if (int64_t count = *getConstantIntValue(left))
      addColumns(whole, left, {leftAt, source.type, source.stride}, count & -count);
    return;
  }
  k.ifThen(k.compare(arith::CmpIPredicate::sgt, left, k.idx(0)), [&] {
    auto pack = packColumns(k.kernel->getParentOfType<ModuleOp>(), k.target, source.type, f32);
    func::CallOp::create(k.b, pack, ValueRange{room, leftAt, k.i64(source.stride), k.i64(left), k.i64(keys)});
    addColumns(whole, k.idx(kPanel), {room, f32, k.idx(kPanel)}, kPanel);
  });
}

Value AttendEmitter::raw(Emit &e, Value x) {
  if (softcap > 0) {
    Value inner = e.mul(x, e.constant(x.getType(), scale / softcap));
    return e.mul(math::TanhOp::create(e, inner), e.constant(x.getType(), softcap));
  }
  return transforms() && scale != 1 ? e.mul(x, e.constant(x.getType(), scale)) : x;
}

Value AttendEmitter::pullBias(unsigned segment, Value r, Value key, int64_t width) {
  Value bias = op.getBias()[segment];
  auto type = cast<RankedTensorType>(bias.getType());
  auto [query, head] = rowAt(r);
  Value all[3] = {batch, head, query};
  Puller pull(k, width);
  SmallVector<Idx> at;
  for (int64_t d = 0; d < type.getRank(); ++d) {
    int64_t full = d + 4 - type.getRank();
    if (type.getDimSize(d) == 1)
      at.push_back(pull.at(0));
    else
      at.push_back(full == 3 ? pull.at(key, width > 1) : pull.at(all[full]));
  }
  return convertCarried(k, pull.pullVector(bias, at), f32);
}

Value AttendEmitter::logSum(Value maximum, Value sum) {
  Emit e = emitter();
  Value seen = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, sum, e.constant(f32, 0));
  Value lse = e.add(e.mul(maximum, e.constant(f32, natural())), math::LogOp::create(e, sum));
  return e.select(seen, lse, e.constant(f32, -std::numeric_limits<double>::infinity()));
}

void AttendEmitter::emitLse(Value r, Value maximum, Value sum) {
  if (!op.getLse())
    return;
  auto [query, head] = rowAt(r);
  Value lse = logSum(maximum, sum);
  Puller pull(k, 1);
  pull.bind(op.getLse(), [&](Puller &, ArrayRef<Idx>) { return lse; });
  for (unsigned result : epilogueResults(k, op.getLse()))
    pull.emitResult(result, pull.at(ValueRange{batch, head, query}));
}

Cost attendCost(KVAttendOp op, KernelBuilder &k) {
  AttendEmitter z(op, k);
  std::function<Value(Value)> bytes = [&](Value tensor) -> Value {
    // What is decoded here moves as it is stored.
    if (auto generic = tensor.getDefiningOp<linalg::GenericOp>()) {
      Value sum = k.idx(0);
      for (OpOperand *input : generic.getDpsInputOperands())
        sum = isa<RankedTensorType>(input->get().getType()) ? k.add(sum, bytes(input->get())) : sum;
      return sum;
    }
    return k.bytes(tensor);
  };
  Value moved = bytes(op.getOutput()), products = k.idx(0), rows = k.mul(k.dim(op.getQ()[0], 0), z.heads);
  for (auto [q, key, value] : llvm::zip(op.getQ(), op.getK(), op.getV())) {
    moved = k.add(moved, k.add(bytes(q), k.add(bytes(key), bytes(value))));
    Value keys = k.dim(key, 3 - z.kvHeads), seen = k.mul(z.queryCount, keys);
    // The last query sees all keys, the one before it one less, ...
    if (op.getCausal() && op.getQ().size() == 1 && op.getKPos().empty() && !op.getQPos() && !op.getKvLen()) {
      Value s = k.min(z.queryCount, keys);
      seen = k.sub(seen, k.div(k.mul(s, k.sub(s, k.idx(1))), k.idx(2)));
    }
    products = k.add(products, seen);
  }
  return {moved, k.mul(k.mul(rows, products), k.mul(k.idx(2), k.add(z.depth, z.valueDepth)))};
}

Value logitBytes(KVAttendOp op, KernelBuilder &k) {
  AttendEmitter z(op, k);
  Value keys = k.idx(0), rows = k.mul(k.mul(k.dim(op.getQ()[0], 0), z.heads), z.queryCount);
  for (Value key : op.getK())
    keys = k.add(keys, k.dim(key, 3 - z.kvHeads));
  Type element = cast<RankedTensorType>(op.getQ()[0].getType()).getElementType();
  return k.mul(k.mul(rows, keys), k.idx(4 * KernelBuilder::byteWidth(element)));
}

namespace {

class AttendGenerator : public Generator {
public:
  explicit AttendGenerator(KVAttendOp op) : op(op) {}

  Value tasks(KernelBuilder &k) override {
    AttendMany many(op, k);
    if (!hasFew(k))
      return many.tasks();
    AttendFew few(op, k);
    return arith::SelectOp::create(k.b, isFew(k, few), few.tasks(), many.tasks());
  }

  Value scratch(KernelBuilder &k) override {
    AttendMany many(op, k);
    return hasFew(k) ? k.max(many.scratch(), AttendFew(op, k).scratch()) : many.scratch();
  }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op->getResults());
    AttendMany many(op, k);
    if (!hasFew(k))
      return many.run(task);
    AttendFew few(op, k);
    k.ifElse(
        isFew(k, few), [&]() -> SmallVector<Value> { return few.run(task), SmallVector<Value>(); },
        [&]() -> SmallVector<Value> { return many.run(task), SmallVector<Value>(); });
  }

  bool hasFinish() override { return mayHaveFew; }
  Value finishTasks(KernelBuilder &k) override {
    AttendFew few(op, k);
    return arith::SelectOp::create(k.b, isFew(k, few), few.finishTasks(), k.idx(0));
  }
  void finish(KernelBuilder &k, Value task) override { AttendFew(op, k).finish(task); }
  Value shared(KernelBuilder &k) override { return AttendFew(op, k).shared(); }

  Cost cost(KernelBuilder &k) override { return attendCost(op, k); }

private:
  bool hasFew(KernelBuilder &k) { return mayHaveFew = AttendFew::possible(op, k); }
  Value isFew(KernelBuilder &k, AttendFew &few) {
    return arith::CmpIOp::create(k.b, arith::CmpIPredicate::sle, few.allRows, k.idx(AttendFew::kRows));
  }
  KVAttendOp op;
  bool mayHaveFew = false; ///< known once a part is emitted
};

} // namespace

std::unique_ptr<Generator> createAttendGenerator(KVAttendOp op) { return std::make_unique<AttendGenerator>(op); }

} // namespace leat::cpu
