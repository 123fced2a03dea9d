// Reductions written as linalg.generic. Where the innermost dimension of the input is reduced, lanes are partial results that are joined at
// the end; otherwise lanes are results. The order in which elements are combined depends on the sizes only.
#include "passes/CPU/Rows.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {
namespace {

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

class ReduceGenerator : public Generator {
  linalg::GenericOp op;
  SmallVector<Operation *> combiners;
  SmallVector<unsigned> parallel, reduced;
  /// The loop that lies in lanes; none if the body allows no vectors.
  std::optional<unsigned> vectorLoop;
  bool lanesReduce = false;

  Value identity(KernelBuilder &k, unsigned result) {
    TypedAttr neutral = *arith::getNeutralElement(combiners[result]);
    Type carried = KernelBuilder::carriedType(neutral.getType());
    if (auto real = dyn_cast<FloatAttr>(neutral))
      return k.constant(carried, real.getValueAsDouble());
    return arith::ConstantOp::create(k.b, neutral);
  }

  LaneAccumulators::Combine combine(KernelBuilder &k, unsigned result) {
    Operation *combiner = combiners[result];
    return [&k, combiner](Value x, Value y) {
      OperationState state(k.b.getLoc(), combiner->getName());
      state.addOperands({x, y});
      state.addTypes(x.getType());
      state.addAttributes(combiner->getAttrs());
      return k.b.create(state)->getResult(0);
    };
  }

  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> bounds = Puller(k, 1).loopBounds(op), outer;
    Value perRow = k.idx(1);
    for (unsigned d : parallel)
      if (lanesReduce || d != vectorLoop)
        outer.push_back(bounds[d]);
    for (unsigned d : reduced)
      perRow = k.mul(perRow, bounds[d]);
    if (vectorLoop && !lanesReduce)
      perRow = k.mul(perRow, k.min(bounds[*vectorLoop], columns(k)));
    return RowTasks(k, outer, perRow);
  }
  /// Without enough rows, columns in lanes are cut into chunks as well.
  Value columns(KernelBuilder &k) { return k.idx(scheduled(k.kernel, "columns", 256)); }
  Value columnChunks(KernelBuilder &k) {
    if (!vectorLoop || lanesReduce)
      return k.idx(1);
    return k.ceilDiv(Puller(k, 1).loopBounds(op)[*vectorLoop], columns(k));
  }

  SmallVector<Value> initial(Puller &p, ArrayRef<Idx> loops) {
    SmallVector<Value> init;
    for (OpOperand &operand : op.getDpsInitsMutable()) {
      SmallVector<Idx> at;
      for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults())
        at.push_back(isa<AffineDimExpr>(expr) ? loops[cast<AffineDimExpr>(expr).getPosition()] : p.at(0));
      init.push_back(p.pullVector(operand.get(), at));
    }
    return init;
  }

  void emit(Puller &p, ArrayRef<Idx> loops, ArrayRef<Value> values) {
    KernelBuilder &k = p.k;
    for (auto [i, value] : llvm::enumerate(values))
      p.bind(op.getResult(i), [value = value](Puller &, ArrayRef<Idx>) { return value; });
    SmallVector<Idx> at;
    for (AffineExpr expr : op.getMatchingIndexingMap(op.getDpsInitOperand(0)).getResults())
      at.push_back(isa<AffineDimExpr>(expr) ? loops[cast<AffineDimExpr>(expr).getPosition()] : p.at(0));
    for (unsigned r = 0; r < k.numResults(); ++r)
      p.emitResult(r, at);
  }

  /// Loops over the reduced dimensions from `depth` on, except `skip`.
  SmallVector<Value> nest(KernelBuilder &k, ArrayRef<unsigned> dims, ArrayRef<Value> bounds, SmallVector<Idx> &loops,
                          SmallVector<Value> carried, function_ref<SmallVector<Value>(SmallVector<Value>)> body) {
    if (dims.empty())
      return body(carried);
    return k.forLoop(k.idx(0), bounds[dims[0]], k.idx(1), carried, [&](Value iv, ValueRange values) {
      loops[dims[0]] = Puller(k, 1).at(iv);
      return nest(k, dims.drop_front(), bounds, loops, SmallVector<Value>(values), body);
    });
  }

