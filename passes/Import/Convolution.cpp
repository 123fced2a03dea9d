// Convolutions and pooling. Padding is resolved here: static pads are the convolution's own, others become tensor.pad.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "dialects/Leat/Leat.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

namespace {
/// A window that slides over the spatial axes of [N, C, D1, ..., Dr].
struct Window {
  SmallVector<int64_t> kernel, strides, dilations;
  Dims low, high; // padding of each spatial axis
  Dims result;    // positions of the window on each spatial axis
};
} // namespace

static FailureOr<SmallVector<int64_t>> spatialAttr(OpContext &c, StringRef name, int64_t count, int64_t fallback) {
  auto given = c.integers(name);
  if (!given)
    return SmallVector<int64_t>(count, fallback);
  if (static_cast<int64_t>(given->size()) != count)
    return c.fail("attribute '" + name + "' has " + Twine(given->size()) + " entries where " + Twine(count) + " are needed");
  return *given;
}

/// Reads strides, dilations, pads, auto_pad and ceil_mode for a window of this size over `x`.
static FailureOr<Window> window(OpContext &c, Value x, ArrayRef<int64_t> kernel) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  int64_t r = kernel.size();
  FailureOr<SmallVector<int64_t>> strides = spatialAttr(c, "strides", r, 1), dilations = spatialAttr(c, "dilations", r, 1),
                                  pads = spatialAttr(c, "pads", 2 * r, 0);
  if (failed(strides) || failed(dilations) || failed(pads))
    return failure();
  Window w{SmallVector<int64_t>(kernel), *strides, *dilations, {}, {}, {}};
  std::string mode = c.text("auto_pad", "NOTSET");
  bool ceil = c.flag("ceil_mode");
  for (int64_t i = 0; i < r; ++i) {
    OpFoldResult size = b.dim(x, i + 2), stride = m.constant(w.strides[i]);
    if (w.strides[i] <= 0 || w.dilations[i] <= 0 || kernel[i] <= 0)
      return c.fail("strides, dilations and kernel sizes have to be positive");
    int64_t reach = w.dilations[i] * (kernel[i] - 1) + 1;
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      OpFoldResult positions = m.ceilDiv(size, stride);
      OpFoldResult needed = m.add(m.mul(m.sub(positions, m.constant(1)), stride), m.sub(m.constant(reach), size));
      OpFoldResult total = m.max(needed, m.constant(0)), half = m.floorDiv(total, m.constant(2)), rest = m.sub(total, half);
      w.low.push_back(mode == "SAME_UPPER" ? half : rest);
      w.high.push_back(mode == "SAME_UPPER" ? rest : half);
      w.result.push_back(positions);
      continue;
    }
    bool valid = mode == "VALID";
    w.low.push_back(m.constant(valid ? 0 : (*pads)[i]));
    w.high.push_back(m.constant(valid ? 0 : (*pads)[r + i]));
    OpFoldResult span = m.sub(m.add(m.add(size, w.low[i]), w.high[i]), m.constant(reach));
    OpFoldResult positions = m.add(ceil ? m.ceilDiv(span, stride) : m.floorDiv(span, stride), m.constant(1));
    if (ceil) {
      // The last window has to start inside the tensor or its left padding.
      OpFoldResult start = m.mul(m.sub(positions, m.constant(1)), stride), end = m.add(size, w.low[i]);
      positions = m.selectNegative(m.sub(start, end), positions, m.sub(positions, m.constant(1)));
    }
    w.result.push_back(m.max(positions, m.constant(0)));
  }
  return w;
}

/// leat.conv with padding as the window says.
static Value convolve(GraphBuilder &b, Value x, Value filter, Value bias, const Window &w, int64_t group, Type elem) {
  SmallVector<int64_t> pads;
  bool known = true;
  for (const Dims *side : {&w.low, &w.high})
    for (OpFoldResult p : *side) {
      auto value = b.math.asConstant(p);
      known &= value && *value >= 0;
      pads.push_back(value.value_or(0));
    }
  if (!known) {
    Dims low{b.math.constant(0), b.math.constant(0)}, high = low;
    low.append(w.low), high.append(w.high);
    x = b.pad(x, low, high, b.scalar(b.attr(b.elem(x), int64_t(0))));
    pads.assign(pads.size(), 0);
  }
  Dims result{b.dim(x, 0), b.dim(filter, 0)};
  result.append(w.result);
  auto op = b.create<ConvOp>(b.typeOf(result, elem), x, filter, bias, w.strides, w.dilations, pads, group);
  return b.withDims(op.getOutput(), result);
}

