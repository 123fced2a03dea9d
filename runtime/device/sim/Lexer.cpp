// A word holds dots and doubled colons: "cp.async.bulk.mbarrier::complete_tx::bytes", "%tid.x" and ".reg" are one token each.
#include "runtime/device/sim/Lexer.h"

namespace leat::sim {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isWord(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' || c == '.';
}

std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  size_t at = 0, size = text.size();
  auto peek = [&](size_t i) { return i < size ? text[i] : '\0'; };
  while (at < size) {
    char c = text[at];
    if (c == '\n') {
      ++line;
      ++at;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
      ++at;
    } else if (c == '/' && peek(at + 1) == '/') {
      while (at < size && text[at] != '\n')
        ++at;
    } else if (c == '/' && peek(at + 1) == '*') {
      size_t end = text.find("*/", at + 2);
      end = end == std::string_view::npos ? size : end + 2;
      for (; at < end; ++at)
        line += text[at] == '\n';
    } else if (c == '"') {
      size_t end = at + 1;
      while (end < size && text[end] != '"' && text[end] != '\n')
        ++end;
      tokens.push_back({Token::String, text.substr(at + 1, end - at - 1), line});
      at = end < size && text[end] == '"' ? end + 1 : end;
    } else if (isWord(c)) {
      size_t end = at;
      while (end < size && (isWord(text[end]) || (text[end] == ':' && (peek(end + 1) == ':' || (end > at && text[end - 1] == ':')))))
        ++end;
      tokens.push_back({isDigit(c) ? Token::Number : Token::Word, text.substr(at, end - at), line});
      at = end;
    } else {
      tokens.push_back({Token::Punctuation, text.substr(at, 1), line});
      ++at;
    }
  }
  tokens.push_back({Token::End, std::string_view(), line});
  return tokens;
}

} // namespace leat::sim
