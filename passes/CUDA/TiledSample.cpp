// Draws a token per row of logits: a block takes a row. Tokens are filtered as in passes/CPU/Sample.cpp, without sorting: the weight at
// which enough is kept is found by bisection over the bits of a double, where threads keep a list of those of their weights that are still
// in question, and places in a row by looking which warp's part they are in. Sums have an order that follows from the sizes only; it is not
// the one of the CPU, so where rounding decides, another token may be drawn.
#include "passes/CPU/Extremum.h"
#include "passes/CPU/Sample.h"
#include "passes/CUDA/BlockFold.h"

#include <limits>

using namespace mlir;

namespace leat::cuda {

namespace {

using Is = arith::CmpIPredicate;
using Real = arith::CmpFPredicate;

constexpr int64_t kPerThread = 16; ///< tokens for which a block gets another thread
constexpr int64_t kUnroll = 8;     ///< loads of a thread in flight

class TiledSample : public TileGenerator {
public:
  explicit TiledSample(SampleOp op) : op(op) {
    int64_t tokens = cast<RankedTensorType>(op.getLogits().getType()).getDimSize(1);
    int64_t wanted = ShapedType::isDynamic(tokens) ? 512 : llvm::PowerOf2Ceil(llvm::divideCeil(tokens, kPerThread));
    count = std::clamp<int64_t>(wanted, 128, 512);
  }

protected:
  int64_t threads(KernelBuilder &, unsigned) override { return count; }
  Values grid(KernelBuilder &k, unsigned) override { return {k.dim(op.getLogits(), 0), k.idx(1), k.idx(1)}; }
  cpu::Cost cost(KernelBuilder &k) override { return cpu::createSampleGenerator(op)->cost(k); }
  /// Of each row the weights (f64), then penalised logits (f32, in as much room), in whose place lists of weights come.
  Value joined(KernelBuilder &k) override {
    return op.getTemperature().isZero() && !cpu::isPenalized(op) ? k.idx(0) : k.mul(k.product(k.dims(op.getLogits())), k.idx(16));
  }

