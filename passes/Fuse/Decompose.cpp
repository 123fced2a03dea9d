// leat-decompose: applies the decompositions that leat ops carry.
#include "passes/Fuse/Passes.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace leat::fuse {
#define GEN_PASS_DEF_DECOMPOSE
#include "passes/Fuse/Passes.h.inc"

namespace {
struct DecomposePass : impl::DecomposeBase<DecomposePass> {
  using DecomposeBase::DecomposeBase;

  void runOnOperation() override {
    MLIRContext &context = getContext();
    for (const std::string &name : llvm::concat<const std::string>(ops, keep)) {
      auto known = RegisteredOperationName::lookup("leat." + name, &context);
      if (!known || !known->hasInterface<linalg::AggregatedOpInterface>()) {
        getOperation()->emitError("leat-decompose: leat has no op '") << name << "' with a decomposition";
        return signalPassFailure();
      }
    }
    SmallVector<linalg::AggregatedOpInterface> work;
    getOperation()->walk([&](linalg::AggregatedOpInterface op) {
      StringRef name = op->getName().stripDialect();
      if (isa<LeatDialect>(op->getDialect()) && (ops.empty() || llvm::is_contained(ops, name)) && !llvm::is_contained(keep, name))
        work.push_back(op);
    });
    OpBuilder b(&context);
    for (linalg::AggregatedOpInterface op : work) {
      b.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(b);
      if (failed(values))
        return signalPassFailure();
      op->replaceAllUsesWith(*values);
      op->erase();
    }
  }
};
} // namespace

} // namespace leat::fuse
