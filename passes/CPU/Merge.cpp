// Joins partial attention results by their log-sum-exp.
#include "passes/CPU/Rows.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;

namespace leat::cpu {
namespace {

class MergeGenerator : public Generator {
  AttnMergeOp op;

  ColumnTasks columns(KernelBuilder &k) {
    return ColumnTasks(k, k.dim(op.getValues()[0], cast<RankedTensorType>(op.getLses()[0].getType()).getRank()));
  }

  /// Values [rows..., D] and lses [rows...].
  RowTasks split(KernelBuilder &k) {
    SmallVector<Value> outer = k.dims(op.getLses()[0]);
    return RowTasks(k, outer, columns(k).all);
  }

public:
  explicit MergeGenerator(AttnMergeOp op) : op(op) {}

  Value tasks(KernelBuilder &k) override { return columns(k).tasks(k, split(k)); }

  void run(KernelBuilder &k, Value task) override {
    auto &b = k.b;
    Type f32 = b.getF32Type();
    Value none = k.constant(f32, -std::numeric_limits<double>::infinity()), zero = k.constant(f32, 0);
    ColumnTasks columns = this->columns(k);
    Value lo = columns.first(k, task), hi = columns.end(k, lo);
    split(k).forRows(k, columns.rowTask(k, task), [&](ValueRange row) {
      Puller one(k, 1);
      SmallVector<Value> lses, weights;
      Value max = none;
      for (Value part : op.getLses()) {
        lses.push_back(one.pull(part, one.at(row)));
        max = arith::MaximumFOp::create(b, max, lses.back());
      }
      // Nothing seen by any part: the shift must not make NaN of -inf - -inf.
      Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, max, none);
      Value shift = arith::SelectOp::create(b, empty, zero, max);
      Value sum = zero;
      for (Value lse : lses) {
        weights.push_back(math::ExpOp::create(b, arith::SubFOp::create(b, lse, shift)));
        sum = arith::AddFOp::create(b, sum, weights.back());
      }
      Value total = arith::AddFOp::create(b, shift, math::LogOp::create(b, sum));
      Value lse = arith::SelectOp::create(b, empty, none, total);
      Value inverse = arith::SelectOp::create(b, empty, zero, arith::DivFOp::create(b, k.constant(f32, 1), sum));
      // Weights are f32; values are summed in their own width where that is more.
      Type wide = KernelBuilder::carriedType(cast<RankedTensorType>(op.getOutput().getType()).getElementType());
      for (Value &weight : weights) {
        weight = arith::MulFOp::create(b, weight, inverse);
        if (wide.isF64())
          weight = arith::ExtFOp::create(b, wide, weight);
      }
      Value nothing = k.constant(wide, 0);
      k.ifThen(k.compare(arith::CmpIPredicate::eq, lo, k.idx(0)), [&] {
        for (unsigned r = 0; r < k.numResults(); ++r)
          if (k.result(r) == op.getLse())
            one.storeResult(r, one.at(row), lse);
      });
      k.forLanes(lo, hi, k.target.lanes(), [&](Value d, int64_t lanes) {
        Puller p(k, lanes);
        SmallVector<Idx> at = p.at(row);
        at.push_back(p.at(d, lanes > 1, lanes));
        Value joined = k.splat(nothing, lanes);
        for (auto [part, weight] : llvm::zip_equal(op.getValues(), weights)) {
          // A part that saw nothing may hold anything.
          Value seen = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, weight, nothing);
          Value term = arith::MulFOp::create(b, p.pullVector(part, at), k.splat(weight, lanes));
          joined = arith::AddFOp::create(b, joined, arith::SelectOp::create(b, seen, term, k.splat(nothing, lanes)));
        }
        p.bind(op.getOutput(), [&](Puller &, ArrayRef<Idx>) { return joined; });
        for (unsigned r = 0; r < k.numResults(); ++r)
          if (k.result(r) != op.getLse() && dependsOn(k.result(r), op))
            p.emitResult(r, at);
      });
    });
  }
};

} // namespace

std::unique_ptr<Generator> createMergeGenerator(Operation *root) { return std::make_unique<MergeGenerator>(cast<AttnMergeOp>(root)); }

} // namespace leat::cpu
