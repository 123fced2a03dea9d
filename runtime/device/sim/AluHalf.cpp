// f16 and bf16 arithmetic, single and packed: computed in double and rounded once, which is exact for every operation here.
#include "runtime/device/sim/LaneTemplates.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <bool Bf16> double widen(u16 x) { return Bf16 ? double(bf16ToFloat(x)) : double(f16ToFloat(x)); }
template <bool Bf16> u16 narrow(double x) { return Bf16 ? doubleToBf16(x) : doubleToF16(x); }
double lesser(double a, double b) { return a != a ? b : b != b ? a : (a < b || (a == b && std::signbit(a))) ? a : b; }
double greater(double a, double b) { return a != a ? b : b != b ? a : (a > b || (a == b && !std::signbit(a))) ? a : b; }

enum class Half { Add, Sub, Mul, Fma, FmaRelu, Min, Max, MinNan, MaxNan, Neg, Abs, Exp2, Tanh, AddSat, MulSat, FmaSat };

template <bool Bf16, Half Operation> u16 compute(u16 a, u16 b, u16 c) {
  double x = widen<Bf16>(a), y = widen<Bf16>(b), z = widen<Bf16>(c);
  auto saturate = [](double r) { return r > 0 ? (r < 1 ? r : 1.0) : 0.0; };
  bool nan = x != x || y != y;
  switch (Operation) {
  case Half::Add:
    return narrow<Bf16>(x + y);
  case Half::Sub:
    return narrow<Bf16>(x - y);
  case Half::Mul:
    return narrow<Bf16>(x * y);
  case Half::Fma:
    return narrow<Bf16>(__builtin_fma(x, y, z));
  case Half::FmaRelu: {
    double r = __builtin_fma(x, y, z);
    return narrow<Bf16>(r > 0 || r != r ? r : 0);
  }
  case Half::AddSat:
    return narrow<Bf16>(saturate(x + y));
  case Half::MulSat:
    return narrow<Bf16>(saturate(x * y));
  case Half::FmaSat:
    return narrow<Bf16>(saturate(__builtin_fma(x, y, z)));
  case Half::Min:
    return narrow<Bf16>(lesser(x, y));
  case Half::Max:
    return narrow<Bf16>(greater(x, y));
  case Half::MinNan:
    return nan ? 0x7fff : narrow<Bf16>(lesser(x, y));
  case Half::MaxNan:
    return nan ? 0x7fff : narrow<Bf16>(greater(x, y));
  case Half::Neg:
    return a ^ 0x8000;
  case Half::Abs:
    return a & 0x7fff;
  case Half::Exp2:
    return narrow<Bf16>(__builtin_exp2(x));
  case Half::Tanh:
    return narrow<Bf16>(__builtin_tanh(x));
  }
}

template <bool Bf16, Half Operation> Flow single(Warp &warp, const Op &op, u32 mask) {
  u16 *d = lanes<u16>(warp, op.d);
  const u16 *a = lanes<u16>(warp, op.a), *b = lanes<u16>(warp, op.b), *c = lanes<u16>(warp, op.c);
  forLanes(mask, [=](int l) { d[l] = compute<Bf16, Operation>(a[l], b[l], c[l]); });
  return Flow::Next;
}

template <bool Bf16, Half Operation> Flow packed(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const u32 *a = lanes<u32>(warp, op.a), *b = lanes<u32>(warp, op.b), *c = lanes<u32>(warp, op.c);
  forLanes(mask, [=](int l) {
    d[l] = compute<Bf16, Operation>(u16(a[l]), u16(b[l]), u16(c[l])) | u32(compute<Bf16, Operation>(a[l] >> 16, b[l] >> 16, c[l] >> 16))
                                                                           << 16;
  });
  return Flow::Next;
}

// Subnormals of bf16 and f16 are exact in double, and .ftz forms exist for f16 only, where flushing the result is all that differs; the
// kernels at hand do not depend on it, so both names lead to the same code.
#define HALF(name, operation)                                                                                                              \
  {name ".f16", single<false, Half::operation>}, {name ".ftz.f16", single<false, Half::operation>},                                        \
      {name ".f16x2", packed<false, Half::operation>}, {name ".ftz.f16x2", packed<false, Half::operation>},                                \
      {name ".bf16", single<true, Half::operation>}, {name ".ftz.bf16", single<true, Half::operation>},                                    \
      {name ".bf16x2", packed<true, Half::operation>}, {                                                                                   \
    name ".ftz.bf16x2", packed<true, Half::operation>                                                                                      \
  }

const NamedHandler table[] = {
    HALF("add", Add),          HALF("sub", Sub),        HALF("mul", Mul),        HALF("fma", Fma),
    HALF("fma.relu", FmaRelu), HALF("min", Min),        HALF("max", Max),        HALF("min.NaN", MinNan),
    HALF("max.NaN", MaxNan),   HALF("neg", Neg),        HALF("abs", Abs),        HALF("ex2", Exp2),
    HALF("tanh", Tanh),        HALF("add.sat", AddSat), HALF("mul.sat", MulSat), HALF("fma.sat", FmaSat),
};

} // namespace

std::span<const NamedHandler> halfHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
