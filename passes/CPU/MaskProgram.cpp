// Mask programs, element by element and on intervals.
#include "passes/CPU/MaskProgram.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace leat::cpu {

using Predicate = arith::CmpIPredicate;

Value MaskProgram::constant(int64_t value) { return arith::ConstantOp::create(b, loc, b.getIntegerAttr(integer, value)); }
Value MaskProgram::truth(bool value) { return arith::ConstantOp::create(b, loc, b.getBoolAttr(value)); }
Value MaskProgram::less(Value x, Value y) { return b.createOrFold<arith::CmpIOp>(loc, Predicate::slt, x, y); }
Value MaskProgram::choose(Value condition, Value x, Value y) { return b.createOrFold<arith::SelectOp>(loc, condition, x, y); }

Value MaskProgram::outer(Value value) {
  APInt known;
  if (!matchPattern(value, m_ConstantInt(&known)))
    return scalar(value);
  return value.getType().isInteger(1) ? truth(known.getBoolValue()) : constant(known.getSExtValue());
}

Value MaskProgram::evaluate(ArrayRef<Value> at) {
  Block &block = region.front();
  llvm::DenseMap<Value, Value> values;
  for (auto [arg, value] : llvm::zip_equal(block.getArguments(), at))
    values[arg] = value;
  auto valueOf = [&](Value v) {
    Value &known = values[v];
    return known ? known : known = outer(v);
  };
  for (Operation &op : block.without_terminator()) {
    if (isa<arith::ConstantOp>(op))
      continue; // taken where it is used
    SmallVector<Value> operands = llvm::map_to_vector(op.getOperands(), valueOf);
    VectorType lanes;
    for (Value operand : operands)
      if (auto vector = dyn_cast<VectorType>(operand.getType()))
        lanes = vector;
    if (lanes)
      for (Value &operand : operands)
        if (!isa<VectorType>(operand.getType()))
          operand = vector::BroadcastOp::create(b, loc, VectorType::get(lanes.getShape(), operand.getType()), operand);
    Type element = op.getResult(0).getType().isIndex() ? integer : op.getResult(0).getType();
    OperationState state(loc, op.getName(), operands, lanes ? Type(VectorType::get(lanes.getShape(), element)) : element, op.getAttrs());
    values[op.getResult(0)] = b.create(state)->getResult(0);
  }
  return valueOf(block.getTerminator()->getOperand(0));
}

MaskProgram::Verdict MaskProgram::classify(ArrayRef<Interval> at) {
  Block &block = region.front();
  llvm::DenseMap<Value, Range> ranges;
  for (auto [arg, interval] : llvm::zip_equal(block.getArguments(), at))
    ranges[arg] = {interval.low, interval.high};
  auto rangeOfValue = [&](Value v) {
    auto [known, isNew] = ranges.try_emplace(v);
    if (isNew) {
      Value x = outer(v);
      known->second = {x, x.getType().isInteger(1) ? make<arith::XOrIOp>(x, truth(true)) : x};
    }
    return known->second;
  };
  for (Operation &op : block.without_terminator())
    if (!isa<arith::ConstantOp>(op)) {
      SmallVector<Range> operands = llvm::map_to_vector(op.getOperands(), rangeOfValue);
      ranges[op.getResult(0)] = rangeOf(op, operands);
    }
  Range result = rangeOfValue(block.getTerminator()->getOperand(0));
  return {result.first, result.second};
}

