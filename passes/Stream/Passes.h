// Passes of the stage Stream.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

namespace leat::stream {
#define GEN_PASS_DECL
#include "passes/Stream/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Stream/Passes.h.inc"
} // namespace leat::stream
