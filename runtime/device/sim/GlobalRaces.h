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
public:
  explicit GlobalRaces(bool parallel) : parallel(parallel) {}

  // An instruction's accesses, before they take place.
  void access(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access);
  // One lane's access to a range: bulk copies.
  void accessRange(Warp &warp, const Op &op, int lane, u64 address, u64 bytes, bool write);
  void fence(Warp &warp, const Op &op, u32 mask);

private:
  struct Touch {
    Record record;
    u64 cluster = 0;
    explicit operator bool() const { return bool(record); }
  };
  struct Cell {
    Touch writer, strong, reader, otherReader;
  };
  static constexpr int pageLog2 = 12, granuleLog2 = 2;
  struct Page {
    std::mutex mutex;
    Cell cells[1 << (pageLog2 - granuleLog2)];
  };

  Page &pageOf(u64 address);
  void touch(Warp &warp, const Op &op, int lane, Cell &cell, u64 address, Access access, const u8 *value);
  bool ordered(Warp &warp, const Touch &earlier, u32 lane) const;
  void race(Warp &warp, const Op &op, int lane, u64 address, const Touch &earlier, const char *what, bool sameValue);
  void synchronise(Warp &warp, const Op &op, u32 mask, const u64 *addresses, Access access);

  bool parallel;
  std::mutex pagesMutex;
  std::unordered_map<u64, std::unique_ptr<Page>> pages;
  std::mutex orderMutex;
  std::unordered_map<u64, std::vector<Published>> releases; // by address of the strong access
};

} // namespace leat::sim

#endif
