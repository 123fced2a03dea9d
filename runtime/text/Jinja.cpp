// Values and the interpreter of templates.
#include "runtime/text/JinjaTree.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace leat::rt::jinja {

//===--- Values ---------------------------------------------------------------------------------------------------===//

Value Value::of(double d) {
  Value v = make(Kind::Float);
  v.real = d;
  return v;
}
Value Value::of(std::string s) {
  Value v = make(Kind::String);
  v.text = std::move(s);
  return v;
}
Value Value::makeList(std::vector<Value> items) {
  Value v = make(Kind::List);
  v.list = std::make_shared<std::vector<Value>>(std::move(items));
  return v;
}
Value Value::makeObject(std::map<std::string, Value> members) {
  Value v = make(Kind::Object);
  v.object = std::make_shared<std::map<std::string, Value>>(std::move(members));
  return v;
}

bool Value::truth() const {
  switch (kind) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return integer != 0;
  case Kind::Float:
    return real != 0;
  case Kind::String:
    return !text.empty();
  case Kind::List:
    return !list->empty();
  case Kind::Object:
    return !object->empty();
  }
  return false;
}

std::string Value::str() const {
  switch (kind) {
  case Kind::Undefined:
    return "";
  case Kind::None:
    return "None";
  case Kind::Bool:
    return integer ? "True" : "False";
  case Kind::Int:
    return std::to_string(integer);
  case Kind::Float:
    return formatText("%g", real);
  case Kind::String:
    return text;
  default:
    return json();
  }
}

std::string Value::json() const {
  std::string out;
  switch (kind) {
  case Kind::Undefined:
  case Kind::None:
    return "null";
  case Kind::Bool:
    return integer ? "true" : "false";
  case Kind::Int:
  case Kind::Float:
    return str();
  case Kind::String:
    out = "\"";
    for (char c : text) {
      if (c == '"' || c == '\\')
        out += '\\', out += c;
      else if (c == '\n')
        out += "\\n";
      else if (static_cast<unsigned char>(c) < 0x20)
        out += formatText("\\u%04x", c);
      else
        out += c;
    }
    return out + "\"";
  case Kind::List:
    for (const Value &v : *list)
      out += (out.empty() ? "" : ", ") + v.json();
    return "[" + out + "]";
  case Kind::Object:
    for (auto &[k, v] : *object)
      out += (out.empty() ? "" : ", ") + of(k).json() + ": " + v.json();
    return "{" + out + "}";
  }
  return out;
}

bool Value::equals(const Value &o) const {
  if (isNumber() && o.isNumber())
    return number() == o.number();
  if (kind != o.kind)
    return false;
  switch (kind) {
  case Kind::String:
    return text == o.text;
  case Kind::List:
    return list->size() == o.list->size() &&
           std::equal(list->begin(), list->end(), o.list->begin(), [](auto &a, auto &b) { return a.equals(b); });
  case Kind::Object:
    return object == o.object;
  default:
    return true;
  }
}

//===--- The interpreter ------------------------------------------------------------------------------------------===//

namespace {

constexpr int64_t kMaxSteps = 1000000;
constexpr size_t kMaxOutput = size_t(1) << 26;

using Kind = Value::Kind;

class Interpreter {
public:
  explicit Interpreter(std::map<std::string, Value> globals) { scopes.push_back(std::move(globals)); }

  Status run(const std::vector<std::unique_ptr<Node>> &body) {
    for (auto &node : body) {
      exec(*node);
      if (!failure.ok())
        return std::move(failure);
      if (leaving != Leaving::No)
        break;
    }
    return {};
  }
  std::string output;

private:
  enum class Leaving { No, Break, Continue };

  Value fail(Code code, const std::string &message) {
    if (failure.ok())
      failure = Status(code, "chat template: " + message);
    return {};
  }
  Value *lookup(const std::string &name) {
    for (size_t i = scopes.size(); i-- > 0;)
      if (auto it = scopes[i].find(name); it != scopes[i].end())
        return &it->second;
    return nullptr;
  }
  void sub(const std::vector<std::unique_ptr<Node>> &body) {
    if (Status s = run(body); !s.ok())
      failure = std::move(s);
  }

