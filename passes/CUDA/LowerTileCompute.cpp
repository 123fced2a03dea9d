// Products, elementwise ops and row reductions of tile programs on the registers of one thread.
#include "passes/CUDA/TileLowering.h"

#include "mlir/IR/IRMapping.h"

#include <limits>

using namespace mlir;

namespace leat::cuda {

// --- conversions
// ------------------------------------------------------------------------------------------------------------------------------

Value TileLowering::pack(Type element, Value low, Value high) {
  StringRef text = element.isBF16() ? "cvt.rn.bf16x2.f32 $0, $1, $2;" : "cvt.rn.f16x2.f32 $0, $1, $2;";
  return inlineAsm(text, "=r,f,f", {high, low}, {b.getI32Type()})[0];
}

Value TileLowering::round(Value x, Type element) { return x.getType() == element ? x : arith::TruncFOp::create(b, element, x).getResult(); }

void TileLowering::lowerConvert(tile::ConvertOp op) {
  auto from = cast<tile::RegType>(op.getValue().getType());
  Type element = cast<tile::RegType>(op.getResult().getType()).getElement();
  const Values values = registers(op.getValue());
  int64_t fragments = from.getWarpCols() / 8;
  Values out;
  // Two neighbouring accumulator fragments are one fragment of the operand: (row, row + 8) x (first, second).
  for (int64_t mi = 0; mi < from.getWarpRows() / 16; ++mi)
    for (int64_t ki = 0; ki < fragments / 2; ++ki)
      for (int64_t r = 0; r < 4; ++r) {
        int64_t i = (mi * fragments + 2 * ki + (r >> 1)) * 4 + (r & 1) * 2;
        out.push_back(pack(element, values[i], values[i + 1]));
      }
  replace(op, out);
}

Value TileLowering::lowerExp2(Value x) { return inlineAsm("ex2.approx.ftz.f32 $0, $1;", "=f,f", {x}, {b.getF32Type()})[0]; }

// --- products
// ---------------------------------------------------------------------------------------------------------------------------------

Values TileLowering::mma(Type left, Type right, ValueRange a, ValueRange bRegs, ValueRange c) {
  auto name = [](Type t) { return t.isBF16() ? "bf16" : t.isF16() ? "f16" : t.isUnsignedInteger() ? "u8" : "s8"; };
  bool bytes = tile::isByte(left);
  std::string sum = bytes ? "s32" : "f32", shape = bytes ? "m16n8k32" : "m16n8k16";
  std::string text = "mma.sync.aligned." + shape + ".row.col." + sum + "." + name(left) + "." + name(right) + "." + sum +
                     " {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};";
  Values operands(a);
  llvm::append_range(operands, bRegs);
  llvm::append_range(operands, c);
  StringRef constraints = bytes ? "=r,=r,=r,=r,r,r,r,r,r,r,r,r,r,r" : "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f";
  return inlineAsm(text, constraints, operands, SmallVector<Type>(4, c[0].getType()));
}

void TileLowering::lowerDot(tile::DotOp op) {
  if (cast<tile::SharedType>(op.getB().getType()).getElement().isF32())
    return dotScalar(op);
  if (cast<tile::RegType>(op.getInit().getType()).getKind() == tile::LayoutKind::WgmmaAcc)
    return dotGroup(op);
  dotTensor(op);
}

void TileLowering::dotTensor(tile::DotOp op) {
  auto acc = cast<tile::RegType>(op.getInit().getType());
  auto right = cast<tile::SharedType>(op.getB().getType());
  // A step of the depth is 32 bytes of a row.
  auto leftTile = dyn_cast<tile::SharedType>(op.getA().getType());
  Type element = leftTile ? leftTile.getElement() : cast<tile::RegType>(op.getA().getType()).getElement();
  int64_t bytes = right.getElementBytes(), rowBytes = (op.getTransB() ? right.getCols() : right.getRows()) * bytes;
  int64_t rowFragments = acc.getWarpRows() / 16, colFragments = acc.getWarpCols() / 8, steps = rowBytes / 32;
  Values sums = registers(op.getInit());
  // The left operand: registers, or read fragment by fragment.
  Values left;
  MatrixLoader leftLoader;
  if (!leftTile)
    left = registers(op.getA());
  else
    leftLoader = matrixLoader(op.getA(), rem(lane, 16), div(lane, 16), warpRow(acc), i32(0), rowBytes);
  // The right one: [N, K] as it is stored gives fragments of columns; [K, N] is transposed on the way.
  MatrixLoader rightLoader;
  if (op.getTransB())
    rightLoader = matrixLoader(op.getB(), add(rem(lane, 8), mul(div(lane, 16), 8)), rem(div(lane, 8), 2), warpCol(acc), i32(0), rowBytes);
  else
    rightLoader = matrixLoader(op.getB(), rem(lane, 16), div(lane, 16), i32(0), mul(warpCol(acc), bytes), acc.getWarpCols() * bytes);
  for (int64_t ks = 0; ks < steps; ++ks) {
    SmallVector<Values> rows;
    for (int64_t mi = 0; mi < rowFragments; ++mi) {
      if (!left.empty())
        rows.push_back(Values(ArrayRef<Value>(left).slice((mi * steps + ks) * 4, 4)));
      else
        rows.push_back(loadMatrices(leftLoader, mi * 16, ks * 32, 4, false));
    }
    for (int64_t ni = 0; ni < colFragments; ni += 2) {
      int64_t fragments = std::min<int64_t>(2, colFragments - ni);
      Values cols = op.getTransB() ? loadMatrices(rightLoader, ni * 8, ks * 32, fragments * 2, false)
                                   : loadMatrices(rightLoader, ks * 16, ni * 16, fragments * 2, true);
      for (int64_t j = 0; j < fragments; ++j)
        for (int64_t mi = 0; mi < rowFragments; ++mi) {
          auto at = sums.begin() + (mi * colFragments + ni + j) * 4;
          Values next = mma(element, right.getElement(), rows[mi], ArrayRef<Value>(cols).slice(j * 2, 2), ArrayRef<Value>(at, 4));
          llvm::copy(next, at);
        }
    }
  }
  replace(op, sums);
}

/// f32 as f32: each thread multiplies what its accumulators need, four steps of the depth at a time.
void TileLowering::dotScalar(tile::DotOp op) {
  auto acc = cast<tile::RegType>(op.getInit().getType());
  auto left = cast<tile::SharedType>(op.getA().getType());
  int64_t rowFragments = acc.getWarpRows() / 16, colFragments = acc.getWarpCols() / 8;
  Value row0 = add(warpRow(acc), div(lane, 4)), col0 = add(warpCol(acc), mul(rem(lane, 4), 2));
  Type f32 = b.getF32Type(), four = VectorType::get({4}, f32), two = VectorType::get({2}, f32);
  auto loop = scf::ForOp::create(b, i32(0), i32(left.getCols()), i32(4), registers(op.getInit()));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value k = loop.getInductionVar();
    Values sums(loop.getRegionIterArgs());
    auto load = [&](Value tile, Type type, int64_t align, Value row, Value byteCol) -> Value {
      return LLVM::LoadOp::create(b, type, sharedPointer(sharedAddress(tile, row, byteCol)), align);
    };
    auto lanesOf = [&](Value vector, int64_t i) -> Value { return LLVM::ExtractElementOp::create(b, vector, i32(i)); };
    SmallVector<Value> rows; // [mi][h], four steps each
    for (int64_t i = 0; i < rowFragments * 2; ++i)
      rows.push_back(load(op.getA(), four, 16, add(row0, i / 2 * 16 + i % 2 * 8), mul(k, 4)));
    for (int64_t ni = 0; ni < colFragments; ++ni) {
      Value col = add(col0, ni * 8), columns[4][2];
      if (op.getTransB()) {
        for (int64_t c = 0; c < 2; ++c) {
          Value steps = load(op.getB(), four, 16, add(col, c), mul(k, 4));
          for (int64_t s = 0; s < 4; ++s)
            columns[s][c] = lanesOf(steps, s);
        }
      } else {
        for (int64_t s = 0; s < 4; ++s) {
          Value pair = load(op.getB(), two, 8, add(k, s), mul(col, 4));
          for (int64_t c = 0; c < 2; ++c)
            columns[s][c] = lanesOf(pair, c);
        }
      }
      for (int64_t s = 0; s < 4; ++s)
        for (int64_t i = 0; i < rowFragments * 2; ++i)
          for (int64_t c = 0; c < 2; ++c) {
            Value &sum = sums[(i / 2 * colFragments + ni) * 4 + i % 2 * 2 + c];
            sum = LLVM::FMAOp::create(b, lanesOf(rows[i], s), columns[s][c], sum);
          }
    }
    scf::YieldOp::create(b, sums);
  }
  replace(op, loop.getResults());
}

