// Integer arithmetic. Signed overflow wraps, so sums and products are computed unsigned.
#include "runtime/device/sim/LaneTemplates.h"

#include <type_traits>

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <class T> using Unsigned = std::make_unsigned_t<T>;

template <class T> struct Add {
  static T of(T a, T b) { return T(Unsigned<T>(a) + Unsigned<T>(b)); }
};
template <class T> struct Sub {
  static T of(T a, T b) { return T(Unsigned<T>(a) - Unsigned<T>(b)); }
};
template <class T> struct Min {
  static T of(T a, T b) { return a < b ? a : b; }
};
template <class T> struct Max {
  static T of(T a, T b) { return a > b ? a : b; }
};
// .relu of the two (sm_90): what is negative becomes 0.
struct MinRelu {
  static i32 of(i32 a, i32 b) { return Max<i32>::of(Min<i32>::of(a, b), 0); }
};
struct MaxRelu {
  static i32 of(i32 a, i32 b) { return Max<i32>::of(Max<i32>::of(a, b), 0); }
};
template <class T> struct And {
  static T of(T a, T b) { return T(a & b); }
};
template <class T> struct Or {
  static T of(T a, T b) { return T(a | b); }
};
template <class T> struct Xor {
  static T of(T a, T b) { return T(a ^ b); }
};
// Division by zero is undefined; all ones is what hardware gives.
template <class T> struct Div {
  static T of(T a, T b) {
    if (b == 0)
      return T(-1);
    if (std::is_signed_v<T> && b == T(-1))
      return T(0 - Unsigned<T>(a));
    return T(a / b);
  }
};
template <class T> struct Rem {
  static T of(T a, T b) {
    if (b == 0)
      return a;
    return std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
  }
};
template <class T> struct MulLow {
  static T of(T a, T b) { return T(u64(a) * u64(b)); }
};
template <class T> struct MadLow {
  static T of(T a, T b, T c) { return T(u64(a) * u64(b) + u64(c)); }
};
template <class T, class W> struct MulHigh {
  static T of(T a, T b) { return T((W(a) * W(b)) >> (sizeof(T) * 8)); }
};
template <class T, class W> struct MadHigh {
  static T of(T a, T b, T c) { return T(Unsigned<T>((W(a) * W(b)) >> (sizeof(T) * 8)) + Unsigned<T>(c)); }
};
template <class T, class W> struct MulWide {
  static W of(T a, T b) { return W(a) * W(b); }
};
template <class T, class W> struct MadWide {
  static W of(T a, T b, W c) { return W(Unsigned<W>(W(a) * W(b)) + Unsigned<W>(c)); }
};
template <class T> struct Neg {
  static T of(T a) { return T(0 - Unsigned<T>(a)); }
};
template <class T> struct Abs {
  static T of(T a) { return a < 0 ? T(0 - Unsigned<T>(a)) : a; }
};
// 24-bit products: the operands are 24 bits, sign- or zero-extended.
template <class T> T low24(T a) { return std::is_signed_v<T> ? T(T(u32(a) << 8) >> 8) : T(a & 0xffffff); }
template <class T> struct Mul24 {
  static T of(T a, T b) { return T(u64(i64(low24(a)) * i64(low24(b)))); }
};
template <class T> struct Mad24 {
  static T of(T a, T b, T c) { return T(u64(i64(low24(a)) * i64(low24(b))) + u64(c)); }
};
template <class T> struct Sad { // |a - b| + c
  static T of(T a, T b, T c) {
    return T(Unsigned<T>(a < b ? Unsigned<T>(b) - Unsigned<T>(a) : Unsigned<T>(a) - Unsigned<T>(b)) + Unsigned<T>(c));
  }
};
struct AddSaturated {
  static i32 of(i32 a, i32 b) {
    i64 r = i64(a) + b;
    return i32(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r);
  }
};
struct SubSaturated {
  static i32 of(i32 a, i32 b) {
    i64 r = i64(a) - b;
    return i32(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r);
  }
};

// Dot products of four bytes (or two halves with two bytes).
template <class A, class B> struct Dot4 {
  static u32 of(u32 a, u32 b, u32 c) {
    for (int i = 0; i < 4; ++i)
      c += u32(i32(A(a >> 8 * i)) * i32(B(b >> 8 * i)));
    return c;
  }
};

// add.cc, addc and their kin; the carry of each lane is a predicate register of its own (op.e). mode: 1 carry in, 2 carry out, 4 subtract.
template <class T, class W> Flow carry(Warp &warp, const Op &op, u32 mask) {
  T *d = lanes<T>(warp, op.d);
  const T *a = lanes<T>(warp, op.a), *b = lanes<T>(warp, op.b);
  u32 before = *lanes<u32>(warp, op.e), after = before;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    W in = (op.mode & 1) ? (before >> l & 1) : 0;
    W r = (op.mode & 4) ? W(a[l]) - W(b[l]) - in : W(a[l]) + W(b[l]) + in;
    after = (after & ~(1u << l)) | u32(r >> (sizeof(T) * 8) & 1) << l;
    d[l] = T(r);
  }
  if (op.mode & 2)
    *lanes<u32>(warp, op.e) = after;
  return Flow::Next;
}

// mad.lo.cc and mad.hi.cc, madc: the product's half takes part in the carry chain. mode as above, and 8: high half.
Flow madCarry(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const u32 *a = lanes<u32>(warp, op.a), *b = lanes<u32>(warp, op.b), *c = lanes<u32>(warp, op.c);
  u32 before = *lanes<u32>(warp, op.e), after = before;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u64 product = u64(a[l]) * b[l];
    u64 r = ((op.mode & 8) ? product >> 32 : u32(product)) + c[l] + ((op.mode & 1) ? (before >> l & 1) : 0);
    after = (after & ~(1u << l)) | u32(r >> 32 & 1) << l;
    d[l] = u32(r);
  }
  if (op.mode & 2)
    *lanes<u32>(warp, op.e) = after;
  return Flow::Next;
}

