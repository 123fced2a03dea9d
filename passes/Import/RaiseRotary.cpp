// leat-raise-rotary: x * cos + rotate(x) * sin becomes RotaryEmbedding with cos and sin of one half, where rotate turns halves (Llama) or
// neighbours (GPT-J, ChatGLM); a rotation of the first elements with the others behind it becomes one of partial width.
//
// That is exact only when the two halves of cos (and of sin), or the neighbours, are equal; exporters write them as cos(concat(f, f)) or
// repeat_interleave, so it can be proved.
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRAISEROTARY
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

/// One half of x along the last axis: x and which half.
struct Half {
  Value x;
  bool upper;
};

std::optional<Half> halfOf(Value value) {
  value = through(value);
  if (NodeOp split = node(value, "Split")) {
    Value x = split.getInputs()[0];
    if (split.getNumResults() != 2 || axisOf(x, intAttr(split, "axis", 0)) != rank(x) - 1)
      return std::nullopt;
    // Unequal parts show in the result types; an even split is the default.
    if (dim(split->getResult(0), -1) != dim(split->getResult(1), -1) || ShapedType::isDynamic(dim(split->getResult(0), -1)))
      return std::nullopt;
    return Half{through(x), value == split->getResult(1)};
  }
  auto slice = lastAxisSlice(node(value, "Slice"));
  if (!slice || slice->step != 1)
    return std::nullopt;
  Value x = slice->x;
  int64_t d = dim(x, -1), from = slice->start, to = slice->end;
  if (ShapedType::isDynamic(d) || d % 2)
    return std::nullopt;
  from = std::clamp<int64_t>(from < 0 ? from + d : from, 0, d), to = std::clamp<int64_t>(to < 0 ? to + d : to, 0, d);
  if (from == 0 && to == d / 2)
    return Half{through(x), false};
  if (from == d / 2 && to == d)
    return Half{through(x), true};
  return std::nullopt;
}

/// concat(-x2, x1): returns x.
Value rotatedHalf(Value value) {
  NodeOp concat = node(value, "Concat");
  if (!concat || concat.getInputs().size() != 2 || axisOf(value, intAttr(concat, "axis", 0)) != rank(value) - 1)
    return Value();
  NodeOp neg = node(concat.getInputs()[0], "Neg");
  auto upper = neg ? halfOf(neg.getInputs()[0]) : std::nullopt, lower = halfOf(concat.getInputs()[1]);
  if (!upper || !lower || !upper->upper || lower->upper || upper->x != lower->x)
    return Value();
  return lower->x;
}

/// Every second element of x along the last axis.
struct Every {
  Value x;
  bool odd;
};

/// [..., D] behind Reshape to [..., D / 2, 2].
Value beforePairs(Value value) {
  NodeOp reshape = node(value, "Reshape");
  Value x = reshape ? through(reshape.getInputs()[0]) : Value();
  bool pairs =
      x && rank(value) == rank(x) + 1 && dim(value, -1) == 2 && !ShapedType::isDynamic(dim(x, -1)) && dim(value, -2) * 2 == dim(x, -1);
  return pairs ? x : Value();
}

std::optional<Every> everySecond(Value value) {
  value = through(value);
  if (auto slice = lastAxisSlice(node(value, "Slice"))) {
    int64_t d = dim(slice->x, -1);
    if (slice->step != 2 || ShapedType::isDynamic(d) || d % 2 || slice->end < d || slice->start < 0 || slice->start > 1)
      return std::nullopt;
    return Every{through(slice->x), slice->start == 1};
  }
  // One of each pair.
  if (NodeOp gather = node(value, "Gather")) {
    Value pairs = gather.getInputs()[0], x = beforePairs(pairs);
    auto which = number(gather.getInputs()[1]);
    if (!x || !which || rank(gather.getInputs()[1]) != 0 || axisOf(pairs, intAttr(gather, "axis", 0)) != rank(pairs) - 1 ||
        (*which != 0 && *which != 1))
      return std::nullopt;
    return Every{x, *which == 1};
  }
  if (NodeOp squeeze = node(value, "Squeeze")) {
    Value one = through(squeeze.getInputs()[0]);
    NodeOp split = node(one, "Split");
    Value x = split ? beforePairs(split.getInputs()[0]) : Value();
    if (!x || rank(value) != rank(x) || dim(value, -1) * 2 != dim(x, -1) || split.getNumResults() != 2 ||
        axisOf(one, intAttr(split, "axis", 0)) != rank(one) - 1)
      return std::nullopt;
    return Every{x, one == split->getResult(1)};
  }
  return std::nullopt;
}

