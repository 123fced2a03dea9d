// See PlainProduct.h.
#include "passes/CUDA/PlainProduct.h"

#include "passes/CPU/Operands.h"
#include "passes/CUDA/FewRows.h"
#include "passes/CUDA/GemmTile.h"
#include "passes/CUDA/Generic.h"

#include "leat/KernelABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;

namespace leat::cuda {

static RankedTensorType typeOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()); }

/// The bias that `op` adds to the columns of `product`, if it does nothing else.
static BlockArgument biasOf(linalg::GenericOp op, Value product) {
  Block &body = op.getRegion().front();
  auto add = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 || op.getNumReductionLoops() != 0 || body.getOperations().size() != 2 || !add ||
      typeOf(op.getResult(0)) != typeOf(product) || !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return {};
  Value first = body.getArgument(0), second = body.getArgument(1);
  if (!(add.getLhs() == first && add.getRhs() == second) && !(add.getLhs() == second && add.getRhs() == first))
    return {};
  for (unsigned i : {0u, 1u}) {
    AffineMap whole = op.getMatchingIndexingMap(op.getDpsInputOperand(i)), row = op.getMatchingIndexingMap(op.getDpsInputOperand(1 - i));
    auto bias = dyn_cast<BlockArgument>(op.getDpsInputOperand(1 - i)->get());
    if (op.getDpsInputOperand(i)->get() == product && whole.isIdentity() && bias && row.getNumResults() == 1 &&
        row.getResult(0) == getAffineDimExpr(row.getNumDims() - 1, op.getContext()) &&
        typeOf(bias).getElementType() == typeOf(product).getElementType())
      return bias;
  }
  return {};
}

std::optional<PlainProduct> PlainProduct::of(KernelFuncOp kernel) {
  Operation *yield = kernel.getBody().front().getTerminator();
  if (yield->getNumOperands() != 1)
    return std::nullopt;
  PlainProduct found;
  Value result = yield->getOperand(0);
  if (auto add = result.getDefiningOp<linalg::GenericOp>()) {
    for (Value input : add.getInputs())
      if (auto product = input.getDefiningOp<MatmulOp>(); product && (found.bias = biasOf(add, product.getOutput())))
        found.product = product;
  } else {
    found.product = result.getDefiningOp<MatmulOp>();
  }
  MatmulOp product = found.product;
  if (!product || product.getTransA() || !product->hasOneUse() || !cpu::operandLayout(kernel, product.getRhs()).empty())
    return std::nullopt;
  Type left = typeOf(product.getLhs()).getElementType(), right = typeOf(product.getRhs()).getElementType();
  bool plain = left == right && left == typeOf(product.getOutput()).getElementType() && isa<Float16Type, BFloat16Type, Float32Type>(left);
  return plain && typeOf(product.getLhs()).getRank() > 1 && typeOf(product.getRhs()).getRank() > 1 ? std::optional(found) : std::nullopt;
}

std::string PlainProduct::describe() const {
  std::string text;
  llvm::raw_string_ostream out(text);
  MatmulOp op = product;
  out << typeOf(op.getLhs()).getElementType() << " x " << typeOf(op.getRhs()).getElementType() << (op.getTransB() ? "^T" : "")
      << (bias ? " + bias" : "") << " -> " << typeOf(op.getOutput()).getElementType();
  return text;
}