  void exec(const Node &n) {
    if (++steps > kMaxSteps || output.size() > kMaxOutput) {
      fail(Code::Failed, "it does not end within a million steps");
      return;
    }
    switch (n.kind) {
    case Node::Kind::Text:
      output += n.text;
      return;
    case Node::Kind::Output:
      output += eval(*n.expr).str();
      return;
    case Node::Kind::Break:
      leaving = Leaving::Break;
      return;
    case Node::Kind::Continue:
      leaving = Leaving::Continue;
      return;
    case Node::Kind::If:
      sub(eval(*n.expr).truth() ? n.body : n.otherwise);
      return;
    case Node::Kind::Set: {
      Value value;
      if (n.expr) {
        value = eval(*n.expr);
      } else {
        std::string outer = std::move(output);
        output.clear();
        sub(n.body);
        value = Value::of(std::move(output));
        output = std::move(outer);
      }
      if (n.text.empty()) {
        scopes.back()[n.names[0]] = value;
        return;
      }
      Value *target = lookup(n.names[0]);
      if (!target || target->kind != Kind::Object)
        fail(Code::Failed, "'" + n.names[0] + "' has no members to set");
      else
        (*target->object)[n.text] = value;
      return;
    }
    case Node::Kind::For:
      loop(n);
      return;
    }
  }

  void bind(const Node &n, const Value &item, std::map<std::string, Value> &scope) {
    if (n.names.size() == 1) {
      scope[n.names[0]] = item;
      return;
    }
    if (item.kind != Kind::List || item.list->size() != n.names.size()) {
      fail(Code::Failed, "a loop over pairs meets something else");
      return;
    }
    for (size_t i = 0; i < n.names.size(); ++i)
      scope[n.names[i]] = (*item.list)[i];
  }

  void loop(const Node &n) {
    Value over = eval(*n.expr);
    std::vector<Value> items;
    if (over.kind == Kind::List) {
      items = *over.list;
    } else if (over.kind == Kind::Object) {
      for (auto &[key, value] : *over.object)
        items.push_back(Value::of(key));
    } else if (over.kind != Kind::Undefined && over.kind != Kind::None) {
      fail(Code::Failed, "a loop runs over something that is no list");
      return;
    }
    if (n.filter) {
      std::vector<Value> kept;
      for (Value &item : items) {
        scopes.emplace_back();
        bind(n, item, scopes.back());
        if (eval(*n.filter).truth())
          kept.push_back(item);
        scopes.pop_back();
      }
      items = std::move(kept);
    }
    if (items.empty()) {
      sub(n.otherwise);
      return;
    }
    for (size_t i = 0; i < items.size() && failure.ok(); ++i) {
      std::map<std::string, Value> scope, state;
      state["index"] = Value::of(static_cast<int64_t>(i + 1));
      state["index0"] = Value::of(static_cast<int64_t>(i));
      state["first"] = Value::of(i == 0);
      state["last"] = Value::of(i + 1 == items.size());
      state["length"] = Value::of(static_cast<int64_t>(items.size()));
      state["revindex"] = Value::of(static_cast<int64_t>(items.size() - i));
      if (i)
        state["previtem"] = items[i - 1];
      if (i + 1 < items.size())
        state["nextitem"] = items[i + 1];
      scope["loop"] = Value::makeObject(std::move(state));
      bind(n, items[i], scope);
      scopes.push_back(std::move(scope));
      sub(n.body);
      scopes.pop_back();
      Leaving how = leaving;
      leaving = Leaving::No;
      if (how == Leaving::Break)
        break;
    }
  }

  static Value member(const Value &v, const std::string &name) {
    if (v.kind == Kind::Object)
      if (auto it = v.object->find(name); it != v.object->end())
        return it->second;
    return {};
  }

  Value eval(const Expr &e) {
    if (++steps > kMaxSteps)
      return fail(Code::Failed, "it does not end within a million steps");
    if (!failure.ok())
      return {};
    auto operand = [&](size_t i) { return i < e.operands.size() && e.operands[i] ? eval(*e.operands[i]) : Value(); };
    switch (e.kind) {
    case Expr::Kind::Literal:
      return e.literal;
    case Expr::Kind::Name: {
      Value *v = lookup(e.name);
      return v ? *v : Value();
    }
    case Expr::Kind::Member:
      return member(operand(0), e.name);
    case Expr::Kind::Index:
      return index(operand(0), operand(1));
    case Expr::Kind::Slice:
      return slice(e);
    case Expr::Kind::Conditional:
      return eval(*e.operands[0]).truth() ? operand(1) : operand(2);
    case Expr::Kind::List: {
      std::vector<Value> items;
      for (auto &o : e.operands)
        items.push_back(o ? eval(*o) : Value());
      return Value::makeList(std::move(items));
    }
    case Expr::Kind::Object: {
      std::map<std::string, Value> members;
      for (size_t i = 0; i + 1 < e.operands.size(); i += 2)
        members[operand(i).str()] = operand(i + 1);
      return Value::makeObject(std::move(members));
    }
    case Expr::Kind::Unary: {
      Value v = operand(0);
      if (e.name == "not")
        return Value::of(!v.truth());
      return v.kind == Kind::Float ? Value::of(-v.real) : Value::of(-v.integer);
    }
    case Expr::Kind::Binary:
      return binary(e);
    case Expr::Kind::Test:
      return Value::of(test(e, operand(0)) != e.negated);
    case Expr::Kind::Filter:
      return filter(e, operand(0));
    case Expr::Kind::Call:
      return call(e);
    }
    return {};
  }

