// The cells of global memory, and the checks on them.
#include "runtime/device/sim/GlobalRaces.h"
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static constexpr size_t mostReleases = 65536; // kept for one address
static const char *const writtenText = "was written";

GlobalRaces::Page &GlobalRaces::pageOf(Warp &warp, u64 number) {
  RaceCache &cache = warp.raceCache;
  if (cache.pageNumber == number)
    return *cache.page;
  std::unique_lock<std::mutex> lock(pagesMutex, std::defer_lock);
  if (parallel)
    lock.lock();
  std::unique_ptr<Page> &page = pages[number];
  if (!page)
    page = std::make_unique<Page>();
  cache.pageNumber = number;
  cache.page = page.get();
  return *page;
}

// The number of this instruction's event, counted from 1; 0 when there are too many to tell apart.
u32 GlobalRaces::eventOf(Warp &warp, const Op &op, u32 bytes, bool writes) {
  auto &entry = warp.raceCache.events[op.index % 16];
  if (entry.pc == op.index && entry.clock == warp.clock)
    return entry.event;
  std::unique_lock<std::mutex> lock(eventsMutex, std::defer_lock);
  if (parallel)
    lock.lock();
  if (eventCount == chunkEvents * mostChunks)
    return 0;
  auto &chunk = chunks[eventCount / chunkEvents];
  if (!chunk)
    chunk = std::make_unique<Event[]>(chunkEvents);
  chunk[eventCount % chunkEvents] = {warp.cta->cluster->index, Record(op.index, warp.clock, warp.agent, 0), bytes, writes};
  entry.pc = op.index;
  entry.clock = warp.clock;
  return entry.event = ++eventCount;
}

struct GlobalRaces::Walk {
  Warp &warp;
  const Op &op;
  Access access;
  bool strong; // strong accesses do not race with each other
  u32 event;   // number
  u64 bytes;   // of a lane's access
  int lane = 0;
  u64 begin = 0;   // of the lane's access
  u32 inOrder = 0; // the last event that was found to be ordered before all lanes
};

// Is this access of the warp's own cluster before the lane's next instruction?
static bool orderedHere(const Warp &warp, Record record, u32 lane) {
  if (record.agent() == warp.agent)
    return record.lane() == lane || record.lane() == everyLane || record.clock() <= warp.syncClock;
  return covers(warp.clocks.generic.at[record.agent()], record);
}

bool GlobalRaces::ordered(Walk &walk, Touch earlier) const {
  if (earlier >> 7 == walk.inOrder)
    return true;
  const Event &e = event(earlier);
  Warp &warp = walk.warp;
  const Cluster &cluster = *warp.cta->cluster;
  Record first = e.record, record(first.pc(), first.clock(), first.agent(), laneOf(earlier));
  if (e.cluster == cluster.index) {
    u32 entry = warp.clocks.generic.at[record.agent()];
    bool allLanes = record.agent() == warp.agent ? record.clock() <= warp.syncClock : record.clock() < entry >> 6;
    if (allLanes)
      walk.inOrder = earlier >> 7;
    return allLanes || orderedHere(warp, record, u32(walk.lane));
  }
  for (const Acquired &acquired : cluster.acquired)
    if (acquired.what.cluster == e.cluster && covers(acquired.what.clocks->at[record.agent()], record) &&
        orderedHere(warp, acquired.when, u32(walk.lane)))
      return true;
  return false;
}

bool GlobalRaces::clashes(Walk &walk, Touch earlier) const {
  return earlier && overlap(offsetOf(earlier), event(earlier).bytes, walk.begin & 3, walk.bytes) && !ordered(walk, earlier);
}

