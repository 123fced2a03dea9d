// Pulling through linalg.generic: the body, evaluated for one element or one vector of elements. Index arithmetic stays symbolic as long as
// it is affine in the lane, so that the loads it leads to stay contiguous.
#include "passes/CPU/Pull.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

#include <numeric>

using namespace mlir;

namespace leat::cpu {

/// One evaluation of a body: what its block arguments and finished ops are.
struct BodyScope {
  Block *block = nullptr;
  ArrayRef<Idx> loops;
  std::function<Idx(BlockArgument)> argument;
  DenseMap<Value, Idx> values;
};

// --- coordinates ------------------------------------------------------------------------------------------------------------------------

SmallVector<Idx> Puller::at(ValueRange indices) const {
  return llvm::map_to_vector(indices, [&](Value v) { return at(v); });
}

Value Puller::vector(const Idx &x) {
  if (x.lanes || width == 1)
    return x.lanes ? x.lanes : x.base;
  Value base = k.splat(x.base, width);
  if (x.stride == 0)
    return base;
  Value steps = k.iota(width);
  if (x.base.getType().isInteger(64))
    steps = arith::IndexCastOp::create(b, base.getType(), steps);
  if (x.stride != 1)
    steps = arith::MulIOp::create(b, steps, k.constantInt(base.getType(), x.stride));
  return arith::AddIOp::create(b, base, steps);
}

static int64_t multipleOf(const Idx &x) {
  if (x.lanes)
    return 1;
  if (std::optional<int64_t> constant = getConstantIntValue(x.base))
    return *constant == 0 ? int64_t(1) << 30 : std::max<int64_t>(std::abs(*constant) & -std::abs(*constant), x.multiple);
  return x.multiple;
}

Idx Puller::add(Idx x, Idx y) {
  Idx result;
  result.data = x.data || y.data;
  if (!x.lanes && !y.lanes) {
    result.base = x.base.getType().isIndex() ? k.add(x.base, y.base) : b.createOrFold<arith::AddIOp>(x.base, y.base);
    result.stride = x.stride + y.stride;
    result.multiple = std::gcd(multipleOf(x), multipleOf(y));
    return result;
  }
  result.lanes = arith::AddIOp::create(b, vector(x), vector(y));
  return result;
}

Idx Puller::mul(Idx x, Idx y) {
  if (!x.uniform())
    std::swap(x, y); // x is uniform now, unless both vary
  Idx result;
  result.data = x.data || y.data;
  std::optional<int64_t> factor = x.uniform() ? getConstantIntValue(x.base) : std::nullopt;
  if (factor == 0)
    return x;
  if (x.uniform() && (y.uniform() || (!y.lanes && factor))) {
    result.base = x.base.getType().isIndex() ? k.mul(x.base, y.base) : b.createOrFold<arith::MulIOp>(x.base, y.base);
    result.stride = y.stride * factor.value_or(0);
    int64_t mx = multipleOf(x), my = multipleOf(y);
    result.multiple = mx < (1 << 20) && my < (1 << 20) ? mx * my : std::max(mx, my);
    return result;
  }
  if (factor == 1)
    return y;
  result.lanes = arith::MulIOp::create(b, vector(x), vector(y));
  return result;
}

Idx Puller::linearize(ArrayRef<Idx> at, ValueRange dims) {
  Idx linear = this->at(0);
  for (auto [index, dim] : llvm::zip_equal(at, dims))
    linear = add(mul(linear, this->at(dim)), index);
  return linear;
}

Idx Puller::divide(Idx x, Idx y, bool remainder) {
  Idx result;
  result.data = x.data;
  std::optional<int64_t> divisor = y.uniform() ? getConstantIntValue(y.base) : std::nullopt;
  bool within = x.contiguous() && divisor && *divisor > 0 && *divisor % width == 0 && multipleOf(x) % width == 0;
  if (x.uniform() || within) {
    result.base = remainder ? k.rem(x.base, y.base) : k.div(x.base, y.base);
    result.stride = within && remainder ? 1 : 0;
    if (remainder && divisor)
      result.multiple = std::gcd(multipleOf(x), *divisor);
    return result;
  }
  Value lhs = vector(x), rhs = vector(y);
  result.lanes = remainder ? arith::RemUIOp::create(b, lhs, rhs).getResult() : arith::DivUIOp::create(b, lhs, rhs).getResult();
  return result;
}

Idx Puller::affine(AffineExpr expr, ArrayRef<Idx> loops) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return loops[dim.getPosition()];
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return at(constant.getValue());
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Idx x = affine(binary.getLHS(), loops), y = affine(binary.getRHS(), loops);
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return add(x, y);
  case AffineExprKind::Mul:
    return mul(x, y);
  default:
    break;
  }
  return divide(x, y, expr.getKind() == AffineExprKind::Mod);
}

