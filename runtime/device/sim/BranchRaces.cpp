// See BranchRaces.h.
#include "runtime/device/sim/BranchRaces.h"

namespace leat::sim {

using Cell = GlobalRaces::Cell;

void BranchRaces::finish(int branch, Launch &launch, std::unique_ptr<GlobalRaces> races) {
  Trace now = {branch, &launch.program, launch.grid, launch.cluster, std::move(races)};
  for (const Trace &earlier : traces)
    if (earlier.branch != branch)
      compare(earlier, now, launch);
  traces.push_back(std::move(now));
}

Place BranchRaces::Trace::place(GlobalRaces::Touch touch) const {
  const GlobalRaces::Event &e = races->event(touch);
  u32 agent = e.record.agent();
  return {ctaOf(grid, cluster, e.cluster, agent / agentsPerCta), int(agent % agentsPerCta), int(GlobalRaces::laneOf(touch))};
}

void BranchRaces::compare(const Trace &earlier, const Trace &now, Launch &launch) {
  constexpr u64 pageCells = 1 << (GlobalRaces::pageLog2 - GlobalRaces::granuleLog2);
  for (const auto &[number, page] : now.races->pages) {
    auto common = earlier.races->pages.find(number);
    if (common == earlier.races->pages.end())
      continue;
    for (u64 i = 0; i < pageCells; ++i)
      compareCells(earlier, common->second->cells[i], now, page->cells[i], number << GlobalRaces::pageLog2 | i << GlobalRaces::granuleLog2,
                   launch);
  }
}

void BranchRaces::compareCells(const Trace &earlier, const Cell &before, const Trace &now, const Cell &cell, u64 address, Launch &launch) {
  if (!(before.writer | before.strong | cell.writer | cell.strong))
    return; // only read
  for (GlobalRaces::Touch theirs : {before.writer, before.strong, before.reader, before.otherReader})
    for (GlobalRaces::Touch mine : {cell.writer, cell.strong, cell.reader, cell.otherReader}) {
      if (!theirs || !mine)
        continue;
      const GlobalRaces::Event &first = earlier.races->event(theirs), &second = now.races->event(mine);
      if ((!first.writes && !second.writes) ||
          !GlobalRaces::overlap(GlobalRaces::offsetOf(theirs), first.bytes, GlobalRaces::offsetOf(mine), second.bytes))
        continue;
      const Op &op = launch.program.code[second.record.pc()];
      u64 key = u64(&earlier - traces.data()) << 32 | first.record.pc();
      if (launch.reports.seen(&op, Kind::BranchRace, key))
        continue;
      Place who = earlier.place(theirs);
      launch.reports.add(now.place(mine), &op, Kind::BranchRace, key,
                         rt::formatText("%s at 0x%llx %s in branch %d by %s cta (%u,%u,%u) warp %d lane %d at %s; this is branch %d",
                                        launch.memory.describe(address).c_str(), (unsigned long long)address,
                                        first.writes ? "is written" : "is read", earlier.branch, earlier.program->name.c_str(), who.cta.x,
                                        who.cta.y, who.cta.z, who.warp, who.lane, lineOf(*earlier.program, first.record.pc()).c_str(),
                                        now.branch));
    }
}

} // namespace leat::sim