static FailureOr<SmallVector<int64_t>> kernelOf(OpContext &c, Value filter) {
  SmallVector<int64_t> kernel;
  for (int64_t i = 2; i < c.b.rank(filter); ++i) {
    auto size = c.b.math.asConstant(c.b.dim(filter, i));
    if (!size)
      return c.fail("the size of its kernel is not known");
    kernel.push_back(*size);
  }
  return kernel;
}

static LogicalResult checkConv(OpContext &c, Value x, Value filter) {
  if (c.b.rank(x) < 3 || c.b.rank(filter) != c.b.rank(x))
    return c.fail("its input has rank " + Twine(c.b.rank(x)) + " and its filter rank " + Twine(c.b.rank(filter)));
  IndexMath &m = c.b.math;
  auto outputs = m.asConstant(c.b.dim(filter, 0));
  int64_t group = c.integer("group", 1);
  if (group < 1 || (outputs && *outputs % group))
    return c.fail("its channels do not fit " + Twine(group) + " groups of the filter");
  c.b.require(c.b.dim(x, 1), m.mul(c.b.dim(filter, 1), m.constant(group)), "its channels do not fit the filter's");
  return success();
}

static LogicalResult conv(OpContext &c) {
  Value x = c.operand(0), filter = c.operand(1);
  if (failed(checkConv(c, x, filter)))
    return failure();
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(c, filter);
  FailureOr<Window> w = failed(kernel) ? FailureOr<Window>(failure()) : window(c, x, *kernel);
  if (failed(w))
    return failure();
  return c.done(convolve(c.b, x, filter, c.has(2) ? c.operand(2) : Value(), *w, c.integer("group", 1), c.elem(0)));
}

/// Integer convolution: i32 products of what is left when the zero points are taken off, so that padding is zero.
static FailureOr<Value> integerConv(OpContext &c, int64_t input, int64_t inputZero, int64_t weight, int64_t weightZero) {
  Value x = withoutZeroPoint(c.b, c.operand(input), c.isUnsigned(input), c.has(inputZero) ? c.operand(inputZero) : Value(), -1);
  Value filter = withoutZeroPoint(c.b, c.operand(weight), c.isUnsigned(weight), c.has(weightZero) ? c.operand(weightZero) : Value(), 0);
  if (failed(checkConv(c, x, filter)))
    return failure();
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(c, filter);
  FailureOr<Window> w = failed(kernel) ? FailureOr<Window>(failure()) : window(c, x, *kernel);
  if (failed(w))
    return failure();
  return convolve(c.b, x, filter, {}, *w, c.integer("group", 1), c.b.ops.getI32Type());
}

static LogicalResult convInteger(OpContext &c) {
  FailureOr<Value> y = integerConv(c, 0, 2, 1, 3);
  return failed(y) ? failure() : c.done(*y);
}

static LogicalResult qLinearConv(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<Value> y = integerConv(c, 0, 2, 3, 5);
  if (failed(y))
    return failure();
  int64_t r = b.rank(*y);
  if (c.has(8)) {
    Value bias = alongAxis(b, c.operand(8), r, 1);
    y = b.elementwise({*y, bias}, b.ops.getI32Type(),
                      [](OpBuilder &ob, Location l, ValueRange args) -> Value { return arith::AddIOp::create(ob, l, args[0], args[1]); });
  }
  Value xScale = alongAxis(b, c.operand(1), r, -1), wScale = alongAxis(b, c.operand(4), r, 1), yScale = alongAxis(b, c.operand(6), r, -1);
  return c.done(requantized(b, *y, {xScale, wScale}, yScale, alongAxis(b, c.operand(7), r, -1), c.elem(7), c.isUnsigned(7)));
}

