// Splits the module into parts of about equal size, lowers, translates, optimises and compiles each, several at a time, and links the
// objects. The split does not depend on the number of threads, so neither does the result.
#include "lib/Target/Codegen.h"

#include "lib/Target/Link.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
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

class Splitter {
public:
  explicit Splitter(ModuleOp module) : module(module), host(ModuleOp::create(module.getLoc())), kernels(ModuleOp::create(module.getLoc())) {
    for (Operation &op : *module.getBody())
      if (auto symbol = dyn_cast<SymbolOpInterface>(op))
        symbols[symbol.getName()] = &op;
  }

  FailureOr<std::vector<Part>> run();
  /// The modules that hold the parts.
  ModuleOp hostParts() { return *host; }
  ModuleOp kernelParts() { return *kernels; }

private:
  static constexpr unsigned kKernelParts = 8;

  Operation *find(StringRef name) { return symbols.lookup(name); }
  /// Adds `root` and what it refers to.
  void collect(Operation *root, llvm::SetVector<Operation *> &into);
  Part build(ArrayRef<Operation *> roots, bool isHost);
  LogicalResult addKernelTable(ModuleOp part);

  ModuleOp module;
  OwningOpRef<ModuleOp> host, kernels;
  llvm::StringMap<Operation *> symbols;
};

void Splitter::collect(Operation *root, llvm::SetVector<Operation *> &into) {
  if (!into.insert(root))
    return;
  root->walk([&](Operation *op) {
    for (NamedAttribute attr : op->getAttrs())
      if (auto ref = dyn_cast<FlatSymbolRefAttr>(attr.getValue()))
        if (Operation *target = find(ref.getValue()))
          collect(target, into);
  });
}

Part Splitter::build(ArrayRef<Operation *> roots, bool isHost) {
  Part part;
  part.host = isHost;
  OpBuilder b = OpBuilder::atBlockEnd((isHost ? *host : *kernels).getBody());
  part.module = ModuleOp::create(b, module.getLoc());
  llvm::SetVector<Operation *> needed;
  for (Operation *root : roots)
    collect(root, needed);
  b.setInsertionPointToEnd(part.module.getBody());
  auto local = LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal);
  llvm::SmallPtrSet<Operation *, 16> isRoot(roots.begin(), roots.end());
  for (Operation *op : needed) {
    Operation *copy = b.clone(*op);
    if (isRoot.contains(op))
      continue;
    // A helper lives in each part that uses it.
    if (auto function = dyn_cast<LLVM::LLVMFuncOp>(copy); function && !function.isExternal())
      function.setLinkageAttr(local);
    else if (auto function = dyn_cast<func::FuncOp>(copy); function && !function.isExternal())
      function->setAttr("llvm.linkage", local);
  }
  return part;
}

/// The functions of LeatKernel, in its order. The last three are null in kernels of one phase.
constexpr StringRef kernelSuffixes[] = {"", ".tasks", ".scratch", ".cost", ".finish", ".finish_tasks", ".shared"};
constexpr unsigned numKernelFunctions = std::size(kernelSuffixes), firstOptional = 4;

