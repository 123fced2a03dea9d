// Sizes, names and conversions of element types.
#include "runtime/core/DType.h"

#include <cmath>
#include <string_view>

namespace leat::rt {

namespace {
struct Info {
  DType type;
  int8_t size;
  const char *name;
  const char *onnxName;
};
const Info infos[] = {
    {DType::Undefined, 0, "undefined", ""},
    {DType::F32, 4, "f32", "float32"},
    {DType::U8, 1, "ui8", "uint8"},
    {DType::I8, 1, "i8", "int8"},
    {DType::U16, 2, "ui16", "uint16"},
    {DType::I16, 2, "i16", "int16"},
    {DType::I32, 4, "i32", "int32"},
    {DType::I64, 8, "i64", "int64"},
    {DType::String, 0, "string", "string"},
    {DType::Bool, 1, "i1", "bool"},
    {DType::F16, 2, "f16", "float16"},
    {DType::F64, 8, "f64", "float64"},
    {DType::U32, 4, "ui32", "uint32"},
    {DType::U64, 8, "ui64", "uint64"},
    {DType::C64, 8, "complex<f32>", "complex64"},
    {DType::C128, 16, "complex<f64>", "complex128"},
    {DType::BF16, 2, "bf16", "bfloat16"},
    {DType::F8E4M3FN, 1, "f8E4M3FN", "float8e4m3fn"},
    {DType::F8E4M3FNUZ, 1, "f8E4M3FNUZ", "float8e4m3fnuz"},
    {DType::F8E5M2, 1, "f8E5M2", "float8e5m2"},
    {DType::F8E5M2FNUZ, 1, "f8E5M2FNUZ", "float8e5m2fnuz"},
    {DType::U4, 1, "ui4", "uint4"},
    {DType::I4, 1, "i4", "int4"},
    {DType::F4E2M1, 1, "f4E2M1FN", "float4e2m1"},
    {DType::F8E8M0, 1, "f8E8M0FNU", "float8e8m0"},
    {DType::U2, 1, "ui2", "uint2"},
    {DType::I2, 1, "i2", "int2"},
};
constexpr int infoCount = sizeof(infos) / sizeof(infos[0]);

const Info *find(DType type) {
  auto number = static_cast<int32_t>(type);
  return number >= 0 && number < infoCount ? &infos[number] : nullptr;
}
} // namespace

int64_t dtypeSize(DType type) {
  const Info *info = find(type);
  return info ? info->size : 0;
}

const char *dtypeName(DType type) {
  const Info *info = find(type);
  return info ? info->name : "unknown";
}

DType dtypeFromName(const char *name, size_t size) {
  std::string_view text(name, size);
  for (const Info &info : infos)
    if (info.type != DType::Undefined && (text == info.name || text == info.onnxName))
      return info.type;
  // Spellings other tools use for the same types.
  static constexpr struct {
    std::string_view name;
    DType type;
  } others[] = {{"u8", DType::U8},    {"u16", DType::U16},  {"u32", DType::U32},  {"u64", DType::U64},   {"si8", DType::I8},
                {"si16", DType::I16}, {"si32", DType::I32}, {"si64", DType::I64}, {"float", DType::F32}, {"double", DType::F64}};
  for (const auto &other : others)
    if (text == other.name)
      return other.type;
  return DType::Undefined;
}

float halfToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, mantissa = bits & 1023, wide;
  if (exponent == 31) {
    wide = sign | 0x7f800000 | (mantissa << 13);
  } else if (exponent != 0) {
    wide = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    float value = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -value : value;
  }
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

uint16_t floatToHalf(float value) {
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  uint16_t sign = (wide >> 16) & 0x8000;
  uint32_t magnitude = wide & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) // rounds to at least 65520
    return sign | 0x7c00;
  if (magnitude < 0x38800000) { // below the smallest normal half: in units of 2^-24
    float absolute;
    std::memcpy(&absolute, &magnitude, 4);
    return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(absolute, 24)));
  }
  uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return sign | static_cast<uint16_t>((rounded - 0x38000000) >> 13);
}

uint16_t floatToBfloat(float value) {
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  if ((wide & 0x7fffffff) > 0x7f800000)
    return (wide >> 16) | 0x40;
  return (wide + 0x7fff + ((wide >> 16) & 1)) >> 16;
}

static float eightBits(uint8_t bits, int mantissaBits, int bias, bool fnuz, bool infinities) {
  bool negative = bits & 0x80;
  int exponentBits = 7 - mantissaBits, exponent = (bits & 0x7f) >> mantissaBits, mantissa = bits & ((1 << mantissaBits) - 1);
  if (fnuz && bits == 0x80)
    return NAN;
  if (!fnuz && exponent == (1 << exponentBits) - 1) {
    if (infinities) {
      if (mantissa)
        return NAN;
      return negative ? -INFINITY : INFINITY;
    }
    if (mantissa == (1 << mantissaBits) - 1)
      return NAN;
  }
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissaBits)
                              : std::ldexp(static_cast<float>(mantissa + (1 << mantissaBits)), exponent - bias - mantissaBits);
  return negative ? -value : value;
}

bool toFloats(DType type, const void *data, int64_t count, float *out) {
  auto halves = static_cast<const uint16_t *>(data);
  auto bytes = static_cast<const uint8_t *>(data);
  for (int64_t i = 0; i < count; ++i) {
    switch (type) {
    case DType::F32:
      out[i] = static_cast<const float *>(data)[i];
      break;
    case DType::F64:
      out[i] = static_cast<float>(static_cast<const double *>(data)[i]);
      break;
    case DType::F16:
      out[i] = halfToFloat(halves[i]);
      break;
    case DType::BF16:
      out[i] = bfloatToFloat(halves[i]);
      break;
    case DType::F8E4M3FN:
      out[i] = eightBits(bytes[i], 3, 7, false, false);
      break;
    case DType::F8E4M3FNUZ:
      out[i] = eightBits(bytes[i], 3, 8, true, false);
      break;
    case DType::F8E5M2:
      out[i] = eightBits(bytes[i], 2, 15, false, true);
      break;
    case DType::F8E5M2FNUZ:
      out[i] = eightBits(bytes[i], 2, 16, true, false);
      break;
    default:
      return false;
    }
  }
  return true;
}

} // namespace leat::rt
