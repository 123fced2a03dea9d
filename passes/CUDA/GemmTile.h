// Products in tiles: what the programs for all GPUs share. A block makes a tile of the output; its sums go through shared memory to the
// kernel's epilogue, so that what that reads and writes is in order of columns.
#pragma once

#include "passes/CPU/Products.h"
#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

class GemmTile {
public:
  /// `output` = `lhs` times a matrix of the given columns and depth. `shared`: all batches have one such matrix.
  GemmTile(KernelBuilder &k, mlir::Value lhs, mlir::Value output, mlir::Value n, mlir::Value depth, bool shared);
  GemmTile(MatmulOp op, KernelBuilder &k);

  mlir::Value m, n, depth;
  bool flat;               ///< all rows of all batches share the right operand and are evenly spaced
  mlir::Value batch, rows; ///< `batch` matrices of `rows` rows

protected:
  /// Chooses the block's tile of `tileRows` x `tileCols`.
  void choose(int64_t tileRows, int64_t tileCols);
  /// The results of the block from its sums, by way of shared memory, which nothing else uses any more.
  void finish(mlir::Value sums);
  /// A tile in shared memory: swizzled where rows are whole spans of 16-bit elements, else padded (f32: by `pad` bytes) so that rows begin
  /// in different banks.
  tile::SharedType sharedType(int64_t tileRows, int64_t cols, mlir::Type element, int64_t pad);
  /// Brings the tile of the left operand that begins at column k0.
  void bringLeft(mlir::Value k0, mlir::Value tile);
  /// The tile of a matrix in memory of `down` x `across` elements, as it is.
  void copy(const Matrix &matrix, mlir::Value down, mlir::Value across, mlir::Value row, mlir::Value col, mlir::Value tile);

  KernelBuilder &k;
  mlir::Value lhs, output;
  mlir::RankedTensorType lhsType, outType;
  llvm::SmallVector<mlir::Value> outBatch;
  // Of the block:
  mlir::Value n0, row0;
  llvm::SmallVector<mlir::Value> batchAt; ///< coordinates of its matrix; empty if flat
};

} // namespace leat::cuda
