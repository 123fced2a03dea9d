// leat.kv_attend in tiles: what the programs for all GPUs share. Rows of queries against blocks of keys, an online softmax in registers.
// A row is a query position and one of the heads that read the same KV head, so a key is read once for the group.
#pragma once

#include "passes/CPU/Attention.h"
#include "passes/CUDA/TileGenerator.h"

#include <limits>

namespace leat::cuda {

/// Emits parts of one program of the kernel.
class AttendTile : public cpu::AttendEmitter {
public:
  AttendTile(KVAttendOp op, KernelBuilder &k);

protected:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  /// Sums of weighted values, and for each row the largest logit and the sum of weights (of what a lane holds).
  struct State {
    mlir::Value out, maxima, sums;
  };

  // --- types
  tile::RegType reg(tile::LayoutKind kind, int64_t cols, mlir::Type type);
  tile::RegType rowType() { return reg(tile::LayoutKind::Row, 1, f32); }
  tile::RegType logitsType() { return reg(sumLayout, tileKeys, f32); }
  tile::RegType outType() { return reg(sumLayout, valueSize, f32); }
  /// Swizzled where rows are whole spans of 16-bit elements.
  tile::SharedType sharedType(int64_t rows, int64_t cols, mlir::Type type, int64_t stages);
  static mlir::Value allocate(KernelBuilder &k, tile::SharedType type, std::optional<int64_t> at = std::nullopt);

  // --- what rows see
  /// Keys [from, to) of a segment that some row may see, in whole blocks from `from` on; all rows see those in [allLow, allHigh].
  struct Extent {
    mlir::Value count, from, to, allLow, allHigh;
  };
  Extent extentOf(unsigned segment);
  /// First and last position that each row sees (row slices of i32); nothing where all see everything.
  Values rowRanges();
  /// Some row does not see the whole block of keys that begins with t0 (i1).
  mlir::Value isPartial(const Extent &extent, mlir::Value t0);
  /// `position`: of the key in a column of the block (i32), -1 for none; null: keys are in order.
  mlir::Value maskLogits(mlir::Value logits, llvm::ArrayRef<mlir::Value> ranges, mlir::Value t0, mlir::Value count,
                         llvm::function_ref<mlir::Value(mlir::Value column)> position = nullptr);
  /// Every block of keys lies in one page of these rows.
  bool inOnePage(const cpu::CachedRows &rows) { return rows.pages->entries % tileKeys == 0 && knownMultiple(rows.first) % tileKeys == 0; }
  /// A row of the tile that exists, for what is read of rows that do not.
  mlir::Value bounded(mlir::Value row) { return k.min(row, k.sub(rows, k.idx(1))); }

  // --- numbers
  mlir::Value splat(tile::RegType type, mlir::Value v) { return tile::SplatOp::create(b, type, v); }
  /// The maximum, or 0 where a row has seen nothing.
  mlir::Value finite(mlir::Value maximum);
  mlir::Value weightOf(mlir::Value logit, mlir::Value reference);
  mlir::Value inverse(mlir::Value sum);

  // --- the algorithm
  State start();
  /// `added`: with the bias.
  mlir::Value transformLogits(unsigned segment, mlir::Value logits, mlir::Value t0, mlir::Value count, bool added);
  /// maxima' = max(maxima, logits); weights = 2^(logits - maxima'); what was summed before is scaled by `factor` to the new maxima.
  struct Step {
    mlir::Value maxima, sums, weights, factor;
  };
  Step softmax(mlir::Value maxima, mlir::Value sums, mlir::Value logits);
  mlir::Value rescale(mlir::Value out, mlir::Value factor);
  /// Where results are put in order of columns on their way out: rows as they are, apart in banks by padding.
  tile::SharedType paddedResults();
  /// Results by way of a tile `staged` in shared memory from byte `at` on, which is free.
  void finish(State state, tile::SharedType staged, int64_t at);
  Values outputAt(mlir::Value head, mlir::Value query) { return coordinates(op.getOLayout() == "bhsd" ? 1 : 2, head, query); }

  mlir::ImplicitLocOpBuilder &b;
  mlir::Type element, index;
  int64_t headSize, valueSize, tileRows, tileKeys, stages;
  tile::LayoutKind sumLayout = tile::LayoutKind::Acc;
  mlir::Value split; ///< which part of the keys; null: all

private:
  /// First and last position that some row of the tile may see, first and last that all of them do (index).
  Values rangeOfRows();
};

} // namespace leat::cuda
