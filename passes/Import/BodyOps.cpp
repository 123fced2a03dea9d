// Scalar arithmetic whose corner cases need more than one op.
#include "passes/Import/BodyOps.h"

using namespace mlir;

namespace leat::import {

Value BodyOps::div(Value x, Value y) {
  if (isFloat(x))
    return make<arith::DivFOp>(x, y);
  Value one = like(x, 1);
  Value safe = select(eq(y, like(y, 0)), one, y);
  if (isUnsigned)
    return make<arith::DivUIOp>(x, safe);
  Value minus = eq(y, like(y, -1));
  return select(minus, neg(x), make<arith::DivSIOp>(x, select(minus, one, safe)));
}

Value BodyOps::rem(Value x, Value y) {
  if (isFloat(x))
    return make<arith::RemFOp>(x, y);
  Value one = like(x, 1);
  Value safe = select(eq(y, like(y, 0)), one, y);
  if (isUnsigned)
    return make<arith::RemUIOp>(x, safe);
  return make<arith::RemSIOp>(x, select(eq(y, like(y, -1)), one, safe));
}

Value BodyOps::abs(Value x) {
  if (isFloat(x))
    return make<math::AbsFOp>(x);
  if (isUnsigned)
    return x;
  return max(x, neg(x));
}

Value BodyOps::eq(Value x, Value y) {
  return isFloat(x) ? make<arith::CmpFOp>(arith::CmpFPredicate::OEQ, x, y) : make<arith::CmpIOp>(arith::CmpIPredicate::eq, x, y);
}

Value BodyOps::lt(Value x, Value y) {
  if (isFloat(x))
    return make<arith::CmpFOp>(arith::CmpFPredicate::OLT, x, y);
  return make<arith::CmpIOp>(isUnsigned ? arith::CmpIPredicate::ult : arith::CmpIPredicate::slt, x, y);
}

Value BodyOps::le(Value x, Value y) {
  if (isFloat(x))
    return make<arith::CmpFOp>(arith::CmpFPredicate::OLE, x, y);
  return make<arith::CmpIOp>(isUnsigned ? arith::CmpIPredicate::ule : arith::CmpIPredicate::sle, x, y);
}

Value BodyOps::softplus(Value x) {
  Value tail = make<math::Log1pOp>(exp(neg(abs(x))));
  return add(max(x, like(x, 0)), tail);
}

} // namespace leat::import
