// What the attention operators of both domains share: heads, masks, positions, the one attention op.
#pragma once

#include "passes/Import/OpContext.h"
#include "passes/Import/Products.h"

namespace leat::import {

/// One attention over one segment; q, k, v are [B, H, S, D]. Fields as the operands and attributes of leat.kv_attend.
struct Attend {
  mlir::Value q, k, v;
  mlir::Value bias, kvLen, qPos, sink;
  double scale = 1;
  bool causal = false;
  int64_t left = -1, right = -1;
  double softcap = 0;
};
mlir::Value attend(GraphBuilder &b, const Attend &a);

/// [B, S, H * D] to [B, H, S, D], and back.
mlir::Value splitHeads(GraphBuilder &b, mlir::Value v, int64_t heads);
mlir::Value joinHeads(GraphBuilder &b, mlir::Value v);

/// An additive mask in the type of q from a bool (true: visible) or float mask, broadcastable to [B, H, S, T]. `padLast`: a last axis
/// shorter than T hides the rest.
mlir::Value biasFromMask(GraphBuilder &b, mlir::Value mask, llvm::ArrayRef<mlir::OpFoldResult> scores, mlir::Type elem, bool padLast);
/// The sum of two additive masks, either of which may be null.
mlir::Value joinBias(GraphBuilder &b, mlir::Value x, mlir::Value y);
/// i64 [S]: 0, 1, ... or, given starts [B], i64 [B, S]: starts[b] + i.
mlir::Value queryPositions(GraphBuilder &b, mlir::OpFoldResult length, mlir::Value starts = {});

/// past with `update` written at at[b] (index 0 if null) along `axis`; the result has `length` entries there. `zeroRest`: what is not
/// before or in the update is zero. See CacheForms.h.
mlir::Value cacheWrite(GraphBuilder &b, mlir::Value past, mlir::Value update, mlir::Value at, int64_t axis, mlir::OpFoldResult length,
                       bool circular, bool zeroRest = false);

/// Rows of a [P, W] table at ids [B, S]: [B, S, W].
mlir::Value rowsAt(GraphBuilder &b, mlir::Value table, mlir::Value ids);
/// leat.rotary on [B, H, S, D].
mlir::Value rotary(GraphBuilder &b, mlir::Value x, mlir::Value cos, mlir::Value sin, bool interleaved, int64_t rotaryDim);

} // namespace leat::import
