// cp.async.bulk[.tensor] into shared memory, and cp.async.mbarrier.arrive: work that ends by signalling an mbarrier. It lands when no warp
// can run, one piece at a time.
#include "runtime/device/sim/BulkCopy.h"
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static Flow next(const Warp &warp) { return warp.cta->cluster->aborted ? Flow::Abort : Flow::Next; }

bool readTensorMap(Warp &warp, const Op &op, u64 address, int lane, TensorMapSpec &map) {
  const u8 *bytes = globalPlace(warp, op, address, tensorMapBytes, lane, false);
  if (!bytes)
    return false;
  if (address % 64)
    report(warp, op, lane, Kind::Misaligned, "the tensor map at 0x%llx is not 64-byte aligned", (unsigned long long)address);
  if (!decodeTensorMap(bytes, map)) {
    report(warp, op, lane, Kind::TensorMap, "the 128 bytes at 0x%llx are no tensor map", (unsigned long long)address);
    return false;
  }
  if (op.aux->a.size() != size_t(map.rank)) {
    report(warp, op, lane, Kind::TensorCopy, "the instruction has %zu coordinates, the tensor map rank %d", op.aux->a.size(), map.rank);
    return false;
  }
  return true;
}

void checkSwizzleAlignment(Warp &warp, const Op &op, int lane, const TensorMapSpec &map, u32 address) {
  u32 pattern = u32(map.swizzleBytes) * 8;
  if (pattern && address % pattern)
    report(warp, op, lane, Kind::SwizzleMisaligned, "shared 0x%x with a swizzle of %d bytes: patterns begin at multiples of %u", address,
           map.swizzleBytes, pattern);
}

// The bytes of a copy, from global memory as it is now.
static void moveBulk(Cluster &cluster, const BulkCopy &copy) {
  Warp &warp = *copy.warp;
  u8 *shared = copy.target->shared.data();
  auto noteRead = [&](u64 address, u64 bytes) {
    if (cluster.launch->races)
      cluster.launch->races->accessRange(warp, *copy.op, copy.lane, address, bytes, false);
  };
  auto count = [&](u64 address, u64 bytes) { cluster.counters.bulkSectors += copy.again ? 0 : sectorsOf(address, bytes); };
  if (copy.kind == BulkCopy::Linear) {
    if (const u8 *from = globalPlace(warp, *copy.op, copy.source, copy.bytes, copy.lane, false)) {
      noteRead(copy.source, copy.bytes);
      std::memcpy(shared + copy.destination, from, copy.bytes);
    }
    count(copy.source, copy.bytes);
    return;
  }
  TensorMapSpec map;
  if (!readTensorMap(warp, *copy.op, copy.source, copy.lane, map))
    return;
  u32 rowBytes = map.box[0] * u32(map.elementBytes), size = u32(map.elementBytes);
  forBoxRows(map, copy.coordinates, [&](u32 offset, u64 address, u32 first, u32 end) {
    u8 row[2048] = {};
    if (end > first) {
      u64 from = address + u64(first) * size, bytes = u64(end - first) * size;
      if (const u8 *data = globalPlace(warp, *copy.op, from, bytes, copy.lane, false)) {
        noteRead(from, bytes);
        std::memcpy(row + first * size, data, bytes);
      }
      count(from, bytes);
    }
    for (u32 i = 0; i < rowBytes; i += 16)
      std::memcpy(shared + swizzle(copy.destination + offset + i, map.swizzleBytes), row + i, 16);
  });
}

// Issues the part of a copy that goes to one CTA.
static void issue(Warp &warp, const Op &op, BulkCopy copy, Cta &target, int swizzleBytes) {
  Cluster &cluster = *warp.cta->cluster;
  copy.target = &target;
  if (cluster.checks && &target != warp.cta)
    checkStarted(warp, op, copy.lane, target);
  Mbarrier *barrier = findMbarrier(warp, op, target, copy.mbarrier, copy.lane);
  if (!barrier)
    return;
  if (cluster.checks && warp.clocks.async.at[barrier->init.agent()] >> 6 < barrier->init.clock())
    report(warp, op, copy.lane, Kind::MbarrierInitFence,
           "the mbarrier at shared 0x%x was initialised at %s, and no fence makes that visible to the asynchronous proxy", barrier->address,
           cluster.launch->reports.where(barrier->init.pc()).c_str());
  copy.sequence = ++barrier->sequence;
  copy.record = Record(op.index, copy.sequence, barrier->agent, everyLane, true);
  if (cluster.checks)
    target.shadow.asyncWriteIssue(warp, op, target, copy.destination, copy.bytes, u32(copy.lane), copy.record);
  if (cluster.checks && copy.kind == BulkCopy::Tensor)
    target.shadow.setSwizzle(copy.record, swizzleBytes);
  cluster.counters.bulkBytes += copy.bytes;
  copy.copied = !cluster.landLate();
  if (copy.copied)
    moveBulk(cluster, copy);
  cluster.copies.push_back(copy);
  ++cluster.progress;
}

