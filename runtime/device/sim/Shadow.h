// Beside each granule of a CTA's shared memory: who wrote it last, who read it since, who used atomics on it, and whether an
// asynchronous reader is in flight. A granule is the kernel's smallest shared access, so neighbouring byte stores do not clash.
#ifndef LEAT_RUNTIME_DEVICE_SIM_SHADOW_H
#define LEAT_RUNTIME_DEVICE_SIM_SHADOW_H

#include "runtime/device/sim/HappensBefore.h"
#include "runtime/device/sim/Program.h"

#include <unordered_map>

namespace leat::sim {

struct Cta;
enum class Kind : u8;

class Shadow {
public:
  void reset(u32 bytes, int granuleLog2);

  // Accesses of one lane (or of everyLane, severalLanes) through the generic proxy. `value`: the bytes being stored, where they are known:
  // tells a race of equal values apart.
  void read(Warp &warp, const Op &op, u32 offset, u32 bytes, u32 lane);
  void write(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane, const u8 *value = nullptr);
  void atomic(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane);

  // Asynchronous writes: from issue to landing the granules are in flight.
  void asyncWriteIssue(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane, Record record);
  void asyncWriteDone(u32 offset, u32 bytes, Record record);
  // A tensor copy writes with this swizzle; who reads it as a tile has to use the same.
  void setSwizzle(Record copy, int bytes) { swizzles[copy.bits] = u8(bytes); }
  // Asynchronous reads, through the async proxy: checked at issue, a reader in flight until done. `swizzle`: of the tile; -1: plain bytes.
  void asyncReadCheck(Warp &warp, const Op &op, u32 offset, u32 bytes, int swizzle = -1);
  void asyncReadBegin(u32 offset, u32 bytes) { addAsyncReaders(offset, bytes, 1); }
  void asyncReadDone(u32 offset, u32 bytes, Record record);

  int granule() const { return 1 << log2; }

private:
  using Set = std::vector<Record>;
  u32 intern(Set &set);
  void race(Warp &warp, const Op &op, Kind kind, u32 granule, u32 lane, Record other);
  void unwritten(Warp &warp, const Op &op, u32 granule, u32 lane, const char *what);
  void checkAtomics(Warp &warp, const Op &op, Kind kind, u32 granule, u32 lane);
  void checkWrite(Warp &warp, const Op &op, const Cta &owner, u32 granule, u32 lane, const u8 *value);
  void addAsyncReaders(u32 offset, u32 bytes, int delta);

  int log2 = 2;
  std::vector<Record> writer;
  std::vector<u32> readers, atomics; // indices of sets
  std::vector<u8> readerLane;        // the lane of this warp that read last; severalLanes
  std::vector<u16> asyncReaders;     // for each 16 bytes
  std::vector<Set> sets;
  std::unordered_map<u64, std::vector<u32>> interned;
  std::unordered_map<u64, u8> swizzles; // of tensor copies

  // What was just found to be in order; valid for one warp between its synchronisations.
  struct {
    const Warp *warp = nullptr;
    u32 clock = 0, lane = 0;
    u64 events = 0;
    Record record{~u64(0)};
  } readCache, writeCache, asyncCache;
  u32 writeCacheSet = 0;
  struct {
    const Warp *warp = nullptr;
    u32 clock = 0, pc = 0, before = ~0u, after = 0;
  } readerCache;
};

} // namespace leat::sim

#endif
