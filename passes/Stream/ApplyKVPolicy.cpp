// leat-apply-kv-policy: caches that keep some tokens and forget the rest, under the same attention.
#include "passes/Stream/IndexAnalysis.h"
#include "passes/Stream/Passes.h"
#include "passes/Stream/RotaryTables.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_APPLYKVPOLICY
#include "passes/Stream/Passes.h.inc"

namespace {

/// One attention over two cached tensors, as MakeStep and ClassifyMasks leave it.
struct CachedAttention {
  KVAttendOp op;
  CacheViewOp kView, vView;
  CacheAppendOp kAppend, vAppend;
  std::optional<Slope> slope; // ALiBi
};

class PolicyRewriter {
public:
  PolicyRewriter(func::FuncOp step, KVPolicy policy) : step(step), policy(policy) {}

  LogicalResult run() {
    std::vector<CachedAttention> attentions;
    if (failed(collect(attentions)))
      return failure();
    if (failed(findStream()))
      return failure();
    for (CachedAttention &a : attentions)
      if (failed(rewrite(a)))
        return failure();
    return success();
  }

private:
  LogicalResult collect(std::vector<CachedAttention> &attentions);
  LogicalResult findStream();
  LogicalResult rewrite(CachedAttention &a);
  FailureOr<Value> rankQuery(KVAttendOp op, Value q);
  Value positions(Value size, llvm::function_ref<Value(OpBuilder &, Location, Value)> fn);
  Value index(int64_t v) { return arith::ConstantIndexOp::create(builder, loc, v); }
  Value sliceTokens(OpBuilder &b, Location l, Value v, Value offset, Value size);
  Value slopeBias(OpBuilder &b, CachedAttention &a, Value keyPositions, bool atRank);
  void makePositions();