bool GlobalRaces::storesSameValue(const Walk &walk, u64 address) const {
  const Op &op = walk.op;
  if (walk.access != Access::Write || !op.aux || op.aux->a.size() != op.count || address < walk.begin || op.size * op.count < 4)
    return false;
  u8 value[32];
  for (int i = 0; i < op.count; ++i)
    std::memcpy(value + i * op.size, lanes<u8>(walk.warp, op.aux->a[i].slot) + walk.lane * op.aux->a[i].width, op.size);
  return std::memcmp(reinterpret_cast<const u8 *>(uintptr_t(address)), value + (address - walk.begin), 4) == 0;
}

void GlobalRaces::race(Walk &walk, u64 address, Touch earlier, const char *what) {
  Warp &warp = walk.warp;
  Launch &launch = *warp.cta->cluster->launch;
  const Event &e = event(earlier);
  Kind kind = what == writtenText && storesSameValue(walk, address) ? Kind::GlobalSameValueWrites : Kind::GlobalRace;
  if (launch.reports.seen(&walk.op, kind, e.record.pc()))
    return;
  std::string who = e.cluster == warp.cta->cluster->index
                        ? rt::formatText("warp %u lane %u of this CTA", e.record.agent() % agentsPerCta, laneOf(earlier))
                        : rt::formatText("CTA number %llu", (unsigned long long)e.cluster);
  reportWith(warp, walk.op, walk.lane, kind, e.record.pc(), "%s %s by %s at %s", launch.memory.describe(address).c_str(), what, who.c_str(),
             launch.reports.where(e.record.pc()).c_str());
}

// Everything but two reads, or two strong accesses, has to be ordered.
void GlobalRaces::touch(Walk &walk, Cell &cell, u64 address) {
  u32 offset = walk.begin > address ? u32(walk.begin - address) : 0;
  Touch now = walk.event << 7 | offset << 5 | u32(walk.lane);
  bool writes = walk.access != Access::Read;
  if (cell.writer >> 7 != walk.event && clashes(walk, cell.writer))
    race(walk, address, cell.writer, writtenText);
  if (!walk.strong && clashes(walk, cell.strong))
    race(walk, address, cell.strong, "was accessed");
  if (writes) {
    if (clashes(walk, cell.reader))
      race(walk, address, cell.reader, "was read");
    if (clashes(walk, cell.otherReader))
      race(walk, address, cell.otherReader, "was read");
  }
  if (walk.strong) {
    cell.strong = now;
  } else if (writes) {
    cell.writer = now;
    cell.reader = cell.otherReader = 0;
  } else {
    if (cell.reader && cell.reader >> 7 != walk.event && event(cell.reader).cluster != walk.warp.cta->cluster->index)
      cell.otherReader = cell.reader;
    cell.reader = now;
  }
}

// Memory where nobody can write.
static bool isReadOnly(const Warp &warp, u64 address, u64 bytes) {
  const MemoryMap &memory = warp.cta->cluster->launch->memory;
  return memory[warp.lastRegion].readOnly && memory[warp.lastRegion].contains(address, bytes);
}

void GlobalRaces::access(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access) {
  bool strong = op.relaxed || access == Access::Atomic;
  if (strong && op.scope > 0)
    synchronise(warp, op, mask, addresses, access);
  if (isReadOnly(warp, addresses[firstLane(mask)], bytes))
    return;
  Walk walk = {warp, op, access, strong, eventOf(warp, op, bytes, access != Access::Read), bytes};
  if (!walk.event)
    return;
  Page *page = nullptr;
  u64 pageNumber = ~u64(0);
  std::unique_lock<std::mutex> lock;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    walk.lane = firstLane(rest);
    walk.begin = addresses[walk.lane];
    for (u64 at = walk.begin >> granuleLog2, last = (walk.begin + bytes - 1) >> granuleLog2; at <= last; ++at) {
      u64 number = at >> (pageLog2 - granuleLog2);
      if (number != pageNumber) {
        lock = {};
        pageNumber = number;
        page = &pageOf(warp, number);
        if (parallel)
          lock = std::unique_lock(page->mutex);
      }
      touch(walk, page->cells[at & ((1 << (pageLog2 - granuleLog2)) - 1)], at << granuleLog2);
    }
  }
}

