// leat-resolve-sequences: sequences of tensors whose length is known become their tensors.
//
// TorchScript exports write torch.split, chunk, unbind and stack over sequences. Nothing behind this pass knows sequences, so what is left
// of them is refused.
#include "passes/Import/Handlers.h"
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRESOLVESEQUENCES
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

class Resolver {
public:
  void visit(NodeOp op);
  void eraseResolved();

private:
  /// Entry of a list at a constant position, counted from the end if negative; nothing if that is no place in it (`past`: one behind the
  /// last is one).
  std::optional<size_t> place(NodeOp op, unsigned operand, size_t size, bool past);
  bool split(NodeOp op);
  bool splitUnknown(NodeOp op, int64_t axis, int64_t size);
  bool concat(NodeOp op, ArrayRef<Value> parts);
  RankedTensorType withSize(Value x, int64_t axis, int64_t size);
  Value sized(OpBuilder &b, NodeOp op, ArrayRef<int64_t> values) { return constantInts(b, op.getLoc(), values); }
  void replace(NodeOp op, Value value);
  void define(NodeOp op, SmallVector<Value> list) {
    lists[op->getResult(0)] = std::move(list);
    resolved.push_back(op);
  }

  DenseMap<Value, SmallVector<Value>> lists;
  SmallVector<NodeOp> resolved;
};

RankedTensorType Resolver::withSize(Value x, int64_t axis, int64_t size) {
  SmallVector<int64_t> shape(cast<RankedTensorType>(x.getType()).getShape());
  shape[axis] = size;
  return RankedTensorType::get(shape, elementType(x));
}

std::optional<size_t> Resolver::place(NodeOp op, unsigned operand, size_t size, bool past) {
  auto at = integerAt(op.getInputs()[operand], 0);
  if (!at)
    return std::nullopt;
  int64_t i = *at < 0 ? *at + int64_t(size) : *at, end = int64_t(size) + past;
  return i >= 0 && i < end ? std::optional<size_t>(i) : std::nullopt;
}

void Resolver::replace(NodeOp op, Value value) {
  op->getResult(0).replaceAllUsesWith(value);
  resolved.push_back(op);
}

/// Pieces of `size` of an axis whose size is not known: those that are asked for by number.
bool Resolver::splitUnknown(NodeOp op, int64_t axis, int64_t size) {
  SmallVector<std::pair<NodeOp, int64_t>> wanted;
  for (Operation *user : op->getUsers()) {
    auto at = dyn_cast<NodeOp>(user);
    auto i = at && at.getOpType() == "SequenceAt" ? integerAt(at.getInputs()[1], 0) : std::nullopt;
    if (!i || *i < 0)
      return false;
    wanted.push_back({at, *i});
  }
  Value x = op.getInputs()[0];
  resolved.push_back(op); // before its users: erased after them
  for (auto [at, i] : wanted) {
    OpBuilder b(op);
    auto ints = [&](int64_t v) { return sized(b, op, {v}); };
    Value piece = make(b, op, "Slice", 13, {x, ints(i * size), ints((i + 1) * size), ints(axis), ints(1)},
                       {withSize(x, axis, size == 1 ? 1 : ShapedType::kDynamic)})
                      ->getResult(0);
    replace(at, piece);
  }
  return true;
}

bool Resolver::split(NodeOp op) {
  Value x = op.getInputs()[0], sizes = input(op, 1);
  int64_t axis = axisOf(x, intAttr(op, "axis", 0));
  if (rank(x) <= axis || axis < 0)
    return false;
  int64_t n = dim(x, axis);
  OpBuilder b(op);
  SmallVector<int64_t> parts;
  Value operand;
  if (sizes && rank(sizes) == 1) {
    int64_t count = dim(sizes, 0);
    if (ShapedType::isDynamic(count))
      return false;
    for (int64_t i = 0; i < count; ++i)
      parts.push_back(integerAt(sizes, i).value_or(ShapedType::kDynamic));
    operand = sizes;
  } else {
    auto each = sizes ? integerAt(sizes, 0) : std::optional<int64_t>(1);
    if (!each || *each < 1)
      return false;
    if (ShapedType::isDynamic(n))
      return (sizes || intAttr(op, "keepdims", 1)) && splitUnknown(op, axis, *each);
    for (int64_t from = 0; from < n; from += *each)
      parts.push_back(std::min(*each, n - from));
    operand = sized(b, op, parts);
  }
  SmallVector<Type> types;
  for (int64_t size : parts)
    types.push_back(withSize(x, axis, size));
  if (types.empty())
    return false;
  NodeOp made = make(b, op, "Split", 13, {x, operand}, types, {b.getNamedAttr("axis", b.getI64IntegerAttr(axis))});
  SmallVector<Value> list;
  for (Value piece : made->getResults()) {
    if (!sizes && !intAttr(op, "keepdims", 1)) {
      SmallVector<int64_t> shape(cast<RankedTensorType>(piece.getType()).getShape());
      shape.erase(shape.begin() + axis);
      piece = make(b, op, "Squeeze", 13, {piece, sized(b, op, {axis})}, {RankedTensorType::get(shape, elementType(x))})->getResult(0);
    }
    list.push_back(piece);
  }
  define(op, list);
  return true;
}

