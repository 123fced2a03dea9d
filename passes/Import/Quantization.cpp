// Quantised numbers: QuantizeLinear, DequantizeLinear, block-quantised tables, and the QLinear operators that follow from them.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

Value quantizeScalar(OpBuilder &b, Location loc, Value x, Value zero, Type elem, bool isUnsigned, bool saturate) {
  BodyOps o{b, loc, isUnsigned};
  Type f32 = b.getF32Type();
  if (auto f = dyn_cast<FloatType>(elem)) {
    if (zero)
      x = o.add(x, o.convert(zero, f32));
    if (saturate) {
      double largest = APFloat::getLargest(f.getFloatSemantics()).convertToDouble();
      x = o.max(o.min(x, o.c(f32, largest)), o.c(f32, -largest));
    }
    return o.convert(x, elem);
  }
  unsigned width = elem.getIntOrFloatBitWidth();
  double low = isUnsigned ? 0 : -std::ldexp(1.0, width - 1), high = std::ldexp(1.0, isUnsigned ? width : width - 1) - 1;
  x = o.make<math::RoundEvenOp>(x);
  if (zero)
    x = o.add(x, o.convert(zero, f32));
  // maxnum: a NaN becomes the lowest code, not undefined behaviour.
  x = o.make<arith::MinNumFOp>(o.make<arith::MaxNumFOp>(x, o.c(f32, low)), o.c(f32, high));
  Value i = o.make<arith::FPToSIOp>(b.getI32Type(), x);
  return width == 32 ? i : o.make<arith::TruncIOp>(elem, i);
}

namespace {
/// Scale and zero point beside each element of a tensor: one for all, one per index of an axis, or one per block along it.
struct Granularity {
  bool blocked = false;
  int64_t axis = -1, block = 0;
};
} // namespace

static FailureOr<Granularity> granularity(OpContext &c) {
  GraphBuilder &b = c.b;
  Granularity g;
  int64_t rank = c.rank(0), scaleRank = c.rank(1);
  if (scaleRank == 0 || (scaleRank == 1 && b.math.asConstant(b.dim(c.operand(1), 0)) == 1 && c.integer("block_size", 0) == 0))
    return g;
  FailureOr<int64_t> axis = c.axis("axis", 1, rank);
  if (failed(axis))
    return failure();
  g.axis = *axis;
  g.block = c.integer("block_size", 0);
  if (g.block > 0) {
    if (scaleRank != rank)
      return c.fail("blocks need a scale of rank " + Twine(rank) + ", and it has rank " + Twine(scaleRank));
    g.blocked = true;
  } else if (scaleRank != 1) {
    return c.fail("a scale of rank " + Twine(scaleRank) + " needs the attribute block_size");
  }
  return g;
}

/// fn(x, scale, zero) for each element; zero is null where none is given.
static Value withScales(OpContext &c, const Granularity &g, Type elem,
                        llvm::function_ref<Value(OpBuilder &, Location, Value, Value, Value)> fn) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0), scale = c.operand(1), zero = c.has(2) ? c.operand(2) : Value();
  if (!g.blocked) {
    SmallVector<Value> inputs{x, alongAxis(b, scale, b.rank(x), g.axis)};
    if (zero)
      inputs.push_back(alongAxis(b, zero, b.rank(x), g.axis));
    return b.elementwise(inputs, elem,
                         [&](OpBuilder &ob, Location l, ValueRange args) { return fn(ob, l, args[0], args[1], zero ? args[2] : Value()); });
  }
  for (Value v : {scale, zero})
    for (int64_t i = 0, n = v ? b.rank(v) : 0; i < n; ++i) {
      OpFoldResult d = b.dim(x, i);
      b.require(b.dim(v, i), i == g.axis ? b.math.ceilDiv(d, b.math.constant(g.block)) : d,
                "its scales or zero points are not one for each block of axis " + Twine(i));
    }
  AffineMap id = b.ops.getMultiDimIdentityMap(b.rank(x));
  return b.map({x}, {id}, b.dims(x), elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < b.rank(x); ++i)
      at.push_back(linalg::IndexOp::create(ob, l, i));
    at[g.axis] = arith::DivUIOp::create(ob, l, at[g.axis], arith::ConstantIndexOp::create(ob, l, g.block));
    Value s = tensor::ExtractOp::create(ob, l, scale, at), z;
    if (zero)
      z = tensor::ExtractOp::create(ob, l, zero, at);
    return fn(ob, l, args[0], s, z);
  });
}

