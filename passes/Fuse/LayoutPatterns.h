// The patterns of leat-fold-layouts, by what they fold.
#pragma once

#include "mlir/IR/PatternMatch.h"

namespace leat::fuse {

/// Moves a flattening of leading axes behind products and elementwise ops, where the opposite reshape usually waits.
void populateFlatteningPatterns(mlir::RewritePatternSet &patterns);

} // namespace leat::fuse
