// Operators of images: local response normalisation, sampling at computed places, and the choice among overlapping boxes.
#include "passes/Import/Gather.h"
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

using namespace mlir;

namespace leat::import {

static Value addUp(OpBuilder &ob, Location l, ValueRange args) { return arith::AddFOp::create(ob, l, args[0], args[1]); }

static Value toReal(BodyOps &o, Value index, Type real) {
  return o.make<arith::SIToFPOp>(real, Value(o.make<arith::IndexCastOp>(o.b.getI64Type(), index)));
}

static Value toIndex(BodyOps &o, Value real) {
  return o.make<arith::IndexCastOp>(o.b.getIndexType(), Value(o.make<arith::FPToSIOp>(o.b.getI64Type(), real)));
}

/// x / (bias + alpha / size * sum of the squares of `size` neighbouring channels) ^ beta
static LogicalResult lrn(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t size = c.integer("size", 0);
  if (c.rank(0) < 2 || !c.isFloat(0) || size < 1)
    return c.fail("it needs floats with channels and a positive attribute 'size'");
  Value x = c.operand(0);
  Type elem = b.elem(x), wide = computeType(elem);
  Dims dims = b.dims(x), around = dims;
  around.push_back(b.math.constant(size));
  int64_t rank = dims.size();
  Value channels = b.math.value(dims[1]);
  Value squares = b.generate(around, wide, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value zero = o.make<arith::ConstantIndexOp>(0), last = o.sub(channels, o.make<arith::ConstantIndexOp>(1));
    Value channel = o.sub(o.add(at[1], at[rank]), o.make<arith::ConstantIndexOp>((size - 1) / 2));
    SmallVector<Value> from(at.drop_back());
    from[1] = o.max(o.min(channel, last), zero);
    Value v = o.convert(o.make<tensor::ExtractOp>(x, from), wide);
    return o.select(o.both(o.ge(channel, zero), o.le(channel, last)), o.mul(v, v), o.c(wide, 0));
  });
  Value total = b.reduce(squares, {rank}, false, b.attr(wide, 0.0), addUp);
  double alpha = c.real("alpha", 1e-4) / static_cast<double>(size), beta = c.real("beta", 0.75), bias = c.real("bias", 1);
  return c.done(b.elementwise({x, total}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value scale = o.make<math::PowFOp>(o.add(o.c(wide, bias), o.mul(o.c(wide, alpha), args[1])), o.c(wide, beta));
    return o.convert(o.div(o.convert(args[0], wide), scale), elem);
  }));
}

//===----------------------------------------------------------------------===//
// Sampling
//===----------------------------------------------------------------------===//

namespace {
/// One spatial axis of the input: its size, and the ends that reflection turns at.
struct SampledAxis {
  Value size, last, low, high;
};

/// Reads an image at places that may lie outside of it.
struct Sampler {
  BodyOps &o;
  Value image;
  std::string padding;
  Type real;
  SmallVector<SampledAxis> axes;

  /// There and back between the ends, for as often as it takes.
  Value reflected(const SampledAxis &axis, Value p) {
    Value range = o.sub(axis.high, axis.low), two = o.c(real, 2), zero = o.c(real, 0);
    Value safe = o.select(o.gt(range, zero), range, o.c(real, 1));
    Value away = o.abs(o.sub(p, axis.low));
    Value turn = o.mul(two, safe), rest = o.sub(away, o.mul(turn, o.make<math::FloorOp>(o.div(away, turn))));
    Value back = o.select(o.gt(rest, safe), o.sub(turn, rest), rest);
    return o.select(o.gt(range, zero), o.add(axis.low, back), axis.low);
  }

  /// A coordinate as the padding mode sees it; outside of the image only where it gives zeros.
  Value placed(const SampledAxis &axis, Value p) {
    Value outside = o.either(o.lt(p, axis.low), o.gt(p, axis.high));
    if (padding == "border")
      return o.select(outside, o.max(o.min(p, axis.last), o.c(real, 0)), p);
    return padding == "reflection" ? o.select(outside, reflected(axis, p), p) : p;
  }

