// Passes of the stage Stream.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::stream {
#define GEN_PASS_DECL
#include "passes/Stream/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Stream/Passes.h.inc"
} // namespace leat::stream
