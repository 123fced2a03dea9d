// Operators that combine elements along axes.
#include "passes/Import/BodyOps.h"
#include "passes/Import/Handlers.h"
#include "passes/Import/RuntimeAxes.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {
enum class Kind { Sum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp, SumSquare };
}

/// The axes of a Reduce* node, sorted; all of them when none are given (none with noop_with_empty_axes).
static FailureOr<SmallVector<int64_t>> reducedAxes(OpContext &c) {
  auto given = c.axes("axes", 1, c.rank(0));
  if (failed(given))
    return failure();
  if (*given && !(*given)->empty())
    return **given;
  if (c.flag("noop_with_empty_axes"))
    return SmallVector<int64_t>{};
  return llvm::to_vector(llvm::seq<int64_t>(0, c.rank(0)));
}

/// One reduction, over constant axes or over those that host scalars name (one after the other, each under its condition).
namespace {
struct Reducer {
  GraphBuilder &b;
  SmallVector<int64_t> axes;
  std::optional<Dims> runtime;

  Value operator()(Value v, bool keep, TypedAttr init, ScalarFn combine, ScalarFn pre = nullptr) {
    if (!runtime)
      return b.reduce(v, axes, keep, init, combine, pre);
    Value r = b.reduce(v, {}, true, init, combine, pre);
    Dims own = b.dims(r);
    SmallVector<Value> flags = axisFlags(b, *runtime, own.size());
    Dims dims = own;
    for (int64_t i = 0, e = own.size(); i < e; ++i) {
      dims[i] = b.math.select(flags[i], b.math.constant(1), own[i]);
      Value before = r;
      r = branch(b, flags[i], dims, init.getType(), [&] { return b.reduce(before, {i}, true, init, combine); }, [&] { return before; });
    }
    return keep ? r : squeeze(r, own);
  }
  Value squeeze(Value v, ArrayRef<OpFoldResult> own) {
    if (!runtime)
      return b.squeeze(v, axes);
    return b.reshape(v, dimsWithout(b, own, axisFlags(b, *runtime, own.size()), own.size() - runtime->size()));
  }
  OpFoldResult count(ArrayRef<OpFoldResult> own) {
    OpFoldResult n = b.math.constant(1);
    for (int64_t a : axes)
      n = b.math.mul(n, own[a]);
    if (runtime)
      for (auto [d, flag] : llvm::zip(own, axisFlags(b, *runtime, own.size())))
        n = b.math.mul(n, b.math.select(flag, d, b.math.constant(1)));
    return n;
  }
};
} // namespace

static TypedAttr lowest(GraphBuilder &b, Type t, bool isUnsigned) {
  if (isa<FloatType>(t))
    return b.attr(t, -infinity);
  unsigned w = t.getIntOrFloatBitWidth();
  return b.ops.getIntegerAttr(t, isUnsigned ? APInt::getZero(w) : APInt::getSignedMinValue(w));
}

static TypedAttr highest(GraphBuilder &b, Type t, bool isUnsigned) {
  if (isa<FloatType>(t))
    return b.attr(t, infinity);
  unsigned w = t.getIntOrFloatBitWidth();
  return b.ops.getIntegerAttr(t, isUnsigned ? APInt::getMaxValue(w) : APInt::getSignedMaxValue(w));
}

template <Kind kind> static LogicalResult reduce(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  Dims own = b.dims(v);
  Reducer fold{b, {}, c.runtimeAxes("axes", 1)};
  if (!fold.runtime) {
    auto axes = reducedAxes(c);
    if (failed(axes))
      return failure();
    fold.axes = *axes;
  } else if (fold.runtime->size() > own.size()) {
    return c.fail("it reduces more axes than its operand has");
  }
  bool keep = c.flag("keepdims", true), isUnsigned = c.isUnsigned(0);
  Type elem = c.elem(0);
  bool rooted = kind == Kind::L2 || kind == Kind::LogSum || kind == Kind::LogSumExp;
  // Sums of 16-bit floats are kept in f32; roots and logarithms of integers go through f64.
  Type wide = !isa<FloatType>(elem) && rooted ? Type(b.ops.getF64Type()) : computeType(elem);
  if (kind == Kind::Max || kind == Kind::Min)
    wide = elem;
  if ((kind == Kind::Sum || kind == Kind::Mean || kind == Kind::Prod) && elem.isInteger(1))
    return c.fail("it adds booleans");

  // LogSumExp is taken relative to the largest element, so that exp does not overflow.
  Value peak;
  if (kind == Kind::LogSumExp) {
    v = b.convert(v, wide, isUnsigned);
    peak = fold(v, true, lowest(b, wide, false),
                [](OpBuilder &ob, Location l, ValueRange a) -> Value { return arith::MaximumFOp::create(ob, l, a[0], a[1]); });
    peak = b.elementwise({peak}, wide, [](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l};
      return o.select(o.eq(o.abs(a[0]), o.like(a[0], infinity)), o.like(a[0], 0), a[0]);
    });
    v = b.elementwise({v, peak}, wide, [](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l};
      return o.exp(o.sub(a[0], a[1]));
    });
  }

  auto pre = [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
    BodyOps o{ob, l, isUnsigned};
    Value x = kind == Kind::LogSumExp ? a[0] : o.convert(a[0], wide);
    if (kind == Kind::L1)
      return o.abs(x);
    if (kind == Kind::L2 || kind == Kind::SumSquare)
      return o.mul(x, x);
    return x;
  };
  auto combine = [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
    BodyOps o{ob, l, isUnsigned};
    switch (kind) {
    case Kind::Max:
      return o.max(a[0], a[1]);
    case Kind::Min:
      return o.min(a[0], a[1]);
    case Kind::Prod:
      return o.mul(a[0], a[1]);
    default:
      return o.add(a[0], a[1]);
    }
  };
  TypedAttr init = b.attr(wide, static_cast<int64_t>(kind == Kind::Prod));
  if (kind == Kind::Max)
    init = lowest(b, wide, isUnsigned);
  if (kind == Kind::Min)
    init = highest(b, wide, isUnsigned);
  Value r = fold(v, keep || kind == Kind::LogSumExp, init, combine, pre);

  if (kind == Kind::Mean) {
    OpFoldResult count = fold.count(own);
    Value n = b.math.value(count);
    r = b.elementwise({r}, elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l, isUnsigned};
      Value total;
      if (auto k = b.math.asConstant(count))
        total = o.c(wide, static_cast<double>(*k));
      else
        total = convertScalar(ob, l, arith::IndexCastOp::create(ob, l, ob.getI64Type(), n), wide);
      return o.convert(o.div(a[0], total), elem);
    });
  } else if (kind == Kind::LogSumExp) {
    r = b.elementwise({r, peak}, elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l};
      return o.convert(o.add(o.log(a[0]), a[1]), elem, isUnsigned);
    });
    if (!keep)
      r = fold.squeeze(r, own);
  } else if (rooted || wide != elem) {
    r = b.elementwise({r}, elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l, isUnsigned};
      Value x = kind == Kind::L2 ? o.sqrt(a[0]) : kind == Kind::LogSum ? o.log(a[0]) : a[0];
      return o.convert(x, elem, isUnsigned);
    });
  }
  return c.done(r);
}

