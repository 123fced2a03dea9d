// The inner loops of attention that are not products: one internal function each, compiled once per module.
#pragma once

#include "passes/CPU/MicroKernels.h"

namespace leat::cpu {

/// 2^x for x <= 100, within 1 ulp; 0 below the normal range.
mlir::Value exp2Small(Emit &b, const Target &target, mlir::Value x);

/// One step of the online softmax for up to 64 queries, one per column. Turns logits[keys][64] into weights 2^((x - maximum) * unit)
/// relative to a maximum of the past, adds them to `sums`, and rescales sums and out[64][depth] where the true one has grown by a factor of
/// 2^8 in weight. Keys must be a multiple of 4, depth and columns of the vector. (logits, maxima, sums, out, keys, depth, columns, unit:
/// f32) `biased`: logits are logits * scale + bias[key] first. (..., bias, scale: f32)
mlir::func::FuncOp softmaxColumns(mlir::ModuleOp module, const Target &target, bool biased);

/// logits[key][column] = -inf unless low[column] <= positions[key] <= high[column] (i32).
/// (logits, low, high, positions, keys, columns)
mlir::func::FuncOp maskColumns(mlir::ModuleOp module, const Target &target);

/// dst[i][j] = src[i][j] as f32, i < n, j < columns. (dst, dstStride, src, srcStride, columns, n)
mlir::func::FuncOp widenRows(mlir::ModuleOp module, const Target &target, mlir::Type src);

} // namespace leat::cpu
