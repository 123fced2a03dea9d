// Runs GPU kernels on the CPU: the PTX text that ptxas would get, interpreted one warp at a time, and checked while it runs. What it
// reports is a defect that names the PTX line, the source location behind it, the CTA, the warp and the lane. docs/simulator.md is the
// guide.
//
//   auto module = Module::parse(ptx);
//   Simulator simulator;
//   simulator.registerMemory(x, bytes, "x");
//   auto result = simulator.launch(**module, "kernel", {.grid = {4}, .block = {128}}, {{&x, &n}});
//   for (const Report &report : result->reports) puts(formatReport(report).c_str());
#ifndef LEAT_RUNTIME_DEVICE_SIM_SIMULATOR_H
#define LEAT_RUNTIME_DEVICE_SIM_SIMULATOR_H

#include "runtime/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leat::sim {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

// When asynchronous work (cp.async, bulk and tensor copies, wgmma) takes place. Late: only when a wait makes it necessary, so that a read
// without a wait sees old bytes. Early: at once, so that a write too early is seen. Random: either, by the seed.
enum class Landing { Late, Early, Random };

struct Options {
  // Races, reads of what nothing wrote, proxy fences. Bounds and alignment are always checked. Off: several times faster, for whole models.
  bool checks = true;
  // Races between accesses to global memory (needs `checks`).
  bool globalRaces = true;
  // Sectors, bank conflicts, wavefronts. Instruction counts are always there.
  bool counters = true;
  Landing landing = Landing::Late;
  uint64_t seed = 0; // of random landing and of the schedule
  // Warps take turns in order, or in an order drawn from `seed`.
  bool randomSchedule = false;
  // Host threads that run CTAs; 0: one for each usable CPU. Results of correct kernels do not depend on it.
  int threads = 1;
  uint64_t instructionBudget = 20'000'000'000; // warp instructions of one launch; more is reported as a hang
  int maxReports = 50;                         // different findings kept; repetitions are only counted
  bool stopAtFirst = false;                    // end the launch at the first error
  // Dynamic shared memory starts at the declared alignment and no better, so that code which needs more is found out.
  bool minimalAlignment = true;
};

enum class Severity { Error, Note };

struct SourceLocation {
  std::string file;
  int line = 0, column = 0;
};

struct Report {
  std::string kind; // a stable name: "shared-read-after-write"
  Severity severity = Severity::Error;
  std::string message; // what happened, with the other party where there is one
  std::string hint;    // what to do
  std::string kernel;
  int line = 0;     // of the PTX text; 0: no single line
  std::string text; // that line
  SourceLocation location;
  Dim3 cta = {0, 0, 0};
  int warp = -1, lane = -1;
  uint64_t count = 1; // how often the same was seen at the same place
};

// One line, or a few where a hang needs its list of waiters.
std::string formatReport(const Report &report);

struct Counters {
  uint64_t warpInstructions = 0, threadInstructions = 0;
  uint64_t globalLoads = 0, globalLoadBytes = 0, globalLoadSectors = 0; // requests (one a warp), bytes asked for, 32-byte sectors moved
  uint64_t globalStores = 0, globalStoreBytes = 0, globalStoreSectors = 0;
  uint64_t sharedRequests = 0, sharedWavefronts = 0, sharedIdealWavefronts = 0; // wavefronts - ideal = bank conflicts
  uint64_t asyncCopyBytes = 0, bulkBytes = 0, bulkSectors = 0;
  uint64_t mma = 0, wgmma = 0, multiplyAdds = 0; // tensor core instructions and the multiply-adds in them
  uint64_t bankConflicts() const { return sharedWavefronts - sharedIdealWavefronts; }
  void add(const Counters &other);
};

struct LaunchResult {
  std::vector<Report> reports;
  Counters counters;
  double seconds = 0;
  bool finished = true; // false: stopped at a hang, a trap or the first error
  // No errors; notes do not count.
  bool clean() const;
};

