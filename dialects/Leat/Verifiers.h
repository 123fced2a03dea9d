// Checks that several families of ops share.
#pragma once

#include "dialects/Leat/Leat.h"

namespace leat {

/// Two dimensions may be equal at run time.
inline bool mayBeEqual(int64_t a, int64_t b) { return mlir::ShapedType::isDynamic(a) || mlir::ShapedType::isDynamic(b) || a == b; }

inline mlir::RankedTensorType rankedType(mlir::Value v) { return mlir::cast<mlir::RankedTensorType>(v.getType()); }

} // namespace leat
