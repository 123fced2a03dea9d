// Operators that read or write at positions held in tensors.
#include "passes/Import/BodyOps.h"
#include "passes/Import/Gather.h"
#include "passes/Import/Handlers.h"
#include "passes/Import/RuntimeAxes.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

Value gather(GraphBuilder &b, Value data, Value indices, int64_t axis) {
  IndexMath &m = b.math;
  Dims own = b.dims(data), at = b.dims(indices);
  RankedTensorType it = GraphBuilder::type(indices);
  OpFoldResult size = own[axis];
  auto clamp = [&](OpFoldResult i) {
    i = m.selectNegative(i, m.add(i, size), i);
    return m.max(m.min(i, m.sub(size, m.constant(1))), m.constant(0));
  };
  // Constant and host positions: scalars stay scalars, one position or a run of them is a window.
  if (auto known = b.knownScalars(indices); known && it.getNumElements() > 0) {
    auto elements = b.knownScalars(data);
    auto ints = b.asConstantInts(indices);
    if (elements && own.size() == 1 && ints) {
      Dims picked;
      for (int64_t i : *ints) {
        auto n = GraphBuilder::normalizeAxis(i, elements->size());
        if (!n) {
          b.invalid("index " + Twine(i) + " is out of range for " + Twine(elements->size()) + " elements");
          return data;
        }
        picked.push_back((*elements)[*n]);
      }
      return b.fromScalars(picked, it.getShape(), GraphBuilder::elem(data));
    }
    bool run = it.getRank() == 1 && ints;
    for (size_t i = 1; run && i < ints->size(); ++i)
      run = (*ints)[i] == (*ints)[i - 1] + 1 && ((*ints)[0] >= 0) == ((*ints)[i] >= 0);
    if (known->size() == 1 || run) {
      auto last = m.asConstant(size);
      if (ints && last && ((*ints)[0] < -*last || ints->back() >= *last)) {
        b.invalid("index " + Twine(ints->back()) + " is out of range for axis " + Twine(axis) + " of size " + Twine(*last));
        return data;
      }
      OpFoldResult first = (*known)[0];
      if (ints && !last) // An unknown size: a constant position is taken to exist, as the model says.
        first = (*ints)[0] < 0 ? m.add(size, first) : first;
      else
        first = clamp(first);
      Value window = b.sliceAxis(data, axis, first, m.constant(known->size()));
      Dims result = own;
      result.erase(result.begin() + axis);
      result.insert(result.begin() + axis, at.begin(), at.end());
      return b.reshape(window, result);
    }
  }
  Dims result(own.begin(), own.begin() + axis);
  result.append(at.begin(), at.end());
  result.append(own.begin() + axis + 1, own.end());
  SmallVector<AffineExpr> exprs;
  for (size_t i = 0; i < at.size(); ++i)
    exprs.push_back(b.ops.getAffineDimExpr(axis + i));
  Value sizeValue = m.value(size);
  return b.map({indices}, {AffineMap::get(result.size(), 0, exprs, b.ops.getContext())}, result, GraphBuilder::elem(data),
               [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
                 SmallVector<Value> position;
                 for (int64_t i = 0, e = own.size(); i < e; ++i) {
                   if (i == axis)
                     position.push_back(bodyIndex(ob, l, a[0], sizeValue));
                   else
                     position.push_back(linalg::IndexOp::create(ob, l, i < axis ? i : i + at.size() - 1));
                 }
                 return tensor::ExtractOp::create(ob, l, data, position);
               });
}

static LogicalResult gatherHandler(OpContext &c) {
  auto axis = c.axis("axis", 0, c.rank(0));
  if (failed(axis))
    return failure();
  return c.done(gather(c.b, c.operand(0), c.operand(1), *axis));
}

