// Operators that move elements by position: windows, joins, permutations, padding, and tensors made from positions alone.
#include "passes/Import/BodyOps.h"
#include "passes/Import/Handlers.h"
#include "passes/Import/RuntimeAxes.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::import {

static LogicalResult transpose(OpContext &c) {
  int64_t rank = c.rank(0);
  SmallVector<int64_t> perm(rank);
  for (int64_t i = 0; i < rank; ++i)
    perm[i] = rank - 1 - i;
  if (auto given = c.integers("perm")) {
    if (!isPermutationVector(*given) || static_cast<int64_t>(given->size()) != rank)
      return c.fail("attribute 'perm' is no permutation of the axes of a tensor of rank " + Twine(rank));
    perm = *given;
  }
  return c.done(c.b.transpose(c.operand(0), perm));
}

static LogicalResult concat(OpContext &c) {
  auto axis = c.axis("axis", 1, c.rank(0));
  if (failed(axis))
    return failure();
  for (int64_t i = 1; i < c.numOperands(); ++i)
    if (c.rank(i) != c.rank(0) || c.elem(i) != c.elem(0))
      return c.fail("its operands differ in rank or element type");
  return c.done(c.b.concat(c.operands(), *axis));
}

/// v[..., start + i * step, ...] for any step: a window, or reads from computed positions where the step is negative.
static Value strided(GraphBuilder &b, Value v, ArrayRef<OpFoldResult> starts, ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> steps) {
  if (llvm::all_of(steps, [](int64_t s) { return s > 0; }))
    return b.slice(v, starts, sizes, steps);
  if (auto known = b.knownScalars(v); known && GraphBuilder::rank(v) == 1 && b.math.asConstant(starts[0]) && b.math.asConstant(sizes[0])) {
    Dims part;
    int64_t at = *b.math.asConstant(starts[0]);
    for (int64_t i = 0, n = *b.math.asConstant(sizes[0]); i < n; ++i, at += steps[0])
      part.push_back((*known)[at]);
    return b.fromScalars(part, {static_cast<int64_t>(part.size())}, GraphBuilder::elem(v));
  }
  SmallVector<Value> first = b.math.values(starts);
  return b.generate(sizes, GraphBuilder::elem(v), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    SmallVector<Value> indices;
    for (auto [i, step] : llvm::enumerate(steps)) {
      Value s = arith::ConstantIndexOp::create(ob, l, step);
      indices.push_back(arith::AddIOp::create(ob, l, first[i], arith::MulIOp::create(ob, l, at[i], s)));
    }
    return tensor::ExtractOp::create(ob, l, v, indices);
  });
}

/// Slice whose axes or steps are host scalars: every axis reads from start + i * step, with 0 and 1 where the axis is not named.
static LogicalResult sliceAtRunTime(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value v = c.operand(0);
  Dims own = b.dims(v);
  FailureOr<Dims> starts = c.scalars(1), ends = c.scalars(2);
  if (failed(starts) || failed(ends) || starts->size() != ends->size())
    return c.fail("the number of its windows is not known");
  Dims axes, steps(starts->size(), m.constant(1));
  for (size_t i = 0; i < starts->size(); ++i)
    axes.push_back(m.constant(i));
  for (auto [i, list] : {std::make_pair(3, &axes), std::make_pair(4, &steps)})
    if (c.has(i)) {
      FailureOr<Dims> given = c.scalars(i);
      if (failed(given) || given->size() != starts->size())
        return c.fail("its starts, ends, axes and steps differ in length");
      *list = *given;
    }
  OpFoldResult zero = m.constant(0), one = m.constant(1);
  Dims zeros(own.size(), zero), ones(own.size(), one);
  Dims first = valuesByAxis(b, axes, *starts, zeros), last = valuesByAxis(b, axes, *ends, own), step = valuesByAxis(b, axes, steps, ones);
  Dims sizes;
  SmallVector<Value> begin, stride;
  for (size_t a = 0; a < own.size(); ++a) {
    OpFoldResult d = own[a];
    OpFoldResult least = m.selectNegative(step[a], m.constant(-1), zero), most = m.selectNegative(step[a], m.sub(d, one), d);
    auto place = [&](OpFoldResult p) { return m.max(m.min(m.selectNegative(p, m.add(p, d), p), most), least); };
    OpFoldResult start = place(first[a]);
    // The step, rounded up away from zero, over the distance.
    OpFoldResult span = m.add(m.sub(place(last[a]), start), m.sub(step[a], m.selectNegative(step[a], m.constant(-1), one)));
    sizes.push_back(m.max(m.div(span, step[a]), zero));
    begin.push_back(m.value(start));
    stride.push_back(m.value(step[a]));
  }
  return c.done(b.generate(sizes, GraphBuilder::elem(v), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    SmallVector<Value> indices;
    for (auto [i, from, by] : llvm::zip(at, begin, stride))
      indices.push_back(arith::AddIOp::create(ob, l, from, arith::MulIOp::create(ob, l, i, by)));
    return tensor::ExtractOp::create(ob, l, v, indices);
  }));
}

