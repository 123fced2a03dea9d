// Softmax, log-softmax, layer and RMS normalisation. The input is pulled once into a row of scratch while the first statistic is taken;
// later passes work on that row, which stays in the nearest cache.
#include "passes/CPU/Rows.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {
namespace {

/// What the two families share: f32 or f64 rows, results that depend on the root and results that do not.
class RowGenerator : public Generator {
protected:
  explicit RowGenerator(Operation *root) : root(root), type(cast<RankedTensorType>(root->getResult(0).getType())) {}

  Type computeType(KernelBuilder &k) const { return KernelBuilder::carriedType(type.getElementType()); }

  /// Stores every result that comes from the root, whose element is `value`.
  void emitFinal(Puller &p, ArrayRef<Idx> at, Value value) {
    p.bind(root->getResult(0), [value](Puller &, ArrayRef<Idx>) { return value; });
    for (unsigned r = 0; r < p.k.numResults(); ++r)
      if (dependsOn(p.k.result(r), root))
        p.emitResult(r, at);
  }
  /// Stores the results that do not: their elements are at hand when the input is pulled.
  void emitSide(Puller &p, ArrayRef<Idx> at) {
    for (unsigned r = 0; r < p.k.numResults(); ++r)
      if (!dependsOn(p.k.result(r), root))
        p.emitResult(r, at);
  }
  Cost cost(KernelBuilder &k) override {
    Cost base = Generator::cost(k);
    base.operations = k.add(base.operations, k.mul(k.product(k.dims(root->getOperand(0))), k.idx(20)));
    return base;
  }

  Operation *root;
  RankedTensorType type;
};

// --- softmax
// ------------------------------------------------------------------------------------------------------------------------------

class SoftmaxGenerator : public RowGenerator {
  SoftmaxOp op;
  int64_t axis;

  bool alongRow() const { return axis == type.getRank() - 1; }

  /// Rows are numbered by all dimensions but the axis, and but the last one, which lies in lanes, if the axis is another.
  SmallVector<Value> outer(KernelBuilder &k) {
    SmallVector<Value> dims;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (d != axis && (alongRow() || d != type.getRank() - 1))
        dims.push_back(k.dim(op.getInput(), d));
    return dims;
  }
  /// Where the axis is not the last dimension.
  ColumnTasks columns(KernelBuilder &k) { return ColumnTasks(k, k.dim(op.getInput(), type.getRank() - 1)); }
  RowTasks split(KernelBuilder &k) {
    Value elements = k.dim(op.getInput(), axis);
    if (!alongRow())
      elements = k.mul(elements, columns(k).width);
    return RowTasks(k, outer(k), elements);
  }

  /// exp(x - max), and x - max - log(sum) or exp / sum at the end.
  Value shiftedExp(KernelBuilder &k, Value x, Value max) { return math::ExpOp::create(k.b, arith::SubFOp::create(k.b, x, max)); }

  /// With zero_empty_rows a row of -inf has maximum 0 instead, so that every exponential is 0, and its sum counts as 1.
  Value safeMax(KernelBuilder &k, Value max) {
    if (!op.getZeroEmptyRows())
      return max;
    Value none =
        arith::CmpFOp::create(k.b, arith::CmpFPredicate::OEQ, max, k.constant(max.getType(), -std::numeric_limits<double>::infinity()));
    return arith::SelectOp::create(k.b, none, k.constant(max.getType(), 0), max);
  }
  Value safeSum(KernelBuilder &k, Value sum) {
    if (!op.getZeroEmptyRows())
      return sum;
    Value none = arith::CmpFOp::create(k.b, arith::CmpFPredicate::OEQ, sum, k.constant(sum.getType(), 0));
    return arith::SelectOp::create(k.b, none, k.constant(sum.getType(), 1), sum);
  }

