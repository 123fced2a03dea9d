// leat-page-caches: growing slots as pools of pages. Runs last of the passes that shape caches, so that all of them know one form of a
// cache.
#include "dialects/Leat/Leat.h"
#include "passes/Stream/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_PAGECACHES
#include "passes/Stream/Passes.h.inc"

namespace {

struct PageCaches : impl::PageCachesBase<PageCaches> {
  using PageCachesBase::PageCachesBase;

  InFlightDiagnostic refuse(SlotOp slot) {
    InFlightDiagnostic error = slot.emitError("cache policy \"") << policy << "\": layout=paged (dimension D1) does not fit ";
    return std::move(error << "cache '" << slot.getSymName() << "': ");
  }

  /// The table, declared in front of the first pool.
  SlotOp tableBefore(SlotOp slot, int64_t page) {
    OpBuilder b(slot);
    auto type = RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic}, b.getI32Type());
    return SlotOp::create(b, slot.getLoc(), "leat.table", type, Growth::Table, /*axis=*/1, /*batch_axis=*/0, /*sink=*/0, /*ring=*/0, page,
                          "", "");
  }

  Value tableIn(func::FuncOp func) {
    Value &table = tables[func];
    if (!table) {
      OpBuilder b(func.getBody());
      table = StateGetOp::create(b, func.getLoc(), StateType::get(&getContext(), tableType), "leat.table");
    }
    return table;
  }

  LogicalResult page(SlotOp slot, int64_t entries) {
    auto content = cast<RankedTensorType>(slot.getType());
    if (content.getRank() != 4 || slot.getAxis() != 2 || slot.getBatchAxis() != 0 || content.isDynamicDim(1) || content.isDynamicDim(3))
      return refuse(slot) << content << " does not grow as [batch, heads, tokens, size] with heads and size that the model says";
    auto pool =
        RankedTensorType::get({ShapedType::kDynamic, content.getDimSize(1), entries, content.getDimSize(3)}, content.getElementType());
    slot.setType(pool);
    slot.setPage(entries);
    slot.setBatchAxis(-1);
    SmallVector<Value> handles;
    getOperation().walk([&](StateGetOp get) {
      if (get.getSlot() == slot.getSymName())
        handles.push_back(get);
    });
    for (size_t i = 0; i < handles.size(); ++i) {
      handles[i].setType(StateType::get(&getContext(), pool));
      for (Operation *user : handles[i].getUsers()) {
        auto func = user->getParentOfType<func::FuncOp>();
        if (auto append = dyn_cast<CacheAppendOp>(user)) {
          append.getTableMutable().assign(tableIn(func));
          if (!llvm::is_contained(handles, append.getNext()))
            handles.push_back(append.getNext());
        } else if (auto view = dyn_cast<CacheViewOp>(user)) {
          view.getTableMutable().assign(tableIn(func));
        } else if (!isa<StatePutOp>(user)) {
          return refuse(slot) << "'" << user->getName() << "' reads it as one block";
        }
      }
    }
    return success();
  }

  void runOnOperation() override {
    std::optional<KVPolicy> parsed = parsePolicy(getOperation(), policy);
    if (!parsed)
      return signalPassFailure();
    if (!parsed->page)
      return;
    SmallVector<SlotOp> growing;
    for (SlotOp slot : getOperation().getOps<SlotOp>())
      if (slot.getGrowth() == Growth::Append || slot.getGrowth() == Growth::Ring)
        growing.push_back(slot);
    if (growing.empty()) {
      getOperation().emitError("cache policy \"")
          << policy << "\": layout=paged (dimension D1) does not apply: the model has no state that Leat recognises as growing";
      return signalPassFailure();
    }
    tableType = cast<RankedTensorType>(tableBefore(growing.front(), parsed->page).getType());
    for (SlotOp slot : growing)
      if (failed(page(slot, parsed->page)))
        return signalPassFailure();
  }

  RankedTensorType tableType;
  DenseMap<Operation *, Value> tables; ///< the handle in each function
};

} // namespace
} // namespace leat::stream
