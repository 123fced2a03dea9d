// Floats of 8 bits and fewer: carried as f32, stored as one byte. The machine has no instructions for them.
#pragma once

#include "passes/CPU/KernelBuilder.h"

namespace leat::cpu {
bool isSmallFloat(mlir::Type type);
/// Codes (i8, scalar or vector) to f32, through a table of all codes.
mlir::Value decodeSmallFloat(KernelBuilder &k, mlir::Value codes, mlir::FloatType type);
/// f32 to codes: rounded to nearest even; what is too large becomes infinity, or NaN in formats without one.
mlir::Value encodeSmallFloat(KernelBuilder &k, mlir::Value value, mlir::FloatType type);
} // namespace leat::cpu