static LogicalResult dequantizeLinear(OpContext &c) {
  FailureOr<Granularity> g = granularity(c);
  if (failed(g))
    return failure();
  bool isUnsigned = c.isUnsigned(0);
  Type f32 = c.b.ops.getF32Type(), i32 = c.b.ops.getI32Type(), elem = c.elem(1);
  if (int64_t given = c.integer("output_dtype", 0))
    elem = typeFromOnnxDataType(f32.getContext(), given);
  if (!isa_and_nonnull<FloatType>(elem))
    return c.fail("its result type is no floating-point type");
  return c.done(withScales(c, *g, elem, [&](OpBuilder &ob, Location l, Value x, Value scale, Value zero) {
    BodyOps o{ob, l, isUnsigned};
    Value v;
    if (isa<FloatType>(x.getType())) {
      v = o.convert(x, f32);
      if (zero)
        v = o.sub(v, o.convert(zero, f32));
    } else {
      v = o.convert(x, i32);
      if (zero)
        v = o.sub(v, o.convert(zero, i32));
      v = o.make<arith::SIToFPOp>(f32, v);
    }
    return o.convert(o.mul(v, o.convert(scale, f32)), elem);
  }));
}

static LogicalResult quantizeLinear(OpContext &c) {
  FailureOr<Granularity> g = granularity(c);
  if (failed(g))
    return failure();
  GraphBuilder &b = c.b;
  // The zero point says the type; without one an attribute, or uint8.
  Type onnx = IntegerType::get(b.ops.getContext(), 8, IntegerType::Unsigned);
  if (c.has(2))
    onnx = c.onnxElem(2);
  else if (int64_t given = c.integer("output_dtype", 0))
    onnx = typeFromOnnxDataType(b.ops.getContext(), given);
  Type elem = onnx ? convertElementType(onnx) : Type(), f32 = b.ops.getF32Type();
  if (!elem)
    return c.fail("its result type is not known");
  bool isUnsigned = onnx.isUnsignedInteger(), fromUnsigned = c.isUnsigned(0), saturate = c.flag("saturate", true);
  return c.done(withScales(c, *g, elem, [&](OpBuilder &ob, Location l, Value x, Value scale, Value zero) {
    BodyOps o{ob, l, fromUnsigned};
    Value v = o.div(o.convert(x, f32), o.convert(scale, f32));
    return quantizeScalar(ob, l, v, zero, elem, isUnsigned, saturate);
  }));
}

/// Rows of a block-quantised table, as floats: an embedding of a quantised model.
static LogicalResult gatherBlockQuantized(OpContext &c) {
  GraphBuilder &b = c.b;
  Value data = c.operand(0), indices = c.operand(1), scales = c.operand(2), zeros = c.has(3) ? c.operand(3) : Value();
  int64_t rank = b.rank(data), bits = c.integer("bits", 4), block = c.integer("block_size", 128);
  FailureOr<int64_t> gatherAxis = c.axis("gather_axis", 0, rank), quantizeAxis = c.axis("quantize_axis", 1, rank);
  if (failed(gatherAxis) || failed(quantizeAxis))
    return failure();
  // uint8 holds 8 / bits codes; the 4-bit types hold one.
  bool packed = b.elem(data).isInteger(8), isUnsigned = c.isUnsigned(0);
  if (packed && bits != 2 && bits != 4 && bits != 8)
    return c.fail("codes of " + Twine(bits) + " bits are not supported");
  int64_t perByte = packed ? 8 / bits : 1;
  if (*gatherAxis == *quantizeAxis || (perByte > 1 && *quantizeAxis != rank - 1))
    return c.fail("packed codes have to lie along the last axis, and the gathered axis has to be another one");
  Dims own = b.dims(data), positions = b.dims(indices), dims;
  for (int64_t i = 0; i < rank; ++i) {
    if (i == *gatherAxis)
      dims.append(positions);
    else
      dims.push_back(i == rank - 1 ? b.math.mul(own[i], b.math.constant(perByte)) : own[i]);
  }
  Type elem = b.elem(scales), wide = computeType(elem);
  int64_t count = positions.size();
  Value rows = b.math.value(own[*gatherAxis]);
  return c.done(b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value row = bodyIndex(ob, l, o.make<tensor::ExtractOp>(indices, at.slice(*gatherAxis, count)), rows);
    SmallVector<Value> code(at.begin(), at.end());
    code.erase(code.begin() + *gatherAxis, code.begin() + *gatherAxis + count);
    code.insert(code.begin() + *gatherAxis, row);
    SmallVector<Value> group(code);
    group[*quantizeAxis] = o.make<arith::DivUIOp>(code[*quantizeAxis], o.make<arith::ConstantIndexOp>(block));
    auto read = [&](Value table, SmallVector<Value> where) -> Value { // the code at `where`, as i32
      if (!packed) {
        BodyOps typed{ob, l, isUnsigned};
        return typed.convert(typed.make<tensor::ExtractOp>(table, where), ob.getI32Type());
      }
      return unpackedCode(o, bits, where.back(), [&](Value byte) -> Value {
        SmallVector<Value> place(where);
        place.back() = byte;
        return o.make<tensor::ExtractOp>(table, place);
      });
    };
    Value v = read(data, code);
    if (zeros)
      v = o.sub(v, read(zeros, group));
    else if (packed)
      v = o.sub(v, o.c(v.getType(), 1 << (bits - 1)));
    Value scale = o.convert(o.make<tensor::ExtractOp>(scales, group), wide);
    return o.convert(o.mul(o.make<arith::SIToFPOp>(wide, v), scale), elem);
  }));
}