/// a and b of stack(a, b) along a new last axis, flattened into the axis before: [a0, b0, a1, b1, ...].
std::optional<std::pair<Value, Value>> interleaved(Value value) {
  NodeOp reshape = node(value, "Reshape");
  Value wide = reshape ? through(reshape.getInputs()[0]) : Value();
  NodeOp concat = wide ? node(wide, "Concat") : NodeOp();
  if (!concat || concat.getInputs().size() != 2 || rank(wide) != rank(value) + 1 ||
      axisOf(wide, intAttr(concat, "axis", 0)) != rank(wide) - 1 || ShapedType::isDynamic(dim(value, -1)) ||
      dim(wide, -2) * 2 != dim(value, -1))
    return std::nullopt;
  Value parts[2];
  for (int i : {0, 1}) {
    NodeOp unsqueeze = node(concat.getInputs()[i], "Unsqueeze");
    if (!unsqueeze || dim(concat.getInputs()[i], -1) != 1)
      return std::nullopt;
    auto axes = unsqueeze.getVersion() >= 13 ? integers(unsqueeze.getInputs()[1]) : intsAttr(unsqueeze, "axes");
    if (!axes || axes->size() != 1 || axisOf(concat.getInputs()[i], (*axes)[0]) != rank(wide) - 1)
      return std::nullopt;
    parts[i] = unsqueeze.getInputs()[0];
  }
  return std::pair(parts[0], parts[1]);
}

/// Every element of the last axis twice: Reshape(Expand or Tile(Unsqueeze(t, -1))), or t stacked with itself.
bool repeatsEach(Value value) {
  if (auto parts = interleaved(value))
    return through(parts->first) == through(parts->second);
  NodeOp reshape = node(value, "Reshape");
  Value wide = reshape ? through(reshape.getInputs()[0]) : Value();
  if (!wide || rank(wide) != rank(value) + 1 || dim(wide, -1) != 2 || ShapedType::isDynamic(dim(value, -1)) ||
      dim(wide, -2) * 2 != dim(value, -1))
    return false;
  NodeOp expand = node(wide, "Expand"), tile = node(wide, "Tile");
  NodeOp repeat = expand ? expand : tile;
  return repeat && rank(repeat.getInputs()[0]) == rank(wide) && dim(repeat.getInputs()[0], -1) == 1 &&
         dim(repeat.getInputs()[0], -2) == dim(wide, -2);
}

/// stack(-x_odd, x_even) flattened: returns x.
Value rotatedPairs(Value value) {
  auto parts = interleaved(value);
  NodeOp neg = parts ? node(parts->first, "Neg") : NodeOp();
  auto odd = neg ? everySecond(neg.getInputs()[0]) : std::nullopt, even = parts ? everySecond(parts->second) : std::nullopt;
  if (!odd || !even || !odd->odd || even->odd || odd->x != even->x)
    return Value();
  return odd->x;
}

/// What a table repeats along its last axis: its lower half as the upper one, or every element as its neighbour.
enum class Repeat { Halves, Neighbours };

