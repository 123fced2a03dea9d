// Runs kernels of a GPU in process: textual leat.kernel_func ops through the CUDA passes to PTX, which the simulator executes with all
// checks.
#pragma once

#include "../cpu/KernelJit.h"

#include "runtime/device/sim/Simulator.h"

namespace leat::test {

class DeviceKernels {
public:
  /// Compiles a module of kernel functions for a GPU; prints the reason and returns null on error.
  static std::unique_ptr<DeviceKernels> compile(const std::string &text, const std::string &gpu = "sm_80");
  ~DeviceKernels();

  /// Modules of device code, which a test may change before it runs them.
  std::vector<std::string> ptx;
  /// Few, so that blocks that stay have several tiles of small operands each.
  int64_t multiprocessors = 2;

  struct Outcome {
    std::vector<std::string> errors; ///< reports of the simulator, and what the host refused
    leat::sim::Counters counters;    ///< of all phases
    unsigned launches = 0;
  };
  /// Runs a kernel. `results`: arrays of the right type and dims, whose contents are replaced. States among `inputs` are updated.
  Outcome run(const std::string &name, const std::vector<Array *> &inputs, const std::vector<Array *> &results,
              const std::vector<int64_t> &scalars = {}, const leat::sim::Options &options = {});
  /// How each phase of a kernel would be launched.
  std::vector<LeatGeometry> geometry(const std::string &name, const std::vector<int64_t> &allScalars);
  /// Names of a kernel's entries in PTX, by phase.
  const std::vector<std::string> &entries(const std::string &name) const;
  /// Launches that a kernel has: 0 if it runs on the host.
  unsigned phases(const std::string &name) const;
  /// By the kernel's model.
  std::array<int64_t, LEAT_COSTS> cost(const std::string &name, const std::vector<Array *> &inputs, const std::vector<Array *> &results,
                              const std::vector<int64_t> &scalars = {});

private:
  DeviceKernels();
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace leat::test
