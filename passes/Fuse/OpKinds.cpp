// Classifies ops for fusion. One table per question; a new op is added here and nowhere else in this stage.
#include "passes/Fuse/OpKinds.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::fuse {

static bool isParallel(linalg::GenericOp op) { return op.getNumParallelLoops() == op.getNumLoops(); }

bool isPointwise(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic->getNumResults() == 1 && isParallel(generic) && generic.getIndexingMapsArray().back().isIdentity() &&
         generic.getRegionOutputArgs().front().use_empty();
}

bool isAlignedRead(OpOperand &use) {
  auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
  return generic && isPointwise(generic) && generic.isDpsInput(&use) && generic.getMatchingIndexingMap(&use).isIdentity();
}

OpKind kindOf(Operation *op) {
  return TypeSwitch<Operation *, OpKind>(op)
      .Case<linalg::GenericOp>([](Operation *o) { return isPointwise(o) ? OpKind::Element : OpKind::Root; })
      .Case<tensor::ExtractSliceOp, tensor::ConcatOp, tensor::PadOp, RotaryOp>([](Operation *) { return OpKind::Element; })
      .Case<tensor::ReshapeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>([](Operation *) { return OpKind::View; })
      .Case<tensor::SplatOp, tensor::EmptyOp, linalg::FillOp, CacheViewOp, StateReadOp>([](Operation *) { return OpKind::Sink; })
      .Case<tensor::FromElementsOp>([](tensor::FromElementsOp o) {
        // One element is a scalar operand; more are made by the host once.
        return o.getElements().size() <= 1 ? OpKind::Sink : OpKind::Host;
      })
      .Case<arith::ConstantOp>([](arith::ConstantOp o) {
        auto dense = dyn_cast<DenseElementsAttr>(o.getValue());
        return !isa<ShapedType>(o.getType()) || (dense && dense.isSplat()) ? OpKind::Sink : OpKind::Host;
      })
      .Case<StateWriteOp>([](StateWriteOp o) {
        // A number that the host computed, how far the stream is: the host also writes it down, and checks it first.
        return o.getValue().getDefiningOp<tensor::FromElementsOp>() ? OpKind::Host : OpKind::Root;
      })
      .Case<KVAttendOp>([](Operation *) { return OpKind::Root; }) // though it may have a region
      .Case<tensor::DimOp, tensor::ExtractOp, ParamRefOp, StateGetOp, StatePutOp, YieldOp>([](Operation *) { return OpKind::Host; })
      .Default([](Operation *o) {
        if (o->getNumRegions() || o->hasTrait<OpTrait::IsTerminator>())
          return OpKind::Host;
        bool computes = llvm::any_of(o->getResultTypes(), [](Type t) { return isa<RankedTensorType, StateType>(t); });
        return computes ? OpKind::Root : OpKind::Host;
      });
}

/// An operand with this map has one element per iteration (static unit loops aside), so nothing is read twice.
static bool coversLoops(linalg::GenericOp op, AffineMap map) {
  if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return false; // windows overlap
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  for (unsigned d = 0; d < map.getNumDims(); ++d)
    if (ranges[d] != 1 && !map.isFunctionOfDim(d))
      return false;
  return true;
}

ReadKind readOf(OpOperand &use, Operation *user, bool direct) {
  if (!direct)
    return isa<linalg::GenericOp>(user) ? ReadKind::Many : ReadKind::Buffer;
  unsigned index = use.getOperandNumber();
  auto once = [&](bool yes, ReadKind otherwise) { return yes ? ReadKind::Once : otherwise; };
  return TypeSwitch<Operation *, ReadKind>(user)
      .Case<linalg::GenericOp>([&](linalg::GenericOp op) {
        if (!op.isDpsInput(&use))
          return once(op.getMatchingIndexingMap(&use).isPermutation(), ReadKind::Buffer);
        return once(coversLoops(op, op.getMatchingIndexingMap(&use)), ReadKind::Many);
      })
      .Case<tensor::ExtractSliceOp, tensor::PadOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
          [&](Operation *) { return once(index == 0, ReadKind::Buffer); })
      .Case<tensor::ReshapeOp>([&](Operation *) { return once(index == 0, ReadKind::Buffer); })
      .Case<tensor::ConcatOp>([](Operation *) { return ReadKind::Once; })
      .Case<SoftmaxOp, CumSumOp, ArgReduceOp>([](Operation *) { return ReadKind::Once; })
      .Case<LayerNormOp, RotaryOp>([&](Operation *) { return once(index == 0, ReadKind::Many); })
      .Case<MatmulOp, MatmulNBitsOp>([&](Operation *op) { return index == 0 || isa<MatmulOp>(op) ? ReadKind::Strided : ReadKind::Buffer; })
      .Case<KVAttendOp>([&](KVAttendOp op) {
        // Queries too: computing them where they are packed (a rotation, say) took three times as long per step as a kernel in front.
        return index < op.getQ().size() + op.getK().size() + op.getV().size() ? ReadKind::Strided : ReadKind::Buffer;
      })
      .Case<CacheAppendOp>([&](Operation *) { return once(index == 1, ReadKind::Buffer); })
      .Default([](Operation *) { return ReadKind::Buffer; });
}