static LogicalResult gatherElements(OpContext &c) {
  GraphBuilder &b = c.b;
  Value data = c.operand(0), indices = c.operand(1);
  auto axis = c.axis("axis", 0, c.rank(0));
  if (failed(axis))
    return failure();
  if (c.rank(0) != c.rank(1))
    return c.fail("its operands differ in rank");
  Value size = b.math.value(b.dim(data, *axis));
  int64_t rank = c.rank(0);
  for (int64_t i = 0; i < rank; ++i)
    if (i != *axis)
      b.requireWithin(b.dim(indices, i), b.dim(data, i), "its indices reach beyond axis " + Twine(i) + " of the data");
  return c.done(b.map({indices}, {b.ops.getMultiDimIdentityMap(rank)}, b.dims(indices), GraphBuilder::elem(data),
                      [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
                        SmallVector<Value> position;
                        for (int64_t i = 0; i < rank; ++i)
                          position.push_back(i == *axis ? bodyIndex(ob, l, a[0], size) : linalg::IndexOp::create(ob, l, i));
                        return tensor::ExtractOp::create(ob, l, data, position);
                      }));
}

static LogicalResult gatherND(OpContext &c) {
  GraphBuilder &b = c.b;
  Value data = c.operand(0), indices = c.operand(1);
  int64_t batch = c.integer("batch_dims", 0), q = c.rank(1), r = c.rank(0);
  auto k = q > 0 ? b.math.asConstant(b.dim(indices, q - 1)) : std::nullopt;
  if (!k)
    return c.fail("the length of its index tuples (the last size of operand 1) is not known");
  if (batch < 0 || batch > q - 1 || batch + *k > r)
    return c.fail("its index tuples have " + Twine(*k) + " positions for a tensor of rank " + Twine(r) + " with " + Twine(batch) +
                  " batch axes");
  Dims own = b.dims(data), at = b.dims(indices);
  Dims result(at.begin(), at.end() - 1);
  result.append(own.begin() + batch + *k, own.end());
  SmallVector<Value> sizes = b.math.values(own);
  return c.done(b.generate(result, GraphBuilder::elem(data), [&](OpBuilder &ob, Location l, ValueRange o) -> Value {
    SmallVector<Value> tuple(o.begin(), o.begin() + (q - 1)), position(o.begin(), o.begin() + batch);
    tuple.push_back({});
    for (int64_t j = 0; j < *k; ++j) {
      tuple.back() = arith::ConstantIndexOp::create(ob, l, j);
      position.push_back(bodyIndex(ob, l, tensor::ExtractOp::create(ob, l, indices, tuple), sizes[batch + j]));
    }
    position.append(o.begin() + (q - 1), o.end());
    return tensor::ExtractOp::create(ob, l, data, position);
  }));
}

static FailureOr<ScatterKind> scatterKind(OpContext &c) {
  std::string text = c.text("reduction", "none");
  auto kind = symbolizeScatterKind(text);
  if (!kind)
    return c.fail("attribute 'reduction' = \"" + text + "\" is unknown");
  if (c.isUnsigned(0) && !c.isBool(0) && (*kind == ScatterKind::Max || *kind == ScatterKind::Min))
    return c.fail("reduction '" + text + "' of unsigned integers is not supported");
  return *kind;
}

/// Indices as i64, from the end made positive and kept inside [0, size(column)).
static Value positions(GraphBuilder &b, Value indices, ArrayRef<OpFoldResult> sizes) {
  if (auto ints = b.asConstantInts(indices); ints && !ints->empty()) {
    bool fine = GraphBuilder::elem(indices).isInteger(64);
    for (auto [i, v] : llvm::enumerate(*ints)) {
      auto limit = b.math.asConstant(sizes[i % sizes.size()]);
      fine &= v >= 0 && limit && v < *limit;
    }
    if (fine)
      return indices;
  }
  SmallVector<Value> limits = b.math.values(sizes);
  int64_t rank = GraphBuilder::rank(indices);
  return b.map({indices}, {b.ops.getMultiDimIdentityMap(rank)}, b.dims(indices), b.ops.getI64Type(),
               [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
                 Value size = limits[0];
                 for (size_t j = 1; j < limits.size(); ++j) {
                   Value column = linalg::IndexOp::create(ob, l, rank - 1);
                   Value here = arith::CmpIOp::create(ob, l, arith::CmpIPredicate::eq, column, arith::ConstantIndexOp::create(ob, l, j));
                   size = arith::SelectOp::create(ob, l, here, limits[j], size);
                 }
                 return arith::IndexCastOp::create(ob, l, ob.getI64Type(), bodyIndex(ob, l, a[0], size));
               });
}