static LogicalResult slice(OpContext &c) {
  if (c.version() >= 10 && ((c.has(3) && !c.b.asConstantInts(c.operand(3))) || (c.has(4) && !c.b.asConstantInts(c.operand(4)))))
    return sliceAtRunTime(c);
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value v = c.operand(0);
  Dims own = b.dims(v);
  int64_t rank = own.size();
  FailureOr<Dims> starts = failure(), ends = failure();
  SmallVector<int64_t> axes, steps;
  if (c.version() < 10) {
    auto s = c.integers("starts"), e = c.integers("ends");
    if (!s || !e)
      return c.fail("it needs the attributes 'starts' and 'ends'");
    starts = b.staticDims(*s);
    ends = b.staticDims(*e);
    axes = c.integers("axes").value_or(SmallVector<int64_t>{});
  } else {
    starts = c.scalars(1);
    ends = c.scalars(2);
    for (auto [i, list] : {std::make_pair(3, &axes), std::make_pair(4, &steps)})
      if (c.has(i))
        *list = *b.asConstantInts(c.operand(i));
  }
  if (failed(starts) || failed(ends))
    return c.fail("the number of its windows is not known");
  if (axes.empty() && !(c.version() >= 10 && c.has(3)))
    for (size_t i = 0; i < starts->size(); ++i)
      axes.push_back(i);
  if (steps.empty())
    steps.assign(axes.size(), 1);
  if (axes.size() != starts->size() || ends->size() != starts->size() || steps.size() != axes.size())
    return c.fail("its starts, ends, axes and steps differ in length");

  Dims offsets(rank, m.constant(0)), sizes = own;
  SmallVector<int64_t> strides(rank, 1);
  for (auto [i, given] : llvm::enumerate(axes)) {
    auto axis = GraphBuilder::normalizeAxis(given, rank);
    if (!axis)
      return c.fail("axis " + Twine(given) + " is out of range for a tensor of rank " + Twine(rank));
    OpFoldResult d = own[*axis];
    int64_t step = steps[i];
    if (step == 0)
      return c.fail("a step is 0");
    // Positions as Python has them: from the end when negative, moved into the range that the step can reach.
    OpFoldResult least = m.constant(step > 0 ? 0 : -1), most = step > 0 ? d : m.sub(d, m.constant(1));
    auto place = [&](OpFoldResult p) {
      if (auto k = m.asConstant(p)) {
        if (*k >= INT32_MAX)
          return most;
        if (*k <= INT32_MIN)
          return least;
      }
      OpFoldResult at = m.selectNegative(p, m.add(p, d), p);
      return m.max(m.min(at, most), least);
    };
    OpFoldResult start = place((*starts)[i]), end = place((*ends)[i]);
    OpFoldResult span = step > 0 ? m.sub(end, start) : m.sub(start, end);
    OpFoldResult size = m.max(m.ceilDiv(m.max(span, m.constant(0)), m.constant(std::abs(step))), m.constant(0));
    offsets[*axis] = m.asConstant(size) == 0 ? m.constant(0) : start;
    sizes[*axis] = size;
    strides[*axis] = step;
  }
  return c.done(strided(b, v, offsets, sizes, strides));
}

