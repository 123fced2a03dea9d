// Random tensors and dropout. A number is a function of the node's seed and the element's position, so that a run can be repeated and does
// not depend on how the work is split.
#include "passes/Import/BodyOps.h"
#include "passes/Import/Handlers.h"

#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace leat::import {

/// Attribute 'seed', else a number of the node's own.
static int64_t seedOf(OpContext &c) {
  if (c.hasAttr("seed"))
    return static_cast<int64_t>(c.real("seed") * 65536.0);
  std::string name = c.node.getNodeName().str() + "/" + c.node.getOpType().str();
  return static_cast<int64_t>(llvm::xxh3_64bits(name));
}

/// SplitMix64 of (seed, position), as a float in [0, 1) with 24 bits.
static Value uniform(BodyOps &o, Value position, int64_t seed) {
  Type i64 = o.b.getI64Type();
  auto word = [&](uint64_t v) -> Value { return arith::ConstantOp::create(o.b, o.l, o.b.getI64IntegerAttr(static_cast<int64_t>(v))); };
  auto mix = [&](Value z, int64_t shift, uint64_t factor) {
    Value folded = o.make<arith::XOrIOp>(z, o.make<arith::ShRUIOp>(z, word(shift)));
    return o.mul(folded, word(factor));
  };
  Value z = arith::IndexCastOp::create(o.b, o.l, i64, position);
  z = o.add(o.mul(z, word(0x9E3779B97F4A7C15ull)), word(static_cast<uint64_t>(seed) + 0x9E3779B97F4A7C15ull));
  z = mix(z, 30, 0xBF58476D1CE4E5B9ull);
  z = mix(z, 27, 0x94D049BB133111EBull);
  z = o.make<arith::XOrIOp>(z, o.make<arith::ShRUIOp>(z, word(31)));
  Value bits = o.make<arith::ShRUIOp>(z, word(40));
  Value f = arith::UIToFPOp::create(o.b, o.l, o.b.getF32Type(), bits);
  return o.mul(f, o.c(o.b.getF32Type(), 1.0 / 16777216.0));
}

/// Fills `dims` with fn(linear position).
static Value fill(OpContext &c, ArrayRef<OpFoldResult> dims, Type elem, llvm::function_ref<Value(BodyOps &, Value)> fn) {
  GraphBuilder &b = c.b;
  SmallVector<Value> sizes = b.math.values(dims);
  return b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value linear = arith::ConstantIndexOp::create(ob, l, 0);
    for (auto [i, size] : llvm::zip(at, sizes))
      linear = o.add(o.mul(linear, size), i);
    return o.convert(fn(o, linear), elem);
  });
}

enum class Distribution { Uniform, Normal };

template <Distribution kind, bool like> static LogicalResult random(OpContext &c) {
  Type onnx = typeFromOnnxDataType(c.node.getContext(), c.integer("dtype", like ? 0 : 1));
  Type elem = onnx ? convertElementType(onnx) : c.elem(0);
  if (!isa<FloatType>(elem))
    return c.fail("it makes numbers of a type that is no float");
  Dims dims = like ? c.b.dims(c.operand(0)) : c.b.staticDims(c.integers("shape").value_or(SmallVector<int64_t>{}));
  int64_t seed = seedOf(c);
  return c.done(fill(c, dims, elem, [&](BodyOps &o, Value at) -> Value {
    Type f32 = o.b.getF32Type();
    Value u = uniform(o, at, seed);
    if (kind == Distribution::Uniform) {
      double low = c.real("low", 0), high = c.real("high", 1);
      return o.add(o.mul(u, o.c(f32, high - low)), o.c(f32, low));
    }
    // Box and Muller; 1 - u is never 0.
    Value v = uniform(o, at, seed ^ 0x5DEECE66D);
    Value radius = o.sqrt(o.mul(o.c(f32, -2), o.log(o.sub(o.c(f32, 1), u))));
    Value z = o.mul(radius, o.make<math::CosOp>(o.mul(v, o.c(f32, 6.283185307179586))));
    return o.add(o.mul(z, o.c(f32, c.real("scale", 1))), o.c(f32, c.real("mean", 0)));
  }));
}

static LogicalResult bernoulli(OpContext &c) {
  GraphBuilder &b = c.b;
  Type onnx = typeFromOnnxDataType(c.node.getContext(), c.integer("dtype", 0));
  Type elem = onnx ? convertElementType(onnx) : c.elem(0);
  int64_t seed = seedOf(c);
  Value draws = fill(c, b.dims(c.operand(0)), b.ops.getF32Type(), [&](BodyOps &o, Value at) { return uniform(o, at, seed); });
  return c.done(b.elementwise({draws, c.operand(0)}, elem, [&](OpBuilder &ob, Location l, ValueRange a) -> Value {
    BodyOps o{ob, l};
    Value hit = o.lt(a[0], o.convert(a[1], ob.getF32Type()));
    return o.select(hit, o.c(elem, 1), o.c(elem, 0));
  }));
}

static LogicalResult dropout(OpContext &c) {
  GraphBuilder &b = c.b;
  if (c.version() >= 12 && c.has(2)) {
    FailureOr<Dims> training = c.scalars(2);
    auto constant = succeeded(training) && training->size() == 1 ? dyn_cast<Attribute>((*training)[0]) : Attribute();
    if (!constant)
      return c.fail("whether it is in training mode is computed at run time");
    if (!cast<IntegerAttr>(constant).getValue().isZero()) {
      auto ratio = c.has(1) ? b.knownScalars(c.operand(1)) : std::nullopt;
      auto zero = ratio && ratio->size() == 1 ? dyn_cast<FloatAttr>(dyn_cast<Attribute>((*ratio)[0])) : FloatAttr();
      if (!zero || !zero.getValue().isZero())
        return c.fail("it is in training mode; export the model for inference");
    }
  }
  c.setResult(0, c.operand(0));
  if (c.wants(1)) {
    Type mask = c.version() < 10 ? c.elem(0) : Type(b.ops.getI1Type());
    c.setResult(1, b.splat(b.dims(c.operand(0)), b.attr(mask, static_cast<int64_t>(mask.isInteger(1) ? -1 : 1))));
  }
  return success();
}

void registerRandom(HandlerTable &t) {
  t.add("", "RandomUniform", 1, random<Distribution::Uniform, false>);
  t.add("", "RandomUniformLike", 1, random<Distribution::Uniform, true>);
  t.add("", "RandomNormal", 1, random<Distribution::Normal, false>);
  t.add("", "RandomNormalLike", 1, random<Distribution::Normal, true>);
  t.add("", "Bernoulli", 15, bernoulli);
  t.add("", "Dropout", 7, dropout);
}

} // namespace leat::import
