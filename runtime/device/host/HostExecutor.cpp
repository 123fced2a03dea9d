// The calls that generated code makes, and the run around them.
#include "runtime/device/host/HostExecutor.h"

#include <chrono>

namespace leat::rt {

// Empty buffers point here, so that generated code never sees null.
alignas(64) static uint8_t nothing[128];

HostExecutor::HostExecutor(const Artifact &artifact, const LoadedCode &code, const HostWeights &weights, ThreadPool &pool,
                           LeatState *states, int64_t batch, bool profile)
    : Executor(artifact, code, states, batch, profile), runner(pool, count), memory(slots.size()) {
  for (size_t i = 0; i < manifest.params.size(); ++i)
    params.push_back(const_cast<void *>(weights.param(i)));
  for (LeatSlot &slot : slots)
    slot.data = nothing;
  frame.params = params.data();
  frame.grow = grow;
  frame.launch = launch;
  frame.launch_group = launchGroup;
}

Status HostExecutor::run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) {
  frame.inputs = inputs;
  frame.outputs = outputs;
  return call(function);
}

Status HostExecutor::repeat(size_t function, LeatBuffer *inputs, LeatBuffer *outputs, std::span<int64_t> nanoseconds) {
  for (int64_t &time : nanoseconds) {
    auto start = std::chrono::steady_clock::now();
    LEAT_RETURN_IF_ERROR(run(function, inputs, outputs));
    time = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  }
  return {};
}

void *HostExecutor::grow(LeatFrame *frame, int64_t index, int64_t bytes) {
  auto &self = static_cast<HostExecutor &>(of(frame));
  if (index < 0 || index >= static_cast<int64_t>(self.slots.size()) || bytes < 0) {
    self.stop(error(Code::Internal, "generated code asked for %lld bytes in buffer %lld", (long long)bytes, (long long)index));
    return nullptr;
  }
  LeatSlot &slot = self.slots[index];
  Memory &block = self.memory[index];
  if (bytes <= block.bytes())
    return slot.data;
  // The old block goes first: its content is of no use to anyone.
  int64_t before = block.bytes();
  ++self.count.allocations;
  if (!block.allocate(generous(bytes, before)) && !block.allocate(bytes)) {
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

int64_t HostExecutor::launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars) {
  LeatLaunch launch{index, buffers, scalars};
  return launchGroup(frame, &launch, 1);
}

int64_t HostExecutor::launchGroup(LeatFrame *frame, const LeatLaunch *launches, int64_t count) {
  auto &self = static_cast<HostExecutor &>(of(frame));
  KernelRunner::Call calls[LEAT_MAX_GROUP];
  if (Status status = self.checkGroup(launches, count); !status.ok())
    return self.stop(std::move(status));
  for (int64_t i = 0; i < count; ++i) {
    const LeatLaunch &launch = launches[i];
    calls[i] = {&self.code.kernels()[launch.kernel], &self.manifest.kernels[launch.kernel].name, launch.buffers, launch.scalars};
  }
  if (Status status = self.runner.run({calls, static_cast<size_t>(count)}, self.measuring); !status.ok())
    return self.stop(std::move(status));
  if (self.measuring)
    for (int64_t i = 0; i < count; ++i)
      self.addProfile(launches[i].kernel, launches[i].scalars, calls[i].nanoseconds);
  return 0;
}

} // namespace leat::rt
