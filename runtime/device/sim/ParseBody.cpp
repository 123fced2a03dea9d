// Function bodies: scopes, register declarations, labels, instructions and their operands.
#include "runtime/device/sim/Parser.h"

#include <cstdlib>

namespace leat::sim {

using rt::printable;

static constexpr size_t mostRegisters = 1 << 20;
static constexpr int deepestOperand = 8;
static bool isDigit(char c) { return c >= '0' && c <= '9'; }

void Parser::parseBody() {
  expect('{');
  scopes.clear();
  specials.clear();
  labelPositions.clear();
  pending.clear();
  location = -1;
  scopes.push_back({{}, {}, ++scopeCount});
  while (!scopes.empty()) {
    if (atEnd()) {
      fail("expected '}'");
      return;
    }
    parseStatement();
  }
  resolveLabels();
}

void Parser::parseStatement() {
  if (take('{')) {
    scopes.push_back({{}, {}, ++scopeCount});
  } else if (take('}')) {
    scopes.pop_back();
  } else if (take(';')) {
  } else if (take('@')) {
    bool negated = take('!');
    std::string_view name = word("a predicate");
    int guard = lookup(name);
    if (guard < 0 || function->registers[guard].type != Type::Pred)
      return fail("'" + printable(std::string(name)) + "' is no predicate register");
    parseInstruction(guard, negated);
  } else if (isDirective()) {
    std::string_view directive = token().text;
    advance();
    if (directive == ".reg") {
      declareRegisters();
    } else if (directive == ".shared" || directive == ".local" || directive == ".param" || directive == ".const" ||
               directive == ".global") {
      Variable v = variable(directive.substr(1), false);
      expect(';');
      auto &into = directive == ".shared"  ? function->shareds
                   : directive == ".local" ? function->locals
                   : directive == ".param" ? function->callParameters
                                           : ast.variables;
      into.push_back(std::move(v));
    } else if (directive == ".loc") {
      parseLocation();
    } else if (directive == ".file") {
      parseFile();
    } else { // .pragma and the like
      skipPast(';');
    }
  } else if (token().kind == Token::Word && tokens[at + 1].is(':')) {
    declareLabel();
  } else {
    parseInstruction(-1, false);
  }
}

void Parser::declareRegisters() {
  std::string_view type = word("a type");
  if (type == ".v2" || type == ".v4")
    return fail("vector registers are not supported");
  Type parsed = typeFromName(type.substr(1));
  if (parsed == Type::None)
    return fail("'" + printable(std::string(type)) + "' is no type");
  do {
    std::string_view name = word("a register's name");
    int first = int(function->registers.size());
    i64 count = 1;
    bool range = take('<');
    if (range) {
      count = integer();
      expect('>');
    }
    if (count < 0 || function->registers.size() + u64(count) > mostRegisters)
      return fail("too many registers");
    for (int i = 0; i < count; ++i)
      function->registers.push_back({name, range ? i : -1, parsed, false});
    if (range)
      scopes.back().ranges[name] = {first, int(count)};
    else
      scopes.back().registers[name] = first;
  } while (take(','));
  expect(';');
}

void Parser::declareLabel() {
  std::string_view name = token().text;
  at += 2;
  if (take(".branchtargets")) {
    Instruction table;
    table.full = name;
    table.parts = {"$branchtargets"};
    table.line = token().line;
    do
      pending.push_back({function->code.size(), word("a label"), scopeChain(), token().line});
    while (take(','));
    expect(';');
    append(std::move(table));
  } else if (token().is(".callprototype") || token().is(".calltargets")) {
    skipPast(';');
  } else if (!labelPositions.emplace(std::pair(scopes.back().id, name), int(function->code.size())).second) {
    fail("label '" + printable(std::string(name)) + "' is defined twice");
  }
}

std::vector<int> Parser::scopeChain() const {
  std::vector<int> chain;
  for (size_t i = scopes.size(); i-- > 0;)
    chain.push_back(scopes[i].id);
  return chain;
}

void Parser::resolveLabels() {
  std::map<int, int> known; // position -> label
  for (const PendingLabel &use : pending) {
    int position = -1;
    for (int scope : use.scopes)
      if (auto it = labelPositions.find({scope, use.name}); it != labelPositions.end()) {
        position = it->second;
        break;
      }
    if (position < 0)
      return failAt(use.line, "no label '" + printable(std::string(use.name)) + "' can be seen from here");
    auto [it, isNew] = known.emplace(position, int(function->labels.size()));
    if (isNew)
      function->labels.push_back(position);
    function->code[use.instruction].labels.push_back(it->second);
  }
}

void Parser::append(Instruction &&instruction) {
  instruction.location = location;
  function->code.push_back(std::move(instruction));
}

void Parser::parseInstruction(int guard, bool negated) {
  Instruction instruction;
  instruction.guard = guard;
  instruction.guardNegated = negated;
  instruction.line = token().line;
  std::string_view full = instruction.full = word("an instruction");
  for (size_t from = 0; from <= full.size();) {
    size_t to = std::min(full.find('.', from), full.size());
    if (to > from)
      instruction.parts.push_back(full.substr(from, to - from));
    from = to + 1;
  }
  if (instruction.parts.empty())
    return fail("expected an instruction");
  if (instruction.parts[0] == "call") {
    parseCall(instruction);
  } else if (instruction.parts[0] == "bra") {
    pending.push_back({function->code.size(), word("a label"), scopeChain(), instruction.line});
  } else if (!token().is(';')) {
    do
      instruction.operands.push_back(operand());
    while (take(','));
  }
  expect(';');
  append(std::move(instruction));
}

// call (results), function, (arguments)[, prototype];
void Parser::parseCall(Instruction &instruction) {
  auto list = [&] {
    Operand out;
    out.kind = Operand::Vector;
    expect('(');
    while (!take(')') && !atEnd()) {
      Operand item;
      if (token().kind == Token::Number) {
        item = numberOperand();
      } else {
        std::string_view name = word("an argument");
        item.reg = lookup(name);
        item.kind = item.reg >= 0 ? Operand::Register : Operand::Symbol;
        item.symbol = name;
      }
      out.list.push_back(item);
      if (!take(',') && !token().is(')'))
        expect(',');
    }
    return out;
  };
  Operand results, arguments;
  results.kind = arguments.kind = Operand::Vector;
  if (token().is('(')) {
    results = list();
    expect(',');
  }
  Operand callee = operand();
  if (take(',')) {
    if (token().is('('))
      arguments = list();
    else
      operand();
    if (take(','))
      operand();
  }
  instruction.operands = {results, callee, arguments};
}

Operand Parser::operand(int depth) {
  Operand o;
  if (depth > deepestOperand) {
    fail("operands are nested too deeply");
    return o;
  }
  if (take('{')) {
    o.kind = Operand::Vector;
    while (!take('}') && !atEnd()) {
      o.list.push_back(operand(depth + 1));
      if (!take(',') && !token().is('}'))
        expect(',');
    }
    return o;
  }
  if (take('(')) {
    o = operand(depth + 1);
    expect(')');
    return o;
  }
  if (take('['))
    return addressOperand(depth);
  if (take('!')) {
    o = operand(depth + 1);
    o.negated = true;
    return o;
  }
  if (take('-')) {
    o = operand(depth + 1);
    if (o.kind == Operand::Integer)
      o.integer = i64(0 - u64(o.integer));
    else if (o.kind == Operand::Decimal)
      o.decimal = -o.decimal;
    else
      o.negated = true;
    return o;
  }
  return token().kind == Token::Number ? numberOperand() : nameOperand();
}

// [base + offset] or [base, {coordinates}] or [base, {coordinates}, {offsets}]
Operand Parser::addressOperand(int depth) {
  Operand base = operand(depth + 1), o;
  o.kind = Operand::Address;
  o.reg = base.reg;
  o.symbol = base.symbol;
  o.integer = base.integer;
  if (base.kind != Operand::Register && base.kind != Operand::Symbol && base.kind != Operand::Integer)
    fail("expected a register, a name or a number as address");
  while (token().is('+') || token().is('-')) {
    bool minus = token().is('-');
    advance();
    u64 offset = u64(integer());
    o.integer = i64(minus ? u64(o.integer) - offset : u64(o.integer) + offset);
  }
  while (take(','))
    o.list.push_back(operand(depth + 1));
  expect(']');
  return o;
}

Operand Parser::numberOperand() {
  Operand o;
  std::string text(token().text);
  advance();
  bool hex = text.size() > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  if (text.size() == 10 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F')) {
    o.kind = Operand::Float32Bits;
    o.integer = i64(std::strtoull(text.c_str() + 2, nullptr, 16));
  } else if (text.size() == 18 && text[0] == '0' && (text[1] == 'd' || text[1] == 'D')) {
    o.kind = Operand::Float64Bits;
    o.integer = i64(std::strtoull(text.c_str() + 2, nullptr, 16));
  } else if (!hex && text.find_first_of(".eE") != std::string::npos) {
    o.kind = Operand::Decimal;
    o.decimal = std::strtod(text.c_str(), nullptr);
  } else {
    o.kind = Operand::Integer;
    o.integer = i64(std::strtoull(text.c_str(), nullptr, 0));
  }
  return o;
}

Operand Parser::nameOperand() {
  Operand o;
  std::string_view name = word("an operand");
  if (name == "_") {
    o.kind = Operand::Sink;
  } else if (name == "WARP_SZ") {
    o.kind = Operand::Integer;
    o.integer = 32;
    return o;
  } else {
    o.reg = function ? lookup(name) : -1;
    if (o.reg < 0 && function && name.size() > 1 && name[0] == '%')
      o.reg = specialRegister(name);
    o.kind = o.reg >= 0 ? Operand::Register : Operand::Symbol;
    if (o.kind == Operand::Symbol) {
      o.symbol = name;
      if (token().is('+') && tokens[at + 1].kind == Token::Number) {
        advance();
        o.integer = integer();
      }
      return o;
    }
  }
  if (take('|')) {
    std::string_view second = word("a register");
    o.second = second == "_" ? -1 : lookup(second);
    if (second != "_" && o.second < 0)
      fail("'" + printable(std::string(second)) + "' is no register");
  }
  return o;
}

int Parser::lookup(std::string_view name) const {
  for (size_t k = scopes.size(); k-- > 0;)
    if (auto it = scopes[k].registers.find(name); it != scopes[k].registers.end())
      return it->second;
  size_t digits = name.size();
  while (digits > 0 && isDigit(name[digits - 1]))
    --digits;
  if (digits == name.size() || name.size() - digits > 8)
    return -1;
  int index = std::atoi(std::string(name.substr(digits)).c_str());
  for (size_t k = scopes.size(); k-- > 0;)
    if (auto it = scopes[k].ranges.find(name.substr(0, digits)); it != scopes[k].ranges.end() && index < it->second.second)
      return it->second.first + index;
  return -1;
}

// The decoder knows which names there are.
int Parser::specialRegister(std::string_view name) {
  if (auto it = specials.find(name); it != specials.end())
    return it->second;
  Type type = name == "%clock64" || name == "%globaltimer" ? Type::U64 : Type::U32;
  function->registers.push_back({name, -1, type, true});
  return specials[name] = int(function->registers.size()) - 1;
}

} // namespace leat::sim
