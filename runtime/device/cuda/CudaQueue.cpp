// See CudaQueue.h.
#include "runtime/device/cuda/CudaQueue.h"

#include <utility>

namespace leat::rt::cuda {

static Pointer address(const void *memory) { return reinterpret_cast<Pointer>(memory); }

Status CudaQueue::check(Result code, const char *what) const {
  if (code == success)
    return {};
  const char *after = lastKernel.empty() ? "" : ", after a launch of kernel '";
  return error(code == outOfMemory ? Code::Capacity : Code::Failed, "the GPU's driver failed %s%s%s%s: %s", what, after, lastKernel.c_str(),
               lastKernel.empty() ? "" : "'", driver.describe(code).c_str());
}

rt::Result<std::unique_ptr<Queue>> CudaQueue::create(const Driver &driver, ContextHandle *context, Device &device, int64_t cacheBytes,
                                                     const blaslt::Library *blas) {
  std::unique_ptr<CudaQueue> queue(new CudaQueue(driver, context, device, cacheBytes));
  if (blas)
    queue->products.emplace(*blas, device);
  LEAT_RETURN_IF_ERROR(queue->check(driver.setContext(context), "to use its context"));
  LEAT_RETURN_IF_ERROR(queue->check(driver.createStream(&queue->stream, streamNonBlocking), "to make a stream"));
  queue->current = queue->stream;
  LEAT_RETURN_IF_ERROR(queue->check(driver.createEvent(&queue->fork, eventWithoutTime), "to make an event"));
  for (EventHandle *&event : queue->events)
    LEAT_RETURN_IF_ERROR(queue->check(driver.createEvent(&event, 0), "to make an event"));
  return std::unique_ptr<Queue>(std::move(queue));
}

CudaQueue::~CudaQueue() {
  driver.setContext(context);
  for (auto &parts : graphs)
    for (GraphExecHandle *graph : parts)
      driver.destroyGraphExec(graph);
  for (EventHandle *event : {events[0], events[1], fork})
    if (event)
      driver.destroyEvent(event);
  for (Branch &branch : branches) {
    if (branch.end)
      driver.destroyEvent(branch.end);
    if (branch.stream)
      driver.destroyStream(branch.stream);
  }
  if (stream)
    driver.destroyStream(stream);
}

// The driver stages what is not page-locked before it returns; page-locked memory of a caller stays untouched until the run ends.
Status CudaQueue::copyIn(void *to, const void *host, int64_t bytes) {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  LEAT_RETURN_IF_ERROR(recordStart());
  return check(driver.copyIn(address(to), host, static_cast<size_t>(bytes), stream), "to copy to the GPU");
}

Status CudaQueue::copyOut(void *host, const void *from, int64_t bytes) {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  LEAT_RETURN_IF_ERROR(recordStart());
  LEAT_RETURN_IF_ERROR(check(driver.copyOut(host, address(from), static_cast<size_t>(bytes), stream), "to copy from the GPU"));
  return synchronize();
}

Status CudaQueue::copy(void *to, const void *from, int64_t bytes) {
  use();
  LEAT_RETURN_IF_ERROR(beginWork());
  return check(driver.copy(address(to), address(from), static_cast<size_t>(bytes), stream), "to copy on the GPU");
}

Status CudaQueue::zero(void *at, int64_t bytes) {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  if (bytes == 0)
    return {};
  LEAT_RETURN_IF_ERROR(recordStart());
  return check(driver.fill(address(at), 0, static_cast<size_t>(bytes), stream), "to clear memory");
}

Status CudaQueue::launch(void *entry, const LaunchShape &shape, std::span<void *const> arguments, const char *name) {
  auto *function = static_cast<FunctionHandle *>(entry);
  use();
  LEAT_RETURN_IF_ERROR(beginWork());
  LaunchConfig config = {};
  for (int d = 0; d < 3; ++d)
    config.grid[d] = shape.grid[d], config.block[d] = shape.block[d];
  config.sharedBytes = shape.dynamicShared;
  config.stream = current;
  LaunchAttribute cluster = {};
  if (shape.cluster[0] * shape.cluster[1] * shape.cluster[2] > 1) {
    cluster.id = attributeClusterDimension;
    for (int d = 0; d < 3; ++d)
      cluster.value.cluster[d] = shape.cluster[d];
    config.attributes = &cluster;
    config.attributeCount = 1;
  }
  // More than the 48 KB that every GPU gives has to be asked for.
  if (shape.dynamicShared > 48 * 1024)
    LEAT_RETURN_IF_ERROR(check(driver.setFunctionAttribute(function, maxDynamicShared, static_cast<int32_t>(shape.dynamicShared)),
                               "to set a kernel's shared memory"));
  Result code = driver.launchKernel(&config, function, const_cast<void **>(arguments.data()), nullptr);
  lastKernel = name;
  return check(code, "to launch a kernel");
}

// The first product of a shape is sent by itself, not as a part of a graph: the library may load code for it. Products have one workspace,
// so all of them are in the first branch.
rt::Result<bool> CudaQueue::multiply(const LeatGemm &gemm, void *const *buffers, const char *name) {
  if (!products)
    return false;
  use();
  LibraryGemm::Plan *plan = products->find(gemm, buffers);
  bool isNew = !plan;
  if (isNew) {
    LEAT_RETURN_IF_ERROR(flush());
    rt::Result<LibraryGemm::Plan *> made = products->add(gemm, buffers);
    if (!made.ok())
      return made.takeStatus();
    plan = *made;
  }
  if (!plan->usable)
    return false;
  LEAT_RETURN_IF_ERROR(isNew ? recordStart() : beginWork());
  blaslt::Code code = products->run(*plan, gemm, buffers, stream);
  lastKernel = name;
  // Some algorithms say only now that they are not for this GPU.
  if (isNew && code == blaslt::notSupported)
    return plan->usable = false;
  if (code != blaslt::done)
    return products->check(code, formatText("to multiply for kernel '%s'", name).c_str());
  return true;
}

Status CudaQueue::beginBranches(int count) {
  if (!inSequence)
    return {};
  if (static_cast<int>(branches.size()) < count - 1) {
    LEAT_RETURN_IF_ERROR(flush()); // nothing is made while launches are captured
    while (static_cast<int>(branches.size()) < count - 1) {
      Branch &branch = branches.emplace_back();
      LEAT_RETURN_IF_ERROR(check(driver.createStream(&branch.stream, streamNonBlocking), "to make a stream"));
      LEAT_RETURN_IF_ERROR(check(driver.createEvent(&branch.end, eventWithoutTime), "to make an event"));
    }
  }
  LEAT_RETURN_IF_ERROR(beginWork());
  LEAT_RETURN_IF_ERROR(check(driver.recordEvent(fork, stream), "to begin branches of a graph"));
  forked = true;
  return {};
}

// A flush in between has joined the branches: what follows runs one after another.
Status CudaQueue::branch(int which) {
  if (!forked)
    return {};
  current = which == 0 ? stream : branches[which - 1].stream;
  if (which == 0 || std::exchange(branches[which - 1].used, true))
    return {};
  return check(driver.streamWait(current, fork, 0), "to begin a branch of a graph");
}

Status CudaQueue::joinBranches() {
  current = stream;
  if (!std::exchange(forked, false))
    return {};
  Status status;
  for (Branch &branch : branches) {
    if (!std::exchange(branch.used, false))
      continue;
    Status joined = check(driver.recordEvent(branch.end, branch.stream), "to end a branch of a graph");
    if (joined.ok())
      joined = check(driver.streamWait(stream, branch.end, 0), "to end a branch of a graph");
    if (status.ok())
      status = std::move(joined);
  }
  return status;
}

Status CudaQueue::synchronize() {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  Status status = check(driver.synchronize(stream), "to finish its work");
  if (status.ok())
    lastKernel.clear();
  return status;
}

// Nothing is sent yet: the event follows when the work is ready, so that the host's time for capturing a graph is not measured.
Status CudaQueue::startTimer(bool cold) {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  if (cold && !displacer.data())
    LEAT_RETURN_IF_ERROR(displacer.allocate(device, 4 * cacheBytes, "what clears the GPU's cache for a measurement"));
  timerWaits = true;
  coldStart = cold;
  return {};
}

// The write that clears the cache also keeps the GPU busy until the work is behind it: a launch's way to the GPU is not measured either.
Status CudaQueue::recordStart() {
  if (!timerWaits)
    return {};
  timerWaits = false;
  if (coldStart)
    LEAT_RETURN_IF_ERROR(
        check(driver.fill(address(displacer.data()), 0, static_cast<size_t>(displacer.bytes()), stream), "to clear memory"));
  return check(driver.recordEvent(events[0], stream), "to record an event");
}

rt::Result<int64_t> CudaQueue::stopTimer() {
  use();
  LEAT_RETURN_IF_ERROR(flush());
  LEAT_RETURN_IF_ERROR(recordStart()); // there was no work
  LEAT_RETURN_IF_ERROR(check(driver.recordEvent(events[1], stream), "to record an event"));
  LEAT_RETURN_IF_ERROR(check(driver.waitEvent(events[1]), "to finish its work"));
  float milliseconds = 0;
  LEAT_RETURN_IF_ERROR(check(driver.elapsed(&milliseconds, events[0], events[1]), "to measure time"));
  return static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6);
}

