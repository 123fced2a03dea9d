// Views, windows and joins of tensors.
#include "passes/Import/GraphBuilder.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat::import {

/// Cuts two lists of sizes into groups of equal products, or nothing where that cannot be decided.
static bool groupAxes(IndexMath &math, ArrayRef<OpFoldResult> from, ArrayRef<OpFoldResult> to,
                      SmallVector<ReassociationIndices> &fromGroups, SmallVector<ReassociationIndices> &toGroups) {
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    OpFoldResult a = from[i], b = to[j];
    ReassociationIndices ga{static_cast<int64_t>(i++)}, gb{static_cast<int64_t>(j++)};
    while (!math.equal(a, b)) {
      auto ca = math.asConstant(a), cb = math.asConstant(b);
      bool growTo = ca && cb ? *cb < *ca : math.divides(b, a);
      bool growFrom = ca && cb ? *ca < *cb : math.divides(a, b);
      if (growTo && j < to.size()) {
        b = math.mul(b, to[j]);
        gb.push_back(j++);
      } else if (growFrom && i < from.size()) {
        a = math.mul(a, from[i]);
        ga.push_back(i++);
      } else {
        return false;
      }
    }
    fromGroups.push_back(ga);
    toGroups.push_back(gb);
  }
  if (fromGroups.empty())
    return false;
  for (; i < from.size(); ++i) {
    if (math.asConstant(from[i]) != 1)
      return false;
    fromGroups.back().push_back(i);
  }
  for (; j < to.size(); ++j) {
    if (math.asConstant(to[j]) != 1)
      return false;
    toGroups.back().push_back(j);
  }
  return true;
}

/// Whether the types of a group allow expand_shape and collapse_shape: the folded size is dynamic exactly when one of the unfolded is.
static bool groupsFit(RankedTensorType folded, RankedTensorType unfolded, ArrayRef<ReassociationIndices> groups) {
  for (auto [i, group] : llvm::enumerate(groups)) {
    bool dynamic = llvm::any_of(group, [&](int64_t a) { return unfolded.isDynamicDim(a); });
    if (folded.isDynamicDim(i) != dynamic)
      return false;
  }
  return true;
}

Value GraphBuilder::reshape(Value v, ArrayRef<OpFoldResult> resultDims) {
  Dims own = dims(v);
  if (sameDims(own, resultDims))
    return v;
  // A view of a view: back to a shape that it had, or one whose axes only split or only join.
  auto isView = [](Operation *def) { return isa_and_nonnull<tensor::ReshapeOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(def); };
  Value simplest;
  for (Value source = v; isView(source.getDefiningOp());) {
    source = source.getDefiningOp()->getOperand(0);
    Dims seen = dims(source);
    if (sameDims(seen, resultDims))
      return source;
    SmallVector<ReassociationIndices> from, to;
    auto single = [](ArrayRef<ReassociationIndices> groups) { return llvm::all_of(groups, [](const auto &g) { return g.size() == 1; }); };
    if (groupAxes(math, seen, resultDims, from, to) && (single(from) || single(to)))
      simplest = source;
  }
  if (simplest)
    v = simplest, own = dims(v);
  RankedTensorType t = typeOf(resultDims, elem(v)), from = type(v);
  if (from.hasStaticShape() && t.hasStaticShape() && from.getNumElements() != t.getNumElements()) {
    invalid("cannot reshape " + Twine(from.getNumElements()) + " elements to " + Twine(t.getNumElements()));
    return withDims(create<tensor::EmptyOp>(t, ValueRange{}), resultDims);
  }
  if (auto known = knownScalars(v); known && t.hasStaticShape())
    return fromScalars(*known, t.getShape(), elem(v));
  if (DenseElementsAttr c = asConstant(v); c && t.hasStaticShape())
    return constant(c.reshape(t));

  SmallVector<ReassociationIndices> fromGroups, toGroups;
  if (groupAxes(math, own, resultDims, fromGroups, toGroups)) {
    auto single = [](ArrayRef<ReassociationIndices> groups) { return llvm::all_of(groups, [](const auto &g) { return g.size() == 1; }); };
    if (single(fromGroups) && groupsFit(from, t, toGroups))
      return withDims(create<tensor::ExpandShapeOp>(t, v, toGroups, resultDims), resultDims);
    if (single(toGroups) && groupsFit(t, from, fromGroups))
      return withDims(create<tensor::CollapseShapeOp>(t, v, fromGroups), resultDims);
    if (fromGroups.size() > 1 && !single(fromGroups) && !single(toGroups)) {
      Dims middle;
      for (const ReassociationIndices &g : fromGroups)
        middle.push_back(math.product(llvm::map_to_vector(g, [&](int64_t a) { return own[a]; })));
      RankedTensorType mt = typeOf(middle, elem(v));
      if (groupsFit(mt, from, fromGroups) && groupsFit(mt, t, toGroups)) {
        Value c = withDims(create<tensor::CollapseShapeOp>(mt, v, fromGroups), middle);
        return withDims(create<tensor::ExpandShapeOp>(t, c, toGroups, resultDims), resultDims);
      }
    }
  }
  if (t.getRank() == 0) // all sizes are 1, known or not
    v = from.hasStaticShape()
            ? v
            : create<tensor::CastOp>(RankedTensorType::get(SmallVector<int64_t>(from.getRank(), 1), elem(v)), v).getResult();
  if (t.getRank() == 0)
    return create<tensor::CollapseShapeOp>(t, v, ArrayRef<ReassociationIndices>{});
  Value shape = create<tensor::FromElementsOp>(RankedTensorType::get({t.getRank()}, ops.getIndexType()), math.values(resultDims));
  return withDims(create<tensor::ReshapeOp>(t, v, shape), resultDims);
}

