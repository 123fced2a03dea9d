// Shared and global memory of tile programs: addresses under a swizzle, copies in flight, ldmatrix, stores within bounds.
#include "passes/CUDA/TileLowering.h"

using namespace mlir;

namespace leat::cuda {

// --- addresses in shared memory
// --------------------------------------------------------------------------------------------------------------

Value TileLowering::swizzleBits(tile::SharedType type, Value row) {
  switch (type.getSwizzle()) {
  case 128:
    return shl(rem(row, 8), 4);
  case 64:
    return shl(rem(div(row, 2), 4), 4);
  case 32:
    return shl(rem(div(row, 4), 2), 4);
  default:
    return i32(0);
  }
}

Value TileLowering::sharedAddress(Value tile, Value row, Value byteCol) {
  auto type = cast<tile::SharedType>(tile.getType());
  Value base = addresses[tile];
  if (int64_t span = type.getSwizzle()) {
    base = add(base, mul(div(byteCol, span), type.getRows() * span));
    byteCol = bitXor(rem(byteCol, span), swizzleBits(type, row));
  }
  return add(add(base, mul(row, type.getRowBytes())), byteCol);
}

Value TileLowering::sharedPointer(Value address) {
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), kSharedSpace), address);
}

/// Runs `body` for element number e = thread, thread + threads, ... below `count`: unrolled if all threads have the same few.
static void strided(ImplicitLocOpBuilder &b, Value tid, int64_t threads, int64_t count, int64_t unroll,
                    llvm::function_ref<void(Value)> body) {
  auto c = [&](int64_t v) -> Value { return arith::ConstantOp::create(b, b.getI32IntegerAttr(v)); };
  int64_t rounds = count / threads;
  if (rounds <= unroll) {
    for (int64_t i = 0; i < rounds; ++i)
      body(i ? arith::AddIOp::create(b, tid, c(i * threads)).getResult() : tid);
    if (count % threads == 0)
      return;
    Value e = rounds ? arith::AddIOp::create(b, tid, c(rounds * threads)).getResult() : tid;
    auto rest = scf::IfOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::slt, e, c(count)), /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(rest.thenBlock()->getTerminator());
    body(e);
    return;
  }
  auto loop = scf::ForOp::create(b, tid, c(count), c(threads));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  body(loop.getInductionVar());
}

// --- global to shared
// ------------------------------------------------------------------------------------------------------------------------

namespace {
/// What tile.view and tile.paged_view have in common.
struct GlobalView {
  Value base, rows, cols, stride;
  tile::PagedViewOp pages;

  explicit GlobalView(Value view) {
    auto take = [&](auto op) { base = op.getBase(), rows = op.getRows(), cols = op.getCols(), stride = op.getStride(); };
    if (auto plain = view.getDefiningOp<tile::ViewOp>())
      take(plain);
    else if ((pages = view.getDefiningOp<tile::PagedViewOp>()))
      take(pages);
  }
};
} // namespace

