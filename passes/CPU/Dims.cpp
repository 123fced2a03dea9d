// Dimensions and scalars of a kernel's region: where they come from, and their code at the function's entry.
#include "passes/CPU/KernelBuilder.h"
#include "passes/CPU/Pull.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

static Dim fromFold(KernelBuilder &k, OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return Dim{*constant, {}, -1};
  Value value = cast<Value>(size);
  // index_cast pairs of shape arithmetic do not change a size.
  while (auto cast = value.getDefiningOp<arith::IndexCastOp>())
    value = cast.getIn();
  if (auto dim = value.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> index = dim.getConstantIndex())
      return k.traceDim(dim.getSource(), *index);
  return Dim{ShapedType::kDynamic, value, -1};
}

static Dim computed() { return Dim{}; }

Dim KernelBuilder::traceDim(Value tensor, unsigned d) {
  if (auto state = dyn_cast<StateType>(tensor.getType())) {
    if (auto arg = dyn_cast<BlockArgument>(tensor))
      return Dim{ShapedType::kDynamic, tensor, d};
    return traceDim(tensor.getDefiningOp()->getOperand(0), d);
  }
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(d))
    return Dim{type.getDimSize(d), {}, -1};
  if (isa<BlockArgument>(tensor))
    return Dim{ShapedType::kDynamic, tensor, d};
  Operation *op = tensor.getDefiningOp();
  unsigned result = cast<OpResult>(tensor).getResultNumber();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return fromFold(*this, empty.getMixedSizes()[d]);
  if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
    return traceDim(dps.getDpsInitOperand(result)->get(), d);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return traceDim(cast.getSource(), d);
  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return fromFold(*this, Value(splat.getDynamicSizes()[type.getDynamicDimIndex(d)]));
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [i, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(i) && d-- == 0)
        return fromFold(*this, size);
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return d == concat.getDim() ? computed() : traceDim(concat.getInputs()[0], d);
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    bool none = getConstantIntValue(pad.getMixedLowPad()[d]) == 0 && getConstantIntValue(pad.getMixedHighPad()[d]) == 0;
    return none ? traceDim(pad.getSource(), d) : computed();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return fromFold(*this, expand.getMixedOutputShape()[d]);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    SmallVector<int64_t, 2> group = collapse.getReassociationIndices()[d];
    llvm::erase_if(group, [&](int64_t i) { return collapse.getSrcType().getDimSize(i) == 1; });
    return group.size() == 1 ? traceDim(collapse.getSrc(), group[0]) : computed();
  }
  if (auto reshape = dyn_cast<tensor::ReshapeOp>(op))
    if (auto shape = reshape.getShape().getDefiningOp<tensor::FromElementsOp>())
      return fromFold(*this, shape.getElements()[d]);
  if (auto view = dyn_cast<CacheViewOp>(op)) {
    auto axis = op->getAttrOfType<IntegerAttr>("axis");
    int64_t along = axis ? axis.getInt() : type.getRank() - 2;
    if (view.getTable() && d == 0)
      return traceDim(view.getTable(), 0);
    return d == along ? fromFold(*this, Value(view.getLength())) : traceDim(view.getState(), d);
  }
  if (isa<StateReadOp, SoftmaxOp, LayerNormOp, CumSumOp, RotaryOp, ScatterElementsOp, ScatterNDOp>(op))
    return traceDim(op->getOperand(0), d);
  if (auto topk = dyn_cast<TopKOp>(op))
    return d == topk.getAxis() && topk.getK() ? fromFold(*this, Value(topk.getK())) : traceDim(topk.getInput(), d);
  if (auto arg = dyn_cast<ArgReduceOp>(op))
    return traceDim(arg.getInput(), d);
  if (auto sample = dyn_cast<SampleOp>(op))
    return traceDim(sample.getLogits(), d);
  if (auto merge = dyn_cast<AttnMergeOp>(op))
    return traceDim(result == 0 ? merge.getValues()[0] : merge.getLses()[0], d);
  if (auto product = dyn_cast<MatmulOp>(op)) {
    auto lhs = cast<RankedTensorType>(product.getLhs().getType()), rhs = cast<RankedTensorType>(product.getRhs().getType());
    int64_t rank = type.getRank(), fromEnd = rank - d;
    if (fromEnd == 1)
      return traceDim(product.getRhs(), rhs.getRank() - (product.getTransB() ? 2 : 1));
    if (fromEnd == 2)
      return traceDim(product.getLhs(), lhs.getRank() - (product.getTransA() ? 1 : 2));
    bool fromLhs = fromEnd <= lhs.getRank() && lhs.getDimSize(lhs.getRank() - fromEnd) != 1;
    return fromLhs ? traceDim(product.getLhs(), lhs.getRank() - fromEnd) : traceDim(product.getRhs(), rhs.getRank() - fromEnd);
  }
  if (auto product = dyn_cast<MatmulNBitsOp>(op))
    return traceDim(product.getLhs(), d);
  if (auto attend = dyn_cast<KVAttendOp>(op)) {
    // Query and output may be stored in different orders; the dynamic dimensions are batch, sequence and possibly heads.
    Value query = attend.getQ()[0];
    unsigned from = d;
    if ((d == 1 || d == 2)) {
      StringRef order = result == 1 ? StringRef("bhsd") : attend.getOLayout();
      if (order != attend.getQLayout())
        from = 3 - d;
    }
    return from == 3 ? traceDim(attend.getV()[0], 3) : traceDim(query, from);
  }
  return computed();
}

