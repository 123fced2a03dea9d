// Draws a token per row of logits, as runtime/decode/Sampler does: the same order of filters, the same random numbers. Instead of sorting,
// top-k and top-p find the weight at which enough is kept by bisection over the bits of a double, which are in the order of the weights.
#include "passes/CPU/Sample.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {

using IntPredicate = arith::CmpIPredicate;
using RealPredicate = arith::CmpFPredicate;

Value sampleLogit(KernelBuilder &k, SampleOp op, Value row, Value token) {
  Puller p(k, 1);
  Value x = p.pull(op.getLogits(), {p.at(row), p.at(token)});
  return x.getType().isF64() ? arith::TruncFOp::create(k.b, k.b.getF32Type(), x).getResult() : x;
}

bool isPenalized(SampleOp op) { return op.getHistory() && op.getRepetitionPenalty().convertToDouble() != 1; }

void penalizeHistory(KernelBuilder &k, SampleOp op, Value row, Value first, Value step, function_ref<void(Value, Value)> store) {
  Type f32 = k.b.getF32Type();
  Value factor = k.constant(f32, op.getRepetitionPenalty().convertToDouble());
  k.forLoop(first, k.dim(op.getHistory(), 1), step, [&](Value i) {
    Puller p(k, 1);
    Value token = p.pull(op.getHistory(), {p.at(row), p.at(i)});
    if (!token.getType().isIndex())
      token = arith::IndexCastOp::create(k.b, k.b.getIndexType(), token);
    Value inside = k.compare(IntPredicate::ult, token, k.dim(op.getLogits(), 1));
    k.ifThen(inside, [&] {
      // From the original value, so that a token seen twice is penalised once.
      Value x = sampleLogit(k, op, row, token), positive = arith::CmpFOp::create(k.b, RealPredicate::OGT, x, k.constant(f32, 0));
      store(token, arith::SelectOp::create(k.b, positive, arith::DivFOp::create(k.b, x, factor), arith::MulFOp::create(k.b, x, factor)));
    });
  });
}

Value sampleWeight(KernelBuilder &k, SampleOp op, Value logit, Value top) {
  auto &b = k.b;
  Type f64 = b.getF64Type();
  Value scale = k.constant(f64, 1 / op.getTemperature().convertToDouble()), zero = k.constant(f64, 0);
  Value below = arith::SubFOp::create(b, arith::ExtFOp::create(b, f64, logit), arith::ExtFOp::create(b, f64, top));
  Value w = math::ExpOp::create(b, arith::MulFOp::create(b, below, scale));
  return arith::SelectOp::create(b, arith::CmpFOp::create(b, RealPredicate::OGT, w, zero), w, zero);
}

/// Philox4x32-10 with key `seed` and counter (row, step).
Value sampleUniform(KernelBuilder &k, SampleOp op, Value row) {
  auto &b = k.b;
  Type i64 = b.getI64Type(), f64 = b.getF64Type();
  auto c = [&](uint64_t v) { return k.constantInt(i64, static_cast<int64_t>(v)); };
  Value low = c(0xffffffff), c32 = c(32);
  auto lo = [&](Value v) { return arith::AndIOp::create(b, v, low).getResult(); };
  auto hi = [&](Value v) { return arith::ShRUIOp::create(b, v, c32).getResult(); };
  auto mix = [&](Value x, Value y, Value z) { return arith::XOrIOp::create(b, arith::XOrIOp::create(b, x, y), z).getResult(); };
  uint64_t seed = op.getSeed();
  Value r = k.i64(row), s = k.i64(k.scalar(op.getStep()));
  SmallVector<Value> state{lo(r), hi(r), lo(s), hi(s), c(seed & 0xffffffff), c(seed >> 32)};
  state = k.forLoop(k.idx(0), k.idx(10), k.idx(1), state, [&](Value, ValueRange v) {
    Value x = arith::MulIOp::create(b, c(0xD2511F53), v[0]), y = arith::MulIOp::create(b, c(0xCD9E8D57), v[2]);
    return SmallVector<Value>{mix(hi(y), v[1], v[4]),
                              lo(y),
                              mix(hi(x), v[3], v[5]),
                              lo(x),
                              lo(arith::AddIOp::create(b, v[4], c(0x9E3779B9))),
                              lo(arith::AddIOp::create(b, v[5], c(0xBB67AE85)))};
  });
  Value word = arith::OrIOp::create(b, arith::ShLIOp::create(b, state[0], c32), state[1]);
  Value number = arith::UIToFPOp::create(b, f64, arith::ShRUIOp::create(b, word, c(11)));
  return arith::MulFOp::create(b, number, k.constant(f64, 0x1p-53));
}

