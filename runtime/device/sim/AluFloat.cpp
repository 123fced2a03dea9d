// f32 and f64 arithmetic. Z: subnormal operands and results are flushed to zero (.ftz). Directed rounding wraps the nearest handler in the
// processor's rounding mode.
#include "runtime/device/sim/LaneTemplates.h"
#include "runtime/device/sim/Numbers.h"

#include <cfenv>

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <bool Z> float flush(float x) {
  if (!Z)
    return x;
  u32 u = floatBits(x);
  return bitsFloat((u & 0x7f800000) ? u : (u & 0x80000000));
}

// The number where one operand is NaN; -0 is less than +0.
template <class T> T lesser(T a, T b) { return a != a ? b : b != b ? a : (a < b || (a == b && std::signbit(a))) ? a : b; }
template <class T> T greater(T a, T b) { return a != a ? b : b != b ? a : (a > b || (a == b && !std::signbit(a))) ? a : b; }

#define FLOAT2(Name, expression)                                                                                                           \
  template <bool Z> struct Name {                                                                                                          \
    static float of(float x, float y) {                                                                                                    \
      float a = flush<Z>(x), b = flush<Z>(y);                                                                                              \
      return flush<Z>(expression);                                                                                                         \
    }                                                                                                                                      \
  };
FLOAT2(Add, a + b)
FLOAT2(Sub, a - b)
FLOAT2(Mul, a *b)
FLOAT2(Div, a / b)
FLOAT2(Min, lesser(a, b))
FLOAT2(Max, greater(a, b))
FLOAT2(MinNan, a != a || b != b ? bitsFloat(0x7fffffff) : lesser(a, b))
FLOAT2(MaxNan, a != a || b != b ? bitsFloat(0x7fffffff) : greater(a, b))
FLOAT2(CopySign, bitsFloat((floatBits(b) & 0x7fffffff) | (floatBits(a) & 0x80000000)))

template <bool Z> struct Fma {
  static float of(float a, float b, float c) { return flush<Z>(__builtin_fmaf(flush<Z>(a), flush<Z>(b), flush<Z>(c))); }
};
template <bool Z> struct FmaRelu {
  static float of(float a, float b, float c) {
    float r = Fma<Z>::of(a, b, c);
    return r > 0 || r != r ? r : 0;
  }
};

// 2^x, to less than an ulp: the series of exp(r ln 2) for |r| <= 1/2 in double, scaled by the integer part. Branch-free, so that it
// vectorises.
float exp2Series(float x) {
  double d = x;
  d = d < -200 ? -200 : d;
  d = d > 200 ? 200 : d;
  double shifted = d + 0x1.8p52, r = d - (shifted - 0x1.8p52);
  double scale = bitsTo<double>(u64(i64(i32(u32(bitsTo<u64>(shifted)))) + 1023) << 52);
  double p = 1.3215486790144309e-6;
  p = p * r + 1.525273380405984e-5;
  p = p * r + 1.5403530393381606e-4;
  p = p * r + 1.3333558146428443e-3;
  p = p * r + 9.618129107628477e-3;
  p = p * r + 5.5504108664821576e-2;
  p = p * r + 2.4022650695910070e-1;
  p = p * r + 6.9314718055994531e-1;
  return float((p * r + 1) * scale);
}

// The approximate functions are computed exactly (or nearly so): compare with tolerances, as with hardware.
#define FLOAT1(Name, expression)                                                                                                           \
  template <bool Z> struct Name {                                                                                                          \
    static float of(float x) {                                                                                                             \
      float a = flush<Z>(x);                                                                                                               \
      return flush<Z>(expression);                                                                                                         \
    }                                                                                                                                      \
  };
FLOAT1(Neg, -a)
FLOAT1(Abs, bitsFloat(floatBits(a) & 0x7fffffff))
FLOAT1(Exp2, exp2Series(a))
FLOAT1(Log2, __builtin_log2f(a))
FLOAT1(Reciprocal, 1.0f / a)
FLOAT1(ReciprocalRoot, 1.0f / __builtin_sqrtf(a))
FLOAT1(Root, __builtin_sqrtf(a))
FLOAT1(Sine, __builtin_sinf(a))
FLOAT1(Cosine, __builtin_cosf(a))
FLOAT1(Tanh, __builtin_tanhf(a))

#define DOUBLE2(Name, expression)                                                                                                          \
  struct Name {                                                                                                                            \
    static double of(double a, double b) { return expression; }                                                                            \
  };
