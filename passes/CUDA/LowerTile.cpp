// The structure of the lowering of tile programs: shared memory is planned, the program's ops are lowered in order, loops and branches
// carry the registers of the tiles they carry.
#include "passes/CUDA/Passes.h"
#include "passes/CUDA/TileLowering.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::cuda {
#define GEN_PASS_DEF_LOWERTILE
#include "passes/CUDA/Passes.h.inc"

static constexpr StringLiteral kSharedName = "tile_shared";

TileLowering::TileLowering(tile::ProgramOp program)
    : program(program), b(program.getLoc(), program), threads(program.getThreads()), cluster(program.clusterSize()) {}

SharedPlan planShared(tile::ProgramOp program) {
  SharedPlan plan;
  auto place = [&](Operation *op, int64_t bytes, int64_t alignment, std::optional<int64_t> at = std::nullopt) {
    int64_t offset = at ? *at : llvm::alignTo(plan.bytes, alignment);
    plan.offsets[op] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
  };
  program.getBody().walk([&](Operation *op) {
    if (auto barriers = dyn_cast<tile::MBarriersOp>(op))
      place(op, barriers.getBarriers().getType().getCount() * kMBarrierBytes, kMBarrierBytes);
    auto alloc = dyn_cast<tile::AllocOp>(op);
    if (!alloc)
      return;
    auto type = cast<tile::SharedType>(alloc.getTile().getType());
    place(op, type.getBytes(), type.getAlignment(), alloc.getAt() ? std::optional<int64_t>(*alloc.getAt()) : std::nullopt);
  });
  return plan;
}

LogicalResult TileLowering::run() {
  plan = planShared(program);
  Type i32Type = b.getI32Type();
  tid = NVVM::ThreadIdXOp::create(b, i32Type);
  lane = rem(tid, 32);
  warp = div(tid, 32);
  if (plan.bytes) {
    auto module = program->getParentOfType<ModuleOp>();
    auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kSharedSpace);
    if (!module.lookupSymbol(kSharedName)) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false, LLVM::Linkage::External, kSharedName,
                             Attribute(), /*alignment=*/1024, kSharedSpace);
    }
    sharedBase = LLVM::PtrToIntOp::create(b, i32Type, LLVM::AddressOfOp::create(b, pointer, kSharedName));
  }
  lowerBlock(program.getBody().front());
  if (failed)
    return failure();
  // No block leaves while another may still arrive at its barriers.
  b.setInsertionPoint(program.getBody().front().getTerminator());
  if (cluster > 1)
    meetCluster();
  Operation *function = program->getParentOfType<FunctionOpInterface>();
  function->setAttr("tile.threads", b.getI64IntegerAttr(threads));
  function->setAttr("tile.shared_bytes", b.getI64IntegerAttr(plan.bytes));
  for (Operation *op : llvm::reverse(dead))
    op->erase();
  Block &body = program.getBody().front();
  body.getTerminator()->erase();
  program->getBlock()->getOperations().splice(program->getIterator(), body.getOperations());
  program.erase();
  return success();
}

static bool isTile(Type type) { return isa<tile::RegType, tile::SharedType>(type); }

Values TileLowering::expand(ValueRange values) {
  Values out;
  for (Value v : values) {
    if (isa<tile::RegType>(v.getType()))
      llvm::append_range(out, regs[v]);
    else if (isa<tile::SharedType>(v.getType()))
      out.push_back(addresses[v]);
    else
      out.push_back(v);
  }
  return out;
}

/// Maps `originals` to the values they expanded to.
static unsigned takeOver(Value original, ValueRange from, DenseMap<Value, Values> &regs, DenseMap<Value, Value> &addresses) {
  if (auto reg = dyn_cast<tile::RegType>(original.getType())) {
    unsigned count = reg.getThreadElements() / reg.getPerRegister();
    regs[original] = Values(from.take_front(count));
    return count;
  }
  if (isa<tile::SharedType>(original.getType()))
    addresses[original] = from.front();
  else
    original.replaceAllUsesWith(from.front());
  return 1;
}

void TileLowering::replace(Operation *op, ValueRange results) {
  for (Value result : op->getResults()) {
    if (!isTile(result.getType()))
      scalars[result] = results.front();
    results = results.drop_front(takeOver(result, results, regs, addresses));
  }
  dead.push_back(op);
}

bool TileLowering::carriesTiles(Operation *op) {
  return llvm::any_of(op->getResultTypes(), isTile) || llvm::any_of(op->getOperandTypes(), isTile);
}

void TileLowering::lowerBlock(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block))
    lower(&op);
}

