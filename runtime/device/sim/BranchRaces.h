// Races between launches that a device may run at once. A launch leaves its records of global memory (GlobalRaces) here; those of later
// launches in other branches are compared with them, granule by granule.
#ifndef LEAT_RUNTIME_DEVICE_SIM_BRANCHRACES_H
#define LEAT_RUNTIME_DEVICE_SIM_BRANCHRACES_H

#include "runtime/device/sim/Machine.h"

namespace leat::sim {

class BranchRaces {
public:
  // After a launch: reports what it touched that earlier launches of other branches touched, too, unless all only read.
  void finish(int branch, Launch &launch, std::unique_ptr<GlobalRaces> races);

private:
  // What is left of a launch.
  struct Trace {
    int branch;
    const Program *program;
    Dim3 grid, cluster;
    std::unique_ptr<GlobalRaces> races;

    Place place(GlobalRaces::Touch touch) const;
  };

  void compare(const Trace &earlier, const Trace &now, Launch &launch);
  void compareCells(const Trace &earlier, const GlobalRaces::Cell &before, const Trace &now, const GlobalRaces::Cell &cell, u64 address,
                    Launch &launch);

  std::vector<Trace> traces;
};

} // namespace leat::sim

#endif
