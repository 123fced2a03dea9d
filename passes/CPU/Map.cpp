// Elementwise kernels: every result element is pulled where it is stored, in a result's buffer or in a state slot. Results of one shape
// share a loop. Where all values are elementwise over buffers of that shape the loop runs over the whole tensor; otherwise over rows, with
// vectors along the innermost dimension.
#include "passes/CPU/Generator.h"
#include "passes/CPU/State.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {
namespace {

class MapGenerator : public Generator {
  /// Results that are computed together.
  struct Group {
    SmallVector<unsigned> results;
    bool linear;
    unsigned vectorDim;          ///< the dimension along which vectors lie
    Operation *change = nullptr; ///< instead of results: an op that changes a state

    SmallVector<Value> dims(KernelBuilder &k) const { return change ? k.dims(storedTensor(change)) : k.resultDims(results[0]); }
  };

  static unsigned innermost(RankedTensorType type) {
    unsigned d = type.getRank() == 0 ? 0 : type.getRank() - 1;
    while (d > 0 && type.getDimSize(d) == 1)
      --d;
    return d;
  }

  SmallVector<Group> groups(KernelBuilder &k) {
    SmallVector<Group> all;
    Puller probe(k, 1);
    for (unsigned i = 0; i < k.numResults(); ++i) {
      Value value = k.result(i);
      bool linear = probe.isLinear(value);
      auto same = llvm::find_if(all, [&](Group &g) { return k.sameShape(k.result(g.results[0]), value); });
      if (same != all.end()) {
        same->results.push_back(i);
        same->linear &= linear;
        continue;
      }
      RankedTensorType type = k.resultType(i);
      all.push_back({{i}, linear || type.getRank() <= 1, innermost(type)});
    }
    for (Operation *change : stateChanges(k.kernel))
      all.push_back({{}, false, innermost(cast<RankedTensorType>(storedTensor(change).getType())), change});
    return all;
  }

  /// How a group's elements are cut into tasks: `rows` rows of `columns` elements; a task has `rowsPerTask` rows of one chunk of columns.
  struct Split {
    Value rows, columns, rowsPerTask, chunk, chunks, tasks;
  };

  Split split(KernelBuilder &k, const Group &group) {
    SmallVector<Value> dims = group.dims(k);
    Split s;
    Value total = k.product(dims);
    s.columns = group.linear || dims.empty() ? total : dims[group.vectorDim];
    Value safe = k.max(s.columns, k.idx(1));
    s.rows = group.linear ? k.idx(1) : k.div(total, safe);
    Value grain = k.idx(scheduled(k.kernel, "grain", kTaskElements));
    s.chunk = grain;
    s.chunks = k.ceilDiv(s.columns, s.chunk);
    s.rowsPerTask = group.linear ? k.idx(1) : k.max(k.div(grain, safe), k.idx(1));
    s.tasks = k.mul(k.ceilDiv(s.rows, s.rowsPerTask), s.chunks);
    return s;
  }

  void runGroup(KernelBuilder &k, const Group &group, Value task) {
    Split s = split(k, group);
    int64_t lanes = k.target.lanes();
    Value chunk = k.rem(task, s.chunks), lo = k.mul(chunk, s.chunk), hi = k.min(k.add(lo, s.chunk), s.columns);
    if (group.linear) {
      k.forLanes(lo, hi, lanes, [&](Value i, int64_t width) {
        Puller puller(k, width);
        for (unsigned result : group.results)
          puller.emitResultLinear(result, puller.at(i, width > 1, width));
      });
      return;
    }
    SmallVector<Value> outer = group.dims(k);
    bool scalar = outer.empty();
    if (!scalar)
      outer.erase(outer.begin() + group.vectorDim);
    if (group.change && wrappingDim(group.change) == group.vectorDim)
      lanes = 1;
    Value firstRow = k.mul(k.div(task, s.chunks), s.rowsPerTask), lastRow = k.min(k.add(firstRow, s.rowsPerTask), s.rows);
    k.forLoop(firstRow, lastRow, k.idx(1), [&](Value row) {
      SmallVector<Value> at = delinearize(k, row, outer);
      k.forLanes(lo, hi, lanes, [&](Value i, int64_t width) {
        Puller puller(k, width);
        SmallVector<Idx> coordinates = puller.at(at);
        if (!scalar)
          coordinates.insert(coordinates.begin() + group.vectorDim, puller.at(i, width > 1, width));
        if (group.change)
          storeState(puller, group.change, coordinates);
        for (unsigned result : group.results)
          puller.emitResult(result, coordinates);
      });
    });
  }

public:
  Value tasks(KernelBuilder &k) override {
    Value sum = k.idx(0);
    for (const Group &group : groups(k))
      sum = k.add(sum, split(k, group).tasks);
    return sum;
  }

  void run(KernelBuilder &k, Value task) override {
    SmallVector<Group> all = groups(k);
    if (all.size() == 1)
      return runGroup(k, all[0], task);
    Value first = k.idx(0);
    for (const Group &group : all) {
      Value next = k.add(first, split(k, group).tasks);
      Value mine = arith::AndIOp::create(k.b, arith::CmpIOp::create(k.b, arith::CmpIPredicate::sge, task, first),
                                         arith::CmpIOp::create(k.b, arith::CmpIPredicate::slt, task, next));
      k.ifThen(mine, [&] { runGroup(k, group, k.sub(task, first)); });
      first = next;
    }
  }
};

} // namespace

std::unique_ptr<Generator> createMapGenerator(KernelFuncOp) { return std::make_unique<MapGenerator>(); }

} // namespace leat::cpu
