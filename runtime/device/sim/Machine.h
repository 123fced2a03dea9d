// The state of a running launch: warps with their paths, CTAs with their shared memory and barriers, clusters of CTAs. A cluster is what
// one host thread runs at a time.
#ifndef LEAT_RUNTIME_DEVICE_SIM_MACHINE_H
#define LEAT_RUNTIME_DEVICE_SIM_MACHINE_H

#include "runtime/device/sim/GlobalRaces.h"
#include "runtime/device/sim/LaneHandlers.h"
#include "runtime/device/sim/MemoryMap.h"
#include "runtime/device/sim/Reports.h"
#include "runtime/device/sim/Shadow.h"

namespace leat::sim {

struct Cluster;

// Lanes of a warp that are at the same instruction. Paths with equal pc merge; the lowest pc runs first.
enum class PathState : u8 { Running, AtBarrier, AtMbarrier, AtConvergence, AtWgmma, AtClusterBarrier };
struct Path {
  int pc = 0;
  u32 mask = 0;
  PathState state = PathState::Running;
  u32 waitAddress = 0, waitInfo = 0; // barrier; events seen, lanes needed, operations to wait for
};

// cp.async of one instruction, not landed yet.
struct CopyEntry {
  const Op *op;
  u32 mask;
  u32 destination[32];
  u64 source[32];
  u32 sourceBytes[32];
  u64 serial; // in the order of issue
  u32 group = 0;
  bool committed = false;
};

// cp.async.bulk[.tensor] from shared to global memory.
struct BulkStore {
  const Op *op;
  int lane;
  u32 group = 0;
  bool committed = false, readDone = false;
  u32 shared;
  u64 global; // address, or of the tensor map
  u32 bytes;
  int rank = 0; // 0: no tensor
  i32 coordinates[5] = {};
  std::vector<u8> data;
};

struct Warp {
  u8 *base[2]; // registers, constants: indexed by the lowest bit of a slot
  Cta *cta = nullptr;
  const Program *program = nullptr;
  int id = 0;
  u32 agent = 0;
  u32 live = 0, active = 0;
  std::vector<Path> paths;
  int current = -1;
  u64 executed = 0;
  u32 quantum = 0;
  u64 polls = 0;
  u32 triedAt = ~0u, triedLanes = 0; // the try_wait that gave up last
  u8 *local = nullptr;
  int lastRegion = 0;

  // Order.
  Clocks clocks;
  u32 clock = 1, syncClock = 0; // now; when the lanes last synchronised

  // wgmma: by tracked register.
  u32 fenceEpoch = 1;
  std::vector<u32> writtenAt, readAt;                   // fence epoch of the last access by other instructions
  std::vector<u16> pendingAccumulator, pendingFragment; // uses by wgmma in flight

  PendingRelease pendingRelease; // on global memory
  RaceCache raceCache;

  std::vector<CopyEntry> copies;
  u64 copySerial = 0;
  u32 copyGroup[32] = {};
  std::vector<BulkStore> bulkStores;
  u32 bulkGroup[32] = {};

  u32 clusterPhase[32] = {}; // phase of the cluster's barrier that each lane waits to see completed

