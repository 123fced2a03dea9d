// Resize and Upsample: one axis after the other, each output position reading one, two or four positions of the input.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

using namespace mlir;

namespace leat::import {

namespace {
struct Interpolation {
  std::string mode, coordinates, nearest;
  double cubic = -0.75;
  bool excludeOutside = false;
};
} // namespace

/// The position in the input, f32, of output position `o` on an axis.
static Value sourcePosition(BodyOps &o, const Interpolation &how, Value position, Value scale, Value size, Value resized) {
  Type f32 = o.b.getF32Type();
  auto real = [&](Value v) { return o.make<arith::SIToFPOp>(f32, o.make<arith::IndexCastOp>(o.b.getI64Type(), v)); };
  Value half = o.c(f32, 0.5), one = o.c(f32, 1), p = real(position);
  if (how.coordinates == "asymmetric")
    return o.div(p, scale);
  Value centred = o.sub(o.div(o.add(p, half), scale), half);
  if (how.coordinates == "align_corners") {
    Value last = o.sub(real(resized), one);
    return o.select(o.gt(last, o.c(f32, 0)), o.div(o.mul(p, o.sub(real(size), one)), o.max(last, one)), o.c(f32, 0));
  }
  if (how.coordinates == "pytorch_half_pixel")
    return o.select(o.gt(real(resized), one), centred, o.c(f32, 0));
  if (how.coordinates == "half_pixel_symmetric") {
    Value adjustment = o.div(real(resized), o.mul(scale, real(size)));
    return o.add(o.mul(o.mul(real(size), half), o.sub(one, adjustment)), centred);
  }
  return centred;
}

static Value resizeAxis(GraphBuilder &b, Value x, int64_t axis, OpFoldResult resized, Value scale, const Interpolation &how) {
  Dims dims = b.dims(x);
  Value size = b.math.value(dims[axis]), newSize = b.math.value(resized);
  dims[axis] = resized;
  Type elem = b.elem(x), f32 = b.ops.getF32Type();
  return b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Type index = ob.getIndexType();
    Value zero = o.make<arith::ConstantIndexOp>(0), last = o.sub(size, o.make<arith::ConstantIndexOp>(1));
    auto toIndex = [&](Value v) -> Value { return o.make<arith::IndexCastOp>(index, Value(o.make<arith::FPToSIOp>(ob.getI64Type(), v))); };
    auto read = [&](Value i) -> Value {
      SmallVector<Value> from(at.begin(), at.end());
      from[axis] = o.max(o.min(i, last), zero);
      return o.make<tensor::ExtractOp>(x, from);
    };
    Value p = sourcePosition(o, how, at[axis], scale, size, newSize);
    if (how.mode == "nearest") {
      Value half = o.c(f32, 0.5), rounded;
      if (how.nearest == "floor")
        rounded = o.make<math::FloorOp>(p);
      else if (how.nearest == "ceil")
        rounded = o.make<math::CeilOp>(p);
      else if (how.nearest == "round_prefer_ceil")
        rounded = o.make<math::FloorOp>(o.add(p, half));
      else
        rounded = o.make<math::CeilOp>(o.sub(p, half));
      return read(toIndex(rounded));
    }
    Value floor = o.make<math::FloorOp>(p), t = o.sub(p, floor), first = toIndex(floor);
    auto shifted = [&](int64_t by) { return o.add(first, o.make<arith::ConstantIndexOp>(by)); };
    auto value = [&](int64_t by) { return o.convert(read(shifted(by)), f32); };
    if (how.mode == "linear")
      return o.convert(o.add(o.mul(value(0), o.sub(o.c(f32, 1), t)), o.mul(value(1), t)), elem);
    // Cubic convolution with the parameter a, weights at distances 1 + t, t, 1 - t, 2 - t.
    Value a = o.c(f32, how.cubic), one = o.c(f32, 1);
    auto near = [&](Value d) { // (a + 2) d^3 - (a + 3) d^2 + 1
      return o.add(o.mul(o.mul(d, d), o.sub(o.mul(o.add(a, o.c(f32, 2)), d), o.add(a, o.c(f32, 3)))), one);
    };
    auto far = [&](Value d) { // a d^3 - 5 a d^2 + 8 a d - 4 a
      Value inner = o.sub(o.mul(o.add(o.mul(o.sub(d, o.c(f32, 5)), d), o.c(f32, 8)), d), o.c(f32, 4));
      return o.mul(a, inner);
    };
    Value w[4] = {far(o.add(one, t)), near(t), near(o.sub(one, t)), far(o.sub(o.c(f32, 2), t))};
    Value total = o.c(f32, 0), weights = total;
    for (int64_t i = 0; i < 4; ++i) {
      if (how.excludeOutside) {
        Value at = shifted(i - 1);
        w[i] = o.select(o.both(o.ge(at, zero), o.le(at, last)), w[i], o.c(f32, 0));
      }
      weights = o.add(weights, w[i]);
      total = o.add(total, o.mul(w[i], value(i - 1)));
    }
    return o.convert(how.excludeOutside ? o.div(total, weights) : total, elem);
  });
}

