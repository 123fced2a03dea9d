#ifndef LEAT_PASSES_CPU
#define LEAT_PASSES_CPU
include "mlir/Pass/PassBase.td"

#endif