/// A transposed convolution is a convolution of the input, zeros between its elements, with the mirrored filter.
static LogicalResult convTranspose(OpContext &c) {
  GraphBuilder &b = c.b;
  IndexMath &m = b.math;
  Value x = c.operand(0), filter = c.operand(1);
  int64_t r = b.rank(x) - 2, group = c.integer("group", 1);
  if (r < 1 || b.rank(filter) != r + 2)
    return c.fail("its input and filter need one rank of at least 3");
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(c, filter), strides = spatialAttr(c, "strides", r, 1),
                                  dilations = spatialAttr(c, "dilations", r, 1), pads = spatialAttr(c, "pads", 2 * r, 0),
                                  extra = spatialAttr(c, "output_padding", r, 0);
  if (failed(kernel) || failed(strides) || failed(dilations) || failed(pads) || failed(extra))
    return failure();
  auto channels = m.asConstant(b.dim(filter, 0)), perGroup = m.asConstant(b.dim(filter, 1));
  if (!channels || !perGroup || group < 1 || *channels % group)
    return c.fail("its channels do not fit " + Twine(group) + " groups");
  auto shape = c.integers("output_shape");
  std::string mode = c.text("auto_pad", "NOTSET");
  Dims spread{b.dim(x, 0), b.dim(x, 1)};
  Window w{*kernel, SmallVector<int64_t>(r, 1), *dilations, {}, {}, {}};
  for (int64_t i = 0; i < r; ++i) {
    OpFoldResult size = b.dim(x, i + 2);
    int64_t reach = (*dilations)[i] * ((*kernel)[i] - 1);
    OpFoldResult wide = m.add(m.mul(m.sub(size, m.constant(1)), m.constant((*strides)[i])), m.constant(1));
    spread.push_back(wide);
    OpFoldResult low = m.constant((*pads)[i]), high = m.constant((*pads)[r + i]);
    if (mode == "VALID")
      low = high = m.constant(0);
    if ((shape && static_cast<int64_t>(shape->size()) >= r) || mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      OpFoldResult wanted = shape ? m.constant((*shape)[shape->size() - r + i]) : m.mul(size, m.constant((*strides)[i]));
      OpFoldResult total = m.sub(m.add(wide, m.constant(reach + (*extra)[i])), wanted), half = m.floorDiv(total, m.constant(2));
      low = mode == "SAME_UPPER" ? half : m.sub(total, half);
      high = m.sub(total, low);
    }
    w.low.push_back(m.sub(m.constant(reach), low));
    w.high.push_back(m.add(m.sub(m.constant(reach), high), m.constant((*extra)[i])));
    w.result.push_back(m.sub(m.add(m.add(wide, w.low[i]), w.high[i]), m.constant(reach)));
  }
  Type elem = b.elem(x);
  Value spreadX = x;
  if (llvm::any_of(*strides, [](int64_t s) { return s != 1; }))
    spreadX = b.generate(spread, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
      BodyOps o{ob, l};
      Value hit = o.make<arith::ConstantOp>(ob.getBoolAttr(true)), zero = o.make<arith::ConstantIndexOp>(0);
      SmallVector<Value> from(at.begin(), at.end());
      for (int64_t i = 0; i < r; ++i) {
        Value stride = o.make<arith::ConstantIndexOp>((*strides)[i]);
        hit = o.both(hit, o.eq(o.make<arith::RemUIOp>(at[i + 2], stride), zero));
        from[i + 2] = o.make<arith::DivUIOp>(at[i + 2], stride);
      }
      return o.select(hit, o.make<tensor::ExtractOp>(x, from), o.c(elem, 0));
    });
  // [C, M/g, K...] to [M, C/g, K... mirrored]
  int64_t perInput = *channels / group;
  Dims turned = b.staticDims({*perGroup * group, perInput});
  for (int64_t k : *kernel)
    turned.push_back(m.constant(k));
  Value mirrored = b.generate(turned, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value per = o.make<arith::ConstantIndexOp>(*perGroup);
    Value g = o.make<arith::DivUIOp>(at[0], per), within = o.make<arith::RemUIOp>(at[0], per);
    SmallVector<Value> from{o.add(o.mul(g, o.make<arith::ConstantIndexOp>(perInput)), at[1]), within};
    for (int64_t i = 0; i < r; ++i)
      from.push_back(o.sub(o.make<arith::ConstantIndexOp>((*kernel)[i] - 1), at[i + 2]));
    return o.make<tensor::ExtractOp>(filter, from);
  });
  // Pads larger than the kernel's reach cut the input instead.
  Dims from(r + 2, m.constant(0)), sizes = b.dims(spreadX);
  for (int64_t i = 0; i < r; ++i)
    for (bool high : {false, true}) {
      OpFoldResult &p = high ? w.high[i] : w.low[i];
      if (auto known = m.asConstant(p); known && *known < 0) {
        sizes[i + 2] = m.add(sizes[i + 2], p);
        if (!high)
          from[i + 2] = m.constant(-*known);
        p = m.constant(0);
      }
    }
  spreadX = b.slice(spreadX, from, sizes);
  return c.done(convolve(b, spreadX, mirrored, c.has(2) ? c.operand(2) : Value(), w, group, elem));
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

