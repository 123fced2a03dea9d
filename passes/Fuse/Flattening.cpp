// Exporters flatten [B, S, K] to [B*S, K] around a linear layer and unflatten behind it. The pair hides the epilogue (bias, residual) from
// the product. The flattening is moved down until it meets its opposite; what is left of it is a free view of the result.
#include "passes/Fuse/LayoutPatterns.h"
#include "passes/Fuse/OpKinds.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::fuse {

/// A size by what it comes from: a constant (no value), a scalar (dim -1), or an axis of a tensor.
using SizeKey = std::pair<Value, int64_t>;

static SizeKey keyOf(Value tensor, int64_t dim);

static SizeKey keyOf(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return {Value(), *constant};
  auto value = cast<Value>(size);
  auto dim = value.getDefiningOp<tensor::DimOp>();
  if (dim && dim.getConstantIndex())
    return keyOf(dim.getSource(), *dim.getConstantIndex());
  return {value, -1};
}

/// Follows a size through ops that keep it, without making anything.
static SizeKey keyOf(Value tensor, int64_t dim) {
  for (;;) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (!type.isDynamicDim(dim))
      return {Value(), type.getDimSize(dim)};
    Operation *def = tensor.getDefiningOp();
    if (!def)
      return {tensor, dim};
    if (auto empty = dyn_cast<tensor::EmptyOp>(def))
      return keyOf(empty.getMixedSizes()[dim]);
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(def))
      return keyOf(expand.getMixedOutputShape()[dim]);
    if (auto matmul = dyn_cast<MatmulOp>(def);
        matmul && cast<RankedTensorType>(matmul.getRhs().getType()).getRank() == 2 && !matmul.getTransA() && dim + 1 < type.getRank()) {
      tensor = matmul.getLhs();
      continue;
    }
    if (auto window = dyn_cast<tensor::ExtractSliceOp>(def); window && window.getSourceType().getRank() == type.getRank())
      return keyOf(window.getMixedSizes()[dim]);
    if (auto attend = dyn_cast<KVAttendOp>(def); attend && tensor == attend.getOutput() && dim < 3) {
      // Batch, heads and steps are those of the query, in the order of its own layout.
      tensor = attend.getQ().front();
      if (dim > 0 && attend.getQLayout() != attend.getOLayout())
        dim = 3 - dim;
      continue;
    }
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(def); collapse && collapse.getReassociationIndices()[dim].size() == 1) {
      dim = collapse.getReassociationIndices()[dim][0];
      tensor = collapse.getSrc();
      continue;
    }
    if (isa<MatmulNBitsOp, SoftmaxOp, LayerNormOp>(def)) {
      tensor = def->getOperand(0);
      continue;
    }
    if (auto dps = dyn_cast<DestinationStyleOpInterface>(def)) {
      tensor = dps.getTiedOpOperand(cast<OpResult>(tensor))->get();
      continue;
    }
    return {tensor, dim};
  }
}

/// The flattening of some leading axes into one: [[0, 1], [2], ...].
static tensor::CollapseShapeOp matchFlattening(Value value) {
  auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse)
    return {};
  SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
  bool leading = groups.size() >= 2 && groups.front().size() > 1 &&
                 llvm::all_of(ArrayRef(groups).drop_front(), [](const auto &g) { return g.size() == 1; });
  return leading ? collapse : tensor::CollapseShapeOp();
}

/// [[0, 1], [2, 3]], leading axes and heads in one, as two steps of which the second is a flattening of leading axes.
static tensor::CollapseShapeOp splitFlattening(PatternRewriter &rewriter, Value value) {
  auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse)
    return {};
  SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
  if (groups.size() != 2 || groups[0].size() < 2 || groups[1].size() < 2)
    return {};
  SmallVector<ReassociationIndices> heads, leading(2);
  SmallVector<int64_t> shape;
  for (int64_t axis : groups[0]) {
    heads.push_back({axis});
    leading[0].push_back(axis);
    shape.push_back(collapse.getSrcType().getDimSize(axis));
  }
  heads.push_back(groups[1]);
  leading[1].push_back(groups[0].size());
  shape.push_back(collapse.getResultType().getDimSize(1));
  auto type = RankedTensorType::get(shape, collapse.getResultType().getElementType());
  Value joined = tensor::CollapseShapeOp::create(rewriter, collapse.getLoc(), type, collapse.getSrc(), heads);
  return tensor::CollapseShapeOp::create(rewriter, collapse.getLoc(), collapse.getResultType(), joined, leading);
}

