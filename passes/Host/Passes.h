// Passes of the stage Host.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::host {
#define GEN_PASS_DECL
#include "passes/Host/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Host/Passes.h.inc"
} // namespace leat::host