  // The maximum may lose a NaN: its exponential makes the sum NaN, and so the row.
  void runRow(KernelBuilder &k, ValueRange row) {
    Type element = computeType(k);
    Value length = k.dim(op.getInput(), axis);
    int64_t lanes = k.target.lanes();
    auto at = [&](Puller &p, Value i, int64_t width) {
      SmallVector<Idx> coordinates = p.at(row);
      coordinates.push_back(p.at(i, width > 1, width));
      return coordinates;
    };
    LaneAccumulators maximum(k, lanes, k.constant(element, -std::numeric_limits<double>::infinity()), {maxFloats(k)}, 2);
    maximum.range(k.idx(0), length, [&](Value i, int64_t width, ValueRange acc) {
      Puller p(k, width);
      SmallVector<Idx> here = at(p, i, width);
      Value x = p.pullVector(op.getInput(), here);
      emitSide(p, here);
      k.store(x, k.scratch(), element, i);
      return SmallVector<Value>{maxFloats(k)(acc[0], x)};
    });
    Value max = safeMax(k, maximum.finish()[0]);
    bool log = op.getLog();
    LaneAccumulators sums(k, lanes, k.constant(element, 0), {addFloats(k)}, 2);
    sums.range(k.idx(0), length, [&](Value i, int64_t width, ValueRange acc) {
      Value e = shiftedExp(k, k.load(k.scratch(), element, i, width), k.splat(max, width));
      if (!log)
        k.store(e, k.scratch(), element, i);
      return SmallVector<Value>{addFloats(k)(acc[0], e)};
    });
    Value sum = safeSum(k, sums.finish()[0]);
    Value last = log ? math::LogOp::create(k.b, sum).getResult() : arith::DivFOp::create(k.b, k.constant(element, 1), sum).getResult();
    k.forLanes(k.idx(0), length, lanes, [&](Value i, int64_t width) {
      Puller p(k, width);
      Value v = k.load(k.scratch(), element, i, width);
      emitFinal(p, at(p, i, width), finalValue(k, v, k.splat(max, width), k.splat(last, width)));
    });
  }

  Value finalValue(KernelBuilder &k, Value v, Value max, Value last) {
    if (!op.getLog())
      return arith::MulFOp::create(k.b, v, last);
    return arith::SubFOp::create(k.b, arith::SubFOp::create(k.b, v, max), last);
  }

  /// The axis is not the last dimension: each lane is a row of its own.
  void runColumns(KernelBuilder &k, ValueRange row, Value lo, Value hi) {
    Type element = computeType(k);
    Value length = k.dim(op.getInput(), axis);
    k.forLanes(lo, hi, k.target.lanes(), [&](Value column, int64_t width) {
      auto at = [&](Puller &p, Value i) {
        SmallVector<Idx> coordinates = p.at(row);
        coordinates.insert(coordinates.begin() + axis, p.at(i));
        coordinates.push_back(p.at(column, width > 1, width));
        return coordinates;
      };
      auto slot = [&](Value i) { return k.mul(i, k.idx(width)); };
      Type vector = KernelBuilder::vectorOf(element, width);
      Value none = k.constant(vector, -std::numeric_limits<double>::infinity());
      Value max = k.forLoop(k.idx(0), length, k.idx(1), none, [&](Value i, ValueRange acc) {
        Puller p(k, width);
        SmallVector<Idx> here = at(p, i);
        Value x = p.pullVector(op.getInput(), here);
        emitSide(p, here);
        k.store(x, k.scratch(), element, slot(i));
        return SmallVector<Value>{maxFloats(k)(acc[0], x)};
      })[0];
      max = safeMax(k, max);
      Value sum = k.forLoop(k.idx(0), length, k.idx(1), k.constant(vector, 0), [&](Value i, ValueRange acc) {
        Value e = shiftedExp(k, k.load(k.scratch(), element, slot(i), width), max);
        if (!op.getLog())
          k.store(e, k.scratch(), element, slot(i));
        return SmallVector<Value>{addFloats(k)(acc[0], e)};
      })[0];
      sum = safeSum(k, sum);
      Value last =
          op.getLog() ? math::LogOp::create(k.b, sum).getResult() : arith::DivFOp::create(k.b, k.constant(vector, 1), sum).getResult();
      k.forLoop(k.idx(0), length, k.idx(1), [&](Value i) {
        Puller p(k, width);
        emitFinal(p, at(p, i), finalValue(k, k.load(k.scratch(), element, slot(i), width), max, last));
      });
    });
  }

public:
  explicit SoftmaxGenerator(SoftmaxOp op) : RowGenerator(op), op(op), axis(op.getAxis()) {
    if (axis < 0)
      axis += type.getRank();
  }
  Value tasks(KernelBuilder &k) override { return alongRow() ? split(k).tasks(k) : columns(k).tasks(k, split(k)); }
  Value scratch(KernelBuilder &k) override {
    Value elements = k.dim(op.getInput(), axis);
    if (!alongRow())
      elements = k.mul(elements, k.idx(k.target.lanes()));
    return k.mul(elements, k.idx(KernelBuilder::byteWidth(computeType(k))));
  }
  void run(KernelBuilder &k, Value task) override {
    if (alongRow())
      return split(k).forRows(k, task, [&](ValueRange row) { runRow(k, row); });
    ColumnTasks columns = this->columns(k);
    Value lo = columns.first(k, task), hi = columns.end(k, lo);
    split(k).forRows(k, columns.rowTask(k, task), [&](ValueRange row) { runColumns(k, row, lo, hi); });
  }
};

// --- layer and RMS norm
// -------------------------------------------------------------------------------------------------------------------

class NormGenerator : public RowGenerator {
  LayerNormOp op;
  int64_t axis;

