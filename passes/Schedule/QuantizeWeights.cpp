// Stores weights of products in fewer bits, where it was asked for. The pass decides which weights, chooses their scales and says how large
// the error is; codes are made from the model's mapped bytes when the artifact is written, one weight at a time.
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/WeightCoding.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Threading.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/GlobPattern.h"

namespace leat::schedule {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Schedule/Passes.h.inc"
} // namespace leat::schedule

using namespace mlir;

namespace leat::schedule {

namespace {

/// What reads a weight.
struct Uses {
  SmallVector<MatmulOp> products;         ///< as their right side
  SmallVector<tensor::ExtractOp> lookups; ///< single elements, at computed positions (an embedding tied to the logits)
  bool others = false;
};

struct QuantizeWeights : impl::QuantizeWeightsBase<QuantizeWeights> {
  using QuantizeWeightsBase::QuantizeWeightsBase;
  void runOnOperation() override;

private:
  LogicalResult parseOptions();
  /// Why the weight stays as it is; empty if it is stored in fewer bits.
  StringRef reasonToKeep(ParamOp param, Uses &uses);
  std::optional<WeightMatrix> matrixOf(ParamOp param, bool transposed);
  LogicalResult convert(ParamOp param, Uses &uses);
  /// Of a weight's codes. An embedding that is also the last product gets 8: its error falls on every token that is read and on every
  /// logit.
  int codeBits(const Uses &uses) const { return uses.lookups.empty() ? stored.bits : std::max(stored.bits, 8); }
  void toCodes(ParamOp param, Uses &uses, const WeightMatrix &matrix, int codeBits, float largest, CodingError &error);
  void toShort(ParamOp param, Uses &uses, const WeightMatrix &matrix, CodingError &error);
  ParamOp addParam(ParamOp model, const Twine &suffix, RankedTensorType type);
  ParamStore &store() { return getContext().getLoadedDialect<LeatDialect>()->params(); }
  /// Runs on the context's threads, also later, when the artifact is written.
  static void parallel(MLIRContext *context, size_t count, llvm::function_ref<void(size_t)> body) {
    parallelFor(context, 0, count, [&](size_t i) { body(i); });
  }

