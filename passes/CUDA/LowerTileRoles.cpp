// Warps with roles: the branch between them, barriers that count arrivals and bytes, tensor copies, turns.
#include "passes/CUDA/TileLowering.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kGroup = 128, kGroupWarps = 4; ///< threads and warps of a group
/// Barriers of the multiprocessor: 0 is the whole block's, this one the consumers', those from the next on count turns of their groups.
constexpr int64_t kConsumersBarrier = 1, kTurnBarriers = 2;
constexpr StringLiteral kArrive = "bar.arrive $0, $1;";

void TileLowering::fenceProducts() {
  NVVM::FenceProxyOp::create(b, NVVM::ProxyKind::async_shared, NVVM::SharedSpaceAttr::get(b.getContext(), NVVM::SharedSpace::shared_cta));
}

void TileLowering::meet(Value barrier, int64_t count) {
  NVVM::BarrierOp::create(b, TypeRange(), barrier, i32(count), NVVM::BarrierReductionAttr(), Value());
}

void TileLowering::lowerBarrier(tile::BarrierOp op) {
  dead.push_back(op);
  if (op.getProducts())
    fenceProducts();
  if (inRole)
    meet(i32(kConsumersBarrier), threads);
  else
    NVVM::Barrier0Op::create(b);
}

void TileLowering::meetCluster() {
  instruction("barrier.cluster.arrive.release;", "", {});
  instruction("barrier.cluster.wait.acquire;", "", {});
}

Value TileLowering::uniform(Value x) {
  return NVVM::ShflOp::create(b, b.getI32Type(), i32(-1), x, i32(0), i32(31), NVVM::ShflKind::idx, UnitAttr());
}

// --- roles
// --------------------------------------------------------------------------------------------------------------------------------------

void TileLowering::lowerRoles(tile::RolesOp op) {
  // mbarriers are seen by tensor copies behind the fence, and by other threads behind the barrier.
  if (cluster > 1) {
    instruction("fence.mbarrier_init.release.cluster;", "", {});
    meetCluster();
  } else {
    fenceProducts();
    NVVM::Barrier0Op::create(b);
  }
  int64_t consumers = op.getConsumers(), all = threads;
  auto branch = scf::IfOp::create(b, less(tid, i32(consumers)), /*withElseRegion=*/true);
  auto lowerRegion = [&](Region &region, Block *into) {
    auto &from = region.front().getOperations();
    into->getOperations().splice(into->getTerminator()->getIterator(), from, from.begin(), std::prev(from.end()));
    lowerBlock(*into);
  };
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  NVVM::SetMaxRegisterOp::create(b, static_cast<uint32_t>(op.getConsumerRegisters()), NVVM::SetMaxRegisterAction::increase);
  Value mine = warp;
  warp = uniform(warp); // descriptors are the warp's, not the lanes'
  if (op.getConsume().walk([](tile::TakeTurnOp) { return WalkResult::interrupt(); }).wasInterrupted()) {
    Value last = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, div(warp, kGroupWarps), i32(consumers / kGroup - 1));
    when(last, [&] { instruction(kArrive, "r,r", {i32(kTurnBarriers), i32(2 * kGroup)}); });
  }
  threads = consumers, inRole = true;
  lowerRegion(op.getConsume(), branch.thenBlock());
  threads = all, inRole = false, warp = mine;

  b.setInsertionPoint(branch.elseBlock()->getTerminator());
  NVVM::SetMaxRegisterOp::create(b, static_cast<uint32_t>(op.getProducerRegisters()), NVVM::SetMaxRegisterAction::decrease);
  Value one = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, tid, i32(consumers));
  auto produce = scf::IfOp::create(b, one, /*withElseRegion=*/false);
  lowerRegion(op.getProduce(), produce.thenBlock());
  dead.push_back(op);
}

void TileLowering::lowerTurn(Operation *op) {
  int64_t groups = threads / kGroup;
  Value group = div(warp, kGroupWarps);
  if (isa<tile::TakeTurnOp>(op)) {
    meet(add(group, kTurnBarriers), 2 * kGroup);
  } else {
    Value next = add(group, 1);
    next = arith::SelectOp::create(b, less(next, i32(groups)), next, i32(0));
    instruction(kArrive, "r,r", {add(next, kTurnBarriers), i32(2 * kGroup)});
  }
  dead.push_back(op);
}

// --- mbarriers
// ----------------------------------------------------------------------------------------------------------------------------------

Value TileLowering::mbarrier(Value barriers, Value stage) { return add(addresses[barriers], mul(toI32(stage), kMBarrierBytes)); }