static LogicalResult split(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value v = c.operand(0);
  auto axis = c.axis("axis", 0, c.rank(0));
  if (failed(axis))
    return failure();
  int64_t outputs = c.numResults();
  OpFoldResult d = b.dim(v, *axis);
  Dims sizes;
  if (auto attr = c.integers("split")) {
    sizes = b.staticDims(*attr);
  } else if (c.version() >= 13 && c.has(1)) {
    FailureOr<Dims> given = c.scalars(1);
    if (failed(given))
      return c.fail("the length of operand 1 (split) is not known");
    sizes = *given;
  } else {
    int64_t n = c.integer("num_outputs", outputs);
    OpFoldResult chunk = m.ceilDiv(d, m.constant(n));
    if (c.version() < 18)
      b.require(m.mul(chunk, m.constant(n)), d, "its axis does not split into equal parts");
    for (int64_t i = 0; i < n; ++i) {
      OpFoldResult rest = m.sub(d, m.mul(m.constant(i), chunk));
      sizes.push_back(i + 1 < n && m.divides(m.constant(n), d) ? chunk : m.max(m.min(rest, chunk), m.constant(0)));
    }
  }
  if (static_cast<int64_t>(sizes.size()) != outputs)
    return c.fail("it has " + Twine(outputs) + " results but splits into " + Twine(sizes.size()));
  OpFoldResult at = m.constant(0);
  for (int64_t i = 0; i < outputs; ++i) {
    c.setResult(i, b.sliceAxis(v, *axis, m.asConstant(sizes[i]) == 0 ? m.constant(0) : at, sizes[i]));
    at = m.add(at, sizes[i]);
  }
  if (c.hasAttr("split") || (c.version() >= 13 && c.has(1)))
    b.require(at, d, "its parts do not add up to the size of its axis");
  return success();
}

static LogicalResult tile(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  FailureOr<Dims> repeats = c.scalars(1);
  Dims own = b.dims(v);
  if (failed(repeats) || repeats->size() != own.size())
    return c.fail("it needs one repeat count per axis");
  if (auto known = b.knownScalars(v); known && own.size() == 1)
    if (auto n = b.math.asConstant((*repeats)[0]); n && *n * known->size() <= 64) {
      Dims all;
      for (int64_t i = 0; i < *n; ++i)
        all.append(known->begin(), known->end());
      return c.done(b.fromScalars(all, {static_cast<int64_t>(all.size())}, GraphBuilder::elem(v)));
    }
  // [d] -> [1, d] -> [n, d] -> [n * d] for every axis that is repeated.
  Dims opened, spread, result;
  for (auto [d, n] : llvm::zip(own, *repeats)) {
    result.push_back(b.math.mul(d, n));
    if (b.math.asConstant(n) != 1 && b.math.asConstant(d) != 1) {
      opened.push_back(b.math.constant(1));
      spread.push_back(n);
    }
    opened.push_back(d);
    spread.push_back(b.math.asConstant(d) == 1 ? n : d);
  }
  return c.done(b.reshape(b.broadcastTo(b.reshape(v, opened), spread), result));
}