public:
  explicit ReduceGenerator(linalg::GenericOp op) : op(op), combiners(combinersOf(op)) {
    for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
      (kind == utils::IteratorType::parallel ? parallel : reduced).push_back(d);
    // The innermost dimension of the first input that is not 1.
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto type = dyn_cast<RankedTensorType>(input->get().getType());
      AffineMap map = op.getMatchingIndexingMap(input);
      for (int64_t i = map.getNumResults(); type && i-- > 0 && !vectorLoop;)
        if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(i)); dim && type.getDimSize(i) != 1)
          vectorLoop = dim.getPosition();
      if (vectorLoop)
        break;
    }
    if (vectorLoop)
      lanesReduce = llvm::is_contained(reduced, *vectorLoop);
    if (lanesReduce && combiners.empty())
      vectorLoop = std::nullopt, lanesReduce = false;
  }

  Value tasks(KernelBuilder &k) override { return k.mul(split(k).tasks(k), columnChunks(k)); }

  void run(KernelBuilder &k, Value task) override {
    SmallVector<Value> bounds = Puller(k, 1).loopBounds(op);
    Value chunks = columnChunks(k);
    Value chunk = k.rem(task, chunks);
    SmallVector<unsigned> outerReduced(reduced);
    if (lanesReduce)
      llvm::erase(outerReduced, *vectorLoop);
    split(k).forRows(k, k.div(task, chunks), [&](ValueRange row) {
      Puller outside(k, 1);
      SmallVector<Idx> loops(op.getNumLoops(), outside.at(0));
      unsigned next = 0;
      for (unsigned d : parallel)
        if (lanesReduce || d != vectorLoop)
          loops[d] = outside.at(row[next++]);
      if (lanesReduce)
        return runLanesReduce(k, bounds, loops, outerReduced);
      int64_t lanes = vectorLoop ? k.target.lanes() : 1;
      auto column = [&](Value i, int64_t width) {
        SmallVector<Idx> here = loops;
        if (vectorLoop)
          here[*vectorLoop] = Idx{i, width > 1, {}, width};
        Puller first(k, width);
        SmallVector<Value> init = initial(first, here);
        SmallVector<Value> values = nest(k, reduced, bounds, here, init, [&](SmallVector<Value> carried) {
          Puller p(k, width);
          SmallVector<Value> results = p.pullBody(op, here, carried);
          for (Value &v : results)
            v = k.splat(v, width);
          return results;
        });
        Puller p(k, width);
        emit(p, here, values);
      };
      if (!vectorLoop)
        return column(k.idx(0), 1);
      Value lo = k.mul(chunk, columns(k)), hi = k.min(k.add(lo, columns(k)), bounds[*vectorLoop]);
      k.forLanes(lo, hi, lanes, column);
    });
  }

  void runLanesReduce(KernelBuilder &k, ArrayRef<Value> bounds, SmallVector<Idx> loops, ArrayRef<unsigned> outerReduced) {
    SmallVector<Value> identities;
    SmallVector<LaneAccumulators::Combine> combine;
    for (unsigned i = 0; i < combiners.size(); ++i) {
      identities.push_back(identity(k, i));
      combine.push_back(this->combine(k, i));
    }
    LaneAccumulators acc(k, k.target.lanes(), identities, combine);
    acc.state = nest(k, outerReduced, bounds, loops, acc.state, [&](SmallVector<Value> carried) {
      acc.state = carried;
      acc.range(k.idx(0), bounds[*vectorLoop], [&](Value i, int64_t width, ValueRange accumulators) {
        SmallVector<Idx> here = loops;
        here[*vectorLoop] = Idx{i, width > 1, {}, width};
        Puller p(k, width);
        SmallVector<Value> results = p.pullBody(op, here, accumulators);
        for (Value &v : results)
          v = k.splat(v, width);
        return results;
      });
      return acc.state;
    });
    Puller p(k, 1);
    SmallVector<Value> init = initial(p, loops), values = acc.finish();
    for (auto [i, value] : llvm::enumerate(values))
      value = combine[i](init[i], value);
    emit(p, loops, values);
  }
};

} // namespace

std::unique_ptr<Generator> createReduceGenerator(Operation *root) {
  return std::make_unique<ReduceGenerator>(cast<linalg::GenericOp>(root));
}

} // namespace leat::cpu
