// leat bench: time, bytes and operations of every kernel, next to what this machine can do, measured in the same run.
#include "lib/Driver/Commands.h"

#include "runtime/core/Memory.h"
#include "runtime/core/Philox.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>

using namespace leat::rt;
using llvm::formatv;
using llvm::outs;

namespace leat::driver {

namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

double percentile(std::vector<double> v, double p) {
  std::sort(v.begin(), v.end());
  return v[std::min(v.size() - 1, static_cast<size_t>(p * static_cast<double>(v.size())))];
}

/// Bytes per second that all threads read from memory far larger than the caches; the best of a few passes is the ceiling.
double readBandwidth(ThreadPool &pool) {
  constexpr int64_t kBytes = int64_t(256) << 20, kChunk = int64_t(1) << 20;
  Memory memory;
  if (!memory.allocate(kBytes))
    return 0;
  memset(memory.data(), 1, kBytes); // pages of its own, not all the zero page
  const auto *data = static_cast<const uint64_t *>(memory.data());
  std::vector<uint64_t> sums(kBytes / kChunk);
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    auto start = Clock::now();
    pool.forRange(kBytes / kChunk, [&](int64_t begin, int64_t end, int) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        uint64_t a = 0, b = 0, c = 0, d = 0;
        const uint64_t *p = data + chunk * (kChunk / 8);
        for (int64_t i = 0; i < kChunk / 8; i += 4)
          a += p[i], b += p[i + 1], c += p[i + 2], d += p[i + 3];
        sums[static_cast<size_t>(chunk)] = a + b + c + d;
      }
    });
    best = std::max(best, static_cast<double>(kBytes) / seconds(start));
  }
  return best;
}

/// Eight independent chains of fused multiply-adds, enough to hide their latency; returns a value so that nothing is left out, and
/// takes one, so that two calls are not made into one.
template <typename Vector> __attribute__((always_inline)) inline float multiplyAdds(int64_t rounds, float seed) {
  Vector a[8], x = Vector{} + 0.999f, y = Vector{} + 0.001f;
  for (int i = 0; i < 8; ++i)
    a[i] = Vector{} + (seed + static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < 8; ++i)
      a[i] = __builtin_elementwise_fma(a[i], x, y);
  float sum = 0;
  for (int i = 0; i < 8; ++i)
    sum += a[i][0];
  return sum;
}
typedef float Float8 __attribute__((vector_size(32)));
typedef float Float16 __attribute__((vector_size(64)));
__attribute__((target("avx512f"))) float multiplyAdds512(int64_t rounds, float seed) { return multiplyAdds<Float16>(rounds, seed); }
__attribute__((target("avx2,fma"))) float multiplyAdds256(int64_t rounds, float seed) { return multiplyAdds<Float8>(rounds, seed); }

/// Operations per second of f32 multiply-adds on all threads, with the widest vectors the host has; 0 without FMA.
double multiplyAddRate(ThreadPool &pool) {
  bool wide = __builtin_cpu_supports("avx512f"), narrow = __builtin_cpu_supports("fma");
  if (!wide && !narrow)
    return 0;
  constexpr int64_t kRounds = 100000;
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    std::vector<float> sums(static_cast<size_t>(pool.threads()) * 64);
    auto start = Clock::now();
    pool.forRange(static_cast<int64_t>(sums.size()), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        sums[static_cast<size_t>(i)] =
            wide ? multiplyAdds512(kRounds, static_cast<float>(i)) : multiplyAdds256(kRounds, static_cast<float>(i));
    });
    best = std::max(best, static_cast<double>(sums.size()) * kRounds * 8 * 2 * (wide ? 16 : 8) / seconds(start));
  }
  return best;
}

struct Input {
  std::string name;
  Tensor tensor;
};

/// Inputs of the asked sizes: integers are zeros (valid as token ids, positions and masks of nothing), floats small random numbers.
Status makeInputs(const FunctionInfo &function, const Args &args, int64_t tokens, std::vector<Input> &inputs) {
  std::vector<std::pair<std::string, int64_t>> sizes;
  for (const std::string &text : args.list("size")) {
    size_t equals = text.find('=');
    int64_t value = 0;
    if (equals == std::string::npos || llvm::StringRef(text).drop_front(equals + 1).getAsInteger(10, value) || value < 0)
      return error(Code::InvalidArgument, "--size needs NAME=NUMBER, got '%s'", text.c_str());
    sizes.push_back({text.substr(0, equals), value});
  }
  for (const TensorInfo &info : function.inputs) {
    Shape shape;
    shape.rank = static_cast<int32_t>(info.dims.size());
    for (int i = 0; i < shape.rank; ++i) {
      const DimInfo &d = info.dims[static_cast<size_t>(i)];
      int64_t value = d.value;
      if (value < 0) {
        value = i == 0 ? 1 : tokens;
        for (auto &[name, given] : sizes)
          if (name == d.symbol)
            value = given;
      }
      shape.dims[i] = value;
    }
    auto tensor = Tensor::create(info.dtype, shape);
    if (!tensor)
      return tensor.takeStatus();
    if (info.dtype == DType::F32)
      for (int64_t i = 0; i < tensor->count(); ++i)
        tensor->as<float>()[i] = static_cast<float>(philoxUniform(1, 0, static_cast<uint64_t>(i)) - 0.5);
    if (info.name.find("mask") != std::string::npos && info.dtype == DType::I64)
      std::fill_n(tensor->as<int64_t>(), tensor->count(), 1);
    inputs.push_back({info.name, std::move(*tensor)});
  }
  return {};
}