static LogicalResult pad(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value v = c.operand(0);
  Dims own = b.dims(v);
  int64_t rank = own.size();
  FailureOr<Dims> pads = failure();
  Type elem = GraphBuilder::elem(v);
  Value fill;
  if (c.version() < 11) {
    if (auto attr = c.integers("pads"))
      pads = b.staticDims(*attr);
  } else {
    pads = c.scalars(1);
  }
  Dims axes;
  if (c.has(3)) {
    FailureOr<Dims> given = c.scalars(3);
    if (failed(given))
      return c.fail("the number of its axes (operand 3) is not known");
    axes = *given;
  } else {
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(m.constant(i));
  }
  if (failed(pads) || pads->size() != 2 * axes.size())
    return c.fail("it needs two pads per axis");
  ArrayRef<OpFoldResult> all(*pads);
  Dims low(rank, m.constant(0)), high = low;
  if (llvm::any_of(axes, [&](OpFoldResult a) { return !m.asConstant(a); })) {
    low = valuesByAxis(b, axes, all.take_front(axes.size()), low);
    high = valuesByAxis(b, axes, all.drop_front(axes.size()), high);
  } else {
    for (auto [i, a] : llvm::enumerate(axes)) {
      auto n = GraphBuilder::normalizeAxis(*m.asConstant(a), rank);
      if (!n)
        return c.fail("axis " + Twine(*m.asConstant(a)) + " is out of range for a tensor of rank " + Twine(rank));
      low[*n] = all[i];
      high[*n] = all[i + axes.size()];
    }
  }
  std::string mode = c.text("mode", "constant");
  if (mode == "constant") {
    if (c.version() < 11) {
      fill = b.scalar(b.attr(elem, c.real("value", 0)));
    } else if (c.has(2)) {
      FailureOr<Dims> s = c.scalars(2);
      if (failed(s) || s->size() != 1)
        return c.fail("its padding value is no scalar");
      fill = b.materialize((*s)[0], elem);
    } else {
      fill = b.scalar(b.attr(elem, 0.0));
    }
    // Negative pads cut.
    Dims offsets, sizes;
    for (int64_t i = 0; i < rank; ++i) {
      OpFoldResult zero = m.constant(0);
      OpFoldResult cutLow = m.max(m.sub(zero, low[i]), zero), cutHigh = m.max(m.sub(zero, high[i]), zero);
      offsets.push_back(cutLow);
      sizes.push_back(m.sub(m.sub(own[i], cutLow), cutHigh));
      low[i] = m.max(low[i], zero);
      high[i] = m.max(high[i], zero);
    }
    return c.done(b.pad(b.slice(v, offsets, sizes), low, high, fill));
  }
  if (mode != "edge" && mode != "reflect" && mode != "wrap")
    return c.fail("attribute 'mode' = \"" + mode + "\" is unknown");
  Dims result;
  for (int64_t i = 0; i < rank; ++i)
    result.push_back(m.add(m.add(own[i], low[i]), high[i]));
  SmallVector<Value> lows = m.values(low), sizes = m.values(own);
  return c.done(b.generate(result, elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    SmallVector<Value> indices;
    Value zero = arith::ConstantIndexOp::create(ob, l, 0), one = arith::ConstantIndexOp::create(ob, l, 1);
    auto wrap = [&](Value p, Value period) {
      Value r = o.make<arith::RemSIOp>(p, period);
      return o.select(o.lt(r, zero), o.add(r, period), r);
    };
    for (int64_t i = 0; i < rank; ++i) {
      if (m.asConstant(low[i]) == 0 && m.asConstant(high[i]) == 0) {
        indices.push_back(at[i]);
        continue;
      }
      Value p = o.sub(at[i], lows[i]), last = o.sub(sizes[i], one);
      if (mode == "edge") {
        p = o.max(o.min(p, last), zero);
      } else if (mode == "wrap") {
        p = wrap(p, o.max(sizes[i], one));
      } else {
        Value period = o.max(o.add(last, last), one);
        p = wrap(p, period);
        p = o.select(o.le(p, last), p, o.sub(period, p));
      }
      indices.push_back(p);
    }
    return tensor::ExtractOp::create(ob, l, v, indices);
  }));
}

/// What DepthToSpace and SpaceToDepth ask of their operand and blocks.
static LogicalResult checkBlocks(OpContext &c) {
  if (c.rank(0) != 4)
    return c.fail("it needs a tensor of rank 4");
  if (c.integer("blocksize") < 1)
    return c.fail("attribute 'blocksize' has to be positive");
  return success();
}

