// leat-raise-attention: MatMul, scale, mask, Softmax, MatMul becomes Attention (version 23, four-dimensional operands).
//
// Masks stay operands: an additive one as it is, a Where with -inf as a bool mask, a Where with another huge negative number as an additive
// one. The only difference that the raised form makes is in a row all of whose keys are hidden by -inf: zeros instead of NaN.
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

#include <cmath>

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRAISEATTENTION
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

/// One element, of any rank.
bool isScalar(Value value) {
  for (int64_t i = 0; i < rank(value); ++i)
    if (dim(value, i) != 1)
      return false;
  return rank(value) >= 0;
}

/// value = inner * factor, through products with known numbers.
struct Scaled {
  Value inner;
  double factor = 1;
};

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

/// What a chain of permutations (and scales) does to `inner`.
struct Permuted {
  Value inner;
  SmallVector<int64_t> perm;
  double factor = 1;
};

Permuted unpermuted(Value value) {
  Permuted p{value, {0, 1, 2, 3}, 1};
  while (true) {
    Scaled s = unscaled(p.inner);
    p.inner = s.inner, p.factor *= s.factor;
    NodeOp transpose = node(p.inner, "Transpose");
    auto perm = transpose ? intsAttr(transpose, "perm") : std::nullopt;
    if (!perm || perm->size() != 4)
      return p;
    for (int64_t &axis : p.perm)
      axis = (*perm)[axis];
    p.inner = transpose.getInputs()[0];
  }
}

/// x [B, G, T, D] behind Reshape(Expand(Unsqueeze(x, 2), [B, G, n, T, D]), [B, G*n, T, D]) (or Tile instead of Expand); otherwise the value
/// itself.
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
      ShapedType::isDynamic(dim(narrow, 3)) || size != dim(narrow, 3) || intAttr(reshape, "allowzero", 0))
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

/// Softmax over the last axis; returns its operand. Exports of torch guard rows without keys: Where(IsNaN(p), 0, p).
NodeOp softmaxOf(Value value) {
  value = throughCasts(value);
  if (NodeOp where = node(value, "Where")) {
    NodeOp isNan = node(where.getInputs()[0], "IsNaN");
    if (!isNan || number(where.getInputs()[1]) != 0.0 || through(isNan.getInputs()[0]) != through(where.getInputs()[2]))
      return NodeOp();
    value = throughCasts(where.getInputs()[2]);
  }
  NodeOp softmax = node(value, "Softmax");
  int64_t axis = softmax ? intAttr(softmax, "axis", softmax.getVersion() >= 13 ? -1 : 1) : 0;
  return softmax && axisOf(value, axis) == rank(value) - 1 ? softmax : NodeOp();
}

/// True if adding `bias` to scores of this type cannot make them larger: its known sizes are those of the scores, or ones.
bool broadcastsTo(Value mask, Value scores) {
  int64_t r = rank(mask);
  if (r < 0 || r > 4)
    return false;
  for (int64_t i = 1; i <= r; ++i)
    if (dim(mask, -i) != 1 && !ShapedType::isDynamic(dim(mask, -i)) && !ShapedType::isDynamic(dim(scores, -i)) &&
        dim(mask, -i) != dim(scores, -i))
      return false;
  return true;
}

/// So negative that adding any score to it rounds to itself.
bool absorbs(double value, Type type) { return value <= -1e30 || (type.getIntOrFloatBitWidth() == 16 && value <= -65000); }

struct Scores {
  Value product; // of q and k
  double scale = 1, softcap = 0;
  SmallVector<Value> biases;
  Value keep; // bool
};

