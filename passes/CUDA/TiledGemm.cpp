// leat.matmul in tiles: copies in flight, tensor cores for 16-bit operands, multiply-adds for f32. A block makes a tile of the output; its
// sums go through shared memory to the kernel's epilogue, so that what that reads and writes is in order of columns.
#include "passes/CPU/Products.h"
#include "passes/CUDA/FewRows.h"

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kPanel = 64; ///< columns of a panel of packed weights

class TiledGemm : public TileGenerator {
public:
  TiledGemm(MatmulOp op, const GpuTarget &target) : op(op) {
    lhsType = cast<RankedTensorType>(op.getLhs().getType());
    rhsType = cast<RankedTensorType>(op.getRhs().getType());
    outType = cast<RankedTensorType>(op.getOutput().getType());
    auto kernel = op->getParentOfType<KernelFuncOp>();
    bm = cpu::scheduled(kernel, "rows", 64);
    bn = cpu::scheduled(kernel, "cols", 64);
    bk = cpu::scheduled(kernel, "depth", 16);
    packed = cpu::operandLayout(kernel, op.getRhs()).starts_with("panel64");
    if (packed)
      bn = kPanel;
    trans = op.getTransB() && !packed;
    Type element = rhsType.getElementType();
    groups = target.hopper() && element == lhsType.getElementType() && !element.isF32() && bm % 64 == 0 && bk % 32 == 0 && bn % 32 == 0;
    stages = cpu::scheduled(kernel, "stages", 3);
  }

  static bool fits(MatmulOp op) {
    Type l = cast<RankedTensorType>(op.getLhs().getType()).getElementType(),
         r = cast<RankedTensorType>(op.getRhs().getType()).getElementType();
    // Panels are copied as they are.
    if (l.isF32() && r.isF16() && !cpu::operandLayout(op->getParentOfType<KernelFuncOp>(), op.getRhs()).empty())
      return false;
    bool half = isa<Float16Type, BFloat16Type>(r);
    return !op.getTransA() && ((l == r && (half || l.isF32())) || (l.isF32() && half));
  }

protected:
  // Tiles, and where the weights allow it a form for few rows; which, the number of rows decides at the launch.
  unsigned phases() override { return hasFew() ? 2 : 1; }
  int64_t threads(unsigned phase) override { return phase ? kFewRowsThreads : groups ? bm * 2 : 128; }

  Values grid(KernelBuilder &k, unsigned phase) override {
    Plan p = plan(k);
    Values blocks{k.ceilDiv(p.n, k.idx(bn)), k.ceilDiv(p.rows, k.idx(bm)), p.batch};
    if (phase)
      blocks = fewRowsGrid(k, p.rows, p.n, !trans);
    if (hasFew()) {
      Value few = k.compare(arith::CmpIPredicate::sle, p.rows, k.idx(kFewRows));
      blocks[0] = arith::SelectOp::create(k.b, few, phase ? blocks[0] : k.idx(0), phase ? k.idx(0) : blocks[0]);
    }
    return blocks;
  }

  cpu::Cost cost(KernelBuilder &k) override {
    Plan p = plan(k);
    auto bytes = [&](Value tensor) {
      Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
      return k.mul(k.product(k.dims(tensor)), k.idx(KernelBuilder::byteWidth(element)));
    };
    Value macs = k.mul(k.mul(p.batch, p.rows), k.mul(p.n, p.depth));
    return {k.add(k.add(bytes(op.getLhs()), bytes(op.getRhs())), bytes(op.getOutput())), k.mul(macs, k.idx(2))};
  }

