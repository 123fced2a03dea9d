// One argument for each cache of a joined past.
#include "passes/Stream/JoinedPasts.h"
#include "passes/Stream/IndexAnalysis.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace leat::stream {

namespace {

constexpr int64_t kMaxParts = 1024; // layers times two, with room

Value stripCasts(Value v) {
  while (auto cast = v.getDefiningOp<tensor::CastOp>())
    v = cast.getSource();
  return v;
}

/// The tensor that `v` is with a unit dimension inserted at `axis`; null if it is none.
Value withoutUnit(Value v, int64_t axis) {
  v = stripCasts(v);
  Operation *def = v.getDefiningOp();
  if (!isa_and_nonnull<tensor::ExpandShapeOp, tensor::ReshapeOp>(def))
    return Value();
  Value source = def->getOperand(0);
  auto wide = cast<RankedTensorType>(v.getType()), narrow = cast<RankedTensorType>(source.getType());
  if (narrow.getRank() + 1 != wide.getRank() || wide.getDimSize(axis) != 1)
    return Value();
  IndexAnalysis sizes;
  for (int64_t i = 0; i < narrow.getRank(); ++i)
    if (!(sizes.size(source, i) == sizes.size(v, i < axis ? i : i + 1)))
      return Value();
  return source;
}

struct Joined {
  int64_t axis;
  SmallVector<Value> parts; // of the output
};

std::optional<Joined> matchJoined(Value out, RankedTensorType past) {
  auto concat = stripCasts(out).getDefiningOp<tensor::ConcatOp>();
  if (!concat)
    return std::nullopt;
  Joined joined{static_cast<int64_t>(concat.getDim()), {}};
  int64_t count = concat.getInputs().size();
  if (past.getRank() < 2 || past.isDynamicDim(joined.axis) || past.getDimSize(joined.axis) != count || count > kMaxParts)
    return std::nullopt;
  for (Value part : concat.getInputs()) {
    joined.parts.push_back(withoutUnit(part, joined.axis));
    if (!joined.parts.back())
      return std::nullopt;
  }
  return joined;
}

std::string partName(StringRef whole, int64_t part, int64_t count) {
  return (whole + "." + (count == 2 ? Twine(part ? "value" : "key") : Twine(part))).str();
}

class Splitter {
public:
  Splitter(func::FuncOp step, const PastPair &pair, Joined joined) : step(step), pair(pair), joined(std::move(joined)) {}

  SmallVector<PastPair> run() {
    unsigned args = step.getNumArguments(), results = step.getNumResults();
    addArguments();
    addResults();
    rewriteUses();
    SmallVector<PastPair> pairs;
    for (unsigned i = 0; i < joined.parts.size(); ++i)
      pairs.push_back({args + i, results + i});
    return pairs;
  }

private:
  DictionaryAttr attributes(DictionaryAttr whole, int64_t part);
  void addArguments();
  void addResults();
  void rewriteUses();
  bool isWholePart(tensor::ExtractSliceOp slice);
  /// Part `i` with the unit dimension of the whole.
  Value widened(OpBuilder &b, int64_t i, RankedTensorType type);

