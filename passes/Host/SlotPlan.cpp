// Lifetimes over the linearised function, then a linear scan. Views, branches and loops make a tensor value stand for one of several
// buffers; a use of the value keeps all of them alive, and what enters a loop from outside stays alive until the loop ends.
#include "passes/Host/SlotPlan.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace leat::host {

bool needsBuffer(Value value) {
  return llvm::any_of(value.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    if (auto reshape = dyn_cast<tensor::ReshapeOp>(user))
      return use.getOperandNumber() == 0;
    if (auto extract = dyn_cast<tensor::ExtractOp>(user))
      return !llvm::all_of(extract.getIndices(), [](Value index) { return matchPattern(index, m_Constant()); });
    return !isa<tensor::DimOp>(user);
  });
}

struct SlotPlan::Planner {
  using Roots = SmallVector<unsigned, 2>;
  struct Buffer {
    int64_t begin = 0, end = 0;
    bool dedicated = false;
    Value value;               // the owner, or
    Operation *loop = nullptr; // the loop that carries it
    unsigned index = 0;
    int64_t staticBytes = 0;
    SmallVector<Value, 4> dynamicSizes;
    int64_t slot = -1;
  };
  struct Loop {
    int64_t begin;
    llvm::SetVector<unsigned> touched;
  };

  std::vector<Buffer> buffers;
  DenseMap<Value, Roots> roots;
  SmallVector<Loop> loops;
  int64_t position = 0;

  Buffer fresh() const {
    Buffer buffer;
    buffer.begin = buffer.end = position;
    return buffer;
  }

  static bool isTensor(Value v) { return isa<RankedTensorType>(v.getType()); }

  void touch(Value v) {
    auto it = roots.find(v);
    if (it == roots.end())
      return;
    for (unsigned root : it->second) {
      buffers[root].end = std::max(buffers[root].end, position);
      if (!loops.empty())
        loops.back().touched.insert(root);
    }
  }

  void define(Value v, ArrayRef<Value> sizes) {
    auto type = cast<RankedTensorType>(v.getType());
    Buffer buffer = fresh();
    buffer.value = v;
    buffer.staticBytes = std::max<int64_t>(1, type.getElementType().isIndex() ? 8 : (type.getElementTypeBitWidth() + 7) / 8);
    for (int64_t dim : type.getShape())
      if (!ShapedType::isDynamic(dim))
        buffer.staticBytes *= dim;
    buffer.dynamicSizes.assign(sizes.begin(), sizes.end());
    llvm::sort(buffer.dynamicSizes, [](Value a, Value b) { return a.getAsOpaquePointer() < b.getAsOpaquePointer(); });
    roots[v].push_back(buffers.size());
    buffers.push_back(std::move(buffer));
  }

  void defineResults(LaunchOp launch) {
    ArrayRef<Value> none;
    unsigned next = 0;
    SmallVector<Value> sizes(launch.getSizes());
    for (Value result : launch.getOutputs()) {
      if (!isTensor(result))
        continue; // a state, updated where it is
      unsigned n = cast<RankedTensorType>(result.getType()).getNumDynamicDims();
      define(result, next + n <= sizes.size() ? ArrayRef<Value>(sizes).slice(next, n) : none);
      next += n;
    }
  }

  void alias(Value to, Value from) {
    auto it = roots.find(from);
    if (it == roots.end())
      return;
    Roots sources = it->second; // the map may grow below
    Roots &into = roots[to];
    for (unsigned root : sources)
      if (!llvm::is_contained(into, root))
        into.push_back(root);
  }

  /// Two buffers for a carried tensor, alive from the loop's start on. Returns their ids.
  Roots carry(Operation *loop, unsigned index) {
    Roots ids;
    for (int i = 0; i < 2; ++i) {
      Buffer buffer = fresh();
      buffer.dedicated = true;
      buffer.loop = loop;
      buffer.index = index;
      ids.push_back(buffers.size());
      buffers.push_back(std::move(buffer));
    }
    return ids;
  }

  void enter() { loops.push_back({position, {}}); }
  void leave() {
    ++position;
    Loop loop = loops.pop_back_val();
    for (unsigned root : loop.touched) {
      if (buffers[root].begin <= loop.begin)
        buffers[root].end = std::max(buffers[root].end, position);
      if (!loops.empty())
        loops.back().touched.insert(root);
    }
  }

  void visit(Block &block) {
    for (Operation &op : block)
      visit(op);
  }