/// True if that is provable.
bool repeats(Value value, Repeat kind, int depth = 0) {
  value = through(value);
  if (number(value))
    return true;
  int64_t d = dim(value, -1);
  auto other = [&](int64_t i) { return kind == Repeat::Halves ? i + d / 2 : i + 1; };
  auto isFirst = [&](int64_t i) { return kind == Repeat::Halves ? i % d < d / 2 : i % 2 == 0; };
  if (auto constant = value.getDefiningOp<onnxir::ConstantOp>()) {
    auto attr = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!attr || d <= 0 || d % 2)
      return false;
    auto all = attr.getValues<Attribute>();
    for (int64_t i = 0, n = attr.getNumElements(); i < n; ++i)
      if (isFirst(i) && all[i] != all[other(i)])
        return false;
    return true;
  }
  if (auto ref = value.getDefiningOp<ParamRefOp>()) {
    // A table of cosines. Its bytes are at hand, and a table is read once.
    auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(ref, ref.getParamAttr());
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!param || !param.getKey() || !type.hasStaticShape() || type.getRank() < 1 || !isa<FloatType>(type.getElementType()))
      return false;
    int64_t width = type.getElementTypeBitWidth() / 8, n = type.getNumElements();
    ArrayRef<char> bytes = value.getContext()->getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
    if (d == 0 || d % 2 || static_cast<int64_t>(bytes.size()) != n * width)
      return false;
    for (int64_t i = 0; i < n; ++i)
      if (isFirst(i) && memcmp(bytes.data() + i * width, bytes.data() + other(i) * width, width))
        return false;
    return true;
  }
  auto op = value.getDefiningOp<NodeOp>();
  if (!op || !op.getDomain().empty() || depth > 16 || rank(value) < 1)
    return false;
  StringRef name = op.getOpType();
  Value first = op.getInputs().empty() ? Value() : op.getInputs()[0];
  auto holds = [&](Value v) { return repeats(v, kind, depth + 1); };
  if (name == "Concat" && axisOf(value, intAttr(op, "axis", 0)) == rank(value) - 1)
    return kind == Repeat::Halves && op.getInputs().size() == 2 && through(op.getInputs()[0]) == through(op.getInputs()[1]);
  if (name == "Concat")
    return llvm::all_of(op.getInputs(), holds);
  if (name == "Reshape")
    return kind == Repeat::Neighbours && repeatsEach(value);
  if (name == "Cos" || name == "Sin" || name == "Cast" || name == "Neg")
    return holds(first);
  if (name == "Mul" || name == "Add" || name == "Sub" || name == "Div")
    return llvm::all_of(op.getInputs(), [&](Value v) { return rank(v) == 0 || (rank(v) > 0 && dim(v, -1) == 1) || holds(v); });
  if (name == "Gather") // of rows: the last axis must stay the last
    return rank(first) > 1 && axisOf(first, intAttr(op, "axis", 0)) < rank(first) - 1 && holds(first);
  if (name == "Slice" && op.getVersion() >= 10) {
    auto axes = input(op, 3) ? integers(input(op, 3)) : std::nullopt;
    return axes && llvm::none_of(*axes, [&](int64_t a) { return axisOf(first, a) == rank(first) - 1; }) && holds(first);
  }
  if (name == "Unsqueeze" || name == "Squeeze") {
    // The last axis must stay the last: its size tells, when the sizes around it are ones.
    return rank(first) > 0 && !ShapedType::isDynamic(dim(first, -1)) && dim(first, -1) > 1 && dim(first, -1) == dim(value, -1) &&
           holds(first);
  }
  if (name == "Transpose") {
    auto perm = intsAttr(op, "perm");
    return perm && perm->back() == int64_t(perm->size()) - 1 && holds(first);
  }
  if (name == "Expand")
    return dim(first, -1) == dim(value, -1) && !ShapedType::isDynamic(dim(value, -1)) && holds(first);
  return false;
}

/// The axes of batch, heads, sequence and elements in x.
using Layout = std::array<int64_t, 4>;
constexpr Layout kLayouts[] = {{0, 1, 2, 3}, {0, 2, 1, 3}, {1, 2, 0, 3}};

/// The layout of what a table multiplies: heads are where the table has a known one, the sequence where it may have more. Null if neither
/// fits.
const Layout *layoutOf(Value table, Value x) {
  int64_t r = rank(table), missing = 4 - r;
  if (r < 2 || r > 4 || rank(x) != 4)
    return nullptr;
  auto size = [&](int64_t axis) { return axis < missing ? 1 : dim(table, axis - missing); };
  for (const Layout &layout : kLayouts) {
    auto [batch, heads, sequence, element] = layout;
    // Batch first, a table [1, 1, S, D]: both of the first are ones. Sequence first, [S, 1, 1, D].
    if (size(heads) == 1 && size(sequence) != 1 && (&layout != &kLayouts[2] || (size(batch) == 1 && dim(x, 1) != 1 && dim(x, 2) != 1)))
      return &layout;
  }
  return size(1) == 1 && size(2) == 1 && dim(x, 2) == 1 ? &kLayouts[0] : nullptr;
}

