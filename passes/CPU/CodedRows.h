// Rows of a coded cache as attention of few rows reads them: codes of 8 or 4 bits become floats in registers, and scales are applied to
// sums over a group of values or to the weights, not to each value.
#pragma once

#include "passes/CPU/MicroKernels.h"
#include "passes/CPU/Operands.h"

namespace leat::cpu {

/// How a row is stored. Codes of 8 bits: x = code * scale. Of 4 bits: x = code * scale + minimum; in a group of `group` values a byte holds
/// value i in its low bits and value i + group / 2 in its high bits. `group` adjacent values share a scale.
struct RowCode {
  bool nibbles;
  int64_t depth, group;

  constexpr int64_t groups() const { return depth / group; }
  constexpr int64_t bytes() const { return nibbles ? depth / 2 : depth; }
  /// f16 numbers of a row: its scales, then its minima.
  constexpr int64_t factors() const { return nibbles ? 2 * groups() : groups(); }
  std::string name() const;
};

struct CodedRows {
  RowCode code;
  CachedRows codes, factors;
};

/// Finds codes and factors behind a tensor of f32 rows [batch, .., .., depth], if they are what a coded cache is decoded from and lie as
/// the loops below read them: adjacent keys are adjacent.
std::optional<CodedRows> traceCodedRows(KernelBuilder &k, mlir::Value tensor, int64_t keyAxis);

/// Keys at a time.
constexpr int64_t kCodedBlock = 256;
/// Keys whose products with a query are made at a time.
constexpr int64_t kCodedKeys = 32;
/// The distance of rows of everything that has an entry for each key: some keys more than there are at a time may be written, wherever
/// those begin.
constexpr int64_t kCodedColumns = kCodedBlock + kCodedKeys;
/// Rows of queries at a time: two vectors of sums each for keys, four for values.
constexpr int64_t kCodedRows = 3;

/// table[factor][key] = the f16 factors of n <= kCodedBlock adjacent rows as f32, zero up to the next multiple of kCodedKeys.
/// (table, factors, n)
mlir::func::FuncOp stageFactors(mlir::ModuleOp module, const Target &target, RowCode code);

/// out[row][key] = queries[row][depth] . x[key], for n keys, maybe some behind them; `out` has kCodedColumns columns. `room` is written
/// over. (out, queries, codes, table, n, rows, room)
mlir::func::FuncOp codedDots(mlir::ModuleOp module, const Target &target, RowCode code);
constexpr int64_t codedDotsRoom(RowCode code) { return kCodedKeys * code.bytes() + kCodedRows * code.depth * 4; }

/// out[row][depth] += weights[row][key] * x[key]; `weights` has kCodedColumns columns. Meanwhile it asks for what is read next, `nextBytes`
/// for each key: the keys of the next block. (out, outStride, weights, codes, table, n, rows, room, next)
mlir::func::FuncOp codedSums(mlir::ModuleOp module, const Target &target, RowCode code, int64_t nextBytes);
constexpr int64_t codedSumsRoom(RowCode code) { return kCodedRows * code.groups() * kCodedColumns * 4; }

} // namespace leat::cpu
