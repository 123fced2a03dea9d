// Specialises the step of a merged decoder to the branch with the past.
#include "passes/Stream/PastBranch.h"
#include "passes/Stream/IndexAnalysis.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace leat::stream {

namespace {

StringRef nameOf(func::FuncOp f, unsigned arg) {
  auto name = f.getArgAttrOfType<StringAttr>(arg, "onnx.name");
  return name ? name.getValue() : StringRef();
}

StringRef symbolOf(func::FuncOp f, unsigned arg, int64_t dim) {
  auto dims = f.getArgAttrOfType<ArrayAttr>(arg, "onnx.dims");
  return dims && dim < static_cast<int64_t>(dims.size()) ? cast<StringAttr>(dims[dim]).getValue() : StringRef();
}

bool isSizeRead(OpOperand &use) { return isa<tensor::DimOp>(use.getOwner()); }

Value stripCasts(Value v) {
  while (auto cast = v.getDefiningOp<tensor::CastOp>())
    v = cast.getSource();
  return v;
}

SetVector<Value> usedBy(Operation *op) {
  SetVector<Value> used(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), used);
  return used;
}

/// The operations of `block` that compute `value`, in order.
SmallVector<Operation *> computing(Value value, Block &block) {
  SetVector<Value> needed;
  needed.insert(value);
  SmallVector<Operation *> ops;
  for (Operation &op : llvm::reverse(block))
    if (llvm::any_of(op.getResults(), [&](Value r) { return needed.contains(r); })) {
      ops.push_back(&op);
      auto used = usedBy(&op);
      needed.insert(used.begin(), used.end());
    }
  return SmallVector<Operation *>(llvm::reverse(ops));
}

struct Branches {
  scf::IfOp op;
  Block *past, *first;
};

class Specializer {
public:
  Specializer(func::FuncOp step, llvm::BitVector &goneArgs, llvm::BitVector &goneResults)
      : step(step), goneArgs(goneArgs), goneResults(goneResults) {}

  void run(unsigned flag, ArrayRef<PastPair> pairs);

private:
  SmallVector<Branches> decided();
  void markCausal(Branches branches);
  void computeConstantPast(Branches branches, const PastPair &pair);
  void replaceSizes(unsigned arg, Value computed);
  void inlinePast(Branches branches);

  func::FuncOp step;
  llvm::BitVector &goneArgs, &goneResults;
};

void Specializer::run(unsigned flag, ArrayRef<PastPair> pairs) {
  Value arg = step.getArgument(flag);
  OpBuilder b(step.getBody());
  auto type = cast<RankedTensorType>(arg.getType());
  auto one = RankedTensorType::get(SmallVector<int64_t>(type.getRank(), 1), type.getElementType());
  Value yes = arith::ConstantOp::create(b, step.getLoc(), DenseElementsAttr::get(one, true));
  if (yes.getType() != type)
    yes = tensor::CastOp::create(b, step.getLoc(), type, yes);
  arg.replaceAllUsesWith(yes);
  goneArgs.set(flag);
  RewritePatternSet folds(step.getContext());
  tensor::ExtractOp::getCanonicalizationPatterns(folds, step.getContext());
  (void)applyPatternsGreedily(step, std::move(folds));
  for (Branches branches : decided()) {
    markCausal(branches);
    for (const PastPair &pair : pairs)
      computeConstantPast(branches, pair);
    inlinePast(branches);
  }
  sortTopologically(&step.getBody().front());
}

SmallVector<Branches> Specializer::decided() {
  SmallVector<Branches> found;
  for (auto op : step.getBody().front().getOps<scf::IfOp>()) {
    APInt value;
    if (!matchPattern(op.getCondition(), m_ConstantInt(&value)) || op.getElseRegion().empty())
      continue;
    Block *then = op.thenBlock(), *other = op.elseBlock();
    found.push_back({op, value.isZero() ? other : then, value.isZero() ? then : other});
  }
  return found;
}

