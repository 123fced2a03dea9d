// Order matters: sizes are shared before grouping, so that equal kernels take equal scalars; kernels are cleaned before they are compared.
#include "passes/Fuse/Pipeline.h"

#include "passes/Fuse/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace leat::fuse {

void buildFusePipeline(OpPassManager &pm) {
  pm.addPass(createFoldBlockOffsets());
  OpPassManager &func = pm.nest<func::FuncOp>();
  func.addPass(createCanonicalizerPass());
  func.addPass(createCSEPass());
  func.addPass(createFoldLayouts());
  func.addPass(createCanonicalizerPass());
  func.addPass(createCSEPass());
  func.addPass(createFormKernels());
  func.addPass(createCSEPass());
  pm.addPass(createOutlineKernels());
}

void registerPipelines() { PassPipelineRegistration<>("leat-fuse", "Fold layouts, form kernels and outline them", buildFusePipeline); }

} // namespace leat::fuse
