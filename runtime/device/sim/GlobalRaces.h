// Races on global memory, within a CTA and between CTAs of one launch.
#ifndef LEAT_RUNTIME_DEVICE_SIM_GLOBALRACES_H
#define LEAT_RUNTIME_DEVICE_SIM_GLOBALRACES_H

#include "runtime/device/sim/HappensBefore.h"
#include "runtime/device/sim/Types.h"

namespace leat::sim {

struct Warp;
struct Op;
enum class Access : u8;

class GlobalRaces {
public:
  void access(Warp &, const Op &, u32, const u64 *, u32, Access) {}
  void fence(Warp &, const Op &, u32) {}
};

} // namespace leat::sim

#endif
