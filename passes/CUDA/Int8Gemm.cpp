// See Int8Gemm.h.
#include "passes/CUDA/Int8Gemm.h"
#include "passes/CUDA/FewRows.h"

using namespace mlir;

namespace leat::cuda {

/// 1.5 * 2^23: the float whose bits are its own and s more is that number and s, as long as |s| is below 2^22.
static constexpr double kMagic = 12582912.0;
static constexpr int64_t kMagicBits = 0x4b400000, kMagicLimit = 1 << 22;
static constexpr int64_t kLargestCode = 127;
static constexpr int64_t kLongestBlock = 1 << 16; ///< whose sums fit 32 bits

bool Int8Gemm::fits(MatmulNBitsOp op) {
  auto kernel = op->getParentOfType<KernelFuncOp>();
  int64_t block = op.getBlock();
  return op.getInt8Activations() && cpu::scheduled(kernel, "int8", 0) && block % 32 == 0 && block <= kLongestBlock &&
         cast<RankedTensorType>(op.getOutput().getType()).getRank() > 1;
}

Int8Gemm::Int8Gemm(MatmulNBitsOp op, KernelBuilder &k)
    : GemmTile(k, op.getLhs(), op.getOutput(), k.idx(op.getN()), k.idx(op.getK()), /*shared=*/true), op(op), codes(op, k),
      bits(op.getBits()), block(op.getBlock()), blocks(llvm::divideCeil(int64_t(op.getK()), block)), paddedDepth(blocks * block) {
  // Coded rows follow each other, whatever the left operand's do.
  rows = k.mul(batch, rows);
  batch = k.idx(1);
  flat = true;
  paddedRows = k.mul(k.ceilDiv(rows, k.idx(4)), k.idx(4));
  bm = cpu::scheduled(k.kernel, "rows", 128);
  bn = cpu::scheduled(k.kernel, "cols", 64);
  stages = cpu::scheduled(k.kernel, "stages", 3);
  for (bk = 32; bk * 2 <= cpu::scheduled(k.kernel, "depth", 128) && block % (bk * 2) == 0;)
    bk *= 2;
}

Value Int8Gemm::codedBytes() {
  return k.add(k.mul(rows, k.idx(paddedDepth)), k.mul(paddedRows, k.idx(2 * blocks * int64_t(sizeof(float)))));
}

Value Int8Gemm::factorsAt() { return k.bytePtr(k.shared(), k.mul(rows, k.idx(paddedDepth))); }

Value Int8Gemm::codeSumsAt() { return k.elementPtr(factorsAt(), k.b.getF32Type(), k.mul(paddedRows, k.idx(blocks))); }

// --- coding rows
// ------------------------------------------------------------------------------------------------------------------------------

/// Lanes that code a block of a row, four neighbours of it each at a time.
static int64_t lanesOf(int64_t block) {
  int64_t lanes = 8;
  while (lanes < 32 && block % (lanes * 8) == 0)
    lanes *= 2;
  return lanes;
}

Values Int8Gemm::codingGrid() {
  return {k.ceilDiv(k.mul(rows, k.idx(blocks)), k.idx(kFewRowsThreads / lanesOf(block))), k.idx(1), k.idx(1)};
}

Values Int8Gemm::fourOf(Value row, Value depthAt) {
  auto &b = k.b;
  unsigned rank = lhsType.getRank();
  SmallVector<Value> dims(outBatch);
  dims.push_back(m);
  SmallVector<Value> at = cpu::delinearize(k, row, dims);
  Value place = at.back();
  at.push_back(depthAt);
  Type f32 = b.getF32Type();
  return k.ifElse(
      k.compare(arith::CmpIPredicate::slt, depthAt, depth),
      [&]() -> Values {
        if (auto matrix = matrixOf(k, lhs, at, rank - 2, rank - 1)) {
          Value offset = k.add(k.mul(place, matrix->stride), depthAt);
          return unpackWords(k, loadWords(k, matrix->pointer, matrix->element, offset, KernelBuilder::byteWidth(matrix->element)),
                             matrix->element);
        }
        Values four;
        for (int64_t i = 0; i < 4; ++i) {
          at.back() = k.add(depthAt, k.idx(i));
          Puller pull(k, 1);
          four.push_back(cpu::convertCarried(k, pull.pull(lhs, pull.at(at)), f32));
        }
        return four;
      },
      [&]() -> Values { return Values(4, k.constant(f32, 0)); });
}

void Int8Gemm::codeRows() {
  auto &b = k.b;
  Type f32 = b.getF32Type(), i32 = b.getI32Type(), i8 = b.getI8Type(), index = b.getIndexType();
  int64_t lanes = lanesOf(block);
  Value thread = tile::ThreadIdOp::create(b, index), lane = k.rem(thread, k.idx(lanes));
  Value perBlock = k.idx(kFewRowsThreads / lanes), cells = k.mul(rows, k.idx(blocks));
  Value cell = k.add(k.mul(tile::BlockIdOp::create(b, index, 0), perBlock), k.div(thread, k.idx(lanes)));
  // Lanes behind the last block of the last row code that one, too, since all are needed to combine, and store nothing.
  Value exists = k.compare(arith::CmpIPredicate::slt, cell, cells), there = k.min(cell, k.sub(cells, k.idx(1)));
  Value row = k.div(there, k.idx(blocks)), blockAt = k.rem(there, k.idx(blocks));
  Value begin = k.add(k.mul(blockAt, k.idx(block)), k.mul(lane, k.idx(4))), end = k.mul(k.add(blockAt, k.idx(1)), k.idx(block));

  Value mine = k.forLoop(begin, end, k.idx(4 * lanes), k.constant(f32, 0), [&](Value at, ValueRange carried) -> Values {
    Value most = carried[0];
    for (Value x : fourOf(row, at))
      most = arith::MaxNumFOp::create(b, most, math::AbsFOp::create(b, x).getResult());
    return {most};
  })[0];
  // Rows are read again for their codes: the first cache has them.
  Value peak = tile::LanesOp::create(b, f32, tile::Combine::Max, mine, lanes), zero = k.constant(f32, 0);
  Value inverse = arith::SelectOp::create(b, arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, peak, zero),
                                          arith::DivFOp::create(b, k.constant(f32, kLargestCode), peak), zero);
  Value sum = k.forLoop(begin, end, k.idx(4 * lanes), k.constantInt(i32, 0), [&](Value at, ValueRange carried) -> Values {
    Value next = carried[0], word = k.constantInt(i32, 0);
    for (auto [i, x] : llvm::enumerate(fourOf(row, at))) { // to the nearest even, and 0 of what is no number
      Value q = LLVM::CallIntrinsicOp::create(b, i32, b.getStringAttr("llvm.nvvm.f2i.rn"),
                                              ValueRange(arith::MulFOp::create(b, x, inverse).getResult()))
                    .getResult(0);
      next = arith::AddIOp::create(b, next, q);
      Value byte = arith::AndIOp::create(b, q, k.constantInt(i32, 0xff));
      word = arith::OrIOp::create(b, word, arith::ShLIOp::create(b, byte, k.constantInt(i32, 8 * i)));
    }
    k.ifThen(exists, [&] { LLVM::StoreOp::create(b, word, k.elementPtr(k.shared(), i8, codedAt(row, at)), 4); });
    return {next};
  })[0];
  Value all = tile::LanesOp::create(b, f32, tile::Combine::Add, arith::SIToFPOp::create(b, f32, sum), lanes);
  k.ifThen(arith::AndIOp::create(b, exists, k.compare(arith::CmpIPredicate::eq, lane, k.idx(0))), [&] {
    Value at = k.add(k.mul(blockAt, paddedRows), row);
    k.store(arith::MulFOp::create(b, peak, k.constant(f32, 1.0 / kLargestCode)), factorsAt(), f32, at);
    k.store(all, codeSumsAt(), f32, at);
  });
}