static LogicalResult scatterElements(OpContext &c) {
  GraphBuilder &b = c.b;
  auto axis = c.axis("axis", 0, c.rank(0));
  auto kind = scatterKind(c);
  if (failed(axis) || failed(kind))
    return failure();
  if (c.rank(1) != c.rank(0) || c.rank(2) != c.rank(0))
    return c.fail("its operands differ in rank");
  Dims dims = b.dims(c.operand(0));
  for (int64_t i = 0; i < c.rank(0); ++i) {
    b.require(b.dim(c.operand(1), i), b.dim(c.operand(2), i), "its indices and updates differ in axis " + Twine(i));
    if (i != *axis)
      b.requireWithin(b.dim(c.operand(1), i), dims[i], "its indices reach beyond axis " + Twine(i) + " of the data");
  }
  Value indices = positions(b, c.operand(1), {dims[*axis]});
  auto type = b.typeOf(dims, c.elem(0));
  return c.done(b.withDims(b.create<ScatterElementsOp>(type, c.operand(0), indices, c.operand(2), *axis, *kind), dims));
}

static LogicalResult scatterND(OpContext &c) {
  GraphBuilder &b = c.b;
  auto kind = scatterKind(c);
  if (failed(kind))
    return failure();
  Dims dims = b.dims(c.operand(0));
  int64_t q = c.rank(1);
  auto k = q > 0 ? b.math.asConstant(b.dim(c.operand(1), q - 1)) : std::nullopt;
  if (!k || *k < 1 || *k > static_cast<int64_t>(dims.size()))
    return c.fail("the length of its index tuples (the last size of operand 1) is not known or does not fit the data");
  if (c.rank(2) != q - 1 + static_cast<int64_t>(dims.size()) - *k)
    return c.fail("its updates have rank " + Twine(c.rank(2)) + ", which does not fit its data and indices");
  for (int64_t i = 0; i < c.rank(2); ++i)
    b.require(b.dim(c.operand(2), i), i < q - 1 ? b.dim(c.operand(1), i) : dims[i - (q - 1) + *k],
              "its updates do not fit its data and indices in axis " + Twine(i));
  Value indices = positions(b, c.operand(1), ArrayRef<OpFoldResult>(dims).take_front(*k));
  auto type = b.typeOf(dims, c.elem(0));
  return c.done(b.withDims(b.create<ScatterNDOp>(type, c.operand(0), indices, c.operand(2), *kind), dims));
}

/// Unsigned integers in an order that signed comparisons see: the top bit flipped. Its own inverse.
static Value flipTopBit(GraphBuilder &b, Value v) {
  Type elem = GraphBuilder::elem(v);
  unsigned width = elem.getIntOrFloatBitWidth();
  return b.elementwise({v}, elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
    Value top = arith::ConstantOp::create(ob, l, ob.getIntegerAttr(elem, APInt::getSignMask(width)));
    return arith::XOrIOp::create(ob, l, a[0], top);
  });
}

