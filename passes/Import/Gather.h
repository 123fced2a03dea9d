// Reading tensors at computed positions, for the handlers that need it as a part.
#pragma once

#include "passes/Import/GraphBuilder.h"

namespace leat::import {

/// data[..., indices[...], ...] along `axis`; negative indices count from the end.
mlir::Value gather(GraphBuilder &b, mlir::Value data, mlir::Value indices, int64_t axis);

} // namespace leat::import
