// How entries of a cache are stored in 16, 8 or 4 bits, as linalg on tensors: what is appended is encoded, what is viewed is decoded.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/IR/Builders.h"

namespace leat::stream {

/// A cache is stored as one tensor or as two with the same leading axes, which are appended to and viewed alike. Values of one head are
/// adjacent (the last axis) and coded in groups along it, so that entries are independent of each other.
class CacheCoding {
public:
  /// One with scales has `group` values to a scale, which divides `length`, the number of values of an entry.
  CacheCoding(KVPolicy::Precision precision, int64_t group, int64_t length) : precision(precision), group(group), length(length) {}

  struct Part {
    llvm::StringRef suffix; ///< of the slot's name
    mlir::Type element;
    int64_t length; ///< of the last axis
  };
  llvm::SmallVector<Part> parts(mlir::MLIRContext *context) const;

  /// `value` (floats, last axis of `length`) as the parts.
  ///   F16, BF16  to the nearest even
  ///   F8  e4m3, to the nearest even, clamped to 448
  ///   I8  scale = max |x| / 127 as f16; code = x / scale to the nearest even
  ///   I4  scale = (max - min) / 15 + 1e-8, minimum = min; code = (x - minimum) / scale, half up; both are then stored as f16, all scales
  ///   of an entry before all
  ///       minima. A byte holds value i of a group in its low bits and value i + group / 2 in its high bits.
  llvm::SmallVector<mlir::Value> encode(mlir::OpBuilder &b, mlir::Value value) const;
  /// The parts as a tensor of `element`: the float; code * scale; code * scale + minimum. In f32.
  mlir::Value decode(mlir::OpBuilder &b, mlir::ValueRange parts, mlir::Type element) const;

private:
  KVPolicy::Precision precision;
  int64_t group, length;
};

} // namespace leat::stream
