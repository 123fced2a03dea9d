// leat.matmul_nbits. Few rows: codes are read four or eight bytes of a column at a time and become f32 where they are used. Many: a block
// makes a tile of the output by tensor cores, and codes become 16-bit numbers on their way to shared memory, once for all of its rows; or,
// where activations may be coded as well, bytes meet bytes (Int8Gemm.h).
#include "passes/CPU/Products.h"
#include "passes/CUDA/Codes.h"
#include "passes/CUDA/FewRows.h"
#include "passes/CUDA/GemmTile.h"
#include "passes/CUDA/Int8Gemm.h"

using namespace mlir;

namespace leat::cuda {

namespace {

/// Emits the program of tiles. Codes are exact in 16 bits, so tensor cores add up a step's products with them, and the step's sum is scaled
/// by the block's scale in f32. Rows in f32 are the sum of three bf16: each keeps what the ones before round away.
class NBitsProgram : public GemmTile {
public:
  NBitsProgram(MatmulNBitsOp op, KernelBuilder &k)
      : GemmTile(k, op.getLhs(), op.getOutput(), k.idx(op.getN()), k.idx(op.getK()), /*shared=*/true), codes(op, k) {
    bm = cpu::scheduled(k.kernel, "rows", 64);
    bn = cpu::scheduled(k.kernel, "cols", 64);
    stages = cpu::scheduled(k.kernel, "stages", 2);
    bk = int64_t(op.getBlock()) % 32 == 0 ? 32 : 16;
    left = lhsType.getElementType();
    right = left.isF32() ? Type(k.b.getBF16Type()) : left;
  }
  /// A step is of one block of the weights.
  static bool fits(MatmulNBitsOp op) {
    return int64_t(op.getBlock()) % 16 == 0 && cast<RankedTensorType>(op.getOutput().getType()).getRank() > 1;
  }

  Values grid() { return {k.ceilDiv(n, k.idx(bn)), k.ceilDiv(rows, k.idx(bm)), batch}; }

  void multiply() {
    auto &b = k.b;
    choose(bm, bn);
    Type f32 = b.getF32Type(), index = b.getIndexType();
    // Of each column a scale, and where zeros are no whole numbers, its product with the zero.
    SmallVector<tile::SharedType> tiles{sharedType(bm, bk, left, 32), sharedType(bn, bk, right, 0),
                                        tile::SharedType::get(b.getContext(), codes.hasWholeZeros() ? 1 : 2, bn, f32, 0, 0, 1)};
    Values buffers;
    for (tile::SharedType t : tiles) {
      auto staged = tile::SharedType::get(b.getContext(), t.getRows(), t.getCols(), t.getElement(), t.getSwizzle(), t.getPad(), stages);
      buffers.push_back(tile::AllocOp::create(b, staged, IntegerAttr()));
    }
    Value ones = codes.hasWholeZeros() ? Value() : makeOnes();
    auto acc = sumType(bn);
    Value nothing = tile::SplatOp::create(b, acc, k.constant(f32, 0));
    auto loop = tile::PipelineOp::create(b, TypeRange(acc), k.idx(0), depth, k.idx(bk), Value(), buffers, ValueRange(nothing));
    SmallVector<Type> arguments{index};
    llvm::append_range(arguments, tiles);
    buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
      bringLeft(at[0], at[1]);
      bringCodes(at[0], at[2], at[3]);
      return {};
    });
    arguments.push_back(acc);
    buildRegion(k, loop.getConsume(), arguments, [&](ValueRange at) -> Values {
      Values operands = leftOperands(at[1]), tiles{at[4], multiplyAll(operands, at[2], bn)};
      if (ones) {
        auto row = tile::RegType::get(b.getContext(), bm, 1, f32, tile::LayoutAttr::get(b.getContext(), tile::LayoutKind::Row, kWarps, 1));
        tiles.push_back(tile::ReduceOp::create(b, row, tile::Combine::Max, multiplyAll(operands, ones, kOnes), /*partial=*/false));
      }
      return mapTiles(k, tiles, acc, [&](ValueRange of) -> Values {
        Value column = of.back(), scale = tile::ReadOp::create(b, f32, at[3], k.idx(0), column), sum = k.fma(of[1], scale, of[0]);
        if (!ones)
          return {sum};
        Value zero = arith::NegFOp::create(b, tile::ReadOp::create(b, f32, at[3], k.idx(1), column));
        return {k.fma(of[2], zero, sum)};
      });
    });
    finish(loop.getResult(0));
  }

private:
  /// Each has whole rows, whose sums it needs.
  static constexpr int64_t kWarps = kFewRowsThreads / 32;
  /// Columns of ones, whose products with rows are the sums of those: a fragment.
  static constexpr int64_t kOnes = 8;