DOUBLE2(AddD, a + b)
DOUBLE2(SubD, a - b)
DOUBLE2(MulD, a *b)
DOUBLE2(DivD, a / b)
DOUBLE2(MinD, lesser(a, b))
DOUBLE2(MaxD, greater(a, b))
DOUBLE2(CopySignD, __builtin_copysign(b, a))
struct FmaD {
  static double of(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
#define DOUBLE1(Name, expression)                                                                                                          \
  struct Name {                                                                                                                            \
    static double of(double a) { return expression; }                                                                                      \
  };
DOUBLE1(NegD, -a)
DOUBLE1(AbsD, __builtin_fabs(a))
DOUBLE1(RootD, __builtin_sqrt(a))
DOUBLE1(ReciprocalD, 1 / a)
// The approximations with .ftz.f64 give the upper 32 bits of the result and zeros below.
double upperHalf(double x) { return bitsTo<double>(bitsTo<u64>(x) & 0xffffffff00000000ull); }
DOUBLE1(ReciprocalApproximateD, upperHalf(1 / upperHalf(a)))
DOUBLE1(ReciprocalRootApproximateD, upperHalf(1 / __builtin_sqrt(upperHalf(a))))

// Two floats in a 64-bit register.
template <class F> struct Pair {
  static u64 of(u64 a, u64 b) {
    return u64(floatBits(F::of(bitsFloat(u32(a >> 32)), bitsFloat(u32(b >> 32))))) << 32 |
           floatBits(F::of(bitsFloat(u32(a)), bitsFloat(u32(b))));
  }
  static u64 of(u64 a, u64 b, u64 c) {
    return u64(floatBits(F::of(bitsFloat(u32(a >> 32)), bitsFloat(u32(b >> 32)), bitsFloat(u32(c >> 32))))) << 32 |
           floatBits(F::of(bitsFloat(u32(a)), bitsFloat(u32(b)), bitsFloat(u32(c))));
  }
};

Flow saturate(Warp &warp, const Op &op, u32 mask) {
  op.aux->inner(warp, op, mask);
  float *d = lanes<float>(warp, op.d);
  forLanes(mask, [=](int l) { d[l] = d[l] > 0 ? (d[l] < 1 ? d[l] : 1.0f) : 0.0f; });
  return Flow::Next;
}

Flow rounded(Warp &warp, const Op &op, u32 mask) {
  int before = std::fegetround();
  std::fesetround(op.aux->round == Round::Zero ? FE_TOWARDZERO : op.aux->round == Round::Down ? FE_DOWNWARD : FE_UPWARD);
  Flow flow = op.aux->inner(warp, op, mask);
  std::fesetround(before);
  return flow;
}

// testp: a property of a number, as a predicate. mode: finite, infinite, number, notanumber, normal, subnormal.
template <class T, class Bits, int MantissaBits> Flow testProperty(Warp &warp, const Op &op, u32 mask) {
  const Bits *a = lanes<Bits>(warp, op.a);
  u32 result = 0;
  constexpr Bits magnitude = Bits(~Bits(0)) >> 1, mantissa = (Bits(1) << MantissaBits) - 1, infinity = magnitude & ~mantissa;
  for (int l = 0; l < 32; ++l) {
    Bits x = a[l] & magnitude;
    bool yes = op.mode == 0   ? x < infinity
               : op.mode == 1 ? x == infinity
               : op.mode == 2 ? x <= infinity
               : op.mode == 3 ? x > infinity
               : op.mode == 4 ? x < infinity && x > mantissa
                              : x != 0 && x <= mantissa;
    result |= u32(yes) << l;
  }
  setPredicate(warp, op.d, mask, result);
  return Flow::Next;
}

#define F32_TWO(name, F)                                                                                                                   \
  {name ".f32", binary<float, float, float, F<false>>}, { name ".ftz.f32", binary<float, float, float, F<true>> }
#define F32_ONE(name, F)                                                                                                                   \
  {name ".f32", unary<float, float, F<false>>}, { name ".ftz.f32", unary<float, float, F<true>> }
#define F32_THREE(name, F)                                                                                                                 \
  {name ".f32", ternary<float, float, float, float, F<false>>}, { name ".ftz.f32", ternary<float, float, float, float, F<true>> }
#define F32X2_TWO(name, F)                                                                                                                 \
  {name ".f32x2", binary<u64, u64, u64, Pair<F<false>>>}, { name ".ftz.f32x2", binary<u64, u64, u64, Pair<F<true>>> }

const NamedHandler table[] = {
    F32_TWO("add", Add),
    F32_TWO("sub", Sub),
    F32_TWO("mul", Mul),
    F32_TWO("div", Div),
    F32_TWO("min", Min),
    F32_TWO("max", Max),
    F32_TWO("min.NaN", MinNan),
    F32_TWO("max.NaN", MaxNan),
    F32_TWO("copysign", CopySign),
    F32_THREE("fma", Fma),
    F32_THREE("mad", Fma),
    F32_THREE("fma.relu", FmaRelu),
    F32_ONE("neg", Neg),
    F32_ONE("abs", Abs),
    F32_ONE("ex2", Exp2),
    F32_ONE("lg2", Log2),
    F32_ONE("rcp", Reciprocal),
    F32_ONE("rsqrt", ReciprocalRoot),
    F32_ONE("sqrt", Root),
    F32_ONE("sin", Sine),
    F32_ONE("cos", Cosine),
    F32_ONE("tanh", Tanh),
    F32X2_TWO("add", Add),
    F32X2_TWO("mul", Mul),
    {"fma.f32x2", ternary<u64, u64, u64, u64, Pair<Fma<false>>>},
    {"fma.ftz.f32x2", ternary<u64, u64, u64, u64, Pair<Fma<true>>>},
    {"add.f64", binary<double, double, double, AddD>},
    {"sub.f64", binary<double, double, double, SubD>},
    {"mul.f64", binary<double, double, double, MulD>},
    {"div.f64", binary<double, double, double, DivD>},
    {"min.f64", binary<double, double, double, MinD>},
    {"max.f64", binary<double, double, double, MaxD>},
    {"copysign.f64", binary<double, double, double, CopySignD>},
    {"fma.f64", ternary<double, double, double, double, FmaD>},
    {"mad.f64", ternary<double, double, double, double, FmaD>},
    {"neg.f64", unary<double, double, NegD>},
    {"abs.f64", unary<double, double, AbsD>},
    {"sqrt.f64", unary<double, double, RootD>},
    {"rcp.f64", unary<double, double, ReciprocalD>},
    {"rcp.ftz.f64", unary<double, double, ReciprocalApproximateD>},
    {"rsqrt.f64", unary<double, double, ReciprocalRootApproximateD>},
    {"rsqrt.ftz.f64", unary<double, double, ReciprocalRootApproximateD>},
    {"testp.f32", testProperty<float, u32, 23>},
    {"testp.f64", testProperty<double, u64, 52>},
    {"saturate", saturate},
    {"round", rounded},
};

} // namespace

std::span<const NamedHandler> floatHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
