// leat-make-step: the stateless model becomes a step function over state slots.
#include "passes/Import/CacheForms.h"
#include "passes/Stream/IndexAnalysis.h"
#include "passes/Stream/JoinedPasts.h"
#include "passes/Stream/Passes.h"
#include "passes/Stream/PastBranch.h"
#include "passes/Stream/StateNames.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace leat::stream {
#define GEN_PASS_DEF_MAKESTEP
#include "passes/Stream/Passes.h.inc"

namespace {

StringRef argName(func::FuncOp f, unsigned i) {
  auto name = f.getArgAttrOfType<StringAttr>(i, "onnx.name");
  return name ? name.getValue() : StringRef();
}

StringRef resultName(func::FuncOp f, unsigned i) {
  auto name = f.getResultAttrOfType<StringAttr>(i, "onnx.name");
  return name ? name.getValue() : StringRef();
}

/// The symbol of a dimension of an argument; "" when it is static or unnamed.
StringRef dimSymbol(func::FuncOp f, unsigned arg, unsigned dim) {
  auto dims = f.getArgAttrOfType<ArrayAttr>(arg, "onnx.dims");
  if (!dims || dim >= dims.size())
    return "";
  StringRef s = cast<StringAttr>(dims[dim]).getValue();
  int64_t number;
  return s.getAsInteger(10, number) ? s : StringRef();
}

Value stripCasts(Value v) {
  while (auto cast = v.getDefiningOp<tensor::CastOp>())
    v = cast.getSource();
  return v;
}

struct Pair : PastPair {
  std::optional<StateOverride> forced;
};

/// How the output of a pair comes from its input.
struct Growing {
  int64_t axis = -1;             // -1: overwritten as a whole
  SmallVector<Value> update;     // appended parts, in order
  Operation *producer = nullptr; // the op that makes the grown tensor
};

class StepBuilder {
public:
  /// `goneArgs` and `goneResults`: what is none of the step's any more.
  StepBuilder(func::FuncOp step, ArrayRef<Pair> pairs, llvm::BitVector goneArgs, llvm::BitVector goneResults)
      : step(step), pairs(pairs), builder(step.getBody()), loc(step.getLoc()), goneArgs(std::move(goneArgs)),
        goneResults(std::move(goneResults)) {}

  LogicalResult run() {
    if (failed(findTokens()))
      return failure();
    declareCounter();
    for (const Pair &pair : pairs)
      if (!goneArgs[pair.input] && failed(convert(pair)))
        return failure();
    bindPositions();
    replaceSizes();
    finish();
    return success();
  }

private:
  LogicalResult findTokens();
  void declareCounter();
  LogicalResult convert(const Pair &pair);
  std::optional<Growing> growth(const Pair &pair);
  void bindPositions();
  void replaceSizes();
  void finish();
  Value iotaFromSeen(RankedTensorType type);
  Value splat(RankedTensorType type, Value scalar, ArrayRef<Value> sizes);
  Value intConstant(Type type, int64_t v) { return arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(type, v)); }
  SlotOp declareSlot(StringRef name, RankedTensorType type, Growth growth, int64_t axis, int64_t batchAxis, StringRef in, StringRef out);
  /// The value of a dimension of an argument that goes away; null when nothing says it.
  Value sizeOf(unsigned arg, unsigned dim);

  func::FuncOp step;
  ArrayRef<Pair> pairs;
  OpBuilder builder; // at the start of the step
  Location loc;
  unsigned tokens = 0;
  Value seen, batch, length, total;
  SlotOp counter;
  StateType counterType;
  llvm::StringMap<Value> symbols; // sizes by the name of the symbolic dimension
  llvm::DenseMap<unsigned, int64_t> grownAxis;
  SmallVector<std::pair<SlotOp, Value>> finals; // slots and their handles at the end of the step
  llvm::BitVector goneArgs, goneResults;
};