  void program(KernelBuilder &k, unsigned) override {
    auto &b = k.b;
    f64 = b.getF64Type(), i64 = b.getI64Type();
    zero = k.constant(f64, 0);
    tokens = k.dim(op.getLogits(), 1);
    Value thread = tile::ThreadIdOp::create(b, b.getIndexType()), row = tile::BlockIdOp::create(b, b.getIndexType(), 0);
    lane = k.rem(thread, k.idx(32)), warp = k.div(thread, k.idx(32));
    // A thread keeps to its own tokens: every 32nd of its warp's.
    Value share = k.mul(k.ceilDiv(tokens, k.idx(count)), k.idx(32));
    first = k.add(k.mul(warp, share), lane);
    Value end = k.min(k.add(k.mul(warp, share), share), tokens);
    mine = k.div(k.max(k.sub(k.add(end, k.idx(31)), first), k.idx(0)), k.idx(32));
    weights = k.bytePtr(k.shared(), k.mul(k.mul(row, tokens), k.idx(8)));
    list = k.bytePtr(k.shared(), k.mul(k.mul(k.add(k.dim(op.getLogits(), 0), row), tokens), k.idx(8)));
    BlockFold all(k, thread, count, {i64, i64, f64});
    block = &all;

    Type f32 = b.getF32Type();
    bool penalized = cpu::isPenalized(op);
    auto logit = [&](Value i) { return penalized ? k.load(list, f32, k.mul(i, k.idx(2)), 1) : cpu::sampleLogit(k, op, row, i); };
    if (penalized) {
      auto put = [&](Value i, Value x) { k.store(x, list, f32, k.mul(i, k.idx(2))); };
      auto load = [&](Value j) { return cpu::sampleLogit(k, op, row, token(k, j)); };
      each(k, mine, {}, load, [&](Value j, Value x, ValueRange) -> Values {
        put(token(k, j), x);
        return {};
      });
      tile::BarrierOp::create(b);
      cpu::penalizeHistory(k, op, row, thread, k.idx(count), put);
      tile::BarrierOp::create(b);
    }
    // The first of the best tokens.
    cpu::Extremum extremum{/*max=*/true, /*last=*/false};
    Values none{k.constant(f32, -std::numeric_limits<double>::infinity()), k.idx(0)};
    auto logitOf = [&](Value j) { return logit(token(k, j)); };
    Values best = each(k, mine, none, logitOf, [&](Value j, Value x, ValueRange v) -> Values {
      return cpu::Extremum::choose(k, extremum.overtakes(k, x, v[0]), {x, token(k, j)}, v);
    });
    best = all(best, [&](ValueRange x, ValueRange y) { return extremum.join(k, x, y); });
    Value drawn = best[1];
    if (!op.getTemperature().isZero()) {
      each(k, mine, {}, logitOf, [&](Value j, Value x, ValueRange) -> Values {
        k.store(cpu::sampleWeight(k, op, x, best[0]), weights, f64, token(k, j));
        return {};
      });
      drawn = draw(k, row, best[1], best[0]);
    }
    k.ifThen(k.compare(Is::eq, thread, k.idx(0)), [&] { cpu::storeToken(k, row, drawn); });
  }

private:
  Value token(KernelBuilder &k, Value j) { return k.add(first, k.mul(j, k.idx(32))); }
  Value real(KernelBuilder &k, Real p, Value x, Value y) { return arith::CmpFOp::create(k.b, p, x, y); }
  Value select(KernelBuilder &k, Value cond, Value x, Value y) { return arith::SelectOp::create(k.b, cond, x, y); }
  Value both(KernelBuilder &k, Value x, Value y) { return arith::AndIOp::create(k.b, x, y); }
  Value plus(KernelBuilder &k, Value x, Value y) { return arith::AddFOp::create(k.b, x, y); }
  Value bitsOf(KernelBuilder &k, Value w) { return arith::BitcastOp::create(k.b, i64, w); }
  Value weightAt(KernelBuilder &k, Value i) { return k.load(weights, f64, i, 1); }

  /// body(j, load(j), carried) for j = 0, 1, ... below `last`; loads come in rounds before what is stored.
  Values each(KernelBuilder &k, Value last, ValueRange init, llvm::function_ref<Value(Value j)> load,
              llvm::function_ref<Values(Value j, Value x, ValueRange carried)> body) {
    auto steps = [&](Value j, int64_t many, ValueRange carried) {
      Values loaded, next(carried);
      for (int64_t u = 0; u < many; ++u)
        loaded.push_back(load(k.add(j, k.idx(u))));
      for (int64_t u = 0; u < many; ++u)
        next = body(k.add(j, k.idx(u)), loaded[u], next);
      return next;
    };
    Value whole = k.mul(k.div(last, k.idx(kUnroll)), k.idx(kUnroll));
    Values done = k.forLoop(k.idx(0), whole, k.idx(kUnroll), init, [&](Value j, ValueRange c) { return steps(j, kUnroll, c); });
    return k.forLoop(whole, last, k.idx(1), done, [&](Value j, ValueRange c) { return steps(j, 1, c); });
  }
  Values eachWeight(KernelBuilder &k, ValueRange init, llvm::function_ref<Values(Value j, Value w, ValueRange carried)> body) {
    return each(k, mine, init, [&](Value j) { return weightAt(k, token(k, j)); }, body);
  }

  Value sum(KernelBuilder &k, Value part) {
    return (*block)({part}, [&](ValueRange x, ValueRange y) -> Values { return {plus(k, x[0], y[0])}; })[0];
  }

