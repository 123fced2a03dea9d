// Loop and Scan: scf.for where the number of iterations is known before, else scf.while. Sizes that change and host scalars go round beside
// the tensors; what stays the same is found by converting the body until the guess holds.
#include "passes/Import/Handlers.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace leat::import {

namespace {

/// A value that goes round: host scalars, or a tensor of which some sizes may change.
struct Variable {
  Value init;
  Dims initDims;
  std::optional<Dims> scalars;
  SmallVector<bool> changing; // per axis
};

/// A value collected over the iterations, along a new first axis.
struct Collected {
  Dims elementDims; // null where the size is only known inside
  RankedTensorType type;
};

/// What the converted body gives for one iteration.
struct Iteration {
  SmallVector<Value> next, collected;
  Value condition; // i1; null: always true
};

class LoopBuilder {
public:
  using Body = llvm::function_ref<LogicalResult(Value iteration, ArrayRef<Value> variables, Iteration &out)>;

  LoopBuilder(OpContext &c, ArrayRef<Value> inits) : c(c), b(c.b), m(c.b.math) {
    for (Value init : inits) {
      Variable v{init, b.dims(init), std::nullopt, {}};
      v.changing.assign(v.initDims.size(), false);
      if (auto known = b.knownScalars(init); known && !known->empty() && known->size() <= 8)
        v.scalars = known;
      variables.push_back(std::move(v));
    }
  }

  /// The number of iterations, when there is a limit.
  std::optional<OpFoldResult> trips;
  /// Null: true.
  Value firstCondition;
  /// Per collected value: new elements go before the old ones.
  SmallVector<bool> collectInFront;

  LogicalResult build(Body body);

  SmallVector<Value> finals, collections;

private:
  RankedTensorType typeOf(const Variable &v) {
    Dims dims = v.initDims;
    SmallVector<int64_t> shape;
    for (auto [d, changes] : llvm::zip(dims, v.changing))
      shape.push_back(changes ? ShapedType::kDynamic : m.asConstant(d).value_or(ShapedType::kDynamic));
    return RankedTensorType::get(shape, GraphBuilder::elem(v.init));
  }
  Type scalarType(const Variable &v) { return b.hostType(GraphBuilder::elem(v.init)); }

  SmallVector<Value> makeArguments(Block &block);
  FailureOr<bool> guessHolds(ArrayRef<Value> next);
  void closeBody(Region &region, Iteration &it);
  SmallVector<Value> makeInits();
  void finish(OpFoldResult count, ValueRange results);