static LogicalResult topK(OpContext &c) {
  GraphBuilder &b = c.b;
  auto axis = c.axis("axis", -1, c.rank(0));
  if (failed(axis))
    return failure();
  OpFoldResult k = b.math.constant(c.integer("k", 0));
  if (c.version() >= 10) {
    FailureOr<Dims> s = c.scalars(1);
    if (failed(s) || s->size() != 1)
      return c.fail("operand 1 (K) is no scalar");
    k = (*s)[0];
  }
  bool order = c.isUnsigned(0);
  Value v = order ? flipTopBit(b, c.operand(0)) : c.operand(0);
  Dims dims = b.dims(v);
  b.requireWithin(k, dims[*axis], "it asks for more elements than there are");
  dims[*axis] = k;
  auto op = b.create<TopKOp>(TypeRange{b.typeOf(dims, c.elem(0)), b.typeOf(dims, b.ops.getI64Type())}, v,
                             b.math.asConstant(k) ? Value() : b.math.value(k), *axis, c.flag("largest", true));
  Value values = b.withDims(op.getValues(), dims);
  c.setResult(0, order ? flipTopBit(b, values) : values);
  c.setResult(1, b.withDims(op.getIndices(), dims));
  return success();
}

static LogicalResult argReduce(OpContext &c, bool max) {
  GraphBuilder &b = c.b;
  if (c.rank(0) == 0)
    return c.done(b.fromScalars({b.math.constant(0)}, {}, b.ops.getI64Type()));
  auto axis = c.axis("axis", 0, c.rank(0));
  if (failed(axis))
    return failure();
  Value v = c.isUnsigned(0) && !c.isBool(0) ? flipTopBit(b, c.operand(0)) : c.operand(0);
  Dims dims = b.dims(v);
  dims[*axis] = b.math.constant(1);
  Value r = b.withDims(b.create<ArgReduceOp>(b.typeOf(dims, b.ops.getI64Type()), v, *axis, max, c.flag("select_last_index")), dims);
  return c.done(c.flag("keepdims", true) ? r : b.squeeze(r, {*axis}));
}

static LogicalResult argMax(OpContext &c) { return argReduce(c, true); }
static LogicalResult argMin(OpContext &c) { return argReduce(c, false); }

Value nonZeroPositions(GraphBuilder &b, Value v) {
  Type i64 = b.ops.getI64Type();
  OpFoldResult rank = b.math.constant(GraphBuilder::rank(v));
  Dims room{rank, b.numElements(v)};
  auto op = b.create<NonZeroOp>(TypeRange{b.typeOf(room, i64), RankedTensorType::get({}, i64)}, v);
  b.withDims(op.getCoords(), room);
  OpFoldResult count = (*b.asScalars(op.getCount()))[0];
  b.math.assumeNonNegative(cast<Value>(count));
  return b.slice(op.getCoords(), {b.math.constant(0), b.math.constant(0)}, {rank, count});
}

static LogicalResult nonZero(OpContext &c) { return c.done(nonZeroPositions(c.b, c.operand(0))); }

static LogicalResult compress(OpContext &c) {
  GraphBuilder &b = c.b;
  Value data = c.operand(0);
  int64_t axis = 0;
  if (c.hasAttr("axis")) {
    auto given = c.axis("axis", 0, c.rank(0));
    if (failed(given))
      return failure();
    axis = *given;
  } else {
    data = b.reshape(data, {b.numElements(data)});
  }
  Value positions = nonZeroPositions(b, c.operand(1));
  return c.done(gather(b, data, b.squeeze(positions, {0}), axis));
}

/// A scan along the axis that operand 1 names.
static LogicalResult scanAxis(OpContext &c, llvm::function_ref<Value(Value v, int64_t axis)> make) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  int64_t rank = c.rank(0);
  FailureOr<Dims> given = c.scalars(1);
  if (failed(given) || given->size() != 1 || rank == 0)
    return c.fail("operand 1 (axis) is no scalar, or its operand has no axes");
  auto constant = b.math.asConstant((*given)[0]);
  if (!constant)
    return c.done(forAxis(b, (*given)[0], b.dims(v), c.elem(0), [&](int64_t axis) { return make(v, axis); }));
  auto axis = GraphBuilder::normalizeAxis(*constant, rank);
  if (!axis)
    return c.fail("axis " + Twine(*constant) + " is out of range for a tensor of rank " + Twine(rank));
  return c.done(make(v, *axis));
}

