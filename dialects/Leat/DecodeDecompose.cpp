// Sampling without sorting: a token's place among the weights is the number, or the weight, of those before it.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

using Combine = Decomposer::Combine;

namespace {
/// Loops: row, token, and where tokens are compared the other token.
struct Sample {
  SampleOp op;
  Decomposer d;
  Type f32, f64, i64;
  Decomposer::Sizes row, tokens, pairs;
  AffineMap all, perRow, mine, other;

  Sample(SampleOp op, OpBuilder &b)
      : op(op), d(b, op.getLoc()), f32(b.getF32Type()), f64(b.getF64Type()), i64(b.getI64Type()), all(d.identity(2)),
        perRow(d.select(2, {0})), mine(d.select(3, {0, 1})), other(d.select(3, {0, 2})) {
    tokens = d.sizes(op.getLogits());
    row = {tokens[0]};
    pairs = {tokens[0], tokens[1], tokens[1]};
  }

  /// f32 logits, penalised where the history has the token; NaN is never chosen.
  Value logits() {
    Value seen, history = op.getHistory();
    double penalty = op.getRepetitionPenalty().convertToDouble();
    if (history && penalty != 1) {
      Decomposer::Sizes sizes{tokens[0], tokens[1], d.size(history, 1)};
      seen = d.reduce(sizes, i64, history, other, {0, 1}, Combine::Max, [&](Decomposer &in, ValueRange x) {
        return in.convert(in.equal(in.convert(x[0], in.b.getIndexType()), in.loop(1)), i64);
      });
    }
    SmallVector<Value> operands{op.getLogits()};
    if (seen)
      operands.push_back(seen);
    return d.each(tokens, f32, operands, [&](Decomposer &in, ValueRange x) {
      Value y = in.convert(x[0], f32), zero = in.constant(f32, 0);
      if (seen) {
        Value factor = in.constant(f32, penalty);
        Value penalised = in.choose(in.greater(y, zero), in.div(y, factor), in.mul(y, factor));
        y = in.choose(in.equal(x[1], in.constant(i64, 1)), penalised, y);
      }
      return in.choose(in.equal(y, y), y, in.neutral(f32, Combine::Max));
    });
  }

  Value total(Value weights) {
    return d.reduce(tokens, f64, weights, all, {0}, Combine::Add, [](Decomposer &, ValueRange x) { return x[0]; });
  }

  /// The other token comes before this one: heavier, or as heavy with a lower number.
  static Value before(Decomposer &in, ValueRange x) {
    Value tie = in.both(in.equal(x[1], x[0]), in.less(in.loop(2), in.loop(1)));
    return in.either(in.greater(x[1], x[0]), tie);
  }

  /// Weights of tokens that do not pass are 0.
  Value filter(Value weights, ValueRange operands, ArrayRef<AffineMap> maps, Decomposer::Formula passes) {
    SmallVector<Value> all{weights};
    llvm::append_range(all, operands);
    SmallVector<AffineMap> allMaps{this->all};
    llvm::append_range(allMaps, maps);
    return d.each(tokens, f64, all, allMaps,
                  [&](Decomposer &in, ValueRange x) { return in.choose(passes(in, x), x[0], in.constant(f64, 0)); });
  }

  Value weights(Value logits, Value top) {
    double scale = 1 / op.getTemperature().convertToDouble();
    Value w = d.each(tokens, f64, {logits, top}, {all, perRow}, [&](Decomposer &in, ValueRange x) {
      return in.exp(in.mul(in.sub(in.convert(x[0], f64), in.convert(x[1], f64)), in.constant(f64, scale)));
    });
    w = filter(w, {}, {}, [&](Decomposer &in, ValueRange x) { return in.greater(x[0], in.constant(f64, 0)); }); // not NaN
    if (int64_t k = op.getTopK(); k > 0) {
      Value place = d.reduce(pairs, i64, {w, w}, {mine, other}, {0, 1}, Combine::Add,
                             [&](Decomposer &in, ValueRange x) { return in.convert(before(in, x), i64); });
      w = filter(w, place, all, [&](Decomposer &in, ValueRange x) { return in.less(x[1], in.constant(i64, k)); });
    }
    if (double p = op.getTopP().convertToDouble(); p < 1) {
      Value mass = d.reduce(pairs, f64, {w, w}, {mine, other}, {0, 1}, Combine::Add,
                            [&](Decomposer &in, ValueRange x) { return in.choose(before(in, x), x[1], in.constant(f64, 0)); });
      w = filter(w, {mass, total(w)}, {all, perRow},
                 [&](Decomposer &in, ValueRange x) { return in.less(x[1], in.mul(x[2], in.constant(f64, p))); });
    }
    if (double least = op.getMinP().convertToDouble(); least > 0)
      w = filter(w, {}, {}, [&](Decomposer &in, ValueRange x) { return in.atMost(in.constant(f64, least), x[0]); });
    return w;
  }