void TileLowering::lowerMBarriers(tile::MBarriersOp op) {
  Value first = add(sharedBase, plan.offsets[op]);
  addresses[op.getBarriers()] = first;
  when(arith::CmpIOp::create(b, arith::CmpIPredicate::eq, tid, i32(0)), [&] {
    for (int64_t i = 0; i < op.getBarriers().getType().getCount(); ++i)
      instruction("mbarrier.init.shared::cta.b64 [$0], $1;", "r,r", {add(first, i * kMBarrierBytes), i32(op.getArrivals())});
  });
  dead.push_back(op);
}

void TileLowering::lowerTicket(tile::TicketOp op) {
  Value counter = LLVM::AddrSpaceCastOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), kGlobalSpace), op.getCounter());
  Value last = add(toI32(op.getCount()), -1);
  Value number = LLVM::AtomicRMWOp::create(b, LLVM::AtomicBinOp::uinc_wrap, counter, last, LLVM::AtomicOrdering::monotonic, "device");
  replace(op, ValueRange(toIndex(number)));
}

void TileLowering::lowerExpect(tile::ExpectOp op) {
  dead.push_back(op);
  if (op.getBytes() == 0)
    return instruction("mbarrier.arrive.shared::cta.b64 _, [$0];", "r", mbarrier(op.getBarriers(), op.getStage()));
  instruction("mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", "r,r",
              {mbarrier(op.getBarriers(), op.getStage()), i32(op.getBytes())});
}

void TileLowering::lowerArrive(tile::ArriveOp op) {
  dead.push_back(op);
  Value at = mbarrier(op.getBarriers(), op.getStage()), thread = rem(tid, kGroup);
  if (op.getEverywhere()) // a thread for each block
    return when(less(thread, i32(cluster)), [&] {
      Value there = inlineAsm("mapa.shared::cluster.u32 $0, $1, $2;", "=r,r,r", {at, thread}, b.getI32Type())[0];
      instruction("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [$0];", "r", there);
    });
  when(arith::CmpIOp::create(b, arith::CmpIPredicate::eq, thread, i32(0)),
       [&] { instruction("mbarrier.arrive.shared::cta.b64 _, [$0];", "r", at); });
}

void TileLowering::lowerAwait(tile::AwaitOp op) {
  std::string order = op.getEverywhere() ? ".acquire.cluster" : "";
  instruction("{\n\t.reg .pred done;\n\tagain: mbarrier.try_wait.parity" + order +
                  ".shared::cta.b64 done, [$0], $1;\n\t@!done bra again;\n\t}",
              "r,r", {mbarrier(op.getBarriers(), op.getStage()), toI32(op.getParity())});
  dead.push_back(op);
}

// --- tensor copies
// ------------------------------------------------------------------------------------------------------------------------------

void TileLowering::lowerCopyTensor(tile::CopyTensorOp op) {
  auto type = cast<tile::SharedType>(op.getTile().getType());
  int64_t span = type.getSwizzle(), perSlab = span / type.getElementBytes();
  Values coordinates = llvm::map_to_vector(op.getCoordinates(), [&](Value v) { return toI32(v); });
  size_t rank = coordinates.size();
  std::string list, kinds;
  for (size_t d = 0; d < rank; ++d) {
    list += (d ? ", $" : "$") + std::to_string(2 + d);
    kinds += ",r";
  }
  std::string text = "cp.async.bulk.tensor." + std::to_string(rank) + "d.shared::cluster.global.mbarrier::complete_tx::bytes" +
                     (op.getMulticast() ? ".multicast::cluster" : "") + " [$0], [$1, {" + list + "}], [$" + std::to_string(2 + rank) + "]";
  Value signal = mbarrier(op.getBarriers(), op.getStage()), first = coordinates[0], tile = addresses[op.getTile()];
  Values last{signal};
  kinds += ",r";
  if (op.getMulticast()) {
    Value mine = mul(NVVM::ClusterId::create(b, b.getI32Type()), type.getRows() / cluster); // this block's share
    coordinates[1] = add(coordinates[1], mine);
    tile = add(tile, mul(mine, span));
    text += ", $" + std::to_string(3 + rank);
    kinds += ",h";
    last.push_back(arith::ConstantOp::create(b, b.getI16IntegerAttr(static_cast<int16_t>((1 << cluster) - 1))));
  }
  text += ";";
  for (int64_t slab = 0; slab < type.getCols() / perSlab; ++slab) {
    coordinates[0] = add(first, slab * perSlab);
    Values operands{add(tile, slab * type.getRows() * span), op.getMap()};
    llvm::append_range(operands, coordinates);
    llvm::append_range(operands, last);
    instruction(text, "r,l" + kinds, operands);
  }
  dead.push_back(op);
}

} // namespace leat::cuda
