// Pulling through everything that is not a linalg body: buffers, constants, views, slices, concatenation, padding, reshapes.
#include "passes/CPU/Pull.h"

#include "passes/CPU/Operands.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

static bool isIdentity(linalg::GenericOp op, OpOperand *operand) { return op.getMatchingIndexingMap(operand).isIdentity(); }

/// All-parallel with an identity output map for each result.
static bool isElementwise(linalg::GenericOp op) { return op.getNumParallelLoops() == op.getNumLoops(); }

Value Puller::pull(Value tensor, ArrayRef<Idx> at) {
  Key key{{tensor.getAsOpaquePointer(), 0}};
  for (const Idx &x : at) {
    key.push_back({x.base.getAsOpaquePointer(), x.stride});
    key.push_back({x.lanes.getAsOpaquePointer(), 0});
  }
  auto known = memo.find(key);
  if (known != memo.end())
    return known->second;
  Value value = compute(tensor, at);
  memo[key] = value;
  return value;
}

Value Puller::pullVector(Value tensor, ArrayRef<Idx> at) { return k.splat(pull(tensor, at), width); }

Value Puller::loadBuffer(Value pointer, Type element, Idx linear) {
  if (linear.uniform() || width == 1)
    return k.load(pointer, element, linear.base, 1);
  if (linear.contiguous())
    return k.load(pointer, element, linear.base, width);
  return k.gather(pointer, element, vector(linear));
}

Value Puller::compute(Value tensor, ArrayRef<Idx> at) {
  auto override = bound.find(tensor);
  if (override != bound.end())
    return override->second(*this, at);
  Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
  if (auto arg = dyn_cast<BlockArgument>(tensor))
    return operandLayout(k.kernel, arg).empty() ? loadBuffer(k.buffer(arg), element, linearize(at, k.dims(tensor))) : pullPacked(arg, at);
  Operation *op = tensor.getDefiningOp();
  unsigned result = cast<OpResult>(tensor).getResultNumber();
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return isElementwise(generic) ? pullGeneric(generic, result, at, nullptr) : pullReduction(generic, result, at);
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return k.scalar(fill.getInputs()[0]);
  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return k.scalar(splat.getInput());
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto dense = dyn_cast<DenseElementsAttr>(constant.getValue()); dense && dense.isSplat()) {
      if (isa<FloatType>(element))
        return k.constant(KernelBuilder::carriedType(element), dense.getSplatValue<FloatAttr>().getValueAsDouble());
      if (element.isIndex())
        return k.idx(dense.getSplatValue<IntegerAttr>().getInt());
      return arith::ConstantOp::create(b, cast<TypedAttr>(dense.getSplatValue<Attribute>()));
    } else if (dense) {
      return loadBuffer(k.globalConstant(dense), element, linearize(at, k.dims(tensor)));
    }
  }
  if (isa<tensor::FromElementsOp>(op))
    return pullElements(op, at);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return pull(cast.getSource(), at);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    SmallVector<Idx> from;
    unsigned next = 0;
    for (auto [d, offset, stride] : llvm::enumerate(slice.getMixedOffsets(), slice.getMixedStrides())) {
      auto uniform = [&](OpFoldResult v) {
        std::optional<int64_t> constant = getConstantIntValue(v);
        return constant ? this->at(*constant) : this->at(k.scalar(cast<Value>(v)));
      };
      Idx x = uniform(offset);
      if (!dropped.test(d))
        x = add(x, mul(uniform(stride), at[next++]));
      from.push_back(x);
    }
    return pull(slice.getSource(), from);
  }
  if (isa<tensor::ConcatOp>(op))
    return pullConcat(op, at);
  if (isa<tensor::PadOp>(op))
    return pullPad(op, at);
  if (isa<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
    return pullReshape(tensor, op->getOperand(0), at);
  if (auto view = dyn_cast<CacheViewOp>(op)) {
    if (view.getTable())
      return pullPaged(view, at);
    auto axis = op->getAttrOfType<IntegerAttr>("axis");
    return pullView(view.getState(), at, axis ? axis.getInt() : int64_t(at.size()) - 2, k.scalar(view.getOffset()));
  }
  if (auto read = dyn_cast<StateReadOp>(op))
    return pullView(read.getState(), at, -1, {});
  if (isa<RotaryOp>(op))
    return pullRotary(op, at);
  k.fail("op '" + op->getName().getStringRef() + "' cannot be computed on demand inside another kernel", op);
  Type carried = KernelBuilder::carriedType(element);
  return isa<FloatType>(carried) ? k.constant(carried, 0) : carried.isIndex() ? k.idx(0) : k.constantInt(carried, 0);
}

