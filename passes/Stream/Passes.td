#ifndef LEAT_PASSES_STREAM
#define LEAT_PASSES_STREAM
include "mlir/Pass/PassBase.td"

#endif
