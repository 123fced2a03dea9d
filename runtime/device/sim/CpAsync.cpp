// cp.async: copies of 4 to 16 bytes a lane from global to shared memory, in groups that each lane commits and waits for by itself.
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static void moveBytes(Warp &warp, const CopyEntry &entry, u32 lanesToCopy) {
  u32 size = entry.op->size;
  for (u32 rest = lanesToCopy; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u8 *to = warp.cta->shared.data() + entry.destination[l];
    u32 bytes = entry.sourceBytes[l];
    if (bytes)
      if (const u8 *from = globalPlace(warp, *entry.op, entry.source[l], bytes, l, false))
        std::memcpy(to, from, bytes);
    std::memset(to + bytes, 0, size - bytes);
  }
}

static void landEntry(Warp &warp, CopyEntry &entry, u32 lanesToLand, u32 clock) {
  moveBytes(warp, entry, lanesToLand);
  if (warp.cta->cluster->checks)
    for (u32 rest = lanesToLand; rest; rest &= rest - 1) {
      int l = firstLane(rest);
      warp.cta->shadow.asyncWriteDone(entry.destination[l], entry.op->size, Record(entry.op->index, clock, warp.agent, u32(l)));
    }
  entry.mask &= ~lanesToLand;
}

// address[0] shared, [1] global; a: bytes to read, the rest is zeros.
Flow copyAsync(Warp &warp, const Op &op, u32 mask) {
  const Aux &x = *op.aux;
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  CopyEntry entry;
  entry.op = &op;
  entry.mask = 0;
  entry.serial = ++warp.copySerial;
  u64 sources[32];
  u32 size = op.size, reading = 0;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u64 source = sources[l] = laneAddress(warp, x.address[1], l);
    u32 bytes = x.a.empty() ? size : u32(laneValue(warp, x.a[0], l));
    if (bytes > size) {
      report(warp, op, l, Kind::SharedBounds, "src-size is %u, more than the %u bytes of the copy", bytes, size);
      bytes = size;
    }
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, x.address[0], l), size, size, l, "a cp.async");
    if (!place.cta)
      continue;
    if (place.cta != &cta) {
      report(warp, op, l, Kind::SharedBounds, "cp.async writes to the CTA's own shared memory only");
      continue;
    }
    if (source % size) {
      report(warp, op, l, Kind::Misaligned, "cp.async from global 0x%llx, which is not a multiple of %u", (unsigned long long)source, size);
      continue;
    }
    if (bytes && !globalPlace(warp, op, source, bytes, l, false))
      continue;
    entry.destination[l] = place.offset;
    entry.source[l] = source;
    entry.sourceBytes[l] = bytes;
    entry.mask |= 1u << l;
    reading |= u32(bytes != 0) << l;
    cluster.counters.asyncCopyBytes += bytes;
    if (cluster.checks)
      cta.shadow.asyncWriteIssue(warp, op, cta, place.offset, size, u32(l), Record(op.index, warp.clock, warp.agent, u32(l)));
  }
  if (cluster.launch->races && reading)
    cluster.launch->races->access(warp, op, reading, sources, size, Access::Read);
  if (cluster.counting && entry.mask) {
    if (reading)
      countGlobal(warp, sources, reading, size, false);
    countShared(warp, entry.destination, entry.mask, size);
  }
  if (!cluster.landLate())
    moveBytes(warp, entry, entry.mask);
  if (entry.mask)
    warp.copies.push_back(entry);
  ++cluster.progress;
  return cluster.aborted ? Flow::Abort : Flow::Next;
}

Flow copyCommit(Warp &warp, const Op &, u32 mask) {
  std::vector<CopyEntry> uncommitted; // the lanes of an entry that do not commit now
  for (CopyEntry &entry : warp.copies) {
    if (entry.committed || !(entry.mask & mask))
      continue;
    if (entry.mask & ~mask) {
      uncommitted.push_back(entry);
      uncommitted.back().mask &= ~mask;
      entry.mask &= mask;
    }
    entry.committed = true;
    entry.group = warp.copyGroup[firstLane(entry.mask)];
  }
  warp.copies.insert(warp.copies.end(), uncommitted.begin(), uncommitted.end());
  for (u32 rest = mask; rest; rest &= rest - 1)
    ++warp.copyGroup[firstLane(rest)];
  return Flow::Next;
}

void landCopies(Warp &warp, u32 waiting, u32 pendingGroups, bool all, u32 clock, u64 upTo) {
  bool landed = false;
  for (CopyEntry &entry : warp.copies)
    if (u32 now = entry.mask & waiting;
        now && entry.serial <= upTo && (all || (entry.committed && entry.group + pendingGroups < warp.copyGroup[firstLane(now)]))) {
      landEntry(warp, entry, now, clock);
      landed = true;
    }
  if (landed)
    std::erase_if(warp.copies, [](const CopyEntry &entry) { return !entry.mask; });
}

// wait_group n: all but the n latest groups. mode 1, wait_all: everything, committed or not.
Flow copyWait(Warp &warp, const Op &op, u32 mask) {
  landCopies(warp, mask, u32(op.immediate), op.mode == 1, warp.clock);
  return Flow::Next;
}

} // namespace leat::sim