void TileLowering::lowerFor(scf::ForOp op) {
  auto loop = scf::ForOp::create(b, op.getLowerBound(), op.getUpperBound(), op.getStep(), expand(op.getInitArgs()));
  Block *body = loop.getBody();
  if (!body->empty())
    body->getTerminator()->erase();
  op.getInductionVar().replaceAllUsesWith(loop.getInductionVar());
  ValueRange carried = loop.getRegionIterArgs();
  for (Value arg : op.getRegionIterArgs())
    carried = carried.drop_front(takeOver(arg, carried, regs, addresses));
  body->getOperations().splice(body->end(), op.getBody()->getOperations());
  replace(op, loop.getResults());
  OpBuilder::InsertionGuard guard(b);
  lowerBlock(*body);
}

void TileLowering::lowerWhile(scf::WhileOp op) {
  lowerBlock(*op.getBeforeBody());
  // A round is a program of its own: where threads stand is asked anew in each, or all that follows of it, which one round computes in
  // different places, is kept in registers through all of them.
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getAfterBody());
  Value outside[] = {tid, lane, warp};
  tid = inlineAsm("mov.u32 $0, %tid.x;", "=r", {}, b.getI32Type(), /*sideEffects=*/true)[0];
  lane = rem(tid, 32);
  warp = inRole ? uniform(div(tid, 32)) : div(tid, 32);
  lowerBlock(*op.getAfterBody());
  tid = outside[0], lane = outside[1], warp = outside[2];
}

void TileLowering::lowerIf(scf::IfOp op) {
  SmallVector<Type> types;
  // Types are known from what the branches yield; those are lowered first, in place.
  for (Region *region : {&op.getThenRegion(), &op.getElseRegion()})
    if (!region->empty()) {
      OpBuilder::InsertionGuard guard(b);
      lowerBlock(region->front());
    }
  if (!carriesTiles(op))
    return;
  types = llvm::map_to_vector(op.thenYield().getOperands(), [](Value v) { return v.getType(); });
  b.setInsertionPoint(op);
  auto branch = scf::IfOp::create(b, types, op.getCondition(), /*addThenBlock=*/false, /*addElseBlock=*/false);
  branch.getThenRegion().takeBody(op.getThenRegion());
  branch.getElseRegion().takeBody(op.getElseRegion());
  replace(op, branch.getResults());
}

