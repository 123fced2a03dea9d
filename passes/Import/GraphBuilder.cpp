// Sizes, constants and scalars of tensor programs.
#include "passes/Import/GraphBuilder.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat::import {

void GraphBuilder::pushScope() {
  math.pushScope();
  lookedUp.emplace_back();
  checked.emplace_back();
}

void GraphBuilder::popScope() {
  math.popScope();
  for (Value v : lookedUp.back().first)
    shapes.erase(v);
  for (Value v : lookedUp.back().second)
    contents.erase(v);
  lookedUp.pop_back();
  checked.pop_back();
}

void GraphBuilder::require(OpFoldResult a, OpFoldResult b, const Twine &what, bool mayBeOne) {
  if (math.equal(a, b))
    return;
  if (auto ca = math.asConstant(a), cb = math.asConstant(b); ca && cb) {
    if (!mayBeOne || (*ca != 1 && *cb != 1))
      invalid(what + ": " + Twine(*ca) + " and " + Twine(*cb));
    return;
  }
  Value va = math.value(a), vb = math.value(b);
  for (auto &scope : checked)
    if (scope.contains({va, vb}))
      return;
  checked.back().insert({va, vb});
  auto is = [&](Value x, Value y) -> Value { return create<arith::CmpIOp>(arith::CmpIPredicate::eq, x, y); };
  Value fits = is(va, vb);
  if (mayBeOne) {
    Value one = math.value(math.constant(1));
    fits = create<arith::OrIOp>(fits, create<arith::OrIOp>(is(va, one), is(vb, one)));
  }
  auto name = dyn_cast<NameLoc>(loc);
  create<cf::AssertOp>(fits, ops.getStringAttr(what + (name ? " in " + name.getName().getValue() : "")));
}

RankedTensorType GraphBuilder::typeOf(ArrayRef<OpFoldResult> dims, Type elem) {
  SmallVector<int64_t> shape;
  for (OpFoldResult d : dims)
    shape.push_back(math.asConstant(d).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, elem);
}

Dims GraphBuilder::dims(Value v) {
  auto it = shapes.find(v);
  if (it != shapes.end())
    return it->second;
  Dims result;
  RankedTensorType t = type(v);
  for (int64_t i = 0; i < t.getRank(); ++i) {
    if (!t.isDynamicDim(i)) {
      result.push_back(ops.getIndexAttr(t.getDimSize(i)));
      continue;
    }
    Value d = create<tensor::DimOp>(v, i);
    math.assumeNonNegative(d);
    result.push_back(d);
  }
  shapes[v] = result;
  if (!lookedUp.empty() && !t.hasStaticShape())
    lookedUp.back().first.push_back(v);
  return result;
}

Value GraphBuilder::withDims(Value v, ArrayRef<OpFoldResult> dims) {
  // What the type knows is kept static.
  Dims list(dims);
  RankedTensorType t = type(v);
  for (int64_t i = 0; i < t.getRank(); ++i) {
    if (!t.isDynamicDim(i))
      list[i] = ops.getIndexAttr(t.getDimSize(i));
    else if (auto d = dyn_cast<Value>(list[i]))
      math.assumeNonNegative(d);
  }
  shapes[v] = list;
  return v;
}

bool GraphBuilder::sameDims(ArrayRef<OpFoldResult> a, ArrayRef<OpFoldResult> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [&](auto p) { return math.equal(std::get<0>(p), std::get<1>(p)); });
}

std::optional<int64_t> GraphBuilder::normalizeAxis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

Value GraphBuilder::constant(DenseElementsAttr value) { return create<arith::ConstantOp>(value); }

Value GraphBuilder::constantInts(ArrayRef<int64_t> values) {
  return constant(DenseElementsAttr::get(RankedTensorType::get({static_cast<int64_t>(values.size())}, ops.getI64Type()), values));
}

TypedAttr GraphBuilder::attr(Type elem, double v) {
  if (isa<FloatType>(elem))
    return ops.getFloatAttr(elem, v);
  return attr(elem, static_cast<int64_t>(v));
}

TypedAttr GraphBuilder::attr(Type elem, int64_t v) {
  if (isa<FloatType>(elem))
    return ops.getFloatAttr(elem, static_cast<double>(v));
  if (elem.isIndex())
    return ops.getIndexAttr(v);
  return ops.getIntegerAttr(elem, APInt(64, v, true).sextOrTrunc(elem.getIntOrFloatBitWidth()));
}

Value GraphBuilder::splat(ArrayRef<OpFoldResult> dims, TypedAttr value) {
  RankedTensorType t = typeOf(dims, value.getType());
  if (t.hasStaticShape())
    return constant(DenseElementsAttr::get(t, static_cast<Attribute>(value)));
  return splat(dims, value.getType(), scalar(value));
}

