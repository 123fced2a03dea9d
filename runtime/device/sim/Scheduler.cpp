// Runs the warps of a cluster in turns, each until it blocks or its quantum is over. When none can run, asynchronous work lands, one piece
// at a time; when there is none either, the cluster hangs, and who waits for what is reported.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

using rt::formatText;

static constexpr u32 quantum = 4000;   // instructions
static constexpr u64 idleRounds = 8;   // without progress before asynchronous work lands although warps still run
static constexpr u64 waitRounds = 20;  // without progress before other clusters get a chance
static constexpr u64 spinRounds = 400; // without progress before polling warps are given up

static bool mayMerge(PathState s) { return s == PathState::Running || s == PathState::AtConvergence || s == PathState::AtMbarrier; }

// Merges paths at the same pc and picks the running one with the lowest.
static bool selectPath(Warp &warp) {
  std::vector<Path> &paths = warp.paths;
  if (paths.size() == 1) {
    Path &path = paths[0];
    if (path.state == PathState::AtConvergence && !(path.waitInfo & warp.live & ~path.mask))
      path.state = PathState::Running;
    warp.current = 0;
    return path.mask && path.state == PathState::Running;
  }
  std::erase_if(paths, [](const Path &path) { return !path.mask; });
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].state == PathState::AtConvergence && !(paths[i].waitInfo & warp.live & ~paths[i].mask))
      paths[i].state = PathState::Running;
    for (size_t j = i + 1; j < paths.size();)
      if (paths[j].pc == paths[i].pc && mayMerge(paths[i].state) && mayMerge(paths[j].state)) {
        paths[i].mask |= paths[j].mask;
        paths[i].state = PathState::Running;
        paths.erase(paths.begin() + j);
      } else {
        ++j;
      }
  }
  warp.current = -1;
  for (size_t i = 0; i < paths.size(); ++i)
    if (paths[i].state == PathState::Running && (warp.current < 0 || paths[i].pc < paths[warp.current].pc))
      warp.current = int(i);
  return warp.current >= 0;
}

// Lets paths go on whose condition may have changed; is there one that runs?
static bool canRun(Warp &warp) {
  const Cluster &cluster = *warp.cta->cluster;
  bool runs = false;
  for (Path &path : warp.paths) {
    if (!path.mask)
      continue;
    if ((path.state == PathState::AtMbarrier && u32(cluster.events) != path.waitInfo) ||
        (path.state == PathState::AtClusterBarrier && cluster.barrier.phase >= path.waitInfo) ||
        (path.state == PathState::AtWgmma && wgmmaReady(warp, path.waitInfo)))
      path.state = PathState::Running;
    runs |= path.state == PathState::Running || (path.state == PathState::AtConvergence && !(path.waitInfo & warp.live & ~path.mask));
  }
  return runs;
}

static void runWarp(Warp &warp) {
  Cluster &cluster = *warp.cta->cluster;
  const Op *code = warp.program->code.data();
  warp.quantum = quantum;
  while (selectPath(warp)) {
    int pc = warp.path().pc;
    u32 active = warp.active = warp.path().mask, executed = 0;
    bool single = warp.paths.size() == 1;
    Flow flow;
    for (;;) {
      const Op &op = code[pc];
      u32 mask = active;
      ++executed;
      if (op.guard != noSlot) {
        u32 p = *lanes<u32>(warp, op.guard);
        mask &= op.guardNegated ? ~p : p;
        if (!mask) {
          ++pc;
          continue;
        }
      }
      flow = op.run(warp, op, mask);
      if (flow == Flow::Next) {
        ++pc;
        continue;
      }
      if (flow == Flow::Leader) { // a label: other paths may join here, and time may be over
        ++pc;
        if (single && executed < warp.quantum)
          continue;
        warp.path().pc = pc;
      } else if (flow == Flow::Jump) {
        if (single && warp.paths.size() == 1 && executed < warp.quantum) {
          pc = warp.paths[0].pc;
          active = warp.active = warp.paths[0].mask;
          continue;
        }
      } else if (flow == Flow::Block && warp.path().state != PathState::AtBarrier) {
        warp.path().pc = pc; // the instruction is tried again
      }
      break;
    }
    warp.executed += executed;
    cluster.counters.warpInstructions += executed;
    cluster.counters.threadInstructions += u64(executed) * u32(__builtin_popcount(active));
    if (flow == Flow::Abort || cluster.aborted) {
      cluster.aborted = true;
      return;
    }
    if (executed >= warp.quantum)
      return;
    warp.quantum -= executed;
  }
}

