// Stands in for libcuda in tests, so that the code which talks to the driver runs on machines without a GPU: the functions that the runtime
// uses, on the simulator. Launches into a stream that is being captured are kept and run when their graph is launched, as a GPU would.
#include "test/unit/device/fake_cuda.h"

#include "runtime/device/cuda/Driver.h"
#include "runtime/device/sim/Simulator.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

using namespace leat;
using leat::rt::cuda::LaunchConfig;
using Code = int32_t;

namespace {

constexpr Code invalidValue = 1, outOfMemory = 2, noDevice = 100, invalidContext = 201, noBinaryForGpu = 209, invalidPtx = 218,
               notFound = 500, launchFailed = 719, captureUnsupported = 900, captureUnjoined = 904, graphUpdateFailure = 910;

FakeCuda state;
sim::Simulator &simulator() {
  static sim::Simulator instance([] {
    sim::Options options;
    options.counters = false;
    return options;
  }());
  return instance;
}
thread_local bool current = false; // a context is set
std::map<void *, int64_t> blocks;
int captures = 0; // streams that are being captured

struct Function {
  sim::Module *module;
  const sim::KernelInfo *info;
};
struct Module {
  std::unique_ptr<sim::Module> code;
  std::map<std::string, std::unique_ptr<Function>> functions;
};

/// A launch, a call of the host or a copy, with copies of its arguments.
struct Node {
  Function *function = nullptr; // null: none
  void (*host)(void *) = nullptr;
  void *data = nullptr;
  sim::LaunchConfig config;
  std::vector<std::vector<std::byte>> arguments;
  void *to = nullptr;
  const void *from = nullptr;
  size_t bytes = 0;
  std::vector<size_t> after; // nodes of the graph that it waits for, by number

  Code run() const {
    if (host)
      return host(data), 0;
    if (!function) {
      std::memmove(to, from, bytes);
      return 0;
    }
    std::vector<const void *> values;
    for (const auto &argument : arguments)
      values.push_back(argument.data());
    auto result = simulator().launch(*function->module, function->info->name, config, std::span<const void *const>(values));
    ++state.launches;
    if (!result.ok() || !result->clean()) {
      std::fprintf(stderr, "%s\n", result.ok() ? sim::formatReport(result->reports.front()).c_str() : result.status().message().c_str());
      return launchFailed;
    }
    return 0;
  }
};
struct Graph {
  std::vector<Node> nodes;
};
struct Stream {
  Graph *graph = nullptr;   // into which it is captured
  std::vector<size_t> last; // nodes of the graph that its next one waits for
};
struct Event {
  std::chrono::steady_clock::time_point at;
  Graph *graph = nullptr; // of the stream that it was captured from
  std::vector<size_t> last;
};
std::map<Graph *, std::vector<Stream *>> captured; // streams of a graph, the first one began it

Code enqueue(Stream *stream, Node node) {
  if (!current)
    return invalidContext;
  if (stream && stream->graph) {
    node.after = std::move(stream->last);
    stream->last = {stream->graph->nodes.size()};
    stream->graph->nodes.push_back(std::move(node));
    return 0;
  }
  return node.run();
}

/// What the driver refuses while a stream is being captured.
bool busy(Stream *stream) { return stream && stream->graph; }

/// Whether node `from` waits for `to`, by way of others or not.
bool waitsFor(const Graph &graph, size_t from, size_t to) {
  return std::any_of(graph.nodes[from].after.begin(), graph.nodes[from].after.end(),
                     [&](size_t next) { return next == to || (next > to && waitsFor(graph, next, to)); });
}

} // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT FakeCuda *leat_fake_cuda_state() { return &state; }

