// How the mask program of leat.kv_attend is written: here because the generated parsers of all ops are compiled in one file.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/IR/OpImplementation.h"

namespace leat {

/// `(%b, %h, %i, %j) { ... }`: arguments are of type index.
mlir::ParseResult parseVisibleRegion(mlir::OpAsmParser &parser, mlir::Region &region);
void printVisibleRegion(mlir::OpAsmPrinter &printer, KVAttendOp op, mlir::Region &region);

} // namespace leat
