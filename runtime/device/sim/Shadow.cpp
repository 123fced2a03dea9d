// Race detection on shared memory by happens-before: an access is in order when the records of the conflicting accesses before it are
// covered by what its warp knows. Within a warp, lanes are ordered by bar.warp.sync and barriers only.
#include "runtime/device/sim/Shadow.h"
#include "runtime/device/sim/Machine.h"

#include <cstring>

namespace leat::sim {

using rt::formatText;

void Shadow::reset(u32 bytes, int granuleLog2) {
  log2 = granuleLog2;
  size_t granules = (bytes >> log2) + 16;
  writer.assign(granules, Record());
  readers.assign(granules, 0);
  atomics.assign(granules, 0);
  readerLane.assign(granules, 0);
  asyncReaders.assign((bytes >> 4) + 16, 0);
  sets.assign(1, {});
  interned.clear();
  swizzles.clear();
  readCache = {};
  writeCache = {};
  asyncCache = {};
  readerCache = {};
}

u32 Shadow::intern(Set &set) {
  std::sort(set.begin(), set.end(), [](Record a, Record b) { return a.agent() < b.agent(); });
  u64 hash = 1469598103934665603ull;
  for (Record r : set) {
    hash = (hash ^ r.bits) * 1099511628211ull;
    hash ^= hash >> 29;
  }
  std::vector<u32> &bucket = interned[hash];
  for (u32 id : bucket)
    if (sets[id] == set)
      return id;
  sets.push_back(set);
  bucket.push_back(u32(sets.size()) - 1);
  return bucket.back();
}

static bool ordered(const Warp &warp, Record record, u32 lane) {
  if (record.agent() == warp.agent)
    return record.lane() == lane || record.lane() == everyLane || record.clock() <= warp.syncClock;
  return covers(warp.clocks.generic.at[record.agent()], record);
}

static std::string laneName(u32 lane) { return lane < 32 ? formatText("lane %u", lane) : "the warp"; }

static std::string agentName(const Cluster &cluster, Record r) {
  u32 agent = r.agent() % agentsPerCta, rank = r.agent() / agentsPerCta;
  std::string text = agent < firstWarpgroupAgent  ? formatText("warp %u %s", agent, laneName(r.lane()).c_str())
                     : agent < firstMbarrierAgent ? formatText("a wgmma of warpgroup %u", agent - firstWarpgroupAgent)
                                                  : "an asynchronous copy";
  return cluster.multiple() ? text + formatText(" of CTA rank %u", rank) : text;
}

void Shadow::race(Warp &warp, const Op &op, Kind kind, u32 granule, u32 lane, Record other) {
  ReportSink &sink = warp.cta->cluster->launch->reports;
  if (sink.seen(&op, kind, other.pc()))
    return;
  reportWith(warp, op, lane < 32 ? int(lane) : -1, kind, other.pc(), "%s touches shared 0x%x, earlier accessed by %s at %s",
             laneName(lane).c_str(), granule << log2, agentName(*warp.cta->cluster, other).c_str(), sink.where(other.pc()).c_str());
}

void Shadow::unwritten(Warp &warp, const Op &op, u32 granule, u32 lane, const char *what) {
  report(warp, op, lane < 32 ? int(lane) : -1, Kind::SharedUnwritten, "%s of shared 0x%x, which nothing wrote", what, granule << log2);
  writer[granule] = Record(op.index, 0, warp.agent, everyLane); // once is enough
}

template <class Cache> static void renewCache(Cache &cache, const Warp &warp, u32 lane) {
  if (cache.warp == &warp && cache.clock == warp.clock && cache.lane == lane && cache.events == warp.cta->cluster->events)
    return;
  cache.warp = &warp;
  cache.clock = warp.clock;
  cache.lane = lane;
  cache.events = warp.cta->cluster->events;
  cache.record = Record(~u64(0));
}

void Shadow::checkAtomics(Warp &warp, const Op &op, Kind kind, u32 granule, u32 lane) {
  for (Record r : sets[atomics[granule]]) {
    bool inOrder = r.agent() == warp.agent ? r.clock() <= warp.syncClock || r.lane() == lane : covers(warp.clocks.generic.at[r.agent()], r);
    if (!inOrder)
      race(warp, op, kind, granule, lane, r);
  }
}

static Kind earlyKind(Record r) { return r.agent() % agentsPerCta < firstWarpgroupAgent ? Kind::CpAsyncReadEarly : Kind::BulkReadEarly; }

void Shadow::read(Warp &warp, const Op &op, u32 offset, u32 bytes, u32 lane) {
  renewCache(readCache, warp, lane);
  if (readerCache.warp != &warp || readerCache.clock != warp.clock || readerCache.pc != op.index) {
    readerCache.warp = &warp;
    readerCache.clock = warp.clock;
    readerCache.pc = op.index;
    readerCache.before = ~0u;
  }
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    Record w = writer[g];
    if (!(w == readCache.record)) {
      if (!w)
        unwritten(warp, op, g, lane, "a read");
      else if (w.inFlight())
        race(warp, op, earlyKind(w), g, lane, w);
      else if (!ordered(warp, w, lane))
        race(warp, op, Kind::SharedReadAfterWrite, g, lane, w);
      else
        readCache.record = w;
    }
    if (atomics[g])
      checkAtomics(warp, op, Kind::SharedAtomicRace, g, lane);
    u32 before = readers[g];
    if (before != readerCache.before) { // add this warp; forget readers that are ordered before it
      Set set;
      for (Record r : sets[before])
        if (r.agent() != warp.agent && !covers(warp.clocks.generic.at[r.agent()], r))
          set.push_back(r);
      set.push_back(Record(op.index, warp.clock, warp.agent, severalLanes));
      readerCache.before = before;
      readerCache.after = intern(set);
    }
    if (readerLane[g] != lane) {
      bool others = false; // lanes of this warp that read since it synchronised
      for (Record r : sets[before])
        others |= r.agent() == warp.agent && r.clock() > warp.syncClock;
      readerLane[g] = u8(others ? severalLanes : lane);
    }
    readers[g] = readerCache.after;
  }
}

