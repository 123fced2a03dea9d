// What the simulator's tests share: modules from files, typed buffers, launches that have to be clean.
#ifndef LEAT_TEST_UNIT_SIM_SIMTEST_H
#define LEAT_TEST_UNIT_SIM_SIMTEST_H

#include "runtime/core/DType.h"
#include "runtime/core/File.h"
#include "runtime/device/sim/Simulator.h"

#include "gtest/gtest.h"
#include <cmath>
#include <cstring>

namespace leat::sim {

inline std::string readKernels(const std::string &file) {
  auto bytes = rt::readFile(std::string(SIM_KERNELS) + "/" + file);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return bytes.ok() ? std::string(bytes->begin(), bytes->end()) : std::string();
}

// xorshift; every test begins with its own seed.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint32_t word() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return uint32_t(state >> 16);
  }
  float real() { return float(int32_t(word()) / 2147483648.0); } // [-1, 1)
};

// A module with its own simulator. Buffers are 0xff bytes (NaN) where nothing was put.
class Bench {
public:
  explicit Bench(const std::string &ptx, Options options = {}) : simulator(options) {
    auto parsed = Module::parse(ptx);
    EXPECT_TRUE(parsed.ok()) << parsed.status().message();
    if (parsed.ok())
      module = std::move(*parsed);
  }

  template <class T> T *buffer(size_t count, const char *name, bool readOnly = false) {
    auto memory = simulator.allocate(count * sizeof(T), name, readOnly);
    EXPECT_TRUE(memory.ok()) << memory.status().message();
    std::memset(*memory, 0xff, count * sizeof(T));
    return static_cast<T *>(*memory);
  }

  template <class... Args> LaunchResult launch(const char *kernel, const LaunchConfig &config, const Args &...args) {
    std::vector<const void *> arguments = {&args...};
    auto result = simulator.launch(*module, kernel, config, std::span<const void *const>(arguments));
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? std::move(*result) : LaunchResult();
  }

  Simulator simulator;
  std::unique_ptr<Module> module;
};

inline std::string text(const LaunchResult &result) {
  std::string all;
  for (const Report &report : result.reports)
    all += formatReport(report) + "\n";
  return all;
}
inline bool found(const LaunchResult &result, std::string_view kind) {
  for (const Report &report : result.reports)
    if (report.kind == kind)
      return true;
  return false;
}
// No report at all, and done.
inline testing::AssertionResult isClean(const LaunchResult &result) {
  if (result.reports.empty() && result.finished)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << text(result);
}
#define EXPECT_CLEAN(result) EXPECT_TRUE(isClean(result))

// Landing late, early and by chance: every kernel runs all three ways.
inline std::vector<Options> everyOrder() {
  Options late, early, random;
  early.landing = Landing::Early;
  random.landing = Landing::Random;
  random.seed = 7;
  random.randomSchedule = true;
  return {late, early, random};
}

inline uint16_t toBf16(float f) { return rt::floatToBfloat(f); }
inline float fromBf16(uint16_t h) { return rt::bfloatToFloat(h); }

} // namespace leat::sim

#endif
