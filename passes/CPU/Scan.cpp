// Running sums, positions of extrema, coordinates of non-zero elements.
#include "passes/CPU/Extremum.h"
#include "passes/CPU/Rows.h"

using namespace mlir;

namespace leat::cpu {
namespace {

using Less = arith::CmpIPredicate;

static bool isFloat(Value v) { return isa<FloatType>(getElementTypeOrSelf(v.getType())); }

static Value isNonZero(KernelBuilder &k, Value v) {
  if (isFloat(v))
    return arith::CmpFOp::create(k.b, arith::CmpFPredicate::UNE, v, k.constant(v.getType(), 0));
  return k.compare(arith::CmpIPredicate::ne, v, v.getType().isIndex() ? k.idx(0) : k.constantInt(v.getType(), 0));
}

} // namespace

Value Extremum::overtakes(KernelBuilder &k, Value x, Value than) const {
  if (isFloat(x)) {
    auto predicate = max ? (last ? arith::CmpFPredicate::OGE : arith::CmpFPredicate::OGT)
                         : (last ? arith::CmpFPredicate::OLE : arith::CmpFPredicate::OLT);
    return arith::CmpFOp::create(k.b, predicate, x, than);
  }
  return k.compare(max ? (last ? Less::sge : Less::sgt) : (last ? Less::sle : Less::slt), x, than);
}

SmallVector<Value> Extremum::choose(KernelBuilder &k, Value cond, ValueRange x, ValueRange y) {
  return {arith::SelectOp::create(k.b, cond, x[0], y[0]), arith::SelectOp::create(k.b, cond, x[1], y[1])};
}

SmallVector<Value> Extremum::join(KernelBuilder &k, ValueRange x, ValueRange y) const {
  Value equal =
      isFloat(x[0]) ? arith::CmpFOp::create(k.b, arith::CmpFPredicate::OEQ, x[0], y[0]).getResult() : k.compare(Less::eq, x[0], y[0]);
  Value first = k.compare(last ? Less::sgt : Less::slt, x[1], y[1]);
  Value unequal = arith::XOrIOp::create(k.b, equal, k.constantInt(k.b.getI1Type(), 1));
  Value wins =
      arith::OrIOp::create(k.b, arith::AndIOp::create(k.b, equal, first), arith::AndIOp::create(k.b, unequal, overtakes(k, x[0], y[0])));
  return choose(k, wins, x, y);
}

namespace {

/// Kernels that walk along one axis; lanes lie along the last dimension if that is another.
class AxisGenerator : public Generator {
protected:
  AxisGenerator(Operation *root, int64_t axis)
      : root(root), input(root->getOperand(0)), type(cast<RankedTensorType>(input.getType())),
        axis(axis < 0 ? axis + type.getRank() : axis) {}

  bool alongLast() const { return axis == type.getRank() - 1; }

  /// Where the axis is not the last dimension.
  ColumnTasks columns(KernelBuilder &k) { return ColumnTasks(k, k.dim(input, type.getRank() - 1)); }

  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> outer;
    Value elements = k.dim(input, axis);
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (d != axis && (alongLast() || d != type.getRank() - 1))
        outer.push_back(k.dim(input, d));
    if (!alongLast())
      elements = k.mul(elements, columns(k).width);
    return RowTasks(k, outer, elements);
  }

  /// Coordinates with `along` on the axis; `column` is the position of lane 0 in the last dimension if that is another.
  SmallVector<Idx> coordinates(Puller &p, ValueRange row, Idx along, Value column) {
    SmallVector<Idx> at = p.at(row);
    at.insert(at.begin() + axis, along);
    if (!alongLast())
      at.push_back(p.at(column, p.lanes() > 1, p.lanes()));
    return at;
  }

  /// `body` per row, or per vector of columns.
  void forLines(KernelBuilder &k, Value task, function_ref<void(ValueRange row, Value column, int64_t lanes)> body) {
    if (alongLast())
      return split(k).forRows(k, task, [&](ValueRange row) { body(row, {}, 1); });
    ColumnTasks columns = this->columns(k);
    Value lo = columns.first(k, task), hi = columns.end(k, lo);
    split(k).forRows(k, columns.rowTask(k, task), [&](ValueRange row) {
      k.forLanes(lo, hi, k.target.lanes(), [&](Value column, int64_t lanes) { body(row, column, lanes); });
    });
  }

  void emit(Puller &p, ArrayRef<Idx> at, Value value) {
    p.bind(root->getResult(0), [value](Puller &, ArrayRef<Idx>) { return value; });
    for (unsigned r = 0; r < p.k.numResults(); ++r)
      p.emitResult(r, at);
  }

public:
  Value tasks(KernelBuilder &k) override { return alongLast() ? split(k).tasks(k) : columns(k).tasks(k, split(k)); }

protected:
  Operation *root;
  Value input;
  RankedTensorType type;
  int64_t axis;
};

class CumSumGenerator : public AxisGenerator {
  CumSumOp op;

public:
  explicit CumSumGenerator(CumSumOp op) : AxisGenerator(op, op.getAxis()), op(op) {}

