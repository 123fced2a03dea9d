// leat-group-launches: finds launches that need not wait for each other and makes them one group, so that a layer has as few parallel
// regions as its data flow allows. Values show most of the order; that of reads and changes of a slot is kept as it is in the program.
#include "passes/Host/Passes.h"

#include "dialects/Leat/Leat.h"
#include "leat/KernelABI.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

namespace leat::host {
#define GEN_PASS_DEF_GROUPLAUNCHES
#include "passes/Host/Passes.h.inc"
} // namespace leat::host

using namespace mlir;

namespace leat::host {

namespace {

/// How many launches a later one may overtake to join a group: as many as a layer puts between its products. What is computed far ahead
/// of its use would only hold memory.
constexpr unsigned mostOvertaken = 8;

using Slots = llvm::SmallSetVector<Attribute, 4>;

/// Slots whose memory is read and changed.
struct Touched {
  Slots reads, changes;

  bool empty() const { return reads.empty() && changes.empty(); }
  bool conflicts(const Touched &other) const {
    auto meet = [](const Slots &a, const Slots &b) { return llvm::any_of(a, [&](Attribute slot) { return b.contains(slot); }); };
    return meet(changes, other.changes) || meet(changes, other.reads) || meet(reads, other.changes);
  }
  void add(const Touched &other) {
    reads.insert(other.reads.begin(), other.reads.end());
    changes.insert(other.changes.begin(), other.changes.end());
  }
};

/// Which slots' memory each value of a function stands for: handles, and tensors that are read where they are.
class SlotMemory {
public:
  explicit SlotMemory(func::FuncOp function) { visit(function.getBody()); }

  const Slots &of(Value v) const {
    static const Slots none;
    auto it = slots.find(v);
    return it == slots.end() ? none : it->second;
  }
  Touched touched(Operation *op) const;

private:
  void visit(Region &region);
  void give(ValueRange to, const Slots &from) {
    for (Value v : to)
      if (isa<RankedTensorType, StateType>(v.getType()) && !from.empty())
        slots[v].insert(from.begin(), from.end());
  }

  llvm::DenseMap<Value, Slots> slots;
};

class Grouper {
public:
  Grouper(ModuleOp module, func::FuncOp function) : module(module), memory(function) {}
  /// Returns how many groups were made.
  unsigned run(Block &block);

private:
  SmallVector<LaunchOp> membersFrom(LaunchOp first);
  bool canJoin(LaunchOp launch);
  void build(ArrayRef<LaunchOp> members);

  ModuleOp module;
  SlotMemory memory;
};

struct GroupLaunches : impl::GroupLaunchesBase<GroupLaunches> {
  using GroupLaunchesBase::GroupLaunchesBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      Grouper grouper(getOperation(), function);
      function.walk([&](Block *block) { numGroups += grouper.run(*block); });
    }
  }
};

} // namespace

void SlotMemory::visit(Region &region) {
  for (Block &block : region)
    for (Operation &op : block) {
      Slots all;
      if (auto get = dyn_cast<StateGetOp>(op))
        all.insert(get.getSlotAttr());
      for (Value operand : op.getOperands())
        all.insert(of(operand).begin(), of(operand).end());
      if (auto launch = dyn_cast<LaunchOp>(op)) {
        for (auto [i, result] : llvm::enumerate(launch.getOutputs()))
          if (auto input = isa<StateType>(result.getType()) ? launch.getChangedInput(i) : std::nullopt)
            give(result, of(launch.getInputs()[*input]));
        continue; // tensors have memory of their own
      }
      for (Region &inner : op.getRegions()) {
        for (Block &body : inner)
          give(body.getArguments(), all);
        visit(inner);
        inner.walk([&](Operation *nested) {
          for (Value operand : nested->getOperands())
            all.insert(of(operand).begin(), of(operand).end());
        });
      }
      give(op.getResults(), all);
    }
}

Touched SlotMemory::touched(Operation *op) const {
  Touched result;
  if (auto launch = dyn_cast<LaunchOp>(op)) {
    llvm::SmallSetVector<unsigned, 4> changed;
    for (auto [i, output] : llvm::enumerate(launch.getOutputs()))
      if (isa<StateType>(output.getType()))
        if (auto input = launch.getChangedInput(i))
          changed.insert(*input);
    for (auto [i, input] : llvm::enumerate(launch.getInputs())) {
      // What the host wants stored is stored before the launch.
      bool changes = changed.contains(i) || input.getDefiningOp<StateWriteOp>();
      (changes ? result.changes : result.reads).insert(of(input).begin(), of(input).end());
    }
    return result;
  }
  bool changes = isa<StatePutOp>(op); // what leat.state_write says is done where its handle is taken
  for (Value operand : op->getOperands())
    (changes ? result.changes : result.reads).insert(of(operand).begin(), of(operand).end());
  return result;
}

