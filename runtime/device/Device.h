// What the runtime asks of a device that runs kernels from PTX or machine code: memory, code, and queues of work. CUDA's driver implements
// it (cuda/), and the simulator (simdevice/), which is linked only into programs that want it.
#ifndef LEAT_RUNTIME_DEVICE_DEVICE_H
#define LEAT_RUNTIME_DEVICE_DEVICE_H

#include "leat/KernelABI.h"
#include "runtime/core/Status.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace leat::rt {

// Code of a module in the forms that the artifact has; at least one is not empty.
struct ModuleCode {
  std::string_view ptx;
  std::span<const uint8_t> cubin;
  std::string gpu; // what it needs: "sm_80", "sm_90a"
};

struct LaunchShape {
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1}, cluster[3] = {1, 1, 1};
  uint32_t dynamicShared = 0;
};

// Work in order. For one thread at a time; different queues are independent.
class Queue {
public:
  virtual ~Queue() = default;

  // The host's memory is free for other use when copyIn returns; copyOut returns when the bytes are there, and so everything before is
  // done.
  virtual Status copyIn(void *to, const void *host, int64_t bytes) = 0;
  virtual Status copyOut(void *host, const void *from, int64_t bytes) = 0;
  virtual Status copy(void *to, const void *from, int64_t bytes) = 0;
  virtual Status zero(void *at, int64_t bytes) = 0;
  // `arguments`: a pointer to the value of each parameter. `name` is the kernel's, for messages.
  virtual Status launch(void *entry, const LaunchShape &shape, std::span<void *const> arguments, const char *name) = 0;
  // A product by the library that Device::openGemmLibrary opened, `buffers` as a kernel's pointers. False: it has nothing for this product.
  // `name` is the kernel's in whose place it is.
  virtual Result<bool> multiply(const LeatGemm &gemm, void *const *buffers, const char *name) { return false; }
  // Launches until endBranches do not depend on those of another branch, and a device may run branches at once; within a branch they are in
  // order. They begin in branch 0.
  virtual Status beginBranches(int count) { return {}; }
  virtual Status branch(int which) { return {}; }
  virtual Status endBranches() { return {}; }
  // Returns when all work is done; says what went wrong in it.
  virtual Status synchronize() = 0;
  // Launches from here on belong to the sequence `which`, which runs again and again with other arguments; a device may send them together.
  virtual Status beginSequence(size_t which) { return {}; }
  virtual Status endSequence() { return {}; }
  // The device's time for work, in nanoseconds: startTimer(), work, stopTimer(), which waits. The time starts when the first of the work is
  // sent, not before: what the host does until then is not counted. `cold`: the device's caches hold nothing of the work's data then.
  virtual Status startTimer(bool cold) = 0;
  virtual Result<int64_t> stopTimer() = 0;
};

class Device {
public:
  virtual ~Device() = default;

  // For people: "NVIDIA H200 (sm_90)".
  virtual const std::string &name() const = 0;
  virtual int64_t multiprocessors() const = 0;
  // Memory of the device, at least 256-byte aligned; zero bytes give an address, too. `what` names it in the message when there is none.
  virtual Result<void *> allocate(int64_t bytes, const char *what) = 0;
  virtual void release(void *memory) = 0;
  // The device's address of host memory that nobody changes and that outlives its use. To be released, too.
  virtual Result<void *> adopt(const void *host, int64_t bytes, const char *what) = 0;
  // Host memory that the device copies to and from fastest.
  virtual Result<void *> allocateHost(int64_t bytes) = 0;
  virtual void releaseHost(void *memory) = 0;

  // Loads a module for the life of the device. `name` is for messages.
  virtual Result<void *> load(const ModuleCode &code, const std::string &name) = 0;
  virtual Result<void *> entry(void *module, const std::string &symbol) = 0;
  // The 128 bytes that a kernel takes as a tensor map over memory at `base`.
  virtual Status encodeTensorMap(const LeatTensorMap &map, void *base, void *bytes) = 0;

  // Opens a library of products for queues that are made later. An error says what was looked for.
  virtual Status openGemmLibrary() { return error(Code::Unsupported, "%s has no library of products", name().c_str()); }
  virtual Result<std::unique_ptr<Queue>> createQueue() = 0;
};

// Opens the device `name` for a model that asks for `threads` threads of the host.
using DeviceOpener = Result<std::shared_ptr<Device>> (*)(const std::string &name, int threads);

// A block of a device's memory.
class DeviceMemory {
public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory &&other) noexcept { *this = std::move(other); }
  DeviceMemory &operator=(DeviceMemory &&other) noexcept {
    std::swap(device, other.device);
    std::swap(pointer, other.pointer);
    std::swap(size, other.size);
    return *this;
  }
  ~DeviceMemory() { release(); }

  // What was held before is gone; with an error, nothing is held.
  Status allocate(Device &from, int64_t bytes, const char *what) {
    release();
    Result<void *> memory = from.allocate(bytes, what);
    if (!memory.ok())
      return memory.takeStatus();
    device = &from, pointer = *memory, size = bytes;
    return {};
  }
  Status adopt(Device &from, const void *host, int64_t bytes, const char *what) {
    release();
    Result<void *> memory = from.adopt(host, bytes, what);
    if (!memory.ok())
      return memory.takeStatus();
    device = &from, pointer = *memory, size = bytes;
    return {};
  }
  void release() {
    if (device)
      device->release(pointer);
    device = nullptr, pointer = nullptr, size = 0;
  }
  void *data() const { return pointer; }
  int64_t bytes() const { return size; }

private:
  Device *device = nullptr;
  void *pointer = nullptr;
  int64_t size = 0;
};

} // namespace leat::rt

#endif
