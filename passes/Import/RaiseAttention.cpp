// leat-raise-attention: MatMul, scale, mask, Softmax, MatMul becomes Attention (version 23, four-dimensional operands).
//
// Masks stay operands: an additive one as it is, a Where with -inf as a bool mask, a Where with another huge negative number as an additive
// one. Also read: products of [B * H, S, D], Einsum, logits that only take weight (gpt-oss), windows (Swin). The only difference that the
// raised form makes is in a row all of whose keys are hidden by -inf: zeros instead of NaN.
#include "passes/Import/AttentionOperands.h"
#include "passes/Import/EinsumToMatMul.h"
#include "passes/Import/OpContext.h"
#include "passes/Import/Passes.h"

#include <cmath>
#include <cstring>

using namespace mlir;

namespace leat::import {
#define GEN_PASS_DEF_LEATRAISEATTENTION
#include "passes/Import/Passes.h.inc"

namespace {
using namespace raise;

/// Where a value is reshaped between [N, S, T] and [B, H, S, T], or through [B, W, H, S, T]: the value before. Null if it is not of that
/// kind.
Value beforeReshape(Value value, std::initializer_list<int64_t> ranks) {
  NodeOp reshape = node(value, "Reshape");
  Value source = reshape ? throughCasts(reshape.getInputs()[0]) : Value();
  if (!source || !llvm::is_contained(ranks, rank(source)) || rank(source) == rank(value))
    return Value();
  for (int64_t i : {-1, -2})
    if (!ShapedType::isDynamic(dim(source, i)) && !ShapedType::isDynamic(dim(value, i)) && dim(source, i) != dim(value, i))
      return Value();
  return source;
}

/// Softmax and what stands between it and the product with the values.
struct Weights {
  NodeOp softmax;
  Value scores;       // what is normalised
  Value zeroed;       // bool, true where the weights are set to zero afterwards
  Value sink;         // one more logit per head [1, H, 1, 1], dropped after the softmax
  Value fourD;        // a value of the scores' shape [B, H, S, T], if there is one
  bool guard = false; // rows without keys give zeros
};

/// x of Sub(x, ReduceMax(x)), which softmax does not see; otherwise the value itself.
Value withoutMaximum(Value value) {
  NodeOp sub = node(value, "Sub");
  NodeOp max = sub ? nodeBehindCasts(sub.getInputs()[1], "ReduceMax") : NodeOp();
  int64_t axis = 0;
  if (!max || throughCasts(max.getInputs()[0]) != throughCasts(sub.getInputs()[0]) || !reducesTrailing(max, &axis) ||
      axis != rank(value) - 1)
    return value;
  return throughCasts(sub.getInputs()[0]);
}

/// concat(scores, sink) or concat(sink, scores) along the last axis.
bool splitSink(Weights &w, bool sinkFirst) {
  NodeOp concat = node(w.scores, "Concat");
  if (!concat || concat.getInputs().size() != 2 || axisOf(w.scores, intAttr(concat, "axis", 0)) != rank(w.scores) - 1)
    return false;
  Value scores = concat.getInputs()[sinkFirst], sink = throughCasts(concat.getInputs()[!sinkFirst]);
  if (dim(sink, -1) != 1)
    return false;
  if (NodeOp expand = node(sink, "Expand"))
    sink = throughCasts(expand.getInputs()[0]);
  if (rank(sink) != 4 || dim(sink, 0) != 1 || ShapedType::isDynamic(dim(sink, 1)) || dim(sink, 2) != 1 || dim(sink, 3) != 1 ||
      !isFloat(sink))
    return false;
  w.sink = sink, w.scores = throughCasts(scores);
  return true;
}

/// 1 if the value is all of the last axis but its last entry, 0 if it is all but the first; otherwise nothing.
std::optional<bool> dropsLast(NodeOp node) {
  auto slice = lastAxisSlice(node);
  if (!slice || slice->step != 1)
    return std::nullopt;
  if (slice->start == 0 && slice->end == -1)
    return true;
  return slice->start == 1 && slice->end >= int64_t(1) << 31 ? std::optional(false) : std::nullopt;
}

/// Reads back from the left operand of the product with the values. Exports of torch guard rows without keys: Where(IsNaN(p), 0, p).
std::optional<Weights> weightsOf(Value value) {
  Weights w;
  std::optional<bool> sinkLast;
  value = throughCasts(value);
  while (!node(value, "Softmax")) {
    if (NodeOp where = node(value, "Where"); where && number(where.getInputs()[1]) == 0.0) {
      Value inner = throughCasts(where.getInputs()[2]);
      NodeOp isNan = node(where.getInputs()[0], "IsNaN");
      if (isNan && throughCasts(isNan.getInputs()[0]) == inner)
        w.guard = true;
      else if (!w.zeroed)
        w.zeroed = through(where.getInputs()[0]);
      else
        return std::nullopt;
      value = inner;
    } else if (Value before = beforeReshape(value, {3, 4})) {
      value = before;
    } else if (NodeOp slice = node(value, "Slice"); slice && !sinkLast) {
      sinkLast = dropsLast(slice);
      if (!sinkLast)
        return std::nullopt;
      value = throughCasts(slice.getInputs()[0]);
    } else {
      return std::nullopt;
    }
  }
  w.softmax = node(value, "Softmax");
  int64_t axis = intAttr(w.softmax, "axis", w.softmax.getVersion() >= 13 ? -1 : 1);
  if (axisOf(value, axis) != rank(value) - 1)
    return std::nullopt;
  w.scores = throughCasts(w.softmax.getInputs()[0]);
  w.scores = withoutMaximum(w.scores);
  if (sinkLast && !splitSink(w, !*sinkLast))
    return std::nullopt;
  return w;
}

/// True if adding `bias` to scores of this type cannot make them larger: its known sizes are those of the scores, or ones.
bool broadcastsTo(Value mask, Value scores) {
  int64_t r = rank(mask);
  if (r < 0 || r > rank(scores))
    return false;
  for (int64_t i = 1; i <= r; ++i)
    if (dim(mask, -i) != 1 && !ShapedType::isDynamic(dim(mask, -i)) && !ShapedType::isDynamic(dim(scores, -i)) &&
        dim(mask, -i) != dim(scores, -i))
      return false;
  return true;
}

/// So negative that adding any score to it rounds to itself.
bool absorbs(double value, Type type) { return value <= -1e30 || (type.getIntOrFloatBitWidth() == 16 && value <= -65000); }

/// The constant that a value is cut out of.
std::optional<Value> tableOf(Value value) {
  for (int depth = 0; depth < 16; ++depth) {
    value = through(value);
    if (value.getDefiningOp<onnxir::ConstantOp>() || value.getDefiningOp<ParamRefOp>())
      return value;
    NodeOp op;
    for (StringRef name : {"Slice", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Not"})
      if (!op)
        op = node(value, name);
    if (!op)
      return std::nullopt;
    value = op.getInputs()[0];
  }
  return std::nullopt;
}

/// Cut out of a constant that has nothing but zeros and ones.
bool isTruthTable(Value value) {
  auto table = tableOf(value);
  if (!table || !isFloat(*table))
    return false;
  auto truth = [](double v) { return v == 0 || v == 1; };
  if (auto constant = table->getDefiningOp<onnxir::ConstantOp>()) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return dense && llvm::all_of(dense.getValues<APFloat>(), [&](const APFloat &f) { return f.isZero() || f.isExactlyValue(1.0); });
  }
  auto ref = table->getDefiningOp<ParamRefOp>();
  auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(ref, ref.getParamAttr());
  if (!param || !param.getKey() || !elementType(*table).isF32())
    return false;
  ArrayRef<char> bytes = ref->getContext()->getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    float f;
    memcpy(&f, bytes.data() + i, 4);
    if (!truth(f))
      return false;
  }
  return !bytes.empty();
}

struct Scores {
  Value product;                 // of q and k
  double scale = 1, softcap = 0; // scale: of all that is not peeled yet
  SmallVector<Value> biases;
  SmallVector<size_t> flat; // those of them that are [N, S, T]
  Value keep;               // bool
  Value lowest;             // the sum of scores and biases is at least this
  Value queryFactor;        // beside the scale, for each head or query
};

/// Whether `value` is a product of q and k with masks, scales and reshapes around it.
bool leadsToProduct(Value value, int depth = 0) {
  value = throughCasts(value);
  if (depth > 8)
    return false;
  if (node(value, "MatMul"))
    return rank(value) == 3 || rank(value) == 4;
  for (StringRef name : {"Add", "Sub", "Mul", "Div", "Tanh", "Reshape", "Max"})
    if (NodeOp op = node(value, name)) {
      bool both = name == "Add" || name == "Mul" || name == "Max";
      return leadsToProduct(op.getInputs()[0], depth + 1) ||
             (both && op.getInputs().size() == 2 && leadsToProduct(op.getInputs()[1], depth + 1));
    }
  if (NodeOp where = node(value, "Where"))
    return leadsToProduct(where.getInputs()[number(where.getInputs()[1]) ? 2 : 1], depth + 1);
  return false;
}

/// Writes the nodes that a raised attention needs around it.
class Peeler {
public:
  Peeler(OpBuilder &builder, NodeOp root, Weights &weights) : builder(builder), root(root), weights(weights) {}

