// Turns the groups of each block into leat.kernel regions and computes the sizes of their results outside.
#include "passes/Fuse/Passes.h"

#include "dialects/Leat/Leat.h"
#include "passes/Fuse/Dims.h"
#include "passes/Fuse/Grouping.h"
#include "passes/Fuse/KernelNames.h"
#include "passes/Fuse/SlotFacts.h"
#include "passes/Fuse/StateOrder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

namespace leat::fuse {
#define GEN_PASS_DEF_FORMKERNELS
#include "passes/Fuse/Passes.h.inc"
} // namespace leat::fuse

using namespace mlir;

namespace leat::fuse {

namespace {

/// The body of one kernel, collected before it is built: block arguments come first.
class KernelBuilder {
public:
  explicit KernelBuilder(const Group &group) : group(group), members(group.members.begin(), group.members.end()) {}
  KernelOp build(OpBuilder &builder, ValueRange sizes);

private:
  void addOp(Operation *op);
  void addOperand(Value value, bool isShape);

  const Group &group;
  llvm::SmallPtrSet<Operation *, 16> members;
  llvm::SmallSetVector<Operation *, 16> ops;
  llvm::SmallSetVector<Value, 8> inputs, scalars;
};

struct FormKernels : impl::FormKernelsBase<FormKernels> {
  using FormKernelsBase::FormKernelsBase;
  void runOnOperation() override;

private:
  LogicalResult normalise(func::FuncOp func, Dims &dims);
};

} // namespace

void KernelBuilder::addOperand(Value value, bool isShape) {
  Operation *def = value.getDefiningOp();
  if (def && ops.contains(def))
    return;
  if (def && (kindOf(def) == OpKind::Sink || (isShape && isa<tensor::FromElementsOp, arith::ConstantOp>(def))))
    return addOp(def);
  if (isa<TensorType, StateType>(value.getType()))
    inputs.insert(value);
  else
    scalars.insert(value);
}

void KernelBuilder::addOp(Operation *op) {
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    addOperand(operand, index == 1 && isa<tensor::ReshapeOp>(op));
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  for (Value value : captured)
    addOperand(value, false);
  ops.insert(op);
}

KernelOp KernelBuilder::build(OpBuilder &builder, ValueRange sizes) {
  for (Operation *op : group.members)
    addOp(op);
  Operation *namer = group.root ? group.root : group.last;
  builder.setInsertionPoint(group.last);
  auto kernel = KernelOp::create(builder, namer->getLoc(), group.last->getResultTypes(), inputs.getArrayRef(), scalars.getArrayRef(), sizes,
                                 builder.getStringAttr(nameOf(group)), ScheduleAttr());
  Block &body = kernel.getBody().emplaceBlock();
  IRMapping map;
  for (Value value : llvm::concat<const Value>(inputs.getArrayRef(), scalars.getArrayRef()))
    map.map(value, body.addArgument(value.getType(), value.getLoc()));
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  for (Operation *op : ops)
    inner.clone(*op, map);
  SmallVector<Value> results;
  for (Value result : group.last->getResults())
    results.push_back(map.lookup(result));
  YieldOp::create(inner, namer->getLoc(), results);
  group.last->replaceAllUsesWith(kernel.getOutputs());
  return kernel;
}

/// `keepSizes`: what Dims has computed may be asked for later.
static void eraseDeadOps(func::FuncOp func, bool keepSizes = false) {
  func.walk<WalkOrder::PostOrder, ReverseIterator>([&](Operation *op) {
    bool isSize = op->getNumResults() == 1 && op->getResult(0).getType().isIndex();
    if (isOpTriviallyDead(op) && !(keepSizes && isSize))
      op->erase();
  });
}

/// Brings the function into the form that grouping expects: linalg is generic or fill, inits are only inits, sizes do not ask computed
/// tensors.
LogicalResult FormKernels::normalise(func::FuncOp func, Dims &dims) {
  IRRewriter rewriter(func.getContext());
  SmallVector<linalg::LinalgOp> named;
  func.walk([&](linalg::LinalgOp op) {
    if (!isa<linalg::GenericOp, linalg::FillOp>(op))
      named.push_back(op);
  });
  for (linalg::LinalgOp op : named) {
    rewriter.setInsertionPoint(op);
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      return op->emitOpError("cannot be written as linalg.generic");
  }

  SmallVector<tensor::DimOp> sizeQueries;
  func.walk([&](tensor::DimOp op) { sizeQueries.push_back(op); });
  for (tensor::DimOp op : sizeQueries) {
    std::optional<int64_t> dim = op.getConstantIndex();
    Operation *source = op.getSource().getDefiningOp();
    if (!dim ||
        (source && (isa<ParamRefOp>(source) || (source->getNumRegions() && !isa<linalg::LinalgOp, tensor::PadOp, KVAttendOp>(source)))))
      continue;
    FailureOr<SmallVector<OpFoldResult>> sizes = dims.of(op.getSource());
    if (failed(sizes))
      return failure();
    rewriter.replaceOp(op, dims.materialize((*sizes)[*dim], op));
  }

  // A fill, or an empty tensor, that somebody reads is a splat.
  SmallVector<Operation *> inits;
  func.walk([&](Operation *op) {
    if (isa<linalg::FillOp, tensor::EmptyOp>(op))
      inits.push_back(op);
  });
  for (Operation *op : inits) {
    auto isRead = [](OpOperand &use) {
      auto dps = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
      return !dps || !dps.isDpsInit(&use);
    };
    if (llvm::none_of(op->getUses(), isRead))
      continue;
    FailureOr<SmallVector<Value>> sizes = dims.dynamicOf(op->getResult(0));
    if (failed(sizes))
      return failure();
    rewriter.setInsertionPoint(op);
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    Value element;
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      element = fill.value();
    else
      element = arith::ConstantOp::create(rewriter, op->getLoc(), rewriter.getZeroAttr(type.getElementType()));
    auto splat = tensor::SplatOp::create(rewriter, op->getLoc(), type, element, *sizes);
    rewriter.replaceUsesWithIf(op->getResult(0), splat.getResult(), isRead);
  }
  return success();
}

void FormKernels::runOnOperation() {
  func::FuncOp func = getOperation();
  if (func.isExternal())
    return;
  annotateSlotFacts(func);
  eraseDeadOps(func);
  Dims dims(&getContext());
  if (failed(normalise(func, dims)))
    return signalPassFailure();
  eraseDeadOps(func, /*keepSizes=*/true);

  // All decisions are made on the unchanged function; inner blocks are built first, so that what they copy from outside is no longer needed
  // there.
  struct Planned {
    Group group;
    SmallVector<Value> sizes;
  };
  SmallVector<Planned> plan;
  WalkResult sized = func.walk<WalkOrder::PostOrder>([&](Block *block) {
    Operation *parent = block->getParentOp();
    if (isa<linalg::LinalgOp, tensor::PadOp, KernelOp, KVAttendOp>(parent))
      return WalkResult::advance();
    for (Group &group : formGroups(*block)) {
      Planned next{std::move(group), {}};
      for (Value result : next.group.last->getResults()) {
        if (!isa<RankedTensorType>(result.getType()))
          continue;
        FailureOr<SmallVector<Value>> sizes = dims.dynamicOf(result);
        if (failed(sizes))
          return WalkResult::interrupt();
        next.sizes.append(*sizes);
      }
      plan.push_back(std::move(next));
    }
    return WalkResult::advance();
  });
  if (sized.wasInterrupted())
    return signalPassFailure();

  OpBuilder builder(&getContext());
  for (const Planned &planned : plan) {
    if (planned.group.last->use_empty())
      continue;
    KernelBuilder(planned.group).build(builder, planned.sizes);
    ++numKernels;
    numPulled += planned.group.members.size() - 1;
  }
  eraseDeadOps(func);
  WalkResult ordered = func.walk([](Block *block) {
    bool hasKernels = !isa<KernelOp>(block->getParentOp()) && !block->getOps<KernelOp>().empty();
    return hasKernels && failed(orderStateUses(*block)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (ordered.wasInterrupted())
    signalPassFailure();
}

} // namespace leat::fuse
