// One function of an artifact with made-up inputs, run again and again from the same state: what bench measures and tune compares.
#pragma once

#include "lib/Driver/Commands.h"

#include <chrono>
#include <memory>
#include <vector>

namespace leat::driver {

/// --function, --tokens, --size, --context, --warmup and those of modelOptionSpecs().
std::vector<OptionSpec> workloadOptions();

class Workload {
public:
  /// What is taken for --warmup and --device where they are not given.
  struct Defaults {
    int64_t warmup = 3;
    std::string device = "";
  };
  /// Loads `artifact`, fills the caches with --context tokens and runs --warmup times. Kernels are measured.
  static rt::Result<std::unique_ptr<Workload>> create(const std::string &artifact, const Args &args, const Defaults &defaults);
  static rt::Result<std::unique_ptr<Workload>> create(const std::string &artifact, const Args &args) { return create(artifact, args, {}); }

  /// One run; the state is put back afterwards, outside of the measured time.
  rt::Status run();
  /// Of the last run, as its caller waits for it.
  double seconds() const { return lastSeconds; }
  /// The same run again; gives the device's own time for it, with cold caches and nothing copied.
  rt::Result<double> secondsOnDevice();
  /// Since clearProfile(); one entry per kernel of the manifest.
  const std::vector<rt::KernelProfile> &profile() const { return session->executor().profile(); }
  void clearProfile() { session->executor().clearProfile(); }
  /// Whether kernels are measured one by one, which on a device takes away what overlaps.
  void measure(bool on) { session->executor().measure(on); }

  const rt::Model &model() const { return *loaded; }
  rt::Model &model() { return *loaded; }
  const rt::ManifestInfo &manifest() const { return loaded->manifest(); }
  const rt::FunctionInfo &function() const { return manifest().functions[index]; }
  double loadSeconds = 0;
  int64_t tokens = 1, context = 0;

private:
  Workload() = default;
  struct Input {
    std::string name;
    rt::Tensor tensor;
  };
  static rt::Status makeInputs(const rt::FunctionInfo &function, const Args &args, int64_t tokens, std::vector<Input> &inputs);
  rt::Status call(std::vector<Input> &given);

  std::shared_ptr<rt::Model> loaded;
  std::unique_ptr<rt::Session> session;
  std::unique_ptr<rt::StateRewind> rewind;
  std::vector<Input> inputs;
  size_t index = 0;
  double lastSeconds = 0;
};

/// Of a list that is not empty.
double median(std::vector<double> values);
double percentile(std::vector<double> values, double p);

} // namespace leat::driver