void TileLowering::lower(Operation *op) {
  b.setInsertionPoint(op);
  b.setLoc(op->getLoc());
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](tile::YieldOp) {})
      .Case([&](tile::AllocOp alloc) {
        addresses[alloc.getTile()] = add(sharedBase, plan.offsets[alloc]);
        dead.push_back(op);
      })
      .Case([&](tile::SlotOp slot) {
        auto type = cast<tile::SharedType>(slot.getSlot().getType());
        addresses[slot.getSlot()] = add(addresses[slot.getTile()], mul(toI32(slot.getStage()), type.getStageBytes()));
        dead.push_back(op);
      })
      .Case([&](tile::BlockIdOp id) {
        Value value;
        if (id.getDim() == 0)
          value = NVVM::BlockIdXOp::create(b, b.getI32Type());
        else if (id.getDim() == 1)
          value = NVVM::BlockIdYOp::create(b, b.getI32Type());
        else
          value = NVVM::BlockIdZOp::create(b, b.getI32Type());
        replace(op, ValueRange(toIndex(value)));
      })
      .Case([&](tile::BlockCountOp) { replace(op, ValueRange(toIndex(NVVM::GridDimXOp::create(b, b.getI32Type())))); })
      .Case([&](tile::ThreadIdOp) { replace(op, ValueRange(toIndex(tid))); })
      .Case([&](tile::LaunderOp launder) {
        Value value = toI32(launder.getValue());
        replace(op, ValueRange(toIndex(inlineAsm("mov.b32 $0, $1;", "=r,r", value, b.getI32Type(), /*sideEffects=*/true)[0])));
      })
      .Case<tile::ViewOp, tile::PagedViewOp>([&](auto) { dead.push_back(op); })
      .Case([&](tile::CopyAsyncOp copy) { lowerCopy(copy); })
      .Case([&](tile::CommitOp) {
        NVVM::CpAsyncCommitGroupOp::create(b);
        dead.push_back(op);
      })
      .Case([&](tile::WaitOp wait) {
        NVVM::CpAsyncWaitGroupOp::create(b, b.getI32IntegerAttr(wait.getPending()));
        dead.push_back(op);
      })
      .Case([&](tile::BarrierOp barrier) { lowerBarrier(barrier); })
      .Case([&](tile::FillOp fill) { lowerFill(fill); })
      .Case([&](tile::VisitOp visit) { lowerVisit(visit); })
      .Case([&](tile::LoadOp load) { lowerLoad(load); })
      .Case([&](tile::StoreOp store) { lowerStore(store); })
      .Case([&](tile::StoreSharedOp store) { lowerStoreShared(store); })
      .Case([&](tile::SplatOp splat) {
        int64_t count = cast<tile::RegType>(splat.getResult().getType()).getThreadElements();
        replace(op, Values(count, splat.getValue()));
      })
      .Case([&](tile::DotOp dot) { lowerDot(dot); })
      .Case([&](tile::DotFenceOp fence) { replace(op, passThrough("wgmma.fence.sync.aligned;", fence.getTiles())); })
      .Case([&](tile::DotWaitOp wait) {
        replace(op, passThrough("wgmma.wait_group.sync.aligned " + std::to_string(wait.getPending()) + ";", wait.getTiles()));
      })
      .Case([&](tile::ConvertOp convert) { lowerConvert(convert); })
      .Case([&](tile::MapOp map) { lowerMap(map); })
      .Case([&](tile::ForEachOp each) { lowerForEach(each); })
      .Case([&](tile::ReduceOp reduce) { lowerReduce(reduce); })
      .Case([&](tile::JoinOp join) { lowerJoin(join); })
      .Case([&](tile::ReadOp read) { lowerRead(read); })
      .Case([&](tile::WriteOp write) { lowerWrite(write); })
      .Case([&](tile::LanesOp lanes) { replace(op, ValueRange(joinLanes(lanes.getCombine(), lanes.getValue(), lanes.getWidth()))); })
      .Case([&](tile::FromLaneOp from) {
        replace(op, ValueRange(NVVM::ShflOp::create(b, b.getI32Type(), i32(-1), from.getValue(), toI32(from.getLane()), i32(31),
                                                    NVVM::ShflKind::idx, UnitAttr())));
      })
      .Case([&](tile::Exp2Op exp2) { replace(op, ValueRange(lowerExp2(exp2.getX()))); })
      .Case([&](tile::MBarriersOp barriers) { lowerMBarriers(barriers); })
      .Case([&](tile::RolesOp roles) { lowerRoles(roles); })
      .Case([&](tile::TicketOp ticket) { lowerTicket(ticket); })
      .Case([&](tile::ExpectOp expect) { lowerExpect(expect); })
      .Case([&](tile::ArriveOp arrive) { lowerArrive(arrive); })
      .Case([&](tile::AwaitOp await) { lowerAwait(await); })
      .Case([&](tile::CopyTensorOp copy) { lowerCopyTensor(copy); })
      .Case<tile::TakeTurnOp, tile::GiveTurnOp>([&](auto) { lowerTurn(op); })
      .Case([&](scf::ForOp loop) {
        if (carriesTiles(loop))
          return lowerFor(loop);
        lowerBlock(*loop.getBody());
      })
      .Case([&](scf::IfOp branch) { lowerIf(branch); })
      .Case([&](scf::YieldOp yield) {
        if (carriesTiles(yield)) {
          scf::YieldOp::create(b, expand(yield.getOperands()));
          yield.erase();
        }
      })
      .Default([&](Operation *other) {
        if (isa<tile::TileDialect>(other->getDialect()) || carriesTiles(other)) {
          other->emitError("cannot be lowered inside a tile.program: '")
              << other->getName() << "' works on tiles; tile ops, scf.for and scf.if do";
          failed = true;
          return;
        }
        if (auto loop = dyn_cast<scf::WhileOp>(other))
          return lowerWhile(loop);
        for (Region &region : other->getRegions())
          for (Block &block : region)
            lowerBlock(block);
      });
}

void TileLowering::instruction(StringRef text, StringRef constraints, ValueRange operands) {
  LLVM::InlineAsmOp::create(b, TypeRange(), operands, text, constraints, /*has_side_effects=*/true, /*is_align_stack=*/false,
                            LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
}

Values TileLowering::inlineAsm(StringRef text, StringRef constraints, ValueRange operands, TypeRange results, bool sideEffects) {
  Type type = results.size() == 1 ? results[0] : Type(LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(results)));
  Value out = LLVM::InlineAsmOp::create(b, type, operands, text, constraints, sideEffects, /*is_align_stack=*/false,
                                        LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
                  .getResult(0);
  if (results.size() == 1)
    return {out};
  Values values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, out, i));
  return values;
}

void TileLowering::when(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
}

Value TileLowering::warpRow(tile::RegType type) {
  auto layout = type.getLayout();
  return mul(div(warp, layout.getWarpsN()), type.getWarpRows());
}

Value TileLowering::warpCol(tile::RegType type) {
  auto layout = type.getLayout();
  return mul(rem(warp, layout.getWarpsN()), type.getWarpCols());
}

namespace {
struct LowerTile : impl::LowerTileBase<LowerTile> {
  void runOnOperation() override {
    SmallVector<tile::ProgramOp> programs;
    getOperation().walk([&](tile::ProgramOp op) { programs.push_back(op); });
    for (tile::ProgramOp program : programs)
      if (mlir::failed(TileLowering(program).run()))
        return signalPassFailure();
  }
};
} // namespace

} // namespace leat::cuda
