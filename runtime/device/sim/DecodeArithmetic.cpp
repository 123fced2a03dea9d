// Arithmetic, logic, comparisons, conversions and moves: a handler's name is put together from the parts that matter.
#include "runtime/device/sim/Comparison.h"
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Handlers.h"

namespace leat::sim {

using rt::formatText;

// Modifiers that choose no other computation here: approximations are exact, and nearest rounding is the default.
static bool isPlainModifier(std::string_view m) {
  static constexpr std::string_view plain[] = {"rn",  "rz", "rm", "rp",   "approx", "full", "ftz",
                                               "sat", "lo", "hi", "wide", "NaN",    "relu", "noftz"};
  for (std::string_view p : plain)
    if (m == p)
      return true;
  return typeFromName(m) != Type::None;
}

void Decoder::arithmetic(const std::string &name, Type type) {
  for (size_t i = 1; i < in->parts.size(); ++i)
    if (!isPlainModifier(in->parts[i]))
      return fail("the modifier ." + std::string(in->parts[i]) + " is not supported here");
  int width = widthOf(type);
  bool isFloat32 = type == Type::F32, isFloat64 = type == Type::F64;
  bool half = type == Type::F16 || type == Type::BF16 || type == Type::F16X2 || type == Type::BF16X2;
  std::string full = name;
  for (std::string_view modifier : {"NaN", "relu"})
    if (has(modifier))
      full += "." + std::string(modifier);
  if (has("sat") && !isFloat32)
    full += ".sat";
  if (has("ftz"))
    full += ".ftz";
  handler(full + "." + std::string(typeName(type)));
  bool wide = name.ends_with(".wide");
  int resultWidth = wide ? 2 * width : width;
  if (operandCount() < 2 || operandCount() > 4)
    return fail("two to four operands are needed");
  op.d = destination(arg(0), resultWidth);
  op.a = source(arg(1), width);
  op.b = operandCount() > 2 ? source(arg(2), width) : op.a;
  op.c = operandCount() > 3 ? source(arg(3), resultWidth) : op.a;
  Round round = roundOf();
  if (round != Round::Nearest && (isFloat32 || isFloat64)) {
    aux().inner = op.run;
    aux().round = round;
    handler("round");
  } else if (round != Round::Nearest && half) {
    return fail("directed rounding of halves is not supported");
  }
  if (has("sat") && isFloat32) {
    if (aux().inner)
      return fail("saturation with directed rounding is not supported");
    aux().inner = op.run;
    handler("saturate");
  }
}

void Decoder::decodeArithmetic() {
  Type type = typeFromName(part(0));
  if (type == Type::None)
    return fail("a type is needed");
  if (in->parts[0] == "add" || in->parts[0] == "sub")
    if (has("cc"))
      return decodeCarry();
  arithmetic(std::string(in->parts[0]), type);
}

void Decoder::decodeMul() { // mul, mad, mul24, mad24
  if (has("cc"))
    return decodeCarry();
  std::string name(in->parts[0]);
  for (std::string_view half : {"lo", "hi", "wide"})
    if (has(half))
      name += "." + std::string(half);
  arithmetic(name, typeFromName(part(0)));
}

void Decoder::decodeLogic() { // and, or, xor, not, cnot
  Type type = typeFromName(part(0));
  if (type != Type::Pred)
    return arithmetic(std::string(in->parts[0]), type);
  bool isNot = in->parts[0] == "not";
  handler(isNot ? "mov.pred" : std::string(in->parts[0]) + ".pred");
  op.d = destination(arg(0), 1);
  op.a = predicateSource(arg(1), op.negateA);
  if (isNot)
    op.negateA = !op.negateA;
  else
    op.b = predicateSource(arg(2), op.negateB);
}

void Decoder::decodeShift() {
  int width = widthOf(typeFromName(part(0)));
  elementwise(std::string(in->parts[0]) + "." + std::string(part(0)), {width, width, 4});
}

void Decoder::decodeBitField() { // bfe, bmsk
  int width = widthOf(typeFromName(part(0)));
  if (in->parts[0] == "bmsk")
    elementwise(has("clamp") ? "bmsk.clamp.b32" : "bmsk.wrap.b32", {4, 4, 4});
  else
    elementwise("bfe." + std::string(part(0)), {width, width, 4, 4});
}

void Decoder::decodeBitInsert() {
  int width = widthOf(typeFromName(part(0)));
  elementwise("bfi." + std::string(part(0)), {width, width, width, 4, 4});
}

void Decoder::decodeBitCount() { // popc, clz, brev, bfind
  int width = widthOf(typeFromName(part(0)));
  std::string name = std::string(in->parts[0]) + (has("shiftamt") ? ".shiftamt" : "") + "." + std::string(part(0));
  elementwise(name, {in->parts[0] == "brev" ? width : 4, width});
}

void Decoder::decodeLop3() {
  if (operandCount() != 5)
    return fail("the form with a predicate is not supported");
  handler("lop3.b32");
  op.d = destination(arg(0), 4);
  op.a = source(arg(1), 4);
  op.b = source(arg(2), 4);
  op.c = source(arg(3), 4);
  op.immediate = integerArg(4);
}

void Decoder::decodePrmt() {
  std::string name = "prmt.b32";
  if (in->parts.size() == 3)
    name += "." + std::string(part(0));
  elementwise(name, {4, 4, 4, 4});
}

void Decoder::decodeFunnel() {
  if (in->parts.size() != 4)
    return fail("shf.{l,r}.{wrap,clamp}.b32 is needed");
  elementwise(std::string(in->full), {4, 4, 4, 4});
}

void Decoder::decodeDot() { elementwise("dp4a." + std::string(part(1)) + "." + std::string(part(0)), {4, 4, 4, 4}); }

void Decoder::decodeCarry() { // add.cc, addc, sub.cc, subc, mad.cc, madc
  std::string_view name = in->parts[0];
  Type type = typeFromName(part(0));
  int width = widthOf(type);
  bool product = name.starts_with("mad");
  if (width != 4 && (width != 8 || product))
    return fail("carries of this width are not supported");
  op.mode = (name.ends_with("c") ? 1 : 0) | (has("cc") ? 2 : 0) | (name.starts_with("sub") ? 4 : 0) | (has("hi") ? 8 : 0);
  if (product && isSigned(type) && has("hi"))
    return fail("signed high products with carry are not supported");
  handler(product ? "madcarry" : width == 4 ? "carry.4" : "carry.8");
  op.d = destination(arg(0), width);
  op.a = source(arg(1), width);
  op.b = source(arg(2), width);
  if (product)
    op.c = source(arg(3), width);
  op.e = carrySlot;
}

static int comparisonFromName(std::string_view name) {
  static const std::map<std::string_view, Comparison> names = {
      {"eq", Comparison::Eq},   {"ne", Comparison::Ne},   {"lt", Comparison::Lt},   {"lo", Comparison::Lt},   {"le", Comparison::Le},
      {"ls", Comparison::Le},   {"gt", Comparison::Gt},   {"hi", Comparison::Gt},   {"ge", Comparison::Ge},   {"hs", Comparison::Ge},
      {"equ", Comparison::Equ}, {"neu", Comparison::Neu}, {"ltu", Comparison::Ltu}, {"leu", Comparison::Leu}, {"gtu", Comparison::Gtu},
      {"geu", Comparison::Geu}, {"num", Comparison::Num}, {"nan", Comparison::Nan}};
  auto it = names.find(name);
  return it == names.end() ? -1 : int(it->second);
}

void Decoder::decodeCompare() { // setp, set
  int comparison = in->parts.size() > 1 ? comparisonFromName(in->parts[1]) : -1;
  if (comparison < 0)
    return fail("there is no such comparison");
  Type type = typeFromName(part(0));
  int width = widthOf(type);
  std::string suffix = (has("ftz") && isFloat(type) && type != Type::F64 && type != Type::BF16 ? "ftz." : "") + std::string(typeName(type));
  op.mode = u8(comparison);
  op.count = 0;
  if (in->parts[0] == "set") {
    Type result = typeFromName(part(1));
    handler("set." + suffix);
    op.size = isFloat(result) || result == Type::F16X2 || result == Type::BF16X2;
    if (operandCount() != 3 || widthOf(result) != 4)
      return fail("this form is not supported");
    op.d = destination(arg(0), 4);
    op.a = source(arg(1), width);
    op.b = source(arg(2), width);
    return;
  }
  handler("setp." + suffix);
  const Operand &result = arg(0);
  op.d = result.kind == Operand::Sink ? noSlot : destination(result, 1);
  op.e = secondDestination(result);
  op.a = source(arg(1), width);
  op.b = source(arg(2), width);
  if (operandCount() > 3) {
    op.count = has("and") ? 1 : has("or") ? 2 : has("xor") ? 3 : 0;
    if (!op.count || type == Type::F16X2 || type == Type::BF16X2)
      return fail("this combination is not supported");
    op.c = predicateSource(arg(3), op.negateA);
  }
}

void Decoder::decodeSelp() {
  int width = widthOf(typeFromName(part(0)));
  handler(formatText("selp.%d", width));
  op.d = destination(arg(0), width);
  op.a = source(arg(1), width);
  op.b = source(arg(2), width);
  op.c = predicateSource(arg(3), op.negateA);
}

void Decoder::decodeSlct() {
  int width = widthOf(typeFromName(part(1)));
  handler(formatText("slct.%d.", width) + std::string(part(0)));
  op.d = destination(arg(0), width);
  op.a = source(arg(1), width);
  op.b = source(arg(2), width);
  op.c = source(arg(3), 4);
}

void Decoder::decodeTestp() {
  static constexpr std::string_view properties[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  for (int i = 0; i < 6; ++i)
    if (has(properties[i]))
      op.mode = u8(i);
  handler("testp." + std::string(part(0)));
  op.d = destination(arg(0), 1);
  op.a = source(arg(1), widthOf(typeFromName(part(0))));
}

void Decoder::decodeCvt() {
  if (has("pack")) {
    if (in->parts.size() != 6 || part(0) != "b32" || !has("sat"))
      return fail("this form is not supported");
    return elementwise("cvt.pack." + std::string(part(2)), {4, 4, 4, 4});
  }
  Type from = typeFromName(part(0)), to = typeFromName(part(1));
  if (from == Type::None || to == Type::None)
    return fail("two types are needed");
  bool relu = has("relu");
  if (from == Type::F32 && (to == Type::F16X2 || to == Type::BF16X2)) {
    op.mode = u8((relu ? 1 : 0) | (has("rz") ? 2 : 0));
    return elementwise("cvt." + std::string(typeName(to)), {4, 4, 4});
  }
  if (to == Type::E4M3X2 || to == Type::E5M2X2) {
    op.mode = u8((to == Type::E5M2X2 ? 1 : 0) | (relu ? 2 : 0));
    if (from == Type::F32)
      return elementwise("cvt.fp8x2.f32", {2, 4, 4});
    if (from == Type::F16X2 && !relu)
      return elementwise("cvt.fp8x2.f16x2", {2, 4});
    return fail("this conversion is not supported");
  }
  if (from == Type::E4M3X2 || from == Type::E5M2X2) {
    op.mode = from == Type::E5M2X2;
    if (to != Type::F16X2 || relu)
      return fail("this conversion is not supported");
    return elementwise("cvt.f16x2.fp8x2", {4, 2});
  }
  if (typeBytes(from) > 8 || typeBytes(to) > 8 || from == Type::Pred || to == Type::Pred || from == Type::F32X2)
    return fail("this conversion is not supported");
  const Operand &d = arg(0), &a = arg(1);
  int width = registerWidth(d), size = registerWidth(a);
  if (width < 2 || width > 8)
    return fail("the destination has to be a register of 16 to 64 bits");
  if (size == 0)
    size = widthOf(from);
  op.d = slots[d.reg];
  op.a = source(a, size);
  op.width = u8(width);
  op.size = u8(size);
  if (width < typeBytes(to) || size < typeBytes(from))
    return fail("a register is narrower than its type");
  Aux &x = aux();
  x.from = from;
  x.to = to;
  x.round = to == Type::TF32 && has("rna") ? Round::Up : roundOf(); // .rna: see the handler
  x.saturate = has("sat");
  x.flush = has("ftz");
  x.relu = relu;
  // The usual ones have loops of their own.
  bool plain = !x.saturate && !relu && (x.round == Round::Nearest), integers = !isFloat(from) && !isFloat(to);
  int fromBytes = typeBytes(from), toBytes = typeBytes(to);
  const char *fast = nullptr;
  if (plain && integers && toBytes == 8 && width == 8 && fromBytes == 4 && size == 4)
    fast = isSigned(from) ? "cvt.8.s4" : "cvt.8.u4";
  else if (plain && integers && toBytes == 4 && width == 4 && fromBytes == 8)
    fast = "cvt.4.8";
  else if (plain && integers && toBytes == 4 && width == 4 && fromBytes == 2 && size == 2)
    fast = isSigned(from) ? "cvt.4.s2" : "cvt.4.u2";
  else if (plain && integers && toBytes == 2 && width == 2 && fromBytes == 4)
    fast = "cvt.2.4";
  else if (plain && to == Type::F32 && width == 4 && size == 4 && (from == Type::S32 || from == Type::U32))
    fast = from == Type::S32 ? "cvt.f32.s32" : "cvt.f32.u32";
  else if (plain && !x.flush && to == Type::F32 && width == 4 && size == 2 && (from == Type::F16 || from == Type::BF16))
    fast = from == Type::F16 ? "cvt.f32.f16" : "cvt.f32.bf16";
  else if (plain && !x.flush && from == Type::F32 && width == 2 && (to == Type::F16 || to == Type::BF16))
    fast = to == Type::F16 ? "cvt.f16.f32" : "cvt.bf16.f32";
  handler(fast ? fast : "cvt");
}

void Decoder::decodeMov() {
  Type type = typeFromName(part(0));
  int bytes = typeBytes(type), width = widthOf(type);
  if (type == Type::None)
    return fail("a type is needed");
  const Operand &d = arg(0), &a = arg(1);
  if (d.kind == Operand::Vector || a.kind == Operand::Vector) {
    bool packs = a.kind == Operand::Vector;
    const Operand &vector = packs ? a : d;
    size_t count = vector.list.size();
    if (count == 0 || count > 8 || bytes % count || bytes / count > 8 || type == Type::Pred)
      return fail("the parts do not fill the whole");
    int size = bytes / int(count);
    op.width = u8(bytes);
    op.count = u8(count);
    op.size = u8(size);
    auto parts = references(vector, size);
    for (const RegRef &r : parts)
      if (r.width == 1 || (r.width && r.width < size) || (packs && !r.width))
        return fail("a part has the wrong width");
    if (packs) {
      aux().a = parts;
      op.d = destination(d, bytes);
    } else {
      aux().d = parts;
      op.a = source(a, bytes);
    }
    return handler(packs ? "pack" : "unpack");
  }
  if (type == Type::Pred) {
    op.d = destination(d, 1);
    op.a = predicateSource(a, op.negateA);
    return handler("mov.pred");
  }
  if (a.kind == Operand::Register && function->registers[a.reg].special) {
    std::string_view name = function->registers[a.reg].name;
    if (name.starts_with("%clock") || name.starts_with("%globaltimer")) {
      op.run = readClock;
      op.width = u8(width);
      op.mode = name.ends_with("_hi");
      op.d = destination(d, width);
      return;
    }
    if (registerWidth(a) == 4 && registerWidth(d) == 8) { // a special register seen as 64 bits
      op.d = slots[d.reg];
      op.a = slots[a.reg];
      return handler("cvt.8.u4");
    }
  }
  op.d = destination(d, width);
  op.a = source(a, width);
  handler(formatText("mov.%d", width));
}

// Generic addresses of shared and local memory carry a window in their top byte.
void Decoder::decodeCvta() {
  bool toSpace = has("to");
  Space space = spaceOf();
  op.d = destination(arg(0), 8);
  op.a = source(arg(1), 8);
  if (space == Space::Shared || space == Space::Local) {
    u64 window = space == Space::Shared ? sharedWindow : localWindow;
    op.b = constant(8, toSpace ? ~window : window);
    return handler(toSpace ? "and.b64" : "or.b64");
  }
  handler("mov.8");
}

void Decoder::decodeMapa() { // mapa, getctarank
  op.run = mapAddress;
  op.mode = in->parts[0] == "getctarank";
  int width = widthOf(typeFromName(part(0)));
  op.width = u8(width);
  if (op.mode) {
    op.width = u8(std::max(registerWidth(arg(1)), 4));
    op.d = destination(arg(0), 4);
    op.a = source(arg(1), op.width);
    return;
  }
  op.d = destination(arg(0), width);
  op.a = source(arg(1), width);
  op.b = source(arg(2), 4);
}

void Decoder::decodeIsspacep() {
  op.run = isSpace;
  Space space = spaceOf();
  op.space = space;
  op.d = destination(arg(0), 1);
  op.a = source(arg(1), 8);
}

void Decoder::decodeCreatepolicy() { // cache policies have no meaning here
  op.d = destination(arg(0), 8);
  op.a = constant(8, 0);
  handler("mov.8");
}

} // namespace leat::sim
