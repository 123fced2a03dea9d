// Operators that ask for, make or change shapes without moving elements.
#include "passes/Import/Handlers.h"
#include "passes/Import/RuntimeAxes.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::import {

static LogicalResult shape(OpContext &c) {
  Dims dims = c.b.dims(c.operand(0));
  int64_t rank = dims.size();
  auto bound = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  int64_t start = bound(c.integer("start", 0)), end = bound(c.integer("end", rank));
  Dims part(dims.begin() + start, dims.begin() + std::max(start, end));
  return c.done(c.b.fromScalars(part, {static_cast<int64_t>(part.size())}, c.b.ops.getI64Type()));
}

static LogicalResult size(OpContext &c) { return c.done(c.b.fromScalars({c.b.numElements(c.operand(0))}, {}, c.b.ops.getI64Type())); }

static LogicalResult reshape(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  Dims own = b.dims(v);
  FailureOr<Dims> wanted = failure();
  if (auto attr = c.integers("shape"))
    wanted = b.staticDims(*attr);
  else if (c.has(1))
    wanted = c.scalars(1);
  if (failed(wanted))
    return c.fail("the rank of its result is not known: the length of operand 1 (shape) depends on the input");
  bool allowZero = c.flag("allowzero");
  Dims result(wanted->size(), b.math.constant(1));
  std::optional<size_t> inferred;
  OpFoldResult others = b.math.constant(1);
  Dims left = own;
  for (auto [i, d] : llvm::enumerate(*wanted)) {
    auto constant = b.math.asConstant(d);
    if (constant == -1) {
      if (inferred)
        return c.fail("its shape has more than one -1");
      inferred = i;
      continue;
    }
    if (constant == 0 && !allowZero) {
      if (i >= own.size())
        return c.fail("its shape copies axis " + Twine(i) + ", which the input does not have");
      d = own[i];
    } else if (!constant && !b.math.nonNegative(d)) {
      // A value read at run time may be 0 (copy) or -1 (the rest).
      OpFoldResult rest = b.math.constant(1);
      for (auto [j, o] : llvm::enumerate(*wanted))
        if (j != i)
          rest = b.math.mul(rest, b.math.asConstant(o) == 0 && !allowZero && j < own.size() ? own[j] : o);
      OpFoldResult all = b.numElements(v);
      if (b.math.asConstant(rest) != 0)
        d = b.math.selectEqual(d, -1, b.math.div(all, b.math.max(rest, b.math.constant(1))), d);
      if (!allowZero && i < own.size())
        d = b.math.selectEqual(d, 0, own[i], d);
    }
    result[i] = d;
    others = b.math.mul(others, d);
  }
  if (inferred) {
    OpFoldResult all = b.numElements(v);
    auto ca = b.math.asConstant(all), co = b.math.asConstant(others);
    if (ca && co && (*co == 0 ? *ca != 0 : *ca % *co != 0))
      return c.fail("cannot reshape " + Twine(*ca) + " elements: the other sizes of its shape multiply to " + Twine(*co));
    if (co == 0)
      result[*inferred] = b.math.constant(0);
    else
      result[*inferred] =
          b.math.divides(others, all) || co ? b.math.div(all, others) : b.math.div(all, b.math.max(others, b.math.constant(1)));
  }
  return c.done(b.reshape(v, result));
}

static LogicalResult flatten(OpContext &c) {
  GraphBuilder &b = c.b;
  Dims own = b.dims(c.operand(0));
  int64_t rank = own.size(), axis = c.integer("axis", 1);
  if (axis < -rank || axis > rank)
    return c.fail("attribute 'axis' = " + Twine(axis) + " is out of range");
  axis = axis < 0 ? axis + rank : axis;
  ArrayRef<OpFoldResult> all(own);
  return c.done(b.reshape(c.operand(0), {b.math.product(all.take_front(axis)), b.math.product(all.drop_front(axis))}));
}

static LogicalResult squeeze(OpContext &c) {
  GraphBuilder &b = c.b;
  Value v = c.operand(0);
  if (auto axes = c.runtimeAxes("axes", 1)) {
    int64_t rank = GraphBuilder::rank(v), left = rank - static_cast<int64_t>(axes->size());
    if (left < 0)
      return c.fail("it removes more axes than its operand has");
    return c.done(b.reshape(v, dimsWithout(b, b.dims(v), axisFlags(b, *axes, rank), left)));
  }
  auto axes = c.axes("axes", 1, GraphBuilder::rank(v));
  if (failed(axes))
    return failure();
  SmallVector<int64_t> list;
  Dims own = b.dims(v);
  if (*axes) {
    list = **axes;
    for (int64_t a : list)
      if (auto d = b.math.asConstant(own[a]); d && *d != 1)
        return c.fail("it removes axis " + Twine(a) + ", whose size is " + Twine(*d) + ", not 1");
  } else {
    // Without axes all sizes of 1 go; an unknown size is taken for larger, unless the inferred rank says otherwise.
    for (auto [i, d] : llvm::enumerate(own))
      if (b.math.asConstant(d) == 1)
        list.push_back(i);
    auto inferred = c.inferredShape(0);
    if (inferred && inferred->size() != own.size() - list.size())
      return c.fail("which axes have size 1 depends on the input; give the axes");
  }
  return c.done(b.squeeze(v, list));
}

