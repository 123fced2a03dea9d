// Template text to tree.
#include "runtime/text/JinjaTree.h"

#include <cctype>
#include <cstdlib>
#include <cstring>

namespace leat::rt::jinja {

namespace {

constexpr int kMaxDepth = 64; // nesting of expressions and blocks

struct Token {
  enum class Kind { End, Name, Int, Float, String, Symbol } kind = Kind::End;
  std::string text;
};

using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<std::unique_ptr<Node>>;

// Expressions within one tag. Errors stick: the first message is kept and everything after yields null.
class ExpressionParser {
public:
  explicit ExpressionParser(const std::string &source) { tokenize(source); }

  std::string error;
  bool done() const { return tokens[at].kind == Token::Kind::End; }
  bool isName(const char *word) const { return tokens[at].kind == Token::Kind::Name && tokens[at].text == word; }
  bool isSymbol(const char *s) const { return tokens[at].kind == Token::Kind::Symbol && tokens[at].text == s; }
  bool takeName(const char *word) { return isName(word) && (++at, true); }
  bool takeSymbol(const char *s) { return isSymbol(s) && (++at, true); }
  std::string name() {
    if (tokens[at].kind != Token::Kind::Name)
      return fail("a name is missing"), "";
    return tokens[at++].text;
  }
  ExprPtr expression() {
    if (++depth > kMaxDepth)
      return fail("an expression is nested too deeply");
    ExprPtr value = disjunction();
    if (takeName("if")) {
      ExprPtr condition = disjunction(), other;
      if (takeName("else"))
        other = expression();
      else
        other = literal(Value());
      value = node(Expr::Kind::Conditional, "", std::move(condition), std::move(value), std::move(other));
    }
    --depth;
    return value;
  }
  // Without the trailing `if`, which belongs to the for tag.
  ExprPtr iterable() { return disjunction(); }
  ExprPtr fail(const std::string &why) {
    if (error.empty())
      error = why;
    at = tokens.size() - 1;
    return nullptr;
  }

private:
  void tokenize(const std::string &s) {
    size_t i = 0;
    while (i < s.size()) {
      unsigned char c = static_cast<unsigned char>(s[i]);
      if (isspace(c)) {
        ++i;
      } else if (isalpha(c) || c == '_') {
        size_t b = i;
        while (i < s.size() && (isalnum(static_cast<unsigned char>(s[i])) || s[i] == '_'))
          ++i;
        tokens.push_back({Token::Kind::Name, s.substr(b, i - b)});
      } else if (isdigit(c)) {
        size_t b = i;
        bool real = false;
        while (i < s.size() && (isdigit(static_cast<unsigned char>(s[i])) ||
                                (s[i] == '.' && i + 1 < s.size() && isdigit(static_cast<unsigned char>(s[i + 1])))))
          real |= s[i++] == '.';
        tokens.push_back({real ? Token::Kind::Float : Token::Kind::Int, s.substr(b, i - b)});
      } else if (c == '\'' || c == '"') {
        std::string text;
        char quote = s[i++];
        while (i < s.size() && s[i] != quote) {
          if (s[i] == '\\' && i + 1 < s.size()) {
            char e = s[++i];
            text += e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e;
          } else {
            text += s[i];
          }
          ++i;
        }
        if (i == s.size()) {
          error = "a string is not closed";
          break;
        }
        ++i;
        tokens.push_back({Token::Kind::String, text});
      } else {
        static const char *two[] = {"==", "!=", "<=", ">=", "//", "**"};
        std::string symbol(1, s[i]);
        for (const char *t : two)
          if (s.compare(i, 2, t) == 0)
            symbol = t;
        i += symbol.size();
        tokens.push_back({Token::Kind::Symbol, symbol});
      }
    }
    tokens.push_back({});
  }
  template <typename... Operands> ExprPtr node(Expr::Kind kind, const std::string &name, Operands... operands) {
    auto e = std::make_unique<Expr>();
    e->kind = kind;
    e->name = name;
    (e->operands.push_back(std::move(operands)), ...);
    return e;
  }
  ExprPtr literal(Value v) {
    ExprPtr e = node(Expr::Kind::Literal, "");
    e->literal = std::move(v);
    return e;
  }
  ExprPtr disjunction() {
    ExprPtr l = conjunction();
    while (takeName("or"))
      l = node(Expr::Kind::Binary, "or", std::move(l), conjunction());
    return l;
  }
  ExprPtr conjunction() {
    ExprPtr l = negation();
    while (takeName("and"))
      l = node(Expr::Kind::Binary, "and", std::move(l), negation());
    return l;
  }
  ExprPtr negation() {
    if (takeName("not"))
      return node(Expr::Kind::Unary, "not", nested([&] { return negation(); }));
    return comparison();
  }
  // Recursion that does not pass through expression() is bounded here.
  template <typename F> ExprPtr nested(F f) {
    if (++depth > kMaxDepth)
      return fail("an expression is nested too deeply");
    ExprPtr e = f();
    --depth;
    return e;
  }
  ExprPtr comparison() {
    ExprPtr l = concatenation();
    while (true) {
      bool found = false;
      for (const char *op : {"==", "!=", "<=", ">=", "<", ">"})
        if (takeSymbol(op)) {
          l = node(Expr::Kind::Binary, op, std::move(l), concatenation());
          found = true;
          break;
        }
      if (found)
        continue;
      if (takeName("in")) {
        l = node(Expr::Kind::Binary, "in", std::move(l), concatenation());
      } else if (isName("not") && at + 1 < tokens.size() && tokens[at + 1].kind == Token::Kind::Name && tokens[at + 1].text == "in") {
        at += 2;
        l = node(Expr::Kind::Unary, "not", node(Expr::Kind::Binary, "in", std::move(l), concatenation()));
      } else {
        return l;
      }
    }
  }
  ExprPtr concatenation() {
    ExprPtr l = sum();
    while (takeSymbol("~"))
      l = node(Expr::Kind::Binary, "~", std::move(l), sum());
    return l;
  }
  ExprPtr sum() {
    ExprPtr l = product();
    while (isSymbol("+") || isSymbol("-")) {
      std::string op = tokens[at++].text;
      l = node(Expr::Kind::Binary, op, std::move(l), product());
    }
    return l;
  }
  ExprPtr product() {
    ExprPtr l = unary();
    while (isSymbol("*") || isSymbol("/") || isSymbol("//") || isSymbol("%")) {
      std::string op = tokens[at++].text;
      l = node(Expr::Kind::Binary, op, std::move(l), unary());
    }
    return l;
  }
  ExprPtr unary() {
    if (takeSymbol("-"))
      return node(Expr::Kind::Unary, "-", nested([&] { return unary(); }));
    return postfix();
  }
  ExprPtr postfix() {
    ExprPtr e = primary();
    while (e) {
      if (takeSymbol(".")) {
        e = node(Expr::Kind::Member, name(), std::move(e));
      } else if (takeSymbol("[")) {
        ExprPtr first = isSymbol(":") ? nullptr : expression();
        if (takeSymbol(":")) {
          ExprPtr last = isSymbol("]") || isSymbol(":") ? nullptr : expression(), step;
          if (takeSymbol(":") && !isSymbol("]"))
            step = expression();
          e = node(Expr::Kind::Slice, "", std::move(e), std::move(first), std::move(last), std::move(step));
        } else {
          e = node(Expr::Kind::Index, "", std::move(e), std::move(first));
        }
        if (!takeSymbol("]"))
          return fail("']' is missing");
      } else if (takeSymbol("(")) {
        e = node(Expr::Kind::Call, "", std::move(e));
        arguments(*e);
      } else if (takeSymbol("|")) {
        e = node(Expr::Kind::Filter, name(), std::move(e));
        if (takeSymbol("("))
          arguments(*e);
      } else if (takeName("is")) {
        bool negated = takeName("not");
        e = node(Expr::Kind::Test, name(), std::move(e));
        e->negated = negated;
        if (takeSymbol("("))
          arguments(*e);
      } else {
        break;
      }
    }
    return e;
  }
  void arguments(Expr &call) {
    while (!takeSymbol(")")) {
      std::string keyword;
      if (tokens[at].kind == Token::Kind::Name && at + 1 < tokens.size() && tokens[at + 1].kind == Token::Kind::Symbol &&
          tokens[at + 1].text == "=") {
        keyword = tokens[at].text;
        at += 2;
      }
      ExprPtr value = expression();
      if (!value) {
        fail("an argument is missing");
        return;
      }
      call.keywords.push_back(keyword);
      call.operands.push_back(std::move(value));
      if (!takeSymbol(",") && !isSymbol(")")) {
        fail("')' is missing");
        return;
      }
    }
  }
  ExprPtr primary() {
    const Token &t = tokens[at];
    switch (t.kind) {
    case Token::Kind::Int:
      ++at;
      return literal(Value::of(static_cast<int64_t>(strtoll(t.text.c_str(), nullptr, 10))));
    case Token::Kind::Float:
      ++at;
      return literal(Value::of(strtod(t.text.c_str(), nullptr)));
    case Token::Kind::String: {
      std::string text;
      while (tokens[at].kind == Token::Kind::String)
        text += tokens[at++].text;
      return literal(Value::of(text));
    }
    case Token::Kind::Name:
      ++at;
      if (t.text == "true" || t.text == "True")
        return literal(Value::of(true));
      if (t.text == "false" || t.text == "False")
        return literal(Value::of(false));
      if (t.text == "none" || t.text == "None")
        return literal(Value::none());
      return node(Expr::Kind::Name, t.text);
    case Token::Kind::Symbol:
      break;
    case Token::Kind::End:
      return fail("an expression is missing");
    }
    if (takeSymbol("(")) {
      ExprPtr e = expression();
      if (!takeSymbol(")"))
        return fail("')' is missing");
      return e;
    }
    if (takeSymbol("[")) {
      ExprPtr e = node(Expr::Kind::List, "");
      while (!takeSymbol("]")) {
        e->operands.push_back(expression());
        if (!takeSymbol(",") && !isSymbol("]"))
          return fail("']' is missing");
      }
      return e;
    }
    if (takeSymbol("{")) {
      ExprPtr e = node(Expr::Kind::Object, "");
      while (!takeSymbol("}")) {
        e->operands.push_back(expression());
        if (!takeSymbol(":"))
          return fail("':' is missing");
        e->operands.push_back(expression());
        if (!takeSymbol(",") && !isSymbol("}"))
          return fail("'}' is missing");
      }
      return e;
    }
    return fail("'" + t.text + "' is not expected here");
  }

