// Passes of the stage Schedule.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::schedule {
#define GEN_PASS_DECL
#include "passes/Schedule/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule
