// See HostJit.h.
#include "HostJit.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace leat::test {

std::unique_ptr<llvm::orc::LLJIT> compileForHost(ModuleOp module, const std::string &cpu, const std::vector<std::string> &more) {
  static bool initialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialized;
  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(module, *llvmContext);
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
  auto jit = llvm::cantFail(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(machine).create());
  llvm::cantFail(jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(llvmModule), std::move(llvmContext))));
  return jit;
}

void *lookup(llvm::orc::LLJIT &jit, const std::string &name) {
  auto address = jit.lookup(name);
  if (!address) {
    llvm::errs() << llvm::toString(address.takeError()) << "\n";
    std::abort();
  }
  return address->toPtr<void *>();
}

} // namespace leat::test
