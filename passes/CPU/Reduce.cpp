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

  Value tasks(KernelBuilder &k) override { return k.mul(split(k).tasks(k), columnChunks(k)); }

  void run(KernelBuilder &k, Value task) override {
    SmallVector<Value> bounds = Puller(k, 1).loopBounds(op);
    Value chunks = columnChunks(k);
    Value chunk = k.rem(task, chunks);
    SmallVector<unsigned> outerReduced(reduction.reduced);
    if (lanesReduce)
      llvm::erase(outerReduced, *vectorLoop);
    split(k).forRows(k, k.div(task, chunks), [&](ValueRange row) {
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
      Value lo = k.mul(chunk, columns(k)), hi = k.min(k.add(lo, columns(k)), bounds[*vectorLoop]);
      k.forLanes(lo, hi, lanes, column);
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
