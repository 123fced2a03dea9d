// Splits the module into parts of about equal size, lowers, translates, optimises and compiles each, several at a time, and links the
// objects. The split does not depend on the number of threads, so neither does the result.
#include "lib/Target/Codegen.h"

#include "lib/Target/Link.h"
#include "lib/Target/Optimise.h"
#include "lib/Target/Parts.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <mutex>

using namespace mlir;

namespace leat::target {

namespace {

/// A translation unit: host functions, or some of the kernels, with the helpers and constants that they use.
struct Part {
  ModuleOp module; // inside a module of parts, so that passes run on all parts at once
  bool host = false;
  std::string object, llvm, assembly, error;
};

/// The functions of LeatKernel, in its order. The last three are null in kernels of one phase.
constexpr StringRef kernelSuffixes[] = {"", ".tasks", ".scratch", ".cost", ".finish", ".finish_tasks", ".shared"};
constexpr unsigned numKernelFunctions = std::size(kernelSuffixes), firstOptional = 4;

/// Entries of the module's `leat.kernels`.
SmallVector<DictionaryAttr> kernelList(ModuleOp module) {
  auto list = module->getAttrOfType<ArrayAttr>("leat.kernels");
  return list ? SmallVector<DictionaryAttr>(list.getAsRange<DictionaryAttr>()) : SmallVector<DictionaryAttr>();
}

/// True for kernels that have device code instead of host functions that run them.
bool runsOnDevice(DictionaryAttr kernel) {
  auto kind = kernel.getAs<StringAttr>("kind");
  return kind && kind.getValue() != "host";
}

class Splitter {
public:
  explicit Splitter(ModuleOp module)
      : module(module), host(ModuleOp::create(module.getLoc())), kernels(ModuleOp::create(module.getLoc())), builder(module) {}

  FailureOr<std::vector<Part>> run();
  /// The modules that hold the parts.
  ModuleOp hostParts() { return *host; }
  ModuleOp kernelParts() { return *kernels; }

private:
  static constexpr unsigned kKernelParts = 8;

  Operation *find(StringRef name) { return builder.find(name); }
  /// A constant array of function pointers; an empty name is null.
  void addTable(ModuleOp part, StringRef name, ArrayRef<std::string> functions);
  LogicalResult addKernelTables(ModuleOp part);

  ModuleOp module;
  OwningOpRef<ModuleOp> host, kernels;
  PartBuilder builder;
};

void Splitter::addTable(ModuleOp part, StringRef name, ArrayRef<std::string> functions) {
  OpBuilder b = OpBuilder::atBlockEnd(part.getBody());
  Location loc = part.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto type = LLVM::LLVMArrayType::get(pointer, std::max<unsigned>(functions.size(), 1));
  auto table = LLVM::GlobalOp::create(b, loc, type, /*isConstant=*/true, LLVM::Linkage::External, name, Attribute(), /*alignment=*/64);
  b.createBlock(&table.getInitializerRegion());
  Value value = LLVM::ZeroOp::create(b, loc, type);
  for (auto [i, function] : llvm::enumerate(functions)) {
    if (function.empty())
      continue;
    if (!part.lookupSymbol(function)) {
      OpBuilder declare = OpBuilder::atBlockBegin(part.getBody());
      LLVM::LLVMFuncOp::create(declare, loc, function, LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {}));
    }
    Value address = LLVM::AddressOfOp::create(b, loc, pointer, function);
    value = LLVM::InsertValueOp::create(b, loc, value, address, ArrayRef<int64_t>{static_cast<int64_t>(i)});
  }
  LLVM::ReturnOp::create(b, loc, value);
}

/// const LeatKernel leat_kernels[]: seven function pointers per kernel, in manifest order; with device code, const LeatDeviceKernel
/// leat_device_kernels[]: three.
LogicalResult Splitter::addKernelTables(ModuleOp part) {
  std::vector<std::string> functions, deviceFunctions;
  for (DictionaryAttr kernel : kernelList(module)) {
    StringRef name = kernel.getAs<StringAttr>("name").getValue();
    auto exists = [&](const std::string &symbol) { return isa_and_nonnull<LLVM::LLVMFuncOp, func::FuncOp>(find(symbol)); };
    for (unsigned which = 0; which < numKernelFunctions; ++which) {
      std::string symbol = (name + kernelSuffixes[which]).str();
      if (!exists(symbol) && which < firstOptional && !runsOnDevice(kernel))
        return module.emitError("internal error: kernel '") << name << "' has no function '" << symbol << "'";
      functions.push_back(exists(symbol) ? symbol : "");
    }
    for (bool onDevice : {true, false}) {
      std::string symbol = (name + (onDevice ? ".geometry" : ".extents")).str();
      if (module->hasAttr("leat.device") && onDevice == runsOnDevice(kernel) && !exists(symbol))
        return module.emitError("internal error: kernel '") << name << "' has no function '" << symbol << "'";
      deviceFunctions.push_back(exists(symbol) ? symbol : "");
    }
    std::string gemm = (name + ".gemm").str();
    deviceFunctions.push_back(exists(gemm) ? gemm : "");
  }
  addTable(part, "leat_kernels", functions);
  if (module->hasAttr("leat.device"))
    addTable(part, "leat_device_kernels", deviceFunctions);
  return success();
}

FailureOr<std::vector<Part>> Splitter::run() {
  SmallVector<Operation *> hostRoots;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (function->hasAttr("leat.function"))
      hostRoots.push_back(function);

  // The functions of one kernel stay together: they share helpers.
  std::vector<SmallVector<Operation *>> functions;
  std::vector<size_t> sizes;
  for (DictionaryAttr kernel : kernelList(module)) {
    functions.emplace_back();
    sizes.push_back(0);
    auto add = [&](StringRef suffix) {
      if (Operation *function = find((kernel.getAs<StringAttr>("name").getValue() + suffix).str())) {
        function->walk([&](Operation *) { ++sizes.back(); });
        functions.back().push_back(function);
      }
    };
    for (StringRef suffix : kernelSuffixes)
      add(suffix);
    add(".geometry");
    add(".extents");
    add(".gemm");
  }

  auto part = [&](ArrayRef<Operation *> roots, bool isHost) {
    Part part;
    part.host = isHost;
    part.module = builder.build(roots, isHost ? *host : *kernels);
    return part;
  };
  std::vector<Part> parts;
  parts.push_back(part(hostRoots, /*isHost=*/true));
  if (failed(addKernelTables(parts.front().module)))
    return failure();
  for (auto &group : balance(sizes, kKernelParts)) {
    SmallVector<Operation *> roots;
    for (unsigned i : group)
      llvm::append_range(roots, functions[i]);
    parts.push_back(part(roots, /*isHost=*/false));
  }
  return parts;
}

/// O2 without unrolling and vectorisation: kernels are unrolled and vectorised by their generators, and doing it again spills
/// (design notes, "CPU code generation").
void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = tuning.LoopVectorization = tuning.SLPVectorization = false;
  runO2(module, machine, tuning);
}