LogicalResult StepBuilder::findTokens() {
  static const llvm::StringLiteral names[] = {"input_ids", "decoder_input_ids", "tokens", "inputs_embeds", "input"};
  for (StringRef name : names)
    for (unsigned i = 0; i < step.getNumArguments(); ++i) {
      auto type = dyn_cast<RankedTensorType>(step.getArgument(i).getType());
      if (argName(step, i) == name && type && type.getRank() >= 2) {
        tokens = i;
        return success();
      }
    }
  return step.emitWarning("no step function: no input looks like the tokens (input_ids, decoder_input_ids, tokens, inputs_embeds, input)");
}

SlotOp StepBuilder::declareSlot(StringRef name, RankedTensorType type, Growth growth, int64_t axis, int64_t batchAxis, StringRef in,
                                StringRef out) {
  OpBuilder at(step->getContext());
  at.setInsertionPoint(step->getParentOfType<ModuleOp>().lookupSymbol("main"));
  return SlotOp::create(at, loc, name, type, growth, axis, batchAxis, /*sink=*/0, /*ring=*/0, /*page=*/0, in, out);
}

void StepBuilder::declareCounter() {
  auto type = RankedTensorType::get({}, builder.getI64Type());
  counter = declareSlot("leat.seen", type, Growth::Counter, -1, -1, "", "");
  counterType = StateType::get(builder.getContext(), type);
  Value handle = StateGetOp::create(builder, loc, counterType, counter.getSymName());
  Value content = StateReadOp::create(builder, loc, type, handle);
  Value scalar = tensor::ExtractOp::create(builder, loc, content, ValueRange());
  seen = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), scalar);
  Value ids = step.getArgument(tokens);
  batch = tensor::DimOp::create(builder, loc, ids, 0);
  length = tensor::DimOp::create(builder, loc, ids, 1);
  total = arith::AddIOp::create(builder, loc, seen, length);
  symbols[dimSymbol(step, tokens, 0)] = batch;
  symbols[dimSymbol(step, tokens, 1)] = length;
}

std::optional<Growing> StepBuilder::growth(const Pair &pair) {
  Value arg = step.getArgument(pair.input);
  auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
  Value out = stripCasts(ret.getOperand(pair.output));
  Growing g;
  if (auto concat = out.getDefiningOp<tensor::ConcatOp>()) {
    if (stripCasts(concat.getInputs().front()) == arg && concat.getInputs().size() >= 2) {
      g.axis = concat.getDim();
      g.update.assign(concat.getInputs().begin() + 1, concat.getInputs().end());
      g.producer = concat;
      return g;
    }
  }
  // Written at positions that the names say are those after what was seen (write_indices, seqlens_k): at one's own length, so it appends.
  if (auto write = import::matchCacheWrite(out); write && stripCasts(write->past) == arg) {
    g.axis = write->axis;
    g.update = {write->update};
    g.producer = write->op;
    return g;
  }
  auto in = cast<RankedTensorType>(arg.getType()), end = cast<RankedTensorType>(ret.getOperand(pair.output).getType());
  if (succeeded(verifyCompatibleShape(in, end)))
    return g;
  return std::nullopt;
}