  /// The pixel at whole coordinates.
  Value pixel(ValueRange leading, ArrayRef<Value> whole) {
    SmallVector<Value> at(leading);
    Value inside = o.make<arith::ConstantOp>(o.b.getBoolAttr(true));
    for (auto [axis, p] : llvm::zip(axes, whole)) {
      if (padding == "zeros")
        inside = o.both(inside, o.both(o.ge(p, o.c(real, 0)), o.le(p, axis.last)));
      Value q = padding == "reflection" ? placed(axis, p) : p;
      at.push_back(toIndex(o, o.max(o.min(q, axis.last), o.c(real, 0))));
    }
    Value v = o.convert(o.make<tensor::ExtractOp>(image, at), real);
    return padding == "zeros" ? o.select(inside, v, o.c(real, 0)) : v;
  }

  /// sum over the corners around p of weight * pixel. `taps` per axis: (offset from the floor, weight).
  Value weighted(ValueRange leading, ArrayRef<Value> floors, ArrayRef<SmallVector<std::pair<int64_t, Value>>> taps) {
    Value total = o.c(real, 0);
    SmallVector<size_t> digits(taps.size());
    while (true) {
      Value weight;
      SmallVector<Value> whole;
      for (size_t i = 0; i < taps.size(); ++i) {
        auto [offset, w] = taps[i][digits[i]];
        weight = weight ? o.mul(weight, w) : w;
        whole.push_back(o.add(floors[i], o.c(real, static_cast<double>(offset))));
      }
      total = o.add(total, o.mul(weight, pixel(leading, whole)));
      size_t i = 0;
      while (i < taps.size() && ++digits[i] == taps[i].size())
        digits[i++] = 0;
      if (i == taps.size())
        return total;
    }
  }
};
} // namespace

static LogicalResult gridSample(OpContext &c) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0), grid = c.operand(1);
  int64_t rank = c.rank(0), r = rank - 2;
  std::string mode = c.text("mode", c.version() >= 20 ? "linear" : "bilinear"), padding = c.text("padding_mode", "zeros");
  mode = mode == "bilinear" ? "linear" : mode == "bicubic" ? "cubic" : mode;
  if (r < 1 || r > 3 || c.rank(1) != rank || !c.isFloat(0) || !c.isFloat(1) || b.math.asConstant(b.dim(grid, rank - 1)) != r)
    return c.fail("it needs an image of up to three spatial axes, and a grid with a coordinate for each");
  if ((mode != "linear" && mode != "nearest" && mode != "cubic") || (padding != "zeros" && padding != "border" && padding != "reflection"))
    return c.fail("its mode \"" + mode + "\" or padding_mode \"" + padding + "\" is none of ONNX's");
  if (mode == "cubic" && r != 2)
    return c.fail("cubic interpolation is defined for two spatial axes");
  bool corners = c.flag("align_corners");
  Type elem = b.elem(x), real = computeType(elem);
  Dims dims{b.dim(x, 0), b.dim(x, 1)};
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < r; ++i) {
    dims.push_back(b.dim(grid, i + 1));
    sizes.push_back(b.math.value(b.dim(x, i + 2)));
  }
  return c.done(b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Sampler sampler{o, x, padding, real, {}};
    SmallVector<Value> floors;
    SmallVector<SmallVector<std::pair<int64_t, Value>>> taps;
    Value one = o.c(real, 1), half = o.c(real, 0.5);
    for (int64_t i = 0; i < r; ++i) {
      Value size = toReal(o, sizes[i], real), last = o.sub(size, one);
      SampledAxis axis{size, last, corners ? o.c(real, 0) : o.c(real, -0.5), corners ? last : o.sub(size, half)};
      sampler.axes.push_back(axis);
      // The grid names the last axis first.
      SmallVector<Value> from{at[0]};
      for (int64_t k = 0; k < r; ++k)
        from.push_back(at[2 + k]);
      from.push_back(o.make<arith::ConstantIndexOp>(r - 1 - i));
      Value g = o.add(o.convert(o.make<tensor::ExtractOp>(grid, from), real), one);
      Value p = corners ? o.mul(o.mul(g, half), last) : o.mul(o.sub(o.mul(g, size), one), half);
      if (mode == "nearest") {
        floors.push_back(sampler.placed(axis, o.make<math::RoundEvenOp>(p)));
        taps.push_back({{0, one}});
        continue;
      }
      if (mode == "linear")
        p = sampler.placed(axis, p);
      Value floor = o.make<math::FloorOp>(p), t = o.sub(p, floor);
      floors.push_back(floor);
      if (mode == "linear") {
        taps.push_back({{0, o.sub(one, t)}, {1, t}});
        continue;
      }
      // Keys' cubic with a = -0.75.
      auto near = [&](Value d) { return o.add(o.mul(o.mul(d, d), o.sub(o.mul(o.c(real, 1.25), d), o.c(real, 2.25))), one); };
      auto far = [&](Value d) {
        Value inner = o.sub(o.mul(o.add(o.mul(o.sub(d, o.c(real, 5)), d), o.c(real, 8)), d), o.c(real, 4));
        return o.mul(o.c(real, -0.75), inner);
      };
      Value u = o.sub(one, t);
      taps.push_back({{-1, far(o.add(one, t))}, {0, near(t)}, {1, near(u)}, {2, far(o.add(one, u))}});
    }
    if (mode == "nearest")
      for (Value &f : floors) // reflection may leave a half
        f = o.make<math::FloorOp>(f);
    return o.convert(sampler.weighted({at[0], at[1]}, floors, taps), elem);
  }));
}