// --- lanes that do not stay in one place
// ----------------------------------------------------------------------------------------------------

Value Puller::eachLane(Type element, ArrayRef<Idx> at, Scalarized body) {
  Type carried = KernelBuilder::carriedType(element);
  Type type = KernelBuilder::vectorOf(carried, width);
  Value init = isa<FloatType>(carried) ? k.constant(type, 0) : k.constantInt(type, 0);
  // Coordinates of varying lanes, computed outside of the loop.
  SmallVector<Value> vectors;
  for (const Idx &x : at)
    vectors.push_back(x.lanes);
  return k.forLoop(k.idx(0), k.idx(width), k.idx(1), init, [&](Value lane, ValueRange carriedVector) {
    Puller one(k, 1);
    one.bound = bound;
    SmallVector<Idx> single;
    for (const Idx &x : at) {
      Idx each;
      each.data = x.data;
      if (x.lanes)
        each.base = vector::ExtractOp::create(b, x.lanes, lane);
      else
        each.base = k.add(x.base, k.mul(lane, k.idx(x.stride)));
      single.push_back(each);
    }
    Value element = body(one, single);
    return SmallVector<Value>{vector::InsertOp::create(b, element, carriedVector[0], lane).getResult()};
  })[0];
}

Value Puller::branch(Value cond, bool wide, function_ref<Value()> thenBody, function_ref<Value()> elseBody) {
  // What is computed in a branch is not there after it.
  auto scoped = [&](function_ref<Value()> body) {
    auto saved = memo;
    Value value = body();
    memo = std::move(saved);
    return SmallVector<Value>{wide ? k.splat(value, width) : value};
  };
  if (std::optional<int64_t> constant = getConstantIntValue(cond))
    return *constant ? thenBody() : elseBody();
  return k.ifElse(cond, [&] { return scoped(thenBody); }, [&] { return scoped(elseBody); })[0];
}

Value Puller::pullConcat(Operation *op, ArrayRef<Idx> at) {
  auto concat = cast<tensor::ConcatOp>(op);
  unsigned axis = concat.getDim();
  bool wide = varies(at);
  Idx along = at[axis];
  Type element = concat.getResultType().getElementType();
  if (!along.uniform() && !along.contiguous() && wide)
    return eachLane(element, at, [&](Puller &one, ArrayRef<Idx> single) { return one.pullConcat(op, single); });
  int64_t span = along.uniform() || width == 1 ? 1 : width;
  SmallVector<Value> starts{k.idx(0)};
  for (Value input : concat.getInputs())
    starts.push_back(k.add(starts.back(), k.dim(input, axis)));
  auto part = [&](unsigned i) {
    SmallVector<Idx> inner(at);
    inner[axis] = along;
    inner[axis].base = k.sub(along.base, starts[i]);
    inner[axis].multiple = 1;
    return pull(concat.getInputs()[i], inner);
  };
  unsigned last = concat.getInputs().size() - 1;
  std::function<Value(unsigned)> choose = [&](unsigned i) -> Value {
    if (i == last && span == 1)
      return part(i);
    // A vector that lies within one input is a vector of that input; one that crosses is taken lane by lane.
    Value end = k.add(along.base, k.idx(span));
    Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, end, starts[i + 1]);
    if (span > 1 && i > 0)
      inside = arith::AndIOp::create(b, inside, arith::CmpIOp::create(b, arith::CmpIPredicate::sge, along.base, starts[i]));
    return branch(
        inside, wide, [&] { return part(i); },
        [&] {
          if (i < last)
            return choose(i + 1);
          return eachLane(element, at, [&](Puller &one, ArrayRef<Idx> single) { return one.pullConcat(op, single); });
        });
  };
  return choose(0);
}