bool Resolver::concat(NodeOp op, ArrayRef<Value> parts) {
  if (parts.empty())
    return false;
  OpBuilder b(op);
  SmallVector<Value> inputs(parts);
  int64_t axis = intAttr(op, "axis", 0);
  if (intAttr(op, "new_axis", 0))
    for (Value &part : inputs) {
      int64_t r = rank(part);
      if (r < 0)
        return false;
      SmallVector<int64_t> shape(cast<RankedTensorType>(part.getType()).getShape());
      shape.insert(shape.begin() + (axis < 0 ? axis + r + 1 : axis), 1);
      part = make(b, op, "Unsqueeze", 13, {part, sized(b, op, {axis})}, {RankedTensorType::get(shape, elementType(part))})->getResult(0);
    }
  replace(
      op,
      make(b, op, "Concat", 13, inputs, {op->getResult(0).getType()}, {b.getNamedAttr("axis", b.getI64IntegerAttr(axis))})->getResult(0));
  return true;
}

void Resolver::visit(NodeOp op) {
  if (!op.getDomain().empty() || op->getNumResults() != 1)
    return;
  StringRef name = op.getOpType();
  if (name == "SequenceConstruct")
    return define(op, SmallVector<Value>(op.getInputs()));
  if (name == "SequenceEmpty")
    return define(op, {});
  if (name == "SplitToSequence") {
    split(op);
    return;
  }
  auto found = op.getInputs().empty() ? lists.end() : lists.find(op.getInputs()[0]);
  if (found == lists.end())
    return;
  SmallVector<Value> list = found->second;
  if (name == "Identity")
    return define(op, list);
  if (name == "SequenceInsert") {
    std::optional<size_t> at = input(op, 2) ? place(op, 2, list.size(), true) : std::optional<size_t>(list.size());
    if (at) {
      list.insert(list.begin() + *at, op.getInputs()[1]);
      define(op, list);
    }
  } else if (name == "SequenceErase") {
    auto at = input(op, 1) ? place(op, 1, list.size(), false) : list.empty() ? std::nullopt : std::optional<size_t>(list.size() - 1);
    if (at) {
      list.erase(list.begin() + *at);
      define(op, list);
    }
  } else if (name == "SequenceAt") {
    if (auto at = place(op, 1, list.size(), false))
      replace(op, list[*at]);
  } else if (name == "SequenceLength") {
    OpBuilder b(op);
    auto type = RankedTensorType::get({}, b.getI64Type());
    replace(op, onnxir::ConstantOp::create(b, op.getLoc(), type, cast<ElementsAttr>(DenseElementsAttr::get(type, int64_t(list.size())))));
  } else if (name == "ConcatFromSequence") {
    concat(op, list);
  }
}

void Resolver::eraseResolved() {
  for (NodeOp op : llvm::reverse(resolved))
    if (op->use_empty())
      op->erase();
}

struct ResolveSequences : impl::LeatResolveSequencesBase<ResolveSequences> {
  void runOnOperation() override {
    Resolver resolver;
    SmallVector<NodeOp> nodes;
    getOperation().walk<WalkOrder::PreOrder>([&](NodeOp op) { nodes.push_back(op); });
    for (NodeOp op : nodes)
      resolver.visit(op);
    resolver.eraseResolved();
  }
};
} // namespace

static LogicalResult unresolved(OpContext &c) {
  return c.fail(
      "sequences are compiled where their length and the position asked for are known; fix the size that is split, or the number of parts, "
      "with --shape or in the export");
}

void registerSequences(HandlerTable &t) {
  for (StringRef name : {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceAt", "SequenceLength",
                         "SplitToSequence", "ConcatFromSequence"})
    t.add("", name, 11, unresolved);
}

} // namespace leat::import
