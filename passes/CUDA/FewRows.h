// Products of few rows: bound by reading the weights once, so multiply-adds in f32 do, and no tile of the weights is kept. Two forms, by
// how a weight lies in memory.
#pragma once

#include "passes/CUDA/TileGenerator.h"

#include <functional>

namespace leat::cuda {

/// Most rows that these forms take.
constexpr int64_t kFewRows = 8;
constexpr int64_t kFewRowsThreads = 128;

/// What both forms are told of a product.
struct FewRows {
  mlir::Value root;                 ///< the product, in the kernel's region
  Values rowDims;                   ///< its dimensions but the last (index)
  mlir::Value rows, columns, depth; ///< index
  /// The left operand's element (carried).
  std::function<mlir::Value(mlir::Value row, mlir::Value k)> left;
};

/// Blocks along x and y.
Values fewRowsGrid(KernelBuilder &k, mlir::Value rows, mlir::Value columns, bool alongColumns);

/// Weights [depth, columns] with neighbouring columns in one access of 16 bytes: a thread has some columns and every so many steps of the
/// depth. `panel` gives the block's 64 columns from `column` on, which may go beyond the last one only in panels that are padded.
struct Panel {
  Matrix matrix;
  mlir::Value first; ///< elements in front of `column` in a row
  bool padded;
};
void multiplyAlongColumns(KernelBuilder &k, const FewRows &product, llvm::function_ref<Panel(mlir::Value column)> panel);

/// Weights [columns, depth]: a warp has a column, a lane `step` weights at a time; weights(column, k) gives those from k on, as f32.
void multiplyAlongDepth(KernelBuilder &k, const FewRows &product, int64_t step,
                        llvm::function_ref<Values(mlir::Value column, mlir::Value k)> weights);

/// Elements of `type` in `words` (i32), as f32.
Values unpackWords(KernelBuilder &k, mlir::ValueRange words, mlir::Type type);
/// `count` words from element `offset` on; the address is a multiple of their bytes.
Values loadWords(KernelBuilder &k, mlir::Value base, mlir::Type element, mlir::Value offset, int64_t count);

} // namespace leat::cuda
