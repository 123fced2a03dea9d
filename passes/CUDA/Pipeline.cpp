// The pipeline from device functions to the LLVM and NVVM dialects. Nothing may become a call of a library: there is none.
#include "passes/CUDA/Pipeline.h"
#include "passes/CPU/Passes.h"
#include "passes/CUDA/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace leat::cuda {

void buildToNVVM(OpPassManager &pm) {
  cpu::ExpandMathOptions math;
  math.hasFMA = math.hasRound = true;
  math.hasLibrary = false;
  pm.addPass(createExpandPipelines());
  pm.addPass(createLowerTile());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(cpu::createExpandMath(math));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void registerPipelines() {
  PassPipelineRegistration<>("leat-cuda-to-nvvm", "lower device functions to the LLVM and NVVM dialects", buildToNVVM);
}

} // namespace leat::cuda