/// [N, C, O..., K...]: what the window sees at each position, `outside` where it stands in the padding.
static Value windows(GraphBuilder &b, Value x, const Window &w, TypedAttr outside) {
  int64_t r = w.kernel.size();
  Dims dims{b.dim(x, 0), b.dim(x, 1)};
  dims.append(w.result);
  for (int64_t k : w.kernel)
    dims.push_back(b.math.constant(k));
  SmallVector<Value> low = b.math.values(w.low), size;
  for (int64_t i = 0; i < r; ++i)
    size.push_back(b.math.value(b.dim(x, i + 2)));
  return b.generate(dims, b.elem(x), [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    Value inside = o.make<arith::ConstantOp>(ob.getBoolAttr(true)), zero = o.make<arith::ConstantIndexOp>(0),
          one = o.make<arith::ConstantIndexOp>(1);
    SmallVector<Value> from{at[0], at[1]};
    for (int64_t i = 0; i < r; ++i) {
      Value start = o.mul(at[2 + i], o.make<arith::ConstantIndexOp>(w.strides[i]));
      Value p = o.sub(o.add(start, o.mul(at[2 + r + i], o.make<arith::ConstantIndexOp>(w.dilations[i]))), low[i]);
      inside = o.both(inside, o.both(o.ge(p, zero), o.lt(p, size[i])));
      from.push_back(o.max(o.min(p, o.sub(size[i], one)), zero));
    }
    return o.select(inside, o.make<tensor::ExtractOp>(x, from), o.make<arith::ConstantOp>(outside));
  });
}

static FailureOr<Window> poolWindow(OpContext &c) {
  auto kernel = c.integers("kernel_shape");
  if (c.rank(0) < 3 || !kernel || static_cast<int64_t>(kernel->size()) != c.rank(0) - 2)
    return c.fail("it needs the attribute kernel_shape with an entry for each spatial axis");
  return window(c, c.operand(0), *kernel);
}

static SmallVector<int64_t> lastAxes(int64_t count, int64_t rank) { return llvm::to_vector(llvm::seq<int64_t>(rank - count, rank)); }

static TypedAttr lowest(GraphBuilder &b, Type elem, bool isUnsigned) {
  if (isa<FloatType>(elem))
    return b.attr(elem, -INFINITY);
  return cast<TypedAttr>(Attribute(b.ops.getIntegerAttr(elem, isUnsigned ? APInt::getMinValue(elem.getIntOrFloatBitWidth())
                                                                         : APInt::getSignedMinValue(elem.getIntOrFloatBitWidth()))));
}