  void visit(Operation &op) {
    ++position;
    for (Value operand : op.getOperands())
      touch(operand);
    if (auto launch = dyn_cast<LaunchOp>(op)) {
      defineResults(launch);
    } else if (auto group = dyn_cast<LaunchGroupOp>(op)) {
      // The members run at once: what one reads and what another writes are alive together.
      for (LaunchOp member : group.getMembers())
        for (Value operand : member.getOperands())
          touch(operand);
      for (LaunchOp member : group.getMembers())
        defineResults(member);
      for (auto [result, yielded] : llvm::zip(group.getResults(), group.getBody().front().getTerminator()->getOperands()))
        alias(result, yielded);
    } else if (auto elements = dyn_cast<tensor::FromElementsOp>(op)) {
      if (needsBuffer(elements))
        define(elements, {});
    } else if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
      define(empty, SmallVector<Value>(empty.getDynamicSizes()));
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      for (Region *region : {&branch.getThenRegion(), &branch.getElseRegion()}) {
        if (region->empty())
          continue;
        visit(region->front());
        for (auto [result, yielded] : llvm::zip(branch.getResults(), region->front().getTerminator()->getOperands()))
          alias(result, yielded);
      }
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      visitLoop(loop, loop.getInits(), loop.getRegionIterArgs(), loop.getBody()->getTerminator()->getOperands(), [&] {
        visit(*loop.getBody());
        for (auto [result, arg] : llvm::zip(loop.getResults(), loop.getRegionIterArgs()))
          alias(result, arg);
      });
    } else if (auto loop = dyn_cast<scf::WhileOp>(op)) {
      visitLoop(loop, loop.getInits(), loop.getBeforeArguments(), loop.getYieldOp().getOperands(), [&] {
        visit(loop.getBefore().front());
        for (auto [arg, result, passed] : llvm::zip(loop.getAfterArguments(), loop.getResults(), loop.getConditionOp().getArgs())) {
          alias(arg, passed);
          alias(result, passed);
        }
        visit(loop.getAfter().front());
      });
    } else {
      // Views, states that hold a tensor still to be stored, and what else hands a tensor on without memory of its own.
      for (Value result : op.getResults())
        if (isa<RankedTensorType, StateType>(result.getType()))
          for (Value operand : op.getOperands())
            alias(result, operand);
    }
  }

  void visitLoop(Operation *loop, ValueRange inits, ValueRange args, ValueRange yielded, function_ref<void()> body) {
    enter();
    for (auto [i, init, arg, next] : llvm::enumerate(inits, args, yielded)) {
      if (!isTensor(arg))
        continue;
      alias(arg, init);
      if (next != arg)
        llvm::append_range(roots[arg], carry(loop, i));
    }
    body();
    leave();
  }

  /// Linear scan. Returns the number of slots.
  int64_t assign() {
    int64_t count = 0;
    SmallVector<unsigned> order, active, freed; // freed: buffers whose slot may be taken over
    for (unsigned i = 0; i < buffers.size(); ++i)
      order.push_back(i);
    llvm::sort(order, [&](unsigned a, unsigned b) { return std::pair(buffers[a].begin, a) < std::pair(buffers[b].begin, b); });
    for (unsigned id : order) {
      Buffer &buffer = buffers[id];
      if (buffer.dedicated) {
        buffer.slot = count++;
        continue;
      }
      for (unsigned i = 0; i < active.size();) {
        if (buffers[active[i]].end < buffer.begin) {
          freed.push_back(active[i]);
          active.erase(active.begin() + i);
        } else {
          ++i;
        }
      }
      auto sameSize = [&](unsigned other) {
        return buffers[other].staticBytes == buffer.staticBytes && buffers[other].dynamicSizes == buffer.dynamicSizes;
      };
      // The same size expression never makes the slot grow; otherwise one that was of the same kind (fixed or dynamic size).
      auto best = llvm::find_if(freed, sameSize);
      if (best == freed.end())
        best = llvm::find_if(freed, [&](unsigned other) { return buffers[other].dynamicSizes.empty() == buffer.dynamicSizes.empty(); });
      if (best != freed.end()) {
        buffer.slot = buffers[*best].slot;
        freed.erase(best);
      } else {
        buffer.slot = count++;
      }
      active.push_back(id);
    }
    return count;
  }
};

SlotPlan::SlotPlan(func::FuncOp function) {
  Planner planner;
  planner.visit(function.getBody().front());
  // The caller reads outputs after the call: their memory belongs to nothing else.
  for (Value result : function.getBody().front().getTerminator()->getOperands()) {
    auto it = planner.roots.find(result);
    if (it != planner.roots.end())
      for (unsigned root : it->second)
        planner.buffers[root].dedicated = true;
  }
  slots = planner.assign();
  for (Planner::Buffer &buffer : planner.buffers) {
    if (buffer.value)
      valueSlot[buffer.value] = buffer.slot;
    else
      carried.try_emplace({buffer.loop, buffer.index}, buffer.slot);
  }
}

} // namespace leat::host
