// Normalisations: rows (layer and RMS), groups, instances, batches.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "dialects/Leat/Leat.h"

using namespace mlir;

namespace leat::import {

/// leat.layer_norm over the axes from `axis` on; the result has `elem`.
static Value rowNorm(GraphBuilder &b, Value x, Value scale, Value bias, int64_t axis, double epsilon, bool rms, Type elem = {}) {
  for (Value v : {scale, bias})
    for (int64_t i = 1, n = v ? std::min(b.rank(v), b.rank(x)) : 0; i <= n; ++i)
      if (OpFoldResult d = b.dim(v, b.rank(v) - i); b.math.asConstant(d) != 1)
        b.require(d, b.dim(x, b.rank(x) - i), "the sizes of its operand and of its scale or bias differ");
  Value start = rms ? Value() : bias;
  auto op = b.create<LayerNormOp>(b.typeOf(b.dims(x), elem ? elem : b.elem(x)), x, scale, start, b.ops.getI64IntegerAttr(axis),
                                  b.ops.getF64FloatAttr(epsilon), rms ? b.ops.getUnitAttr() : UnitAttr());
  Value y = b.withDims(op.getOutput(), b.dims(x));
  return rms && bias ? sum(b, y, bias) : y;
}

/// Mean and 1 / sqrt(variance + epsilon) of rows in f32, the reduced axes kept as ones: results that only training asks for.
static std::pair<Value, Value> statistics(GraphBuilder &b, Value x, int64_t axis, double epsilon, bool rms) {
  Type elem = b.elem(x), wide = elem.isF64() ? elem : Type(b.ops.getF32Type());
  SmallVector<int64_t> axes;
  OpFoldResult count = b.math.constant(1);
  for (int64_t i = axis; i < b.rank(x); ++i) {
    axes.push_back(i);
    count = b.math.mul(count, b.dim(x, i));
  }
  Value n = b.math.value(count);
  auto add = [](OpBuilder &ob, Location l, ValueRange args) -> Value { return arith::AddFOp::create(ob, l, args[0], args[1]); };
  auto mean = [&](Value v) {
    Value total = b.reduce(v, axes, true, b.attr(wide, 0.0), add);
    return b.elementwise({total}, wide, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      return o.div(args[0], o.make<arith::SIToFPOp>(wide, o.make<arith::IndexCastOp>(ob.getI64Type(), n)));
    });
  };
  Value xw = b.convert(x, wide), m = rms ? Value() : mean(xw);
  SmallVector<Value> inputs{xw};
  if (m)
    inputs.push_back(m);
  Value square = b.elementwise(inputs, wide, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value d = m ? o.sub(args[0], args[1]) : args[0];
    return o.mul(d, d);
  });
  Value inverse = b.elementwise({mean(square)}, wide, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.div(o.c(wide, 1), o.sqrt(o.add(args[0], o.c(wide, epsilon))));
  });
  return {m ? m : inverse, inverse};
}

static void trainingResults(OpContext &c, Value x, int64_t axis, double epsilon, bool rms, int64_t mean, int64_t inverse) {
  bool wantsMean = mean >= 0 && c.wants(mean), wantsInverse = inverse >= 0 && c.wants(inverse);
  if (!wantsMean && !wantsInverse)
    return;
  auto [m, i] = statistics(c.b, x, axis, epsilon, rms);
  if (wantsMean)
    c.setResult(mean, m);
  if (wantsInverse)
    c.setResult(inverse, i);
}

static LogicalResult checkFloat(OpContext &c) { return c.isFloat(0) ? success() : c.fail("it needs floating-point operands"); }

static LogicalResult layerNormalization(OpContext &c) {
  FailureOr<int64_t> axis = c.axis("axis", -1, c.rank(0));
  if (failed(axis) || failed(checkFloat(c)))
    return failure();
  double epsilon = c.real("epsilon", 1e-5);
  Value x = c.operand(0);
  c.setResult(0, rowNorm(c.b, x, c.has(1) ? c.operand(1) : Value(), c.has(2) ? c.operand(2) : Value(), *axis, epsilon, false));
  trainingResults(c, x, *axis, epsilon, false, 1, 2);
  return success();
}

