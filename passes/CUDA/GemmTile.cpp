// See GemmTile.h.
#include "passes/CUDA/GemmTile.h"

using namespace mlir;

namespace leat::cuda {

GemmTile::GemmTile(MatmulOp op, KernelBuilder &k) : op(op), k(k) {
  lhsType = cast<RankedTensorType>(op.getLhs().getType());
  rhsType = cast<RankedTensorType>(op.getRhs().getType());
  outType = cast<RankedTensorType>(op.getOutput().getType());
  int64_t rank = outType.getRank(), lr = lhsType.getRank(), rr = rhsType.getRank();
  for (int64_t d = 0; d < rank - 2; ++d)
    outBatch.push_back(k.dim(op.getOutput(), d));
  m = k.dim(op.getLhs(), lr - 2);
  depth = k.dim(op.getLhs(), lr - 1);
  n = k.dim(op.getRhs(), op.getTransB() ? rr - 2 : rr - 1);
  auto ones = [](ArrayRef<int64_t> dims) { return llvm::all_of(dims, [](int64_t d) { return d == 1; }); };
  auto strided = cpu::traceStrided(k, op.getLhs());
  flat = ones(rhsType.getShape().drop_back(2)) && (!strided || strided->dense || ones(outType.getShape().drop_back(2)));
  Value all = k.product(outBatch);
  batch = flat ? k.idx(1) : all;
  rows = flat ? k.mul(all, m) : m;
}

void GemmTile::choose(int64_t tileRows, int64_t tileCols) {
  Type index = k.b.getIndexType();
  n0 = k.mul(tile::BlockIdOp::create(k.b, index, 0), k.idx(tileCols));
  row0 = k.mul(tile::BlockIdOp::create(k.b, index, 1), k.idx(tileRows));
  if (!flat)
    batchAt = cpu::delinearize(k, tile::BlockIdOp::create(k.b, index, 2), outBatch);
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
  std::optional<unsigned> plain = plainResult(k, op.getOutput());
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
        return emitElement(k, op.getOutput(), where, at[0]);
      Value results = at[0];
      if (!element.isF32())
        results = arith::TruncFOp::create(b, VectorType::get({width}, element), results);
      storeRun(k, *plain, where, results);
    });
    return {};
  });
}

} // namespace leat::cuda