Value GraphBuilder::unsqueeze(Value v, ArrayRef<int64_t> sortedAxes) {
  Dims result = dims(v);
  for (int64_t a : sortedAxes)
    result.insert(result.begin() + a, math.constant(1));
  return reshape(v, result);
}

Value GraphBuilder::squeeze(Value v, ArrayRef<int64_t> sortedAxes) {
  Dims result = dims(v);
  for (int64_t a : llvm::reverse(sortedAxes))
    result.erase(result.begin() + a);
  return reshape(v, result);
}

Value GraphBuilder::transpose(Value v, ArrayRef<int64_t> permutation) {
  Dims own = dims(v), resultDims;
  int64_t r = permutation.size();
  SmallVector<AffineExpr> exprs(r);
  SmallVector<int64_t> moved; // axes that are not 1, in the order of the result
  for (int64_t i = 0; i < r; ++i) {
    resultDims.push_back(own[permutation[i]]);
    exprs[permutation[i]] = ops.getAffineDimExpr(i);
    if (math.asConstant(own[permutation[i]]) != 1)
      moved.push_back(permutation[i]);
  }
  if (llvm::is_sorted(moved))
    return reshape(v, resultDims);
  return map({v}, {AffineMap::get(r, 0, exprs, ops.getContext())}, resultDims, elem(v),
             [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

Value GraphBuilder::slice(Value v, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> strides) {
  Dims own = dims(v);
  bool unit = llvm::all_of(strides, [](int64_t s) { return s == 1; });
  if (unit && sameDims(own, sizes))
    return v;
  RankedTensorType t = typeOf(sizes, elem(v));
  if (auto known = knownScalars(v); known && type(v).getRank() == 1 && t.hasStaticShape() && math.asConstant(offsets[0])) {
    Dims part;
    int64_t at = *math.asConstant(offsets[0]);
    for (int64_t i = 0; i < t.getDimSize(0); ++i, at += strides.empty() ? 1 : strides[0])
      part.push_back((*known)[at]);
    return fromScalars(part, t.getShape(), elem(v));
  }
  SmallVector<OpFoldResult> offs, szs, steps;
  for (auto [i, o] : llvm::enumerate(offsets)) {
    auto fold = [&](OpFoldResult d) -> OpFoldResult {
      if (auto c = math.asConstant(d))
        return ops.getIndexAttr(*c);
      return d;
    };
    offs.push_back(fold(o));
    szs.push_back(fold(sizes[i]));
    steps.push_back(ops.getIndexAttr(strides.empty() ? 1 : strides[i]));
  }
  return withDims(create<tensor::ExtractSliceOp>(t, v, offs, szs, steps), sizes);
}

Value GraphBuilder::sliceAxis(Value v, int64_t axis, OpFoldResult offset, OpFoldResult size) {
  Dims sizes = dims(v), offsets(sizes.size(), math.constant(0));
  sizes[axis] = size;
  offsets[axis] = offset;
  return slice(v, offsets, sizes);
}

Value GraphBuilder::concat(ArrayRef<Value> values, int64_t axis) {
  SmallVector<Value> parts;
  Dims result = dims(values[0]);
  OpFoldResult total = math.constant(0);
  bool allKnown = type(values[0]).getRank() == 1;
  Dims scalars;
  for (Value v : values) {
    Dims own = dims(v);
    for (auto [i, d] : llvm::enumerate(own))
      if (static_cast<int64_t>(i) != axis)
        require(result[i], d, "sizes of axis " + Twine(i) + " differ");
    total = math.add(total, own[axis]);
    for (auto [i, d] : llvm::enumerate(own))
      if (static_cast<int64_t>(i) != axis && math.asConstant(d))
        result[i] = d;
    if (math.asConstant(own[axis]) != 0)
      parts.push_back(v);
    auto known = allKnown ? knownScalars(v) : std::nullopt;
    allKnown &= known.has_value();
    if (allKnown)
      scalars.append(known->begin(), known->end());
  }
  result[axis] = total;
  if (allKnown && scalars.size() <= 64)
    return fromScalars(scalars, {static_cast<int64_t>(scalars.size())}, elem(values[0]));
  if (parts.size() == 1 && sameDims(dims(parts[0]), result))
    return parts[0];
  if (parts.empty())
    return values[0];
  return withDims(create<tensor::ConcatOp>(typeOf(result, elem(values[0])), axis, parts), result);
}

Value GraphBuilder::pad(Value v, ArrayRef<OpFoldResult> low, ArrayRef<OpFoldResult> high, Value padding) {
  Dims result;
  for (auto [d, l, h] : llvm::zip(dims(v), low, high))
    result.push_back(math.add(math.add(d, l), h));
  if (sameDims(dims(v), result))
    return v;
  return withDims(create<tensor::PadOp>(typeOf(result, elem(v)), v, low, high, padding), result);
}

} // namespace leat::import