/// Bytes per second that a device reads and writes when it copies memory far larger than its caches.
double deviceBandwidth(Device &device) {
  constexpr int64_t kBytes = int64_t(512) << 20;
  DeviceMemory from, to;
  auto queue = device.createQueue();
  if (!queue || !from.allocate(device, kBytes, "a measurement").ok() || !to.allocate(device, kBytes, "a measurement").ok())
    return 0;
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    if (!(*queue)->startTimer().ok() || !(*queue)->copy(to.data(), from.data(), kBytes).ok())
      return 0;
    auto time = (*queue)->stopTimer();
    if (!time.ok() || *time <= 0)
      return 0;
    best = std::max(best, 2e9 * kBytes / static_cast<double>(*time));
  }
  return best;
}

int bench(const Args &args) {
  std::string bad;
  int64_t tokens = args.integer("tokens", 1, 1, 1 << 24, bad), context = args.integer("context", 0, 0, 1 << 28, bad);
  int64_t repetitions = args.integer("repetitions", 20, 1, 1 << 20, bad), warmup = args.integer("warmup", 3, 0, 1 << 20, bad);
  std::string format = args.get("format", "table");
  if (format != "table" && format != "json")
    bad = "--format is table or json, got '" + format + "'";
  ModelOptions modelGiven = modelOptions(args, bad);
  if (!bad.empty())
    return fail(kUsage, bad);
  auto begin = Clock::now();
  auto model = Model::load(args.positional[0], modelGiven);
  if (!model)
    return fail(model.status());
  double loadSeconds = seconds(begin);
  SessionOptions sessionOptions;
  sessionOptions.profile = true;
  sessionOptions.context = context + tokens;
  auto session = Session::create(*model, sessionOptions);
  if (!session)
    return fail(session.status());
  auto index = (*session)->functionIndex(args.get("function"));
  if (!index)
    return fail(index.status());
  const ManifestInfo &manifest = (*model)->manifest();
  const FunctionInfo &function = manifest.functions[*index];
  auto call = [&](int64_t length) {
    std::vector<Input> inputs;
    LEAT_RETURN_IF_ERROR(makeInputs(function, args, length, inputs));
    std::vector<NamedTensor> named;
    for (const Input &i : inputs)
      named.push_back({i.name.c_str(), &i.tensor});
    return (*session)->run(*index, named);
  };
  for (int64_t done = 0; done < context;) { // what the caches hold before the measured steps
    int64_t piece = std::min<int64_t>(context - done, 256);
    if (Status s = call(piece); !s.ok())
      return fail(s);
    done += piece;
  }
  auto rewind = StateRewind::take((*session)->state());
  if (!rewind)
    return fail(rewind.status());
  for (int64_t i = 0; i < warmup; ++i) {
    if (Status s = call(tokens); !s.ok())
      return fail(s);
    if (Status s = (*rewind)(); !s.ok())
      return fail(s);
  }
  std::vector<Input> inputs;
  if (Status s = makeInputs(function, args, tokens, inputs); !s.ok())
    return fail(s);
  std::vector<NamedTensor> named;
  for (const Input &i : inputs)
    named.push_back({i.name.c_str(), &i.tensor});
  std::vector<double> times;
  auto measure = [&](std::vector<double> *into) -> Status {
    for (int64_t i = 0; i < repetitions; ++i) {
      auto start = Clock::now();
      LEAT_RETURN_IF_ERROR((*session)->run(*index, named));
      if (into)
        into->push_back(seconds(start));
      LEAT_RETURN_IF_ERROR((*rewind)());
    }
    return {};
  };
  Executor &executor = (*session)->executor();
  executor.clearProfile();
  // On a device, measuring single kernels takes away what overlaps: whole runs are timed without it.
  DeviceProgram *program = (*model)->program();
  executor.measure(!program);
  if (Status s = measure(&times); !s.ok())
    return fail(s);
  if (program) {
    executor.measure(true);
    if (Status s = measure(nullptr); !s.ok())
      return fail(s);
  }
  double ceiling = program ? deviceBandwidth(program->device()) : readBandwidth((*model)->pool());
  double peak = program ? 0 : multiplyAddRate((*model)->pool());
  const std::vector<KernelProfile> &profile = (*session)->executor().profile();
  std::vector<size_t> order;
  double inKernels = 0;
  for (size_t k = 0; k < profile.size(); ++k)
    if (profile[k].calls) {
      order.push_back(k);
      inKernels += static_cast<double>(profile[k].nanoseconds) * 1e-9;
    }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return profile[a].nanoseconds > profile[b].nanoseconds; });
  double all = std::accumulate(times.begin(), times.end(), 0.0), n = static_cast<double>(repetitions);

  std::string where = program ? (*model)->deviceName() : formatv("{0} threads", (*model)->pool().threads()).str();

  if (format == "json") {
    llvm::json::Array kernels;
    for (size_t k : order)
      kernels.push_back(llvm::json::Object{{"name", manifest.kernels[k].name},
                                           {"calls_per_run", static_cast<double>(profile[k].calls) / n},
                                           {"seconds_per_run", static_cast<double>(profile[k].nanoseconds) * 1e-9 / n},
                                           {"bytes_per_run", static_cast<double>(profile[k].bytes) / n},
                                           {"operations_per_run", static_cast<double>(profile[k].operations) / n}});
    llvm::json::Object result{{"schema", 1},
                              {"model", llvm::json::fixUTF8(manifest.model)},
                              {"function", function.name},
                              {"target_cpu", manifest.targetCpu},
                              {"device", (*model)->deviceName()},
                              {"threads", static_cast<int64_t>((*model)->pool().threads())},
                              {"load_seconds", loadSeconds},
                              {"repetitions", repetitions},
                              {"tokens", tokens},
                              {"context", context},
                              {"median_seconds", median(times)},
                              {"p90_seconds", percentile(times, 0.9)},
                              {"p99_seconds", percentile(times, 0.99)},
                              {"gap_fraction", all > 0 ? 1 - inKernels / all : 0},
                              {"read_ceiling_bytes_per_second", ceiling},
                              {"fma_ceiling_operations_per_second", peak},
                              {"kernels", std::move(kernels)}};
    outs() << formatv("{0:2}\n", llvm::json::Value(std::move(result)));
    return kOk;
  }
  outs() << formatv("{0} {1}, {2}; loaded in {3:F2} s; {4} runs of {5} token{6} after {7}\n", manifest.model, function.name, where,
                    loadSeconds, repetitions, tokens, tokens == 1 ? "" : "s", context);
  outs() << formatv("median {0:F3} ms, p90 {1:F3} ms, p99 {2:F3} ms; outside of kernels {3:F1}%; this run's ceilings: {4:F1} GB/s read, "
                    "{5:F0} GFLOP/s f32\n",
                    median(times) * 1e3, percentile(times, 0.9) * 1e3, percentile(times, 0.99) * 1e3,
                    all > 0 ? (1 - inKernels / all) * 100 : 0, ceiling * 1e-9, peak * 1e-9);
  outs() << formatv("{0,-36} {1,6} {2,10} {3,7} {4,9} {5,9} {6,9}\n", "kernel", "calls", "us/run", "share", "GB/s", "GFLOP/s", "of limit");
  for (size_t k : order) {
    double s = static_cast<double>(profile[k].nanoseconds) * 1e-9;
    double rate = s > 0 ? static_cast<double>(profile[k].bytes) / s : 0, work = s > 0 ? static_cast<double>(profile[k].operations) / s : 0;
    double limit = std::max(ceiling > 0 ? rate / ceiling : 0, peak > 0 ? work / peak : 0); // the nearer of the two ceilings
    outs() << formatv("{0,-36} {1,6} {2,10} {3,6}% {4,9} {5,9} {6,8}%\n", manifest.kernels[k].name, profile[k].calls / repetitions,
                      formatv("{0:F1}", s / n * 1e6).str(), formatv("{0:F1}", all > 0 ? s / all * 100 : 0).str(),
                      formatv("{0:F1}", rate * 1e-9).str(), formatv("{0:F1}", work * 1e-9).str(), formatv("{0:F0}", limit * 100).str());
  }
  return kOk;
}

} // namespace

Command benchCommand() {
  Command command{
      {"bench",
       "MODEL.leat",
       "time a compiled function, kernel by kernel, against what the machine can read",
       {{"function", "NAME", "main (the default) or step", "What"},
        {"tokens", "N", "size of dynamic dimensions other than the first: tokens per run (1)", "What"},
        {"size", "NAME=N", "size of one symbolic dimension", "What"},
        {"context", "N", "tokens that the stream has seen before each run, for step (0)", "What"},
        {"repetitions", "N", "measured runs (20)", "How"},
        {"warmup", "N", "runs before them (3)", "How"},
        {"format", "table|json",
         "how to print (table). GB/s and GFLOP/s come from each kernel's own model of bytes and operations; 'of limit' is the larger "
         "of its fractions of the read and FMA ceilings, measured in the same run",
         "How"}},
       1,
       1},
      bench};
  llvm::append_range(command.spec.options, modelOptionSpecs());
  return command;
}

} // namespace leat::driver