/// [B, S, D] from what multiplies x of this layout.
Value withoutHeads(OpBuilder &builder, NodeOp root, Value table, const Layout &layout) {
  table = through(table);
  auto reshaped = [&](StringRef op, ArrayRef<int64_t> axes, ArrayRef<int64_t> shape) {
    auto type = RankedTensorType::get(shape, elementType(table));
    return make(builder, root, op, 13, {table, constantInts(builder, root.getLoc(), axes)}, {type})->getResult(0);
  };
  bool headsSecond = &layout == &kLayouts[0];
  if (rank(table) == 4) {
    NodeOp op = node(table, "Unsqueeze");
    Value inner = op ? op.getInputs()[0] : Value();
    if (inner && rank(inner) == 3 && op.getVersion() >= 13 && layout[0] == 0)
      if (auto axes = integers(op.getInputs()[1]); axes && axes->size() == 1 && axisOf(table, (*axes)[0]) == layout[1])
        return inner;
    if (layout[0] == 0)
      return reshaped("Squeeze", {layout[1]}, {dim(table, 0), dim(table, layout[2]), dim(table, 3)});
    table = transposed(builder, root, table, layout);
    return reshaped("Squeeze", {1}, {dim(table, 0), dim(table, 2), dim(table, 3)});
  }
  if (rank(table) == 3 && headsSecond)
    return dim(table, 0) == 1 ? table : Value();
  if (rank(table) == 3 && layout[0] == 0) // [S, 1, D] beside [B, S, H, D]
    return make(builder, root, "Transpose", 13, {table}, {RankedTensorType::get({1, dim(table, 0), dim(table, 2)}, elementType(table))},
                {builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr({1, 0, 2}))})
        ->getResult(0);
  if (rank(table) == 2 && headsSecond)
    return reshaped("Unsqueeze", {0}, {1, dim(table, 0), dim(table, 1)});
  return Value();
}

struct Rewriter {
  // cos and sin are shared by all layers: so are their halves.
  DenseMap<std::pair<Value, int>, Value> halves;
  DenseMap<std::pair<Value, int64_t>, Value> tables;

  /// One of what is there twice along the last axis.
  Value single(Value table, NodeOp root, Repeat kind) {
    Value &half = halves[{table, int(kind)}];
    if (!half) {
      OpBuilder builder(root.getContext());
      builder.setInsertionPointAfterValue(table);
      int64_t d = dim(table, -1);
      bool lower = kind == Repeat::Halves;
      auto ints = [&](int64_t v) { return constantInts(builder, root.getLoc(), {v}); };
      auto type = RankedTensorType::get({dim(table, 0), dim(table, 1), d / 2}, elementType(table));
      half =
          make(builder, root, "Slice", 13, {table, ints(0), ints(lower ? d / 2 : d), ints(2), ints(lower ? 1 : 2)}, {type})->getResult(0);
    }
    return half;
  }

  /// [B, S, D or D/2] tables of one rotation, in a form that outlives `root`.
  Value table(NodeOp root, Value value, const Layout &layout) {
    OpBuilder at(root.getContext());
    at.setInsertionPointAfterValue(value);
    Value &flat = tables[{value, &layout - kLayouts}];
    if (!flat)
      flat = withoutHeads(at, root, value, layout);
    return flat;
  }

