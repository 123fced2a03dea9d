// leat-import-onnx: the pass around the walk.
#include "passes/Import/Importer.h"
#include "passes/Import/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace leat::import {
#define GEN_PASS_DEF_IMPORTONNXPASS
#include "passes/Import/Passes.h.inc"

namespace {
struct ImportOnnxPass : impl::ImportOnnxPassBase<ImportOnnxPass> {
  ImportOnnxPass() = default;
  explicit ImportOnnxPass(FunctionExpander expander) : expander(std::move(expander)) {}

  void runOnOperation() override {
    Importer importer(getOperation(), expander);
    if (succeeded(importer.run()))
      return;
    for (const Importer::Failure &f : importer.failures)
      mlir::emitError(f.loc, f.text);
    signalPassFailure();
  }

  FunctionExpander expander;
};
} // namespace

std::unique_ptr<mlir::Pass> createImportOnnxPass(FunctionExpander expander) {
  return std::make_unique<ImportOnnxPass>(std::move(expander));
}

} // namespace leat::import
