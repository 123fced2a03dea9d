// Operators that compute each element of the result from one element of each operand.
#include "passes/Import/BodyOps.h"
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

using namespace mlir;

namespace leat::import {

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

using UnaryFn = Value (*)(BodyOps &o, Value x, OpContext &c);

/// Applies `fn`; 16-bit floats are computed in f32.
template <UnaryFn fn> static LogicalResult unary(OpContext &c) {
  Value x = c.operand(0);
  Type elem = GraphBuilder::elem(x), wide = computeType(elem);
  return c.done(c.b.elementwise({x}, elem, [&](OpBuilder &b, Location l, ValueRange args) {
    BodyOps o{b, l, c.isUnsigned(0)};
    return o.convert(fn(o, o.convert(args[0], wide), c), elem);
  }));
}

template <typename Op> static Value mathOp(BodyOps &o, Value x, OpContext &) { return o.make<Op>(x); }

static Value absFn(BodyOps &o, Value x, OpContext &) { return o.abs(x); }
static Value negFn(BodyOps &o, Value x, OpContext &) { return o.neg(x); }
static Value signFn(BodyOps &o, Value x, OpContext &) {
  Value zero = o.like(x, 0);
  if (o.isUnsigned)
    return o.select(o.eq(x, zero), zero, o.like(x, 1));
  return o.select(o.gt(x, zero), o.like(x, 1), o.select(o.lt(x, zero), o.like(x, -1), x));
}
static Value reciprocalFn(BodyOps &o, Value x, OpContext &) { return o.div(o.like(x, 1), x); }
static Value sigmoidFn(BodyOps &o, Value x, OpContext &) { return o.sigmoid(x); }
static Value softplusFn(BodyOps &o, Value x, OpContext &) { return o.softplus(x); }
static Value softsignFn(BodyOps &o, Value x, OpContext &) { return o.div(x, o.add(o.like(x, 1), o.abs(x))); }
static Value mishFn(BodyOps &o, Value x, OpContext &) { return o.mul(x, o.tanh(o.softplus(x))); }
static Value reluFn(BodyOps &o, Value x, OpContext &) { return o.max(x, o.like(x, 0)); }
static Value leakyReluFn(BodyOps &o, Value x, OpContext &c) {
  return o.select(o.lt(x, o.like(x, 0)), o.mul(x, o.like(x, c.real("alpha", 0.01))), x);
}
static Value thresholdedReluFn(BodyOps &o, Value x, OpContext &c) {
  return o.select(o.gt(x, o.like(x, c.real("alpha", 1.0))), x, o.like(x, 0));
}
static Value exponentialTail(BodyOps &o, Value x, double alpha) { return o.mul(o.like(x, alpha), o.make<math::ExpM1Op>(x)); }
static Value eluFn(BodyOps &o, Value x, OpContext &c) {
  return o.select(o.lt(x, o.like(x, 0)), exponentialTail(o, x, c.real("alpha", 1.0)), x);
}
static Value seluFn(BodyOps &o, Value x, OpContext &c) {
  double alpha = c.real("alpha", 1.67326319217681884765625), gamma = c.real("gamma", 1.05070102214813232421875);
  return o.mul(o.like(x, gamma), o.select(o.lt(x, o.like(x, 0)), exponentialTail(o, x, alpha), x));
}
static Value celuFn(BodyOps &o, Value x, OpContext &c) {
  double alpha = c.real("alpha", 1.0);
  Value zero = o.like(x, 0);
  return o.add(o.max(x, zero), o.min(zero, exponentialTail(o, o.div(x, o.like(x, alpha)), alpha)));
}
static Value clampUnit(BodyOps &o, Value x) { return o.max(o.like(x, 0), o.min(o.like(x, 1), x)); }
static Value hardSigmoidFn(BodyOps &o, Value x, OpContext &c) {
  return clampUnit(o, o.add(o.mul(o.like(x, c.real("alpha", 0.2)), x), o.like(x, c.real("beta", 0.5))));
}
static Value hardSwishFn(BodyOps &o, Value x, OpContext &) {
  return o.mul(x, clampUnit(o, o.add(o.mul(x, o.like(x, 1.0 / 6)), o.like(x, 0.5))));
}
static Value shrinkFn(BodyOps &o, Value x, OpContext &c) {
  double lambd = c.real("lambd", 0.5), bias = c.real("bias", 0);
  Value inner = o.select(o.gt(x, o.like(x, lambd)), o.sub(x, o.like(x, bias)), o.like(x, 0));
  return o.select(o.lt(x, o.like(x, -lambd)), o.add(x, o.like(x, bias)), inner);
}
/// log(|x| + sqrt(x^2 + 1)) with the sign of x, without cancellation for small x and overflow for large x.
static Value asinhFn(BodyOps &o, Value x, OpContext &) {
  Value a = o.abs(x), one = o.like(x, 1), square = o.mul(a, a);
  Value small = o.make<math::Log1pOp>(o.add(a, o.div(square, o.add(one, o.sqrt(o.add(square, one))))));
  Value large = o.add(o.log(a), o.like(x, 0.6931471805599453));
  return o.make<math::CopySignOp>(o.select(o.gt(a, o.like(x, 1e9)), large, small), x);
}
static Value acoshFn(BodyOps &o, Value x, OpContext &) {
  Value one = o.like(x, 1), t = o.sub(x, one);
  Value small = o.make<math::Log1pOp>(o.add(t, o.sqrt(o.add(o.add(t, t), o.mul(t, t)))));
  Value large = o.add(o.log(x), o.like(x, 0.6931471805599453));
  return o.select(o.gt(x, o.like(x, 1e9)), large, small);
}
static Value atanhFn(BodyOps &o, Value x, OpContext &) {
  Value ratio = o.div(o.add(x, x), o.sub(o.like(x, 1), x));
  return o.mul(o.like(x, 0.5), o.make<math::Log1pOp>(ratio));
}
static Value notFn(BodyOps &o, Value x, OpContext &) { return o.flip(x); }

/// Predicates of floats: the result is bool.
static LogicalResult isNaN(OpContext &c) {
  return c.done(c.b.elementwise({c.operand(0)}, c.b.ops.getI1Type(), [](OpBuilder &b, Location l, ValueRange a) -> Value {
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::UNO, a[0], a[0]);
  }));
}

