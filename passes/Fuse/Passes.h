// Passes of the stage Fuse.
#pragma once

#include "mlir/Pass/Pass.h"

namespace leat::fuse {
#define GEN_PASS_DECL
#include "passes/Fuse/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Fuse/Passes.h.inc"
} // namespace leat::fuse
