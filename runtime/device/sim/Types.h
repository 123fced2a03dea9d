// PTX's scalar types, and short names for the integers that a simulator is made of.
#ifndef LEAT_RUNTIME_DEVICE_SIM_TYPES_H
#define LEAT_RUNTIME_DEVICE_SIM_TYPES_H

#include <cstdint>
#include <string_view>

namespace leat::sim {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i8 = int8_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;

enum class Type : u8 {
  None,
  B8,
  U8,
  S8,
  B16,
  U16,
  S16,
  F16,
  BF16,
  B32,
  U32,
  S32,
  F32,
  TF32,
  F16X2,
  BF16X2,
  B64,
  U64,
  S64,
  F64,
  F32X2,
  B128,
  Pred,
  E4M3,
  E5M2,
  E4M3X2,
  E5M2X2,
};

Type typeFromName(std::string_view name); // "f32" -> F32; None for a word that is no type
std::string_view typeName(Type type);
int typeBytes(Type type);
constexpr bool isFloat(Type t) { return t == Type::F16 || t == Type::BF16 || t == Type::F32 || t == Type::F64 || t == Type::TF32; }
constexpr bool isSigned(Type t) { return t == Type::S8 || t == Type::S16 || t == Type::S32 || t == Type::S64; }
constexpr bool isInteger8(Type t) { return t == Type::S8 || t == Type::U8; }

} // namespace leat::sim

#endif