static LogicalResult unsqueeze(OpContext &c) {
  int64_t count = 0;
  if (auto attr = c.integers("axes"))
    count = attr->size();
  else if (c.has(1) && c.b.type(c.operand(1)).hasStaticShape())
    count = c.b.type(c.operand(1)).getNumElements();
  if (auto axes = c.runtimeAxes("axes", 1)) {
    // Each place takes 1 where an axis goes in, else the next size of the operand.
    IndexMath &m = c.b.math;
    Dims own = c.b.dims(c.operand(0)), result;
    OpFoldResult next = m.constant(0);
    for (Value flag : axisFlags(c.b, *axes, own.size() + count)) {
      OpFoldResult d = m.constant(1);
      for (auto [j, o] : llvm::enumerate(own))
        d = m.selectEqual(m.sub(next, m.constant(j)), 0, o, d);
      result.push_back(m.select(flag, m.constant(1), d));
      next = m.add(next, m.select(flag, m.constant(0), m.constant(1)));
    }
    return c.done(c.b.reshape(c.operand(0), result));
  }
  auto axes = c.axes("axes", 1, c.rank(0) + count);
  if (failed(axes))
    return failure();
  if (!*axes)
    return c.fail("it has no axes");
  return c.done(c.b.unsqueeze(c.operand(0), **axes));
}

static LogicalResult constant(OpContext &c) {
  GraphBuilder &b = c.b;
  auto scalarType = [&](Type t) { return RankedTensorType::get({}, t); };
  if (auto value = dyn_cast_or_null<DenseElementsAttr>(c.attribute("value"))) {
    Type e = convertElementType(value.getElementType());
    if (!e)
      return c.fail("it is a constant of strings");
    return c.done(b.constant(e == value.getElementType() ? value : value.bitcast(e)));
  }
  if (c.hasAttr("value_int"))
    return c.done(b.constant(DenseElementsAttr::get(scalarType(b.ops.getI64Type()), c.integer("value_int"))));
  if (auto ints = c.integers("value_ints"))
    return c.done(b.constantInts(*ints));
  if (c.hasAttr("value_float"))
    return c.done(b.constant(DenseElementsAttr::get(scalarType(b.ops.getF32Type()), static_cast<float>(c.real("value_float")))));
  if (auto list = dyn_cast_or_null<DenseF32ArrayAttr>(c.attribute("value_floats")))
    return c.done(b.constant(DenseElementsAttr::get(RankedTensorType::get({list.size()}, b.ops.getF32Type()), list.asArrayRef())));
  return c.fail("only constants of numbers can be compiled");
}

static LogicalResult constantOfShape(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<Dims> dims = c.scalars(0);
  if (failed(dims))
    return c.fail("the rank of its result is not known: the length of operand 0 depends on the input");
  TypedAttr fill = b.ops.getF32FloatAttr(0);
  if (auto value = dyn_cast_or_null<DenseElementsAttr>(c.attribute("value"))) {
    Type e = convertElementType(value.getElementType());
    if (!e)
      return c.fail("it makes strings");
    fill = cast<TypedAttr>((e == value.getElementType() ? value : value.bitcast(e)).getSplatValue<Attribute>());
  }
  for (OpFoldResult &d : *dims)
    d = b.math.max(d, b.math.constant(0));
  return c.done(b.splat(*dims, fill));
}

static LogicalResult expand(OpContext &c) {
  FailureOr<Dims> wanted = c.scalars(1);
  if (failed(wanted))
    return c.fail("the rank of its result is not known: the length of operand 1 (shape) depends on the input");
  Dims own = c.b.dims(c.operand(0));
  return c.done(c.b.broadcastTo(c.operand(0), c.b.broadcastDims(ArrayRef<Dims>{own, *wanted})));
}

void registerShape(HandlerTable &t) {
  t.add("", "Shape", 1, shape);
  t.add("", "Size", 1, size);
  t.add("", "Reshape", 1, reshape);
  t.add("", "Flatten", 1, flatten);
  t.add("", "Squeeze", 1, squeeze);
  t.add("", "Unsqueeze", 1, unsqueeze);
  t.add("", "Constant", 1, constant);
  t.add("", "ConstantOfShape", 1, constantOfShape);
  t.add("", "Expand", 1, expand);
}

} // namespace leat::import
