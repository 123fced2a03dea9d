// Modules, memory and launches: the public face.
#include "runtime/device/sim/Simulator.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/device/sim/BranchRaces.h"
#include "runtime/device/sim/Decoder.h"
#include "runtime/device/sim/Machine.h"
#include "runtime/device/sim/Parser.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

namespace leat::sim {

using rt::Code;
using rt::error;
using rt::printable;

static constexpr size_t variableAlignment = 256;
static constexpr u32 largestShared = 227 << 10;
static constexpr u32 mostClusterCtas = 16;

static size_t roundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

struct FreeBytes {
  void operator()(u8 *p) const { std::free(p); }
};
using Bytes = std::unique_ptr<u8, FreeBytes>;
static Bytes allocateBytes(size_t size) {
  auto p = static_cast<u8 *>(std::aligned_alloc(variableAlignment, roundUp(std::max<size_t>(size, 1), variableAlignment)));
  if (p)
    std::memset(p, 0, size);
  return Bytes(p);
}

struct Module::Impl {
  std::string name;
  std::unique_ptr<Ast> ast;
  std::vector<KernelInfo> kernels;
  GlobalTable variables;
  std::vector<Bytes> memory;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Program>, std::less<>> programs;

  rt::Status allocateVariables();
  void describeKernels();
  rt::Result<const Program *> program(std::string_view kernel);
};

rt::Status Module::Impl::allocateVariables() {
  for (const Variable &v : ast->variables) {
    if (v.space != "global" && v.space != "const")
      continue;
    Bytes bytes = allocateBytes(v.bytes);
    if (!bytes)
      return error(Code::Capacity, "PTX line %d: no memory for the %llu bytes of '%s'", v.line, (unsigned long long)v.bytes,
                   printable(std::string(v.name)).c_str());
    if (!v.initial.empty())
      std::memcpy(bytes.get(), v.initial.data(), v.initial.size());
    variables[v.name] = {bytes.get(), v.bytes};
    memory.push_back(std::move(bytes));
  }
  for (const Variable &v : ast->variables)
    for (const Variable::Relocation &r : v.relocations) {
      auto target = variables.find(r.symbol);
      if (target == variables.end() || !variables.count(v.name) || r.offset + 8 > v.bytes)
        return error(Code::BadFile, "PTX line %d: the initialiser of '%s' refers to '%s', whose address is not known here", v.line,
                     printable(std::string(v.name)).c_str(), printable(std::string(r.symbol)).c_str());
      u64 address = u64(reinterpret_cast<uintptr_t>(target->second.first)) + u64(r.addend);
      std::memcpy(static_cast<u8 *>(variables[v.name].first) + r.offset, &address, 8);
    }
  return {};
}

void Module::Impl::describeKernels() {
  auto dim = [](const u32 *d) { return Dim3{d[0], d[1], d[2]}; };
  for (const auto &function : ast->functions) {
    if (!function->isKernel || function->isDeclaration)
      continue;
    KernelInfo info;
    info.name = std::string(function->name);
    std::map<std::string_view, std::pair<u32, u32>> offsets;
    info.parameterBytes = layOutParameters(*function, offsets);
    for (const Variable &v : function->parameters)
      info.parameters.push_back({std::string(v.name), offsets[v.name].first, offsets[v.name].second, v.alignment});
    info.staticSharedBytes = staticSharedBytes(*ast, *function);
    info.maximumBlock = dim(function->maximumBlock);
    info.requiredBlock = dim(function->requiredBlock);
    info.requiredCluster = dim(function->requiredCluster);
    kernels.push_back(std::move(info));
  }
}

rt::Result<const Program *> Module::Impl::program(std::string_view kernel) {
  std::lock_guard lock(mutex);
  if (auto it = programs.find(kernel); it != programs.end())
    return it->second.get();
  const Function *function = ast->find(kernel);
  if (!function || !function->isKernel || function->isDeclaration) {
    std::string names;
    for (const KernelInfo &info : kernels)
      names += (names.empty() ? "" : ", ") + printable(info.name);
    return error(Code::NotFound, "the module has no kernel '%s'; it has: %s", printable(std::string(kernel)).c_str(),
                 names.empty() ? "none" : names.c_str());
  }
  auto decoded = decodeKernel(*ast, *function, variables);
  if (!decoded.ok())
    return name.empty() ? decoded.takeStatus() : decoded.takeStatus().withContext(name);
  return (programs[std::string(kernel)] = std::move(*decoded)).get();
}

Module::Module(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
Module::~Module() = default;

rt::Result<std::unique_ptr<Module>> Module::parse(std::string_view ptx, std::string name) {
  auto impl = std::make_unique<Impl>();
  auto withName = [&](rt::Status status) { return name.empty() ? std::move(status) : std::move(status).withContext(name); };
  auto ast = parsePtx(ptx);
  if (!ast.ok())
    return withName(ast.takeStatus());
  impl->ast = std::move(*ast);
  if (rt::Status status = impl->allocateVariables(); !status.ok())
    return withName(std::move(status));
  impl->describeKernels();
  impl->name = std::move(name);
  return std::unique_ptr<Module>(new Module(std::move(impl)));
}

const std::vector<KernelInfo> &Module::kernels() const { return impl->kernels; }

const KernelInfo *Module::kernel(std::string_view name) const {
  for (const KernelInfo &info : impl->kernels)
    if (info.name == name)
      return &info;
  return nullptr;
}

rt::Status Module::check(std::string_view kernel) {
  auto program = impl->program(kernel);
  return program.ok() ? rt::Status() : program.takeStatus();
}

void *Module::variable(std::string_view name, size_t *bytes) {
  auto it = impl->variables.find(name);
  if (it == impl->variables.end())
    return nullptr;
  if (bytes)
    *bytes = it->second.second;
  return it->second.first;
}

Branches::Branches() : races(std::make_unique<BranchRaces>()) {}
Branches::~Branches() = default;

struct Simulator::Impl {
  MemoryMap memory;
  std::map<void *, Bytes> owned;

  rt::Result<LaunchResult> run(const Options &options, Module::Impl &module, const Program &program, const KernelInfo &info,
                               const LaunchConfig &config, std::span<const std::byte> parameters);
};

Simulator::Simulator(Options options) : options(options), impl(std::make_unique<Impl>()) {}
Simulator::~Simulator() = default;

rt::Status Simulator::registerMemory(const void *base, size_t bytes, std::string name, bool readOnly) {
  return impl->memory.add(base, bytes, std::move(name), readOnly);
}

rt::Status Simulator::unregisterMemory(const void *base) {
  if (impl->memory.remove(base))
    return {};
  return error(Code::NotFound, "no memory is registered at this address");
}

rt::Result<void *> Simulator::allocate(size_t bytes, std::string name, bool readOnly) {
  Bytes memory = allocateBytes(bytes + variableAlignment); // the gap behind it belongs to nobody
  if (!memory)
    return error(Code::Capacity, "no memory for the %zu bytes of '%s'", bytes, name.c_str());
  void *base = memory.get();
  LEAT_RETURN_IF_ERROR(impl->memory.add(base, bytes, std::move(name), readOnly));
  impl->owned[base] = std::move(memory);
  return base;
}

rt::Status Simulator::release(void *base) {
  LEAT_RETURN_IF_ERROR(unregisterMemory(base));
  impl->owned.erase(base);
  return {};
}

rt::Result<LaunchResult> Simulator::launch(Module &module, std::string_view kernel, const LaunchConfig &config,
                                           std::span<const void *const> arguments) {
  const KernelInfo *info = module.kernel(kernel);
  if (info && arguments.size() != info->parameters.size())
    return error(Code::InvalidArgument, "kernel '%s' takes %zu arguments, %zu were given", info->name.c_str(), info->parameters.size(),
                 arguments.size());
  std::vector<std::byte> bytes(info ? info->parameterBytes : 0);
  if (info)
    for (size_t i = 0; i < arguments.size(); ++i)
      std::memcpy(bytes.data() + info->parameters[i].offset, arguments[i], info->parameters[i].bytes);
  return launch(module, kernel, config, bytes);
}

rt::Result<LaunchResult> Simulator::launch(Module &module, std::string_view kernel, const LaunchConfig &config,
                                           std::span<const std::byte> parameters) {
  auto program = module.impl->program(kernel);
  if (!program.ok())
    return program.takeStatus();
  return impl->run(options, *module.impl, **program, *module.kernel(kernel), config, parameters);
}

static rt::Status checkConfig(const KernelInfo &info, const LaunchConfig &config, const Dim3 &cluster, size_t parameterBytes) {
  const char *name = info.name.c_str();
  if (parameterBytes != info.parameterBytes)
    return error(Code::InvalidArgument, "kernel '%s' takes %u bytes of parameters, %zu were given", name, info.parameterBytes,
                 parameterBytes);
  const Dim3 &block = config.block, &grid = config.grid;
  if (block.count() == 0 || block.count() > 1024 || block.z > 64)
    return error(Code::InvalidArgument, "kernel '%s': a block of %u x %u x %u threads; 1 to 1024 are possible", name, block.x, block.y,
                 block.z);
  if (grid.count() == 0 || grid.y > 65535 || grid.z > 65535)
    return error(Code::InvalidArgument, "kernel '%s': a grid of %u x %u x %u blocks is not possible", name, grid.x, grid.y, grid.z);
  const Dim3 &required = info.requiredBlock, &maximum = info.maximumBlock;
  if (required.x && (required.x != block.x || required.y != block.y || required.z != block.z))
    return error(Code::InvalidArgument, "kernel '%s' requires blocks of %u x %u x %u threads, not %u x %u x %u", name, required.x,
                 required.y, required.z, block.x, block.y, block.z);
  if (maximum.x && block.count() > maximum.count())
    return error(Code::InvalidArgument, "kernel '%s' was compiled for at most %llu threads a block, not %llu", name,
                 (unsigned long long)maximum.count(), (unsigned long long)block.count());
  if (cluster.count() > mostClusterCtas || grid.x % cluster.x || grid.y % cluster.y || grid.z % cluster.z)
    return error(Code::InvalidArgument, "kernel '%s': clusters of %u x %u x %u blocks do not fit (at most %u blocks, dividing the grid)",
                 name, cluster.x, cluster.y, cluster.z, mostClusterCtas);
  if (info.staticSharedBytes + u64(config.dynamicSharedBytes) > largestShared)
    return error(Code::InvalidArgument, "kernel '%s' needs %u + %u bytes of shared memory a block; at most %u are possible", name,
                 info.staticSharedBytes, config.dynamicSharedBytes, largestShared);
  return {};
}

// The pool of constants with what this launch knows filled in.
static void patchConstants(const Program &program, u8 *constants, u32 dynamicBase, u64 parameters) {
  std::copy(program.constants.begin(), program.constants.end(), constants);
  for (const LaunchConstant &c : program.launchConstants)
    for (int lane = 0; lane < 32; ++lane) {
      if (c.kind == LaunchConstant::DynamicShared32) {
        u32 value;
        std::memcpy(&value, constants + c.offset + 4 * lane, 4);
        value += dynamicBase;
        std::memcpy(constants + c.offset + 4 * lane, &value, 4);
      } else {
        u64 value;
        std::memcpy(&value, constants + c.offset + 8 * lane, 8);
        value += c.kind == LaunchConstant::Parameters ? parameters : dynamicBase;
        std::memcpy(constants + c.offset + 8 * lane, &value, 8);
      }
    }
}

rt::Result<LaunchResult> Simulator::Impl::run(const Options &options, Module::Impl &module, const Program &program, const KernelInfo &info,
                                              const LaunchConfig &config, std::span<const std::byte> parameters) {
  Dim3 cluster = config.cluster.x ? config.cluster : info.requiredCluster.x ? info.requiredCluster : Dim3{};
  LEAT_RETURN_IF_ERROR(checkConfig(info, config, cluster, parameters.size()));

  // Parameters and module variables are memory that the kernel can reach.
  Bytes parameterMemory = allocateBytes(parameters.size() + variableAlignment), constants = allocateBytes(program.constants.size() + 64);
  if (!parameterMemory || !constants)
    return error(Code::Capacity, "no memory for the launch");
  if (!parameters.empty())
    std::memcpy(parameterMemory.get(), parameters.data(), parameters.size());
  MemoryMap map = memory;
  LEAT_RETURN_IF_ERROR(map.add(parameterMemory.get(), parameters.size(), "the kernel's parameters", true));
  for (const auto &[name, where] : module.variables)
    LEAT_RETURN_IF_ERROR(map.add(where.first, where.second, std::string(name), false));

  // Dynamic shared memory follows the static; with minimalAlignment not better aligned than declared.
  u32 staticEnd = sharedStart + program.staticShared, alignment = std::max(program.dynamicAlignment, 16u);
  u32 dynamicBase = u32(roundUp(staticEnd, alignment));
  if (options.minimalAlignment && alignment < 1024 && dynamicBase % (2 * alignment) == 0)
    dynamicBase += alignment;
  u32 sharedEnd = config.dynamicSharedBytes ? dynamicBase + config.dynamicSharedBytes : staticEnd;
  patchConstants(program, constants.get(), dynamicBase, u64(reinterpret_cast<uintptr_t>(parameterMemory.get())));

  ReportSink reports(program, options.maxReports, options.stopAtFirst);
  u64 clusters = config.grid.count() / cluster.count();
  int threads = options.threads > 0 ? options.threads : rt::ThreadPool::usableCpus();
  threads = int(std::min<u64>(threads, clusters));
  auto races = options.checks && options.globalRaces ? std::make_unique<GlobalRaces>(threads > 1) : nullptr;
  Launch launch{.program = program,
                .options = options,
                .memory = map,
                .reports = reports,
                .races = races.get(),
                .grid = config.grid,
                .block = config.block,
                .cluster = cluster,
                .dynamicShared = config.dynamicSharedBytes,
                .sharedEnd = sharedEnd,
                .parameters = parameterMemory.get(),
                .constants = constants.get(),
                .parallel = threads > 1,
                .finishedInstructions = 0,
                .locks = {}};

  LaunchResult result;
  auto start = std::chrono::steady_clock::now();
  result.finished = runGrid(launch, clusters, threads, result.counters);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (races && config.branches)
    config.branches->races->finish(config.branch, launch, std::move(races));
  result.reports = reports.take();
  return result;
}

bool LaunchResult::clean() const {
  for (const Report &report : reports)
    if (report.severity == Severity::Error)
      return false;
  return finished;
}

} // namespace leat::sim