  SmallVector<Value> normalized(KernelBuilder &k) {
    SmallVector<Value> all = k.dims(op.getInput());
    return SmallVector<Value>(all.begin() + axis, all.end());
  }
  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> all = k.dims(op.getInput());
    return RowTasks(k, ValueRange(all).take_front(axis), k.product(normalized(k)));
  }

  /// An operand that is broadcast to the trailing dimensions.
  Value pullTrailing(Puller &p, Value operand, ArrayRef<Idx> at) {
    auto shape = cast<RankedTensorType>(operand.getType());
    SmallVector<Idx> coordinates(at.take_back(shape.getRank()));
    for (auto [d, x] : llvm::enumerate(coordinates))
      if (shape.getDimSize(d) == 1)
        x = p.at(0);
    return p.pullVector(operand, coordinates);
  }

  void runRow(KernelBuilder &k, ValueRange row) {
    Type element = computeType(k);
    SmallVector<Value> dims = normalized(k);
    Value length = dims.back(), count = k.product(dims);
    SmallVector<Value> middle(dims.begin(), dims.end() - 1);
    int64_t lanes = k.target.lanes();
    // The middle dimensions as one loop around; most norms have none.
    Value middleCount = k.product(middle);
    auto at = [&](Puller &p, ValueRange between, Value i, int64_t width) {
      SmallVector<Idx> coordinates = p.at(row);
      llvm::append_range(coordinates, p.at(between));
      coordinates.push_back(p.at(i, width > 1, width));
      return coordinates;
    };
    /// One pass over the row: `step` gets the position in scratch and the coordinates.
    auto fold = [&](unsigned unroll, function_ref<Value(Puller &, Value offset, ArrayRef<Idx> here)> term) {
      LaneAccumulators sum(k, lanes, k.constant(element, 0), {addFloats(k)}, unroll);
      auto pass = [&](ValueRange between, Value base) {
        sum.range(k.idx(0), length, [&](Value i, int64_t width, ValueRange acc) {
          Puller p(k, width);
          return SmallVector<Value>{addFloats(k)(acc[0], term(p, k.add(base, i), at(p, between, i, width)))};
        });
      };
      if (middle.empty()) {
        pass({}, k.idx(0));
      } else {
        sum.state = k.forLoop(k.idx(0), middleCount, k.idx(1), sum.state, [&](Value m, ValueRange carried) {
          sum.state.assign(carried.begin(), carried.end());
          pass(delinearize(k, m, middle), k.mul(m, length));
          return sum.state;
        });
      }
      return sum.finish()[0];
    };
    Value total = arith::IndexCastOp::create(k.b, k.b.getI64Type(), count);
    Value n = arith::SIToFPOp::create(k.b, element, total);
    bool rms = op.getRms();
    Value first = fold(4, [&](Puller &p, Value offset, ArrayRef<Idx> here) -> Value {
      Value x = p.pullVector(op.getInput(), here);
      emitSide(p, here);
      k.store(x, k.scratch(), element, offset);
      return rms ? arith::MulFOp::create(k.b, x, x).getResult() : x;
    });
    Value mean = arith::DivFOp::create(k.b, first, n), variance = mean;
    if (!rms)
      variance = arith::DivFOp::create(k.b,
                                       fold(4,
                                            [&](Puller &p, Value offset, ArrayRef<Idx>) -> Value {
                                              Value x = k.load(k.scratch(), element, offset, p.lanes());
                                              Value d = arith::SubFOp::create(k.b, x, k.splat(mean, p.lanes()));
                                              return arith::MulFOp::create(k.b, d, d);
                                            }),
                                       n);
    Value deviation =
        math::SqrtOp::create(k.b, arith::AddFOp::create(k.b, variance, k.constant(element, op.getEpsilon().convertToDouble())));
    Value inverse = arith::DivFOp::create(k.b, k.constant(element, 1), deviation);
    auto last = [&](ValueRange between, Value base) {
      k.forLanes(k.idx(0), length, lanes, [&](Value i, int64_t width) {
        Puller p(k, width);
        SmallVector<Idx> here = at(p, between, i, width);
        Value y = k.load(k.scratch(), element, k.add(base, i), width);
        if (!rms)
          y = arith::SubFOp::create(k.b, y, k.splat(mean, width));
        y = arith::MulFOp::create(k.b, y, k.splat(inverse, width));
        if (op.getScale())
          y = arith::MulFOp::create(k.b, y, toCompute(k, pullTrailing(p, op.getScale(), here)));
        if (op.getBias())
          y = arith::AddFOp::create(k.b, y, toCompute(k, pullTrailing(p, op.getBias(), here)));
        emitFinal(p, here, y);
      });
    };
    if (middle.empty())
      last({}, k.idx(0));
    else
      k.forLoop(k.idx(0), middleCount, k.idx(1), [&](Value m) { last(delinearize(k, m, middle), k.mul(m, length)); });
  }

