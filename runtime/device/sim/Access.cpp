// From lanes' addresses to host memory.
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

// Another CTA's shared memory may be used once that CTA is known to have started, and until it ends.
void checkStarted(Warp &warp, const Op &op, int lane, const Cta &cta) {
  if (cta.liveThreads() == 0)
    report(warp, op, lane, Kind::ClusterLifetime, "CTA rank %u has ended", cta.rank);
  auto first = warp.clocks.generic.at.begin() + cta.rank * agentsPerCta;
  if (std::all_of(first, first + agentsPerCta, [](u32 entry) { return entry == 0; }))
    report(warp, op, lane, Kind::ClusterLifetime, "nothing says that CTA rank %u has started", cta.rank);
}

SharedPlace sharedPlace(Warp &warp, const Op &op, u64 address, u32 bytes, u32 alignment, int lane, const char *what) {
  if (address >> 56 == sharedWindow >> 56)
    address &= ~sharedWindow;
  u64 rank = address >> clusterRankShift;
  Cta *cta = warp.cta;
  const Cluster &cluster = *warp.cta->cluster;
  if (rank)
    cta = rank <= cluster.ctas.size() ? cluster.ctas[rank - 1].get() : nullptr;
  u32 offset = u32(address) & ((1u << clusterRankShift) - 1);
  if (!cta || offset < sharedStart || offset > cta->sharedEnd || bytes > cta->sharedEnd - offset) {
    report(warp, op, lane, Kind::SharedBounds, "%s of %u bytes at shared 0x%llx; the CTA has [0x%x, 0x%x)", what, bytes,
           (unsigned long long)address, sharedStart, warp.cta->sharedEnd);
    return {};
  }
  if (offset & (alignment - 1)) {
    report(warp, op, lane, Kind::Misaligned, "%s at shared 0x%llx, which is not a multiple of %u", what, (unsigned long long)address,
           alignment);
    return {};
  }
  if (cta != warp.cta && cluster.checks) {
    checkStarted(warp, op, lane, *cta);
    cta->visitors[warp.agent] = Record(op.index, warp.clock, warp.agent, u32(lane));
  }
  return {cta, offset};
}

u32 laneSharedAddress(Warp &warp, const Address &address, int lane) {
  u64 a = laneAddress(warp, address, lane);
  return u32(a >> 56 == sharedWindow >> 56 ? a & ~sharedWindow : a);
}

u8 *globalPlace(Warp &warp, const Op &op, u64 address, u64 bytes, int lane, bool write) {
  MemoryMap &memory = warp.cta->cluster->launch->memory;
  int index = warp.lastRegion;
  if (index >= memory.size() || index < 0 || !memory[index].contains(address, bytes)) {
    index = memory.find(address);
    if (index < 0 || !memory[index].contains(address, bytes)) {
      report(warp, op, lane, Kind::GlobalBounds, "%s of %llu bytes at 0x%llx: %s", write ? "a write" : "a read", (unsigned long long)bytes,
             (unsigned long long)address, memory.describe(address).c_str());
      return nullptr;
    }
    warp.lastRegion = index;
  }
  if (write && memory[index].readOnly) {
    report(warp, op, lane, Kind::ReadOnlyWrite, "a write to %s", memory.describe(address).c_str());
    return nullptr;
  }
  return reinterpret_cast<u8 *>(uintptr_t(address));
}

static u32 resolveGlobal(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access, u8 **pointers) {
  Cluster &cluster = *warp.cta->cluster;
  u64 low = ~u64(0), high = 0, unaligned = 0;
  for (int l = 0; l < 32; ++l) {
    u64 a = addresses[l];
    bool active = mask >> l & 1;
    low = active && a < low ? a : low;
    high = active && a > high ? a : high;
    unaligned |= active ? a & (bytes - 1) : 0;
  }
  u32 ok = mask;
  const MemoryMap &memory = cluster.launch->memory;
  int last = warp.lastRegion;
  bool write = access != Access::Read;
  if (!unaligned && last >= 0 && last < memory.size() && high - low < memory[last].bytes &&
      memory[last].contains(low, high - low + bytes) && !(write && memory[last].readOnly)) {
    for (int l = 0; l < 32; ++l)
      pointers[l] = reinterpret_cast<u8 *>(uintptr_t(addresses[l]));
  } else {
    for (u32 rest = mask; rest; rest &= rest - 1) {
      int l = firstLane(rest);
      if (addresses[l] & (bytes - 1)) {
        report(warp, op, l, Kind::Misaligned, "global 0x%llx is not a multiple of %u", (unsigned long long)addresses[l], bytes);
        ok &= ~(1u << l);
        continue;
      }
      pointers[l] = globalPlace(warp, op, addresses[l], bytes, l, write);
      if (!pointers[l])
        ok &= ~(1u << l);
    }
  }
  if (cluster.counting && ok)
    countGlobal(warp, addresses, ok, bytes, access == Access::Write);
  if (cluster.launch->races && ok)
    cluster.launch->races->access(warp, op, ok, addresses, bytes, access);
  return ok;
}