/// Peels what lies between Softmax and the product of q and k.
std::optional<Scores> peel(OpBuilder &builder, NodeOp root, Value value) {
  Scores s;
  value = throughCasts(value);
  while (true) {
    if (NodeOp add = node(value, "Add")) {
      // The mask is the operand that is not a product of q and k: follow the one that leads to a MatMul of the full shape.
      auto leads = [&](Value v) {
        v = throughCasts(v);
        for (int depth = 0; depth < 8; ++depth) {
          if (node(v, "MatMul"))
            return rank(v) == 4;
          NodeOp op;
          for (StringRef name : {"Add", "Mul", "Div", "Where", "Tanh"})
            if (!op)
              op = node(v, name);
          if (!op)
            return false;
          v = throughCasts(op.getOpType() == "Where" ? op.getInputs()[number(op.getInputs()[1]) ? 2 : 1] : op.getInputs()[0]);
        }
        return false;
      };
      Value a = add.getInputs()[0], b = add.getInputs()[1];
      if (!leads(a))
        std::swap(a, b);
      if (!leads(a) || !isFloat(b) || !broadcastsTo(b, value))
        return std::nullopt;
      s.biases.push_back(b);
      value = throughCasts(a);
      continue;
    }
    if (NodeOp where = node(value, "Where")) {
      Value condition = where.getInputs()[0];
      auto yes = number(where.getInputs()[1]), no = number(where.getInputs()[2]);
      if (!broadcastsTo(condition, value) || bool(yes) == bool(no))
        return std::nullopt;
      double hidden = yes ? *yes : *no;
      Type type = elementType(value);
      if (!absorbs(hidden, type))
        return std::nullopt;
      auto conditionType = cast<RankedTensorType>(condition.getType());
      if (std::isinf(hidden) && !s.keep) {
        s.keep = yes ? make(builder, root, "Not", 1, {condition}, {conditionType})->getResult(0) : condition;
      } else {
        auto scalar = [&](double v) -> Value {
          auto t = RankedTensorType::get({}, type);
          auto attr = DenseElementsAttr::get(t, Attribute(FloatAttr::get(type, v)));
          return onnxir::ConstantOp::create(builder, root.getLoc(), t, cast<ElementsAttr>(attr));
        };
        Value h = scalar(hidden), zero = scalar(0);
        s.biases.push_back(make(builder, root, "Where", 16, {condition, yes ? h : zero, yes ? zero : h},
                                {RankedTensorType::get(conditionType.getShape(), type)})
                               ->getResult(0));
      }
      value = throughCasts(where.getInputs()[yes ? 2 : 1]);
      continue;
    }
    Scaled outer = unscaled(value);
    if (NodeOp tanh = node(outer.inner, "Tanh")) {
      Scaled inside = unscaled(tanh.getInputs()[0]);
      // cap * tanh(x * scale / cap)
      if (s.softcap != 0 || outer.factor <= 0)
        return std::nullopt;
      s.softcap = outer.factor;
      s.scale = inside.factor * outer.factor;
      value = inside.inner;
    } else {
      s.scale *= outer.factor;
      value = outer.inner;
    }
    if (!node(value, "MatMul"))
      return std::nullopt;
    s.product = value;
    return s;
  }
}

/// One mask operand from all that was found, null if there is none.
Value combine(OpBuilder &builder, NodeOp root, Scores &s, Value scores) {
  Type type;
  for (Value b : s.biases)
    type = elementType(b);
  auto join = [&](Value a, Value b) {
    int64_t r = std::max(rank(a), rank(b));
    SmallVector<int64_t> shape;
    for (int64_t i = r; i >= 1; --i) {
      int64_t x = i <= rank(a) ? dim(a, -i) : 1, y = i <= rank(b) ? dim(b, -i) : 1;
      shape.push_back(x == 1 ? y : y == 1 ? x : ShapedType::isDynamic(x) ? y : x);
    }
    return RankedTensorType::get(shape, type);
  };
  if (s.biases.empty())
    return s.keep;
  Value bias = s.biases.back();
  for (Value more : llvm::drop_begin(llvm::reverse(s.biases)))
    bias = make(builder, root, "Add", 14, {bias, more}, {join(bias, more)})->getResult(0);
  if (!s.keep)
    return bias;
  auto t = RankedTensorType::get({}, type);
  auto infinity = APFloat::getInf(cast<FloatType>(type).getFloatSemantics(), /*Negative=*/true);
  Value hidden = onnxir::ConstantOp::create(builder, root.getLoc(), t, cast<ElementsAttr>(DenseElementsAttr::get(t, infinity)));
  return make(builder, root, "Where", 16, {s.keep, bias, hidden}, {join(s.keep, bias)})->getResult(0);
}