  std::vector<Token> tokens;
  size_t at = 0;
  int depth = 0;
};

/// The template as a list of pieces: text, {{ }}, {% %}.
struct Piece {
  enum class Kind { Text, Output, Tag } kind;
  std::string text;
  size_t line;
};

std::string trimmed(const std::string &s) {
  size_t b = s.find_first_not_of(" \t\n\r"), e = s.find_last_not_of(" \t\n\r");
  return b == std::string::npos ? "" : s.substr(b, e - b + 1);
}

Status cutPieces(const std::string &s, std::vector<Piece> &pieces) {
  size_t at = 0, line = 1;
  bool stripNext = false, newlineNext = false;
  while (at < s.size()) {
    size_t open = at;
    while ((open = s.find('{', open)) != std::string::npos && (open + 1 >= s.size() || !strchr("{%#", s[open + 1])))
      ++open;
    std::string text = s.substr(at, open == std::string::npos ? open : open - at);
    if (stripNext)
      text.erase(0, std::min(text.find_first_not_of(" \t\n\r"), text.size()));
    else if (newlineNext && !text.empty() && text[0] == '\n')
      text.erase(0, 1);
    stripNext = newlineNext = false;
    for (size_t i = at; i < std::min(open, s.size()); ++i)
      line += s[i] == '\n';
    if (open == std::string::npos) {
      pieces.push_back({Piece::Kind::Text, text, line});
      return {};
    }
    char kind = s[open + 1];
    const char *close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    size_t begin = open + 2, end = begin;
    // A closing mark inside a string does not close.
    char quote = 0;
    for (; end < s.size(); ++end) {
      if (quote) {
        if (s[end] == '\\')
          ++end;
        else if (s[end] == quote)
          quote = 0;
      } else if (kind != '#' && (s[end] == '\'' || s[end] == '"')) {
        quote = s[end];
      } else if (s.compare(end, 2, close) == 0) {
        break;
      }
    }
    if (end >= s.size())
      return error(Code::BadFile, "chat template, line %zu: '{%c' is not closed", line, kind);
    std::string inside = s.substr(begin, end - begin);
    if (!inside.empty() && inside[0] == '-') {
      inside.erase(0, 1);
      text.erase(text.find_last_not_of(" \t\n\r") + 1);
    } else if (kind != '{') { // blanks between the start of the line and a block tag
      size_t blank = text.find_last_not_of(" \t");
      if ((blank != std::string::npos && text[blank] == '\n') || (blank == std::string::npos && (pieces.empty() || newlineNext)))
        text.erase(blank == std::string::npos ? 0 : blank + 1);
    }
    if (!inside.empty() && (inside.back() == '-' || inside.back() == '+')) {
      stripNext = inside.back() == '-';
      inside.pop_back();
    } else {
      newlineNext = kind != '{';
    }
    if (!text.empty())
      pieces.push_back({Piece::Kind::Text, text, line});
    for (char c : inside)
      line += c == '\n';
    if (kind != '#')
      pieces.push_back({kind == '{' ? Piece::Kind::Output : Piece::Kind::Tag, trimmed(inside), line});
    at = end + 2;
  }
  return {};
}

class TemplateParser {
public:
  explicit TemplateParser(std::vector<Piece> pieces) : pieces(std::move(pieces)) {}

