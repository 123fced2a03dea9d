// The stage Fuse as one step of the compiler.
#pragma once

namespace mlir {
class OpPassManager;
}

namespace leat::fuse {

/// From linalg and leat ops in functions to leat.kernel_func and leat.launch, with the upstream clean-ups that the passes expect.
void buildFusePipeline(mlir::OpPassManager &pm);
/// Registers `leat-fuse`.
void registerPipelines();

} // namespace leat::fuse