  Value index(const Value &v, const Value &i) {
    if (v.kind == Kind::Object)
      return member(v, i.str());
    if (!i.isNumber())
      return {};
    int64_t n = v.kind == Kind::List     ? static_cast<int64_t>(v.list->size())
                : v.kind == Kind::String ? static_cast<int64_t>(v.text.size())
                                         : 0;
    int64_t k = i.integer < 0 ? i.integer + n : i.integer;
    if (k < 0 || k >= n)
      return {};
    return v.kind == Kind::List ? (*v.list)[k] : Value::of(v.text.substr(k, 1));
  }

  Value slice(const Expr &e) {
    Value v = eval(*e.operands[0]);
    int64_t n = v.kind == Kind::List ? static_cast<int64_t>(v.list->size()) : static_cast<int64_t>(v.text.size());
    int64_t step = e.operands[3] ? eval(*e.operands[3]).integer : 1;
    if (step == 0 || (v.kind != Kind::List && v.kind != Kind::String))
      return fail(Code::Failed, "a slice of something that has none");
    auto bound = [&](size_t i, int64_t otherwise) {
      if (!e.operands[i])
        return otherwise;
      int64_t k = eval(*e.operands[i]).integer;
      k = k < 0 ? k + n : k;
      return std::clamp<int64_t>(k, step > 0 ? 0 : -1, step > 0 ? n : n - 1);
    };
    int64_t from = bound(1, step > 0 ? 0 : n - 1), to = bound(2, step > 0 ? n : -1);
    std::vector<Value> items;
    std::string text;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
      if (v.kind == Kind::List)
        items.push_back((*v.list)[i]);
      else
        text += v.text[i];
    }
    return v.kind == Kind::List ? Value::makeList(std::move(items)) : Value::of(text);
  }

  static bool contains(const Value &in, const Value &what) {
    if (in.kind == Kind::String)
      return in.text.find(what.str()) != std::string::npos;
    if (in.kind == Kind::Object)
      return in.object->count(what.str()) != 0;
    return in.kind == Kind::List && std::any_of(in.list->begin(), in.list->end(), [&](auto &v) { return v.equals(what); });
  }

  Value binary(const Expr &e) {
    const std::string &op = e.name;
    Value a = eval(*e.operands[0]);
    if (op == "and")
      return a.truth() ? eval(*e.operands[1]) : a;
    if (op == "or")
      return a.truth() ? a : eval(*e.operands[1]);
    if (!e.operands[1])
      return fail(Code::Failed, "an operand is missing");
    Value b = eval(*e.operands[1]);
    if (op == "==")
      return Value::of(a.equals(b));
    if (op == "!=")
      return Value::of(!a.equals(b));
    if (op == "in")
      return Value::of(contains(b, a));
    if (op == "~")
      return Value::of(a.str() + b.str());
    if (op == "+") {
      if (a.kind == Kind::String && b.kind == Kind::String)
        return Value::of(a.text + b.text);
      if (a.kind == Kind::List && b.kind == Kind::List) {
        std::vector<Value> both = *a.list;
        both.insert(both.end(), b.list->begin(), b.list->end());
        return Value::makeList(std::move(both));
      }
    }
    bool order = op == "<" || op == ">" || op == "<=" || op == ">=";
    if (order && a.kind == Kind::String && b.kind == Kind::String) {
      int c = a.text.compare(b.text);
      return Value::of(op == "<" ? c < 0 : op == ">" ? c > 0 : op == "<=" ? c <= 0 : c >= 0);
    }
    if (!a.isNumber() || !b.isNumber())
      return fail(Code::Failed, "'" + op + "' is applied to values that it does not fit");
    double x = a.number(), y = b.number();
    if (order)
      return Value::of(op == "<" ? x < y : op == ">" ? x > y : op == "<=" ? x <= y : x >= y);
    bool integral = a.kind != Kind::Float && b.kind != Kind::Float;
    if ((op == "/" || op == "//" || op == "%") && y == 0)
      return fail(Code::Failed, "division by zero");
    double r = op == "+"    ? x + y
               : op == "-"  ? x - y
               : op == "*"  ? x * y
               : op == "/"  ? x / y
               : op == "//" ? std::floor(x / y)
                            : x - std::floor(x / y) * y;
    return integral && op != "/" ? Value::of(static_cast<int64_t>(r)) : Value::of(r);
  }