/// Where in the flattened input the first largest element of each window stands; column-major in the spatial axes if asked.
static Value maxPositions(OpContext &c, const Window &w, Value all) {
  GraphBuilder &b = c.b;
  int64_t r = w.kernel.size(), volume = 1;
  for (int64_t k : w.kernel)
    volume *= k;
  Type i64 = b.ops.getI64Type();
  Dims flat = b.dims(all);
  flat.truncate(r + 2);
  flat.push_back(b.math.constant(volume));
  Type elem = b.elem(all);
  Value comparable = isa<FloatType>(elem) ? all : b.convert(all, b.ops.getF32Type(), c.isUnsigned(0));
  Dims kept = flat;
  kept.back() = b.math.constant(1);
  Value which =
      b.withDims(b.create<ArgReduceOp>(b.typeOf(kept, i64), b.reshape(comparable, flat), r + 2, /*max=*/true, /*last=*/false), kept);
  bool columns = c.integer("storage_order", 0) == 1;
  Value x = c.operand(0), channels = b.math.value(b.dim(x, 1));
  SmallVector<Value> sizes, low = b.math.values(w.low);
  for (int64_t i = 0; i < r; ++i)
    sizes.push_back(b.math.value(b.dim(x, i + 2)));
  Dims dims(ArrayRef(kept).drop_back());
  return b.generate(dims, i64, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    auto number = [&](int64_t v) -> Value { return o.make<arith::ConstantIndexOp>(v); };
    SmallVector<Value> from(at);
    from.push_back(number(0));
    Value tap = o.make<arith::IndexCastOp>(ob.getIndexType(), Value(o.make<tensor::ExtractOp>(which, from)));
    SmallVector<Value> place(r);
    for (int64_t i = r - 1; i >= 0; --i) {
      Value t = o.make<arith::RemUIOp>(tap, number(w.kernel[i]));
      tap = o.make<arith::DivUIOp>(tap, number(w.kernel[i]));
      place[i] = o.sub(o.add(o.mul(at[2 + i], number(w.strides[i])), o.mul(t, number(w.dilations[i]))), low[i]);
    }
    Value index = o.add(o.mul(at[0], channels), at[1]), inside = number(0);
    for (int64_t k = 0; k < r; ++k) {
      int64_t i = columns ? r - 1 - k : k;
      inside = o.add(o.mul(inside, sizes[i]), place[i]);
      index = o.mul(index, sizes[k]);
    }
    return o.make<arith::IndexCastOp>(i64, o.add(index, inside));
  });
}

static LogicalResult maxPool(OpContext &c) {
  FailureOr<Window> w = poolWindow(c);
  if (failed(w))
    return failure();
  bool isUnsigned = c.isUnsigned(0);
  TypedAttr low = lowest(c.b, c.elem(0), isUnsigned);
  Value all = windows(c.b, c.operand(0), *w, low);
  auto combine = [&](OpBuilder &ob, Location l, ValueRange args) { return BodyOps{ob, l, isUnsigned}.max(args[0], args[1]); };
  if (c.wants(1))
    c.setResult(1, maxPositions(c, *w, all));
  return c.done(c.b.reduce(all, lastAxes(w->kernel.size(), c.b.rank(all)), false, low, combine));
}

static Value addUp(OpBuilder &ob, Location l, ValueRange args) { return arith::AddFOp::create(ob, l, args[0], args[1]); }

static LogicalResult averagePool(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<Window> w = poolWindow(c);
  if (failed(w))
    return failure();
  if (!c.isFloat(0))
    return c.fail("it needs floating-point operands");
  Value x = c.operand(0);
  Type elem = b.elem(x), wide = computeType(elem);
  int64_t r = w->kernel.size();
  Value all = windows(b, x, *w, b.attr(elem, 0.0));
  Value total = b.reduce(all, lastAxes(r, b.rank(all)), false, b.attr(wide, 0.0), addUp,
                         [&](OpBuilder &ob, Location l, ValueRange args) { return convertScalar(ob, l, args[0], wide); });
  // Positions of the window that count: those in the tensor, or in the padded tensor.
  bool withPadding = c.flag("count_include_pad");
  SmallVector<Value> low = b.math.values(w->low), ends;
  for (int64_t i = 0; i < r; ++i) {
    OpFoldResult end = b.dim(x, i + 2);
    ends.push_back(b.math.value(withPadding ? b.math.add(end, w->high[i]) : end));
  }
  AffineMap id = b.ops.getMultiDimIdentityMap(r + 2);
  return c.done(b.map({total}, {id}, b.dims(total), elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value count = o.make<arith::ConstantIndexOp>(1), zero = o.make<arith::ConstantIndexOp>(0);
    for (int64_t i = 0; i < r; ++i) {
      Value dilation = o.make<arith::ConstantIndexOp>(w->dilations[i]), most = o.make<arith::ConstantIndexOp>(w->kernel[i]);
      Value at = o.mul(o.make<linalg::IndexOp>(i + 2), o.make<arith::ConstantIndexOp>(w->strides[i]));
      Value start = o.sub(at, low[i]);
      auto stepsTo = [&](Value bound) { // steps of the window that stay below the bound
        Value span = o.add(o.max(o.sub(bound, start), zero), o.sub(dilation, o.make<arith::ConstantIndexOp>(1)));
        return o.min(o.make<arith::DivUIOp>(span, dilation), most);
      };
      Value begin = withPadding ? zero : stepsTo(zero);
      count = o.mul(count, o.sub(stepsTo(ends[i]), begin));
    }
    Value n = o.make<arith::SIToFPOp>(wide, o.make<arith::IndexCastOp>(ob.getI64Type(), o.max(count, o.make<arith::ConstantIndexOp>(1))));
    return o.convert(o.div(args[0], n), elem);
  }));
}

