// See FewRows.h.
#include "passes/CUDA/FewRows.h"
#include "passes/CPU/Products.h"

using namespace mlir;

namespace leat::cuda {

namespace {
constexpr int64_t kRows = 4;        ///< rows that a block works on
constexpr int64_t kDepth = 512;     ///< of the left operand that is in shared memory at a time
constexpr int64_t kColumns = 64;    ///< of a block along columns
constexpr int64_t kWarpColumns = 4; ///< of a warp along the depth
constexpr int64_t kUnroll = 4;      ///< loads of weights in flight
} // namespace

Values fewRowsGrid(KernelBuilder &k, Value rows, Value columns, bool alongColumns) {
  int64_t perBlock = alongColumns ? kColumns : kWarpColumns * kFewRowsThreads / 32;
  return {k.ceilDiv(columns, k.idx(perBlock)), k.ceilDiv(rows, k.idx(kRows)), k.idx(1)};
}

Values loadWords(KernelBuilder &k, Value base, Type element, Value offset, int64_t count) {
  auto &b = k.b;
  Type i32 = b.getI32Type();
  Value at = k.elementPtr(base, element, offset);
  if (count == 1)
    return {LLVM::LoadOp::create(b, i32, at, 4)};
  Value words = LLVM::LoadOp::create(b, VectorType::get({count}, i32), at, 4 * count);
  Values out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(LLVM::ExtractElementOp::create(b, words, k.constantInt(i32, i)));
  return out;
}

Values unpackWords(KernelBuilder &k, ValueRange words, Type type) {
  auto &b = k.b;
  Type f32 = b.getF32Type(), i32 = b.getI32Type();
  Values out;
  for (Value word : words) {
    if (type.isF32()) {
      out.push_back(arith::BitcastOp::create(b, f32, word));
    } else if (type.isBF16()) { // a bf16 is the upper half of an f32
      out.push_back(arith::BitcastOp::create(b, f32, arith::ShLIOp::create(b, word, k.constantInt(i32, 16))));
      out.push_back(arith::BitcastOp::create(b, f32, arith::AndIOp::create(b, word, k.constantInt(i32, int32_t(0xffff0000)))));
    } else {
      Value pair = LLVM::BitcastOp::create(b, VectorType::get({2}, type), word);
      for (int64_t i = 0; i < 2; ++i) {
        Value half = LLVM::ExtractElementOp::create(b, pair, k.constantInt(i32, i));
        out.push_back(arith::ExtFOp::create(b, f32, half));
      }
    }
  }
  return out;
}

/// The block's rows of the left operand, [rows, depth] or with `steps` [depth, rows], for steps from k0 on; zeros behind the last of
/// either.
static void bringLeft(KernelBuilder &k, const FewRows &p, Value row0, Value k0, bool steps, Value tile) {
  Value rows = k.sub(p.rows, row0), depth = k.sub(p.depth, k0);
  fillTile(k, tile, steps ? depth : rows, steps ? rows : depth, /*byRows=*/steps,
           [&](Value i, Value j) { return p.left(k.add(row0, steps ? j : i), k.add(k0, steps ? i : j)); });
}

static Values readFour(KernelBuilder &k, Value tile, Value row, Value col) {
  Value four = tile::ReadOp::create(k.b, VectorType::get({4}, k.b.getF32Type()), tile, row, col);
  Values out;
  for (int64_t i = 0; i < 4; ++i)
    out.push_back(LLVM::ExtractElementOp::create(k.b, four, k.constantInt(k.b.getI32Type(), i)));
  return out;
}

/// Stores the results of an element that exists.
static void emitInside(KernelBuilder &k, const FewRows &p, Value row, Value column, Value sum) {
  Value inside = arith::AndIOp::create(k.b, k.compare(arith::CmpIPredicate::slt, row, p.rows),
                                       k.compare(arith::CmpIPredicate::slt, column, p.columns));
  k.ifThen(inside, [&] {
    SmallVector<Value> at = cpu::delinearize(k, row, p.rowDims);
    at.push_back(column);
    emitElement(k, p.root, at, sum);
  });
}

/// For each part of the depth: brings the left operand, then multiply(tile, k0, steps, sums) gives new sums.
static Values overDepth(KernelBuilder &k, const FewRows &p, Value row0, bool steps, Values sums,
                        llvm::function_ref<Values(Value tile, Value k0, Value count, ValueRange sums)> multiply) {
  auto &b = k.b;
  auto type = tile::SharedType::get(b.getContext(), steps ? kDepth : kRows, steps ? kRows : kDepth, b.getF32Type(), 0, 0, 1);
  Value tile = tile::AllocOp::create(b, type, IntegerAttr());
  return k.forLoop(k.idx(0), p.depth, k.idx(kDepth), sums, [&](Value k0, ValueRange carried) -> Values {
    bringLeft(k, p, row0, k0, steps, tile);
    tile::BarrierOp::create(b);
    Values next = multiply(tile, k0, k.min(k.sub(p.depth, k0), k.idx(kDepth)), carried);
    tile::BarrierOp::create(b);
    return next;
  });
}

void multiplyAlongColumns(KernelBuilder &k, const FewRows &p, llvm::function_ref<Panel(Value column)> panel) {
  cpu::checkEpilogue(k, p.root);
  auto &b = k.b;
  Type f32 = b.getF32Type(), index = b.getIndexType();
  Value column0 = k.mul(tile::BlockIdOp::create(b, index, 0), k.idx(kColumns));
  Value row0 = k.mul(tile::BlockIdOp::create(b, index, 1), k.idx(kRows));
  auto [weights, first, padded] = panel(column0);
  int64_t mine = 16 / KernelBuilder::byteWidth(weights.element), groups = kColumns / mine, slices = kFewRowsThreads / groups;
  Value thread = tile::ThreadIdOp::create(b, index), group = k.mul(k.rem(thread, k.idx(groups)), k.idx(mine)),
        slice = k.div(thread, k.idx(groups));
  // Columns behind the last are computed from others and dropped.
  Value column = k.add(first, padded ? group : k.min(group, k.sub(k.sub(p.columns, column0), k.idx(mine))));
  Values sums =
      overDepth(k, p, row0, true, Values(kRows * mine, k.constant(f32, 0)), [&](Value tile, Value k0, Value count, ValueRange carried) {
        auto steps = [&](Value i, int64_t unroll, ValueRange before) {
          Values next(before);
          SmallVector<Values> words;
          for (int64_t u = 0; u < unroll; ++u) {
            Value at = k.add(k.mul(k.add(k0, k.add(i, k.idx(u * slices))), weights.stride), column);
            words.push_back(loadWords(k, weights.pointer, weights.element, at, 4));
          }
          for (int64_t u = 0; u < unroll; ++u) {
            Values w = unpackWords(k, words[u], weights.element), x = readFour(k, tile, k.add(i, k.idx(u * slices)), k.idx(0));
            for (int64_t r = 0; r < kRows; ++r)
              for (int64_t c = 0; c < mine; ++c)
                next[r * mine + c] = k.fma(x[r], w[c], next[r * mine + c]);
          }
          return next;
        };
        // Whole rounds of all slices first.
        Value round = k.idx(slices * kUnroll), whole = k.mul(k.div(count, round), round);
        Values done = k.forLoop(slice, whole, round, carried, [&](Value i, ValueRange c) { return steps(i, kUnroll, c); });
        return k.forLoop(k.add(whole, slice), count, k.idx(slices), done, [&](Value i, ValueRange c) { return steps(i, 1, c); });
      });
  // Slices are added in their order.
  auto type = tile::SharedType::get(b.getContext(), slices, kRows * kColumns, f32, 0, 0, 1);
  Value parts = tile::AllocOp::create(b, type, b.getI64IntegerAttr(0));
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < mine; c += 4) {
      Value four = LLVM::UndefOp::create(b, VectorType::get({4}, f32));
      for (int64_t i = 0; i < 4; ++i)
        four = LLVM::InsertElementOp::create(b, four, sums[r * mine + c + i], k.constantInt(b.getI32Type(), i));
      tile::WriteOp::create(b, four, parts, slice, k.add(group, k.idx(r * kColumns + c)));
    }
  tile::BarrierOp::create(b);
  for (int64_t e = 0; e < kRows * kColumns; e += kFewRowsThreads) {
    Value at = k.add(thread, k.idx(e));
    Value sum = k.forLoop(k.idx(0), k.idx(slices), k.idx(1), k.constant(f32, 0), [&](Value s, ValueRange carried) -> Values {
      return {arith::AddFOp::create(b, carried[0], tile::ReadOp::create(b, f32, parts, s, at))};
    })[0];
    emitInside(k, p, k.add(row0, k.div(at, k.idx(kColumns))), k.add(column0, k.rem(at, k.idx(kColumns))), sum);
  }
}

