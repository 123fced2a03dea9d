// How Import writes caches, for the stage that puts them into state slots.
//
// A growing cache (Attention with past_key, MultiHeadAttention, graphs that concatenate) is
//   %present = tensor.concat dim(2) %past, %new
// A cache written at positions (TensorScatter, GroupQueryAttention) is
//   %all = tensor.concat dim(axis) %past, %new
//   %present = linalg.generic {leat.cache_write = axis} over present's indices: tensor.extract %all[..., src(t), ...]
// where src(t) is the position in %new (behind %past) for at[b] <= t < at[b] + S, and t otherwise; entries that neither has are zero
// (GroupQueryAttention: all entries behind the new ones). The generic is all-parallel and reads nothing else, so it is correct on its own;
// matchCacheWrite says what it means.
#pragma once

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <optional>

namespace leat::import {

inline constexpr llvm::StringLiteral cacheWriteAttr = "leat.cache_write";

struct CacheWrite {
  mlir::linalg::GenericOp op;
  mlir::Value past, update;
  int64_t axis;
};

inline std::optional<CacheWrite> matchCacheWrite(mlir::Value present) {
  auto op = present.getDefiningOp<mlir::linalg::GenericOp>();
  auto axis = op ? op->getAttrOfType<mlir::IntegerAttr>(cacheWriteAttr) : mlir::IntegerAttr();
  if (!axis)
    return std::nullopt;
  for (auto extract : op.getRegion().front().getOps<mlir::tensor::ExtractOp>())
    if (auto all = extract.getTensor().getDefiningOp<mlir::tensor::ConcatOp>(); all && all.getInputs().size() == 2)
      return CacheWrite{op, all.getInputs()[0], all.getInputs()[1], axis.getInt()};
  return std::nullopt;
}

} // namespace leat::import
