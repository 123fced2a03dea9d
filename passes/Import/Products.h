// Small tensor arithmetic that the handlers of products, norms, attention and quantisation share.
#pragma once

#include "passes/Import/BodyOps.h"
#include "passes/Import/GraphBuilder.h"

namespace leat::import {

/// leat.matmul with ONNX's batch rules; both operands have rank 2 or more.
mlir::Value matmul(GraphBuilder &b, mlir::Value lhs, mlir::Value rhs, bool transA, bool transB, mlir::Type elem);
/// v * factor, x + y and x * y with numpy's broadcast; 16-bit floats are computed in f32 and rounded once.
mlir::Value scaled(GraphBuilder &b, mlir::Value v, double factor);
mlir::Value sum(GraphBuilder &b, mlir::Value x, mlir::Value y);
mlir::Value product(GraphBuilder &b, mlir::Value x, mlir::Value y);

/// A vector of parameters laid along `axis` of tensors of this rank; one of a single element becomes a scalar. axis -1: as it is.
mlir::Value alongAxis(GraphBuilder &b, mlir::Value v, int64_t rank, int64_t axis);
/// x - zero in i32.
mlir::Value withoutZeroPoint(GraphBuilder &b, mlir::Value x, bool isUnsigned, mlir::Value zero, int64_t axis);
/// saturate(round(accumulator * prod(factors) / divisor) + zero)
mlir::Value requantized(GraphBuilder &b, mlir::Value accumulator, llvm::ArrayRef<mlir::Value> factors, mlir::Value divisor,
                        mlir::Value zero, mlir::Type elem, bool isUnsigned);
/// saturate(round-to-even(x) + zero) for integers; for 8-bit floats x + zero, rounded, saturated if asked. x is f32; zero may be null.
mlir::Value quantizeScalar(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, mlir::Value zero, mlir::Type elem, bool isUnsigned,
                           bool saturate);
/// Code (of `bits`, low bits first) number `index` in the bytes that `read` gives, as i32.
mlir::Value unpackedCode(BodyOps &o, int64_t bits, mlir::Value index, llvm::function_ref<mlir::Value(mlir::Value)> read);

} // namespace leat::import
