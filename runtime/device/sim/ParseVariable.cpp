// Declarations of variables and parameters, and their initialisers.
#include "runtime/device/sim/Numbers.h"
#include "runtime/device/sim/Parser.h"

namespace leat::sim {

static constexpr u64 largestVariable = u64(1) << 32;
static constexpr u64 largestInitialised = u64(1) << 28;

// [.align N] [.v4] .type name [sizes] [= initialiser]
Variable Parser::variable(std::string_view space, bool isExtern) {
  Variable v;
  v.space = space;
  v.isExtern = isExtern;
  v.line = token().line;
  v.alignment = 0;
  int lanes = 1;
  while (isDirective()) {
    std::string_view directive = token().text.substr(1);
    advance();
    if (directive == "align") {
      i64 alignment = integer();
      if (alignment < 1 || alignment > 1 << 20 || (alignment & (alignment - 1)))
        fail("an alignment has to be a power of two");
      else
        v.alignment = u32(alignment);
    } else if (directive == "v2" || directive == "v4") {
      lanes = directive[1] - '0';
    } else if (directive == "ptr") { // of a parameter: what it points to
      while (isDirective() && typeFromName(token().text.substr(1)) == Type::None) {
        bool alignment = token().text == ".align";
        advance();
        if (alignment)
          integer();
      }
    } else if (Type type = typeFromName(directive); type != Type::None) {
      v.type = type;
    } else if (directive == "attribute") {
      if (take('('))
        skipPast(')');
    }
  }
  v.name = word("a variable's name");
  u64 count = 1;
  bool unsized = false;
  while (take('[')) {
    if (token().is(']'))
      unsized = true;
    else if (i64 n = integer(); n < 0 || __builtin_mul_overflow(count, u64(n), &count) || count > largestVariable)
      fail("an array of this size is not supported");
    expect(']');
  }
  int element = typeBytes(v.type) * lanes;
  if (element == 0 && failure.ok())
    failAt(v.line, "the variable has no type");
  v.bytes = unsized ? 0 : count * element;
  v.isExtern |= unsized;
  if (v.bytes > largestVariable)
    failAt(v.line, "a variable of this size is not supported");
  if (v.alignment == 0)
    v.alignment = element ? u32(element) : 1;
  if (take('='))
    initialiser(v);
  return v;
}

void Parser::initialiser(Variable &v) {
  if (v.bytes > largestInitialised)
    return fail("an initialised variable of this size is not supported");
  v.initial.assign(v.bytes, 0);
  u64 position = 0, size = typeBytes(v.type);
  int depth = 0;
  do {
    if (take('{')) {
      ++depth;
    } else if (take('}')) {
      --depth;
    } else if (!take(',')) {
      Operand value = operand();
      u64 bits = u64(value.integer);
      if (value.kind == Operand::Decimal)
        bits = size == 8 ? bitsTo<u64>(value.decimal) : floatBits(float(value.decimal));
      if (value.kind == Operand::Symbol) {
        if (token().is('(')) { // generic(name)
          advance();
          value = operand();
          expect(')');
        }
        v.relocations.push_back({position, value.symbol, value.integer});
        bits = 0;
      }
      if (position + size > v.bytes)
        return fail("more values than the variable holds");
      std::memcpy(v.initial.data() + position, &bits, size);
      position += size;
    }
  } while (depth > 0 && !atEnd());
}

} // namespace leat::sim
