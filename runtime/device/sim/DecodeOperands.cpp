// Operands to slots, constants and addresses.
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim {

using rt::formatText;
using rt::printable;

std::string_view Decoder::part(size_t fromEnd) const {
  return fromEnd < in->parts.size() ? in->parts[in->parts.size() - 1 - fromEnd] : std::string_view();
}

const Operand &Decoder::arg(size_t index) {
  static const Operand none;
  if (index < in->operands.size())
    return in->operands[index];
  fail("an operand is missing");
  return none;
}

i64 Decoder::integerArg(size_t index) {
  const Operand &o = arg(index);
  if (o.kind != Operand::Integer)
    fail(formatText("operand %zu has to be a number", index + 1));
  return o.integer;
}

int Decoder::registerWidth(const Operand &o) const { return o.kind == Operand::Register ? widthOf(function->registers[o.reg].type) : 0; }

// A constant is kept once, broadcast to 32 lanes; its slot is odd.
u32 Decoder::constant(int bytes, u64 value) {
  if (bytes < 8 && bytes > 1)
    value &= (u64(1) << bytes * 8) - 1;
  auto [it, isNew] = constants.emplace(std::tuple(bytes, -1, value), 0);
  if (!isNew)
    return it->second;
  std::vector<u8> &pool = program->constants;
  u32 offset = u32(pool.size());
  pool.resize(offset + (std::max(bytes * 32, 64) + 63) / 64 * 64);
  if (bytes == 1) {
    u32 bits = value ? ~0u : 0;
    std::memcpy(&pool[offset], &bits, 4);
  } else {
    for (int lane = 0; lane < 32; ++lane)
      std::memcpy(&pool[offset + lane * bytes], &value, std::min(bytes, 8));
  }
  return it->second = offset | 1;
}

// `value` plus what only the launch knows.
u32 Decoder::launchConstant(LaunchConstant::Kind kind, u64 value) {
  int bytes = kind == LaunchConstant::DynamicShared32 ? 4 : 8;
  auto key = std::tuple(bytes, int(kind), value);
  if (auto it = constants.find(key); it != constants.end())
    return it->second;
  std::vector<u8> &pool = program->constants;
  u32 offset = u32(pool.size());
  pool.resize(offset + bytes * 32);
  for (int lane = 0; lane < 32; ++lane)
    std::memcpy(&pool[offset + lane * bytes], &value, bytes);
  program->launchConstants.push_back({kind, offset});
  return constants[key] = offset | 1;
}

// The address of a name in its own space.
u32 Decoder::symbolAddress(const Operand &o, int bytes) {
  if (auto it = shared.find(o.symbol); it != shared.end()) {
    if (it->second == dynamicShared)
      return launchConstant(bytes == 4 ? LaunchConstant::DynamicShared32 : LaunchConstant::DynamicShared64, u64(o.integer));
    return constant(bytes, it->second + u64(o.integer));
  }
  if (auto it = local.find(o.symbol); it != local.end())
    return constant(bytes, it->second + u64(o.integer));
  if (bytes != 8) {
    fail("the address of '" + printable(std::string(o.symbol)) + "' needs 64 bits");
    return 1;
  }
  if (auto it = globals.find(o.symbol); it != globals.end())
    return constant(8, u64(reinterpret_cast<uintptr_t>(it->second.first)) + u64(o.integer));
  if (auto it = program->parameters.find(o.symbol); it != program->parameters.end())
    return launchConstant(LaunchConstant::Parameters, it->second.first + u64(o.integer));
  fail("'" + printable(std::string(o.symbol)) + "' is not declared");
  return 1;
}

u32 Decoder::source(const Operand &o, int bytes) {
  switch (o.kind) {
  case Operand::Register:
    if (registerWidth(o) != bytes)
      fail(formatText("register %s has %d bits, %d are needed", printable(function->registers[o.reg].text()).c_str(), registerWidth(o) * 8,
                      bytes * 8));
    if (o.negated)
      fail("a negated operand is not supported here");
    return slots[o.reg];
  case Operand::Integer:
    return constant(bytes, u64(o.integer));
  case Operand::Float32Bits:
    return constant(bytes, bytes == 8 ? bitsTo<u64>(double(bitsFloat(u32(o.integer)))) : u64(o.integer));
  case Operand::Float64Bits:
    return constant(bytes, bytes == 4 ? floatBits(float(bitsTo<double>(o.integer))) : u64(o.integer));
  case Operand::Decimal:
    return constant(bytes, bytes == 8 ? bitsTo<u64>(o.decimal) : floatBits(float(o.decimal)));
  case Operand::Symbol:
    return symbolAddress(o, bytes);
  default:
    fail("this kind of operand is not supported here");
    return 1; // an odd slot of nothing is never run
  }
}

u32 Decoder::destination(const Operand &o, int bytes) {
  if (o.kind != Operand::Register) {
    fail("the destination has to be a register");
    return 0;
  }
  if (registerWidth(o) != bytes)
    fail(formatText("register %s has %d bits, the result %d", printable(function->registers[o.reg].text()).c_str(), registerWidth(o) * 8,
                    bytes * 8));
  return slots[o.reg];
}

// The predicate behind the bar of d|p.
u32 Decoder::secondDestination(const Operand &o) {
  if (o.second < 0)
    return noSlot;
  if (function->registers[o.second].type != Type::Pred)
    fail("the second result has to be a predicate");
  return slots[o.second];
}

u32 Decoder::predicateSource(const Operand &o, bool &negated) {
  negated = o.negated;
  if (o.kind == Operand::Integer)
    return constant(1, u64(o.integer != 0));
  if (o.kind != Operand::Register || registerWidth(o) != 1) {
    fail("a predicate is needed");
    return 1;
  }
  return slots[o.reg];
}

RegRef Decoder::reference(const Operand &o, int bytes) {
  if (o.kind == Operand::Sink)
    return {noSlot, 0};
  if (o.kind == Operand::Register)
    return {slots[o.reg], u8(registerWidth(o))};
  return {source(o, bytes), u8(bytes)};
}

// A vector in braces, or one operand.
std::vector<RegRef> Decoder::references(const Operand &o, int bytes) {
  std::vector<RegRef> out;
  if (o.kind != Operand::Vector)
    return {reference(o, bytes)};
  for (const Operand &member : o.list)
    out.push_back(reference(member, bytes));
  return out;
}

// `space` becomes shared or local where the name says so.
Address Decoder::address(const Operand &o, Space &space) {
  Address a;
  a.offset = o.integer;
  if (o.kind != Operand::Address) {
    fail("an address in brackets is needed");
    return a;
  }
  if (o.reg >= 0) {
    a.slot = slots[o.reg];
    a.width = u8(widthOf(function->registers[o.reg].type));
    if (a.width != 4 && a.width != 8)
      fail("an address register has 32 or 64 bits");
    return a;
  }
  if (o.symbol.empty())
    return a;
  if (auto it = shared.find(o.symbol); it != shared.end()) {
    if (space == Space::Generic)
      space = Space::Shared;
    if (it->second == dynamicShared) {
      a.slot = launchConstant(LaunchConstant::DynamicShared32, 0);
      a.width = 4;
    } else {
      a.offset += i64(it->second);
    }
    return a;
  }
  if (auto it = local.find(o.symbol); it != local.end()) {
    if (space == Space::Generic)
      space = Space::Local;
    a.offset += i64(it->second);
    return a;
  }
  Operand symbol = o;
  symbol.kind = Operand::Symbol;
  a.slot = symbolAddress(symbol, 8);
  a.offset = 0;
  return a;
}

Address Decoder::sharedAddress(size_t index) {
  Space space = Space::Shared;
  return address(arg(index), space);
}

Space Decoder::spaceOf() const {
  for (std::string_view modifier : in->parts) {
    if (modifier == "global")
      return Space::Global;
    if (modifier.starts_with("shared"))
      return Space::Shared;
    if (modifier == "local")
      return Space::Local;
    if (modifier.starts_with("param"))
      return Space::Param;
    if (modifier == "const")
      return Space::Const;
  }
  return Space::Generic;
}

Aux &Decoder::aux() {
  if (!currentAux) {
    program->aux.emplace_back();
    currentAux = &program->aux.back();
  }
  return *currentAux;
}

Round Decoder::roundOf() const {
  static constexpr std::pair<std::string_view, Round> names[] = {
      {"rz", Round::Zero},     {"rm", Round::Down},     {"rp", Round::Up},     {"rni", Round::IntNearest},
      {"rzi", Round::IntZero}, {"rmi", Round::IntDown}, {"rpi", Round::IntUp},
  };
  for (auto [name, round] : names)
    if (in->has(name))
      return round;
  return Round::Nearest;
}

void Decoder::handler(const std::string &name) {
  op.run = laneHandler(name);
  if (!op.run)
    fail("this form is not supported");
}

// d, a, b, c by position, with these widths.
void Decoder::elementwise(const std::string &name, std::initializer_list<int> widths) {
  handler(name);
  if (operandCount() != widths.size())
    return fail(formatText("%zu operands are needed", widths.size()));
  size_t i = 0;
  for (int width : widths) {
    u32 slot = i == 0 ? destination(arg(0), width) : source(arg(i), width);
    (i == 0 ? op.d : i == 1 ? op.a : i == 2 ? op.b : i == 3 ? op.c : op.e) = slot;
    ++i;
  }
}

} // namespace leat::sim
