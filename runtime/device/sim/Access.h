// The addresses of one memory instruction, resolved for all lanes: bounds, alignment, races and counters are looked after here.
#ifndef LEAT_RUNTIME_DEVICE_SIM_ACCESS_H
#define LEAT_RUNTIME_DEVICE_SIM_ACCESS_H

#include "runtime/device/sim/Machine.h"

namespace leat::sim {

enum class Access : u8 { Read, Write, Atomic };

// Fills `pointers` with host addresses of `bytes` bytes a lane; returns the lanes for which there is one. What is wrong with the others is
// reported.
u32 resolveLanes(Warp &warp, const Op &op, u32 mask, u32 bytes, Access access, u8 **pointers);

} // namespace leat::sim

#endif