  Path &path() { return paths[current]; }
  void tick() { clock += clock < latestClock; }
};

struct NamedBarrier {
  struct Waiter {
    Warp *warp;
    const Op *op;
    u32 mask;
  };
  u32 arrived = 0, expected = 0; // threads; expected 0: all that live
  bool open = false;
  u32 population = 0;
  bool any = false, all = true;
  Clocks pending;
  std::vector<Waiter> waiters;
};

struct Mbarrier {
  u32 address;
  i64 expected, pending, transactions;
  u32 phase;
  bool valid;
  u32 agent;
  u32 sequence; // of copies that signal here
  Record init;
  Clocks arriving, completed;
};

// Copies into shared memory that signal an mbarrier, and arrivals that follow cp.async.
struct BulkCopy {
  enum Kind : u8 { Tensor, Linear, Arrive } kind;
  const Op *op;
  Warp *warp;
  int lane;
  Cta *target; // whose shared memory
  u32 destination, mbarrier;
  u64 source;
  u32 bytes;
  int rank = 0;
  i32 coordinates[5] = {};
  Record record;
  u32 sequence;       // Arrive: the clock of the arrival
  u64 copySerial = 0; // Arrive: the last cp.async before it
  bool copied = false;
  bool again = false; // memory was asked for it already: for another CTA of a multicast
};

struct WgmmaOp {
  const Op *op;
  u64 descriptorA, descriptorB;
  bool scaleD;
  u8 issued = 0; // by which warps of the group
  bool landed = false, reading = false;
};

struct Warpgroup {
  std::vector<WgmmaOp> ops;  // from `first` on
  std::vector<u32> groupEnd; // operations up to the end of each commit group
  u32 first = 0;
  u32 issued[4] = {}, committed[4] = {}, waited[4] = {};
  void clear() { *this = Warpgroup(); }
};

struct Cta {
  Cluster *cluster = nullptr;
  u32 rank = 0;
  Dim3 id = {0, 0, 0};
  u32 threads = 0;
  std::vector<u8> shared; // indexed by shared address; the first sharedStart bytes are nobody's
  u32 sharedEnd = sharedStart;
  Shadow shadow;
  std::vector<Warp> warps;
  NamedBarrier barriers[16];
  std::deque<Mbarrier> mbarriers;
  std::vector<Warpgroup> warpgroups;
  std::vector<u8> registers, local;
  Clocks exited;                // what the warps that have exited knew
  std::vector<Record> visitors; // the last access of other CTAs' warps, by agent
  u32 liveThreads() const;
  Mbarrier *mbarrier(u32 address) {
    for (Mbarrier &barrier : mbarriers)
      if (barrier.address == address && barrier.valid)
        return &barrier;
    return nullptr;
  }
};

struct Launch {
  const Program &program;
  const Options &options;
  MemoryMap &memory;
  ReportSink &reports;
  GlobalRaces *races; // null: not checked
  Dim3 grid, block, cluster;
  u32 dynamicShared, sharedEnd;
  const u8 *parameters; // kept in registered memory: kernels may take their address
  u8 *constants;
  bool parallel;
  std::atomic<u64> finishedInstructions{0};
  std::mutex locks[64];

  u64 spent(const Cluster &cluster) const;

  // Holds off other host threads from an atomic at this address.
  std::unique_lock<std::mutex> lockAddress(const void *address) {
    return parallel ? std::unique_lock(locks[reinterpret_cast<uintptr_t>(address) >> 4 & 63]) : std::unique_lock<std::mutex>();
  }
};

struct ClusterBarrier {
  u32 arrived = 0, phase = 0;
  Clocks pending, completed;
};

struct Cluster {
  Launch *launch = nullptr;
  u64 index = 0; // of this cluster in the grid
  std::vector<std::unique_ptr<Cta>> ctas;
  std::vector<BulkCopy> copies;
  ClusterBarrier barrier;
  // From other clusters, by global memory: what strong reads saw, and what a fence after them (or .acquire) made sure of.
  std::vector<Acquired> seen, acquired;
  u64 events = 1;   // counts what may let a waiter go on
  u64 progress = 1; // counts everything that a spinning warp could be waiting for
  u64 random = 1;
  bool aborted = false;
  bool checks = false, counting = false;
  Counters counters;
  std::unique_ptr<WgmmaTile> tile;

  void event() {
    ++events;
    ++progress;
  }
  u64 draw() {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  }
  bool landLate() {
    Landing landing = launch->options.landing;
    return landing == Landing::Late || (landing == Landing::Random && (draw() >> 17 & 1));
  }
  bool multiple() const { return ctas.size() > 1; }
};

// Which CTA of the grid has this rank in a cluster.
inline Dim3 ctaOf(const Dim3 &grid, const Dim3 &cluster, u64 index, u32 rank) {
  u64 across = grid.x / cluster.x, down = grid.y / cluster.y;
  return {u32(index % across) * cluster.x + rank % cluster.x, u32(index / across % down) * cluster.y + rank / cluster.x % cluster.y,
          u32(index / across / down) * cluster.z + rank / cluster.x / cluster.y};
}

inline u64 Launch::spent(const Cluster &cluster) const {
  return finishedInstructions.load(std::memory_order_relaxed) + cluster.counters.warpInstructions;
}

enum class ClusterState { Finished, Aborted, Waiting };

// Cluster.cpp: memory for clusters of this launch, kept from one to the next; one cluster from its first instruction to its last.
void prepareCluster(Cluster &cluster, Launch &launch);
void startCluster(Cluster &cluster, u64 index);
// Until it is done, or (mayWait) polls for what only another cluster can do.
ClusterState continueCluster(Cluster &cluster, bool mayWait);
// Scheduler.cpp.
ClusterState scheduleCluster(Cluster &cluster, bool mayWait);
// Grid.cpp: all clusters; false when the launch was stopped.
bool runGrid(Launch &launch, u64 clusters, int threads, Counters &counters);

} // namespace leat::sim

#endif
