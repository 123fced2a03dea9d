// leat-refine-types: ranks and sizes of intermediate values that ONNX's own inference leaves open.
//
// Inference of older operator versions does not follow shapes that the graph computes, so that one Reshape makes everything behind it
// unknown. The length of a shape operand still says the rank, and constants in it say sizes: enough for the raising passes to see heads and
// axes.
#include "passes/Import/Passes.h"
#include "passes/Import/Raise.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATREFINETYPES
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

constexpr int64_t kAny = ShapedType::kDynamic;
using Shape = std::optional<SmallVector<int64_t>>;

Shape shapeOf(Value v) {
  auto type = v ? dyn_cast<RankedTensorType>(v.getType()) : RankedTensorType();
  return type ? Shape(SmallVector<int64_t>(type.getShape())) : Shape();
}

/// numpy's broadcast; a size that is not known wins over 1 and gives way to any other.
Shape broadcast(ArrayRef<Shape> shapes) {
  size_t rank = 0;
  for (const Shape &s : shapes) {
    if (!s)
      return std::nullopt;
    rank = std::max(rank, s->size());
  }
  SmallVector<int64_t> result(rank, 1);
  for (size_t i = 0; i < rank; ++i)
    for (const Shape &s : shapes) {
      if (i + s->size() < rank)
        continue;
      int64_t d = (*s)[i + s->size() - rank];
      if (d != 1 && (result[i] == 1 || result[i] == kAny))
        result[i] = d;
    }
  return result;
}

/// The shape that an operand spells out: its length is the rank.
Shape spelled(Value operand) {
  if (!operand || rank(operand) != 1 || dim(operand, 0) == kAny || dim(operand, 0) > 64)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (int64_t i = 0; i < dim(operand, 0); ++i)
    result.push_back(integerAt(operand, i).value_or(kAny));
  return result;
}

std::optional<SmallVector<int64_t>> axesOf(NodeOp node, unsigned operand) {
  if (auto axes = intsAttr(node, "axes"))
    return axes;
  Value v = input(node, operand);
  return v ? integers(v) : std::nullopt;
}

std::optional<int64_t> sizeProduct(int64_t a, int64_t b) {
  int64_t product;
  return a == kAny || b == kAny || llvm::MulOverflow(a, b, product) ? std::nullopt : std::optional(product);
}

Shape reshape(NodeOp node) {
  Value shape = input(node, 1), x = through(node.getInputs()[0]);
  Shape result = spelled(shape), in = shapeOf(x);
  if (!result)
    return result;
  // What -1 stands for: the product of the sizes that are there by that of the others, sizes read from the operand's shape left out of
  // both.
  SmallVector<bool> kept(in ? in->size() : 0);
  std::optional<int64_t> inferred, known = 1, total = 1;
  auto times = [](std::optional<int64_t> &product, int64_t d) { product = product ? sizeProduct(*product, d) : std::nullopt; };
  for (auto [i, d] : llvm::enumerate(*result)) {
    if (d == -1) {
      inferred = i, d = kAny;
      continue;
    }
    std::optional<Size> size = sizeAt(shape, i);
    if (d == 0 && !intAttr(node, "allowzero", 0)) {
      d = in && i < in->size() ? (*in)[i] : kAny;
      size = Size{x, static_cast<int64_t>(i)};
    }
    if (size && size->tensor == x && size->axis < static_cast<int64_t>(kept.size()) && !kept[size->axis])
      kept[size->axis] = true;
    else
      times(known, d);
  }
  for (auto [i, k] : llvm::enumerate(kept))
    if (!k)
      times(total, (*in)[i]);
  if (inferred && in && total && known && *known > 0 && *total % *known == 0)
    (*result)[*inferred] = *total / *known;
  return result;
}

Shape tile(NodeOp node) {
  Shape in = shapeOf(node.getInputs()[0]);
  if (in)
    for (auto [i, d] : llvm::enumerate(*in)) {
      auto count = integerAt(node.getInputs()[1], i);
      d = (count ? sizeProduct(d, *count) : std::nullopt).value_or(kAny);
    }
  return in;
}

Shape matmul(NodeOp node) {
  Shape a = shapeOf(node.getInputs()[0]), b = shapeOf(node.getInputs()[1]);
  if (!a || !b || a->size() < 2 || b->size() < 2)
    return std::nullopt;
  ArrayRef<int64_t> da(*a), db(*b);
  Shape result = broadcast({Shape(SmallVector<int64_t>(da.drop_back(2))), Shape(SmallVector<int64_t>(db.drop_back(2)))});
  result->push_back(da[da.size() - 2]);
  result->push_back(db.back());
  return result;
}