#define ALL_INTEGERS(name, F)                                                                                                              \
  {name ".u16", binary<u16, u16, u16, F<u16>>}, {name ".b16", binary<u16, u16, u16, F<u16>>},                                              \
      {name ".s16", binary<i16, i16, i16, F<i16>>}, {name ".u32", binary<u32, u32, u32, F<u32>>},                                          \
      {name ".b32", binary<u32, u32, u32, F<u32>>}, {name ".s32", binary<i32, i32, i32, F<i32>>},                                          \
      {name ".u64", binary<u64, u64, u64, F<u64>>}, {name ".b64", binary<u64, u64, u64, F<u64>>}, {                                        \
    name ".s64", binary<i64, i64, i64, F<i64>>                                                                                             \
  }
#define LOW(name, shape, F)                                                                                                                \
  {name ".u16", shape(u16, F)}, {name ".s16", shape(u16, F)}, {name ".u32", shape(u32, F)}, {name ".s32", shape(u32, F)},                  \
      {name ".u64", shape(u64, F)}, {                                                                                                      \
    name ".s64", shape(u64, F)                                                                                                             \
  }
#define TWO(T, F) binary<T, T, T, F<T>>
#define THREE(T, F) ternary<T, T, T, T, F<T>>
#define HIGH(name, shape, F)                                                                                                               \
  {name ".u16", shape(u16, u32, F)}, {name ".s16", shape(i16, i32, F)}, {name ".u32", shape(u32, u64, F)},                                 \
      {name ".s32", shape(i32, i64, F)}, {name ".u64", shape(u64, unsigned __int128, F)}, {                                                \
    name ".s64", shape(i64, __int128, F)                                                                                                   \
  }
#define TWO_HIGH(T, W, F) binary<T, T, T, F<T, W>>
#define THREE_HIGH(T, W, F) ternary<T, T, T, T, F<T, W>>
#define WIDE(name, shape, F)                                                                                                               \
  {name ".u16", shape(u16, u32, F)}, {name ".s16", shape(i16, i32, F)}, {name ".u32", shape(u32, u64, F)}, {                               \
    name ".s32", shape(i32, i64, F)                                                                                                        \
  }
#define TWO_WIDE(T, W, F) binary<W, T, T, F<T, W>>
#define THREE_WIDE(T, W, F) ternary<W, T, T, W, F<T, W>>

const NamedHandler table[] = {
    ALL_INTEGERS("add", Add),
    ALL_INTEGERS("sub", Sub),
    ALL_INTEGERS("min", Min),
    ALL_INTEGERS("max", Max),
    {"min.relu.s32", binary<i32, i32, i32, MinRelu>},
    {"max.relu.s32", binary<i32, i32, i32, MaxRelu>},
    ALL_INTEGERS("and", And),
    ALL_INTEGERS("or", Or),
    ALL_INTEGERS("xor", Xor),
    ALL_INTEGERS("div", Div),
    ALL_INTEGERS("rem", Rem),
    LOW("mul.lo", TWO, MulLow),
    LOW("mad.lo", THREE, MadLow),
    HIGH("mul.hi", TWO_HIGH, MulHigh),
    HIGH("mad.hi", THREE_HIGH, MadHigh),
    WIDE("mul.wide", TWO_WIDE, MulWide),
    WIDE("mad.wide", THREE_WIDE, MadWide),
    {"add.sat.s32", binary<i32, i32, i32, AddSaturated>},
    {"sub.sat.s32", binary<i32, i32, i32, SubSaturated>},
    {"mul24.lo.u32", binary<u32, u32, u32, Mul24<u32>>},
    {"mul24.lo.s32", binary<i32, i32, i32, Mul24<i32>>},
    {"mad24.lo.u32", ternary<u32, u32, u32, u32, Mad24<u32>>},
    {"mad24.lo.s32", ternary<i32, i32, i32, i32, Mad24<i32>>},
    {"sad.u16", ternary<u16, u16, u16, u16, Sad<u16>>},
    {"sad.s16", ternary<i16, i16, i16, i16, Sad<i16>>},
    {"sad.u32", ternary<u32, u32, u32, u32, Sad<u32>>},
    {"sad.s32", ternary<i32, i32, i32, i32, Sad<i32>>},
    {"sad.u64", ternary<u64, u64, u64, u64, Sad<u64>>},
    {"sad.s64", ternary<i64, i64, i64, i64, Sad<i64>>},
    {"neg.s16", unary<i16, i16, Neg<i16>>},
    {"neg.s32", unary<i32, i32, Neg<i32>>},
    {"neg.s64", unary<i64, i64, Neg<i64>>},
    {"abs.s16", unary<i16, i16, Abs<i16>>},
    {"abs.s32", unary<i32, i32, Abs<i32>>},
    {"abs.s64", unary<i64, i64, Abs<i64>>},
    {"dp4a.u32.u32", ternary<u32, u32, u32, u32, Dot4<u8, u8>>},
    {"dp4a.s32.s32", ternary<u32, u32, u32, u32, Dot4<i8, i8>>},
    {"dp4a.u32.s32", ternary<u32, u32, u32, u32, Dot4<u8, i8>>},
    {"dp4a.s32.u32", ternary<u32, u32, u32, u32, Dot4<i8, u8>>},
    {"carry.4", carry<u32, u64>},
    {"carry.8", carry<u64, unsigned __int128>},
    {"madcarry", madCarry},
};

} // namespace

std::span<const NamedHandler> integerHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