  void program(KernelBuilder &k, unsigned phase) override {
    if (phase)
      return fewRows(k);
    cpu::checkEpilogue(k, op.getOutput());
    auto &b = k.b;
    Plan p = plan(k);
    Value n0 = k.mul(tile::BlockIdOp::create(b, b.getIndexType(), 0), k.idx(bn));
    Value row0 = k.mul(tile::BlockIdOp::create(b, b.getIndexType(), 1), k.idx(bm));
    Value batch = p.flat ? k.idx(0) : Value(tile::BlockIdOp::create(b, b.getIndexType(), 2));
    SmallVector<Value> batchAt = p.flat ? SmallVector<Value>() : cpu::delinearize(k, batch, p.outBatch);

    MLIRContext *context = b.getContext();
    Type left = lhsType.getElementType(), right = rhsType.getElementType();
    if (left.isF32() && right.isF16()) // f32 has numbers that f16 has not: the weights become f32
      right = left;
    auto leftTile = sharedType(bm, bk, left, right.isF32() ? 16 : 32),
         rightTile = trans ? sharedType(bn, bk, right, 16) : sharedType(bk, bn, right, 0);
    auto staged = [&](tile::SharedType t) {
      return tile::SharedType::get(context, t.getRows(), t.getCols(), t.getElement(), t.getSwizzle(), t.getPad(), stages);
    };
    Value leftBuffer = tile::AllocOp::create(b, staged(leftTile), IntegerAttr()),
          rightBuffer = tile::AllocOp::create(b, staged(rightTile), IntegerAttr());
    auto acc = tile::RegType::get(context, bm, bn, b.getF32Type(),
                                  groups ? tile::LayoutAttr::get(context, tile::LayoutKind::WgmmaAcc, bm / 16, 1)
                                         : tile::LayoutAttr::get(context, tile::LayoutKind::Acc, 2, 2));
    Value zero = tile::SplatOp::create(b, acc, k.constant(b.getF32Type(), 0));

    auto loop =
        tile::PipelineOp::create(b, TypeRange(acc), k.idx(0), p.depth, k.idx(bk), ValueRange{leftBuffer, rightBuffer}, ValueRange(zero));
    SmallVector<Type> arguments{b.getIndexType(), leftTile, rightTile};
    buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
      bringLeft(k, p, batchAt, row0, at[0], at[1]);
      bringRight(k, p, batchAt, n0, at[0], at[2]);
      return {};
    });
    arguments.push_back(acc);
    buildRegion(k, loop.getConsume(), arguments, [&](ValueRange at) -> Values {
      UnitAttr transposed = trans ? b.getUnitAttr() : UnitAttr();
      auto dot = [&](Value a, Value sum) -> Value { return tile::DotOp::create(b, acc, a, at[2], sum, transposed); };
      if (left == right)
        return {dot(at[1], at[3])};
      // f32 as the sum of two numbers of the weights' type: what the first rounds away, the second keeps.
      auto operand = tile::RegType::get(context, bm, bk, right, tile::LayoutAttr::get(context, tile::LayoutKind::A, 2, 2));
      Value high = tile::LoadOp::create(b, operand, at[1], UnitAttr(), UnitAttr());
      Value rest = tile::LoadOp::create(b, operand, at[1], UnitAttr(), b.getUnitAttr());
      return {dot(rest, dot(high, at[3]))};
    });

    // The operands' memory is free once all threads are through the loop.
    auto sumsType = tile::SharedType::get(context, bm, bn, b.getF32Type(), 0, 32, 1);
    tile::BarrierOp::create(b);
    Value sums = tile::AllocOp::create(b, sumsType, b.getI64IntegerAttr(0));
    tile::StoreSharedOp::create(b, loop.getResult(0), sums);
    tile::BarrierOp::create(b);
    auto visit = tile::VisitOp::create(b, sums);
    SmallVector<Value> rowDims(p.outBatch);
    rowDims.push_back(p.m);
    buildRegion(k, visit.getBody(), {b.getF32Type(), b.getIndexType(), b.getIndexType()}, [&](ValueRange at) -> Values {
      Value row = k.add(row0, at[1]), column = k.add(n0, at[2]);
      Value inside =
          arith::AndIOp::create(b, k.compare(arith::CmpIPredicate::slt, row, p.rows), k.compare(arith::CmpIPredicate::slt, column, p.n));
      k.ifThen(inside, [&] {
        SmallVector<Value> where(batchAt);
        if (p.flat)
          where = cpu::delinearize(k, row, rowDims);
        else
          where.push_back(row);
        where.push_back(column);
        emitElement(k, op.getOutput(), where, at[0]);
      });
      return {};
    });
  }