/// RMSNormalization and SimplifiedLayerNormalization: the result has the scale's type.
static LogicalResult rmsNormalization(OpContext &c) {
  FailureOr<int64_t> axis = c.axis("axis", -1, c.rank(0));
  if (failed(axis) || failed(checkFloat(c)))
    return failure();
  double epsilon = c.real("epsilon", 1e-5);
  Value x = c.operand(0);
  c.setResult(0, rowNorm(c.b, x, c.operand(1), {}, *axis, epsilon, true, c.elem(1)));
  trainingResults(c, x, *axis, epsilon, true, -1, 1);
  return success();
}

template <bool rms> static LogicalResult skipLayerNormalization(OpContext &c) {
  if (failed(checkFloat(c)))
    return failure();
  GraphBuilder &b = c.b;
  int64_t biasAt = rms ? 3 : 4;
  double epsilon = c.real("epsilon", 1e-12);
  Value x = sum(b, c.operand(0), c.operand(1));
  if (c.has(biasAt))
    x = sum(b, x, c.operand(biasAt));
  int64_t axis = b.rank(x) - 1;
  c.setResult(0, rowNorm(b, x, c.operand(2), !rms && c.has(3) ? c.operand(3) : Value(), axis, epsilon, rms));
  trainingResults(c, x, axis, epsilon, rms, 1, 2);
  if (c.wants(3))
    c.setResult(3, x);
  return success();
}

/// ids and tables to the normalised sum of embeddings, as BERT starts.
static LogicalResult embedLayerNormalization(OpContext &c) {
  GraphBuilder &b = c.b;
  Value ids = c.operand(0), word = c.operand(2), position = c.operand(3);
  Type elem = b.elem(word), wide = computeType(elem);
  Dims dims = b.dims(ids);
  dims.push_back(b.dim(word, 1));
  bool segments = c.has(1) && c.has(4);
  Value x = b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto row = [&](Value table, Value index) -> Value {
      Value size = o.make<tensor::DimOp>(table, 0);
      return o.convert(o.make<tensor::ExtractOp>(table, ValueRange{bodyIndex(ob, l, index, size), at[2]}), wide);
    };
    auto indexOf = [&](Value list) -> Value {
      Value first = at[0];
      if (b.math.asConstant(b.dim(list, 0)) == 1)
        first = o.make<arith::ConstantIndexOp>(0);
      return o.make<tensor::ExtractOp>(list, ValueRange{first, at[1]});
    };
    Value r = row(word, indexOf(ids));
    r = o.add(r, row(position, c.has(8) ? indexOf(c.operand(8)) : at[1]));
    if (segments)
      r = o.add(r, row(c.operand(4), indexOf(c.operand(1))));
    return o.convert(r, elem);
  });
  c.setResult(0, rowNorm(b, x, c.operand(5), c.operand(6), 2, c.real("epsilon", 1e-12), false));
  Type i32 = b.ops.getI32Type();
  if (c.wants(1)) {
    // Length of each row: its mask summed up, or nothing to know.
    auto add = [](OpBuilder &ob, Location l, ValueRange args) -> Value { return arith::AddIOp::create(ob, l, args[0], args[1]); };
    c.setResult(1, c.has(7) ? b.reduce(b.convert(c.operand(7), i32), {1}, false, b.attr(i32, int64_t(0)), add)
                            : b.splat({dims[0]}, b.attr(i32, int64_t(0))));
  }
  if (c.wants(2))
    c.setResult(2, x);
  return success();
}

/// scale and bias of channels [C] in the shape that broadcasts against [N, C, ...].
static Value ofChannels(GraphBuilder &b, Value v, int64_t rank) {
  Dims dims(rank - 1, b.math.constant(1));
  dims[0] = b.dim(v, 0);
  return b.reshape(v, dims);
}

static Value scaleAndShift(GraphBuilder &b, Value x, Value scale, Value bias) {
  Type elem = b.elem(x), wide = computeType(elem);
  return b.elementwise({x, scale, bias}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(o.add(o.mul(o.convert(args[0], wide), o.convert(args[1], wide)), o.convert(args[2], wide)), elem);
  });
}