  OpContext &c;
  GraphBuilder &b;
  IndexMath &m;
  SmallVector<Variable> variables;
  SmallVector<Collected> collected;
  Value iteration;
  SmallVector<Value> yields;
};

SmallVector<Value> LoopBuilder::makeArguments(Block &block) {
  SmallVector<Value> args;
  for (Variable &v : variables) {
    if (v.scalars) {
      Dims scalars;
      for (size_t i = 0; i < v.scalars->size(); ++i)
        scalars.push_back(block.addArgument(scalarType(v), b.loc));
      args.push_back(b.fromScalars(scalars, GraphBuilder::type(v.init).getShape(), GraphBuilder::elem(v.init)));
      continue;
    }
    Value arg = block.addArgument(typeOf(v), b.loc);
    Dims dims = v.initDims;
    for (auto [i, d] : llvm::enumerate(dims))
      if (v.changing[i])
        d = block.addArgument(b.ops.getIndexType(), b.loc);
    args.push_back(b.withDims(arg, dims));
  }
  return args;
}

/// Gives up what the body does not keep; true when nothing had to be given up.
FailureOr<bool> LoopBuilder::guessHolds(ArrayRef<Value> next) {
  bool holds = true;
  for (auto [v, n] : llvm::zip(variables, next)) {
    Dims dims = b.dims(n);
    if (dims.size() != v.initDims.size() || GraphBuilder::elem(n) != GraphBuilder::elem(v.init))
      return c.fail("a value that it carries changes its rank or element type");
    if (v.scalars) {
      auto known = b.knownScalars(n);
      if (!known || GraphBuilder::type(n) != GraphBuilder::type(v.init)) {
        v.scalars.reset();
        holds = false;
      }
      continue;
    }
    for (size_t a = 0; a < dims.size(); ++a)
      if (!v.changing[a] && !m.equal(dims[a], v.initDims[a])) {
        v.changing[a] = true;
        holds = false;
      }
  }
  return holds;
}

/// Gathers what goes to the next iteration. The sizes of collected values are settled here: they are not known before the body is.
void LoopBuilder::closeBody(Region &region, Iteration &it) {
  Block &block = region.front();
  for (auto [v, n] : llvm::zip(variables, it.next)) {
    if (v.scalars) {
      auto known = b.knownScalars(n);
      for (OpFoldResult s : *known)
        yields.push_back(b.materialize(s, scalarType(v)));
      continue;
    }
    yields.push_back(b.castTo(n, typeOf(v)));
    for (auto [a, d] : llvm::enumerate(b.dims(n)))
      if (v.changing[a])
        yields.push_back(m.value(d));
  }
  for (auto [i, e] : llvm::enumerate(it.collected)) {
    Dims inside = b.dims(e);
    Collected col{inside, {}};
    SmallVector<int64_t> shape{ShapedType::kDynamic};
    for (OpFoldResult &d : col.elementDims) {
      bool bound = m.dependsOn(d, &region);
      shape.push_back(bound ? ShapedType::kDynamic : m.asConstant(d).value_or(ShapedType::kDynamic));
      if (bound)
        d = OpFoldResult();
    }
    col.type = RankedTensorType::get(shape, GraphBuilder::elem(e));
    Value acc = block.addArgument(col.type, b.loc);
    Dims accDims{iteration}, one{m.constant(1)};
    for (auto [own, in] : llvm::zip(col.elementDims, inside)) {
      accDims.push_back(own ? own : OpFoldResult(block.addArgument(b.ops.getIndexType(), b.loc)));
      one.push_back(in);
    }
    b.withDims(acc, accDims);
    if (llvm::is_contained(llvm::ArrayRef(shape).drop_front(), ShapedType::kDynamic)) {
      // Before the first iteration the size of an element may not be known, and the collection, still empty, says 0.
      Dims grown{iteration};
      llvm::append_range(grown, inside);
      SmallVector<Value> sizes;
      for (OpFoldResult d : grown)
        sizes.push_back(m.value(d));
      Value shapeValue = tensor::FromElementsOp::create(b.ops, b.loc, sizes);
      acc = b.withDims(tensor::ReshapeOp::create(b.ops, b.loc, col.type, acc, shapeValue), grown);
    }
    Value element = b.reshape(e, one);
    bool front = i < collectInFront.size() && collectInFront[i];
    yields.push_back(b.castTo(front ? b.concat({element, acc}, 0) : b.concat({acc, element}, 0), col.type));
    for (auto [own, in] : llvm::zip(col.elementDims, inside))
      if (!own)
        yields.push_back(m.value(in));
    collected.push_back(col);
  }
}

SmallVector<Value> LoopBuilder::makeInits() {
  SmallVector<Value> inits;
  for (Variable &v : variables) {
    if (v.scalars) {
      for (OpFoldResult s : *v.scalars)
        inits.push_back(b.materialize(s, scalarType(v)));
      continue;
    }
    inits.push_back(b.castTo(v.init, typeOf(v)));
    for (auto [a, d] : llvm::enumerate(v.initDims))
      if (v.changing[a])
        inits.push_back(m.value(d));
  }
  for (Collected &col : collected) {
    Dims start{m.constant(0)};
    for (OpFoldResult &d : col.elementDims) {
      if (d) // Written again out here: the value at hand may stand in the body.
        d = m.add(d, m.constant(0));
      start.push_back(d ? d : m.constant(0));
    }
    inits.push_back(b.castTo(b.splat(start, b.attr(col.type.getElementType(), static_cast<int64_t>(0))), col.type));
    for (OpFoldResult d : col.elementDims)
      if (!d)
        inits.push_back(m.value(m.constant(0)));
  }
  return inits;
}

void LoopBuilder::finish(OpFoldResult count, ValueRange results) {
  size_t at = 0;
  for (Variable &v : variables) {
    if (v.scalars) {
      Dims scalars;
      for (size_t i = 0; i < v.scalars->size(); ++i)
        scalars.push_back(results[at++]);
      finals.push_back(b.fromScalars(scalars, GraphBuilder::type(v.init).getShape(), GraphBuilder::elem(v.init)));
      continue;
    }
    Value t = results[at++];
    Dims dims = v.initDims;
    for (auto [a, d] : llvm::enumerate(dims))
      if (v.changing[a])
        d = results[at++];
    finals.push_back(b.withDims(t, dims));
  }
  for (Collected &col : collected) {
    Value t = results[at++];
    Dims dims{count};
    for (OpFoldResult d : col.elementDims)
      dims.push_back(d ? d : OpFoldResult(results[at++]));
    collections.push_back(b.withDims(t, dims));
  }
}

LogicalResult LoopBuilder::build(Body body) {
  OpBuilder::InsertionGuard guard(b.ops);
  OpBuilder::InsertPoint outside = b.ops.saveInsertionPoint();
  size_t mark = c.reportMark();
  std::unique_ptr<Region> region;
  Iteration it;
  for (bool holds = false; !holds;) {
    c.dropReports(mark);
    if (region)
      b.keepUnused(std::move(region));
    region = std::make_unique<Region>();
    Block *block = new Block;
    region->push_back(block);
    b.ops.setInsertionPointToEnd(block);
    b.pushScope();
    iteration = block->addArgument(b.ops.getIndexType(), b.loc);
    m.assumeNonNegative(iteration);
    it = {};
    FailureOr<bool> ok = failure();
    if (succeeded(body(iteration, makeArguments(*block), it)))
      ok = guessHolds(it.next);
    if (failed(ok)) {
      b.popScope();
      b.keepUnused(std::move(region));
      return failure();
    }
    holds = *ok;
    if (holds)
      closeBody(*region, it);
    b.popScope();
  }

  b.ops.restoreInsertionPoint(outside);
  SmallVector<Value> inits = makeInits();
  Value zero = m.value(m.constant(0)), one = m.value(m.constant(1));
  Block *block = &region->front();
  if (!it.condition && trips) {
    OpFoldResult count = m.max(*trips, m.constant(0));
    Value end = m.value(count);
    b.ops.setInsertionPointToEnd(block);
    b.create<scf::YieldOp>(yields);
    b.ops.restoreInsertionPoint(outside);
    auto op = b.create<scf::ForOp>(zero, end, one, inits);
    op.getRegion().takeBody(*region);
    finish(count, op.getResults());
    return success();
  }

  // while (condition && iteration < trips): both go round before the variables.
  Value yes = b.scalar(b.ops.getBoolAttr(true));
  inits.insert(inits.begin(), {zero, firstCondition ? firstCondition : yes});
  Value limit = trips ? m.value(*trips) : Value();
  auto op = b.create<scf::WhileOp>(TypeRange(ValueRange(inits)), ValueRange(inits));
  Block *before = b.ops.createBlock(&op.getBefore(), {}, TypeRange(ValueRange(inits)), SmallVector<Location>(inits.size(), b.loc));
  Value go = before->getArgument(1);
  if (limit)
    go = b.create<arith::AndIOp>(go, b.create<arith::CmpIOp>(arith::CmpIPredicate::slt, before->getArgument(0), limit));
  b.create<scf::ConditionOp>(go, before->getArguments());
  block->insertArgument(1u, b.ops.getI1Type(), b.loc);
  b.ops.setInsertionPointToEnd(block);
  Value next = b.create<arith::AddIOp>(iteration, one);
  yields.insert(yields.begin(), {next, it.condition ? it.condition : yes});
  b.create<scf::YieldOp>(yields);
  op.getAfter().takeBody(*region);
  b.ops.restoreInsertionPoint(outside);
  m.assumeNonNegative(op.getResult(0));
  finish(op.getResult(0), op.getResults().drop_front(2));
  return success();
}

} // namespace

