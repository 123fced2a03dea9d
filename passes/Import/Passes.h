// Passes of the stage Import.
#pragma once

#include "dialects/Leat/Leat.h"
#include "dialects/ONNX/ONNX.h"
#include "passes/Import/FunctionExpander.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace leat::import {
#define GEN_PASS_DECL
#include "passes/Import/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Import/Passes.h.inc"

/// leat-import-onnx with the front end's function bodies.
std::unique_ptr<mlir::Pass> createImportOnnxPass(FunctionExpander expander);
} // namespace leat::import
