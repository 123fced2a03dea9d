// See SmallFloats.h. Everything about a format comes from its APFloat semantics.
#include "passes/CPU/SmallFloats.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {

bool isSmallFloat(Type type) { return isa<FloatType>(type) && type.getIntOrFloatBitWidth() <= 8; }

/// e5m2 is the upper half of an f16; e4m3 in f16's places has the exponent's bias 8 too large.
static Value decodeThroughHalf(KernelBuilder &k, Value codes, FloatType type) {
  auto &b = k.b;
  auto vector = dyn_cast<VectorType>(codes.getType());
  Type i16 = vector ? Type(vector.clone(b.getIntegerType(16))) : b.getIntegerType(16);
  auto c = [&](int64_t v) { return k.constantInt(i16, v); };
  Value bits = arith::ExtUIOp::create(b, i16, codes);
  if (isa<Float8E5M2Type>(type))
    return k.fromStorage(arith::ShLIOp::create(b, bits, c(8)), b.getF16Type());
  Value magnitude = arith::AndIOp::create(b, bits, c(0x7f)),
        sign = arith::ShLIOp::create(b, arith::XOrIOp::create(b, bits, magnitude), c(8));
  Value half = k.fromStorage(arith::OrIOp::create(b, arith::ShLIOp::create(b, magnitude, c(7)), sign), b.getF16Type());
  Value value = arith::MulFOp::create(b, half, k.constant(half.getType(), 256));
  Value isNan = k.compare(arith::CmpIPredicate::eq, magnitude, c(0x7f));
  return arith::SelectOp::create(b, isNan, k.constant(half.getType(), std::numeric_limits<double>::quiet_NaN()), value);
}

Value decodeSmallFloat(KernelBuilder &k, Value codes, FloatType type) {
  if (k.target.f16c && isa<Float8E4M3FNType, Float8E5M2Type>(type))
    return decodeThroughHalf(k, codes, type);
  const llvm::fltSemantics &format = type.getFloatSemantics();
  SmallVector<float> table;
  for (unsigned code = 0; code < 1u << type.getWidth(); ++code) {
    APFloat value(format, APInt(type.getWidth(), code));
    bool loses;
    value.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &loses);
    table.push_back(value.convertToFloat());
  }
  auto &b = k.b;
  Type shape = RankedTensorType::get({static_cast<int64_t>(table.size())}, b.getF32Type());
  Value base = k.globalConstant(DenseElementsAttr::get(cast<ShapedType>(shape), ArrayRef<float>(table)));
  auto vector = dyn_cast<VectorType>(codes.getType());
  Type index = vector ? Type(vector.clone(b.getIndexType())) : b.getIndexType();
  if (type.getWidth() < 8)
    codes = arith::AndIOp::create(b, codes, k.constantInt(codes.getType(), table.size() - 1));
  Value position = arith::IndexCastUIOp::create(b, index, codes);
  return vector ? k.gather(base, b.getF32Type(), position) : k.load(base, b.getF32Type(), position, 1);
}

Value encodeSmallFloat(KernelBuilder &k, Value x, FloatType type) {
  const llvm::fltSemantics &format = type.getFloatSemantics();
  auto &b = k.b;
  auto vector = dyn_cast<VectorType>(x.getType());
  auto shaped = [&](Type t) { return vector ? Type(vector.clone(t)) : t; };
  Type f32 = shaped(b.getF32Type()), i32 = shaped(b.getI32Type()), i8 = shaped(b.getIntegerType(8));
  auto c = [&](int64_t v) { return k.constantInt(i32, v); };
  int mantissa = static_cast<int>(APFloat::semanticsPrecision(format)) - 1, least = APFloat::semanticsMinExponent(format);
  bool hasSign = APFloat::semanticsHasSignedRepr(format), hasZero = APFloat::semanticsHasZero(format);
  auto code = [&](const APFloat &v) { return static_cast<int64_t>(v.bitcastToAPInt().getZExtValue()); };
  int64_t largest = code(APFloat::getLargest(format));
  bool hasInfinity = APFloat::semanticsHasInf(format), hasNan = APFloat::semanticsHasNaN(format);
  // Formats without NaN take -0 for it, as ONNX's reference does.
  int64_t nan = hasNan ? code(APFloat::getNaN(format)) : int64_t(1) << (type.getWidth() - 1);
  int64_t beyond = hasInfinity ? code(APFloat::getInf(format)) : hasNan ? nan : largest;

  // |x| in units of the last place of its exponent, rounded, and the code of that many units: codes of positive numbers are in order.
  Value bits = arith::BitcastOp::create(b, i32, x);
  Value magnitude = arith::AndIOp::create(b, bits, c(0x7fffffff));
  Value exponent = arith::SubIOp::create(b, arith::ShRUIOp::create(b, magnitude, c(23)), c(127));
  exponent = arith::MaxSIOp::create(b, exponent, c(least));
  exponent = arith::MinSIOp::create(b, exponent, c(127));
  auto power = [&](Value n) {
    return arith::BitcastOp::create(b, f32, arith::ShLIOp::create(b, arith::AddIOp::create(b, n, c(127)), c(23))).getResult();
  };
  // Two factors keep both in f32's normal range.
  Value down = arith::SubIOp::create(b, c(mantissa), exponent), half = arith::ShRSIOp::create(b, down, c(1));
  Value units = arith::MulFOp::create(b, arith::BitcastOp::create(b, f32, magnitude), power(half));
  units = arith::MulFOp::create(b, units, power(arith::SubIOp::create(b, down, half)));
  // Below 2^23, adding and taking away 2^23 rounds.
  Value whole = arith::SubFOp::create(b, arith::AddFOp::create(b, units, k.constant(f32, 0x1p23)), k.constant(f32, 0x1p23));
  Value notTooLarge = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, units, k.constant(f32, 1024));
  Value count = arith::FPToSIOp::create(b, i32, arith::SelectOp::create(b, notTooLarge, whole, k.constant(f32, 1024)));
  Value result = arith::AddIOp::create(b, arith::ShLIOp::create(b, arith::SubIOp::create(b, exponent, c(least)), c(mantissa)), count);
  if (!hasZero)
    result = arith::MaxSIOp::create(b, arith::SubIOp::create(b, result, c(1)), c(0));
  Value isLarge = k.compare(arith::CmpIPredicate::sgt, result, c(largest));
  result = arith::SelectOp::create(b, isLarge, c(beyond), result);
  Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  result = arith::SelectOp::create(b, isNan, c(nan), result);
  if (hasSign) {
    Value sign = arith::ShLIOp::create(b, arith::ShRUIOp::create(b, bits, c(31)), c(type.getWidth() - 1));
    Value withSign = arith::OrIOp::create(b, result, sign);
    // Formats whose only NaN is the code of -0 have no -0.
    bool noNegativeZero = hasNan && nan == int64_t(1) << (type.getWidth() - 1);
    if (noNegativeZero)
      withSign = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::eq, result, c(0)), c(0), withSign);
    result = withSign;
  }
  return arith::TruncIOp::create(b, i8, result);
}

} // namespace leat::cpu
