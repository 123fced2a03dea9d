// See Operands.h.
#include "passes/CPU/Operands.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::cpu {

namespace {

/// Row-major strides of `tensor` (its own dimensions, or `dims` where storage is larger).
void setRowMajor(KernelBuilder &k, Strided &s, ValueRange dims, ArrayRef<int64_t> shape) {
  s.strides.assign(dims.size(), k.idx(1));
  s.knownStrides.assign(dims.size(), 1);
  for (int64_t d = int64_t(dims.size()) - 2; d >= 0; --d) {
    s.strides[d] = k.mul(s.strides[d + 1], dims[d + 1]);
    s.knownStrides[d] = ShapedType::isDynamic(s.knownStrides[d + 1]) || ShapedType::isDynamic(shape[d + 1])
                            ? ShapedType::kDynamic
                            : s.knownStrides[d + 1] * shape[d + 1];
  }
}

std::optional<Strided> traceReshape(KernelBuilder &k, Value result, Value source) {
  auto s = traceStrided(k, source);
  if (!s || !s->dense)
    return std::nullopt;
  setRowMajor(k, *s, k.dims(result), cast<RankedTensorType>(result.getType()).getShape());
  return s;
}

std::optional<Strided> traceSlice(KernelBuilder &k, tensor::ExtractSliceOp op) {
  auto s = traceStrided(k, op.getSource());
  if (!s)
    return s;
  auto dropped = op.getDroppedDims();
  Strided out{s->argument, s->element, s->offset, {}, false, {}};
  auto value = [&](OpFoldResult v) {
    return isa<Attribute>(v) ? k.idx(cast<IntegerAttr>(cast<Attribute>(v)).getInt()) : k.scalar(cast<Value>(v));
  };
  for (auto [d, offset, stride] : llvm::enumerate(op.getMixedOffsets(), op.getMixedStrides())) {
    out.offset = k.add(out.offset, k.mul(value(offset), s->strides[d]));
    if (dropped[d])
      continue;
    auto constant = getConstantIntValue(stride);
    out.strides.push_back(k.mul(s->strides[d], value(stride)));
    out.knownStrides.push_back(constant && !ShapedType::isDynamic(s->knownStrides[d]) ? *constant * s->knownStrides[d]
                                                                                      : ShapedType::kDynamic);
  }
  return out;
}

/// A linalg.generic that only moves: one input, the body yields it.
std::optional<Strided> traceMove(KernelBuilder &k, linalg::GenericOp op) {
  Block &body = op.getRegion().front();
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 || body.getOperations().size() != 1 ||
      body.getTerminator()->getOperand(0) != body.getArgument(0) || op.getNumReductionLoops() != 0 ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return std::nullopt;
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  auto s = traceStrided(k, op.getDpsInputOperand(0)->get());
  if (!s)
    return s;
  if (map.isIdentity())
    return s;
  Strided out{s->argument, s->element, s->offset, {}, false, {}};
  out.strides.assign(map.getNumDims(), k.idx(0));
  out.knownStrides.assign(map.getNumDims(), 0);
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      if (out.knownStrides[dim.getPosition()] != 0)
        return std::nullopt; // a diagonal
      out.strides[dim.getPosition()] = s->strides[position];
      out.knownStrides[dim.getPosition()] = s->knownStrides[position];
    } else if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
      out.offset = k.add(out.offset, k.mul(s->strides[position], k.idx(constant.getValue())));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<Strided> traceView(KernelBuilder &k, CacheViewOp op) {
  auto state = dyn_cast<BlockArgument>(op.getState());
  if (!state || op.getTable())
    return std::nullopt;
  auto content = cast<StateType>(state.getType()).getContent();
  Strided s{state, content.getElementType(), k.idx(0), {}, false, {}};
  auto attr = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = attr ? attr.getInt() : content.getRank() - 2;
  // A launch gives all sizes of a state. Of those that the type says, strides are known to be multiples, so that rows can be copied whole.
  SmallVector<Value> dims = k.dims(state);
  for (int64_t d = 0; d < content.getRank(); ++d)
    if (d != axis && !content.isDynamicDim(d))
      dims[d] = k.idx(content.getDimSize(d));
  setRowMajor(k, s, dims, content.getShape());
  s.offset = k.mul(k.scalar(op.getOffset()), s.strides[axis]);
  return s;
}

} // namespace

std::optional<Strided> traceStrided(KernelBuilder &k, Value tensor) {
  if (auto arg = dyn_cast<BlockArgument>(tensor)) {
    auto type = dyn_cast<RankedTensorType>(arg.getType());
    if (!type || arg.getOwner() != &k.body() || !operandLayout(k.kernel, arg).empty())
      return std::nullopt;
    Strided s{arg, type.getElementType(), k.idx(0), {}, true, {}};
    setRowMajor(k, s, k.dims(arg), type.getShape());
    return s;
  }
  return llvm::TypeSwitch<Operation *, std::optional<Strided>>(tensor.getDefiningOp())
      .Case<tensor::CollapseShapeOp, tensor::ExpandShapeOp>([&](auto op) { return traceReshape(k, op.getResult(), op.getSrc()); })
      .Case<tensor::ReshapeOp>([&](auto op) { return traceReshape(k, op.getResult(), op.getSource()); })
      .Case<tensor::CastOp>([&](auto op) { return traceStrided(k, op.getSource()); })
      .Case<tensor::ExtractSliceOp>([&](auto op) { return traceSlice(k, op); })
      .Case<linalg::GenericOp>([&](auto op) { return traceMove(k, op); })
      .Case<CacheViewOp>([&](auto op) { return traceView(k, op); })
      .Default([](Operation *) { return std::nullopt; });
}

std::optional<CachedRows> traceRows(KernelBuilder &k, Value tensor) {
  if (auto strided = traceStrided(k, tensor))
    return CachedRows{*strided, std::nullopt, {}};
  while (auto cast = tensor.getDefiningOp<tensor::CastOp>())
    tensor = cast.getSource();
  auto view = tensor.getDefiningOp<CacheViewOp>();
  if (!view || !view.getTable())
    return std::nullopt;
  Pages pages = Pages::of(view.getState(), view.getTable());
  CachedRows rows{
      {pages.pool, pages.element, k.idx(0), {}, false, {0, pages.entries * pages.size, pages.size, 1}}, pages, k.scalar(view.getOffset())};
  for (int64_t stride : rows.knownStrides)
    rows.strides.push_back(k.idx(stride));
  return rows;
}

StringRef operandLayout(KernelFuncOp kernel, Value operand) {
  auto arg = dyn_cast<BlockArgument>(operand);
  auto layouts = kernel->getAttrOfType<ArrayAttr>("leat.layouts");
  if (!arg || !layouts || arg.getArgNumber() >= layouts.size())
    return "";
  return cast<StringAttr>(layouts[arg.getArgNumber()]).getValue();
}

} // namespace leat::cpu