/// Axes put in or taken out.
Shape axesChanged(NodeOp node, bool insert) {
  Shape in = shapeOf(node.getInputs()[0]);
  auto axes = axesOf(node, 1);
  if (!in || !axes)
    return std::nullopt;
  int64_t rank = in->size() + (insert ? axes->size() : 0);
  for (int64_t &a : *axes)
    a = a < 0 ? a + rank : a;
  llvm::sort(*axes);
  if (insert) {
    for (int64_t a : *axes)
      if (a < 0 || a > static_cast<int64_t>(in->size()))
        return std::nullopt;
      else
        in->insert(in->begin() + a, 1);
  } else {
    for (int64_t a : llvm::reverse(*axes))
      if (a < 0 || a >= static_cast<int64_t>(in->size()))
        return std::nullopt;
      else
        in->erase(in->begin() + a);
  }
  return in;
}

Shape reduce(NodeOp node) {
  Shape in = shapeOf(node.getInputs()[0]);
  auto axes = axesOf(node, 1);
  if (!in || !axes || axes->empty())
    return std::nullopt;
  SmallVector<bool> gone(in->size());
  for (int64_t a : *axes) {
    a = a < 0 ? a + in->size() : a;
    if (a < 0 || a >= static_cast<int64_t>(in->size()))
      return std::nullopt;
    gone[a] = true;
  }
  SmallVector<int64_t> result;
  for (auto [i, d] : llvm::enumerate(*in))
    if (!gone[i] || intAttr(node, "keepdims", 1))
      result.push_back(gone[i] ? 1 : d);
  return result;
}

Shape slice(NodeOp node) {
  Shape in = shapeOf(node.getInputs()[0]);
  auto axes = node.getVersion() >= 10 && input(node, 3) ? integers(input(node, 3)) : std::nullopt;
  if (!in)
    return in;
  if (!axes)
    return SmallVector<int64_t>(in->size(), kAny);
  for (auto [n, a] : llvm::enumerate(*axes)) {
    a = a < 0 ? a + in->size() : a;
    if (a < 0 || a >= static_cast<int64_t>(in->size()))
      return std::nullopt;
    int64_t &d = (*in)[a];
    auto start = integerAt(node.getInputs()[1], n), end = integerAt(node.getInputs()[2], n);
    auto step = input(node, 4) ? integerAt(input(node, 4), n) : std::optional<int64_t>(1);
    if (d == kAny || !start || !end || !step || *step <= 0) {
      d = kAny;
      continue;
    }
    int64_t from = std::clamp<int64_t>(*start < 0 ? *start + d : *start, 0, d), to = std::clamp<int64_t>(*end < 0 ? *end + d : *end, 0, d);
    d = to > from ? (to - from + *step - 1) / *step : 0;
  }
  return in;
}

Shape split(NodeOp node, unsigned result) {
  Shape in = shapeOf(node.getInputs()[0]);
  if (!in)
    return in;
  int64_t axis = axisOf(node.getInputs()[0], intAttr(node, "axis", 0));
  if (axis < 0 || axis >= static_cast<int64_t>(in->size()))
    return std::nullopt;
  int64_t &d = (*in)[axis], parts = node.getNumResults();
  auto sizes = intsAttr(node, "split");
  if (Value operand = input(node, 1))
    sizes = integers(operand);
  if (sizes)
    d = result < sizes->size() ? (*sizes)[result] : kAny;
  else if (d != kAny)
    d = d % parts == 0 && !input(node, 1) ? d / parts : kAny;
  return in;
}

Shape concat(NodeOp node) {
  Shape result = shapeOf(node.getInputs()[0]);
  if (!result)
    return result;
  int64_t axis = axisOf(node.getInputs()[0], intAttr(node, "axis", 1));
  if (axis < 0 || axis >= static_cast<int64_t>(result->size()))
    return std::nullopt;
  for (Value v : node.getInputs().drop_front()) {
    Shape s = shapeOf(v);
    if (!s || s->size() != result->size())
      return std::nullopt;
    for (auto [i, d] : llvm::enumerate(*result)) {
      int64_t other = (*s)[i];
      if (static_cast<int64_t>(i) == axis)
        d = d == kAny || other == kAny ? kAny : d + other;
      else if (d == kAny)
        d = other;
    }
  }
  return result;
}

Shape gather(NodeOp node) {
  Shape data = shapeOf(node.getInputs()[0]), indices = shapeOf(node.getInputs()[1]);
  if (!data || !indices)
    return std::nullopt;
  int64_t axis = axisOf(node.getInputs()[0], intAttr(node, "axis", 0));
  if (axis < 0 || axis >= static_cast<int64_t>(data->size()))
    return std::nullopt;
  data->erase(data->begin() + axis);
  data->insert(data->begin() + axis, indices->begin(), indices->end());
  return data;
}

Shape transpose(NodeOp node) {
  Shape in = shapeOf(node.getInputs()[0]);
  auto perm = intsAttr(node, "perm");
  SmallVector<int64_t> result;
  if (!perm && in)
    return SmallVector<int64_t>(llvm::reverse(*in));
  if (!perm || (in && in->size() != perm->size()))
    return std::nullopt;
  for (int64_t p : *perm)
    result.push_back(in && p >= 0 && p < static_cast<int64_t>(in->size()) ? (*in)[p] : kAny);
  return result;
}

