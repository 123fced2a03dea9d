// From device functions (func, scf, arith, math) to the LLVM and NVVM dialects.
#pragma once

#include "mlir/Pass/PassManager.h"

namespace leat::cuda {
/// Appends the passes that lower entries and what they call. Runs on modules of device code.
void buildToNVVM(mlir::OpPassManager &pm);
/// Registers `leat-cuda-to-nvvm`.
void registerPipelines();
} // namespace leat::cuda
