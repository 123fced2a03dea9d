// The matchers of Raise.h.
#include "passes/Import/Raise.h"

#include "mlir/IR/Iterators.h"
#include <cmath>

using namespace mlir;

namespace leat::import::raise {

static NodeOp defaultNode(Value value) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  return node && (node.getDomain().empty() || node.getDomain() == "ai.onnx") ? node : NodeOp();
}

Value through(Value value) {
  while (NodeOp node = defaultNode(value)) {
    bool same =
        node.getOpType() == "Identity" || (node.getOpType() == "Dropout" && node.getInputs().size() < 3 && node->getResult(0) == value);
    if (!same)
      break;
    value = node.getInputs()[0];
  }
  return value;
}

Value throughCasts(Value value) {
  for (value = through(value); isFloat(value); value = through(value)) {
    NodeOp cast = node(value, "Cast");
    if (!cast || !isFloat(cast.getInputs()[0]))
      break;
    value = cast.getInputs()[0];
  }
  return value;
}

NodeOp node(Value value, StringRef opType) {
  NodeOp found = defaultNode(through(value));
  return found && found.getOpType() == opType ? found : NodeOp();
}

NodeOp nodeBehindCasts(Value value, StringRef opType) { return value ? node(throughCasts(value), opType) : NodeOp(); }

static DenseElementsAttr constant(Value value) {
  auto op = value ? value.getDefiningOp<onnxir::ConstantOp>() : onnxir::ConstantOp();
  return op ? dyn_cast<DenseElementsAttr>(op.getValue()) : DenseElementsAttr();
}

static double toDouble(APFloat v) {
  bool inexact;
  v.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
  return v.convertToDouble();
}

static int64_t integerEntry(DenseElementsAttr attr, int64_t i) {
  auto type = cast<IntegerType>(attr.getElementType());
  APInt v = *(attr.getValues<APInt>().begin() + i);
  return type.isUnsigned() || type.getWidth() == 1 ? int64_t(v.getZExtValue()) : v.getSExtValue();
}

static std::optional<double> entry(DenseElementsAttr attr, int64_t i) {
  if (isa<FloatType>(attr.getElementType()))
    return toDouble(*(attr.getValues<APFloat>().begin() + i));
  return isa<IntegerType>(attr.getElementType()) ? std::optional<double>(integerEntry(attr, i)) : std::nullopt;
}

/// Where entry `i` of a vector of integers comes from, behind nodes that only move entries: the vector in front of them and the place in
/// it. Null if that cannot be told.
static std::pair<Value, int64_t> originOf(Value value, int64_t i) {
  while ((value = through(value))) {
    NodeOp op = defaultNode(value);
    StringRef name = op ? op.getOpType() : "";
    Value x = op && !op.getInputs().empty() ? op.getInputs()[0] : Value();
    int64_t n = x && rank(x) == 1 ? dim(x, 0) : ShapedType::kDynamic;
    // A place counted from the end.
    auto fromFront = [&](int64_t at) { return at >= 0 ? at : ShapedType::isDynamic(n) ? -1 : std::max<int64_t>(at, -n) + n; };
    if (name == "Concat") {
      value = Value();
      for (Value part : op.getInputs()) {
        if (rank(part) != 1 || ShapedType::isDynamic(dim(part, 0)))
          break;
        if (i < dim(part, 0)) {
          value = part;
          break;
        }
        i -= dim(part, 0);
      }
    } else if (name == "Cast" || name == "Unsqueeze" || name == "Squeeze" || name == "Reshape") {
      if (isFloat(x))
        return {};
      value = x;
    } else if (name == "Gather") {
      auto index = integerAt(op.getInputs()[1], i);
      if (!index || rank(x) != 1 || (i = fromFront(*index)) < 0)
        return {};
      value = x;
    } else if (name == "Slice" && op.getVersion() >= 10 && rank(x) == 1) {
      auto start = integerAt(op.getInputs()[1], 0);
      auto step = input(op, 4) ? integerAt(input(op, 4), 0) : std::optional<int64_t>(1);
      if (!start || step != 1 || fromFront(*start) < 0)
        return {};
      i += fromFront(*start), value = x;
    } else {
      return {value, i};
    }
  }
  return {};
}

std::optional<Size> sizeAt(Value value, int64_t i) {
  std::tie(value, i) = originOf(value, i);
  NodeOp shape = value ? node(value, "Shape") : NodeOp();
  if (!shape)
    return std::nullopt;
  Value x = shape.getInputs()[0];
  int64_t r = rank(x), start = intAttr(shape, "start", 0);
  start = std::clamp<int64_t>(start < 0 ? start + r : start, 0, std::max<int64_t>(r, 0));
  if (r < 0 || i < 0 || start + i >= r)
    return std::nullopt;
  return Size{through(x), start + i};
}