/// Up to opset 12 the operand is seen as a matrix: the axes before `axis` are rows, the others one column each.
static LogicalResult onRows(OpContext &c, llvm::function_ref<Value(Value v, int64_t axis)> make) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  int64_t rank = c.rank(0);
  if (rank == 0) {
    Value r = make(b.reshape(v, {b.math.constant(1)}), 0);
    return c.done(b.reshape(r, {}));
  }
  bool flatten = c.version() < 13;
  auto axis = c.axis("axis", flatten ? 1 : -1, rank + (flatten && c.integer("axis", 1) == rank));
  if (failed(axis))
    return failure();
  if (!flatten || *axis == rank - 1)
    return c.done(make(v, *axis));
  Dims dims = b.dims(v);
  ArrayRef<OpFoldResult> all(dims);
  Value matrix = b.reshape(v, {b.math.product(all.take_front(*axis)), b.math.product(all.drop_front(*axis))});
  return c.done(b.reshape(make(matrix, 1), dims));
}

static LogicalResult softmax(OpContext &c, bool log) {
  return onRows(c,
                [&](Value v, int64_t axis) { return c.b.withDims(c.b.create<SoftmaxOp>(v.getType(), v, axis, log, false), c.b.dims(v)); });
}

static LogicalResult softmaxHandler(OpContext &c) { return softmax(c, false); }
static LogicalResult logSoftmax(OpContext &c) { return softmax(c, true); }

static LogicalResult hardmax(OpContext &c) {
  GraphBuilder &b = c.b;
  Type elem = c.elem(0);
  return onRows(c, [&](Value v, int64_t axis) {
    Dims dims = b.dims(v);
    dims[axis] = b.math.constant(1);
    Value first = b.withDims(b.create<ArgReduceOp>(b.typeOf(dims, b.ops.getI64Type()), v, axis, true, false), dims);
    Value wide = b.broadcastTo(first, b.dims(v));
    int64_t rank = GraphBuilder::rank(v);
    return b.map({wide}, {b.ops.getMultiDimIdentityMap(rank)}, b.dims(v), elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
      BodyOps o{ob, l};
      Value at = arith::IndexCastOp::create(ob, l, ob.getI64Type(), linalg::IndexOp::create(ob, l, axis));
      return o.select(o.eq(at, a[0]), o.c(elem, 1), o.c(elem, 0));
    });
  });
}

void registerReduce(HandlerTable &t) {
  t.add("", "ReduceSum", 1, reduce<Kind::Sum>);
  t.add("", "ReduceMean", 1, reduce<Kind::Mean>);
  t.add("", "ReduceMax", 1, reduce<Kind::Max>);
  t.add("", "ReduceMin", 1, reduce<Kind::Min>);
  t.add("", "ReduceProd", 1, reduce<Kind::Prod>);
  t.add("", "ReduceL1", 1, reduce<Kind::L1>);
  t.add("", "ReduceL2", 1, reduce<Kind::L2>);
  t.add("", "ReduceLogSum", 1, reduce<Kind::LogSum>);
  t.add("", "ReduceLogSumExp", 1, reduce<Kind::LogSumExp>);
  t.add("", "ReduceSumSquare", 1, reduce<Kind::SumSquare>);
  t.add("", "Softmax", 1, softmaxHandler);
  t.add("", "LogSoftmax", 1, logSoftmax);
  t.add("", "Hardmax", 1, hardmax);
}

} // namespace leat::import
