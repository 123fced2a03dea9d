// Edges of happens-before, and the convergence that collective instructions need.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

// One lane publishes its own accesses; several publish the warp's only if all that live take part.
void release(Warp &warp, u32 lanes, Clocks &into) {
  u32 lane = lanes == warp.live ? everyLane : isSingle(lanes) ? u32(firstLane(lanes)) : everyLane;
  u32 &own = warp.clocks.generic.at[warp.agent], before = own;
  own = warp.clock << 6 | lane;
  into.join(warp.clocks);
  own = before;
  warp.tick();
}

void acquire(Warp &warp, const Clocks &from) {
  warp.clocks.join(from);
  warp.tick();
}

void synchroniseLanes(Warp &warp) {
  warp.syncClock = warp.clock;
  warp.tick();
}

// What came before becomes visible to the asynchronous proxy.
Flow proxyFence(Warp &warp, const Op &op, u32 mask) {
  if (!warp.cta->cluster->checks)
    return Flow::Next;
  u32 lane = mask != warp.live && isSingle(mask) ? u32(firstLane(mask)) : everyLane;
  u32 &own = warp.clocks.generic.at[warp.agent], before = own;
  own = warp.clock << 6 | lane;
  warp.clocks.async.join(warp.clocks.generic);
  own = before;
  warp.tick();
  return Flow::Next;
}

bool converged(Warp &warp, const Op &op, u32 mask, u32 needed, Flow &flow) {
  u32 missing = needed & ~mask;
  if (!missing)
    return true;
  if (!(needed & ~warp.active)) { // they are here, but predicated off
    report(warp, op, firstLane(missing), Kind::Divergent, "lanes 0x%x are needed but predicated off", missing);
    return true;
  }
  Path &path = warp.path();
  path.state = PathState::AtConvergence;
  path.waitInfo = needed;
  flow = Flow::Block;
  return false;
}

} // namespace leat::sim
