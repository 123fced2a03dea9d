// leat-state-to-values: the slots that a function uses become its operands and results.
#include "dialects/Leat/Leat.h"
#include "passes/Stream/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_STATETOVALUES
#include "passes/Stream/Passes.h.inc"

namespace {

struct StateToValues : impl::StateToValuesBase<StateToValues> {
  /// State handles and the tensors that stand for their content.
  DenseMap<Value, Value> contents;

  LogicalResult replace(Operation *op) {
    OpBuilder b(op);
    auto convert = [&](Value tensor, Type type) -> Value {
      return tensor.getType() == type ? tensor : tensor::CastOp::create(b, op->getLoc(), type, tensor);
    };
    auto content = [&](Value state) { return contents.lookup(state); };
    if (auto read = dyn_cast<StateReadOp>(op)) {
      if (Value value = content(read.getState())) {
        read.replaceAllUsesWith(convert(value, read.getType()));
        return success();
      }
    } else if (auto write = dyn_cast<StateWriteOp>(op)) {
      if (content(write.getState())) {
        contents[write] = convert(write.getValue(), write.getType().getContent());
        return success();
      }
    } else if (isa<StatePutOp>(op) && content(op->getOperand(0))) {
      return success();
    }
    auto isState = [](Type type) { return isa<StateType>(type); };
    if (!llvm::any_of(op->getOperandTypes(), isState) && !llvm::any_of(op->getResultTypes(), isState))
      return success();
    InFlightDiagnostic error = op->emitOpError("uses a state in a way that has no form on values");
    if (isa<CacheAppendOp, CacheViewOp>(op))
      error << ": run leat-decompose before leat-state-to-values";
    return error;
  }

  LogicalResult convert(func::FuncOp func, ArrayRef<SlotOp> slots) {
    llvm::MapVector<StringRef, SmallVector<StateGetOp>> gets;
    DenseMap<StringRef, StatePutOp> puts;
    SmallVector<Operation *> work;
    func.walk([&](Operation *op) {
      if (auto get = dyn_cast<StateGetOp>(op))
        gets[get.getSlot()].push_back(get);
      else if (op != func)
        work.push_back(op);
      if (auto put = dyn_cast<StatePutOp>(op))
        puts[put.getSlot()] = put;
    });
    if (gets.empty() && puts.empty())
      return success();
    Builder b(func.getContext());
    for (SlotOp slot : slots) {
      auto used = gets.find(slot.getSymName());
      if (used == gets.end())
        continue;
      unsigned at = func.getNumArguments();
      auto attrs = b.getDictionaryAttr(b.getNamedAttr("leat.slot", FlatSymbolRefAttr::get(slot.getSymNameAttr())));
      if (failed(func.insertArgument(at, slot.getType(), attrs, slot.getLoc())))
        return failure();
      for (StateGetOp get : used->second)
        contents[get] = func.getArgument(at);
    }
    for (Operation *op : work)
      if (failed(replace(op)))
        return failure();
    auto end = cast<func::ReturnOp>(func.getBody().back().getTerminator());
    for (SlotOp slot : slots)
      if (StatePutOp put = puts.lookup(slot.getSymName())) {
        auto attrs = b.getDictionaryAttr(b.getNamedAttr("leat.slot", FlatSymbolRefAttr::get(slot.getSymNameAttr())));
        if (failed(func.insertResult(func.getNumResults(), slot.getType(), attrs)))
          return failure();
        end.getOperandsMutable().append(contents.lookup(put.getState()));
      }
    for (Operation *op : llvm::reverse(work))
      if (isa<StateReadOp, StateWriteOp, StatePutOp>(op))
        op->erase();
    for (auto &[name, used] : gets)
      for (StateGetOp get : used)
        get.erase();
    return success();
  }

  void runOnOperation() override {
    SmallVector<SlotOp> slots(getOperation().getOps<SlotOp>());
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (failed(convert(func, slots)))
        return signalPassFailure();
    for (SlotOp slot : slots) // what is left of them is the attribute of the operands and results
      slot.erase();
  }
};

} // namespace
} // namespace leat::stream