// --- bodies
// --------------------------------------------------------------------------------------------------------------------------------

Idx Puller::evaluate(Value value, BodyScope &scope) {
  auto known = scope.values.find(value);
  if (known != scope.values.end())
    return known->second;
  Idx result;
  if (auto arg = dyn_cast<BlockArgument>(value); arg && arg.getOwner() == scope.block)
    result = scope.argument(arg);
  else if (isa<BlockArgument>(value) || value.getDefiningOp()->getBlock() != scope.block)
    result.base = k.scalar(value); // a scalar of the kernel
  else
    result = evaluateOp(value.getDefiningOp(), value, scope);
  scope.values[value] = result;
  return result;
}

/// f16 and bf16 are carried as f32: constants too.
static TypedAttr carriedConstant(TypedAttr attr) {
  auto real = dyn_cast<FloatAttr>(attr);
  if (!real || KernelBuilder::carriedType(attr.getType()) == attr.getType())
    return attr;
  return FloatAttr::get(Float32Type::get(attr.getContext()), real.getValueAsDouble());
}

/// Integer division by zero, and of the least number by -1, stops the process on x86: divide by 1 instead. What ONNX leaves undefined must
/// not crash.
static Value safeDivisor(KernelBuilder &k, Operation *op, Value dividend, Value divisor) {
  if (std::optional<int64_t> constant = getConstantIntValue(op->getOperand(1)); constant && *constant != 0 && *constant != -1)
    return divisor;
  auto &b = k.b;
  auto constant = [&](int64_t v) {
    if (getElementTypeOrSelf(divisor.getType()).isIndex())
      return isa<VectorType>(divisor.getType()) ? k.splat(k.idx(v), cast<VectorType>(divisor.getType()).getNumElements()) : k.idx(v);
    return k.constantInt(divisor.getType(), v);
  };
  Value bad = k.compare(arith::CmpIPredicate::eq, divisor, constant(0));
  if (!isa<arith::DivUIOp, arith::RemUIOp>(op)) {
    Type element = getElementTypeOrSelf(divisor.getType());
    int64_t bits = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
    Value least = k.compare(arith::CmpIPredicate::eq, dividend, constant(bits == 64 ? INT64_MIN : -(int64_t(1) << (bits - 1))));
    Value overflow = arith::AndIOp::create(b, least, k.compare(arith::CmpIPredicate::eq, divisor, constant(-1)));
    bad = arith::OrIOp::create(b, bad, overflow);
  }
  return arith::SelectOp::create(b, bad, constant(1), divisor);
}

