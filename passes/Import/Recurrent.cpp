// RNN, GRU and LSTM: a loop over time steps. The products with the input are taken for all steps at once before it.
#include "passes/Import/Handlers.h"
#include "passes/Import/Products.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace leat::import {

namespace {

using Activation = Value (*)(BodyOps &, Value);

Value applySigmoid(BodyOps &o, Value x) { return o.sigmoid(x); }
Value applyTanh(BodyOps &o, Value x) { return o.tanh(x); }
Value applyRelu(BodyOps &o, Value x) { return o.max(x, o.like(x, 0)); }

/// One operator of the family with its gates, for all directions.
class Recurrent {
public:
  enum Kind { RNN, GRU, LSTM };
  Recurrent(OpContext &c, Kind kind) : c(c), b(c.b), kind(kind), gates(kind == RNN ? 1 : kind == GRU ? 3 : 4) {}

  LogicalResult run();

private:
  struct Direction {
    Value y, h, cell; // [T, B, H] in the order of the input, [B, H], [B, H]
  };
  LogicalResult readActivations(int64_t directions);
  Direction runDirection(int64_t d, bool reverse);
  Value slab(int64_t operand, int64_t d); // without the axis of directions
  Value biasPart(int64_t d, bool recurrent);
  /// fn on elements (row, unit) of [B, H].
  Value units(function_ref<Value(BodyOps &, Value row, Value unit)> fn);
  Value stepGates(Value inputs, Value position, Value step, bool reverse);
  Value nextCell(Value x, Value h, Value cell, Value peephole);
  Value nextHidden(Value x, Value hidden, Value h, Value cell, Value peephole, Value weights, Value recurrentBias, int64_t d);

  Value read(BodyOps &o, Value tensor, ValueRange at) { return o.convert(o.make<tensor::ExtractOp>(tensor, at), wide); }
  Value gate(BodyOps &o, Value pre, Value row, Value unit, int64_t g) {
    return read(o, pre, {row, o.add(unit, o.make<arith::ConstantIndexOp>(g * hidden))});
  }
  Value clipped(BodyOps &o, Value x) { return clip > 0 ? o.max(o.min(x, o.like(x, clip)), o.like(x, -clip)) : x; }
  Value activate(BodyOps &o, int64_t which, Value x) {
    return activations[direction * activationsPerDirection() + which](o, clipped(o, x));
  }
  int64_t activationsPerDirection() const { return kind == RNN ? 1 : kind == GRU ? 2 : 3; }

  OpContext &c;
  GraphBuilder &b;
  Kind kind;
  int64_t gates, hidden = 0, direction = 0;
  double clip = 0;
  Type elem, wide;
  SmallVector<Activation> activations;
  Value x, lengths;
  Dims state; // [B, H]
};

Value Recurrent::slab(int64_t operand, int64_t d) {
  Value v = c.operand(operand);
  return b.squeeze(b.sliceAxis(v, 0, b.math.constant(d), b.math.constant(1)), {0});
}

Value Recurrent::biasPart(int64_t d, bool recurrent) {
  int64_t size = gates * hidden;
  return b.sliceAxis(slab(3, d), 0, b.math.constant(recurrent ? size : 0), b.math.constant(size));
}

Value Recurrent::units(function_ref<Value(BodyOps &, Value, Value)> fn) {
  return b.generate(state, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
    BodyOps o{ob, l};
    return o.convert(fn(o, at[0], at[1]), elem);
  });
}

/// [B, gates * H]: what the input gives to this step. With lengths, a reversed row starts at its own end.
Value Recurrent::stepGates(Value inputs, Value position, Value step, bool reverse) {
  Dims dims{state[0], b.math.constant(gates * hidden)};
  return b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value from = position;
    if (lengths && reverse) {
      Value length = o.make<arith::IndexCastOp>(ob.getIndexType(), Value(o.make<tensor::ExtractOp>(lengths, ValueRange{at[0]})));
      from = o.max(o.sub(o.sub(length, step), o.make<arith::ConstantIndexOp>(1)), o.make<arith::ConstantIndexOp>(0));
    }
    return o.make<tensor::ExtractOp>(inputs, ValueRange{from, at[0], at[1]});
  });
}

