// The tests of CPU kernels, run on simulated GPU kernels: this file takes the place of KernelJit.cpp. Each run is made three times, with
// asynchronous work landing late, at random and early and warps taking turns in other orders: results have to be the same to the bit, and
// the simulator has to find nothing.
#include "DeviceKernels.h"

#include <gtest/gtest.h>

namespace leat::test {

struct Kernels::Impl {
  std::unique_ptr<DeviceKernels> device;
};

Kernels::~Kernels() = default;

leat::cpu::Target Kernels::target(unsigned) {
  leat::cpu::Target target;
  target.vectorBits = 128;
  return target;
}

bool Kernels::supported(unsigned bits) { return bits == 128; }
std::vector<unsigned> Kernels::widths() { return {128}; }
bool Kernels::oneForm() { return false; }
bool Kernels::readsPacked() { return false; }
bool Kernels::hasLibrary() { return false; }
bool Kernels::isSimulated() { return true; }
bool Kernels::hostHas(const std::string &) { return false; }

std::unique_ptr<Kernels> Kernels::compile(const std::string &text, unsigned, const std::vector<std::string> &) {
  auto device = DeviceKernels::compile(text, LEAT_TEST_GPU);
  if (!device)
    return nullptr;
  std::unique_ptr<Kernels> kernels(new Kernels);
  kernels->impl = std::make_unique<Impl>();
  kernels->impl->device = std::move(device);
  return kernels;
}

void Kernels::run(const std::string &name, std::vector<Array *> inputs, std::vector<Array *> results, std::vector<int64_t> scalars) {
  ASSERT_NE(impl->device->phases(name), 0u) << "@" << name << " runs on the host";
  auto cost = impl->device->cost(name, inputs, results, scalars);
  std::copy(cost.begin(), cost.end(), lastCost);
  std::vector<Array> before, first;
  for (Array *array : inputs)
    before.push_back(*array);
  for (auto landing : {sim::Landing::Late, sim::Landing::Random, sim::Landing::Early}) {
    for (auto [array, content] : llvm::zip_equal(inputs, before))
      *array = content;
    sim::Options options;
    options.landing = landing;
    options.randomSchedule = landing == sim::Landing::Random;
    options.seed = 42;
    auto outcome = impl->device->run(name, inputs, results, scalars, options);
    for (const std::string &error : outcome.errors)
      ADD_FAILURE() << "@" << name << ": " << error;
    std::vector<Array> after;
    for (Array *array : results)
      after.push_back(*array);
    if (first.empty())
      first = after;
    for (auto [one, other] : llvm::zip_equal(first, after))
      EXPECT_EQ(one.bytes, other.bytes) << "@" << name << " gives other results when asynchronous work lands at another time";
  }
}

void *Kernels::symbol(const std::string &) { return nullptr; }

} // namespace leat::test