  /// `repeated`: cos and sin have everything twice, in this way.
  bool emit(OpBuilder &builder, NodeOp root, Value x, Value cos, Value sin, bool pairs, std::optional<Repeat> repeated) {
    Value result = root->getResult(0);
    int64_t d = dim(x, -1);
    if (rank(x) != 4 || rank(result) != 4 || ShapedType::isDynamic(d) || elementType(x) != elementType(result) ||
        dim(cos, -1) != (repeated ? d : d / 2) || dim(sin, -1) != dim(cos, -1))
      return false;
    const Layout *layout = layoutOf(cos, x);
    if (!layout || layoutOf(sin, x) != layout)
      return false;
    cos = table(root, cos, *layout), sin = table(root, sin, *layout);
    if (!cos || !sin)
      return false;
    if (repeated)
      cos = single(cos, root, *repeated), sin = single(sin, root, *repeated);
    Value turned = transposed(builder, root, x, *layout);
    Value made = make(builder, root, "RotaryEmbedding", 23, {turned, cos, sin}, {turned.getType()},
                      {builder.getNamedAttr("interleaved", builder.getI64IntegerAttr(pairs))})
                     ->getResult(0);
    // Back, but not for those who would turn it round again.
    SmallVector<int64_t> back(4);
    for (int64_t i = 0; i < 4; ++i)
      back[(*layout)[i]] = i;
    if (back != SmallVector<int64_t>{0, 1, 2, 3})
      for (Operation *user : llvm::make_early_inc_range(result.getUsers()))
        if (auto transpose = dyn_cast<NodeOp>(user); transpose && transpose.getDomain().empty() && transpose.getOpType() == "Transpose")
          if (auto perm = intsAttr(transpose, "perm"); perm && ArrayRef(*perm) == ArrayRef<int64_t>(layout->data(), 4))
            transpose->getResult(0).replaceAllUsesWith(made);
    root->getResult(0).replaceAllUsesWith(transposed(builder, root, made, back));
    return true;
  }

  /// x * cos + rotate(x) * sin
  bool rotateWhole(OpBuilder &builder, NodeOp root, Repeat kind) {
    Value x, cos, sin;
    bool found = eitherOrder(node(root->getResult(0), "Add"), [&](Value plain, Value turned) {
      return eitherOrder(node(turned, "Mul"), [&](Value rotated, Value s) {
        x = kind == Repeat::Halves ? rotatedHalf(rotated) : rotatedPairs(rotated);
        sin = s;
        return x && eitherOrder(node(plain, "Mul"), [&](Value same, Value c) { return cos = c, through(same) == x; });
      });
    });
    return found && repeats(cos, kind) && repeats(sin, kind) && emit(builder, root, x, cos, sin, kind == Repeat::Neighbours, kind);
  }

  /// x1 * cos - x2 * sin and x2 * cos + x1 * sin, joined by `root`, with tables of one half.
  bool twoParts(OpBuilder &builder, NodeOp root, Value first, Value second, bool pairs) {
    NodeOp lower = node(first, "Sub");
    if (!lower)
      return false;
    Value x, cos, sin;
    auto partOf = [&](Value v) -> std::optional<Half> {
      if (!pairs)
        return halfOf(v);
      auto every = everySecond(v);
      return every ? std::optional(Half{every->x, every->odd}) : std::nullopt;
    };
    auto product = [&](Value mul, bool upper, Value &factor) {
      return eitherOrder(node(mul, "Mul"), [&](Value part, Value table) {
        auto half = partOf(part);
        if (!half || half->upper != upper || (x && half->x != x) || (factor && through(factor) != through(table)))
          return false;
        x = half->x, factor = table;
        return true;
      });
    };
    if (!product(lower.getInputs()[0], false, cos) || !product(lower.getInputs()[1], true, sin))
      return false;
    bool found = eitherOrder(node(second, "Add"), [&](Value a, Value b) { return product(a, true, cos) && product(b, false, sin); });
    return found && emit(builder, root, x, cos, sin, pairs, std::nullopt);
  }

  bool operator()(OpBuilder &builder, NodeOp root) {
    if (!root.getDomain().empty() || root.getNumResults() != 1)
      return false;
    Value result = root->getResult(0);
    StringRef name = root.getOpType();
    if (name == "Add")
      return rotateWhole(builder, root, Repeat::Halves) || rotateWhole(builder, root, Repeat::Neighbours);
    if (name == "Concat" && root.getInputs().size() == 2 && axisOf(result, intAttr(root, "axis", 0)) == rank(result) - 1)
      return twoParts(builder, root, root.getInputs()[0], root.getInputs()[1], false);
    if (auto parts = name == "Reshape" ? interleaved(result) : std::nullopt)
      return twoParts(builder, root, parts->first, parts->second, true);
    return false;
  }
};