Shape vectorOfShape(NodeOp node) {
  int64_t r = rank(node.getInputs()[0]);
  if (r < 0)
    return std::nullopt;
  int64_t start = intAttr(node, "start", 0), end = intAttr(node, "end", r);
  start = std::clamp<int64_t>(start < 0 ? start + r : start, 0, r), end = std::clamp<int64_t>(end < 0 ? end + r : end, 0, r);
  return SmallVector<int64_t>{std::max<int64_t>(end - start, 0)};
}

Shape infer(NodeOp node, unsigned result) {
  enum Rule {
    None,
    Same,
    Broadcast,
    Reshape,
    MatMul,
    Unsqueeze,
    Squeeze,
    Reduce,
    Slice,
    Split,
    Concat,
    Gather,
    Transpose,
    Expand,
    Tile,
    Filled,
    Vector
  };
  Rule rule = llvm::StringSwitch<Rule>(node.getOpType())
                  .Cases({"Softmax", "LogSoftmax", "Cast", "Neg", "Exp", "Erf", "Sqrt", "Tanh", "Sigmoid", "Relu"}, Same)
                  .Cases({"Reciprocal", "Log", "Abs", "Identity", "Clip", "Not", "IsNaN", "Cos", "Sin", "CumSum"}, Same)
                  .Cases({"Floor", "Ceil", "Round", "Sign", "Softplus", "HardSwish", "LeakyRelu", "Elu", "BatchNormalization"}, Same)
                  .Cases({"LayerNormalization", "RMSNormalization", "Gelu", "Swish", "Dropout", "DequantizeLinear", "QuantizeLinear"}, Same)
                  .Cases({"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Where", "And"}, Broadcast)
                  .Cases({"Or", "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}, Broadcast)
                  .Cases({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "ReduceSumSquare"}, Reduce)
                  .Case("Reshape", Reshape)
                  .Case("MatMul", MatMul)
                  .Case("Unsqueeze", Unsqueeze)
                  .Case("Squeeze", Squeeze)
                  .Case("Slice", Slice)
                  .Case("Split", Split)
                  .Case("Concat", Concat)
                  .Case("Gather", Gather)
                  .Case("Transpose", Transpose)
                  .Case("Expand", Expand)
                  .Case("Tile", Tile)
                  .Case("ConstantOfShape", Filled)
                  .Case("Shape", Vector)
                  .Default(None);
  if (rule == None || node.getInputs().empty() || (result > 0 && rule != Split))
    return std::nullopt;
  switch (rule) {
  case Same:
    return shapeOf(node.getInputs()[0]);
  case Broadcast:
    return broadcast(llvm::map_to_vector(node.getInputs(), shapeOf));
  case Reshape:
    return reshape(node);
  case MatMul:
    return matmul(node);
  case Unsqueeze:
    return axesChanged(node, true);
  case Squeeze:
    return axesChanged(node, false);
  case Reduce:
    return reduce(node);
  case Slice:
    return slice(node);
  case Split:
    return split(node, result);
  case Concat:
    return concat(node);
  case Gather:
    return gather(node);
  case Transpose:
    return transpose(node);
  case Expand:
    return broadcast({shapeOf(node.getInputs()[0]), spelled(input(node, 1))});
  case Tile:
    return tile(node);
  case Filled:
    return spelled(node.getInputs()[0]);
  case Vector:
    return vectorOfShape(node);
  case None:
    break;
  }
  return std::nullopt;
}

struct RefineTypes : impl::LeatRefineTypesBase<RefineTypes> {
  void runOnOperation() override {
    getOperation().walk<WalkOrder::PreOrder>([](NodeOp node) {
      if (!node.getDomain().empty())
        return;
      for (OpResult result : node->getResults()) {
        auto type = dyn_cast<TensorType>(result.getType());
        // What leaves a graph keeps the type that the graph declares.
        bool leaves = llvm::any_of(result.getUsers(), [](Operation *user) { return user->hasTrait<OpTrait::IsTerminator>(); });
        if (!type || leaves || (type.hasRank() && type.hasStaticShape()))
          continue;
        Shape shape = infer(node, result.getResultNumber());
        if (!shape || llvm::any_of(*shape, [](int64_t d) { return d < 0 && d != kAny; }))
          continue;
        if (type.hasRank()) {
          if (type.getRank() != static_cast<int64_t>(shape->size()))
            continue;
          for (auto [given, d] : llvm::zip(type.getShape(), *shape))
            d = given == kAny ? d : given;
        }
        result.setType(RankedTensorType::get(*shape, type.getElementType()));
      }
    });
  }
};
} // namespace
} // namespace leat::import
