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
    Value iv = op.getLower(), step = op.getFirst() ? op.getFirst() : iv;
    SmallVector<Value> begun; // values of the steps that are on their way, if `next` makes them
    for (int64_t s = 0; s + 1 < stages; ++s) {
      produceBelow(iv, step, index(s));
      iv = arith::AddIOp::create(b, iv, op.getStep());
      if (op.getFirst())
        begun.push_back(step);
      step = op.getFirst() ? cloneBody(op.getNext(), step)[0] : iv;
    }
    Value ahead = arith::MulIOp::create(b, op.getStep(), index(stages - 1));
    SmallVector<Value> inits(op.getInits());
    if (op.getFirst()) {
      llvm::append_range(inits, begun);
      inits.push_back(step);
    }
    inits.append({zero, index(stages - 1)});
    size_t carriedTiles = op.getInits().size();
    auto loop = scf::ForOp::create(b, op.getLower(), op.getUpper(), op.getStep(), inits);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      ValueRange carried = loop.getRegionIterArgs();
      Value read = carried[carried.size() - 2], write = carried.back();
      ValueRange steps = carried.drop_back(2).drop_front(carriedTiles);
      if (copies)
        tile::WaitOp::create(b, stages - 2);
      tile::BarrierOp::create(b);
      Value far = arith::AddIOp::create(b, loop.getInductionVar(), ahead);
      produceBelow(far, steps.empty() ? far : steps.back(), write);
      SmallVector<Value> next = consume(steps.empty() ? loop.getInductionVar() : steps.front(), read, carried.take_front(carriedTiles));
      if (!steps.empty()) {
        llvm::append_range(next, steps.drop_front());
        next.push_back(cloneBody(op.getNext(), steps.back())[0]);
      }
      auto advance = [&](Value slot) -> Value {
        Value up = arith::AddIOp::create(b, slot, one);
        return arith::SelectOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::eq, up, last), zero, up);
      };
      next.append({advance(read), advance(write)});
      scf::YieldOp::create(b, next);
    }
    op.replaceAllUsesWith(loop.getResults().take_front(carriedTiles));
    op.erase();
  }

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }

  SmallVector<Value> slots(Value stage) {
    return llvm::map_to_vector(op.getBuffers(), [&](Value buffer) -> Value {
      return tile::SlotOp::create(b, cast<tile::SharedType>(buffer.getType()).oneStage(), buffer, stage);
    });
  }

  /// Brings the tiles of step `iv`, whose value is `step`, into slot `stage` if there is such a step; a group of copies is closed in any
  /// case, so that they can be counted.
  void produceBelow(Value iv, Value step, Value stage) {
    Value exists = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, iv, op.getUpper());
    auto when = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(when.thenBlock()->getTerminator());
      SmallVector<Value> arguments{step};
      llvm::append_range(arguments, slots(stage));
      cloneBody(op.getProduce(), arguments);
    }
    if (copies)
      tile::CommitOp::create(b, tile::TokenType::get(b.getContext()));
  }

  SmallVector<Value> consume(Value step, Value stage, ValueRange carried) {
    SmallVector<Value> arguments{step};
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
