// PTX text to tokens. Comments go; line numbers stay.
#ifndef LEAT_RUNTIME_DEVICE_SIM_LEXER_H
#define LEAT_RUNTIME_DEVICE_SIM_LEXER_H

#include <string_view>
#include <vector>

namespace leat::sim {

struct Token {
  enum Kind : char { End, Word, Number, String, Punctuation };
  Kind kind;
  std::string_view text;
  int line;
  bool is(char c) const { return kind == Punctuation && text[0] == c; }
  bool is(std::string_view word) const { return kind == Word && text == word; }
};

// The last token is an End.
std::vector<Token> tokenize(std::string_view text);

} // namespace leat::sim

#endif