Status CudaQueue::beginSequence(size_t which) {
  LEAT_RETURN_IF_ERROR(check(driver.setContext(context), "to use its context"));
  if (graphs.size() <= which)
    graphs.resize(which + 1);
  inSequence = true;
  sequence = which;
  part = 0;
  return {};
}

Status CudaQueue::endSequence() {
  Status status = flush();
  inSequence = false;
  return status;
}

Status CudaQueue::beginWork() {
  if (!inSequence)
    return recordStart();
  if (capturing)
    return {};
  LEAT_RETURN_IF_ERROR(check(driver.beginCapture(stream, captureRelaxed), "to begin a graph"));
  capturing = true;
  return {};
}

Status CudaQueue::flush() {
  if (!capturing)
    return {};
  Status joined = joinBranches();
  capturing = false;
  GraphHandle *graph = nullptr;
  Status ended = check(driver.endCapture(stream, &graph), "to end a graph");
  LEAT_RETURN_IF_ERROR(std::move(joined));
  LEAT_RETURN_IF_ERROR(std::move(ended));
  std::vector<GraphExecHandle *> &parts = graphs[sequence];
  if (parts.size() <= part)
    parts.push_back(nullptr);
  GraphExecHandle *&exec = parts[part++];
  GraphUpdateInfo info = {};
  // Another number of launches, or other kernels, than the last time: a new graph.
  if (exec && driver.updateGraph(exec, graph, &info) != success) {
    driver.destroyGraphExec(exec);
    exec = nullptr;
  }
  Status status;
  if (!exec)
    status = check(driver.instantiateGraph(&exec, graph, 0), "to make a graph");
  driver.destroyGraph(graph);
  LEAT_RETURN_IF_ERROR(std::move(status));
  LEAT_RETURN_IF_ERROR(recordStart());
  return check(driver.launchGraph(exec, stream), "to launch a graph");
}

} // namespace leat::rt::cuda
