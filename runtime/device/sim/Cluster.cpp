// A cluster of CTAs: memory, initial state, special registers, and what has to be true at the end.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

void prepareCluster(Cluster &cluster, Launch &launch) {
  const Program &program = launch.program;
  cluster.launch = &launch;
  cluster.checks = launch.options.checks;
  cluster.counting = launch.options.counters;
  u32 threads = u32(launch.block.count()), warps = (threads + 31) / 32;
  size_t agents = cluster.checks ? launch.cluster.count() * agentsPerCta : 0;
  for (u32 rank = 0; rank < launch.cluster.count(); ++rank) {
    cluster.ctas.push_back(std::make_unique<Cta>());
    Cta &cta = *cluster.ctas.back();
    cta.cluster = &cluster;
    cta.rank = rank;
    cta.threads = threads;
    cta.sharedEnd = launch.sharedEnd;
    cta.registers.resize(size_t(warps) * program.registerBytes + 64);
    cta.local.resize(size_t(warps) * 32 * program.localBytes);
    cta.warps.resize(warps);
    if (program.usesWgmma)
      cta.warpgroups.resize((warps + 3) / 4);
    for (NamedBarrier &barrier : cta.barriers)
      barrier.pending.resize(agents);
    if (launch.cluster.count() > 1 && cluster.checks) {
      cta.exited.resize(agents);
      cta.visitors.resize(agents);
    }
    u8 *registers = cta.registers.data() + (64 - reinterpret_cast<uintptr_t>(cta.registers.data()) % 64) % 64;
    for (u32 i = 0; i < warps; ++i) {
      Warp &warp = cta.warps[i];
      warp.base[0] = registers + size_t(i) * program.registerBytes;
      warp.base[1] = launch.constants;
      warp.cta = &cta;
      warp.program = &program;
      warp.id = int(i);
      warp.agent = rank * agentsPerCta + i;
      warp.local = cta.local.data() + size_t(i) * 32 * program.localBytes;
      warp.clocks.resize(agents);
    }
  }
  cluster.barrier.pending.resize(agents);
  cluster.barrier.completed.resize(agents);
}

static u32 component(const Dim3 &d, int axis) { return axis == 0 ? d.x : axis == 1 ? d.y : d.z; }

static u32 specialValue(const Warp &warp, Special special, u32 lane) {
  const Cta &cta = *warp.cta;
  const Launch &launch = *cta.cluster->launch;
  u32 thread = u32(warp.id) * 32 + lane;
  auto axis = [&](Special first) { return int(special) - int(first); };
  auto in = [&](Special first) { return special >= first && int(special) < int(first) + 3; };
  const Dim3 &block = launch.block, &grid = launch.grid, &cluster = launch.cluster;
  if (in(Special::TidX)) {
    Dim3 tid = {thread % block.x, thread / block.x % block.y, thread / block.x / block.y};
    return component(tid, axis(Special::TidX));
  }
  if (in(Special::NtidX))
    return component(block, axis(Special::NtidX));
  if (in(Special::CtaidX))
    return component(cta.id, axis(Special::CtaidX));
  if (in(Special::NctaidX))
    return component(grid, axis(Special::NctaidX));
  if (in(Special::ClusterIdX))
    return component(cta.id, axis(Special::ClusterIdX)) / component(cluster, axis(Special::ClusterIdX));
  if (in(Special::NclusterIdX))
    return component(grid, axis(Special::NclusterIdX)) / component(cluster, axis(Special::NclusterIdX));
  if (in(Special::ClusterCtaidX))
    return component(cta.id, axis(Special::ClusterCtaidX)) % component(cluster, axis(Special::ClusterCtaidX));
  if (in(Special::ClusterNctaidX))
    return component(cluster, axis(Special::ClusterNctaidX));
  switch (special) {
  case Special::Lane:
    return lane;
  case Special::Warp:
    return u32(warp.id);
  case Special::Warps:
    return u32(cta.warps.size());
  case Special::Smid:
    return u32(cta.cluster->index % 132);
  case Special::Nsmid:
    return 132;
  case Special::LanemaskEq:
    return 1u << lane;
  case Special::LanemaskLt:
    return (1u << lane) - 1;
  case Special::LanemaskLe:
    return allLanes >> (31 - lane);
  case Special::LanemaskGt:
    return ~(allLanes >> (31 - lane));
  case Special::LanemaskGe:
    return ~((1u << lane) - 1);
  case Special::DynamicShared:
    return launch.dynamicShared;
  case Special::TotalShared:
    return launch.sharedEnd - sharedStart;
  case Special::ClusterCtarank:
    return cta.rank;
  case Special::ClusterNctarank:
    return u32(cluster.count());
  default:
    return 0;
  }
}