void multiplyAlongDepth(KernelBuilder &k, const FewRows &p, int64_t step, llvm::function_ref<Values(Value column, Value k)> weights) {
  cpu::checkEpilogue(k, p.root);
  auto &b = k.b;
  Type f32 = b.getF32Type(), index = b.getIndexType();
  Value thread = tile::ThreadIdOp::create(b, index), lane = k.rem(thread, k.idx(32)), warp = k.div(thread, k.idx(32));
  Value block = k.mul(tile::BlockIdOp::create(b, index, 0), k.idx(kFewRowsThreads / 32));
  Value column0 = k.mul(k.add(block, warp), k.idx(kWarpColumns)), row0 = k.mul(tile::BlockIdOp::create(b, index, 1), k.idx(kRows));
  Value lastColumn = k.sub(p.columns, k.idx(1));
  Values sums = overDepth(
      k, p, row0, false, Values(kWarpColumns * kRows, k.constant(f32, 0)), [&](Value tile, Value k0, Value count, ValueRange carried) {
        return k.forLoop(k.mul(lane, k.idx(step)), count, k.idx(32 * step), carried, [&](Value i, ValueRange before) -> Values {
          Values next(before);
          SmallVector<Values> w;
          for (int64_t c = 0; c < kWarpColumns; ++c)
            w.push_back(weights(k.min(k.add(column0, k.idx(c)), lastColumn), k.add(k0, i)));
          for (int64_t r = 0; r < kRows; ++r)
            for (int64_t s = 0; s < step; s += 4) {
              Values x = readFour(k, tile, k.idx(r), k.add(i, k.idx(s)));
              for (int64_t c = 0; c < kWarpColumns; ++c)
                for (int64_t j = 0; j < 4; ++j)
                  next[c * kRows + r] = k.fma(x[j], w[c][s + j], next[c * kRows + r]);
            }
          return next;
        });
      });
  // Lane c * rows + r ends element (r, c) of the warp.
  Value mine = k.constant(f32, 0);
  for (auto [i, sum] : llvm::enumerate(sums)) {
    Value all = tile::LanesOp::create(b, f32, tile::Combine::Add, sum, 32);
    mine = arith::SelectOp::create(b, k.compare(arith::CmpIPredicate::eq, lane, k.idx(i)), all, mine);
  }
  k.ifThen(k.compare(arith::CmpIPredicate::slt, lane, k.idx(kWarpColumns * kRows)),
           [&] { emitInside(k, p, k.add(row0, k.rem(lane, k.idx(kRows))), k.add(column0, k.div(lane, k.idx(kRows))), mine); });
}

} // namespace leat::cuda