/// Blocks of columns added back where they were taken from: each pixel asks which of them have it.
static LogicalResult col2Im(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value x = c.operand(0);
  FailureOr<Dims> image = c.scalars(1);
  auto block = b.asConstantInts(c.operand(2));
  if (failed(image) || !block || block->empty() || image->size() != block->size() || c.rank(0) != 3 || !c.isFloat(0))
    return c.fail("it needs columns [N, C * block, L] of floats, an image shape and a constant block shape of one length");
  int64_t r = block->size(), volume = 1;
  auto attr = [&](StringRef name, int64_t count, int64_t fallback) {
    auto given = c.integers(name);
    return given && static_cast<int64_t>(given->size()) == count ? *given : SmallVector<int64_t>(count, fallback);
  };
  SmallVector<int64_t> dilations = attr("dilations", r, 1), pads = attr("pads", 2 * r, 0), strides = attr("strides", r, 1);
  SmallVector<Value> positions; // of the block on each axis
  for (int64_t i = 0; i < r; ++i) {
    volume *= (*block)[i];
    int64_t reach = dilations[i] * ((*block)[i] - 1) + 1;
    OpFoldResult span = m.sub(m.add((*image)[i], m.constant(pads[i] + pads[r + i])), m.constant(reach));
    positions.push_back(m.value(m.add(m.floorDiv(span, m.constant(strides[i])), m.constant(1))));
  }
  if (volume < 1)
    return c.fail("its block shape has to be positive");
  Type elem = b.elem(x), wide = computeType(elem);
  Dims dims{b.dim(x, 0), m.div(b.dim(x, 1), m.constant(volume))};
  dims.append(image->begin(), image->end());
  Dims each = dims;
  each.push_back(m.constant(volume));
  Value parts = b.generate(each, wide, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto number = [&](int64_t v) -> Value { return o.make<arith::ConstantIndexOp>(v); };
    Value zero = number(0), tap = at[2 + r], rest = tap, column = zero, inside = o.make<arith::ConstantOp>(ob.getBoolAttr(true));
    SmallVector<Value> taps(r);
    for (int64_t i = r - 1; i >= 0; --i) {
      taps[i] = o.make<arith::RemUIOp>(rest, number((*block)[i]));
      rest = o.make<arith::DivUIOp>(rest, number((*block)[i]));
    }
    for (int64_t i = 0; i < r; ++i) {
      Value start = o.sub(o.add(at[2 + i], number(pads[i])), o.mul(taps[i], number(dilations[i]))), stride = number(strides[i]);
      Value safe = o.max(start, zero), where = o.make<arith::DivUIOp>(safe, stride);
      inside = o.both(inside, o.both(o.ge(start, zero), o.eq(o.mul(where, stride), safe)));
      inside = o.both(inside, o.lt(where, positions[i]));
      column = o.add(o.mul(column, positions[i]), where);
    }
    Value row = o.add(o.mul(at[1], number(volume)), tap);
    Value v = o.convert(o.make<tensor::ExtractOp>(x, ValueRange{at[0], row, o.select(inside, column, zero)}), wide);
    return o.select(inside, v, o.c(wide, 0));
  });
  Value total = b.reduce(parts, {2 + r}, false, b.attr(wide, 0.0), addUp);
  return c.done(b.convert(total, elem));
}