/// True unless the sizes say that MatMul would broadcast one of the operands.
bool sameSize(int64_t a, int64_t b) { return a == b || (ShapedType::isDynamic(a) && b != 1) || (ShapedType::isDynamic(b) && a != 1); }

bool rewrite(OpBuilder &builder, NodeOp root) {
  if (root.getOpType() != "MatMul" || !root.getDomain().empty() || rank(root->getResult(0)) != 4 || !isFloat(root->getResult(0)))
    return false;
  Value weights = root.getInputs()[0], value = root.getInputs()[1], result = root->getResult(0);
  NodeOp softmax = softmaxOf(weights);
  if (!softmax || rank(value) != 4)
    return false;
  // Attention weights that are also wanted elsewhere have to be computed anyway.
  for (Operation *user : softmax->getUsers())
    if (auto use = dyn_cast<NodeOp>(user);
        !use || (use != root && use.getOpType() != "Cast" && use.getOpType() != "Where" && use.getOpType() != "IsNaN" &&
                 use.getOpType() != "Identity" && use.getOpType() != "Dropout"))
      return false;
  auto s = peel(builder, root, softmax.getInputs()[0]);
  if (!s)
    return false;
  NodeOp product = node(s->product, "MatMul");
  Permuted key = unpermuted(product.getInputs()[1]);
  Scaled query = unscaled(product.getInputs()[0]);
  if (rank(query.inner) != 4 || rank(key.inner) != 4 || elementType(query.inner) != elementType(key.inner))
    return false;
  Value q = query.inner, v = throughCasts(value);
  if (elementType(v) != elementType(q))
    v = value;
  if (elementType(q) != elementType(v) || elementType(v) != elementType(result))
    return false;
  // MatMul takes [B, H, D, T], Attention [B, H, T, D].
  std::swap(key.perm[2], key.perm[3]);
  SmallVector<int64_t> kShape;
  for (int64_t p : key.perm)
    kShape.push_back(dim(key.inner, p));
  bool kIsPlain = key.perm[0] == 0 && key.perm[1] == 1 && key.perm[2] == 2;
  Value kNarrow = kIsPlain ? beforeRepeat(key.inner) : key.inner, vNarrow = beforeRepeat(v);
  bool repeats = kNarrow != key.inner && vNarrow != v && dim(kNarrow, 1) == dim(vNarrow, 1) && elementType(kNarrow) == elementType(vNarrow);
  if (repeats && elementType(kNarrow) != elementType(q))
    repeats = false;
  if (!sameSize(dim(q, 0), kShape[0]) || !sameSize(kShape[0], dim(v, 0)) || !sameSize(dim(q, 1), kShape[1]) ||
      !sameSize(kShape[1], dim(v, 1)))
    return false;
  Value k = repeats ? kNarrow : transposed(builder, root, key.inner, key.perm);
  v = repeats ? vNarrow : v;

  Value mask = combine(builder, root, *s, s->product);
  double scale = s->scale * query.factor * key.factor;
  if (scale <= 0)
    return false;
  SmallVector<NamedAttribute> attrs{builder.getNamedAttr("scale", builder.getF32FloatAttr(scale))};
  if (s->softcap != 0)
    attrs.push_back(builder.getNamedAttr("softcap", builder.getF32FloatAttr(s->softcap)));
  SmallVector<Value> inputs{q, k, v};
  if (mask)
    inputs.push_back(mask);
  NodeOp made = make(builder, root, "Attention", 23, inputs, {result.getType()}, attrs);
  root->replaceAllUsesWith(made);
  return true;
}

struct RaiseAttention : impl::LeatRaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override { forEachNode(getOperation(), rewrite); }
};
} // namespace
} // namespace leat::import
