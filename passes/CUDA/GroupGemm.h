// leat.matmul in 16 bits on Hopper. One thread brings tiles of both operands by tensor copies; groups of four warps multiply 64 rows each
// by wgmma, and begin with a step while the one before is still in the tensor cores. Blocks of a cluster have the same columns: each brings
// a share of the right operand's tile to all of them, so that the second cache is asked for it once.
#pragma once

#include "passes/CUDA/GemmTile.h"
#include "passes/CUDA/Ring.h"
#include "passes/CUDA/TensorMaps.h"

namespace leat::cuda {

class GroupGemm : public GemmTile {
public:
  /// `cluster`: blocks along the rows that share the tiles of the right operand.
  GroupGemm(MatmulOp op, KernelBuilder &k, int64_t cluster);
  /// Operands of one 16-bit type, as they are; and the schedule has sizes for it.
  static bool fits(MatmulOp op);
  static int64_t threads(MatmulOp op);
  /// Blocks of a cluster that the schedule asks for, where the grid has whole ones.
  static int64_t clusterOf(MatmulOp op);
  Values grid();
  /// Of both operands; none if one of them is not in memory as a map needs it.
  llvm::SmallVector<TensorMap> tensorMaps();
  void multiply();

private:
  tile::SharedType tileType(int64_t rows, int64_t cols, int64_t stages);
  /// Rows and columns of a tile of the right operand as it is stored.
  std::pair<int64_t, int64_t> rightShape() { return op.getTransB() ? std::pair(bn, bk) : std::pair(bk, bn); }
  void produce(Ring &ring, mlir::ValueRange maps, mlir::Value steps);
  mlir::Value consume(Ring &ring, mlir::Value steps);

  MatmulOp op;
  mlir::RankedTensorType rhsType;
  int64_t bm, bn, bk, stages, groups, cluster;
};

} // namespace leat::cuda
