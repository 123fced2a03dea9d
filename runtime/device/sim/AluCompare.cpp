// setp, set, selp, slct.
#include "runtime/device/sim/Comparison.h"
#include "runtime/device/sim/LaneTemplates.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <class T, Comparison C> bool compare(T a, T b) {
  bool ordered = a == a && b == b;
  switch (C) {
  case Comparison::Eq:
    return a == b;
  case Comparison::Ne:
    return ordered && a != b;
  case Comparison::Lt:
    return a < b;
  case Comparison::Le:
    return a <= b;
  case Comparison::Gt:
    return a > b;
  case Comparison::Ge:
    return a >= b;
  case Comparison::Equ:
    return !ordered || a == b;
  case Comparison::Neu:
    return a != b;
  case Comparison::Ltu:
    return !(a >= b);
  case Comparison::Leu:
    return !(a > b);
  case Comparison::Gtu:
    return !(a <= b);
  case Comparison::Geu:
    return !(a < b);
  case Comparison::Num:
    return ordered;
  case Comparison::Nan:
    return !ordered;
  }
}

template <class T, Comparison C> u32 compareLanes(const T *a, const T *b) {
  alignas(32) u8 yes[32];
  for (int l = 0; l < 32; ++l)
    yes[l] = compare<T, C>(a[l], b[l]) ? 0xff : 0;
  u32 bits = 0;
  for (int l = 0; l < 32; ++l)
    bits |= u32(yes[l] & 1) << l;
  return bits;
}

template <class T> u32 compareBy(Comparison c, const T *a, const T *b) {
  switch (c) {
#define CASE(C)                                                                                                                            \
  case Comparison::C:                                                                                                                      \
    return compareLanes<T, Comparison::C>(a, b);
    CASE(Eq) CASE(Ne) CASE(Lt) CASE(Le) CASE(Gt) CASE(Ge) CASE(Equ) CASE(Neu) CASE(Ltu) CASE(Leu) CASE(Gtu) CASE(Geu) CASE(Num) CASE(Nan)
#undef CASE
  }
  return 0;
}

template <class T> u32 plain(Warp &warp, const Op &op) {
  return compareBy<T>(Comparison(op.mode), lanes<T>(warp, op.a), lanes<T>(warp, op.b));
}

template <bool Bf16> u32 half(Warp &warp, const Op &op) {
  const u16 *x = lanes<u16>(warp, op.a), *y = lanes<u16>(warp, op.b);
  float a[32], b[32];
  for (int l = 0; l < 32; ++l) {
    a[l] = Bf16 ? bf16ToFloat(x[l]) : f16ToFloat(x[l]);
    b[l] = Bf16 ? bf16ToFloat(y[l]) : f16ToFloat(y[l]);
  }
  return compareBy<float>(Comparison(op.mode), a, b);
}

u32 flushed(Warp &warp, const Op &op) { // .ftz: subnormals compare as zeros
  const u32 *x = lanes<u32>(warp, op.a), *y = lanes<u32>(warp, op.b);
  float a[32], b[32];
  for (int l = 0; l < 32; ++l) {
    a[l] = bitsFloat((x[l] & 0x7f800000) ? x[l] : x[l] & 0x80000000);
    b[l] = bitsFloat((y[l] & 0x7f800000) ? y[l] : y[l] & 0x80000000);
  }
  return compareBy<float>(Comparison(op.mode), a, b);
}

// setp d|e, a, b, c: d = (a op b) combined with c, e = !(a op b) combined with c. count: 0 none, 1 and, 2 or, 3 xor.
template <u32 (*Compare)(Warp &, const Op &)> Flow setp(Warp &warp, const Op &op, u32 mask) {
  u32 yes = Compare(warp, op), no = ~yes;
  if (op.count) {
    u32 c = predicate(warp, op.c, op.negateA);
    yes = op.count == 1 ? yes & c : op.count == 2 ? yes | c : yes ^ c;
    no = op.count == 1 ? no & c : op.count == 2 ? no | c : no ^ c;
  }
  if (op.d != noSlot)
    setPredicate(warp, op.d, mask, yes);
  if (op.e != noSlot)
    setPredicate(warp, op.e, mask, no);
  return Flow::Next;
}

