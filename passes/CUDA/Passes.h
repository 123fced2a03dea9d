// Passes of the stage CUDA.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::cuda {
#define GEN_PASS_DECL
#include "passes/CUDA/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/CUDA/Passes.h.inc"
} // namespace leat::cuda