/// Averages of bilinear samples in a grid over each box.
static LogicalResult roiAlign(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t samples = c.integer("sampling_ratio", 0), height = c.integer("output_height", 1), width = c.integer("output_width", 1);
  if (samples <= 0)
    return c.fail("attribute 'sampling_ratio' = 0 makes the number of samples depend on each box; export with a positive one (2 is usual)");
  if (c.text("mode", "avg") != "avg")
    return c.fail("attribute 'mode' = \"" + c.text("mode") + "\": only averages are supported");
  if (c.rank(0) != 4 || c.rank(1) != 2 || c.rank(2) != 1 || !c.isFloat(0))
    return c.fail("it needs an image [N, C, H, W], boxes [R, 4] and the number of an image for each box");
  Value x = c.operand(0), boxes = c.operand(1), batch = c.operand(2);
  b.require(b.dim(boxes, 1), b.math.constant(4), "its boxes are not of four numbers");
  b.require(b.dim(boxes, 0), b.dim(batch, 0), "it has not one image for each box");
  bool shifted = c.text("coordinate_transformation_mode", c.version() >= 16 ? "half_pixel" : "output_half_pixel") == "half_pixel";
  double spatial = c.real("spatial_scale", 1);
  Type elem = b.elem(x), real = computeType(elem);
  Value sizes[2] = {b.math.value(b.dim(x, 2)), b.math.value(b.dim(x, 3))}, images = b.math.value(b.dim(x, 0));
  Dims dims{b.dim(boxes, 0), b.dim(x, 1), b.math.constant(height), b.math.constant(width)}, each = dims;
  each.push_back(b.math.constant(samples * samples));
  Value all = b.generate(each, real, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto number = [&](int64_t v) -> Value { return o.make<arith::ConstantIndexOp>(v); };
    Value zero = o.c(real, 0), one = o.c(real, 1), outside = o.make<arith::ConstantOp>(ob.getBoolAttr(false));
    Value image = bodyIndex(ob, l, o.make<tensor::ExtractOp>(batch, ValueRange{at[0]}), images);
    Sampler sampler{o, x, "border", real, {}};
    SmallVector<Value> floors;
    SmallVector<SmallVector<std::pair<int64_t, Value>>> taps;
    for (int64_t i : {0, 1}) {
      auto corner = [&](int64_t k) { // boxes are x1, y1, x2, y2
        Value v = o.convert(o.make<tensor::ExtractOp>(boxes, ValueRange{at[0], number(k)}), real);
        return o.sub(o.mul(v, o.c(real, spatial)), o.c(real, shifted ? 0.5 : 0));
      };
      Value begin = corner(1 - i), extent = o.sub(corner(3 - i), begin);
      if (!shifted)
        extent = o.max(extent, one);
      Value bin = o.div(extent, o.c(real, static_cast<double>(i == 0 ? height : width)));
      Value sample = i == 0 ? o.make<arith::DivUIOp>(at[4], number(samples)) : o.make<arith::RemUIOp>(at[4], number(samples));
      Value inBin = o.div(o.add(toReal(o, sample, real), o.c(real, 0.5)), o.c(real, static_cast<double>(samples)));
      Value p = o.add(begin, o.mul(bin, o.add(toReal(o, at[2 + i], real), inBin)));
      Value size = toReal(o, sizes[i], real), last = o.sub(size, one);
      outside = o.either(outside, o.either(o.lt(p, o.c(real, -1)), o.gt(p, size)));
      sampler.axes.push_back({size, last, zero, last});
      p = o.max(o.min(p, last), zero);
      Value floor = o.make<math::FloorOp>(p), t = o.sub(p, floor);
      floors.push_back(floor);
      taps.push_back({{0, o.sub(one, t)}, {1, t}});
    }
    return o.select(outside, zero, sampler.weighted({image, at[1]}, floors, taps));
  });
  Value total = b.reduce(all, {4}, false, b.attr(real, 0.0), addUp);
  return c.done(b.convert(scaled(b, total, 1.0 / static_cast<double>(samples * samples)), elem));
}

