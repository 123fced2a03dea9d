// A loaded model (shared, immutable) and sessions on it (one user each): the runtime's main interface inside C++.
#ifndef LEAT_RUNTIME_SESSION_MODEL_H
#define LEAT_RUNTIME_SESSION_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/device/DeviceProgram.h"
#include "runtime/device/Executor.h"
#include "runtime/device/host/HostWeights.h"
#include "runtime/state/StateSet.h"

#include <memory>
#include <span>

namespace leat::rt {

struct ModelOptions {
  int threads = 0;                             // 0: one per usable CPU
  int spinMicroseconds = 50;                   // how long idle threads stay awake between kernels
  bool verifyWeights = true;                   // check the weights' checksum at load
  WeightPages weightPages = WeightPages::Auto; // what the CPU reads weights from
  std::string device;                          // "cpu", "cuda", or one that `opener` knows; empty: what the artifact was compiled for
  GemmChoice gemm = GemmChoice::Scheduled;     // who multiplies on a device, where a kernel is a plain product
  DeviceOpener opener = nullptr;               // devices that this program brings, as "sim"; tried first
};

class Model {
public:
  static Result<std::shared_ptr<Model>> load(const std::string &path, const ModelOptions &options = {});

  const Artifact &artifact() const { return *file; }
  const ManifestInfo &manifest() const { return file->manifest(); }
  const LoadedCode &code() const { return *loaded; }
  // Shared by all sessions of the model. Two sessions that run at the same time take turns at it, the other runs on its own thread.
  ThreadPool &pool() const { return *threads; }
  // Where kernels run on the CPU.
  const HostWeights &weights() const { return inHost; }
  // Null where kernels run on the CPU.
  DeviceProgram *program() const { return onDevice.get(); }
  // For people: "CPU", "NVIDIA H200 (sm_90)".
  std::string deviceName() const { return onDevice ? onDevice->device().name() : "CPU"; }

private:
  std::unique_ptr<Artifact> file;
  std::unique_ptr<LoadedCode> loaded;
  std::unique_ptr<ThreadPool> threads;
  HostWeights inHost;
  std::unique_ptr<DeviceProgram> onDevice;
};

struct SessionOptions {
  int64_t batch = 1;
  int64_t context = 2048; // capacity of caches that grow with the stream; caches with a policy have their own size
  bool profile = false;
};

struct NamedTensor {
  const char *name; // null: the input at this place
  const Tensor *tensor;
};

// State and buffers of one stream. Use it from one thread at a time.
class Session {
public:
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<Model> model, const SessionOptions &options = {});

  const Model &model() const { return *owner; }
  const SessionOptions &options() const { return settings; }

  Result<size_t> functionIndex(const std::string &name) const { return rt::functionIndex(owner->manifest(), name); }
  // Checks names, types and shapes, then runs. A call that fails in a check has changed nothing.
  Status run(size_t function, std::span<const NamedTensor> inputs);
  // Runs the last function again on its inputs, which must still be there, once for each entry of `nanoseconds`: the time of each run. On a
  // device it is the device's own, with cold caches and without copies at the border. State moves on, and the results are the last run's.
  Status repeat(std::span<int64_t> nanoseconds);
  // Results of the last run that succeeded: views, valid until the session's next run and while that run's inputs live.
  size_t outputCount() const { return outputs.size(); }
  const Tensor &output(size_t index) const { return outputs[index]; }

  StateSet &state() { return states; }
  const StateSet &state() const { return states; }
  void reset() { states.reset(); }
  Status save(const std::string &path) const { return states.save(path, owner->artifact().stateHash(), settings.batch); }
  Status load(const std::string &path) { return states.load(path, owner->artifact().stateHash(), settings.batch); }
  // A second stream that continues from here on its own.
  Result<std::unique_ptr<Session>> fork() const;
  // Bytes held: state slots, buffers, scratch. Not the weights, which all sessions share.
  int64_t bytes() const { return states.bytes() + runner->counters().bufferBytes; }
  Executor &executor() { return *runner; }
  const Executor &executor() const { return *runner; }

private:
  // Symbols of a function's inputs, numbered, so that a run checks them without looking up names.
  struct Plan {
    std::vector<std::vector<int>> symbolOfDim; // per input and dim; -1: none
    std::vector<std::string> symbols;
    int batchSymbol = -1;
  };
  struct Bound {
    int64_t value = -1;
    size_t input = 0;
  };

  static constexpr size_t none = static_cast<size_t>(-1);

  Session() = default;
  Plan plan(const FunctionInfo &function) const;
  Status bind(size_t function, std::span<const NamedTensor> inputs);
  // Checks what a run left in outputBuffers and makes it the results.
  Status takeOutputs(const FunctionInfo &function);
  Status checkShape(const FunctionInfo &function, const Plan &plan, size_t input, const Tensor &tensor);

  std::shared_ptr<Model> owner;
  SessionOptions settings;
  std::unique_ptr<Queue> queue; // of the device, if there is one; what follows uses it
  StateSet states;
  std::unique_ptr<Executor> runner;
  std::vector<Plan> plans;
  std::vector<Bound> bound;
  std::vector<LeatBuffer> inputBuffers, outputBuffers;
  std::vector<Tensor> outputs;
  size_t repeatable = none; // the function whose inputs are bound, after a run that succeeded
};

} // namespace leat::rt

#endif