/// LSTM, gates in the order input, output, forget, cell.
Value Recurrent::nextCell(Value xs, Value hs, Value cell, Value peephole) {
  bool coupled = c.flag("input_forget");
  return units([&](BodyOps &o, Value row, Value unit) {
    auto pre = [&](int64_t g) { return o.add(gate(o, xs, row, unit, g), gate(o, hs, row, unit, g)); };
    Value old = read(o, cell, {row, unit});
    auto peep = [&](Value v, int64_t n) {
      if (!peephole)
        return v;
      return o.add(v, o.mul(old, read(o, peephole, {Value(o.add(unit, o.make<arith::ConstantIndexOp>(n * hidden)))})));
    };
    Value in = activate(o, 0, peep(pre(0), 0));
    Value forget = coupled ? o.sub(o.like(in, 1), in) : activate(o, 0, peep(pre(2), 2));
    return o.add(o.mul(forget, old), o.mul(in, activate(o, 1, pre(3))));
  });
}

Value Recurrent::nextHidden(Value xs, Value hs, Value h, Value cell, Value peephole, Value weights, Value recurrentBias, int64_t d) {
  if (kind == RNN)
    return units(
        [&](BodyOps &o, Value row, Value unit) { return activate(o, 0, o.add(gate(o, xs, row, unit, 0), gate(o, hs, row, unit, 0))); });
  if (kind == LSTM)
    return units([&](BodyOps &o, Value row, Value unit) {
      Value now = read(o, cell, {row, unit}), out = o.add(gate(o, xs, row, unit, 1), gate(o, hs, row, unit, 1));
      if (peephole)
        out = o.add(out, o.mul(now, read(o, peephole, {Value(o.add(unit, o.make<arith::ConstantIndexOp>(hidden)))})));
      out = activate(o, 0, out);
      return o.mul(out, activations[d * 3 + 2](o, now));
    });
  // GRU, gates in the order update, reset, hidden.
  auto sigmoidGate = [&](BodyOps &o, Value row, Value unit, int64_t g) {
    return activate(o, 0, o.add(gate(o, xs, row, unit, g), gate(o, hs, row, unit, g)));
  };
  auto mix = [&](BodyOps &o, Value row, Value unit, Value candidate) {
    Value z = sigmoidGate(o, row, unit, 0);
    return o.add(o.mul(o.sub(o.like(z, 1), z), candidate), o.mul(z, read(o, h, {row, unit})));
  };
  if (c.flag("linear_before_reset"))
    return units([&](BodyOps &o, Value row, Value unit) {
      Value reset = sigmoidGate(o, row, unit, 1);
      Value inner = o.add(gate(o, xs, row, unit, 2), o.mul(reset, gate(o, hs, row, unit, 2)));
      return mix(o, row, unit, activate(o, 1, inner));
    });
  Value resetH = units([&](BodyOps &o, Value row, Value unit) { return o.mul(sigmoidGate(o, row, unit, 1), read(o, h, {row, unit})); });
  Value last = b.sliceAxis(weights, 0, b.math.constant(2 * hidden), b.math.constant(hidden));
  Value product = matmul(b, resetH, last, false, true, elem);
  if (recurrentBias)
    product = sum(b, product, b.sliceAxis(recurrentBias, 0, b.math.constant(2 * hidden), b.math.constant(hidden)));
  return units([&](BodyOps &o, Value row, Value unit) {
    return mix(o, row, unit, activate(o, 1, o.add(gate(o, xs, row, unit, 2), read(o, product, {row, unit}))));
  });
}

