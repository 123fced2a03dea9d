// tile.pipeline becomes a loop that keeps `stages` - 1 steps in flight: the form for processors whose copies belong to the thread that
// began them (cp.async). One barrier a step serves both directions: what the step reads has arrived, and all threads are done with the slot
// that is written next.
#include "dialects/Tile/Tile.h"
#include "passes/CUDA/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace leat::cuda {
#define GEN_PASS_DEF_EXPANDPIPELINES
#include "passes/CUDA/Passes.h.inc"

namespace {

class Expansion {
public:
  explicit Expansion(tile::PipelineOp op) : op(op), b(op.getLoc(), op) {
    stages = cast<tile::SharedType>(op.getBuffers().front().getType()).getStages();
    copies = op.getProduce().walk([](tile::CopyAsyncOp) { return WalkResult::interrupt(); }).wasInterrupted();
  }

  void run() {
    Value one = index(1), zero = index(0), last = index(stages);
    Value iv = op.getLower();
    for (int64_t s = 0; s + 1 < stages; ++s) {
      if (s)
        iv = arith::AddIOp::create(b, iv, op.getStep());
      produceBelow(iv, index(s));
    }
    Value ahead = arith::MulIOp::create(b, op.getStep(), index(stages - 1));
    SmallVector<Value> inits(op.getInits());
    inits.append({zero, index(stages - 1)});
    auto loop = scf::ForOp::create(b, op.getLower(), op.getUpper(), op.getStep(), inits);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      ValueRange carried = loop.getRegionIterArgs();
      Value read = carried[carried.size() - 2], write = carried.back();
      if (copies)
        tile::WaitOp::create(b, stages - 2);
      tile::BarrierOp::create(b);
      produceBelow(arith::AddIOp::create(b, loop.getInductionVar(), ahead), write);
      SmallVector<Value> next = consume(loop.getInductionVar(), read, carried.drop_back(2));
      auto advance = [&](Value slot) -> Value {
        Value up = arith::AddIOp::create(b, slot, one);
        return arith::SelectOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::eq, up, last), zero, up);
      };
      next.append({advance(read), advance(write)});
      scf::YieldOp::create(b, next);
    }
    op.replaceAllUsesWith(loop.getResults().drop_back(2));
    op.erase();
  }

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }

  SmallVector<Value> slots(Value stage) {
    return llvm::map_to_vector(op.getBuffers(), [&](Value buffer) -> Value {
      return tile::SlotOp::create(b, cast<tile::SharedType>(buffer.getType()).oneStage(), buffer, stage);
    });
  }

  /// Brings the tiles of step `iv` into slot `stage` if there is such a step; a group of copies is closed in any case, so that they can be
  /// counted.
  void produceBelow(Value iv, Value stage) {
    Value exists = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, iv, op.getUpper());
    auto when = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(when.thenBlock()->getTerminator());
      SmallVector<Value> arguments{iv};
      llvm::append_range(arguments, slots(stage));
      cloneBody(op.getProduce(), arguments);
    }
    if (copies)
      tile::CommitOp::create(b, tile::TokenType::get(b.getContext()));
  }

  SmallVector<Value> consume(Value iv, Value stage, ValueRange carried) {
    SmallVector<Value> arguments{iv};
    llvm::append_range(arguments, slots(stage));
    llvm::append_range(arguments, carried);
    return cloneBody(op.getConsume(), arguments);
  }

  SmallVector<Value> cloneBody(Region &region, ValueRange arguments) {
    IRMapping mapping;
    mapping.map(region.getArguments(), arguments);
    for (Operation &inner : region.front().without_terminator())
      b.clone(inner, mapping);
    return llvm::map_to_vector(region.front().getTerminator()->getOperands(), [&](Value v) { return mapping.lookupOrDefault(v); });
  }

  tile::PipelineOp op;
  ImplicitLocOpBuilder b;
  int64_t stages;
  bool copies; ///< something is copied asynchronously: groups are waited for
};

struct ExpandPipelines : impl::ExpandPipelinesBase<ExpandPipelines> {
  void runOnOperation() override {
    SmallVector<tile::PipelineOp> pipelines;
    getOperation()->walk([&](tile::PipelineOp op) { pipelines.push_back(op); }); // inner ones first
    for (tile::PipelineOp op : pipelines)
      Expansion(op).run();
  }
};

} // namespace
} // namespace leat::cuda
