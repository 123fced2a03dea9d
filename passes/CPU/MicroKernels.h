// The inner loops that products, attention and convolution share: one internal function each, compiled once per module.
// Everything works on panels: 64 columns of the right operand, [K][64], so that one row of it is a cache line or four.
#pragma once

#include "passes/CPU/Emit.h"

namespace leat::cpu {

constexpr int64_t kPanel = 64;   ///< columns of a panel
constexpr int64_t kTileRows = 6; ///< rows of a full register tile

/// Element types of a product: operands as stored, and what they are widened to.
struct ProductTypes {
  mlir::Type lhs, rhs, acc;
  /// The panel is of bf16, [K/2][64][2], and K is even: pairs are widened, or multiplied with pairs of the left operand (bf16, columns
  /// adjacent) where the target can.
  enum class Pairs { None, Widened, Multiplied } pairs = Pairs::None;
};
/// f32 for 16- and 32-bit floats, f64 for f64, i32 for 8-bit integers, else the type itself.
mlir::Type accumulatorType(mlir::Type element);

/// C[rows][columns] (+)= A[rows][k] * panel[k][64], for any number of rows.
/// (a, aRowStride, aColStride, panel, panelStride, k, c, cStride, accumulate: i1, rows, columns, next, step); strides in elements. Columns
/// are read and written in strips of up to `strip`, a power of two that vectors divide. Meanwhile memory from `next` on is fetched where
/// strips are as wide as registers allow: every 6 rows come with k steps (k / 2 for pairs) of `step` bytes. Every element of C is the sum
/// over k in order, whatever `rows` is.
mlir::func::FuncOp productRows(mlir::ModuleOp module, const Target &target, ProductTypes types, int64_t strip = kPanel);

/// What the loop over k of one register tile reads: rows of the left operand, a strip of a panel; strides in elements. Each step fetches
/// from `next` on and moves it on by `step` bytes, if there is one.
struct TileOperands {
  mlir::Value a, aRow, aCol, panel, panelStride, k, next, step;
};
/// Vectors of a tile of `rows` rows that the registers hold beside the operands.
int64_t tileVectors(const Target &target, mlir::Type acc, int64_t rows);
/// The sums that a tile starts with: those of a block of k before, loaded from at(i), or zero.
Values startSums(Emit &b, mlir::VectorType type, mlir::Value accumulate, int64_t count, llvm::function_ref<mlir::Value(int64_t)> at);
/// The loop itself, emitted in place: rows x vectors sums, added to `init`. `streams`: asks for the panel some steps ahead.
Values productSums(Emit &b, const Target &target, ProductTypes types, int64_t rows, int64_t vectors, const TileOperands &operands,
                   Values init, bool streams = false);

/// Transposes rows of a matrix into a panel: dst[k][j] = j < n ? src[j * stride + k] : 0, converted to `dst`.
/// (dst, src, stride, n, k)
mlir::func::FuncOp packTransposed(mlir::ModuleOp module, const Target &target, mlir::Type src, mlir::Type dst);

/// Copies columns of a matrix into a panel: dst[k][j] = j < n ? src[k * stride + j] : 0, converted to `dst`.
/// (dst, src, stride, n, k)
mlir::func::FuncOp packColumns(mlir::ModuleOp module, const Target &target, mlir::Type src, mlir::Type dst);

/// True if rowDots can be had for this depth: the query of a row fits the registers.
bool hasRowDots(const Target &target, int64_t depth);
/// out[rows][n] = queries[rows][depth] * keys[n][depth] transposed, for few rows: keys are read in place instead of being brought into
/// panel order. Columns beyond n, up to a whole vector, are copies of the last. With a key it asks for the one `ahead` elements behind it.
/// (out, outStride, queries, keys, keyStride, n, rows, ahead)
mlir::func::FuncOp rowDots(mlir::ModuleOp module, const Target &target, mlir::Type key, int64_t depth);

/// Transposes lanes x lanes elements held in `rows` (one vector each).
Values transposeVectors(Emit &b, llvm::ArrayRef<mlir::Value> rows);

} // namespace leat::cpu