Value GraphBuilder::splat(ArrayRef<OpFoldResult> dims, Type elem, Value scalarValue) {
  return map({}, {}, dims, elem, [&](OpBuilder &b, Location l, ValueRange) -> Value {
    TypedAttr c;
    if (matchPattern(scalarValue, m_Constant(&c)))
      return arith::ConstantOp::create(b, l, c);
    return scalarValue;
  });
}

/// Integers that the host computes with; i1 and floats keep their type.
static bool isHostIndex(Type elem) { return elem.isInteger(32) || elem.isInteger(64); }
static bool isHostScalar(Type elem) {
  return isHostIndex(elem) || elem.isInteger(1) || elem.isF32() || elem.isF64() || elem.isF16() || elem.isBF16();
}

DenseElementsAttr GraphBuilder::asConstant(Value v) {
  DenseElementsAttr value;
  matchPattern(v, m_Constant(&value));
  return value;
}

std::optional<SmallVector<int64_t>> GraphBuilder::asConstantInts(Value v) {
  if (DenseElementsAttr value = asConstant(v); value && value.getElementType().isIntOrIndex()) {
    SmallVector<int64_t> list;
    bool isBool = value.getElementType().isInteger(1);
    for (APInt i : value.getValues<APInt>())
      list.push_back(isBool ? static_cast<int64_t>(i.getZExtValue()) : i.sextOrTrunc(64).getSExtValue());
    return list;
  }
  auto known = knownScalars(v);
  if (!known || !isHostIndex(elem(v)))
    return std::nullopt;
  SmallVector<int64_t> list;
  for (OpFoldResult s : *known) {
    auto c = math.asConstant(s);
    if (!c)
      return std::nullopt;
    list.push_back(*c);
  }
  return list;
}

std::optional<Dims> GraphBuilder::knownScalars(Value v) {
  auto it = contents.find(v);
  if (it != contents.end())
    return it->second;
  DenseElementsAttr value = asConstant(v);
  if (!value || value.getNumElements() > 64 || !isHostScalar(value.getElementType()))
    return std::nullopt;
  Dims list;
  if (isHostIndex(value.getElementType())) {
    for (APInt i : value.getValues<APInt>())
      list.push_back(ops.getIndexAttr(i.getSExtValue()));
  } else {
    for (Attribute a : value.getValues<Attribute>())
      list.push_back(a);
  }
  contents[v] = list;
  return list;
}

FailureOr<Dims> GraphBuilder::asScalars(Value v, int64_t limit) {
  if (auto known = knownScalars(v))
    return *known;
  RankedTensorType t = type(v);
  if (!t.hasStaticShape() || t.getNumElements() > limit)
    return failure();
  Dims list;
  if (t.getNumElements() > 0) {
    SmallVector<int64_t> position(t.getRank(), 0);
    for (int64_t i = 0; i < t.getNumElements(); ++i) {
      SmallVector<Value> indices;
      for (int64_t p : position)
        indices.push_back(math.value(ops.getIndexAttr(p)));
      list.push_back(toHost(create<tensor::ExtractOp>(v, indices)));
      for (int64_t a = t.getRank() - 1; a >= 0 && ++position[a] == t.getDimSize(a); --a)
        position[a] = 0;
    }
  }
  contents[v] = list;
  if (!lookedUp.empty())
    lookedUp.back().second.push_back(v);
  return list;
}

OpFoldResult GraphBuilder::toHost(Value s) {
  TypedAttr c;
  if (isHostIndex(s.getType()) || s.getType().isIndex())
    return math.fromInteger(s);
  if (matchPattern(s, m_Constant(&c)))
    return static_cast<Attribute>(c);
  return s;
}

Value GraphBuilder::materialize(OpFoldResult s, Type t) {
  if (isHostIndex(t) || t.isIndex())
    return math.toInteger(s, t);
  if (auto a = dyn_cast<Attribute>(s))
    return create<arith::ConstantOp>(cast<TypedAttr>(a));
  return cast<Value>(s);
}

Value GraphBuilder::fromScalars(ArrayRef<OpFoldResult> scalars, ArrayRef<int64_t> shape, Type e) {
  auto t = RankedTensorType::get(shape, e);
  SmallVector<Attribute> attrs;
  for (OpFoldResult s : scalars) {
    if (isHostIndex(e)) {
      if (auto c = math.asConstant(s))
        attrs.push_back(attr(e, *c));
    } else if (auto a = dyn_cast<Attribute>(s)) {
      attrs.push_back(a);
    }
  }
  Value v;
  if (attrs.size() == scalars.size())
    v = constant(DenseElementsAttr::get(t, attrs));
  else
    v = create<tensor::FromElementsOp>(t, llvm::map_to_vector(scalars, [&](OpFoldResult s) { return materialize(s, e); }));
  contents[v] = Dims(scalars);
  return v;
}

} // namespace leat::import
