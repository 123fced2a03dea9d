// leat bench: time, bytes and operations of every kernel, next to what this machine can do, measured in the same run.
#include "lib/Driver/Ceilings.h"
#include "lib/Driver/Workload.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <numeric>

using namespace leat::rt;
using llvm::formatv;
using llvm::outs;

namespace leat::driver {

namespace {

/// The ceiling of the arithmetic that a kernel does: its strategy names narrow types.
double peakOf(const KernelInfo &kernel, const ArithmeticRates &rates) {
  auto says = [&](llvm::StringRef word) { return llvm::is_contained(llvm::split(kernel.strategy, ' '), word); };
  return says("int8=1") && rates.int8 > 0 ? rates.int8 : says("bf16=1") && rates.bf16 > 0 ? rates.bf16 : rates.f32;
}

int bench(const Args &args) {
  std::string bad;
  int64_t repetitions = args.integer("repetitions", 20, 1, 1 << 20, bad);
  std::string format = args.get("format", "table");
  if (format != "table" && format != "json")
    bad = "--format is table or json, got '" + format + "'";
  args.integer("tokens", 1, 1, 1 << 24, bad);
  args.integer("context", 0, 0, 1 << 28, bad);
  args.integer("warmup", 3, 0, 1 << 20, bad);
  modelOptions(args, bad);
  if (!bad.empty())
    return fail(kUsage, bad);
  auto created = Workload::create(args.positional[0], args);
  if (!created)
    return fail(created.status());
  Workload &workload = **created;
  const ManifestInfo &manifest = workload.manifest();
  std::vector<double> times, deviceTimes;
  // On a device, measuring single kernels takes away what overlaps: whole runs are timed without it.
  DeviceProgram *program = workload.model().program();
  workload.measure(!program);
  for (int64_t i = 0; i < repetitions; ++i) {
    if (Status s = workload.run(); !s.ok())
      return fail(s);
    times.push_back(workload.seconds());
    if (!program)
      continue;
    auto onDevice = workload.secondsOnDevice();
    if (!onDevice)
      return fail(onDevice.status());
    deviceTimes.push_back(*onDevice);
  }
  workload.measure(true);
  for (int64_t i = 0; program && i < repetitions; ++i)
    if (Status s = workload.run(); !s.ok())
      return fail(s);
  double ceiling = program ? deviceBandwidth(program->device()) : readBandwidth(workload.model().pool());
  ArithmeticRates peaks = program ? ArithmeticRates() : arithmeticRates(workload.model().pool());
  const std::vector<KernelProfile> &profile = workload.profile();
  std::vector<size_t> order;
  double inKernels = 0;
  for (size_t k = 0; k < profile.size(); ++k)
    if (profile[k].calls) {
      order.push_back(k);
      inKernels += static_cast<double>(profile[k].nanoseconds) * 1e-9;
    }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return profile[a].nanoseconds > profile[b].nanoseconds; });
  const std::vector<double> &whole = program ? deviceTimes : times; // what kernels are a part of
  double all = std::accumulate(whole.begin(), whole.end(), 0.0), n = static_cast<double>(repetitions);
  bool huge = !program && workload.model().weights().pages() == WeightPages::Huge;
  std::string where = program ? workload.model().deviceName() : formatv("{0} threads", workload.model().pool().threads()).str();

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
                              {"function", workload.function().name},
                              {"target_cpu", manifest.targetCpu},
                              {"device", workload.model().deviceName()},
                              {"threads", static_cast<int64_t>(workload.model().pool().threads())},
                              {"load_seconds", workload.loadSeconds},
                              {"weight_pages", huge ? "huge" : "mapped"},
                              {"repetitions", repetitions},
                              {"tokens", workload.tokens},
                              {"context", workload.context},
                              {"median_seconds", median(times)},
                              {"p90_seconds", percentile(times, 0.9)},
                              {"p99_seconds", percentile(times, 0.99)},
                              {"gap_fraction", all > 0 ? 1 - inKernels / all : 0},
                              {"read_ceiling_bytes_per_second", ceiling},
                              {"fma_ceiling_operations_per_second", peaks.f32},
                              {"bf16_ceiling_operations_per_second", peaks.bf16},
                              {"int8_ceiling_operations_per_second", peaks.int8},
                              {"kernels", std::move(kernels)}};
    if (program)
      result["device_median_seconds"] = median(deviceTimes);
    outs() << formatv("{0:2}\n", llvm::json::Value(std::move(result)));
    return kOk;
  }
  outs() << formatv("{0} {1}, {2}; loaded in {3:F2} s{8}; {4} runs of {5} token{6} after {7}\n", manifest.model, workload.function().name,
                    where, workload.loadSeconds, repetitions, workload.tokens, workload.tokens == 1 ? "" : "s", workload.context,
                    huge ? ", weights in huge pages" : "");
  outs() << formatv("median {0:F3} ms, p90 {1:F3} ms, p99 {2:F3} ms; outside of kernels {3:F1}%; this run's ceilings: {4:F1} GB/s read, "
                    "{5:F0} GFLOP/s f32, {6:F0} bf16, {7:F0} int8\n",
                    median(times) * 1e3, percentile(times, 0.9) * 1e3, percentile(times, 0.99) * 1e3,
                    all > 0 ? (1 - inKernels / all) * 100 : 0, ceiling * 1e-9, peaks.f32 * 1e-9, peaks.bf16 * 1e-9, peaks.int8 * 1e-9);
  if (program)
    outs() << formatv("on the device, without copies and with cold caches: median {0:F3} ms; each kernel by itself:\n",
                      median(deviceTimes) * 1e3);
  outs() << formatv("{0,-36} {1,6} {2,10} {3,7} {4,9} {5,9} {6,9}\n", "kernel", "calls", "us/run", "share", "GB/s", "GFLOP/s", "of limit");
  for (size_t k : order) {
    double s = static_cast<double>(profile[k].nanoseconds) * 1e-9;
    double rate = s > 0 ? static_cast<double>(profile[k].bytes) / s : 0, work = s > 0 ? static_cast<double>(profile[k].operations) / s : 0;
    double peak = peakOf(manifest.kernels[k], peaks);
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
       {{"repetitions", "N", "measured runs (20)", "How"},
        {"format", "table|json",
         "how to print (table). GB/s and GFLOP/s come from each kernel's own model of bytes and operations; 'of limit' is the larger "
         "of its fractions of the read and arithmetic ceilings, measured in the same run",
         "How"}},
       1,
       1},
      bench};
  llvm::append_range(command.spec.options, workloadOptions());
  return command;
}

} // namespace leat::driver
