// The number formats of PTX kernels: conversions with one rounding, done by way of float and double.
#ifndef LEAT_RUNTIME_DEVICE_SIM_NUMBERS_H
#define LEAT_RUNTIME_DEVICE_SIM_NUMBERS_H

#include "runtime/device/sim/Types.h"

#include <cmath>
#include <cstring>

// Everything here is static: files that include it are compiled for several instruction sets, and no copy may be shared between them.
namespace leat::sim {

template <typename To, typename From> static inline To bitsTo(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
static inline u32 floatBits(float f) { return bitsTo<u32>(f); }
static inline float bitsFloat(u32 u) { return bitsTo<float>(u); }

static inline float bf16ToFloat(u16 h) { return bitsFloat(u32(h) << 16); }
static inline float f16ToFloat(u16 h) { return float(bitsTo<_Float16>(h)); }

// NaN becomes 0x7fff, as the hardware's canonical NaN.
static inline u16 floatToBf16(float f) {
  u32 u = floatBits(f);
  if ((u & 0x7fffffff) > 0x7f800000)
    return 0x7fff;
  return u16((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// double -> float rounded to odd: a second rounding to a narrower format is then the only one that matters.
static inline float doubleToFloatOdd(double d) {
  float f = float(d);
  if (double(f) == d || d != d)
    return f;
  if (std::fabs(double(f)) > std::fabs(d))
    f = bitsFloat(floatBits(f) - 1);
  return bitsFloat(floatBits(f) | 1);
}
static inline u16 doubleToBf16(double d) { return floatToBf16(doubleToFloatOdd(d)); }
static inline u16 doubleToF16(double d) {
  u16 u = bitsTo<u16>(_Float16(doubleToFloatOdd(d)));
  return (u & 0x7fff) > 0x7c00 ? 0x7fff : u;
}
// Towards zero: drop what nearest rounded up.
static inline u16 doubleToBf16Zero(double d) {
  if (d != d)
    return 0x7fff;
  float f = float(d);
  if (std::isinf(f) && !std::isinf(d))
    return std::signbit(f) ? 0xff7f : 0x7f7f;
  if (std::fabs(double(f)) > std::fabs(d))
    f = bitsFloat(floatBits(f) - 1);
  return u16(floatBits(f) >> 16);
}
static inline u16 doubleToF16Zero(double d) {
  u16 u = doubleToF16(d);
  if ((u & 0x7fff) > 0x7c00)
    return u;
  return std::fabs(double(f16ToFloat(u))) > std::fabs(d) ? u16(u - 1) : u;
}

// 8-bit floats: e4m3 has no infinity and one NaN; e5m2 is IEEE-like.
static inline float fp8ToFloat(u8 x, bool e5m2) {
  int mantissaBits = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7, exponent = (x & 0x7f) >> mantissaBits, mantissa = x & ((1 << mantissaBits) - 1);
  double value;
  if (e5m2 && exponent == 31)
    value = mantissa ? double(NAN) : double(INFINITY);
  else if (!e5m2 && (x & 0x7f) == 0x7f)
    value = double(NAN);
  else if (exponent)
    value = std::ldexp(1.0 + double(mantissa) / (1 << mantissaBits), exponent - bias);
  else
    value = std::ldexp(double(mantissa) / (1 << mantissaBits), 1 - bias);
  return float(x & 0x80 ? -value : value);
}
// To nearest, ties to even, saturating at the largest finite value.
static inline u8 floatToFp8(float f, bool e5m2) {
  if (f != f)
    return 0x7f;
  u8 sign = std::signbit(f) ? 0x80 : 0, largest = e5m2 ? 0x7b : 0x7e;
  double magnitude = std::fabs(double(f));
  if (magnitude >= fp8ToFloat(largest, e5m2))
    return sign | largest;
  int low = 0, high = largest;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    (fp8ToFloat(u8(middle), e5m2) <= magnitude ? low : high) = middle;
  }
  double below = magnitude - fp8ToFloat(u8(low), e5m2), above = fp8ToFloat(u8(high), e5m2) - magnitude;
  int nearest = below < above ? low : above < below ? high : (low & 1) ? high : low;
  return sign | u8(nearest);
}

} // namespace leat::sim

#endif