void compile(Part &part, const CodegenOptions &options) {
  llvm::LLVMContext context;
  // Host functions run once a step and only branch between launches: compile time counts, not their speed.
  auto machine = options.target.createTargetMachine(part.host ? llvm::CodeGenOptLevel::None : llvm::CodeGenOptLevel::Aggressive);
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(part.module, context, "leat", /*disableVerification=*/true);
  if (!module) {
    part.error = "translation to LLVM IR failed";
    return;
  }
  module->setDataLayout(machine->createDataLayout());
  module->setTargetTriple(machine->getTargetTriple());
  for (llvm::Function &function : *module) {
    if (function.isIntrinsic())
      continue;
    function.addFnAttr("target-cpu", options.target.cpu);
    if (!options.target.llvmFeatures.empty())
      function.addFnAttr("target-features", options.target.llvmFeatures);
    function.setDoesNotThrow();
    // Only what the loader looks up is visible from outside.
    if (!function.isDeclaration() && !function.hasLocalLinkage() && !function.getName().starts_with("leat_"))
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
  }
  if (!part.host)
    optimise(*module, *machine);
  if (options.wantLLVM) {
    llvm::raw_string_ostream os(part.llvm);
    module->print(os, nullptr);
  }
  auto emit = [&](llvm::Module &from, llvm::CodeGenFileType type, std::string &into) {
    llvm::SmallString<0> buffer;
    llvm::raw_svector_ostream os(buffer);
    llvm::legacy::PassManager passes;
    if (machine->addPassesToEmitFile(passes, os, nullptr, type))
      part.error = "LLVM cannot emit code for this target";
    else
      passes.run(from);
    into.assign(buffer.begin(), buffer.end());
  };
  if (options.wantAssembly) {
    emit(*module, llvm::CodeGenFileType::AssemblyFile, part.assembly);
    return;
  }
  emit(*module, llvm::CodeGenFileType::ObjectFile, part.object);
}

/// Host functions are in the LLVM dialect but for scalar arithmetic.
void buildHostPipeline(OpPassManager &pm) {
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

} // namespace

FailureOr<CodegenResult> generateCode(ModuleOp module, const CodegenOptions &options) {
  Splitter splitter(module);
  auto parts = splitter.run();
  if (failed(parts))
    return failure();
  PassManager host(module.getContext()), kernels(module.getContext());
  host.enableVerifier(options.verify);
  kernels.enableVerifier(options.verify);
  buildHostPipeline(host.nest<ModuleOp>());
  options.kernelPipeline(kernels.nest<ModuleOp>());
  if (failed(host.run(splitter.hostParts())) || failed(kernels.run(splitter.kernelParts())) || failed(checkLowered(splitter.hostParts())) ||
      failed(checkLowered(splitter.kernelParts())))
    return failure();
  std::atomic<unsigned> done = 0;
  std::mutex progressMutex;
  {
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
    for (Part &part : *parts)
      pool.async([&] {
        compile(part, options);
        if (options.progress) {
          std::lock_guard lock(progressMutex);
          options.progress(++done, parts->size());
        }
      });
    pool.wait();
  }
  CodegenResult result;
  std::vector<std::string> objects;
  for (Part &part : *parts) {
    if (!part.error.empty())
      return module.emitError("internal error: ") << part.error;
    result.llvm += part.llvm;
    result.assembly += part.assembly;
    if (!part.object.empty())
      objects.push_back(std::move(part.object));
  }
  if (options.wantAssembly)
    return result;
  auto linked = linkSharedObject(objects);
  if (!linked)
    return module.emitError(llvm::toString(linked.takeError()));
  result.sharedObject = std::move(*linked);
  return result;
}

} // namespace leat::target
