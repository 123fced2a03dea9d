// Runs kernels on the thread pool: their tasks, the scratch of each thread, and the second phase of those that have one.
#ifndef LEAT_RUNTIME_DEVICE_HOST_KERNELRUNNER_H
#define LEAT_RUNTIME_DEVICE_HOST_KERNELRUNNER_H

#include "runtime/core/Memory.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/device/Executor.h"

#include <span>

namespace leat::rt {

class KernelRunner {
public:
  // Both must outlive the runner, which adds what it allocates to `count`.
  KernelRunner(ThreadPool &pool, ExecutionCounters &count) : pool(pool), count(count) {}

  struct Call {
    const LeatKernel *kernel;
    const std::string *name; // for messages
    void *const *buffers;    // in host memory
    const int64_t *scalars;
    int64_t nanoseconds = 0; // the share of the time that is this kernel's, if measured
  };

  // Runs up to LEAT_MAX_GROUP kernels that do not depend on each other as one parallel region, and what has a second phase in another.
  Status run(std::span<Call> calls, bool measured = false);

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
