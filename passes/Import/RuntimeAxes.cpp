// Host selects over axes, and tensors made under a condition.
#include "passes/Import/RuntimeAxes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace leat::import {

static Value isAxis(GraphBuilder &b, OpFoldResult axis, int64_t i, int64_t rank) {
  Value v = b.math.value(axis);
  Value plain = b.create<arith::CmpIOp>(arith::CmpIPredicate::eq, v, b.math.value(b.math.constant(i)));
  Value fromEnd = b.create<arith::CmpIOp>(arith::CmpIPredicate::eq, v, b.math.value(b.math.constant(i - rank)));
  return b.create<arith::OrIOp>(plain, fromEnd);
}

SmallVector<Value> axisFlags(GraphBuilder &b, ArrayRef<OpFoldResult> axes, int64_t rank) {
  SmallVector<Value> flags;
  for (int64_t i = 0; i < rank; ++i) {
    Value any;
    for (OpFoldResult axis : axes) {
      Value here = isAxis(b, axis, i, rank);
      any = any ? b.create<arith::OrIOp>(any, here).getResult() : here;
    }
    flags.push_back(any ? any : b.scalar(b.ops.getBoolAttr(false)));
  }
  return flags;
}

Dims valuesByAxis(GraphBuilder &b, ArrayRef<OpFoldResult> axes, ArrayRef<OpFoldResult> values, ArrayRef<OpFoldResult> fallback) {
  Dims result(fallback);
  for (auto [i, r] : llvm::enumerate(result))
    for (auto [axis, v] : llvm::zip(axes, values))
      r = b.math.select(isAxis(b, axis, i, fallback.size()), v, r);
  return result;
}

Dims dimsWithout(GraphBuilder &b, ArrayRef<OpFoldResult> dims, ArrayRef<Value> flags, int64_t count) {
  IndexMath &m = b.math;
  Dims result(count, m.constant(1));
  OpFoldResult place = m.constant(0);
  for (auto [d, flag] : llvm::zip(dims, flags)) {
    for (int64_t q = 0; q < count; ++q)
      result[q] = m.select(flag, result[q], m.selectEqual(m.sub(place, m.constant(q)), 0, d, result[q]));
    place = m.add(place, m.select(flag, m.constant(0), m.constant(1)));
  }
  return result;
}

Value branch(GraphBuilder &b, Value condition, ArrayRef<OpFoldResult> dims, Type elem, llvm::function_ref<Value()> then,
             llvm::function_ref<Value()> otherwise) {
  RankedTensorType type = b.typeOf(dims, elem);
  b.math.values(dims); // sizes are made out here, where the result is used
  auto op = b.create<scf::IfOp>(TypeRange{type}, condition, true, true);
  llvm::function_ref<Value()> makers[2] = {then, otherwise};
  for (unsigned k : {0u, 1u}) {
    OpBuilder::InsertionGuard guard(b.ops);
    b.ops.setInsertionPointToEnd(&op->getRegion(k).front());
    b.pushScope();
    Value v = makers[k]();
    b.create<scf::YieldOp>(b.castTo(v, type));
    b.popScope();
  }
  return b.withDims(op.getResult(0), dims);
}

Value forAxis(GraphBuilder &b, OpFoldResult axis, ArrayRef<OpFoldResult> dims, Type elem, llvm::function_ref<Value(int64_t)> make) {
  int64_t rank = dims.size();
  std::function<Value(int64_t)> from = [&](int64_t i) -> Value {
    if (i + 1 == rank)
      return make(i);
    return branch(b, isAxis(b, axis, i, rank), dims, elem, [&] { return make(i); }, [&] { return from(i + 1); });
  };
  return from(0);
}

} // namespace leat::import