Idx Puller::evaluateOp(Operation *op, Value value, BodyScope &scope) {
  Idx result;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto integer = dyn_cast<IntegerAttr>(constant.getValue()); integer && value.getType().isIndex())
      return at(integer.getInt());
    result.base = arith::ConstantOp::create(b, carriedConstant(constant.getValue()));
    return result;
  }
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return scope.loops[index.getDim()];
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    result.base = k.scalar(value);
    return result;
  }
  SmallVector<Idx> operands;
  for (Value operand : op->getOperands())
    if (!isa<RankedTensorType>(operand.getType()))
      operands.push_back(evaluate(operand, scope));
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    // Positions that come from tensor contents may be anything: keep them inside the tensor.
    for (auto [d, index] : llvm::enumerate(operands)) {
      if (!index.data)
        continue;
      Value last = k.sub(k.dim(extract.getTensor(), d), k.idx(1)), zero = k.idx(0);
      if (index.uniform()) {
        index.base = k.max(k.min(index.base, last), zero);
        index.multiple = 1;
      } else {
        Value bounded = arith::MinSIOp::create(b, vector(index), k.splat(last, width));
        index = Idx{{}, 0, arith::MaxSIOp::create(b, bounded, k.splat(zero, width)), 1, false};
      }
    }
    Value element = pull(extract.getTensor(), operands);
    (isa<VectorType>(element.getType()) ? result.lanes : result.base) = element;
    result.data = true;
    return result;
  }
  bool isIndexLike = value.getType().isIndex() || value.getType().isInteger(64);
  bool symbolic = isIndexLike && llvm::all_of(operands, [](const Idx &x) { return !x.lanes; }) &&
                  llvm::any_of(operands, [](const Idx &x) { return x.stride != 0; });
  if (symbolic || value.getType().isIndex()) {
    if (isa<arith::AddIOp>(op))
      return add(operands[0], operands[1]);
    if (isa<arith::MulIOp>(op))
      return mul(operands[0], operands[1]);
    if (isa<arith::SubIOp>(op)) {
      Idx minusOne;
      minusOne.base = value.getType().isIndex() ? k.idx(-1) : k.constantInt(value.getType(), -1);
      return add(operands[0], mul(minusOne, operands[1]));
    }
    if (isa<arith::DivUIOp, arith::RemUIOp>(op) && value.getType().isIndex() && getConstantIntValue(op->getOperand(1)).value_or(0) > 0)
      return divide(operands[0], operands[1], isa<arith::RemUIOp>(op));
    bool fromIndexLike = op->getNumOperands() == 1 && (op->getOperand(0).getType().isIndex() || op->getOperand(0).getType().isInteger(64));
    if (isa<arith::IndexCastOp>(op) && fromIndexLike && !operands[0].lanes) {
      result = operands[0];
      result.base = b.createOrFold<arith::IndexCastOp>(value.getType(), result.base);
      return result;
    }
  }
  result.data = llvm::any_of(operands, [](const Idx &x) { return x.data; });
  bool uniform = llvm::all_of(operands, [](const Idx &x) { return x.uniform(); });
  SmallVector<Value> values;
  for (const Idx &x : operands)
    values.push_back(uniform ? x.base : vector(x));
  int64_t lanes = uniform ? 1 : width;
  Type carried = KernelBuilder::carriedType(value.getType());
  Value computed;
  if (isa<arith::ExtFOp, arith::TruncFOp>(op)) {
    Type have = getElementTypeOrSelf(values[0].getType());
    computed = values[0];
    if (have.getIntOrFloatBitWidth() < carried.getIntOrFloatBitWidth())
      computed = arith::ExtFOp::create(b, KernelBuilder::vectorOf(carried, lanes), computed);
    else if (have != carried)
      computed = arith::TruncFOp::create(b, KernelBuilder::vectorOf(carried, lanes), computed);
    if (isa<arith::TruncFOp>(op) && carried != value.getType())
      computed = k.roundTo(computed, value.getType());
  } else if (isa<arith::BitcastOp>(op)) {
    Value bits = k.toStorage(values[0], op->getOperand(0).getType());
    if (carried != value.getType())
      computed = k.fromStorage(bits, value.getType());
    else
      computed = arith::BitcastOp::create(b, KernelBuilder::vectorOf(carried, lanes), bits);
  } else {
    if (!op->hasTrait<OpTrait::Elementwise>() || op->getNumRegions() != 0) {
      k.fail("op '" + op->getName().getStringRef() + "' cannot be computed element by element", op);
      computed = isa<FloatType>(carried) ? k.constant(carried, 0) : k.constantInt(carried, 0);
    } else {
      if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp>(op))
        values[1] = safeDivisor(k, op, values[0], values[1]);
      OperationState state(b.getLoc(), op->getName());
      state.addOperands(values);
      for (Type type : op->getResultTypes())
        state.addTypes(KernelBuilder::vectorOf(KernelBuilder::carriedType(type), lanes));
      state.addAttributes(op->getAttrs());
      Operation *clone = b.create(state);
      for (auto [original, created] : llvm::zip_equal(op->getResults(), clone->getResults())) {
        Idx each;
        each.data = result.data;
        (uniform ? each.base : each.lanes) = created;
        scope.values[original] = each;
      }
      computed = clone->getResult(cast<OpResult>(value).getResultNumber());
      // Integers to half precision: as if stored.
      if (carried != value.getType() && isa<arith::SIToFPOp, arith::UIToFPOp>(op))
        computed = k.roundTo(computed, value.getType());
    }
  }
  (lanes == 1 ? result.base : result.lanes) = computed;
  return result;
}

Value Puller::scalarOp(Operation *op, Value value) {
  BodyScope scope;
  scope.block = &k.body();
  // Operands are scalars of the kernel as well: fetch them one by one, so that each is emitted once.
  for (Value operand : op->getOperands()) {
    if (isa<RankedTensorType, StateType>(operand.getType()))
      continue;
    Idx known;
    known.base = k.scalar(operand);
    scope.values[operand] = known;
  }
  return evaluateOp(op, value, scope).base;
}

