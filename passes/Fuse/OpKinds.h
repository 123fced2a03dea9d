// What fusion knows about each op: where it lives, how often it reads its operands, what repeating it costs.
#pragma once

#include "mlir/IR/Operation.h"

namespace leat::fuse {

enum class OpKind {
  Host,    // stays outside of kernels: scalars, control flow, host-made tensors
  View,    // another shape of the same bytes: free outside, an index computation inside
  Sink,    // copied into every kernel that uses it: splats, inits, ranges of slots
  Element, // elements can be computed one at a time, in any order
  Root     // computed by a loop nest of its own
};

OpKind kindOf(mlir::Operation *op);

/// How a kernel that contains the user reads an operand.
enum class ReadKind {
  Buffer,  // many times, or in an order of its own: the operand must be in memory
  Strided, // the same, but through strides: the operand may be a window or a permutation of something in memory
  Once,    // each element once, or a few times in a row
  Many     // elements are read again for other results: only cheap work may be repeated
};

/// `direct` is false for a use in the region of the user (tensor.extract of a captured tensor).
ReadKind readOf(mlir::OpOperand &use, mlir::Operation *user, bool direct);

/// A window or a permutation (or broadcast) of axes that leaves the innermost axis innermost and adjacent: readable in place through
/// strides.
bool isStridedView(mlir::Operation *op);

/// Elementwise arithmetic on nothing but cached values: codes and their scales, say. Attention decodes what it reads, since writing a whole
/// cache decoded would move more bytes than the codes save.
bool isCacheDecode(mlir::Operation *op);

/// Rough instruction count of one element.
int64_t elementCost(mlir::Operation *op);

/// Cost of an element that may be computed again rather than stored and loaded.
constexpr int64_t cheapCost = 10;

/// The op is an all-parallel linalg.generic with one result of identity map and the operand is read through the identity map.
bool isAlignedRead(mlir::OpOperand &use);
/// All-parallel linalg.generic with one result of identity map.
bool isPointwise(mlir::Operation *op);
/// A root whose generator can apply an elementwise epilogue to its result.
bool takesEpilogue(mlir::Operation *op);
/// Operands as large as the result that must be loaded per element.
int64_t largeOperands(mlir::Operation *op);

} // namespace leat::fuse