static LogicalResult depthToSpace(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  if (failed(checkBlocks(c)))
    return failure();
  OpFoldResult s = m.constant(c.integer("blocksize"));
  Dims d = b.dims(c.operand(0));
  OpFoldResult depth = m.div(d[1], m.mul(s, s));
  bool columnFirst = c.text("mode", "DCR") == "CRD";
  Dims opened = columnFirst ? Dims{d[0], depth, s, s, d[2], d[3]} : Dims{d[0], s, s, depth, d[2], d[3]};
  SmallVector<int64_t> perm = columnFirst ? SmallVector<int64_t>{0, 1, 4, 2, 5, 3} : SmallVector<int64_t>{0, 3, 4, 1, 5, 2};
  Value v = b.transpose(b.reshape(c.operand(0), opened), perm);
  return c.done(b.reshape(v, {d[0], depth, m.mul(d[2], s), m.mul(d[3], s)}));
}

static LogicalResult spaceToDepth(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  if (failed(checkBlocks(c)))
    return failure();
  OpFoldResult s = m.constant(c.integer("blocksize"));
  Dims d = b.dims(c.operand(0));
  OpFoldResult h = m.div(d[2], s), w = m.div(d[3], s);
  bool columnFirst = c.text("mode", "DCR") == "CRD";
  SmallVector<int64_t> perm = columnFirst ? SmallVector<int64_t>{0, 1, 3, 5, 2, 4} : SmallVector<int64_t>{0, 3, 5, 1, 2, 4};
  Value v = b.transpose(b.reshape(c.operand(0), {d[0], d[1], h, s, w, s}), perm);
  return c.done(b.reshape(v, {d[0], m.mul(d[1], m.mul(s, s)), h, w}));
}

static LogicalResult trilu(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  int64_t rank = c.rank(0);
  if (rank < 2)
    return c.fail("it needs a tensor of rank 2 or more");
  Value k = b.math.value(b.math.constant(0));
  if (c.has(1)) {
    FailureOr<Dims> s = c.scalars(1);
    if (failed(s) || s->size() != 1)
      return c.fail("operand 1 (k) is no scalar");
    k = b.math.value((*s)[0]);
  }
  bool upper = c.flag("upper", true);
  Type elem = GraphBuilder::elem(v);
  return c.done(b.map({v}, {b.ops.getMultiDimIdentityMap(rank)}, b.dims(v), elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
    BodyOps o{ob, l};
    Value row = linalg::IndexOp::create(ob, l, rank - 2), column = linalg::IndexOp::create(ob, l, rank - 1);
    Value diagonal = o.add(row, k);
    Value keep = upper ? o.ge(column, diagonal) : o.le(column, diagonal);
    return o.select(keep, a[0], o.c(elem, 0));
  }));
}

static LogicalResult range(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Type elem = c.elem(0);
  SmallVector<OpFoldResult> s;
  for (int64_t i = 0; i < 3; ++i) {
    FailureOr<Dims> one = c.scalars(i);
    if (failed(one) || one->size() != 1)
      return c.fail("operand " + Twine(i) + " is no scalar");
    s.push_back((*one)[0]);
  }
  OpFoldResult count;
  bool hostInts = elem.isInteger(32) || elem.isInteger(64);
  if (hostInts) {
    OpFoldResult span = m.sub(s[1], s[0]);
    if (m.asConstant(s[2]) == 0)
      return c.fail("its step is 0");
    if (m.asConstant(s[2]).value_or(-1) > 0)
      count = m.ceilDiv(m.max(span, m.constant(0)), s[2]);
    else
      count = m.max(m.ceilDiv(span, s[2]), m.constant(0));
  } else {
    Value n = b.elementwise(c.operands(), b.ops.getI64Type(), [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l};
      Type f64 = ob.getF64Type();
      Value q = o.div(o.sub(o.convert(a[1], f64), o.convert(a[0], f64)), o.convert(a[2], f64));
      return o.convert(o.make<math::CeilOp>(q), ob.getI64Type());
    });
    FailureOr<Dims> known = b.asScalars(n);
    count = m.max((*known)[0], m.constant(0));
  }
  if (auto n = m.asConstant(count); hostInts && n && *n <= 64) {
    Dims all;
    for (int64_t i = 0; i < *n; ++i)
      all.push_back(m.add(s[0], m.mul(m.constant(i), s[2])));
    return c.done(b.fromScalars(all, {*n}, elem));
  }
  Type wide = computeType(elem);
  Value start = b.materialize(s[0], elem), step = b.materialize(s[2], elem);
  return c.done(b.generate({count}, elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value i = arith::IndexCastOp::create(ob, l, isa<FloatType>(elem) ? ob.getI64Type() : elem, at[0]);
    Value x = o.add(o.convert(start, wide), o.mul(o.convert(i, wide), o.convert(step, wide)));
    return o.convert(x, elem);
  }));
}

