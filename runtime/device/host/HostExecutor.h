// Runs an artifact's functions on the CPU: keeps the buffers that generated code asks for, and launches kernels on the pool.
#ifndef LEAT_RUNTIME_DEVICE_HOST_HOSTEXECUTOR_H
#define LEAT_RUNTIME_DEVICE_HOST_HOSTEXECUTOR_H

#include "runtime/device/host/HostWeights.h"
#include "runtime/device/host/KernelRunner.h"

namespace leat::rt {

class HostExecutor : public Executor {
public:
  // All must outlive the executor; `states` may be null for artifacts without state.
  HostExecutor(const Artifact &artifact, const LoadedCode &code, const HostWeights &weights, ThreadPool &pool, LeatState *states,
               int64_t batch, bool profile);

  Status run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) override;
  Status repeat(size_t function, LeatBuffer *inputs, LeatBuffer *outputs, std::span<int64_t> nanoseconds) override;

private:
  static void *grow(LeatFrame *frame, int64_t index, int64_t bytes);
  static int64_t launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars);
  static int64_t launchGroup(LeatFrame *frame, const LeatLaunch *launches, int64_t count);

  KernelRunner runner;
  std::vector<void *> params;
  std::vector<Memory> memory; // of the slots
};

} // namespace leat::rt

#endif
