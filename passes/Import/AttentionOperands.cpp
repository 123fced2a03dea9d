// See AttentionOperands.h.
#include "passes/Import/AttentionOperands.h"

using namespace mlir;

namespace leat::import::raise {

bool isScalar(Value value) {
  for (int64_t i = 0; i < rank(value); ++i)
    if (dim(value, i) != 1)
      return false;
  return rank(value) >= 0;
}

Scaled unscaled(Value value) {
  Scaled s{throughCasts(value)};
  while (true) {
    if (NodeOp div = node(s.inner, "Div")) {
      auto n = number(div.getInputs()[1]);
      if (!n || *n == 0 || !isScalar(div.getInputs()[1]))
        return s;
      s = {throughCasts(div.getInputs()[0]), s.factor / *n};
      continue;
    }
    bool more = eitherOrder(node(s.inner, "Mul"), [&](Value a, Value b) {
      auto n = number(b);
      if (!n || !isScalar(b))
        return false;
      s = {throughCasts(a), s.factor * *n};
      return true;
    });
    if (!more)
      return s;
  }
}

/// x [..., M, N] behind Reshape(Transpose(Reshape(x, [-1, M, N]), {0, 2, 1}), [..., N, M]): how torch.onnx exchanges the last two axes of
/// any rank, every size read from x's shape. Null if it is not of that kind.
static Value behindFlatTranspose(Value value) {
  NodeOp wide = node(value, "Reshape");
  NodeOp transpose = wide ? node(wide.getInputs()[0], "Transpose") : NodeOp();
  NodeOp flat = transpose ? node(transpose.getInputs()[0], "Reshape") : NodeOp();
  if (!flat || intsAttr(transpose, "perm") != SmallVector<int64_t>{0, 2, 1})
    return Value();
  Value x = through(flat.getInputs()[0]), flatShape = flat.getInputs()[1], wideShape = wide.getInputs()[1];
  int64_t r = rank(x);
  if (r < 3 || rank(value) != r || rank(flatShape) != 1 || dim(flatShape, 0) != 3)
    return Value();
  auto is = [&](Value shape, int64_t i, int64_t axis) {
    if (auto size = sizeAt(shape, i))
      return size->tensor == x && size->axis == axis;
    return !ShapedType::isDynamic(dim(x, axis)) && integerAt(shape, i) == dim(x, axis);
  };
  for (int64_t axis = 0; axis < r; ++axis)
    if (!is(wideShape, axis, axis < r - 2 ? axis : 2 * r - 3 - axis))
      return Value();
  return is(flatShape, 1, r - 2) && is(flatShape, 2, r - 1) ? x : Value();
}

Permuted unpermuted(Value value) {
  Permuted p{value, llvm::to_vector(llvm::seq<int64_t>(0, std::max<int64_t>(rank(value), 0))), 1};
  while (true) {
    Scaled s = unscaled(p.inner);
    p.inner = s.inner, p.factor *= s.factor;
    if (Value x = behindFlatTranspose(p.inner)) {
      for (int64_t &axis : p.perm)
        axis = axis < rank(x) - 2 ? axis : 2 * rank(x) - 3 - axis;
      p.inner = x;
      continue;
    }
    NodeOp transpose = node(p.inner, "Transpose");
    auto perm = transpose ? intsAttr(transpose, "perm") : std::nullopt;
    if (!perm || perm->size() != p.perm.size())
      return p;
    for (int64_t &axis : p.perm)
      axis = (*perm)[axis];
    p.inner = transpose.getInputs()[0];
  }
}

Value beforeRepeat(Value value) {
  NodeOp reshape = node(throughCasts(value), "Reshape");
  if (!reshape || rank(value) != 4)
    return value;
  Value wide = through(reshape.getInputs()[0]), narrow;
  NodeOp expand = node(wide, "Expand"), tile = node(wide, "Tile");
  if (!expand && !tile)
    return value;
  Value repeated = (expand ? expand : tile).getInputs()[0], counts = (expand ? expand : tile).getInputs()[1];
  if (NodeOp unsqueeze = node(repeated, "Unsqueeze")) {
    auto axes = unsqueeze.getVersion() >= 13 ? integers(unsqueeze.getInputs()[1]) : intsAttr(unsqueeze, "axes");
    if (!axes || axes->size() != 1 || axisOf(repeated, (*axes)[0]) != 2)
      return value;
    narrow = unsqueeze.getInputs()[0];
  } else if (NodeOp again = node(repeated, "Reshape"); again && rank(repeated) == 5 && dim(repeated, 2) == 1) {
    narrow = again.getInputs()[0];
  }
  if (!narrow || rank(narrow) != 4)
    return value;
  auto known = [](int64_t type, std::optional<int64_t> entry) { return ShapedType::isDynamic(type) && entry ? *entry : type; };
  int64_t groups = dim(narrow, 1), times = integerAt(counts, 2).value_or(ShapedType::kDynamic);
  if (expand)
    times = known(dim(wide, 2), integerAt(counts, 2));
  int64_t heads = known(dim(value, 1), integerAt(reshape.getInputs()[1], 1));
  int64_t size = known(dim(value, 3), integerAt(reshape.getInputs()[1], 3));
  if (ShapedType::isDynamic(groups) || ShapedType::isDynamic(times) || ShapedType::isDynamic(heads) || groups * times != heads ||
      ShapedType::isDynamic(dim(narrow, 3)) || size != dim(narrow, 3))
    return value;
  // Nothing but the new axis may be repeated.
  for (int64_t i : {0, 1, 3, 4}) {
    auto count = integerAt(counts, i);
    int64_t before = dim(narrow, i < 2 ? i : i - 1);
    if (tile ? count != 1 : (count && before == 1 && *count != 1 && *count != -1))
      return value;
    if (expand && !count && before == 1)
      return value;
  }
  return narrow;
}

} // namespace leat::import::raise
