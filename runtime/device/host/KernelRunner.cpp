// See KernelRunner.h.
#include "runtime/device/host/KernelRunner.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace leat::rt {

static int64_t nanosecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

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
  uint8_t *scratch; // of the first worker
  int64_t stride;
  uint8_t *shared;
  int64_t tasks, joins;         // of the two phases
  std::atomic<int64_t> busy{0}; // nanoseconds of all workers together, if measured

  void run(int64_t begin, int64_t end, int worker) { phase(buffers, scalars, begin, end, scratch + worker * stride, shared); }
  static void tasksOf(void *context, int64_t begin, int64_t end, int worker) { static_cast<Launch *>(context)->run(begin, end, worker); }
  static void measuredTasksOf(void *context, int64_t begin, int64_t end, int worker) {
    auto start = std::chrono::steady_clock::now();
    tasksOf(context, begin, end, worker);
    static_cast<Launch *>(context)->busy.fetch_add(nanosecondsSince(start), std::memory_order_relaxed);
  }
};

} // namespace

// What waking the pool and waiting for it costs is earned by so many bytes (or four times as many operations) on one thread.
static constexpr int64_t regionBytes = 64 << 10;

// Whether the kernels have one task each, and all of them together do not take long enough for threads to share them.
static bool areSmall(std::span<const KernelRunner::Call> calls) {
  int64_t work = 0;
  for (const KernelRunner::Call &call : calls) {
    if (!call.kernel->cost || call.kernel->tasks(call.scalars) > 1)
      return false;
    int64_t cost[LEAT_COSTS] = {};
    call.kernel->cost(call.scalars, cost);
    work += cost[LEAT_COST_BYTES] + cost[LEAT_COST_OPERATIONS] / 4;
  }
  return work < regionBytes;
}

Status KernelRunner::run(std::span<Call> calls, bool measured) {
  auto start = measured ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
  Launch launches[LEAT_MAX_GROUP];
  if (calls.size() > LEAT_MAX_GROUP)
    return error(Code::Internal, "generated code launched %zu kernels as one group, of which there are %d at most", calls.size(),
                 LEAT_MAX_GROUP);
  if (calls.size() > 1 && areSmall(calls)) {
    for (Call &call : calls)
      LEAT_RETURN_IF_ERROR(run({&call, 1}, measured));
    return {};
  }
  int64_t offsets[LEAT_MAX_GROUP], allShared = 0;
  bool joins = false;
  for (size_t i = 0; i < calls.size(); ++i) {
    const Call &call = calls[i];
    const LeatKernel &kernel = *call.kernel;
    Launch &launch = launches[i];
    launch.tasks = kernel.tasks(call.scalars);
    launch.joins = kernel.finish ? kernel.finish_tasks(call.scalars) : 0;
    int64_t bytes = kernel.scratch ? kernel.scratch(call.scalars) : 0, sharedBytes = kernel.finish ? kernel.shared(call.scalars) : 0;
    if (launch.tasks < 0 || bytes < 0 || launch.joins < 0 || sharedBytes < 0 || sharedBytes > (int64_t(1) << 40))
      return error(Code::Internal, "kernel '%s' asked for %lld + %lld tasks with %lld bytes of scratch, %lld shared", call.name->c_str(),
                   (long long)launch.tasks, (long long)launch.joins, (long long)bytes, (long long)sharedBytes);
    if (!reserveScratch(bytes)) // a worker runs one task at a time: the kernels have it in turns
      return error(Code::Capacity, "out of memory for the scratch of kernel '%s' (%lld bytes for each of %d threads)", call.name->c_str(),
                   (long long)bytes, pool.threads());
    offsets[i] = allShared;
    allShared += (sharedBytes + 63) & ~int64_t(63);
    if (!reserveShared(allShared))
      return error(Code::Capacity, "out of memory for what the tasks of kernel '%s' share (%lld bytes)", call.name->c_str(),
                   (long long)sharedBytes);
    joins |= launch.joins > 0;
  }
  ThreadPool::Loop loops[LEAT_MAX_GROUP];
  for (size_t i = 0; i < calls.size(); ++i) {
    Launch &launch = launches[i];
    launch.phase = calls[i].kernel->run;
    launch.buffers = calls[i].buffers;
    launch.scalars = calls[i].scalars;
    launch.scratch = scratchStride ? static_cast<uint8_t *>(scratch.data()) : nothing;
    launch.stride = scratchStride;
    launch.shared = shared.bytes() ? static_cast<uint8_t *>(shared.data()) + offsets[i] : nothing;
    loops[i] = {measured && calls.size() > 1 ? Launch::measuredTasksOf : Launch::tasksOf, &launch, launch.tasks};
  }
  std::span<ThreadPool::Loop> group(loops, calls.size());
  pool.parallelFor(group, Distribution::Static);
  if (joins) {
    for (size_t i = 0; i < calls.size(); ++i) {
      launches[i].phase = calls[i].kernel->finish;
      loops[i].tasks = launches[i].joins;
    }
    pool.parallelFor(group, Distribution::Static);
  }
  if (measured) {
    // Threads work on several kernels at a time: the group's time is shared out by how long they were at each.
    int64_t all = 0, whole = nanosecondsSince(start);
    for (size_t i = 0; i < calls.size(); ++i)
      all += launches[i].busy.load();
    for (size_t i = 0; i < calls.size(); ++i)
      calls[i].nanoseconds = static_cast<int64_t>(
          static_cast<double>(whole) *
          (all > 0 ? static_cast<double>(launches[i].busy.load()) / static_cast<double>(all) : 1.0 / static_cast<double>(calls.size())));
  }
  return {};
}

} // namespace leat::rt
