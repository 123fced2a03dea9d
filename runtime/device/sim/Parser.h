// PTX text to a tree. Stops at the first error, which names the line. Foreign bytes come through here: every size is checked.
#ifndef LEAT_RUNTIME_DEVICE_SIM_PARSER_H
#define LEAT_RUNTIME_DEVICE_SIM_PARSER_H

#include "runtime/core/Status.h"
#include "runtime/device/sim/Ast.h"
#include "runtime/device/sim/Lexer.h"

namespace leat::sim {

rt::Result<std::unique_ptr<Ast>> parsePtx(std::string_view text);

// An error moves the cursor to the End token, where every loop ends: nothing has to test for failure on its way out.
class Parser {
public:
  explicit Parser(Ast &ast) : ast(ast), tokens(tokenize(ast.text)) {}
  rt::Status run();

private:
  // Tokens.
  const Token &token() const { return tokens[at]; }
  bool atEnd() const { return token().kind == Token::End; }
  bool isDirective() const { return token().kind == Token::Word && token().text[0] == '.'; }
  void advance() {
    if (!atEnd())
      ++at;
  }
  bool take(char c);
  bool take(std::string_view word);
  void expect(char c);
  std::string_view word(const char *what);
  i64 integer();
  void skipPast(char c);
  void skipBraces();
  void fail(const std::string &what);
  void failAt(int line, const std::string &what);

  // Module.
  void parseModule();
  void parseFunction(bool isKernel, bool isExtern);
  void parseParameters(std::vector<Variable> &out);
  void parseTuningDirective();
  void parseFile();
  void parseLocation();

  // Variables.
  Variable variable(std::string_view space, bool isExtern);
  void initialiser(Variable &variable);

  // Bodies.
  struct Scope {
    std::unordered_map<std::string_view, int> registers;
    std::unordered_map<std::string_view, std::pair<int, int>> ranges; // first index, count
    int id;
  };
  struct PendingLabel {
    size_t instruction;
    std::string_view name;
    std::vector<int> scopes; // innermost first
    int line;
  };
  void parseBody();
  void parseStatement();
  void declareRegisters();
  void declareLabel();
  void resolveLabels();
  void parseInstruction(int guard, bool negated);
  void parseCall(Instruction &instruction);
  void append(Instruction &&instruction);
  Operand operand(int depth = 0);
  Operand addressOperand(int depth);
  Operand numberOperand();
  Operand nameOperand();
  int lookup(std::string_view name) const;
  int specialRegister(std::string_view name);
  std::vector<int> scopeChain() const;

  Ast &ast;
  std::vector<Token> tokens;
  size_t at = 0;
  rt::Status failure;
  Function *function = nullptr;
  std::vector<Scope> scopes;
  std::unordered_map<std::string_view, int> specials;
  std::map<std::pair<int, std::string_view>, int> labelPositions; // (scope, name) -> position in code
  std::vector<PendingLabel> pending;
  int scopeCount = 0;
  int location = -1;
};

} // namespace leat::sim

#endif
