// The runtime's threads: a fixed set that spins a little and then sleeps. One parallel region at a time; the tasks of a region are
// fixed by the caller, so what is computed never depends on how many threads there are.
#ifndef LEAT_RUNTIME_CORE_THREADPOOL_H
#define LEAT_RUNTIME_CORE_THREADPOOL_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace leat::rt {

// How tasks reach threads. Dynamic: from one shared counter. Static: each thread first gets the same range every time (its caches know
// the data), and helps the others when it is done.
enum class Distribution { Dynamic, Static };

class ThreadPool {
public:
  // Runs tasks [begin, end); `worker` is in [0, threads()) and no two calls at the same time have the same one.
  using Function = void (*)(void *context, int64_t begin, int64_t end, int worker);

  // `threads` includes the calling one; 0: one per CPU that this process may use. `spinMicroseconds`: how long an idle thread stays awake.
  explicit ThreadPool(int threads = 0, int spinMicroseconds = 50);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers.size()) + 1; }

  // Returns when all tasks are done. Called from inside a task, or while another thread has the pool, it runs all tasks on the calling
  // thread (as worker 0): never a deadlock, the same result.
  void parallelFor(Function function, void *context, int64_t tasks, Distribution distribution = Distribution::Dynamic);

  // Several loops whose tasks do not depend on each other.
  struct Loop {
    Function function;
    void *context;
    int64_t tasks;
  };
  // As one region: each thread first has its share of the first loop, then of the next.
  void parallelFor(std::span<const Loop> loops, Distribution distribution = Distribution::Dynamic);

  // For lambdas: f(begin, end, worker).
  template <typename F> void forRange(int64_t tasks, F &&f, Distribution distribution = Distribution::Dynamic) {
    parallelFor([](void *context, int64_t begin, int64_t end,
                   int worker) { (*static_cast<std::remove_reference_t<F> *>(context))(begin, end, worker); },
                &f, tasks, distribution);
  }

  // CPUs that this process may use: affinity mask and container quota.
  static int usableCpus();

private:
  struct alignas(64) Range {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  void workerLoop(int worker);
  void work(int worker);
  // Runs tasks [begin, end) of a range, which has its share of each loop, one behind the other.
  void runPiece(int range, int64_t begin, int64_t end, int worker);
  bool newJob(uint64_t gate, uint32_t seen) const;

  // The job. Written only while the gate is closed and everyone who had joined has left.
  std::span<const Loop> loops;
  int64_t grain = 1;
  int rangeCount = 1;
  std::unique_ptr<Range[]> ranges;

  // epoch (32 bits), open (1 bit), number of workers that joined (31 bits). A worker that is asleep or descheduled does not join, and the
  // region does not wait for it.
  alignas(64) std::atomic<uint64_t> gate{0};
  alignas(64) std::atomic<uint32_t> left{0};
  alignas(64) std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> signal{0};
  std::atomic<bool> stop{false};
  std::mutex owner;
  int spinMicroseconds;
  std::vector<std::thread> workers;
};

} // namespace leat::rt

#endif
