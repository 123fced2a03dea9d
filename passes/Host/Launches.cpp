// Launches of a host function, one by one and in groups, and what has to be checked before the first that changes a cache.
#include "passes/Host/FunctionLowering.h"

#include "leat/KernelABI.h"

using namespace mlir;

namespace leat::host {

/// Before the first kernel that takes an append slot, or one in pages: does the step fit? A step that does not must not change any state.
LogicalResult FunctionLowering::checkRoom(LaunchOp launch) {
  if (roomChecked || llvm::none_of(launch.getInputs(), [&](Value v) {
        auto it = states.find(v);
        return it != states.end() && (it->second.slot.getGrowth() == Growth::Append || it->second.slot.getPage());
      }))
    return success();
  roomChecked = true;
  Value after;
  source.walk([&](StateWriteOp write) {
    Value state = write.getState();
    while (auto earlier = state.getDefiningOp<StateWriteOp>())
      state = earlier.getState();
    auto get = state.getDefiningOp<StateGetOp>();
    auto elements = write.getValue().getDefiningOp<tensor::FromElementsOp>();
    if (get && elements && elements.getElements().size() == 1 && index.states.lookup(get.getSlot()).second.getGrowth() == Growth::Counter)
      after = scalarNow(elements.getElements()[0]);
  });
  bool paged = false;
  source.walk([&](StatePutOp put) { paged |= index.states.lookup(put.getSlot()).second.getPage() > 0; });
  if (!after && paged)
    return launch.emitOpError("changes a cache in pages, and how long the stream is behind the step is not known");
  if (!after)
    return success();
  Value room;
  source.walk([&](StatePutOp put) {
    auto [at, slot] = index.states.lookup(put.getSlot());
    if (slot.getGrowth() != Growth::Append || slot.getPage())
      return;
    Value capacity = f.load(f.b.getI64Type(), statePointer(at), offsetof(LeatState, capacity));
    room = room ? LLVM::SMinOp::create(f.b, f.loc, room, capacity).getResult() : capacity;
  });
  if (room)
    f.check(LLVM::ICmpOp::create(f.b, f.loc, LLVM::ICmpPredicate::sle, after, room),
            "cache overflow: the stream has {0} tokens, the session has room for {1}; create the session with a larger context or compile "
            "with --kv=sink(4)+recent(N)",
            after, room);
  if (paged)
    f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, reserve)), {f.frame(), after}));
  return success();
}

/// A kernel that only copies the tensor in a state.
static bool copiesState(LaunchOp launch) {
  if (launch.getInputs().size() != 1 || launch.getOutputs().size() != 1)
    return false;
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelFuncOp>(launch, launch.getKernelAttr());
  Block &body = kernel.getBody().front();
  return isa<StateReadOp>(body.front()) && body.front().getNextNode() == body.getTerminator();
}

bool FunctionLowering::readsCounter(LaunchOp launch) {
  return llvm::any_of(launch.getInputs(), [&](Value v) {
    auto it = states.find(v);
    return it != states.end() && it->second.slot.getGrowth() == Growth::Counter;
  });
}

LogicalResult FunctionLowering::lowerCounterCopy(LaunchOp op) {
  HostState &state = states[op.getInputs()[0]];
  flush(state);
  auto type = cast<RankedTensorType>(op.getOutputs()[0].getType());
  int64_t bytes = storageBytes(type.getElementType()) * type.getNumElements();
  Value cell = f.cell(bytes);
  LLVM::MemcpyOp::create(f.b, f.loc, cell, f.load(f.pointer(), statePointer(state.index), offsetof(LeatState, data)), f.i64(bytes),
                         /*isVolatile=*/false);
  tensors[op.getOutputs()[0]] = onDevice(op.getOutputs()[0], cell, /*constant=*/false);
  return success();
}

