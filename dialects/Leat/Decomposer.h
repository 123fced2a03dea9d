// The few shapes of linalg that decompositions of leat ops are made of: a tensor given by a formula per element, and a reduction of one.
// Loops that are not written as operands' maps read their operands by tensor.extract at computed coordinates.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace leat {

/// Builds at the builder's insertion point; inside a formula, in its body.
class Decomposer {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Type = mlir::Type;
  using Sizes = llvm::SmallVector<mlir::OpFoldResult>;
  /// An element from the elements of the operands at this place, one for each.
  using Formula = llvm::function_ref<Value(Decomposer &in, ValueRange elements)>;
  enum class Combine { Add, Max, Min };

  Decomposer(mlir::OpBuilder &b, mlir::Location loc) : b(b), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  // Shapes.
  mlir::OpFoldResult size(Value tensor, int64_t dim);
  Sizes sizes(Value tensor);
  Value asIndex(mlir::OpFoldResult size);
  llvm::SmallVector<Value> broadcastSizes(Value tensor); ///< for atBroadcast
  /// dims[from], ..., dims[to - 1] of `loops` loops.
  mlir::AffineMap select(unsigned loops, llvm::ArrayRef<int64_t> dims);
  mlir::AffineMap identity(unsigned loops) { return b.getMultiDimIdentityMap(loops); }
  /// How an operand is read that is broadcast to the trailing ones of `dims`: its dimensions of size 1 stay at 0.
  mlir::AffineMap broadcast(unsigned loops, Value operand, llvm::ArrayRef<int64_t> dims);

  // Tensors.
  /// result[i...] = formula(operands at their maps of i...)
  Value each(llvm::ArrayRef<mlir::OpFoldResult> sizes, Type element, ValueRange operands, llvm::ArrayRef<mlir::AffineMap> maps,
             Formula formula);
  /// The same with operands of the result's shape.
  Value each(llvm::ArrayRef<mlir::OpFoldResult> sizes, Type element, ValueRange operands, Formula formula);
  /// result[the loops that `kept` names, in this order] = formula combined over all other loops, from the neutral element on.
  Value reduce(llvm::ArrayRef<mlir::OpFoldResult> sizes, Type element, ValueRange operands, llvm::ArrayRef<mlir::AffineMap> maps,
               llvm::ArrayRef<int64_t> kept, Combine combine, Formula formula);
  /// One iteration after the other, last dimension fastest; `body` returns what the next one gets.
  llvm::SmallVector<Value> forEach(llvm::ArrayRef<mlir::OpFoldResult> sizes, ValueRange carried,
                                   llvm::function_ref<llvm::SmallVector<Value>(Decomposer &in, ValueRange at, ValueRange carried)> body);
  Value filled(llvm::ArrayRef<mlir::OpFoldResult> sizes, Value scalar);
  /// The same elements under another element type or with other knowledge of the sizes.
  Value toType(Value tensor, Type type);

  // Scalars.
  Value index(int64_t value);
  Value loop(int64_t dim); ///< the number of this iteration, inside a formula
  Value constant(Type type, double value);
  Value neutral(Type type, Combine combine);
  Value at(Value tensor, ValueRange coordinates);
  /// At the trailing ones of `coordinates`, at 0 where the tensor's size, of `sizes`, is 1.
  Value atBroadcast(Value tensor, llvm::ArrayRef<Value> sizes, llvm::ArrayRef<Value> coordinates);
  Value convert(Value scalar, Type type); ///< integers are signed but for i1
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value div(Value x, Value y); ///< of indices: rounded down, of numbers >= 0
  Value rem(Value x, Value y); ///< of indices >= 0
  Value combined(Value x, Value y, Combine combine);
  Value exp(Value x) { return mlir::math::ExpOp::create(b, loc, x); }
  Value log(Value x) { return mlir::math::LogOp::create(b, loc, x); }
  Value choose(Value condition, Value x, Value y) { return mlir::arith::SelectOp::create(b, loc, condition, x, y); }
  Value both(Value x, Value y) { return x && y ? mlir::arith::AndIOp::create(b, loc, x, y).getResult() : x ? x : y; }
  Value either(Value x, Value y) { return mlir::arith::OrIOp::create(b, loc, x, y); }
  Value less(Value x, Value y);
  Value greater(Value x, Value y) { return less(y, x); }
  Value atMost(Value x, Value y);
  Value equal(Value x, Value y);
  Value isInfinite(Value x, bool negative);
  /// A coordinate from a tensor's contents: counted from the end if negative, and never outside.
  Value position(Value integer, Value size);
};

/// What floats are computed in: f64 for f64, f32 for all others.
mlir::Type computeType(mlir::Type element);
/// What products of this element type add up in.
mlir::Type sumType(mlir::Type element);

} // namespace leat