static LogicalResult isInf(OpContext &c) {
  bool negative = c.flag("detect_negative", true), positive = c.flag("detect_positive", true);
  return c.done(c.b.elementwise({c.operand(0)}, c.b.ops.getI1Type(), [&](OpBuilder &b, Location l, ValueRange a) -> Value {
    BodyOps o{b, l};
    double inf = std::numeric_limits<double>::infinity();
    if (!negative && !positive)
      return o.c(b.getI1Type(), 0);
    if (negative && positive)
      return o.eq(o.abs(a[0]), o.like(a[0], inf));
    return o.eq(a[0], o.like(a[0], positive ? inf : -inf));
  }));
}

//===----------------------------------------------------------------------===//
// Two operands
//===----------------------------------------------------------------------===//

using BinaryFn = Value (*)(BodyOps &o, Value x, Value y);
using IndexFn = OpFoldResult (IndexMath::*)(OpFoldResult, OpFoldResult);

static LogicalResult applyBinary(OpContext &c, BinaryFn fn, IndexFn indexFn, Type resultElem) {
  if (c.elem(0) != c.elem(1))
    return c.fail("its operands have different element types");
  auto body = [&](OpBuilder &b, Location l, ValueRange args) {
    BodyOps o{b, l, c.isUnsigned(0)};
    return fn(o, args[0], args[1]);
  };
  bool hostInts = indexFn && !c.isUnsigned(0) && (c.elem(0).isInteger(32) || c.elem(0).isInteger(64));
  if (!hostInts)
    return c.done(c.b.elementwise(c.operands(), resultElem, body));
  return c.done(
      c.b.elementwise(c.operands(), resultElem, body, [&](ArrayRef<OpFoldResult> args) { return (c.b.math.*indexFn)(args[0], args[1]); }));
}

