// Attention without any cleverness: all logits, their softmax over all segments, the weighted values; its merge, and rotary embedding.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace leat {

using Combine = Decomposer::Combine;

FailureOr<SmallVector<Value>> RotaryOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  Type wide = computeType(rankedType(getInput()).getElementType());
  int64_t rotary = getRotaryDim();
  auto tables = d.broadcastSizes(getCos());
  Value half = d.index(rotary / 2), two = d.index(2), end = d.index(rotary);
  Value result = d.each(d.sizes(getInput()), rankedType(getOutput()).getElementType(), getInput(), [&](Decomposer &in, ValueRange x) {
    Value lane = in.loop(3);
    Value rotated = in.less(lane, end), safe = in.choose(rotated, lane, in.index(0));
    Value pair = getInterleaved() ? in.div(safe, two) : in.rem(safe, half);
    Value isSecond = in.equal(getInterleaved() ? in.rem(safe, two) : in.div(safe, half), in.index(1));
    Value distance = getInterleaved() ? in.index(1) : half;
    Value other = in.choose(isSecond, in.sub(safe, distance), in.add(safe, distance));
    auto table = [&](Value t) { return in.convert(in.atBroadcast(t, tables, {in.loop(0), in.loop(2), pair}), wide); };
    Value mine = in.convert(x[0], wide);
    Value partner = in.convert(in.at(getInput(), {in.loop(0), in.loop(1), in.loop(2), other}), wide);
    Value straight = in.mul(mine, table(getCos())), crossed = in.mul(partner, table(getSin()));
    return in.choose(rotated, in.choose(isSecond, in.add(straight, crossed), in.sub(straight, crossed)), mine);
  });
  return SmallVector<Value>{d.toType(result, getType())};
}

namespace {
/// The loops of attention are numbered batch, query head, query, key or value column.
struct Attend {
  KVAttendOp op;
  Decomposer d;
  Type wide;
  OpFoldResult batch, heads, queries, valueSize;
  Value zero;

  Attend(KVAttendOp op, OpBuilder &b) : op(op), d(b, op.getLoc()) {
    Value q = op.getQ()[0];
    wide = computeType(rankedType(q).getElementType());
    int64_t headDim = op.getQLayout() == "bhsd" ? 1 : 2;
    batch = d.size(q, 0), heads = d.size(q, headDim), queries = d.size(q, 3 - headDim), valueSize = d.size(op.getV()[0], 3);
  }

  int64_t keyDim() { return op.getKvLayout() == "bhsd" ? 2 : 1; }

  /// Element (row, column) of keys or values for the query head of this iteration.
  Value atKey(Decomposer &in, Value tensor, Value perKvHead, Value row, Value column) {
    SmallVector<Value> at{in.loop(0), in.div(in.loop(1), perKvHead), row, column};
    if (op.getKvLayout() == "bshd")
      std::swap(at[1], at[2]);
    return in.convert(in.at(tensor, at), wide);
  }

  Value queriesPerKvHead(Value keys) {
    return d.div(d.asIndex(heads), d.combined(d.asIndex(d.size(keys, 3 - keyDim())), d.index(1), Combine::Max));
  }

  /// What the mask program says about (batch, head, query position, key position).
  Value mask(Decomposer &in, ValueRange at) {
    Block &block = op.getVisible().front();
    IRMapping map;
    map.map(block.getArguments(), at);
    for (Operation &inner : block.without_terminator())
      in.b.clone(inner, map);
    return map.lookupOrDefault(block.getTerminator()->getOperand(0));
  }

