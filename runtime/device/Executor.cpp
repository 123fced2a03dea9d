// See Executor.h.
#include "runtime/device/Executor.h"

#include <algorithm>

namespace leat::rt {

static constexpr int64_t failedCode = 1;

Executor::Executor(const Artifact &artifact, const LoadedCode &code, LeatState *states, int64_t batch, bool profile)
    : manifest(artifact.manifest()), code(code), measuring(profile && !artifact.manifest().kernels.empty()) {
  int most = 0;
  for (const FunctionInfo &function : manifest.functions)
    most = std::max(most, function.slots);
  slots.assign(most, LeatSlot{nullptr, 0});
  if (profile)
    profiles.resize(manifest.kernels.size());
  frame.slots = slots.data();
  frame.states = states;
  frame.batch = batch;
  frame.fail = fail;
  frame.reserve = reserve;
  frame.session = this;
}

Status Executor::call(size_t function) {
  failure = Status();
  ++count.runs;
  if (code.function(function)(&frame) == 0)
    return {};
  if (failure.ok())
    return error(Code::Internal, "function '%s' failed without a reason", manifest.functions[function].name.c_str());
  return std::move(failure);
}

void Executor::clearProfile() { std::fill(profiles.begin(), profiles.end(), KernelProfile()); }

int64_t Executor::stop(Status status) {
  if (failure.ok())
    failure = std::move(status);
  return failedCode;
}

Status Executor::checkGroup(const LeatLaunch *launches, int64_t number) {
  if (number < 1 || number > LEAT_MAX_GROUP)
    return error(Code::Internal, "generated code launched a group of %lld kernels", (long long)number);
  for (int64_t i = 0; i < number; ++i)
    if (launches[i].kernel < 0 || launches[i].kernel >= static_cast<int64_t>(manifest.kernels.size()))
      return error(Code::Internal, "generated code launched kernel %lld, which does not exist", (long long)launches[i].kernel);
  count.launches += number;
  ++count.groups;
  return {};
}

void Executor::addProfile(int64_t kernel, const int64_t *scalars, int64_t nanoseconds) {
  KernelProfile &profile = profiles[kernel];
  profile.nanoseconds += nanoseconds;
  ++profile.calls;
  if (auto model = code.kernels()[kernel].cost) {
    int64_t cost[LEAT_COSTS] = {};
    model(scalars, cost);
    profile.bytes += cost[LEAT_COST_BYTES];
    profile.operations += cost[LEAT_COST_OPERATIONS];
    profile.requested += cost[LEAT_COST_REQUESTED];
    profile.unfused += cost[LEAT_COST_UNFUSED];
  }
}

int64_t Executor::reserve(LeatFrame *frame, int64_t tokens) {
  Executor &self = of(frame);
  Status status = self.reserver ? self.reserver(tokens) : error(Code::Internal, "generated code asked for pages that there are not");
  return status.ok() ? 0 : self.stop(std::move(status));
}

int64_t Executor::fail(LeatFrame *frame, int64_t message, int64_t a, int64_t b) {
  Executor &self = of(frame);
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
