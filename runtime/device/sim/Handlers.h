// The handlers of instructions, by room, and what they share. Arithmetic on lanes is in LaneHandlers.h.
#ifndef LEAT_RUNTIME_DEVICE_SIM_HANDLERS_H
#define LEAT_RUNTIME_DEVICE_SIM_HANDLERS_H

#include "runtime/device/sim/Machine.h"

namespace leat::sim {

#define LEAT_SIM_HANDLERS(X)                                                                                                               \
  /* Control.cpp */ X(fallThrough) X(branch) X(branchIndexed) X(exitLanes) X(trap) X(externalCall)                                         \
      X(noOperation) /* Barrier.cpp */ X(warpBarrier) X(ctaBarrier) X(clusterArrive) X(clusterWait) /* WarpOps.cpp */ X(shuffle) X(vote)   \
          X(activeMask) X(match) X(reduce) X(elect) X(readClock) /* Memory.cpp */ X(load) X(store) X(loadParameter) X(mapAddress)          \
              X(isSpace) /* Atomic.cpp */ X(atomic) X(memoryFence) /* MatrixMemory.cpp */ X(loadMatrix) X(storeMatrix)                     \
                  X(transposeMatrix) /* CpAsync.cpp */ X(copyAsync) X(copyCommit) X(copyWait)                                              \
                      X(copyArrive) /* Mbarrier.cpp */ X(mbarrierInit) X(mbarrierInvalidate) X(mbarrierArrive)                             \
                          X(mbarrierWait) /* BulkCopy.cpp */ X(bulkLoad) X(proxyFence) /* BulkStore.cpp */ X(bulkStore) X(bulkCommit)      \
                              X(bulkWait) /* Wgmma.cpp */ X(wgmmaFence) X(wgmmaIssue) X(wgmmaCommit) X(wgmmaWait)                          \
                                  X(trackRegisters) /* Mma.cpp */ X(mma)

#define LEAT_SIM_DECLARE(name) Flow name(Warp &warp, const Op &op, u32 mask);
LEAT_SIM_HANDLERS(LEAT_SIM_DECLARE)
#undef LEAT_SIM_DECLARE

// Convergence: true when all `needed` lanes are in `mask`. Otherwise the path waits for them (flow = Block), or, when they can only be
// predicated off, that is reported and the instruction goes on.
bool converged(Warp &warp, const Op &op, u32 mask, u32 needed, Flow &flow);

// Order.
void release(Warp &warp, u32 lanes, Clocks &into); // publishes what came before
void acquire(Warp &warp, const Clocks &from);
void synchroniseLanes(Warp &warp);

// Shared memory: an address of this CTA or of another in the cluster.
struct SharedPlace {
  Cta *cta = nullptr; // null: out of bounds or misaligned, reported
  u32 offset = 0;
  u8 *data() const { return cta->shared.data() + offset; }
};
SharedPlace sharedPlace(Warp &warp, const Op &op, u64 address, u32 bytes, u32 alignment, int lane, const char *what);
void checkStarted(Warp &warp, const Op &op, int lane, const Cta &cta);
u32 laneSharedAddress(Warp &warp, const Address &address, int lane);
void countShared(Warp &warp, const u32 *addresses, u32 mask, u32 bytes);
void countGlobal(Warp &warp, const u64 *addresses, u32 mask, u32 bytes, bool write);

// Global memory: the host pointer, or null (reported).
u8 *globalPlace(Warp &warp, const Op &op, u64 address, u64 bytes, int lane, bool write);

// Asynchronous work, landed by the scheduler when no warp can run.
bool landOne(Cluster &cluster);
void landAll(Cluster &cluster);
void landCopies(Warp &warp, u32 lanes, u32 pendingGroups, bool all, u32 clock, u64 upTo = ~u64(0));
Mbarrier *findMbarrier(Warp &warp, const Op &op, Cta &cta, u32 address, int lane);
void completePhases(Cluster &cluster, Mbarrier &barrier);
void finishBulkStores(Warp &warp, const Op &op, u32 lanes);
void checkWgmmaFinished(Warp &warp, const Op &op, u32 lanes);
bool wgmmaReady(const Warp &warp, u32 end);
void releaseExpectedBarriers(Cta &cta);
void tryClusterBarrier(Cluster &cluster);

} // namespace leat::sim

#endif
