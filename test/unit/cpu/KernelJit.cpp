// See KernelJit.h.
#include "KernelJit.h"

#include "dialects/Leat/Leat.h"
#include "lib/Pipeline/Registration.h"
#include "passes/CPU/Passes.h"
#include "passes/CPU/Pipeline.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

#include <cmath>
#include <random>

using namespace mlir;

namespace leat::test {

static int64_t bytesOf(const std::string &type) {
  if (type == "i1" || type == "i4")
    return 1;
  if (type == "index")
    return 8;
  if (type == "bf16")
    return 2;
  return std::stoi(type.substr(1)) / 8;
}

static const llvm::fltSemantics *semantics(const std::string &type) {
  return type == "f16" ? &llvm::APFloat::IEEEhalf() : type == "bf16" ? &llvm::APFloat::BFloat() : nullptr;
}

Array::Array(std::string type, std::vector<int64_t> dims) : type(std::move(type)), dims(std::move(dims)) {
  bytes.resize(size() * elementBytes());
}

Array Array::f32(std::vector<int64_t> dims, std::vector<float> values) {
  Array a("f32", std::move(dims));
  std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
  return a;
}

Array Array::i64(std::vector<int64_t> dims, std::vector<int64_t> values) {
  Array a("i64", std::move(dims));
  std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
  return a;
}

Array Array::random(std::string type, std::vector<int64_t> dims, uint32_t seed, double lo, double hi) {
  Array a(std::move(type), std::move(dims));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(lo, hi);
  for (int64_t i = 0; i < a.size(); ++i)
    a.set(i, a.type[0] == 'i' ? std::floor(uniform(generator)) : uniform(generator));
  return a;
}

int64_t Array::size() const {
  int64_t n = 1;
  for (int64_t d : dims)
    n *= d;
  return n;
}

int64_t Array::elementBytes() const { return bytesOf(type); }

double Array::at(int64_t i) const {
  const unsigned char *p = bytes.data() + i * elementBytes();
  auto as = [&](auto v) {
    std::memcpy(&v, p, sizeof v);
    return static_cast<double>(v);
  };
  if (type == "f32")
    return as(float());
  if (type == "f64")
    return as(double());
  if (const auto *format = semantics(type)) {
    uint16_t raw;
    std::memcpy(&raw, p, 2);
    llvm::APFloat value(*format, llvm::APInt(16, raw));
    bool loses;
    value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &loses);
    return value.convertToDouble();
  }
  switch (elementBytes()) {
  case 1:
    return as(int8_t());
  case 2:
    return as(int16_t());
  case 4:
    return as(int32_t());
  default:
    return as(int64_t());
  }
}

void Array::set(int64_t i, double value) {
  unsigned char *p = bytes.data() + i * elementBytes();
  auto put = [&](auto v) { std::memcpy(p, &v, sizeof v); };
  if (type == "f32")
    return put(static_cast<float>(value));
  if (type == "f64")
    return put(value);
  if (const auto *format = semantics(type)) {
    llvm::APFloat converted(value);
    bool loses;
    converted.convert(*format, llvm::APFloat::rmNearestTiesToEven, &loses);
    return put(static_cast<uint16_t>(converted.bitcastToAPInt().getZExtValue()));
  }
  switch (elementBytes()) {
  case 1:
    return put(static_cast<int8_t>(value));
  case 2:
    return put(static_cast<int16_t>(value));
  case 4:
    return put(static_cast<int32_t>(value));
  default:
    return put(static_cast<int64_t>(value));
  }
}

std::vector<double> Array::values() const {
  std::vector<double> all;
  for (int64_t i = 0; i < size(); ++i)
    all.push_back(at(i));
  return all;
}