std::string resultToJson(const LaunchResult &result);

struct Parameter {
  std::string name;
  uint32_t offset = 0, bytes = 0, alignment = 1;
};

struct KernelInfo {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameterBytes = 0;
  uint32_t staticSharedBytes = 0;
  Dim3 requiredBlock = {0, 0, 0}, maximumBlock = {0, 0, 0}, requiredCluster = {0, 0, 0}; // zeros where the text says nothing
};

// A module of PTX text; owns its .global and .const variables.
class Module {
public:
  // Every error names the line. `name` stands for the text in messages.
  static rt::Result<std::unique_ptr<Module>> parse(std::string_view ptx, std::string name = "");
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  const std::vector<KernelInfo> &kernels() const;
  const KernelInfo *kernel(std::string_view name) const;
  // Decodes a kernel now rather than at its first launch: says whether every instruction is known.
  rt::Status check(std::string_view kernel);
  // Memory of a module-level variable; null: there is none.
  void *variable(std::string_view name, size_t *bytes = nullptr);

private:
  friend class Simulator;
  struct Impl;
  explicit Module(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

// What cuTensorMapEncodeTiled takes. Sizes of dimensions in elements, strides in bytes; dimension 0 is the contiguous one.
struct TensorMapSpec {
  void *base = nullptr;
  int rank = 0;
  int elementBytes = 0;
  uint64_t dims[5] = {};
  uint64_t strides[4] = {}; // of dimensions 1 .. rank-1
  uint32_t box[5] = {};
  uint32_t elementStrides[5] = {1, 1, 1, 1, 1};
  int swizzleBytes = 0; // 0, 32, 64, 128
};
inline constexpr size_t tensorMapBytes = 128;
// Writes the 128 bytes that kernels take as a tensor map here; refuses what the driver refuses.
rt::Status encodeTensorMap(const TensorMapSpec &spec, void *bytes);

// Launches that a device may run at once: those of a branch are in order, those of different branches are not. Memory that two branches
// touch, one of them to write, is reported by the later launch as branch-race (Options::globalRaces). Memory that they use must not be
// released before the last launch.
class Branches {
public:
  Branches();
  ~Branches();
  Branches(const Branches &) = delete;
  Branches &operator=(const Branches &) = delete;

private:
  friend class Simulator;
  std::unique_ptr<class BranchRaces> races;
};

struct LaunchConfig {
  Dim3 grid, block;
  Dim3 cluster = {0, 0, 0}; // zeros: as the kernel requires, else no clusters
  uint32_t dynamicSharedBytes = 0;
  Branches *branches = nullptr; // null: after all earlier launches
  int branch = 0;
};

// The memory that kernels may touch, and launches over it. One launch at a time.
class Simulator {
public:
  explicit Simulator(Options options = {});
  ~Simulator();
  Simulator(const Simulator &) = delete;
  Simulator &operator=(const Simulator &) = delete;

  Options options; // may change between launches

  // Memory of the caller that kernels may read (and write, unless readOnly) while it is registered; ranges must not overlap.
  rt::Status registerMemory(const void *base, size_t bytes, std::string name, bool readOnly = false);
  rt::Status unregisterMemory(const void *base);
  // Zeroed memory of the simulator's own, 256-byte aligned, with a gap behind it.
  rt::Result<void *> allocate(size_t bytes, std::string name, bool readOnly = false);
  rt::Status release(void *base);

  // `parameters`: the bytes of the parameter space, laid out by KernelInfo. A Status is the caller's mistake; what the kernel does wrong is
  // in the result.
  rt::Result<LaunchResult> launch(Module &module, std::string_view kernel, const LaunchConfig &config,
                                  std::span<const std::byte> parameters);
  // `arguments`: a pointer to each parameter's value, as cuLaunchKernel takes them.
  rt::Result<LaunchResult> launch(Module &module, std::string_view kernel, const LaunchConfig &config,
                                  std::span<const void *const> arguments);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace leat::sim

#endif
