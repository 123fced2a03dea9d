// From generated kernels (func, scf, arith, math, vector) to the LLVM dialect.
#pragma once

#include "passes/CPU/Target.h"

#include "mlir/Pass/PassManager.h"

namespace leat::cpu {
/// Appends the passes that lower functions of scf, arith, math and 1-D vectors to the LLVM dialect. Runs on a module whose func.func ops
/// hold no tensors.
void buildToLLVM(mlir::OpPassManager &pm, const Target &target);
/// Registers `leat-cpu-to-llvm`.
void registerPipelines();
} // namespace leat::cpu
