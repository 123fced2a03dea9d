// The choice of a tuned generator, for kernels whose schedule asks for tiles.
#include "passes/CUDA/Generator.h"
#include "passes/CUDA/TileGenerator.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace leat::cuda {

std::unique_ptr<Generator> createGenerator(KernelFuncOp kernel, const GpuTarget &target) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  if (!schedule || schedule.getStrategy() != "tile")
    return nullptr;
  // A kernel that also changes a state takes the generic form.
  for (mlir::Operation &op : kernel.getBody().front())
    if (mlir::isa<CacheAppendOp, StateWriteOp>(op))
      return nullptr;
  mlir::Operation *root = cpu::findRoot(kernel);
  if (auto matmul = mlir::dyn_cast_or_null<MatmulOp>(root))
    return createTiledGemm(matmul, target);
  if (auto product = mlir::dyn_cast_or_null<MatmulNBitsOp>(root))
    return createTiledNBits(product, target);
  // One thread per row asks a mask program about each key.
  if (auto attend = mlir::dyn_cast_or_null<KVAttendOp>(root))
    return attend.getVisible().empty() ? createTiledAttention(attend, target) : nullptr;
  if (mlir::isa_and_nonnull<SoftmaxOp, LayerNormOp>(root))
    return createTiledRows(root, target);
  if (mlir::isa_and_nonnull<ArgReduceOp, mlir::linalg::GenericOp>(root))
    return createTiledReduce(root, target);
  if (auto sample = mlir::dyn_cast_or_null<SampleOp>(root))
    return createTiledSample(sample, target);
  return nullptr;
}

} // namespace leat::cuda
