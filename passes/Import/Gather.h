// Reading tensors at computed positions, for the handlers that need it as a part.
#pragma once

#include "passes/Import/GraphBuilder.h"

namespace leat::import {

/// data[..., indices[...], ...] along `axis`; negative indices count from the end.
mlir::Value gather(GraphBuilder &b, mlir::Value data, mlir::Value indices, int64_t axis);

/// Coordinates of the elements that are not zero, [rank, count]; the host reads the count.
mlir::Value nonZeroPositions(GraphBuilder &b, mlir::Value v);

} // namespace leat::import