  tile::RegType sumType(int64_t cols) {
    MLIRContext *context = k.b.getContext();
    return tile::RegType::get(context, bm, cols, k.b.getF32Type(), tile::LayoutAttr::get(context, tile::LayoutKind::Acc, kWarps, 1));
  }

  /// The rows of a step as operands of products in 16 bits, whose sum they are.
  Values leftOperands(Value tile) {
    if (!left.isF32())
      return {tile};
    MLIRContext *context = k.b.getContext();
    auto operand = tile::RegType::get(context, bm, bk, right, tile::LayoutAttr::get(context, tile::LayoutKind::A, kWarps, 1));
    Values parts;
    for (int64_t residual : {2, 1, 0}) // the small ones are added first
      parts.push_back(tile::LoadOp::create(k.b, operand, tile, UnitAttr(), k.b.getI64IntegerAttr(residual)));
    return parts;
  }

  Value multiplyAll(ValueRange operands, Value weights, int64_t cols) {
    Value sum = tile::SplatOp::create(k.b, sumType(cols), k.constant(k.b.getF32Type(), 0));
    for (Value a : operands)
      sum = tile::DotOp::create(k.b, sumType(cols), a, weights, sum, k.b.getUnitAttr());
    return sum;
  }

  Value makeOnes() {
    Value tile = tile::AllocOp::create(k.b, sharedType(kOnes, bk, right, 0), IntegerAttr());
    fillTile(k, tile, k.idx(kOnes), k.idx(bk), false, [&](Value, Value) { return k.constant(k.b.getF32Type(), 1); });
    return tile;
  }

  /// Codes of the block's columns from k0 on, less their zeros if these are whole numbers; and what the step's sums are scaled by.
  void bringCodes(Value k0, Value tile, Value factors) {
    auto &b = k.b;
    Type f32 = b.getF32Type();
    auto narrow = VectorType::get({Codes::kRun}, right), wide = VectorType::get({Codes::kRun}, f32);
    int64_t perColumn = bk / Codes::kRun;
    Value lastColumn = k.sub(n, k.idx(1)), thread = tile::ThreadIdOp::create(b, b.getIndexType()), block = codes.blockOf(k0);
    k.forLoop(thread, k.idx(bn * perColumn), k.idx(kFewRowsThreads), [&](Value e) {
      // Columns behind the last are computed from it and dropped; behind the end of the depth there are zeros.
      Value column = k.div(e, k.idx(perColumn)), source = k.min(k.add(n0, column), lastColumn);
      Value first = k.mul(k.rem(e, k.idx(perColumn)), k.idx(Codes::kRun)), at = k.add(k0, first), zero = codes.zeroOf(source, block);
      Value run = k.ifElse(
          k.compare(arith::CmpIPredicate::slt, at, depth),
          [&]() -> Values {
            Value all = LLVM::UndefOp::create(b, wide);
            for (auto [i, code] : llvm::enumerate(codes.run(source, at))) {
              Value number = codes.hasWholeZeros() ? arith::SubFOp::create(b, code, zero).getResult() : code;
              all = LLVM::InsertElementOp::create(b, all, number, k.constantInt(b.getI32Type(), i));
            }
            return {all};
          },
          [&]() -> Values { return {arith::ConstantOp::create(b, b.getZeroAttr(wide))}; })[0];
      tile::WriteOp::create(b, arith::TruncFOp::create(b, narrow, run), tile, column, first);
      k.ifThen(k.compare(arith::CmpIPredicate::eq, first, k.idx(0)), [&] {
        Value scale = codes.scaleOf(source, block);
        tile::WriteOp::create(b, scale, factors, k.idx(0), column);
        if (!codes.hasWholeZeros())
          tile::WriteOp::create(b, arith::MulFOp::create(b, scale, zero), factors, k.idx(1), column);
      });
    });
  }

  Codes codes;
  int64_t bm, bn, bk, stages;
  Type left, right;
};

class TiledNBits : public TileGenerator {
public:
  explicit TiledNBits(MatmulNBitsOp op) : op(op), outType(cast<RankedTensorType>(op.getOutput().getType())), coded(Int8Gemm::fits(op)) {}

