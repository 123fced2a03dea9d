#ifndef LEAT_PASSES_FUSE
#define LEAT_PASSES_FUSE
include "mlir/Pass/PassBase.td"

#endif