// What the warps of a hanging cluster wait for.
static std::string describeWaiters(Cluster &cluster) {
  std::string text;
  const ReportSink &sink = cluster.launch->reports;
  for (const auto &cta : cluster.ctas)
    for (const Warp &warp : cta->warps)
      for (const Path &path : warp.paths) {
        if (!path.mask || !warp.live)
          continue;
        if (cluster.multiple())
          text += formatText("\n    CTA rank %u", cta->rank);
        text += formatText("%swarp %d lanes 0x%x ", cluster.multiple() ? " " : "\n    ", warp.id, path.mask);
        switch (path.state) {
        case PathState::Running:
          text += "spin";
          break;
        case PathState::AtBarrier: {
          const NamedBarrier &barrier = cta->barriers[path.waitAddress];
          text += formatText("wait at barrier %u (%u of %u threads arrived)", path.waitAddress, barrier.arrived,
                             barrier.expected ? barrier.expected : cta->liveThreads());
          break;
        }
        case PathState::AtMbarrier:
          text += formatText("wait on the mbarrier at 0x%x", path.waitAddress);
          if (const Mbarrier *barrier = cta->mbarrier(path.waitAddress))
            text += formatText(" (phase %u, %lld of %lld arrivals missing, %lld bytes missing)", barrier->phase,
                               (long long)barrier->pending, (long long)barrier->expected, (long long)barrier->transactions);
          break;
        case PathState::AtConvergence:
          text += formatText("wait for lanes 0x%x of their warp", path.waitInfo & warp.live & ~path.mask);
          break;
        case PathState::AtWgmma:
          text += "wait for a wgmma that the other warps of the warpgroup have not issued";
          break;
        case PathState::AtClusterBarrier:
          text += formatText("wait at the cluster's barrier (%u threads arrived)", cluster.barrier.arrived);
          break;
        }
        text += " at " + sink.where(u32(path.state == PathState::AtBarrier ? path.pc - 1 : path.pc));
      }
  return text;
}

static void hang(Cluster &cluster, Kind kind, const char *what) {
  Warp *first = nullptr;
  const Op *op = nullptr;
  for (const auto &cta : cluster.ctas)
    for (Warp &warp : cta->warps)
      for (const Path &path : warp.paths)
        if (!first && warp.live && path.mask) {
          first = &warp;
          op = &warp.program->code[path.state == PathState::AtBarrier ? path.pc - 1 : path.pc];
        }
  cluster.launch->reports.add(first ? placeOf(*first, -1) : Place(), op, kind, 0, what + describeWaiters(cluster));
  cluster.aborted = true;
}

// bar.warp.sync reached at different places by the lanes of a warp: they meet although they are not at one pc.
static bool joinWarpBarriers(Cluster &cluster) {
  bool joined = false;
  for (const auto &cta : cluster.ctas)
    for (Warp &warp : cta->warps) {
      u32 here = 0, needed = 0;
      auto atWarpBarrier = [&](const Path &path) {
        return path.mask && path.state == PathState::AtConvergence && warp.program->code[path.pc].run == warpBarrier;
      };
      for (const Path &path : warp.paths)
        if (atWarpBarrier(path)) {
          here |= path.mask;
          needed |= path.waitInfo;
        }
      if (!needed || (needed & warp.live & ~here))
        continue;
      for (Path &path : warp.paths)
        if (atWarpBarrier(path)) {
          ++path.pc;
          path.state = PathState::Running;
        }
      synchroniseLanes(warp);
      joined = true;
    }
  return joined;
}

// One turn of every warp. alive: some have not exited; ran: some could run; polled: all that ran did nothing but poll.
struct Turn {
  bool alive = false, ran = false;
  u64 polls = 0;
};
static Turn takeTurns(Cluster &cluster, std::vector<Warp *> &order) {
  Turn turn;
  if (cluster.launch->options.randomSchedule)
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[cluster.draw() % i]);
  for (Warp *warp : order) {
    if (!warp->live)
      continue;
    turn.alive = true;
    if (!canRun(*warp))
      continue;
    u64 polls = warp->polls;
    runWarp(*warp);
    turn.ran = true;
    turn.polls += warp->polls - polls;
    if (cluster.aborted)
      break;
  }
  return turn;
}

ClusterState scheduleCluster(Cluster &cluster, bool mayWait) {
  std::vector<Warp *> order;
  for (const auto &cta : cluster.ctas)
    for (Warp &warp : cta->warps)
      order.push_back(&warp);
  u64 idle = 0, polled = 0;
  const u64 budget = cluster.launch->options.instructionBudget;
  while (!cluster.aborted) {
    u64 before = cluster.progress;
    Turn turn = takeTurns(cluster, order);
    if (cluster.aborted || cluster.launch->reports.stopped())
      break;
    if (!turn.alive)
      return ClusterState::Finished;
    if (!turn.ran) {
      if (!landOne(cluster) && !joinWarpBarriers(cluster))
        hang(cluster, Kind::Deadlock, "no warp can go on:");
      continue;
    }
    if (cluster.launch->spent(cluster) > budget) {
      hang(cluster, Kind::Budget, formatText("more than %llu warp instructions were executed; now:", (unsigned long long)budget).c_str());
      break;
    }
    if (cluster.progress != before) {
      idle = polled = 0;
      continue;
    }
    polled += turn.polls;
    if (++idle > idleRounds && landOne(cluster))
      idle = polled = 0;
    else if (mayWait && idle > waitRounds && polled > waitRounds)
      return ClusterState::Waiting;
    else if (idle > spinRounds && polled > spinRounds)
      hang(cluster, Kind::Livelock, "warps poll for what nothing will change:");
  }
  cluster.aborted = true;
  return ClusterState::Aborted;
}

} // namespace leat::sim
