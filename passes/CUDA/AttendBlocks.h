// The keys of leat.kv_attend as one list of blocks: those of each segment that some row may see, segment after segment. So one loop walks a
// growing cache, a ring beside its sinks, or a cache whose length is in memory, and copies of the next block cross from segment to segment.
#pragma once

#include "passes/CUDA/AttendClasses.h"

namespace leat::cuda {

class AttendBlocks : public AttendClasses {
public:
  AttendBlocks(KVAttendOp op, KernelBuilder &k) : AttendClasses(op, k) {}

protected:
  /// Makes the list, whenever rows are chosen. Where no row sees a key it is one block behind the last of a segment: all of it is hidden.
  /// Blocks that are classified are numbered as their classes are, and those without a visit are left out.
  void listBlocks();
  /// A block of the list: its number, and where blocks are classified what `find` returned.
  struct Visit {
    mlir::Value number, found;
  };
  Visit firstVisit() { return visitOf(firstFound); }
  /// Runs `body` for all visits but the first: for the n-th, with the number of the block before. Returns what is carried, and the number
  /// of the last block.
  using VisitBody = llvm::function_ref<Values(Visit visit, mlir::Value n, mlir::Value before, mlir::ValueRange carried)>;
  std::pair<Values, mlir::Value> forOtherVisits(mlir::ValueRange inits, VisitBody body);
  /// Runs `body` for the segment that block `i` is of.
  Values bySegment(mlir::Value i, llvm::function_ref<Values(unsigned segment)> body);
  /// Where block `i` begins in its segment.
  mlir::Value firstKey(mlir::Value i);
  /// Number `ofSegment[s]` of the segment s that block `i` is of.
  mlir::Value pick(mlir::Value i, mlir::ValueRange ofSegment);

  bool hasPositions() { return !op.getKPos().empty(); }
  /// Positions of the keys of a block that is masked by them, as the lanes of a warp hold them (i32): lane l has those of keys l, l + 32,
  /// ...; -1 for none.
  Values positions(Visit visit);
  /// The logits of a block with what is added to them and without what rows do not see.
  mlir::Value visible(mlir::Value logits, mlir::ArrayRef<mlir::Value> ranges, Visit visit, mlir::ValueRange positions);

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

  mlir::Value blocks;  ///< of the list: one at least
  mlir::Value classes; ///< of the rows, if blocks are classified

private:
  Visit visitOf(mlir::Value found) { return isClassified(op) ? Visit{blockOf(found), found} : Visit{found, {}}; }
  Values readPositions(mlir::Value i);
  /// Segment `s` has a key `key` in memory that is nobody's.
  mlir::Value isNobodys(unsigned s, mlir::Value key);
  /// Keys of a segment that a copy brings: all of a page.
  mlir::Value stored(unsigned s);

  mlir::Value firstFound;           ///< the first block, as `found` or as a number
  Visits visits;                    ///< of classified blocks
  Values from, begin;               ///< of each segment: its first key that is visited, its first block in the list
  Values counts, allLows, allHighs; ///< as in its extent
};

} // namespace leat::cuda
