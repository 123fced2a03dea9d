// leat.matmul_nbits with activations in 8 bits, for many rows, where the op allows it and the schedule asks for it. A launch of its own
// codes the rows: q = round(x * 127 / max |x|) in each block of the weights, as on the CPU. Another multiplies bytes by bytes: tensor cores
// sum up a block in i32, and its sum is scaled in f32.
//
// Why a launch of its own: a block's peak has to be known before its first code, so each block of the grid that codes rows on their way to
// shared memory would read them twice or keep a whole block of them, and every N / cols of them do it again. For M x K rows in f32 that is
// 4 M K N / cols bytes at least; coded before it is 5 M K once and M K N / cols, less from two blocks along N on.
#pragma once

#include "passes/CUDA/Codes.h"
#include "passes/CUDA/GemmTile.h"

namespace leat::cuda {

class Int8Gemm : public GemmTile {
public:
  Int8Gemm(MatmulNBitsOp op, KernelBuilder &k);
  static bool fits(MatmulNBitsOp op);

  /// Of the launch that codes rows, which has kFewRowsThreads.
  Values codingGrid();
  void codeRows();
  /// What it leaves in the memory that launches share: codes [rows, padded depth], for each block and row the factor of its codes and their
  /// sum.
  mlir::Value codedBytes();

  /// Of the launch that multiplies.
  int64_t threads() const { return 32 * kWarpRows * (bn / kWarpCols); }
  Values grid();
  void multiply();

private:
  /// Warps below each other, and columns of a warp: each has 64 or 32 rows of them, which share what is read of shared memory.
  static constexpr int64_t kWarpRows = 2, kWarpCols = 32;

  mlir::Value codedAt(mlir::Value row, mlir::Value depth) { return k.add(k.mul(row, k.idx(paddedDepth)), depth); }
  mlir::Value factorsAt();
  mlir::Value codeSumsAt();
  /// Four elements of a row of the left operand, as f32; zeros behind the end of the depth.
  Values fourOf(mlir::Value row, mlir::Value depth);
  /// A block of the weights begins (or ends) there, where steps do.
  mlir::Value isAtBlock(mlir::Value depthAt);
  mlir::Value endsBlock(mlir::Value k0) { return isAtBlock(k.add(k0, k.idx(bk))); }
  void bringCodes(mlir::Value k0, mlir::Value tile);
  /// What the sums of a block are scaled by: of each column the scale, and how far its zero is from the middle of the codes' range.
  void bringScales(mlir::Value blockAt, mlir::Value tile);
  /// A line of shared memory as a number for each row.
  mlir::Value ofRows(mlir::Value line);
  /// Sums of a block end as the bits of a float: that is what they begin with, where they cannot leave its range.
  bool endsAsFloat() const;
  /// What the sums of a block begin with: they end as those of codes less the middle of their range.
  mlir::Value beginBlock(tile::RegType bytes, mlir::Value codeSums);
  /// The totals with the sums of a block.
  mlir::Value addBlock(mlir::Value sums, mlir::Value totals, mlir::Value factors, mlir::Value codeSums, mlir::Value scales);

  MatmulNBitsOp op;
  Codes codes;
  int64_t bits, block, blocks, paddedDepth;
  int64_t bm, bn, bk, stages;
  mlir::Value paddedRows; ///< from the factors of one block to those of the next
};

} // namespace leat::cuda