  WeightKind stored;
  SmallVector<llvm::GlobPattern> keepPatterns;
  SymbolTable *symbols = nullptr;
  // What the module's `leat.weights` will say.
  double sum = 0, worst = -1;
  StringRef worstName;
  int64_t converted = 0, before = 0, after = 0;
};

} // namespace

LogicalResult QuantizeWeights::parseOptions() {
  auto parsed = WeightKind::parse(kind);
  if (!parsed)
    return getOperation().emitError() << llvm::toString(parsed.takeError());
  stored = *parsed;
  for (const std::string &text : keep) {
    auto pattern = llvm::GlobPattern::create(text);
    if (!pattern)
      return getOperation().emitError("bad pattern of weights to keep, '") << text << "': " << llvm::toString(pattern.takeError());
    keepPatterns.push_back(std::move(*pattern));
  }
  return success();
}

static Uses usesOf(ArrayRef<ParamRefOp> refs) {
  Uses uses;
  for (ParamRefOp ref : refs)
    for (OpOperand &use : ref.getOutput().getUses()) {
      auto lookup = dyn_cast<tensor::ExtractOp>(use.getOwner());
      auto product = dyn_cast<MatmulOp>(use.getOwner());
      if (lookup && isa<linalg::GenericOp>(lookup->getParentOp()))
        uses.lookups.push_back(lookup);
      else if (product && &use == &product.getRhsMutable())
        uses.products.push_back(product);
      else
        uses.others = true;
    }
  return uses;
}

StringRef QuantizeWeights::reasonToKeep(ParamOp param, Uses &uses) {
  auto type = cast<RankedTensorType>(param.getType());
  int64_t rank = type.getRank();
  if (type.getNumElements() == 0)
    return "it is empty";
  if (uses.others)
    return "it is also read by something else than products";
  if (llvm::any_of(keepPatterns, [&](const llvm::GlobPattern &pattern) { return pattern.match(param.getSymName()); }))
    return "a pattern says so";
  Type element = type.getElementType();
  if (!element.isF32() && (!stored.isCodes() || !(element.isF16() || element.isBF16())))
    return !stored.isCodes() ? "it is not f32" : "it is not f32, f16 or bf16";
  bool transposed = uses.products.front().getTransB();
  if (llvm::any_of(uses.products, [&](MatmulOp op) { return op.getTransB() != transposed; }))
    return "products read it in both orders";
  if (type.getDimSize(rank - (transposed ? 1 : 2)) < kLeastGroup)
    return "it has fewer than 32 values to a sum";
  if (!uses.lookups.empty() && rank != 2)
    return "elements of more than one matrix are looked up";
  if (!stored.isCodes())
    return "";
  for (MatmulOp op : uses.products) {
    auto lhs = cast<RankedTensorType>(op.getLhs().getType());
    if (llvm::any_of(type.getShape().drop_back(2), [](int64_t d) { return d != 1; }))
      return "it is more than one matrix";
    if (op.getTransA() || lhs.getRank() < rank || !isa<FloatType>(lhs.getElementType()) || lhs.getElementTypeBitWidth() > 32)
      return "the other side of a product has no rows of floats";
  }
  return "";
}

std::optional<WeightMatrix> QuantizeWeights::matrixOf(ParamOp param, bool transposed) {
  auto type = cast<RankedTensorType>(param.getType());
  WeightMatrix matrix;
  matrix.element = cast<FloatType>(type.getElementType());
  int64_t rank = type.getRank(), rows = type.getDimSize(rank - 2), columns = type.getDimSize(rank - 1);
  int64_t matrices = rows * columns == 0 ? 0 : type.getNumElements() / (rows * columns);
  matrix.transposed = transposed;
  (transposed ? matrix.n : matrix.k) = rows * matrices; // several only as short floats, which is element by element
  (transposed ? matrix.k : matrix.n) = columns;
  ParamStore::Entry entry;
  if (auto key = param.getKey()) {
    entry = store().load(*key);
  } else if (auto values = dyn_cast<DenseElementsAttr>(*param.getValue())) {
    std::string bytes;
    for (const APFloat &value : values.getValues<APFloat>()) {
      uint64_t word = value.bitcastToAPInt().getZExtValue();
      for (unsigned byte = 0; byte < matrix.element.getWidth() / 8; ++byte)
        bytes.push_back(static_cast<char>(word >> (8 * byte)));
    }
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    entry = {ArrayRef<char>(owned->data(), owned->size()), owned};
  }
  if (static_cast<int64_t>(entry.bytes.size()) != matrix.k * matrix.n * matrix.element.getWidth() / 8)
    return std::nullopt;
  matrix.bytes = entry.bytes;
  matrix.owner = entry.owner;
  return matrix;
}

ParamOp QuantizeWeights::addParam(ParamOp model, const Twine &suffix, RankedTensorType type) {
  std::string name = (model.getSymName() + suffix).str();
  while (store().contains(name) || symbols->lookup(name))
    name += "_";
  OpBuilder builder(model);
  auto param = ParamOp::create(builder, model.getLoc(), name, type, builder.getStringAttr(name), ElementsAttr(), StringAttr());
  symbols->insert(param, model->getIterator());
  return param;
}

static Value refTo(ParamOp param, Operation *before) {
  OpBuilder builder(before);
  return ParamRefOp::create(builder, before->getLoc(), param.getType(), param.getSymName());
}

void QuantizeWeights::toShort(ParamOp param, Uses &uses, const WeightMatrix &matrix, CodingError &error) {
  MLIRContext *context = &getContext();
  auto run = [context](size_t count, llvm::function_ref<void(size_t)> body) { parallel(context, count, body); };
  ShortFloat format = stored.name == "f16" ? ShortFloat::Float16 : ShortFloat::BFloat16;
  error = shortFloatError(matrix, format, run);
  Type element = format == ShortFloat::Float16 ? Type(Float16Type::get(context)) : BFloat16Type::get(context);
  ParamOp halves = addParam(param, "." + stored.name, cast<RankedTensorType>(param.getType()).clone(element));
  store().setComputed(halves.getSymName(), 2 * matrix.k * matrix.n, [=] { return toShortFloat(matrix, format, run); });
  after += 2 * matrix.k * matrix.n;
  for (MatmulOp product : uses.products)
    product.getRhsMutable().set(refTo(halves, product));
  for (tensor::ExtractOp lookup : uses.lookups) {
    OpBuilder builder(lookup);
    Value table = refTo(halves, lookup->getParentOp());
    Value element = tensor::ExtractOp::create(builder, lookup.getLoc(), table, lookup.getIndices());
    lookup.replaceAllUsesWith(arith::ExtFOp::create(builder, lookup.getLoc(), lookup.getType(), element).getResult());
    lookup.erase();
  }
}

/// The element of a looked-up weight, computed from its code of 8 bits and its scale.
static Value decodeElement(OpBuilder &builder, tensor::ExtractOp lookup, Value codes, Value scales, int64_t blockSize, bool transposed) {
  Location loc = lookup.getLoc();
  auto index = [&](int64_t v) -> Value { return arith::ConstantIndexOp::create(builder, loc, v); };
  auto integer = [&](int64_t v) -> Value { return arith::ConstantIntOp::create(builder, loc, builder.getI32Type(), v); };
  Value n = lookup.getIndices()[transposed ? 0 : 1], k = lookup.getIndices()[transposed ? 1 : 0];
  Value block = arith::DivUIOp::create(builder, loc, k, index(blockSize));
  Value rest = arith::RemUIOp::create(builder, loc, k, index(blockSize));
  Value code = tensor::ExtractOp::create(builder, loc, codes, ValueRange{n, block, rest});
  code = arith::ExtUIOp::create(builder, loc, builder.getI32Type(), code);
  code = arith::SubIOp::create(builder, loc, code, integer(128));
  Value value = arith::SIToFPOp::create(builder, loc, builder.getF32Type(), code);
  Value scale = tensor::ExtractOp::create(builder, loc, scales, ValueRange{n, block});
  if (!scale.getType().isF32())
    scale = arith::ExtFOp::create(builder, loc, builder.getF32Type(), scale);
  value = arith::MulFOp::create(builder, loc, value, scale);
  return lookup.getType().isF32() ? value : arith::TruncFOp::create(builder, loc, lookup.getType(), value).getResult();
}

void QuantizeWeights::toCodes(ParamOp param, Uses &uses, const WeightMatrix &matrix, int codeBits, float largest, CodingError &error) {
  MLIRContext *context = &getContext();
  auto run = [context](size_t count, llvm::function_ref<void(size_t)> body) { parallel(context, count, body); };
  BlockCoding coding = BlockCoding::forWeights(codeBits, blockFor(matrix.k, stored.group), largest);
  std::vector<float> scales = coding.scales(matrix, run, error);

  int64_t blocks = llvm::divideCeil(matrix.k, coding.block), blockBytes = coding.block * codeBits / 8;
  std::string suffix = ".int" + std::to_string(codeBits);
  Builder types(context);
  Type scaleType = coding.halfScales ? Type(types.getF16Type()) : types.getF32Type();
  std::string scaleBytes;
  for (float scale : scales) {
    uint32_t word = coding.halfScales ? toFloat16(scale) : llvm::bit_cast<uint32_t>(scale);
    for (int byte = 0; byte < (coding.halfScales ? 2 : 4); ++byte)
      scaleBytes.push_back(static_cast<char>(word >> (8 * byte)));
  }
  ParamOp codes = addParam(param, suffix, RankedTensorType::get({matrix.n, blocks, blockBytes}, types.getI8Type()));
  ParamOp scale = addParam(param, suffix + ".scales", RankedTensorType::get({matrix.n, blocks}, scaleType));
  after += scaleBytes.size() + matrix.n * blocks * blockBytes;
  store().set(scale.getSymName(), std::move(scaleBytes));
  store().setComputed(codes.getSymName(), matrix.n * blocks * blockBytes,
                      [=, scales = std::move(scales)] { return coding.codes(matrix, scales, run); });

  for (MatmulOp product : uses.products) {
    OpBuilder builder(product);
    auto quantized =
        MatmulNBitsOp::create(builder, product.getLoc(), product.getOutput().getType(), product.getLhs(), refTo(codes, product),
                              refTo(scale, product), Value(), matrix.k, matrix.n, codeBits, coding.block, int8Activations);
    product.getOutput().replaceAllUsesWith(quantized.getOutput());
    product.erase();
  }
  for (tensor::ExtractOp lookup : uses.lookups) {
    Operation *generic = lookup->getParentOp();
    OpBuilder builder(lookup);
    lookup.replaceAllUsesWith(
        decodeElement(builder, lookup, refTo(codes, generic), refTo(scale, generic), coding.block, matrix.transposed));
    lookup.erase();
  }
}

LogicalResult QuantizeWeights::convert(ParamOp param, Uses &uses) {
  std::optional<WeightMatrix> matrix = matrixOf(param, uses.products.front().getTransB());
  if (!matrix)
    return param.emitError("the bytes of weight '") << param.getSymName() << "' are missing";
  std::pair<int64_t, int64_t> where;
  auto run = [&](size_t count, llvm::function_ref<void(size_t)> body) { parallel(&getContext(), count, body); };
  std::optional<float> largest = largestMagnitude(*matrix, run, where);
  if (!largest)
    return param.emitError("weight '") << param.getSymName() << "' cannot be stored as " << kind << ": its value at k = " << where.first
                                       << ", n = " << where.second << " is not a finite number; keep it as it is with --keep='"
                                       << param.getSymName() << "'";
  if (stored.name == "f16" && *largest > kLargestFloat16)
    return param.emitError("weight '") << param.getSymName() << "' cannot be stored as f16: its largest value is " << *largest
                                       << ", beyond 65504; use bf16, or keep it as it is with --keep='" << param.getSymName() << "'";
  CodingError error;
  int64_t sizeBefore = matrix->bytes.size(), sizeAfter = after;
  std::string name = param.getSymName().str(), form = stored.name;
  if (stored.isCodes())
    form = llvm::formatv("int{0}(g={1})", codeBits(uses), blockFor(matrix->k, stored.group));
  if (!stored.isCodes())
    toShort(param, uses, *matrix, error);
  else
    toCodes(param, uses, *matrix, codeBits(uses), *largest, error);
  param.emitRemark(llvm::formatv("weight '{0}' is stored as {1}: relative error {2:E2}, {3} of {4} bytes", name, form, error.relative(),
                                 after - sizeAfter, sizeBefore));
  before += sizeBefore;
  ++converted;
  sum += error.relative();
  if (error.relative() > worst) {
    worst = error.relative();
    worstName = param.getSymNameAttr();
  }
  return success();
}

void QuantizeWeights::runOnOperation() {
  ModuleOp module = getOperation();
  if (failed(parseOptions()))
    return signalPassFailure();
  if (stored.bits == 32)
    return markAllAnalysesPreserved();
  SymbolTable table(module);
  symbols = &table;
  llvm::MapVector<ParamOp, SmallVector<ParamRefOp>> refs;
  for (auto param : module.getOps<ParamOp>())
    refs[param];
  module.walk([&](ParamRefOp ref) {
    if (auto param = table.lookup<ParamOp>(ref.getParam()))
      refs[param].push_back(ref);
  });
  for (auto [text, pattern] : llvm::zip(keep, keepPatterns))
    if (llvm::none_of(llvm::make_first_range(refs), [&, &pattern = pattern](ParamOp param) { return pattern.match(param.getSymName()); }))
      module.emitWarning("no weight has a name like '") << text << "', so nothing is kept for it";
  for (auto &[param, sites] : refs) {
    Uses uses = usesOf(sites);
    if (uses.products.empty())
      continue;
    if (StringRef reason = reasonToKeep(param, uses); !reason.empty()) {
      param.emitRemark("weight '") << param.getSymName() << "' stays as it is: " << reason;
      continue;
    }
    if (failed(convert(param, uses)))
      return signalPassFailure();
    ++numConverted;
    for (ParamRefOp ref : sites)
      ref.erase();
    table.erase(param);
  }
  if (converted == 0) {
    module.emitWarning("no weight can be stored as ") << kind;
    return;
  }
  Builder b(&getContext());
  module->setAttr("leat.weights",
                  b.getDictionaryAttr({
                      b.getNamedAttr("kind", b.getStringAttr(stored.isCodes() ? llvm::formatv("{0}(g={1})", stored.name, stored.group).str()
                                                                              : stored.name)),
                      b.getNamedAttr("count", b.getI64IntegerAttr(converted)),
                      b.getNamedAttr("bytes_before", b.getI64IntegerAttr(before)),
                      b.getNamedAttr("bytes_after", b.getI64IntegerAttr(after)),
                      b.getNamedAttr("mean_error", b.getF64FloatAttr(sum / converted)),
                      b.getNamedAttr("worst_error", b.getF64FloatAttr(worst)),
                      b.getNamedAttr("worst", b.getStringAttr(worstName)),
                  }));
}

} // namespace leat::schedule
