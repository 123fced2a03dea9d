// NVIDIA GPUs through CUDA's driver.
#ifndef LEAT_RUNTIME_DEVICE_CUDA_CUDADEVICE_H
#define LEAT_RUNTIME_DEVICE_CUDA_CUDADEVICE_H

#include "runtime/device/Device.h"

namespace leat::rt {

// The first GPU. Errors say what is missing: a driver, a GPU. What is not null stands in for libcuda.so.1, and for cuBLASLt.
Result<std::shared_ptr<Device>> openCudaDevice(const char *library = nullptr, const char *gemmLibrary = nullptr);

} // namespace leat::rt

#endif
