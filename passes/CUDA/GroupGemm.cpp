// See GroupGemm.h.
#include "passes/CUDA/GroupGemm.h"

using namespace mlir;

namespace leat::cuda {

constexpr int64_t kGroupRows = 64, kGroupThreads = 128;
constexpr int64_t kConsumerRegisters = 232, kProducerRegisters = 40;

static int64_t rowsOf(MatmulOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "group_rows", 0); }

GroupGemm::GroupGemm(MatmulOp op, KernelBuilder &k, int64_t cluster)
    : GemmTile(op, k), op(op), rhsType(cast<RankedTensorType>(op.getRhs().getType())), cluster(cluster) {
  bm = rowsOf(op);
  bn = cpu::scheduled(k.kernel, "group_cols", 128);
  bk = cpu::scheduled(k.kernel, "group_depth", 64);
  stages = cpu::scheduled(k.kernel, "group_stages", 4);
  groups = bm / kGroupRows;
}

bool GroupGemm::fits(MatmulOp op) {
  Type l = cast<RankedTensorType>(op.getLhs().getType()).getElementType(),
       r = cast<RankedTensorType>(op.getRhs().getType()).getElementType();
  return rowsOf(op) > 0 && l == r && isa<Float16Type, BFloat16Type>(l);
}

int64_t GroupGemm::threads(MatmulOp op) { return (rowsOf(op) / kGroupRows + 1) * kGroupThreads; }

int64_t GroupGemm::clusterOf(MatmulOp op) { return cpu::scheduled(op->getParentOfType<KernelFuncOp>(), "group_cluster", 1); }

Values GroupGemm::grid() { return {k.ceilDiv(n, k.idx(bn)), k.ceilDiv(rows, k.idx(bm)), batch}; }

tile::SharedType GroupGemm::tileType(int64_t rows, int64_t cols, int64_t stages) {
  return tile::SharedType::get(k.b.getContext(), rows, cols, lhsType.getElementType(), 128, 0, stages);
}

SmallVector<TensorMap> GroupGemm::tensorMaps() {
  auto matrix = [&](Value tensor, int64_t boxRows, int64_t boxCols, Value allRows) {
    unsigned rank = cast<RankedTensorType>(tensor.getType()).getRank();
    SmallVector<MapDim> dims{{rank - 1, k.idx(boxCols)}, {rank - 2, k.idx(boxRows), allRows}};
    if (!allRows) // matrices of the batch, from the innermost dimension on
      for (unsigned d = rank - 2; d-- > 0;)
        dims.push_back({d, k.idx(1)});
    return dims.size() > 5 ? std::nullopt : tensorMapOf(k, tensor, dims, tileType(boxRows, boxCols, 1));
  };
  auto [rightRows, rightCols] = rightShape();
  auto left = matrix(op.getLhs(), bm, bk, flat ? rows : Value()), right = matrix(op.getRhs(), rightRows / cluster, rightCols, {});
  if (!left || !right)
    return {};
  return {*left, *right};
}

void GroupGemm::multiply() {
  Value maps[] = {tensorMapArgument(k), tensorMapArgument(k)};
  choose(bm, bn);
  auto [rightRows, rightCols] = rightShape();
  Values buffers;
  for (auto type : {tileType(bm, bk, stages), tileType(rightRows, rightCols, stages)})
    buffers.push_back(tile::AllocOp::create(k.b, type, IntegerAttr()));
  Ring ring(k, buffers, groups, /*late=*/true, cluster);
  // Without a depth one step stands in, of zeros from outside of the operands.
  Value steps = k.max(k.ceilDiv(depth, k.idx(bk)), k.idx(1));
  auto roles = tile::RolesOp::create(k.b, groups * kGroupThreads, kConsumerRegisters, kProducerRegisters);
  buildRegion(k, roles.getConsume(), {}, [&](ValueRange) -> Values {
    finish(consume(ring, steps));
    return {};
  });
  buildRegion(k, roles.getProduce(), {}, [&](ValueRange) -> Values {
    produce(ring, maps, steps);
    return {};
  });
}

void GroupGemm::produce(Ring &ring, ValueRange maps, Value steps) {
  Value nothing = k.compare(arith::CmpIPredicate::eq, depth, k.idx(0));
  Value first = arith::SelectOp::create(k.b, nothing, k.idx(bk), k.idx(0));
  /// Coordinates of the tile at [row, col] of an operand, innermost first.
  auto at = [&](RankedTensorType type, bool oneMatrix, Value row, Value col) {
    Values coordinates{col, row};
    if (!oneMatrix)
      llvm::append_range(coordinates, llvm::reverse(cpu::operandBatch(k, type, outType, batchAt)));
    return coordinates;
  };
  k.forLoop(k.idx(0), steps, k.idx(1), [&](Value i) {
    Values tiles = ring.acquire(i);
    Value k0 = k.add(first, k.mul(i, k.idx(bk)));
    ring.copy(maps[0], at(lhsType, flat, row0, k0), tiles[0], i);
    ring.copy(maps[1], op.getTransB() ? at(rhsType, false, n0, k0) : at(rhsType, false, k0, n0), tiles[1], i, cluster > 1);
  });
}

Value GroupGemm::consume(Ring &ring, Value steps) {
  auto &b = k.b;
  auto acc = tile::RegType::get(b.getContext(), bm, bn, b.getF32Type(),
                                tile::LayoutAttr::get(b.getContext(), tile::LayoutKind::WgmmaAcc, bm / 16, 1));
  Value zero = tile::SplatOp::create(b, acc, k.constant(b.getF32Type(), 0));
  Value sum = k.forLoop(k.idx(0), steps, k.idx(1), zero, [&](Value i, ValueRange carried) -> Values {
    Values tiles = ring.await(i);
    Value before = tile::DotFenceOp::create(b, TypeRange(acc), carried).getResult(0);
    Value next = tile::DotOp::create(b, acc, tiles[0], tiles[1], before, op.getTransB() ? b.getUnitAttr() : UnitAttr());
    tile::DotWaitOp::create(b, TypeRange(), 1, ValueRange()); // the step before is done
    ring.releaseBefore(i);
    return {next};
  })[0];
  return tile::DotWaitOp::create(b, TypeRange(acc), 0, sum).getResult(0);
}

} // namespace leat::cuda
