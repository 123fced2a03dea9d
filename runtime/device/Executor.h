// Runs an artifact's functions for a session. What all executors share is here: the frame, failures, counters and measurements; what
// differs is where tensors are and how kernels run.
#ifndef LEAT_RUNTIME_DEVICE_EXECUTOR_H
#define LEAT_RUNTIME_DEVICE_EXECUTOR_H

#include "runtime/artifact/Artifact.h"

#include <functional>
#include <span>
#include <vector>

namespace leat::rt {

struct KernelProfile {
  int64_t calls = 0, nanoseconds = 0;
  int64_t bytes = 0, operations = 0;  // by the kernel's own model: a lower bound of what has to move
  int64_t requested = 0, unfused = 0; // bytes, likewise (LEAT_COST_... in include/leat/KernelABI.h)
};

struct ExecutionCounters {
  int64_t runs = 0;
  int64_t launches = 0;
  int64_t groups = 0;      // of launches, one behind the other; a launch by itself is one
  int64_t allocations = 0; // times that a buffer or scratch had to grow
  int64_t bufferBytes = 0; // held by buffers and scratch now
};

// One per session; not for two threads at once.
class Executor {
public:
  virtual ~Executor() = default;
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  // `inputs` as the function declares them, already checked, in host memory; `outputs` are views of host memory that hold until the next
  // run.
  virtual Status run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) = 0;
  // Runs `function` again on the inputs of the last run, which was of the same function and succeeded, once for each entry of
  // `nanoseconds`: the time of that run. A device starts with cold caches, copies nothing at the border and gives its own time.
  virtual Status repeat(size_t function, LeatBuffer *inputs, LeatBuffer *outputs, std::span<int64_t> nanoseconds) = 0;

  const ExecutionCounters &counters() const { return count; }
  // Who gives rows the pages that a stream of so many tokens needs, where a state lies in pages.
  void reserveBy(std::function<Status(int64_t tokens)> reserve) { reserver = std::move(reserve); }

  // One per kernel of the manifest; empty unless profiling.
  const std::vector<KernelProfile> &profile() const { return profiles; }
  void clearProfile();
  // Stops measuring, and goes on with it; only for an executor that was made to measure. On a device, measuring waits for every kernel.
  void measure(bool on) { measuring = on && !profiles.empty(); }

protected:
  // Both must outlive the executor; `states` may be null for artifacts without state.
  Executor(const Artifact &artifact, const LoadedCode &code, LeatState *states, int64_t batch, bool profile);

  static Executor &of(LeatFrame *frame) { return *static_cast<Executor *>(frame->session); }
  // Calls the function on the frame; the status is the first failure.
  Status call(size_t function);
  // Remembers why; returns what the failing function returns. The first failure is the cause.
  int64_t stop(Status status);
  // Counts a group that generated code launches, unless it makes no sense.
  Status checkGroup(const LeatLaunch *launches, int64_t count);
  // Adds one launch that took `nanoseconds` to the kernel's profile.
  void addProfile(int64_t kernel, const int64_t *scalars, int64_t nanoseconds);
  // What generous memory asks for when `bytes` are not there: a little more, so that a stream whose length creeps up does not allocate at
  // each step.
  static int64_t generous(int64_t bytes, int64_t before) { return bytes > before + before / 4 ? bytes : before + before / 4; }

  const ManifestInfo &manifest;
  const LoadedCode &code;
  std::vector<LeatSlot> slots; // as many as any function needs
  LeatFrame frame = {};
  Status failure;
  ExecutionCounters count;
  std::vector<KernelProfile> profiles;
  bool measuring;
  std::function<Status(int64_t)> reserver;

private:
  static int64_t reserve(LeatFrame *frame, int64_t tokens);
  static int64_t fail(LeatFrame *frame, int64_t message, int64_t a, int64_t b);
};

} // namespace leat::rt

#endif
