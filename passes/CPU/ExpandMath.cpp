// Elementary functions of f32, and exp of f64 where there is no library, as polynomials. The same operations serve a scalar and each lane
// of a vector, so a loop's tail gives the bits of its body. Coefficients are near-minimax fits; the tests state the error of each function.
#include "passes/CPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace leat::cpu {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/CPU/Passes.h.inc"

namespace {

/// Writes formulas for values of one shape.
class Formula {
public:
  Formula(ImplicitLocOpBuilder &b, Type like, bool fma) : b(b), like(like), hasFMA(fma) {}

  Value exp(Value x) { return scale(expPolynomial(x)); }
  Value exp64(Value x); ///< of f64
  Value exp2(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value log1p(Value x);
  Value tanh(Value x);
  Value erf(Value x);
  Value erfBesideOne(Value x); ///< for 1 + erf(x): the absolute error counts
  Value erfByTable(Value x);   ///< the same in half the time, for 16 lanes that look up what they need
  Value sinOrCos(Value x, bool cos);
  Value tan(Value x);
  Value power(Value x, double exponent); ///< null if there is no short form
  Value floor(Value x) { return roundDown(x, false); }
  Value ceil(Value x) { return roundDown(x, true); }
  Value trunc(Value x) { return keepLarge(x, trunc32(x)); }
  Value roundEven(Value x);
  Value fma(Value x, Value y, Value z) {
    if (hasFMA)
      return math::FmaOp::create(b, x, y, z);
    return add(mul(x, y), z);
  }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value sqrt(Value x) { return math::SqrtOp::create(b, x); }
  Value c(double v) { return constant(f32(), b.getF32FloatAttr(v)); }

private:
  struct Scaled {
    Value mantissa, exponent; ///< mantissa * 2^exponent, exponent i32 in [-150, 129]
  };

  Type shaped(Type type) {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(type)) : type;
  }
  Type f32() { return shaped(b.getF32Type()); }
  Type f64() { return shaped(b.getF64Type()); }
  Type i32() { return shaped(b.getI32Type()); }
  Type i64() { return shaped(b.getI64Type()); }
  Value constant(Type type, TypedAttr attr) {
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, cast<Attribute>(attr));
    return arith::ConstantOp::create(b, attr);
  }
  Value d(double v) { return constant(f64(), b.getF64FloatAttr(v)); }
  Value i(int32_t v) { return constant(i32(), b.getI32IntegerAttr(v)); }
  Value l(int64_t v) { return constant(i64(), b.getI64IntegerAttr(v)); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value iadd(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value isub(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value shl(Value x, int32_t by) { return arith::ShLIOp::create(b, x, i(by)); }
  Value bits(Value x) { return arith::BitcastOp::create(b, i32(), x); }
  Value real(Value x) { return arith::BitcastOp::create(b, f32(), x); }
  Value less(Value x, Value y) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y); }
  Value select(Value cond, Value x, Value y) { return arith::SelectOp::create(b, cond, x, y); }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value copySign(Value x, Value sign) { return math::CopySignOp::create(b, x, sign); }
  /// Horner, highest degree first.
  Value polynomial(Value x, ArrayRef<float> coefficients) {
    Value r = c(coefficients[0]);
    for (float coefficient : coefficients.drop_front())
      r = fma(r, x, c(coefficient));
    return r;
  }
  Value polynomial64(Value x, ArrayRef<double> coefficients) {
    Value r = d(coefficients[0]);
    for (double coefficient : coefficients.drop_front())
      r = fma(r, x, d(coefficient));
    return r;
  }
  Scaled expPolynomial(Value x);
  Value scale(Scaled s);
  Value trunc32(Value x) { return arith::SIToFPOp::create(b, f32(), arith::FPToSIOp::create(b, i32(), x)); }
  /// Numbers from 2^23 on (and NaN) are integers already.
  Value keepLarge(Value x, Value rounded) { return select(less(abs(x), c(0x1p23)), copySign(rounded, x), x); }
  Value roundDown(Value x, bool up);

  ImplicitLocOpBuilder &b;
  Type like;
  bool hasFMA;
};

// Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
constexpr double kMagic = 0x1.8p23;
constexpr int32_t kMagicBits = 0x4b400000;

Formula::Scaled Formula::expPolynomial(Value x) {
  // Beyond these the result is 0 or infinity; the comparisons let NaN pass.
  x = select(less(c(89.0), x), c(89.0), x);
  x = select(less(x, c(-104.0)), c(-104.0), x);
  Value shifted = fma(x, c(1.44269504088896341), c(kMagic));
  Value n = sub(shifted, c(kMagic));
  // ln 2 in two parts; n * 0.693359375 is exact.
  Value r = fma(n, c(2.12194440e-4), fma(n, c(-0.693359375), x));
  Value p = polynomial(r, {0x1.6db41cp-10f, 0x1.123b56p-7f, 0x1.55545ep-5f, 0x1.55548ep-3f, 0.5f});
  p = fma(p, mul(r, r), r);
  return {add(p, c(1.0)), isub(bits(shifted), i(kMagicBits))};
}

Value Formula::scale(Scaled s) {
  // Two factors, so that results beyond the normal range round once.
  Value half = arith::ShRSIOp::create(b, s.exponent, i(1)), rest = isub(s.exponent, half);
  auto power = [&](Value n) { return real(shl(iadd(n, i(127)), 23)); };
  return mul(mul(s.mantissa, power(half)), power(rest));
}

Value Formula::exp64(Value x) {
  x = select(less(d(710.0), x), d(710.0), x);
  x = select(less(x, d(-746.0)), d(-746.0), x);
  constexpr double magic = 0x1.8p52; // as kMagic
  Value shifted = fma(x, d(1.44269504088896340736), d(magic)), n = sub(shifted, d(magic));
  // The first part of ln 2 has 33 bits: exact products.
  Value r = fma(n, d(-1.90821492927058770002e-10), fma(n, d(-6.93147180369123816490e-01), x));
  // Taylor's series: on half of ln 2 the next term is below 2^-58.
  SmallVector<double> coefficients;
  double factorial = 2;
  for (int n = 2; n <= 13; factorial *= ++n)
    coefficients.insert(coefficients.begin(), 1 / factorial);
  Value p = fma(polynomial64(r, coefficients), mul(r, r), r);
  Value exponent = arith::SubIOp::create(b, arith::BitcastOp::create(b, i64(), shifted), l(0x4338000000000000));
  Value half = arith::ShRSIOp::create(b, exponent, l(1)), rest = arith::SubIOp::create(b, exponent, half);
  auto power = [&](Value e) -> Value {
    return arith::BitcastOp::create(b, f64(), arith::ShLIOp::create(b, arith::AddIOp::create(b, e, l(1023)), l(52)));
  };
  return mul(mul(add(p, d(1.0)), power(half)), power(rest));
}

Value Formula::exp2(Value x) {
  x = select(less(c(129.0), x), c(129.0), x);
  x = select(less(x, c(-151.0)), c(-151.0), x);
  Value shifted = add(x, c(kMagic)), f = sub(x, sub(shifted, c(kMagic)));
  Value p = polynomial(f, {0x1.44860ep-13f, 0x1.5f4822p-10f, 0x1.3b29b8p-7f, 0x1.c6aecep-5f, 0x1.ebfbe0p-3f, 0x1.62e430p-1f, 1.0f});
  return scale({p, isub(bits(shifted), i(kMagicBits))});
}

Value Formula::expm1(Value x) {
  Value p = polynomial(x, {0x1.a33b38p-13f, 0x1.6eefe8p-10f, 0x1.110ef6p-7f, 0x1.55527ep-5f, 0x1.555558p-3f, 0x1.000002p-1f});
  Value near = fma(p, mul(x, x), x);
  return select(less(abs(x), c(0.5)), near, sub(exp(x), c(1.0)));
}

Value Formula::log(Value x) {
  // Denormals are scaled into the normal range.
  Value tiny = less(x, c(0x1p-126));
  Value scaled = select(tiny, mul(x, c(0x1p23)), x);
  // x = m * 2^e with m in [2/3, 4/3).
  Value raw = bits(scaled), e = arith::AndIOp::create(b, isub(raw, i(0x3f2aaaab)), i(int32_t(0xff800000)));
  Value f = sub(real(isub(raw, e)), c(1.0));
  Value exponent = arith::SIToFPOp::create(b, f32(), arith::ShRSIOp::create(b, e, i(23)));
  exponent = select(tiny, sub(exponent, c(23.0)), exponent);
  Value p = polynomial(f, {0x1.1f3d48p-3f, -0x1.3b2948p-3f, 0x1.1ea378p-3f, -0x1.5032b2p-3f, 0x1.99d414p-3f, -0x1.001480p-2f,
                           0x1.5554fap-2f, -0x1.ffffd6p-2f});
  Value r = fma(p, mul(f, f), fma(exponent, c(-2.12194440e-4), f));
  r = fma(exponent, c(0.693359375), r);
  Value infinity = c(std::numeric_limits<double>::infinity());
  r = select(less(x, infinity), r, x); // infinity and NaN
  r = select(less(x, c(0.0)), c(std::numeric_limits<double>::quiet_NaN()), r);
  return select(arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, c(0.0)), c(-std::numeric_limits<double>::infinity()), r);
}