Value drawnOrBest(KernelBuilder &k, Value drawn, Value best, Value top) {
  Value infinity = k.constant(k.b.getF32Type(), std::numeric_limits<double>::infinity());
  Value finite = arith::CmpFOp::create(k.b, RealPredicate::OLT, top, infinity);
  return arith::SelectOp::create(k.b, finite, drawn, best);
}

void storeToken(KernelBuilder &k, Value row, Value token) {
  Puller p(k, 1);
  for (unsigned r = 0; r < k.numResults(); ++r)
    p.storeResult(r, {p.at(row)}, k.i64(token));
}

namespace {

class SampleGenerator : public Generator {
  SampleOp op;

  Value vocabulary(KernelBuilder &k) { return k.dim(op.getLogits(), 1); }
  Type f32(KernelBuilder &k) { return k.b.getF32Type(); }
  Type f64(KernelBuilder &k) { return k.b.getF64Type(); }
  /// Scratch: weights, then logits.
  Value logits(KernelBuilder &k) { return k.bytePtr(k.scratch(), k.mul(vocabulary(k), k.idx(8))); }
  Value real(KernelBuilder &k, RealPredicate p, Value x, Value y) { return arith::CmpFOp::create(k.b, p, x, y); }
  Value select(KernelBuilder &k, Value cond, Value x, Value y) { return arith::SelectOp::create(k.b, cond, x, y); }

  /// Sets weights to zero that are not among the first, in order of weight and then of token, whose measures add up to `goal`.
  void keepFirst(KernelBuilder &k, Value goal, function_ref<Value(Value weight)> measure) {
    auto &b = k.b;
    Type i64 = b.getI64Type();
    Value n = vocabulary(k), zero = k.constant(f64(k), 0);
    auto weight = [&](Value i) { return k.load(k.scratch(), f64(k), i, 1); };
    auto bits = [&](Value w) { return arith::BitcastOp::create(b, i64, w).getResult(); };
    auto sumFrom = [&](Value threshold, IntPredicate predicate) {
      return k.forLoop(k.idx(0), n, k.idx(1), zero, [&](Value i, ValueRange sum) {
        Value w = weight(i), counts = k.compare(predicate, bits(w), threshold);
        return SmallVector<Value>{arith::AddFOp::create(b, sum[0], select(k, counts, measure(w), zero))};
      })[0];
    };
    // The largest threshold with enough at or above it; 1 (the least positive number) if there is never enough.
    Value one = k.constantInt(i64, 1);
    SmallVector<Value> range{one, k.constantInt(i64, 0x3ff0000000000001)};
    range = k.forLoop(k.idx(0), k.idx(63), k.idx(1), range, [&](Value, ValueRange r) {
      Value middle = arith::AddIOp::create(b, r[0], arith::ShRUIOp::create(b, arith::SubIOp::create(b, r[1], r[0]), one));
      Value enough = real(k, RealPredicate::OGE, sumFrom(middle, IntPredicate::uge), goal);
      return SmallVector<Value>{select(k, enough, middle, r[0]), select(k, enough, r[1], middle)};
    });
    Value threshold = range[0];
    k.forLoop(k.idx(0), n, k.idx(1), sumFrom(threshold, IntPredicate::ugt), [&](Value i, ValueRange sum) {
      Value w = weight(i), above = k.compare(IntPredicate::ugt, bits(w), threshold);
      Value tie = arith::AndIOp::create(b, k.compare(IntPredicate::eq, bits(w), threshold), real(k, RealPredicate::OLT, sum[0], goal));
      k.store(select(k, arith::OrIOp::create(b, above, tie), w, zero), k.scratch(), f64(k), i);
      return SmallVector<Value>{select(k, tie, arith::AddFOp::create(b, sum[0], measure(w)), sum[0])};
    });
  }

