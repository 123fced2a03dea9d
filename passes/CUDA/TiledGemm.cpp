// leat.matmul in tiles on any GPU: copies in flight, tensor cores for 16-bit operands, multiply-adds for f32. On Hopper products in 16 bits
// have a program of their own where operands allow it (GroupGemm.h).
#include "passes/CUDA/FewRows.h"
#include "passes/CUDA/Generic.h"
#include "passes/CUDA/GroupGemm.h"

using namespace mlir;

namespace leat::cuda {

namespace {

constexpr int64_t kPanel = 64; ///< columns of a panel of packed weights

/// Emits the program of tiles.
class GemmProgram : public GemmTile {
public:
  GemmProgram(MatmulOp op, KernelBuilder &k) : GemmTile(op, k), op(op), rhsType(cast<RankedTensorType>(op.getRhs().getType())) {
    bm = cpu::scheduled(k.kernel, "rows", 64);
    bn = cpu::scheduled(k.kernel, "cols", 64);
    bk = cpu::scheduled(k.kernel, "depth", 16);
    stages = cpu::scheduled(k.kernel, "stages", 3);
    packed = cpu::operandLayout(k.kernel, op.getRhs()).starts_with("panel64");
    if (packed)
      bn = kPanel;
    trans = op.getTransB() && !packed;
  }

  Values grid() { return {k.ceilDiv(n, k.idx(bn)), k.ceilDiv(rows, k.idx(bm)), batch}; }

  void multiply() {
    auto &b = k.b;
    choose(bm, bn);
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
    auto acc = tile::RegType::get(context, bm, bn, b.getF32Type(), tile::LayoutAttr::get(context, tile::LayoutKind::Acc, 2, 2));
    Value zero = tile::SplatOp::create(b, acc, k.constant(b.getF32Type(), 0));

    auto loop =
        tile::PipelineOp::create(b, TypeRange(acc), k.idx(0), depth, k.idx(bk), Value(), ValueRange{leftBuffer, rightBuffer}, ValueRange(zero));
    SmallVector<Type> arguments{b.getIndexType(), leftTile, rightTile};
    buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
      bringLeft(at[0], at[1]);
      bringRight(at[0], at[2]);
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
      Value high = tile::LoadOp::create(b, operand, at[1], UnitAttr());
      Value rest = tile::LoadOp::create(b, operand, at[1], UnitAttr(), b.getI64IntegerAttr(1));
      return {dot(rest, dot(high, at[3]))};
    });

    finish(loop.getResult(0));
  }

private:
  void bringRight(Value k0, Value tile) {
    unsigned rank = rhsType.getRank();
    SmallVector<Value> at = cpu::operandBatch(k, rhsType, outType, batchAt);
    at.append(2, k.idx(0));
    Type stored = cast<tile::SharedType>(tile.getType()).getElement();
    if (packed && rhsType.getElementType() == stored) {
      // Panels of 64 columns, whatever the operand's orientation: the block's columns are one.
      Value panels = k.ceilDiv(n, k.idx(kPanel)), matrix = k.idx(0);
      for (unsigned d = 0; d + 2 < rank; ++d)
        matrix = k.add(k.mul(matrix, k.dim(op.getRhs(), d)), at[d]);
      Value panel = k.add(k.mul(matrix, panels), k.div(n0, k.idx(kPanel)));
      Type element = rhsType.getElementType();
      Value base = k.elementPtr(k.buffer(cast<BlockArgument>(op.getRhs())), element, k.mul(panel, k.mul(depth, k.idx(kPanel))));
      return copy({base, k.idx(kPanel), element}, depth, k.idx(kPanel), k0, k.idx(0), tile);
    }
    Value down = trans ? n : depth, across = trans ? depth : n, firstRow = trans ? n0 : k0, firstCol = trans ? k0 : n0;
    auto matrix = matrixOf(k, op.getRhs(), at, rank - 2, rank - 1);
    if (matrix && matrix->element == stored)
      return copy(*matrix, down, across, firstRow, firstCol, tile);
    // Seen through a transposition, neighbouring threads read down a column.
    auto s = cpu::traceStrided(k, op.getRhs());
    bool byRows = s && s->knownStrides[rank - 2] == 1;
    fillTile(k, tile, k.sub(down, firstRow), k.sub(across, firstCol), byRows, [&](Value r, Value c) {
      Puller pull(k, 1);
      SmallVector<Value> where = at;
      where[rank - 2] = k.add(firstRow, r);
      where[rank - 1] = k.add(firstCol, c);
      return pull.pull(op.getRhs(), pull.at(where));
    });
  }

  MatmulOp op;
  RankedTensorType rhsType;
  int64_t bm, bn, bk, stages;
  bool packed; ///< the right operand is stored in panels
  bool trans;  ///< its tiles in shared memory are [columns, depth]
};