/// Flattens `value` as `like` does.
static Value flatten(PatternRewriter &rewriter, Location loc, Value value, RankedTensorType type, tensor::CollapseShapeOp like) {
  return tensor::CollapseShapeOp::create(rewriter, loc, type, value, like.getReassociationIndices());
}

namespace {

/// product(flatten(x), w) -> flatten(product(x, w))
template <typename Op> struct SinkThroughProduct : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if constexpr (std::is_same_v<Op, MatmulOp>)
      if (op.getTransA() || cast<RankedTensorType>(op.getRhs().getType()).getRank() != 2)
        return failure();
    tensor::CollapseShapeOp collapse = matchFlattening(op->getOperand(0));
    if (!collapse)
      collapse = splitFlattening(rewriter, op->getOperand(0));
    if (!collapse)
      return failure();
    auto type = cast<RankedTensorType>(op.getOutput().getType());
    SmallVector<int64_t> shape(collapse.getSrcType().getShape());
    shape.back() = type.getShape().back();
    SmallVector<Value> operands(op->getOperands());
    operands[0] = collapse.getSrc();
    auto product =
        Op::create(rewriter, op.getLoc(), TypeRange{RankedTensorType::get(shape, type.getElementType())}, operands, op->getAttrs());
    rewriter.replaceOp(op, flatten(rewriter, op.getLoc(), product.getOutput(), type, collapse));
    return success();
  }
};

/// f(flatten(x), flatten(y), bias) -> flatten(f(x, y, bias)), where bias has no flattened axis.
struct SinkThroughPointwise : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!isPointwise(op) || op.getNumLoops() == 0 || !op.getRegion().getOps<linalg::IndexOp>().empty())
      return failure();
    tensor::CollapseShapeOp collapse;
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      if (!map.isFunctionOfDim(0))
        continue;
      tensor::CollapseShapeOp next = map.isIdentity() ? matchFlattening(input->get()) : tensor::CollapseShapeOp();
      if (!next || (collapse && !sameSource(collapse, next)))
        return failure();
      collapse = collapse ? collapse : next;
    }
    if (!collapse)
      return failure();
    Location loc = op.getLoc();
    RankedTensorType source = collapse.getSrcType();
    int64_t more = source.getRank() - op.getNumLoops();
    SmallVector<Value> inputs, sizes;
    SmallVector<AffineMap> maps;
    MLIRContext *context = op.getContext();
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      bool flat = map.isFunctionOfDim(0);
      inputs.push_back(flat ? cast<tensor::CollapseShapeOp>(input->get().getDefiningOp()).getSrc() : input->get());
      maps.push_back(flat ? AffineMap::getMultiDimIdentityMap(source.getRank(), context) : map.shiftDims(more));
    }
    maps.push_back(AffineMap::getMultiDimIdentityMap(source.getRank(), context));
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    for (int64_t dim = 0; dim < source.getRank(); ++dim)
      if (source.isDynamicDim(dim))
        sizes.push_back(tensor::DimOp::create(rewriter, loc, collapse.getSrc(), dim));
    Value init = tensor::EmptyOp::create(rewriter, loc, source.getShape(), type.getElementType(), sizes);
    SmallVector<utils::IteratorType> iterators(source.getRank(), utils::IteratorType::parallel);
    auto unflat = linalg::GenericOp::create(rewriter, loc, TypeRange{init.getType()}, inputs, ValueRange{init}, maps, iterators);
    rewriter.inlineRegionBefore(op.getRegion(), unflat.getRegion(), unflat.getRegion().begin());
    rewriter.replaceOp(op, flatten(rewriter, loc, unflat.getResult(0), type, collapse));
    return success();
  }

  static bool sameSource(tensor::CollapseShapeOp a, tensor::CollapseShapeOp b) {
    if (a.getReassociationIndices() != b.getReassociationIndices() || a.getSrcType().getRank() != b.getSrcType().getRank())
      return false;
    return llvm::all_of(llvm::seq<int64_t>(a.getSrcType().getRank()),
                        [&](int64_t dim) { return keyOf(a.getSrc(), dim) == keyOf(b.getSrc(), dim); });
  }
};

/// unflatten(flatten(x)) -> x when the sizes are known to be the same.
struct CancelUnflatten : OpRewritePattern<tensor::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExpandShapeOp op, PatternRewriter &rewriter) const override {
    auto collapse = op.getSrc().getDefiningOp<tensor::CollapseShapeOp>();
    if (!collapse || collapse.getReassociationIndices() != op.getReassociationIndices() || collapse.getSrcType() != op.getResultType())
      return failure();
    for (auto [dim, size] : llvm::enumerate(op.getMixedOutputShape()))
      if (keyOf(size) != keyOf(collapse.getSrc(), dim))
        return failure();
    rewriter.replaceOp(op, collapse.getSrc());
    return success();
  }
};

