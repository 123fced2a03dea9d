// leat-raise-norm: decomposed RMS and layer normalisations become RMSNormalization and LayerNormalization.
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRAISENORM
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

/// x * x or x ** 2; returns x.
Value squared(Value value) {
  if (NodeOp pow = nodeBehindCasts(value, "Pow"))
    return number(pow.getInputs()[1]) == 2.0 ? Value(pow.getInputs()[0]) : Value();
  if (NodeOp mul = nodeBehindCasts(value, "Mul"))
    return mul.getInputs()[0] == mul.getInputs()[1] ? Value(mul.getInputs()[0]) : Value();
  return Value();
}

/// mean(x^2) over trailing axes, plus epsilon.
struct MeanSquare {
  Value x;
  int64_t axis;
  double epsilon;
};

std::optional<MeanSquare> meanSquare(Value value) {
  MeanSquare found{};
  bool ok = eitherOrder(nodeBehindCasts(value, "Add"), [&](Value mean, Value epsilon) {
    NodeOp reduce = nodeBehindCasts(mean, "ReduceMean");
    auto eps = number(epsilon);
    if (!eps || *eps < 0 || !reducesTrailing(reduce, &found.axis))
      return false;
    found.x = squared(reduce.getInputs()[0]);
    found.epsilon = *eps;
    return bool(found.x);
  });
  return ok ? std::optional(found) : std::nullopt;
}

/// The two operands of x / sqrt(v), in its spellings: Div by Sqrt; Mul by Reciprocal(Sqrt), 1 / Sqrt, or Pow(-0.5). Returns x and v.
std::optional<std::pair<Value, Value>> overRoot(Value value) {
  auto root = [](Value v) -> Value {
    if (NodeOp sqrt = nodeBehindCasts(v, "Sqrt"))
      return sqrt.getInputs()[0];
    NodeOp pow = nodeBehindCasts(v, "Pow");
    return pow && number(pow.getInputs()[1]) == 0.5 ? Value(pow.getInputs()[0]) : Value();
  };
  if (NodeOp div = node(value, "Div")) {
    Value v = root(div.getInputs()[1]);
    return v ? std::optional(std::pair<Value, Value>(div.getInputs()[0], v)) : std::nullopt;
  }
  std::optional<std::pair<Value, Value>> found;
  eitherOrder(node(value, "Mul"), [&](Value x, Value inverse) {
    Value v;
    if (NodeOp reciprocal = nodeBehindCasts(inverse, "Reciprocal"))
      v = root(reciprocal.getInputs()[0]);
    else if (NodeOp div = nodeBehindCasts(inverse, "Div"); div && number(div.getInputs()[0]) == 1.0)
      v = root(div.getInputs()[1]);
    else if (NodeOp pow = nodeBehindCasts(inverse, "Pow"); pow && number(pow.getInputs()[1]) == -0.5)
      v = pow.getInputs()[0];
    if (v)
      found = {x, v};
    return bool(v);
  });
  return found;
}

/// x - mean(x) over trailing axes; returns x.
Value centred(Value value, int64_t *axis) {
  NodeOp sub = nodeBehindCasts(value, "Sub");
  if (!sub)
    return Value();
  NodeOp mean = nodeBehindCasts(sub.getInputs()[1], "ReduceMean");
  if (!reducesTrailing(mean, axis) || throughCasts(mean.getInputs()[0]) != throughCasts(sub.getInputs()[0]))
    return Value();
  return sub.getInputs()[0];
}

/// True if `scale` varies over the normalised axes only, so that the row form of the operator holds.
bool fitsRow(Value scale, Value x, int64_t axis) {
  if (!isFloat(scale) || rank(scale) < 0 || rank(scale) > rank(x))
    return false;
  int64_t leading = axis - (rank(x) - rank(scale));
  for (int64_t i = 0; i < leading; ++i)
    if (dim(scale, i) != 1)
      return false;
  return true;
}