private:
  /// The weights are one matrix in memory, of whole accesses, which all rows share.
  bool hasFew() {
    auto shape = rhsType.getShape();
    bool whole = isa<BlockArgument>(op.getRhs()) && rhsType.hasStaticShape() && rhsType.getNumElements() != 0 &&
                 llvm::all_of(shape.drop_back(2), [](int64_t d) { return d == 1; });
    int64_t most = ShapedType::isDynamic(lhsType.getDimSize(lhsType.getRank() - 2)) ? 0 : lhsType.getDimSize(lhsType.getRank() - 2);
    return whole && most <= kFewRows && (packed || shape.back() % (16 / KernelBuilder::byteWidth(rhsType.getElementType())) == 0);
  }

  void fewRows(KernelBuilder &k) {
    Plan p = plan(k);
    Values dims;
    for (int64_t d = 0; d + 1 < outType.getRank(); ++d)
      dims.push_back(k.dim(op.getOutput(), d));
    FewRows product{op.getOutput(), dims, p.rows, p.n, p.depth, [&, dims](Value row, Value depth) {
                      SmallVector<Value> at = cpu::delinearize(k, row, dims);
                      at.erase(at.begin(), at.end() - (lhsType.getRank() - 1));
                      at.push_back(depth);
                      Puller pull(k, 1);
                      return pull.pull(op.getLhs(), pull.at(at));
                    }};
    Type element = rhsType.getElementType();
    Value base = k.buffer(cast<BlockArgument>(op.getRhs()));
    if (trans) {
      int64_t step = 4, words = step * KernelBuilder::byteWidth(element) / 4;
      return multiplyAlongDepth(k, product, step, [&](Value column, Value depth) {
        return unpackWords(k, loadWords(k, base, element, k.add(k.mul(column, p.depth), depth), words), element);
      });
    }
    multiplyAlongColumns(k, product, [&](Value column) -> Panel {
      if (!packed)
        return {{base, p.n, element}, column, false};
      Value panel = k.mul(k.div(column, k.idx(kPanel)), k.mul(p.depth, k.idx(kPanel)));
      return {{k.elementPtr(base, element, panel), k.idx(kPanel), element}, k.idx(0), true};
    });
  }

  struct Plan {
    SmallVector<Value> outBatch;
    Value m, n, depth;
    bool flat;         ///< all rows of all batches share the right operand and are evenly spaced
    Value batch, rows; ///< `batch` matrices of `rows` rows
  };

  Plan plan(KernelBuilder &k) {
    Plan p;
    int64_t rank = outType.getRank(), lr = lhsType.getRank(), rr = rhsType.getRank();
    for (int64_t d = 0; d < rank - 2; ++d)
      p.outBatch.push_back(k.dim(op.getOutput(), d));
    p.m = k.dim(op.getLhs(), lr - 2);
    p.depth = k.dim(op.getLhs(), lr - 1);
    p.n = k.dim(op.getRhs(), op.getTransB() ? rr - 2 : rr - 1);
    auto ones = [](ArrayRef<int64_t> dims) { return llvm::all_of(dims, [](int64_t d) { return d == 1; }); };
    auto strided = cpu::traceStrided(k, op.getLhs());
    p.flat = ones(rhsType.getShape().drop_back(2)) && (!strided || strided->dense || ones(outType.getShape().drop_back(2)));
    Value all = k.product(p.outBatch);
    p.batch = p.flat ? k.idx(1) : all;
    p.rows = p.flat ? k.mul(all, p.m) : p.m;
    return p;
  }

  /// Swizzled where rows are whole spans of 16-bit elements, else padded so that rows begin in different banks.
  tile::SharedType sharedType(int64_t rows, int64_t cols, Type element, int64_t pad) {
    int64_t bytes = cols * element.getIntOrFloatBitWidth() / 8, swizzle = element.isF32()    ? 0
                                                                          : bytes % 128 == 0 ? 128
                                                                          : bytes % 64 == 0  ? 64
                                                                                             : 0;
    return tile::SharedType::get(op.getContext(), rows, cols, element, swizzle, swizzle ? 0 : element.isF32() ? pad : 16, 1);
  }

  void copy(KernelBuilder &k, const Matrix &matrix, Value rows, Value cols, Value row, Value col, Value tile) {
    Value view =
        tile::ViewOp::create(k.b, tile::ViewType::get(k.b.getContext(), matrix.element), matrix.pointer, rows, cols, matrix.stride, 16);
    tile::CopyAsyncOp::create(k.b, view, row, col, tile);
  }

  void bringLeft(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value row0, Value k0, Value tile) {
    unsigned rank = lhsType.getRank();
    SmallVector<Value> at = cpu::operandBatch(k, lhsType, outType, batchAt);
    at.append(2, k.idx(0));
    if (auto matrix = matrixOf(k, op.getLhs(), at, rank - 2, rank - 1))
      return copy(k, *matrix, p.rows, p.depth, row0, k0, tile);
    SmallVector<Value> dims;
    for (unsigned d = 0; d + 2 < rank; ++d)
      dims.push_back(k.dim(op.getLhs(), d));
    dims.push_back(p.m);
    fillTile(k, tile, k.sub(p.rows, row0), k.sub(p.depth, k0), false, [&](Value r, Value c) {
      Puller pull(k, 1);
      SmallVector<Value> where = at;
      if (p.flat)
        where = cpu::delinearize(k, k.add(row0, r), dims);
      else
        where.pop_back_n(2), where.push_back(k.add(row0, r));
      where.push_back(k.add(k0, c));
      return pull.pull(op.getLhs(), pull.at(where));
    });
  }

  void bringRight(KernelBuilder &k, Plan &p, ArrayRef<Value> batchAt, Value n0, Value k0, Value tile) {
    unsigned rank = rhsType.getRank();
    SmallVector<Value> at = cpu::operandBatch(k, rhsType, outType, batchAt);
    at.append(2, k.idx(0));
    Type stored = cast<tile::SharedType>(tile.getType()).getElement();
    if (packed && rhsType.getElementType() == stored) {
      // Panels of 64 columns, whatever the operand's orientation: the block's columns are one.
      Value panels = k.ceilDiv(p.n, k.idx(kPanel)), matrix = k.idx(0);
      for (unsigned d = 0; d + 2 < rank; ++d)
        matrix = k.add(k.mul(matrix, k.dim(op.getRhs(), d)), at[d]);
      Value panel = k.add(k.mul(matrix, panels), k.div(n0, k.idx(kPanel)));
      Type element = rhsType.getElementType();
      Value base = k.elementPtr(k.buffer(cast<BlockArgument>(op.getRhs())), element, k.mul(panel, k.mul(p.depth, k.idx(kPanel))));
      return copy(k, {base, k.idx(kPanel), element}, p.depth, k.idx(kPanel), k0, k.idx(0), tile);
    }
    Value rows = trans ? p.n : p.depth, cols = trans ? p.depth : p.n, row0 = trans ? n0 : k0, col0 = trans ? k0 : n0;
    auto matrix = matrixOf(k, op.getRhs(), at, rank - 2, rank - 1);
    if (matrix && matrix->element == stored)
      return copy(k, *matrix, rows, cols, row0, col0, tile);
    // Seen through a transposition, neighbouring threads read down a column.
    auto s = cpu::traceStrided(k, op.getRhs());
    bool byRows = s && s->knownStrides[rank - 2] == 1;
    fillTile(k, tile, k.sub(rows, row0), k.sub(cols, col0), byRows, [&](Value r, Value c) {
      Puller pull(k, 1);
      SmallVector<Value> where = at;
      where[rank - 2] = k.add(row0, r);
      where[rank - 1] = k.add(col0, c);
      return pull.pull(op.getRhs(), pull.at(where));
    });
  }

  MatmulOp op;
  RankedTensorType lhsType, rhsType, outType;
  int64_t bm, bn, bk, stages;
  bool packed; ///< the right operand is stored in panels
  bool groups; ///< groups of four warps multiply: wgmma
  bool trans;  ///< its tiles in shared memory are [columns, depth]
};

} // namespace

std::unique_ptr<Generator> createTiledGemm(MatmulOp op, const GpuTarget &target) {
  return TiledGemm::fits(op) ? std::make_unique<TiledGemm>(op, target) : nullptr;
}

} // namespace leat::cuda