Value Puller::pullPad(Operation *op, ArrayRef<Idx> at) {
  auto pad = cast<tensor::PadOp>(op);
  Value fill = pad.getConstantPaddingValue();
  if (!fill) {
    k.fail("tensor.pad needs one padding value", op);
    fill = k.constantInt(b.getI32Type(), 0);
  }
  bool wide = varies(at);
  auto low = [&](unsigned d) {
    OpFoldResult amount = pad.getMixedLowPad()[d];
    std::optional<int64_t> constant = getConstantIntValue(amount);
    return constant ? k.idx(*constant) : k.scalar(cast<Value>(amount));
  };
  Type element = pad.getResultType().getElementType();
  auto scalarCase = [&](Puller &one, ArrayRef<Idx> single) { return one.pullPad(op, single); };
  Value inside, crosses;
  SmallVector<Idx> inner;
  for (auto [d, x] : llvm::enumerate(at)) {
    bool unpadded = getConstantIntValue(pad.getMixedLowPad()[d]) == 0 && getConstantIntValue(pad.getMixedHighPad()[d]) == 0;
    if (unpadded) {
      inner.push_back(x);
      continue;
    }
    if (!x.uniform() && !x.contiguous() && wide)
      return eachLane(element, at, scalarCase);
    Idx from = x;
    from.base = k.sub(x.base, low(d));
    from.multiple = 1;
    inner.push_back(from);
    int64_t span = x.uniform() || width == 1 ? 1 : width;
    Value size = k.dim(pad.getSource(), d), end = k.add(from.base, k.idx(span));
    Value within = arith::AndIOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::sge, from.base, k.idx(0)),
                                         arith::CmpIOp::create(b, arith::CmpIPredicate::sle, end, size));
    inside = inside ? arith::AndIOp::create(b, inside, within).getResult() : within;
    if (span > 1) {
      // Wholly outside gives the padding; neither inside nor outside goes lane by lane.
      Value outside = arith::OrIOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::sle, end, k.idx(0)),
                                           arith::CmpIOp::create(b, arith::CmpIPredicate::sge, from.base, size));
      Value neither = arith::XOrIOp::create(b, arith::OrIOp::create(b, within, outside), k.constantInt(b.getI1Type(), 1));
      crosses = crosses ? arith::OrIOp::create(b, crosses, neither).getResult() : neither;
    }
  }
  if (!inside)
    return pull(pad.getSource(), at);
  auto padding = [&] { return k.scalar(fill); };
  return branch(
      inside, wide, [&] { return pull(pad.getSource(), inner); },
      [&]() -> Value {
        if (!crosses)
          return padding();
        return branch(crosses, wide, [&] { return eachLane(element, at, scalarCase); }, padding);
      });
}

// --- reshapes
// -----------------------------------------------------------------------------------------------------------------------------

bool Puller::isLinear(Value tensor) {
  auto known = linearKnown.find(tensor);
  if (known != linearKnown.end())
    return known->second;
  bool answer = computeLinear(tensor);
  linearKnown[tensor] = answer;
  return answer;
}

bool Puller::computeLinear(Value tensor) {
  if (bound.count(tensor))
    return false;
  if (isa<BlockArgument>(tensor))
    return operandLayout(k.kernel, tensor).empty();
  Operation *op = tensor.getDefiningOp();
  if (isa<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op))
    return isLinear(op->getOperand(0));
  if (isa<linalg::FillOp, tensor::SplatOp>(op))
    return true;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return isa<DenseElementsAttr>(constant.getValue());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !isElementwise(generic))
    return false;
  if (!isIdentity(generic, generic.getDpsInitOperand(cast<OpResult>(tensor).getResultNumber())))
    return false;
  bool indexed = generic.getBody()->walk([](linalg::IndexOp) { return WalkResult::interrupt(); }).wasInterrupted();
  return !indexed && llvm::all_of(generic.getDpsInputOperands(), [&](OpOperand *operand) {
    if (!isa<ShapedType>(operand->get().getType()) || generic.getMatchingIndexingMap(operand).isConstant())
      return true;
    return isIdentity(generic, operand) && isLinear(operand->get());
  });
}

