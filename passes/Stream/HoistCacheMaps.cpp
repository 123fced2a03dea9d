// leat-hoist-cache-maps: what is computed from each entry of a cache on its own is computed once, when the entry is appended; a cache that
// is read transposed is stored that way.
//
// A quantised decoder reads its cache through QuantizeLinear and DequantizeLinear, others keep [B, T, H, D]. After this a step rounds and
// moves only what is new, and attention reads the cache as it is, so that it takes policies.
#include "passes/Stream/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_HOISTCACHEMAPS
#include "passes/Stream/Passes.h.inc"

namespace {

/// Whether `op` maps each element of `input` by itself, with the same numbers for all entries along `axis`.
bool mapsEntries(linalg::GenericOp op, Value input, int64_t axis) {
  auto type = cast<RankedTensorType>(input.getType());
  if (op->getNumResults() != 1 || op.getNumParallelLoops() != op.getNumLoops() || op.getNumLoops() != type.getRank() ||
      !op.getIndexingMapMatchingResult(op->getResult(0)).isIdentity() || !op.getBody()->getArguments().back().use_empty() ||
      !op.getBody()->getOps<linalg::IndexOp>().empty())
    return false;
  bool reads = false;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (operand->get() == input) {
      if (reads || !map.isIdentity())
        return false;
      reads = true;
      continue;
    }
    Operation *def = operand->get().getDefiningOp();
    if (!def || !(def->hasTrait<OpTrait::ConstantLike>() || isa<ParamRefOp>(def)) || map.isFunctionOfDim(axis))
      return false;
  }
  SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  return reads && llvm::all_of(captured, [](Value v) {
           Operation *def = v.getDefiningOp();
           return def && def->hasTrait<OpTrait::ConstantLike>();
         });
}

/// The permutation of a generic that only moves elements: axis i of its result is axis perm[i] of its operand.
std::optional<SmallVector<int64_t>> permutationOf(linalg::GenericOp op) {
  if (op->getNumResults() != 1 || op.getNumDpsInputs() != 1 || op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getIndexingMapMatchingResult(op->getResult(0)).isIdentity() || op.getBody()->getOperations().size() != 1 ||
      op.getBody()->getTerminator()->getOperand(0) != op.getBody()->getArgument(0))
    return std::nullopt;
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
  if (!map.isPermutation())
    return std::nullopt;
  SmallVector<int64_t> perm(map.getNumResults());
  for (auto [i, e] : llvm::enumerate(map.getResults()))
    perm[cast<AffineDimExpr>(e).getPosition()] = i;
  return perm;
}

class Hoister {
public:
  explicit Hoister(CacheViewOp view) : view(view), append(view.getState().getDefiningOp<CacheAppendOp>()) {}

  void run() {
    if (!isOnlyReader())
      return;
    hoistMaps();
    storeTransposed();
  }

private:
  void hoistMaps() {
    SmallVector<linalg::GenericOp> chain = findChain();
    if (chain.empty())
      return;
    // The same operations on what is new, in front of the append.
    OpBuilder b(append);
    Value input = view, update = append.getUpdate();
    for (linalg::GenericOp op : chain) {
      for (Value operand : op->getOperands())
        if (Operation *def = operand.getDefiningOp(); def && (def->hasTrait<OpTrait::ConstantLike>() || isa<ParamRefOp>(def)))
          def->moveBefore(&append->getBlock()->front());
      SetVector<Value> captured;
      getUsedValuesDefinedAbove(op->getRegions(), captured);
      for (Value v : captured)
        v.getDefiningOp()->moveBefore(&append->getBlock()->front());
      auto from = cast<RankedTensorType>(update.getType());
      auto type = RankedTensorType::get(from.getShape(), cast<RankedTensorType>(op->getResult(0).getType()).getElementType());
      SmallVector<Value> sizes;
      for (int64_t i = 0; i < type.getRank(); ++i)
        if (type.isDynamicDim(i))
          sizes.push_back(tensor::DimOp::create(b, op.getLoc(), update, i));
      IRMapping mapping;
      mapping.map(input, update);
      mapping.map(op.getDpsInits()[0], tensor::EmptyOp::create(b, op.getLoc(), type, sizes).getResult());
      Operation *made = b.clone(*op, mapping);
      made->getResult(0).setType(type);
      input = op->getResult(0), update = made->getResult(0);
    }
    append.getUpdateMutable().assign(update);
    Value last = chain.back()->getResult(0);
    if (last.getType() != view.getType()) {
      b.setInsertionPointAfter(view);
      Value same = tensor::CastOp::create(b, view.getLoc(), last.getType(), view);
      last.replaceAllUsesWith(same);
    } else {
      last.replaceAllUsesWith(view);
    }
    for (linalg::GenericOp op : llvm::reverse(chain))
      op.erase();
  }