// --- elementwise
// ------------------------------------------------------------------------------------------------------------------------------

SmallVector<TileLowering::Place> TileLowering::places(tile::RegType type) {
  SmallVector<Place> out;
  switch (type.getKind()) {
  case tile::LayoutKind::Acc:
  case tile::LayoutKind::WgmmaAcc: {
    Value row0 = toIndex(add(warpRow(type), div(lane, 4))), col0 = toIndex(add(warpCol(type), mul(rem(lane, 4), 2)));
    for (int64_t mi = 0; mi < type.getWarpRows() / 16; ++mi)
      for (int64_t ni = 0; ni < type.getWarpCols() / 8; ++ni)
        for (int64_t r = 0; r < 4; ++r)
          out.push_back({add(row0, mi * 16 + 8 * (r >> 1)), add(col0, ni * 8 + (r & 1))});
    return out;
  }
  case tile::LayoutKind::Row: {
    Value row0 = toIndex(add(mul(div(warp, type.getLayout().getWarpsN()), type.getWarpRows()), div(lane, 4))), zero = idx(0);
    for (int64_t i = 0; i < type.getThreadElements(); ++i)
      out.push_back({add(row0, i * 8), zero});
    return out;
  }
  default: {
    int64_t vector = std::min<int64_t>(16 * 8 / type.getElement().getIntOrFloatBitWidth(), type.getCols());
    for (int64_t i = 0; i < type.getThreadElements(); ++i) {
      Value e = toIndex(add(mul(tid, vector), i / vector * threads * vector + i % vector));
      out.push_back({div(e, type.getCols()), rem(e, type.getCols())});
    }
    return out;
  }
  }
}