// --- multiplying
// ------------------------------------------------------------------------------------------------------------------------------

Values Int8Gemm::grid() { return {k.ceilDiv(n, k.idx(bn)), k.ceilDiv(rows, k.idx(bm)), batch}; }

Value Int8Gemm::isAtBlock(Value depthAt) {
  if (bk == block)
    return k.constantInt(k.b.getI1Type(), 1);
  return k.compare(arith::CmpIPredicate::eq, k.rem(depthAt, k.idx(block)), k.idx(0));
}

bool Int8Gemm::endsAsFloat() const { return kLargestCode * (1 << (bits - 1)) * block < kMagicLimit; }

void Int8Gemm::multiply() {
  auto &b = k.b;
  choose(bm, bn);
  MLIRContext *context = b.getContext();
  Type f32 = b.getF32Type(), i32 = b.getI32Type(), i8 = b.getI8Type(), ui8 = b.getIntegerType(8, /*isSigned=*/false);
  auto line = [&](int64_t rows, int64_t cols) { return tile::SharedType::get(context, rows, cols, f32, 0, 0, 1); };
  // Codes of 8 bits are copied as they are, from 0 on; those of 4 bits have the same bytes with and without a sign.
  SmallVector<tile::SharedType> tiles{sharedType(bm, bk, i8, 0), sharedType(bn, bk, bits == 8 ? ui8 : i8, 0), line(1, bm), line(1, bm),
                                      line(op.getZeros() ? 2 : 1, bn)};
  Values buffers;
  for (tile::SharedType t : tiles) {
    auto staged = tile::SharedType::get(context, t.getRows(), t.getCols(), t.getElement(), t.getSwizzle(), t.getPad(), stages);
    buffers.push_back(tile::AllocOp::create(b, staged, IntegerAttr()));
  }
  auto layout = tile::LayoutAttr::get(context, tile::LayoutKind::Acc, kWarpRows, bn / kWarpCols);
  auto acc = tile::RegType::get(context, bm, bn, f32, layout), bytes = acc.withElement(i32);
  Values carried{tile::SplatOp::create(b, bytes, k.constantInt(i32, 0)), tile::SplatOp::create(b, acc, k.constant(f32, 0))};
  auto loop = tile::PipelineOp::create(b, TypeRange{bytes, acc}, k.idx(0), k.idx(paddedDepth), k.idx(bk), Value(), buffers, carried);
  SmallVector<Type> arguments{b.getIndexType()};
  llvm::append_range(arguments, tiles);
  buildRegion(k, loop.getProduce(), arguments, [&](ValueRange at) -> Values {
    copy({k.shared(), k.idx(paddedDepth), i8}, rows, k.idx(paddedDepth), row0, at[0], at[1]);
    bringCodes(at[0], at[2]);
    Value blockAt = codes.blockOf(at[0]);
    copy({factorsAt(), paddedRows, f32}, k.idx(blocks), rows, blockAt, row0, at[3]);
    copy({codeSumsAt(), paddedRows, f32}, k.idx(blocks), rows, blockAt, row0, at[4]);
    k.ifThen(endsBlock(at[0]), [&] { bringScales(blockAt, at[5]); });
    return {};
  });
  arguments.append({bytes, acc});
  buildRegion(k, loop.getConsume(), arguments, [&](ValueRange at) -> Values {
    Value sums = k.ifElse(isAtBlock(at[0]), [&]() -> Values { return {beginBlock(bytes, at[4])}; }, [&]() -> Values { return {at[6]}; })[0];
    sums = tile::DotOp::create(b, bytes, at[1], at[2], sums, b.getUnitAttr());
    Value totals = k.ifElse(
        endsBlock(at[0]), [&]() -> Values { return {addBlock(sums, at[7], at[3], at[4], at[5])}; }, [&]() -> Values { return {at[7]}; })[0];
    return {sums, totals};
  });
  finish(loop.getResult(1));
}

