// cvt. The usual integer conversions have their own loops; the rest goes by way of a 64-bit integer or a double and rounds once.
#include "runtime/device/sim/LaneTemplates.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim::LEAT_SIM_ISA {

namespace {

float flushSubnormal(float x) {
  u32 u = floatBits(x);
  return bitsFloat((u & 0x7f800000) ? u : (u & 0x80000000));
}

float nextTowards(float f, double target) { // the neighbour of f on the side of target
  if (f == 0)
    return target > 0 ? bitsFloat(1) : bitsFloat(0x80000001);
  return bitsFloat((target > double(f)) == (f > 0) ? floatBits(f) + 1 : floatBits(f) - 1);
}

// Adjusts a float rounded to nearest to the direction asked for.
float roundFloat(double value, Round round) {
  float f = float(value);
  if (value != value || double(f) == value)
    return f;
  switch (round) {
  case Round::Zero:
    return __builtin_fabs(double(f)) > __builtin_fabs(value) ? nextTowards(f, 0) : f;
  case Round::Down:
    return double(f) > value ? nextTowards(f, value) : f;
  case Round::Up:
    return double(f) < value ? nextTowards(f, value) : f;
  default:
    return f;
  }
}

double toInteger(double x, Round round) {
  switch (round) {
  case Round::Nearest:
  case Round::IntNearest:
    return __builtin_rint(x);
  case Round::Zero:
  case Round::IntZero:
    return __builtin_trunc(x);
  case Round::Down:
  case Round::IntDown:
    return __builtin_floor(x);
  default:
    return __builtin_ceil(x);
  }
}

u64 clampToType(double r, Type type) { // r is integral; saturates
  auto clamp = [r](double low, double high) { return u64(i64(r < low ? low : r > high ? high : r)); };
  switch (type) {
  case Type::S8:
    return clamp(-128, 127);
  case Type::U8:
  case Type::B8:
    return clamp(0, 255);
  case Type::S16:
    return clamp(-32768, 32767);
  case Type::U16:
  case Type::B16:
    return clamp(0, 65535);
  case Type::S32:
    return clamp(-2147483648.0, 2147483647.0);
  case Type::U32:
  case Type::B32:
    return clamp(0, 4294967295.0);
  case Type::S64:
    return r >= 0x1p63 ? 0x7fffffffffffffffull : r < -0x1p63 ? 0x8000000000000000ull : u64(i64(r));
  default:
    return r <= 0 ? 0 : r >= 0x1p64 ? ~0ull : u64(r);
  }
}

u64 floatToFloat(double value, Type to, Round round, bool flush) {
  switch (to) {
  case Type::F16:
    return round == Round::Zero ? doubleToF16Zero(value) : doubleToF16(value);
  case Type::BF16:
    return round == Round::Zero ? doubleToBf16Zero(value) : doubleToBf16(value);
  case Type::F32: {
    float f = roundFloat(value, round);
    return floatBits(flush ? flushSubnormal(f) : f);
  }
  case Type::TF32: {
    u32 bits = floatBits(float(value));
    if ((bits & 0x7f800000) == 0x7f800000)
      return bits;
    if (round == Round::Zero)
      return bits & ~0x1fffu;
    if (round == Round::Nearest)
      return (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    return (bits + 0x1000) & ~0x1fffu; // .rna: ties away from zero
  }
  default:
    return bitsTo<u64>(value);
  }
}

// Integers are held as i64 bits; `wide` says that they are an unsigned 64-bit number.
u64 integerToFloat(i64 value, bool wide, Type to, Round round) {
  if (to == Type::F64) {
    double nearest = wide ? double(u64(value)) : double(value);
    return bitsTo<u64>(nearest);
  }
  if (to == Type::F32) {
    float f = wide ? float(u64(value)) : float(value);
    if (round != Round::Nearest) { // compare exactly
      __int128 exact = wide ? __int128(u64(value)) : __int128(value), rounded = __int128(f);
      bool above = rounded > exact, below = rounded < exact, positive = exact > 0;
      if ((round == Round::Zero && (positive ? above : below)) || (round == Round::Down && above) || (round == Round::Up && below))
        f = nextTowards(f, above ? -INFINITY : INFINITY);
    }
    return floatBits(f);
  }
  double d = wide ? double(u64(value)) : double(value); // beyond 53 bits f16 overflows anyway, and bf16 sees a sticky bit
  return to == Type::F16 ? (round == Round::Zero ? doubleToF16Zero(d) : doubleToF16(d))
                         : (round == Round::Zero ? doubleToBf16Zero(d) : doubleToBf16(d));
}

u64 saturateInteger(i64 value, bool wide, Type to) {
  bool large = wide && value < 0; // above 2^63
  auto clamp = [&](i64 low, i64 high) { return u64(large || value > high ? high : value < low ? low : value); };
  switch (to) {
  case Type::S8:
    return clamp(-128, 127);
  case Type::U8:
    return clamp(0, 255);
  case Type::S16:
    return clamp(-32768, 32767);
  case Type::U16:
    return clamp(0, 65535);
  case Type::S32:
    return clamp(INT32_MIN, INT32_MAX);
  case Type::U32:
    return clamp(0, UINT32_MAX);
  case Type::S64:
    return u64(large ? INT64_MAX : value);
  default:
    return u64(!wide && value < 0 ? 0 : value);
  }
}

u64 truncateInteger(u64 value, Type to) { // sign-extended when the type is, so that wider registers hold the number
  switch (to) {
  case Type::S8:
    return u64(i64(i8(value)));
  case Type::S16:
    return u64(i64(i16(value)));
  case Type::S32:
    return u64(i64(i32(value)));
  case Type::U8:
  case Type::B8:
    return u8(value);
  case Type::U16:
  case Type::B16:
    return u16(value);
  case Type::U32:
  case Type::B32:
    return u32(value);
  default:
    return value;
  }
}

// cvt between any two types. width: bytes of the destination register, size: of the source register.
Flow convert(Warp &warp, const Op &op, u32 mask) {
  const Aux &x = *op.aux;
  Type from = x.from, to = x.to;
  u8 *d = lanes<u8>(warp, op.d);
  bool fromFloat = isFloat(from), toFloat = isFloat(to);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u64 bits = laneValue(warp, op.a, op.size, l), out;
    if (fromFloat) {
      double value;
      switch (from) {
      case Type::F16:
        value = f16ToFloat(u16(bits));
        break;
      case Type::BF16:
        value = bf16ToFloat(u16(bits));
        break;
      case Type::F64:
        value = bitsTo<double>(bits);
        break;
      default:
        value = x.flush ? flushSubnormal(bitsFloat(u32(bits))) : bitsFloat(u32(bits));
      }
      if (toFloat) {
        if (x.round >= Round::IntNearest)
          value = toInteger(value, x.round);
        if (x.saturate)
          value = value > 0 ? (value < 1 ? value : 1) : 0;
        if (x.relu && !(value > 0))
          value = value != value ? value : 0;
        out = floatToFloat(value, to, x.round, x.flush);
      } else if (value != value) { // NaN: zero, in 64 bits the smallest number
        out = op.width == 8 && typeBytes(to) == 8 ? 0x8000000000000000ull : 0;
      } else {
        out = clampToType(toInteger(value, x.round), to);
      }
    } else {
      i64 value = i64(truncateInteger(bits, from));
      bool wide = typeBytes(from) == 8 && !isSigned(from);
      if (toFloat)
        out = integerToFloat(value, wide, to, x.round);
      else
        out = truncateInteger(x.saturate ? saturateInteger(value, wide, to) : u64(value), to);
    }
    std::memcpy(d + l * op.width, &out, op.width);
  }
  return Flow::Next;
}

template <class D, class A> struct Cast {
  static D of(A a) { return D(a); }
};
template <bool Bf16> struct WidenHalf {
  static float of(u16 a) { return Bf16 ? bf16ToFloat(a) : f16ToFloat(a); }
};
struct NarrowBf16 {
  static u16 of(float a) { return floatToBf16(a); }
};
struct NarrowF16 {
  static u16 of(float a) {
    u16 u = bitsTo<u16>(_Float16(a));
    return (u & 0x7fff) > 0x7c00 ? 0x7fff : u;
  }
};

// cvt.rn.bf16x2.f32 d, a, b: a is the high half. mode: 1 f16, 2 towards zero; relu in aux.
template <bool F16> Flow packHalves(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const float *a = lanes<float>(warp, op.a), *b = lanes<float>(warp, op.b);
  bool relu = op.mode & 1;
  if (op.mode & 2) {
    for (u32 rest = mask; rest; rest &= rest - 1) {
      int l = firstLane(rest);
      float x = relu && a[l] < 0 ? 0 : a[l], y = relu && b[l] < 0 ? 0 : b[l];
      d[l] = F16 ? u32(doubleToF16Zero(x)) << 16 | doubleToF16Zero(y) : u32(doubleToBf16Zero(x)) << 16 | doubleToBf16Zero(y);
    }
    return Flow::Next;
  }
  forLanes(mask, [=](int l) {
    float x = relu && a[l] < 0 ? 0 : a[l], y = relu && b[l] < 0 ? 0 : b[l];
    d[l] = F16 ? u32(NarrowF16::of(x)) << 16 | NarrowF16::of(y) : u32(floatToBf16(x)) << 16 | floatToBf16(y);
  });
  return Flow::Next;
}

// Two floats to two 8-bit floats; two halves to the same (mode: 1 e5m2, 2 relu); and back.
Flow packFp8(Warp &warp, const Op &op, u32 mask) {
  u16 *d = lanes<u16>(warp, op.d);
  const float *a = lanes<float>(warp, op.a), *b = lanes<float>(warp, op.b);
  bool e5m2 = op.mode & 1, relu = op.mode & 2;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    float x = relu && a[l] < 0 ? 0 : a[l], y = relu && b[l] < 0 ? 0 : b[l];
    d[l] = u16(floatToFp8(x, e5m2) << 8 | floatToFp8(y, e5m2));
  }
  return Flow::Next;
}
Flow halvesToFp8(Warp &warp, const Op &op, u32 mask) {
  u16 *d = lanes<u16>(warp, op.d);
  const u32 *a = lanes<u32>(warp, op.a);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    d[l] = u16(floatToFp8(f16ToFloat(u16(a[l] >> 16)), op.mode & 1) << 8 | floatToFp8(f16ToFloat(u16(a[l])), op.mode & 1));
  }
  return Flow::Next;
}
Flow fp8ToHalves(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const u16 *a = lanes<u16>(warp, op.a);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    d[l] = u32(doubleToF16(fp8ToFloat(u8(a[l] >> 8), op.mode & 1))) << 16 | doubleToF16(fp8ToFloat(u8(a[l]), op.mode & 1));
  }
  return Flow::Next;
}