  bool test(const Expr &e, const Value &v) {
    const std::string &t = e.name;
    if (t == "defined")
      return v.kind != Kind::Undefined;
    if (t == "undefined")
      return v.kind == Kind::Undefined;
    if (t == "none")
      return v.kind == Kind::None;
    if (t == "string")
      return v.kind == Kind::String;
    if (t == "mapping")
      return v.kind == Kind::Object;
    if (t == "iterable" || t == "sequence")
      return v.kind == Kind::List || v.kind == Kind::String || v.kind == Kind::Object;
    if (t == "number")
      return v.isNumber() && v.kind != Kind::Bool;
    if (t == "integer")
      return v.kind == Kind::Int;
    if (t == "boolean")
      return v.kind == Kind::Bool;
    if (t == "true" || t == "false")
      return v.kind == Kind::Bool && v.integer == (t == "true");
    if ((t == "equalto" || t == "eq") && e.operands.size() > 1)
      return v.equals(eval(*e.operands[1]));
    if (t == "in" && e.operands.size() > 1)
      return contains(eval(*e.operands[1]), v);
    fail(Code::Unsupported, "the test '" + t + "' is not supported");
    return false;
  }

  static std::string strip(const std::string &s, const std::string &chars, bool left, bool right) {
    size_t b = left ? s.find_first_not_of(chars) : 0;
    if (b == std::string::npos)
      return "";
    return s.substr(b, right ? s.find_last_not_of(chars) - b + 1 : std::string::npos);
  }
  static std::string cased(std::string s, bool upper) {
    for (char &c : s)
      c = static_cast<char>(upper ? toupper(static_cast<unsigned char>(c)) : tolower(static_cast<unsigned char>(c)));
    return s;
  }

  Value filter(const Expr &e, const Value &v) {
    const std::string &f = e.name;
    auto argument = [&](size_t i) { return i + 1 < e.operands.size() ? eval(*e.operands[i + 1]) : Value(); };
    if (f == "trim")
      return Value::of(strip(v.str(), " \t\n\r", true, true));
    if (f == "length" || f == "count")
      return Value::of(v.kind == Kind::List     ? static_cast<int64_t>(v.list->size())
                       : v.kind == Kind::Object ? static_cast<int64_t>(v.object->size())
                                                : static_cast<int64_t>(v.text.size()));
    if (f == "upper" || f == "lower")
      return Value::of(cased(v.str(), f == "upper"));
    if (f == "capitalize") {
      std::string s = cased(v.str(), false);
      if (!s.empty())
        s[0] = static_cast<char>(toupper(static_cast<unsigned char>(s[0])));
      return Value::of(s);
    }
    if (f == "string")
      return Value::of(v.str());
    if (f == "int")
      return Value::of(v.kind == Kind::String ? static_cast<int64_t>(strtoll(v.text.c_str(), nullptr, 10))
                                              : static_cast<int64_t>(v.number()));
    if (f == "tojson")
      return Value::of(v.json());
    if (f == "safe" || f == "list")
      return v;
    if (f == "default" || f == "d")
      return v.kind == Kind::Undefined || (argument(1).truth() && !v.truth()) ? argument(0) : v;
    if (f == "first" || f == "last")
      return index(v, Value::of(static_cast<int64_t>(f == "first" ? 0 : -1)));
    if (f == "join" && v.kind == Kind::List) {
      std::string out, separator = argument(0).str();
      for (size_t i = 0; i < v.list->size(); ++i)
        out += (i ? separator : "") + (*v.list)[i].str();
      return Value::of(out);
    }
    if (f == "replace")
      return replaced(v.str(), argument(0).str(), argument(1).str());
    if (f == "items")
      return items(v);
    if ((f == "selectattr" || f == "rejectattr") && v.kind == Kind::List && e.operands.size() >= 2) {
      std::vector<Value> kept;
      std::string how = argument(1).str();
      for (const Value &item : *v.list) {
        Value m = member(item, argument(0).str());
        bool holds = how.empty()                       ? m.truth()
                     : how == "equalto" || how == "==" ? m.equals(argument(2))
                     : how == "defined"                ? m.kind != Kind::Undefined
                                                       : m.truth();
        if (holds == (f == "selectattr"))
          kept.push_back(item);
      }
      return Value::makeList(std::move(kept));
    }
    return fail(Code::Unsupported, "the filter '" + f + "' is not supported");
  }

