#ifndef LEAT_PASSES_IMPORT
#define LEAT_PASSES_IMPORT
include "mlir/Pass/PassBase.td"
include "passes/Import/RaisePasses.td"

#endif
