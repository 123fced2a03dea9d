// leat.matmul_nbits: codes are read four or eight bytes of a column at a time and become f32 where they are used, once for each few rows.
#include "passes/CPU/Products.h"
#include "passes/CUDA/FewRows.h"

using namespace mlir;

namespace leat::cuda {

namespace {

class TiledNBits : public TileGenerator {
public:
  explicit TiledNBits(MatmulNBitsOp op) : op(op), outType(cast<RankedTensorType>(op.getOutput().getType())) {}

  static bool fits(MatmulNBitsOp op) {
    auto kernel = op->getParentOfType<KernelFuncOp>();
    int64_t bits = op.getBits(), block = op.getBlock();
    return (bits == 4 || bits == 8) && block % 8 == 0 && int64_t(op.getK()) % 8 == 0 && isa<BlockArgument>(op.getCodes()) &&
           cpu::operandLayout(kernel, op.getCodes()).empty();
  }

protected:
  int64_t threads(KernelBuilder &, unsigned) override { return kFewRowsThreads; }
  Values grid(KernelBuilder &k, unsigned) override { return fewRowsGrid(k, rows(k), k.idx(op.getN()), false); }

  cpu::Cost cost(KernelBuilder &k) override {
    auto bytes = [&](Value tensor) {
      Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
      return k.mul(k.product(k.dims(tensor)), k.idx(KernelBuilder::byteWidth(element)));
    };
    Value moved = bytes(op.getOutput());
    for (Value v : op->getOperands())
      moved = k.add(moved, bytes(v));
    return {moved, k.mul(rows(k), k.idx(2 * int64_t(op.getK()) * int64_t(op.getN())))};
  }

  void program(KernelBuilder &k, unsigned) override {
    auto &b = k.b;
    Values dims;
    for (int64_t d = 0; d + 1 < outType.getRank(); ++d)
      dims.push_back(k.dim(op.getOutput(), d));
    FewRows product{op.getOutput(), dims, rows(k), k.idx(op.getN()), k.idx(op.getK()), [&, dims](Value row, Value depth) {
                      SmallVector<Value> at = cpu::delinearize(k, row, dims);
                      at.push_back(depth);
                      Puller pull(k, 1);
                      return cpu::convertCarried(k, pull.pull(op.getLhs(), pull.at(at)), b.getF32Type());
                    }};
    Value codes = k.buffer(cast<BlockArgument>(op.getCodes()));
    int64_t bits = op.getBits(), block = op.getBlock(), perWord = 32 / bits;
    auto shape = cast<RankedTensorType>(op.getCodes().getType()).getShape();
    int64_t rowBytes = shape[1] * shape[2];
    Type f32 = b.getF32Type(), i32 = b.getI32Type(), i8 = b.getI8Type();
    multiplyAlongDepth(k, product, 8, [&](Value column, Value depth) {
      Value offset = k.add(k.mul(column, k.idx(rowBytes)), k.div(k.mul(depth, k.idx(bits)), k.idx(8)));
      Puller pull(k, 1);
      SmallVector<Idx> place = pull.at({column, k.div(depth, k.idx(block))});
      Value scale = cpu::convertCarried(k, pull.pull(op.getScales(), place), f32);
      Value zero = zeroOf(k, column, k.div(depth, k.idx(block)));
      Values weights;
      for (Value word : loadWords(k, codes, i8, offset, 8 / perWord))
        for (int64_t i = 0; i < perWord; ++i) {
          // The code as the low bits of a float of exponent 23 is 2^23 + code: exact, and no conversion.
          Value code =
              arith::AndIOp::create(b, arith::ShRUIOp::create(b, word, k.constantInt(i32, i * bits)), k.constantInt(i32, (1 << bits) - 1));
          Value large = arith::BitcastOp::create(b, f32, arith::OrIOp::create(b, code, k.constantInt(i32, 0x4b000000)));
          Value exact = arith::SubFOp::create(b, large, k.constant(f32, 8388608.0));
          weights.push_back(arith::MulFOp::create(b, arith::SubFOp::create(b, exact, zero), scale));
        }
      return weights;
    });
  }

private:
  /// The zero of a column's block: given as a number, packed like the codes, or the middle of the range.
  Value zeroOf(KernelBuilder &k, Value column, Value block) {
    auto &b = k.b;
    int64_t bits = op.getBits();
    Type f32 = b.getF32Type(), i32 = b.getI32Type();
    if (!op.getZeros())
      return k.constant(f32, 1 << (bits - 1));
    Puller pull(k, 1);
    if (isa<FloatType>(cast<RankedTensorType>(op.getZeros().getType()).getElementType()))
      return cpu::convertCarried(k, pull.pull(op.getZeros(), pull.at({column, block})), f32);
    Value bit = k.mul(block, k.idx(bits));
    Value byte = arith::ExtUIOp::create(b, i32, pull.pull(op.getZeros(), pull.at({column, k.div(bit, k.idx(8))})));
    Value code = arith::ShRUIOp::create(b, byte, arith::IndexCastOp::create(b, i32, k.rem(bit, k.idx(8))));
    return arith::UIToFPOp::create(b, f32, arith::AndIOp::create(b, code, k.constantInt(i32, (1 << bits) - 1)));
  }

  Value rows(KernelBuilder &k) {
    Value all = k.idx(1);
    for (int64_t d = 0; d + 1 < outType.getRank(); ++d)
      all = k.mul(all, k.dim(op.getOutput(), d));
    return all;
  }

  MatmulNBitsOp op;
  RankedTensorType outType;
};

} // namespace

std::unique_ptr<Generator> createTiledNBits(MatmulNBitsOp op, const GpuTarget &) {
  return TiledNBits::fits(op) ? std::make_unique<TiledNBits>(op) : nullptr;
}

} // namespace leat::cuda