static LogicalResult lpPool(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<Window> w = poolWindow(c);
  if (failed(w))
    return failure();
  if (!c.isFloat(0))
    return c.fail("it needs floating-point operands");
  Value x = c.operand(0);
  Type elem = b.elem(x), wide = computeType(elem);
  int64_t r = w->kernel.size(), p = c.integer("p", 2);
  if (p < 1)
    return c.fail("attribute 'p' has to be positive");
  auto power = [&](BodyOps &o, Value v, double to) { return o.make<math::PowFOp>(v, o.c(wide, to)); };
  Value all = windows(b, x, *w, b.attr(elem, 0.0));
  Value total = b.reduce(all, lastAxes(r, b.rank(all)), false, b.attr(wide, 0.0), addUp, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value v = o.abs(o.convert(args[0], wide));
    return p == 1 ? v : p == 2 ? o.mul(v, v) : power(o, v, p);
  });
  return c.done(b.elementwise({total}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(p == 1 ? args[0] : p == 2 ? o.sqrt(args[0]) : power(o, args[0], 1.0 / p), elem);
  }));
}

template <bool mean> static LogicalResult globalPool(OpContext &c) {
  GraphBuilder &b = c.b;
  Value x = c.operand(0);
  if (c.rank(0) < 3 || !c.isFloat(0))
    return c.fail("it needs floats with spatial axes");
  Type elem = b.elem(x), wide = computeType(elem);
  SmallVector<int64_t> axes = lastAxes(c.rank(0) - 2, c.rank(0));
  if (!mean) {
    auto combine = [](OpBuilder &ob, Location l, ValueRange args) { return BodyOps{ob, l}.max(args[0], args[1]); };
    return c.done(b.reduce(x, axes, true, lowest(b, elem, false), combine));
  }
  Value total = b.reduce(x, axes, true, b.attr(wide, 0.0), addUp,
                         [&](OpBuilder &ob, Location l, ValueRange args) { return convertScalar(ob, l, args[0], wide); });
  OpFoldResult count = b.math.constant(1);
  for (int64_t a : axes)
    count = b.math.mul(count, b.dim(x, a));
  Value n = b.math.value(count);
  return c.done(b.elementwise({total}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return o.convert(o.div(args[0], o.make<arith::SIToFPOp>(wide, o.make<arith::IndexCastOp>(ob.getI64Type(), n))), elem);
  }));
}

void registerConvolution(HandlerTable &t) {
  t.add("", "Conv", 1, conv);
  t.add("", "ConvInteger", 10, convInteger);
  t.add("", "QLinearConv", 10, qLinearConv);
  t.add("", "ConvTranspose", 1, convTranspose);
  t.add("", "MaxPool", 1, maxPool);
  t.add("", "AveragePool", 1, averagePool);
  t.add("", "LpPool", 1, lpPool);
  t.add("", "GlobalAveragePool", 1, globalPool<true>);
  t.add("", "GlobalMaxPool", 1, globalPool<false>);
}

} // namespace leat::import
