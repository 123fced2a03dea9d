// leat-raise-gelu: GELU (erf and tanh forms), Swish, SiLU and QuickGelu, in whatever order an exporter multiplied them out.
//
// An activation of these families is c0*x + c1*x*t, where t is Erf, Tanh or Sigmoid of a polynomial in x. Both are computed as polynomials
// with known coefficients, so that no list of orderings is needed.
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

#include <cmath>

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRAISEGELU
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

/// Coefficients of x^i t^j, i <= 3, j <= 1.
struct Polynomial {
  double c[4][2] = {};
};

std::optional<Polynomial> times(const Polynomial &a, const Polynomial &b) {
  Polynomial r;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j)
      for (int k = 0; a.c[i][j] != 0 && k < 4; ++k)
        for (int l = 0; l < 2; ++l)
          if (b.c[k][l] != 0) {
            if (i + k > 3 || j + l > 1)
              return std::nullopt;
            r.c[i + k][j + l] += a.c[i][j] * b.c[k][l];
          }
  return r;
}

/// `value` as a polynomial in x and t (t may be null).
std::optional<Polynomial> polynomial(Value value, Value x, Value t, int depth = 0) {
  Polynomial r;
  value = through(value);
  if (value == x)
    return r.c[1][0] = 1, r;
  if (t && value == t)
    return r.c[0][1] = 1, r;
  if (auto n = number(value))
    return r.c[0][0] = *n, r;
  if (depth > 10)
    return std::nullopt;
  auto of = [&](Value v) { return polynomial(v, x, t, depth + 1); };
  auto two = [&](NodeOp op, auto combine) -> std::optional<Polynomial> {
    auto a = of(op.getInputs()[0]), b = of(op.getInputs()[1]);
    return a && b ? combine(*a, *b) : std::nullopt;
  };
  auto sum = [](double sign) {
    return [sign](const Polynomial &a, const Polynomial &b) -> std::optional<Polynomial> {
      Polynomial s;
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 2; ++j)
          s.c[i][j] = a.c[i][j] + sign * b.c[i][j];
      return s;
    };
  };
  if (NodeOp op = node(value, "Add"))
    return two(op, sum(1));
  if (NodeOp op = node(value, "Sub"))
    return two(op, sum(-1));
  if (NodeOp op = node(value, "Mul"))
    return two(op, times);
  if (NodeOp op = node(value, "Div")) {
    auto a = of(op.getInputs()[0]);
    auto n = number(op.getInputs()[1]);
    if (!a || !n || *n == 0)
      return std::nullopt;
    Polynomial inverse;
    inverse.c[0][0] = 1 / *n;
    return times(*a, inverse);
  }
  if (NodeOp op = node(value, "Pow")) {
    auto a = of(op.getInputs()[0]);
    auto n = number(op.getInputs()[1]);
    if (!a || !n || (*n != 2 && *n != 3))
      return std::nullopt;
    auto square = times(*a, *a);
    return square && *n == 3 ? times(*square, *a) : square;
  }
  if (NodeOp op = node(value, "Neg")) {
    auto a = of(op.getInputs()[0]);
    return a ? sum(-1)(Polynomial(), *a) : std::nullopt;
  }
  if (NodeOp op = node(value, "Cast"); op && isFloat(value) && elementType(value) == elementType(x))
    return of(op.getInputs()[0]);
  return std::nullopt;
}

/// Equal up to the rounding of constants to the model's type.
bool near(double a, double b, Value x) {
  double tolerance = elementType(x).getIntOrFloatBitWidth() < 32 ? 4e-3 : 2e-5;
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

bool only(const Polynomial &p, std::initializer_list<std::tuple<int, int, double>> terms, Value x) {
  Polynomial want;
  for (auto [i, j, c] : terms)
    want.c[i][j] = c;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j)
      if (!near(p.c[i][j], want.c[i][j], x))
        return false;
  return true;
}

/// The nearest Erf, Tanh and Sigmoid nodes under `value`, through products and sums.
void saturating(Value value, int depth, SmallVectorImpl<NodeOp> &found) {
  value = through(value);
  for (StringRef name : {"Erf", "Tanh", "Sigmoid"})
    if (NodeOp op = node(value, name)) {
      found.push_back(op);
      return;
    }
  if (depth > 0)
    for (StringRef name : {"Mul", "Add", "Div", "Cast"})
      if (NodeOp op = node(value, name))
        for (Value v : op.getInputs())
          saturating(v, depth - 1, found);
}

/// Values that the argument of t could be a polynomial of.
void variables(Value value, int depth, SmallVectorImpl<Value> &found) {
  value = through(value);
  if (number(value) || llvm::is_contained(found, value))
    return;
  found.push_back(value);
  if (depth > 0)
    for (StringRef name : {"Mul", "Add", "Div", "Pow", "Cast"})
      if (NodeOp op = node(value, name))
        for (Value v : op.getInputs())
          variables(v, depth - 1, found);
}

bool rewrite(OpBuilder &builder, NodeOp root) {
  StringRef name = root.getOpType();
  if ((name != "Mul" && name != "Div" && name != "Add") || !root.getDomain().empty() || !isFloat(root->getResult(0)))
    return false;
  Value result = root->getResult(0);
  SmallVector<NodeOp> bounded;
  for (Value v : root.getInputs())
    saturating(v, 4, bounded);
  for (NodeOp t : bounded) {
    SmallVector<Value> candidates;
    variables(t.getInputs()[0], 6, candidates);
    for (Value x : candidates) {
      if (elementType(x) != elementType(result) || rank(x) != rank(result) || rank(x) < 0)
        continue;
      auto outer = polynomial(result, x, t->getResult(0));
      auto inner = polynomial(t.getInputs()[0], x, Value());
      if (!outer || !inner)
        continue;
      bool half = only(*outer, {{1, 0, 0.5}, {1, 1, 0.5}}, x);
      NodeOp made;
      if (t.getOpType() == "Erf" && half && only(*inner, {{1, 0, std::sqrt(0.5)}}, x))
        made =
            make(builder, root, "Gelu", 20, {x}, {result.getType()}, {builder.getNamedAttr("approximate", builder.getStringAttr("none"))});
      else if (t.getOpType() == "Tanh" && half && only(*inner, {{1, 0, std::sqrt(2 / M_PI)}, {3, 0, std::sqrt(2 / M_PI) * 0.044715}}, x))
        made =
            make(builder, root, "Gelu", 20, {x}, {result.getType()}, {builder.getNamedAttr("approximate", builder.getStringAttr("tanh"))});
      else if (t.getOpType() == "Sigmoid" && only(*outer, {{1, 1, 1}}, x) && only(*inner, {{1, 0, inner->c[1][0]}}, x) &&
               inner->c[1][0] != 0)
        made = make(builder, root, "Swish", 24, {x}, {result.getType()},
                    {builder.getNamedAttr("alpha", builder.getF32FloatAttr(inner->c[1][0]))});
      if (!made)
        continue;
      root->replaceAllUsesWith(made);
      return true;
    }
  }
  return false;
}

struct RaiseGelu : impl::LeatRaiseGeluBase<RaiseGelu> {
  void runOnOperation() override { forEachNode(getOperation(), rewrite); }
};
} // namespace
} // namespace leat::import