Value Puller::pullLinear(Value tensor, Idx linear) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getRank() <= 1)
    return type.getRank() == 0 ? pull(tensor, {}) : pull(tensor, linear);
  if (!isLinear(tensor)) {
    SmallVector<Value> dims = k.dims(tensor);
    return splitLinear(tensor, linear, dims, [&](Puller &p, ArrayRef<Idx> at) { return p.pull(tensor, at); });
  }
  Key key{{tensor.getAsOpaquePointer(), 1}, {linear.base.getAsOpaquePointer(), linear.stride}, {linear.lanes.getAsOpaquePointer(), 0}};
  auto known = memo.find(key);
  if (known != memo.end())
    return known->second;
  Value value;
  if (auto arg = dyn_cast<BlockArgument>(tensor)) {
    value = loadBuffer(k.buffer(arg), type.getElementType(), linear);
  } else if (auto generic = tensor.getDefiningOp<linalg::GenericOp>()) {
    value = pullGeneric(generic, cast<OpResult>(tensor).getResultNumber(), {}, &linear);
  } else if (auto constant = tensor.getDefiningOp<arith::ConstantOp>();
             constant && !cast<DenseElementsAttr>(constant.getValue()).isSplat()) {
    value = loadBuffer(k.globalConstant(cast<DenseElementsAttr>(constant.getValue())), type.getElementType(), linear);
  } else if (isa<linalg::FillOp, tensor::SplatOp, arith::ConstantOp>(tensor.getDefiningOp())) {
    value = pull(tensor, SmallVector<Idx>(type.getRank(), at(0)));
  } else {
    Value source = tensor.getDefiningOp()->getOperand(0);
    value = pullLinear(source, linear);
  }
  return memo[key] = value;
}

Value Puller::splitLinear(Value tensor, Idx linear, ArrayRef<Value> dims, Scalarized body) {
  Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
  // Dimensions of size 1 have coordinate 0.
  SmallVector<unsigned> real;
  for (auto [d, dim] : llvm::enumerate(dims))
    if (getConstantIntValue(dim) != 1)
      real.push_back(d);
  SmallVector<Idx> at(dims.size(), this->at(0));
  if (real.empty())
    return body(*this, at);
  bool wide = varies(linear);
  if (wide && !linear.contiguous())
    return eachLane(element, linear, [&](Puller &one, ArrayRef<Idx> single) { return one.splitLinear(tensor, single[0], dims, body); });
  Value rest = linear.base;
  for (unsigned d : llvm::reverse(real)) {
    at[d].multiple = 1;
    at[d].data = linear.data;
    if (d == real.front()) {
      at[d].base = rest;
    } else {
      at[d].base = k.rem(rest, dims[d]);
      rest = k.div(rest, dims[d]);
    }
  }
  Idx &inner = at[real.back()];
  if (!wide)
    return body(*this, at);
  inner.stride = 1;
  if (real.size() == 1)
    return body(*this, at);
  std::optional<int64_t> size = getConstantIntValue(dims[real.back()]);
  if (size && *size % width == 0 && linear.multiple % width == 0) {
    inner.multiple = width;
    return body(*this, at);
  }
  Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, k.add(inner.base, k.idx(width)), dims[real.back()]);
  return branch(
      inside, wide, [&] { return body(*this, at); },
      [&] {
        return eachLane(element, linear, [&](Puller &one, ArrayRef<Idx> single) { return one.splitLinear(tensor, single[0], dims, body); });
      });
}