//===----------------------------------------------------------------------===//
// Boxes
//===----------------------------------------------------------------------===//

namespace {
/// Corners of a box: low and high end on both axes.
struct Box {
  Value low[2], high[2];
};
} // namespace

static Box boxAt(BodyOps &o, Value boxes, Value batch, Value index, bool centres) {
  Value v[4];
  for (int64_t i = 0; i < 4; ++i)
    v[i] = o.make<tensor::ExtractOp>(boxes, ValueRange{batch, index, Value(o.make<arith::ConstantIndexOp>(i))});
  Box box;
  for (int64_t i : {0, 1}) {
    if (centres) {
      Value half = o.mul(v[2 + i], o.like(v[0], 0.5));
      box.low[i] = o.sub(v[i], half), box.high[i] = o.add(v[i], half);
    } else {
      box.low[i] = o.min(v[i], v[2 + i]), box.high[i] = o.max(v[i], v[2 + i]);
    }
  }
  return box;
}

/// Whether two boxes overlap by more than `threshold` of their union.
static Value overlaps(BodyOps &o, const Box &a, const Box &b, Value threshold) {
  Value zero = o.like(threshold, 0), shared, areas[2];
  for (int64_t i : {0, 1}) {
    Value extent = o.max(o.sub(o.min(a.high[i], b.high[i]), o.max(a.low[i], b.low[i])), zero);
    shared = shared ? o.mul(shared, extent) : extent;
  }
  const Box *both[2] = {&a, &b};
  for (int64_t k : {0, 1})
    areas[k] = o.mul(o.sub(both[k]->high[0], both[k]->low[0]), o.sub(both[k]->high[1], both[k]->low[1]));
  Value joint = o.sub(o.add(areas[0], areas[1]), shared);
  // A union without area overlaps nothing.
  return o.both(o.gt(joint, zero), o.gt(o.div(shared, o.select(o.gt(joint, zero), joint, o.like(joint, 1))), threshold));
}

