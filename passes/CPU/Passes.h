// Passes of the stage CPU.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::cpu {
#define GEN_PASS_DECL
#include "passes/CPU/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/CPU/Passes.h.inc"
} // namespace leat::cpu