Value Formula::log1p(Value x) {
  // Kahan: the rounding of 1 + x is undone by the quotient.
  Value u = add(x, c(1.0)), around = sub(u, c(1.0));
  Value quotient = mul(log(u), div(x, around));
  Value exact = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, around, c(0.0));
  Value large = less(c(0x1p60), x);
  return select(exact, x, select(large, log(u), quotient));
}

Value Formula::tanh(Value x) {
  Value s = mul(x, x), t = abs(x);
  Value p = polynomial(s, {0x1.197b14p-9f, -0x1.0c2128p-7f, 0x1.6394d2p-6f, -0x1.b9ef7cp-5f, 0x1.11106cp-3f, -0x1.555554p-2f});
  Value near = fma(p, mul(s, x), x);
  Value far = sub(c(1.0), div(c(2.0), add(exp(add(t, t)), c(1.0))));
  return select(less(t, c(0.625)), near, copySign(far, x));
}

Value Formula::erf(Value x) {
  // After N. Juffa: 1 - exp(-polynomial) away from 0.
  Value t = abs(x), s = mul(x, x);
  Value r = fma(c(-1.72853470e-5), t, c(3.83197126e-4)), u = fma(c(-3.88396438e-3), t, c(2.42546219e-2));
  r = fma(r, s, u);
  for (double coefficient : {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1})
    r = fma(r, t, c(coefficient));
  Value far = sub(c(1.0), exp(fma(r, t, sub(c(0.0), t))));
  // The polynomial is fitted up to 4; beyond it the result is 1.
  far = select(less(c(4.0), t), c(1.0), far);
  Value p = polynomial(s, {-5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f, -3.76125336e-1f, 1.28379166e-1f});
  Value near = fma(p, x, x);
  Value result = select(less(c(0.927734375), t), copySign(far, x), near);
  return select(arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x), x, result);
}

