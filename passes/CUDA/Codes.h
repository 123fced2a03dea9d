// Weights of leat.matmul_nbits as their parameters hold them: codes of 4 or 8 bits of each column of the output, in runs along the depth,
// with a scale and perhaps a zero for each block.
#pragma once

#include "passes/CUDA/TileGenerator.h"

namespace leat::cuda {

class Codes {
public:
  Codes(MatmulNBitsOp op, KernelBuilder &k) : op(op), k(k) {}
  static constexpr int64_t kRun = 8;

  /// kRun codes of `column` from `depth` on, a multiple of kRun, as f32.
  Values run(mlir::Value column, mlir::Value depth);
  /// The words (i32) that hold `count` codes from there on.
  Values words(mlir::Value column, mlir::Value depth, int64_t count);
  mlir::Value blockOf(mlir::Value depth) { return k.div(depth, k.idx(int64_t(op.getBlock()))); }
  mlir::Value scaleOf(mlir::Value column, mlir::Value block);
  /// Zeros are numbers of the codes' kind.
  bool hasWholeZeros();
  /// The zero of a column's block: given as a number, packed like the codes, or the middle of the range.
  mlir::Value zeroOf(mlir::Value column, mlir::Value block);

private:
  MatmulNBitsOp op;
  KernelBuilder &k;
};

} // namespace leat::cuda
