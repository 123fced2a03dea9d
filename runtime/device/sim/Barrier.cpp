// Barriers of a warp, a CTA and a cluster.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

u32 Cta::liveThreads() const {
  u32 count = 0;
  for (const Warp &warp : warps)
    count += u32(__builtin_popcount(warp.live));
  return count;
}

Flow warpBarrier(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  u32 named = lanes<u32>(warp, op.a)[firstLane(mask)];
  if (!converged(warp, op, mask, named & warp.live, flow))
    return flow;
  synchroniseLanes(warp);
  return Flow::Next;
}

// Sends the waiting warps on, with the result of a reduction.
static void complete(Cta &cta, NamedBarrier &barrier, u32 id) {
  for (const NamedBarrier::Waiter &waiter : barrier.waiters) {
    Warp &warp = *waiter.warp;
    for (Path &path : warp.paths)
      if (path.state == PathState::AtBarrier && path.waitAddress == id && path.pc == int(waiter.op->index) + 1)
        path.state = PathState::Running;
    if (cta.cluster->checks)
      acquire(warp, barrier.pending);
    const Op &op = *waiter.op;
    if (op.mode == 2) {
      u32 *d = lanes<u32>(warp, op.d), population = barrier.population;
      forLanes(waiter.mask, [=](int l) { d[l] = population; });
    } else if (op.mode > 2) {
      setPredicate(warp, op.d, waiter.mask, (op.mode == 3 ? barrier.all : barrier.any) ? allLanes : 0);
    }
  }
  barrier.waiters.clear();
  barrier.pending.clear();
  barrier.arrived = barrier.expected = 0;
  barrier.open = false;
  cta.cluster->event();
}

static void tryComplete(Cta &cta, u32 id) {
  NamedBarrier &barrier = cta.barriers[id];
  if (!barrier.open)
    return;
  u32 expected = barrier.expected ? barrier.expected : cta.liveThreads();
  if (barrier.arrived < expected)
    return;
  if (barrier.expected && barrier.arrived > expected && !barrier.waiters.empty())
    report(*barrier.waiters[0].warp, *barrier.waiters[0].op, -1, Kind::BarrierCount, "barrier %u: %u threads arrived, its count is %u", id,
           barrier.arrived, expected);
  complete(cta, barrier, id);
}

void releaseExpectedBarriers(Cta &cta) {
  for (u32 id = 0; id < 16; ++id)
    if (cta.barriers[id].open && !cta.barriers[id].expected)
      tryComplete(cta, id);
}

// mode: 0 sync, 1 arrive, 2 popc, 3 and, 4 or
Flow ctaBarrier(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  Cta &cta = *warp.cta;
  if (op.aligned && !converged(warp, op, mask, warp.live, flow))
    return flow;
  int first = firstLane(mask);
  u32 id = lanes<u32>(warp, op.a)[first], count = op.b == noSlot ? 0 : lanes<u32>(warp, op.b)[first];
  if (id > 15) {
    report(warp, op, first, Kind::BarrierId, "barrier %u", id);
    return Flow::Next;
  }
  u32 wholeWarps = (cta.threads + 31) / 32 * 32;
  if (count % 32 || count > wholeWarps)
    report(warp, op, first, Kind::BarrierCount, "barrier %u: the count is %u in a CTA of %u threads", id, count, cta.threads);
  NamedBarrier &barrier = cta.barriers[id];
  if (!barrier.open) {
    barrier.open = true;
    barrier.expected = count;
    barrier.population = 0;
    barrier.any = false;
    barrier.all = true;
  } else if (barrier.expected != count) {
    reportWith(warp, op, first, Kind::BarrierCount, id, "barrier %u: the count is %u, another warp gave %u", id, count, barrier.expected);
  }
  barrier.arrived += op.aligned && count ? 32 : u32(__builtin_popcount(mask));
  if (cta.cluster->checks) {
    release(warp, op.aligned ? warp.live : mask, barrier.pending);
    if (op.mode != 1)
      warp.syncClock = warp.clock - 1;
  }
  if (op.mode >= 2) {
    u32 p = predicate(warp, op.c, op.negateA) & mask;
    barrier.population += u32(__builtin_popcount(p));
    barrier.any |= p != 0;
    barrier.all &= p == mask;
  }
  ++cta.cluster->progress;
  if (op.mode == 1) {
    if (count && barrier.arrived >= count && barrier.waiters.empty())
      report(warp, op, first, Kind::BarrierUnwaited, "barrier %u: %u threads arrived and nobody waits", id, barrier.arrived);
    tryComplete(cta, id);
    return Flow::Next;
  }
  Path &path = warp.path();
  path.pc = int(op.index) + 1;
  path.state = PathState::AtBarrier;
  path.waitAddress = id;
  barrier.waiters.push_back({&warp, &op, mask});
  tryComplete(cta, id);
  return warp.path().state == PathState::Running ? Flow::Jump : Flow::Block;
}

// The cluster's barrier: arrive and wait are separate, in turns. waitInfo of a waiting path is the phase to be left.
void tryClusterBarrier(Cluster &cluster) {
  ClusterBarrier &barrier = cluster.barrier;
  u32 live = 0;
  for (const auto &cta : cluster.ctas)
    live += cta->liveThreads();
  if (!barrier.arrived || barrier.arrived < live)
    return;
  barrier.arrived = 0;
  ++barrier.phase;
  std::swap(barrier.pending, barrier.completed);
  barrier.pending.clear();
  cluster.event();
}

Flow clusterArrive(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (op.aligned && !converged(warp, op, mask, warp.live, flow))
    return flow;
  Cluster &cluster = *warp.cta->cluster;
  for (u32 rest = mask; rest; rest &= rest - 1)
    if (warp.clusterPhase[firstLane(rest)] > cluster.barrier.phase) {
      report(warp, op, firstLane(rest), Kind::ClusterBarrier, "a second arrival without a wait between");
      return Flow::Next;
    }
  for (u32 rest = mask; rest; rest &= rest - 1)
    warp.clusterPhase[firstLane(rest)] = cluster.barrier.phase + 1;
  if (cluster.checks && op.order)
    release(warp, mask, cluster.barrier.pending);
  cluster.barrier.arrived += u32(__builtin_popcount(mask));
  ++cluster.progress;
  tryClusterBarrier(cluster);
  return Flow::Next;
}

Flow clusterWait(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (op.aligned && !converged(warp, op, mask, warp.live, flow))
    return flow;
  Cluster &cluster = *warp.cta->cluster;
  u32 target = warp.clusterPhase[firstLane(mask)];
  if (target <= cluster.barrier.phase) {
    if (target == 0)
      report(warp, op, firstLane(mask), Kind::ClusterBarrier, "a wait without an arrival");
    if (cluster.checks) {
      acquire(warp, cluster.barrier.completed);
      if (mask == warp.live)
        synchroniseLanes(warp);
    }
    return Flow::Next;
  }
  Path &path = warp.path();
  path.state = PathState::AtClusterBarrier;
  path.waitInfo = target;
  return Flow::Block;
}

} // namespace leat::sim
