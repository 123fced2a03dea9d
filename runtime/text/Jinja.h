// The part of the Jinja language that chat templates use: output, for, if, set, filters, tests, slices, string methods, namespaces.
// A tree-walking interpreter with a step limit; templates are foreign text.
#ifndef LEAT_RUNTIME_TEXT_JINJA_H
#define LEAT_RUNTIME_TEXT_JINJA_H

#include "runtime/core/Status.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace leat::rt::jinja {

// A value of the language. Lists and objects are shared: `namespace()` objects are changed in place.
struct Value {
  enum class Kind { Undefined, None, Bool, Int, Float, String, List, Object } kind = Kind::Undefined;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::shared_ptr<std::vector<Value>> list;
  std::shared_ptr<std::map<std::string, Value>> object;

  static Value none() { return make(Kind::None); }
  static Value of(bool b) { return withInteger(Kind::Bool, b); }
  static Value of(int64_t i) { return withInteger(Kind::Int, i); }
  static Value of(double d);
  static Value of(std::string s);
  static Value makeList(std::vector<Value> items);
  static Value makeObject(std::map<std::string, Value> members = {});

  bool truth() const;
  bool isNumber() const { return kind == Kind::Int || kind == Kind::Float || kind == Kind::Bool; }
  double number() const { return kind == Kind::Float ? real : static_cast<double>(integer); }
  std::string str() const;  // as {{ }} prints it
  std::string json() const; // as the tojson filter writes it
  bool equals(const Value &other) const;

private:
  static Value make(Kind k) {
    Value v;
    v.kind = k;
    return v;
  }
  static Value withInteger(Kind k, int64_t i) {
    Value v = make(k);
    v.integer = i;
    return v;
  }
};

struct Node;

class Template {
public:
  // Block tags swallow the newline behind them and the blanks before them, as chat templates expect (trim_blocks, lstrip_blocks).
  static Result<Template> parse(const std::string &source);
  Template(Template &&);
  Template &operator=(Template &&);
  ~Template();
  Result<std::string> render(std::map<std::string, Value> variables) const;

private:
  Template();
  std::vector<std::unique_ptr<Node>> body;
};

} // namespace leat::rt::jinja

#endif
