// See KernelJit.h.
#include "KernelJit.h"

#include "HostJit.h"
#include "KernelSignature.h"
#include "lib/Pipeline/Registration.h"
#include "passes/CPU/Passes.h"
#include "passes/CPU/Pipeline.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace leat::test {

struct Kernels::Impl {
  std::map<std::string, Signature> signatures;
  std::map<std::string, bool> finishes; ///< has a second phase
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

Kernels::~Kernels() = default;

leat::cpu::Target Kernels::target(unsigned bits) {
  std::vector<std::string> features;
  if (bits >= 256)
    features = {"fma", "f16c", "sse4.1"};
  if (bits >= 512)
    features.insert(features.end(), {"avx512f", "avx512bw", "avx512dq", "avx512vl"});
  return leat::cpu::Target::fromFeatures(bits, features);
}

bool Kernels::supported(unsigned bits) {
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  return bits < 256 || (bits < 512 ? host["avx2"] && host["fma"] : host["avx512vl"] && host["avx512bw"] && host["avx512dq"]);
}

std::vector<unsigned> Kernels::widths() { return {128, 256, 512}; }

bool Kernels::oneForm() { return true; }
bool Kernels::readsPacked() { return true; }
bool Kernels::hasLibrary() { return true; }
bool Kernels::isSimulated() { return false; }

bool Kernels::hostHas(const std::string &feature) { return llvm::sys::getHostCPUFeatures().lookup(feature); }

std::unique_ptr<Kernels> Kernels::compile(const std::string &text, unsigned bits, const std::vector<std::string> &more) {
  DialectRegistry registry;
  leat::registerDialects(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return nullptr;

  auto kernels = std::unique_ptr<Kernels>(new Kernels);
  kernels->impl = std::make_unique<Impl>();
  kernels->impl->signatures = Signature::ofModule(*module);

  leat::cpu::Target t = target(bits);
  PassManager pm(&context);
  leat::cpu::LowerKernelsToCPUOptions options;
  options.vectorBits = bits;
  std::string cpu = bits >= 512 ? "x86-64-v4" : bits >= 256 ? "x86-64-v3" : "x86-64";
  SmallVector<std::string> features;
  if (bits >= 256)
    features = {"fma", "f16c", "sse4.1"};
  if (bits >= 512)
    features.append({"avx512f", "avx512bw", "avx512dq", "avx512vl"});
  features.append(more.begin(), more.end());
  options.features = features;
  pm.addPass(leat::cpu::createLowerKernelsToCPU(options));
  leat::cpu::buildToLLVM(pm, t);
  if (failed(pm.run(*module)))
    return nullptr;
  for (auto &[name, signature] : kernels->impl->signatures)
    kernels->impl->finishes[name] = module->lookupSymbol(name + ".finish") != nullptr;

  kernels->impl->jit = compileForHost(*module, cpu, more);
  return kernels->impl->jit ? std::move(kernels) : nullptr;
}

void *Kernels::symbol(const std::string &name) { return lookup(*impl->jit, name); }

void Kernels::run(const std::string &name, std::vector<Array *> inputs, std::vector<Array *> results, std::vector<int64_t> scalars) {
  scalars = impl->signatures.at(name).launchScalars(name, inputs, results, std::move(scalars));
  bool finishes = impl->finishes.at(name);
  constexpr size_t guard = 256;
  std::vector<std::vector<unsigned char>> copies;
  auto open = [&](Array *array, bool poison) {
    std::vector<unsigned char> copy(array->bytes.size() + guard, 0xcd);
    if (!poison)
      std::copy(array->bytes.begin(), array->bytes.end(), copy.begin());
    copies.push_back(std::move(copy));
  };
  for (Array *array : inputs)
    open(array, false);
  for (Array *array : results)
    open(array, true);
  std::vector<void *> buffers;
  for (auto &copy : copies)
    buffers.push_back(copy.data());

  using Phase = decltype(LeatKernel::run);
  auto run = reinterpret_cast<Phase>(symbol(name));
  auto tasks = reinterpret_cast<int64_t (*)(const int64_t *)>(symbol(name + ".tasks"));
  auto scratchBytes = reinterpret_cast<int64_t (*)(const int64_t *)>(symbol(name + ".scratch"));
  auto cost = reinterpret_cast<void (*)(const int64_t *, int64_t *)>(symbol(name + ".cost"));
  int64_t count = lastTasks = tasks(scalars.data()), room = scratchBytes(scalars.data());
  cost(scalars.data(), lastCost);
  std::vector<unsigned char> scratch(room + guard + 64, 0xcd);
  auto align = [](std::vector<unsigned char> &memory) {
    return reinterpret_cast<unsigned char *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t(63));
  };
  unsigned char *aligned = align(scratch);
  size_t sharedRoom = 0;
  std::vector<unsigned char> shared;
  if (finishes)
    sharedRoom = reinterpret_cast<int64_t (*)(const int64_t *)>(symbol(name + ".shared"))(scalars.data());
  shared.assign(sharedRoom + guard + 64, 0xcd);
  auto inHalves = [&](Phase phase, int64_t count) {
    phase(buffers.data(), scalars.data(), count / 2, count, aligned, align(shared));
    phase(buffers.data(), scalars.data(), 0, count / 2, aligned, align(shared));
  };
  inHalves(run, count);
  if (finishes)
    inHalves(reinterpret_cast<Phase>(symbol(name + ".finish")),
             reinterpret_cast<int64_t (*)(const int64_t *)>(symbol(name + ".finish_tasks"))(scalars.data()));

  size_t i = 0;
  auto close = [&](Array *array) {
    std::copy_n(copies[i].begin(), array->bytes.size(), array->bytes.begin());
    for (size_t j = array->bytes.size(); j < copies[i].size(); ++j)
      if (copies[i][j] != 0xcd) {
        llvm::errs() << "@" << name << " wrote behind the end of buffer " << i << "\n";
        std::abort();
      }
    ++i;
  };
  for (Array *array : inputs)
    close(array);
  for (Array *array : results)
    close(array);
  auto checkEnd = [&](std::vector<unsigned char> &memory, size_t size, const char *which) {
    for (size_t j = align(memory) - memory.data() + size; j < memory.size(); ++j)
      if (memory[j] != 0xcd) {
        llvm::errs() << "@" << name << " wrote behind the end of its " << which << " memory\n";
        std::abort();
      }
  };
  checkEnd(scratch, room, "scratch");
  checkEnd(shared, sharedRoom, "shared");
}

} // namespace leat::test
