// What loads and stores of the bulk copy engine share: operands of an instruction as one lane gives them.
#ifndef LEAT_RUNTIME_DEVICE_SIM_BULKCOPY_H
#define LEAT_RUNTIME_DEVICE_SIM_BULKCOPY_H

#include "runtime/device/sim/Machine.h"
#include "runtime/device/sim/TensorMap.h"

namespace leat::sim {

// Reads the tensor map that the instruction's second address points to, and compares it with the instruction. False: reported.
bool readTensorMap(Warp &warp, const Op &op, u64 address, int lane, TensorMapSpec &map);
// Notes a shared address that is not where the swizzle's pattern begins.
void checkSwizzleAlignment(Warp &warp, const Op &op, int lane, const TensorMapSpec &map, u32 address);
// 32-byte sectors that [address, address + bytes) touches.
inline u64 sectorsOf(u64 address, u64 bytes) { return bytes ? ((address + bytes - 1) >> 5) - (address >> 5) + 1 : 0; }

} // namespace leat::sim

#endif
