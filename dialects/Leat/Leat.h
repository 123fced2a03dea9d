// The leat dialect: classes of its ops, types and attributes.
#pragma once

#include "dialects/Leat/KVPolicy.h"
#include "dialects/Leat/ParamStore.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Leat/LeatDialect.h.inc"
#include "dialects/Leat/LeatEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Leat/LeatTypes.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Leat/LeatAttrs.h.inc"
#define GET_OP_CLASSES
#include "dialects/Leat/LeatOps.h.inc"

namespace leat {
/// The slot that a state handle stands for; null if the handle does not come from a leat.state_get of this function.
SlotOp slotOf(mlir::Value state);
/// The policy that `text` says; null after an error at `op`.
std::optional<KVPolicy> parsePolicy(mlir::Operation *op, llvm::StringRef text);
} // namespace leat