LogicalResult StepBuilder::convert(const Pair &pair) {
  StringRef in = argName(step, pair.input), out = resultName(step, pair.output);
  Value arg = step.getArgument(pair.input);
  auto type = cast<RankedTensorType>(arg.getType());
  std::optional<Growing> g = growth(pair);
  bool mismatch = g && pair.forced && (pair.forced->axis ? g->axis != *pair.forced->axis : pair.forced->fixed && g->axis >= 0);
  if (!g || mismatch)
    return step.emitWarning("no step function: output '")
           << out << "' does not come from input '" << in << "' by appending "
           << (mismatch ? "as the override file says" : "or overwriting") << "; name the pairs in a state override file";
  auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
  if (!pair.forced && stripCasts(ret.getOperand(pair.output)) == arg) {
    goneResults.set(pair.output); // the same for the whole stream (keys and values of an encoder): an input like others
    return success();
  }
  int64_t batchAxis = -1;
  StringRef batchSymbol = dimSymbol(step, tokens, 0);
  for (int64_t i = 0; i < type.getRank() && batchAxis < 0; ++i)
    if (i != g->axis && type.isDynamicDim(i) && (batchSymbol.empty() || dimSymbol(step, pair.input, i) == batchSymbol))
      batchAxis = i;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i) && i != g->axis && i != batchAxis)
      return step.emitWarning("no step function: ")
             << (g->axis < 0 ? "output '" + out + "' does not append to input '" + in + "', and" : "state '" + in + "' grows, but")
             << " its dimension " << i
             << " is not the batch and not fixed; export a cache that grows along one axis, or fix it with --shape";
  SmallVector<int64_t> shape(type.getShape());
  if (g->axis >= 0)
    shape[g->axis] = ShapedType::kDynamic;
  auto content = RankedTensorType::get(shape, type.getElementType());
  auto stateType = StateType::get(builder.getContext(), content);
  SlotOp slot = declareSlot(in, content, g->axis >= 0 ? Growth::Append : Growth::Fixed, g->axis, batchAxis, in, out);
  Value handle = StateGetOp::create(builder, loc, stateType, slot.getSymName());
  grownAxis[pair.input] = g->axis;
  goneArgs.set(pair.input);
  goneResults.set(pair.output);

  if (g->axis < 0) {
    OpBuilder end(step.getBody().front().getTerminator());
    Value value = step.getBody().front().getTerminator()->getOperand(pair.output);
    if (value.getType() != content)
      value = tensor::CastOp::create(end, loc, content, value);
    Value read = StateReadOp::create(builder, loc, content, handle);
    if (read.getType() != type)
      read = tensor::CastOp::create(builder, loc, type, read);
    finals.push_back({slot, StateWriteOp::create(end, loc, stateType, handle, value)});
    arg.replaceUsesWithIf(read, [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); });
    return success();
  }

  OpBuilder at(g->producer);
  Location where = g->producer->getLoc();
  Value next = handle, position = seen;
  for (Value update : g->update) {
    if (next != handle)
      position = arith::AddIOp::create(at, where, position, tensor::DimOp::create(at, where, update, g->axis));
    next = CacheAppendOp::create(at, where, stateType, next, update, position, /*table=*/Value(), "bhsd");
  }
  Value result = g->producer->getResult(0);
  Value zero = arith::ConstantIndexOp::create(at, where, 0);
  Value view = CacheViewOp::create(at, where, result.getType(), next, zero, total, /*table=*/Value());
  result.replaceAllUsesWith(view);
  g->producer->erase();
  // What only fed the producer (the tensor that a written cache reads) still reads the past.
  for (Operation *user : llvm::make_early_inc_range(arg.getUsers()))
    if (!isa<tensor::DimOp>(user) && isOpTriviallyDead(user))
      user->erase();
  finals.push_back({slot, next});
  // What else reads the past sees it as it was before this step.
  if (llvm::any_of(arg.getUsers(), [](Operation *u) { return !isa<tensor::DimOp>(u); })) {
    Value start = arith::ConstantIndexOp::create(builder, loc, 0);
    Value past = CacheViewOp::create(builder, loc, type, handle, start, seen, /*table=*/Value());
    arg.replaceUsesWithIf(past, [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); });
  }
  return success();
}

Value StepBuilder::splat(RankedTensorType type, Value scalar, ArrayRef<Value> sizes) {
  SmallVector<Value> dynamic;
  for (auto [i, n] : llvm::enumerate(type.getShape()))
    if (ShapedType::isDynamic(n))
      dynamic.push_back(sizes[i]);
  if (scalar.getType().isIndex())
    scalar = arith::IndexCastOp::create(builder, loc, type.getElementType(), scalar);
  return tensor::SplatOp::create(builder, loc, type, scalar, dynamic);
}

