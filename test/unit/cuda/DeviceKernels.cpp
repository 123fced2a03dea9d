// See DeviceKernels.h.
#include "DeviceKernels.h"

#include "../cpu/HostJit.h"
#include "../cpu/KernelSignature.h"
#include "lib/Pipeline/Registration.h"
#include "lib/Target/DeviceCode.h"
#include "passes/CPU/Pipeline.h"
#include "passes/CUDA/Entry.h"
#include "passes/CUDA/Passes.h"
#include "passes/CUDA/Pipeline.h"
#include "passes/Schedule/Passes.h"
#include "runtime/device/simdevice/SimDevice.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"

using namespace mlir;

namespace leat::test {

struct DeviceKernels::Impl {
  std::map<std::string, Signature> signatures;
  std::map<std::string, std::vector<std::string>> entries; ///< of each kernel, by phase
  std::unique_ptr<llvm::orc::LLJIT> host;
};

DeviceKernels::DeviceKernels() : impl(std::make_unique<Impl>()) {}
DeviceKernels::~DeviceKernels() = default;

std::unique_ptr<DeviceKernels> DeviceKernels::compile(const std::string &text, const std::string &gpu) {
  DialectRegistry registry;
  leat::registerDialects(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return nullptr;
  std::unique_ptr<DeviceKernels> kernels(new DeviceKernels);
  kernels->impl->signatures = Signature::ofModule(*module);

  PassManager lower(&context);
  schedule::ScheduleCUDAOptions scheduleOptions;
  scheduleOptions.gpu = gpu;
  scheduleOptions.int8Activations = true; // of the products that allow it
  lower.addPass(schedule::createScheduleCUDA(scheduleOptions));
  cuda::LowerKernelsToCUDAOptions lowerOptions;
  lowerOptions.gpu = gpu;
  lower.addPass(cuda::createLowerKernelsToCUDA(lowerOptions));
  if (failed(lower.run(*module)))
    return nullptr;
  for (auto function : module->getOps<LLVM::LLVMFuncOp>())
    if (auto entry = function->getAttrOfType<DictionaryAttr>(cuda::kEntryAttr))
      kernels->impl->entries[entry.getAs<StringAttr>("kernel").getValue().str()].push_back(function.getSymName().str());

  auto spec = target::resolveGpu(gpu);
  if (!spec) {
    llvm::errs() << llvm::toString(spec.takeError()) << "\n";
    return nullptr;
  }
  target::DeviceOptions options;
  options.gpu = *spec;
  options.pipeline = cuda::buildToNVVM;
  options.verify = true;
  options.threads = 1;
  auto modules = target::generateDeviceCode(*module, options);
  if (failed(modules))
    return nullptr;
  for (target::DeviceModule &device : *modules)
    kernels->ptx.push_back(std::move(device.ptx));

  PassManager host(&context);
  cpu::buildToLLVM(host, cpu::Target());
  if (failed(host.run(*module)))
    return nullptr;
  kernels->impl->host = compileForHost(*module, "x86-64");
  return kernels->impl->host ? std::move(kernels) : nullptr;
}

unsigned DeviceKernels::phases(const std::string &name) const { return impl->entries.count(name) ? impl->entries.at(name).size() : 0; }

std::array<int64_t, LEAT_COSTS> DeviceKernels::cost(const std::string &name, const std::vector<Array *> &inputs,
                                                    const std::vector<Array *> &results, const std::vector<int64_t> &given) {
  std::vector<int64_t> scalars = impl->signatures.at(name).launchScalars(name, inputs, results, given);
  std::array<int64_t, LEAT_COSTS> out{};
  reinterpret_cast<void (*)(const int64_t *, int64_t *)>(lookup(*impl->host, name + ".cost"))(scalars.data(), out.data());
  return out;
}

const std::vector<std::string> &DeviceKernels::entries(const std::string &name) const { return impl->entries.at(name); }

std::vector<LeatGeometry> DeviceKernels::geometry(const std::string &name, const std::vector<int64_t> &allScalars) {
  std::vector<LeatGeometry> launches(phases(name));
  reinterpret_cast<void (*)(const int64_t *, LeatGeometry *)>(lookup(*impl->host, name + ".geometry"))(allScalars.data(), launches.data());
  return launches;
}

DeviceKernels::Outcome DeviceKernels::run(const std::string &name, const std::vector<Array *> &inputs, const std::vector<Array *> &results,
                                          const std::vector<int64_t> &given, const sim::Options &options) {
  Outcome outcome;
  auto refuse = [&](const std::string &why) {
    outcome.errors.push_back(why);
    return outcome;
  };
  std::vector<int64_t> scalars = impl->signatures.at(name).launchScalars(name, inputs, results, given);
  std::vector<LeatGeometry> launches = geometry(name, scalars);

  std::vector<std::unique_ptr<sim::Module>> modules;
  for (const std::string &text : ptx) {
    auto parsed = sim::Module::parse(text);
    if (!parsed.ok())
      return refuse(parsed.status().message());
    modules.push_back(std::move(*parsed));
  }
  sim::Simulator simulator(options);
  std::vector<void *> buffers;
  auto open = [&](size_t bytes, const std::string &what, const unsigned char *content) {
    auto memory = simulator.allocate(std::max<size_t>(bytes, 1), what);
    buffers.push_back(*memory);
    if (content && bytes > 0)
      std::memcpy(*memory, content, bytes);
    else
      std::memset(*memory, 0xcd, bytes);
  };
  for (auto [i, array] : llvm::enumerate(inputs))
    open(array->bytes.size(), "input " + std::to_string(i), array->bytes.data());
  for (auto [i, array] : llvm::enumerate(results))
    open(array->bytes.size(), "result " + std::to_string(i), nullptr);
  int64_t scratch = 0, joined = 0;
  for (const LeatGeometry &phase : launches)
    scratch = std::max(scratch, phase.scratch), joined = std::max(joined, phase.joined);
  open(scratch, "scratch", nullptr);
  open(joined, "memory that phases share", nullptr);
  const uint32_t none = 0;
  open(sizeof(none), "tickets", reinterpret_cast<const unsigned char *>(&none));
  if (scalars.empty())
    scalars.push_back(0);

  for (auto [entry, phase] : llvm::zip_equal(entries(name), launches)) {
    if (phase.grid[0] == 0 || phase.grid[1] == 0 || phase.grid[2] == 0)
      continue;
    auto holder = llvm::find_if(modules, [&](auto &module) { return module->kernel(entry) != nullptr; });
    if (holder == modules.end())
      return refuse("no module has an entry " + entry);
    auto dim = [](const int64_t *v) { return sim::Dim3{uint32_t(v[0]), uint32_t(v[1]), uint32_t(v[2])}; };
    if (phase.resident > 0)
      phase.grid[0] = std::min(phase.grid[0], phase.resident * multiprocessors);
    sim::LaunchConfig config{dim(phase.grid), dim(phase.block), dim(phase.cluster), uint32_t(phase.dynamic_shared)};
    std::vector<const void *> arguments{buffers.data(), scalars.data()};
    alignas(64) uint8_t maps[LEAT_MAX_TENSOR_MAPS][128];
    for (int64_t i = 0; i < phase.tensor_maps; ++i) {
      const LeatTensorMap &map = phase.maps[i];
      auto status = rt::encodeTensorMapOfSim(map, static_cast<char *>(buffers[map.buffer]) + map.offset, maps[i]);
      if (!status.ok())
        return refuse(status.message());
      arguments.push_back(maps[i]);
    }
    auto result = simulator.launch(**holder, entry, config, std::span<const void *const>(arguments));
    if (!result.ok())
      return refuse(result.status().message());
    ++outcome.launches;
    outcome.counters.add(result->counters);
    for (const sim::Report &report : result->reports)
      if (report.severity == sim::Severity::Error)
        outcome.errors.push_back(sim::formatReport(report));
    if (!result->finished)
      break;
    if (*static_cast<const uint32_t *>(buffers.back()) != 0)
      outcome.errors.push_back("@" + name + " leaves tickets behind");
  }
  for (auto [array, memory] : llvm::zip_first(llvm::concat<Array *const>(inputs, results), buffers))
    if (!array->bytes.empty())
      std::memcpy(array->bytes.data(), memory, array->bytes.size());
  return outcome;
}

} // namespace leat::test
