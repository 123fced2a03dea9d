// See Reduction.h.
#include "passes/CPU/Reduction.h"

using namespace mlir;

namespace leat::cpu {

/// acc' = combiner(acc, element) for each result, if the body has that form.
static SmallVector<Operation *> combinersOf(linalg::GenericOp op) {
  SmallVector<Operation *> all;
  Operation *yield = op.getBody()->getTerminator();
  for (auto [i, acc] : llvm::enumerate(op.getRegionOutputArgs())) {
    Operation *combiner = yield->getOperand(i).getDefiningOp();
    bool good = acc.hasOneUse() && combiner && *acc.getUsers().begin() == combiner && combiner->getNumOperands() == 2 &&
                combiner->hasOneUse() && arith::getNeutralElement(combiner);
    if (!good)
      return {};
    all.push_back(combiner);
  }
  return all;
}

Reduction::Reduction(linalg::GenericOp op) : op(op), combiners(combinersOf(op)) {
  for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    (kind == utils::IteratorType::parallel ? parallel : reduced).push_back(d);
  for (OpOperand *input : op.getDpsInputOperands()) {
    auto type = dyn_cast<RankedTensorType>(input->get().getType());
    AffineMap map = op.getMatchingIndexingMap(input);
    for (int64_t i = map.getNumResults(); type && i-- > 0 && !innermost;)
      if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(i)); dim && type.getDimSize(i) != 1)
        innermost = dim.getPosition();
    if (innermost)
      break;
  }
}

Value Reduction::identity(KernelBuilder &k, unsigned result) const {
  TypedAttr neutral = *arith::getNeutralElement(combiners[result]);
  Type carried = KernelBuilder::carriedType(neutral.getType());
  if (auto real = dyn_cast<FloatAttr>(neutral))
    return k.constant(carried, real.getValueAsDouble());
  return arith::ConstantOp::create(k.b, neutral);
}

LaneAccumulators::Combine Reduction::combine(KernelBuilder &k, unsigned result) const {
  Operation *combiner = combiners[result];
  return [&k, combiner](Value x, Value y) {
    OperationState state(k.b.getLoc(), combiner->getName());
    state.addOperands({x, y});
    state.addTypes(x.getType());
    state.addAttributes(combiner->getAttrs());
    return k.b.create(state)->getResult(0);
  };
}

/// Coordinates of a result, or of what it begins with.
static SmallVector<Idx> resultCoordinates(Puller &p, AffineMap map, ArrayRef<Idx> loops) {
  SmallVector<Idx> at;
  for (AffineExpr expr : map.getResults())
    at.push_back(isa<AffineDimExpr>(expr) ? loops[cast<AffineDimExpr>(expr).getPosition()] : p.at(0));
  return at;
}

SmallVector<Value> Reduction::initial(Puller &p, ArrayRef<Idx> loops) {
  SmallVector<Value> init;
  for (OpOperand &operand : op.getDpsInitsMutable())
    init.push_back(p.pullVector(operand.get(), resultCoordinates(p, op.getMatchingIndexingMap(&operand), loops)));
  return init;
}

void Reduction::emit(Puller &p, ArrayRef<Idx> loops, ArrayRef<Value> values) {
  for (auto [i, value] : llvm::enumerate(values))
    p.bind(op.getResult(i), [value = value](Puller &, ArrayRef<Idx>) { return value; });
  SmallVector<Idx> at = resultCoordinates(p, op.getMatchingIndexingMap(op.getDpsInitOperand(0)), loops);
  for (unsigned r = 0; r < p.k.numResults(); ++r)
    p.emitResult(r, at);
}

} // namespace leat::cpu
