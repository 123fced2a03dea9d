// GELU and its relatives.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

using ActivationFn = llvm::function_ref<Value(BodyOps &, Value)>;

/// fn(x + bias); 16-bit floats are computed in f32.
static LogicalResult activate(OpContext &c, Value bias, ActivationFn fn) {
  Value x = c.operand(0);
  Type elem = GraphBuilder::elem(x), wide = computeType(elem);
  if (!isa<FloatType>(elem))
    return c.fail("it needs floating-point operands");
  SmallVector<Value> inputs{x};
  if (bias)
    inputs.push_back(bias);
  return c.done(c.b.elementwise(inputs, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value v = o.convert(args[0], wide);
    if (bias)
      v = o.add(v, o.convert(args[1], wide));
    return o.convert(fn(o, v), elem);
  }));
}

static Value geluErf(BodyOps &o, Value x) {
  Value erf = o.make<math::ErfOp>(o.mul(x, o.like(x, std::sqrt(0.5))));
  return o.mul(o.mul(o.like(x, 0.5), x), o.add(o.like(x, 1), erf));
}

/// 0.5 x (1 + tanh(a x + b x^3)), written with one exponential as x * sigmoid(2 (a x + b x^3)).
static Value geluTanh(BodyOps &o, Value x, double a, double b) {
  Value inner = o.mul(x, o.add(o.like(x, 2 * a), o.mul(o.like(x, 2 * b), o.mul(x, x))));
  return o.mul(x, o.sigmoid(inner));
}

static Value swish(BodyOps &o, Value x, double alpha) { return o.mul(x, o.sigmoid(alpha == 1 ? x : o.mul(o.like(x, alpha), x))); }

static LogicalResult gelu(OpContext &c) {
  std::string form = c.text("approximate", "none");
  if (form != "none" && form != "tanh")
    return c.fail("attribute 'approximate' = \"" + form + "\" is not none or tanh");
  double a = std::sqrt(2 / M_PI);
  return activate(c, {}, [&](BodyOps &o, Value x) { return form == "none" ? geluErf(o, x) : geluTanh(o, x, a, a * 0.044715); });
}

static LogicalResult biasGelu(OpContext &c) { return activate(c, c.has(1) ? c.operand(1) : Value(), geluErf); }

static LogicalResult fastGelu(OpContext &c) {
  return activate(c, c.has(1) ? c.operand(1) : Value(),
                  [](BodyOps &o, Value x) { return geluTanh(o, x, 0.7978845608028654, 0.035677408136300125); });
}

static LogicalResult quickGelu(OpContext &c) {
  double alpha = c.real("alpha", 1.702);
  return activate(c, {}, [&](BodyOps &o, Value x) { return swish(o, x, alpha); });
}

static LogicalResult swishHandler(OpContext &c) {
  double alpha = c.real("alpha", 1.0);
  return activate(c, {}, [&](BodyOps &o, Value x) { return swish(o, x, alpha); });
}

void registerActivations(HandlerTable &t) {
  t.add("", "Gelu", 20, gelu);
  t.add("", "Swish", 24, swishHandler);
  t.add("com.microsoft", "Gelu", 1, biasGelu);
  t.add("com.microsoft", "BiasGelu", 1, biasGelu);
  t.add("com.microsoft", "FastGelu", 1, fastGelu);
  t.add("com.microsoft", "QuickGelu", 1, quickGelu);
}

} // namespace leat::import
