// Short spellings for arithmetic in element-wise bodies; integer or float form follows the operands' type.
#pragma once

#include "passes/Import/GraphBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace leat::import {

struct BodyOps {
  mlir::OpBuilder &b;
  mlir::Location l;
  /// Integers are unsigned where it matters (division, order, shifts, conversions).
  bool isUnsigned = false;

  using Value = mlir::Value;
  using Type = mlir::Type;

  static bool isFloat(Value v) { return mlir::isa<mlir::FloatType>(v.getType()); }
  template <typename Op, typename... Args> Value make(Args &&...args) { return Op::create(b, l, std::forward<Args>(args)...); }

  Value c(Type t, double v) { return bodyConstant(b, l, t, v); }
  Value like(Value v, double x) { return c(v.getType(), x); }
  Value add(Value x, Value y) { return isFloat(x) ? make<mlir::arith::AddFOp>(x, y) : make<mlir::arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return isFloat(x) ? make<mlir::arith::SubFOp>(x, y) : make<mlir::arith::SubIOp>(x, y); }
  Value mul(Value x, Value y) { return isFloat(x) ? make<mlir::arith::MulFOp>(x, y) : make<mlir::arith::MulIOp>(x, y); }
  /// Integers: towards zero; a zero divisor gives the dividend and the one overflow wraps, so that no machine traps.
  Value div(Value x, Value y);
  /// Remainder of `div`.
  Value rem(Value x, Value y);
  Value neg(Value x) { return isFloat(x) ? make<mlir::arith::NegFOp>(x) : make<mlir::arith::SubIOp>(like(x, 0), x); }
  Value abs(Value x);
  /// NaN wins.
  Value max(Value x, Value y) {
    return isFloat(x)   ? make<mlir::arith::MaximumFOp>(x, y)
           : isUnsigned ? make<mlir::arith::MaxUIOp>(x, y)
                        : make<mlir::arith::MaxSIOp>(x, y);
  }
  Value min(Value x, Value y) {
    return isFloat(x)   ? make<mlir::arith::MinimumFOp>(x, y)
           : isUnsigned ? make<mlir::arith::MinUIOp>(x, y)
                        : make<mlir::arith::MinSIOp>(x, y);
  }
  /// Ordered comparisons.
  Value eq(Value x, Value y);
  Value lt(Value x, Value y);
  Value le(Value x, Value y);
  Value gt(Value x, Value y) { return lt(y, x); }
  Value ge(Value x, Value y) { return le(y, x); }
  Value select(Value cond, Value x, Value y) { return make<mlir::arith::SelectOp>(cond, x, y); }
  Value both(Value x, Value y) { return make<mlir::arith::AndIOp>(x, y); }
  Value either(Value x, Value y) { return make<mlir::arith::OrIOp>(x, y); }
  Value flip(Value x) { return make<mlir::arith::XOrIOp>(x, c(x.getType(), x.getType().isInteger(1) ? 1 : -1)); }
  Value exp(Value x) { return make<mlir::math::ExpOp>(x); }
  Value log(Value x) { return make<mlir::math::LogOp>(x); }
  Value sqrt(Value x) { return make<mlir::math::SqrtOp>(x); }
  Value tanh(Value x) { return make<mlir::math::TanhOp>(x); }
  Value sigmoid(Value x) { return div(like(x, 1), add(like(x, 1), exp(neg(x)))); }
  /// log(1 + exp(x)) without overflow.
  Value softplus(Value x);
  Value convert(Value x, Type to, bool toUnsigned = false) { return convertScalar(b, l, x, to, isUnsigned, toUnsigned); }
};

/// The type that 16-bit and smaller floats are computed in.
inline mlir::Type computeType(mlir::Type t) {
  auto f = mlir::dyn_cast<mlir::FloatType>(t);
  return f && f.getWidth() < 32 ? mlir::Type(mlir::Float32Type::get(t.getContext())) : t;
}

} // namespace leat::import