static LogicalResult cumSum(OpContext &c) {
  return scanAxis(c, [&](Value v, int64_t axis) {
    auto op = c.b.create<CumSumOp>(v.getType(), v, axis, c.flag("exclusive"), c.flag("reverse"));
    return c.b.withDims(op, c.b.dims(v));
  });
}

/// Every element the product of those before it: what an element asks for is not what its neighbour has, so that it is exact, if not quick.
static LogicalResult cumProd(OpContext &c) {
  return scanAxis(c, [&](Value v, int64_t axis) {
    GraphBuilder &b = c.b;
    bool exclusive = c.flag("exclusive"), reverse = c.flag("reverse");
    Type elem = b.elem(v), wide = computeType(elem);
    Dims dims = b.dims(v);
    int64_t rank = dims.size();
    dims.push_back(dims[axis]);
    TypedAttr one = isa<FloatType>(wide) ? b.attr(wide, 1.0) : b.attr(wide, static_cast<int64_t>(1));
    Value factors = b.generate(dims, wide, [&](OpBuilder &ob, Location l, ValueRange at) {
      BodyOps o{ob, l};
      SmallVector<Value> from(at.drop_back());
      from[axis] = at[rank];
      Value counts = reverse ? (exclusive ? o.gt(at[rank], at[axis]) : o.ge(at[rank], at[axis]))
                             : (exclusive ? o.lt(at[rank], at[axis]) : o.le(at[rank], at[axis]));
      return o.select(counts, o.convert(o.make<tensor::ExtractOp>(v, from), wide), o.make<arith::ConstantOp>(one));
    });
    Value all = b.reduce(factors, {rank}, false, one,
                         [](OpBuilder &ob, Location l, ValueRange args) { return BodyOps{ob, l}.mul(args[0], args[1]); });
    return b.convert(all, elem);
  });
}

static LogicalResult reverseSequence(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0), lengths = c.operand(1);
  int64_t batch = c.integer("batch_axis", 1), time = c.integer("time_axis", 0);
  if (c.rank(0) < 2 || batch == time || batch < 0 || batch > 1 || time < 0 || time > 1)
    return c.fail("its batch and time axes are not the first two axes of its operand");
  b.require(b.dim(lengths, 0), b.dim(v, batch), "it has not one length per row of its batch");
  Value longest = b.math.value(b.dim(v, time));
  return c.done(b.generate(b.dims(v), c.elem(0), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value length = arith::IndexCastOp::create(ob, l, ob.getIndexType(), tensor::ExtractOp::create(ob, l, lengths, at[batch]));
    length = o.min(length, longest);
    Value last = o.sub(length, arith::ConstantIndexOp::create(ob, l, 1));
    SmallVector<Value> position(at.begin(), at.end());
    position[time] = o.select(o.lt(at[time], length), o.sub(last, at[time]), at[time]);
    return tensor::ExtractOp::create(ob, l, v, position);
  }));
}

/// i64 values x[i] along the only axis.
static Value along(GraphBuilder &b, OpFoldResult size, ScalarFn body) { return b.generate({size}, b.ops.getI64Type(), body); }

