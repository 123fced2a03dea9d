#ifndef LEAT_PASSES_SCHEDULE
#define LEAT_PASSES_SCHEDULE
include "mlir/Pass/PassBase.td"

#endif