/// The first operand as a host scalar.
static FailureOr<OpFoldResult> scalarOperand(OpContext &c, int64_t i) {
  FailureOr<Dims> s = c.scalars(i);
  if (failed(s) || s->size() != 1)
    return failure();
  return (*s)[0];
}

static LogicalResult loop(OpContext &c) {
  GraphBuilder &b = c.b;
  Region *graph = c.graph("body");
  if (!graph)
    return c.fail("it lacks its body");
  SmallVector<Value> inits;
  for (int64_t i = 2; i < c.numOperands(); ++i) {
    if (!c.has(i))
      return c.fail("an initial value is absent");
    inits.push_back(c.operand(i));
  }
  LoopBuilder loop(c, inits);
  if (c.has(0)) {
    auto trips = scalarOperand(c, 0);
    if (failed(trips))
      return c.fail("operand 0 (M) is no scalar");
    loop.trips = *trips;
  }
  if (c.has(1)) {
    auto cond = scalarOperand(c, 1);
    if (failed(cond))
      return c.fail("operand 1 (cond) is no scalar");
    auto constant = dyn_cast<Attribute>(*cond);
    if (constant && cast<IntegerAttr>(constant).getValue().isZero())
      loop.trips = b.math.constant(0);
    else if (!constant)
      loop.firstCondition = cast<Value>(*cond);
  }
  LogicalResult ok = loop.build([&](Value iteration, ArrayRef<Value> variables, Iteration &out) -> LogicalResult {
    // The body runs only while its condition holds, so that it sees true.
    SmallVector<Value> args{b.fromScalars({iteration}, {}, b.ops.getI64Type()),
                            b.fromScalars({b.ops.getBoolAttr(true)}, {}, b.ops.getI1Type())};
    args.append(variables.begin(), variables.end());
    SmallVector<Value> results;
    if (failed(c.importGraph(*graph, args, results)))
      return failure();
    if (results.size() < 1 + variables.size())
      return c.fail("its body has too few outputs");
    FailureOr<Dims> cond = b.asScalars(results[0]);
    if (failed(cond) || cond->size() != 1)
      return c.fail("the condition that its body gives is no scalar");
    auto constant = dyn_cast<Attribute>((*cond)[0]);
    if (!constant || cast<IntegerAttr>(constant).getValue().isZero())
      out.condition = b.materialize((*cond)[0], b.ops.getI1Type());
    else if (loop.firstCondition) // decided at the start only
      out.condition = b.scalar(b.ops.getBoolAttr(true));
    out.next.assign(results.begin() + 1, results.begin() + 1 + variables.size());
    out.collected.assign(results.begin() + 1 + variables.size(), results.end());
    return success();
  });
  if (failed(ok))
    return failure();
  for (auto [i, v] : llvm::enumerate(llvm::concat<Value>(loop.finals, loop.collections)))
    c.setResult(i, v);
  return success();
}

