// Runs an artifact's functions where kernels run on a device: tensors are in its memory, inputs and outputs are copied at the border, and
// what the host program looks at comes through the frame's read and write.
#ifndef LEAT_RUNTIME_DEVICE_DEVICEEXECUTOR_H
#define LEAT_RUNTIME_DEVICE_DEVICEEXECUTOR_H

#include "runtime/device/DeviceProgram.h"
#include "runtime/device/host/KernelRunner.h"

namespace leat::rt {

class DeviceExecutor : public Executor {
public:
  // All must outlive the executor; `pool` runs the kernels that have no device code.
  DeviceExecutor(const Artifact &artifact, const LoadedCode &code, DeviceProgram &program, Queue &queue, ThreadPool &pool,
                 LeatState *states, int64_t batch, bool profile);
  ~DeviceExecutor() override;

  Status run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) override;
  Status repeat(size_t function, LeatBuffer *inputs, LeatBuffer *outputs, std::span<int64_t> nanoseconds) override;

private:
  // Host memory for a result.
  struct HostRoom {
    void *data = nullptr;
    int64_t bytes = 0;
  };
  struct Input {
    DeviceMemory memory;
    const void *host = nullptr; // of the current run
    int64_t bytes = 0;
  };

  static void *grow(LeatFrame *frame, int64_t index, int64_t bytes);
  static int64_t launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars);
  static int64_t launchGroup(LeatFrame *frame, const LeatLaunch *launches, int64_t count);
  static int64_t read(LeatFrame *frame, void *host, const void *device, int64_t bytes);
  static int64_t write(LeatFrame *frame, void *device, const void *host, int64_t bytes);
  static int64_t copy(LeatFrame *frame, void *to, const void *from, int64_t bytes);
  static int64_t constant(LeatFrame *frame, void **device, const void *host, int64_t bytes);

  // Makes `memory` hold at least `bytes`; its content is lost.
  Status reserve(DeviceMemory &memory, int64_t bytes, const char *what);
  // Calls the function on inputs that are on the device; its work is sent, not waited for.
  Status enqueue(size_t function, LeatBuffer *outputs);
  Status bringInputs(const FunctionInfo &function, const LeatBuffer *inputs);
  Status bringOutputs(const FunctionInfo &function, LeatBuffer *outputs);
  // What members of a group cannot share: LEAT_DEVICE_BUFFERS, and how the phases of the kernel are launched.
  struct Lane {
    DeviceMemory scratch, joined, tickets;
    LeatGeometry phases[LEAT_MAX_PHASES];
  };

  Status launchOne(const LeatLaunch &launch);
  // As branches that a device may run at once; all of them have device code.
  Status launchBranches(const LeatLaunch *launches, int64_t count);
  // By itself, with the time added to the kernel's profile.
  Status launchMeasured(const LeatLaunch &launch);
  // False: the kernel has to be launched.
  Result<bool> multiplyByLibrary(size_t kernel, void *const *buffers, const int64_t *scalars);
  Status launchOnDevice(const LeatLaunch &launch, Lane &lane);
  // The two steps of it, if the library does not multiply: memory, which may wait for the device, and the launches.
  Status prepare(const LeatLaunch &launch, Lane &lane);
  Status send(const LeatLaunch &launch, Lane &lane);
  Status launchOnHost(size_t kernel, void *const *buffers, const int64_t *scalars);

  DeviceProgram &program;
  Queue &queue;
  KernelRunner runner;
  std::vector<DeviceMemory> memory; // of the slots
  Lane lanes[LEAT_MAX_GROUP];       // a launch by itself has the first
  std::vector<Input> inputMemory;
  std::vector<LeatBuffer> inputBuffers;
  std::vector<HostRoom> outputMemory;
  std::vector<Memory> hostCopies; // operands of kernels that run on the host
  std::vector<void *> pointers;   // arguments of a launch
};

} // namespace leat::rt

#endif
