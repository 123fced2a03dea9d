// Verifiers of the ops for warps with roles: what may stand in which role, and what a multiprocessor has for them.
#include "dialects/Tile/Tile.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace leat::tile {

constexpr int64_t kGroup = 128;         ///< threads of four warps
constexpr int64_t kRegisters = 1 << 16; ///< of a multiprocessor

LogicalResult RolesOp::verify() {
  auto program = dyn_cast<ProgramOp>((*this)->getParentOp());
  if (!program)
    return emitOpError("stands directly in a tile.program, where all threads come by");
  int64_t consumers = getConsumers(), groups = consumers / kGroup;
  if (consumers < kGroup || consumers % kGroup != 0 || int64_t(program.getThreads()) != consumers + kGroup)
    return emitOpError("needs groups of 128 consumers and 128 threads for the producer in a program of ")
           << int64_t(program.getThreads()) << ", got " << consumers << " consumers";
  int64_t mine = getConsumerRegisters(), other = getProducerRegisters();
  for (int64_t registers : {mine, other})
    if (registers < 24 || registers > 256 || registers % 8 != 0)
      return emitOpError("gives a thread 24 to 256 registers, a multiple of 8, not ") << registers;
  if ((groups * mine + other) * kGroup > kRegisters)
    return emitOpError("needs ") << (groups * mine + other) * kGroup << " registers and a multiprocessor has " << kRegisters;
  Operation *wrong = nullptr;
  getProduce().walk([&](Operation *op) {
    bool moves = isa<SlotOp, ExpectOp, AwaitOp, CopyTensorOp, WriteOp, TicketOp, BlockIdOp, BlockCountOp, LaunderOp, YieldOp>(op);
    if (isa<TileDialect>(op->getDialect()) && !moves && !wrong)
      wrong = op;
  });
  if (wrong)
    return wrong->emitOpError("works with more than one thread: it cannot stand in the produce region of tile.roles");
  return success();
}

/// The op stands in the named region of tile.roles.
static LogicalResult verifyRole(Operation *op, bool produces) {
  auto roles = op->getParentOfType<RolesOp>();
  Region *needed = roles ? &(produces ? roles.getProduce() : roles.getConsume()) : nullptr;
  if (!needed || !needed->isAncestor(op->getParentRegion()))
    return op->emitOpError("stands in the ") << (produces ? "produce" : "consume") << " region of tile.roles";
  return success();
}

LogicalResult MBarriersOp::verify() {
  if (int64_t(getArrivals()) < 1)
    return emitOpError("counts at least one arrival, got ") << int64_t(getArrivals());
  if (!isa<ProgramOp>((*this)->getParentOp()))
    return emitOpError("stands directly in a tile.program, in front of the roles");
  return success();
}

LogicalResult ExpectOp::verify() {
  if (int64_t(getBytes()) < 0 || int64_t(getBytes()) >= 1 << 20)
    return emitOpError("announces 0 to 2^20 - 1 bytes, got ") << int64_t(getBytes());
  return verifyRole(*this, /*produces=*/true);
}

LogicalResult TicketOp::verify() {
  if (!isa<LLVM::LLVMPointerType>(getCounter().getType()))
    return emitOpError("needs a pointer to a counter, got ") << getCounter().getType();
  return verifyRole(*this, /*produces=*/true);
}

/// The op does something with other blocks of the cluster.
static LogicalResult verifyCluster(Operation *op, StringRef attribute) {
  auto program = op->getParentOfType<ProgramOp>();
  if (program && program.clusterSize() > 1)
    return success();
  return op->emitOpError("is `") << attribute << "` in a program without a cluster";
}

LogicalResult CopyTensorOp::verify() {
  auto tile = cast<SharedType>(getTile().getType());
  if (!isa<LLVM::LLVMPointerType>(getMap().getType()))
    return emitOpError("needs a pointer to a tensor map, got ") << getMap().getType();
  if (size_t rank = getCoordinates().size(); rank < 2 || rank > 5)
    return emitOpError("needs two to five coordinates, got ") << rank;
  if (!tile.getSwizzle() || tile.getStages() != 1)
    return emitOpError("needs one stage of a tile with a swizzle, got ") << Type(tile);
  if (failed(verifyRole(*this, /*produces=*/true)) || (getMulticast() && failed(verifyCluster(*this, "multicast"))))
    return failure();
  // A swizzle repeats after 8 rows, and a share begins with it.
  int64_t blocks = getMulticast() ? (*this)->getParentOfType<ProgramOp>().clusterSize() : 1;
  if (tile.getRows() % (8 * blocks) != 0 && blocks > 1)
    return emitOpError("cannot share ") << tile.getRows() << " rows out to " << blocks << " blocks in multiples of 8";
  return success();
}

LogicalResult ArriveOp::verify() {
  if (failed(verifyRole(*this, /*produces=*/false)))
    return failure();
  return getEverywhere() ? verifyCluster(*this, "everywhere") : success();
}

LogicalResult AwaitOp::verify() { return getEverywhere() ? verifyCluster(*this, "everywhere") : success(); }
LogicalResult TakeTurnOp::verify() { return verifyRole(*this, /*produces=*/false); }
LogicalResult GiveTurnOp::verify() { return verifyRole(*this, /*produces=*/false); }

} // namespace leat::tile