/// Unique of the flattened operand: equal elements are neighbours after a sort, and what starts a group is kept.
static LogicalResult unique(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  if (c.hasAttr("axis") && c.rank(0) != 1)
    return c.fail("it compares slices along an axis; only single elements (no axis) can be compiled");
  Value v = b.reshape(c.operand(0), {b.numElements(c.operand(0))});
  bool order = c.isUnsigned(0) && !c.isBool(0);
  OpFoldResult n = b.dim(v, 0);
  Type i64 = b.ops.getI64Type();
  auto sort = [&](Value x, OpFoldResult size) {
    Value k = m.asConstant(size) ? Value() : m.value(size);
    auto op = b.create<TopKOp>(TypeRange{b.typeOf({size}, GraphBuilder::elem(x)), b.typeOf({size}, i64)}, x, k, 0, false);
    b.withDims(op.getValues(), {size});
    b.withDims(op.getIndices(), {size});
    return op;
  };
  TopKOp sorted = sort(order ? flipTopBit(b, v) : v, n);
  Value values = sorted.getValues();
  Value starts = b.generate({n}, b.ops.getI1Type(), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value zero = arith::ConstantIndexOp::create(ob, l, 0), one = arith::ConstantIndexOp::create(ob, l, 1);
    Value before = o.max(o.sub(at[0], one), zero);
    Value same = o.eq(tensor::ExtractOp::create(ob, l, values, at[0]), tensor::ExtractOp::create(ob, l, values, before));
    return o.either(o.flip(same), o.eq(at[0], zero));
  });
  Value groupStart = b.squeeze(nonZeroPositions(b, starts), {0});
  OpFoldResult groups = b.dim(groupStart, 0);
  Value first = gather(b, sorted.getIndices(), groupStart, 0), kept = gather(b, values, groupStart, 0);
  Value counts = along(b, groups, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value one = arith::ConstantIndexOp::create(ob, l, 1), last = o.sub(m.value(groups), one);
    Value next = tensor::ExtractOp::create(ob, l, groupStart, o.min(o.add(at[0], one), last));
    Value end = o.select(o.lt(at[0], last), next, arith::IndexCastOp::create(ob, l, ob.getI64Type(), m.value(n)));
    return o.sub(end, tensor::ExtractOp::create(ob, l, groupStart, at[0]));
  });
  Value group = b.create<CumSumOp>(b.typeOf({n}, i64), b.convert(starts, i64), 0, false, false);
  b.withDims(group, {n});
  // Where each group goes: its rank among the first occurrences when the order of the input is asked for.
  Value place;
  if (!c.flag("sorted", true)) {
    TopKOp byOccurrence = sort(first, groups);
    place = sort(byOccurrence.getIndices(), groups).getIndices();
    kept = gather(b, kept, byOccurrence.getIndices(), 0);
    counts = gather(b, counts, byOccurrence.getIndices(), 0);
    first = byOccurrence.getValues();
  }
  c.setResult(0, order ? flipTopBit(b, kept) : kept);
  c.setResult(1, first);
  if (c.wants(2)) {
    Value ofSorted = along(b, n, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
      Value g = tensor::ExtractOp::create(ob, l, group, at[0]);
      g = arith::SubIOp::create(ob, l, g, bodyConstant(ob, l, ob.getI64Type(), 1));
      if (!place)
        return g;
      return tensor::ExtractOp::create(ob, l, place, ValueRange{arith::IndexCastOp::create(ob, l, ob.getIndexType(), g)});
    });
    Value zeros = b.splat({n}, b.attr(i64, static_cast<int64_t>(0)));
    c.setResult(
        2, b.withDims(b.create<ScatterElementsOp>(b.typeOf({n}, i64), zeros, sorted.getIndices(), ofSorted, 0, ScatterKind::None), {n}));
  }
  c.setResult(3, counts);
  return success();
}

void registerIndexing(HandlerTable &t) {
  t.add("", "Gather", 1, gatherHandler);
  t.add("", "GatherElements", 11, gatherElements);
  t.add("", "GatherND", 11, gatherND);
  t.add("", "Scatter", 9, scatterElements);
  t.add("", "ScatterElements", 11, scatterElements);
  t.add("", "ScatterND", 11, scatterND);
  t.add("", "TopK", 1, topK);
  t.add("", "ArgMax", 1, argMax);
  t.add("", "ArgMin", 1, argMin);
  t.add("", "NonZero", 9, nonZero);
  t.add("", "Compress", 9, compress);
  t.add("", "CumSum", 11, cumSum);
  t.add("", "CumProd", 26, cumProd);
  t.add("", "Unique", 11, unique);
  t.add("", "ReverseSequence", 10, reverseSequence);
}

} // namespace leat::import
