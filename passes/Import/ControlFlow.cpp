// If: scf.if with tensors, whose sizes and host scalars are results beside them.
#include "passes/Import/Handlers.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace leat::import {

namespace {
struct Branch {
  Region region;
  SmallVector<Value> results;
  /// Sizes and scalars of the results as values of the branch.
  SmallVector<Dims> dims;
  SmallVector<SmallVector<Value>> dimValues, scalars;
};
} // namespace

static LogicalResult importBranch(OpContext &c, Region &graph, Branch &branch) {
  GraphBuilder &b = c.b;
  OpBuilder::InsertionGuard guard(b.ops);
  branch.region.push_back(new Block);
  b.ops.setInsertionPointToEnd(&branch.region.front());
  b.pushScope();
  LogicalResult ok = c.importGraph(graph, {}, branch.results);
  if (succeeded(ok))
    for (Value v : branch.results) {
      branch.dims.push_back(b.dims(v));
      branch.dimValues.push_back(b.math.values(branch.dims.back()));
      branch.scalars.emplace_back();
      if (auto known = b.knownScalars(v); known && known->size() <= 64)
        for (OpFoldResult s : *known)
          branch.scalars.back().push_back(b.materialize(s, b.hostType(GraphBuilder::elem(v))));
    }
  b.popScope();
  return ok;
}

static LogicalResult ifHandler(OpContext &c) {
  GraphBuilder &b = c.b;
  Region *graphs[2] = {c.graph("then_branch"), c.graph("else_branch")};
  if (!graphs[0] || !graphs[1])
    return c.fail("it lacks a branch");
  FailureOr<Dims> cond = c.scalars(0);
  if (failed(cond) || cond->size() != 1)
    return c.fail("its condition is no scalar");
  if (auto known = dyn_cast<Attribute>((*cond)[0])) {
    SmallVector<Value> results;
    if (failed(c.importGraph(*graphs[cast<IntegerAttr>(known).getValue().isZero()], {}, results)))
      return failure();
    for (auto [i, v] : llvm::enumerate(results))
      c.setResult(i, v);
    return success();
  }

  Branch branches[2];
  for (int k : {0, 1})
    if (failed(importBranch(c, *graphs[k], branches[k]))) {
      for (Branch &br : branches) {
        auto keep = std::make_unique<Region>();
        keep->takeBody(br.region);
        b.keepUnused(std::move(keep));
      }
      return failure();
    }

  // What each result is carried as: host scalars where both branches know them, else a tensor and the sizes in which the branches differ.
  SmallVector<Type> types;
  SmallVector<Value> yields[2];
  struct Carried {
    bool scalars = false;
    RankedTensorType type;
    Dims dims; // null where the size is a result of the op
  };
  SmallVector<Carried> carried;
  for (size_t i = 0; i < branches[0].results.size(); ++i) {
    Value v[2] = {branches[0].results[i], branches[1].results[i]};
    RankedTensorType t[2] = {GraphBuilder::type(v[0]), GraphBuilder::type(v[1])};
    if (t[0].getRank() != t[1].getRank() || t[0].getElementType() != t[1].getElementType())
      return c.fail("the branches give result " + Twine(i) + " different ranks or element types, and the condition is not constant");
    Carried r;
    if (t[0] == t[1] && t[0].hasStaticShape() && t[0].getNumElements() > 0 && !branches[0].scalars[i].empty() &&
        !branches[1].scalars[i].empty()) {
      r.scalars = true;
      r.type = t[0];
      for (int k : {0, 1})
        yields[k].append(branches[k].scalars[i]);
      types.append(t[0].getNumElements(), b.hostType(t[0].getElementType()));
      carried.push_back(r);
      continue;
    }
    SmallVector<int64_t> shape;
    for (int64_t a = 0; a < t[0].getRank(); ++a) {
      OpFoldResult d = branches[0].dims[i][a];
      bool same = b.math.equal(d, branches[1].dims[i][a]);
      r.dims.push_back(same ? b.math.add(d, b.math.constant(0)) : OpFoldResult());
      shape.push_back(same ? b.math.asConstant(d).value_or(ShapedType::kDynamic) : ShapedType::kDynamic);
    }
    r.type = RankedTensorType::get(shape, t[0].getElementType());
    types.push_back(r.type);
    for (int k : {0, 1}) {
      OpBuilder::InsertionGuard guard(b.ops);
      b.ops.setInsertionPointToEnd(&branches[k].region.front());
      yields[k].push_back(b.castTo(v[k], r.type));
    }
    for (auto [a, d] : llvm::enumerate(r.dims))
      if (!d) {
        types.push_back(b.ops.getIndexType());
        for (int k : {0, 1})
          yields[k].push_back(branches[k].dimValues[i][a]);
      }
    carried.push_back(r);
  }
  for (int k : {0, 1}) {
    OpBuilder::InsertionGuard guard(b.ops);
    b.ops.setInsertionPointToEnd(&branches[k].region.front());
    b.create<scf::YieldOp>(yields[k]);
  }
  auto op = b.create<scf::IfOp>(types, b.materialize((*cond)[0], b.ops.getI1Type()), false, false);
  op.getThenRegion().takeBody(branches[0].region);
  op.getElseRegion().takeBody(branches[1].region);

  size_t next = 0;
  for (auto [i, r] : llvm::enumerate(carried)) {
    if (r.scalars) {
      Dims scalars;
      for (int64_t n = r.type.getNumElements(); n > 0; --n)
        scalars.push_back(op.getResult(next++));
      c.setResult(i, b.fromScalars(scalars, r.type.getShape(), r.type.getElementType()));
      continue;
    }
    Value v = op.getResult(next++);
    for (OpFoldResult &d : r.dims)
      if (!d)
        d = op.getResult(next++);
    c.setResult(i, b.withDims(v, r.dims));
  }
  return success();
}

void registerControlFlow(HandlerTable &t) { t.add("", "If", 1, ifHandler); }

} // namespace leat::import
