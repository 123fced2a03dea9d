// Logic, shifts, bit fields and counts.
#include "runtime/device/sim/LaneTemplates.h"

#include <type_traits>

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <class T> using Unsigned = std::make_unsigned_t<T>;

// Shifts by the width or more give zero, or the sign.
template <class T> struct ShiftLeft {
  static T of(T a, u32 b) { return b >= sizeof(T) * 8 ? T(0) : T(a << b); }
};
template <class T> struct ShiftRight {
  static T of(T a, u32 b) { return b >= sizeof(T) * 8 ? T(a < 0 ? -1 : 0) : T(a >> b); }
};
template <class T> struct Not {
  static T of(T a) { return T(~a); }
};
template <class T> struct LogicalNot {
  static T of(T a) { return T(a == 0); }
};

struct FunnelLeft {
  static u32 of(u32 a, u32 b, u32 c) { return u32((u64(b) << 32 | a) << (c & 31) >> 32); }
};
struct FunnelRight {
  static u32 of(u32 a, u32 b, u32 c) { return u32((u64(b) << 32 | a) >> (c & 31)); }
};
struct FunnelLeftClamped {
  static u32 of(u32 a, u32 b, u32 c) { return c >= 32 ? a : u32((u64(b) << 32 | a) << c >> 32); }
};
struct FunnelRightClamped {
  static u32 of(u32 a, u32 b, u32 c) { return c >= 32 ? b : u32((u64(b) << 32 | a) >> c); }
};

// Selects four bytes of b:a; bit 3 of a selector repeats the byte's sign.
struct Permute {
  static u32 of(u32 a, u32 b, u32 selectors) {
    u64 bytes = u64(b) << 32 | a;
    u32 out = 0;
    for (int i = 0; i < 4; ++i) {
      u32 selector = selectors >> (4 * i) & 15, byte = u32(bytes >> (8 * (selector & 7))) & 255;
      if (selector & 8)
        byte = (byte & 128) ? 255 : 0;
      out |= byte << (8 * i);
    }
    return out;
  }
};
// The other modes of prmt: c's two lowest bits choose a rotation.
template <int Mode> struct PermuteMode {
  static u32 of(u32 a, u32 b, u32 c) {
    static constexpr u16 table[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, // f4e
        {0x5670, 0x6701, 0x7012, 0x0123}, // b4e
        {0x0000, 0x1111, 0x2222, 0x3333}, // rc8
        {0x3210, 0x3211, 0x3222, 0x3333}, // ecl
        {0x0000, 0x1110, 0x2210, 0x3210}, // ecr
        {0x1010, 0x3232, 0x1010, 0x3232}, // rc16
    };
    return Permute::of(a, b, table[Mode][c & 3]);
  }
};

template <class T> struct ExtractField {
  static T of(T value, u32 b, u32 c) {
    constexpr u32 width = sizeof(T) * 8;
    u32 position = b & 255, length = c & 255;
    Unsigned<T> bits = Unsigned<T>(value);
    if (length == 0)
      return 0;
    u32 top = position + length - 1 < width - 1 ? position + length - 1 : width - 1;
    Unsigned<T> sign = std::is_signed_v<T> ? (bits >> top & 1) : 0;
    Unsigned<T> field = position >= width ? 0 : bits >> position;
    u32 have = position >= width ? 0 : length < width - position ? length : width - position; // bits that are there
    Unsigned<T> mask = have >= width ? Unsigned<T>(~Unsigned<T>(0)) : Unsigned<T>((Unsigned<T>(1) << have) - 1);
    return T((field & mask) | (sign ? Unsigned<T>(~mask) : 0));
  }
};