  // Parses until one of the closing tags (or the end); the tag's first word is in `closing`.
  Status block(Body &body, std::string &closing, int depth = 0) {
    closing.clear();
    if (depth > kMaxDepth)
      return error(Code::BadFile, "chat template: blocks are nested too deeply");
    while (at < pieces.size()) {
      Piece &p = pieces[at];
      auto node = std::make_unique<Node>();
      if (p.kind == Piece::Kind::Text) {
        node->kind = Node::Kind::Text;
        node->text = p.text;
        ++at;
      } else if (p.kind == Piece::Kind::Output) {
        node->kind = Node::Kind::Output;
        ExpressionParser e(p.text);
        node->expr = e.expression();
        LEAT_RETURN_IF_ERROR(check(e, p));
        ++at;
      } else {
        std::string word = p.text.substr(0, p.text.find_first_of(" \t\n\r("));
        if (word == "endfor" || word == "endif" || word == "else" || word == "elif" || word == "endset" || word == "endgeneration") {
          closing = word;
          return {};
        }
        if (word == "generation") { // marks the assistant's part for training; only its content matters
          ++at;
          std::string end;
          LEAT_RETURN_IF_ERROR(block(body, end, depth + 1));
          if (end != "endgeneration")
            return error(Code::BadFile, "chat template, line %zu: generation is not closed", p.line);
          ++at;
          continue;
        }
        LEAT_RETURN_IF_ERROR(tag(*node, word, depth));
      }
      body.push_back(std::move(node));
    }
    return {};
  }
  size_t line() const { return at < pieces.size() ? pieces[at].line : 0; }

private:
  Status check(ExpressionParser &e, const Piece &p) {
    if (e.error.empty() && !e.done())
      e.error = "something follows the expression";
    return e.error.empty()
               ? Status()
               : error(Code::BadFile, "chat template, line %zu: %s in '%s'", p.line, e.error.c_str(), printable(p.text).c_str());
  }

