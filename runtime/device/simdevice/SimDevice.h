// The simulator as a device: GPU kernels executed on the CPU, from the PTX in the artifact. For machines without a GPU, and for tests.
// Linked only into programs that want it; the runtime library does not hold it.
#ifndef LEAT_RUNTIME_DEVICE_SIMDEVICE_SIMDEVICE_H
#define LEAT_RUNTIME_DEVICE_SIMDEVICE_SIMDEVICE_H

#include "runtime/device/Device.h"

namespace leat::rt {

// `name`: "sim" checks bounds and alignment only, which is fast enough for whole models; "sim:checked" finds races, reads of what nothing
// wrote and missing fences, too. NotFound for other names. A finding of the simulator is an error of the run.
Result<std::shared_ptr<Device>> openSimDevice(const std::string &name, int threads);

// The 128 bytes that a kernel takes there as a tensor map over memory at `base`.
Status encodeTensorMapOfSim(const LeatTensorMap &map, void *base, void *bytes);

} // namespace leat::rt

#endif