  static bool fits(MatmulNBitsOp op) {
    auto kernel = op->getParentOfType<KernelFuncOp>();
    int64_t bits = op.getBits(), block = op.getBlock();
    return (bits == 4 || bits == 8) && block % Codes::kRun == 0 && int64_t(op.getK()) % Codes::kRun == 0 &&
           isa<BlockArgument>(op.getCodes()) && cpu::operandLayout(kernel, op.getCodes()).empty();
  }

protected:
  /// What a launch does. Few rows are bound by reading the weights, so they are not coded: that would be a launch more.
  enum Work { Few, Many, CodeRows, ManyCoded };
  Work workOf(unsigned phase) { return phase == 0 ? Few : !coded ? Many : phase == 1 ? CodeRows : ManyCoded; }
  unsigned phases() override { return coded ? 3 : NBitsProgram::fits(op) ? 2 : 1; }
  int64_t threads(KernelBuilder &k, unsigned phase) override {
    return workOf(phase) == ManyCoded ? Int8Gemm(op, k).threads() : kFewRowsThreads;
  }
  Values grid(KernelBuilder &k, unsigned phase) override {
    Values blocks;
    switch (workOf(phase)) {
    case Few:
      blocks = fewRowsGrid(k, rows(k), k.idx(op.getN()), false);
      break;
    case Many:
      blocks = NBitsProgram(op, k).grid();
      break;
    case CodeRows:
      blocks = Int8Gemm(op, k).codingGrid();
      break;
    case ManyCoded:
      blocks = Int8Gemm(op, k).grid();
    }
    if (phases() > 1)
      blocks[0] = k.mul(blocks[0], arith::SelectOp::create(k.b, areFew(k), k.idx(phase == 0), k.idx(phase != 0)));
    return blocks;
  }

  Value joined(KernelBuilder &k) override {
    return coded ? arith::SelectOp::create(k.b, areFew(k), k.idx(0), Int8Gemm(op, k).codedBytes()).getResult() : k.idx(0);
  }

  cpu::Cost cost(KernelBuilder &k) override {
    Value weights = k.idx(0);
    for (Value v : op->getOperands().drop_front())
      weights = k.add(weights, k.bytes(v));
    Value lhs = k.bytes(op.getLhs()), out = k.bytes(op.getOutput()), requested = out;
    // A block of the grid reads its rows and its columns, whatever others read. The grid of a form that is not taken is empty.
    for (unsigned phase = 0; phase < phases(); ++phase) {
      Values blocks = grid(k, phase);
      Value taken = k.min(blocks[0], k.idx(1)), others = k.mul(k.mul(blocks[1], blocks[2]), taken);
      Value left = k.mul(lhs, blocks[0]), right = k.mul(weights, others);
      if (workOf(phase) == CodeRows) // which reads rows and writes codes
        left = k.mul(lhs, taken), right = joined(k);
      else if (workOf(phase) == ManyCoded)
        left = k.mul(joined(k), blocks[0]);
      requested = k.add(requested, k.add(left, right));
    }
    Value operations = k.mul(rows(k), k.idx(2 * int64_t(op.getK()) * int64_t(op.getN())));
    return {k.add(k.add(lhs, out), weights), operations, requested};
  }

  void program(KernelBuilder &k, unsigned phase) override {
    cpu::checkEpilogue(k, op.getOutput());
    switch (workOf(phase)) {
    case Few:
      return multiplyFew(k);
    case Many:
      return NBitsProgram(op, k).multiply();
    case CodeRows:
      return Int8Gemm(op, k).codeRows();
    case ManyCoded:
      return Int8Gemm(op, k).multiply();
    }
  }

private:
  void multiplyFew(KernelBuilder &k) {
    Values dims;
    for (int64_t d = 0; d + 1 < outType.getRank(); ++d)
      dims.push_back(k.dim(op.getOutput(), d));
    FewRows product{op.getOutput(), dims, rows(k), k.idx(op.getN()), k.idx(op.getK()), [&, dims](Value row, Value depth) {
                      SmallVector<Value> at = cpu::delinearize(k, row, dims);
                      at.push_back(depth);
                      Puller pull(k, 1);
                      return cpu::convertCarried(k, pull.pull(op.getLhs(), pull.at(at)), k.b.getF32Type());
                    }};
    Codes codes(op, k);
    multiplyAlongDepth(k, product, Codes::kRun, [&](Value column, Value depth) {
      Value block = codes.blockOf(depth), scale = codes.scaleOf(column, block), zero = codes.zeroOf(column, block);
      return llvm::map_to_vector(codes.run(column, depth), [&](Value code) -> Value {
        return arith::MulFOp::create(k.b, arith::SubFOp::create(k.b, code, zero), scale);
      });
    });
  }

  Value rows(KernelBuilder &k) {
    Value all = k.idx(1);
    for (int64_t d = 0; d + 1 < outType.getRank(); ++d)
      all = k.mul(all, k.dim(op.getOutput(), d));
    return all;
  }

  Value areFew(KernelBuilder &k) { return k.compare(arith::CmpIPredicate::sle, rows(k), k.idx(kFewRows)); }

  MatmulNBitsOp op;
  RankedTensorType outType;
  const bool coded; ///< activations are coded as well
};

} // namespace

std::unique_ptr<Generator> createTiledNBits(MatmulNBitsOp op, const GpuTarget &) {
  return TiledNBits::fits(op) ? std::make_unique<TiledNBits>(op) : nullptr;
}

} // namespace leat::cuda