  /// Philox4x32-10 with key `seed` and counter (row, step): 53 bits in [0, 1).
  Value uniform(Decomposer &in) {
    auto c = [&](uint64_t v) { return arith::ConstantOp::create(in.b, in.loc, in.b.getI64IntegerAttr(v)).getResult(); };
    auto lo = [&](Value v) { return arith::AndIOp::create(in.b, in.loc, v, c(0xffffffff)).getResult(); };
    auto hi = [&](Value v) { return arith::ShRUIOp::create(in.b, in.loc, v, c(32)).getResult(); };
    auto mix = [&](Value x, Value y, Value z) {
      return arith::XOrIOp::create(in.b, in.loc, arith::XOrIOp::create(in.b, in.loc, x, y), z).getResult();
    };
    Value number = in.convert(in.loop(0), i64), step = in.convert(op.getStep(), i64);
    Value counter[] = {lo(number), hi(number), lo(step), hi(step)};
    uint32_t key[] = {uint32_t(op.getSeed()), uint32_t(uint64_t(op.getSeed()) >> 32)};
    for (int round = 0; round < 10; ++round) {
      Value x = in.mul(c(0xD2511F53), counter[0]), y = in.mul(c(0xCD9E8D57), counter[2]);
      Value next[] = {mix(hi(y), counter[1], c(key[0])), lo(y), mix(hi(x), counter[3], c(key[1])), lo(x)};
      llvm::copy(next, counter);
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    Value word = arith::OrIOp::create(in.b, in.loc, arith::ShLIOp::create(in.b, in.loc, counter[0], c(32)), counter[1]);
    Value bits = arith::ShRUIOp::create(in.b, in.loc, word, c(11));
    return in.mul(arith::UIToFPOp::create(in.b, in.loc, f64, bits), in.constant(f64, 0x1p-53));
  }

  Value build() {
    Value x = logits();
    Value top = d.reduce(tokens, f32, x, all, {0}, Combine::Max, [](Decomposer &, ValueRange v) { return v[0]; });
    auto search = [&](ValueRange operands, ArrayRef<AffineMap> maps, Combine which, Decomposer::Formula hits) {
      return d.reduce(tokens, i64, operands, maps, {0}, which, [&](Decomposer &in, ValueRange v) {
        return in.choose(hits(in, v), in.convert(in.loop(1), i64), in.neutral(i64, which));
      });
    };
    Value best = search({x, top}, {all, perRow}, Combine::Min, [](Decomposer &in, ValueRange v) { return in.equal(v[0], v[1]); });
    if (op.getTemperature().isZero())
      return best;

    // The first token whose cumulative weight passes the target; the last one with weight if rounding leaves none.
    Value w = weights(x, top);
    Value running = d.reduce(pairs, f64, w, other, {0, 1}, Combine::Add, [&](Decomposer &in, ValueRange v) {
      return in.choose(in.atMost(in.loop(2), in.loop(1)), v[0], in.constant(f64, 0));
    });
    Value target = d.each(row, f64, total(w), [&](Decomposer &in, ValueRange v) { return in.mul(uniform(in), v[0]); });
    auto hasWeight = [&](Decomposer &in, Value v) { return in.greater(v, in.constant(f64, 0)); };
    Value drawn = search({w, running, target}, {all, all, perRow}, Combine::Min,
                         [&](Decomposer &in, ValueRange v) { return in.both(hasWeight(in, v[0]), in.less(v[2], v[1])); });
    Value last = search(w, all, Combine::Max, [&](Decomposer &in, ValueRange v) { return hasWeight(in, v[0]); });
    return d.each(row, i64, {drawn, last, best, top}, [&](Decomposer &in, ValueRange v) {
      Value found = in.choose(in.equal(v[0], in.neutral(i64, Combine::Min)), v[1], v[0]);
      // Infinite logits leave no distribution to draw from.
      Value none = in.either(in.equal(found, in.neutral(i64, Combine::Max)), in.isInfinite(v[3], /*negative=*/false));
      return in.choose(none, v[2], found);
    });
  }
};
} // namespace

FailureOr<SmallVector<Value>> SampleOp::decomposeOperation(OpBuilder &b) {
  Sample sample(*this, b);
  Value token = sample.build();
  return SmallVector<Value>{sample.d.toType(token, getType())};
}

} // namespace leat
