// leat-raise-rotary: x * cos + rotate_half(x) * sin becomes RotaryEmbedding with cos and sin of one half.
//
// That is exact only when the two halves of cos (and of sin) are equal; exporters write them as cos(concat(f, f)), so it can be proved.
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
  NodeOp slice = node(value, "Slice");
  if (!slice || slice.getVersion() < 10)
    return std::nullopt;
  Value x = slice.getInputs()[0];
  auto start = integers(slice.getInputs()[1]), end = integers(slice.getInputs()[2]);
  auto axes = input(slice, 3) ? integers(input(slice, 3)) : std::nullopt;
  auto steps = input(slice, 4) ? integers(input(slice, 4)) : std::optional(SmallVector<int64_t>{1});
  int64_t d = dim(x, -1);
  if (!start || !end || !axes || !steps || start->size() != 1 || axes->size() != 1 || (*steps)[0] != 1 ||
      axisOf(x, (*axes)[0]) != rank(x) - 1 || ShapedType::isDynamic(d) || d % 2)
    return std::nullopt;
  int64_t from = (*start)[0], to = (*end)[0];
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

/// True if the upper half of the last axis provably repeats the lower one.
bool halvesEqual(Value value, int depth = 0) {
  value = through(value);
  if (number(value))
    return true;
  if (auto constant = value.getDefiningOp<onnxir::ConstantOp>()) {
    auto attr = dyn_cast<DenseElementsAttr>(constant.getValue());
    int64_t d = dim(value, -1);
    if (!attr || d <= 0 || d % 2)
      return false;
    auto all = attr.getValues<Attribute>();
    for (int64_t i = 0, n = attr.getNumElements(); i < n; ++i)
      if (i % d < d / 2 && all[i] != all[i + d / 2])
        return false;
    return true;
  }
  if (auto ref = value.getDefiningOp<ParamRefOp>()) {
    // A table of cosines. Its bytes are at hand, and a table is read once.
    auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(ref, ref.getParamAttr());
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!param || !param.getKey() || !type.hasStaticShape() || type.getRank() < 1 || !isa<FloatType>(type.getElementType()))
      return false;
    size_t width = type.getElementTypeBitWidth() / 8, row = type.getShape().back() * width;
    ArrayRef<char> bytes = value.getContext()->getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
    if (row == 0 || type.getShape().back() % 2 || bytes.size() != type.getNumElements() * width)
      return false;
    for (size_t at = 0; at < bytes.size(); at += row)
      if (memcmp(bytes.data() + at, bytes.data() + at + row / 2, row / 2))
        return false;
    return true;
  }
  auto op = value.getDefiningOp<NodeOp>();
  if (!op || !op.getDomain().empty() || depth > 16 || rank(value) < 1)
    return false;
  StringRef name = op.getOpType();
  Value first = op.getInputs().empty() ? Value() : op.getInputs()[0];
  auto holds = [&](Value v) { return halvesEqual(v, depth + 1); };
  if (name == "Concat" && axisOf(value, intAttr(op, "axis", 0)) == rank(value) - 1)
    return op.getInputs().size() == 2 && through(op.getInputs()[0]) == through(op.getInputs()[1]);
  if (name == "Concat")
    return llvm::all_of(op.getInputs(), holds);
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

/// [B, S, D] from what multiplies a [B, H, S, D]: heads must not matter. Null if it is not of that kind.
Value withoutHeads(OpBuilder &builder, NodeOp root, Value table) {
  table = through(table);
  auto reshaped = [&](StringRef op, ArrayRef<int64_t> axes, ArrayRef<int64_t> shape) {
    auto type = RankedTensorType::get(shape, elementType(table));
    return make(builder, root, op, 13, {table, constantInts(builder, root.getLoc(), axes)}, {type})->getResult(0);
  };
  if (rank(table) == 4 && dim(table, 1) == 1) {
    NodeOp op = node(table, "Unsqueeze");
    Value inner = op ? op.getInputs()[0] : Value();
    if (inner && rank(inner) == 3 && op.getVersion() >= 13)
      if (auto axes = integers(op.getInputs()[1]); axes && axes->size() == 1 && axisOf(table, (*axes)[0]) == 1)
        return inner;
    return reshaped("Squeeze", {1}, {dim(table, 0), dim(table, 2), dim(table, 3)});
  }
  if (rank(table) == 3 && dim(table, 0) == 1)
    return table;
  if (rank(table) == 2)
    return reshaped("Unsqueeze", {0}, {1, dim(table, 0), dim(table, 1)});
  return Value();
}