template <BinaryFn fn, IndexFn indexFn = nullptr> static LogicalResult binary(OpContext &c) {
  return applyBinary(c, fn, indexFn, c.elem(0));
}
/// Host scalars are compared as sizes: torch's expand asks whether a size is -1, and that is decided here.
template <BinaryFn fn, arith::CmpIPredicate predicate> static LogicalResult compare(OpContext &c) {
  GraphBuilder &b = c.b;
  Type i1 = b.ops.getI1Type();
  bool hostInts = c.elem(0) == c.elem(1) && !c.isUnsigned(0) && (c.elem(0).isInteger(32) || c.elem(0).isInteger(64));
  if (!hostInts)
    return applyBinary(c, fn, nullptr, i1);
  auto body = [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return fn(o, args[0], args[1]);
  };
  return c.done(b.elementwise(c.operands(), i1, body, [&](ArrayRef<OpFoldResult> args) -> OpFoldResult {
    IndexMath &m = b.math;
    OpFoldResult x = args[0], y = args[1], one = m.constant(1);
    bool equal = m.equal(x, y), above = !equal && m.atLeast(x, m.add(y, one)), below = !equal && m.atLeast(y, m.add(x, one));
    if (equal || above || below)
      return b.ops.getBoolAttr(arith::applyCmpPredicate(predicate, APInt(8, equal ? 1 : above ? 2 : 0), APInt(8, 1)));
    return b.create<arith::CmpIOp>(predicate, m.value(x), m.value(y)).getResult();
  }));
}

static Value addFn(BodyOps &o, Value x, Value y) { return o.add(x, y); }
static Value subFn(BodyOps &o, Value x, Value y) { return o.sub(x, y); }
static Value mulFn(BodyOps &o, Value x, Value y) { return o.mul(x, y); }
static Value divFn(BodyOps &o, Value x, Value y) { return o.div(x, y); }
static Value maxFn(BodyOps &o, Value x, Value y) { return o.max(x, y); }
static Value minFn(BodyOps &o, Value x, Value y) { return o.min(x, y); }
static Value eqFn(BodyOps &o, Value x, Value y) { return o.eq(x, y); }
static Value ltFn(BodyOps &o, Value x, Value y) { return o.lt(x, y); }
static Value leFn(BodyOps &o, Value x, Value y) { return o.le(x, y); }
static Value gtFn(BodyOps &o, Value x, Value y) { return o.gt(x, y); }
static Value geFn(BodyOps &o, Value x, Value y) { return o.ge(x, y); }
static Value andFn(BodyOps &o, Value x, Value y) { return o.both(x, y); }
static Value orFn(BodyOps &o, Value x, Value y) { return o.either(x, y); }
static Value xorFn(BodyOps &o, Value x, Value y) { return o.make<arith::XOrIOp>(x, y); }
static Value preluFn(BodyOps &o, Value x, Value y) { return o.select(o.lt(x, o.like(x, 0)), o.mul(x, y), x); }
static Value pythonMod(BodyOps &o, Value x, Value y) {
  Value r = o.rem(x, y);
  if (o.isUnsigned)
    return r;
  Value zero = o.like(x, 0);
  Value differ = xorFn(o, o.lt(r, zero), o.lt(y, zero));
  return o.select(o.both(differ, o.flip(o.eq(r, zero))), o.add(r, y), r);
}

static LogicalResult mod(OpContext &c) {
  if (c.flag("fmod"))
    return applyBinary(c, [](BodyOps &o, Value x, Value y) { return o.rem(x, y); }, nullptr, c.elem(0));
  if (c.isFloat(0) || c.isUnsigned(0) || !(c.elem(0).isInteger(32) || c.elem(0).isInteger(64)))
    return applyBinary(c, pythonMod, nullptr, c.elem(0));
  return c.done(c.b.elementwise(
      c.operands(), c.elem(0),
      [&](OpBuilder &b, Location l, ValueRange args) {
        BodyOps o{b, l};
        return pythonMod(o, args[0], args[1]);
      },
      [&](ArrayRef<OpFoldResult> args) { return c.b.math.mod(args[0], args[1]); }));
}

/// The one value of a constant operand, if it is that.
static std::optional<double> constantValue(OpContext &c, int64_t i) {
  DenseElementsAttr a = c.b.asConstant(c.operand(i));
  if (!a || !a.isSplat() || a.getNumElements() == 0)
    return std::nullopt;
  Attribute v = a.getSplatValue<Attribute>();
  if (auto f = dyn_cast<FloatAttr>(v))
    return f.getValueAsDouble();
  auto i1 = cast<IntegerAttr>(v);
  return c.isUnsigned(i) ? static_cast<double>(i1.getValue().getZExtValue()) : static_cast<double>(i1.getValue().getSExtValue());
}

