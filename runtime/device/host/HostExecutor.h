// Runs an artifact's functions on the CPU: keeps the buffers that generated code asks for, launches kernels on the pool, and turns what
// goes wrong into a Status. One per session; not for two threads at once.
#ifndef LEAT_RUNTIME_DEVICE_HOST_HOSTEXECUTOR_H
#define LEAT_RUNTIME_DEVICE_HOST_HOSTEXECUTOR_H

#include "runtime/artifact/Artifact.h"
#include "runtime/core/ThreadPool.h"

#include <vector>

namespace leat::rt {

struct KernelProfile {
  int64_t calls = 0, nanoseconds = 0;
  int64_t bytes = 0, operations = 0; // by the kernel's own model: a lower bound of what has to move
};

struct ExecutionCounters {
  int64_t runs = 0;
  int64_t launches = 0;
  int64_t allocations = 0; // times that a buffer or scratch had to grow
  int64_t bufferBytes = 0; // held by buffers and scratch now
};

class HostExecutor {
public:
  // All must outlive the executor; `states` may be null for artifacts without state.
  HostExecutor(const Artifact &artifact, const LoadedCode &code, ThreadPool &pool, LeatState *states, int64_t batch, bool profile);
  HostExecutor(const HostExecutor &) = delete;
  HostExecutor &operator=(const HostExecutor &) = delete;

  // `inputs` as the function declares them, already checked. `outputs` are views that hold until the next run.
  Status run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs);

  const ExecutionCounters &counters() const { return count; }
  // One per kernel of the manifest; empty unless profiling.
  const std::vector<KernelProfile> &profile() const { return profiles; }
  void clearProfile();

private:
  static void *grow(LeatFrame *frame, int64_t index, int64_t bytes);
  static int64_t launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars);
  static int64_t fail(LeatFrame *frame, int64_t message, int64_t a, int64_t b);
  int64_t stop(Status status);
  bool reserveScratch(int64_t bytes);
  bool reserveShared(int64_t bytes);

  const ManifestInfo &manifest;
  const LoadedCode &code;
  ThreadPool &pool;
  std::vector<void *> params;
  std::vector<LeatSlot> slots;
  std::vector<Memory> memory;
  Memory scratch, shared;
  int64_t scratchStride = 0;
  LeatFrame frame = {};
  Status failure;
  ExecutionCounters count;
  std::vector<KernelProfile> profiles;
};

} // namespace leat::rt

#endif