  func::FuncOp step;
  KVPolicy policy;
  OpBuilder builder{step.getContext()};
  Location loc = step.getLoc();
  Value seen, length;       // tokens before this step, tokens of this step
  Value oldSinks, newSinks; // sinks in the cache, sinks among the new tokens
  Value live, rest;         // live ring entries, new tokens that are no sinks
  Value qPos, qRank;        // of the queries: in the text, and in the cache of sinks and ring
  Value sinkPos, newSinkPos, ringPos, restPos;
  llvm::DenseMap<Value, Value> atRank; // a tensor computed from positions -> the same from ranks
};

LogicalResult refuse(Operation *op, const Twine &why) { return op->emitError("the cache policy does not apply: ") << why; }

/// Whether the attention is causal, maybe with a bias that grows with the distance; that is taken out of the operand, for it has to follow
/// the positions of what is kept.
static bool readBias(CachedAttention &a) {
  if (a.op.getBias().empty())
    return a.op.getCausal();
  BiasClass bias = classifyBias(a.op);
  bool causal = bias.mask.kind == MaskClass::Causal || bias.mask.kind == MaskClass::Window;
  auto type = cast<RankedTensorType>(a.op.getQ()[0].getType());
  if (!bias.slope || (!causal && !(a.op.getCausal() && bias.mask.kind == MaskClass::None)) || type.isDynamicDim(1) || a.op.getSinkBias())
    return false;
  a.slope = bias.slope;
  a.op.setCausal(true);
  if (bias.mask.kind == MaskClass::Window)
    a.op.setWindowLeft(static_cast<int64_t>(a.op.getWindowLeft()) < 0 ? bias.mask.left
                                                                      : std::min<int64_t>(a.op.getWindowLeft(), bias.mask.left));
  return true;
}

LogicalResult PolicyRewriter::collect(std::vector<CachedAttention> &attentions) {
  llvm::SmallPtrSet<Operation *, 16> used;
  WalkResult walk = step.walk([&](KVAttendOp op) {
    if (op.getK().size() != 1)
      return WalkResult::advance();
    CachedAttention a{op, op.getK()[0].getDefiningOp<CacheViewOp>(), op.getV()[0].getDefiningOp<CacheViewOp>(), {}, {}, {}};
    if (!a.kView || !a.vView)
      return WalkResult::advance(); // cross attention, or attention without a cache
    a.kAppend = a.kView.getState().getDefiningOp<CacheAppendOp>();
    a.vAppend = a.vView.getState().getDefiningOp<CacheAppendOp>();
    if (!a.kAppend || !a.vAppend || !a.kAppend.getState().getDefiningOp<StateGetOp>() || !a.vAppend.getState().getDefiningOp<StateGetOp>())
      return WalkResult(refuse(op, "it reads a cache that is not appended to once"));
    if (!readBias(a) || op.getKvLen() || op.getQPos())
      return WalkResult(refuse(op, "its mask is not causal in a way that Leat can prove, so forgetting tokens would change what it means"));
    if (!op.getVisible().empty() && policy.sink && policy.sinkPosition == KVPolicy::Position::Rank)
      return WalkResult(refuse(op, "its mask is a function of positions, and pos=sink:rank reads sinks at others; use pos=*:abs"));
    if (op.getQLayout() != "bhsd" || op.getKvLayout() != "bhsd")
      return WalkResult(refuse(op, "its operands are already in a packed layout"));
    used.insert(a.kView), used.insert(a.vView);
    attentions.push_back(a);
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  walk = step.walk([&](CacheViewOp view) {
    if (used.contains(view) && llvm::all_of(view->getUsers(), [](Operation *u) { return isa<KVAttendOp>(u); }))
      return WalkResult::advance();
    return WalkResult(refuse(view, "something other than a recognised attention reads this cache"));
  });
  if (walk.wasInterrupted())
    return failure();
  if (attentions.empty())
    return refuse(step, "the step has no attention over a cache");
  return success();
}

LogicalResult PolicyRewriter::findStream() {
  CacheAppendOp any;
  step.walk([&](CacheAppendOp op) {
    any = op;
    return WalkResult::interrupt();
  });
  seen = any.getAt();
  Operation *def = seen.getDefiningOp();
  builder.setInsertionPointAfter(def);
  length = nullptr;
  // MakeStep computes the length of the step next to the counter.
  for (Operation *user : seen.getUsers())
    if (auto add = dyn_cast<arith::AddIOp>(user);
        add && add->getBlock() == def->getBlock() && add.getLhs() == seen && add.getRhs().getDefiningOp<tensor::DimOp>()) {
      length = add.getRhs();
      builder.setInsertionPointAfter(add);
      break;
    }
  if (!length || !length.getDefiningOp<tensor::DimOp>())
    return refuse(step, "the length of the step is not known");
  makePositions();
  return success();
}

/// i64 tensor of `size` entries: fn(i).
Value PolicyRewriter::positions(Value size, llvm::function_ref<Value(OpBuilder &, Location, Value)> fn) {
  auto type = RankedTensorType::get({ShapedType::kDynamic}, builder.getI64Type());
  Value empty = tensor::EmptyOp::create(builder, loc, type, size);
  auto body = [&](OpBuilder &b, Location l, ValueRange) {
    Value p = fn(b, l, linalg::IndexOp::create(b, l, 0));
    linalg::YieldOp::create(b, l, arith::IndexCastOp::create(b, l, b.getI64Type(), p).getResult());
  };
  return linalg::GenericOp::create(builder, loc, type, ValueRange(), empty, builder.getMultiDimIdentityMap(1),
                                   utils::IteratorType::parallel, body)
      .getResult(0);
}

void PolicyRewriter::makePositions() {
  Value zero = index(0), sinks = index(policy.sink), ring = index(policy.recent), one = index(1);
  auto sub = [&](Value a, Value b) -> Value { return arith::SubIOp::create(builder, loc, a, b); };
  auto min = [&](Value a, Value b) -> Value { return arith::MinSIOp::create(builder, loc, a, b); };
  auto max = [&](Value a, Value b) -> Value { return arith::MaxSIOp::create(builder, loc, a, b); };
  qPos = positions(length, [&](OpBuilder &b, Location l, Value i) -> Value { return arith::AddIOp::create(b, l, seen, i); });
  qRank = positions(length, [&](OpBuilder &b, Location l, Value i) -> Value {
    Value t = arith::AddIOp::create(b, l, seen, i);
    return arith::MinSIOp::create(b, l, t, arith::ConstantIndexOp::create(b, l, policy.sink + policy.recent));
  });
  newSinks = zero, rest = length;
  if (policy.sink) {
    oldSinks = min(seen, sinks);
    newSinks = min(max(sub(sinks, seen), zero), length);
    rest = sub(length, newSinks);
    sinkPos = positions(oldSinks, [&](OpBuilder &, Location, Value i) { return i; });
    newSinkPos = positions(newSinks, [&](OpBuilder &b, Location l, Value i) -> Value { return arith::AddIOp::create(b, l, seen, i); });
  }
  // Ring slot j holds the youngest token of the past whose number, counted from the first after the sinks, is j modulo the ring.
  Value past = max(sub(seen, sinks), zero);
  live = min(past, ring);
  Value last = sub(past, one);
  ringPos = positions(live, [&](OpBuilder &b, Location l, Value j) -> Value {
    Value back = arith::AddIOp::create(b, l, arith::SubIOp::create(b, l, last, j), ring);
    Value age = arith::RemSIOp::create(b, l, back, ring);
    return arith::AddIOp::create(b, l, sinks, arith::SubIOp::create(b, l, last, age));
  });
  Value first = arith::AddIOp::create(builder, loc, seen, newSinks);
  restPos = positions(rest, [&](OpBuilder &b, Location l, Value i) -> Value { return arith::AddIOp::create(b, l, first, i); });
}

/// Tokens [offset, offset + size) of a [B, H, S, D] tensor.
Value PolicyRewriter::sliceTokens(OpBuilder &b, Location l, Value v, Value offset, Value size) {
  auto type = cast<RankedTensorType>(v.getType());
  SmallVector<OpFoldResult> offsets(4, b.getIndexAttr(0)), sizes, strides(4, b.getIndexAttr(1));
  for (int64_t i = 0; i < 4; ++i)
    sizes.push_back(type.isDynamicDim(i) ? OpFoldResult(tensor::DimOp::create(b, l, v, i).getResult())
                                         : OpFoldResult(b.getIndexAttr(type.getDimSize(i))));
  offsets[2] = offset, sizes[2] = size;
  return tensor::ExtractSliceOp::create(b, l, v, offsets, sizes, strides);
}

/// The bias [1, H, S, T] of keys at these positions: slope * (key - query). What does not depend on the key is the same in a whole row, and
/// softmax does not see it. `atRank`: the queries stand at their rank in the cache.
Value PolicyRewriter::slopeBias(OpBuilder &b, CachedAttention &a, Value keyPositions, bool atRank) {
  const Slope &slope = *a.slope;
  int64_t perKey = 0, any = ShapedType::kDynamic;
  for (auto [symbol, coefficient] : slope.factor.terms)
    if (symbol == Linear::Symbol{nullptr, 3})
      perKey = coefficient;
  Location l = a.op.getLoc();
  int64_t heads = cast<RankedTensorType>(a.op.getQ()[0].getType()).getDimSize(1);
  Type element = cast<RankedTensorType>(a.op.getBias()[0].getType()).getElementType(), f32 = b.getF32Type();
  auto type = RankedTensorType::get({1, heads, any, any}, element);
  Value keys = tensor::DimOp::create(b, l, keyPositions, 0);
  Value empty = tensor::EmptyOp::create(b, l, type, ValueRange{length, keys});
  Value table = slope.table;
  SmallVector<Linear, 4> tableAt(slope.at);
  if (!table) {
    SmallVector<float> values(slope.values.begin(), slope.values.end());
    auto vector = RankedTensorType::get({static_cast<int64_t>(values.size())}, f32);
    table = arith::ConstantOp::create(b, l, DenseElementsAttr::get(vector, ArrayRef<float>(values)));
    tableAt = {Linear::formal(1)};
  }
  MLIRContext *c = b.getContext();
  auto along = [&](unsigned d) { return AffineMap::get(4, 0, b.getAffineDimExpr(d), c); };
  SmallVector<utils::IteratorType> loops(4, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &n, Location at, ValueRange args) {
    Value distance = arith::SIToFPOp::create(n, at, f32, arith::SubIOp::create(n, at, args[0], args[1]));
    SmallVector<Value> where;
    for (const Linear &i : tableAt)
      where.push_back(i.asConstant() ? Value(arith::ConstantIndexOp::create(n, at, *i.asConstant()))
                                     : Value(linalg::IndexOp::create(n, at, 1)));
    Value steep = tensor::ExtractOp::create(n, at, table, where);
    if (steep.getType() != f32)
      steep = steep.getType().getIntOrFloatBitWidth() < 32 ? Value(arith::ExtFOp::create(n, at, f32, steep))
                                                           : Value(arith::TruncFOp::create(n, at, f32, steep));
    Value factor = arith::ConstantOp::create(n, at, n.getF32FloatAttr(slope.scale * perKey));
    Value v = arith::MulFOp::create(n, at, arith::MulFOp::create(n, at, steep, factor), distance);
    if (element != f32)
      v = element.getIntOrFloatBitWidth() < 32 ? Value(arith::TruncFOp::create(n, at, element, v))
                                               : Value(arith::ExtFOp::create(n, at, element, v));
    linalg::YieldOp::create(n, at, v);
  };
  return linalg::GenericOp::create(b, l, type, ValueRange{keyPositions, atRank ? qRank : qPos}, empty,
                                   ArrayRef<AffineMap>{along(3), along(2), b.getMultiDimIdentityMap(4)}, loops, body)
      .getResult(0);
}

/// All operations that compute `root` and depend on one of `leaves`.
static void dependents(Value root, const llvm::SmallPtrSetImpl<void *> &leaves, llvm::DenseMap<Value, bool> &memo,
                       llvm::SetVector<Operation *> &slice) {
  auto visit = [&](auto &&self, Value v) -> bool {
    if (leaves.contains(v.getAsOpaquePointer()))
      return true;
    if (auto it = memo.find(v); it != memo.end())
      return it->second;
    Operation *def = v.getDefiningOp();
    if (!def)
      return memo[v] = false;
    llvm::SetVector<Value> operands(def->operand_begin(), def->operand_end());
    getUsedValuesDefinedAbove(def->getRegions(), operands);
    bool depends = false;
    for (Value o : operands)
      depends |= self(self, o);
    if (depends)
      slice.insert(def);
    return memo[v] = depends;
  };
  visit(visit, root);
}

/// The rotation whose result `q` is, maybe in another layout or scaled; `behind` are the operations in between, the last first.
static RotaryOp rotationOf(Value q, SmallVectorImpl<Operation *> *behind = nullptr) {
  while (Operation *def = q.getDefiningOp()) {
    if (auto rotary = dyn_cast<RotaryOp>(def))
      return rotary;
    Value next;
    if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ReshapeOp, tensor::CastOp>(def)) {
      next = def->getOperand(0);
    } else if (auto generic = dyn_cast<linalg::GenericOp>(def)) {
      if (generic.getNumDpsInputs() == 1 && generic.getNumParallelLoops() == generic.getNumLoops() &&
          generic.getMatchingIndexingMap(generic.getDpsInputOperand(0)).isPermutation() &&
          generic.getBody()->getOps<linalg::IndexOp>().empty())
        next = generic.getDpsInputs()[0];
    }
    if (!next)
      return RotaryOp();
    if (behind)
      behind->push_back(def);
    q = next;
  }
  return RotaryOp();
}

/// The query rotated at its rank in the cache, min(t, S + R).
FailureOr<Value> PolicyRewriter::rankQuery(KVAttendOp op, Value q) {
  SmallVector<Operation *> behind; // from the query back to its rotation
  auto rotary = rotationOf(q, &behind);
  if (!rotary)
    return refuse(op, "pos=sink:rank needs a rotary embedding on the query that Leat recognises (rule L3: learned positions allow only "
                      "abs); use pos=*:abs");
  auto map = [&](Value v) -> FailureOr<Value> {
    if (Value done = atRank.lookup(v))
      return done;
    // Everything that computes v; among it the integer tensors that hold the absolute positions.
    llvm::DenseMap<Value, bool> memo;
    llvm::SetVector<Operation *> all;
    llvm::SmallPtrSet<void *, 4> seenOnly{seen.getAsOpaquePointer()};
    dependents(v, seenOnly, memo, all);
    Linear from = IndexAnalysis().index(seen);
    llvm::SmallPtrSet<void *, 4> leaves;
    IRMapping mapping;
    for (Operation *o : all) {
      auto type = o->getNumResults() == 1 ? dyn_cast<RankedTensorType>(o->getResult(0).getType()) : RankedTensorType();
      if (!type || !type.getElementType().isInteger() || type.getRank() < 1 || type.getRank() > 2)
        continue;
      SmallVector<Linear> at{Linear::formal(0), Linear::formal(1)};
      Formula f = IndexAnalysis().element(o->getResult(0), ArrayRef(at).take_back(type.getRank()));
      if (!f.linear || !(*f.linear == from + Linear::formal(1)))
        continue;
      OpBuilder b(o->getContext());
      b.setInsertionPointAfter(o);
      Value source = o->getResult(0);
      SmallVector<Value> sizes;
      for (int64_t i = 0; i < type.getRank(); ++i)
        if (type.isDynamicDim(i))
          sizes.push_back(tensor::DimOp::create(b, loc, source, i));
      Value empty = tensor::EmptyOp::create(b, loc, type, sizes);
      AffineMap id = b.getMultiDimIdentityMap(type.getRank());
      SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
      auto clamp = linalg::GenericOp::create(
          b, loc, type, source, empty, ArrayRef<AffineMap>{id, id}, loops, [&](OpBuilder &n, Location l, ValueRange args) {
            Value limit = arith::ConstantOp::create(n, l, n.getIntegerAttr(type.getElementType(), policy.sink + policy.recent));
            linalg::YieldOp::create(n, l, arith::MinSIOp::create(n, l, args[0], limit).getResult());
          });
      leaves.insert(source.getAsOpaquePointer());
      mapping.map(source, clamp.getResult(0));
    }
    if (leaves.empty())
      return refuse(rotary, "pos=sink:rank cannot find the positions that this rotary embedding is computed from; use pos=*:abs");
    llvm::DenseMap<Value, bool> memo2;
    llvm::SetVector<Operation *> slice;
    dependents(v, leaves, memo2, slice);
    for (Operation *o : slice)
      if (isa<KVAttendOp, MatmulNBitsOp, CacheViewOp>(o))
        return refuse(rotary, "the positions of this rotary embedding depend on the model's hidden state");
    SmallVector<Operation *> order(slice.begin(), slice.end());
    llvm::sort(order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    // Clone behind the original, so that all other operands dominate.
    OpBuilder b(order.back()->getContext());
    b.setInsertionPointAfter(order.back());
    for (Operation *o : order)
      b.clone(*o, mapping);
    Value ranked = mapping.lookup(v);
    atRank[v] = ranked;
    return ranked;
  };
  FailureOr<Value> cos = map(rotary.getCos()), sin = map(rotary.getSin());
  if (failed(cos) || failed(sin))
    return failure();
  OpBuilder b(op);
  Value ranked =
      RotaryOp::create(b, rotary.getLoc(), rotary.getType(), rotary.getInput(), *cos, *sin, rotary.getInterleaved(), rotary.getRotaryDim());
  IRMapping mapping;
  mapping.map(rotary.getOutput(), ranked);
  for (Operation *o : llvm::reverse(behind))
    ranked = b.clone(*o, mapping)->getResult(0);
  return ranked;
}

LogicalResult PolicyRewriter::rewrite(CachedAttention &a) {
  KVAttendOp op = a.op;
  Value q = op.getQ()[0];
  Value qSink = q;
  bool sinksAtRank = policy.sink && policy.sinkPosition == KVPolicy::Position::Rank;
  if (sinksAtRank && (!a.slope || rotationOf(q))) {
    FailureOr<Value> ranked = rankQuery(op, q);
    if (failed(ranked))
      return failure();
    qSink = *ranked;
  }
  OpBuilder b(op);
  Location l = op.getLoc();
  Value kNew = a.kAppend.getUpdate(), vNew = a.vAppend.getUpdate();
  Value k0 = a.kAppend.getState(), v0 = a.vAppend.getState();
  Value zero = arith::ConstantIndexOp::create(b, l, 0), sinks = arith::ConstantIndexOp::create(b, l, policy.sink);
  auto view = [&](Value state, CacheViewOp like, Value offset, Value size) -> Value {
    return CacheViewOp::create(b, l, like.getType(), state, offset, size, /*table=*/Value());
  };
  // A model with a sliding window of its own keeps it, in the positions at which keys are read.
  int64_t own = static_cast<int64_t>(op.getWindowLeft()), window = own < 0 ? policy.recent : std::min(own, policy.recent);
  auto attend = [&](Value query, ValueRange k, ValueRange v, ValueRange pos, int64_t left, bool withLse, Value sinkBias,
                    bool atRank = false) {
    SmallVector<Value> bias;
    for (Value p : pos)
      if (a.slope)
        bias.push_back(slopeBias(b, a, p, atRank));
    SmallVector<Type> types{op.getOutput().getType()};
    auto outType = cast<RankedTensorType>(op.getOutput().getType());
    if (withLse)
      types.push_back(RankedTensorType::get(outType.getShape().take_front(3), b.getF32Type()));
    SmallVector<Value> queries(k.size(), query);
    auto n = KVAttendOp::create(b, l, types, queries, k, v, atRank && left >= 0 ? qRank : qPos, pos, bias, Value(), sinkBias,
                                op.getScaleAttr(), b.getUnitAttr(), b.getI64IntegerAttr(left), b.getI64IntegerAttr(-1), op.getSoftcapAttr(),
                                op.getQLayoutAttr(), op.getKvLayoutAttr(), op.getOLayoutAttr());
    // A mask program sees the positions in the text of what is kept.
    IRMapping mapping;
    op.getVisible().cloneInto(&n.getVisible(), mapping);
    return n;
  };
  Value kRest = sliceTokens(b, l, kNew, newSinks, rest), vRest = sliceTokens(b, l, vNew, newSinks, rest);
  if (!policy.sink)
    kRest = kNew, vRest = vNew;
  Value kRing = view(k0, a.kView, sinks, live), vRing = view(v0, a.vView, sinks, live);
  Value result, lse;
  if (policy.sink && op.getOLayout() != "bhsd")
    return refuse(op, "its result is already in a packed layout");
  // A logit without a value counts once, in one of the two.
  KVAttendOp local = attend(q, {kRing, kRest}, {vRing, vRest}, {ringPos, restPos}, window, policy.sink || op.getLse(), op.getSinkBias());
  result = local.getOutput(), lse = local.getLse();
  if (policy.sink) {
    Value kOld = view(k0, a.kView, zero, oldSinks), vOld = view(v0, a.vView, zero, oldSinks);
    Value kFirst = sliceTokens(b, l, kNew, zero, newSinks), vFirst = sliceTokens(b, l, vNew, zero, newSinks);
    KVAttendOp first = attend(qSink, {kOld, kFirst}, {vOld, vFirst}, {sinkPos, newSinkPos}, own, true, Value(), sinksAtRank);
    auto merge = AttnMergeOp::create(b, l, TypeRange{result.getType(), lse.getType()}, ValueRange{first.getOutput(), result},
                                     ValueRange{first.getLse(), lse});
    result = merge.getOutput(), lse = merge.getLse();
  }
  op.getOutput().replaceAllUsesWith(result);
  if (op.getLse())
    op.getLse().replaceAllUsesWith(lse);
  // Append after the attention: the ring may overwrite what this step still saw.
  auto append = [&](CacheAppendOp old) {
    auto slot = SymbolTable::lookupNearestSymbolFrom<SlotOp>(step, old.getState().getDefiningOp<StateGetOp>().getSlotAttr());
    slot.setGrowth(Growth::Ring);
    slot.setSink(policy.sink);
    slot.setRing(policy.recent);
    Value next = CacheAppendOp::create(b, l, old.getNext().getType(), old.getState(), old.getUpdate(), old.getAt(), /*table=*/Value(),
                                       old.getLayout());
    for (OpOperand &use : llvm::make_early_inc_range(old.getNext().getUses()))
      if (isa<StatePutOp>(use.getOwner()))
        use.set(next);
  };
  append(a.kAppend);
  append(a.vAppend);
  op.erase();
  for (CacheViewOp v : {a.kView, a.vView})
    if (v->use_empty())
      v.erase();
  for (CacheAppendOp v : {a.kAppend, a.vAppend})
    if (v->use_empty())
      v.erase();
  return success();
}

struct ApplyKVPolicy : impl::ApplyKVPolicyBase<ApplyKVPolicy> {
  using ApplyKVPolicyBase::ApplyKVPolicyBase;

  void runOnOperation() override {
    std::optional<KVPolicy> parsed = parsePolicy(getOperation(), policy);
    if (!parsed)
      return signalPassFailure();
    if (parsed->retainsAll())
      return;
    auto step = getOperation().lookupSymbol<func::FuncOp>("step");
    if (!step) {
      getOperation().emitError("cache policy \"")
          << policy
          << "\": the model has no state that Leat recognises (past and present tensors); name the pairs in a state override file";
      return signalPassFailure();
    }
    if (failed(extendRotaryTables(step)) || failed(PolicyRewriter(step, *parsed).run()))
      return signalPassFailure();
    step->setAttr("leat.kv", KVAttr::get(&getContext(), parsed->str()));
  }
};

} // namespace
} // namespace leat::stream