/// The counter is copied by the host where there is a device.
bool Grouper::canJoin(LaunchOp launch) {
  return llvm::none_of(launch.getInputs(), [&](Value input) {
    return isa<StateType>(input.getType()) && llvm::any_of(memory.of(input), [&](Attribute name) {
             auto slot = module.lookupSymbol<SlotOp>(cast<FlatSymbolRefAttr>(name).getAttr());
             return !slot || slot.getGrowth() == Growth::Counter;
           });
  });
}

/// Can be moved to where its operands are known.
static bool isMovable(Operation *op) { return op->getNumRegions() == 0 && isMemoryEffectFree(op); }

SmallVector<LaunchOp> Grouper::membersFrom(LaunchOp first) {
  SmallVector<LaunchOp> members;
  llvm::DenseSet<Value> late; // values of members, and of what stays behind them
  Touched before;             // of the same
  unsigned overtaken = 0;
  for (Operation *op = first; op && overtaken <= mostOvertaken && members.size() < LEAT_MAX_GROUP; op = op->getNextNode()) {
    bool waits = llvm::any_of(op->getOperands(), [&](Value v) { return late.contains(v); });
    Touched touched = memory.touched(op);
    if (auto launch = dyn_cast<LaunchOp>(op)) {
      if (!waits && canJoin(launch) && !touched.conflicts(before))
        members.push_back(launch);
      else
        ++overtaken;
    } else if (isa<cf::AssertOp>(op)) {
      if (waits)
        break; // kernels behind it rely on it
      continue;
    } else if (isMovable(op)) {
      if (!waits && touched.empty())
        continue;
    } else if (!isa<StatePutOp>(op)) {
      break; // control flow, the end
    }
    late.insert(op->result_begin(), op->result_end());
    before.add(touched);
  }
  return members;
}

void Grouper::build(ArrayRef<LaunchOp> members) {
  LaunchOp first = members.front();
  // What members need and stands behind the first one moves in front of it: operands, and checks that kernels rely on.
  llvm::SmallSetVector<Operation *, 16> needed(members.begin(), members.end());
  for (Operation *op = first; op != members.back(); op = op->getNextNode())
    if (isa<cf::AssertOp>(op))
      needed.insert(op);
  for (size_t i = 0; i < needed.size(); ++i)
    for (Value operand : needed[i]->getOperands())
      if (Operation *def = operand.getDefiningOp(); def && def->getBlock() == first->getBlock() && first->isBeforeInBlock(def))
        needed.insert(def);
  SmallVector<Operation *> moved = needed.takeVector();
  moved.erase(moved.begin(), moved.begin() + members.size());
  llvm::sort(moved, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : moved)
    op->moveBefore(first);

  OpBuilder b(first);
  SmallVector<Value> results;
  for (LaunchOp member : members)
    llvm::append_range(results, member.getResults());
  auto group = LaunchGroupOp::create(b, first.getLoc(), ValueRange(results).getTypes());
  Block &body = group.getBody().emplaceBlock();
  for (auto [inner, outer] : llvm::zip(results, group.getResults()))
    inner.replaceAllUsesWith(outer);
  for (LaunchOp member : members)
    member->moveBefore(&body, body.end());
  b.setInsertionPointToEnd(&body);
  YieldOp::create(b, first.getLoc(), results);
}

unsigned Grouper::run(Block &block) {
  unsigned count = 0;
  if (isa<LaunchGroupOp>(block.getParentOp()))
    return count;
  for (Operation *op = block.empty() ? nullptr : &block.front(); op;) {
    auto launch = dyn_cast<LaunchOp>(op);
    SmallVector<LaunchOp> members = launch && canJoin(launch) ? membersFrom(launch) : SmallVector<LaunchOp>();
    Operation *next = op->getNextNode();
    while (next && llvm::is_contained(members, next))
      next = next->getNextNode();
    if (members.size() > 1) {
      build(members);
      ++count;
    }
    op = next;
  }
  return count;
}

} // namespace leat::host
