// Counts what memory instructions cost: 32-byte sectors of global memory, wavefronts of shared memory.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

// Shared memory serves 128 bytes at a time: 32 lanes of up to 4 bytes, 16 of 8, 8 of 16. Each such phase takes as many wavefronts as the
// busiest bank has different words.
void countShared(Warp &warp, const u32 *addresses, u32 mask, u32 bytes) {
  int lanesPerPhase = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  int words = bytes <= 4 ? 1 : int(std::min(bytes, 16u)) / 4;
  u32 phaseMask = lanesPerPhase == 32 ? allLanes : (1u << lanesPerPhase) - 1;
  Counters &counters = warp.cta->cluster->counters;
  ++counters.sharedRequests;
  for (int first = 0; first < 32; first += lanesPerPhase) {
    u32 active = mask >> first & phaseMask;
    if (!active)
      continue;
    ++counters.sharedIdealWavefronts;
    bool linear = active == phaseMask && bytes >= 4;
    for (int l = 1; l < lanesPerPhase && linear; ++l)
      linear = addresses[first + l] == addresses[first] + u32(l) * bytes;
    if (linear) {
      ++counters.sharedWavefronts;
      continue;
    }
    u32 word[32];
    u8 next[32], head[32], count[32] = {}, used = 0, most = 1;
    for (u32 rest = active; rest; rest &= rest - 1)
      for (int w = 0; w < words; ++w) {
        u32 value = (addresses[first + firstLane(rest)] >> 2) + u32(w), bank = value & 31;
        bool known = false;
        u8 at = count[bank] ? head[bank] : 0;
        for (u8 i = 0; i < count[bank] && !known; ++i, at = next[at])
          known = word[at] == value;
        if (known || used == 32)
          continue;
        word[used] = value;
        next[used] = head[bank];
        head[bank] = used++;
        most = std::max(most, ++count[bank]);
      }
    counters.sharedWavefronts += most;
  }
}

void countGlobal(Warp &warp, const u64 *addresses, u32 mask, u32 bytes, bool write) {
  u64 sectors[128];
  int count = 0;
  bool sorted = true;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    u64 address = addresses[firstLane(rest)];
    for (u64 sector = address >> 5; sector <= (address + bytes - 1) >> 5; ++sector) {
      if (count && sector == sectors[count - 1])
        continue;
      sorted &= !count || sector > sectors[count - 1];
      sectors[count++] = sector;
    }
  }
  if (!sorted) {
    std::sort(sectors, sectors + count);
    count = int(std::unique(sectors, sectors + count) - sectors);
  }
  Counters &c = warp.cta->cluster->counters;
  u64 asked = u64(__builtin_popcount(mask)) * bytes;
  ++(write ? c.globalStores : c.globalLoads);
  (write ? c.globalStoreBytes : c.globalLoadBytes) += asked;
  (write ? c.globalStoreSectors : c.globalLoadSectors) += u64(count);
}

void Counters::add(const Counters &o) {
  warpInstructions += o.warpInstructions, threadInstructions += o.threadInstructions;
  globalLoads += o.globalLoads, globalLoadBytes += o.globalLoadBytes, globalLoadSectors += o.globalLoadSectors;
  globalStores += o.globalStores, globalStoreBytes += o.globalStoreBytes, globalStoreSectors += o.globalStoreSectors;
  sharedRequests += o.sharedRequests, sharedWavefronts += o.sharedWavefronts, sharedIdealWavefronts += o.sharedIdealWavefronts;
  asyncCopyBytes += o.asyncCopyBytes, bulkBytes += o.bulkBytes, bulkSectors += o.bulkSectors;
  mma += o.mma, wgmma += o.wgmma, multiplyAdds += o.multiplyAdds;
}

} // namespace leat::sim
