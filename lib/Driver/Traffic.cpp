// leat inspect --traffic: the bytes that each kernel moves, beside the least that its operands allow and what its ops would move by
// themselves. Sizes follow from a run on made-up inputs, so a model for a GPU is run by the simulator: the numbers are the same.
#include "lib/Driver/Traffic.h"
#include "lib/Driver/Workload.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace leat::rt;
using llvm::formatv;
using llvm::outs;

namespace leat::driver {

std::vector<OptionSpec> trafficOptions() {
  std::vector<OptionSpec> options{
      {"traffic", nullptr,
       "for a .leat file: bytes of each kernel in one run on made-up inputs. At least: its operands and results, once (of products without "
       "what their epilogues read). Requested: what its blocks ask the memory for, which caches may have. Unfused: what the ops that it "
       "was made of would move by themselves",
       "Traffic"}};
  for (OptionSpec option : workloadOptions())
    if (llvm::is_contained({"function", "tokens", "size", "context"}, llvm::StringRef(option.name))) {
      option.group = "Traffic";
      options.push_back(option);
    }
  return options;
}

static std::string amount(int64_t bytes) { return formatv("{0:F2} MB", static_cast<double>(bytes) * 1e-6); }

static std::string times(int64_t bytes, int64_t least) {
  return least > 0 ? formatv("{0:F2}x", static_cast<double>(bytes) / static_cast<double>(least)).str() : "";
}

int printTraffic(const Args &args, const std::string &path, bool forDevice) {
  auto created = Workload::create(path, args, {.warmup = 0, .device = forDevice ? "sim" : "cpu"});
  if (!created)
    return fail(created.status());
  Workload &workload = **created;
  if (Status status = workload.run(); !status.ok())
    return fail(status);
  const std::vector<KernelProfile> &profile = workload.profile();
  std::vector<size_t> order;
  KernelProfile all;
  for (auto [i, kernel] : llvm::enumerate(profile)) {
    if (!kernel.calls)
      continue;
    order.push_back(i);
    all.calls += kernel.calls, all.operations += kernel.operations;
    all.bytes += kernel.bytes, all.requested += kernel.requested, all.unfused += kernel.unfused;
  }
  llvm::sort(order, [&](size_t a, size_t b) { return std::pair(-profile[a].bytes, a) < std::pair(-profile[b].bytes, b); });
  if (args.get("format", "table") == "json") {
    auto object = [](const KernelProfile &k) {
      return llvm::json::Object{{"calls", k.calls},
                                {"operations", k.operations},
                                {"bytes", k.bytes},
                                {"requested_bytes", k.requested},
                                {"unfused_bytes", k.unfused}};
    };
    llvm::json::Array kernels;
    for (size_t i : order) {
      llvm::json::Object kernel = object(profile[i]);
      kernel["name"] = workload.manifest().kernels[i].name;
      kernels.push_back(std::move(kernel));
    }
    llvm::json::Object result{
        {"schema", 1},        {"function", workload.function().name}, {"tokens", workload.tokens}, {"context", workload.context},
        {"all", object(all)}, {"kernels", std::move(kernels)}};
    outs() << formatv("{0:2}\n", llvm::json::Value(std::move(result)));
    return kOk;
  }
  outs() << formatv("{0}: one run of {1} token{2} after {3}\n", workload.function().name, workload.tokens, workload.tokens == 1 ? "" : "s",
                    workload.context);
  constexpr const char *row = "{0,-36} {1,6} {2,12} {3,13} {4,13} {5,7} {6,13} {7,7}\n";
  outs() << formatv(row, "kernel", "calls", "GFLOP", "at least", "requested", "", "unfused", "");
  auto print = [&](llvm::StringRef name, const KernelProfile &k) {
    outs() << formatv(row, name, k.calls, formatv("{0:F4}", static_cast<double>(k.operations) * 1e-9).str(), amount(k.bytes),
                      amount(k.requested), times(k.requested, k.bytes), amount(k.unfused), times(k.unfused, k.bytes));
  };
  for (size_t i : order)
    print(workload.manifest().kernels[i].name, profile[i]);
  print("all", all);
  return kOk;
}

} // namespace leat::driver