static SmallVector<Idx> loopsOf(linalg::GenericOp op, unsigned result, ArrayRef<Idx> at, Puller &puller) {
  SmallVector<Idx> loops(op.getNumLoops(), puller.at(0));
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(result));
  for (auto [i, expr] : llvm::enumerate(map.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      loops[dim.getPosition()] = at[i];
  return loops;
}

Value Puller::pullGeneric(linalg::GenericOp op, unsigned result, ArrayRef<Idx> at, const Idx *linear) {
  SmallVector<Idx> loops;
  if (!linear)
    loops = loopsOf(op, result, at, *this);
  BodyScope scope;
  scope.block = op.getBody();
  scope.loops = loops;
  scope.argument = [&](BlockArgument arg) {
    OpOperand *operand = op.getMatchingOpOperand(arg);
    AffineMap map = op.getMatchingIndexingMap(operand);
    Value element;
    if (!isa<ShapedType>(operand->get().getType())) {
      element = k.scalar(operand->get());
    } else if (linear && !map.isConstant() && map.getNumResults() != 0) {
      element = pullLinear(operand->get(), *linear);
    } else {
      SmallVector<Idx> coordinates;
      for (AffineExpr expr : map.getResults())
        coordinates.push_back(affine(expr, loops));
      element = pull(operand->get(), coordinates);
    }
    Idx x;
    x.data = true;
    (isa<VectorType>(element.getType()) ? x.lanes : x.base) = element;
    return x;
  };
  Idx x = evaluate(cast<linalg::YieldOp>(op.getBody()->getTerminator()).getOperand(result), scope);
  return x.uniform() ? x.base : vector(x);
}

Value Puller::pullReduction(linalg::GenericOp op, unsigned result, ArrayRef<Idx> at) {
  // Not the root of its kernel: a serial loop for each element. Right, and only used where a schedule left it so.
  if (varies(at))
    return eachLane(cast<RankedTensorType>(op.getResult(result).getType()).getElementType(), at,
                    [&](Puller &one, ArrayRef<Idx> single) { return one.pullReduction(op, result, single); });
  SmallVector<Idx> loops = loopsOf(op, result, at, *this);
  SmallVector<Value> init;
  for (OpOperand &operand : op.getDpsInitsMutable()) {
    SmallVector<Idx> coordinates;
    for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults())
      coordinates.push_back(affine(expr, loops));
    init.push_back(pull(operand.get(), coordinates));
  }
  SmallVector<unsigned> reduced;
  op.getReductionDims(reduced);
  SmallVector<Value> bounds = loopBounds(op);
  std::function<SmallVector<Value>(unsigned, SmallVector<Value>)> nest = [&](unsigned depth,
                                                                             SmallVector<Value> carried) -> SmallVector<Value> {
    if (depth < reduced.size())
      return k.forLoop(k.idx(0), bounds[reduced[depth]], k.idx(1), carried, [&](Value iv, ValueRange values) {
        loops[reduced[depth]] = this->at(iv);
        return nest(depth + 1, SmallVector<Value>(values));
      });
    Puller inner(k, 1);
    inner.bound = bound;
    return inner.pullBody(op, loops, carried);
  };
  return nest(0, init)[result];
}

SmallVector<Value> Puller::pullBody(linalg::GenericOp op, ArrayRef<Idx> loops, ValueRange inits) {
  BodyScope scope;
  scope.block = op.getBody();
  scope.loops = loops;
  scope.argument = [&](BlockArgument arg) {
    OpOperand *operand = op.getMatchingOpOperand(arg);
    Value element;
    if (op.isDpsInit(operand) && !inits.empty()) {
      element = inits[arg.getArgNumber() - op.getNumDpsInputs()];
    } else if (!isa<ShapedType>(operand->get().getType())) {
      element = k.scalar(operand->get());
    } else {
      SmallVector<Idx> coordinates;
      for (AffineExpr expr : op.getMatchingIndexingMap(operand).getResults())
        coordinates.push_back(affine(expr, loops));
      element = pull(operand->get(), coordinates);
    }
    Idx x;
    x.data = true;
    (isa<VectorType>(element.getType()) ? x.lanes : x.base) = element;
    return x;
  };
  SmallVector<Value> results;
  for (Value yielded : op.getBody()->getTerminator()->getOperands()) {
    Idx x = evaluate(yielded, scope);
    results.push_back(x.uniform() ? x.base : vector(x));
  }
  return results;
}

SmallVector<Value> Puller::loopBounds(linalg::GenericOp op) {
  SmallVector<Value> bounds(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands())
    for (auto [i, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && !bounds[dim.getPosition()])
        bounds[dim.getPosition()] = k.dim(operand.get(), i);
  return bounds;
}

} // namespace leat::cpu