Recurrent::Direction Recurrent::runDirection(int64_t d, bool reverse) {
  direction = d;
  IndexMath &m = b.math;
  OpFoldResult steps = b.dim(x, 0);
  Value weights = slab(2, d), peephole = kind == LSTM && c.has(7) ? slab(7, d) : Value(),
        recurrentBias = c.has(3) ? biasPart(d, true) : Value();
  Value inputs = matmul(b, x, slab(1, d), false, true, elem);
  if (c.has(3))
    inputs = sum(b, inputs, biasPart(d, false));
  auto start = [&](int64_t operand) { return c.has(operand) ? slab(operand, d) : b.splat(state, b.attr(elem, 0.0)); };
  RankedTensorType stateType = b.typeOf(state, elem);
  SmallVector<int64_t> grownShape{ShapedType::kDynamic};
  grownShape.append(stateType.getShape().begin(), stateType.getShape().end());
  auto grownType = RankedTensorType::get(grownShape, elem);
  Value nothing = b.castTo(b.splat({m.constant(0), state[0], state[1]}, b.attr(elem, 0.0)), grownType);
  SmallVector<Value> inits{b.castTo(start(5), stateType), nothing};
  if (kind == LSTM)
    inits.push_back(b.castTo(start(6), stateType));
  // Values that the body needs from outside are made before it.
  Value zero = m.value(m.constant(0)), one = m.value(m.constant(1)), end = m.value(steps);
  m.value(state[0]);

  auto loop = b.create<scf::ForOp>(zero, end, one, inits);
  OpBuilder::InsertPoint outside = b.ops.saveInsertionPoint();
  b.ops.setInsertionPointToStart(loop.getBody());
  b.pushScope();
  Value step = loop.getInductionVar();
  m.assumeNonNegative(step);
  Value h = b.withDims(loop.getRegionIterArgs()[0], state), cell;
  Value collected = b.withDims(loop.getRegionIterArgs()[1], {step, state[0], state[1]});
  if (kind == LSTM)
    cell = b.withDims(loop.getRegionIterArgs()[2], state);
  Value position = reverse ? m.value(m.sub(m.sub(steps, step), m.constant(1))) : step;
  Value xs = stepGates(inputs, position, step, reverse);
  Value hs = matmul(b, h, weights, false, true, elem);
  if (recurrentBias)
    hs = sum(b, hs, recurrentBias);
  Value newCell = kind == LSTM ? nextCell(xs, hs, cell, peephole) : Value();
  Value newH = nextHidden(xs, hs, h, newCell, peephole, weights, recurrentBias, d), shown = newH;
  if (lengths) {
    auto until = [&](Value now, Value after) { // rows that have ended keep their state and show zeros
      return units([&](BodyOps &o, Value row, Value unit) {
        Value length = o.make<arith::IndexCastOp>(o.b.getIndexType(), Value(o.make<tensor::ExtractOp>(lengths, ValueRange{row})));
        return o.select(o.lt(step, length), read(o, now, {row, unit}), after ? read(o, after, {row, unit}) : o.c(wide, 0));
      });
    };
    shown = until(newH, {});
    newH = until(newH, h);
    if (kind == LSTM)
      newCell = until(newCell, cell);
  }
  Value all = b.concat({collected, b.unsqueeze(shown, {0})}, 0);
  SmallVector<Value> yields{b.castTo(newH, stateType), b.castTo(all, grownType)};
  if (kind == LSTM)
    yields.push_back(b.castTo(newCell, stateType));
  b.create<scf::YieldOp>(yields);
  b.popScope();
  b.ops.restoreInsertionPoint(outside);

  Direction result;
  result.h = b.withDims(loop.getResult(0), state);
  result.y = b.withDims(loop.getResult(1), {steps, state[0], state[1]});
  if (kind == LSTM)
    result.cell = b.withDims(loop.getResult(2), state);
  if (!reverse)
    return result;
  // From the order of steps to the order of the input.
  Value y = result.y;
  result.y = b.generate({steps, state[0], state[1]}, elem, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    BodyOps o{ob, l};
    Value length = end, none = o.make<arith::ConstantIndexOp>(0);
    if (lengths)
      length = o.make<arith::IndexCastOp>(ob.getIndexType(), Value(o.make<tensor::ExtractOp>(lengths, ValueRange{at[1]})));
    Value from = o.sub(o.sub(length, at[0]), o.make<arith::ConstantIndexOp>(1));
    Value v = o.make<tensor::ExtractOp>(y, ValueRange{o.max(from, none), at[1], at[2]});
    return lengths ? o.select(o.lt(at[0], length), v, o.c(elem, 0)) : v;
  });
  return result;
}