void TileLowering::lowerCopy(tile::CopyAsyncOp op) {
  GlobalView view(op.getView());
  auto type = cast<tile::SharedType>(op.getTile().getType());
  if (!view.base) {
    op.emitError("needs a view made by tile.view or tile.paged_view in the same function");
    failed = true;
    return;
  }
  int64_t bytes = type.getElementBytes(), chunk = 16 / bytes, perRow = type.getCols() / chunk;
  auto global = LLVM::LLVMPointerType::get(b.getContext(), kGlobalSpace);
  auto inGlobal = [&](Value pointer) {
    return pointer.getType() == global ? pointer : LLVM::AddrSpaceCastOp::create(b, global, pointer).getResult();
  };
  auto at = [&](Value pointer, Type element, Value offset) {
    Value distance = arith::IndexCastOp::create(b, b.getI64Type(), offset);
    return LLVM::GEPOp::create(b, global, element, pointer, ArrayRef<LLVM::GEPArg>{distance});
  };
  // Uniform for the block: the tile's first element, and how much of the view lies to its right and below.
  Value first = view.pages ? op.getCol() : add(mul(op.getRow(), view.stride), op.getCol());
  Value rowsLeft = arith::SubIOp::create(b, view.rows, op.getRow()), colsLeft = arith::SubIOp::create(b, view.cols, op.getCol());
  auto clamp = [&](Value left, int64_t most) {
    Value bounded = arith::MinSIOp::create(b, arith::MaxSIOp::create(b, left, idx(0)), idx(most));
    return toI32(bounded);
  };
  Value rows = clamp(rowsLeft, type.getRows()), cols = clamp(colsLeft, type.getCols());
  Value source = at(inGlobal(view.base), b.getI8Type(), mul(first, bytes)), table = view.pages ? inGlobal(view.pages.getTable()) : Value();
  /// Elements from `source` to a row. In pages: to one that exists, if there is any.
  auto rowOffset = [&](Value row) -> Value {
    if (!view.pages)
      return mul(toIndex(row), view.stride);
    Value there = arith::MinSIOp::create(b, row, arith::MaxSIOp::create(b, arith::SubIOp::create(b, rows, i32(1)), i32(0)));
    Value entry = add(add(view.pages.getFirst(), op.getRow()), toIndex(there));
    int64_t page = view.pages.getPage();
    Value number = LLVM::LoadOp::create(b, b.getI32Type(), at(table, b.getI32Type(), div(entry, page)), 4);
    return add(mul(toIndex(number), view.pages.getPageStride()), mul(rem(entry, page), view.stride));
  };
  strided(b, tid, threads, type.getRows() * perRow, 16, [&](Value e) {
    Value row = div(e, perRow), part = mul(rem(e, perRow), chunk);
    // Bytes inside of the view; the rest of the chunk is filled with zeros. A chunk outside reads nothing: its address is the tile's first.
    Value inside = arith::MinSIOp::create(b, arith::MaxSIOp::create(b, arith::SubIOp::create(b, cols, part), i32(0)), i32(chunk));
    inside = arith::SelectOp::create(b, less(row, rows), mul(inside, bytes), i32(0));
    Value offset = mul(add(rowOffset(row), toIndex(part)), bytes);
    Value some = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, inside, i32(0));
    offset = arith::SelectOp::create(b, some, offset, idx(0));
    Value from = at(source, b.getI8Type(), offset);
    Value to = sharedPointer(sharedAddress(op.getTile(), row, mul(part, bytes)));
    NVVM::CpAsyncOp::create(b, to, from, b.getI32IntegerAttr(16),
                            NVVM::LoadCacheModifierKindAttr::get(b.getContext(), NVVM::LoadCacheModifierKind::CG), inside);
  });
  dead.push_back(op);
}

void TileLowering::lowerFill(tile::FillOp op) {
  auto type = cast<tile::SharedType>(op.getTile().getType());
  int64_t minor = op.getByRows() ? type.getRows() : type.getCols();
  strided(b, tid, threads, type.getRows() * type.getCols(), 1, [&](Value e) {
    Value outer = div(e, minor), inner = rem(e, minor);
    Value row = op.getByRows() ? inner : outer, col = op.getByRows() ? outer : inner;
    Value element = cloneBody(op.getBody(), {toIndex(row), toIndex(col)})[0];
    Value to = sharedPointer(sharedAddress(op.getTile(), row, mul(col, type.getElementBytes())));
    LLVM::StoreOp::create(b, element, to, type.getElementBytes());
  });
  dead.push_back(op);
}