std::optional<int64_t> integerAt(Value value, int64_t i) {
  std::tie(value, i) = originOf(value, i);
  if (!value)
    return std::nullopt;
  if (DenseElementsAttr attr = constant(value)) {
    if (i < 0 || i >= attr.getNumElements() || !isa<IntegerType>(attr.getElementType()))
      return std::nullopt;
    return integerEntry(attr, i);
  }
  NodeOp op = defaultNode(value);
  if (!op)
    return std::nullopt;
  StringRef name = op.getOpType();
  if (name == "Shape") {
    auto size = sizeAt(value, i);
    return size && !ShapedType::isDynamic(dim(size->tensor, size->axis)) ? std::optional(dim(size->tensor, size->axis)) : std::nullopt;
  }
  if (name == "ConstantOfShape") {
    auto fill = op.getAttrs().getAs<DenseElementsAttr>("value");
    return fill && isa<IntegerType>(fill.getElementType()) && fill.getNumElements() == 1 ? std::optional(integerEntry(fill, 0))
                                                                                         : std::nullopt;
  }
  // A scalar operand stands for every entry.
  auto side = [&](unsigned n) { return integerAt(op.getInputs()[n], rank(op.getInputs()[n]) == 0 ? 0 : i); };
  if (name == "Mul" || name == "Add" || name == "Sub" || name == "Div") {
    auto a = side(0), b = side(1);
    if (!a || !b || (name == "Div" && (*b == 0 || *b == -1)))
      return std::nullopt;
    return name == "Mul" ? *a * *b : name == "Add" ? *a + *b : name == "Sub" ? *a - *b : *a / *b;
  }
  // torch.expand: -1 in a shape stands for the size that is there.
  if (name == "Where")
    if (NodeOp equal = node(op.getInputs()[0], "Equal")) {
      auto a = integerAt(equal.getInputs()[0], i), b = integerAt(equal.getInputs()[1], i);
      return a && b ? side(*a == *b ? 1 : 2) : std::nullopt;
    }
  return std::nullopt;
}

std::optional<SmallVector<int64_t>> integers(Value value) {
  DenseElementsAttr attr = constant(through(value));
  if (!attr || !isa<IntegerType>(attr.getElementType()))
    return std::nullopt;
  SmallVector<int64_t> result;
  for (int64_t i = 0; i < attr.getNumElements(); ++i)
    result.push_back(integerEntry(attr, i));
  return result;
}

static std::optional<double> numberImpl(Value value, int depth) {
  value = through(value);
  if (!value || depth > 16)
    return std::nullopt;
  if (DenseElementsAttr attr = constant(value)) {
    if (attr.getNumElements() != 1 && !attr.isSplat())
      return std::nullopt;
    return attr.getNumElements() == 0 ? std::nullopt : entry(attr, 0);
  }
  NodeOp op = defaultNode(value);
  if (!op)
    return std::nullopt;
  auto arg = [&](unsigned i) { return numberImpl(op.getInputs()[i], depth + 1); };
  StringRef name = op.getOpType();
  if (name == "Cast" || name == "Squeeze" || name == "Unsqueeze" || name == "Gather" || name == "Slice" || name == "Shape" ||
      name == "Reshape") {
    bool single = rank(value) == 0 || (rank(value) == 1 && dim(value, 0) == 1);
    if (single && !isFloat(value))
      if (auto i = integerAt(value, 0))
        return double(*i);
    return name == "Cast" || name == "Squeeze" || name == "Unsqueeze" || name == "Reshape" ? arg(0) : std::nullopt;
  }
  if (name == "Sqrt" || name == "Reciprocal" || name == "Neg") {
    auto x = arg(0);
    if (!x)
      return std::nullopt;
    return name == "Sqrt" ? std::sqrt(*x) : name == "Neg" ? -*x : 1.0 / *x;
  }
  if (name == "Mul" || name == "Div" || name == "Pow") {
    auto a = arg(0), b = arg(1);
    if (!a || !b || !isFloat(value))
      return std::nullopt;
    return name == "Mul" ? *a * *b : name == "Div" ? *a / *b : std::pow(*a, *b);
  }
  return std::nullopt;
}

std::optional<double> number(Value value) { return numberImpl(value, 0); }

int64_t intAttr(NodeOp node, StringRef name, int64_t byDefault) {
  auto attr = node.getAttrs().getAs<IntegerAttr>(name);
  return attr ? attr.getInt() : byDefault;
}

StringRef stringAttr(NodeOp node, StringRef name, StringRef byDefault) {
  auto attr = node.getAttrs().getAs<StringAttr>(name);
  return attr ? attr.getValue() : byDefault;
}

std::optional<SmallVector<int64_t>> intsAttr(NodeOp node, StringRef name) {
  auto attr = node.getAttrs().getAs<DenseI64ArrayAttr>(name);
  if (!attr)
    return std::nullopt;
  return SmallVector<int64_t>(attr.asArrayRef());
}

Value input(NodeOp node, unsigned i) {
  if (i >= node.getInputs().size() || isa<NoneType>(node.getInputs()[i].getType()))
    return Value();
  return node.getInputs()[i];
}