static const char *accessName(Access access) {
  return access == Access::Read ? "a read" : access == Access::Write ? "a write" : "an atomic";
}

static u32 resolveShared(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access, u8 **pointers) {
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  u32 offsets[32], ok = mask;
  if (!cluster.checks && cta.sharedEnd >= bytes) { // all in this CTA, in bounds and aligned: the usual case in one go
    u32 bad = 0, highest = cta.sharedEnd - bytes;
    for (int l = 0; l < 32; ++l) {
      offsets[l] = u32(addresses[l]);
      bad |= u32(addresses[l] < sharedStart || addresses[l] > highest || (addresses[l] & (bytes - 1))) << l;
    }
    if (!(bad & mask)) {
      u8 *base = cta.shared.data();
      for (int l = 0; l < 32; ++l)
        pointers[l] = base + offsets[l];
      if (cluster.counting)
        countShared(warp, offsets, mask, bytes);
      return mask;
    }
  }
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, addresses[l], bytes, bytes, l, accessName(access));
    if (!place.cta) {
      ok &= ~(1u << l);
      continue;
    }
    offsets[l] = place.offset;
    pointers[l] = place.data();
    if (!cluster.checks)
      continue;
    Shadow &shadow = place.cta->shadow;
    if (access == Access::Read) {
      shadow.read(warp, op, place.offset, bytes, u32(l));
    } else if (access == Access::Atomic) {
      shadow.atomic(warp, op, *place.cta, place.offset, bytes, u32(l));
    } else {
      u8 value[32];
      for (int i = 0; i < op.count; ++i) {
        const RegRef &r = op.aux->a[i];
        std::memcpy(value + i * op.size, lanes<u8>(warp, r.slot) + l * r.width, op.size);
      }
      shadow.write(warp, op, *place.cta, place.offset, bytes, u32(l), value);
    }
  }
  if (cluster.counting && ok)
    countShared(warp, offsets, ok, bytes);
  return ok;
}

static u32 resolveLocal(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, u8 **pointers) {
  u32 ok = mask, size = warp.program->localBytes;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    if (addresses[l] > size || bytes > size - addresses[l]) {
      report(warp, op, l, Kind::LocalBounds, "%u bytes at local 0x%llx; a thread has %u bytes", bytes, (unsigned long long)addresses[l],
             size);
      ok &= ~(1u << l);
      continue;
    }
    if (addresses[l] & (bytes - 1)) {
      report(warp, op, l, Kind::Misaligned, "local 0x%llx is not a multiple of %u", (unsigned long long)addresses[l], bytes);
      ok &= ~(1u << l);
      continue;
    }
    pointers[l] = warp.local + u64(l) * size + addresses[l];
  }
  return ok;
}

u32 resolveLanes(Warp &warp, const Op &op, u32 mask, u32 bytes, Access access, u8 **pointers) {
  alignas(64) u64 addresses[32];
  const Address &a = op.address;
  if (a.slot == noSlot) {
    for (int l = 0; l < 32; ++l)
      addresses[l] = u64(a.offset);
  } else if (a.width == 8) {
    const u64 *base = lanes<u64>(warp, a.slot);
    for (int l = 0; l < 32; ++l)
      addresses[l] = base[l] + u64(a.offset);
  } else {
    const u32 *base = lanes<u32>(warp, a.slot);
    for (int l = 0; l < 32; ++l)
      addresses[l] = u32(base[l] + u32(a.offset));
  }
  switch (op.space) {
  case Space::Global:
  case Space::Const:
    return resolveGlobal(warp, op, mask, addresses, bytes, access, pointers);
  case Space::Shared:
    for (int l = 0; l < 32; ++l)
      addresses[l] &= ~sharedWindow; // cvta was not needed: the window is the space's own
    return resolveShared(warp, op, mask, addresses, bytes, access, pointers);
  case Space::Local:
    for (int l = 0; l < 32; ++l)
      addresses[l] &= ~localWindow;
    return resolveLocal(warp, op, mask, addresses, bytes, pointers);
  default:
    break;
  }
  u32 shared = 0, local = 0;
  for (int l = 0; l < 32; ++l) {
    u64 window = addresses[l] >> 56;
    shared |= u32(window == sharedWindow >> 56) << l;
    local |= u32(window == localWindow >> 56) << l;
    if (window == sharedWindow >> 56 || window == localWindow >> 56)
      addresses[l] &= (u64(1) << 56) - 1;
  }
  u32 ok = 0;
  if (mask & shared)
    ok |= resolveShared(warp, op, mask & shared, addresses, bytes, access, pointers);
  if (mask & local)
    ok |= resolveLocal(warp, op, mask & local, addresses, bytes, pointers);
  if (u32 global = mask & ~(shared | local))
    ok |= resolveGlobal(warp, op, global, addresses, bytes, access, pointers);
  return ok;
}

} // namespace leat::sim