  func::FuncOp step;
  PastPair pair;
  Joined joined;
  SmallVector<Value> parts; // of the past
};

DictionaryAttr Splitter::attributes(DictionaryAttr whole, int64_t part) {
  if (!whole)
    return DictionaryAttr::get(step.getContext());
  NamedAttrList list(whole);
  Builder b(step.getContext());
  if (auto name = whole.getAs<StringAttr>("onnx.name"))
    list.set("onnx.name", b.getStringAttr(partName(name.getValue(), part, joined.parts.size())));
  if (auto dims = whole.getAs<ArrayAttr>("onnx.dims"); dims && joined.axis < static_cast<int64_t>(dims.size())) {
    SmallVector<Attribute> rest(dims.getValue());
    rest.erase(rest.begin() + joined.axis);
    list.set("onnx.dims", b.getArrayAttr(rest));
  }
  return list.getDictionary(step.getContext());
}

void Splitter::addArguments() {
  auto whole = cast<RankedTensorType>(step.getArgument(pair.input).getType());
  SmallVector<int64_t> shape(whole.getShape());
  shape.erase(shape.begin() + joined.axis);
  auto type = RankedTensorType::get(shape, whole.getElementType());
  for (size_t i = 0; i < joined.parts.size(); ++i) {
    unsigned at = step.getNumArguments();
    (void)step.insertArgument(at, type, attributes(step.getArgAttrDict(pair.input), i), step.getLoc());
    parts.push_back(step.getArgument(at));
  }
}

void Splitter::addResults() {
  auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
  for (auto [i, part] : llvm::enumerate(joined.parts)) {
    (void)step.insertResult(step.getNumResults(), part.getType(), attributes(step.getResultAttrDict(pair.output), i));
    ret.getOperandsMutable().append(part);
  }
}

Value Splitter::widened(OpBuilder &b, int64_t i, RankedTensorType type) {
  Location loc = step.getLoc();
  SmallVector<ReassociationIndices> groups;
  SmallVector<OpFoldResult> sizes;
  int64_t rank = type.getRank();
  for (int64_t d = 0; d < rank; ++d) {
    sizes.push_back(d == joined.axis ? OpFoldResult(b.getIndexAttr(1))
                                     : tensor::getMixedSize(b, loc, parts[i], d < joined.axis ? d : d - 1));
    // The unit dimension goes with the one behind it, the last one with the one before.
    if (groups.empty() || !(d == joined.axis + 1 || (d == joined.axis && d + 1 == rank)))
      groups.push_back({});
    groups.back().push_back(d);
  }
  SmallVector<int64_t> shape(type.getShape());
  shape[joined.axis] = 1;
  return tensor::ExpandShapeOp::create(b, loc, RankedTensorType::get(shape, type.getElementType()), parts[i], groups, sizes);
}

/// The slice takes one part, all of it.
bool Splitter::isWholePart(tensor::ExtractSliceOp slice) {
  IndexAnalysis sizes;
  for (auto [d, offset, size, stride] : llvm::enumerate(slice.getMixedOffsets(), slice.getMixedSizes(), slice.getMixedStrides())) {
    bool along = static_cast<int64_t>(d) == joined.axis;
    auto start = getConstantIntValue(offset);
    if (!start || getConstantIntValue(stride) != 1 || (!along && *start != 0))
      return false;
    auto value = dyn_cast<Value>(size);
    Linear wanted = along ? Linear(1) : sizes.size(slice.getSource(), d);
    if (!((value ? sizes.index(value) : Linear(*getConstantIntValue(size))) == wanted))
      return false;
  }
  return true;
}

void Splitter::rewriteUses() {
  BlockArgument arg = step.getArgument(pair.input);
  auto type = cast<RankedTensorType>(arg.getType());
  // Sizes of slices are compared with those of the whole before these are rewritten.
  SmallVector<std::pair<tensor::ExtractSliceOp, int64_t>> slices;
  for (Operation *user : arg.getUsers())
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user); slice && isWholePart(slice))
      slices.push_back({slice, *getConstantIntValue(slice.getMixedOffsets()[joined.axis])});
  for (auto [slice, part] : slices) {
    OpBuilder b(slice);
    auto replace = [&](Operation *op) {
      Value v = parts[part];
      auto wanted = cast<RankedTensorType>(op->getResult(0).getType());
      if (v.getType() != wanted)
        v = tensor::CastOp::create(b, op->getLoc(), wanted, v);
      op->getResult(0).replaceAllUsesWith(v);
      op->erase();
    };
    auto fits = [&](Type t) {
      return succeeded(verifyCompatibleShape(cast<RankedTensorType>(t), cast<RankedTensorType>(parts[part].getType())));
    };
    if (fits(slice.getType())) {
      replace(slice);
      continue;
    }
    for (Operation *user : llvm::make_early_inc_range(slice->getUsers()))
      if (isa<tensor::CollapseShapeOp>(user) && fits(user->getResult(0).getType()))
        replace(user);
    if (slice->use_empty())
      slice.erase();
  }
  OpBuilder start(step.getBody());
  for (OpOperand &use : llvm::make_early_inc_range(arg.getUses())) {
    auto dim = dyn_cast<tensor::DimOp>(use.getOwner());
    if (!dim)
      continue;
    OpBuilder b(dim);
    int64_t d = *dim.getConstantIndex();
    Value size = d == joined.axis ? Value(arith::ConstantIndexOp::create(b, dim.getLoc(), joined.parts.size()))
                                  : Value(tensor::DimOp::create(b, dim.getLoc(), parts[0], d < joined.axis ? d : d - 1));
    dim.replaceAllUsesWith(size);
    dim.erase();
  }
  if (arg.use_empty())
    return;
  // Whatever else reads the whole gets it.
  SmallVector<Value> pieces;
  for (size_t i = 0; i < parts.size(); ++i)
    pieces.push_back(widened(start, i, type));
  Value whole = tensor::ConcatOp::create(start, step.getLoc(), joined.axis, pieces);
  if (whole.getType() != type)
    whole = tensor::CastOp::create(start, step.getLoc(), type, whole);
  arg.replaceAllUsesWith(whole);
}

} // namespace

SmallVector<PastPair> splitJoinedPasts(func::FuncOp step, ArrayRef<PastPair> pairs, llvm::BitVector &goneArgs,
                                       llvm::BitVector &goneResults) {
  SmallVector<PastPair> work(pairs), made;
  while (!work.empty()) {
    PastPair pair = work.pop_back_val();
    if (goneArgs[pair.input])
      continue;
    auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
    auto joined = matchJoined(ret.getOperand(pair.output), cast<RankedTensorType>(step.getArgument(pair.input).getType()));
    if (!joined) {
      if (!llvm::is_contained(llvm::map_range(pairs, [](const PastPair &p) { return p.input; }), pair.input))
        made.push_back(pair);
      continue;
    }
    // Parts of parts: layers, then keys and values.
    SmallVector<PastPair> parts = Splitter(step, pair, std::move(*joined)).run();
    goneArgs.resize(step.getNumArguments());
    goneResults.resize(step.getNumResults());
    goneArgs.set(pair.input);
    goneResults.set(pair.output);
    work.append(parts);
  }
  llvm::sort(made, [](const PastPair &a, const PastPair &b) { return a.input < b.input; });
  return made;
}

} // namespace leat::stream
