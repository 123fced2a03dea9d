// Replaces every leat.kernel_func by the functions of LeatKernel, written by the generator of its family.
#include "passes/CPU/Generator.h"
#include "passes/CPU/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace leat::cpu {
#define GEN_PASS_DEF_LOWERKERNELSTOCPU
#include "passes/CPU/Passes.h.inc"

LogicalResult emitFunctions(KernelFuncOp kernel, Generator &generator, const Target &target) {
  using Part = KernelBuilder::Part;
  bool good = true;
  auto emit = [&](Part part, llvm::function_ref<SmallVector<Value>(KernelBuilder &)> body) {
    KernelBuilder k(kernel, target, part);
    k.finish(body(k));
    good &= !k.failed();
  };
  auto argument = [](KernelBuilder &k, unsigned i) -> Value {
    return arith::IndexCastOp::create(k.b, k.b.getIndexType(), k.func.getArgument(i));
  };
  emit(Part::Run, [&](KernelBuilder &k) -> SmallVector<Value> {
    generator.runRange(k, argument(k, 2), argument(k, 3));
    return {};
  });
  emit(Part::Tasks, [&](KernelBuilder &k) -> SmallVector<Value> { return {generator.tasks(k)}; });
  emit(Part::Scratch, [&](KernelBuilder &k) -> SmallVector<Value> { return {generator.scratch(k)}; });
  emit(Part::Cost, [&](KernelBuilder &k) -> SmallVector<Value> {
    storeCost(k, generator.cost(k));
    return {};
  });
  if (generator.hasFinish()) {
    emit(Part::Finish, [&](KernelBuilder &k) -> SmallVector<Value> {
      k.forLoop(argument(k, 2), argument(k, 3), k.idx(1), [&](Value task) { generator.finish(k, task); });
      return {};
    });
    emit(Part::FinishTasks, [&](KernelBuilder &k) -> SmallVector<Value> { return {generator.finishTasks(k)}; });
    emit(Part::Shared, [&](KernelBuilder &k) -> SmallVector<Value> { return {generator.shared(k)}; });
  }
  return success(good);
}

namespace {
struct LowerKernelsToCPU : impl::LowerKernelsToCPUBase<LowerKernelsToCPU> {
  using impl::LowerKernelsToCPUBase<LowerKernelsToCPU>::LowerKernelsToCPUBase;

  void runOnOperation() override {
    Target target = Target::fromFeatures(vectorBits, features);
    ModuleOp module = getOperation();
    for (KernelFuncOp kernel : llvm::make_early_inc_range(module.getOps<KernelFuncOp>())) {
      std::unique_ptr<Generator> generator = createGenerator(kernel, target);
      if (!generator || failed(emitFunctions(kernel, *generator, target)))
        return signalPassFailure();
      kernel.erase();
    }
  }
};
} // namespace
} // namespace leat::cpu