struct Rewriter {
  // cos and sin are shared by all layers: so are their halves.
  DenseMap<Value, Value> halves;

  Value lowerHalf(Value table, NodeOp root) {
    Value &half = halves[table];
    if (!half) {
      OpBuilder builder(root.getContext());
      builder.setInsertionPointAfterValue(table);
      int64_t d = dim(table, -1);
      auto ints = [&](int64_t v) { return constantInts(builder, root.getLoc(), {v}); };
      auto type = RankedTensorType::get({dim(table, 0), dim(table, 1), d / 2}, elementType(table));
      half = make(builder, root, "Slice", 13, {table, ints(0), ints(d / 2), ints(2), ints(1)}, {type})->getResult(0);
    }
    return half;
  }

  /// [B, S, D or D/2] tables of one rotation, in a form that outlives `root`.
  Value table(OpBuilder &builder, NodeOp root, Value value, bool whole) {
    OpBuilder at(root.getContext());
    at.setInsertionPointAfterValue(value);
    Value flat = tables.lookup(value);
    if (!flat)
      flat = tables[value] = withoutHeads(at, root, value);
    return flat && whole ? lowerHalf(flat, root) : flat;
  }
  DenseMap<Value, Value> tables;

  bool emit(OpBuilder &builder, NodeOp root, Value x, Value cos, Value sin, bool whole) {
    Value result = root->getResult(0);
    int64_t d = dim(x, -1);
    if (rank(x) != 4 || rank(result) != 4 || ShapedType::isDynamic(d) || elementType(x) != elementType(result) ||
        dim(cos, -1) != (whole ? d : d / 2) || dim(sin, -1) != dim(cos, -1))
      return false;
    cos = table(builder, root, cos, whole), sin = table(builder, root, sin, whole);
    if (!cos || !sin)
      return false;
    NodeOp made = make(builder, root, "RotaryEmbedding", 23, {x, cos, sin}, {result.getType()},
                       {builder.getNamedAttr("interleaved", builder.getI64IntegerAttr(0))});
    root->replaceAllUsesWith(made);
    return true;
  }

  /// x * cos + concat(-x2, x1) * sin
  bool rotateHalf(OpBuilder &builder, NodeOp root) {
    Value x, cos, sin;
    bool found = eitherOrder(node(root->getResult(0), "Add"), [&](Value plain, Value turned) {
      return eitherOrder(node(turned, "Mul"), [&](Value rotated, Value s) {
        x = rotatedHalf(rotated);
        sin = s;
        return x && eitherOrder(node(plain, "Mul"), [&](Value same, Value c) { return cos = c, through(same) == x; });
      });
    });
    return found && halvesEqual(cos) && halvesEqual(sin) && emit(builder, root, x, cos, sin, true);
  }

  /// concat(x1 * cos - x2 * sin, x2 * cos + x1 * sin), with tables of one half.
  bool twoHalves(OpBuilder &builder, NodeOp root) {
    Value result = root->getResult(0);
    if (root.getOpType() != "Concat" || root.getInputs().size() != 2 || axisOf(result, intAttr(root, "axis", 0)) != rank(result) - 1)
      return false;
    NodeOp lower = node(root.getInputs()[0], "Sub");
    if (!lower)
      return false;
    Value x, cos, sin;
    auto product = [&](Value mul, bool upper, Value &factor) {
      return eitherOrder(node(mul, "Mul"), [&](Value part, Value table) {
        auto half = halfOf(part);
        if (!half || half->upper != upper || (x && half->x != x) || (factor && through(factor) != through(table)))
          return false;
        x = half->x, factor = table;
        return true;
      });
    };
    if (!product(lower.getInputs()[0], false, cos) || !product(lower.getInputs()[1], true, sin))
      return false;
    bool found =
        eitherOrder(node(root.getInputs()[1], "Add"), [&](Value a, Value b) { return product(a, true, cos) && product(b, false, sin); });
    return found && emit(builder, root, x, cos, sin, false);
  }

  bool operator()(OpBuilder &builder, NodeOp root) {
    if (!root.getDomain().empty() || root.getNumResults() != 1)
      return false;
    return root.getOpType() == "Add" ? rotateHalf(builder, root) : twoHalves(builder, root);
  }
};

struct RaiseRotary : impl::LeatRaiseRotaryBase<RaiseRotary> {
  void runOnOperation() override {
    Rewriter rewriter;
    forEachNode(getOperation(), [&](OpBuilder &builder, NodeOp root) { return rewriter(builder, root); });
  }
};
} // namespace
} // namespace leat::import