/// The first `count` elements of x along the last axis, or the others.
std::optional<Half> prefixOf(Value value, int64_t count) {
  value = through(value);
  if (NodeOp split = node(value, "Split")) {
    Value x = split.getInputs()[0];
    if (split.getNumResults() != 2 || axisOf(x, intAttr(split, "axis", 0)) != rank(x) - 1 || dim(split->getResult(0), -1) != count)
      return std::nullopt;
    return Half{through(x), value == split->getResult(1)};
  }
  auto slice = lastAxisSlice(node(value, "Slice"));
  if (!slice || slice->step != 1)
    return std::nullopt;
  Value x = slice->x;
  int64_t d = dim(x, -1), from = slice->start, to = slice->end;
  if (ShapedType::isDynamic(d))
    return std::nullopt;
  from = from < 0 ? from + d : from, to = std::min(to < 0 ? to + d : to, d);
  if (from == 0 && to == count)
    return Half{through(x), false};
  if (from == count && to == d)
    return Half{through(x), true};
  return std::nullopt;
}

/// concat(rotary(x[..., :R]), x[..., R:]) is a rotation of the first R elements of x.
bool partial(OpBuilder &builder, NodeOp root) {
  Value result = root->getResult(0);
  if (root.getOpType() != "Concat" || !root.getDomain().empty() || root.getInputs().size() != 2 || rank(result) != 4 ||
      axisOf(result, intAttr(root, "axis", 0)) != 3)
    return false;
  NodeOp rotary = node(root.getInputs()[0], "RotaryEmbedding"), back = node(root.getInputs()[0], "Transpose");
  if (!rotary && back)
    rotary = node(back.getInputs()[0], "RotaryEmbedding");
  if (!rotary || rotary.getInputs().size() != 3 || rank(rotary.getInputs()[0]) != 4 || intAttr(rotary, "rotary_embedding_dim", 0))
    return false;
  // Where the rotation stands between two transpositions, the whole goes through them.
  Value inner = rotary.getInputs()[0];
  SmallVector<int64_t> there{0, 1, 2, 3}, again = there;
  if (back) {
    NodeOp before = node(inner, "Transpose");
    auto perm = before ? intsAttr(before, "perm") : std::nullopt, inverse = intsAttr(back, "perm");
    if (!perm || !inverse || perm->size() != 4 || inverse->size() != 4 || (*perm)[3] != 3)
      return false;
    for (int64_t i = 0; i < 4; ++i)
      if ((*inverse)[(*perm)[i]] != i)
        return false;
    there = *perm, again = *inverse;
    inner = before.getInputs()[0];
  }
  int64_t width = dim(inner, -1);
  auto rotated = prefixOf(inner, width), rest = prefixOf(root.getInputs()[1], width);
  if (ShapedType::isDynamic(width) || !rotated || !rest || rotated->upper || !rest->upper || rotated->x != rest->x ||
      elementType(rotated->x) != elementType(result))
    return false;
  Value x = transposed(builder, root, rotated->x, there);
  Value made = make(builder, root, "RotaryEmbedding", 23, {x, rotary.getInputs()[1], rotary.getInputs()[2]}, {x.getType()},
                    {builder.getNamedAttr("interleaved", builder.getI64IntegerAttr(intAttr(rotary, "interleaved", 0))),
                     builder.getNamedAttr("rotary_embedding_dim", builder.getI64IntegerAttr(width))})
                   ->getResult(0);
  if (back)
    for (Operation *user : llvm::make_early_inc_range(result.getUsers()))
      if (auto transpose = dyn_cast<NodeOp>(user); transpose && transpose.getDomain().empty() && transpose.getOpType() == "Transpose")
        if (auto perm = intsAttr(transpose, "perm"); perm && *perm == there)
          transpose->getResult(0).replaceAllUsesWith(made);
  root->getResult(0).replaceAllUsesWith(transposed(builder, root, made, again));
  return true;
}

struct RaiseRotary : impl::LeatRaiseRotaryBase<RaiseRotary> {
  void runOnOperation() override {
    Rewriter rewriter;
    forEachNode(getOperation(), [&](OpBuilder &builder, NodeOp root) { return rewriter(builder, root); });
    forEachNode(getOperation(), partial);
  }
};
} // namespace
} // namespace leat::import
