// The keys of leat.kv_attend as one list of blocks: those of each segment that some row may see, segment after segment. So one loop walks a
// growing cache, a ring beside its sinks, or a cache whose length is in memory, and copies of the next block cross from segment to segment.
#pragma once

#include "passes/CUDA/AttendTile.h"

namespace leat::cuda {

class AttendBlocks : public AttendTile {
public:
  AttendBlocks(KVAttendOp op, KernelBuilder &k) : AttendTile(op, k) {}

protected:
  /// Makes the list, whenever rows are chosen. Where no row sees a key it is one block behind the last of a segment: all of it is hidden.
  void listBlocks();
  /// Runs `body` for the segment that block `i` is of.
  Values bySegment(mlir::Value i, llvm::function_ref<Values(unsigned segment)> body);
  /// Where block `i` begins in its segment.
  mlir::Value firstKey(mlir::Value i);
  /// Number `ofSegment[s]` of the segment s that block `i` is of.
  mlir::Value pick(mlir::Value i, mlir::ValueRange ofSegment);

  bool hasPositions() { return !op.getKPos().empty(); }
  /// Positions of the keys of block `i`, as the lanes of a warp hold them (i32): lane l has those of keys l, l + 32, ...; -1 for none.
  Values positions(mlir::Value i);
  /// The logits of block `i` with what is added to them and without what rows do not see.
  mlir::Value visible(mlir::Value logits, mlir::ArrayRef<mlir::Value> ranges, mlir::Value i, mlir::ValueRange positions);

  /// Memory may have keys that are nobody's: behind the length, at the end of a page, or without a position. Their weight is 0, but what is
  /// stored there may be anything, and NaN times 0 is NaN.
  bool mayBeStale() {
    return hasPositions() || op.getKvLen() || llvm::any_of(op.getK(), [&](mlir::Value key) { return pagesOf(key); });
  }
  /// Pages that keys or values are in.
  std::optional<cpu::CachedRows> pagesOf(mlir::Value tensor) {
    auto rows = cpu::traceRows(k, tensor);
    return rows && rows->pages ? rows : std::nullopt;
  }
  /// Block `i` has such keys (i1): the same answer for all threads.
  mlir::Value isStale(mlir::Value i, mlir::ValueRange positions);
  /// All consumers write zeros over their values.
  void clearStale(mlir::Value values, mlir::Value i);

  mlir::Value blocks; ///< of all segments: one at least

private:
  /// Segment `s` has a key `key` in memory that is nobody's.
  mlir::Value isNobodys(unsigned s, mlir::Value key);
  /// Keys of a segment that a copy brings: all of a page.
  mlir::Value stored(unsigned s);

  mlir::Value none;                 ///< no row sees a key (i1)
  Values from, begin;               ///< of each segment: its first key that is visited, its first block in the list
  Values counts, allLows, allHighs; ///< as in its extent
};

} // namespace leat::cuda