Values TileLowering::cloneBody(Region &region, ValueRange arguments) {
  IRMapping mapping;
  mapping.map(region.getArguments(), arguments);
  for (Operation &op : region.front().without_terminator()) {
    Operation *clone = b.clone(op, mapping);
    // What a body has of this dialect is lowered where it is cloned to; its results are other values then.
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Operation *> tiles;
    clone->walk([&](Operation *nested) {
      if (isa<tile::TileDialect>(nested->getDialect()))
        tiles.push_back(nested);
    });
    for (Operation *nested : tiles)
      lower(nested);
    for (auto [original, result] : llvm::zip_equal(op.getResults(), clone->getResults()))
      if (Value other = scalars.lookup(result))
        mapping.map(original, other);
  }
  return llvm::map_to_vector(region.front().getTerminator()->getOperands(), [&](Value v) { return mapping.lookupOrDefault(v); });
}

void TileLowering::lowerMap(tile::MapOp op) {
  auto type = cast<tile::RegType>(op.getResults().front().getType());
  SmallVector<Place> at = places(type);
  int64_t colFragments = type.getWarpCols() / 8;
  SmallVector<Values> results(op.getNumResults());
  for (auto [e, place] : llvm::enumerate(at)) {
    Values arguments;
    for (Value v : op.getTiles()) {
      auto operand = cast<tile::RegType>(v.getType());
      bool row = operand.getKind() == tile::LayoutKind::Row && type.getKind() != tile::LayoutKind::Row;
      arguments.push_back(registers(v)[row ? e / (colFragments * 4) * 2 + e / 2 % 2 : e]);
    }
    arguments.append({place.row, place.col});
    for (auto [list, value] : llvm::zip_equal(results, cloneBody(op.getBody(), arguments)))
      list.push_back(value);
  }
  Values all;
  for (const Values &list : results)
    llvm::append_range(all, list);
  replace(op, all);
}

void TileLowering::lowerForEach(tile::ForEachOp op) {
  auto type = cast<tile::RegType>(op.getTile().getType());
  const Values values = registers(op.getTile());
  SmallVector<Place> at = places(type);
  OpBuilder::InsertionGuard guard(b);
  if (type.getKind() == tile::LayoutKind::Row) {
    // One of the four lanes of a row, in the first column of warps.
    Value first = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, add(rem(lane, 4), rem(warp, type.getLayout().getWarpsN())), i32(0));
    auto once = scf::IfOp::create(b, first, /*withElseRegion=*/false);
    b.setInsertionPoint(once.thenBlock()->getTerminator());
  }
  for (auto [value, place] : llvm::zip_equal(values, at))
    cloneBody(op.getBody(), {value, place.row, place.col});
  dead.push_back(op);
}

// --- rows
// -------------------------------------------------------------------------------------------------------------------------------------

Value TileLowering::combine(tile::Combine kind, Value x, Value y) {
  if (kind == tile::Combine::Add)
    return arith::AddFOp::create(b, x, y);
  return arith::MaxNumFOp::create(b, x, y);
}

Value TileLowering::joinLanes(tile::Combine kind, Value x, int64_t width) {
  for (int64_t distance = 1; distance < width; distance *= 2) {
    Value other = NVVM::ShflOp::create(b, b.getF32Type(), i32(-1), x, i32(distance), i32(31), NVVM::ShflKind::bfly, UnitAttr());
    x = combine(kind, x, other);
  }
  return x;
}

void TileLowering::lowerReduce(tile::ReduceOp op) {
  auto type = cast<tile::RegType>(op.getTile().getType());
  const Values values = registers(op.getTile());
  int64_t colFragments = type.getWarpCols() / 8;
  Values rows;
  for (int64_t mi = 0; mi < type.getWarpRows() / 16; ++mi)
    for (int64_t h = 0; h < 2; ++h) {
      Value sum;
      for (int64_t ni = 0; ni < colFragments; ++ni)
        for (int64_t c = 0; c < 2; ++c) {
          Value x = values[(mi * colFragments + ni) * 4 + h * 2 + c];
          sum = sum ? combine(op.getCombine(), sum, x) : x;
        }
      rows.push_back(sum);
    }
  // The four lanes that hold a row are neighbours.
  if (!op.getPartial())
    for (Value &v : rows)
      v = joinLanes(op.getCombine(), v, 4);
  replace(op, rows);
}

void TileLowering::lowerJoin(tile::JoinOp op) {
  Values rows = registers(op.getTile());
  for (Value &v : rows)
    v = joinLanes(op.getCombine(), v, 4);
  replace(op, rows);
}

} // namespace leat::cuda
