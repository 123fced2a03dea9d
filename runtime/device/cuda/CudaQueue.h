// A stream of a GPU.
#ifndef LEAT_RUNTIME_DEVICE_CUDA_CUDAQUEUE_H
#define LEAT_RUNTIME_DEVICE_CUDA_CUDAQUEUE_H

#include "runtime/device/Device.h"
#include "runtime/device/cuda/Driver.h"
#include "runtime/device/cuda/LibraryGemm.h"

#include <vector>

namespace leat::rt::cuda {

// Between beginSequence and endSequence launches are not sent one by one: they are captured as a graph and sent as one. The graph of the
// same sequence is kept and only its arguments are replaced the next time, which costs the host a fraction of the launches and the GPU the
// gaps between kernels. What the host has to wait for cuts a sequence in two. Branches are branches of the graph, captured from streams
// that wait for the first one's event and that it waits for; outside of a sequence they run one after another.
class CudaQueue : public Queue {
public:
  // `device` gives memory; `cacheBytes`: of its second-level cache; `blas`: null if there is none.
  static rt::Result<std::unique_ptr<Queue>> create(const Driver &driver, ContextHandle *context, Device &device, int64_t cacheBytes,
                                                   const blaslt::Library *blas);
  ~CudaQueue() override;

  Status copyIn(void *to, const void *host, int64_t bytes) override;
  Status copyOut(void *host, const void *from, int64_t bytes) override;
  Status copy(void *to, const void *from, int64_t bytes) override;
  Status zero(void *at, int64_t bytes) override;
  Status launch(void *entry, const LaunchShape &shape, std::span<void *const> arguments, const char *name) override;
  rt::Result<bool> multiply(const LeatGemm &gemm, void *const *buffers, const char *name) override;
  Status beginBranches(int count) override;
  Status branch(int which) override;
  Status endBranches() override { return joinBranches(); }
  Status synchronize() override;
  Status startTimer(bool cold) override;
  rt::Result<int64_t> stopTimer() override;
  Status beginSequence(size_t which) override;
  Status endSequence() override;

private:
  CudaQueue(const Driver &driver, ContextHandle *context, Device &device, int64_t cacheBytes)
      : driver(driver), context(context), device(device), cacheBytes(cacheBytes) {}
  Status check(Result code, const char *what) const;
  // A session moves between threads, and the context is the thread's. Inside of a sequence it is set.
  void use() {
    if (!inSequence)
      driver.setContext(context);
  }
  // Called before a launch: inside of a sequence, the first one begins the capturing, and flush sends what was captured.
  Status beginWork();
  Status flush();
  Status joinBranches();
  // Called before work is sent to the stream: starts the timer that waits for it.
  Status recordStart();

  // Where a branch but the first is captured.
  struct Branch {
    StreamHandle *stream = nullptr;
    EventHandle *end = nullptr;
    bool used = false;
  };

  const Driver &driver;
  ContextHandle *context;
  Device &device;
  int64_t cacheBytes;
  StreamHandle *stream = nullptr;
  StreamHandle *current = nullptr; // where launches go: `stream` or that of a branch
  std::vector<Branch> branches;
  EventHandle *fork = nullptr;
  bool forked = false;
  EventHandle *events[2] = {nullptr, nullptr};
  bool timerWaits = false, coldStart = false;
  std::optional<LibraryGemm> products;
  DeviceMemory displacer; // more than the cache holds: writing it leaves nothing else there
  std::string lastKernel; // the last one launched: faults show later
  bool inSequence = false, capturing = false;
  size_t sequence = 0, part = 0;
  std::vector<std::vector<GraphExecHandle *>> graphs; // of each sequence, its parts
};

} // namespace leat::rt::cuda

#endif
