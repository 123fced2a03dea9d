// Reductions written as linalg.generic. Where the innermost dimension of the input is reduced, lanes are partial results that are joined at
// the end; otherwise lanes are results. The order in which elements are combined depends on the sizes only.
#include "passes/CPU/Reduction.h"

using namespace mlir;

namespace leat::cpu {
namespace {

class ReduceGenerator : public Generator {
  Reduction reduction;
  linalg::GenericOp op;
  /// The loop that lies in lanes; none if the body allows no vectors.
  std::optional<unsigned> vectorLoop;
  bool lanesReduce = false;

  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> bounds = Puller(k, 1).loopBounds(op), outer;
    Value perRow = k.idx(1);
    for (unsigned d : reduction.parallel)
      if (lanesReduce || d != vectorLoop)
        outer.push_back(bounds[d]);
    for (unsigned d : reduction.reduced)
      perRow = k.mul(perRow, bounds[d]);
    if (hasColumns())
      perRow = k.mul(perRow, k.min(bounds[*vectorLoop], columns(k).width));
    return RowTasks(k, outer, perRow);
  }
  /// Without enough rows, columns in lanes are cut into chunks as well.
  bool hasColumns() const { return vectorLoop && !lanesReduce; }
  ColumnTasks columns(KernelBuilder &k) { return ColumnTasks(k, Puller(k, 1).loopBounds(op)[*vectorLoop], 256); }

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
  explicit ReduceGenerator(linalg::GenericOp op)
      : reduction(op), op(op), vectorLoop(reduction.innermost), lanesReduce(reduction.alongRows()) {
    if (lanesReduce && !reduction.splits())
      vectorLoop = std::nullopt, lanesReduce = false;
  }

  Value tasks(KernelBuilder &k) override { return hasColumns() ? columns(k).tasks(k, split(k)) : split(k).tasks(k); }

  void run(KernelBuilder &k, Value task) override {
    SmallVector<Value> bounds = Puller(k, 1).loopBounds(op);
    std::optional<ColumnTasks> columns;
    if (hasColumns())
      columns = this->columns(k);
    SmallVector<unsigned> outerReduced(reduction.reduced);
    if (lanesReduce)
      llvm::erase(outerReduced, *vectorLoop);
    split(k).forRows(k, columns ? columns->rowTask(k, task) : task, [&](ValueRange row) {
      Puller outside(k, 1);
      SmallVector<Idx> loops(op.getNumLoops(), outside.at(0));
      unsigned next = 0;
      for (unsigned d : reduction.parallel)
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
        SmallVector<Value> init = reduction.initial(first, here);
        SmallVector<Value> values = nest(k, reduction.reduced, bounds, here, init, [&](SmallVector<Value> carried) {
          Puller p(k, width);
          SmallVector<Value> results = p.pullBody(op, here, carried);
          for (Value &v : results)
            v = k.splat(v, width);
          return results;
        });
        Puller p(k, width);
        reduction.emit(p, here, values);
      };
      if (!vectorLoop)
        return column(k.idx(0), 1);
      Value lo = columns->first(k, task);
      k.forLanes(lo, columns->end(k, lo), lanes, column);
    });
  }

  void runLanesReduce(KernelBuilder &k, ArrayRef<Value> bounds, SmallVector<Idx> loops, ArrayRef<unsigned> outerReduced) {
    SmallVector<Value> identities;
    SmallVector<LaneAccumulators::Combine> combine;
    for (unsigned i = 0; i < reduction.size(); ++i) {
      identities.push_back(reduction.identity(k, i));
      combine.push_back(reduction.combine(k, i));
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
    SmallVector<Value> init = reduction.initial(p, loops), values = acc.finish();
    for (auto [i, value] : llvm::enumerate(values))
      value = combine[i](init[i], value);
    reduction.emit(p, loops, values);
  }
};

} // namespace

std::unique_ptr<Generator> createReduceGenerator(Operation *root) {
  return std::make_unique<ReduceGenerator>(cast<linalg::GenericOp>(root));
}

} // namespace leat::cpu