Value Formula::erfBesideOne(Value x) {
  // One odd quotient for all x, off by at most 4.1e-7; erf(3.92) rounds to 1.
  x = select(less(c(3.92), x), c(3.92), x);
  x = select(less(x, c(-3.92)), c(-3.92), x);
  Value s = mul(x, x);
  Value p = polynomial(s, {0x1.132872p-19f, 0x1.2ab8c4p-12f, 0x1.ed91a8p-9f, 0x1.b01e30p-5f, 0x1.85f400p-3f, 0x1.20dd74p+0f});
  Value q = polynomial(s, {0x1.3f8962p-15f, 0x1.30c0b6p-10f, 0x1.ea8326p-7f, 0x1.d3643ap-4f, 0x1.011028p-1f, 1.0f});
  return div(mul(x, p), q);
}

Value Formula::erfByTable(Value x) {
  // A polynomial for each quarter of [0, 4): off by at most 1.8e-7, exact 1 at the end.
  static constexpr float table[5][16] = {
      {0x1.1e5694p-5f, 0x1.01cc76p-3f, 0x1.7434dap-3f, 0x1.331afep-3f, 0x1.1be2c4p-4f, -0x1.6db3fap-8f, -0x1.6909b2p-5f, -0x1.880beap-5f,
       -0x1.1a1032p-5f, -0x1.39f444p-6f, -0x1.1d0a6ap-7f, -0x1.b0fe78p-9f, -0x1.1717cep-10f, -0x1.341822p-12f, -0x1.2506f2p-14f,
       -0x1.e254b0p-17f},
      {-0x1.850cccp-2f, -0x1.3afee6p-2f, -0x1.2bab4ap-3f, 0x1.a5f970p-6f, 0x1.189f82p-3f, 0x1.553a96p-3f, 0x1.1b9126p-3f, 0x1.71ce1cp-4f,
       0x1.8d20a4p-5f, 0x1.675776p-6f, 0x1.158940p-7f, 0x1.70e414p-9f, 0x1.a8309ep-11f, 0x1.a79bd6p-13f, 0x1.7068d2p-15f, 0x1.17a128p-17f},
      {0x1.6327b6p-13f, -0x1.0f5afep-2f, -0x1.c1ed54p-2f, -0x1.edc400p-2f, -0x1.a9122cp-2f, -0x1.2ec058p-2f, -0x1.6d5c96p-3f,
       -0x1.7a4c66p-4f, -0x1.529bd4p-5f, -0x1.0748fcp-6f, -0x1.64da92p-8f, -0x1.a68f00p-10f, -0x1.b5e5dep-12f, -0x1.8dab30p-14f,
       -0x1.3ccb36p-16f, -0x1.bb1e30p-19f},
      {0x1.20dd48p+0f, 0x1.0f5cb0p+0f, 0x1.c1efb8p-1f, 0x1.492ecap-1f, 0x1.a91350p-2f, 0x1.e46712p-3f, 0x1.e724a4p-4f, 0x1.b05428p-5f,
       0x1.529776p-6f, 0x1.d4069cp-8f, 0x1.1d7368p-9f, 0x1.334472p-11f, 0x1.23def0p-13f, 0x1.e94de6p-16f, 0x1.69ec30p-18f, 0x1.d872d4p-21f},
      {0x1.c478d2p-28f, 0x1.1af54ep-2f, 0x1.0a7ef6p-1f, 0x1.6c1c98p-1f, 0x1.af767ap-1f, 0x1.d8865ep-1f, 0x1.eea556p-1f, 0x1.f92d08p-1f,
       0x1.fd9ae2p-1f, 0x1.ff4048p-1f, 0x1.ffcaa8p-1f, 0x1.fff2d0p-1f, 0x1.fffd1ap-1f, 0x1.ffff70p-1f, 0x1.ffffe8p-1f, 0x1.fffffep-1f}};
  Value t = abs(x);
  t = select(less(c(3.8749), t), c(3.8749), t);
  // Adding 1.5 * 2^21 leaves the nearest quarter in the low bits.
  Value shifted = add(t, c(0x1.8p21)), near = sub(t, sub(shifted, c(0x1.8p21))), quarter = bits(shifted);
  auto coefficient = [&](ArrayRef<float> values) -> Value {
    Value all = arith::ConstantOp::create(b, DenseElementsAttr::get(cast<VectorType>(f32()), values));
    return LLVM::CallIntrinsicOp::create(b, f32(), b.getStringAttr("llvm.x86.avx512.permvar.sf.512"), ValueRange{all, quarter})
        .getResult(0);
  };
  Value r = coefficient(table[0]);
  for (ArrayRef<float> values : ArrayRef(table).drop_front())
    r = fma(r, near, coefficient(values));
  return copySign(r, x);
}