void TileLowering::lowerVisit(tile::VisitOp op) {
  auto type = cast<tile::SharedType>(op.getTile().getType());
  int64_t width = op.getWidth(), bytes = type.getElementBytes(), perRow = type.getCols() / width;
  Type loaded = op.getBody().getArgument(0).getType();
  strided(b, tid, threads, type.getRows() * perRow, 1, [&](Value e) {
    Value row = div(e, perRow), col = mul(rem(e, perRow), width);
    Value from = sharedPointer(sharedAddress(op.getTile(), row, mul(col, bytes)));
    Value element = LLVM::LoadOp::create(b, loaded, from, std::min<int64_t>(width * bytes, 16));
    cloneBody(op.getBody(), {element, toIndex(row), toIndex(col)});
  });
  dead.push_back(op);
}

// --- shared to registers
// -----------------------------------------------------------------------------------------------------------------------

/// `row` and `byteCol` are where the warp's part of the tile begins: a multiple of 8 rows, and of `spanBytes`, what one warp reads of a
/// row. The lane's part of the address, swizzled, is then one number for all blocks whose columns differ in whole spans, and its xor with
/// the rest.
TileLowering::MatrixLoader TileLowering::matrixLoader(Value tile, Value laneRow, Value laneChunk, Value row, Value byteCol,
                                                      int64_t spanBytes) {
  auto type = cast<tile::SharedType>(tile.getType());
  Value base = add(addresses[tile], mul(row, type.getRowBytes())), column = mul(laneChunk, 16);
  if (int64_t span = type.getSwizzle()) {
    if (spanBytes % span != 0 && span % spanBytes != 0) {
      program.emitError("warps read ") << spanBytes << " bytes of each row of a tile with a swizzle of " << span
                                       << " bytes: one has to be a multiple of the other";
      failed = true;
    }
    base = add(base, mul(div(byteCol, span), type.getRows() * span));
    column = bitXor(bitXor(column, rem(byteCol, span)), swizzleBits(type, laneRow));
  } else {
    column = add(column, byteCol);
  }
  return {base, add(mul(laneRow, type.getRowBytes()), column), type};
}

Values TileLowering::loadMatrices(const MatrixLoader &loader, int64_t row, int64_t byteCol, int64_t count, bool transposed) {
  tile::SharedType type = loader.type;
  Value address;
  if (int64_t span = type.getSwizzle()) {
    Value inSpan = byteCol % span ? bitXor(loader.lane, i32(byteCol % span)) : loader.lane;
    address = add(add(loader.base, inSpan), byteCol / span * type.getRows() * span + row * span);
  } else {
    address = add(add(loader.base, loader.lane), byteCol + row * type.getRowBytes());
  }
  MLIRContext *context = b.getContext();
  Type i32Type = b.getI32Type();
  Type result = count == 1 ? i32Type : Type(LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(count, i32Type)));
  auto layout = NVVM::MMALayoutAttr::get(context, transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row);
  Value loaded = NVVM::LdMatrixOp::create(b, result, sharedPointer(address), b.getI32IntegerAttr(count), layout,
                                          NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                                          NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16));
  if (count == 1)
    return {loaded};
  Values values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, loaded, i));
  return values;
}

