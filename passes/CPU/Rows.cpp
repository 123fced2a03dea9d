// See Rows.h.
#include "passes/CPU/Rows.h"
#include "passes/CPU/Generator.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace leat::cpu {

RowTasks::RowTasks(KernelBuilder &k, ValueRange outer, Value elementsPerRow) : outer(outer) {
  rows = k.product(outer);
  rowsPerTask = k.max(k.div(k.idx(scheduled(k.kernel, "grain", kTaskElements)), k.max(elementsPerRow, k.idx(1))), k.idx(1));
}

void RowTasks::forRows(KernelBuilder &k, Value task, function_ref<void(ValueRange)> body) const {
  Value first = k.mul(task, rowsPerTask), last = k.min(k.add(first, rowsPerTask), rows);
  k.forLoop(first, last, k.idx(1), [&](Value row) { body(delinearize(k, row, outer)); });
}

ColumnTasks::ColumnTasks(KernelBuilder &k, Value all, int64_t otherwise) : all(all) {
  int64_t some = scheduled(k.kernel, "columns", otherwise);
  width = some ? k.idx(some) : k.max(all, k.idx(1));
  chunks = k.max(k.ceilDiv(all, width), k.idx(1));
}

LaneAccumulators::LaneAccumulators(KernelBuilder &k, int64_t width, ValueRange identities, ArrayRef<Combine> combine, unsigned unroll)
    : k(k), width(width), count(identities.size()), unroll(width == 1 ? 1 : unroll), combine(combine) {
  // unroll groups of vectors, then the scalars of the tail.
  if (width > 1)
    for (unsigned u = 0; u < this->unroll; ++u)
      for (Value identity : identities)
        state.push_back(k.splat(identity, width));
  llvm::append_range(state, identities);
}

void LaneAccumulators::range(Value lo, Value hi, Step step) {
  auto group = [&](ValueRange all, unsigned u) { return all.slice(u * count, count); };
  // Replaces the accumulators from `first` on by what a loop makes of them.
  auto loop = [&](Value from, Value to, int64_t by, unsigned first, unsigned groups, int64_t lanes) {
    ValueRange all(state);
    SmallVector<Value> init(all.slice(first * count, groups * count));
    SmallVector<Value> results = k.forLoop(from, to, k.idx(by), init, [&](Value i, ValueRange carried) {
      SmallVector<Value> next;
      for (unsigned u = 0; u < groups; ++u)
        llvm::append_range(next, step(k.add(i, k.idx(u * lanes)), lanes, group(carried, u)));
      return next;
    });
    for (auto [i, result] : llvm::enumerate(results))
      state[first * count + i] = result;
  };
  Value at = lo;
  if (width > 1) {
    Value length = k.sub(hi, lo);
    if (unroll > 1) {
      Value wide = k.sub(length, k.rem(length, k.idx(width * unroll)));
      if (getConstantIntValue(wide) != 0)
        loop(lo, at = k.add(lo, wide), width * unroll, 0, unroll, width);
    }
    Value mid = k.add(lo, k.sub(length, k.rem(length, k.idx(width))));
    if (getConstantIntValue(k.sub(mid, at)) != 0)
      loop(at, mid, width, 0, 1, width);
    at = mid;
    if (getConstantIntValue(k.rem(length, k.idx(width))) == 0)
      return;
  }
  loop(at, hi, 1, width > 1 ? unroll : 0, 1, 1);
}

SmallVector<Value> LaneAccumulators::finish() {
  SmallVector<Value> results;
  for (unsigned i = 0; i < count; ++i) {
    if (width == 1) {
      results.push_back(state[i]);
      continue;
    }
    SmallVector<Value> vectors;
    for (unsigned u = 0; u < unroll; ++u)
      vectors.push_back(state[u * count + i]);
    while (vectors.size() > 1) {
      SmallVector<Value> half;
      for (unsigned j = 0; j + 1 < vectors.size(); j += 2)
        half.push_back(combine[i](vectors[j], vectors[j + 1]));
      if (vectors.size() % 2)
        half.push_back(vectors.back());
      vectors = half;
    }
    results.push_back(combine[i](joinLanes(k, vectors[0], combine[i]), state[unroll * count + i]));
  }
  return results;
}

Value joinLanes(KernelBuilder &k, Value vector, const LaneAccumulators::Combine &combine) {
  for (int64_t lanes = cast<VectorType>(vector.getType()).getNumElements(); lanes > 1; lanes /= 2) {
    auto half = [&](int64_t from) {
      return vector::ExtractStridedSliceOp::create(k.b, vector, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{lanes / 2}, ArrayRef<int64_t>{1})
          .getResult();
    };
    Value low = half(0), high = half(lanes / 2);
    if (lanes == 2)
      return combine(k.lane(low, 0), k.lane(high, 0));
    vector = combine(low, high);
  }
  return k.lane(vector, 0);
}

LaneAccumulators::Combine addFloats(KernelBuilder &k) {
  return [&k](Value x, Value y) { return arith::AddFOp::create(k.b, x, y).getResult(); };
}

LaneAccumulators::Combine maxFloats(KernelBuilder &k) {
  return [&k](Value x, Value y) {
    Value less = arith::CmpFOp::create(k.b, arith::CmpFPredicate::OLT, x, y);
    return arith::SelectOp::create(k.b, less, y, x).getResult();
  };
}

bool dependsOn(Value value, Operation *from) {
  SmallVector<Value> work{value};
  llvm::SmallDenseSet<Operation *> seen;
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (!op || !seen.insert(op).second)
      continue;
    if (op == from)
      return true;
    llvm::append_range(work, op->getOperands());
    // Captured tensors are read inside bodies.
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (operand.getParentRegion() == from->getParentRegion())
          work.push_back(operand);
    });
  }
  return false;
}

void forEach(KernelBuilder &k, ValueRange dims, function_ref<void(ArrayRef<Value>)> body) {
  SmallVector<Value> at;
  std::function<void()> nest = [&] {
    if (at.size() == dims.size())
      return body(at);
    k.forLoop(k.idx(0), dims[at.size()], k.idx(1), [&](Value i) {
      at.push_back(i);
      nest();
      at.pop_back();
    });
  };
  nest();
}

} // namespace leat::cpu
