// See SimDevice.h.
#include "runtime/device/simdevice/SimDevice.h"
#include "runtime/core/DType.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/device/sim/Simulator.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace leat::rt {

namespace {

struct Entry {
  sim::Module *module;
  std::string symbol;
};

// Launches take turns: the simulator runs one at a time.
class SimDevice : public Device {
public:
  SimDevice(sim::Options options, std::string title) : simulator(options), title(std::move(title)) {}

  const std::string &name() const override { return title; }
  // Few, so that blocks draw tickets for small operands, too.
  int64_t multiprocessors() const override { return 4; }

  Result<void *> allocate(int64_t bytes, const char *what) override {
    std::lock_guard lock(mutex);
    Result<void *> memory = simulator.allocate(static_cast<size_t>(bytes > 0 ? bytes : 1), what);
    if (!memory.ok())
      return memory.takeStatus().withContext(formatText("%s of %lld bytes", what, (long long)bytes));
    return memory;
  }

  void release(void *memory) override {
    std::lock_guard lock(mutex);
    (void)(adopted.erase(memory) ? simulator.unregisterMemory(memory) : simulator.release(memory));
  }

  // Kernels read it where it is.
  Result<void *> adopt(const void *host, int64_t bytes, const char *what) override {
    if (bytes == 0)
      return allocate(0, what);
    std::lock_guard lock(mutex);
    LEAT_RETURN_IF_ERROR(simulator.registerMemory(host, static_cast<size_t>(bytes), what, /*readOnly=*/true));
    adopted.insert(const_cast<void *>(host));
    return const_cast<void *>(host);
  }

  Result<void *> allocateHost(int64_t bytes) override {
    void *memory = std::malloc(static_cast<size_t>(bytes > 0 ? bytes : 1));
    if (!memory)
      return error(Code::Capacity, "out of memory for a result of %lld bytes", (long long)bytes);
    return memory;
  }
  void releaseHost(void *memory) override { std::free(memory); }

  Result<void *> load(const ModuleCode &code, const std::string &name) override {
    Result<std::unique_ptr<sim::Module>> module = sim::Module::parse(code.ptx, name);
    if (!module.ok())
      return module.takeStatus();
    modules.push_back(std::move(*module));
    return static_cast<void *>(modules.back().get());
  }

  Result<void *> entry(void *module, const std::string &symbol) override {
    auto *in = static_cast<sim::Module *>(module);
    if (!in->kernel(symbol))
      return error(Code::BadFile, "the artifact's device code has no entry '%s': recompile with leat compile", printable(symbol).c_str());
    entries.push_back(std::make_unique<Entry>(Entry{in, symbol}));
    return static_cast<void *>(entries.back().get());
  }

  Status encodeTensorMap(const LeatTensorMap &map, void *base, void *bytes) override { return encodeTensorMapOfSim(map, base, bytes); }

  Result<std::unique_ptr<Queue>> createQueue() override;

  Status launch(const Entry &entry, const LaunchShape &shape, std::span<void *const> arguments, const char *kernel, sim::Branches *branches,
                int branch) {
    std::lock_guard lock(mutex);
    sim::LaunchConfig config;
    config.grid = {shape.grid[0], shape.grid[1], shape.grid[2]};
    config.block = {shape.block[0], shape.block[1], shape.block[2]};
    if (shape.cluster[0] * shape.cluster[1] * shape.cluster[2] > 1)
      config.cluster = {shape.cluster[0], shape.cluster[1], shape.cluster[2]};
    config.dynamicSharedBytes = shape.dynamicShared;
    config.branches = branches;
    config.branch = branch;
    std::vector<const void *> values(arguments.begin(), arguments.end());
    Result<sim::LaunchResult> result =
        simulator.launch(*entry.module, entry.symbol, config, std::span<const void *const>(values.data(), values.size()));
    if (!result.ok())
      return result.takeStatus().withContext(formatText("kernel '%s'", kernel));
    for (const sim::Report &report : result->reports)
      if (report.severity == sim::Severity::Error)
        return error(Code::Failed, "the simulator found a defect in kernel '%s': %s", kernel, sim::formatReport(report).c_str());
    return result->finished ? Status() : error(Code::Failed, "the simulator stopped kernel '%s' before its end", kernel);
  }

private:
  sim::Simulator simulator;
  std::string title;
  std::mutex mutex;
  std::set<void *> adopted;
  std::vector<std::unique_ptr<sim::Module>> modules;
  std::vector<std::unique_ptr<Entry>> entries;
};

// Everything is done when a call returns.
class SimQueue : public Queue {
public:
  explicit SimQueue(SimDevice &device) : device(device) {}

  Status copyIn(void *to, const void *host, int64_t bytes) override { return copy(to, host, bytes); }
  Status copyOut(void *host, const void *from, int64_t bytes) override { return copy(host, from, bytes); }
  Status copy(void *to, const void *from, int64_t bytes) override {
    std::memmove(to, from, static_cast<size_t>(bytes));
    return {};
  }
  Status zero(void *at, int64_t bytes) override {
    std::memset(at, 0, static_cast<size_t>(bytes));
    return {};
  }
  Status launch(void *entry, const LaunchShape &shape, std::span<void *const> arguments, const char *name) override {
    return device.launch(*static_cast<const Entry *>(entry), shape, arguments, name, branches ? &*branches : nullptr, current);
  }
  Status beginBranches(int) override {
    branches.emplace();
    return branch(0);
  }
  Status branch(int which) override {
    current = which;
    return {};
  }
  Status endBranches() override {
    branches.reset();
    return {};
  }
  Status synchronize() override { return {}; }
  Status startTimer(bool) override { // nothing is cached
    start = std::chrono::steady_clock::now();
    return {};
  }
  Result<int64_t> stopTimer() override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  }

private:
  SimDevice &device;
  std::optional<sim::Branches> branches; // between beginBranches and endBranches
  int current = 0;
  std::chrono::steady_clock::time_point start;
};

Result<std::unique_ptr<Queue>> SimDevice::createQueue() { return std::unique_ptr<Queue>(std::make_unique<SimQueue>(*this)); }

} // namespace

Status encodeTensorMapOfSim(const LeatTensorMap &map, void *base, void *bytes) {
  sim::TensorMapSpec spec;
  spec.base = base;
  spec.rank = static_cast<int>(map.rank);
  spec.elementBytes = static_cast<int>(dtypeSize(static_cast<DType>(map.dtype)));
  for (int64_t d = 0; d < map.rank && d < 5; ++d) {
    spec.dims[d] = static_cast<uint64_t>(map.dims[d]);
    spec.box[d] = static_cast<uint32_t>(map.box[d]);
    if (d > 0)
      spec.strides[d - 1] = static_cast<uint64_t>(map.strides[d]);
  }
  spec.swizzleBytes = static_cast<int>(map.swizzle);
  return sim::encodeTensorMap(spec, bytes);
}

Result<std::shared_ptr<Device>> openSimDevice(const std::string &name, int threads) {
  bool checked = name == "sim:checked";
  if (!checked && name != "sim")
    return error(Code::NotFound, "the simulator is called sim or sim:checked");
  sim::Options options;
  options.checks = options.globalRaces = checked;
  options.counters = false;
  options.threads = threads > 0 ? threads : ThreadPool::usableCpus();
  options.stopAtFirst = true;
  return std::shared_ptr<Device>(std::make_shared<SimDevice>(options, checked ? "GPU simulator with checks" : "GPU simulator"));
}

} // namespace leat::rt