Value Puller::pullReshape(Value result, Value source, ArrayRef<Idx> at) {
  auto from = cast<RankedTensorType>(source.getType()), to = cast<RankedTensorType>(result.getType());
  // Dimensions that are equal at the front and at the back keep their coordinates; the position is split anew only between.
  unsigned front = 0, back = 0, common = std::min(from.getRank(), to.getRank());
  while (front < common && k.sameDim(source, front, result, front))
    ++front;
  while (front + back < common && k.sameDim(source, from.getRank() - 1 - back, result, to.getRank() - 1 - back))
    ++back;
  SmallVector<Value> fromDims = k.dims(source), toDims = k.dims(result);
  auto middleOf = [&](auto &values) { return ArrayRef(values).drop_front(front).drop_back(back); };
  Idx middle = linearize(at.slice(front, to.getRank() - front - back), middleOf(toDims));
  SmallVector<Value> splitDims(middleOf(fromDims));
  auto assemble = [&](Puller &p, ArrayRef<Idx> outer, ArrayRef<Idx> split, ArrayRef<Idx> trailing) {
    SmallVector<Idx> full(outer);
    llvm::append_range(full, split);
    llvm::append_range(full, trailing);
    return p.pull(source, full);
  };
  if (splitDims.empty())
    return assemble(*this, at.take_front(front), {}, at.take_back(back));
  bool othersVary = varies(at.take_front(front)) || varies(at.take_back(back));
  if (othersVary && !middle.uniform() && width > 1)
    return eachLane(from.getElementType(), at, [&](Puller &one, ArrayRef<Idx> single) { return one.pullReshape(result, source, single); });
  // Buffers are one run of elements whatever their shape.
  if (isLinear(source))
    return pullLinear(source, linearize(at, toDims));
  return splitLinear(source, middle, splitDims,
                     [&](Puller &p, ArrayRef<Idx> split) { return assemble(p, at.take_front(front), split, at.take_back(back)); });
}

// --- leaves
// -------------------------------------------------------------------------------------------------------------------------------

/// A weight that is stored for a product that shares it: [N, K] as [ceil(N/64)][K][64], or with pairs of k as [ceil(N/64)][K/2][64][2], or
/// codes of a quantised one (CodeLayout).
Value Puller::pullPacked(BlockArgument weight, ArrayRef<Idx> at) {
  auto type = cast<RankedTensorType>(weight.getType());
  StringRef layout = operandLayout(k.kernel, weight);
  bool codes = layout.starts_with("nbits64"), pairs = isInPairs(layout);
  if (width > 1 && (codes || pairs ? llvm::any_of(at, [](const Idx &x) { return !x.uniform(); }) : !at[0].uniform()))
    return eachLane(type.getElementType(), at, [&](Puller &one, ArrayRef<Idx> single) { return one.pullPacked(weight, single); });
  Value panel = k.idx(64);
  if (codes)
    return pullCodes(weight, layout, at[0].base, at[1].base, at[2].base);
  if (pairs) {
    Value pair = k.add(k.mul(k.div(at[0].base, panel), k.div(k.dim(weight, 1), k.idx(2))), k.div(at[1].base, k.idx(2)));
    Value cell = k.add(k.mul(pair, panel), k.rem(at[0].base, panel));
    return loadBuffer(k.buffer(weight), type.getElementType(), this->at(k.add(k.mul(cell, k.idx(2)), k.rem(at[1].base, k.idx(2)))));
  }
  Idx line = add(this->at(k.mul(k.div(at[0].base, panel), k.dim(weight, 1))), at[1]);
  return loadBuffer(k.buffer(weight), type.getElementType(), add(mul(line, this->at(64)), this->at(k.rem(at[0].base, panel))));
}