  Status tag(Node &node, const std::string &word, int depth) {
    Piece p = pieces[at++];
    ExpressionParser e(p.text);
    std::string closing;
    if (word == "break" || word == "continue") {
      node.kind = word == "break" ? Node::Kind::Break : Node::Kind::Continue;
      return {};
    }
    if (word == "for") {
      node.kind = Node::Kind::For;
      e.name();
      do
        node.names.push_back(e.name());
      while (e.takeSymbol(","));
      if (!e.takeName("in"))
        e.fail("'in' is missing");
      node.expr = e.iterable();
      if (e.takeName("if"))
        node.filter = e.expression();
      LEAT_RETURN_IF_ERROR(check(e, p));
      LEAT_RETURN_IF_ERROR(block(node.body, closing, depth + 1));
      if (closing == "else") {
        ++at;
        LEAT_RETURN_IF_ERROR(block(node.otherwise, closing, depth + 1));
      }
      if (closing != "endfor")
        return error(Code::BadFile, "chat template, line %zu: for is not closed", p.line);
      ++at;
      return {};
    }
    if (word == "if" || word == "elif") {
      node.kind = Node::Kind::If;
      e.name();
      node.expr = e.expression();
      LEAT_RETURN_IF_ERROR(check(e, p));
      LEAT_RETURN_IF_ERROR(block(node.body, closing, depth + 1));
      if (closing == "elif") {
        auto other = std::make_unique<Node>();
        LEAT_RETURN_IF_ERROR(tag(*other, "elif", depth + 1)); // takes the endif of the chain
        node.otherwise.push_back(std::move(other));
        return {};
      }
      if (closing == "else") {
        ++at;
        LEAT_RETURN_IF_ERROR(block(node.otherwise, closing, depth + 1));
      }
      if (closing != "endif")
        return error(Code::BadFile, "chat template, line %zu: if is not closed", p.line);
      ++at;
      return {};
    }
    if (word == "set") {
      node.kind = Node::Kind::Set;
      e.name();
      node.names.push_back(e.name());
      if (e.takeSymbol("."))
        node.text = e.name();
      if (e.takeSymbol("=")) {
        node.expr = e.expression();
        return check(e, p);
      }
      LEAT_RETURN_IF_ERROR(check(e, p));
      LEAT_RETURN_IF_ERROR(block(node.body, closing, depth + 1));
      if (closing != "endset")
        return error(Code::BadFile, "chat template, line %zu: set is not closed", p.line);
      ++at;
      return {};
    }
    return error(Code::Unsupported, "chat template, line %zu: the tag '%s' is not supported", p.line, printable(word).c_str());
  }

  std::vector<Piece> pieces;
  size_t at = 0;
};

} // namespace

Status parseTemplate(const std::string &source, Body &body) {
  std::vector<Piece> pieces;
  // A single newline at the end of a template is not part of it.
  std::string text = !source.empty() && source.back() == '\n' ? source.substr(0, source.size() - 1) : source;
  LEAT_RETURN_IF_ERROR(cutPieces(text, pieces));
  TemplateParser parser(std::move(pieces));
  std::string closing;
  LEAT_RETURN_IF_ERROR(parser.block(body, closing));
  if (!closing.empty())
    return error(Code::BadFile, "chat template, line %zu: '%s' closes nothing", parser.line(), closing.c_str());
  return {};
}

} // namespace leat::rt::jinja