/// The best box that is left, again and again; it takes those with it that it overlaps. All classes at once.
static LogicalResult nonMaxSuppression(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value boxes = c.operand(0), scores = c.operand(1);
  if (c.rank(0) != 3 || c.rank(1) != 3)
    return c.fail("it needs boxes [N, B, 4] and scores [N, C, B]");
  b.require(b.dim(boxes, 2), m.constant(4), "its boxes are not of four numbers");
  b.require(b.dim(boxes, 0), b.dim(scores, 0), "its boxes and scores are not of as many images");
  b.require(b.dim(boxes, 1), b.dim(scores, 2), "it has not one score for each box");
  auto scalar = [&](int64_t i) -> FailureOr<OpFoldResult> {
    FailureOr<Dims> v = c.scalars(i);
    if (failed(v) || v->size() != 1)
      return c.fail("operand " + Twine(i) + " is no scalar");
    return (*v)[0];
  };
  Type f32 = b.ops.getF32Type(), i64 = b.ops.getI64Type();
  OpFoldResult most = m.constant(0);
  Value overlap = b.scalar(b.attr(f32, 0.0)), least;
  if (c.has(2)) {
    auto v = scalar(2);
    if (failed(v))
      return failure();
    most = *v;
  }
  if (c.has(3)) {
    auto v = scalar(3);
    if (failed(v))
      return failure();
    overlap = b.materialize(*v, f32);
  }
  if (c.has(4)) {
    auto v = scalar(4);
    if (failed(v))
      return failure();
    least = b.materialize(*v, f32);
  }
  bool centres = c.flag("center_point_box");
  Dims dims = b.dims(scores);
  OpFoldResult rounds = m.max(m.min(most, dims[2]), m.constant(0));
  Dims picks{dims[0], dims[1], rounds}, best{dims[0], dims[1]};
  TypedAttr gone = b.attr(f32, -INFINITY);
  AffineMap id = b.ops.getMultiDimIdentityMap(3);
  Value left = b.map({scores}, {id}, dims, f32, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return least ? o.select(o.gt(args[0], least), args[0], o.make<arith::ConstantOp>(gone)) : args[0];
  });
  Value none = b.splat(picks, b.attr(i64, static_cast<int64_t>(-1)));
  auto loopType = [&](ArrayRef<OpFoldResult> sizes, Type t) { return b.typeOf(sizes, t); };
  Value start[2] = {b.castTo(left, loopType(dims, f32)), b.castTo(none, loopType(picks, i64))};
  auto loop = b.create<scf::ForOp>(m.value(m.constant(0)), m.value(rounds), m.value(m.constant(1)), ValueRange{start[0], start[1]});
  {
    OpBuilder::InsertionGuard guard(b.ops);
    b.ops.setInsertionPointToStart(loop.getBody());
    b.pushScope();
    Value round = loop.getInductionVar(), now = b.withDims(loop.getRegionIterArg(0), dims),
          picked = b.withDims(loop.getRegionIterArg(1), picks);
    Dims kept = best;
    kept.push_back(m.constant(1));
    Value which = b.withDims(b.create<ArgReduceOp>(b.typeOf(kept, i64), now, 2, /*max=*/true, /*last=*/false), kept);
    auto chosen = [&](BodyOps &o, ValueRange at) -> std::pair<Value, Value> { // its number, and whether there is one
      Value zero = o.make<arith::ConstantIndexOp>(0);
      Value n = o.make<arith::IndexCastOp>(o.b.getIndexType(), Value(o.make<tensor::ExtractOp>(which, ValueRange{at[0], at[1], zero})));
      Value score = o.make<tensor::ExtractOp>(now, ValueRange{at[0], at[1], n});
      return {n, o.gt(score, o.make<arith::ConstantOp>(gone))};
    };
    Value nextPicked = b.map({picked}, {id}, picks, i64, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      SmallVector<Value> at;
      for (int64_t i = 0; i < 3; ++i)
        at.push_back(o.make<linalg::IndexOp>(i));
      auto [n, there] = chosen(o, at);
      return o.select(o.both(o.eq(at[2], round), there), o.make<arith::IndexCastOp>(i64, n), args[0]);
    });
    Value nextLeft = b.map({now}, {id}, dims, f32, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      SmallVector<Value> at;
      for (int64_t i = 0; i < 3; ++i)
        at.push_back(o.make<linalg::IndexOp>(i));
      auto [n, there] = chosen(o, at);
      Value hit = overlaps(o, boxAt(o, boxes, at[0], n, centres), boxAt(o, boxes, at[0], at[2], centres), overlap);
      return o.select(o.either(hit, o.eq(at[2], n)), o.make<arith::ConstantOp>(gone), args[0]);
    });
    b.create<scf::YieldOp>(ValueRange{b.castTo(nextLeft, loopType(dims, f32)), b.castTo(nextPicked, loopType(picks, i64))});
    b.popScope();
  }
  Value picked = b.withDims(loop.getResult(1), picks);
  Value found = b.map({picked}, {id}, picks, b.ops.getI1Type(), [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.ge(args[0], o.like(args[0], 0));
  });
  Value places = nonZeroPositions(b, found); // [3, M]: batch, class, round
  return c.done(b.generate({b.dim(places, 1), m.constant(3)}, i64, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value at3[3];
    for (int64_t i = 0; i < 3; ++i) {
      Value v = o.make<tensor::ExtractOp>(places, ValueRange{Value(o.make<arith::ConstantIndexOp>(i)), at[0]});
      at3[i] = o.make<arith::IndexCastOp>(ob.getIndexType(), v);
    }
    Value box = o.make<tensor::ExtractOp>(picked, ValueRange{at3[0], at3[1], at3[2]});
    auto column = [&](int64_t i) { return o.eq(at[1], o.make<arith::ConstantIndexOp>(i)); };
    Value place = o.select(column(0), at3[0], at3[1]);
    return o.select(column(2), box, o.make<arith::IndexCastOp>(i64, place));
  }));
}

void registerSpatial(HandlerTable &t) {
  t.add("", "LRN", 1, lrn);
  t.add("", "GridSample", 16, gridSample);
  t.add("", "Col2Im", 18, col2Im);
  t.add("", "RoiAlign", 10, roiAlign);
  t.add("", "NonMaxSuppression", 10, nonMaxSuppression);
}

} // namespace leat::import