Value Formula::sinOrCos(Value x, bool cos) {
  // Reduction and polynomials in f64: positions times frequencies reach 1e6 and more, where f32 has no bits left after the point.
  Value wide = arith::ExtFOp::create(b, f64(), x);
  constexpr double magic = 0x1.8p52;
  Value shifted = fma(wide, d(6.36619772367581382433e-01), d(magic)), n = sub(shifted, d(magic));
  Value r = fma(n, d(-1.57079632673412561417e+00), wide); // 33 bits of pi/2: exact products
  r = fma(n, d(-6.07710050630396597660e-11), r);
  r = fma(n, d(-2.02226624879595063154e-21), r);
  Value s = mul(r, r);
  Value sine = fma(mul(polynomial64(s, {2.75573137070700676789e-06, -1.98412698298579493134e-04, 8.33333333332248946124e-03,
                                        -1.66666666666666324348e-01}),
                       s),
                   r, r);
  Value cosine = polynomial64(
      s, {-2.75573143513906633035e-07, 2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02, -0.5, 1.0});
  Value quadrant = arith::BitcastOp::create(b, i64(), shifted);
  if (cos)
    quadrant = arith::AddIOp::create(b, quadrant, l(1));
  auto bit = [&](int64_t mask) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, arith::AndIOp::create(b, quadrant, l(mask)), l(0)).getResult();
  };
  Value value = select(bit(1), cosine, sine);
  value = select(bit(2), arith::NegFOp::create(b, value), value);
  return arith::TruncFOp::create(b, f32(), value);
}