// address[0] shared, [1] global or tensor map, [2] mbarrier; a: coordinates or the size; b: mask of CTAs.
Flow bulkLoad(Warp &warp, const Op &op, u32 mask) {
  const Aux &x = *op.aux;
  Cluster &cluster = *warp.cta->cluster;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    BulkCopy copy = {};
    copy.kind = (op.mode & 1) ? BulkCopy::Linear : BulkCopy::Tensor;
    copy.op = &op;
    copy.warp = &warp;
    copy.lane = l;
    copy.source = laneAddress(warp, x.address[1], l);
    u32 alignment = 128;
    int swizzleBytes = 0;
    if (copy.kind == BulkCopy::Linear) {
      alignment = 16;
      copy.bytes = u32(laneValue(warp, x.a[0], l));
      if (copy.bytes % 16 || copy.source % 16) {
        report(warp, op, l, Kind::Misaligned, "a bulk copy of %u bytes from 0x%llx: both have to be multiples of 16", copy.bytes,
               (unsigned long long)copy.source);
        continue;
      }
      if (copy.bytes && !globalPlace(warp, op, copy.source, copy.bytes, l, false))
        continue;
    } else {
      TensorMapSpec map;
      if (!readTensorMap(warp, op, copy.source, l, map))
        continue;
      copy.bytes = boxBytes(map);
      swizzleBytes = map.swizzleBytes;
      copy.rank = map.rank;
      for (int d = 0; d < map.rank; ++d)
        copy.coordinates[d] = i32(laneValue(warp, x.a[d], l));
      checkSwizzleAlignment(warp, op, l, map, laneSharedAddress(warp, x.address[0], l) & ((1u << clusterRankShift) - 1));
    }
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, x.address[0], l), copy.bytes, alignment, l, "a bulk copy");
    SharedPlace signal = sharedPlace(warp, op, laneSharedAddress(warp, x.address[2], l), 8, 8, l, "the mbarrier of a bulk copy");
    if (!place.cta || !signal.cta)
      continue;
    copy.destination = place.offset;
    copy.mbarrier = signal.offset;
    if (x.b.empty()) {
      if (place.cta != signal.cta)
        report(warp, op, l, Kind::TensorCopy, "the destination and the mbarrier are in different CTAs");
      else
        issue(warp, op, copy, *place.cta, swizzleBytes);
      continue;
    }
    u32 ctas = u32(laneValue(warp, x.b[0], l));
    if (ctas >> cluster.ctas.size())
      report(warp, op, l, Kind::TensorCopy, "the multicast names CTAs 0x%x of a cluster of %zu", ctas, cluster.ctas.size());
    for (u32 rank = 0; rank < cluster.ctas.size(); ++rank)
      if (ctas >> rank & 1) {
        issue(warp, op, copy, *cluster.ctas[rank], swizzleBytes);
        copy.again = true;
      }
  }
  return next(warp);
}

// cp.async.mbarrier.arrive: an arrival once the lane's copies so far have landed. mode 1, noinc: the count has it already.
Flow copyArrive(Warp &warp, const Op &op, u32 mask) {
  Cluster &cluster = *warp.cta->cluster;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, op.address, l), 8, 8, l, "an arrival");
    Mbarrier *barrier = place.cta ? findMbarrier(warp, op, *place.cta, place.offset, l) : nullptr;
    if (!barrier)
      continue;
    if (!op.mode)
      ++barrier->pending;
    BulkCopy arrival = {};
    arrival.kind = BulkCopy::Arrive;
    arrival.op = &op;
    arrival.warp = &warp;
    arrival.lane = l;
    arrival.target = place.cta;
    arrival.mbarrier = place.offset;
    arrival.sequence = warp.clock;
    arrival.copySerial = warp.copySerial;
    cluster.copies.push_back(arrival);
  }
  warp.tick();
  ++cluster.progress;
  return next(warp);
}

static void land(Cluster &cluster, size_t index) {
  BulkCopy copy = cluster.copies[index];
  cluster.copies.erase(cluster.copies.begin() + index);
  Mbarrier *barrier = copy.target->mbarrier(copy.mbarrier);
  if (copy.kind == BulkCopy::Arrive) {
    landCopies(*copy.warp, 1u << copy.lane, 0, true, copy.sequence, copy.copySerial);
    if (barrier) {
      if (cluster.checks) {
        u32 &entry = barrier->arriving.generic.at[copy.warp->agent];
        entry = std::max(entry, copy.sequence << 6 | u32(copy.lane));
      }
      if (--barrier->pending < 0) {
        report(*copy.warp, *copy.op, copy.lane, Kind::MbarrierOverarrive,
               "the mbarrier at shared 0x%x had its %lld arrivals of phase %u already", barrier->address, (long long)barrier->expected,
               barrier->phase);
        barrier->pending = 0;
      }
      completePhases(cluster, *barrier);
    }
    cluster.event();
    return;
  }
  if (!copy.copied)
    moveBulk(cluster, copy);
  if (cluster.checks)
    copy.target->shadow.asyncWriteDone(copy.destination, copy.bytes, copy.record);
  if (!barrier) {
    report(*copy.warp, *copy.op, copy.lane, Kind::MbarrierUninitialised,
           "the mbarrier at shared 0x%x was invalidated while the copy was in flight", copy.mbarrier);
    return;
  }
  if (cluster.checks) {
    u32 &entry = barrier->arriving.generic.at[barrier->agent];
    entry = std::max(entry, copy.sequence << 6 | everyLane);
  }
  barrier->transactions -= copy.bytes;
  if (barrier->transactions < -((1 << 20) - 1))
    report(*copy.warp, *copy.op, copy.lane, Kind::MbarrierTx, "the mbarrier at shared 0x%x got more bytes than it expects",
           barrier->address);
  completePhases(cluster, *barrier);
  cluster.event();
}

bool landOne(Cluster &cluster) {
  if (cluster.copies.empty())
    return false;
  land(cluster, cluster.launch->options.landing == Landing::Random ? cluster.draw() % cluster.copies.size() : 0);
  return true;
}

void landAll(Cluster &cluster) {
  while (!cluster.copies.empty())
    land(cluster, 0);
}

} // namespace leat::sim
