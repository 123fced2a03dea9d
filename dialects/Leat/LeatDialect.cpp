// Registration of the leat dialect. Verifiers are beside this file, one source per family.
#include "dialects/Leat/Leat.h"
#include "dialects/Leat/MaskSyntax.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/Leat/LeatDialect.cpp.inc"
#include "dialects/Leat/LeatEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Leat/LeatTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Leat/LeatAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Leat/LeatOps.cpp.inc"

void leat::LeatDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Leat/LeatTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Leat/LeatAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Leat/LeatOps.cpp.inc"
      >();
}