/// unflatten(window(x)) -> window(unflatten(x)) where whole groups are cut out: the heads of a fused projection. The view moves to the
/// buffer, the window to its reader.
struct SplitWindow : OpRewritePattern<tensor::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExpandShapeOp op, PatternRewriter &rewriter) const override {
    auto window = op.getSrc().getDefiningOp<tensor::ExtractSliceOp>();
    if (!window || window.getSourceType().getRank() != window.getType().getRank())
      return failure();
    RankedTensorType source = window.getSourceType(), type = op.getResultType();
    SmallVector<OpFoldResult> offsets = window.getMixedOffsets(), sizes = window.getMixedSizes(), strides = window.getMixedStrides();
    SmallVector<OpFoldResult> shape = op.getMixedOutputShape(), newShape, newOffsets, newSizes, newStrides;
    SmallVector<int64_t> staticShape;
    std::optional<int64_t> split; // the source axis that is split
    for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
      if (group.size() == 1)
        continue;
      std::optional<int64_t> offset = getConstantIntValue(offsets[dim]), stride = getConstantIntValue(strides[dim]);
      int64_t inner = group.size() == 2 ? type.getDimSize(group[1]) : ShapedType::kDynamic;
      if (split || ShapedType::isDynamic(inner) || source.isDynamicDim(dim) || type.isDynamicDim(group[0]) || !offset || stride != 1 ||
          inner == 0 || *offset % inner || source.getDimSize(dim) % inner)
        return failure();
      split = dim;
    }
    if (!split)
      return failure();
    auto constant = [&](int64_t value) { return OpFoldResult(rewriter.getIndexAttr(value)); };
    for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
      int64_t size = source.getDimSize(dim);
      if (static_cast<int64_t>(dim) != *split) {
        newOffsets.push_back(offsets[dim]);
        newSizes.push_back(sizes[dim]);
        newStrides.push_back(strides[dim]);
        staticShape.push_back(size);
        newShape.push_back(source.isDynamicDim(dim) ? tensor::DimOp::create(rewriter, op.getLoc(), window.getSource(), dim).getResult()
                                                    : constant(size));
        continue;
      }
      int64_t inner = type.getDimSize(group[1]);
      staticShape.append({size / inner, inner});
      newShape.append({constant(size / inner), constant(inner)});
      newOffsets.append({constant(*getConstantIntValue(offsets[dim]) / inner), constant(0)});
      newSizes.append({shape[group[0]], shape[group[1]]});
      newStrides.append({constant(1), constant(1)});
    }
    auto wide = RankedTensorType::get(staticShape, type.getElementType());
    Value expanded = tensor::ExpandShapeOp::create(rewriter, op.getLoc(), wide, window.getSource(), op.getReassociationIndices(), newShape);
    rewriter.replaceOpWithNewOp<tensor::ExtractSliceOp>(op, type, expanded, newOffsets, newSizes, newStrides);
    return success();
  }
};

/// squeeze(window(x)) -> a window without the axes of size 1: q, k and v stacked along an axis, taken apart.
struct DropWindowAxes : OpRewritePattern<tensor::CollapseShapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::CollapseShapeOp op, PatternRewriter &rewriter) const override {
    auto window = op.getSrc().getDefiningOp<tensor::ExtractSliceOp>();
    if (!window || !window->hasOneUse() || window.getSourceType().getRank() != window.getType().getRank())
      return failure();
    for (const ReassociationIndices &group : op.getReassociationIndices())
      if (llvm::count_if(group, [&](int64_t axis) { return op.getSrcType().getDimSize(axis) != 1; }) > 1)
        return failure();
    rewriter.replaceOpWithNewOp<tensor::ExtractSliceOp>(op, op.getResultType(), window.getSource(), window.getMixedOffsets(),
                                                        window.getMixedSizes(), window.getMixedStrides());
    return success();
  }
};

} // namespace

void populateFlatteningPatterns(RewritePatternSet &patterns) {
  patterns.add<SinkThroughProduct<MatmulOp>, SinkThroughProduct<MatmulNBitsOp>, SinkThroughPointwise, CancelUnflatten, SplitWindow,
               DropWindowAxes>(patterns.getContext());
}

} // namespace leat::fuse
