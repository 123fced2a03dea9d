// Quantisers with a minimum per block are often exported as a product with fixed zero points and a second, small product that adds the
// block sums of the activations times an offset. Both are one product with float zero points: half of the kernels of a layer, and no second
// pass over the activations.
#include "passes/Fuse/OpKinds.h"
#include "passes/Fuse/Passes.h"

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/Endian.h"
#include <cmath>

namespace leat::fuse {
#define GEN_PASS_DEF_FOLDBLOCKOFFSETS
#include "passes/Fuse/Passes.h.inc"
} // namespace leat::fuse

using namespace mlir;

namespace leat::fuse {

namespace {

/// product + sums * offsets
struct Split {
  linalg::GenericOp add;
  MatmulNBitsOp product;
  ParamRefOp offsets, scales;
};

struct FoldBlockOffsets : impl::FoldBlockOffsetsBase<FoldBlockOffsets> {
  using FoldBlockOffsetsBase::FoldBlockOffsetsBase;
  void runOnOperation() override;

private:
  ParamOp zerosFor(Split &split);
  std::optional<SmallVector<float>> readFloats(ParamRefOp ref);

  llvm::DenseMap<std::pair<Attribute, Attribute>, ParamOp> made; // by offsets and scales; null: it cannot be done
};

} // namespace

/// Sums of x over blocks of the last axis.
static bool isBlockSum(Value value, Value x, int64_t blocks, int64_t block) {
  auto sum = value.getDefiningOp<linalg::GenericOp>();
  if (!sum || sum.getNumDpsInputs() != 1 || sum->getNumResults() != 1 || sum.getNumReductionLoops() != 1)
    return false;
  unsigned loops = sum.getNumLoops();
  auto identity = AffineMap::getMultiDimIdentityMap(loops, value.getContext());
  SmallVector<AffineMap> maps = sum.getIndexingMapsArray();
  if (sum.getIteratorTypesArray().back() != utils::IteratorType::reduction || !maps[0].isIdentity() ||
      maps[1] != identity.dropResult(loops - 1))
    return false;
  Block &body = sum.getRegion().front();
  auto add = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  auto init = sum.getDpsInitOperand(0)->get().getDefiningOp<linalg::FillOp>();
  if (!add || body.getOperations().size() != 2 || !init || !matchPattern(init.value(), m_AnyZeroFloat()) ||
      !add->getOperands().front().hasOneUse() || !llvm::is_contained(add->getOperands(), body.getArgument(0)) ||
      !llvm::is_contained(add->getOperands(), body.getArgument(1)))
    return false;
  auto split = sum.getDpsInputs()[0].getDefiningOp<tensor::ExpandShapeOp>();
  if (!split || split.getSrc() != x)
    return false;
  ArrayRef<int64_t> shape = split.getResultType().getShape();
  SmallVector<ReassociationIndices> groups = split.getReassociationIndices();
  return groups.back().size() == 2 && llvm::all_of(ArrayRef(groups).drop_back(), [](const auto &g) { return g.size() == 1; }) &&
         shape.back() == block && shape[shape.size() - 2] == blocks;
}

static std::optional<Split> matchSplit(linalg::GenericOp add) {
  if (!isPointwise(add) || add.getNumDpsInputs() != 2)
    return std::nullopt;
  Block &body = add.getRegion().front();
  auto sum = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!sum || body.getOperations().size() != 2 || !llvm::is_contained(sum->getOperands(), body.getArgument(0)) ||
      !llvm::is_contained(sum->getOperands(), body.getArgument(1)))
    return std::nullopt;
  for (OpOperand *operand : add.getDpsInputOperands())
    if (!isAlignedRead(*operand) || !operand->get().hasOneUse())
      return std::nullopt;
  for (unsigned first = 0; first < 2; ++first) {
    auto product = add.getDpsInputs()[first].getDefiningOp<MatmulNBitsOp>();
    auto small = add.getDpsInputs()[1 - first].getDefiningOp<MatmulOp>();
    if (!product || !small || product.getZeros() || small.getTransA() || small.getTransB() || product.getK() % product.getBlock())
      continue;
    auto offsets = small.getRhs().getDefiningOp<ParamRefOp>(), scales = product.getScales().getDefiningOp<ParamRefOp>();
    int64_t n = product.getN(), block = product.getBlock(), blocks = product.getK() / block;
    auto isF32 = [](ParamRefOp ref, ArrayRef<int64_t> shape) {
      return ref && ref.getType() == RankedTensorType::get(shape, Float32Type::get(ref.getContext()));
    };
    if (isF32(offsets, {blocks, n}) && isF32(scales, {n, blocks}) && isBlockSum(small.getLhs(), product.getLhs(), blocks, block))
      return Split{add, product, offsets, scales};
  }
  return std::nullopt;
}