bool isStridedView(Operation *op) {
  if (isa<tensor::CastOp>(op))
    return true;
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    int64_t last = slice.getSourceType().getRank() - 1;
    return last >= 0 && !slice.getDroppedDims().test(last) && getConstantIntValue(slice.getMixedStrides().back()) == 1;
  }
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !isPointwise(op) || generic.getNumDpsInputs() != 1)
    return false;
  Block &body = generic.getRegion().front();
  AffineMap map = generic.getMatchingIndexingMap(generic.getDpsInputOperand(0));
  return body.getTerminator()->getOperand(0) == body.getArgument(0) && map.isProjectedPermutation() && map.getNumResults() > 0 &&
         map.getDimPosition(map.getNumResults() - 1) + 1 == map.getNumDims();
}

static bool isCached(Value value) {
  Operation *def = value.getDefiningOp();
  return def && (isa<CacheViewOp>(def) || (isStridedView(def) && isCached(def->getOperand(0))));
}

bool isCacheDecode(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && isPointwise(op) && generic.getNumDpsInputs() > 0 && llvm::all_of(generic.getInputs(), isCached) &&
         generic.getInputs()[0].getType() != generic.getResult(0).getType();
}

static int64_t bodyOpCost(Operation *op) {
  if (isa<arith::ConstantOp, linalg::IndexOp, linalg::YieldOp>(op))
    return 0;
  if (isa<arith::DivFOp, arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
          arith::RemFOp, math::SqrtOp, math::RsqrtOp>(op))
    return 4;
  if (isa<tensor::ExtractOp>(op))
    return 3;
  if (isa<math::AbsFOp, math::AbsIOp, math::FloorOp, math::CeilOp, math::FmaOp, math::CopySignOp, math::RoundEvenOp, math::TruncOp>(op))
    return 1;
  if (isa_and_nonnull<math::MathDialect>(op->getDialect()))
    return 100;
  return 1;
}

int64_t elementCost(Operation *op) {
  return TypeSwitch<Operation *, int64_t>(op)
      .Case<linalg::GenericOp>([](linalg::GenericOp generic) {
        int64_t cost = 0;
        generic.getRegion().walk([&](Operation *inner) { cost += bodyOpCost(inner); });
        return cost;
      })
      .Case<tensor::ExtractSliceOp>([](Operation *) { return 1; })
      .Case<tensor::CastOp>([](Operation *) { return 0; })
      .Case<RotaryOp>([](Operation *) { return 2 * cheapCost; }) // four large reads: never repeated
      .Case<tensor::ConcatOp>([](Operation *o) { return 2 * static_cast<int64_t>(o->getNumOperands()); })
      .Default([](Operation *) { return 2; });
}

bool takesEpilogue(Operation *op) {
  if (op->getNumResults() != 1)
    return false;
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return generic.getNumReductionLoops() > 0;
  return isa<MatmulOp, MatmulNBitsOp, ConvOp, SoftmaxOp, LayerNormOp, KVAttendOp>(op);
}

int64_t largeOperands(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic)
    return 1;
  int64_t count = 0;
  for (OpOperand *input : generic.getDpsInputOperands()) {
    Operation *def = input->get().getDefiningOp();
    if (coversLoops(generic, generic.getMatchingIndexingMap(input)) &&
        !(def && kindOf(def) == OpKind::Sink && !isa<CacheViewOp, StateReadOp>(def)))
      ++count;
  }
  return count;
}

} // namespace leat::fuse
