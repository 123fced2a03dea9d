// Kernels are spread over modules of about equal size, which are compiled at the same time. The host keeps the functions that describe a
// kernel (tasks, geometry, cost); those that run it are gone with the device code.
#include "lib/Target/DeviceCode.h"

#include "lib/Target/Parts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/ThreadPool.h"

using namespace mlir;

namespace leat::target {

namespace {

constexpr unsigned kModules = 8;

struct DevicePart {
  ModuleOp module;
  DeviceModule code;
  std::vector<std::string> notices;
  std::string error;
};

void compile(DevicePart &part, const DeviceOptions &options) {
  llvm::LLVMContext context;
  auto machine = options.gpu.createTargetMachine();
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(part.module, context, "leat", /*disableVerification=*/true);
  if (!module) {
    part.error = "translation to LLVM IR failed";
    return;
  }
  part.code.ptx = emitPtx(*module, *machine);
  if (options.ptxas.empty())
    return;
  auto assembled = assemblePtx(options.ptxas, options.gpu, part.code.ptx);
  if (!assembled) {
    part.error = llvm::toString(assembled.takeError());
    return;
  }
  part.code.cubin = std::move(assembled->cubin);
  part.code.entries = std::move(assembled->entries);
  part.notices = std::move(assembled->notices);
}

/// Entries by kernel, in the order of the module.
llvm::MapVector<StringRef, SmallVector<Operation *>> entriesOf(ModuleOp module) {
  llvm::MapVector<StringRef, SmallVector<Operation *>> entries;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (auto entry = function->getAttrOfType<DictionaryAttr>("leat.entry"))
      entries[entry.getAs<StringAttr>("kernel").getValue()].push_back(function);
  return entries;
}

/// Lines of PTX say which node of the model they come from, or which line of a file with IR: what has only a name gets it as the file's.
void nameLines(ModuleOp modules) {
  modules.walk([](Operation *op) {
    Location loc = op->getLoc();
    if (loc->findInstanceOf<FileLineColLoc>())
      return;
    auto named = loc->findInstanceOf<NameLoc>();
    if (!named)
      return;
    // PTX has no escapes in names.
    std::string text = named.getName().str();
    for (char &c : text)
      c = c == '"' ? '\'' : c == '\\' || !llvm::isPrint(c) ? '_' : c;
    op->setLoc(FileLineColLoc::get(StringAttr::get(op->getContext(), text), 1, 1));
  });
}

} // namespace

FailureOr<std::vector<DeviceModule>> generateDeviceCode(ModuleOp module, const DeviceOptions &options) {
  auto entries = entriesOf(module);
  std::vector<size_t> sizes;
  for (auto &[kernel, functions] : entries) {
    size_t ops = 0;
    for (Operation *function : functions)
      function->walk([&](Operation *) { ++ops; });
    for (StringRef suffix : {"", ".finish"})
      if (Operation *function = module.lookupSymbol((kernel + suffix).str()))
        function->walk([&](Operation *) { ++ops; });
    sizes.push_back(ops);
  }
  OwningOpRef<ModuleOp> holder(ModuleOp::create(module.getLoc()));
  PartBuilder builder(module);
  std::vector<DevicePart> parts;
  llvm::StringMap<int64_t> moduleOf;
  for (auto &group : balance(sizes, kModules)) {
    SmallVector<Operation *> roots;
    for (unsigned i : group) {
      auto &[kernel, functions] = *std::next(entries.begin(), i);
      moduleOf[kernel] = static_cast<int64_t>(parts.size());
      llvm::append_range(roots, functions);
    }
    parts.emplace_back();
    parts.back().module = builder.build(roots, *holder);
  }
  for (auto &[kernel, functions] : entries) {
    for (Operation *function : functions)
      function->erase();
    for (StringRef suffix : {"", ".finish"})
      if (Operation *function = module.lookupSymbol((kernel + suffix).str()))
        function->erase();
  }
  for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (function->hasAttr("leat.program"))
      function.erase();
  Builder b(module.getContext());
  if (auto list = module->getAttrOfType<ArrayAttr>("leat.kernels")) {
    SmallVector<Attribute> all;
    for (auto info : list.getAsRange<DictionaryAttr>()) {
      SmallVector<NamedAttribute> attrs(info.getValue());
      if (auto found = moduleOf.find(info.getAs<StringAttr>("name").getValue()); found != moduleOf.end())
        attrs.push_back(b.getNamedAttr("module", b.getI64IntegerAttr(found->second)));
      all.push_back(b.getDictionaryAttr(attrs));
    }
    module->setAttr("leat.kernels", b.getArrayAttr(all));
  }
  module->setAttr("leat.device", b.getUnitAttr());

  PassManager passes(module.getContext());
  passes.enableVerifier(options.verify);
  options.pipeline(passes.nest<ModuleOp>());
  LLVM::DIScopeForLLVMFuncOpPassOptions lines;
  lines.emissionKind = LLVM::DIEmissionKind::DebugDirectivesOnly;
  passes.nest<ModuleOp>().addPass(LLVM::createDIScopeForLLVMFuncOpPass(lines));
  nameLines(*holder);
  if (failed(passes.run(*holder)) || failed(checkLowered(*holder, {"nvvm"})))
    return failure();
  {
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
    for (DevicePart &part : parts)
      pool.async([&] { compile(part, options); });
    pool.wait();
  }
  std::vector<DeviceModule> modules;
  for (DevicePart &part : parts) {
    if (!part.error.empty())
      return module.emitError("device code: ") << part.error;
    for (const EntryResources &entry : part.code.entries)
      if (entry.spillBytes)
        module.emitWarning("device code: ") << entry.name << " spills registers: " << entry.spillBytes << " bytes of stores and loads";
    for (const std::string &notice : part.notices)
      module.emitWarning("device code: ") << notice;
    modules.push_back(std::move(part.code));
  }
  return modules;
}

} // namespace leat::target
