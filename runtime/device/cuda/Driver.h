// The part of CUDA's driver interface that the runtime uses, declared here and opened when it is first needed: nothing links to libcuda, so
// the same runtime works on machines without it. Names, numbers and layouts are the driver's.
#ifndef LEAT_RUNTIME_DEVICE_CUDA_DRIVER_H
#define LEAT_RUNTIME_DEVICE_CUDA_DRIVER_H

#include "runtime/core/Status.h"

#include <cstddef>
#include <cstdint>

namespace leat::rt::cuda {

using Result = int32_t; // CUresult
constexpr Result success = 0, outOfMemory = 2, noDevice = 100, noBinaryForGpu = 209, invalidPtx = 218, unsupportedPtxVersion = 222,
                 graphExecUpdateFailure = 910;

using DeviceId = int32_t;
using Pointer = unsigned long long; // CUdeviceptr
struct ContextHandle;
struct ModuleHandle;
struct FunctionHandle;
struct StreamHandle;
struct EventHandle;
struct GraphHandle;
struct GraphExecHandle;

constexpr int32_t multiprocessorCount = 16, cacheBytes = 38, capabilityMajor = 75, capabilityMinor = 76; // CUdevice_attribute
constexpr int32_t maxDynamicShared = 8;                                                                  // CUfunction_attribute
constexpr int32_t jitErrorLog = 5, jitErrorLogBytes = 6;                                                 // CUjit_option
constexpr uint32_t streamNonBlocking = 1, eventWithoutTime = 2;
constexpr int32_t captureRelaxed = 2;             // CUstreamCaptureMode: other sessions allocate meanwhile
constexpr uint32_t attributeClusterDimension = 4; // CUlaunchAttributeID

struct LaunchAttribute {
  uint32_t id;
  uint32_t pad;
  union {
    char bytes[64];
    uint32_t cluster[3];
  } value;
};
struct LaunchConfig {
  uint32_t grid[3], block[3];
  uint32_t sharedBytes;
  StreamHandle *stream;
  LaunchAttribute *attributes;
  uint32_t attributeCount;
};
struct GraphUpdateInfo {
  int32_t result;
  void *errorNode, *errorFromNode;
};

// Every function of the driver that is used: field, symbol, parameters.
#define LEAT_CUDA_FUNCTIONS(F)                                                                                                             \
  F(init, "cuInit", (uint32_t flags))                                                                                                      \
  F(driverVersion, "cuDriverGetVersion", (int32_t *version))                                                                               \
  F(errorName, "cuGetErrorName", (Result code, const char **name))                                                                         \
  F(errorString, "cuGetErrorString", (Result code, const char **text))                                                                     \
  F(deviceCount, "cuDeviceGetCount", (int32_t *count))                                                                                     \
  F(deviceGet, "cuDeviceGet", (DeviceId * device, int32_t ordinal))                                                                        \
  F(deviceName, "cuDeviceGetName", (char *name, int32_t bytes, DeviceId device))                                                           \
  F(deviceAttribute, "cuDeviceGetAttribute", (int32_t *value, int32_t attribute, DeviceId device))                                         \
  F(retainContext, "cuDevicePrimaryCtxRetain", (ContextHandle * *context, DeviceId device))                                                \
  F(releaseContext, "cuDevicePrimaryCtxRelease_v2", (DeviceId device))                                                                     \
  F(setContext, "cuCtxSetCurrent", (ContextHandle * context))                                                                              \
  F(memoryInfo, "cuMemGetInfo_v2", (size_t *free, size_t *total))                                                                          \
  F(allocate, "cuMemAlloc_v2", (Pointer * memory, size_t bytes))                                                                           \
  F(release, "cuMemFree_v2", (Pointer memory))                                                                                             \
  F(allocateHost, "cuMemAllocHost_v2", (void **memory, size_t bytes))                                                                      \
  F(releaseHost, "cuMemFreeHost", (void *memory))                                                                                          \
  F(copyIn, "cuMemcpyHtoDAsync_v2", (Pointer to, const void *from, size_t bytes, StreamHandle *stream))                                    \
  F(copyOut, "cuMemcpyDtoHAsync_v2", (void *to, Pointer from, size_t bytes, StreamHandle *stream))                                         \
  F(copy, "cuMemcpyDtoDAsync_v2", (Pointer to, Pointer from, size_t bytes, StreamHandle *stream))                                          \
  F(fill, "cuMemsetD8Async", (Pointer at, uint8_t value, size_t bytes, StreamHandle *stream))                                              \
  F(loadModule, "cuModuleLoadDataEx", (ModuleHandle * *module, const void *image, uint32_t count, int32_t *options, void **values))        \
  F(unloadModule, "cuModuleUnload", (ModuleHandle * module))                                                                               \
  F(getFunction, "cuModuleGetFunction", (FunctionHandle * *function, ModuleHandle * module, const char *name))                             \
  F(setFunctionAttribute, "cuFuncSetAttribute", (FunctionHandle * function, int32_t attribute, int32_t value))                             \
  F(launchKernel, "cuLaunchKernelEx", (const LaunchConfig *config, FunctionHandle *function, void **arguments, void **extra))              \
  F(createStream, "cuStreamCreate", (StreamHandle * *stream, uint32_t flags))                                                              \
  F(destroyStream, "cuStreamDestroy_v2", (StreamHandle * stream))                                                                          \
  F(synchronize, "cuStreamSynchronize", (StreamHandle * stream))                                                                           \
  F(streamWait, "cuStreamWaitEvent", (StreamHandle * stream, EventHandle * event, uint32_t flags))                                         \
  F(beginCapture, "cuStreamBeginCapture_v2", (StreamHandle * stream, int32_t mode))                                                        \
  F(endCapture, "cuStreamEndCapture", (StreamHandle * stream, GraphHandle * *graph))                                                       \
  F(instantiateGraph, "cuGraphInstantiateWithFlags", (GraphExecHandle * *exec, GraphHandle * graph, unsigned long long flags))             \
  F(updateGraph, "cuGraphExecUpdate_v2", (GraphExecHandle * exec, GraphHandle * graph, GraphUpdateInfo * info))                            \
  F(launchGraph, "cuGraphLaunch", (GraphExecHandle * exec, StreamHandle * stream))                                                         \
  F(destroyGraph, "cuGraphDestroy", (GraphHandle * graph))                                                                                 \
  F(destroyGraphExec, "cuGraphExecDestroy", (GraphExecHandle * exec))                                                                      \
  F(createEvent, "cuEventCreate", (EventHandle * *event, uint32_t flags))                                                                  \
  F(destroyEvent, "cuEventDestroy_v2", (EventHandle * event))                                                                              \
  F(recordEvent, "cuEventRecord", (EventHandle * event, StreamHandle * stream))                                                            \
  F(waitEvent, "cuEventSynchronize", (EventHandle * event))                                                                                \
  F(elapsed, "cuEventElapsedTime", (float *milliseconds, EventHandle *from, EventHandle *to))

// Since CUDA 12: null with an older driver, which has no GPU that needs it.
#define LEAT_CUDA_OPTIONAL(F)                                                                                                              \
  F(encodeTiled, "cuTensorMapEncodeTiled",                                                                                                 \
    (void *map, int32_t dtype, uint32_t rank, void *base, const uint64_t *dims, const uint64_t *strides, const uint32_t *box,              \
     const uint32_t *elementStrides, int32_t interleave, int32_t swizzle, int32_t promotion, int32_t fill))

struct Driver {
#define LEAT_CUDA_FIELD(field, symbol, parameters) Result(*field) parameters = nullptr;
  LEAT_CUDA_FUNCTIONS(LEAT_CUDA_FIELD)
  LEAT_CUDA_OPTIONAL(LEAT_CUDA_FIELD)
#undef LEAT_CUDA_FIELD

  // The driver's words for a code: "CUDA_ERROR_INVALID_VALUE: invalid argument".
  std::string describe(Result code) const;
};

// Opens libcuda.so.1, or `library` if it is not null. The library stays open for the life of the process: a driver is not made to be
// closed.
rt::Result<Driver> openDriver(const char *library = nullptr);

} // namespace leat::rt::cuda

#endif