  static Value items(const Value &v) {
    std::vector<Value> pairs;
    if (v.kind == Kind::Object)
      for (auto &[key, value] : *v.object)
        pairs.push_back(Value::makeList({Value::of(key), value}));
    return Value::makeList(std::move(pairs));
  }

  Value replaced(const std::string &s, const std::string &from, const std::string &to) {
    if (from.empty())
      return Value::of(s);
    std::string out;
    size_t at = 0;
    for (size_t hit; (hit = s.find(from, at)) != std::string::npos; at = hit + from.size())
      out.append(s, at, hit - at).append(to);
    return Value::of(out.append(s, at, std::string::npos));
  }

  Value call(const Expr &e) {
    const Expr &callee = *e.operands[0];
    auto argument = [&](size_t i) { return i + 1 < e.operands.size() ? eval(*e.operands[i + 1]) : Value(); };
    if (callee.kind == Expr::Kind::Name) {
      if (callee.name == "raise_exception")
        return fail(Code::InvalidArgument, argument(0).str());
      if (callee.name == "namespace" || callee.name == "dict") {
        std::map<std::string, Value> members;
        for (size_t i = 0; i + 1 < e.operands.size(); ++i)
          if (!e.keywords[i].empty())
            members[e.keywords[i]] = argument(i);
        return Value::makeObject(std::move(members));
      }
      if (callee.name == "range") {
        int64_t a = argument(0).integer, from = e.operands.size() > 2 ? a : 0, to = e.operands.size() > 2 ? argument(1).integer : a;
        std::vector<Value> numbers;
        for (int64_t i = from; i < to && static_cast<int64_t>(numbers.size()) < kMaxSteps; ++i)
          numbers.push_back(Value::of(i));
        return Value::makeList(std::move(numbers));
      }
      if (callee.name == "strftime_now") // no clock in a template: the same messages give the same text
        return Value::of(std::string());
      return fail(Code::Unsupported, "the function '" + callee.name + "' is not supported");
    }
    if (callee.kind != Expr::Kind::Member)
      return fail(Code::Unsupported, "a call of something that is no function");
    Value self = eval(*callee.operands[0]);
    const std::string &m = callee.name;
    std::string chars = e.operands.size() > 1 ? argument(0).str() : " \t\n\r";
    if (m == "strip" || m == "lstrip" || m == "rstrip")
      return Value::of(strip(self.str(), chars, m != "rstrip", m != "lstrip"));
    if (m == "upper" || m == "lower")
      return Value::of(cased(self.str(), m == "upper"));
    if (m == "startswith")
      return Value::of(self.str().compare(0, chars.size(), chars) == 0);
    if (m == "endswith")
      return Value::of(self.text.size() >= chars.size() && self.text.compare(self.text.size() - chars.size(), chars.size(), chars) == 0);
    if (m == "replace")
      return replaced(self.str(), argument(0).str(), argument(1).str());
    if (m == "split") {
      std::vector<Value> parts;
      const std::string &s = self.text;
      size_t at = 0;
      if (e.operands.size() < 2)
        chars = " ";
      for (size_t hit; !chars.empty() && (hit = s.find(chars, at)) != std::string::npos; at = hit + chars.size())
        parts.push_back(Value::of(s.substr(at, hit - at)));
      parts.push_back(Value::of(s.substr(at)));
      return Value::makeList(std::move(parts));
    }
    if (m == "items")
      return items(self);
    if (m == "get") {
      Value found = member(self, argument(0).str());
      return found.kind == Kind::Undefined ? (e.operands.size() > 2 ? argument(1) : Value::none()) : found;
    }
    return fail(Code::Unsupported, "the method '" + m + "' is not supported");
  }

  std::vector<std::map<std::string, Value>> scopes;
  Status failure;
  Leaving leaving = Leaving::No;
  int64_t steps = 0;
};

} // namespace

Template::Template() = default;
Template::Template(Template &&) = default;
Template &Template::operator=(Template &&) = default;
Template::~Template() = default;

Result<Template> Template::parse(const std::string &source) {
  Template t;
  if (Status s = parseTemplate(source, t.body); !s.ok())
    return s;
  return t;
}

Result<std::string> Template::render(std::map<std::string, Value> variables) const {
  Interpreter interpreter(std::move(variables));
  if (Status s = interpreter.run(body); !s.ok())
    return s;
  return std::move(interpreter.output);
}

} // namespace leat::rt::jinja