namespace {

/// What LeatGemmMatrix says.
struct GemmMatrix {
  unsigned buffer;
  Value offset; ///< elements
  Type element;
  bool transposed;
  Value stride, batchStride;
};

/// Elements from matrix to matrix of an operand; none if they are not evenly spaced.
std::optional<Value> batchStride(KernelBuilder &k, const cpu::Strided &s, RankedTensorType type, RankedTensorType outType) {
  int64_t shift = outType.getRank() - type.getRank();
  SmallVector<int64_t> moving; // dimensions of the batch
  for (int64_t d = 0; d + 2 < outType.getRank(); ++d)
    if (outType.getDimSize(d) != 1)
      moving.push_back(d - shift);
  auto shared = [&](int64_t d) { return d < 0 || type.getDimSize(d) == 1; };
  if (llvm::all_of(moving, shared))
    return k.idx(0);
  if (llvm::any_of(moving, shared) || (moving.size() > 1 && !s.dense))
    return std::nullopt;
  return s.strides[moving.back()];
}

std::optional<GemmMatrix> matrixOf(KernelBuilder &k, Value tensor, RankedTensorType outType, bool flat) {
  auto s = cpu::traceStrided(k, tensor);
  RankedTensorType type = typeOf(tensor);
  int64_t rank = type.getRank();
  if (!s || s->element != type.getElementType() || (s->knownStrides[rank - 1] != 1 && s->knownStrides[rank - 2] != 1))
    return std::nullopt;
  std::optional<Value> batch = flat ? std::optional(k.idx(0)) : batchStride(k, *s, type, outType);
  if (!batch)
    return std::nullopt;
  bool transposed = s->knownStrides[rank - 1] != 1;
  return GemmMatrix{s->argument.getArgNumber(), s->offset, s->element, transposed, s->strides[rank - (transposed ? 1 : 2)], *batch};
}

int64_t onnxType(Type element) { return element.isF32() ? 1 : element.isF16() ? 10 : 16; }

} // namespace

void emitGemm(KernelFuncOp kernel) {
  std::optional<PlainProduct> plain = PlainProduct::of(kernel);
  if (!plain)
    return;
  MatmulOp op = plain->product;
  KernelBuilder k(kernel, threadTarget(), KernelBuilder::Part::Cost);
  k.func.setSymName((kernel.getSymName() + ".gemm").str());
  GemmTile sizes(op, k);
  RankedTensorType outType = typeOf(op.getOutput());
  auto left = matrixOf(k, op.getLhs(), outType, sizes.flat), right = matrixOf(k, op.getRhs(), outType, sizes.flat);
  if (!left || !right || (sizes.flat && left->transposed && outType.getRank() > 2)) {
    k.func.erase();
    return;
  }
  right->transposed ^= op.getTransB();
  unsigned output = kernel.getNumInputs();
  GemmMatrix out{output, k.idx(0), outType.getElementType(), false, sizes.n, k.mul(sizes.rows, sizes.n)};
  Value base = k.func.getArgument(1);
  auto put = [&](size_t field, Value v) { k.store(v, k.bytePtr(base, k.idx(field)), k.b.getIndexType(), k.idx(0)); };
  auto putMatrix = [&](size_t at, const GemmMatrix &matrix) {
    put(at + offsetof(LeatGemmMatrix, buffer), k.idx(matrix.buffer));
    put(at + offsetof(LeatGemmMatrix, offset), k.mul(matrix.offset, k.idx(KernelBuilder::byteWidth(matrix.element))));
    put(at + offsetof(LeatGemmMatrix, dtype), k.idx(onnxType(matrix.element)));
    put(at + offsetof(LeatGemmMatrix, transposed), k.idx(matrix.transposed));
    put(at + offsetof(LeatGemmMatrix, stride), matrix.stride);
    put(at + offsetof(LeatGemmMatrix, batch_stride), matrix.batchStride);
  };
  Value few = k.compare(arith::CmpIPredicate::sle, sizes.rows, k.idx(kFewRows));
  put(offsetof(LeatGemm, m), arith::SelectOp::create(k.b, few, k.idx(0), sizes.rows));
  put(offsetof(LeatGemm, n), sizes.n);
  put(offsetof(LeatGemm, k), sizes.depth);
  put(offsetof(LeatGemm, batch), sizes.batch);
  putMatrix(offsetof(LeatGemm, left), *left);
  putMatrix(offsetof(LeatGemm, right), *right);
  putMatrix(offsetof(LeatGemm, output), out);
  put(offsetof(LeatGemm, bias), k.idx(plain->bias ? int64_t(plain->bias.getArgNumber()) : -1));
  k.finish();
}

} // namespace leat::cuda