static LogicalResult scan(OpContext &c) {
  GraphBuilder &b = c.b;
  Region *graph = c.graph("body");
  if (!graph)
    return c.fail("it lacks its body");
  int64_t inputs = c.integer("num_scan_inputs"), states = c.numOperands() - inputs;
  if (inputs < 1 || states < 0)
    return c.fail("attribute 'num_scan_inputs' does not fit its operands");
  int64_t outputs = c.numResults() - states;
  SmallVector<Value> operands = c.operands();
  ArrayRef<Value> all(operands);
  auto list = [&](StringRef name, int64_t n) { return c.integers(name).value_or(SmallVector<int64_t>(n, 0)); };
  SmallVector<int64_t> inAxes = list("scan_input_axes", inputs), inBack = list("scan_input_directions", inputs);
  SmallVector<int64_t> outAxes = list("scan_output_axes", outputs), outBack = list("scan_output_directions", outputs);
  for (int64_t i = 0; i < inputs; ++i) {
    auto a = GraphBuilder::normalizeAxis(inAxes[i], GraphBuilder::rank(operands[states + i]));
    if (!a)
      return c.fail("scan axis " + Twine(inAxes[i]) + " is out of range");
    inAxes[i] = *a;
  }
  OpFoldResult length = b.dim(operands[states], inAxes[0]);
  LoopBuilder loop(c, all.take_front(states));
  loop.trips = length;
  loop.collectInFront.assign(outBack.begin(), outBack.end());
  LogicalResult ok = loop.build([&](Value iteration, ArrayRef<Value> variables, Iteration &out) -> LogicalResult {
    SmallVector<Value> args(variables);
    for (int64_t i = 0; i < inputs; ++i) {
      OpFoldResult at = iteration;
      if (inBack[i])
        at = b.math.sub(b.math.sub(length, b.math.constant(1)), at);
      Value v = b.sliceAxis(operands[states + i], inAxes[i], at, b.math.constant(1));
      args.push_back(b.squeeze(v, {inAxes[i]}));
    }
    SmallVector<Value> results;
    if (failed(c.importGraph(*graph, args, results)))
      return failure();
    if (static_cast<int64_t>(results.size()) != states + outputs)
      return c.fail("its body has " + Twine(results.size()) + " outputs where " + Twine(states + outputs) + " are needed");
    out.next.assign(results.begin(), results.begin() + states);
    out.collected.assign(results.begin() + states, results.end());
    return success();
  });
  if (failed(ok))
    return failure();
  for (auto [i, v] : llvm::enumerate(loop.finals))
    c.setResult(i, v);
  for (auto [i, v] : llvm::enumerate(loop.collections)) {
    int64_t rank = GraphBuilder::rank(v);
    auto axis = GraphBuilder::normalizeAxis(outAxes[i], rank);
    if (!axis)
      return c.fail("scan output axis " + Twine(outAxes[i]) + " is out of range");
    SmallVector<int64_t> perm;
    for (int64_t a = 1; a < rank; ++a)
      perm.push_back(a);
    perm.insert(perm.begin() + *axis, 0);
    c.setResult(states + i, b.transpose(v, perm));
  }
  return success();
}

void registerLoops(HandlerTable &t) {
  t.add("", "Loop", 1, loop);
  t.add("", "Scan", 9, scan);
}

} // namespace leat::import
