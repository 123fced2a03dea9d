// cp.async.bulk[.tensor] and cp.reduce.async.bulk from shared to global memory: in groups that each lane commits and waits for.
#include "runtime/device/sim/BulkCopy.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static Flow next(const Warp &warp) { return warp.cta->cluster->aborted ? Flow::Abort : Flow::Next; }

// address[0] shared, [1] global or tensor map; a: coordinates or the size. mode: 1 linear, 2 reduction.
Flow bulkStore(Warp &warp, const Op &op, u32 mask) {
  const Aux &x = *op.aux;
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    BulkStore copy;
    copy.op = &op;
    copy.lane = l;
    copy.shared = laneSharedAddress(warp, x.address[0], l);
    copy.global = laneAddress(warp, x.address[1], l);
    int swizzleBytes = -1;
    if (op.mode & 1) {
      copy.bytes = u32(laneValue(warp, x.a[0], l));
      if (copy.bytes % 16 || copy.global % 16) {
        report(warp, op, l, Kind::Misaligned, "a bulk store of %u bytes to 0x%llx: both have to be multiples of 16", copy.bytes,
               (unsigned long long)copy.global);
        continue;
      }
    } else {
      TensorMapSpec map;
      if (!readTensorMap(warp, op, copy.global, l, map))
        continue;
      copy.bytes = boxBytes(map);
      swizzleBytes = map.swizzleBytes;
      copy.rank = map.rank;
      for (int d = 0; d < map.rank; ++d)
        copy.coordinates[d] = i32(laneValue(warp, x.a[d], l));
      checkSwizzleAlignment(warp, op, l, map, copy.shared);
    }
    SharedPlace place = sharedPlace(warp, op, copy.shared, copy.bytes, (op.mode & 1) ? 16 : 128, l, "a bulk store");
    if (!place.cta || place.cta != &cta || copy.bytes == 0)
      continue;
    copy.shared = place.offset;
    if (cluster.checks) {
      cta.shadow.asyncReadCheck(warp, op, copy.shared, copy.bytes, swizzleBytes);
      cta.shadow.asyncReadBegin(copy.shared, copy.bytes);
    }
    cluster.counters.bulkBytes += copy.bytes;
    warp.bulkStores.push_back(std::move(copy));
  }
  ++cluster.progress;
  return next(warp);
}

Flow bulkCommit(Warp &warp, const Op &, u32 mask) {
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    for (BulkStore &copy : warp.bulkStores)
      if (copy.lane == l && !copy.committed) {
        copy.committed = true;
        copy.group = warp.bulkGroup[l];
      }
    ++warp.bulkGroup[l];
  }
  return Flow::Next;
}

// The source has been read: shared memory may be used again.
static void finishRead(Warp &warp, BulkStore &copy) {
  if (copy.readDone)
    return;
  copy.readDone = true;
  copy.data.resize(copy.bytes);
  Cta &cta = *warp.cta;
  int pattern = 0;
  if (copy.rank) {
    TensorMapSpec map;
    if (readTensorMap(warp, *copy.op, copy.global, copy.lane, map))
      pattern = map.swizzleBytes;
  }
  for (u32 i = 0; i < copy.bytes; i += 16)
    std::memcpy(copy.data.data() + i, cta.shared.data() + swizzle(copy.shared + i, pattern), 16);
  if (cta.cluster->checks)
    cta.shadow.asyncReadDone(copy.shared, copy.bytes, Record(copy.op->index, warp.clock, warp.agent, u32(copy.lane), true));
}

static void addFloats(u8 *to, const u8 *from, u64 bytes) {
  for (u64 i = 0; i < bytes; i += 4) {
    float a, b;
    std::memcpy(&a, to + i, 4);
    std::memcpy(&b, from + i, 4);
    a += b;
    std::memcpy(to + i, &a, 4);
  }
}

static void finishWrite(Warp &warp, BulkStore &copy) {
  finishRead(warp, copy);
  Cluster &cluster = *warp.cta->cluster;
  const Op &op = *copy.op;
  bool adds = op.mode & 2;
  auto write = [&](u64 address, const u8 *from, u64 bytes) {
    cluster.counters.bulkSectors += sectorsOf(address, bytes);
    u8 *to = globalPlace(warp, op, address, bytes, copy.lane, true);
    if (!to)
      return;
    if (cluster.launch->races && !adds)
      cluster.launch->races->accessRange(warp, op, copy.lane, address, bytes, true);
    auto lock = cluster.launch->lockAddress(nullptr);
    if (adds)
      addFloats(to, from, bytes);
    else
      std::memcpy(to, from, bytes);
  };
  if (adds && (copy.rank ? false : op.aux->from != Type::F32)) {
    report(warp, op, copy.lane, Kind::TensorCopy, "only reductions of f32 are modelled");
  } else if (!copy.rank) {
    write(copy.global, copy.data.data(), copy.bytes);
  } else {
    TensorMapSpec map;
    if (!readTensorMap(warp, op, copy.global, copy.lane, map))
      return;
    if (adds && map.elementBytes != 4) {
      report(warp, op, copy.lane, Kind::TensorCopy, "only reductions of f32 are modelled");
      return;
    }
    u32 size = u32(map.elementBytes);
    forBoxRows(map, copy.coordinates, [&](u32 offset, u64 address, u32 first, u32 end) {
      if (end > first)
        write(address + u64(first) * size, copy.data.data() + offset + first * size, u64(end - first) * size);
    });
  }
  ++cluster.progress;
}

// wait_group n: all but the n latest groups. mode 1: only until their sources are read.
Flow bulkWait(Warp &warp, const Op &op, u32 mask) {
  for (BulkStore &copy : warp.bulkStores) {
    if (!(mask >> copy.lane & 1) || !copy.committed || copy.group + u32(op.immediate) >= warp.bulkGroup[copy.lane])
      continue;
    if (op.mode) {
      finishRead(warp, copy);
    } else {
      finishWrite(warp, copy);
      copy.bytes = 0;
    }
  }
  std::erase_if(warp.bulkStores, [](const BulkStore &copy) { return copy.bytes == 0; });
  return next(warp);
}

void finishBulkStores(Warp &warp, const Op &op, u32 leaving) {
  if (warp.bulkStores.empty())
    return;
  for (BulkStore &copy : warp.bulkStores) {
    if (!(leaving >> copy.lane & 1))
      continue;
    if (!copy.readDone)
      report(warp, *copy.op, copy.lane, Kind::BulkStoreUnwaited, "the thread exits while the copy still reads shared 0x%x", copy.shared);
    finishWrite(warp, copy);
    copy.bytes = 0;
  }
  std::erase_if(warp.bulkStores, [](const BulkStore &copy) { return copy.bytes == 0; });
}

} // namespace leat::sim