  /// [B, Hq, S, T]: scaled, capped, biased; -inf where the key is not visible.
  Value logits(unsigned segment) {
    Value q = op.getQ()[segment], k = op.getK()[segment], perKvHead = queriesPerKvHead(k);
    OpFoldResult keys = d.size(k, keyDim());
    Decomposer::Sizes sizes{batch, heads, queries, keys, d.size(q, 3)};
    AffineMap qMap = op.getQLayout() == "bhsd" ? d.select(5, {0, 1, 2, 4}) : d.select(5, {0, 2, 1, 4});
    Value dots = d.reduce(sizes, wide, q, qMap, {0, 1, 2, 3}, Combine::Add, [&](Decomposer &in, ValueRange x) {
      return in.mul(in.convert(x[0], wide), atKey(in, k, perKvHead, in.loop(3), in.loop(4)));
    });
    sizes.pop_back();

    Value bias = op.getBias().empty() ? Value() : op.getBias()[segment],
          keyPosition = op.getKPos().empty() ? Value() : op.getKPos()[segment];
    SmallVector<Value> biasSizes = bias ? d.broadcastSizes(bias) : SmallVector<Value>();
    SmallVector<Value> positionSizes = op.getQPos() ? d.broadcastSizes(op.getQPos()) : SmallVector<Value>();
    Value keyCount = d.asIndex(d.size(op.getK()[0], keyDim())), queryCount = d.asIndex(queries);
    double softcap = op.getSoftcap().convertToDouble(), scale = op.getScale().convertToDouble();
    int64_t left = op.getWindowLeft(), right = op.getWindowRight();
    return d.each(sizes, wide, dots, [&](Decomposer &in, ValueRange x) {
      Value y = in.mul(x[0], in.constant(wide, scale));
      if (softcap > 0) {
        Value cap = in.constant(wide, softcap);
        y = in.mul(cap, math::TanhOp::create(in.b, in.loc, in.div(y, cap)));
      }
      Value here[] = {in.loop(0), in.loop(1), in.loop(2), in.loop(3)};
      if (bias)
        y = in.add(y, in.convert(in.atBroadcast(bias, biasSizes, here), wide));

      Type indexType = in.b.getIndexType();
      Value visible, length = op.getKvLen() ? in.convert(in.at(op.getKvLen(), here[0]), indexType) : Value();
      if (length)
        visible = in.both(visible, in.less(here[3], length));
      Value key = here[3];
      if (keyPosition) {
        key = in.convert(in.at(keyPosition, here[3]), indexType);
        visible = in.both(visible, in.atMost(in.index(0), key));
      }
      if (op.getCausal() || left >= 0 || right >= 0 || !op.getVisible().empty()) {
        Value query = op.getQPos() ? in.convert(in.atBroadcast(op.getQPos(), positionSizes, {here[0], here[2]}), indexType)
                                   : in.add(here[2], in.sub(length ? length : keyCount, queryCount));
        if (op.getCausal())
          visible = in.both(visible, in.atMost(key, query));
        if (left >= 0)
          visible = in.both(visible, in.atMost(in.sub(query, key), in.index(left)));
        if (right >= 0)
          visible = in.both(visible, in.atMost(in.sub(key, query), in.index(right)));
        if (!op.getVisible().empty())
          visible = in.both(visible, mask(in, {here[0], here[1], query, key}));
      }
      return visible ? in.choose(visible, y, in.neutral(wide, Combine::Max)) : y;
    });
  }