static LogicalResult resizeAll(OpContext &c, const Interpolation &how, int64_t scalesAt, int64_t sizesAt) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0);
  int64_t rank = b.rank(x);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (auto given = c.integers("axes")) {
    axes.clear();
    for (int64_t a : *given) {
      auto axis = GraphBuilder::normalizeAxis(a, rank);
      if (!axis)
        return c.fail("axis " + Twine(a) + " is out of range");
      axes.push_back(*axis);
    }
  }
  Dims own = b.dims(x);
  Type f32 = b.ops.getF32Type();
  SmallVector<Value> scales(axes.size());
  Dims sizes;
  auto toFloat = [&](OpFoldResult v) -> Value {
    return b.create<arith::SIToFPOp>(f32, b.create<arith::IndexCastOp>(b.ops.getI64Type(), b.math.value(v)));
  };
  bool bySizes = sizesAt >= 0 && c.has(sizesAt) && b.math.asConstant(b.numElements(c.operand(sizesAt))) != 0;
  if (bySizes) {
    FailureOr<Dims> given = c.scalars(sizesAt);
    if (failed(given) || given->size() != axes.size())
      return c.fail("its sizes have to be one for each axis");
    if (c.text("keep_aspect_ratio_policy", "stretch") != "stretch")
      return c.fail("only keep_aspect_ratio_policy = \"stretch\" is supported");
    for (auto [i, size] : llvm::enumerate(*given)) {
      sizes.push_back(size);
      scales[i] = b.create<arith::DivFOp>(toFloat(size), toFloat(own[axes[i]]));
    }
  } else {
    DenseElementsAttr constant;
    SmallVector<double> values;
    if (auto attr = c.reals("scales"))
      values = *attr;
    else if (scalesAt >= 0 && c.has(scalesAt) && (constant = b.asConstant(c.operand(scalesAt))))
      for (APFloat v : constant.getValues<APFloat>())
        values.push_back(v.convertToDouble());
    if (values.size() != axes.size()) {
      FailureOr<Dims> given = scalesAt >= 0 && c.has(scalesAt) ? c.scalars(scalesAt) : FailureOr<Dims>(failure());
      if (failed(given) || given->size() != axes.size())
        return c.fail("its scales have to be one for each axis");
      for (auto [i, s] : llvm::enumerate(*given)) {
        scales[i] = b.materialize(s, f32);
        Value scaled = b.create<arith::MulFOp>(toFloat(own[axes[i]]), scales[i]); // positive: converting rounds down
        sizes.push_back(b.math.fromInteger(b.create<arith::FPToSIOp>(b.ops.getI64Type(), scaled)));
      }
    }
    for (auto [i, s] : llvm::enumerate(values)) {
      scales[i] = b.scalar(b.attr(f32, s));
      OpFoldResult size = own[axes[i]];
      if (auto known = b.math.asConstant(size)) {
        sizes.push_back(b.math.constant(static_cast<int64_t>(std::floor(*known * s))));
      } else if (s == std::floor(s)) {
        sizes.push_back(b.math.mul(size, b.math.constant(static_cast<int64_t>(s))));
      } else {
        Value scaled = b.create<arith::MulFOp>(toFloat(size), scales[i]);
        sizes.push_back(b.math.fromInteger(b.create<arith::FPToSIOp>(b.ops.getI64Type(), scaled)));
      }
    }
  }
  for (auto [i, axis] : llvm::enumerate(axes)) {
    auto constant = scales[i].getDefiningOp<arith::ConstantOp>();
    bool unit = constant && cast<FloatAttr>(constant.getValue()).getValueAsDouble() == 1;
    if (!unit && !(bySizes && b.math.equal(sizes[i], own[axis])))
      x = resizeAxis(b, x, axis, sizes[i], scales[i], how);
  }
  return c.done(x);
}

static LogicalResult resize(OpContext &c) {
  Interpolation how{c.text("mode", "nearest"), c.text("coordinate_transformation_mode", "half_pixel"),
                    c.text("nearest_mode", "round_prefer_floor"), c.real("cubic_coeff_a", -0.75), c.flag("exclude_outside")};
  if (how.mode != "nearest" && how.mode != "linear" && how.mode != "cubic")
    return c.fail("attribute 'mode' = \"" + how.mode + "\" is not nearest, linear or cubic");
  if (how.coordinates == "tf_crop_and_resize" || c.flag("antialias"))
    return c.fail("crops and antialiasing are not supported");
  return resizeAll(c, how, 2, 3);
}

/// Upsample, and Resize before opset 11.
static LogicalResult upsample(OpContext &c) {
  Interpolation how{c.text("mode", "nearest"), "asymmetric", "floor"};
  if (how.mode != "nearest" && how.mode != "linear")
    return c.fail("attribute 'mode' = \"" + how.mode + "\" is not nearest or linear");
  return resizeAll(c, how, 1, -1);
}

void registerResize(HandlerTable &t) {
  t.add("", "Upsample", 1, upsample);
  t.add("", "Resize", 10, upsample);
  t.add("", "Resize", 11, resize);
}

} // namespace leat::import
