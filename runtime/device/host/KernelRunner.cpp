// See KernelRunner.h.
#include "runtime/device/host/KernelRunner.h"

namespace leat::rt {

// Scratch of kernels that need none.
alignas(64) static uint8_t nothing[128];

bool KernelRunner::reserveScratch(int64_t bytes) {
  if (bytes <= scratchStride)
    return true;
  int64_t stride = (bytes + 127) & ~int64_t(127), total; // no two workers on one cache line
  if (bytes > (int64_t(1) << 40) || __builtin_mul_overflow(stride, int64_t(pool.threads()), &total))
    return false;
  ++count.allocations;
  count.bufferBytes -= scratch.bytes();
  scratchStride = 0;
  if (!scratch.allocate(total))
    return false;
  count.bufferBytes += scratch.bytes();
  scratchStride = stride;
  return true;
}

bool KernelRunner::reserveShared(int64_t bytes) {
  if (bytes <= shared.bytes())
    return true;
  ++count.allocations;
  count.bufferBytes -= shared.bytes();
  bool good = shared.allocate(bytes);
  count.bufferBytes += shared.bytes();
  return good;
}

namespace {
struct Launch {
  decltype(LeatKernel::run) phase;
  void *const *buffers;
  const int64_t *scalars;
  uint8_t *scratch;
  int64_t stride;
  void *shared;
};
} // namespace

Status KernelRunner::run(const LeatKernel &kernel, const std::string &name, void *const *buffers, const int64_t *scalars) {
  int64_t tasks = kernel.tasks(scalars), bytes = kernel.scratch ? kernel.scratch(scalars) : 0;
  int64_t joins = kernel.finish ? kernel.finish_tasks(scalars) : 0, sharedBytes = kernel.finish ? kernel.shared(scalars) : 0;
  if (tasks < 0 || bytes < 0 || joins < 0 || sharedBytes < 0)
    return error(Code::Internal, "kernel '%s' asked for %lld + %lld tasks with %lld bytes of scratch, %lld shared", name.c_str(),
                 (long long)tasks, (long long)joins, (long long)bytes, (long long)sharedBytes);
  if (!reserveScratch(bytes))
    return error(Code::Capacity, "out of memory for the scratch of kernel '%s' (%lld bytes for each of %d threads)", name.c_str(),
                 (long long)bytes, pool.threads());
  if (!reserveShared(sharedBytes))
    return error(Code::Capacity, "out of memory for what the tasks of kernel '%s' share (%lld bytes)", name.c_str(),
                 (long long)sharedBytes);

  Launch launch{kernel.run,    buffers,
                scalars,       scratchStride ? static_cast<uint8_t *>(scratch.data()) : nothing,
                scratchStride, shared.bytes() ? shared.data() : nothing};
  auto phase = [&](int64_t count) {
    pool.parallelFor(
        [](void *context, int64_t begin, int64_t end, int worker) {
          auto &launch = *static_cast<Launch *>(context);
          launch.phase(launch.buffers, launch.scalars, begin, end, launch.scratch + worker * launch.stride, launch.shared);
        },
        &launch, count, Distribution::Static);
  };
  phase(tasks);
  launch.phase = kernel.finish;
  phase(joins);
  return {};
}

} // namespace leat::rt