/// The type of attribute 'dtype', or `fallback`.
static Type dtypeOr(OpContext &c, Type fallback) {
  Type onnx = typeFromOnnxDataType(c.node.getContext(), c.integer("dtype", 0));
  return onnx ? convertElementType(onnx) : fallback;
}

static LogicalResult eyeLike(OpContext &c) {
  if (c.rank(0) != 2)
    return c.fail("it needs a tensor of rank 2");
  Type elem = dtypeOr(c, c.elem(0));
  int64_t k = c.integer("k", 0);
  return c.done(c.b.generate(c.b.dims(c.operand(0)), elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value diagonal = o.add(at[0], arith::ConstantIndexOp::create(ob, l, k));
    return o.select(o.eq(at[1], diagonal), o.c(elem, 1), o.c(elem, 0));
  }));
}

static LogicalResult oneHot(OpContext &c) {
  GraphBuilder &b = c.b;
  Value indices = c.operand(0), values = c.operand(2);
  int64_t rank = c.rank(0) + 1;
  auto axis = c.axis("axis", -1, rank);
  if (failed(axis))
    return failure();
  if (c.rank(2) != 1)
    return c.fail("its values have rank " + Twine(c.rank(2)) + "; it needs two, for off and on");
  b.require(b.dim(values, 0), b.math.constant(2), "its values are not two");
  Value depthTensor = b.convert(c.operand(1), b.ops.getI64Type(), c.isUnsigned(1));
  FailureOr<Dims> depth = b.asScalars(depthTensor);
  if (failed(depth) || depth->size() != 1)
    return c.fail("operand 1 (depth) is no scalar");
  Dims result = b.dims(indices);
  result.insert(result.begin() + *axis, (*depth)[0]);
  SmallVector<AffineExpr> exprs;
  for (int64_t i = 0; i < rank; ++i)
    if (i != *axis)
      exprs.push_back(b.ops.getAffineDimExpr(i));
  Type elem = GraphBuilder::elem(values);
  Value d = b.math.value((*depth)[0]);
  bool isUnsigned = c.isUnsigned(0);
  return c.done(b.map({indices}, {AffineMap::get(rank, 0, exprs, b.ops.getContext())}, result, elem,
                      [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
                        BodyOps o{ob, l, isUnsigned};
                        Value zero = arith::ConstantIndexOp::create(ob, l, 0), one = arith::ConstantIndexOp::create(ob, l, 1);
                        Value i = arith::IndexCastOp::create(ob, l, ob.getIndexType(), o.convert(a[0], ob.getI64Type()));
                        o.isUnsigned = false;
                        i = o.select(o.lt(i, zero), o.add(i, d), i);
                        Value hit = o.eq(i, linalg::IndexOp::create(ob, l, *axis));
                        Value off = tensor::ExtractOp::create(ob, l, values, zero), on = tensor::ExtractOp::create(ob, l, values, one);
                        return o.select(hit, on, off);
                      }));
}

void registerMovement(HandlerTable &t) {
  t.add("", "Transpose", 1, transpose);
  t.add("", "Concat", 1, concat);
  t.add("", "Slice", 1, slice);
  t.add("", "Split", 1, split);
  t.add("", "Tile", 6, tile);
  t.add("", "Pad", 2, pad);
  t.add("", "DepthToSpace", 1, depthToSpace);
  t.add("", "SpaceToDepth", 1, spaceToDepth);
  t.add("", "Trilu", 14, trilu);
  t.add("", "Range", 11, range);
  t.add("", "EyeLike", 9, eyeLike);
  t.add("", "OneHot", 9, oneHot);
}

} // namespace leat::import
