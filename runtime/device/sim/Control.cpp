// Branches, exits and traps. A branch that lanes disagree on splits the path.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

Flow fallThrough(Warp &, const Op &, u32) { return Flow::Leader; }

Flow noOperation(Warp &warp, const Op &op, u32) {
  if (op.mode) { // nanosleep
    ++warp.polls;
    warp.quantum = 0;
  }
  return Flow::Next;
}

Flow branch(Warp &warp, const Op &op, u32 mask) {
  u32 rest = warp.active & ~mask;
  Path &path = warp.path();
  path.pc = op.target;
  path.mask = mask;
  if (rest)
    warp.paths.push_back({int(op.index) + 1, rest});
  return Flow::Jump;
}

Flow branchIndexed(Warp &warp, const Op &op, u32 mask) {
  const std::vector<int> &targets = op.aux->targets;
  const u32 *index = lanes<u32>(warp, op.a);
  u32 rest = warp.active & ~mask;
  bool first = true;
  for (u32 todo = mask; todo;) {
    u32 value = index[firstLane(todo)], same = 0;
    for (u32 left = todo; left; left &= left - 1)
      if (index[firstLane(left)] == value)
        same |= left & (0 - left);
    todo &= ~same;
    int target = value < targets.size() ? targets[value] : int(op.index) + 1; // out of range is undefined: fall through
    if (first) {
      warp.path().pc = target;
      warp.path().mask = same;
      first = false;
    } else {
      warp.paths.push_back({target, same});
    }
  }
  if (rest)
    warp.paths.push_back({int(op.index) + 1, rest});
  return Flow::Jump;
}

// When the last warp of a CTA leaves: what other CTAs did to its shared memory has to be known to its warps, or may come too late.
static void checkVisitors(Warp &warp, const Op &op) {
  Cta &cta = *warp.cta;
  cta.exited.join(warp.clocks);
  if (cta.liveThreads())
    return;
  for (Record visit : cta.visitors)
    if (visit && !covers(cta.exited.generic.at[visit.agent()], visit))
      reportWith(warp, op, -1, Kind::ClusterLifetime, visit.pc(),
                 "the CTA ends, and nothing orders that after the access by CTA rank %u at %s", visit.agent() / agentsPerCta,
                 cta.cluster->launch->reports.where(visit.pc()).c_str());
}

Flow exitLanes(Warp &warp, const Op &op, u32 mask) {
  finishBulkStores(warp, op, mask);
  checkWgmmaFinished(warp, op, mask);
  warp.live &= ~mask;
  Path &path = warp.path();
  path.mask &= ~mask;
  path.pc = int(op.index) + 1;
  ++warp.cta->cluster->progress;
  if (!warp.cta->visitors.empty() && !warp.live)
    checkVisitors(warp, op);
  releaseExpectedBarriers(*warp.cta); // who has left is not waited for
  tryClusterBarrier(*warp.cta->cluster);
  return Flow::Exit;
}

Flow trap(Warp &warp, const Op &op, u32 mask) {
  report(warp, op, firstLane(mask), Kind::Trap, "trap executed by lanes 0x%x", mask);
  warp.cta->cluster->aborted = true;
  return Flow::Abort;
}

Flow externalCall(Warp &warp, const Op &op, u32 mask) {
  report(warp, op, firstLane(mask), Kind::ExternalCall, "the call is left out");
  return Flow::Next;
}

} // namespace leat::sim