  void storeTransposed() {
    auto move = view->hasOneUse() ? dyn_cast<linalg::GenericOp>(*view->getUsers().begin()) : linalg::GenericOp();
    auto perm = move ? permutationOf(move) : std::nullopt;
    auto get = append.getState().getDefiningOp<StateGetOp>();
    int64_t axis = slot.getAxis(), batchAxis = slot.getBatchAxis();
    if (!perm || (batchAxis >= 0 && (*perm)[0] != batchAxis))
      return;
    auto arranged = [&](RankedTensorType type) {
      SmallVector<int64_t> shape;
      for (int64_t p : *perm)
        shape.push_back(type.getDimSize(p));
      return RankedTensorType::get(shape, type.getElementType());
    };
    auto place = [&](int64_t a) { return a < 0 ? a : static_cast<int64_t>(llvm::find(*perm, a) - perm->begin()); };
    OpBuilder b(append);
    Value update = append.getUpdate();
    auto type = arranged(cast<RankedTensorType>(update.getType()));
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes.push_back(tensor::DimOp::create(b, append.getLoc(), update, (*perm)[i]));
    IRMapping mapping;
    mapping.map(Value(view), update);
    mapping.map(move.getDpsInits()[0], tensor::EmptyOp::create(b, append.getLoc(), type, sizes).getResult());
    Operation *moved = b.clone(*move, mapping);
    moved->getResult(0).setType(type);
    append.getUpdateMutable().assign(moved->getResult(0));

    RankedTensorType content = arranged(cast<RankedTensorType>(slot.getType()));
    slot.setType(content);
    slot.setAxis(place(axis));
    slot.setBatchAxis(place(batchAxis));
    auto handle = StateType::get(append.getContext(), content);
    get.getState().setType(handle);
    append.getNext().setType(handle);
    view.getOutput().setType(cast<RankedTensorType>(move->getResult(0).getType()));
    move->getResult(0).replaceAllUsesWith(view);
    move.erase();
  }

  /// Nothing but this view sees the entries: no view of the past, no second append, no other function.
  bool isOnlyReader() {
    auto get = append ? append.getState().getDefiningOp<StateGetOp>() : StateGetOp();
    slot = get ? SymbolTable::lookupNearestSymbolFrom<SlotOp>(view, get.getSlotAttr()) : SlotOp();
    if (!slot || slot.getGrowth() != Growth::Append || append->getBlock() != view->getBlock() || !append.getState().hasOneUse() ||
        !llvm::all_of(append.getNext().getUsers(), [&](Operation *user) { return user == view || isa<StatePutOp>(user); }))
      return false;
    auto uses = SymbolTable::getSymbolUses(slot.getSymNameAttr(), slot->getParentOfType<ModuleOp>());
    return uses && llvm::all_of(*uses, [&](SymbolTable::SymbolUse use) { return use.getUser() == get || isa<StatePutOp>(use.getUser()); });
  }

  /// From the view to a result of the cache's own element type, each the only reader of the one before.
  SmallVector<linalg::GenericOp> findChain() {
    SmallVector<linalg::GenericOp> chain, whole;
    Value at = view;
    while (at.hasOneUse()) {
      auto op = dyn_cast<linalg::GenericOp>(*at.getUsers().begin());
      if (!op || !mapsEntries(op, at, slot.getAxis()))
        break;
      chain.push_back(op);
      at = op->getResult(0);
      if (cast<RankedTensorType>(at.getType()).getElementType() == cast<RankedTensorType>(view.getType()).getElementType())
        whole = chain;
    }
    return whole;
  }

  CacheViewOp view;
  CacheAppendOp append;
  SlotOp slot;
};

struct HoistCacheMaps : impl::HoistCacheMapsBase<HoistCacheMaps> {
  void runOnOperation() override {
    std::vector<CacheViewOp> views;
    getOperation().walk([&](CacheViewOp view) { views.push_back(view); });
    for (CacheViewOp view : views)
      Hoister(view).run();
  }
};

} // namespace
} // namespace leat::stream
