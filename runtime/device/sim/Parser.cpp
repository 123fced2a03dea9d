// Module-level directives and functions.
#include "runtime/device/sim/Parser.h"

#include <cstdlib>

namespace leat::sim {

using rt::Code;
using rt::printable;

static constexpr size_t largestText = size_t(256) << 20;

rt::Result<std::unique_ptr<Ast>> parsePtx(std::string_view text) {
  if (text.size() > largestText)
    return rt::error(Code::BadFile, "the PTX text has %zu bytes; more than %zu are not read", text.size(), largestText);
  auto ast = std::make_unique<Ast>();
  ast->text = std::string(text);
  LEAT_RETURN_IF_ERROR(Parser(*ast).run());
  return ast;
}

rt::Status Parser::run() {
  parseModule();
  return std::move(failure);
}

void Parser::fail(const std::string &what) {
  std::string_view text = token().text;
  failAt(token().line,
         what + (atEnd() ? std::string(" at the end of the text") : ", found '" + printable(text.data(), text.size(), 40) + "'"));
}

void Parser::failAt(int line, const std::string &what) {
  if (failure.ok())
    failure = rt::error(Code::BadFile, "PTX line %d: %s", line, what.c_str());
  at = tokens.size() - 1;
}

bool Parser::take(char c) {
  if (!token().is(c))
    return false;
  ++at;
  return true;
}

bool Parser::take(std::string_view word) {
  if (!token().is(word))
    return false;
  ++at;
  return true;
}

void Parser::expect(char c) {
  if (!take(c))
    fail(std::string("expected '") + c + "'");
}

std::string_view Parser::word(const char *what) {
  if (token().kind != Token::Word) {
    fail(std::string("expected ") + what);
    return "?";
  }
  std::string_view text = token().text;
  advance();
  return text;
}

static i64 parseInteger(std::string_view text) { // strtoull stops at a U suffix
  return i64(std::strtoull(std::string(text).c_str(), nullptr, 0));
}

i64 Parser::integer() {
  bool negative = take('-');
  if (token().kind != Token::Number) {
    fail("expected a number");
    return 0;
  }
  i64 value = parseInteger(token().text);
  advance();
  return negative ? i64(0 - u64(value)) : value;
}

void Parser::skipPast(char c) {
  while (!atEnd() && !take(c))
    advance();
}

void Parser::skipBraces() {
  expect('{');
  for (int depth = 1; depth > 0 && !atEnd(); advance())
    depth += token().is('{') ? 1 : token().is('}') ? -1 : 0;
}

void Parser::parseModule() {
  while (!atEnd()) {
    if (take(';'))
      continue;
    std::string_view directive = word("a directive");
    if (directive == ".version" || directive == ".address_size") {
      advance();
    } else if (directive == ".target") {
      ast.target = word("a target");
      while (take(','))
        word("a target");
    } else if (directive == ".file") {
      parseFile();
    } else if (directive == ".section") {
      word("a section's name");
      skipBraces();
    } else if (directive == ".pragma" || directive == ".alias") {
      skipPast(';');
    } else {
      bool isExtern = false;
      while (directive == ".visible" || directive == ".extern" || directive == ".weak" || directive == ".common") {
        isExtern |= directive == ".extern";
        directive = word("a function or a variable");
      }
      if (directive == ".entry" || directive == ".func") {
        parseFunction(directive == ".entry", isExtern);
      } else if (directive == ".global" || directive == ".const" || directive == ".shared") {
        ast.variables.push_back(variable(directive.substr(1), isExtern));
        expect(';');
      } else if (failure.ok()) {
        --at;
        fail("this is no directive of PTX that is known here");
      }
    }
  }
}

void Parser::parseFunction(bool isKernel, bool isExtern) {
  auto owned = std::make_unique<Function>();
  function = owned.get();
  function->isKernel = isKernel;
  function->line = token().line;
  while (isDirective()) // .noreturn and the like
    advance();
  if (token().is('('))
    parseParameters(function->results);
  function->name = word("a function's name");
  if (token().is('('))
    parseParameters(function->parameters);
  while (isDirective())
    parseTuningDirective();
  if (take(';'))
    function->isDeclaration = true;
  else
    parseBody();
  for (auto &other : ast.functions)
    if (other->name == function->name) {
      if (!other->isDeclaration && !function->isDeclaration)
        failAt(function->line, "function '" + printable(std::string(function->name)) + "' is defined twice");
      if (other->isDeclaration)
        other = std::move(owned);
      function = nullptr;
      return;
    }
  ast.functions.push_back(std::move(owned));
  function = nullptr;
}

void Parser::parseParameters(std::vector<Variable> &out) {
  expect('(');
  while (!take(')') && !atEnd()) {
    if (!take(".param"))
      take(".reg");
    out.push_back(variable("param", false));
    if (!take(',') && !token().is(')'))
      expect(',');
  }
}

void Parser::parseTuningDirective() {
  std::string_view directive = word("a directive");
  u32 *into = directive == ".maxntid"             ? function->maximumBlock
              : directive == ".reqntid"           ? function->requiredBlock
              : directive == ".reqnctapercluster" ? function->requiredCluster
                                                  : nullptr;
  if (into) {
    for (int i = 0; i < 3; ++i)
      into[i] = 1;
    for (int i = 0; i == 0 || take(','); ++i) {
      i64 value = integer();
      if (i > 2 || value < 1 || value > 0x7fffffff)
        return fail("expected at most three positive sizes");
      into[i] = u32(value);
    }
  } else if (directive == ".pragma") {
    skipPast(';');
  } else { // .minnctapersm 2, .maxnreg 128, .explicitcluster, ...
    while (token().kind == Token::Number) {
      advance();
      take(',');
    }
  }
}

// .file 1 "name"[, time, size]
void Parser::parseFile() {
  int line = token().line;
  i64 index = integer();
  if (token().kind == Token::String) {
    std::string name(token().text);
    advance();
    if (token().kind == Token::String && token().line == line) { // directory, name
      name += "/" + std::string(token().text);
      advance();
    }
    ast.files[int(index)] = name;
  }
  while (!atEnd() && token().line == line)
    advance();
}

// .loc file line column[, function_name ..., inlined_at file line column]
void Parser::parseLocation() {
  int line = token().line;
  Location where = {int(integer()), int(integer()), token().kind == Token::Number ? int(integer()) : 0};
  ast.locations.push_back(where);
  location = int(ast.locations.size()) - 1;
  while (!atEnd() && token().line == line && !token().is('}'))
    advance();
}

} // namespace leat::sim