std::optional<SmallVector<float>> FoldBlockOffsets::readFloats(ParamRefOp ref) {
  auto param = SymbolTable::lookupNearestSymbolFrom<ParamOp>(ref, ref.getParamAttr());
  if (!param)
    return std::nullopt;
  if (auto given = dyn_cast_or_null<DenseElementsAttr>(param.getValueAttr()))
    return llvm::to_vector(given.getValues<float>());
  if (!param.getKey())
    return std::nullopt;
  ArrayRef<char> bytes = getContext().getLoadedDialect<LeatDialect>()->params().get(*param.getKey());
  if (static_cast<int64_t>(bytes.size()) != ref.getType().getNumElements() * 4)
    return std::nullopt;
  SmallVector<float> values(bytes.size() / 4);
  for (auto [i, value] : llvm::enumerate(values))
    value = llvm::bit_cast<float>(llvm::support::endian::read32le(bytes.data() + 4 * i));
  return values;
}

/// code * s + (o - 2^(bits-1) * s) = (code - (2^(bits-1) - o / s)) * s
ParamOp FoldBlockOffsets::zerosFor(Split &split) {
  auto [it, isNew] = made.try_emplace({split.offsets.getParamAttr(), split.scales.getParamAttr()}, ParamOp());
  if (!isNew)
    return it->second;
  std::optional<SmallVector<float>> offsets = readFloats(split.offsets), scales = readFloats(split.scales);
  if (!offsets || !scales)
    return {};
  ParamRefOp product = split.scales;
  int64_t n = product.getType().getDimSize(0), blocks = product.getType().getDimSize(1);
  double middle = std::ldexp(1.0, split.product.getBits() - 1);
  std::string bytes(4 * n * blocks, '\0');
  for (int64_t row = 0; row < n; ++row)
    for (int64_t b = 0; b < blocks; ++b) {
      double scale = (*scales)[row * blocks + b], offset = (*offsets)[b * n + row];
      float zero = static_cast<float>(offset == 0 ? middle : middle - offset / scale);
      // A block of equal weights has scale 0 and only its offset; far zero points would cancel digits.
      if (!(std::abs(zero) <= 1e6))
        return {};
      llvm::support::endian::write32le(bytes.data() + 4 * (row * blocks + b), llvm::bit_cast<uint32_t>(zero));
    }
  OpBuilder builder(&getContext());
  auto old = SymbolTable::lookupNearestSymbolFrom<ParamOp>(split.offsets, split.offsets.getParamAttr());
  SymbolTable symbols(getOperation());
  builder.setInsertionPointAfter(old);
  std::string name = (split.offsets.getParam() + ".zeros").str();
  ParamStore &store = getContext().getLoadedDialect<LeatDialect>()->params();
  while (store.contains(name) || symbols.lookup(name))
    name += "_";
  store.set(name, std::move(bytes));
  auto type = RankedTensorType::get({n, blocks}, builder.getF32Type());
  return made[{split.offsets.getParamAttr(), split.scales.getParamAttr()}] =
             ParamOp::create(builder, old.getLoc(), name, type, builder.getStringAttr(name), ElementsAttr(), StringAttr());
}

void FoldBlockOffsets::runOnOperation() {
  SmallVector<Split> splits;
  getOperation().walk([&](linalg::GenericOp op) {
    if (std::optional<Split> split = matchSplit(op))
      splits.push_back(*split);
  });
  for (Split &split : splits) {
    ParamOp zeros = zerosFor(split);
    if (!zeros)
      continue;
    OpBuilder builder(split.product);
    Value ref = ParamRefOp::create(builder, split.product.getLoc(), zeros.getType(), zeros.getSymName());
    split.product.getZerosMutable().assign(ref);
    split.add.getResult(0).replaceAllUsesWith(split.product.getOutput());
    split.add.erase();
    ++numFolded;
  }
}

} // namespace leat::fuse
