#ifndef LEAT_PASSES_HOST
#define LEAT_PASSES_HOST
include "mlir/Pass/PassBase.td"

#endif
