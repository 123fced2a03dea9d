// A model on a device: its code, its weights and the constants of its functions, once for all sessions.
#ifndef LEAT_RUNTIME_DEVICE_DEVICEPROGRAM_H
#define LEAT_RUNTIME_DEVICE_DEVICEPROGRAM_H

#include "runtime/artifact/Artifact.h"
#include "runtime/device/Device.h"

#include <map>
#include <mutex>
#include <vector>

namespace leat::rt {

// Who multiplies where a kernel is a plain product: what its schedule says, as far as there is a library; our code; the library, which has
// to be there.
enum class GemmChoice { Scheduled = 0, Generated = 1, CublasLt = 2 };

class DeviceProgram {
public:
  // Loads the code and the weights. The artifact must outlive the program.
  static Result<std::unique_ptr<DeviceProgram>> create(std::shared_ptr<Device> device, const Artifact &artifact, GemmChoice gemm);

  Device &device() const { return *owner; }
  void *const *params() const { return paramPointers.data(); }
  // Entries of a kernel, one per phase; empty for kernels that run on the host.
  const std::vector<void *> &entries(size_t kernel) const { return kernelEntries[kernel]; }
  // Whether the device's library of products is asked before a kernel is launched.
  bool asksLibrary(size_t kernel) const { return byLibrary[kernel]; }
  // The device's copy of constant memory of the loaded code. Any thread.
  Result<void *> constant(Queue &queue, const void *host, int64_t bytes);

private:
  DeviceProgram() = default;

  std::shared_ptr<Device> owner;
  DeviceMemory weights;
  std::vector<void *> paramPointers;
  std::vector<std::vector<void *>> kernelEntries;
  std::vector<bool> byLibrary; // of each kernel
  std::mutex mutex;
  std::map<const void *, DeviceMemory> constants;
};

} // namespace leat::rt

#endif
