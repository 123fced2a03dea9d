// Branches and loops of a host function as basic blocks. A tensor crosses a block boundary as its pointer and its dynamic dimensions.
#include "passes/Host/FunctionLowering.h"

using namespace mlir;

namespace leat::host {

void FunctionLowering::flatTypes(Type type, SmallVectorImpl<Type> &out) {
  if (auto t = dyn_cast<RankedTensorType>(type)) {
    out.push_back(f.pointer());
    out.append(t.getNumDynamicDims(), f.b.getI64Type());
  } else {
    out.push_back(convert(type));
  }
}

void FunctionLowering::flatten(Value v, SmallVectorImpl<Value> &out) {
  if (isa<RankedTensorType>(v.getType())) {
    out.push_back(tensor(v).data);
    llvm::append_range(out, dynamicDims(v));
  } else {
    out.push_back(scalar(v));
  }
}

void FunctionLowering::unflatten(Value v, ValueRange &from) {
  if (auto type = dyn_cast<RankedTensorType>(v.getType())) {
    unsigned n = type.getNumDynamicDims();
    tensors[v] = describe(type, from.front(), from.slice(1, n));
    from = from.drop_front(1 + n);
  } else {
    scalars[v] = from.front();
    from = from.drop_front();
  }
}

LogicalResult FunctionLowering::lowerIf(scf::IfOp op) {
  SmallVector<Type> types;
  for (Type type : op.getResultTypes())
    flatTypes(type, types);
  Block *yes = f.newBlock(), *no = f.newBlock(), *merge = f.newBlock(types);
  f.condBranch(scalar(op.getCondition()), yes, {}, no, {});
  for (auto [region, block] : {std::pair(&op.getThenRegion(), yes), std::pair(&op.getElseRegion(), no)}) {
    f.b.setInsertionPointToEnd(block);
    SmallVector<Value> yielded;
    if (!region->empty()) {
      if (failed(lower(region->front())))
        return failure();
      for (Value v : region->front().getTerminator()->getOperands())
        flatten(v, yielded);
    }
    f.branch(merge, yielded);
  }
  f.b.setInsertionPointToEnd(merge);
  ValueRange results = merge->getArguments();
  for (Value result : op.getResults())
    unflatten(result, results);
  return success();
}

void FunctionLowering::flattenCarried(Operation *loop, ValueRange yielded, Value parity, SmallVectorImpl<Value> &out) {
  for (auto [i, v] : llvm::enumerate(yielded)) {
    int64_t slot = plan.carrySlot(loop, i);
    if (slot < 0) {
      flatten(v, out);
      continue;
    }
    auto type = cast<RankedTensorType>(v.getType());
    SmallVector<Value> dims = dynamicDims(v);
    int64_t bytes = storageBytes(type.getElementType());
    for (int64_t dim : type.getShape())
      bytes *= ShapedType::isDynamic(dim) ? 1 : dim;
    Value to = f.ensure(LLVM::AddOp::create(f.b, f.loc, f.i64(slot), parity), bytes, dims);
    copy(to, tensor(v), type.getElementType());
    out.push_back(to);
    llvm::append_range(out, dims);
  }
}

LogicalResult FunctionLowering::lowerFor(scf::ForOp op) {
  // Loop state: induction variable, parity (which slot of each pair the next carried tensors go to), carried values.
  SmallVector<Type> carriedTypes;
  for (Value arg : op.getRegionIterArgs())
    flatTypes(arg.getType(), carriedTypes);
  Type ivType = convert(op.getInductionVar().getType());
  SmallVector<Type> types{ivType, f.b.getI64Type()};
  llvm::append_range(types, carriedTypes);
  Block *header = f.newBlock(types), *body = f.newBlock(), *done = f.newBlock(carriedTypes);
  SmallVector<Value> start{scalar(op.getLowerBound()), f.i64(0)};
  for (Value init : op.getInits())
    flatten(init, start);
  Value upper = scalar(op.getUpperBound()), step = scalar(op.getStep());
  f.branch(header, start);

  f.b.setInsertionPointToEnd(header);
  Value iv = header->getArgument(0), parity = header->getArgument(1);
  ValueRange carried = ValueRange(header->getArguments()).drop_front(2);
  auto predicate = op.getUnsignedCmp() ? LLVM::ICmpPredicate::ult : LLVM::ICmpPredicate::slt;
  f.condBranch(LLVM::ICmpOp::create(f.b, f.loc, predicate, iv, upper), body, {}, done, carried);

  f.b.setInsertionPointToEnd(body);
  scalars[op.getInductionVar()] = iv;
  for (Value arg : op.getRegionIterArgs())
    unflatten(arg, carried);
  if (failed(lower(*op.getBody())))
    return failure();
  SmallVector<Value> next{LLVM::AddOp::create(f.b, f.loc, iv, step), LLVM::SubOp::create(f.b, f.loc, f.i64(1), parity)};
  flattenCarried(op, op.getBody()->getTerminator()->getOperands(), parity, next);
  f.branch(header, next);

  f.b.setInsertionPointToEnd(done);
  ValueRange results = done->getArguments();
  for (Value result : op.getResults())
    unflatten(result, results);
  return success();
}

LogicalResult FunctionLowering::lowerWhile(scf::WhileOp op) {
  SmallVector<Type> types{f.b.getI64Type()}, passedTypes;
  for (Value arg : op.getBeforeArguments())
    flatTypes(arg.getType(), types);
  for (Value arg : op.getAfterArguments())
    flatTypes(arg.getType(), passedTypes);
  Block *before = f.newBlock(types), *after = f.newBlock(passedTypes), *done = f.newBlock(passedTypes);
  SmallVector<Value> start{f.i64(0)};
  for (Value init : op.getInits())
    flatten(init, start);
  f.branch(before, start);

  f.b.setInsertionPointToEnd(before);
  Value parity = before->getArgument(0);
  ValueRange carried = ValueRange(before->getArguments()).drop_front();
  for (Value arg : op.getBeforeArguments())
    unflatten(arg, carried);
  if (failed(lower(op.getBefore().front())))
    return failure();
  SmallVector<Value> passed;
  for (Value v : op.getConditionOp().getArgs())
    flatten(v, passed);
  f.condBranch(scalar(op.getConditionOp().getCondition()), after, passed, done, passed);

  f.b.setInsertionPointToEnd(after);
  ValueRange arguments = after->getArguments();
  for (Value arg : op.getAfterArguments())
    unflatten(arg, arguments);
  if (failed(lower(op.getAfter().front())))
    return failure();
  SmallVector<Value> next{LLVM::SubOp::create(f.b, f.loc, f.i64(1), parity)};
  flattenCarried(op, op.getYieldOp().getOperands(), parity, next);
  f.branch(before, next);

  f.b.setInsertionPointToEnd(done);
  ValueRange results = done->getArguments();
  for (Value result : op.getResults())
    unflatten(result, results);
  return success();
}

} // namespace leat::host