/// Byte `byte` of block `block` of row n, as MatMulNBits has it, out of words that hold codes of four neighbours of k.
Value Puller::pullCodes(BlockArgument codes, StringRef layout, Value n, Value block, Value byte) {
  constexpr int64_t group = 32;
  int64_t bits = layout == "nbits64.8.32" ? 8 : 4, perByte = 8 / bits, words = group / (4 * perByte);
  if (bits == 4 && layout != "nbits64.4.32")
    k.fail("codes in layout '" + layout + "' cannot be looked up", nullptr);
  auto type = cast<RankedTensorType>(codes.getType());
  // Blocks may be longer than groups.
  Value bytes = k.add(k.mul(block, k.idx(type.getDimSize(2))), byte), groupBytes = k.idx(group / perByte);
  Value groups = k.idx(type.getDimSize(1) * type.getDimSize(2) * perByte / group), column = k.rem(n, k.idx(64));
  Value cell = k.add(k.mul(k.div(n, k.idx(64)), groups), k.div(bytes, groupBytes)), inside = k.rem(bytes, groupBytes);
  Type i8 = b.getI8Type();
  Value result;
  for (int64_t i = 0; i < perByte; ++i) {
    // The code of this k is in part k / (group / perByte) of a byte.
    Value at = k.add(k.mul(inside, k.idx(perByte)), k.idx(i)), span = k.idx(group / perByte);
    Value rest = k.rem(at, span);
    Value word = k.add(k.mul(k.add(k.mul(cell, k.idx(words)), k.div(rest, k.idx(4))), k.idx(64)), column);
    Value code = k.load(k.buffer(codes), i8, k.add(k.mul(word, k.idx(4)), k.rem(rest, k.idx(4))), 1);
    if (bits == 4) {
      Value part = arith::IndexCastOp::create(b, i8, k.mul(k.div(at, span), k.idx(4)));
      code = arith::AndIOp::create(b, arith::ShRUIOp::create(b, code, part), k.constantInt(i8, 15));
      if (i)
        code = arith::ShLIOp::create(b, code, k.constantInt(i8, 4));
    }
    result = result ? arith::OrIOp::create(b, result, code).getResult() : code;
  }
  return result;
}

Value Puller::pullElements(Operation *op, ArrayRef<Idx> at) {
  auto elements = cast<tensor::FromElementsOp>(op);
  auto dims = k.dims(elements.getResult());
  Idx linear = linearize(at, dims);
  ValueRange values = elements.getElements();
  if (std::optional<int64_t> constant = linear.uniform() ? getConstantIntValue(linear.base) : std::nullopt)
    return k.scalar(values[*constant]);
  bool wide = !linear.uniform() && width > 1;
  Value position = wide ? vector(linear) : linear.base;
  auto widened = [&](Value v) { return wide ? k.splat(k.scalar(v), width) : k.scalar(v); };
  Value chosen = widened(values[0]);
  for (auto [i, value] : llvm::drop_begin(llvm::enumerate(values))) {
    Value here = wide ? k.splat(k.idx(i), width) : k.idx(i);
    Value hit = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, position, here);
    chosen = arith::SelectOp::create(b, hit, widened(value), chosen);
  }
  return chosen;
}

Value Puller::pullView(Value state, ArrayRef<Idx> at, int64_t axis, Value offset) {
  // Views after an append in the same kernel see the appended slot: it is the same memory.
  while (Operation *op = state.getDefiningOp())
    state = op->getOperand(0);
  SmallVector<Idx> from(at);
  if (axis >= 0 && offset)
    from[axis] = add(this->at(offset), from[axis]);
  Type element = cast<StateType>(state.getType()).getContent().getElementType();
  return loadBuffer(k.buffer(cast<BlockArgument>(state)), element, linearize(from, k.dims(state)));
}

Value Puller::pullPaged(CacheViewOp view, ArrayRef<Idx> at) {
  if (varies(at.drop_back()) || (width > 1 && at.back().lanes)) // lanes in several pages, or in no order
    return eachLane(view.getType().getElementType(), at, [&](Puller &one, ArrayRef<Idx> single) { return one.pullPaged(view, single); });
  Pages pages = Pages::of(view.getState(), view.getTable());
  Value first = pages.offsetOf(k, at[0].base, at[1].base, k.add(k.scalar(view.getOffset()), at[2].base));
  return loadBuffer(k.buffer(pages.pool), pages.element, add(this->at(first), at[3]));
}