Value Formula::tan(Value x) { return div(sinOrCos(x, false), sinOrCos(x, true)); }

Value Formula::power(Value x, double exponent) {
  if (exponent == 0.0)
    return c(1.0);
  if (exponent == 1.0)
    return x;
  if (exponent == 2.0)
    return mul(x, x);
  if (exponent == 3.0)
    return mul(mul(x, x), x);
  if (exponent == 4.0)
    return mul(mul(x, x), mul(x, x));
  if (exponent == 0.5)
    return sqrt(x);
  if (exponent == -0.5)
    return div(c(1.0), sqrt(x));
  if (exponent == -1.0)
    return div(c(1.0), x);
  if (exponent == -2.0)
    return div(c(1.0), mul(x, x));
  return {};
}

Value Formula::roundEven(Value x) { return keepLarge(x, sub(add(abs(x), c(0x1p23)), c(0x1p23))); }

Value Formula::roundDown(Value x, bool up) {
  Value t = trunc32(x);
  Value fixed = up ? select(less(t, x), add(t, c(1.0)), t) : select(less(x, t), sub(t, c(1.0)), t);
  return keepLarge(x, fixed);
}

/// All that becomes of the result is that 1 is added, as in GELU.
static bool isBesideOne(Operation *op) {
  return !op->use_empty() && llvm::all_of(op->getUsers(), [&](Operation *user) {
    return isa<arith::AddFOp>(user) && llvm::any_of(user->getOperands(), [](Value v) { return matchPattern(v, m_OneFloat()); });
  });
}

struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  using impl::ExpandMathBase<ExpandMath>::ExpandMathBase;

  Value erfBesideOne(Formula &f, ImplicitLocOpBuilder &b, Value x) {
    auto lanes = VectorType::get({16}, b.getF32Type());
    if (!hasTables || (isa<VectorType>(x.getType()) && x.getType() != lanes))
      return f.erfBesideOne(x);
    // A scalar takes the way of a lane.
    Value wide = x.getType() == lanes ? x : vector::BroadcastOp::create(b, lanes, x).getResult();
    Value result = Formula(b, lanes, hasFMA).erfByTable(wide);
    return x.getType() == lanes ? result : vector::ExtractOp::create(b, result, ArrayRef<int64_t>{0}).getResult();
  }

  Value expand(Operation *op) {
    Type type = op->getResult(0).getType();
    ImplicitLocOpBuilder b(op->getLoc(), op);
    Formula f(b, type, hasFMA);
    Value x = op->getOperand(0);
    bool single = getElementTypeOrSelf(type).isF32();
    if (isa<math::FmaOp, vector::FMAOp>(op) && !hasFMA)
      return f.fma(x, op->getOperand(1), op->getOperand(2));
    if (isa<math::RsqrtOp>(op)) {
      auto one = b.getFloatAttr(getElementTypeOrSelf(type), 1.0);
      TypedAttr attr = one;
      if (auto vector = dyn_cast<VectorType>(type))
        attr = DenseElementsAttr::get(vector, cast<Attribute>(TypedAttr(one)));
      return f.div(arith::ConstantOp::create(b, attr), f.sqrt(x));
    }
    if (isa<math::ExpOp>(op) && !hasLibrary && getElementTypeOrSelf(type).isF64())
      return f.exp64(x);
    if (!single)
      return {};
    if (isa<math::ExpOp>(op))
      return f.exp(x);
    if (isa<math::Exp2Op>(op))
      return f.exp2(x);
    if (isa<math::ExpM1Op>(op))
      return f.expm1(x);
    if (isa<math::LogOp>(op))
      return f.log(x);
    if (isa<math::Log2Op>(op))
      return arith::MulFOp::create(b, f.log(x), f.c(1.44269504088896341));
    if (isa<math::Log10Op>(op))
      return arith::MulFOp::create(b, f.log(x), f.c(0.434294481903251828));
    if (isa<math::Log1pOp>(op))
      return f.log1p(x);
    if (isa<math::TanhOp>(op))
      return f.tanh(x);
    if (isa<math::ErfOp>(op))
      return isBesideOne(op) ? erfBesideOne(f, b, x) : f.erf(x);
    if (isa<math::SinOp>(op))
      return f.sinOrCos(x, false);
    if (isa<math::CosOp>(op))
      return f.sinOrCos(x, true);
    if (isa<math::TanOp>(op))
      return f.tan(x);
    if (isa<math::PowFOp>(op)) {
      Attribute exponent;
      Value y = op->getOperand(1);
      while (auto broadcast = y.getDefiningOp<vector::BroadcastOp>())
        y = broadcast.getSource();
      if (!matchPattern(y, m_Constant(&exponent)))
        return {};
      if (auto dense = dyn_cast<DenseElementsAttr>(exponent); dense && dense.isSplat())
        exponent = dense.getSplatValue<Attribute>();
      auto real = dyn_cast<FloatAttr>(exponent);
      return real ? f.power(x, real.getValueAsDouble()) : Value();
    }
    if (hasRound)
      return {};
    if (isa<math::FloorOp>(op))
      return f.floor(x);
    if (isa<math::CeilOp>(op))
      return f.ceil(x);
    if (isa<math::TruncOp>(op))
      return f.trunc(x);
    if (isa<math::RoundEvenOp>(op))
      return f.roundEven(x);
    return {};
  }

  void runOnOperation() override {
    SmallVector<Operation *> work;
    getOperation()->walk([&](Operation *op) {
      if (op->getNumResults() == 1 && (isa<math::MathDialect>(op->getDialect()) || isa<vector::FMAOp>(op)))
        work.push_back(op);
    });
    for (Operation *op : work)
      if (Value replacement = expand(op)) {
        op->getResult(0).replaceAllUsesWith(replacement);
        op->erase();
      }
    // Rounding integer divisions have no machine form either.
    RewritePatternSet patterns(&getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace leat::cpu