MaskProgram::Range MaskProgram::rangeOf(Operation &op, ArrayRef<Range> x) {
  auto both = [&](Value p, Value q) { return make<arith::AndIOp>(p, q); };
  auto either = [&](Value p, Value q) { return make<arith::OrIOp>(p, q); };
  auto min = [&](Value p, Value q) { return make<arith::MinSIOp>(p, q); };
  auto max = [&](Value p, Value q) { return make<arith::MaxSIOp>(p, q); };
  return llvm::TypeSwitch<Operation *, Range>(&op)
      .Case(
          [&](arith::AddIOp) { return Range{make<arith::AddIOp>(x[0].first, x[1].first), make<arith::AddIOp>(x[0].second, x[1].second)}; })
      .Case(
          [&](arith::SubIOp) { return Range{make<arith::SubIOp>(x[0].first, x[1].second), make<arith::SubIOp>(x[0].second, x[1].first)}; })
      .Case([&](arith::MulIOp) {
        Value low, high;
        for (Value p : {x[0].first, x[0].second})
          for (Value q : {x[1].first, x[1].second}) {
            Value product = make<arith::MulIOp>(p, q);
            low = low ? min(low, product) : product;
            high = high ? max(high, product) : product;
          }
        return Range{low, high};
      })
      // Divisors are positive constants: both roundings keep the order.
      .Case<arith::DivSIOp, arith::FloorDivSIOp>([&](auto divide) {
        using Divide = decltype(divide);
        return Range{make<Divide>(x[0].first, x[1].first), make<Divide>(x[0].second, x[1].first)};
      })
      .Case([&](arith::RemSIOp) { return remainder(x[0], x[1].first); })
      .Case([&](arith::MinSIOp) { return Range{min(x[0].first, x[1].first), min(x[0].second, x[1].second)}; })
      .Case([&](arith::MaxSIOp) { return Range{max(x[0].first, x[1].first), max(x[0].second, x[1].second)}; })
      .Case([&](arith::CmpIOp cmp) { return compare(cmp.getPredicate(), x[0], x[1]); })
      .Case([&](arith::AndIOp) { return Range{both(x[0].first, x[1].first), either(x[0].second, x[1].second)}; })
      .Case([&](arith::OrIOp) { return Range{either(x[0].first, x[1].first), both(x[0].second, x[1].second)}; })
      .Case([&](arith::XOrIOp) {
        return Range{either(both(x[0].first, x[1].second), both(x[0].second, x[1].first)),
                     either(both(x[0].first, x[1].first), both(x[0].second, x[1].second))};
      })
      .Case([&](arith::SelectOp select) {
        auto [taken, refused] = x[0];
        if (select.getType().isInteger(1))
          return Range{either(both(taken, x[1].first), both(refused, x[2].first)),
                       either(both(taken, x[1].second), both(refused, x[2].second))};
        auto hull = [&](Value p, Value q, Value extreme) { return choose(refused, choose(taken, extreme, q), p); };
        return Range{hull(x[1].first, x[2].first, min(x[1].first, x[2].first)),
                     hull(x[1].second, x[2].second, max(x[1].second, x[2].second))};
      });
}

/// x modulo a positive number, with the sign of x: it grows with x as long as the quotient stays the same.
MaskProgram::Range MaskProgram::remainder(Range x, Value divisor) {
  Value same =
      b.createOrFold<arith::CmpIOp>(loc, Predicate::eq, make<arith::DivSIOp>(x.first, divisor), make<arith::DivSIOp>(x.second, divisor));
  Value zero = constant(0), most = make<arith::SubIOp>(divisor, constant(1));
  Value low = make<arith::MaxSIOp>(make<arith::MinSIOp>(x.first, zero), make<arith::SubIOp>(zero, most));
  Value high = make<arith::MinSIOp>(make<arith::MaxSIOp>(x.second, zero), most);
  return {choose(same, make<arith::RemSIOp>(x.first, divisor), low), choose(same, make<arith::RemSIOp>(x.second, divisor), high)};
}

MaskProgram::Range MaskProgram::compare(Predicate predicate, Range x, Range y) {
  auto not_ = [&](Value v) { return make<arith::XOrIOp>(v, truth(true)); };
  auto atMost = [&](Value p, Value q) { return not_(less(q, p)); };
  switch (predicate) {
  case Predicate::slt:
    return {less(x.first, y.second), atMost(y.first, x.second)};
  case Predicate::sle:
    return {atMost(x.first, y.second), less(y.first, x.second)};
  case Predicate::sgt:
    return compare(Predicate::slt, y, x);
  case Predicate::sge:
    return compare(Predicate::sle, y, x);
  case Predicate::ne: {
    Range equal = compare(Predicate::eq, x, y);
    return {equal.second, equal.first};
  }
  case Predicate::eq: {
    Value overlap = make<arith::AndIOp>(atMost(x.first, y.second), atMost(y.first, x.second));
    // They differ somewhere unless both are the same single number.
    Value differ = make<arith::OrIOp>(less(x.first, y.second), less(y.first, x.second));
    return {overlap, differ};
  }
  default:
    llvm_unreachable("the verifier knows signed comparisons");
  }
}

} // namespace leat::cpu
