// Vector clocks: what is ordered before what. Agents are the warps of a cluster, its warpgroups (as issuers of wgmma) and its mbarriers (as
// receivers of asynchronous copies). A clock entry is (clock << 6 | lane): up to this clock, and at this clock only that lane, or all.
#ifndef LEAT_RUNTIME_DEVICE_SIM_HAPPENSBEFORE_H
#define LEAT_RUNTIME_DEVICE_SIM_HAPPENSBEFORE_H

#include "runtime/device/sim/Types.h"

#include <algorithm>
#include <vector>

namespace leat::sim {

inline constexpr u32 agentsPerCta = 128, firstWarpgroupAgent = 32, firstMbarrierAgent = 40;
inline constexpr u32 everyLane = 63, severalLanes = 62;
inline constexpr u32 latestClock = (1 << 24) - 1;

// One access: who, when, by which instruction. Zero: none.
struct Record {
  u64 bits = 0;
  Record() = default;
  explicit Record(u64 bits) : bits(bits) {}
  Record(u32 pc, u32 clock, u32 agent, u32 lane, bool async = false)
      : bits(u64(pc) << 44 | u64(clock & latestClock) << 20 | u64(agent & 0xfff) << 8 | u64(lane) << 2 | u64(async) << 1) {}
  u32 pc() const { return u32(bits >> 44); }
  u32 clock() const { return u32(bits >> 20) & latestClock; }
  u32 agent() const { return u32(bits >> 8) & 0xfff; }
  u32 lane() const { return u32(bits >> 2) & 63; }
  bool async() const { return bits >> 1 & 1; } // through the asynchronous proxy
  bool inFlight() const { return bits & 1; }   // issued, not landed
  Record whileInFlight() const { return Record(bits | 1); }
  explicit operator bool() const { return bits != 0; }
  bool operator==(const Record &other) const { return bits == other.bits; }
};

struct VectorClock {
  std::vector<u32> at;
  void clear() { std::fill(at.begin(), at.end(), 0); }
  void join(const VectorClock &other) {
    u32 *to = at.data();
    const u32 *from = other.at.data();
    for (size_t i = 0, n = at.size(); i < n; ++i)
      to[i] = std::max(to[i], from[i]);
  }
};

inline bool covers(u32 entry, Record record) {
  u32 clock = entry >> 6, lane = entry & 63;
  return record.clock() < clock || (record.clock() == clock && (lane == everyLane || lane == record.lane() || record.lane() == everyLane));
}

// What an agent knows: of ordinary accesses, and of those that a proxy fence made visible to the asynchronous proxy.
struct Clocks {
  VectorClock generic, async;
  explicit Clocks(size_t agents = 0) { resize(agents); }
  void resize(size_t agents) {
    generic.at.assign(agents, 0);
    async.at.assign(agents, 0);
  }
  void clear() {
    generic.clear();
    async.clear();
  }
  void join(const Clocks &other) {
    generic.join(other.generic);
    async.join(other.async);
  }
};

} // namespace leat::sim

#endif
