// leat.matmul and leat.matmul_nbits with one task per element of the result: the sum over k in order, straight from what is pulled. What
// neighbouring threads read of the right operand lies side by side where it is stored [K, N].
#include "passes/CUDA/Generic.h"

#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cuda {

using namespace cpu;

namespace {

/// Tasks are the elements of the root's result, in row-major order; the kernel's results are computed from the element.
class ElementGenerator : public Generator {
public:
  explicit ElementGenerator(Value root) : root(root), type(cast<RankedTensorType>(root.getType())) {}

  Value tasks(KernelBuilder &k) override { return k.product(k.dims(root)); }

  void run(KernelBuilder &k, Value task) override {
    checkEpilogue(k, root);
    SmallVector<Value> at = delinearize(k, task, k.dims(root));
    Value sum = element(k, at);
    Value value = k.roundTo(convertCarried(k, sum, KernelBuilder::carriedType(type.getElementType())), type.getElementType());
    Puller p(k, 1);
    SmallVector<Idx> coordinates = p.at(at);
    p.bind(root, [value](Puller &, ArrayRef<Idx>) { return value; });
    for (unsigned result : epilogueResults(k, root))
      p.emitResult(result, coordinates);
  }

protected:
  virtual Value element(KernelBuilder &k, ArrayRef<Value> at) = 0;

  static Value multiplyAdd(KernelBuilder &k, Value x, Value y, Value sum) {
    if (isa<FloatType>(sum.getType()))
      return k.fma(x, y, sum);
    return arith::AddIOp::create(k.b, arith::MulIOp::create(k.b, x, y), sum);
  }

  Value root;
  RankedTensorType type;
};

class MatmulElements : public ElementGenerator {
public:
  explicit MatmulElements(MatmulOp op) : ElementGenerator(op.getOutput()), op(op) {
    Type l = cast<RankedTensorType>(op.getLhs().getType()).getElementType(),
         r = cast<RankedTensorType>(op.getRhs().getType()).getElementType();
    acc = accumulatorType(l.getIntOrFloatBitWidth() >= r.getIntOrFloatBitWidth() ? l : r);
  }

  Cost cost(KernelBuilder &k) override {
    Cost base = Generator::cost(k);
    base.operations = k.mul(k.product(k.dims(root)), k.mul(depth(k), k.idx(2)));
    return base;
  }

protected:
  Value element(KernelBuilder &k, ArrayRef<Value> at) override {
    Value zero = arith::ConstantOp::create(k.b, k.b.getZeroAttr(acc));
    return k.forLoop(k.idx(0), depth(k), k.idx(1), zero, [&](Value i, ValueRange sum) -> SmallVector<Value> {
      Puller p(k, 1);
      auto operand = [&](Value tensor, bool transposed, Value outer, bool outerFirst) {
        auto shape = cast<RankedTensorType>(tensor.getType());
        SmallVector<Value> where;
        for (int64_t d = 0; d < shape.getRank() - 2; ++d)
          where.push_back(shape.getDimSize(d) == 1 ? k.idx(0) : at[type.getRank() - shape.getRank() + d]);
        where.push_back(outer);
        where.insert(outerFirst != transposed ? where.end() : where.end() - 1, i);
        return convertCarried(k, p.pull(tensor, p.at(where)), acc);
      };
      Value x = operand(op.getLhs(), op.getTransA(), at[at.size() - 2], /*outerFirst=*/true);
      Value y = operand(op.getRhs(), op.getTransB(), at.back(), /*outerFirst=*/false);
      return {multiplyAdd(k, x, y, sum[0])};
    })[0];
  }

private:
  Value depth(KernelBuilder &k) {
    int64_t rank = cast<RankedTensorType>(op.getLhs().getType()).getRank();
    return k.dim(op.getLhs(), op.getTransA() ? rank - 2 : rank - 1);
  }

