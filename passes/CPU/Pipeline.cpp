// The pipeline from generated kernels to the LLVM dialect.
#include "passes/CPU/Pipeline.h"
#include "passes/CPU/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace leat::cpu {

void buildToLLVM(OpPassManager &pm, const Target &target) {
  ExpandMathOptions math;
  math.hasFMA = target.fma;
  math.hasRound = target.sse41;
  math.hasTables = target.avx512 && target.lanes() == 16;
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createExpandMath(math));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createSCFToControlFlowPass());
  // What has no intrinsic becomes calls, lane by lane: before vectors are lowered.
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

namespace {
struct ToLLVMOptions : PassPipelineOptions<ToLLVMOptions> {
  Option<unsigned> vectorBits{*this, "vector-bits", llvm::cl::desc("width of a vector register"), llvm::cl::init(128)};
  ListOption<std::string> features{*this, "features", llvm::cl::desc("LLVM names of the processor's features")};
};
} // namespace

void registerPipelines() {
  PassPipelineRegistration<ToLLVMOptions>("leat-cpu-to-llvm", "lower generated kernels to the LLVM dialect",
                                          [](OpPassManager &pm, const ToLLVMOptions &options) {
                                            std::vector<std::string> features(options.features.begin(), options.features.end());
                                            buildToLLVM(pm, Target::fromFeatures(options.vectorBits, features));
                                          });
}

} // namespace leat::cpu