void TileLowering::lowerLoad(tile::LoadOp op) {
  auto type = cast<tile::SharedType>(op.getTile().getType());
  auto reg = cast<tile::RegType>(op.getResult().getType());
  bool left = reg.getKind() == tile::LayoutKind::A, transposed = op.getTransposed();
  Values out;
  if (type.getElement() != reg.getElement()) { // f32 rounded to fragments of the left operand
    Value row0 = add(warpRow(reg), div(lane, 4)), col0 = mul(rem(lane, 4), 2);
    for (int64_t mi = 0; mi < reg.getWarpRows() / 16; ++mi)
      for (int64_t ki = 0; ki < reg.getCols() / 16; ++ki)
        for (int64_t r = 0; r < 4; ++r) {
          Value row = add(row0, mi * 16 + 8 * (r & 1)), col = add(col0, ki * 16 + 8 * (r >> 1));
          Value at = sharedPointer(sharedAddress(op.getTile(), row, mul(col, 4)));
          Value pair = LLVM::LoadOp::create(b, VectorType::get({2}, b.getF32Type()), at, 8);
          Value x[2];
          for (int64_t j = 0; j < 2; ++j) {
            x[j] = LLVM::ExtractElementOp::create(b, pair, i32(j));
            for (uint64_t times = 0; times < op.getResidual(); ++times)
              x[j] = arith::SubFOp::create(b, x[j], arith::ExtFOp::create(b, b.getF32Type(), round(x[j], reg.getElement())));
          }
          out.push_back(pack(reg.getElement(), x[0], x[1]));
        }
    return replace(op, out);
  }
  // Registers of a fragment are 8x8 matrices; which lane addresses which row of which matrix follows from their order.
  Value laneRow, laneChunk;
  if (left && !transposed) // (row, row + 8) x (depth, depth + 8): rows first
    laneRow = rem(lane, 16), laneChunk = div(lane, 16);
  else if (left) // stored [depth, row]
    laneRow = add(rem(lane, 8), mul(div(lane, 16), 8)), laneChunk = rem(div(lane, 8), 2);
  else if (!transposed) // two fragments of 8 columns x 16: depth first
    laneRow = add(rem(lane, 8), mul(div(lane, 16), 8)), laneChunk = rem(div(lane, 8), 2);
  else // stored [depth, column]
    laneRow = rem(lane, 16), laneChunk = div(lane, 16);
  int64_t mine = left ? reg.getWarpRows() : reg.getRows() / reg.getLayout().getWarpsN(), fragment = reg.getFragmentCols();
  Value first = left ? warpRow(reg) : mul(rem(warp, reg.getLayout().getWarpsN()), mine);
  MatrixLoader loader = transposed ? matrixLoader(op.getTile(), laneRow, laneChunk, i32(0), mul(first, 2), mine * 2)
                                   : matrixLoader(op.getTile(), laneRow, laneChunk, first, i32(0), reg.getCols() * type.getElementBytes());
  auto at = [&](int64_t row, int64_t depth, int64_t count) {
    return transposed ? loadMatrices(loader, depth, row * 2, count, true)
                      : loadMatrices(loader, row, depth * type.getElementBytes(), count, false);
  };
  int64_t depths = reg.getCols() / fragment;
  if (left) {
    for (int64_t mi = 0; mi < mine / 16; ++mi)
      for (int64_t ki = 0; ki < depths; ++ki)
        llvm::append_range(out, at(mi * 16, ki * fragment, 4));
    return replace(op, out);
  }
  out.resize(mine / 8 * depths * 2);
  for (int64_t ni = 0; ni < mine / 8; ni += 2)
    for (int64_t ki = 0; ki < depths; ++ki) {
      int64_t fragments = std::min<int64_t>(2, mine / 8 - ni);
      for (auto [i, v] : llvm::enumerate(at(ni * 8, ki * fragment, fragments * 2)))
        out[((ni + i / 2) * depths + ki) * 2 + i % 2] = v;
    }
  replace(op, out);
}

/// Bytes that an access of `type` has.
static int64_t accessBytes(Type type, int64_t elementBytes) {
  auto vector = dyn_cast<VectorType>(type);
  return elementBytes * (vector ? vector.getNumElements() : 1);
}

void TileLowering::lowerRead(tile::ReadOp op) {
  int64_t bytes = cast<tile::SharedType>(op.getTile().getType()).getElementBytes();
  Value at = sharedPointer(sharedAddress(op.getTile(), toI32(op.getRow()), mul(toI32(op.getCol()), bytes)));
  Type type = op.getValue().getType();
  replace(op, ValueRange(LLVM::LoadOp::create(b, type, at, accessBytes(type, bytes))));
}

void TileLowering::lowerWrite(tile::WriteOp op) {
  int64_t bytes = cast<tile::SharedType>(op.getTile().getType()).getElementBytes();
  Value at = sharedPointer(sharedAddress(op.getTile(), toI32(op.getRow()), mul(toI32(op.getCol()), bytes)));
  LLVM::StoreOp::create(b, op.getValue(), at, accessBytes(op.getValue().getType(), bytes));
  dead.push_back(op);
}