static LogicalResult power(OpContext &c) {
  Type elem = c.elem(0);
  std::optional<double> exponent = constantValue(c, 1);
  if (exponent && !isa<FloatType>(elem) && *exponent != 1 && *exponent != 2 && *exponent != 3)
    exponent.reset();
  return c.done(c.b.elementwise(c.operands(), elem, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
    BodyOps o{b, l, c.isUnsigned(0)}, oy{b, l, c.isUnsigned(1)};
    if (isa<FloatType>(elem)) {
      Type wide = isa<FloatType>(args[1].getType()) && args[1].getType().isF64() ? args[1].getType() : computeType(elem);
      Value x = o.convert(args[0], wide), r;
      if (exponent == 1)
        return args[0];
      if (exponent == 2)
        r = o.mul(x, x);
      else if (exponent == 3)
        r = o.mul(o.mul(x, x), x);
      else if (exponent == 0.5)
        r = o.sqrt(x);
      else if (exponent == -0.5)
        r = o.div(o.like(x, 1), o.sqrt(x));
      else if (exponent == -1)
        r = o.div(o.like(x, 1), x);
      else
        r = o.make<math::PowFOp>(x, oy.convert(args[1], wide));
      return o.convert(r, elem);
    }
    Value x = args[0];
    if (exponent == 1)
      return x;
    if (exponent == 2)
      return o.mul(x, x);
    if (exponent == 3)
      return o.mul(o.mul(x, x), x);
    // Integers: through f64, where the results that matter are exact; a negative exponent rounds towards zero.
    Type f64 = b.getF64Type();
    Value y = oy.convert(args[1], f64);
    Value r = o.make<math::PowFOp>(o.convert(x, f64), y);
    r = o.select(o.lt(y, o.like(y, 0)), r, o.make<math::RoundEvenOp>(r));
    return o.convert(r, elem, o.isUnsigned);
  }));
}

static LogicalResult bitShift(OpContext &c) {
  bool left = c.text("direction") == "LEFT";
  return c.done(c.b.elementwise(c.operands(), c.elem(0), [&](OpBuilder &b, Location l, ValueRange a) -> Value {
    // Counts are read as unsigned: a shift by the width or more (or by a negative number) moves every bit out, and what comes in is 0, or
    // the sign where a signed number goes right.
    BodyOps o{b, l, true};
    unsigned width = a[0].getType().getIntOrFloatBitWidth();
    Value inRange = o.lt(a[1], o.like(a[1], width));
    if (!left && !c.isUnsigned(0))
      return o.make<arith::ShRSIOp>(a[0], o.select(inRange, a[1], o.like(a[1], width - 1)));
    Value count = o.select(inRange, a[1], o.like(a[1], 0));
    Value r = left ? o.make<arith::ShLIOp>(a[0], count) : o.make<arith::ShRUIOp>(a[0], count);
    return o.select(inRange, r, o.like(a[0], 0));
  }));
}

//===----------------------------------------------------------------------===//
// Any number of operands
//===----------------------------------------------------------------------===//

template <BinaryFn fn, IndexFn indexFn> static LogicalResult variadic(OpContext &c) {
  if (c.numOperands() == 1)
    return c.done(c.operand(0));
  auto body = [&](OpBuilder &b, Location l, ValueRange args) {
    BodyOps o{b, l, c.isUnsigned(0)};
    Value r = args[0];
    for (Value a : args.drop_front())
      r = fn(o, r, a);
    return r;
  };
  if (c.isFloat(0) || c.isUnsigned(0) || !(c.elem(0).isInteger(32) || c.elem(0).isInteger(64)))
    return c.done(c.b.elementwise(c.operands(), c.elem(0), body));
  return c.done(c.b.elementwise(c.operands(), c.elem(0), body, [&](ArrayRef<OpFoldResult> args) {
    OpFoldResult r = args[0];
    for (OpFoldResult a : args.drop_front())
      r = (c.b.math.*indexFn)(r, a);
    return r;
  }));
}