  Value total(KernelBuilder &k) {
    return k.forLoop(k.idx(0), vocabulary(k), k.idx(1), k.constant(f64(k), 0), [&](Value i, ValueRange sum) {
      return SmallVector<Value>{arith::AddFOp::create(k.b, sum[0], k.load(k.scratch(), f64(k), i, 1))};
    })[0];
  }

  Value draw(KernelBuilder &k, Value row, Value best, Value top) {
    auto &b = k.b;
    Value n = vocabulary(k), zero = k.constant(f64(k), 0);
    k.forLoop(k.idx(0), n, k.idx(1),
              [&](Value i) { k.store(sampleWeight(k, op, k.load(logits(k), f32(k), i, 1), top), k.scratch(), f64(k), i); });
    if (static_cast<int64_t>(op.getTopK()) > 0) {
      Value one = k.constant(f64(k), 1);
      keepFirst(k, k.constant(f64(k), static_cast<double>(op.getTopK())),
                [&](Value w) { return select(k, real(k, RealPredicate::OGT, w, zero), one, zero); });
    }
    if (double p = op.getTopP().convertToDouble(); p < 1)
      keepFirst(k, arith::MulFOp::create(b, total(k), k.constant(f64(k), p)), [&](Value w) { return w; });
    if (double least = op.getMinP().convertToDouble(); least > 0)
      k.forLoop(k.idx(0), n, k.idx(1), [&](Value i) {
        Value w = k.load(k.scratch(), f64(k), i, 1);
        k.store(select(k, real(k, RealPredicate::OLT, w, k.constant(f64(k), least)), zero, w), k.scratch(), f64(k), i);
      });
    Value target = arith::MulFOp::create(b, sampleUniform(k, op, row), total(k));
    // The first token whose cumulative weight passes the target; the last one with weight if rounding leaves none.
    Value none = k.idx(-1);
    SmallVector<Value> end = k.forLoop(k.idx(0), n, k.idx(1), {zero, none, best}, [&](Value i, ValueRange v) {
      Value w = k.load(k.scratch(), f64(k), i, 1), sum = arith::AddFOp::create(b, v[0], w);
      Value kept = real(k, RealPredicate::OGT, w, zero);
      Value hit = arith::AndIOp::create(b, kept, real(k, RealPredicate::OLT, target, sum));
      hit = arith::AndIOp::create(b, hit, k.compare(IntPredicate::eq, v[1], none));
      return SmallVector<Value>{sum, select(k, hit, i, v[1]), select(k, kept, i, v[2])};
    });
    Value drawn = select(k, k.compare(IntPredicate::eq, end[1], none), end[2], end[1]);
    return drawnOrBest(k, drawn, best, top);
  }

public:
  explicit SampleGenerator(SampleOp op) : op(op) {}

  Value tasks(KernelBuilder &k) override { return k.dim(op.getLogits(), 0); }
  Value scratch(KernelBuilder &k) override { return k.mul(vocabulary(k), k.idx(12)); }

  void run(KernelBuilder &k, Value row) override {
    Value n = vocabulary(k);
    k.forLoop(k.idx(0), n, k.idx(1), [&](Value i) { k.store(sampleLogit(k, op, row, i), logits(k), f32(k), i); });
    if (isPenalized(op))
      penalizeHistory(k, op, row, k.idx(0), k.idx(1), [&](Value token, Value x) { k.store(x, logits(k), f32(k), token); });
    Value lowest = k.constant(f32(k), -std::numeric_limits<double>::infinity());
    SmallVector<Value> best = k.forLoop(k.idx(0), n, k.idx(1), {k.idx(0), lowest}, [&](Value i, ValueRange v) {
      Value x = k.load(logits(k), f32(k), i, 1), wins = real(k, RealPredicate::OGT, x, v[1]);
      return SmallVector<Value>{select(k, wins, i, v[0]), select(k, wins, x, v[1])};
    });
    Value token = op.getTemperature().isZero() ? best[0] : draw(k, row, best[0], best[1]);
    storeToken(k, row, token);
  }
};

} // namespace

std::unique_ptr<Generator> createSampleGenerator(Operation *root) { return std::make_unique<SampleGenerator>(cast<SampleOp>(root)); }

} // namespace leat::cpu