void GlobalRaces::accessRange(Warp &warp, const Op &op, int lane, u64 address, u64 bytes, bool write) {
  if (bytes == 0 || isReadOnly(warp, address, bytes))
    return;
  Walk walk = {warp, op, write ? Access::Write : Access::Read, false, eventOf(warp, op, 4, write), 4, lane, address};
  if (!walk.event)
    return;
  for (u64 at = address >> granuleLog2; at <= (address + bytes - 1) >> granuleLog2; ++at) {
    Page &page = pageOf(warp, at >> (pageLog2 - granuleLog2));
    std::unique_lock<std::mutex> lock(page.mutex, std::defer_lock);
    if (parallel)
      lock.lock();
    touch(walk, page.cells[at & ((1 << (pageLog2 - granuleLog2)) - 1)], at << granuleLog2);
  }
}

// The clocks of the warp at this point, with its own entry for these lanes.
static std::shared_ptr<const VectorClock> snapshot(Warp &warp, u32 mask) {
  auto clocks = std::make_shared<VectorClock>(warp.clocks.generic);
  u32 lane = mask != warp.live && isSingle(mask) ? u32(firstLane(mask)) : everyLane;
  clocks->at[warp.agent] = warp.clock << 6 | lane;
  return clocks;
}

static Record moment(const Warp &warp, const Op &op, u32 mask) {
  return Record(op.index, warp.clock, warp.agent, mask != warp.live && isSingle(mask) ? u32(firstLane(mask)) : everyLane);
}

// fence and membar: what came before can be released by a strong write after it; what strong reads saw, of any warp and ordered before it,
// is acquired.
void GlobalRaces::fence(Warp &warp, const Op &op, u32 mask) {
  if (op.scope == 0)
    return;
  Cluster &cluster = *warp.cta->cluster;
  if (op.order & orderRelease) {
    warp.pendingRelease = {snapshot(warp, mask), mask};
    warp.tick();
  }
  if (op.order & orderAcquire) {
    Record now = moment(warp, op, mask);
    for (const Acquired &seen : cluster.seen)
      if (orderedHere(warp, seen.when, now.lane()))
        cluster.acquired.push_back({now, seen.what});
    warp.tick();
  }
}

// A strong access at each lane's address: a release after a fence or by its own order; an acquire for atomics, .acquire, or at the next
// fence.
void GlobalRaces::synchronise(Warp &warp, const Op &op, u32 mask, const u64 *addresses, Access access) {
  Cluster &cluster = *warp.cta->cluster;
  std::shared_ptr<const VectorClock> released;
  if (access != Access::Read) {
    if (op.order & orderRelease) {
      released = snapshot(warp, mask);
      warp.tick();
    } else if (mask & warp.pendingRelease.lanes) {
      released = warp.pendingRelease.clocks;
    }
  }
  Record now = moment(warp, op, mask);
  std::lock_guard lock(orderMutex);
  for (u32 rest = mask; rest; rest &= rest - 1) {
    u64 address = addresses[firstLane(rest)];
    auto known = releases.find(address);
    if (access != Access::Write && known != releases.end())
      for (const Published &p : known->second)
        if (p.cluster != cluster.index)
          ((op.order & orderAcquire) ? cluster.acquired : cluster.seen).push_back({now, p});
    if (!released)
      continue;
    std::vector<Published> &at = releases[address];
    std::erase_if(at, [&](const Published &p) { return p.cluster == cluster.index && p.clocks == released; });
    at.push_back({cluster.index, released});
    for (const Acquired &a : cluster.acquired) // what was learned is passed on
      if (covers(released->at[a.when.agent()], a.when))
        at.push_back(a.what);
    if (at.size() > mostReleases)
      at.erase(at.begin(), at.begin() + mostReleases / 2);
  }
}

} // namespace leat::sim