// --- registers to memory
// -----------------------------------------------------------------------------------------------------------------------

void TileLowering::lowerStore(tile::StoreOp op) {
  auto view = op.getView().getDefiningOp<tile::ViewOp>();
  auto reg = cast<tile::RegType>(op.getValue().getType());
  if (!view) {
    op.emitError("needs a view made by tile.view in the same function");
    failed = true;
    return;
  }
  Type element = cast<tile::ViewType>(op.getView().getType()).getElement();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Type ptr = view.getBase().getType();
  const Values values = registers(op.getValue());
  SmallVector<Place> at = places(reg);
  // Pairs of neighbouring columns are stored as one where the view is aligned for it.
  for (size_t i = 0; i < values.size(); i += 2) {
    Value row = add(op.getRow(), at[i].row), col = add(op.getCol(), at[i].col);
    Value offset = add(mul(row, view.getStride()), col);
    Value address = LLVM::GEPOp::create(b, ptr, element, view.getBase(),
                                        ArrayRef<LLVM::GEPArg>{arith::IndexCastOp::create(b, b.getI64Type(), offset).getResult()});
    Value inRow = less(row, view.getRows()), low = round(values[i], element), high = round(values[i + 1], element);
    Value firstIn = both(inRow, less(col, view.getCols())), secondIn = both(inRow, less(add(col, 1), view.getCols()));
    auto single = [&](Value value, int32_t place) {
      Value to = LLVM::GEPOp::create(b, ptr, element, address, ArrayRef<LLVM::GEPArg>{place});
      LLVM::StoreOp::create(b, value, to, bytes);
    };
    if (int64_t(view.getAlign()) >= 2 * bytes) {
      when(secondIn, [&] {
        Value pair = LLVM::UndefOp::create(b, VectorType::get({2}, element));
        pair = LLVM::InsertElementOp::create(b, pair, low, i32(0));
        pair = LLVM::InsertElementOp::create(b, pair, high, i32(1));
        LLVM::StoreOp::create(b, pair, address, 2 * bytes);
      });
      Value onlyFirst = both(firstIn, arith::XOrIOp::create(b, secondIn, arith::ConstantIntOp::create(b, 1, 1)));
      when(onlyFirst, [&] { single(low, 0); });
      continue;
    }
    when(firstIn, [&] { single(low, 0); });
    when(secondIn, [&] { single(high, 1); });
  }
  dead.push_back(op);
}

void TileLowering::lowerStoreShared(tile::StoreSharedOp op) {
  auto reg = cast<tile::RegType>(op.getValue().getType());
  auto type = cast<tile::SharedType>(op.getTile().getType());
  const Values values = registers(op.getValue());
  Type element = type.getElement();
  int64_t bytes = type.getElementBytes();
  Value row0 = add(warpRow(reg), div(lane, 4)), col0 = add(warpCol(reg), mul(rem(lane, 4), 2));
  size_t i = 0;
  for (int64_t mi = 0; mi < reg.getWarpRows() / 16; ++mi)
    for (int64_t ni = 0; ni < reg.getWarpCols() / 8; ++ni)
      for (int64_t h = 0; h < 2; ++h, i += 2) {
        Value at = sharedPointer(sharedAddress(op.getTile(), add(row0, mi * 16 + 8 * h), mul(add(col0, ni * 8), bytes)));
        if (element != reg.getElement()) {
          LLVM::StoreOp::create(b, pack(element, values[i], values[i + 1]), at, 4);
          continue;
        }
        Value pair = LLVM::UndefOp::create(b, VectorType::get({2}, element));
        pair = LLVM::InsertElementOp::create(b, pair, values[i], i32(0));
        pair = LLVM::InsertElementOp::create(b, pair, values[i + 1], i32(1));
        LLVM::StoreOp::create(b, pair, at, 8);
      }
  dead.push_back(op);
}

} // namespace leat::cuda