  /// Peels what lies between Softmax and the product of q and k.
  std::optional<Scores> run();
  /// One mask operand from all that was found, null if there is none.
  Value mask(Scores &s);
  /// Entries [from, to) of the sizes of `value`.
  Value sizes(Value value, int64_t from, int64_t to);
  Value joined(ArrayRef<Value> vectors);
  Value reshaped(Value value, Value shape, ArrayRef<int64_t> type);
  Value ints(ArrayRef<int64_t> values) { return constantInts(builder, root.getLoc(), values); }

private:
  bool addBias(Scores &s, Value bias, Value scores);
  void push(Scores &s, Value bias, Value scores);
  bool addWhere(Scores &s, NodeOp where, Value &value);
  bool multiplied(Scores &s, Value &value);
  bool windows(Scores &s, Value &value);
  Value scalar(double v, Type type);

  OpBuilder &builder;
  NodeOp root;
  Weights &weights;
};

Value Peeler::sizes(Value value, int64_t from, int64_t to) {
  auto type = RankedTensorType::get({to - from}, builder.getI64Type());
  return make(builder, root, "Shape", 15, {value}, {type},
              {builder.getNamedAttr("start", builder.getI64IntegerAttr(from)), builder.getNamedAttr("end", builder.getI64IntegerAttr(to))})
      ->getResult(0);
}

Value Peeler::joined(ArrayRef<Value> vectors) {
  int64_t count = 0;
  for (Value v : vectors)
    count += dim(v, 0);
  auto type = RankedTensorType::get({count}, builder.getI64Type());
  return make(builder, root, "Concat", 13, vectors, {type}, {builder.getNamedAttr("axis", builder.getI64IntegerAttr(0))})->getResult(0);
}

Value Peeler::reshaped(Value value, Value shape, ArrayRef<int64_t> sizes) {
  return make(builder, root, "Reshape", 14, {value, shape}, {RankedTensorType::get(sizes, elementType(value))},
              {builder.getNamedAttr("allowzero", builder.getI64IntegerAttr(1))})
      ->getResult(0);
}

Value Peeler::scalar(double v, Type type) {
  auto t = RankedTensorType::get({}, type);
  auto attr = DenseElementsAttr::get(t, Attribute(FloatAttr::get(type, v)));
  return onnxir::ConstantOp::create(builder, root.getLoc(), t, cast<ElementsAttr>(attr));
}

bool Peeler::addBias(Scores &s, Value bias, Value scores) {
  if (!isFloat(bias) || !broadcastsTo(bias, scores) || s.softcap != 0 || s.queryFactor)
    return false;
  if (s.scale != 1) // scaled together with the scores
    bias = make(builder, root, "Mul", 14, {bias, scalar(s.scale, elementType(bias))}, {bias.getType()})->getResult(0);
  push(s, bias, scores);
  return true;
}

void Peeler::push(Scores &s, Value bias, Value scores) {
  bool flat = rank(scores) == 3 && rank(bias) == 3;
  if (flat && dim(bias, 0) == 1) // beside [N, S, T] it holds for every head
    bias = make(builder, root, "Unsqueeze", 13, {bias, ints({0})},
                {RankedTensorType::get({1, 1, dim(bias, 1), dim(bias, 2)}, elementType(bias))})
               ->getResult(0);
  else if (flat)
    s.flat.push_back(s.biases.size());
  s.biases.push_back(bias);
}

bool Peeler::addWhere(Scores &s, NodeOp where, Value &value) {
  Value condition = where.getInputs()[0];
  auto yes = number(where.getInputs()[1]), no = number(where.getInputs()[2]);
  if (s.softcap != 0 || s.queryFactor || s.scale <= 0 || !broadcastsTo(condition, value) || bool(yes) == bool(no) ||
      (rank(value) == 3 && rank(condition) == 3 && dim(condition, 0) != 1))
    return false;
  double hidden = yes ? *yes : *no;
  Type type = elementType(value);
  // A number that is merely low still hides a key, unless all keys of a row are hidden: that a stored triangle does not do.
  if (!absorbs(hidden, type) && !(hidden <= -1e4 && tableOf(condition)))
    return false;
  auto conditionType = cast<RankedTensorType>(condition.getType());
  // Weights that are zeroed where the scores were hidden: as if these had been -inf, with zeros in rows without keys.
  bool zeroed = weights.zeroed && yes && through(condition) == weights.zeroed;
  if ((std::isinf(hidden) || zeroed) && !s.keep) {
    s.keep = yes ? make(builder, root, "Not", 1, {condition}, {conditionType})->getResult(0) : condition;
    if (zeroed)
      weights.zeroed = Value();
  } else {
    Value h = scalar(hidden, type), zero = scalar(0, type);
    push(s,
         make(builder, root, "Where", 16, {condition, yes ? h : zero, yes ? zero : h},
              {RankedTensorType::get(conditionType.getShape(), type)})
             ->getResult(0),
         value);
  }
  value = throughCasts(where.getInputs()[yes ? 2 : 1]);
  return true;
}

/// The first GPT-2: scores * m - 1e4 * (1 - m), m cut out of a triangle of ones.
bool Peeler::multiplied(Scores &s, Value &value) {
  NodeOp sub = node(value, "Sub");
  if (!sub || s.softcap != 0 || s.queryFactor || s.scale <= 0)
    return false;
  Value scores, kept;
  double hidden = 0;
  bool found = eitherOrder(nodeBehindCasts(sub.getInputs()[0], "Mul"), [&](Value a, Value m) {
    return leadsToProduct(a) && isTruthTable(m) && eitherOrder(nodeBehindCasts(sub.getInputs()[1], "Mul"), [&](Value rest, Value c) {
             NodeOp inverse = nodeBehindCasts(rest, "Sub");
             auto low = number(c);
             if (!inverse || !low || *low < 1e4 || number(inverse.getInputs()[0]) != 1.0 || through(inverse.getInputs()[1]) != through(m))
               return false;
             scores = a, kept = m, hidden = -*low;
             return true;
           });
  });
  if (!found || !broadcastsTo(kept, value))
    return false;
  auto shape = cast<RankedTensorType>(kept.getType()).getShape();
  Value truth = make(builder, root, "Cast", 13, {kept}, {RankedTensorType::get(shape, builder.getI1Type())},
                     {builder.getNamedAttr("to", builder.getI64IntegerAttr(onnxDataType(builder.getI1Type())))})
                    ->getResult(0);
  Type type = elementType(value);
  push(s,
       make(builder, root, "Where", 16, {truth, scalar(0, type), scalar(hidden, type)}, {RankedTensorType::get(shape, type)})->getResult(0),
       value);
  value = throughCasts(scores);
  return true;
}

/// Swin: [B * W, H, N, N] seen as [B, W, H, N, N] for the sum with a mask [1, W, 1, N, N].
bool Peeler::windows(Scores &s, Value &value) {
  Value wide = s.scale == 1 && s.softcap == 0 ? beforeReshape(value, {5}) : Value();
  NodeOp add = wide ? node(wide, "Add") : NodeOp();
  Value inner, bias;
  bool found = eitherOrder(add, [&](Value a, Value b) {
    inner = beforeReshape(throughCasts(a), {4});
    bias = b;
    return inner && leadsToProduct(inner) && isFloat(b) && rank(b) == 5 && dim(b, 0) == 1 && dim(b, 2) == 1;
  });
  if (!found)
    return false;
  for (int64_t i = -3; i < 0; ++i)
    if (ShapedType::isDynamic(dim(wide, i)) || dim(wide, i) != dim(value, i) || dim(wide, i) != dim(inner, i) ||
        (i > -3 && dim(bias, i) != dim(wide, i)))
      return false;
  int64_t any = ShapedType::kDynamic, rows = dim(wide, -2), columns = dim(wide, -1);
  Value before = add.getInputs()[0] == bias ? add.getInputs()[1] : add.getInputs()[0];
  Value each = make(builder, root, "Expand", 13, {bias, joined({sizes(before, 0, 2), ints({1, rows, columns})})},
                    {RankedTensorType::get({any, any, 1, rows, columns}, elementType(bias))})
                   ->getResult(0);
  s.biases.push_back(reshaped(each, joined({sizes(inner, 0, 1), ints({1, rows, columns})}), {any, 1, rows, columns}));
  value = inner;
  return true;
}

std::optional<Scores> Peeler::run() {
  Scores s;
  Value value = weights.scores;
  while (true) {
    if (!weights.fourD && rank(value) == 4)
      weights.fourD = value;
    if (NodeOp add = node(value, "Add")) {
      // The mask is the operand that is no product of q and k.
      Value a = add.getInputs()[0], b = add.getInputs()[1];
      if (!leadsToProduct(a))
        std::swap(a, b);
      if (!leadsToProduct(a) || !addBias(s, b, value))
        return std::nullopt;
      value = throughCasts(a);
      continue;
    }
    if (NodeOp where = node(value, "Where")) {
      if (!addWhere(s, where, value))
        return std::nullopt;
      continue;
    }
    if (NodeOp max = node(value, "Max"); max && max.getInputs().size() == 2 && s.biases.empty() && !s.lowest && s.scale == 1) {
      // OPT: scores and mask together do not go below the lowest number.
      bool found = eitherOrder(max, [&](Value a, Value b) {
        auto n = number(b);
        if (!n || !isScalar(b) || !absorbs(*n, elementType(value)) || std::isinf(*n))
          return false;
        s.lowest = scalar(*n, elementType(value)), value = throughCasts(a);
        return true;
      });
      if (!found)
        return std::nullopt;
      continue;
    }
    // Swin 2: a factor for each head (or query), which may as well scale the queries.
    if (NodeOp mul = node(value, "Mul"); mul && !s.queryFactor && s.softcap == 0 && rank(value) == 4) {
      bool found = eitherOrder(mul, [&](Value a, Value b) {
        if (number(b) || !isFloat(b) || rank(b) < 1 || dim(b, -1) != 1 || !broadcastsTo(b, value) || !leadsToProduct(a) ||
            leadsToProduct(b))
          return false;
        s.queryFactor = b, value = throughCasts(a);
        return true;
      });
      if (found)
        continue;
    }
    if (multiplied(s, value) || windows(s, value))
      continue;
    if (Value before = beforeReshape(value, {3, 4})) {
      value = before;
      continue;
    }
    Scaled outer = unscaled(value);
    if (NodeOp tanh = node(outer.inner, "Tanh"); tanh && !s.queryFactor) {
      Scaled inside = unscaled(tanh.getInputs()[0]);
      // cap * tanh(x * scale / cap)
      if (s.softcap != 0 || outer.factor <= 0)
        return std::nullopt;
      s.softcap = s.scale * outer.factor;
      s.scale = inside.factor * s.softcap;
      value = inside.inner;
    } else {
      if (outer.inner == value && !node(value, "MatMul"))
        return std::nullopt;
      s.scale *= outer.factor;
      value = outer.inner;
    }
    if (!node(value, "MatMul"))
      continue;
    s.product = value;
    return weights.zeroed ? std::nullopt : std::optional(s);
  }
}

Value Peeler::mask(Scores &s) {
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
  if (s.lowest)
    bias = make(builder, root, "Max", 13, {bias, s.lowest}, {bias.getType()})->getResult(0);
  if (!s.keep)
    return bias;
  Value hidden = scalar(-INFINITY, type);
  return make(builder, root, "Where", 16, {s.keep, bias, hidden}, {join(s.keep, bias)})->getResult(0);
}

/// True unless the sizes say that MatMul would broadcast one of the operands.
bool sameSize(int64_t a, int64_t b) { return a == b || (ShapedType::isDynamic(a) && b != 1) || (ShapedType::isDynamic(b) && a != 1); }

/// [B, H] of operands [B * H, S, D]: the sizes of a value that has both, from the scores or from what an operand is a reshape of. Null if
/// there is none, or if it is not known how many heads there are.
Value headsOf(Peeler &peeler, const Weights &weights, ArrayRef<Value> operands, int64_t &heads) {
  auto take = [&](Value four) {
    heads = dim(four, 1);
    return ShapedType::isDynamic(heads) ? Value() : peeler.sizes(four, 0, 2);
  };
  if (weights.fourD)
    if (Value v = take(weights.fourD))
      return v;
  for (Value operand : operands) {
    NodeOp reshape = node(throughCasts(operand), "Reshape");
    Value four = reshape ? reshape.getInputs()[0] : Value();
    if (four && rank(four) == 4 && dim(four, 3) == dim(operand, 2) && !ShapedType::isDynamic(dim(four, 3)))
      if (Value v = take(four))
        return v;
  }
  return Value();
}

bool rewrite(OpBuilder &builder, NodeOp root) {
  int64_t r = rank(root->getResult(0));
  if (root.getOpType() != "MatMul" || !root.getDomain().empty() || (r != 3 && r != 4) || !isFloat(root->getResult(0)))
    return false;
  Value value = root.getInputs()[1], result = root->getResult(0);
  auto weights = weightsOf(root.getInputs()[0]);
  if (!weights || rank(value) != r)
    return false;
  // Attention weights that are also wanted elsewhere have to be computed anyway.
  static constexpr llvm::StringLiteral between[] = {"Cast", "Where", "IsNaN", "Identity", "Dropout", "Reshape", "Slice"};
  for (Operation *user : weights->softmax->getUsers())
    if (auto use = dyn_cast<NodeOp>(user); !use || (use != root && !llvm::is_contained(between, use.getOpType())))
      return false;
  Peeler peeler(builder, root, *weights);
  auto s = peeler.run();
  if (!s || rank(s->product) != r)
    return false;
  NodeOp product = node(s->product, "MatMul");
  Permuted key = unpermuted(product.getInputs()[1]);
  Scaled query = unscaled(product.getInputs()[0]);
  if (rank(query.inner) != r || rank(key.inner) != r || elementType(query.inner) != elementType(key.inner))
    return false;
  Value q = query.inner, v = throughCasts(value);
  if (s->queryFactor) {
    if (r != 4 || elementType(s->queryFactor) != elementType(q))
      return false;
    q = make(builder, root, "Mul", 14, {q, s->queryFactor}, {q.getType()})->getResult(0);
  }
  if (elementType(v) != elementType(q))
    v = value;
  if (elementType(q) != elementType(v) || elementType(v) != elementType(result))
    return false;
  // MatMul takes [.., D, T], Attention [.., T, D].
  std::swap(key.perm[r - 2], key.perm[r - 1]);
  SmallVector<int64_t> kShape;
  for (int64_t p : key.perm)
    kShape.push_back(dim(key.inner, p));
  // One head of keys and values for all queries: the product repeats it.
  bool oneHead = r == 4 && kShape[1] == 1 && dim(v, 1) == 1;
  for (int64_t i = 0; i < r - 2; ++i)
    if (!(oneHead && i == 1) && (!sameSize(dim(q, i), kShape[i]) || !sameSize(kShape[i], dim(v, i))))
      return false;
  double scale = s->scale * query.factor * key.factor;
  if (scale <= 0)
    return false;

  Value k;
  int64_t any = ShapedType::kDynamic, heads = 1;
  if (r == 4) {
    bool plain = key.perm[0] == 0 && key.perm[1] == 1 && key.perm[2] == 2;
    Value kNarrow = plain ? beforeRepeat(key.inner) : key.inner, vNarrow = beforeRepeat(v);
    bool repeats = kNarrow != key.inner && vNarrow != v && dim(kNarrow, 1) == dim(vNarrow, 1) &&
                   elementType(kNarrow) == elementType(vNarrow) && elementType(kNarrow) == elementType(q);
    k = repeats ? kNarrow : transposed(builder, root, key.inner, key.perm);
    v = repeats ? vNarrow : v;
  } else {
    k = transposed(builder, root, key.inner, key.perm);
    Value split = headsOf(peeler, *weights, {q, key.inner, v}, heads);
    if (!split) {
      heads = 1;
      if (weights->fourD || weights->sink)
        return false; // the masks are for heads
      split = peeler.joined({peeler.sizes(q, 0, 1), peeler.ints({1})});
    }
    auto four = [&](Value x) {
      return peeler.reshaped(x, peeler.joined({split, peeler.sizes(x, 1, 3)}), {any, heads, dim(x, 1), dim(x, 2)});
    };
    q = four(q), k = four(k), v = four(v);
    for (size_t i : s->flat)
      s->biases[i] = four(s->biases[i]);
  }

  Value mask = peeler.mask(*s);
  SmallVector<NamedAttribute> attrs{builder.getNamedAttr("scale", builder.getF32FloatAttr(scale))};
  if (s->softcap != 0)
    attrs.push_back(builder.getNamedAttr("softcap", builder.getF32FloatAttr(s->softcap)));
  SmallVector<Value> inputs{q, k, v};
  if (mask || weights->sink)
    inputs.push_back(mask ? mask : absent(builder, root.getLoc()));
  if (weights->sink) {
    int64_t count = dim(weights->sink, 1);
    if (!ShapedType::isDynamic(dim(q, 1)) && dim(q, 1) != count)
      return false;
    while (inputs.size() < 7)
      inputs.push_back(absent(builder, root.getLoc()));
    Value sink = peeler.reshaped(weights->sink, peeler.ints({count}), {count});
    if (elementType(sink) != elementType(q))
      sink = make(builder, root, "Cast", 13, {sink}, {RankedTensorType::get({count}, elementType(q))},
                  {builder.getNamedAttr("to", builder.getI64IntegerAttr(onnxDataType(elementType(q))))})
                 ->getResult(0);
    inputs.push_back(sink);
  }
  if (r == 4) {
    root->replaceAllUsesWith(make(builder, root, "Attention", 23, inputs, {result.getType()}, attrs));
    return true;
  }
  auto type = RankedTensorType::get({any, heads, dim(result, 1), dim(result, 2)}, elementType(result));
  Value attended = make(builder, root, "Attention", 23, inputs, {type}, attrs)->getResult(0);
  Value shape = peeler.joined({peeler.sizes(root.getInputs()[1], 0, 1), peeler.sizes(attended, 2, 4)});
  Value flat = peeler.reshaped(attended, shape, cast<RankedTensorType>(result.getType()).getShape());
  root->getResult(0).replaceAllUsesWith(flat);
  return true;
}

/// Attention over keys and values that were repeated for groups of heads: it repeats them itself.
bool withoutRepeat(OpBuilder &builder, NodeOp root) {
  // A past has as many heads as the new keys, and so has what is handed on.
  if (root.getOpType() != "Attention" || !root.getDomain().empty() || root.getInputs().size() < 3 || input(root, 4) || input(root, 5) ||
      rank(root.getInputs()[0]) != 4)
    return false;
  for (Value present : root->getResults().slice(1, std::min(2u, root->getNumResults() - 1)))
    if (!present.use_empty())
      return false;
  Value k = root.getInputs()[1], v = root.getInputs()[2], kNarrow = beforeRepeat(k), vNarrow = beforeRepeat(v);
  if (kNarrow == k || vNarrow == v || dim(kNarrow, 1) != dim(vNarrow, 1) || elementType(kNarrow) != elementType(k) ||
      elementType(vNarrow) != elementType(v))
    return false;
  SmallVector<Value> inputs(root.getInputs());
  inputs[1] = kNarrow, inputs[2] = vNarrow;
  SmallVector<NamedAttribute> attrs(root.getAttrs().begin(), root.getAttrs().end());
  root->replaceAllUsesWith(make(builder, root, "Attention", root.getVersion(), inputs, root->getResultTypes(), attrs));
  return true;
}

struct RaiseAttention : impl::LeatRaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    forEachNode(getOperation(), einsumToMatMul);
    forEachNode(getOperation(), rewrite);
    forEachNode(getOperation(), withoutRepeat);
  }
};
} // namespace
} // namespace leat::import
