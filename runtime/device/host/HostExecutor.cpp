// The three calls that generated code makes, and the run around them.
#include "runtime/device/host/HostExecutor.h"

#include <algorithm>
#include <chrono>

namespace leat::rt {

// What a failing function returns; the reason is in `failure`.
static constexpr int64_t failedCode = 1;

// Empty buffers point here, so that generated code never sees null.
alignas(64) static uint8_t nothing[128];

HostExecutor::HostExecutor(const Artifact &artifact, const LoadedCode &code, ThreadPool &pool, LeatState *states, int64_t batch,
                           bool profile)
    : manifest(artifact.manifest()), code(code), pool(pool) {
  for (size_t i = 0; i < manifest.params.size(); ++i)
    params.push_back(const_cast<void *>(artifact.param(i)));
  int most = 0;
  for (const FunctionInfo &function : manifest.functions)
    most = std::max(most, function.slots);
  slots.assign(most, LeatSlot{nothing, 0});
  memory.resize(most);
  if (profile)
    profiles.resize(manifest.kernels.size());
  frame.params = params.data();
  frame.slots = slots.data();
  frame.states = states;
  frame.batch = batch;
  frame.grow = grow;
  frame.launch = launch;
  frame.fail = fail;
  frame.session = this;
}

Status HostExecutor::run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) {
  frame.inputs = inputs;
  frame.outputs = outputs;
  failure = Status();
  ++count.runs;
  if (code.function(function)(&frame) == 0)
    return {};
  if (failure.ok())
    return error(Code::Internal, "function '%s' failed without a reason", manifest.functions[function].name.c_str());
  return std::move(failure);
}

void HostExecutor::clearProfile() { std::fill(profiles.begin(), profiles.end(), KernelProfile()); }

int64_t HostExecutor::stop(Status status) {
  if (failure.ok()) // the first failure is the cause
    failure = std::move(status);
  return failedCode;
}

void *HostExecutor::grow(LeatFrame *frame, int64_t index, int64_t bytes) {
  auto &self = *static_cast<HostExecutor *>(frame->session);
  if (index < 0 || index >= static_cast<int64_t>(self.slots.size()) || bytes < 0) {
    self.stop(error(Code::Internal, "generated code asked for %lld bytes in buffer %lld", (long long)bytes, (long long)index));
    return nullptr;
  }
  LeatSlot &slot = self.slots[index];
  Memory &block = self.memory[index];
  if (bytes <= block.bytes())
    return slot.data;
  // A little more than asked for, so that a stream whose length creeps up does not allocate at each step. The old block goes first: its
  // content is of no use to anyone.
  int64_t before = block.bytes(), generous = std::max(bytes, before + before / 4);
  ++self.count.allocations;
  if (!block.allocate(generous) && !block.allocate(bytes)) {
    slot = {nothing, 0};
    self.count.bufferBytes -= before;
    self.stop(error(Code::Capacity, "out of memory for a temporary buffer of %lld bytes: use a smaller batch or a shorter input",
                    (long long)bytes));
    return nullptr;
  }
  self.count.bufferBytes += block.bytes() - before;
  slot = {block.data(), block.bytes()};
  return slot.data;
}

bool HostExecutor::reserveScratch(int64_t bytes) {
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

bool HostExecutor::reserveShared(int64_t bytes) {
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

int64_t HostExecutor::launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars) {
  auto &self = *static_cast<HostExecutor *>(frame->session);
  if (index < 0 || index >= static_cast<int64_t>(self.manifest.kernels.size()))
    return self.stop(error(Code::Internal, "generated code launched kernel %lld, which does not exist", (long long)index));
  const LeatKernel &kernel = self.code.kernels()[index];
  ++self.count.launches;
  int64_t tasks = kernel.tasks(scalars), bytes = kernel.scratch ? kernel.scratch(scalars) : 0;
  int64_t joins = kernel.finish ? kernel.finish_tasks(scalars) : 0, sharedBytes = kernel.finish ? kernel.shared(scalars) : 0;
  if (tasks < 0 || bytes < 0 || joins < 0 || sharedBytes < 0)
    return self.stop(error(Code::Internal, "kernel '%s' asked for %lld + %lld tasks with %lld bytes of scratch, %lld shared",
                           self.manifest.kernels[index].name.c_str(), (long long)tasks, (long long)joins, (long long)bytes,
                           (long long)sharedBytes));
  if (!self.reserveScratch(bytes))
    return self.stop(error(Code::Capacity, "out of memory for the scratch of kernel '%s' (%lld bytes for each of %d threads)",
                           self.manifest.kernels[index].name.c_str(), (long long)bytes, self.pool.threads()));

  if (!self.reserveShared(sharedBytes))
    return self.stop(error(Code::Capacity, "out of memory for what the tasks of kernel '%s' share (%lld bytes)",
                           self.manifest.kernels[index].name.c_str(), (long long)sharedBytes));

  auto runAll = [&] {
    Launch launch{kernel.run,
                  buffers,
                  scalars,
                  self.scratchStride ? static_cast<uint8_t *>(self.scratch.data()) : nothing,
                  self.scratchStride,
                  self.shared.bytes() ? self.shared.data() : nothing};
    auto phase = [&](int64_t count) {
      self.pool.parallelFor(
          [](void *context, int64_t begin, int64_t end, int worker) {
            auto &launch = *static_cast<Launch *>(context);
            launch.phase(launch.buffers, launch.scalars, begin, end, launch.scratch + worker * launch.stride, launch.shared);
          },
          &launch, count, Distribution::Static);
    };
    phase(tasks);
    launch.phase = kernel.finish;
    phase(joins);
  };
  if (self.profiles.empty()) {
    runAll();
    return 0;
  }
  auto start = std::chrono::steady_clock::now();
  runAll();
  KernelProfile &profile = self.profiles[index];
  profile.nanoseconds += std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  ++profile.calls;
  if (kernel.cost) {
    int64_t cost[2] = {0, 0};
    kernel.cost(scalars, cost);
    profile.bytes += cost[0];
    profile.operations += cost[1];
  }
  return 0;
}

int64_t HostExecutor::fail(LeatFrame *frame, int64_t message, int64_t a, int64_t b) {
  auto &self = *static_cast<HostExecutor *>(frame->session);
  if (message < 0 || message >= static_cast<int64_t>(self.manifest.messages.size()))
    return self.stop(error(Code::Internal, "a run-time check failed with the unknown message %lld (%lld, %lld)", (long long)message,
                           (long long)a, (long long)b));
  const std::string &pattern = self.manifest.messages[message];
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 3, "{0}") == 0 || pattern.compare(i, 3, "{1}") == 0) {
      text += std::to_string(pattern[i + 1] == '0' ? a : b);
      i += 2;
    } else {
      text += pattern[i];
    }
  }
  return self.stop(Status(Code::Failed, printable(text, 1000)));
}

} // namespace leat::rt