template <class T> Flow insertField(Warp &warp, const Op &op, u32 mask) {
  T *d = lanes<T>(warp, op.d);
  const T *a = lanes<T>(warp, op.a), *b = lanes<T>(warp, op.b);
  const u32 *c = lanes<u32>(warp, op.c), *e = lanes<u32>(warp, op.e);
  constexpr u32 width = sizeof(T) * 8;
  forLanes(mask, [=](int l) {
    u32 position = c[l] & 255, length = e[l] & 255;
    if (position >= width || length == 0) {
      d[l] = b[l];
      return;
    }
    if (length > width - position)
      length = width - position;
    T field = length >= width ? T(~T(0)) : T((T(1) << length) - 1);
    d[l] = T((b[l] & T(~T(field << position))) | T(T(a[l] & field) << position));
  });
  return Flow::Next;
}

struct FieldMask { // bmsk.clamp
  static u32 of(u32 a, u32 b) {
    u32 position = a, length = b > 32 ? 32 : b;
    if (position >= 32 || length == 0)
      return 0;
    u32 field = length >= 32 ? ~0u : (1u << length) - 1;
    return field << position;
  }
};

struct Popcount32 {
  static u32 of(u32 a) { return u32(__builtin_popcount(a)); }
};
struct Popcount64 {
  static u32 of(u64 a) { return u32(__builtin_popcountll(a)); }
};
struct LeadingZeros32 {
  static u32 of(u32 a) { return u32(a ? __builtin_clz(a) : 32); }
};
struct LeadingZeros64 {
  static u32 of(u64 a) { return u32(a ? __builtin_clzll(a) : 64); }
};
u32 reverse32(u32 a) {
  a = (a >> 1 & 0x55555555) | (a & 0x55555555) << 1;
  a = (a >> 2 & 0x33333333) | (a & 0x33333333) << 2;
  a = (a >> 4 & 0x0f0f0f0f) | (a & 0x0f0f0f0f) << 4;
  return __builtin_bswap32(a);
}
struct Reverse32 {
  static u32 of(u32 a) { return reverse32(a); }
};
struct Reverse64 {
  static u64 of(u64 a) { return u64(reverse32(u32(a))) << 32 | reverse32(u32(a >> 32)); }
};
// The most significant bit that is not a sign bit: its position, or (shiftamt) the shift that brings it to the top.
template <class T, bool Shift> struct FindBit {
  static u32 of(T a) {
    constexpr int width = sizeof(T) * 8;
    u64 bits = sizeof(T) == 8 ? u64(a < 0 ? ~a : a) : u64(u32(a < 0 ? ~a : a));
    if (bits == 0)
      return ~0u;
    int position = 63 - __builtin_clzll(bits);
    return u32(Shift ? width - 1 - position : position);
  }
};

// Any function of three bits, as a table of eight.
Flow lop3(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const u32 *a = lanes<u32>(warp, op.a), *b = lanes<u32>(warp, op.b), *c = lanes<u32>(warp, op.c);
  u32 t[8];
  for (int i = 0; i < 8; ++i)
    t[i] = (op.immediate >> i & 1) ? ~0u : 0;
  u32 t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3], t4 = t[4], t5 = t[5], t6 = t[6], t7 = t[7];
  forLanes(mask, [=](int l) {
    u32 x = a[l], y = b[l], z = c[l];
    u32 low = (~y & ((~z & t0) | (z & t1))) | (y & ((~z & t2) | (z & t3)));
    u32 high = (~y & ((~z & t4) | (z & t5))) | (y & ((~z & t6) | (z & t7)));
    d[l] = (~x & low) | (x & high);
  });
  return Flow::Next;
}