Value Puller::pullRotary(Operation *op, ArrayRef<Idx> at) {
  auto rotary = cast<RotaryOp>(op);
  auto type = cast<RankedTensorType>(rotary.getInput().getType());
  auto cosType = cast<RankedTensorType>(rotary.getCos().getType());
  int64_t rank = type.getRank(), last = rank - 1, rotated = rotary.getRotaryDim(), half = rotated / 2;
  Idx d = at[last];
  auto scalarCase = [&](Puller &one, ArrayRef<Idx> single) { return one.pullRotary(op, single); };
  bool lanesOnD = !d.uniform() && width > 1;
  // Pairs of neighbours, and vectors that may cross the halves, go lane by lane.
  if (lanesOnD && (!d.contiguous() || rotary.getInterleaved() || half % width != 0 || d.multiple % width != 0))
    return eachLane(type.getElementType(), at, scalarCase);
  auto angle = [&](Value table, Idx pair) {
    SmallVector<Idx> where{cosType.getDimSize(0) == 1 ? this->at(0) : at[0], at[rank - 2], pair};
    return pull(table, where);
  };
  auto input = [&](Idx where) {
    SmallVector<Idx> full(at);
    full[last] = where;
    return pull(rotary.getInput(), full);
  };
  auto shifted = [&](int64_t by) {
    Idx x = d;
    x.base = k.add(d.base, k.idx(by));
    return x;
  };
  auto combine = [&](Idx first, Idx second, Idx pair, bool upper) {
    Value c = angle(rotary.getCos(), pair), s = angle(rotary.getSin(), pair), x1 = input(first), x2 = input(second);
    bool wide = llvm::any_of(ArrayRef<Value>{c, s, x1, x2}, [](Value v) { return isa<VectorType>(v.getType()); });
    for (Value *v : {&c, &s, &x1, &x2})
      if (wide)
        *v = k.splat(*v, width);
    if (upper)
      return arith::AddFOp::create(b, arith::MulFOp::create(b, x2, c), arith::MulFOp::create(b, x1, s)).getResult();
    return arith::SubFOp::create(b, arith::MulFOp::create(b, x1, c), arith::MulFOp::create(b, x2, s)).getResult();
  };
  bool wide = varies(at);
  auto below = [&](Idx x, int64_t bound) { return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, x.base, k.idx(bound)).getResult(); };
  auto rotatedValue = [&]() -> Value {
    if (!rotary.getInterleaved())
      return branch(
          below(d, half), wide, [&] { return combine(d, shifted(half), d, false); },
          [&] { return combine(shifted(-half), d, shifted(-half), true); });
    Value even = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, k.rem(d.base, k.idx(2)), k.idx(0));
    Idx pair = this->at(k.div(d.base, k.idx(2)));
    return branch(even, wide, [&] { return combine(d, shifted(1), pair, false); }, [&] { return combine(shifted(-1), d, pair, true); });
  };
  if (type.getDimSize(last) == rotated)
    return rotatedValue();
  return branch(below(d, rotated), wide, rotatedValue, [&] { return input(d); });
}

// --- results
// --------------------------------------------------------------------------------------------------------------------------------

void Puller::storeResult(unsigned result, ArrayRef<Idx> at, Value value) {
  Type element = k.resultType(result).getElementType();
  Idx linear = linearize(at, k.resultDims(result));
  if (linear.uniform() || width == 1)
    return k.store(value, k.resultBuffer(result), element, linear.base);
  value = k.splat(value, width);
  if (linear.contiguous())
    return k.store(value, k.resultBuffer(result), element, linear.base);
  k.scatter(value, k.resultBuffer(result), element, vector(linear));
}

void Puller::emitResult(unsigned result, ArrayRef<Idx> at) { storeResult(result, at, pull(k.result(result), at)); }

void Puller::emitResultLinear(unsigned result, Idx linear) {
  Value value = k.result(result);
  if (k.resultType(result).getRank() == 0)
    return emitResult(result, {});
  Value element = pullLinear(value, linear);
  if (width > 1)
    element = k.splat(element, width);
  k.store(element, k.resultBuffer(result), k.resultType(result).getElementType(), linear.base);
}

} // namespace leat::cpu
