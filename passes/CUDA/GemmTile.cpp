// See GemmTile.h.
#include "passes/CUDA/GemmTile.h"

using namespace mlir;

namespace leat::cuda {

static bool areOnes(ArrayRef<int64_t> dims) {
  return llvm::all_of(dims, [](int64_t d) { return d == 1; });
}

GemmTile::GemmTile(KernelBuilder &k, Value lhs, Value output, Value n, Value depth, bool shared)
    : n(n), depth(depth), k(k), lhs(lhs), output(output), lhsType(cast<RankedTensorType>(lhs.getType())),
      outType(cast<RankedTensorType>(output.getType())) {
  for (int64_t d = 0; d < outType.getRank() - 2; ++d)
    outBatch.push_back(k.dim(output, d));
  m = lhsType.getRank() > 1 ? k.dim(lhs, lhsType.getRank() - 2) : k.idx(1);
  auto strided = cpu::traceStrided(k, lhs);
  flat = shared && (!strided || strided->dense || areOnes(outType.getShape().drop_back(2)));
  Value all = k.product(outBatch);
  batch = flat ? k.idx(1) : all;
  rows = flat ? k.mul(all, m) : m;
}

static Value columnsOf(KernelBuilder &k, MatmulOp op) {
  int64_t rank = cast<RankedTensorType>(op.getRhs().getType()).getRank();
  return k.dim(op.getRhs(), op.getTransB() ? rank - 2 : rank - 1);
}

GemmTile::GemmTile(MatmulOp op, KernelBuilder &k)
    : GemmTile(k, op.getLhs(), op.getOutput(), columnsOf(k, op),
               k.dim(op.getLhs(), cast<RankedTensorType>(op.getLhs().getType()).getRank() - 1),
               areOnes(cast<RankedTensorType>(op.getRhs().getType()).getShape().drop_back(2))) {}

void GemmTile::choose(int64_t tileRows, int64_t tileCols) {
  Type index = k.b.getIndexType();
  n0 = k.mul(tile::BlockIdOp::create(k.b, index, 0), k.idx(tileCols));
  row0 = k.mul(tile::BlockIdOp::create(k.b, index, 1), k.idx(tileRows));
  if (!flat)
    batchAt = cpu::delinearize(k, tile::BlockIdOp::create(k.b, index, 2), outBatch);
}

tile::SharedType GemmTile::sharedType(int64_t tileRows, int64_t cols, Type element, int64_t pad) {
  int64_t bytes = cols * element.getIntOrFloatBitWidth() / 8, swizzle = element.isF32()    ? 0
                                                                        : bytes % 128 == 0 ? 128
                                                                        : bytes % 64 == 0  ? 64
                                                                                           : 0;
  return tile::SharedType::get(k.b.getContext(), tileRows, cols, element, swizzle, swizzle ? 0 : element.isF32() ? pad : 16, 1);
}

void GemmTile::copy(const Matrix &matrix, Value down, Value across, Value row, Value col, Value tile) {
  Value view =
      tile::ViewOp::create(k.b, tile::ViewType::get(k.b.getContext(), matrix.element), matrix.pointer, down, across, matrix.stride, 16);
  tile::CopyAsyncOp::create(k.b, view, row, col, tile);
}

void GemmTile::bringLeft(Value k0, Value tile) {
  unsigned rank = lhsType.getRank();
  SmallVector<Value> at = cpu::operandBatch(k, lhsType, outType, batchAt);
  at.append(2, k.idx(0));
  if (auto matrix = matrixOf(k, lhs, at, rank - 2, rank - 1))
    return copy(*matrix, rows, depth, row0, k0, tile);
  SmallVector<Value> dims;
  for (unsigned d = 0; d + 2 < rank; ++d)
    dims.push_back(k.dim(lhs, d));
  dims.push_back(m);
  fillTile(k, tile, k.sub(rows, row0), k.sub(depth, k0), false, [&](Value r, Value c) {
    Puller pull(k, 1);
    SmallVector<Value> where = at;
    if (flat)
      where = cpu::delinearize(k, k.add(row0, r), dims);
    else
      where.pop_back_n(2), where.push_back(k.add(row0, r));
    where.push_back(k.add(k0, c));
    return pull.pull(lhs, pull.at(where));
  });
}

void GemmTile::finish(Value sums) {
  auto &b = k.b;
  auto reg = cast<tile::RegType>(sums.getType());
  auto type = tile::SharedType::get(b.getContext(), reg.getRows(), reg.getCols(), b.getF32Type(), 0, 32, 1);
  // The operands' memory is free once all threads are through their loop.
  tile::BarrierOp::create(b);
  Value staged = tile::AllocOp::create(b, type, b.getI64IntegerAttr(0));
  tile::StoreSharedOp::create(b, sums, staged);
  tile::BarrierOp::create(b);
  // What is stored as it is goes in runs of 16 bytes, if rows of the output have whole ones.
  Type element = outType.getElementType();
  int64_t run = 16 / KernelBuilder::byteWidth(element);
  std::optional<unsigned> plain = plainResult(k, output);
  int64_t width = plain && knownMultiple(n) % run == 0 ? run : 1;
  auto visit = tile::VisitOp::create(b, staged, width);
  SmallVector<Value> rowDims(outBatch);
  rowDims.push_back(m);
  Type sumType = width > 1 ? Type(VectorType::get({width}, b.getF32Type())) : b.getF32Type();
  buildRegion(k, visit.getBody(), {sumType, b.getIndexType(), b.getIndexType()}, [&](ValueRange at) -> Values {
    Value row = k.add(row0, at[1]), column = k.add(n0, at[2]);
    Value inside =
        arith::AndIOp::create(b, k.compare(arith::CmpIPredicate::slt, row, rows), k.compare(arith::CmpIPredicate::slt, column, n));
    k.ifThen(inside, [&] {
      SmallVector<Value> where(batchAt);
      if (flat)
        where = cpu::delinearize(k, row, rowDims);
      else
        where.push_back(row);
      where.push_back(column);
      if (width == 1)
        return emitElement(k, output, where, at[0]);
      Value results = at[0];
      if (!element.isF32())
        results = arith::TruncFOp::create(b, VectorType::get({width}, element), results);
      storeRun(k, *plain, where, results);
    });
    return {};
  });
}

} // namespace leat::cuda