void Int8Gemm::bringCodes(Value k0, Value tile) {
  auto &b = k.b;
  if (bits == 8)
    return copy({k.buffer(cast<BlockArgument>(op.getCodes())), k.idx(paddedDepth), b.getIntegerType(8, /*isSigned=*/false)}, n,
                k.idx(paddedDepth), n0, k0, tile);
  // The lower and the upper halves of a word's bytes, and then four by four in the order of the depth.
  constexpr int64_t kRun = 16;
  Type i32 = b.getI32Type();
  int64_t perColumn = bk / kRun;
  Value lastColumn = k.sub(n, k.idx(1)), thread = tile::ThreadIdOp::create(b, b.getIndexType());
  k.forLoop(thread, k.idx(bn * perColumn), k.idx(threads()), [&](Value e) {
    // Columns behind the last are computed from it and dropped.
    Value column = k.div(e, k.idx(perColumn)), first = k.mul(k.rem(e, k.idx(perColumn)), k.idx(kRun));
    Value all = LLVM::UndefOp::create(b, VectorType::get({kRun / 4}, i32));
    for (auto [i, word] : llvm::enumerate(codes.words(k.min(k.add(n0, column), lastColumn), k.add(k0, first), kRun))) {
      Value mask = k.constantInt(i32, 0x0f0f0f0f), low = arith::AndIOp::create(b, word, mask);
      Value high = arith::AndIOp::create(b, arith::ShRUIOp::create(b, word, k.constantInt(i32, 4)), mask);
      for (int64_t half = 0; half < 2; ++half) {
        Value order = k.constantInt(i32, half ? 0x7362 : 0x5140);
        Value four = LLVM::CallIntrinsicOp::create(b, i32, b.getStringAttr("llvm.nvvm.prmt"), ValueRange{low, high, order}).getResult(0);
        all = LLVM::InsertElementOp::create(b, all, four, k.constantInt(i32, 2 * i + half));
      }
    }
    tile::WriteOp::create(b, LLVM::BitcastOp::create(b, VectorType::get({kRun}, b.getI8Type()), all), tile, column, first);
  });
}

