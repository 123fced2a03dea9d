// leat-narrow-caches: caches of attention in fewer bits. What is appended is rounded once, before anyone reads it, so that it does not
// matter whether a token is seen in the step that brings it or later: the stream stays the same however it is cut.
#include "passes/Stream/CacheCoding.h"
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

  KVPolicy wanted;
  Type narrow;                                       ///< of caches in 16 bits
  DenseMap<Value, SmallVector<Value>> encodedBefore; ///< parts, by what readers of the entry see

  /// Everyone who reads `wide` reads `rounded` instead: attention as it is, others widened again.
  void replaceReaders(Value wide, Value rounded, const CacheCoding &coding, Operation *except) {
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
        replaceReaders(user->getResult(0), moved->getResult(0), coding, nullptr);
        user->erase();
      } else if (!isa<tensor::DimOp>(user)) {
        if (!widened) {
          OpBuilder b(rounded.getDefiningOp());
          b.setInsertionPointAfter(rounded.getDefiningOp());
          widened = coding.decode(b, rounded, cast<RankedTensorType>(wide.getType()).getElementType());
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

  void narrowSlot(SlotOp slot, ArrayRef<Operation *> chain, const CacheCoding &coding) {
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
      Value rounded = coding.encode(b, update)[0];
      replaceReaders(update, rounded, coding, rounded.getDefiningOp());
    }
  }

  void retypeMoves(Value value) {
    for (Operation *user : value.getUsers())
      if (onlyMoves(user)) {
        user->getResult(0).setType(withElement(user->getResult(0).getType(), narrow));
        retypeMoves(user->getResult(0));
      }
  }

  /// How the slot's entries are stored; null, after an error, if the policy does not fit them.
  std::optional<CacheCoding> codingOf(SlotOp slot) {
    int64_t length = cast<RankedTensorType>(slot.getType()).getShape().back();
    if (!wanted.hasScales())
      return CacheCoding(wanted.precision, 0, length);
    int64_t fits = std::min<int64_t>(32, length & -length), least = wanted.precision == KVPolicy::Precision::I4 ? 2 : 1;
    int64_t group = wanted.group ? wanted.group : fits;
    if (length % group == 0 && group % least == 0)
      return CacheCoding(wanted.precision, group, length);
    slot.emitError("cache policy \"") << policy << "\": prec (dimension D7) does not fit cache '" << slot.getSymName()
                                      << "': its heads have " << length << " values, which are not groups of " << group
                                      << (least == 2 ? " with two halves each" : "");
    return std::nullopt;
  }

  /// Stores the parts that `coding` makes of entries, the first of them in the slot itself.
  void codeSlot(SlotOp slot, ArrayRef<Operation *> chain, const CacheCoding &coding) {
    auto wide = cast<RankedTensorType>(slot.getType());
    Type element = wide.getElementType();
    SmallVector<CacheCoding::Part> parts = coding.parts(&getContext());
    auto typeOf = [](Type from, const CacheCoding::Part &part) {
      auto type = cast<RankedTensorType>(from);
      SmallVector<int64_t> shape(type.getShape());
      shape.back() = part.length;
      return RankedTensorType::get(shape, part.element, type.getEncoding());
    };
    SmallVector<SlotOp> slots{slot};
    OpBuilder b(slot);
    b.setInsertionPointAfter(slot);
    for (const CacheCoding::Part &part : llvm::drop_begin(parts)) {
      auto other = cast<SlotOp>(b.clone(*slot));
      std::string name = (slot.getSymName() + part.suffix).str();
      while (SymbolTable::lookupSymbolIn(getOperation(), name))
        name += "_";
      other.setSymName(name);
      other.setInputName(""); // no tensor of the model
      other.setOutputName("");
      slots.push_back(other);
    }
    for (auto [each, part] : llvm::zip(slots, parts))
      each.setType(typeOf(wide, part));

    DenseMap<Value, SmallVector<Value>> handles; // of all parts, by that of the first
    auto retype = [&](Operation *op, const CacheCoding::Part &part) {
      op->getResult(0).setType(isa<CacheViewOp>(op) ? Type(typeOf(op->getResult(0).getType(), part))
                                                    : StateType::get(&getContext(), typeOf(wide, part)));
    };
    for (Operation *op : chain) {
      SmallVector<Value> encoded;
      if (auto append = dyn_cast<CacheAppendOp>(op))
        encoded = encode(append.getUpdate(), coding);
      SmallVector<Value> results{op->getResult(0)};
      b.setInsertionPointAfter(op);
      for (auto [i, part] : llvm::enumerate(parts)) {
        Operation *each = i == 0 ? op : b.clone(*op);
        if (auto get = dyn_cast<StateGetOp>(each))
          get.setSlot(slots[i].getSymName());
        else
          each->setOperand(0, handles[op->getOperand(0)][i]);
        if (auto append = dyn_cast<CacheAppendOp>(each))
          append.getUpdateMutable().set(encoded[i]);
        if (i > 0)
          results.push_back(each->getResult(0));
      }
      for (auto [result, part] : llvm::zip(results, parts))
        retype(result.getDefiningOp(), part);
      if (isa<CacheViewOp>(op)) {
        b.setInsertionPointAfter(results.back().getDefiningOp());
        Value seen = coding.decode(b, results, element);
        op->getResult(0).replaceUsesWithIf(
            seen, [&](OpOperand &use) { return use.getOwner() != seen.getDefiningOp() && !isa<tensor::DimOp>(use.getOwner()); });
        continue;
      }
      handles[op->getResult(0)] = results;
    }
    for (Operation *op : chain)
      for (Operation *user : llvm::make_early_inc_range(op->getResult(0).getUsers()))
        if (auto put = dyn_cast<StatePutOp>(user)) {
          b.setInsertionPointAfter(put);
          for (auto [other, handle] : llvm::zip(llvm::drop_begin(slots), llvm::drop_begin(handles[op->getResult(0)])))
            StatePutOp::create(b, put.getLoc(), other.getSymName(), handle);
        }
  }

  /// The parts of what is appended; everyone else reads it decoded.
  SmallVector<Value> encode(Value update, const CacheCoding &coding) {
    if (auto it = encodedBefore.find(update); it != encodedBefore.end())
      return it->second;
    OpBuilder b(&getContext());
    b.setInsertionPointAfterValue(update);
    SmallPtrSet<Operation *, 8> readers(update.getUsers().begin(), update.getUsers().end());
    SmallVector<Value> encoded = coding.encode(b, update);
    Value seen = coding.decode(b, encoded, cast<RankedTensorType>(update.getType()).getElementType());
    update.replaceUsesWithIf(seen, [&](OpOperand &use) { return readers.contains(use.getOwner()) && !isa<tensor::DimOp>(use.getOwner()); });
    encodedBefore[seen] = encoded; // which other appends of this entry read now
    return encoded;
  }

  void runOnOperation() override {
    std::optional<KVPolicy> parsed = parsePolicy(getOperation(), policy);
    if (!parsed)
      return signalPassFailure();
    wanted = *parsed;
    if (wanted.precision == KVPolicy::Precision::AsModel)
      return;
    bool in16Bits = wanted.precision == KVPolicy::Precision::F16 || wanted.precision == KVPolicy::Precision::BF16;
    narrow = wanted.precision == KVPolicy::Precision::F16 ? Type(Float16Type::get(&getContext())) : Type(BFloat16Type::get(&getContext()));
    bool any = false;
    for (SlotOp slot : llvm::to_vector(getOperation().getOps<SlotOp>())) {
      bool grows = slot.getGrowth() == Growth::Append || slot.getGrowth() == Growth::Ring;
      auto content = cast<RankedTensorType>(slot.getType());
      bool convertible =
          in16Bits ? content.getElementType().isF32() : isa<FloatType>(content.getElementType()) && content.getElementTypeBitWidth() <= 32;
      if (!grows || !convertible)
        continue;
      auto keep = [&](StringRef reason) {
        slot.emitWarning("cache '") << slot.getSymName() << "' keeps " << content.getElementType() << ": " << reason;
      };
      int64_t last = content.getRank() - 1;
      if (!in16Bits && (last < 1 || content.getShape()[last] <= 0 || int64_t(slot.getAxis()) == last)) {
        keep("values of one head are not adjacent, or not of known number");
        continue;
      }
      SmallVector<StateGetOp> gets;
      getOperation().walk([&](StateGetOp get) {
        if (get.getSlot() == slot.getSymName())
          gets.push_back(get);
      });
      SmallVector<Operation *> chain = gets.size() == 1 ? chainOf(gets[0]) : SmallVector<Operation *>();
      if (chain.empty()) {
        keep("something else than attention reads it");
        continue;
      }
      any = true;
      std::optional<CacheCoding> coding = codingOf(slot);
      if (!coding)
        return signalPassFailure();
      if (in16Bits) // kernels read such entries as they are
        narrowSlot(slot, chain, *coding);
      else
        codeSlot(slot, chain, *coding);
    }
    if (!any) {
      getOperation().emitError("cache policy \"") << policy << "\": prec (dimension D7) does not apply: the model has no "
                                                  << (in16Bits ? "f32 " : "") << "cache that only attention reads";
      signalPassFailure();
    }
  }
};

} // namespace
} // namespace leat::stream
