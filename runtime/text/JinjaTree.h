// The syntax tree between the parser and the interpreter of templates.
#ifndef LEAT_RUNTIME_TEXT_JINJATREE_H
#define LEAT_RUNTIME_TEXT_JINJATREE_H

#include "runtime/text/Jinja.h"

namespace leat::rt::jinja {

struct Expr {
  enum class Kind { Literal, Name, Member, Index, Slice, Call, Filter, Test, Unary, Binary, Conditional, List, Object } kind;
  std::string name; // name, member, filter, test, operator; keyword names are in `keywords`
  Value literal;
  std::vector<std::unique_ptr<Expr>> operands; // null where a slice bound is left out
  std::vector<std::string> keywords;           // per operand of a call after the callee; "" for positional
  bool negated = false;                        // of a test: `is not`
};

struct Node {
  enum class Kind { Text, Output, For, If, Set, Break, Continue } kind;
  std::string text;                                   // of Text; of Set: the member to set, or ""
  std::vector<std::string> names;                     // loop variables; the name to set
  std::unique_ptr<Expr> expr, filter;                 // `filter` is the condition of `for x in y if z`
  std::vector<std::unique_ptr<Node>> body, otherwise; // If: else branch (an elif is an If in there); Set: block form
};

// Fills `body` from the template's text.
Status parseTemplate(const std::string &source, std::vector<std::unique_ptr<Node>> &body);

} // namespace leat::rt::jinja

#endif
