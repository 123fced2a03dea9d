// leat.matmul in tiles: what the programs for all GPUs share. A block makes a tile of the output; its sums go through shared memory to the
// kernel's epilogue, so that what that reads and writes is in order of columns.
#pragma once

#include "passes/CPU/Products.h"
#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

class GemmTile {
public:
  GemmTile(MatmulOp op, KernelBuilder &k);

  mlir::Value m, n, depth;
  bool flat;               ///< all rows of all batches share the right operand and are evenly spaced
  mlir::Value batch, rows; ///< `batch` matrices of `rows` rows

protected:
  /// Chooses the block's tile of `tileRows` x `tileCols`.
  void choose(int64_t tileRows, int64_t tileCols);
  /// The results of the block from its sums, by way of shared memory, which nothing else uses any more.
  void finish(mlir::Value sums);

  MatmulOp op;
  KernelBuilder &k;
  mlir::RankedTensorType lhsType, rhsType, outType;
  llvm::SmallVector<mlir::Value> outBatch;
  // Of the block:
  mlir::Value n0, row0;
  llvm::SmallVector<mlir::Value> batchAt; ///< coordinates of its matrix; empty if flat
};

} // namespace leat::cuda