/// const LeatKernel leat_kernels[]: seven function pointers per kernel, in manifest order.
LogicalResult Splitter::addKernelTable(ModuleOp part) {
  OpBuilder b = OpBuilder::atBlockEnd(part.getBody());
  Location loc = part.getLoc();
  auto kernels = module->getAttrOfType<ArrayAttr>("leat.kernels");
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  unsigned count = kernels ? kernels.size() * numKernelFunctions : 0;
  auto type = LLVM::LLVMArrayType::get(pointer, std::max(count, 1u));
  auto table =
      LLVM::GlobalOp::create(b, loc, type, /*isConstant=*/true, LLVM::Linkage::External, "leat_kernels", Attribute(), /*alignment=*/64);
  b.createBlock(&table.getInitializerRegion());
  Value value = count ? LLVM::UndefOp::create(b, loc, type).getResult() : LLVM::ZeroOp::create(b, loc, type).getResult();
  for (unsigned i = 0; i < count; ++i) {
    unsigned which = i % numKernelFunctions;
    auto name = cast<DictionaryAttr>(kernels[i / numKernelFunctions]).getAs<StringAttr>("name").getValue();
    std::string symbol = (name + kernelSuffixes[which]).str();
    if (!isa_and_nonnull<LLVM::LLVMFuncOp, func::FuncOp>(find(symbol))) {
      if (which < firstOptional)
        return module.emitError("internal error: kernel '") << name << "' has no function '" << symbol << "'";
      value = LLVM::InsertValueOp::create(b, loc, value, LLVM::ZeroOp::create(b, loc, pointer), ArrayRef<int64_t>{i});
      continue;
    }
    if (!part.lookupSymbol(symbol)) {
      OpBuilder declare = OpBuilder::atBlockBegin(part.getBody());
      LLVM::LLVMFuncOp::create(declare, loc, symbol, LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {}));
    }
    Value address = LLVM::AddressOfOp::create(b, loc, pointer, symbol);
    value = LLVM::InsertValueOp::create(b, loc, value, address, ArrayRef<int64_t>{i});
  }
  LLVM::ReturnOp::create(b, loc, value);
  return success();
}

FailureOr<std::vector<Part>> Splitter::run() {
  SmallVector<Operation *> hostRoots;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (function->hasAttr("leat.function"))
      hostRoots.push_back(function);

  // The functions of one kernel stay together: they share helpers. Largest first onto the smallest part.
  struct Kernel {
    SmallVector<Operation *> functions;
    size_t ops = 0;
  };
  std::vector<Kernel> list;
  if (auto names = module->getAttrOfType<ArrayAttr>("leat.kernels")) {
    for (Attribute entry : names) {
      Kernel kernel;
      std::string name = cast<DictionaryAttr>(entry).getAs<StringAttr>("name").str();
      for (StringRef suffix : kernelSuffixes)
        if (Operation *function = find(name + suffix.str())) {
          function->walk([&](Operation *) { ++kernel.ops; });
          kernel.functions.push_back(function);
        }
      list.push_back(std::move(kernel));
    }
  }
  SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, list.size()));
  llvm::sort(order, [&](unsigned a, unsigned b) { return list[a].ops != list[b].ops ? list[a].ops > list[b].ops : a < b; });
  unsigned count = std::min<size_t>(kKernelParts, list.size());
  std::vector<SmallVector<Operation *>> groups(count);
  std::vector<size_t> sizes(count, 0);
  for (unsigned i : order) {
    Kernel &kernel = list[i];
    auto smallest = std::min_element(sizes.begin(), sizes.end()) - sizes.begin();
    sizes[smallest] += kernel.ops;
    llvm::append_range(groups[smallest], kernel.functions);
  }

  std::vector<Part> parts;
  parts.push_back(build(hostRoots, /*isHost=*/true));
  if (failed(addKernelTable(parts.front().module)))
    return failure();
  for (auto &group : groups)
    parts.push_back(build(group, /*isHost=*/false));
  return parts;
}

/// O2 without unrolling and vectorisation: kernels are unrolled and vectorised by their generators, and doing it again spills
/// (design notes, "CPU code generation").
void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = tuning.LoopVectorization = tuning.SLPVectorization = false;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
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

/// Translation to LLVM IR takes the LLVM dialect and nothing else; what is left of others is an operation on types without machine form.
static LogicalResult checkLowered(ModuleOp parts) {
  auto result = parts.walk([](Operation *op) -> WalkResult {
    if (isa<ModuleOp>(op) || isa<LLVM::LLVMDialect>(op->getDialect()))
      return WalkResult::advance();
    auto error = op->emitError("no code can be generated for '") << op->getName() << "'";
    if (op->getNumOperands())
      error << " on " << op->getOperand(0).getType();
    if (op->getNumResults())
      error << " to " << op->getResult(0).getType();
    return error;
  });
  return failure(result.wasInterrupted());
}

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