const NamedHandler table[] = {
    {"shl.b16", binary<u16, u16, u32, ShiftLeft<u16>>},
    {"shl.b32", binary<u32, u32, u32, ShiftLeft<u32>>},
    {"shl.b64", binary<u64, u64, u32, ShiftLeft<u64>>},
    {"shr.b16", binary<u16, u16, u32, ShiftRight<u16>>},
    {"shr.u16", binary<u16, u16, u32, ShiftRight<u16>>},
    {"shr.s16", binary<i16, i16, u32, ShiftRight<i16>>},
    {"shr.b32", binary<u32, u32, u32, ShiftRight<u32>>},
    {"shr.u32", binary<u32, u32, u32, ShiftRight<u32>>},
    {"shr.s32", binary<i32, i32, u32, ShiftRight<i32>>},
    {"shr.b64", binary<u64, u64, u32, ShiftRight<u64>>},
    {"shr.u64", binary<u64, u64, u32, ShiftRight<u64>>},
    {"shr.s64", binary<i64, i64, u32, ShiftRight<i64>>},
    {"not.b16", unary<u16, u16, Not<u16>>},
    {"not.b32", unary<u32, u32, Not<u32>>},
    {"not.b64", unary<u64, u64, Not<u64>>},
    {"cnot.b16", unary<u16, u16, LogicalNot<u16>>},
    {"cnot.b32", unary<u32, u32, LogicalNot<u32>>},
    {"cnot.b64", unary<u64, u64, LogicalNot<u64>>},
    {"lop3.b32", lop3},
    {"shf.l.wrap.b32", ternary<u32, u32, u32, u32, FunnelLeft>},
    {"shf.r.wrap.b32", ternary<u32, u32, u32, u32, FunnelRight>},
    {"shf.l.clamp.b32", ternary<u32, u32, u32, u32, FunnelLeftClamped>},
    {"shf.r.clamp.b32", ternary<u32, u32, u32, u32, FunnelRightClamped>},
    {"prmt.b32", ternary<u32, u32, u32, u32, Permute>},
    {"prmt.b32.f4e", ternary<u32, u32, u32, u32, PermuteMode<0>>},
    {"prmt.b32.b4e", ternary<u32, u32, u32, u32, PermuteMode<1>>},
    {"prmt.b32.rc8", ternary<u32, u32, u32, u32, PermuteMode<2>>},
    {"prmt.b32.ecl", ternary<u32, u32, u32, u32, PermuteMode<3>>},
    {"prmt.b32.ecr", ternary<u32, u32, u32, u32, PermuteMode<4>>},
    {"prmt.b32.rc16", ternary<u32, u32, u32, u32, PermuteMode<5>>},
    {"bfe.u32", ternary<u32, u32, u32, u32, ExtractField<u32>>},
    {"bfe.s32", ternary<i32, i32, u32, u32, ExtractField<i32>>},
    {"bfe.u64", ternary<u64, u64, u32, u32, ExtractField<u64>>},
    {"bfe.s64", ternary<i64, i64, u32, u32, ExtractField<i64>>},
    {"bfi.b32", insertField<u32>},
    {"bfi.b64", insertField<u64>},
    {"bmsk.clamp.b32", binary<u32, u32, u32, FieldMask>},
    {"popc.b32", unary<u32, u32, Popcount32>},
    {"popc.b64", unary<u32, u64, Popcount64>},
    {"clz.b32", unary<u32, u32, LeadingZeros32>},
    {"clz.b64", unary<u32, u64, LeadingZeros64>},
    {"brev.b32", unary<u32, u32, Reverse32>},
    {"brev.b64", unary<u64, u64, Reverse64>},
    {"bfind.u32", unary<u32, u32, FindBit<u32, false>>},
    {"bfind.s32", unary<u32, i32, FindBit<i32, false>>},
    {"bfind.u64", unary<u32, u64, FindBit<u64, false>>},
    {"bfind.s64", unary<u32, i64, FindBit<i64, false>>},
    {"bfind.shiftamt.u32", unary<u32, u32, FindBit<u32, true>>},
    {"bfind.shiftamt.s32", unary<u32, i32, FindBit<i32, true>>},
    {"bfind.shiftamt.u64", unary<u32, u64, FindBit<u64, true>>},
    {"bfind.shiftamt.s64", unary<u32, i64, FindBit<i64, true>>},
};

} // namespace

std::span<const NamedHandler> bitHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
