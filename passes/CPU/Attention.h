// What the two ways to compute leat.kv_attend share: sizes, rows, positions and visibility. A row is a query position and one of the heads
// that read the same KV head; heads are adjacent, so that a tile of rows covers few positions.
#pragma once

#include "passes/CPU/AttentionKernels.h"
#include "passes/CPU/CodedRows.h"
#include "passes/CPU/MaskProgram.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Products.h"

namespace leat::cpu {

/// Emits parts of one function of the kernel. Logits are kept in raw units x; weights are 2^((x - maximum) * unit()).
class AttendEmitter {
public:
  AttendEmitter(KVAttendOp op, KernelBuilder &k);
  mlir::Value scratch() { return scratchEnd; }

  mlir::Value heads, kvHeadCount, group, queryCount, depth, valueDepth, paddedValueDepth;
  mlir::Value allRows;     ///< of one KV head: positions x heads of the group
  mlir::Value pairs;       ///< batch x KV heads
  int64_t qHeads, kvHeads; ///< position of the head axis
  static bool isBounded(KVAttendOp op);
  /// Whether visibility is a program.
  static bool isProgram(KVAttendOp op) { return !op.getVisible().empty(); }

protected:
  Emit emitter() { return emitterAt(k); }
  /// Reserves bytes of scratch; returns where they begin.
  mlir::Value reserve(mlir::Value bytes);
  mlir::Value reserve(int64_t bytes) { return reserve(k.idx(bytes)); }
  mlir::Value at(mlir::Value offset) { return k.bytePtr(k.scratch(), offset); }
  /// The task's rows are of all heads that read KV head `pair` (counted over the batch).
  void choosePair(mlir::Value pair);
  /// They are of one head, counted likewise.
  void chooseHead(mlir::Value head);

  /// Query position and head of row `r` of the tile.
  std::pair<mlir::Value, mlir::Value> rowAt(mlir::Value r);
  /// Of an operand whose head axis is `headDim`.
  llvm::SmallVector<mlir::Value> coordinates(int64_t headDim, mlir::Value head, mlir::Value position);
  mlir::Value pullScalar(mlir::Value tensor, mlir::ValueRange at);
  mlir::Value toIndex(mlir::Value integer);

  /// Keys of a segment that exist.
  mlir::Value keyCount(unsigned segment);
  /// The position of row `r`'s query (i64).
  mlir::Value positionOf(mlir::Value r);
  /// The first and last position that row `r` may see (i32).
  std::pair<mlir::Value, mlir::Value> rangeOf(mlir::Value r);
  /// Stores the first and last position that row `r` may see, as i32.
  void storeRange(mlir::Value r, mlir::Value low, mlir::Value high);
  /// The mask program, emitted at `b` in arithmetic on indices.
  MaskProgram maskProgram(mlir::OpBuilder &b);
  /// What the program says of row positions and heads (index, scalars or vectors), and key positions.
  mlir::Value isVisible(mlir::OpBuilder &b, mlir::Value head, mlir::Value query, mlir::Value key);
  /// The interval of the positions of all rows.
  MaskProgram::Interval queryInterval(mlir::Value rowPositions);
  /// Stores the positions of the keys of a block that are counted from 0 on: i32, -1 behind the last.
  void countPositions(mlir::Value t0, mlir::Value keys, int64_t block, mlir::Value positions);
  /// What is kept of rows and of the keys of a block, i32 each: the first and last position that a row may see, the positions of keys, -1
  /// behind the last, and where there is a mask program, the positions of rows. And rows' largest logits so far (f32, in raw units).
  struct Bounds {
    mlir::Value low, high, positions, rowPositions, maxima;
  };
  /// How a block of keys is hidden, each i1: some key is out of some row's range; the mask program hides some key from some row (null
  /// without a program).
  struct Hidden {
    mlir::Value byRange, byProgram;
  };
  /// Runs `body` over blocks of keys [from, to) of a segment that some row of the tile may see. `positions` has room for `block`. Keys and
  /// values of other blocks are not read.
  void forBlocks(unsigned segment, mlir::Value from, mlir::Value to, int64_t block, Bounds bounds,
                 llvm::function_ref<void(mlir::Value t0, mlir::Value keys, Hidden hidden)> body);

