// com.microsoft's MoE: every expert sees all rows, as one batched product, and rows are weighted by what the router chose. Slower than
// visiting only the chosen experts, and independent of the choice.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

/// [R, E]: the k largest router probabilities of each row, the others zero.
static Value expertWeights(OpContext &c, Value logits, int64_t k) {
  GraphBuilder &b = c.b;
  Type f32 = b.ops.getF32Type(), i64 = b.ops.getI64Type();
  Value wide = b.convert(logits, f32);
  Value probabilities = b.withDims(b.create<SoftmaxOp>(b.type(wide), wide, 1, false, false).getOutput(), b.dims(wide));
  Dims chosen = b.dims(wide);
  chosen[1] = b.math.constant(k);
  auto top = b.create<TopKOp>(TypeRange{b.typeOf(chosen, f32), b.typeOf(chosen, i64)}, probabilities, Value(), b.ops.getI64IntegerAttr(1),
                              b.ops.getBoolAttr(true));
  Value values = b.withDims(top.getValues(), chosen), indices = b.withDims(top.getIndices(), chosen);
  bool normalise = c.flag("normalize_routing_weights");
  return b.generate(b.dims(wide), f32, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value zero = o.c(f32, 0), weight = zero, total = zero, expert = o.make<arith::IndexCastOp>(i64, at[1]);
    for (int64_t j = 0; j < k; ++j) {
      Value place = o.make<arith::ConstantIndexOp>(j);
      Value v = o.make<tensor::ExtractOp>(values, ValueRange{at[0], place});
      Value mine = o.eq(o.make<tensor::ExtractOp>(indices, ValueRange{at[0], place}), expert);
      weight = o.add(weight, o.select(mine, v, zero));
      total = o.add(total, v);
    }
    return normalise ? o.div(weight, total) : weight;
  });
}

/// x [1, R, in] times the experts' matrices [E, out, in] (or [E, in, out], as older models have them), and their biases [E, out].
static Value expertProduct(GraphBuilder &b, Value x, Value weights, Value bias) {
  OpFoldResult in = b.dim(x, 2);
  bool transposed = b.math.equal(b.dim(weights, 2), in);
  Value y = matmul(b, x, weights, false, transposed, b.elem(x));
  return bias ? sum(b, y, b.unsqueeze(bias, {1})) : y;
}

static LogicalResult mixtureOfExperts(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t k = c.integer("k", 1);
  std::string form = c.text("activation_type", "relu");
  auto experts = b.math.asConstant(b.dim(c.operand(2), 0));
  if (!experts || k < 1 || k > *experts)
    return c.fail("k = " + Twine(k) + " does not fit its experts");
  if (c.flag("use_sparse_mixer"))
    return c.fail("attribute 'use_sparse_mixer' is not supported");
  int64_t fusion = c.integer("swiglu_fusion", 0);
  if (form != "relu" && form != "gelu" && form != "silu" && form != "identity" && !(form == "swiglu" && fusion != 0))
    return c.fail("attribute 'activation_type' = \"" + form + "\" is not supported in this form");
  Value x = c.operand(0);
  Dims own = b.dims(x);
  OpFoldResult rows = b.math.product(ArrayRef<OpFoldResult>(own).drop_back());
  auto has = [&](int64_t i) { return c.has(i) ? c.operand(i) : Value(); };
  Value flat = b.reshape(x, {b.math.constant(1), rows, own.back()});
  Value inner = expertProduct(b, flat, c.operand(2), has(3));
  Type elem = b.elem(x), wide = computeType(elem);
  Dims dims = b.dims(inner);
  double alpha = c.real("activation_alpha", 1), beta = c.real("activation_beta", 0), limit = c.real("swiglu_limit", 0);
  if (form == "swiglu")
    dims[2] = b.math.div(dims[2], b.math.constant(2));
  Value half = b.math.value(dims[2]), up = c.has(6) ? expertProduct(b, flat, c.operand(6), has(7)) : Value();
  Value projected = inner;
  inner = b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto read = [&](Value from, Value unit) { return o.convert(o.make<tensor::ExtractOp>(from, ValueRange{at[0], at[1], unit}), wide); };
    Value v;
    if (form == "swiglu") {
      // Gate and linear part interleaved (1) or one after the other (2): gate * sigmoid(alpha * gate) * (linear + beta).
      Value two = o.make<arith::ConstantIndexOp>(2), one = o.make<arith::ConstantIndexOp>(1);
      Value gate = read(projected, fusion == 1 ? o.mul(at[2], two) : at[2]);
      Value linear = read(projected, fusion == 1 ? o.add(o.mul(at[2], two), one) : o.add(at[2], half));
      if (limit > 0) {
        gate = o.min(gate, o.c(wide, limit));
        linear = o.max(o.min(linear, o.c(wide, limit)), o.c(wide, -limit));
      }
      v = o.mul(o.mul(gate, o.sigmoid(o.mul(o.c(wide, alpha), gate))), o.add(linear, o.c(wide, beta)));
    } else {
      v = read(projected, at[2]);
      if (form == "relu")
        v = o.max(v, o.c(wide, 0));
      else if (form == "silu")
        v = o.mul(v, o.sigmoid(v));
      else if (form == "gelu")
        v = o.mul(o.mul(v, o.c(wide, 0.5)), o.add(o.c(wide, 1), o.make<math::ErfOp>(o.mul(v, o.c(wide, 0.70710678118654752)))));
      if (up)
        v = o.mul(v, read(up, at[2]));
    }
    return o.convert(v, elem);
  });
  Value y = expertProduct(b, inner, c.operand(4), has(5));
  Value weights = expertWeights(c, b.reshape(c.operand(1), {rows, b.math.constant(*experts)}), k);
  Value weighted = b.generate(b.dims(y), wide, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value w = o.convert(o.make<tensor::ExtractOp>(weights, ValueRange{at[1], at[0]}), wide);
    return o.mul(w, o.convert(o.make<tensor::ExtractOp>(y, at), wide));
  });
  auto add = [](OpBuilder &ob, Location l, ValueRange args) -> Value { return arith::AddFOp::create(ob, l, args[0], args[1]); };
  Value total = b.reduce(weighted, {0}, false, b.attr(wide, 0.0), add);
  return c.done(b.reshape(b.convert(total, elem), own));
}

void registerExperts(HandlerTable &t) { t.add("com.microsoft", "MoE", 1, mixtureOfExperts); }

} // namespace leat::import
