// Einsum over one label as a product of matrices, so that attention written with it is seen.
#pragma once

#include "passes/Import/Raise.h"

namespace leat::import::raise {

/// A product of two tensors over one label, written as Einsum, becomes Transpose, MatMul, Transpose.
bool einsumToMatMul(mlir::OpBuilder &builder, NodeOp root);

} // namespace leat::import::raise