void Specializer::markCausal(Branches branches) {
  SmallVector<KVAttendOp> past, first;
  branches.past->walk([&](KVAttendOp op) { past.push_back(op); });
  branches.first->walk([&](KVAttendOp op) { first.push_back(op); });
  if (past.size() != first.size())
    return;
  for (auto [with, without] : llvm::zip(past, first))
    if (isCausal(without) && without.getVisible().empty()) // nothing else is hidden
      with->setAttr(causalWithoutPastAttr, UnitAttr::get(step.getContext()));
}

/// The branch with the past does not change this one: it hands it on, or gives something empty for it.
void Specializer::computeConstantPast(Branches branches, const PastPair &pair) {
  auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
  auto result = dyn_cast<OpResult>(stripCasts(ret.getOperand(pair.output)));
  BlockArgument arg = step.getArgument(pair.input);
  if (!result || result.getOwner() != branches.op)
    return;
  Value kept = stripCasts(branches.past->getTerminator()->getOperand(result.getResultNumber()));
  Value made = branches.first->getTerminator()->getOperand(result.getResultNumber());
  auto reads = [&](Value v, Block *block) {
    return llvm::any_of(computing(v, *block), [&](Operation *op) { return !isa<tensor::DimOp>(op) && usedBy(op).contains(arg); });
  };
  if ((kept != arg && reads(kept, branches.past)) || stripCasts(made) == arg || reads(made, branches.first))
    return;
  OpBuilder b(branches.op);
  IRMapping mapping;
  for (Operation *op : computing(made, *branches.first))
    b.clone(*op, mapping);
  Value computed = mapping.lookupOrDefault(made);
  replaceSizes(pair.input, computed);
  if (computed.getType() != arg.getType())
    computed = tensor::CastOp::create(b, branches.op.getLoc(), arg.getType(), computed);
  arg.replaceAllUsesWith(computed);
  goneArgs.set(pair.input);
  goneResults.set(pair.output);
}

/// What reads a size of an argument that goes away reads it from another one that has the same symbol, if there is one: `computed` may
/// itself depend on such sizes.
void Specializer::replaceSizes(unsigned arg, Value computed) {
  auto source = [&](int64_t axis) -> std::pair<Value, int64_t> {
    StringRef symbol = symbolOf(step, arg, axis);
    for (unsigned i = 0; i < step.getNumArguments() && !symbol.empty(); ++i)
      if (auto type = dyn_cast<RankedTensorType>(step.getArgument(i).getType()); type && i != arg && !goneArgs[i])
        for (int64_t d = 0; d < type.getRank(); ++d)
          if (type.isDynamicDim(d) && symbolOf(step, i, d) == symbol)
            return {step.getArgument(i), d};
    return {computed, axis};
  };
  for (OpOperand &use : llvm::make_early_inc_range(step.getArgument(arg).getUses())) {
    if (!isSizeRead(use))
      continue;
    auto dim = cast<tensor::DimOp>(use.getOwner());
    auto [value, axis] = source(*dim.getConstantIndex());
    OpBuilder b(dim);
    if (value == computed && value.getDefiningOp())
      b.setInsertionPointAfterValue(value);
    Value size = tensor::DimOp::create(b, dim.getLoc(), value, axis);
    dim.replaceAllUsesWith(size);
    dim.erase();
  }
}

void Specializer::inlinePast(Branches branches) {
  Operation *yield = branches.past->getTerminator();
  SmallVector<Value> results(yield->getOperands());
  yield->erase();
  branches.op->getBlock()->getOperations().splice(branches.op->getIterator(), branches.past->getOperations());
  branches.op.getOperation()->replaceAllUsesWith(results);
  branches.op.erase();
}

} // namespace

void takePastBranch(func::FuncOp step, ArrayRef<PastPair> pairs, llvm::BitVector &goneArgs, llvm::BitVector &goneResults) {
  for (unsigned i = 0; i < step.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(step.getArgument(i).getType());
    StringRef name = nameOf(step, i);
    if (type && type.getElementType().isInteger(1) && type.getRank() <= 1 && (name == "use_cache_branch" || name == "use_cache"))
      return Specializer(step, goneArgs, goneResults).run(i, pairs);
  }
}

} // namespace leat::stream
