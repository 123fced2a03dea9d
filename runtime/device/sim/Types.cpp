// The table of PTX's scalar types.
#include "runtime/device/sim/Types.h"

namespace leat::sim {

static constexpr struct {
  std::string_view name;
  Type type;
  int bytes;
} table[] = {
    {"b8", Type::B8, 1},         {"u8", Type::U8, 1},     {"s8", Type::S8, 1},     {"b16", Type::B16, 2},     {"u16", Type::U16, 2},
    {"s16", Type::S16, 2},       {"f16", Type::F16, 2},   {"bf16", Type::BF16, 2}, {"b32", Type::B32, 4},     {"u32", Type::U32, 4},
    {"s32", Type::S32, 4},       {"f32", Type::F32, 4},   {"tf32", Type::TF32, 4}, {"f16x2", Type::F16X2, 4}, {"bf16x2", Type::BF16X2, 4},
    {"b64", Type::B64, 8},       {"u64", Type::U64, 8},   {"s64", Type::S64, 8},   {"f64", Type::F64, 8},     {"f32x2", Type::F32X2, 8},
    {"b128", Type::B128, 16},    {"pred", Type::Pred, 4}, {"e4m3", Type::E4M3, 1}, {"e5m2", Type::E5M2, 1},   {"e4m3x2", Type::E4M3X2, 2},
    {"e5m2x2", Type::E5M2X2, 2},
};

Type typeFromName(std::string_view name) {
  for (const auto &entry : table)
    if (entry.name == name)
      return entry.type;
  return Type::None;
}

std::string_view typeName(Type type) {
  for (const auto &entry : table)
    if (entry.type == type)
      return entry.name;
  return "?";
}

int typeBytes(Type type) {
  for (const auto &entry : table)
    if (entry.type == type)
      return entry.bytes;
  return 0;
}

} // namespace leat::sim