/// a and b dequantised, combined, quantised again: operands (a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero).
template <bool multiply> static LogicalResult qLinearBinary(OpContext &c) {
  GraphBuilder &b = c.b;
  Type f32 = b.ops.getF32Type();
  SmallVector<Value> inputs;
  SmallVector<int> at(8, -1);
  for (int64_t i = 0; i < 8; ++i)
    if (c.has(i)) {
      at[i] = inputs.size();
      inputs.push_back(i == 0 || i == 3 ? c.operand(i) : alongAxis(b, c.operand(i), c.rank(0), -1));
    }
  Type elem = c.elem(0);
  bool isUnsigned = c.isUnsigned(0);
  return c.done(b.elementwise(inputs, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l, isUnsigned};
    auto real = [&](int i) {
      Value v = o.convert(args[at[i]], f32);
      if (at[i + 2] >= 0)
        v = o.sub(v, o.convert(args[at[i + 2]], f32));
      return o.mul(v, args[at[i + 1]]);
    };
    Value v = multiply ? o.mul(real(0), real(3)) : o.add(real(0), real(3));
    v = o.div(v, args[at[6]]);
    return quantizeScalar(ob, l, v, at[7] >= 0 ? args[at[7]] : Value(), elem, isUnsigned, true);
  }));
}

/// MatMulInteger with scales and a bias: what ONNX Runtime's dynamic quantisation leaves.
static LogicalResult matMulIntegerToFloat(OpContext &c) {
  GraphBuilder &b = c.b;
  if (c.rank(0) < 2 || c.rank(1) < 2)
    return c.fail("it needs matrices");
  auto zero = [&](int64_t i) { return c.has(i) ? c.operand(i) : Value(); };
  Value x = withoutZeroPoint(b, c.operand(0), c.isUnsigned(0), zero(4), c.rank(0) - 2);
  Value w = withoutZeroPoint(b, c.operand(1), c.isUnsigned(1), zero(5), c.rank(1) - 1);
  Value y = matmul(b, x, w, false, false, b.ops.getI32Type());
  int64_t rank = b.rank(y);
  Type f32 = b.ops.getF32Type();
  SmallVector<Value> inputs{y, alongAxis(b, c.operand(2), rank, rank - 2), alongAxis(b, c.operand(3), rank, rank - 1)};
  if (c.has(6))
    inputs.push_back(c.operand(6));
  return c.done(b.elementwise(inputs, f32, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value v = o.mul(o.convert(args[0], f32), o.mul(args[1], args[2]));
    return args.size() > 3 ? o.add(v, args[3]) : v;
  }));
}

void registerQuantization(HandlerTable &t) {
  StringRef ms = "com.microsoft";
  for (StringRef domain : {StringRef(""), ms}) {
    t.add(domain, "DequantizeLinear", 1, dequantizeLinear);
    t.add(domain, "QuantizeLinear", 1, quantizeLinear);
  }
  t.add(ms, "GatherBlockQuantized", 1, gatherBlockQuantized);
  t.add(ms, "QLinearAdd", 1, qLinearBinary<false>);
  t.add(ms, "QLinearMul", 1, qLinearBinary<true>);
  t.add(ms, "MatMulIntegerToFloat", 1, matMulIntegerToFloat);
}

} // namespace leat::import