void Shadow::checkWrite(Warp &warp, const Op &op, const Cta &owner, u32 g, u32 lane, const u8 *value) {
  Record w = writer[g];
  if (w && !(w == writeCache.record)) {
    bool sameStore =
        w.agent() == warp.agent && w.pc() == op.index && w.clock() == warp.clock; // lanes of one store: their values are compared there
    if (w.inFlight()) {
      race(warp, op, Kind::WriteDuringCopy, g, lane, w);
    } else if (!sameStore) {
      if (!ordered(warp, w, lane)) {
        bool same = value && std::memcmp(owner.shared.data() + (g << log2), value, size_t(1) << log2) == 0;
        race(warp, op, same ? Kind::SharedSameValueWrites : Kind::SharedWriteAfterWrite, g, lane, w);
      } else {
        writeCache.record = w;
      }
    }
  }
  if (u32 set = readers[g]) {
    bool mine = false; // this warp read since it synchronised
    if (set != writeCacheSet) {
      bool inOrder = true;
      for (Record r : sets[set])
        if (r.agent() == warp.agent) {
          mine |= r.clock() > warp.syncClock;
        } else if (!covers(warp.clocks.generic.at[r.agent()], r)) {
          race(warp, op, Kind::SharedWriteAfterRead, g, lane, r);
          inOrder = false;
        }
      if (inOrder && !mine)
        writeCacheSet = set;
    }
    if (mine && readerLane[g] != lane && readerLane[g] != everyLane)
      for (Record r : sets[set])
        if (r.agent() == warp.agent)
          race(warp, op, Kind::SharedWriteAfterRead, g, lane, r);
  }
  if (asyncReaders[(g << log2) >> 4])
    report(warp, op, lane < 32 ? int(lane) : -1, Kind::WriteDuringRead, "shared 0x%x is still read by an unfinished wgmma or bulk store",
           g << log2);
}

void Shadow::write(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane, const u8 *value) {
  bool fresh = writeCache.warp == &warp && writeCache.clock == warp.clock && writeCache.lane == lane &&
               writeCache.events == warp.cta->cluster->events;
  renewCache(writeCache, warp, lane);
  if (!fresh)
    writeCacheSet = 0;
  Record mine(op.index, warp.clock, warp.agent, lane);
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    checkWrite(warp, op, owner, g, lane, value ? value + ((g << log2) - offset) : nullptr);
    if (atomics[g]) {
      checkAtomics(warp, op, Kind::SharedAtomicRace, g, lane);
      atomics[g] = 0;
    }
    writer[g] = mine;
    readers[g] = 0;
  }
}