int64_t rank(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type ? type.getRank() : -1;
}

int64_t dim(Value value, int64_t axis) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (type && axis < 0)
    axis += type.getRank();
  return type && axis >= 0 && axis < type.getRank() ? type.getDimSize(axis) : ShapedType::kDynamic;
}

Type elementType(Value value) {
  auto type = value ? dyn_cast<TensorType>(value.getType()) : TensorType();
  return type ? type.getElementType() : Type();
}

bool isFloat(Value value) { return isa_and_nonnull<FloatType>(elementType(value)); }

int64_t axisOf(Value value, int64_t axis) { return axis < 0 ? axis + std::max<int64_t>(rank(value), 0) : axis; }

std::optional<LastAxisSlice> lastAxisSlice(NodeOp slice) {
  if (!slice || slice.getOpType() != "Slice" || slice.getVersion() < 10)
    return std::nullopt;
  Value x = slice.getInputs()[0];
  auto only = [](Value v) { return rank(v) == 1 && dim(v, 0) == 1 ? integerAt(v, 0) : std::nullopt; };
  auto start = only(slice.getInputs()[1]), end = only(slice.getInputs()[2]);
  auto axis = input(slice, 3) ? only(input(slice, 3)) : std::nullopt;
  auto step = input(slice, 4) ? only(input(slice, 4)) : std::optional<int64_t>(1);
  if (!start || !end || !axis || !step || axisOf(x, *axis) != rank(x) - 1)
    return std::nullopt;
  return LastAxisSlice{x, *start, *end, *step};
}

bool reducesTrailing(NodeOp reduce, int64_t *axis) {
  if (!reduce || intAttr(reduce, "keepdims", 1) != 1)
    return false;
  Value x = reduce.getInputs()[0];
  int64_t r = rank(x);
  auto axes = intsAttr(reduce, "axes");
  if (Value operand = input(reduce, 1))
    axes = integers(operand);
  if (r <= 0 || !axes || axes->empty())
    return false;
  for (int64_t &a : *axes)
    a = axisOf(x, a);
  llvm::sort(*axes);
  for (auto [i, a] : llvm::enumerate(*axes))
    if (a != r - int64_t(axes->size()) + int64_t(i))
      return false;
  *axis = axes->front();
  return true;
}

NodeOp make(OpBuilder &builder, NodeOp root, StringRef opType, int64_t version, ValueRange inputs, TypeRange results,
            ArrayRef<NamedAttribute> attrs) {
  return NodeOp::create(builder, root.getLoc(), results, opType, inputs, /*domain=*/"", version, root.getNodeName(),
                        builder.getDictionaryAttr(attrs), ArrayAttr(), ArrayAttr(), 0);
}

Value constantInts(OpBuilder &builder, Location loc, ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({int64_t(values.size())}, builder.getI64Type());
  return onnxir::ConstantOp::create(builder, loc, type, cast<ElementsAttr>(DenseElementsAttr::get(type, values)));
}

Value absent(OpBuilder &builder, Location loc) { return onnxir::AbsentOp::create(builder, loc, builder.getNoneType()); }

Value transposed(OpBuilder &builder, NodeOp root, Value value, ArrayRef<int64_t> perm) {
  if (llvm::all_of(llvm::enumerate(perm), [](auto p) { return int64_t(p.index()) == p.value(); }))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t p : perm)
    shape.push_back(dim(value, p));
  auto type = RankedTensorType::get(shape, elementType(value));
  return make(builder, root, "Transpose", 23, {value}, {type}, {builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr(perm))})
      ->getResult(0);
}

void forEachNode(func::FuncOp func, function_ref<bool(OpBuilder &, NodeOp)> rewrite) {
  SmallVector<NodeOp> nodes;
  func.walk([&](NodeOp node) { nodes.push_back(node); });
  for (NodeOp node : llvm::reverse(nodes)) {
    if (node->use_empty()) // a part of something already raised
      continue;
    OpBuilder builder(node);
    if (!rewrite(builder, node))
      continue;
    // What only this node used is gone from the matchers' eyes at once: uses of it count in some of them.
    SmallVector<Operation *> unused{node};
    while (!unused.empty()) {
      Operation *op = unused.pop_back_val();
      if (!op->use_empty())
        continue;
      SmallVector<Value> operands(op->getOperands());
      op->dropAllReferences();
      for (Value operand : operands)
        if (auto producer = operand.getDefiningOp<NodeOp>(); producer && producer->use_empty())
          unused.push_back(producer);
    }
  }
  // Users before producers again: whole dead trees go in one sweep.
  SmallVector<Operation *> dead;
  func.walk<WalkOrder::PostOrder, ReverseIterator>([&](Operation *op) {
    if (isa<NodeOp, onnxir::ConstantOp, onnxir::AbsentOp>(op))
      dead.push_back(op);
  });
  for (Operation *op : dead)
    if (op->use_empty())
      op->erase();
}

} // namespace leat::import::raise