  /// Rows of the operand in memory, if they can be read where they are stored.
  std::optional<CachedRows> rowsOf(mlir::Value tensor);
  /// Address and stored type of element [batch, kvHead, t0, 0] if they can.
  struct InPlace {
    mlir::Value pointer;
    mlir::Type type;
    mlir::Value stride; ///< from key to key
  };
  std::optional<InPlace> inPlace(mlir::Value tensor, mlir::Value t0);
  /// The same address in a buffer that the operand is seen through; in pages, of a key that exists.
  mlir::Value addressOf(const CachedRows &rows, mlir::Value t0);
  /// Runs `body` over keys [t0, t0 + keys) in parts that are evenly spaced: all of them, or those of a page, `most` at a time. `first`
  /// counts from t0 on.
  void forEvenRows(const std::optional<CachedRows> &rows, mlir::Value t0, mlir::Value keys, int64_t most,
                   llvm::function_ref<void(mlir::Value first, mlir::Value count)> body);
  /// Rows [t0, t0 + keys) of `width` values: in place, or computed into `room` as f32.
  InPlace floatRowsOf(mlir::Value tensor, mlir::Value t0, mlir::Value keys, mlir::Value width, mlir::Value room);

  /// sums[rowCount][paddedValueDepth] += weights * values of `keys` keys, 64 columns at a time. Weights of a row's keys are `keyStride`
  /// apart, rows weights.stride. `room`: for a panel of those keys, unless inWholeVectors.
  void addRows(InPlace weights, mlir::Value keyStride, mlir::Value rowCount, InPlace source, mlir::Value keys, mlir::Value sumsAt,
               mlir::Value room);
  /// Statically: a row of values is, and can be read where it lies.
  bool inWholeVectors();

  bool transforms() { return !op.getBias().empty() || softcap > 0 || scale <= 0; }
  /// What one unit of a raw logit is in the exponent of 2 (`natural`: of e).
  double natural() { return transforms() ? 1 : scale; }
  double unit() { return natural() * 1.4426950408889634; }
  /// A product of query and key as a raw logit, without the bias.
  mlir::Value raw(Emit &e, mlir::Value x);
  /// A bias of at most `kFaint` weighs nothing beside a logit above `kEvident`: products of queries and keys would have to be larger than
  /// half of their distance. Masks of the least float are meant as -inf; a row that has nothing else takes the mean of what they are over.
  static constexpr double kFaint = -1e30, kEvident = -1e29;
  /// The bias leaves some row of the tile something of keys [t0, t0 + keys) that counts beside what it has seen (i1).
  mlir::Value biasShows(unsigned segment, mlir::Value t0, mlir::Value keys, mlir::Value maxima);
  /// The bias of `lanes` keys from t0 + j on for row r.
  mlir::Value pullBias(unsigned segment, mlir::Value r, mlir::Value key, int64_t width);
  /// The log-sum-exp of a row by its maximum and sum in raw units; -inf where it saw nothing.
  mlir::Value logSum(mlir::Value maximum, mlir::Value sum);
  /// Stores a row's lse: maximum and sum as scalars in raw units.
  void emitLse(mlir::Value r, mlir::Value maximum, mlir::Value sum);

