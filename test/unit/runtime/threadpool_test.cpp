// The pool: every task once, whatever the number of threads, callers and nesting; shutdown at any time.
#include "runtime/core/ThreadPool.h"

#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <vector>

using namespace leat::rt;

TEST(ThreadPool, EveryTaskOnce) {
  for (int threads : {1, 2, 3, 8})
    for (Distribution distribution : {Distribution::Dynamic, Distribution::Static}) {
      ThreadPool pool(threads);
      EXPECT_EQ(pool.threads(), threads);
      for (int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) {
        std::vector<std::atomic<int>> seen(tasks);
        pool.forRange(
            tasks,
            [&](int64_t begin, int64_t end, int worker) {
              ASSERT_LT(worker, threads);
              ASSERT_LT(begin, end);
              for (int64_t i = begin; i < end; ++i)
                ++seen[i];
            },
            distribution);
        for (auto &count : seen)
          ASSERT_EQ(count.load(), 1);
      }
    }
}

TEST(ThreadPool, SeveralLoopsAreOneRegion) {
  for (int threads : {1, 2, 3, 8})
    for (Distribution distribution : {Distribution::Dynamic, Distribution::Static}) {
      ThreadPool pool(threads);
      for (std::vector<int64_t> sizes : {std::vector<int64_t>{}, {0, 0}, {1, 0, 1}, {1, 1, 1}, {64, 3, 0, 1000}, {3, 1}, {1, 500}}) {
        struct Seen {
          std::vector<std::atomic<int>> tasks;
        };
        std::vector<Seen> seen;
        for (int64_t size : sizes)
          seen.push_back({std::vector<std::atomic<int>>(size)});
        std::vector<ThreadPool::Loop> loops;
        for (size_t i = 0; i < sizes.size(); ++i)
          loops.push_back({[](void *context, int64_t begin, int64_t end, int) {
                             ASSERT_LT(begin, end);
                             for (int64_t task = begin; task < end; ++task)
                               ++static_cast<Seen *>(context)->tasks[task];
                           },
                           &seen[i], sizes[i]});
        pool.parallelFor(loops, distribution);
        for (const Seen &loop : seen)
          for (auto &count : loop.tasks)
            ASSERT_EQ(count.load(), 1);
      }
    }
}

TEST(ThreadPool, WorkersAreExclusive) {
  ThreadPool pool(4);
  std::atomic<int> busy[4] = {};
  for (int round = 0; round < 200; ++round)
    pool.forRange(64, [&](int64_t, int64_t, int worker) {
      ASSERT_EQ(busy[worker].fetch_add(1), 0);
      ASSERT_EQ(busy[worker].fetch_sub(1), 1);
    });
}

TEST(ThreadPool, ManySmallRegions) {
  ThreadPool pool(4, 5);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 5000; ++round) {
    if (round % 500 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1)); // workers fall asleep
    pool.forRange(5, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        sum.fetch_add(i, std::memory_order_relaxed);
    });
    ASSERT_EQ(sum.load(), int64_t(round + 1) * 10);
  }
}

TEST(ThreadPool, NestedRunsInline) {
  ThreadPool pool(4);
  std::atomic<int> count{0};
  pool.forRange(8, [&](int64_t begin, int64_t end, int) {
    auto self = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i)
      pool.forRange(10, [&](int64_t b, int64_t e, int) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        count += static_cast<int>(e - b);
      });
  });
  EXPECT_EQ(count.load(), 80);
}

TEST(ThreadPool, ConcurrentCallers) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round)
        pool.forRange(20, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    });
  for (auto &caller : callers)
    caller.join();
  EXPECT_EQ(sum.load(), 4 * 300 * 20);
}

TEST(ThreadPool, StartAndStop) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(3, round % 2 ? 0 : 50);
    if (round % 3 == 0)
      pool.forRange(3, [](int64_t, int64_t, int) {});
  }
  EXPECT_GE(ThreadPool::usableCpus(), 1);
}
