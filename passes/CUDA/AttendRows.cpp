// leat.kv_attend with one task per query and head: one pass over the keys with an online softmax; the result's row is in scratch.
#include "passes/CUDA/Generic.h"

#include "passes/CPU/Attention.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cuda {

using namespace cpu;

namespace {

class AttendRow : public AttendEmitter {
public:
  AttendRow(KVAttendOp op, KernelBuilder &k) : AttendEmitter(op, k) {
    out = reserve(k.mul(valueDepth, k.idx(4)));
    low = reserve(4);
    high = reserve(4);
  }

  Value tasks() { return k.mul(pairs, allRows); }

  void run(Value task) {
    choosePair(k.rem(task, pairs));
    row0 = k.div(task, pairs);
    rows = k.idx(1);
    storeRange(k.idx(0), at(low), at(high));
    queryPosition = toIndex(positionOf(k.idx(0)));
    lowest = toIndex(k.load(at(low), i32, k.idx(0), 1));
    highest = toIndex(k.load(at(high), i32, k.idx(0), 1));
    k.forLoop(k.idx(0), valueDepth, k.idx(1), [&](Value d) { k.store(k.constant(f32, 0), at(out), f32, d); });
    Value never = k.constant(f32, -std::numeric_limits<double>::infinity());
    SmallVector<Value> state{never, k.constant(f32, 0)}; // maximum of the raw logits, sum of weights
    if (op.getSinkBias()) {
      Value sink = convertCarried(k, pullScalar(op.getSinkBias(), {rowAt(k.idx(0)).second}), f32);
      Value some = arith::CmpFOp::create(k.b, arith::CmpFPredicate::OGT, sink, never);
      state[0] = arith::MulFOp::create(k.b, sink, k.constant(f32, 1 / natural()));
      state[1] = arith::SelectOp::create(k.b, some, k.constant(f32, 1), k.constant(f32, 0));
    }
    for (unsigned segment = 0; segment < op.getK().size(); ++segment)
      state = keys(segment, state);
    Value sum = state[1], seen = arith::CmpFOp::create(k.b, arith::CmpFPredicate::OGT, sum, k.constant(f32, 0));
    Value inverse = arith::SelectOp::create(k.b, seen, arith::DivFOp::create(k.b, k.constant(f32, 1), sum), k.constant(f32, 0));
    k.forLoop(k.idx(0), valueDepth, k.idx(1),
              [&](Value d) { k.store(arith::MulFOp::create(k.b, k.load(at(out), f32, d, 1), inverse), at(out), f32, d); });
    auto [query, head] = rowAt(k.idx(0));
    int64_t outHeads = op.getOLayout() == "bhsd" ? 1 : 2;
    emitRow(k, op.getOutput(), coordinates(outHeads, head, query), k.idx(0), valueDepth, at(out), k.idx(0), f32);
    emitLse(k.idx(0), state[0], sum);
  }

private:
  SmallVector<Value> keys(unsigned segment, SmallVector<Value> state) {
    Value from = k.idx(0), to = keyCount(segment);
    bool given = !op.getKPos().empty();
    if (!given && isBounded(op)) {
      from = k.max(from, lowest);
      to = k.min(to, k.add(highest, k.idx(1)));
    }
    return k.forLoop(from, to, k.idx(1), state, [&](Value key, ValueRange carried) -> SmallVector<Value> {
      if (!given && !isProgram(op))
        return one(segment, key, carried);
      Value position = given ? toIndex(pullScalar(op.getKPos()[segment], {key})) : key;
      Value visible = arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::sge, position, lowest),
                                            k.compare(arith::CmpIPredicate::sle, position, highest));
      if (isProgram(op))
        visible = arith::AndIOp::create(k.b, visible, isVisible(k.b, rowAt(k.idx(0)).second, queryPosition, position));
      return k.ifElse(
          visible, [&] { return one(segment, key, carried); }, [&] { return SmallVector<Value>(carried.begin(), carried.end()); });
    });
  }

  /// Takes one key into the row.
  SmallVector<Value> one(unsigned segment, Value key, ValueRange state) {
    auto [query, head] = rowAt(k.idx(0));
    SmallVector<Value> queryAt = coordinates(qHeads, head, query), keyAt = coordinates(kvHeads, kvHead, key);
    auto element = [&](Puller &p, Value tensor, ArrayRef<Value> lead, Value d) {
      SmallVector<Idx> where = p.at(lead);
      where.push_back(p.at(d));
      return convertCarried(k, p.pull(tensor, where), f32);
    };
    Value dot = k.forLoop(k.idx(0), depth, k.idx(1), k.constant(f32, 0), [&](Value d, ValueRange sum) -> SmallVector<Value> {
      Puller p(k, 1);
      return {k.fma(element(p, op.getQ()[segment], queryAt, d), element(p, op.getK()[segment], keyAt, d), sum[0])};
    })[0];
    Emit e = emitter();
    Value x = raw(e, dot);
    if (!op.getBias().empty())
      x = arith::AddFOp::create(k.b, x, pullBias(segment, k.idx(0), key, 1));
    Value grows = arith::CmpFOp::create(k.b, arith::CmpFPredicate::OGT, x, state[0]);
    Value maximum = arith::SelectOp::create(k.b, grows, x, state[0]);
    // A row that has seen nothing yet keeps -inf; subtracting 0 instead gives weights of zero, not NaN.
    Value nothing =
        arith::CmpFOp::create(k.b, arith::CmpFPredicate::OEQ, maximum, k.constant(f32, -std::numeric_limits<double>::infinity()));
    Value reference = arith::SelectOp::create(k.b, nothing, k.constant(f32, 0), maximum);
    auto weightOf = [&](Value logit) -> Value {
      Value exponent = arith::MulFOp::create(k.b, arith::SubFOp::create(k.b, logit, reference), k.constant(f32, unit()));
      return math::Exp2Op::create(k.b, exponent);
    };
    Value weight = weightOf(x), factor = weightOf(state[0]);
    k.forLoop(k.idx(0), valueDepth, k.idx(1), [&](Value d) {
      Puller p(k, 1);
      Value scaled = arith::MulFOp::create(k.b, k.load(at(out), f32, d, 1), factor);
      k.store(k.fma(weight, element(p, op.getV()[segment], keyAt, d), scaled), at(out), f32, d);
    });
    return {maximum, k.fma(state[1], factor, weight)};
  }

  Value out, low, high; // byte offsets in scratch
  Value queryPosition;
  Value lowest, highest; // positions that the row may see
};

class AttendRowsGenerator : public Generator {
public:
  explicit AttendRowsGenerator(KVAttendOp op) : op(op) {}
  Value tasks(KernelBuilder &k) override { return AttendRow(op, k).tasks(); }
  Value scratch(KernelBuilder &k) override { return AttendRow(op, k).scratch(); }
  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, op->getResults());
    AttendRow(op, k).run(task);
  }
  Cost cost(KernelBuilder &k) override {
    Cost base = Generator::cost(k);
    AttendRow row(op, k);
    for (Value key : op.getK())
      base.operations = k.add(base.operations, k.mul(k.mul(row.tasks(), k.dim(key, op.getKvLayout() == "bhsd" ? 2 : 1)),
                                                     k.mul(k.add(row.depth, row.valueDepth), k.idx(2))));
    return base;
  }

private:
  KVAttendOp op;
};

} // namespace

std::unique_ptr<cpu::Generator> createAttendRows(KVAttendOp op) { return std::make_unique<AttendRowsGenerator>(op); }

} // namespace leat::cuda
