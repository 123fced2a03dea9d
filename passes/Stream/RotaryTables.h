// Rotary tables of finite length continued as formulas: an endless stream needs positions that no table has.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace leat::stream {

/// Replaces lookups of cos and sin rows by position, for every leat.rotary of `function`, by amplitude * cos(position * frequency). The
/// frequencies come from the tables, which must agree with the formula everywhere to the precision of f32 angles. Fails at the first table
/// that does not.
mlir::LogicalResult extendRotaryTables(mlir::func::FuncOp function);

} // namespace leat::stream
