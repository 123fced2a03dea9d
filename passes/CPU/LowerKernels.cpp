// Replaces every leat.kernel_func by the four functions of LeatKernel, written by the generator of its family.
#include "passes/CPU/Generator.h"
#include "passes/CPU/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cpu {
#define GEN_PASS_DEF_LOWERKERNELSTOCPU
#include "passes/CPU/Passes.h.inc"

namespace {
struct LowerKernelsToCPU : impl::LowerKernelsToCPUBase<LowerKernelsToCPU> {
  using impl::LowerKernelsToCPUBase<LowerKernelsToCPU>::LowerKernelsToCPUBase;

  LogicalResult lower(KernelFuncOp kernel, const Target &target) {
    std::unique_ptr<Generator> generator = createGenerator(kernel, target);
    if (!generator)
      return failure();
    using Part = KernelBuilder::Part;
    bool good = true;
    {
      KernelBuilder k(kernel, target, Part::Run);
      Value begin = arith::IndexCastOp::create(k.b, k.b.getIndexType(), k.func.getArgument(2));
      Value end = arith::IndexCastOp::create(k.b, k.b.getIndexType(), k.func.getArgument(3));
      generator->runRange(k, begin, end);
      k.finish();
      good &= !k.failed();
    }
    {
      KernelBuilder k(kernel, target, Part::Tasks);
      k.finish(generator->tasks(k));
      good &= !k.failed();
    }
    {
      KernelBuilder k(kernel, target, Part::Scratch);
      k.finish(generator->scratch(k));
      good &= !k.failed();
    }
    {
      KernelBuilder k(kernel, target, Part::Cost);
      Cost cost = generator->cost(k);
      Value out = k.func.getArgument(1);
      k.store(cost.bytes, out, k.b.getIndexType(), k.idx(0));
      k.store(cost.operations, out, k.b.getIndexType(), k.idx(1));
      k.finish();
      good &= !k.failed();
    }
    return success(good);
  }

  void runOnOperation() override {
    Target target = Target::fromFeatures(vectorBits, features);
    ModuleOp module = getOperation();
    for (KernelFuncOp kernel : llvm::make_early_inc_range(module.getOps<KernelFuncOp>())) {
      if (failed(lower(kernel, target)))
        return signalPassFailure();
      kernel.erase();
    }
  }
};
} // namespace
} // namespace leat::cpu