  /// The first token at which measures, added to `before` in the order of tokens, pass the goal; the last one with any if rounding leaves
  /// none.
  Value find(KernelBuilder &k, Value before, Value goal, Real passes, llvm::function_ref<Value(Value token)> measure) {
    auto &b = k.b;
    Value warps = k.idx(block->warps), one = k.idx(1);
    // Warps have a part each of the range that it is in; the part that it is in is the next range.
    return k.whileLoop(
        {k.idx(0), tokens, before}, [&](ValueRange v) { return k.compare(Is::sgt, v[1], one); },
        [&](ValueRange v) -> Values {
          Value end = k.add(v[0], v[1]), size = k.ceilDiv(v[1], warps);
          Value from = k.add(v[0], k.mul(warp, size)), to = k.min(k.add(from, size), end);
          Value part = k.forLoop(k.add(from, lane), to, k.idx(32), zero,
                                 [&](Value i, ValueRange c) -> Values { return {plus(k, c[0], measure(i))}; })[0];
          part = foldLanes(k, part, 32, [&](ValueRange x, ValueRange y) -> Values { return {plus(k, x[0], y[0])}; })[0];
          auto read = block->share(part);
          Value nobody = k.idx(-1);
          Values w = k.forLoop(k.idx(0), warps, one, {v[2], nobody, v[2], k.idx(0), v[2]}, [&](Value i, ValueRange c) -> Values {
            Value more = read(i)[0], next = plus(k, c[0], more), some = real(k, Real::OGT, more, zero);
            Value hit = both(k, both(k, some, real(k, passes, next, goal)), k.compare(Is::eq, c[1], nobody));
            return {next, select(k, hit, i, c[1]), select(k, hit, c[0], c[2]), select(k, some, i, c[3]), select(k, some, c[0], c[4])};
          });
          Value found = k.compare(Is::ne, w[1], nobody), which = select(k, found, w[1], w[3]);
          Value begin = k.add(v[0], k.mul(which, size));
          return {begin, arith::MinSIOp::create(b, size, k.sub(end, begin)), select(k, found, w[2], w[4])};
        })[0];
  }

  /// Sets weights to zero that are not among the first, in order of weight and then of token, whose measures add up to `goal`.
  void keepFirst(KernelBuilder &k, Value goal, llvm::function_ref<Value(Value weight)> measure) {
    auto &b = k.b;
    Value one = k.constantInt(i64, 1), most = k.constantInt(i64, std::numeric_limits<int64_t>::max());
    Value length =
        eachWeight(k, k.idx(0), [&](Value, Value w, ValueRange c) -> Values { return {put(k, c[0], w, real(k, Real::OGT, w, zero))}; })[0];
    auto entry = [&](Value j) { return k.load(list, f64, token(k, j), 1); };
    // The threshold is in [lo, hi): enough is at lo or above, if there ever is, and not at hi, where `above` is.
    Values range{one, k.constantInt(i64, 0x3ff0000000000001), zero, length};
    range = k.whileLoop(
        range, [&](ValueRange v) { return k.compare(Is::sgt, arith::SubIOp::create(b, v[1], v[0]), one); },
        [&](ValueRange v) -> Values {
          Value lo = v[0], hi = v[1], above = v[2];
          Value middle = arith::AddIOp::create(b, lo, arith::ShRUIOp::create(b, arith::SubIOp::create(b, hi, lo), one));
          Values found = each(k, v[3], {most, one, zero, k.idx(0)}, entry, [&](Value, Value w, ValueRange c) -> Values {
            Value x = bitsOf(k, w), inside = both(k, k.compare(Is::sge, x, lo), k.compare(Is::slt, x, hi));
            Value counts = both(k, inside, k.compare(Is::sge, x, middle));
            return {select(k, inside, arith::MinSIOp::create(b, x, c[0]), c[0]),
                    select(k, inside, arith::MaxSIOp::create(b, x, c[1]), c[1]), select(k, counts, plus(k, c[2], measure(w)), c[2]),
                    put(k, c[3], w, inside)};
          });
          Values all = (*block)({found[0], found[1], found[2]}, [&](ValueRange x, ValueRange y) -> Values {
            return {arith::MinSIOp::create(b, x[0], y[0]), arith::MaxSIOp::create(b, x[1], y[1]), plus(k, x[2], y[2])};
          });
          Value more = plus(k, above, all[2]), enough = real(k, Real::OGE, more, goal);
          lo = select(k, enough, middle, lo), hi = select(k, enough, hi, middle), above = select(k, enough, above, more);
          // What is still in question lies between the extremes of the list. Where that is nothing, there is never enough: all are kept.
          Value least = arith::MaxSIOp::create(b, lo, all[0]), last = arith::MinSIOp::create(b, hi, arith::AddIOp::create(b, all[1], one));
          Value empty = k.compare(Is::sge, least, last);
          return {select(k, empty, lo, least), select(k, empty, lo, last), above, found[3]};
        });
    Value threshold = range[0], above = range[2];
    // Of ties those of the first tokens, as long as what is before them is not enough.
    Value tied = arith::BitcastOp::create(b, f64, threshold), each = measure(tied);
    Value ties = this->each(k, range[3], zero, entry, [&](Value, Value w, ValueRange c) -> Values {
      return {select(k, k.compare(Is::eq, bitsOf(k, w), threshold), plus(k, c[0], k.constant(f64, 1)), c[0])};
    })[0];
    Value before = plus(k, above, arith::MulFOp::create(b, arith::SubFOp::create(b, sum(k, ties), k.constant(f64, 1)), each));
    Value last = k.ifElse(
        real(k, Real::OLT, before, goal), [&]() -> Values { return {tokens}; },
        [&]() -> Values {
          return {find(k, above, goal, Real::OGE,
                       [&](Value i) { return select(k, k.compare(Is::eq, bitsOf(k, weightAt(k, i)), threshold), each, zero); })};
        })[0];
    eachWeight(k, {}, [&](Value j, Value w, ValueRange) -> Values {
      Value x = bitsOf(k, w), i = token(k, j);
      Value kept = both(k, k.compare(Is::eq, x, threshold), k.compare(Is::sle, i, last));
      kept = arith::OrIOp::create(b, kept, k.compare(Is::sgt, x, threshold));
      k.store(select(k, kept, w, zero), weights, f64, i);
      return {};
    });
  }

