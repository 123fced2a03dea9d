// Races on global memory, within a CTA and between the CTAs of a launch. Beside each 4 bytes: the last writer, the last strong access
// (atomic, volatile, relaxed), and the last readers of two clusters. Within a cluster order is what its vector clocks say. Between clusters
// it comes from a fence and a strong write on one side, and an atomic, or a strong read and a fence, on the other.
#ifndef LEAT_RUNTIME_DEVICE_SIM_GLOBALRACES_H
#define LEAT_RUNTIME_DEVICE_SIM_GLOBALRACES_H

#include "runtime/device/sim/HappensBefore.h"

#include <memory>
#include <mutex>
#include <unordered_map>

namespace leat::sim {

struct Warp;
struct Cluster;
struct Op;
enum class Access : u8;

// What a cluster published of its past: the clocks of the warp that released.
struct Published {
  u64 cluster;
  std::shared_ptr<const VectorClock> clocks;
};

// What a warp of this cluster has learned from others, and when.
struct Acquired {
  Record when;
  Published what;
};

// Of a warp: what its last fence published, for the strong write after it that makes it a release.
struct PendingRelease {
  std::shared_ptr<const VectorClock> clocks;
  u32 lanes = 0;
};

class GlobalRaces {
  friend class BranchRaces;

public:
  explicit GlobalRaces(bool parallel) : parallel(parallel), chunks(mostChunks) {}

  // An instruction's accesses, before they take place.
  void access(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access);
  // One lane's access to a range: bulk copies.
  void accessRange(Warp &warp, const Op &op, int lane, u64 address, u64 bytes, bool write);
  void fence(Warp &warp, const Op &op, u32 mask);

  static constexpr int pageLog2 = 12, granuleLog2 = 2;
  struct Page;

private:
  // An instruction of a warp between two of its synchronisations: what cells remember is its number and the lane.
  struct Event {
    u64 cluster;
    Record record; // of lane 0
    u32 bytes;     // of a lane's access
    bool writes;
  };
  using Touch = u32; // (number + 1) << 7 | the access's first byte in the granule << 5 | lane; 0: none
  static constexpr u32 chunkEvents = 4096, mostChunks = 8191;

public:
  struct Cell {
    Touch writer = 0, strong = 0, reader = 0, otherReader = 0;
  };

private:
  struct Walk; // an access while it goes from cell to cell

  Page &pageOf(Warp &warp, u64 number);
  u32 eventOf(Warp &warp, const Op &op, u32 bytes, bool writes);
  const Event &event(Touch touch) const { return chunks[((touch >> 7) - 1) / chunkEvents][((touch >> 7) - 1) % chunkEvents]; }
  // Neighbours of less than 4 bytes share a granule and nothing else.
  static bool overlap(u64 offset, u64 bytes, u64 otherOffset, u64 otherBytes) {
    return bytes >= 4 || otherBytes >= 4 || (offset < otherOffset + otherBytes && otherOffset < offset + bytes);
  }
  static u64 offsetOf(Touch touch) { return touch >> 5 & 3; }
  static u32 laneOf(Touch touch) { return touch & 31; }
  void touch(Walk &walk, Cell &cell, u64 address);
  bool ordered(Walk &walk, Touch earlier) const;
  bool clashes(Walk &walk, Touch earlier) const; // has common bytes, and no order
  void race(Walk &walk, u64 address, Touch earlier, const char *what);
  bool storesSameValue(const Walk &walk, u64 address) const;
  void synchronise(Warp &warp, const Op &op, u32 mask, const u64 *addresses, Access access);

  bool parallel;
  std::mutex pagesMutex;
  std::unordered_map<u64, std::unique_ptr<Page>> pages;
  std::mutex eventsMutex;
  std::vector<std::unique_ptr<Event[]>> chunks; // never resized: read without the lock
  u32 eventCount = 0;
  std::mutex orderMutex;
  std::unordered_map<u64, std::vector<Published>> releases; // by address of the strong access
};

struct GlobalRaces::Page {
  std::mutex mutex;
  Cell cells[1 << (pageLog2 - granuleLog2)];
};

// Of a warp: where it was last.
struct RaceCache {
  u64 pageNumber = ~u64(0);
  GlobalRaces::Page *page = nullptr;
  struct {
    u32 pc = ~0u, clock = 0, event = 0;
  } events[16];
};

} // namespace leat::sim

#endif