/// Groups of channels normalised with their positions. `perGroup`: scale and bias have an entry per group (before opset 21).
static LogicalResult groups(OpContext &c, int64_t count, bool perGroup) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0);
  if (c.rank(0) < 2 || failed(checkFloat(c)))
    return c.fail("it needs floats of rank 2 or more");
  Dims own = b.dims(x);
  OpFoldResult channels = own[1];
  auto known = b.math.asConstant(channels);
  if (!known || count <= 0 || *known % count)
    return c.fail("the number of channels has to be a known multiple of the number of groups");
  OpFoldResult inner = b.math.constant(*known / count);
  for (size_t i = 2; i < own.size(); ++i)
    inner = b.math.mul(inner, own[i]);
  Value y = rowNorm(b, b.reshape(x, {own[0], b.math.constant(count), inner}), {}, {}, 2, c.real("epsilon", 1e-5), false);
  if (perGroup)
    return c.done(b.reshape(scaleAndShift(b, y, ofChannels(b, c.operand(1), 3), ofChannels(b, c.operand(2), 3)), own));
  int64_t r = own.size();
  return c.done(scaleAndShift(b, b.reshape(y, own), ofChannels(b, c.operand(1), r), ofChannels(b, c.operand(2), r)));
}

template <bool perGroup> static LogicalResult groupNormalization(OpContext &c) { return groups(c, c.integer("num_groups"), perGroup); }

static LogicalResult instanceNormalization(OpContext &c) {
  auto channels = c.b.math.asConstant(c.b.dim(c.operand(1), 0));
  if (!channels)
    return c.fail("the number of channels is not known");
  return groups(c, *channels, false);
}

static LogicalResult batchNormalization(OpContext &c) {
  GraphBuilder &b = c.b;
  if (c.flag("training_mode") || (c.version() < 14 && c.wants(1)))
    return c.fail("training mode is not supported; export the model for inference");
  if (failed(checkFloat(c)))
    return failure();
  Value x = c.operand(0);
  Type elem = b.elem(x), wide = computeType(elem);
  SmallVector<Value> inputs{x};
  for (int64_t i = 1; i < 5; ++i)
    inputs.push_back(ofChannels(b, c.operand(i), std::max<int64_t>(b.rank(x), 2)));
  double epsilon = c.real("epsilon", 1e-5);
  return c.done(b.elementwise(inputs, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    SmallVector<Value> v;
    for (Value a : args)
      v.push_back(o.convert(a, wide));
    Value factor = o.div(v[1], o.sqrt(o.add(v[4], o.c(wide, epsilon))));
    return o.convert(o.add(o.mul(o.sub(v[0], v[3]), factor), v[2]), elem);
  }));
}

static LogicalResult lpNormalization(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<int64_t> axis = c.axis("axis", -1, c.rank(0));
  if (failed(axis) || failed(checkFloat(c)))
    return failure();
  int64_t p = c.integer("p", 2);
  if (p != 1 && p != 2)
    return c.fail("attribute 'p' = " + Twine(p) + " is not supported; 1 and 2 are");
  Value x = c.operand(0);
  Type elem = b.elem(x), wide = computeType(elem);
  auto add = [](OpBuilder &ob, Location l, ValueRange args) -> Value { return arith::AddFOp::create(ob, l, args[0], args[1]); };
  Value total = b.reduce(x, {*axis}, true, b.attr(wide, 0.0), add, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value v = o.convert(args[0], wide);
    return p == 1 ? o.abs(v) : o.mul(v, v);
  });
  return c.done(b.elementwise({x, total}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value norm = p == 1 ? args[1] : o.sqrt(args[1]), zero = o.c(wide, 0);
    Value y = o.div(o.convert(args[0], wide), norm);
    return o.convert(o.select(o.eq(norm, zero), zero, y), elem);
  }));
}

void registerNorms(HandlerTable &t) {
  t.add("", "LayerNormalization", 1, layerNormalization);
  t.add("", "RMSNormalization", 1, rmsNormalization);
  // ONNX Runtime registers these under the default domain, without being in the standard.
  t.add("", "SimplifiedLayerNormalization", 1, rmsNormalization);
  t.add("com.microsoft", "SimplifiedLayerNormalization", 1, rmsNormalization);
  t.add("com.microsoft", "LayerNormalization", 1, layerNormalization);
  t.add("com.microsoft", "SkipLayerNormalization", 1, skipLayerNormalization<false>);
  t.add("com.microsoft", "SkipSimplifiedLayerNormalization", 1, skipLayerNormalization<true>);
  t.add("com.microsoft", "EmbedLayerNormalization", 1, embedLayerNormalization);
  t.add("", "GroupNormalization", 1, groupNormalization<true>);
  t.add("", "GroupNormalization", 21, groupNormalization<false>);
  t.add("", "InstanceNormalization", 1, instanceNormalization);
  t.add("", "BatchNormalization", 1, batchNormalization);
  t.add("", "LpNormalization", 1, lpNormalization);
}

} // namespace leat::import