  /// Writes entry `at` of the thread's list; returns how many there are if it is one.
  Value put(KernelBuilder &k, Value at, Value w, Value stays) {
    k.store(w, list, f64, token(k, at));
    return k.add(at, select(k, stays, k.idx(1), k.idx(0)));
  }

  Value draw(KernelBuilder &k, Value row, Value best, Value top) {
    auto &b = k.b;
    auto total = [&](llvm::function_ref<Value(Value)> kept) {
      return sum(k, eachWeight(k, zero, [&](Value, Value w, ValueRange c) -> Values { return {plus(k, c[0], kept(w))}; })[0]);
    };
    auto itself = [](Value w) { return w; };
    if (static_cast<int64_t>(op.getTopK()) > 0)
      keepFirst(k, k.constant(f64, static_cast<double>(op.getTopK())), [&](Value) { return k.constant(f64, 1); });
    if (double p = op.getTopP().convertToDouble(); p < 1)
      keepFirst(k, arith::MulFOp::create(b, total(itself), k.constant(f64, p)), itself);
    double least = op.getMinP().convertToDouble();
    auto kept = [&](Value w) { return least > 0 ? select(k, real(k, Real::OLT, w, k.constant(f64, least)), zero, w) : w; };
    Value all = total(kept), target = arith::MulFOp::create(b, cpu::sampleUniform(k, op, row), all);
    Value drawn = find(k, zero, target, Real::OGT, [&](Value i) { return kept(weightAt(k, i)); });
    return cpu::drawnOrBest(k, select(k, real(k, Real::OGT, all, zero), drawn, best), best, top);
  }

  SampleOp op;
  int64_t count; ///< threads
  // Of the program:
  Type f64, i64;
  Value zero, tokens, lane, warp, weights, list;
  Value first, mine; ///< the thread's first token, and how many it has
  BlockFold *block = nullptr;
};

} // namespace

std::unique_ptr<Generator> createTiledSample(SampleOp op, const GpuTarget &) { return std::make_unique<TiledSample>(op); }

} // namespace leat::cuda