// cvt.pack.sat.{s8,u8}.s32.b32 d, a, b, c: two saturated bytes in front of the low half of c.
template <class T> Flow packBytes(Warp &warp, const Op &op, u32 mask) {
  u32 *d = lanes<u32>(warp, op.d);
  const i32 *a = lanes<i32>(warp, op.a), *b = lanes<i32>(warp, op.b);
  const u32 *c = lanes<u32>(warp, op.c);
  constexpr i32 low = T(-1) < 0 ? -128 : 0, high = T(-1) < 0 ? 127 : 255;
  auto clamp = [](i32 x) { return u32(u8(x < low ? low : x > high ? high : x)); };
  forLanes(mask, [=](int l) { d[l] = c[l] << 16 | clamp(a[l]) << 8 | clamp(b[l]); });
  return Flow::Next;
}

const NamedHandler table[] = {
    {"cvt", convert},
    {"cvt.8.s4", unary<i64, i32, Cast<i64, i32>>},
    {"cvt.8.u4", unary<u64, u32, Cast<u64, u32>>},
    {"cvt.4.8", unary<u32, u64, Cast<u32, u64>>},
    {"cvt.4.u2", unary<u32, u16, Cast<u32, u16>>},
    {"cvt.4.s2", unary<i32, i16, Cast<i32, i16>>},
    {"cvt.2.4", unary<u16, u32, Cast<u16, u32>>},
    {"cvt.f32.s32", unary<float, i32, Cast<float, i32>>},
    {"cvt.f32.u32", unary<float, u32, Cast<float, u32>>},
    {"cvt.f32.f16", unary<float, u16, WidenHalf<false>>},
    {"cvt.f32.bf16", unary<float, u16, WidenHalf<true>>},
    {"cvt.f16.f32", unary<u16, float, NarrowF16>},
    {"cvt.bf16.f32", unary<u16, float, NarrowBf16>},
    {"cvt.f16x2", packHalves<true>},
    {"cvt.bf16x2", packHalves<false>},
    {"cvt.fp8x2.f32", packFp8},
    {"cvt.fp8x2.f16x2", halvesToFp8},
    {"cvt.f16x2.fp8x2", fp8ToHalves},
    {"cvt.pack.s8", packBytes<i8>},
    {"cvt.pack.u8", packBytes<u8>},
};

} // namespace

std::span<const NamedHandler> convertHandlers() { return table; }

} // namespace leat::sim::LEAT_SIM_ISA