LogicalResult FunctionLowering::lowerArguments(LaunchOp op, LaunchArguments &to) {
  SmallVector<Value> &buffers = to.buffers, &values = to.scalars;
  for (Value v : op.getScalars())
    values.push_back(asI64(scalar(v), v.getType()));
  for (Value v : op.getInputs()) {
    if (isa<StateType>(v.getType())) {
      HostState &state = states[v];
      flush(state);
      if (device && state.slot.getGrowth() == Growth::Counter)
        return op.emitOpError("takes the stream's counter, which a device kernel cannot reach");
      Value base = statePointer(state.index);
      buffers.push_back(f.load(f.pointer(), base, offsetof(LeatState, data)));
      values.push_back(f.load(f.b.getI64Type(), base, offsetof(LeatState, capacity)));
      values.push_back(f.load(f.b.getI64Type(), base, offsetof(LeatState, length)));
      int64_t rank = cast<StateType>(v.getType()).getContent().getRank();
      for (int64_t d = 0; d < rank; ++d)
        values.push_back(f.load(f.b.getI64Type(), base, offsetof(LeatState, dims) + 8 * d));
      continue;
    }
    buffers.push_back(tensor(v).data);
    llvm::append_range(values, dynamicDims(v));
  }
  SmallVector<Value> sizes;
  for (Value size : op.getSizes())
    sizes.push_back(scalar(size));
  ArrayRef<Value> left = sizes;
  for (auto [i, result] : llvm::enumerate(op.getOutputs())) {
    if (isa<StateType>(result.getType())) {
      auto changed = op.getChangedInput(i);
      if (!changed)
        return op.emitOpError("returns a state that its kernel does not take");
      states[result] = states.lookup(op.getInputs()[*changed]);
      continue;
    }
    auto type = cast<RankedTensorType>(result.getType());
    int64_t bytes = storageBytes(type.getElementType());
    if (!bytes)
      return op.emitOpError("makes a tensor without a storage form: ") << type;
    for (int64_t dim : type.getShape())
      bytes *= ShapedType::isDynamic(dim) ? 1 : dim;
    ArrayRef<Value> mine = left.take_front(type.getNumDynamicDims());
    left = left.drop_front(mine.size());
    Value data = f.ensure(f.i64(plan.slotOf(result)), bytes, mine);
    tensors[result] = describe(type, data, mine);
    buffers.push_back(data);
  }
  llvm::append_range(values, sizes);
  return success();
}

void FunctionLowering::storeAll(ArrayRef<Value> values, Value array, int64_t first) {
  for (auto [i, v] : llvm::enumerate(values))
    f.store(v, array, (first + i) * 8);
}

LogicalResult FunctionLowering::lowerLaunch(LaunchOp op) {
  if (failed(checkRoom(op)))
    return failure();
  if (device && readsCounter(op) && copiesState(op))
    return lowerCounterCopy(op);
  LaunchArguments arguments;
  if (failed(lowerArguments(op, arguments)))
    return failure();
  Value buffers = f.buffers(arguments.buffers.size()), scalars = f.scalars(arguments.scalars.size());
  storeAll(arguments.buffers, buffers, 0);
  storeAll(arguments.scalars, scalars, 0);
  Value kernel = f.i64(index.kernels.lookup(op.getKernel()));
  f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, launch)), {f.frame(), kernel, buffers, scalars}));
  return success();
}

/// Everything that a member needs is done before the first of them starts: buffers that grow, values that a state still waits for.
LogicalResult FunctionLowering::lowerGroup(LaunchGroupOp group) {
  SmallVector<LaunchOp> members(group.getMembers());
  SmallVector<LaunchArguments> arguments(members.size());
  int64_t buffers = 0, scalars = 0;
  for (LaunchOp member : members)
    if (failed(checkRoom(member)))
      return failure();
  for (auto [member, given] : llvm::zip(members, arguments)) {
    if (failed(lowerArguments(member, given)))
      return failure();
    buffers += given.buffers.size();
    scalars += given.scalars.size();
  }
  Value bufferArray = f.buffers(buffers), scalarArray = f.scalars(scalars), launches = f.launches();
  buffers = scalars = 0;
  for (auto [i, given] : llvm::enumerate(arguments)) {
    storeAll(given.buffers, bufferArray, buffers);
    storeAll(given.scalars, scalarArray, scalars);
    int64_t at = i * sizeof(LeatLaunch);
    f.store(f.i64(index.kernels.lookup(members[i].getKernel())), launches, at + offsetof(LeatLaunch, kernel));
    f.store(f.offset(bufferArray, buffers * 8), launches, at + offsetof(LeatLaunch, buffers));
    f.store(f.offset(scalarArray, scalars * 8), launches, at + offsetof(LeatLaunch, scalars));
    buffers += given.buffers.size();
    scalars += given.scalars.size();
  }
  f.returnUnlessZero(f.call(f.b.getI64Type(), f.field(offsetof(LeatFrame, launch_group)), {f.frame(), launches, f.i64(members.size())}));
  for (auto [result, yielded] : llvm::zip(group.getOutputs(), group.getBody().front().getTerminator()->getOperands())) {
    if (isa<StateType>(result.getType()))
      states[result] = states.lookup(yielded);
    else
      tensors[result] = HostTensor(tensor(yielded)); // a copy: the map may grow
  }
  return success();
}

} // namespace leat::host
