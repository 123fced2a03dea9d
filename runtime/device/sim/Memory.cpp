// ld, st, ld.param, and questions about addresses.
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static Flow next(const Warp &warp) { return warp.cta->cluster->aborted ? Flow::Abort : Flow::Next; }

// Extends a value read from memory to the width of its register.
static u64 extend(u64 value, const Op &op) {
  if (!op.signExtend)
    return value;
  return op.size == 1 ? u64(i64(i8(value))) : op.size == 2 ? u64(i64(i16(value))) : op.size == 4 ? u64(i64(i32(value))) : value;
}

template <class T> static void loadElements(Warp &warp, u32 slot, u32 mask, u8 *const *from, int offset) {
  T *d = lanes<T>(warp, slot);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    std::memcpy(d + l, from[l] + offset, sizeof(T));
  }
}

template <class T> static void storeElements(Warp &warp, u32 slot, u32 mask, u8 *const *to, int offset) {
  const T *s = lanes<T>(warp, slot);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    std::memcpy(to[l] + offset, s + l, sizeof(T));
  }
}

Flow load(Warp &warp, const Op &op, u32 mask) {
  u8 *from[32];
  int size = op.size;
  u32 ok = resolveLanes(warp, op, mask, u32(size) * op.count, Access::Read, from);
  if (op.relaxed && ++warp.polls % 64 == 0)
    warp.quantum = 0; // perhaps a loop that waits for others: give them a turn
  for (int i = 0; i < op.count; ++i) {
    RegRef to = op.aux->d[i];
    int offset = size * i;
    if (!to.width)
      continue;
    if (to.width == size && size == 4) {
      loadElements<u32>(warp, to.slot, ok, from, offset);
    } else if (to.width == size && size == 8) {
      loadElements<u64>(warp, to.slot, ok, from, offset);
    } else if (to.width == size && size == 2) {
      loadElements<u16>(warp, to.slot, ok, from, offset);
    } else if (size == 16) {
      loadElements<unsigned __int128>(warp, to.slot, ok, from, offset);
    } else {
      u8 *d = lanes<u8>(warp, to.slot);
      for (u32 rest = ok; rest; rest &= rest - 1) {
        int l = firstLane(rest);
        u64 value = 0;
        std::memcpy(&value, from[l] + offset, size);
        value = extend(value, op);
        std::memcpy(d + l * to.width, &value, to.width);
      }
    }
  }
  return next(warp);
}

// Lanes that stored to one address: whose value stays is undefined, so the values have to agree.
static void checkCollisions(Warp &warp, const Op &op, u32 ok, u8 *const *to, const RegRef &from, int offset) {
  const u8 *s = lanes<u8>(warp, from.slot);
  for (u32 rest = ok; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    if (std::memcmp(to[l] + offset, s + l * from.width, op.size) == 0)
      continue;
    report(warp, op, l, Kind::SharedStoreCollision, "another lane stored a different value to the same address");
    return;
  }
}

Flow store(Warp &warp, const Op &op, u32 mask) {
  u8 *to[32];
  int size = op.size;
  Cluster &cluster = *warp.cta->cluster;
  u32 ok = resolveLanes(warp, op, mask, u32(size) * op.count, Access::Write, to);
  cluster.progress += op.space != Space::Local;
  for (int i = 0; i < op.count; ++i) {
    const RegRef &from = op.aux->a[i];
    int offset = size * i;
    if (from.width == size && size == 4) {
      storeElements<u32>(warp, from.slot, ok, to, offset);
    } else if (from.width == size && size == 8) {
      storeElements<u64>(warp, from.slot, ok, to, offset);
    } else if (from.width == size && size == 2) {
      storeElements<u16>(warp, from.slot, ok, to, offset);
    } else {
      const u8 *s = lanes<u8>(warp, from.slot);
      for (u32 rest = ok; rest; rest &= rest - 1) {
        int l = firstLane(rest);
        std::memcpy(to[l] + offset, s + l * from.width, size);
      }
    }
    if (cluster.checks && op.space == Space::Shared)
      checkCollisions(warp, op, ok, to, from, offset);
  }
  return next(warp);
}

Flow loadParameter(Warp &warp, const Op &op, u32 mask) {
  const u8 *from = warp.cta->cluster->launch->parameters + op.immediate;
  for (int i = 0; i < op.count; ++i) {
    RegRef to = op.aux->d[i];
    if (!to.width)
      continue;
    u8 *d = lanes<u8>(warp, to.slot);
    unsigned __int128 value = 0;
    std::memcpy(&value, from + op.size * i, op.size);
    if (op.size <= 8)
      value = extend(u64(value), op);
    for (u32 rest = mask; rest; rest &= rest - 1)
      std::memcpy(d + firstLane(rest) * to.width, &value, to.width);
  }
  return Flow::Next;
}

// mapa: the address in another CTA of the cluster of what is at this address here. mode 1, getctarank: which CTA an address is in.
Flow mapAddress(Warp &warp, const Op &op, u32 mask) {
  u64 offsetMask = (u64(1) << clusterRankShift) - 1;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u64 address = laneValue(warp, op.a, op.width, l), window = address & ~((u64(1) << 56) - 1);
    if (op.mode == 1) {
      u64 rank = (address & ~window) >> clusterRankShift;
      lanes<u32>(warp, op.d)[l] = rank ? u32(rank) - 1 : warp.cta->rank;
      continue;
    }
    u32 rank = u32(laneValue(warp, op.b, 4, l));
    if (rank >= warp.cta->cluster->ctas.size())
      report(warp, op, l, Kind::SharedBounds, "CTA rank %u in a cluster of %zu", rank, warp.cta->cluster->ctas.size());
    u64 mapped = window | u64(rank + 1) << clusterRankShift | (address & offsetMask);
    if (op.width == 8)
      lanes<u64>(warp, op.d)[l] = mapped;
    else
      lanes<u32>(warp, op.d)[l] = u32(mapped);
  }
  return next(warp);
}

Flow isSpace(Warp &warp, const Op &op, u32 mask) {
  const u64 *a = lanes<u64>(warp, op.a);
  u32 yes = 0;
  for (int l = 0; l < 32; ++l) {
    u64 window = a[l] >> 56;
    bool in = op.space == Space::Shared  ? window == sharedWindow >> 56
              : op.space == Space::Local ? window == localWindow >> 56
                                         : window == 0;
    yes |= u32(in) << l;
  }
  setPredicate(warp, op.d, mask, yes);
  return Flow::Next;
}

} // namespace leat::sim
