// leat.kv_attend for many rows on Hopper. One thread brings tiles of queries, keys and values by tensor copies; groups of four warps
// multiply 64 rows each by wgmma. While the tensor cores add weighted values of one block of keys, and begin with the logits of the next, a
// group's other units are free for the softmax of that one; groups take turns with the tensor cores.
#pragma once

#include "passes/CUDA/AttendBlocks.h"
#include "passes/CUDA/Ring.h"
#include "passes/CUDA/TensorMaps.h"

namespace leat::cuda {

class GroupAttend : public AttendBlocks {
public:
  GroupAttend(KVAttendOp op, KernelBuilder &k);
  /// Queries, keys and values are in 16 bits and few enough for their tensor maps; and the schedule has sizes for it.
  static bool fits(KVAttendOp op);
  static int64_t threads(KVAttendOp op);
  Values grid();
  /// Of the different queries, then of the keys and values of each segment; none if one is not in memory as a map needs it.
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
  /// The queries that are multiplied with the keys of block `i`.
  mlir::Value queriesOf(Ring &queries, mlir::Value i);
  /// Zeros for the values of block `i` that are nobody's, if it has some.
  void clean(Ring &values, mlir::Value stale, mlir::Value i);

  bool packed;
  int64_t groups;
  Values maps;
  Values distinct; ///< queries: segments may have the same
  Values queryOf;  ///< of each segment, its number in `distinct` (index)
};

} // namespace leat::cuda
