// Adds the one kind of order that values do not show: reads of a handle before its in-place update.
#include "passes/Fuse/StateOrder.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"
#include <queue>

using namespace mlir;

namespace leat::fuse {

static bool changes(Operation *op, Value state) {
  auto kernel = dyn_cast<KernelOp>(op);
  if (!kernel)
    return false;
  for (auto [input, arg] : llvm::zip(kernel.getInputs(), kernel.getBody().front().getArguments()))
    if (input == state && llvm::any_of(arg.getUses(), [](OpOperand &use) {
          return isa<CacheAppendOp, StateWriteOp>(use.getOwner()) && use.getOperandNumber() == 0; // and not the table of its pages
        }))
      return true;
  return false;
}

LogicalResult orderStateUses(Block &block) {
  // Edges from readers of a handle to the kernel that changes it.
  SmallVector<std::pair<Operation *, Operation *>> edges;
  bool inOrder = true;
  for (Operation &op : block) {
    if (op.getNumOperands() == 0)
      continue;
    for (Value state : llvm::SmallSetVector<Value, 4>(op.operand_begin(), op.operand_end())) {
      if (!isa<StateType>(state.getType()) || !changes(&op, state))
        continue;
      for (Operation *user : state.getUsers()) {
        Operation *reader = block.findAncestorOpInBlock(*user);
        if (!reader || reader == &op || isa<StatePutOp>(reader))
          continue;
        if (changes(reader, state))
          return op.emitOpError("and another kernel both change one state: handles are used once");
        edges.emplace_back(reader, &op);
        inOrder &= reader->isBeforeInBlock(&op);
      }
    }
  }
  if (inOrder)
    return success();

  // Stable topological order: the earliest op that is ready goes first.
  SmallVector<Operation *> ops;
  llvm::DenseMap<Operation *, unsigned> index;
  for (Operation &op : block.without_terminator()) {
    index[&op] = ops.size();
    ops.push_back(&op);
  }
  SmallVector<SmallVector<unsigned, 4>> after(ops.size());
  SmallVector<unsigned> waits(ops.size());
  auto edge = [&](Operation *from, unsigned to) {
    auto it = index.find(from);
    if (it == index.end())
      return;
    after[it->second].push_back(to);
    ++waits[to];
  };
  for (auto [position, op] : llvm::enumerate(ops)) {
    llvm::SetVector<Value> values(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), values);
    for (Value value : values)
      if (Operation *def = value.getDefiningOp())
        edge(def, position);
  }
  for (auto [reader, writer] : edges)
    edge(reader, index.lookup(writer));
  std::priority_queue<unsigned, std::vector<unsigned>, std::greater<>> ready;
  for (unsigned i = 0; i < ops.size(); ++i)
    if (!waits[i])
      ready.push(i);
  SmallVector<Operation *> order;
  while (!ready.empty()) {
    unsigned i = ready.top();
    ready.pop();
    order.push_back(ops[i]);
    for (unsigned next : after[i])
      if (--waits[next] == 0)
        ready.push(next);
  }
  if (order.size() != ops.size()) {
    for (auto [reader, writer] : edges)
      if (waits[index.lookup(reader)])
        return reader->emitOpError(
            "needs the old content of a state and a result of the kernel that overwrites it; copy what is read before the update");
  }
  Operation *end = block.mightHaveTerminator() ? block.getTerminator() : nullptr;
  for (Operation *op : order)
    end ? op->moveBefore(end) : op->moveBefore(&block, block.end());
  return success();
}

} // namespace leat::fuse