static LogicalResult mean(OpContext &c) {
  Type elem = c.elem(0), wide = computeType(elem);
  return c.done(c.b.elementwise(c.operands(), elem, [&](OpBuilder &b, Location l, ValueRange args) {
    BodyOps o{b, l};
    Value r = o.convert(args[0], wide);
    for (Value a : args.drop_front())
      r = o.add(r, o.convert(a, wide));
    return o.convert(o.div(r, o.c(wide, args.size())), elem);
  }));
}

static LogicalResult where(OpContext &c) {
  if (c.elem(1) != c.elem(2))
    return c.fail("its operands X and Y have different element types");
  auto body = [](OpBuilder &b, Location l, ValueRange a) -> Value { return arith::SelectOp::create(b, l, a[0], a[1], a[2]); };
  auto cond = c.b.knownScalars(c.operand(0));
  // With a constant condition, shape arithmetic goes on in its normal form.
  if (cond && llvm::all_of(*cond, [](OpFoldResult s) { return isa<Attribute>(s); }) && (c.elem(1).isInteger(64) || c.elem(1).isInteger(32)))
    return c.done(c.b.elementwise(c.operands(), c.elem(1), body, [](ArrayRef<OpFoldResult> a) {
      return cast<IntegerAttr>(cast<Attribute>(a[0])).getValue().isZero() ? a[2] : a[1];
    }));
  return c.done(c.b.elementwise(c.operands(), c.elem(1), body));
}