  KVAttendOp op;
  KernelBuilder &k;
  double scale, softcap;
  mlir::Type f32, i32;
  int64_t lanes;
  mlir::Value scratchEnd;
  // Of the task:
  mlir::Value batch, kvHead, row0, rows;
  mlir::Value firstHead, rowHeads; ///< of its rows: the first head, heads of a position
};

/// Every operand and result moves once; products of the keys that are seen where that is known.
Cost attendCost(KVAttendOp op, KernelBuilder &k);
/// Bytes that logits and weights of all pairs of queries and keys take to and from memory: each written once and read once.
mlir::Value logitBytes(KVAttendOp op, KernelBuilder &k);

/// Few rows: each is a row of logits; keys are split over tasks, whose results a second phase joins.
class AttendFew : public AttendEmitter {
public:
  static constexpr int64_t kRows = 6;
  /// Statically: products of query and key have a loop for the length of a key.
  static bool possible(KVAttendOp op, KernelBuilder &k);
  AttendFew(KVAttendOp op, KernelBuilder &k);
  mlir::Value tasks();
  void run(mlir::Value task);
  mlir::Value finishTasks() { return pairs; }
  void finish(mlir::Value task);
  mlir::Value shared();

private:
  struct Part {
    mlir::Value out, maxima, sums;
  };
  Part part(mlir::Value pair, mlir::Value split);
  mlir::Value splits();
  void start();
  void block(unsigned segment, mlir::Value t0, mlir::Value keys, mlir::Value byProgram);
  void dots(unsigned segment, mlir::Value t0, mlir::Value keys);
  void softmaxRow(unsigned segment, mlir::Value r, mlir::Value t0, mlir::Value keys, mlir::Value byProgram);
  void addValues(unsigned segment, mlir::Value t0, mlir::Value keys);
  /// From the address of key `t` to that of the one that is asked for when `t` is read.
  mlir::Value aheadOf(unsigned segment, const InPlace &source, mlir::Value t);
  /// Key `t` of the segment, or the last one.
  mlir::Value existing(unsigned segment, mlir::Value t);
  std::optional<CodedRows> coded(mlir::Value tensor) { return traceCodedRows(k, tensor, 3 - kvHeads); }
  /// The factors of coded rows as a table in `room`; returns what follows.
  mlir::Value stage(const CodedRows &rows, mlir::Value t0, mlir::Value keys, mlir::Value room);
  Bounds bounds();
  mlir::Value queries, logits, values, out, maxima, sums, low, high, positions, rowPositions, keyRoom, valueRoom; // byte offsets in scratch
};

/// Many rows: 64 at a time are the columns of a panel, so that keys are the left operand of their product, read where they are, and the
/// softmax runs down columns. Weights are read down columns as well: results are rows.
class AttendMany : public AttendEmitter {
public:
  AttendMany(KVAttendOp op, KernelBuilder &k);
  mlir::Value tasks();
  void run(mlir::Value task);

private:
  void chooseTile(mlir::Value task);
  void start();
  void fetchQueries();
  void fetchOutput();
  void fetchKeys(unsigned segment, mlir::Value t0);
  void packQueries(unsigned segment);
  void block(unsigned segment, mlir::Value t0, mlir::Value keys, Hidden hidden);
  /// -inf for the logits of keys that the mask program hides.
  void hideByProgram(mlir::Value keys);
  /// The same rows, always as f32.
  InPlace wideRowsOf(mlir::Value tensor, mlir::Value t0, mlir::Value keys, mlir::Value width, mlir::Value room);
  /// Whether the bias is the same for all rows and heads of a batch.
  bool isBiasPerKey(unsigned segment);
  /// Stores such a bias of keys [t0, t0 + keys), and 0 up to `wholeKeys`.
  void pullKeyBias(unsigned segment, mlir::Value t0, mlir::Value keys, mlir::Value wholeKeys);
  void transformLogits(unsigned segment, mlir::Value t0, mlir::Value keys);
  void finish();
  int64_t blockKeys; ///< keys of a step; 64: logits, queries and results of 64 rows each fill a third of the first cache
  Bounds bounds();
  mlir::Value rowRoom, queries, keyRoom, logits, valueRoom, valuePanel, biasRoom, out, maxima, sums, factors, low, high, positions,
      rowPositions, rowHeadsRoom; // byte offsets in scratch
  // Of the task:
  mlir::Value columns;   ///< rows rounded up to vectors
  mlir::Value firstTile; ///< i1: of those that read the same keys
};

} // namespace leat::cpu
