// The cells of global memory, and the checks on them.
#include "runtime/device/sim/GlobalRaces.h"
#include "runtime/device/sim/Access.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static constexpr size_t mostReleases = 65536; // kept for one address

GlobalRaces::Page &GlobalRaces::pageOf(u64 address) {
  std::unique_lock<std::mutex> lock(pagesMutex, std::defer_lock);
  if (parallel)
    lock.lock();
  std::unique_ptr<Page> &page = pages[address >> pageLog2];
  if (!page)
    page = std::make_unique<Page>();
  return *page;
}

// Is this access of the warp's own cluster before the lane's next instruction?
static bool orderedHere(const Warp &warp, Record record, u32 lane) {
  if (record.agent() == warp.agent)
    return record.lane() == lane || record.lane() == everyLane || record.clock() <= warp.syncClock;
  return covers(warp.clocks.generic.at[record.agent()], record);
}

bool GlobalRaces::ordered(Warp &warp, const Touch &earlier, u32 lane) const {
  const Cluster &cluster = *warp.cta->cluster;
  if (earlier.cluster == cluster.index)
    return orderedHere(warp, earlier.record, lane);
  for (const Acquired &acquired : cluster.acquired)
    if (acquired.what.cluster == earlier.cluster && covers(acquired.what.clocks->at[earlier.record.agent()], earlier.record) &&
        orderedHere(warp, acquired.when, lane))
      return true;
  return false;
}

void GlobalRaces::race(Warp &warp, const Op &op, int lane, u64 address, const Touch &earlier, const char *what, bool sameValue) {
  Launch &launch = *warp.cta->cluster->launch;
  Kind kind = sameValue ? Kind::GlobalSameValueWrites : Kind::GlobalRace;
  if (launch.reports.seen(&op, kind, earlier.record.pc()))
    return;
  u32 agent = earlier.record.agent() % agentsPerCta;
  std::string who = earlier.cluster == warp.cta->cluster->index ? rt::formatText("warp %u of this CTA", agent)
                                                                : rt::formatText("CTA number %llu", (unsigned long long)earlier.cluster);
  reportWith(warp, op, lane, kind, earlier.record.pc(), "%s %s by %s at %s", launch.memory.describe(address).c_str(), what, who.c_str(),
             launch.reports.where(earlier.record.pc()).c_str());
}

// Strong accesses do not race with each other. Everything else has to be ordered, unless both read.
void GlobalRaces::touch(Warp &warp, const Op &op, int lane, Cell &cell, u64 address, Access access, const u8 *value) {
  bool strong = op.relaxed || access == Access::Atomic, writes = access != Access::Read;
  u32 l = u32(lane);
  Touch now = {Record(op.index, warp.clock, warp.agent, l), warp.cta->cluster->index};
  bool sameInstruction = cell.writer.cluster == now.cluster && cell.writer.record.agent() == warp.agent &&
                         cell.writer.record.pc() == op.index && cell.writer.record.clock() == warp.clock;
  if (cell.writer && !sameInstruction && !ordered(warp, cell.writer, l)) {
    bool same = writes && value && std::memcmp(reinterpret_cast<const u8 *>(uintptr_t(address)), value, 4) == 0;
    race(warp, op, lane, address, cell.writer, "was written", same);
  }
  if (cell.strong && !strong && !ordered(warp, cell.strong, l))
    race(warp, op, lane, address, cell.strong, "was accessed", false);
  if (writes)
    for (const Touch *reader : {&cell.reader, &cell.otherReader})
      if (*reader && !ordered(warp, *reader, l))
        race(warp, op, lane, address, *reader, "was read", false);
  if (strong) {
    cell.strong = now;
  } else if (writes) {
    cell.writer = now;
    cell.reader = cell.otherReader = {};
  } else {
    if (cell.reader && cell.reader.cluster != now.cluster)
      cell.otherReader = cell.reader;
    cell.reader = now;
  }
}

void GlobalRaces::access(Warp &warp, const Op &op, u32 mask, const u64 *addresses, u32 bytes, Access access) {
  if ((op.relaxed || access == Access::Atomic) && op.scope > 0)
    synchronise(warp, op, mask, addresses, access);
  const MemoryMap &memory = warp.cta->cluster->launch->memory;
  if (memory[warp.lastRegion].readOnly && memory[warp.lastRegion].contains(addresses[firstLane(mask)], bytes))
    return; // nobody can write there
  Page *page = nullptr;
  u64 pageNumber = ~u64(0);
  std::unique_lock<std::mutex> lock;
  for (u32 rest = mask; rest; rest &= rest - 1) {
    int l = firstLane(rest);
    u8 value[32];
    bool known = access == Access::Write && op.aux && u32(op.size) * op.count == bytes && op.aux->a.size() == op.count;
    if (known)
      for (int i = 0; i < op.count; ++i)
        std::memcpy(value + i * op.size, lanes<u8>(warp, op.aux->a[i].slot) + l * op.aux->a[i].width, op.size);
    for (u64 at = addresses[l] >> granuleLog2; at <= (addresses[l] + bytes - 1) >> granuleLog2; ++at) {
      u64 address = at << granuleLog2;
      if (address >> pageLog2 != pageNumber) {
        lock = {};
        pageNumber = address >> pageLog2;
        page = &pageOf(address);
        if (parallel)
          lock = std::unique_lock(page->mutex);
      }
      touch(warp, op, l, page->cells[at & ((1 << (pageLog2 - granuleLog2)) - 1)], address, access,
            known && address >= addresses[l] && bytes >= 4 ? value + (address - addresses[l]) : nullptr);
    }
  }
}

void GlobalRaces::accessRange(Warp &warp, const Op &op, int lane, u64 address, u64 bytes, bool write) {
  const MemoryMap &memory = warp.cta->cluster->launch->memory;
  if (memory[warp.lastRegion].readOnly && memory[warp.lastRegion].contains(address, bytes))
    return;
  for (u64 at = address >> granuleLog2; bytes && at <= (address + bytes - 1) >> granuleLog2; ++at) {
    Page &page = pageOf(at << granuleLog2);
    std::unique_lock<std::mutex> lock(page.mutex, std::defer_lock);
    if (parallel)
      lock.lock();
    touch(warp, op, lane, page.cells[at & ((1 << (pageLog2 - granuleLog2)) - 1)], at << granuleLog2, write ? Access::Write : Access::Read,
          nullptr);
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
