// leat-narrow-caches: caches of attention in 16 bits. What is appended is rounded once, before anyone reads it, so that it does not matter
// whether a token is seen in the step that brings it or later: the stream stays the same however it is cut.
#include "dialects/Leat/Leat.h"
#include "passes/Stream/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_NARROWCACHES
#include "passes/Stream/Passes.h.inc"

namespace {

RankedTensorType withElement(Type type, Type element) {
  auto from = cast<RankedTensorType>(type);
  return RankedTensorType::get(from.getShape(), element, from.getEncoding());
}

bool isKeyOrValue(OpOperand &use) {
  auto attend = dyn_cast<KVAttendOp>(use.getOwner());
  auto among = [&](MutableOperandRange range) { return llvm::any_of(range, [&](OpOperand &o) { return &o == &use; }); };
  return attend && (among(attend.getKMutable()) || among(attend.getVMutable()));
}

/// Ops that only move elements: they can be had for another element type.
bool onlyMoves(Operation *op) { return isa<tensor::ExtractSliceOp, tensor::CastOp>(op); }

struct NarrowCaches : impl::NarrowCachesBase<NarrowCaches> {
  using NarrowCachesBase::NarrowCachesBase;

  Type narrow;

  /// Element by element, `value` as another type.
  Value convert(OpBuilder &b, Value value, Type element) {
    Location loc = value.getLoc();
    auto type = withElement(value.getType(), element);
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes.push_back(tensor::DimOp::create(b, loc, value, i));
    Value empty = tensor::EmptyOp::create(b, loc, type, sizes);
    SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(type.getRank()));
    SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
    return linalg::GenericOp::create(b, loc, type, value, empty, maps, loops,
                                     [&](OpBuilder &inner, Location l, ValueRange args) {
                                       Value x = element == narrow ? arith::TruncFOp::create(inner, l, element, args[0]).getResult()
                                                                   : arith::ExtFOp::create(inner, l, element, args[0]).getResult();
                                       linalg::YieldOp::create(inner, l, x);
                                     })
        .getResult(0);
  }

  /// Everyone who reads `wide` reads `rounded` instead: attention as it is, others widened again.
  void replaceReaders(Value wide, Value rounded, Operation *except) {
    Value widened;
    for (OpOperand &use : llvm::make_early_inc_range(wide.getUses())) {
      Operation *user = use.getOwner();
      if (user == except)
        continue;
      if (isKeyOrValue(use) || isa<CacheAppendOp>(user)) {
        use.set(rounded);
      } else if (onlyMoves(user)) {
        OpBuilder b(user);
        Operation *moved = b.clone(*user);
        moved->setOperand(0, rounded);
        moved->getResult(0).setType(withElement(user->getResult(0).getType(), narrow));
        replaceReaders(user->getResult(0), moved->getResult(0), nullptr);
        user->erase();
      } else if (!isa<tensor::DimOp>(user)) {
        if (!widened) {
          OpBuilder b(rounded.getDefiningOp());
          b.setInsertionPointAfter(rounded.getDefiningOp());
          widened = convert(b, rounded, cast<RankedTensorType>(wide.getType()).getElementType());
        }
        use.set(widened);
      }
    }
  }

  /// Handles of the slot in this function, from its leat.state_get on; none if it is used in another way than by appends, and views that
  /// only attention reads.
  SmallVector<Operation *> chainOf(StateGetOp get) {
    SmallVector<Operation *> ops{get};
    for (size_t i = 0; i < ops.size(); ++i) {
      if (isa<CacheViewOp>(ops[i])) {
        SmallVector<Value> moved{ops[i]->getResult(0)};
        while (!moved.empty())
          for (OpOperand &use : moved.pop_back_val().getUses()) {
            if (onlyMoves(use.getOwner()))
              moved.push_back(use.getOwner()->getResult(0));
            else if (!isKeyOrValue(use) && !isa<tensor::DimOp>(use.getOwner()))
              return {};
          }
        continue;
      }
      for (Operation *user : ops[i]->getResult(0).getUsers()) {
        if (isa<StatePutOp>(user))
          continue;
        if (!isa<CacheAppendOp, CacheViewOp>(user))
          return {};
        if (!llvm::is_contained(ops, user))
          ops.push_back(user);
      }
    }
    return ops;
  }

  void narrowSlot(SlotOp slot, ArrayRef<Operation *> chain) {
    auto content = withElement(slot.getType(), narrow);
    slot.setType(content);
    for (Operation *op : chain) {
      if (auto view = dyn_cast<CacheViewOp>(op)) {
        Value seen = view.getOutput();
        seen.setType(withElement(seen.getType(), narrow));
        retypeMoves(seen);
        continue;
      }
      op->getResult(0).setType(StateType::get(&getContext(), content));
      auto append = dyn_cast<CacheAppendOp>(op);
      if (!append)
        continue;
      Value update = append.getUpdate();
      if (cast<RankedTensorType>(update.getType()).getElementType() == narrow)
        continue; // rounded for another slot
      OpBuilder b(&getContext());
      b.setInsertionPointAfterValue(update);
      Value rounded = convert(b, update, narrow);
      replaceReaders(update, rounded, rounded.getDefiningOp());
    }
  }

  void retypeMoves(Value value) {
    for (Operation *user : value.getUsers())
      if (onlyMoves(user)) {
        user->getResult(0).setType(withElement(user->getResult(0).getType(), narrow));
        retypeMoves(user->getResult(0));
      }
  }

  void runOnOperation() override {
    std::optional<KVPolicy> parsed = parsePolicy(getOperation(), policy);
    if (!parsed)
      return signalPassFailure();
    if (parsed->precision == KVPolicy::Precision::AsModel)
      return;
    narrow = parsed->precision == KVPolicy::Precision::F16 ? Type(Float16Type::get(&getContext())) : Type(BFloat16Type::get(&getContext()));
    bool any = false;
    for (SlotOp slot : getOperation().getOps<SlotOp>()) {
      bool grows = slot.getGrowth() == Growth::Append || slot.getGrowth() == Growth::Ring;
      if (!grows || !cast<RankedTensorType>(slot.getType()).getElementType().isF32())
        continue;
      SmallVector<StateGetOp> gets;
      getOperation().walk([&](StateGetOp get) {
        if (get.getSlot() == slot.getSymName())
          gets.push_back(get);
      });
      SmallVector<Operation *> chain = gets.size() == 1 ? chainOf(gets[0]) : SmallVector<Operation *>();
      if (chain.empty()) {
        slot.emitWarning("cache '") << slot.getSymName() << "' keeps f32: something else than attention reads it";
        continue;
      }
      narrowSlot(slot, chain);
      any = true;
    }
    if (!any) {
      getOperation().emitError("cache policy \"")
          << policy << "\": prec (dimension D7) does not apply: the model has no f32 cache that only attention reads";
      signalPassFailure();
    }
  }
};

} // namespace
} // namespace leat::stream