EXPORT Code cuInit(uint32_t) { return state.gpus ? 0 : noDevice; }
EXPORT Code cuDriverGetVersion(int32_t *version) { return *version = 13000, 0; }
EXPORT Code cuGetErrorName(Code code, const char **name) {
  *name = code == outOfMemory    ? "CUDA_ERROR_OUT_OF_MEMORY"
          : code == invalidPtx   ? "CUDA_ERROR_INVALID_PTX"
          : code == launchFailed ? "CUDA_ERROR_LAUNCH_FAILED"
                                 : "CUDA_ERROR";
  return 0;
}
EXPORT Code cuGetErrorString(Code, const char **text) { return *text = "as the test wants", 0; }
EXPORT Code cuDeviceGetCount(int32_t *count) { return *count = state.gpus, 0; }
EXPORT Code cuDeviceGet(int32_t *device, int32_t ordinal) { return *device = ordinal, 0; }
EXPORT Code cuDeviceGetName(char *name, int32_t bytes, int32_t) { return std::snprintf(name, static_cast<size_t>(bytes), "Fake GPU"), 0; }
EXPORT Code cuDeviceGetAttribute(int32_t *value, int32_t attribute, int32_t) {
  *value = attribute == rt::cuda::capabilityMajor   ? state.major
           : attribute == rt::cuda::capabilityMinor ? state.minor
           : attribute == rt::cuda::cacheBytes      ? state.cacheBytes
                                                    : 1;
  return 0;
}
EXPORT Code cuDevicePrimaryCtxRetain(void **context, int32_t) { return *context = &state, ++state.contexts, 0; }
EXPORT Code cuDevicePrimaryCtxRelease_v2(int32_t) { return --state.contexts, 0; }
EXPORT Code cuCtxSetCurrent(void *context) { return current = context != nullptr, 0; }
EXPORT Code cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = static_cast<size_t>(state.memory - state.held);
  *total = static_cast<size_t>(state.memory);
  return 0;
}
EXPORT Code cuMemAlloc_v2(unsigned long long *memory, size_t bytes) {
  if (!current)
    return invalidContext;
  if (captures)
    return captureUnsupported; // stricter than the driver: nothing should allocate while launches are collected
  if (state.held + static_cast<int64_t>(bytes) > state.memory)
    return outOfMemory;
  auto block = simulator().allocate(bytes, "device memory");
  if (!block.ok())
    return outOfMemory;
  blocks[*block] = static_cast<int64_t>(bytes);
  state.held += static_cast<int64_t>(bytes);
  std::memset(*block, 0xcd, bytes); // a GPU's memory is not zero
  *memory = reinterpret_cast<unsigned long long>(*block);
  return 0;
}
EXPORT Code cuMemFree_v2(unsigned long long memory) {
  auto block = blocks.find(reinterpret_cast<void *>(memory));
  if (block == blocks.end())
    return invalidValue;
  state.held -= block->second;
  (void)simulator().release(block->first);
  blocks.erase(block);
  return 0;
}
EXPORT Code cuMemAllocHost_v2(void **memory, size_t bytes) { return *memory = std::malloc(bytes), 0; }
EXPORT Code cuMemFreeHost(void *memory) { return std::free(memory), 0; }
EXPORT Code cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, Stream *stream) {
  if (!current)
    return invalidContext;
  if (busy(stream))
    return captureUnsupported; // pageable memory is read now, a graph would read it later
  return ++state.copiesIn, std::memcpy(reinterpret_cast<void *>(to), from, bytes), 0;
}
EXPORT Code cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, Stream *stream) {
  if (!current)
    return invalidContext;
  if (busy(stream))
    return captureUnsupported;
  return ++state.copiesOut, std::memcpy(to, reinterpret_cast<const void *>(from), bytes), 0;
}
EXPORT Code cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, Stream *stream) {
  Node node;
  node.to = reinterpret_cast<void *>(to), node.from = reinterpret_cast<const void *>(from), node.bytes = bytes;
  return enqueue(stream, std::move(node));
}
EXPORT Code cuMemsetD8Async(unsigned long long at, uint8_t value, size_t bytes, Stream *stream) {
  if (busy(stream))
    return captureUnsupported;
  return ++state.fills, std::memset(reinterpret_cast<void *>(at), value, bytes), 0;
}
EXPORT Code cuModuleLoadDataEx(Module **module, const void *image, uint32_t count, int32_t *options, void **values) {
  auto *text = static_cast<const char *>(image);
  if (std::memcmp(text,
                  "\x7f"
                  "ELF",
                  4) == 0)
    return noBinaryForGpu; // machine code: nothing here runs it
  if (state.refusePtx) {
    for (uint32_t i = 0; i < count; ++i)
      if (options[i] == rt::cuda::jitErrorLog)
        std::strcpy(static_cast<char *>(values[i]), "line 7: the test says no");
    return invalidPtx;
  }
  auto code = sim::Module::parse(text, "fake");
  if (!code.ok())
    return invalidPtx;
  ++state.modules;
  *module = new Module{std::move(*code), {}};
  return 0;
}
EXPORT Code cuModuleUnload(Module *module) { return --state.modules, delete module, 0; }
EXPORT Code cuModuleGetFunction(Function **function, Module *module, const char *name) {
  const sim::KernelInfo *info = module->code->kernel(name);
  if (!info)
    return notFound;
  auto &known = module->functions[name];
  if (!known)
    known.reset(new Function{module->code.get(), info});
  *function = known.get();
  return 0;
}
EXPORT Code cuFuncSetAttribute(Function *, int32_t attribute, int32_t value) {
  return attribute == rt::cuda::maxDynamicShared && value > state.sharedBytes ? invalidValue : 0;
}
EXPORT Code cuLaunchKernelEx(const LaunchConfig *config, Function *function, void **arguments, void **) {
  Node node;
  node.function = function;
  node.config.grid = {config->grid[0], config->grid[1], config->grid[2]};
  node.config.block = {config->block[0], config->block[1], config->block[2]};
  for (uint32_t i = 0; i < config->attributeCount; ++i) {
    if (config->attributes[i].id != rt::cuda::attributeClusterDimension)
      return invalidValue;
    const uint32_t *cluster = config->attributes[i].value.cluster;
    node.config.cluster = {cluster[0], cluster[1], cluster[2]};
    ++state.clusters;
  }
  node.config.dynamicSharedBytes = config->sharedBytes;
  for (size_t i = 0; i < function->info->parameters.size(); ++i) {
    auto *bytes = static_cast<const std::byte *>(arguments[i]);
    node.arguments.emplace_back(bytes, bytes + function->info->parameters[i].bytes);
  }
  return enqueue(reinterpret_cast<Stream *>(config->stream), std::move(node));
}
EXPORT Code cuLaunchHostFunc(Stream *stream, void (*function)(void *), void *data) {
  Node node;
  node.host = function, node.data = data;
  return enqueue(stream, std::move(node));
}
EXPORT Code cuStreamCreate(Stream **stream, uint32_t) {
  if (!current)
    return invalidContext;
  return *stream = new Stream, ++state.streams, 0;
}
EXPORT Code cuStreamDestroy_v2(Stream *stream) { return delete stream, --state.streams, 0; }
EXPORT Code cuStreamSynchronize(Stream *stream) { return busy(stream) ? captureUnsupported : (++state.synchronizations, 0); }
EXPORT Code cuStreamBeginCapture_v2(Stream *stream, int32_t) {
  stream->graph = new Graph;
  stream->last.clear();
  captured[stream->graph] = {stream};
  return ++captures, 0;
}
EXPORT Code cuStreamEndCapture(Stream *stream, Graph **graph) {
  *graph = std::exchange(stream->graph, nullptr);
  // All that was captured from other streams has to be joined.
  size_t end = (*graph)->nodes.size();
  Node all;
  all.after = stream->last;
  (*graph)->nodes.push_back(all);
  bool joined = true;
  for (size_t i = 0; i < end; ++i)
    joined &= waitsFor(**graph, end, i);
  (*graph)->nodes.pop_back();
  for (Stream *other : captured[*graph])
    other->graph = nullptr, other->last.clear();
  captured.erase(*graph);
  return --captures, joined ? 0 : captureUnjoined;
}
EXPORT Code cuStreamWaitEvent(Stream *stream, Event *event, uint32_t) {
  if (!event->graph)
    return busy(stream) ? captureUnsupported : 0; // everything has run by now
  if (!stream->graph) {
    stream->graph = event->graph;
    captured[event->graph].push_back(stream);
  } else if (stream->graph != event->graph) {
    return captureUnsupported;
  }
  for (size_t node : event->last)
    if (std::find(stream->last.begin(), stream->last.end(), node) == stream->last.end())
      stream->last.push_back(node);
  return 0;
}
EXPORT Code cuGraphInstantiateWithFlags(Graph **exec, Graph *graph, unsigned long long) {
  return *exec = new Graph(*graph), ++state.graphsMade, 0;
}
EXPORT Code cuGraphExecUpdate_v2(Graph *exec, Graph *graph, rt::cuda::GraphUpdateInfo *) {
  bool same = exec->nodes.size() == graph->nodes.size() &&
              std::equal(exec->nodes.begin(), exec->nodes.end(), graph->nodes.begin(),
                         [](const Node &a, const Node &b) { return a.function == b.function && a.host == b.host && a.after == b.after; });
  if (!same)
    return graphUpdateFailure;
  return exec->nodes = graph->nodes, ++state.graphsUpdated, 0;
}
// Of the nodes that wait for nothing any more, the one that was captured last goes first: who forgot to wait is found out.
EXPORT Code cuGraphLaunch(Graph *exec, Stream *) {
  ++state.graphLaunches;
  std::vector<bool> done(exec->nodes.size());
  for (size_t count = 0; count < done.size(); ++count) {
    size_t next = done.size();
    for (size_t i = 0; i < done.size(); ++i)
      if (!done[i] && std::all_of(exec->nodes[i].after.begin(), exec->nodes[i].after.end(), [&](size_t node) { return done[node]; }))
        next = i;
    for (size_t i = 0; i < next; ++i)
      if (!waitsFor(*exec, next, i)) {
        ++state.branches;
        break;
      }
    done[next] = true;
    if (Code code = exec->nodes[next].run())
      return code;
  }
  return 0;
}
EXPORT Code cuGraphDestroy(Graph *graph) { return delete graph, 0; }
EXPORT Code cuGraphExecDestroy(Graph *exec) { return delete exec, 0; }
EXPORT Code cuEventCreate(Event **event, uint32_t) { return *event = new Event, 0; }
EXPORT Code cuEventDestroy_v2(Event *event) { return delete event, 0; }
EXPORT Code cuEventRecord(Event *event, Stream *stream) {
  event->graph = stream ? stream->graph : nullptr;
  event->last = event->graph ? stream->last : std::vector<size_t>();
  return event->at = std::chrono::steady_clock::now(), 0;
}
EXPORT Code cuEventSynchronize(Event *) { return 0; }
EXPORT Code cuEventElapsedTime(float *milliseconds, Event *from, Event *to) {
  return *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count(), 0;
}
EXPORT Code cuTensorMapEncodeTiled(void *map, int32_t, uint32_t rank, void *base, const uint64_t *dims, const uint64_t *strides,
                                   const uint32_t *box, const uint32_t *, int32_t, int32_t swizzle, int32_t, int32_t) {
  sim::TensorMapSpec spec;
  spec.base = base;
  spec.rank = static_cast<int>(rank);
  spec.elementBytes = 2;
  for (uint32_t d = 0; d < rank; ++d) {
    spec.dims[d] = dims[d], spec.box[d] = box[d];
    if (d)
      spec.strides[d - 1] = strides[d - 1];
  }
  spec.swizzleBytes = swizzle ? 16 << swizzle : 0;
  return sim::encodeTensorMap(spec, map).ok() ? 0 : invalidValue;
}