/// seen + i along the last axis.
Value StepBuilder::iotaFromSeen(RankedTensorType type) {
  SmallVector<Value> dynamic;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      dynamic.push_back(i + 1 == type.getRank() ? length : batch);
  Value empty = tensor::EmptyOp::create(builder, loc, type, dynamic);
  AffineMap map = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  auto body = [&](OpBuilder &b, Location l, ValueRange) {
    Value i = linalg::IndexOp::create(b, l, type.getRank() - 1);
    Value p = arith::AddIOp::create(b, l, i, seen);
    linalg::YieldOp::create(b, l, arith::IndexCastOp::create(b, l, type.getElementType(), p).getResult());
  };
  return linalg::GenericOp::create(builder, loc, type, ValueRange(), empty, map, loops, body).getResult(0);
}

void StepBuilder::bindPositions() {
  for (unsigned i = 0; i < step.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(step.getArgument(i).getType());
    if (!type || goneArgs[i] || i == tokens)
      continue;
    Type element = type.getElementType();
    bool integer = element.isIntOrIndex() && !element.isInteger(1);
    StringRef name = argName(step, i);
    auto sizes = [&](Value last) {
      SmallVector<Value> s(type.getRank(), batch);
      if (type.getRank() > 1)
        s.back() = last;
      return s;
    };
    Value bound;
    if ((name == "position_ids" || name == "cache_position") && integer && type.getRank() >= 1 && type.getRank() <= 2) {
      bound = iotaFromSeen(type);
    } else if ((name == "attention_mask" || name == "decoder_attention_mask") && type.getRank() == 2) {
      TypedAttr one =
          isa<FloatType>(element) ? TypedAttr(builder.getFloatAttr(element, 1.0)) : TypedAttr(builder.getIntegerAttr(element, 1));
      bound = splat(type, arith::ConstantOp::create(builder, loc, one), sizes(total));
      symbols[dimSymbol(step, i, 1)] = total;
    } else if (integer && type.getRank() <= 2) {
      Value value = llvm::StringSwitch<Value>(name)
                        .Cases({"write_indices", "past_sequence_length", "past_lens"}, seen)
                        .Cases({"nonpad_kv_seqlen", "total_sequence_length", "kv_seqlen"}, total)
                        .Default(Value());
      if (name == "seqlens_k")
        value = arith::SubIOp::create(builder, loc, total, arith::ConstantIndexOp::create(builder, loc, 1));
      if (value)
        bound = splat(type, value, sizes(batch));
    }
    if (!bound)
      continue;
    step.getArgument(i).replaceUsesWithIf(bound, [](OpOperand &use) { return !isa<tensor::DimOp>(use.getOwner()); });
    goneArgs.set(i);
  }
}

Value StepBuilder::sizeOf(unsigned arg, unsigned dim) {
  auto axis = grownAxis.find(arg);
  if (axis != grownAxis.end() && axis->second == static_cast<int64_t>(dim))
    return seen;
  StringRef symbol = dimSymbol(step, arg, dim);
  auto known = symbol.empty() ? symbols.end() : symbols.find(symbol);
  if (known != symbols.end())
    return known->second;
  return dim == 0 ? batch : Value();
}

void StepBuilder::replaceSizes() {
  // Sizes are read from the first input that has the symbol; when that input goes away, the tokens and the counter say them.
  for (unsigned i = 0; i < step.getNumArguments(); ++i) {
    if (!goneArgs[i])
      continue;
    for (Operation *user : llvm::make_early_inc_range(step.getArgument(i).getUsers())) {
      auto dim = cast<tensor::DimOp>(user);
      Value size = sizeOf(i, *dim.getConstantIndex());
      dim.replaceAllUsesWith(size);
      dim.erase();
    }
  }
}

