// The pool's protocol: a region opens the gate under a new epoch, whoever is awake joins by counting itself in, the caller works too,
// closes the gate and waits for those that joined.
#include "runtime/core/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sched.h>
#include <utility>

namespace leat::rt {

static constexpr uint64_t openBit = uint64_t(1) << 31, joinedMask = openBit - 1;
static thread_local bool insideRegion = false;
// What a piece of a region's last tasks takes at least: shorter ones would even out little more.
static constexpr std::chrono::duration<double> leastPiece = std::chrono::microseconds(20);

static inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int ThreadPool::usableCpus() {
  int cpus = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    cpus = std::max(1, CPU_COUNT(&set));
  if (FILE *file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long long quota = 0, period = 0;
    if (std::fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
      cpus = std::clamp<int>(static_cast<int>((quota + period - 1) / period), 1, cpus);
    std::fclose(file);
  }
  return cpus;
}

ThreadPool::ThreadPool(int threads, int spinMicroseconds) : spinMicroseconds(spinMicroseconds) {
  if (threads <= 0)
    threads = usableCpus();
  threads = std::min(threads, 1024);
  ranges = std::make_unique<Range[]>(threads);
  workers.reserve(threads - 1);
  for (int i = 1; i < threads; ++i)
    workers.emplace_back([this, i] { workerLoop(i); });
}

ThreadPool::~ThreadPool() {
  stop.store(true);
  signal.fetch_add(1);
  signal.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

bool ThreadPool::newJob(uint64_t gate, uint32_t seen) const { return (gate & openBit) && static_cast<uint32_t>(gate >> 32) != seen; }

void ThreadPool::workerLoop(int worker) {
  insideRegion = true; // whatever a task calls runs inline
  uint32_t seen = 0;
  auto idleSince = std::chrono::steady_clock::now();
  for (int spins = 0;; ++spins) {
    uint64_t current = gate.load(std::memory_order_acquire);
    if (newJob(current, seen)) {
      if (!gate.compare_exchange_weak(current, current + 1, std::memory_order_acq_rel))
        continue;
      seen = static_cast<uint32_t>(current >> 32);
      work(worker);
      left.fetch_add(1, std::memory_order_acq_rel);
      left.notify_one();
      spins = 0;
      idleSince = std::chrono::steady_clock::now();
      continue;
    }
    if (stop.load(std::memory_order_relaxed))
      return;
    pause();
    if (spins % 32 || std::chrono::steady_clock::now() - idleSince < std::chrono::microseconds(spinMicroseconds))
      continue;
    // Sleep. Whoever opens the gate after we are counted sees us, whoever opened it before is seen here.
    sleepers.fetch_add(1);
    uint32_t ticket = signal.load();
    if (!newJob(gate.load(), seen) && !stop.load())
      signal.wait(ticket);
    sleepers.fetch_sub(1);
    idleSince = std::chrono::steady_clock::now();
  }
}

// Where the share of range `range` of a loop's tasks begins. `before`: the tasks of earlier loops, so that it is not always the same range
// that has one more than others.
static int64_t shareBegin(int64_t tasks, int64_t before, int range, int ranges) { return (tasks * range + before % ranges) / ranges; }

void ThreadPool::runPiece(int range, int64_t begin, int64_t end, int worker) {
  int64_t before = 0, here = 0; // tasks of earlier loops: all, and those in this range
  for (const Loop &loop : loops) {
    int64_t first = shareBegin(loop.tasks, before, range, rangeCount);
    int64_t count = shareBegin(loop.tasks, before, range + 1, rangeCount) - first;
    int64_t from = std::max<int64_t>(begin - here, 0), to = std::min(end - here, count);
    if (from < to)
      loop.function(loop.context, first + from, first + to, worker);
    before += loop.tasks;
    here += count;
  }
}

void ThreadPool::work(int worker) {
  int first = rangeCount == 1 ? 0 : worker;
  int64_t least = grain;   // tasks of a piece
  bool timed = grain == 1; // where tasks are long, fewer: one piece tells
  for (int i = 0; i < rangeCount; ++i) {
    int index = (first + i) % rangeCount;
    Range &range = ranges[index];
    int64_t begin = range.next.load(std::memory_order_relaxed);
    while (begin < range.end) {
      // Half of what is left: what tasks share is done for large pieces, and the small ones at the end even out threads of unequal speed.
      int64_t end = begin + std::min(std::max(least, (range.end - begin) / 2), range.end - begin);
      if (!range.next.compare_exchange_weak(begin, end, std::memory_order_relaxed))
        continue;
      auto started = timed ? std::chrono::steady_clock::time_point() : std::chrono::steady_clock::now();
      runPiece(index, begin, end, worker);
      if (!std::exchange(timed, true)) {
        std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
        least = std::clamp<int64_t>(static_cast<int64_t>((end - begin) * leastPiece / std::max(elapsed, leastPiece / 1024)), 1, grain);
      }
      begin = range.next.load(std::memory_order_relaxed);
    }
  }
}

void ThreadPool::parallelFor(Function f, void *context, int64_t tasks, Distribution distribution) {
  Loop loop{f, context, tasks};
  parallelFor({&loop, 1}, distribution);
}

void ThreadPool::parallelFor(std::span<const Loop> given, Distribution distribution) {
  int64_t tasks = 0;
  for (const Loop &loop : given)
    tasks += loop.tasks;
  if (tasks <= 1 || workers.empty() || insideRegion || !owner.try_lock()) {
    for (const Loop &loop : given)
      if (loop.tasks > 0)
        loop.function(loop.context, 0, loop.tasks, 0);
    return;
  }
  std::lock_guard<std::mutex> lock(owner, std::adopt_lock);

  int total = threads();
  loops = given;
  rangeCount = distribution == Distribution::Static ? total : 1;
  // The least piece: few enough of them to cost nothing.
  grain = std::max<int64_t>(1, tasks / (int64_t(total) * 8));
  for (int i = 0; i < rangeCount; ++i) {
    int64_t count = 0, before = 0;
    for (const Loop &loop : given) {
      count += shareBegin(loop.tasks, before, i + 1, rangeCount) - shareBegin(loop.tasks, before, i, rangeCount);
      before += loop.tasks;
    }
    ranges[i].next.store(0, std::memory_order_relaxed);
    ranges[i].end = count;
  }
  left.store(0, std::memory_order_relaxed);
  uint64_t epoch = static_cast<uint32_t>((gate.load(std::memory_order_relaxed) >> 32) + 1);
  if (epoch == 0)
    epoch = 1; // 0 is what a fresh worker has "seen"
  gate.store(epoch << 32 | openBit);
  if (sleepers.load() > 0) {
    signal.fetch_add(1);
    signal.notify_all();
  }

  insideRegion = true;
  work(0);
  insideRegion = false;

  auto joined = static_cast<uint32_t>(gate.fetch_and(~openBit, std::memory_order_acq_rel) & joinedMask);
  for (int spins = 0;; ++spins) {
    uint32_t count = left.load(std::memory_order_acquire);
    if (count == joined)
      break;
    if (spins < 4096)
      pause();
    else
      left.wait(count); // a worker that joined has lost its CPU
  }
}

} // namespace leat::rt