Value KernelBuilder::materialize(const Dim &dim, Value tensor, unsigned d) {
  if (dim.isStatic())
    return idx(dim.constant);
  if (dim.value && dim.index >= 0) {
    auto arg = cast<BlockArgument>(dim.value);
    if (isa<StateType>(arg.getType()))
      return scalarSlot(dimSlot(arg.getArgNumber(), 2 + dim.index), b.getIndexType());
    return scalarSlot(dimSlot(arg.getArgNumber(), dim.index), b.getIndexType());
  }
  if (dim.value) {
    Value value = scalar(dim.value);
    return value && !value.getType().isIndex() ? arith::IndexCastOp::create(b, b.getIndexType(), value).getResult() : value;
  }
  // A computed dimension.
  Operation *op = tensor.getDefiningOp();
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    Value sum = idx(0);
    for (Value input : concat.getInputs())
      sum = add(sum, this->dim(input, concat.getDim()));
    return sum;
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    Value all = idx(1);
    SmallVector<int64_t, 2> group = collapse.getReassociationIndices()[d]; // a copy: the list of groups is a temporary
    for (int64_t i : group)
      all = mul(all, this->dim(collapse.getSrc(), i));
    return all;
  }
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    auto amount = [&](OpFoldResult v) {
      std::optional<int64_t> constant = getConstantIntValue(v);
      return constant ? idx(*constant) : scalar(cast<Value>(v));
    };
    return add(add(amount(pad.getMixedLowPad()[d]), this->dim(pad.getSource(), d)), amount(pad.getMixedHighPad()[d]));
  }
  if (auto conv = dyn_cast<ConvOp>(op); conv && d >= 2) {
    int64_t i = d - 2, rank = conv.getStrides().size();
    Value span = mul(sub(this->dim(conv.getFilter(), d), idx(1)), idx(conv.getDilations()[i]));
    Value room = sub(add(this->dim(conv.getInput(), d), idx(conv.getPads()[i] + conv.getPads()[rank + i] - 1)), span);
    return add(div(room, idx(conv.getStrides()[i])), idx(1));
  }
  if (auto conv = dyn_cast<ConvOp>(op))
    return this->dim(d == 0 ? conv.getInput() : conv.getFilter(), 0);
  // Nothing known about the op: the host knows the size if the value is a result.
  for (auto [i, yielded] : llvm::enumerate(tensorResults))
    if (yielded == tensor)
      return resultDim(i, d);
  fail("the size of dimension " + Twine(d) + " is not known", op);
  return idx(0);
}

Value KernelBuilder::dim(Value tensor, unsigned d) {
  auto known = knownDims.find({tensor, d});
  if (known != knownDims.end())
    return known->second;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  Value value = materialize(traceDim(tensor, d), tensor, d);
  knownDims[{tensor, d}] = value;
  return value;
}

Value KernelBuilder::scalar(Value value) {
  auto known = scalars.find(value);
  if (known != scalars.end())
    return known->second;
  if (std::optional<int64_t> constant = getConstantIntValue(value); constant && value.getType().isIndex())
    return idx(*constant);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(marker);
  Value result;
  if (auto arg = dyn_cast<BlockArgument>(value)) {
    result = scalarSlot(arg.getArgNumber() - kernel.getNumInputs(), arg.getType());
  } else if (auto dimOp = value.getDefiningOp<tensor::DimOp>()) {
    std::optional<int64_t> index = dimOp.getConstantIndex();
    if (!index) {
      fail("tensor.dim needs a constant dimension", dimOp);
      return idx(0);
    }
    result = dim(dimOp.getSource(), *index);
  } else if (auto extract = value.getDefiningOp<tensor::ExtractOp>()) {
    if (!runsTasks()) {
      fail("the number of tasks depends on tensor contents", extract);
      return value.getType().isIndex() ? idx(0) : constantInt(value.getType(), 0);
    }
    Puller puller(*this, 1);
    SmallVector<Idx> at;
    for (Value index : extract.getIndices())
      at.push_back(puller.at(scalar(index)));
    result = puller.pull(extract.getTensor(), at);
  } else {
    // Scalar arithmetic: clone with carried types.
    Operation *op = value.getDefiningOp();
    Puller puller(*this, 1);
    result = puller.scalarOp(op, value);
  }
  scalars[value] = result;
  return result;
}

} // namespace leat::cpu