// Atomics are ordered with plain accesses only by synchronisation, and never race with each other.
void Shadow::atomic(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane) {
  bool fresh = writeCache.warp == &warp && writeCache.clock == warp.clock && writeCache.lane == lane &&
               writeCache.events == warp.cta->cluster->events;
  renewCache(writeCache, warp, lane);
  if (!fresh)
    writeCacheSet = 0;
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    checkWrite(warp, op, owner, g, lane, nullptr);
    if (!writer[g])
      unwritten(warp, op, g, lane, "an atomic");
    u32 as = lane;
    Set set;
    for (Record r : sets[atomics[g]])
      if (r.agent() != warp.agent)
        set.push_back(r);
      else if (r.clock() > warp.syncClock && r.lane() != lane)
        as = severalLanes;
    set.push_back(Record(op.index, warp.clock, warp.agent, as));
    atomics[g] = intern(set);
  }
}

// An ordinary write that no fence has made visible to the asynchronous proxy.
static bool isUnseen(const Warp &warp, Record w) { return !w.async() && w.clock() && !covers(warp.clocks.async.at[w.agent()], w); }

void Shadow::asyncWriteIssue(Warp &warp, const Op &op, const Cta &owner, u32 offset, u32 bytes, u32 lane, Record record) {
  writeCache = {};
  writeCacheSet = 0;
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    checkWrite(warp, op, owner, g, lane, nullptr);
    if (Record w = writer[g]; record.async() && w && ordered(warp, w, lane) && isUnseen(warp, w))
      race(warp, op, Kind::ProxyFence, g, lane, w);
    if (atomics[g]) {
      checkAtomics(warp, op, Kind::SharedAtomicRace, g, lane);
      atomics[g] = 0;
    }
    writer[g] = record.whileInFlight();
    readers[g] = 0;
  }
  writeCache = {};
}

void Shadow::asyncWriteDone(u32 offset, u32 bytes, Record record) {
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g)
    writer[g] = record;
}

void Shadow::asyncReadCheck(Warp &warp, const Op &op, u32 offset, u32 bytes, int swizzle) {
  renewCache(asyncCache, warp, everyLane);
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    Record w = writer[g];
    if (w == asyncCache.record)
      continue;
    if (!w) {
      unwritten(warp, op, g, everyLane, "an asynchronous read");
      continue;
    }
    if (w.inFlight()) {
      race(warp, op, earlyKind(w), g, everyLane, w);
      continue;
    }
    if (!ordered(warp, w, everyLane)) {
      race(warp, op, Kind::SharedReadAfterWrite, g, everyLane, w);
      continue;
    }
    if (isUnseen(warp, w))
      race(warp, op, Kind::ProxyFence, g, everyLane, w);
    if (auto copied = swizzles.find(w.bits); swizzle >= 0 && copied != swizzles.end() && copied->second != swizzle)
      reportWith(warp, op, -1, Kind::SwizzleMismatch, w.pc(), "shared 0x%x is read with a swizzle of %d bytes and was copied with %d at %s",
                 g << log2, swizzle, copied->second, warp.cta->cluster->launch->reports.where(w.pc()).c_str());
    asyncCache.record = w;
  }
}

void Shadow::addAsyncReaders(u32 offset, u32 bytes, int delta) {
  for (u32 g = offset >> 4, last = (offset + bytes - 1) >> 4; g <= last; ++g)
    asyncReaders[g] = u16(asyncReaders[g] + delta);
}

void Shadow::asyncReadDone(u32 offset, u32 bytes, Record record) {
  addAsyncReaders(offset, bytes, -1);
  u32 cached = ~0u, after = 0;
  for (u32 g = offset >> log2, last = (offset + bytes - 1) >> log2; g <= last; ++g) {
    if (readers[g] != cached) {
      Set set;
      for (Record r : sets[readers[g]])
        if (r.agent() != record.agent())
          set.push_back(r);
      set.push_back(record);
      cached = readers[g];
      after = intern(set);
    }
    readers[g] = after;
    readerLane[g] = u8(record.lane()); // other lanes of a warp have to synchronise with the one that waited
  }
}

} // namespace leat::sim
