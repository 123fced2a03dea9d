// mbarriers: a count of arrivals and of bytes; a phase ends when none of either is missing. Kept beside the memory, not in its 8 bytes.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static constexpr i64 largestCount = (1 << 20) - 1;

static Flow next(const Warp &warp) { return warp.cta->cluster->aborted ? Flow::Abort : Flow::Next; }

Mbarrier *findMbarrier(Warp &warp, const Op &op, Cta &cta, u32 offset, int lane) {
  Mbarrier *barrier = cta.mbarrier(offset);
  if (!barrier) {
    report(warp, op, lane, Kind::MbarrierUninitialised, "there is no mbarrier at shared 0x%x", offset);
    return nullptr;
  }
  // The initialising lane's own fence or barrier publishes it: any entry at its clock will do.
  if (warp.cta->cluster->checks && barrier->init.agent() != warp.agent &&
      warp.clocks.generic.at[barrier->init.agent()] >> 6 < barrier->init.clock())
    report(warp, op, lane, Kind::MbarrierInitRace, "the mbarrier at shared 0x%x was initialised at %s, and nothing orders that before this",
           offset, warp.cta->cluster->launch->reports.where(barrier->init.pc()).c_str());
  return barrier;
}

void completePhases(Cluster &cluster, Mbarrier &barrier) {
  while (barrier.pending == 0 && barrier.transactions == 0) {
    ++barrier.phase;
    barrier.pending = barrier.expected;
    barrier.completed.join(barrier.arriving);
    barrier.arriving.clear();
    cluster.event();
    if (barrier.expected == 0)
      break;
  }
}

Flow mbarrierInit(Warp &warp, const Op &op, u32 mask) {
  Cta &cta = *warp.cta;
  Cluster &cluster = *cta.cluster;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, op.address, l), 8, 8, l, "mbarrier.init");
    if (!place.cta)
      continue;
    u32 count = lanes<u32>(warp, op.a)[l];
    if (count < 1 || count > largestCount)
      report(warp, op, l, Kind::MbarrierCount, "the count is %u", count);
    if (cluster.checks)
      place.cta->shadow.write(warp, op, *place.cta, place.offset, 8, u32(l));
    std::memset(place.data(), 0, 8);
    Mbarrier *barrier = place.cta->mbarrier(place.offset);
    if (barrier) {
      report(warp, op, l, Kind::MbarrierReinit, "the mbarrier at shared 0x%x is in use", place.offset);
    } else {
      barrier = &place.cta->mbarriers.emplace_back();
      u32 number = u32(place.cta->mbarriers.size() - 1) % (agentsPerCta - firstMbarrierAgent);
      barrier->agent = place.cta->rank * agentsPerCta + firstMbarrierAgent + number;
      barrier->arriving.resize(warp.clocks.generic.at.size());
      barrier->completed.resize(warp.clocks.generic.at.size());
    }
    barrier->address = place.offset;
    barrier->expected = barrier->pending = count;
    barrier->transactions = 0;
    barrier->phase = 0;
    barrier->valid = true;
    barrier->sequence = 0;
    barrier->arriving.clear();
    barrier->completed.clear();
    barrier->init = Record(op.index, warp.clock, warp.agent, u32(l));
    cluster.event();
  }
  return next(warp);
}

Flow mbarrierInvalidate(Warp &warp, const Op &op, u32 mask) {
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, op.address, l), 8, 8, l, "mbarrier.inval");
    if (Mbarrier *barrier = place.cta ? findMbarrier(warp, op, *place.cta, place.offset, l) : nullptr)
      barrier->valid = false;
  }
  return next(warp);
}

// mode: 1 arrive, 2 expect_tx, 4 complete_tx, 8 drop. Bytes are expected before the arrival that comes with them.
Flow mbarrierArrive(Warp &warp, const Op &op, u32 mask) {
  Cluster &cluster = *warp.cta->cluster;
  Clocks published(warp.clocks.generic.at.size());
  bool havePublished = false;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, op.address, l), 8, 8, l, "an arrival");
    Mbarrier *barrier = place.cta ? findMbarrier(warp, op, *place.cta, place.offset, l) : nullptr;
    if (!barrier)
      continue;
    u64 state = barrier->phase;
    i64 value = op.a == noSlot ? 1 : i64(lanes<u32>(warp, op.a)[l]);
    if (op.mode & 2)
      barrier->transactions += value;
    if (op.mode & 4)
      barrier->transactions -= value;
    if (op.mode & 1) {
      i64 arrivals = (op.mode & 2) ? 1 : value;
      if (cluster.checks) {
        if (!havePublished)
          release(warp, mask, published);
        havePublished = true;
        barrier->arriving.join(published);
      }
      barrier->pending -= arrivals;
      if (op.mode & 8)
        barrier->expected -= arrivals;
      if (barrier->pending < 0) {
        report(warp, op, l, Kind::MbarrierOverarrive, "the mbarrier at shared 0x%x had its %lld arrivals of phase %u already",
               barrier->address, (long long)barrier->expected, barrier->phase);
        barrier->pending = 0;
      }
    }
    if (barrier->transactions > largestCount || barrier->transactions < -largestCount)
      report(warp, op, l, Kind::MbarrierTx, "the byte count of the mbarrier at shared 0x%x is %lld", barrier->address,
             (long long)barrier->transactions);
    ++cluster.progress;
    completePhases(cluster, *barrier);
    if (op.d != noSlot)
      lanes<u64>(warp, op.d)[l] = state;
  }
  return next(warp);
}

// True where the phase asked for is over. mode: 1 by parity, 2 may suspend the thread.
Flow mbarrierWait(Warp &warp, const Op &op, u32 mask) {
  Cluster &cluster = *warp.cta->cluster;
  u32 done = 0, waitedFor = 0;
  bool first = true;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    SharedPlace place = sharedPlace(warp, op, laneSharedAddress(warp, op.address, l), 8, 8, l, "a wait");
    Mbarrier *barrier = place.cta ? findMbarrier(warp, op, *place.cta, place.offset, l) : nullptr;
    if (!barrier) { // reported; go on, or the launch would hang
      done |= 1u << l;
      continue;
    }
    waitedFor = place.offset;
    u64 asked = laneValue(warp, op.a, (op.mode & 1) ? 4 : 8, l);
    bool over = (op.mode & 1) ? (barrier->phase & 1) != (asked & 1) : barrier->phase != asked;
    if (!over)
      continue;
    done |= 1u << l;
    if (cluster.checks) {
      if (first)
        acquire(warp, barrier->completed);
      else
        warp.clocks.join(barrier->completed);
      first = false;
    }
  }
  if (cluster.aborted)
    return Flow::Abort;
  if (!done) {
    // try_wait may give up: it does at first, so that a wait without a loop is found out, and waits when it is asked again.
    bool again = warp.triedAt == op.index && warp.triedLanes == mask;
    warp.triedAt = op.index;
    warp.triedLanes = mask;
    if ((op.mode & 2) && again) {
      Path &path = warp.path();
      path.state = PathState::AtMbarrier;
      path.waitAddress = waitedFor;
      path.waitInfo = u32(cluster.events);
      return Flow::Block;
    }
    if (!(op.mode & 2)) {
      ++warp.polls;
      warp.quantum = 0;
    }
  } else {
    warp.triedAt = ~0u;
  }
  setPredicate(warp, op.d, mask, done);
  return Flow::Next;
}

} // namespace leat::sim
