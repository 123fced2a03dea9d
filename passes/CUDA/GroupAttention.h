// leat.kv_attend for many rows on Hopper. One thread brings tiles of queries, keys and values by tensor copies; groups of four warps
// multiply 64 rows each by wgmma. While the tensor cores add weighted values of one block of keys, and begin with the logits of the next, a
// group's other units are free for the softmax of that one; groups take turns with the tensor cores.
#pragma once

#include "passes/CUDA/AttendBlocks.h"
#include "passes/CUDA/Ring.h"
#include "passes/CUDA/TensorMaps.h"
#include "passes/CUDA/Tickets.h"

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
  /// Blocks take tile after tile (Tickets.h): results leave by the memory of the queries, so those of keys and values are free for the
  /// next.
  bool stays();

private:
  /// Heads of a position that are rows of one tile: the group's, if whole positions fill a tile.
  mlir::Value headsOfTile() { return packed ? group : k.idx(1); }
  mlir::Value tiles() override { return k.ceilDiv(k.mul(queryCount, headsOfTile()), k.idx(tileRows)); }
  /// What has tiles of its own: KV heads of the batch, or heads.
  mlir::Value owners() override { return packed ? pairs : k.mul(k.dim(op.getQ()[0], 0), heads); }
  void chooseTile(mlir::Value owner, mlir::Value number) override;

  struct Rings {
    Ring queries, keys, values;
  };
  /// Chooses the rows of a tile of the grid.
  void chooseRows(mlir::Value tile);
  /// The roles' work on a tile of the grid, the block's number `round`, whose first block of keys is step `begin` of the rings. Both return
  /// the step behind its last.
  mlir::Value produce(Rings &rings, mlir::Value tile, mlir::Value round, mlir::Value begin);
  mlir::Value consume(Rings &rings, mlir::Value tile, mlir::Value round, mlir::Value begin);
  /// Results as they lie in shared memory on their way out.
  tile::SharedType results();
  /// The number of the page with key `key`; behind the last key that of no page, so that zeros arrive.
  mlir::Value pageOf(const cpu::CachedRows &rows, mlir::Value tensor, mlir::Value key);
  mlir::Value dot(mlir::Value left, mlir::Value right, mlir::Value init, bool transB);
  Values waitFor(int64_t pending, mlir::ValueRange tiles);
  /// The queries that are multiplied with the keys of the block `i`.
  mlir::Value queriesOf(mlir::Value i);
  /// Zeros for the values of the tile's block `i`, at step `step`, that are nobody's, if it has some.
  void clean(Ring &values, mlir::Value stale, mlir::Value i, mlir::Value step);

  bool packed;
  int64_t groups;
  Values maps;
  Values distinct; ///< queries: segments may have the same
  Values queryOf;  ///< of each segment, its number in `distinct` (index)
  mlir::Value queryTile;
};

} // namespace leat::cuda
