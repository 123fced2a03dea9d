// How handlers see operands: arrays of 32 lanes.
#ifndef LEAT_RUNTIME_DEVICE_SIM_LANES_H
#define LEAT_RUNTIME_DEVICE_SIM_LANES_H

#include "runtime/device/sim/Machine.h"

#include <cstring>

#ifdef __clang__
#define LEAT_SIM_VECTORIZE _Pragma("clang loop vectorize(assume_safety)")
#else
#define LEAT_SIM_VECTORIZE
#endif

namespace leat::sim {

template <class T> static inline T *lanes(Warp &warp, u32 slot) { return reinterpret_cast<T *>(warp.base[slot & 1] + (slot & ~1u)); }

// f(lane) for the lanes of the mask; the full warp is a loop that vectorises.
template <class F> static inline void forLanes(u32 mask, F f) {
  if (mask == allLanes) {
    LEAT_SIM_VECTORIZE
    for (int lane = 0; lane < 32; ++lane)
      f(lane);
  } else {
    for (u32 rest = mask; rest; rest &= rest - 1)
      f(__builtin_ctz(rest));
  }
}

static inline int firstLane(u32 mask) { return __builtin_ctz(mask); }
static inline bool isSingle(u32 mask) { return (mask & (mask - 1)) == 0; }

// Predicates are 32 bits, one a lane.
static inline u32 predicate(Warp &warp, u32 slot, bool negated) { return *lanes<u32>(warp, slot) ^ (negated ? allLanes : 0); }
static inline void setPredicate(Warp &warp, u32 slot, u32 mask, u32 value) {
  u32 *p = lanes<u32>(warp, slot);
  *p = (*p & ~mask) | (value & mask);
}

static inline u64 laneValue(Warp &warp, u32 slot, int width, int lane) {
  switch (width) {
  case 8:
    return lanes<u64>(warp, slot)[lane];
  case 4:
    return lanes<u32>(warp, slot)[lane];
  case 2:
    return lanes<u16>(warp, slot)[lane];
  default:
    return *lanes<u32>(warp, slot) >> lane & 1;
  }
}
static inline u64 laneValue(Warp &warp, RegRef r, int lane) { return laneValue(warp, r.slot, r.width, lane); }
static inline u64 laneAddress(Warp &warp, const Address &a, int lane) {
  if (a.slot == noSlot)
    return u64(a.offset);
  u64 address = laneValue(warp, a.slot, a.width, lane) + u64(a.offset);
  return a.width == 4 ? u32(address) : address;
}

} // namespace leat::sim

#endif