void Int8Gemm::bringScales(Value blockAt, Value tile) {
  auto &b = k.b;
  Value thread = tile::ThreadIdOp::create(b, b.getIndexType()), lastColumn = k.sub(n, k.idx(1));
  k.forLoop(thread, k.idx(bn), k.idx(threads()), [&](Value column) {
    Value source = k.min(k.add(n0, column), lastColumn);
    tile::WriteOp::create(b, codes.scaleOf(source, blockAt), tile, k.idx(0), column);
    if (op.getZeros()) {
      Value middle = k.constant(b.getF32Type(), 1 << (bits - 1));
      tile::WriteOp::create(b, arith::SubFOp::create(b, codes.zeroOf(source, blockAt), middle), tile, k.idx(1), column);
    }
  });
}

Value Int8Gemm::ofRows(Value line) {
  MLIRContext *context = k.b.getContext();
  Type f32 = k.b.getF32Type();
  auto layout = tile::LayoutAttr::get(context, tile::LayoutKind::Row, kWarpRows, bn / kWarpCols);
  return mapTiles(k, {}, tile::RegType::get(context, bm, 1, f32, layout),
                  [&](ValueRange at) -> Values { return {tile::ReadOp::create(k.b, f32, line, k.idx(0), at[0])}; })[0];
}

Value Int8Gemm::beginBlock(tile::RegType bytes, Value codeSums) {
  auto &b = k.b;
  return mapTiles(k, ofRows(codeSums), bytes, [&](ValueRange of) -> Values {
    Value middle = arith::MulFOp::create(b, of[0], k.constant(b.getF32Type(), 1 << (bits - 1)));
    Type i32 = b.getI32Type();
    return {arith::SubIOp::create(b, k.constantInt(i32, endsAsFloat() ? kMagicBits : 0), arith::FPToSIOp::create(b, i32, middle))};
  })[0];
}

Value Int8Gemm::addBlock(Value sums, Value totals, Value factors, Value codeSums, Value scales) {
  auto &b = k.b;
  Type f32 = b.getF32Type();
  Values operands{sums, totals, ofRows(factors)};
  if (op.getZeros())
    operands.push_back(ofRows(codeSums));
  return mapTiles(k, operands, totals.getType(), [&](ValueRange of) -> Values {
    Value column = of.back(), scale = tile::ReadOp::create(b, f32, scales, k.idx(0), column);
    Value sum = endsAsFloat() ? arith::SubFOp::create(b, arith::BitcastOp::create(b, f32, of[0]), k.constant(f32, kMagic)).getResult()
                              : arith::SIToFPOp::create(b, f32, of[0]).getResult();
    if (op.getZeros()) {
      Value zero = arith::NegFOp::create(b, tile::ReadOp::create(b, f32, scales, k.idx(1), column));
      sum = k.fma(of[3], zero, sum);
    }
    return {k.fma(arith::MulFOp::create(b, sum, scale), of[2], of[1])};
  })[0];
}

} // namespace leat::cuda