LogicalResult Recurrent::readActivations(int64_t directions) {
  SmallVector<Activation> standard = kind == RNN   ? SmallVector<Activation>{applyTanh}
                                     : kind == GRU ? SmallVector<Activation>{applySigmoid, applyTanh}
                                                   : SmallVector<Activation>{applySigmoid, applyTanh, applyTanh};
  auto given = dyn_cast_or_null<ArrayAttr>(c.attribute("activations"));
  for (int64_t i = 0; i < directions * activationsPerDirection(); ++i) {
    if (!given) {
      activations.push_back(standard[i % standard.size()]);
      continue;
    }
    if (static_cast<int64_t>(given.size()) != directions * activationsPerDirection())
      return c.fail("attribute 'activations' has " + Twine(given.size()) + " entries");
    StringRef name = cast<StringAttr>(given[i]).getValue();
    Activation fn = name.equals_insensitive("Sigmoid") ? applySigmoid
                    : name.equals_insensitive("Tanh")  ? applyTanh
                    : name.equals_insensitive("Relu")  ? applyRelu
                                                       : nullptr;
    if (!fn)
      return c.fail("activation \"" + name + "\" is not supported; Sigmoid, Tanh and Relu are");
    activations.push_back(fn);
  }
  return success();
}

LogicalResult Recurrent::run() {
  if (c.rank(0) != 3 || !c.isFloat(0))
    return c.fail("its input has to be floats [sequence, batch, features]");
  std::string way = c.text("direction", "forward");
  int64_t directions = way == "bidirectional" ? 2 : 1;
  auto size = b.math.asConstant(b.dim(c.operand(2), 2));
  if (!size)
    return c.fail("its hidden size is not known");
  hidden = *size;
  clip = c.real("clip", 0);
  elem = c.elem(0), wide = computeType(elem);
  if (failed(readActivations(directions)))
    return failure();
  bool batchFirst = c.integer("layout", 0) == 1;
  if (batchFirst && (c.has(5) || c.has(6)))
    return c.fail("layout 1 with initial states is not supported; use layout 0");
  x = batchFirst ? b.transpose(c.operand(0), {1, 0, 2}) : c.operand(0);
  if (c.has(4))
    lengths = c.operand(4);
  state = {b.dim(x, 1), b.math.constant(hidden)};
  SmallVector<Value> ys, hs, cells;
  for (int64_t d = 0; d < directions; ++d) {
    Direction result = runDirection(d, way == "reverse" || d == 1);
    ys.push_back(b.unsqueeze(result.y, {1}));
    hs.push_back(b.unsqueeze(result.h, {0}));
    if (kind == LSTM)
      cells.push_back(b.unsqueeze(result.cell, {0}));
  }
  Value y = b.concat(ys, 1), h = b.concat(hs, 0);
  c.setResult(0, batchFirst ? b.transpose(y, {2, 0, 1, 3}) : y);
  c.setResult(1, batchFirst ? b.transpose(h, {1, 0, 2}) : h);
  if (kind == LSTM) {
    Value cell = b.concat(cells, 0);
    c.setResult(2, batchFirst ? b.transpose(cell, {1, 0, 2}) : cell);
  }
  return success();
}

template <Recurrent::Kind kind> LogicalResult recurrent(OpContext &c) { return Recurrent(c, kind).run(); }

} // namespace

void registerRecurrent(HandlerTable &t) {
  t.add("", "RNN", 1, recurrent<Recurrent::RNN>);
  t.add("", "GRU", 1, recurrent<Recurrent::GRU>);
  t.add("", "LSTM", 1, recurrent<Recurrent::LSTM>);
}

} // namespace leat::import
