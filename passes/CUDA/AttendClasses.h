// Which blocks of keys a tile of rows sees, where only memory says it: by positions of keys (rings) and by masks that are tensors. Each
// block has a class, a byte in memory that the phases share, and loops walk from one block that is seen to the next: keys and values of
// others are neither copied nor multiplied, whatever they hold, and blocks that are seen whole are not masked.
//
// Many rows (prefill) have a launch of its own for it: a mask is read once for all heads that share it, by as many warps as there are
// blocks, where the tiles' own loops would read it once a head and wait for it in every step. In bytes, for H heads over a mask of R rows
// and T keys in f32: 4RT for the classes and 4RT for each head that adds it to partial blocks, against 4RT and all keys and values for each
// head. Few rows (decode) have no time for a launch: each part of the keys classifies its own blocks, four at a time, so that one wait for
// memory is shared by all of them, before its loop.
#pragma once

#include "passes/CUDA/AttendTile.h"

namespace leat::cuda {

class AttendClasses : public AttendTile {
public:
  AttendClasses(KVAttendOp op, KernelBuilder &k) : AttendTile(op, k) {}
  virtual ~AttendClasses() = default;

  /// Only memory says what is hidden.
  static bool isClassified(KVAttendOp op) { return !op.getKPos().empty() || !op.getBias().empty(); }
  /// The launch for many rows: a warp takes a block of keys, threads together a word of classes.
  static constexpr int64_t kWord = 4, kClassifyThreads = 32 * kWord;
  Values classifyGrid();
  mlir::Value classBytes();
  void classify();

protected:
  /// Tiles of rows: `owners` have `tiles` each, and the same number of them is in each batch, one batch after another.
  virtual mlir::Value owners() = 0;
  virtual mlir::Value tiles() = 0;
  /// Chooses the rows of tile `number` of an owner.
  virtual void chooseTile(mlir::Value owner, mlir::Value number) = 0;

  // --- classes
  enum Class : int64_t {
    Seen = 1,    ///< some row sees some key
    Masked = 2,  ///< positions hide some key from some row, or it does not exist
    Biased = 4,  ///< the bias is not 0 everywhere
    Faint = 8,   ///< not seen, but for a bias so low that it matters only to rows that see nothing else
    Evident = 16 ///< all rows see a key without such a bias: the tile's faint blocks weigh nothing
  };
  /// Bytes of a segment's classes: blocks of keys in whole words.
  mlir::Value paddedBlocks(mlir::Value keys) { return k.mul(k.ceilDiv(keys, k.idx(tileKeys * kWord)), k.idx(kWord)); }
  mlir::Value paddedBlocks(unsigned segment) { return paddedBlocks(k.dim(op.getK()[segment], 3 - kvHeads)); }
  /// Classes of the tile of rows that has been chosen, segment after segment.
  mlir::Value classesOf(mlir::Value owner, mlir::Value number);
  /// First and last position that some row of the tile may see, first and last that all of them do (index), by the lanes of a warp; nothing
  /// where keys are counted.
  Values positionsOfRows();
  /// Classes of `count` blocks of a segment from key t0 on (i32), by the lanes of a warp, all of which hold them; 0 behind key `end`, which
  /// is one of the extent at most.
  Values classesOf(unsigned segment, const Extent &extent, mlir::ValueRange positions, mlir::Value t0, mlir::Value end, int64_t count);
  /// Stores them as a lane alone: bytes from `at` on.
  void storeClasses(mlir::ValueRange classes, mlir::Value at);

  // --- walks
  /// Blocks to visit: of `end` classes from `at` on, whole words, those with a bit of `wanted` (i32, the same in each byte). Null for
  /// `end`: a block that is looked for is there.
  struct Visits {
    mlir::Value at, end, wanted, count;
  };
  Visits visitsOf(mlir::Value at, mlir::Value end);
  /// The first of them from `block` on, as a number that holds its class as well; any number if there is none.
  mlir::Value find(const Visits &visits, mlir::Value block);
  static constexpr int64_t kClasses = 8; ///< of which such a number holds the first three
  mlir::Value blockOf(mlir::Value found) { return k.div(found, k.idx(kClasses)); }
  mlir::Value isOf(mlir::Value found, Class bit);

  /// The logits of a block with what is added to them. `found`: null where blocks are not classified.
  mlir::Value biased(unsigned segment, mlir::Value logits, mlir::Value t0, mlir::Value count, mlir::Value found);
  /// And without what rows do not see, if some do not see all (`partial`, i1).
  mlir::Value masked(mlir::Value partial, mlir::Value logits, mlir::ArrayRef<mlir::Value> ranges, mlir::Value t0, mlir::Value count,
                     llvm::function_ref<mlir::Value(mlir::Value column)> position = nullptr);

private:
  /// Not all heads, not all batches have the same classes.
  bool heedsHeads(), heedsBatch();
  /// Of the classes of a tile.
  mlir::Value rowBytes();
};

} // namespace leat::cuda