  MatmulOp op;
  Type acc;
};

/// Weights are w = (code - zero) * scale in f32, block by block.
class NBitsElements : public ElementGenerator {
public:
  explicit NBitsElements(MatmulNBitsOp op)
      : ElementGenerator(op.getOutput()), op(op), depth(op.getK()), bits(op.getBits()), block(op.getBlock()),
        blocks(llvm::divideCeil(depth, block)) {}

  Cost cost(KernelBuilder &k) override {
    Cost base = Generator::cost(k);
    base.operations = k.mul(k.product(k.dims(root)), k.idx(2 * depth));
    return base;
  }

protected:
  Value element(KernelBuilder &k, ArrayRef<Value> at) override {
    Type f32 = k.b.getF32Type();
    Value column = at.back();
    return k.forLoop(k.idx(0), k.idx(blocks), k.idx(1), k.constant(f32, 0), [&](Value j, ValueRange sums) -> SmallVector<Value> {
      Puller p(k, 1);
      Value cell = k.add(k.mul(column, k.idx(blocks)), j);
      Value scale = convertCarried(k, p.pullLinear(op.getScales(), p.at(cell)), f32), zero = zeroPoint(k, p, column, j, cell);
      // With zero points: code * scale - zero * scale, one operation for each weight.
      Value offset = op.getZeros() ? arith::MulFOp::create(k.b, arith::NegFOp::create(k.b, zero), scale).getResult() : Value();
      Value first = k.mul(j, k.idx(block)), last = k.min(k.add(first, k.idx(block)), k.idx(depth));
      return k.forLoop(first, last, k.idx(1), sums, [&](Value i, ValueRange sum) -> SmallVector<Value> {
        Puller inner(k, 1);
        Value code = field(k, inner, op.getCodes(), k.mul(k.sub(i, first), k.idx(bits)), k.mul(cell, k.idx(block * bits / 8)));
        Value weight =
            offset ? k.fma(code, scale, offset) : arith::MulFOp::create(k.b, arith::SubFOp::create(k.b, code, zero), scale).getResult();
        SmallVector<Value> where(at.begin(), at.end() - 1);
        where.push_back(i);
        Value x = convertCarried(k, inner.pull(op.getLhs(), inner.at(where)), f32);
        return {k.fma(x, weight, sum[0])};
      });
    })[0];
  }

private:
  /// The unsigned number at bit `bit` of the bytes from `first` on, as f32.
  Value field(KernelBuilder &k, Puller &p, Value tensor, Value bit, Value first) {
    Type i32 = k.b.getI32Type();
    Value byte = p.pullLinear(tensor, p.at(k.add(first, k.div(bit, k.idx(8)))));
    Value shift = arith::IndexCastOp::create(k.b, i32, k.rem(bit, k.idx(8)));
    Value word = arith::ShRUIOp::create(k.b, arith::ExtUIOp::create(k.b, i32, byte), shift);
    return arith::SIToFPOp::create(k.b, k.b.getF32Type(), arith::AndIOp::create(k.b, word, k.constantInt(i32, (1 << bits) - 1)));
  }

  Value zeroPoint(KernelBuilder &k, Puller &p, Value column, Value j, Value cell) {
    if (!op.getZeros())
      return k.constant(k.b.getF32Type(), double(1 << (bits - 1)));
    if (isa<FloatType>(cast<RankedTensorType>(op.getZeros().getType()).getElementType()))
      return convertCarried(k, p.pullLinear(op.getZeros(), p.at(cell)), k.b.getF32Type());
    return field(k, p, op.getZeros(), k.mul(j, k.idx(bits)), k.mul(column, k.idx(llvm::divideCeil(blocks * bits, 8))));
  }

  MatmulNBitsOp op;
  int64_t depth, bits, block, blocks;
};

} // namespace

std::unique_ptr<cpu::Generator> createMatmulElements(MatmulOp op) { return std::make_unique<MatmulElements>(op); }
std::unique_ptr<cpu::Generator> createNBitsElements(MatmulNBitsOp op) { return std::make_unique<NBitsElements>(op); }

} // namespace leat::cuda