static void resetWarp(Warp &warp) {
  const Program &program = *warp.program;
  Cta &cta = *warp.cta;
  std::memset(warp.base[0], 0xff, program.registerBytes); // what nothing wrote is NaN
  u32 lanesHere = std::min(32u, cta.threads - u32(warp.id) * 32);
  warp.live = lanesHere == 32 ? allLanes : (1u << lanesHere) - 1;
  warp.paths.assign(1, Path{0, warp.live});
  warp.current = 0;
  warp.executed = warp.polls = 0;
  warp.triedAt = ~0u;
  warp.clocks.clear();
  warp.clock = 1;
  warp.syncClock = 0;
  warp.fenceEpoch = 1;
  warp.writtenAt.assign(program.trackedRegisters, 0);
  warp.readAt.assign(program.trackedRegisters, 0);
  warp.pendingAccumulator.assign(program.trackedRegisters, 0);
  warp.pendingFragment.assign(program.trackedRegisters, 0);
  warp.pendingRelease = {};
  warp.raceCache = {};
  warp.copies.clear();
  warp.bulkStores.clear();
  std::fill_n(warp.copyGroup, 32, 0);
  std::fill_n(warp.bulkGroup, 32, 0);
  std::fill_n(warp.clusterPhase, 32, 0);
  for (auto [special, slot] : program.specials) {
    u32 *d = lanes<u32>(warp, slot);
    for (u32 lane = 0; lane < 32; ++lane)
      d[lane] = specialValue(warp, special, lane);
  }
}

static void resetCta(Cta &cta) {
  const Launch &launch = *cta.cluster->launch;
  cta.shared.assign(cta.sharedEnd + 128, 0xff); // a swizzle of a tile that is not aligned may leave it by 112 bytes
  if (cta.cluster->checks)
    cta.shadow.reset(cta.sharedEnd, launch.program.granuleLog2);
  std::fill(cta.local.begin(), cta.local.end(), 0xff);
  for (NamedBarrier &barrier : cta.barriers) {
    barrier.open = false;
    barrier.arrived = barrier.expected = 0;
    barrier.waiters.clear();
    barrier.pending.clear();
  }
  cta.mbarriers.clear();
  cta.exited.clear();
  std::fill(cta.visitors.begin(), cta.visitors.end(), Record());
  for (Warpgroup &group : cta.warpgroups)
    group.clear();
  for (Warp &warp : cta.warps)
    resetWarp(warp);
}

void startCluster(Cluster &cluster, u64 index) {
  Launch &launch = *cluster.launch;
  cluster.index = index;
  cluster.copies.clear();
  cluster.seen.clear();
  cluster.acquired.clear();
  cluster.events = cluster.progress = 1;
  cluster.random = (launch.options.seed + 1) * 0x9e3779b97f4a7c15ull ^ (index + 1) * 0xbf58476d1ce4e5b9ull;
  cluster.aborted = false;
  cluster.counters = Counters();
  cluster.barrier.arrived = cluster.barrier.phase = 0;
  cluster.barrier.pending.clear();
  cluster.barrier.completed.clear();
  for (auto &cta : cluster.ctas) {
    cta->id = ctaOf(launch.grid, launch.cluster, index, cta->rank);
    resetCta(*cta);
  }
}

ClusterState continueCluster(Cluster &cluster, bool mayWait) {
  ClusterState state = scheduleCluster(cluster, mayWait);
  if (state == ClusterState::Waiting)
    return state;
  if (state == ClusterState::Finished) {
    for (const BulkCopy &copy : cluster.copies)
      report(*copy.warp, *copy.op, copy.lane, Kind::CopyOutstanding, "%u bytes are still on their way to shared 0x%x", copy.bytes,
             copy.destination);
    landAll(cluster);
    for (auto &cta : cluster.ctas)
      for (Warp &warp : cta->warps)
        landCopies(warp, allLanes, 0, true, warp.clock);
  }
  cluster.launch->finishedInstructions += cluster.counters.warpInstructions;
  return state;
}

} // namespace leat::sim
