// leat.kv_attend for many rows on Hopper. One thread brings tiles of queries, keys and values by tensor copies; groups of four warps
// multiply 64 rows each by wgmma. While the tensor cores add weighted values of one block of keys, and begin with the logits of the next, a
// group's other units are free for the softmax of that one; groups take turns with the tensor cores.
#pragma once

#include "passes/CUDA/AttendTile.h"
#include "passes/CUDA/Ring.h"
#include "passes/CUDA/TensorMaps.h"

namespace leat::cuda {

class GroupAttend : public AttendTile {
public:
  GroupAttend(KVAttendOp op, KernelBuilder &k);
  /// One segment of keys in order, of which none is hidden by a length in memory, in 16 bits; and the schedule has sizes for it.
  static bool fits(KVAttendOp op);
  static int64_t threads(KVAttendOp op);
  Values grid();
  /// Of queries, keys and values; none if one of them is not in memory as a map needs it.
  llvm::SmallVector<TensorMap> tensorMaps();
  void attend();

private:
  /// Heads of a position that are rows of one tile: the group's, if whole positions fill a tile.
  mlir::Value headsOfTile() { return packed ? group : k.idx(1); }
  mlir::Value tiles() { return k.ceilDiv(k.mul(queryCount, headsOfTile()), k.idx(tileRows)); }
  /// What has tiles of its own: KV heads of the batch, or heads.
  mlir::Value owners() { return packed ? pairs : k.mul(k.dim(op.getQ()[0], 0), heads); }

  void produce(Ring &queries, Ring &keys, Ring &values);
  void consume(Ring &queries, Ring &keys, Ring &values);
  mlir::Value dot(mlir::Value left, mlir::Value right, mlir::Value init, bool transB);
  Values waitFor(int64_t pending, mlir::ValueRange tiles);
  /// The logits of block `i`, which are there, with what is hidden at -inf.
  mlir::Value visible(mlir::Value logits, mlir::ArrayRef<mlir::Value> ranges, mlir::Value i);

  bool packed;
  int64_t groups;
  Values maps;
  Extent extent;
  mlir::Value some;         ///< some row sees a key (i1)
  mlir::Value from, blocks; ///< blocks of keys that are visited: one at least
};

} // namespace leat::cuda