class TiledGemm : public TileGenerator {
public:
  TiledGemm(MatmulOp op, const GpuTarget &target) : op(op), hopper(target.hopper()), clusterSize(1) {
    lhsType = cast<RankedTensorType>(op.getLhs().getType());
    rhsType = cast<RankedTensorType>(op.getRhs().getType());
    outType = cast<RankedTensorType>(op.getOutput().getType());
    packed = cpu::operandLayout(op->getParentOfType<KernelFuncOp>(), op.getRhs()).starts_with("panel64");
    trans = op.getTransB() && !packed;
    if (GroupGemm::clusterOf(op) > 1) {
      KernelBuilder probe(op->getParentOfType<KernelFuncOp>(), threadTarget(), KernelBuilder::Part::Cost);
      clusterSize = byGroups(probe) ? GroupGemm::clusterOf(op) : 1;
      probe.func.erase();
    }
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
  // Tiles; where the weights allow it a form for few rows; and one with clusters, for grids that have whole ones. Which, the number of rows
  // decides at the launch.
  unsigned phases() override { return 1 + hasFew() + (clusterSize > 1); }
  bool isFew(unsigned phase) { return phase == 1 && hasFew(); }
  int64_t cluster(unsigned phase) override { return phase && !isFew(phase) ? clusterSize : 1; }
  int64_t threads(KernelBuilder &k, unsigned phase) override {
    return isFew(phase) ? kFewRowsThreads : byGroups(k) ? GroupGemm::threads(op) : 128;
  }

  Values grid(KernelBuilder &k, unsigned phase) override {
    GemmProgram p(op, k);
    Values blocks = isFew(phase) ? fewRowsGrid(k, p.rows, p.n, !trans) : byGroups(k) ? GroupGemm(op, k, cluster(phase)).grid() : p.grid();
    auto only = [&](Value condition, bool wanted) {
      blocks[0] = arith::SelectOp::create(k.b, condition, wanted ? blocks[0] : k.idx(0), wanted ? k.idx(0) : blocks[0]);
    };
    if (hasFew())
      only(k.compare(arith::CmpIPredicate::sle, p.rows, k.idx(kFewRows)), isFew(phase));
    if (clusterSize > 1 && !isFew(phase))
      only(k.compare(arith::CmpIPredicate::eq, k.rem(blocks[1], k.idx(clusterSize)), k.idx(0)), cluster(phase) > 1);
    return blocks;
  }

  SmallVector<TensorMap> tensorMaps(KernelBuilder &k, unsigned phase) override {
    return !isFew(phase) && byGroups(k) ? GroupGemm(op, k, cluster(phase)).tensorMaps() : SmallVector<TensorMap>();
  }

  cpu::Cost cost(KernelBuilder &k) override {
    GemmTile p(op, k);
    Value macs = k.mul(k.mul(p.batch, p.rows), k.mul(p.n, p.depth));
    Value least = k.add(k.add(k.bytes(op.getLhs()), k.bytes(op.getRhs())), k.bytes(op.getOutput()));
    // A block of the grid reads its rows and its columns, whatever others read. The grid of a form that is not taken is empty.
    Value requested = k.bytes(op.getOutput());
    auto read = [&](RankedTensorType type, Value others, Value times) {
      Value elements = k.mul(k.mul(p.batch, k.mul(others, p.depth)), times);
      requested = k.add(requested, k.mul(elements, k.idx(KernelBuilder::byteWidth(type.getElementType()))));
    };
    for (unsigned phase = 0; phase < phases(); ++phase) {
      Values blocks = grid(k, phase);
      read(lhsType, p.rows, blocks[0]);
      read(rhsType, p.n, k.mul(k.div(blocks[1], k.idx(cluster(phase))), k.min(blocks[0], k.idx(1))));
    }
    return {least, k.mul(macs, k.idx(2)), requested};
  }

  void program(KernelBuilder &k, unsigned phase) override {
    if (isFew(phase))
      return fewRows(k);
    cpu::checkEpilogue(k, op.getOutput());
    byGroups(k) ? GroupGemm(op, k, cluster(phase)).multiply() : GemmProgram(op, k).multiply();
  }

private:
  bool byGroups(KernelBuilder &k) { return hopper && GroupGemm::fits(op) && !GroupGemm(op, k, 1).tensorMaps().empty(); }

  /// The weights are one matrix in memory, of whole accesses, which all rows share.
  bool hasFew() {
    auto shape = rhsType.getShape();
    bool whole = isa<BlockArgument>(op.getRhs()) && rhsType.hasStaticShape() && rhsType.getNumElements() != 0 &&
                 llvm::all_of(shape.drop_back(2), [](int64_t d) { return d == 1; });
    int64_t most = ShapedType::isDynamic(lhsType.getDimSize(lhsType.getRank() - 2)) ? 0 : lhsType.getDimSize(lhsType.getRank() - 2);
    return whole && most <= kFewRows && (packed || shape.back() % (16 / KernelBuilder::byteWidth(rhsType.getElementType())) == 0);
  }

  void fewRows(KernelBuilder &k) {
    GemmTile p(op, k);
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

  MatmulOp op;
  RankedTensorType lhsType, rhsType, outType;
  bool hopper;
  int64_t clusterSize; ///< blocks of a cluster, where the grid has whole ones; 1: there are none
  bool packed, trans;  ///< as in GemmProgram
};

} // namespace

std::unique_ptr<Generator> createTiledGemm(MatmulOp op, const GpuTarget &target) {
  return TiledGemm::fits(op) ? std::make_unique<TiledGemm>(op, target) : nullptr;
}

} // namespace leat::cuda