  void run(KernelBuilder &k, Value task) override {
    Value length = k.dim(input, axis);
    Type element = KernelBuilder::carriedType(type.getElementType());
    forLines(k, task, [&](ValueRange row, Value column, int64_t lanes) {
      Type carried = KernelBuilder::vectorOf(element, lanes);
      Value zero = isa<FloatType>(element) ? k.constant(carried, 0) : k.constantInt(carried, 0);
      k.forLoop(k.idx(0), length, k.idx(1), zero, [&](Value i, ValueRange sum) {
        Puller p(k, lanes);
        Value where = op.getReverse() ? k.sub(k.sub(length, k.idx(1)), i) : i;
        SmallVector<Idx> at = coordinates(p, row, p.at(where), column);
        Value x = p.pullVector(input, at);
        Value next = isFloat(x) ? arith::AddFOp::create(k.b, sum[0], x).getResult() : arith::AddIOp::create(k.b, sum[0], x).getResult();
        emit(p, at, op.getExclusive() ? sum[0] : next);
        return SmallVector<Value>{next};
      });
    });
  }
};

class ArgReduceGenerator : public AxisGenerator {
  Extremum extremum;

  Value positions(KernelBuilder &k, Value first, int64_t lanes, bool ascending) {
    Puller p(k, lanes);
    Value v = p.vector(p.at(first, ascending && lanes > 1));
    return k.splat(v, lanes);
  }

public:
  explicit ArgReduceGenerator(ArgReduceOp op) : AxisGenerator(op, op.getAxis()), extremum{op.getMax(), op.getSelectLast()} {}

  void run(KernelBuilder &k, Value task) override {
    Value length = k.dim(input, axis);
    auto lines = [&](ValueRange row, Value column, int64_t lanes) {
      Puller outside(k, lanes);
      Value first = outside.pullVector(input, coordinates(outside, row, outside.at(0), column));
      SmallVector<Value> best{first, positions(k, k.idx(0), lanes, false)};
      auto step = [&](Value i, int64_t width, ValueRange carried) {
        Puller p(k, width);
        SmallVector<Idx> at = coordinates(p, row, alongLast() ? p.at(i, width > 1, width) : p.at(i), column);
        Value x = p.pullVector(input, at);
        return Extremum::choose(k, extremum.overtakes(k, x, carried[0]), {x, positions(k, i, width, alongLast())}, carried);
      };
      int64_t width = k.target.lanes();
      if (!alongLast() || width == 1) {
        best = k.forLoop(k.idx(0), length, k.idx(1), best, [&](Value i, ValueRange carried) { return step(i, lanes, carried); });
      } else {
        // Lanes keep the best of their own elements; then the best lane is found, ties by position.
        Value whole = k.sub(length, k.rem(length, k.idx(width)));
        SmallVector<Value> vectors{k.splat(best[0], width), k.splat(best[1], width)};
        vectors = k.forLoop(k.idx(0), whole, k.idx(width), vectors, [&](Value i, ValueRange carried) { return step(i, width, carried); });
        best = k.forLoop(k.idx(0), k.idx(width), k.idx(1), best, [&](Value lane, ValueRange carried) {
          SmallVector<Value> mine{vector::ExtractOp::create(k.b, vectors[0], lane), vector::ExtractOp::create(k.b, vectors[1], lane)};
          return extremum.join(k, mine, carried);
        });
        best = k.forLoop(whole, length, k.idx(1), best, [&](Value i, ValueRange carried) { return step(i, 1, carried); });
      }
      Puller p(k, lanes);
      Type i64 = KernelBuilder::vectorOf(k.b.getI64Type(), lanes);
      emit(p, coordinates(p, row, p.at(0), column), arith::IndexCastOp::create(k.b, i64, best[1]));
    };
    // There is no first element of nothing.
    k.ifThen(k.compare(Less::sgt, length, k.idx(0)), [&] { forLines(k, task, lines); });
  }
};

/// One task: where an element goes depends on all before it.
class NonZeroGenerator : public Generator {
  NonZeroOp op;

public:
  explicit NonZeroGenerator(NonZeroOp op) : op(op) {}

  Value tasks(KernelBuilder &k) override { return k.idx(1); }

  void run(KernelBuilder &k, Value) override {
    SmallVector<Value> dims = k.dims(op.getInput());
    Value total = k.product(dims);
    Type i64 = k.b.getI64Type();
    auto buffers = [&](Value result, function_ref<void(Value)> store) {
      for (unsigned r = 0; r < k.numResults(); ++r)
        if (k.result(r) == result)
          store(k.resultBuffer(r));
    };
    Value count = k.forLoop(k.idx(0), total, k.idx(1), k.idx(0), [&](Value i, ValueRange found) {
      Puller p(k, 1);
      SmallVector<Value> at = delinearize(k, i, dims);
      Value hit = isNonZero(k, p.pull(op.getInput(), p.at(at)));
      k.ifThen(hit, [&] {
        buffers(op.getCoords(), [&](Value buffer) {
          for (auto [d, x] : llvm::enumerate(at))
            k.store(k.i64(x), buffer, i64, k.add(k.mul(k.idx(d), total), found[0]));
        });
      });
      return SmallVector<Value>{arith::AddIOp::create(k.b, found[0], arith::SelectOp::create(k.b, hit, k.idx(1), k.idx(0)))};
    })[0];
    buffers(op.getCount(), [&](Value buffer) { k.store(k.i64(count), buffer, i64, k.idx(0)); });
  }
};

} // namespace

std::unique_ptr<Generator> createCumSumGenerator(Operation *root) { return std::make_unique<CumSumGenerator>(cast<CumSumOp>(root)); }
std::unique_ptr<Generator> createArgReduceGenerator(Operation *root) {
  return std::make_unique<ArgReduceGenerator>(cast<ArgReduceOp>(root));
}
std::unique_ptr<Generator> createNonZeroGenerator(Operation *root) { return std::make_unique<NonZeroGenerator>(cast<NonZeroOp>(root)); }

} // namespace leat::cpu