static LogicalResult clip(OpContext &c) {
  Type elem = c.elem(0);
  SmallVector<Value> operands{c.operand(0)};
  Value lo, hi;
  auto attrBound = [&](StringRef name) -> Value { return c.hasAttr(name) ? c.b.splat({}, c.b.attr(elem, c.real(name))) : Value(); };
  if (c.version() < 11) {
    lo = attrBound("min");
    hi = attrBound("max");
  } else {
    lo = c.has(1) ? c.operand(1) : Value();
    hi = c.has(2) ? c.operand(2) : Value();
  }
  for (Value *bound : {&lo, &hi}) {
    if (!*bound)
      continue;
    // A bound of shape [1] is met in the wild; it is a scalar here, so that it does not change the rank.
    if (GraphBuilder::rank(*bound) > 0)
      *bound = c.b.reshape(*bound, {});
    operands.push_back(*bound);
  }
  return c.done(c.b.elementwise(operands, elem, [&](OpBuilder &b, Location l, ValueRange a) {
    BodyOps o{b, l, c.isUnsigned(0)};
    Value x = lo ? o.max(a[0], a[1]) : a[0];
    return hi ? o.min(x, a.back()) : x;
  }));
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

static LogicalResult convertTo(OpContext &c, Type onnxTo) {
  Type to = onnxTo ? convertElementType(onnxTo) : Type();
  if (!to)
    return c.fail("it converts to a type without numbers (string or unknown)");
  // What 8-bit floats cannot hold becomes their largest number, unless the node says otherwise.
  Type from = c.elem(0);
  if (isa<FloatType>(to) && to.getIntOrFloatBitWidth() <= 8 && from != to && c.flag("saturate", true))
    return c.done(c.b.elementwise({c.operand(0)}, to, [&](OpBuilder &b, Location l, ValueRange a) {
      return quantizeScalar(b, l, convertScalar(b, l, a[0], b.getF32Type(), c.isUnsigned(0)), {}, to, false, true);
    }));
  return c.done(c.b.convert(c.operand(0), to, c.isUnsigned(0), onnxTo.isUnsignedInteger()));
}

static LogicalResult castHandler(OpContext &c) { return convertTo(c, typeFromOnnxDataType(c.node.getContext(), c.integer("to"))); }
static LogicalResult castLike(OpContext &c) { return convertTo(c, c.onnxElem(1)); }

static LogicalResult bitCast(OpContext &c) {
  Type onnxTo = typeFromOnnxDataType(c.node.getContext(), c.integer("to"));
  Type to = onnxTo ? convertElementType(onnxTo) : Type();
  auto width = [](Type t) { return t.isInteger(1) ? 8u : t.getIntOrFloatBitWidth(); }; // a boolean is a byte of 0 or 1
  if (!to || width(to) != width(c.elem(0)))
    return c.fail("it reinterprets elements of another width");
  if (to == c.elem(0))
    return c.done(c.operand(0));
  if (to.isInteger(1) || c.isBool(0))
    return c.done(c.b.convert(c.operand(0), to));
  return c.done(c.b.elementwise({c.operand(0)}, to,
                                [&](OpBuilder &b, Location l, ValueRange a) -> Value { return arith::BitcastOp::create(b, l, to, a[0]); }));
}

static LogicalResult identity(OpContext &c) { return c.done(c.operand(0)); }

void registerElementwise(HandlerTable &t) {
  auto add = [&](StringRef op, Handler h) { t.add("", op, 1, h); };
  add("Abs", unary<absFn>);
  add("Neg", unary<negFn>);
  add("Sign", unary<signFn>);
  add("Sqrt", unary<mathOp<math::SqrtOp>>);
  add("Exp", unary<mathOp<math::ExpOp>>);
  add("Log", unary<mathOp<math::LogOp>>);
  add("Sin", unary<mathOp<math::SinOp>>);
  add("Cos", unary<mathOp<math::CosOp>>);
  add("Tan", unary<mathOp<math::TanOp>>);
  add("Asin", unary<mathOp<math::AsinOp>>);
  add("Acos", unary<mathOp<math::AcosOp>>);
  add("Atan", unary<mathOp<math::AtanOp>>);
  add("Sinh", unary<mathOp<math::SinhOp>>);
  add("Cosh", unary<mathOp<math::CoshOp>>);
  add("Tanh", unary<mathOp<math::TanhOp>>);
  add("Asinh", unary<asinhFn>);
  add("Acosh", unary<acoshFn>);
  add("Atanh", unary<atanhFn>);
  add("Erf", unary<mathOp<math::ErfOp>>);
  add("Ceil", unary<mathOp<math::CeilOp>>);
  add("Floor", unary<mathOp<math::FloorOp>>);
  add("Round", unary<mathOp<math::RoundEvenOp>>);
  add("Reciprocal", unary<reciprocalFn>);
  add("Sigmoid", unary<sigmoidFn>);
  add("Softplus", unary<softplusFn>);
  add("Softsign", unary<softsignFn>);
  add("Mish", unary<mishFn>);
  add("Relu", unary<reluFn>);
  add("LeakyRelu", unary<leakyReluFn>);
  add("ThresholdedRelu", unary<thresholdedReluFn>);
  add("Elu", unary<eluFn>);
  add("Selu", unary<seluFn>);
  add("Celu", unary<celuFn>);
  add("HardSigmoid", unary<hardSigmoidFn>);
  add("HardSwish", unary<hardSwishFn>);
  add("Shrink", unary<shrinkFn>);
  add("Not", unary<notFn>);
  add("BitwiseNot", unary<notFn>);
  add("IsNaN", isNaN);
  add("IsInf", isInf);

  add("Add", binary<addFn, &IndexMath::add>);
  add("Sub", binary<subFn, &IndexMath::sub>);
  add("Mul", binary<mulFn, &IndexMath::mul>);
  add("Div", binary<divFn, &IndexMath::div>);
  add("And", binary<andFn>);
  add("Or", binary<orFn>);
  add("Xor", binary<xorFn>);
  add("BitwiseAnd", binary<andFn>);
  add("BitwiseOr", binary<orFn>);
  add("BitwiseXor", binary<xorFn>);
  add("PRelu", binary<preluFn>);
  add("Mod", mod);
  add("Pow", power);
  add("BitShift", bitShift);
  add("Equal", compare<eqFn, arith::CmpIPredicate::eq>);
  add("Less", compare<ltFn, arith::CmpIPredicate::slt>);
  add("LessOrEqual", compare<leFn, arith::CmpIPredicate::sle>);
  add("Greater", compare<gtFn, arith::CmpIPredicate::sgt>);
  add("GreaterOrEqual", compare<geFn, arith::CmpIPredicate::sge>);

  add("Sum", variadic<addFn, &IndexMath::add>);
  add("Max", variadic<maxFn, &IndexMath::max>);
  add("Min", variadic<minFn, &IndexMath::min>);
  add("Mean", mean);
  add("Where", where);
  add("Clip", clip);
  add("Cast", castHandler);
  add("CastLike", castLike);
  add("BitCast", bitCast);
  add("Identity", identity);
}

} // namespace leat::import
