// Lets products, attention and caches read and write the layout that is there, so that transposes around them cost nothing.
#include "passes/Fuse/LayoutPatterns.h"
#include "passes/Fuse/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace leat::fuse {
#define GEN_PASS_DEF_FOLDLAYOUTS
#include "passes/Fuse/Passes.h.inc"
} // namespace leat::fuse

using namespace mlir;

namespace leat::fuse {

namespace {

struct Transpose {
  Value source;
  SmallVector<unsigned> perm; // axis of the source for each axis of the result
};

} // namespace

/// `value` is a permutation of another tensor's axes and nothing else.
static std::optional<Transpose> matchTranspose(Value value) {
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 1 || generic->getNumResults() != 1 || generic.getNumParallelLoops() != generic.getNumLoops())
    return std::nullopt;
  AffineMap in = generic.getMatchingIndexingMap(generic.getDpsInputOperand(0)), out = generic.getIndexingMapsArray().back();
  Block &body = generic.getRegion().front();
  auto yield = cast<linalg::YieldOp>(body.getTerminator());
  if (!out.isIdentity() || !in.isPermutation() || yield.getOperand(0) != body.getArgument(0))
    return std::nullopt;
  // Element (d0, d1, ..) of the result is element in(d0, d1, ..) of the source.
  Transpose transpose{generic.getDpsInputs()[0], SmallVector<unsigned>(in.getNumResults())};
  for (unsigned axis = 0; axis < in.getNumResults(); ++axis)
    transpose.perm[in.getDimPosition(axis)] = axis;
  return transpose;
}

/// The source if `value` is it with the given axes.
static Value matchTranspose(Value value, ArrayRef<unsigned> perm) {
  std::optional<Transpose> transpose = matchTranspose(value);
  return transpose && ArrayRef(transpose->perm) == perm ? transpose->source : Value();
}

static Value matchLastTwoSwapped(Value value) {
  unsigned rank = cast<RankedTensorType>(value.getType()).getRank();
  if (rank < 2)
    return Value();
  SmallVector<unsigned> perm = llvm::to_vector(llvm::seq<unsigned>(rank));
  std::swap(perm[rank - 2], perm[rank - 1]);
  return matchTranspose(value, perm);
}

/// Heads and steps: [B, H, S, D] from [B, S, H, D] or back.
static Value matchHeadsSwapped(Value value) { return matchTranspose(value, {0, 2, 1, 3}); }

static StringRef otherLayout(StringRef layout) { return layout == "bhsd" ? "bshd" : "bhsd"; }

namespace {

struct FoldIntoMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Value lhs = matchLastTwoSwapped(op.getLhs()), rhs = matchLastTwoSwapped(op.getRhs());
    if (!lhs && !rhs)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      if (lhs) {
        op.getLhsMutable().assign(lhs);
        op.setTransA(!op.getTransA());
      }
      if (rhs) {
        op.getRhsMutable().assign(rhs);
        op.setTransB(!op.getTransB());
      }
    });
    return success();
  }
};

struct FoldIntoAttend : OpRewritePattern<KVAttendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KVAttendOp op, PatternRewriter &rewriter) const override {
    // One layout holds for all segments, so all of them change or none.
    auto sources = [](OperandRange operands, SmallVectorImpl<Value> &out) {
      for (Value operand : operands)
        out.push_back(matchHeadsSwapped(operand));
    };
    SmallVector<Value> q, kv;
    sources(op.getQ(), q);
    sources(op.getK(), kv);
    sources(op.getV(), kv);
    bool foldQ = llvm::all_of(q, [](Value v) { return v; }), foldKV = llvm::all_of(kv, [](Value v) { return v; });
    if (!foldQ && !foldKV)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      if (foldQ) {
        op.getQMutable().assign(q);
        op.setQLayout(otherLayout(op.getQLayout()));
      }
      if (foldKV) {
        op.getKMutable().assign(ArrayRef(kv).take_front(op.getK().size()));
        op.getVMutable().assign(ArrayRef(kv).drop_front(op.getK().size()));
        op.setKvLayout(otherLayout(op.getKvLayout()));
      }
    });
    return success();
  }
};

/// The transpose that follows attention: attention writes the other order.
struct FoldAttendResult : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || cast<RankedTensorType>(op.getResult(0).getType()).getRank() != 4)
      return failure();
    Value source = matchHeadsSwapped(op.getResult(0));
    auto attend = source ? source.getDefiningOp<KVAttendOp>() : KVAttendOp();
    if (!attend || source != attend.getOutput() || !source.hasOneUse())
      return failure();
    rewriter.modifyOpInPlace(attend, [&] {
      attend.getOutput().setType(cast<RankedTensorType>(op.getResult(0).getType()));
      attend.setOLayout(otherLayout(attend.getOLayout()));
    });
    rewriter.replaceOp(op, source);
    return success();
  }
};

struct FoldIntoAppend : OpRewritePattern<CacheAppendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CacheAppendOp op, PatternRewriter &rewriter) const override {
    if (cast<RankedTensorType>(op.getUpdate().getType()).getRank() != 4)
      return failure();
    Value source = matchHeadsSwapped(op.getUpdate());
    if (!source)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getUpdateMutable().assign(source);
      op.setLayout(otherLayout(op.getLayout()));
    });
    return success();
  }
};

/// Transposes in a row, and a transpose that moves nothing.
struct FoldTransposes : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1)
      return failure();
    std::optional<Transpose> outer = matchTranspose(op.getResult(0));
    if (!outer)
      return failure();
    if (llvm::is_sorted(outer->perm) && outer->source.getType() == op.getResult(0).getType()) {
      rewriter.replaceOp(op, outer->source);
      return success();
    }
    std::optional<Transpose> inner = matchTranspose(outer->source);
    if (!inner)
      return failure();
    // result axis i = inner result axis outer[i] = source axis inner[outer[i]]; the map is its inverse.
    SmallVector<unsigned> positions(outer->perm.size());
    for (auto [axis, middle] : llvm::enumerate(outer->perm))
      positions[inner->perm[middle]] = axis;
    rewriter.modifyOpInPlace(op, [&] {
      op.getInputsMutable().assign(inner->source);
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(
          {AffineMap::getPermutationMap(positions, rewriter.getContext()), rewriter.getMultiDimIdentityMap(positions.size())}));
    });
    return success();
  }
};

/// Only the last shape counts.
struct FoldReshapes : OpRewritePattern<tensor::ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ReshapeOp op, PatternRewriter &rewriter) const override {
    Operation *inner = op.getSource().getDefiningOp();
    if (isa_and_nonnull<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(inner)) {
      rewriter.modifyOpInPlace(op, [&] { op.getSourceMutable().assign(inner->getOperand(0)); });
      return success();
    }
    auto type = cast<RankedTensorType>(op.getType());
    if (type == op.getSource().getType() && type.getNumDynamicDims() <= 1) {
      // At most one unknown size, and equal element counts: the same shape.
      rewriter.replaceOp(op, op.getSource());
      return success();
    }
    return failure();
  }
};

struct FoldLayouts : impl::FoldLayoutsBase<FoldLayouts> {
  using FoldLayoutsBase::FoldLayoutsBase;
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldIntoMatmul, FoldIntoAttend, FoldAttendResult, FoldIntoAppend, FoldTransposes, FoldReshapes>(&getContext());
    populateFlatteningPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

} // namespace leat::fuse