void StepBuilder::finish() {
  auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
  OpBuilder end(ret);
  for (auto [slot, handle] : finals)
    StatePutOp::create(end, loc, slot.getSymName(), handle);
  Value number = arith::IndexCastOp::create(end, loc, end.getI64Type(), total);
  Value content = tensor::FromElementsOp::create(end, loc, counterType.getContent(), number);
  Value handle = StateGetOp::create(end, loc, counterType, counter.getSymName());
  StatePutOp::create(end, loc, counter.getSymName(), StateWriteOp::create(end, loc, counterType, handle, content));
  ret->eraseOperands(goneResults);
  (void)step.eraseArguments(goneArgs);
  (void)step.eraseResults(goneResults);
}

//===--- The pass -------------------------------------------------------------------------------------------------===//

struct MakeStep : impl::MakeStepBase<MakeStep> {
  using MakeStepBase::MakeStepBase;

  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal())
      return;
    llvm::StringMap<StateOverride> overrides;
    if (!overrideFile.empty()) {
      std::string error;
      auto read = readOverrides(overrideFile, error);
      if (!read) {
        getOperation().emitError() << error;
        return signalPassFailure();
      }
      overrides = std::move(*read);
    }
    SmallVector<Pair> pairs = findPairs(main, overrides);
    if (pairs.empty())
      return;
    OpBuilder at(main);
    at.setInsertionPointAfter(main);
    auto step = cast<func::FuncOp>(at.clone(*main));
    step.setName("step");
    llvm::BitVector goneArgs(step.getNumArguments()), goneResults(step.getNumResults());
    SmallVector<PastPair> names(pairs.begin(), pairs.end());
    if (sizesKnown(step)) {
      takePastBranch(step, names, goneArgs, goneResults);
      for (const PastPair &part : splitJoinedPasts(step, names, goneArgs, goneResults))
        pairs.push_back({part, std::nullopt});
    }
    if (!sizesKnown(step) || failed(StepBuilder(step, pairs, std::move(goneArgs), std::move(goneResults)).run())) {
      // The slots declared so far belong to the step that is given up.
      for (auto slot : llvm::make_early_inc_range(getOperation().getOps<SlotOp>()))
        slot.erase();
      step.erase();
    }
  }

  /// Sizes are read with constant axes after import; anything else is not a graph from there.
  bool sizesKnown(func::FuncOp step) {
    return !step.walk([](tensor::DimOp op) { return op.getConstantIndex() ? WalkResult::advance() : WalkResult::interrupt(); })
                .wasInterrupted();
  }

  SmallVector<Pair> findPairs(func::FuncOp main, const llvm::StringMap<StateOverride> &overrides) {
    llvm::StringMap<unsigned> results;
    for (unsigned i = 0; i < main.getNumResults(); ++i)
      results[resultName(main, i)] = i;
    llvm::StringSet<> inputs;
    for (unsigned i = 0; i < main.getNumArguments(); ++i)
      inputs.insert(argName(main, i));
    for (auto &entry : overrides)
      if (!inputs.contains(entry.getKey()) || !results.contains(entry.getValue().output))
        main.emitWarning("state override: the model has no input '")
            << entry.getKey() << "' and output '" << entry.getValue().output << "'";
    SmallVector<Pair> pairs;
    for (unsigned i = 0; i < main.getNumArguments(); ++i) {
      auto in = dyn_cast<RankedTensorType>(main.getArgument(i).getType());
      if (!in)
        continue;
      auto take = [&](StringRef output, std::optional<StateOverride> forced) {
        auto it = results.find(output);
        if (it == results.end())
          return false;
        auto out = dyn_cast<RankedTensorType>(main.getResultTypes()[it->second]);
        if (!out || out.getElementType() != in.getElementType() || out.getRank() != in.getRank())
          return false;
        pairs.push_back({{i, it->second}, forced});
        return true;
      };
      auto forced = overrides.find(argName(main, i));
      if (forced != overrides.end()) {
        take(forced->second.output, forced->second);
        continue;
      }
      for (const std::string &name : outputNamesFor(argName(main, i)))
        if (take(name, std::nullopt))
          break;
    }
    return pairs;
  }
};

} // namespace
} // namespace leat::stream
