// Kernels that go over rows: how rows are cut into tasks, and sums over a row in vector lanes with a fixed order.
#pragma once

#include "passes/CPU/Generator.h"

namespace leat::cpu {

/// Rows of a tensor, cut into tasks of about kTaskElements elements.
struct RowTasks {
  llvm::SmallVector<mlir::Value> outer; ///< dimensions that number the rows
  mlir::Value rows, rowsPerTask;

  RowTasks(KernelBuilder &k, mlir::ValueRange outer, mlir::Value elementsPerRow);
  mlir::Value tasks(KernelBuilder &k) const { return k.ceilDiv(rows, rowsPerTask); }
  /// `body` gets the row's coordinates in `outer`.
  void forRows(KernelBuilder &k, mlir::Value task, llvm::function_ref<void(mlir::ValueRange at)> body) const;
};

/// Columns that lie beside each other, cut into chunks of as many as the schedule's `columns` says, or else `otherwise` (0: all).
struct ColumnTasks {
  mlir::Value all, width, chunks; ///< columns, those of a chunk, and chunks: one at least

  ColumnTasks(KernelBuilder &k, mlir::Value all, int64_t otherwise = 0);
  mlir::Value tasks(KernelBuilder &k, const RowTasks &rows) const { return k.mul(rows.tasks(k), chunks); }
  /// The task among those of rows, and the columns of its chunk.
  mlir::Value rowTask(KernelBuilder &k, mlir::Value task) const { return k.div(task, chunks); }
  mlir::Value first(KernelBuilder &k, mlir::Value task) const { return k.mul(k.rem(task, chunks), width); }
  mlir::Value end(KernelBuilder &k, mlir::Value first) const { return k.min(k.add(first, width), all); }
};

/// Folds elements into accumulators: several independent vectors, then single elements for the tail, joined in an order that depends on the
/// length only.
class LaneAccumulators {
public:
  using Combine = std::function<mlir::Value(mlir::Value, mlir::Value)>;
  /// One accumulator per identity (scalars).
  LaneAccumulators(KernelBuilder &k, int64_t width, mlir::ValueRange identities, llvm::ArrayRef<Combine> combine, unsigned unroll = 4);

  /// Takes accumulators (vectors of `lanes`, or scalars if lanes is 1) and returns them with the elements at i, i+1, ... folded in.
  using Step = llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value i, int64_t lanes, mlir::ValueRange accumulators)>;
  void range(mlir::Value lo, mlir::Value hi, Step step);
  /// All values that a surrounding loop must carry; set them to the loop's block arguments inside and to its results after it.
  llvm::SmallVector<mlir::Value> state;
  /// One scalar per identity.
  llvm::SmallVector<mlir::Value> finish();

private:
  KernelBuilder &k;
  int64_t width;
  unsigned count, unroll;
  llvm::SmallVector<Combine> combine;
};

/// Joins the lanes of a vector in a tree.
mlir::Value joinLanes(KernelBuilder &k, mlir::Value vector, const LaneAccumulators::Combine &combine);

LaneAccumulators::Combine addFloats(KernelBuilder &k);
/// The larger one in one instruction; a NaN may be lost.
LaneAccumulators::Combine maxFloats(KernelBuilder &k);

/// True if `value` is computed from `from`.
bool dependsOn(mlir::Value value, mlir::Operation *from);

/// Nested loops over all coordinates of `dims`, from 0.
void forEach(KernelBuilder &k, mlir::ValueRange dims, llvm::function_ref<void(llvm::ArrayRef<mlir::Value> at)> body);

} // namespace leat::cpu