// set: all ones or 1.0 instead of a predicate.
template <u32 (*Compare)(Warp &, const Op &)> Flow set(Warp &warp, const Op &op, u32 mask) {
  u32 yes = Compare(warp, op), value = op.size ? 0x3f800000 : ~0u, *d = lanes<u32>(warp, op.d);
  forLanes(mask, [=](int l) { d[l] = (yes >> l & 1) ? value : 0; });
  return Flow::Next;
}

// Packed halves: two comparisons; predicates for the low and the high one.
template <bool Bf16> void packedBits(Warp &warp, const Op &op, u32 &low, u32 &high) {
  const u32 *x = lanes<u32>(warp, op.a), *y = lanes<u32>(warp, op.b);
  float a[32], b[32];
  for (int part = 0; part < 2; ++part) {
    for (int l = 0; l < 32; ++l) {
      u16 p = u16(x[l] >> 16 * part), q = u16(y[l] >> 16 * part);
      a[l] = Bf16 ? bf16ToFloat(p) : f16ToFloat(p);
      b[l] = Bf16 ? bf16ToFloat(q) : f16ToFloat(q);
    }
    (part ? high : low) = compareBy<float>(Comparison(op.mode), a, b);
  }
}
template <bool Bf16> Flow setpPacked(Warp &warp, const Op &op, u32 mask) {
  u32 low, high;
  packedBits<Bf16>(warp, op, low, high);
  if (op.d != noSlot)
    setPredicate(warp, op.d, mask, low);
  if (op.e != noSlot)
    setPredicate(warp, op.e, mask, high);
  return Flow::Next;
}
template <bool Bf16> Flow setPacked(Warp &warp, const Op &op, u32 mask) {
  u32 low, high, *d = lanes<u32>(warp, op.d), one = op.size ? (Bf16 ? 0x3f80 : 0x3c00) : 0xffff;
  packedBits<Bf16>(warp, op, low, high);
  forLanes(mask, [=](int l) { d[l] = ((low >> l & 1) ? one : 0) | ((high >> l & 1) ? one << 16 : 0); });
  return Flow::Next;
}

template <class T> Flow selp(Warp &warp, const Op &op, u32 mask) {
  T *d = lanes<T>(warp, op.d);
  const T *a = lanes<T>(warp, op.a), *b = lanes<T>(warp, op.b);
  u32 p = predicate(warp, op.c, op.negateA);
  forLanes(mask, [=](int l) { d[l] = (p >> l & 1) ? a[l] : b[l]; });
  return Flow::Next;
}

template <class T, class C> Flow slct(Warp &warp, const Op &op, u32 mask) {
  T *d = lanes<T>(warp, op.d);
  const T *a = lanes<T>(warp, op.a), *b = lanes<T>(warp, op.b);
  const C *c = lanes<C>(warp, op.c);
  forLanes(mask, [=](int l) { d[l] = c[l] >= 0 ? a[l] : b[l]; });
  return Flow::Next;
}

#define COMPARE(type, compare)                                                                                                             \
  {"setp." type, setp<compare>}, { "set." type, set<compare> }

const NamedHandler table[] = {
    COMPARE("u16", plain<u16>),
    COMPARE("b16", plain<u16>),
    COMPARE("s16", plain<i16>),
    COMPARE("u32", plain<u32>),
    COMPARE("b32", plain<u32>),
    COMPARE("s32", plain<i32>),
    COMPARE("u64", plain<u64>),
    COMPARE("b64", plain<u64>),
    COMPARE("s64", plain<i64>),
    COMPARE("f32", plain<float>),
    COMPARE("ftz.f32", flushed),
    COMPARE("f64", plain<double>),
    COMPARE("f16", half<false>),
    COMPARE("ftz.f16", half<false>),
    COMPARE("bf16", half<true>),
    {"setp.f16x2", setpPacked<false>},
    {"setp.ftz.f16x2", setpPacked<false>},
    {"setp.bf16x2", setpPacked<true>},
    {"set.f16x2", setPacked<false>},
    {"set.ftz.f16x2", setPacked<false>},
    {"set.bf16x2", setPacked<true>},
    {"selp.2", selp<u16>},
    {"selp.4", selp<u32>},
    {"selp.8", selp<u64>},
    {"slct.2.s32", slct<u16, i32>},
    {"slct.4.s32", slct<u32, i32>},
    {"slct.8.s32", slct<u64, i32>},
    {"slct.2.f32", slct<u16, float>},
    {"slct.4.f32", slct<u32, float>},
    {"slct.8.f32", slct<u64, float>},
};

} // namespace

std::span<const NamedHandler> compareHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