  /// Scale and bias may have another float type than the input.
  Value toCompute(KernelBuilder &k, Value v) {
    Type have = getElementTypeOrSelf(v.getType()), want = computeType(k);
    if (have == want)
      return v;
    Type type = isa<VectorType>(v.getType()) ? Type(cast<VectorType>(v.getType()).clone(want)) : want;
    if (have.getIntOrFloatBitWidth() < want.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(k.b, type, v);
    return arith::TruncFOp::create(k.b, type, v);
  }

public:
  explicit NormGenerator(LayerNormOp op) : RowGenerator(op), op(op), axis(op.getAxis()) {
    if (axis < 0)
      axis += type.getRank();
  }
  Value tasks(KernelBuilder &k) override { return split(k).tasks(k); }
  Value scratch(KernelBuilder &k) override { return k.mul(k.product(normalized(k)), k.idx(KernelBuilder::byteWidth(computeType(k)))); }
  void run(KernelBuilder &k, Value task) override {
    split(k).forRows(k, task, [&](ValueRange row) { runRow(k, row); });
  }
};

} // namespace

std::unique_ptr<Generator> createSoftmaxGenerator(Operation *root) { return std::make_unique<SoftmaxGenerator>(cast<SoftmaxOp>(root)); }
std::unique_ptr<Generator> createNormGenerator(Operation *root) { return std::make_unique<NormGenerator>(cast<LayerNormOp>(root)); }

} // namespace leat::cpu