  SmallVector<Value> build() {
    AffineMap row = d.select(4, {0, 1, 2}), all = d.identity(4), perHead = d.select(3, {1});
    Decomposer::Sizes rows{batch, heads, queries};
    SmallVector<Value> segments, maxima, parts, weighted;
    SmallVector<AffineMap> maps;
    for (unsigned a = 0; a < op.getK().size(); ++a) {
      segments.push_back(logits(a));
      maxima.push_back(
          d.reduce(d.sizes(segments[a]), wide, segments[a], all, {0, 1, 2}, Combine::Max, [](Decomposer &, ValueRange x) { return x[0]; }));
      maps.push_back(d.identity(3));
    }
    if (op.getSinkBias()) {
      maxima.push_back(op.getSinkBias());
      maps.push_back(perHead);
    }
    // The largest logit of a row, or 0 if it sees nothing, so that its exponentials are 0.
    Value top = d.each(rows, wide, maxima, maps, [&](Decomposer &in, ValueRange x) {
      Value most = in.convert(x[0], wide);
      for (Value other : x.drop_front())
        most = in.combined(most, in.convert(other, wide), Combine::Max);
      return in.choose(in.isInfinite(most, /*negative=*/true), in.constant(wide, 0), most);
    });

    for (auto [a, segment] : llvm::enumerate(segments)) {
      auto sizes = d.sizes(segment);
      Value probabilities =
          d.each(sizes, wide, {segment, top}, {all, row}, [](Decomposer &in, ValueRange x) { return in.exp(in.sub(x[0], x[1])); });
      parts.push_back(d.reduce(sizes, wide, probabilities, all, {0, 1, 2}, Combine::Add, [](Decomposer &, ValueRange x) { return x[0]; }));
      Value v = op.getV()[a], perKvHead = queriesPerKvHead(op.getK()[a]);
      sizes.insert(sizes.begin() + 3, valueSize);
      weighted.push_back(
          d.reduce(sizes, wide, probabilities, d.select(5, {0, 1, 2, 4}), {0, 1, 2, 3}, Combine::Add, [&](Decomposer &in, ValueRange p) {
            // A hidden value counts for nothing, whatever it is.
            Value hidden = in.equal(p[0], in.constant(wide, 0));
            Value y = in.mul(p[0], atKey(in, v, perKvHead, in.loop(4), in.loop(3)));
            return in.choose(hidden, in.constant(wide, 0), y);
          }));
    }
    SmallVector<Value> operands(parts);
    maps.assign(parts.size(), d.identity(3));
    operands.push_back(top);
    maps.push_back(d.identity(3));
    if (op.getSinkBias()) {
      operands.push_back(op.getSinkBias());
      maps.push_back(perHead);
    }
    Value total = d.each(rows, wide, operands, maps, [&](Decomposer &in, ValueRange x) {
      Value sum = x[0];
      for (Value other : x.slice(1, parts.size() - 1))
        sum = in.add(sum, other);
      return op.getSinkBias() ? in.add(sum, in.exp(in.sub(in.convert(x.back(), wide), x[parts.size()]))) : sum;
    });

    bool swapped = op.getOLayout() == "bshd";
    AffineMap bhsd = swapped ? d.select(4, {0, 2, 1, 3}) : all, bhs = swapped ? d.select(4, {0, 2, 1}) : row;
    Decomposer::Sizes sizes{batch, heads, queries, valueSize};
    if (swapped)
      std::swap(sizes[1], sizes[2]);
    operands = weighted;
    operands.push_back(total);
    maps.assign(weighted.size(), bhsd);
    maps.push_back(bhs);
    Value output = d.each(sizes, rankedType(op.getOutput()).getElementType(), operands, maps, [&](Decomposer &in, ValueRange x) {
      Value sum = x[0], nothing = in.constant(wide, 0);
      for (Value other : x.slice(1, weighted.size() - 1))
        sum = in.add(sum, other);
      return in.choose(in.equal(x.back(), nothing), nothing, in.div(sum, x.back()));
    });
    SmallVector<Value> results{d.toType(output, op.getOutput().getType())};
    if (op.getLse()) {
      Value lse = d.each(rows, rankedType(op.getLse()).getElementType(), {top, total},
                         [](Decomposer &in, ValueRange x) { return in.add(x[0], in.log(x[1])); });
      results.push_back(d.toType(lse, op.getLse().getType()));
    }
    return results;
  }
};
} // namespace

FailureOr<SmallVector<Value>> KVAttendOp::decomposeOperation(OpBuilder &b) { return Attend(*this, b).build(); }

FailureOr<SmallVector<Value>> AttnMergeOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  unsigned parts = getValues().size();
  int64_t rank = rankedType(getOutput()).getRank();
  Type wide = computeType(rankedType(getOutput()).getElementType()), lseType = rankedType(getLse()).getElementType();
  auto sizes = d.sizes(getValues()[0]);
  Decomposer::Sizes rows(sizes.begin(), sizes.end() - 1);
  Value lse = d.each(rows, computeType(lseType), getLses(), [&](Decomposer &in, ValueRange x) {
    Value top = x[0], sum = in.constant(x[0].getType(), 0);
    for (Value other : x.drop_front())
      top = in.combined(top, other, Combine::Max);
    top = in.choose(in.isInfinite(top, /*negative=*/true), sum, top);
    for (Value part : x)
      sum = in.add(sum, in.exp(in.sub(part, top)));
    return in.add(top, in.log(sum));
  });
  SmallVector<int64_t> row;
  for (int64_t dim = 0; dim + 1 < rank; ++dim)
    row.push_back(dim);
  SmallVector<Value> operands(getValues());
  llvm::append_range(operands, getLses());
  operands.push_back(lse);
  SmallVector<AffineMap> maps(parts, d.identity(rank));
  maps.append(parts + 1, d.select(rank, row));
  Value output = d.each(sizes, rankedType(getOutput()).getElementType(), operands, maps, [&](Decomposer &in, ValueRange x) {
    Value sum = in.constant(wide, 0);
    for (unsigned a = 0; a < parts; ++a) {
      Value empty = in.isInfinite(x[parts + a], /*negative=*/true);
      Value weight = in.convert(in.exp(in.sub(x[parts + a], x.back())), wide);
      sum = in.choose(empty, sum, in.add(sum, in.mul(weight, in.convert(x[a], wide))));
    }
    return sum;
  });
  return SmallVector<Value>{d.toType(output, getOutput().getType()), d.toType(lse, getLse().getType())};
}

} // namespace leat
