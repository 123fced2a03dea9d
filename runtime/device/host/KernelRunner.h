// Runs kernels on the thread pool: their tasks, the scratch of each thread, and the second phase of those that have one.
#ifndef LEAT_RUNTIME_DEVICE_HOST_KERNELRUNNER_H
#define LEAT_RUNTIME_DEVICE_HOST_KERNELRUNNER_H

#include "runtime/core/Memory.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/device/Executor.h"

namespace leat::rt {

class KernelRunner {
public:
  // Both must outlive the runner, which adds what it allocates to `count`.
  KernelRunner(ThreadPool &pool, ExecutionCounters &count) : pool(pool), count(count) {}

  // `buffers` are in host memory. `name` is for messages.
  Status run(const LeatKernel &kernel, const std::string &name, void *const *buffers, const int64_t *scalars);

private:
  bool reserveScratch(int64_t bytes);
  bool reserveShared(int64_t bytes);

  ThreadPool &pool;
  ExecutionCounters &count;
  Memory scratch, shared;
  int64_t scratchStride = 0;
};

} // namespace leat::rt

#endif