/// What is computed so far of a chain norm -> * scale -> + bias.
struct Norm {
  Value x;
  int64_t axis = 0;
  double epsilon = 0;
  bool rms = false;
};

std::optional<Norm> matchNorm(Value value) {
  auto ratio = overRoot(value);
  if (!ratio)
    return std::nullopt;
  auto ms = meanSquare(ratio->second);
  if (!ms)
    return std::nullopt;
  auto [x, v] = *ratio;
  int64_t axis = 0, again = 0;
  Value plain = centred(x, &axis), inner = centred(ms->x, &again);
  if (plain && inner && throughCasts(plain) == throughCasts(inner) && axis == again && axis == ms->axis)
    return Norm{plain, axis, ms->epsilon, false};
  if (throughCasts(x) == throughCasts(ms->x))
    return Norm{x, ms->axis, ms->epsilon, true};
  return std::nullopt;
}

/// The operand to normalise: the statistics are taken in f32 anyway, so a widening cast in front is not needed when the result is narrow
/// again.
Value narrowest(Value x, Type result) { return elementType(throughCasts(x)) == result ? throughCasts(x) : x; }

bool rewrite(OpBuilder &builder, NodeOp root) {
  if (root.getNumResults() != 1 || rank(root->getResult(0)) < 1)
    return false;
  Value result = root->getResult(0);
  // From the outside in: + bias, * scale, the norm.
  std::optional<Norm> norm;
  Value scale, bias, normed = result;
  auto takeScale = [&](Value product) {
    return eitherOrder(node(product, "Mul"), [&](Value n, Value s) {
      norm = matchNorm(throughCasts(n));
      if (!norm)
        norm = matchNorm(n);
      if (!norm || !fitsRow(s, norm->x, norm->axis))
        return norm.reset(), false;
      scale = s, normed = n;
      return true;
    });
  };
  bool found = eitherOrder(node(result, "Add"), [&](Value product, Value b) {
    if (!takeScale(product) || norm->rms || !fitsRow(b, norm->x, norm->axis))
      return norm.reset(), false;
    bias = b;
    return true;
  });
  if (!found)
    found = takeScale(result);
  if (!found) {
    // Without a scale: a row of ones. Only at the node itself, not at a cast or copy of it.
    norm = matchNorm(result);
    if (!norm || through(result) != result || ShapedType::isDynamic(dim(norm->x, -1)))
      return false;
    auto type = RankedTensorType::get({dim(norm->x, -1)}, elementType(result));
    FloatAttr one = FloatAttr::get(type.getElementType(), 1.0);
    scale = onnxir::ConstantOp::create(builder, root.getLoc(), type, cast<ElementsAttr>(DenseElementsAttr::get(type, Attribute(one))));
  }
  Value x = narrowest(norm->x, elementType(normed));
  if (elementType(scale) != elementType(result) || (bias && elementType(bias) != elementType(result)) || rank(x) != rank(result))
    return false;
  SmallVector<NamedAttribute> attrs{builder.getNamedAttr("axis", builder.getI64IntegerAttr(norm->axis - rank(x))),
                                    builder.getNamedAttr("epsilon", builder.getF32FloatAttr(norm->epsilon)),
                                    builder.getNamedAttr("stash_type", builder.getI64IntegerAttr(1))};
  SmallVector<Value> inputs{x, scale};
  if (bias)
    inputs.push_back(bias);
  NodeOp made =
      make(builder, root, norm->rms ? "RMSNormalization" : "LayerNormalization", norm->rms ? 23 : 17, inputs, {result.getType()}, attrs);
  root->replaceAllUsesWith(made);
  return true;
}

struct RaiseNorm : impl::LeatRaiseNormBase<RaiseNorm> {
  void runOnOperation() override { forEachNode(getOperation(), rewrite); }
};
} // namespace
} // namespace leat::import
