// Kernels on the pool, one by one and in groups: the same numbers, memory of their own where they share some, and who took how long.
#include "runtime/device/host/KernelRunner.h"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

using namespace leat::rt;

namespace {

// scalars: tasks, joins, bytes that the cost function says, microseconds that a task takes.
int64_t tasks(const int64_t *scalars) { return scalars[0]; }
int64_t joins(const int64_t *scalars) { return scalars[1]; }
int64_t scratchBytes(const int64_t *) { return sizeof(int64_t); }
int64_t sharedBytes(const int64_t *scalars) { return scalars[0] * static_cast<int64_t>(sizeof(int64_t)); }
void cost(const int64_t *scalars, int64_t *out) { out[LEAT_COST_BYTES] = scalars[2]; }

// Task i writes buffers[0][0] + i to the memory that tasks share, by way of its scratch.
void run(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *scratch, void *shared) {
  for (int64_t i = begin; i < end; ++i) {
    auto &mine = *static_cast<volatile int64_t *>(scratch);
    mine = *static_cast<int64_t *>(buffers[0]) + i;
    if (scalars[3])
      std::this_thread::sleep_for(std::chrono::microseconds(scalars[3]));
    static_cast<int64_t *>(shared)[i] = mine;
  }
}

// Join i adds up all of that and i.
void finish(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end, void *, void *shared) {
  for (int64_t i = begin; i < end; ++i) {
    int64_t sum = i;
    for (int64_t t = 0; t < scalars[0]; ++t)
      sum += static_cast<int64_t *>(shared)[t];
    static_cast<int64_t *>(buffers[1])[i] = sum;
  }
}

// Task i writes buffers[0][0] + i to buffers[1][i].
void runAlone(void *const *buffers, const int64_t *, int64_t begin, int64_t end, void *, void *) {
  for (int64_t i = begin; i < end; ++i)
    static_cast<int64_t *>(buffers[1])[i] = *static_cast<int64_t *>(buffers[0]) + i;
}

// buffers[1][0] is the thread that it ran on.
void tellThread(void *const *buffers, const int64_t *, int64_t, int64_t, void *, void *) {
  *static_cast<std::thread::id *>(buffers[1]) = std::this_thread::get_id();
  std::this_thread::sleep_for(std::chrono::milliseconds(5)); // long enough for all threads to have one
}

const LeatKernel twoPhases = {run, tasks, scratchBytes, cost, finish, joins, sharedBytes};
const LeatKernel onePhase = {runAlone, tasks, nullptr, cost, nullptr, nullptr, nullptr};
const LeatKernel teller = {tellThread, tasks, nullptr, cost, nullptr, nullptr, nullptr};

struct Work {
  Work(const LeatKernel &kernel, int64_t value, std::vector<int64_t> scalars)
      : kernel(kernel), value(value), scalars(std::move(scalars)), result(64) {}
  KernelRunner::Call call() {
    buffers[0] = &value, buffers[1] = result.data();
    return {&kernel, &name, buffers, scalars.data()};
  }
  const LeatKernel &kernel;
  int64_t value;
  std::vector<int64_t> scalars, result;
  void *buffers[2];
  std::string name = "k";
};

} // namespace

TEST(KernelRunner, GroupsGiveWhatTheirKernelsGive) {
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    ExecutionCounters count;
    KernelRunner runner(pool, count);
    auto make = [] {
      std::vector<Work> work;
      work.emplace_back(twoPhases, 100, std::vector<int64_t>{40, 3, 1000, 0});
      work.emplace_back(onePhase, 7, std::vector<int64_t>{50, 0, 1000, 0});
      work.emplace_back(twoPhases, -5, std::vector<int64_t>{1, 60, 1000, 0});
      work.emplace_back(onePhase, 1, std::vector<int64_t>{0, 0, 0, 0}); // nothing to do
      return work;
    };
    std::vector<Work> alone = make(), group = make();
    for (Work &work : alone) {
      KernelRunner::Call call = work.call();
      ASSERT_TRUE(runner.run({&call, 1}).ok());
    }
    EXPECT_EQ(alone[0].result[2], 40 * 100 + 39 * 20 + 2);
    for (int round = 0; round < 50; ++round) {
      group = make();
      std::vector<KernelRunner::Call> calls;
      for (Work &work : group)
        calls.push_back(work.call());
      ASSERT_TRUE(runner.run(calls).ok());
      for (size_t i = 0; i < group.size(); ++i)
        ASSERT_EQ(group[i].result, alone[i].result) << i;
    }
    int64_t allocations = count.allocations;
    std::vector<KernelRunner::Call> calls;
    for (Work &work : group)
      calls.push_back(work.call());
    ASSERT_TRUE(runner.run(calls).ok());
    EXPECT_EQ(count.allocations, allocations); // a steady stream allocates nothing
  }
}

TEST(KernelRunner, SmallKernelsStayWithTheCaller) {
  ThreadPool pool(2, /*spinMicroseconds=*/100000);
  ExecutionCounters count;
  KernelRunner runner(pool, count);
  auto threadsOf = [&](int64_t bytes) {
    std::vector<Work> work(2, Work(teller, 0, {1, 0, bytes, 0}));
    std::vector<KernelRunner::Call> calls{work[0].call(), work[1].call()};
    EXPECT_TRUE(runner.run(calls).ok());
    auto id = [&](int i) { return *reinterpret_cast<std::thread::id *>(work[i].result.data()); };
    return id(0) == id(1) ? 1 : 2;
  };
  EXPECT_EQ(threadsOf(1000), 1);
  EXPECT_EQ(threadsOf(1 << 20), 2);
}

TEST(KernelRunner, TimeIsSharedOutByWork) {
  ThreadPool pool(2);
  ExecutionCounters count;
  KernelRunner runner(pool, count);
  std::vector<Work> work;
  work.emplace_back(twoPhases, 0, std::vector<int64_t>{2, 1, 1000, 2000});
  work.emplace_back(twoPhases, 0, std::vector<int64_t>{6, 1, 1000, 2000});
  std::vector<KernelRunner::Call> calls{work[0].call(), work[1].call()};
  auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(runner.run(calls, /*measured=*/true).ok());
  int64_t whole = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  int64_t sum = calls[0].nanoseconds + calls[1].nanoseconds;
  EXPECT_LE(sum, whole);
  EXPECT_GE(sum, 8 * 2000000 / 2); // all of them slept, two at a time
  EXPECT_GT(calls[1].nanoseconds, 2 * calls[0].nanoseconds);
  EXPECT_LT(calls[1].nanoseconds, 5 * calls[0].nanoseconds);
}

TEST(KernelRunner, RefusesWhatMakesNoSense) {
  ThreadPool pool(1);
  ExecutionCounters count;
  KernelRunner runner(pool, count);
  std::vector<Work> work(LEAT_MAX_GROUP + 1, Work(onePhase, 0, {1, 0, 0, 0}));
  std::vector<KernelRunner::Call> calls;
  for (Work &one : work)
    calls.push_back(one.call());
  Status many = runner.run(calls);
  ASSERT_FALSE(many.ok());
  EXPECT_NE(many.message().find("9 kernels as one group"), std::string::npos);
  work[1].scalars[0] = -1;
  Status negative = runner.run({calls.data(), 2});
  ASSERT_FALSE(negative.ok());
  EXPECT_NE(negative.message().find("kernel 'k' asked for -1 + 0 tasks"), std::string::npos);
}