double ulps(double expected, double got) {
  if (std::isnan(expected) || std::isnan(got))
    return std::isnan(expected) && std::isnan(got) ? 0 : INFINITY;
  if (static_cast<float>(expected) == static_cast<float>(got))
    return 0;
  if (std::isinf(expected) || std::isinf(got))
    return INFINITY;
  int exponent;
  std::frexp(expected, &exponent);
  return std::abs(expected - got) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

struct Kernels::Impl {
  struct Signature {
    unsigned inputs;
    std::vector<unsigned> scalarCount;
    /// Per buffer: which dimensions are dynamic; states have `state` set.
    struct Operand {
      bool state;
      std::vector<bool> dynamic;
    };
    std::vector<Operand> in, out;
    unsigned scalars;
    bool finishes = false; ///< has a second phase
  };
  std::map<std::string, Signature> signatures;
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

bool Kernels::hostHas(const std::string &feature) { return llvm::sys::getHostCPUFeatures().lookup(feature); }

std::unique_ptr<Kernels> Kernels::compile(const std::string &text, unsigned bits, const std::vector<std::string> &more) {
  static bool initialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialized;
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
  for (auto kernel : module->getOps<leat::KernelFuncOp>()) {
    Impl::Signature s;
    s.inputs = kernel.getNumInputs();
    auto operand = [](Type type) {
      auto state = dyn_cast<StateType>(type);
      auto tensor = state ? state.getContent() : cast<RankedTensorType>(type);
      Impl::Signature::Operand o{static_cast<bool>(state), {}};
      for (int64_t d = 0; d < tensor.getRank(); ++d)
        o.dynamic.push_back(tensor.isDynamicDim(d));
      return o;
    };
    Block &block = kernel.getBody().front();
    for (BlockArgument arg : block.getArguments().take_front(s.inputs))
      s.in.push_back(operand(arg.getType()));
    for (Type type : block.getTerminator()->getOperandTypes())
      if (isa<RankedTensorType>(type))
        s.out.push_back(operand(type));
    s.scalars = block.getNumArguments() - s.inputs;
    kernels->impl->signatures[kernel.getSymName().str()] = s;
  }

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
    signature.finishes = module->lookupSymbol(name + ".finish") != nullptr;

  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(*module, *llvmContext);
  if (!llvmModule)
    return nullptr;
  llvm::orc::JITTargetMachineBuilder machine{llvm::Triple(llvm::sys::getProcessTriple())};
  machine.setCPU(cpu);
  for (const std::string &feature : more)
    machine.getFeatures().AddFeature(feature);
  machine.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Standard;
  machine.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  auto targetMachine = llvm::cantFail(machine.createTargetMachine());
  llvmModule->setDataLayout(targetMachine->createDataLayout());
  llvmModule->setTargetTriple(targetMachine->getTargetTriple());
  {
    llvm::PipelineTuningOptions tuning;
    tuning.LoopUnrolling = tuning.LoopVectorization = tuning.SLPVectorization = false;
    llvm::PassBuilder builder(targetMachine.get(), tuning);
    llvm::LoopAnalysisManager lam;
    llvm::FunctionAnalysisManager fam;
    llvm::CGSCCAnalysisManager cgam;
    llvm::ModuleAnalysisManager mam;
    builder.registerModuleAnalyses(mam);
    builder.registerCGSCCAnalyses(cgam);
    builder.registerFunctionAnalyses(fam);
    builder.registerLoopAnalyses(lam);
    builder.crossRegisterProxies(lam, fam, cgam, mam);
    builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(*llvmModule, mam);
  }
  kernels->impl->jit = llvm::cantFail(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machine).create());
  llvm::cantFail(kernels->impl->jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(llvmModule), std::move(llvmContext))));
  return kernels;
}

void *Kernels::symbol(const std::string &name) {
  auto address = impl->jit->lookup(name);
  if (!address) {
    llvm::errs() << llvm::toString(address.takeError()) << "\n";
    std::abort();
  }
  return address->toPtr<void *>();
}

void Kernels::run(const std::string &name, std::vector<Array *> inputs, std::vector<Array *> results, std::vector<int64_t> scalars) {
  const Impl::Signature &s = impl->signatures.at(name);
  if (scalars.size() != s.scalars || inputs.size() != s.in.size() || results.size() != s.out.size()) {
    llvm::errs() << "wrong number of operands for @" << name << "\n";
    std::abort();
  }
  for (auto [array, operand] : llvm::zip_equal(inputs, s.in)) {
    if (operand.state) {
      // Any capacity axis will do: kernels take all dimensions.
      scalars.push_back(0);
      scalars.push_back(array->length);
    }
    for (auto [dim, dynamic] : llvm::zip_equal(array->dims, operand.dynamic))
      if (dynamic || operand.state)
        scalars.push_back(dim);
  }
  for (auto [array, operand] : llvm::zip_equal(results, s.out))
    for (auto [dim, dynamic] : llvm::zip_equal(array->dims, operand.dynamic))
      if (dynamic)
        scalars.push_back(dim);

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
  if (s.finishes)
    sharedRoom = reinterpret_cast<int64_t (*)(const int64_t *)>(symbol(name + ".shared"))(scalars.data());
  shared.assign(sharedRoom + guard + 64, 0xcd);
  auto inHalves = [&](Phase phase, int64_t count) {
    phase(buffers.data(), scalars.data(), count / 2, count, aligned, align(shared));
    phase(buffers.data(), scalars.data(), 0, count / 2, aligned, align(shared));
  };
  inHalves(run, count);
  if (s.finishes)
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
