// See MicroKernels.h.
#include "passes/CPU/MicroKernels.h"

#include "llvm/Support/FormatVariadic.h"

#include <functional>

using namespace mlir;

namespace leat::cpu {

namespace {
std::string typeName(Type type) {
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

std::string productName(const ProductTypes &t) {
  constexpr const char *pairs[] = {"", "_pairs", "_dots"};
  return llvm::formatv("product_{0}_{1}{2}_{3}", typeName(t.lhs), typeName(t.rhs), pairs[static_cast<int>(t.pairs)], typeName(t.acc));
}

/// Elements of a panel's row as f32: those of even or of odd k.
Value halfOfPairs(Emit &b, Value words, bool odd) {
  auto ints = cast<VectorType>(words.getType());
  Value bits = odd ? arith::AndIOp::create(b, words, b.constant(ints, -65536)).getResult()
                   : arith::ShLIOp::create(b, words, b.constant(ints, 16)).getResult();
  return vector::BitCastOp::create(b, ints.clone(b.getF32Type()), bits);
}

/// sum + x[k] * y[k] + x[k+1] * y[k+1] in every lane; x and y hold pairs of bf16 in words of 32 bits.
Value dotPairs(Emit &b, Value sum, Value x, Value y) {
  VectorType halves = Emit::vec(2 * cast<VectorType>(x.getType()).getNumElements(), b.getBF16Type());
  Values operands{sum, vector::BitCastOp::create(b, halves, x), vector::BitCastOp::create(b, halves, y)};
  return LLVM::CallIntrinsicOp::create(b, sum.getType(), b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"), operands).getResult(0);
}
} // namespace

Type accumulatorType(Type element) {
  if (isa<FloatType>(element))
    return element.getIntOrFloatBitWidth() < 32 ? Type(Float32Type::get(element.getContext())) : element;
  return element.getIntOrFloatBitWidth() <= 8 ? Type(IntegerType::get(element.getContext(), 32)) : element;
}

constexpr int64_t kAhead = 24; ///< iterations between asking for memory and reading it: 6 KB where one reads 256 bytes

int64_t tileVectors(const Target &target, Type acc, int64_t rows) {
  int64_t budget = target.avx512 ? 24 : 12, vectors = 1;
  while (vectors * 2 * rows <= budget && vectors * 2 * lanesOf(target, acc) <= kPanel)
    vectors *= 2;
  return vectors;
}

Values productSums(Emit &b, const Target &target, ProductTypes t, int64_t rows, int64_t vectors, const TileOperands &operands, Values init,
                   bool streams) {
  int64_t lanes = lanesOf(target, t.acc);
  bool dots = t.pairs == ProductTypes::Pairs::Multiplied;
  int64_t neighbours = t.pairs != ProductTypes::Pairs::None ? 2 : 1; // values of k that an iteration works on
  VectorType rhsVec = Emit::vec(lanes, neighbours == 2 ? b.getI32Type() : t.rhs);
  Value aCol = operands.aCol, aStep = b.mul(aCol, b.c(neighbours)), rhsStep = b.mul(operands.panelStride, b.c(neighbours));
  Value ahead = streams ? b.mul(rhsStep, b.c(kAhead)) : Value();
  Values rowPtr;
  for (int64_t r = 0; r < rows; ++r)
    rowPtr.push_back(r ? b.at(operands.a, t.lhs, b.mul(operands.aRow, b.c(r))) : operands.a);
  // Carried beside the accumulators: the offset into the rows of A, the pointer into the panel and what is fetched.
  init.push_back(b.c(0));
  init.push_back(operands.panel);
  if (operands.next)
    init.push_back(operands.next);
  Values sums = b.loop(b.c(0), operands.k, b.c(neighbours), init, [&](Value, ValueRange carried) {
    Value offset = carried[rows * vectors], rhs = carried[rows * vectors + 1];
    Values next(carried.take_front(rows * vectors));
    if (streams)
      b.prefetch(b.at(rhs, t.rhs, ahead), vectors * lanes * neighbours * t.rhs.getIntOrFloatBitWidth() / 8);
    for (int64_t half = 0; half < (dots ? 1 : neighbours); ++half) {
      Values columns;
      for (int64_t v = 0; v < vectors; ++v) {
        // Pairs are loaded once for each half: there is no room for them beside the sums. Volatile, or both would be made one.
        Value at = b.at(rhs, t.rhs, v * lanes * neighbours);
        Value loaded = half ? LLVM::LoadOp::create(b, rhsVec, at, /*alignment=*/2, /*isVolatile=*/true).getResult() : b.load(rhsVec, at);
        columns.push_back(dots ? loaded : neighbours == 2 ? halfOfPairs(b, loaded, half == 1) : b.widen(target, loaded, t.acc));
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value at = b.at(rowPtr[r], t.lhs, half ? b.add(offset, aCol) : offset);
        // A pair may lie at any even address.
        Value x =
            dots ? LLVM::LoadOp::create(b, b.getI32Type(), at, /*alignment=*/2).getResult() : b.widen(target, b.load(t.lhs, at), t.acc);
        x = b.splat(x, lanes);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = next[r * vectors + v];
          sum = dots ? dotPairs(b, sum, x, columns[v]) : b.fma(target, x, columns[v], sum);
        }
      }
    }
    next.push_back(b.add(offset, aStep));
    next.push_back(b.at(rhs, t.rhs, rhsStep));
    if (operands.next) {
      b.prefetchNear(carried.back());
      next.push_back(b.at(carried.back(), b.getI8Type(), operands.step));
    }
    return next;
  });
  return Values(sums.begin(), sums.begin() + rows * vectors);
}

Values startSums(Emit &b, VectorType type, Value accumulate, int64_t count, llvm::function_ref<Value(int64_t)> at) {
  llvm::SmallVector<Type> types(count, type);
  return b.choose(
      accumulate, types,
      [&] {
        Values loaded;
        for (int64_t i = 0; i < count; ++i)
          loaded.push_back(b.load(type, at(i)));
        return loaded;
      },
      [&] { return Values(count, b.zero(type)); });
}

/// `rows` x 64 of C. The columns are worked on in strips that fit the registers: rows * vectors accumulators.
static func::FuncOp productTile(ModuleOp module, const Target &target, ProductTypes t, int64_t rows, int64_t strip) {
  int64_t lanes = lanesOf(target, t.acc), most = tileVectors(target, t.acc, rows), vectors = std::min(most, strip / lanes);
  // A row that does little but read: so many loads are under way that the processor's own prefetching falls behind. Where there is more to
  // do for what is read, asking for it only gets in the way.
  bool streams = rows == 1 && vectors == most && (t.pairs == ProductTypes::Pairs::Multiplied || t.rhs == t.acc);
  std::string name = llvm::formatv("{0}_{1}x{2}", productName(t), rows, vectors * lanes);
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr();
  return sharedFunction(
      module, name, {ptr, i64, i64, ptr, i64, i64, ptr, i64, types.getI1Type(), i64, ptr, i64}, [&](Emit &b, ValueRange args) {
        Value c = args[6], ldc = args[7];
        VectorType accVec = Emit::vec(lanes, t.acc);
        b.loop(b.c(0), args[9], b.c(vectors * lanes), [&](Value j) {
          auto cAt = [&](int64_t i) { return b.at(c, t.acc, b.add(j, b.add(b.mul(ldc, b.c(i / vectors)), b.c(i % vectors * lanes)))); };
          Value strip = b.at(args[3], t.rhs, t.pairs != ProductTypes::Pairs::None ? b.mul(j, b.c(2)) : j);
          TileOperands operands{args[0], args[1], args[2], strip, args[4], args[5], {}, {}};
          if (rows == kTileRows && vectors == most) { // bound by arithmetic: there is room for fetching
            operands.next = args[10];
            operands.step = args[11];
          }
          Values sums = productSums(b, target, t, rows, vectors, operands, startSums(b, accVec, args[8], rows * vectors, cAt), streams);
          for (int64_t i = 0; i < rows * vectors; ++i)
            b.store(sums[i], cAt(i));
        });
      });
}

func::FuncOp productRows(ModuleOp module, const Target &target, ProductTypes t, int64_t strip) {
  std::string name = productName(t) + (strip < kPanel ? "_strip" + std::to_string(strip) : "");
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr();
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  llvm::SmallVector<func::FuncOp> tiles;
  for (int64_t r = 1; r <= kTileRows; ++r)
    tiles.push_back(productTile(module, target, t, r, strip));
  return sharedFunction(module, name, {ptr, i64, i64, ptr, i64, i64, ptr, i64, types.getI1Type(), i64, i64, ptr, i64},
                        [&](Emit &b, ValueRange args) {
                          Value a = args[0], aRow = args[1], c = args[6], ldc = args[7], rows = args[9];
                          // Full tiles fetch what comes next, step by step in their iterations.
                          Value iterations = t.pairs != ProductTypes::Pairs::None ? b.div(args[5], b.c(2)) : args[5];
                          Value step = args[12], tileSteps = b.mul(iterations, step);
                          auto tileArgs = [&](Value row) {
                            Value ahead = b.at(args[11], b.getI8Type(), b.mul(b.div(row, b.c(kTileRows)), tileSteps));
                            return Values{b.at(a, t.lhs, b.mul(row, aRow)), aRow, args[2], args[3],  args[4], args[5],
                                          b.at(c, t.acc, b.mul(row, ldc)),  ldc,  args[8], args[10], ahead,   step};
                          };
                          Value left = b.rem(rows, b.c(kTileRows)), full = b.sub(rows, left);
                          b.loop(b.c(0), full, b.c(kTileRows), [&](Value row) { b.call(tiles[kTileRows - 1], tileArgs(row)); });
                          for (int64_t r = 1; r < kTileRows; ++r)
                            b.when(b.eq(left, b.c(r)), [&] { b.call(tiles[r - 1], tileArgs(full)); });
                        });
}

Values transposeVectors(Emit &b, llvm::ArrayRef<Value> rows) {
  int64_t n = rows.size();
  auto shuffle = [&](Value x, Value y, llvm::ArrayRef<int64_t> order) -> Value { return vector::ShuffleOp::create(b, x, y, order); };
  Values current(rows.begin(), rows.end());
  if (cast<VectorType>(rows[0].getType()).getElementTypeBitWidth() != 32) {
    // log2(n) perfect shuffles of the list are a transposition.
    llvm::SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < n / 2; ++i) {
      low.append({i, n + i});
      high.append({n / 2 + i, n + n / 2 + i});
    }
    for (int64_t stage = 1; stage < n; stage *= 2) {
      Values next;
      for (int64_t i = 0; i < n / 2; ++i) {
        next.push_back(shuffle(current[i], current[i + n / 2], low));
        next.push_back(shuffle(current[i], current[i + n / 2], high));
      }
      current = next;
    }
    return current;
  }
  // Shuffles that move elements within parts of 128 bits, or such parts as a whole, cost less than any others. First 4 x 4 in each part.
  for (int64_t unit : {1, 2}) {
    llvm::SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < n; ++i) {
      int64_t at = i / 4 * 4 + i % unit + (unit == 1 ? i % 4 / 2 : 0), of = i / unit % 2 * n;
      low.push_back(of + at);
      high.push_back(of + at + 2);
    }
    Values next(n);
    for (int64_t group = 0; group < n; group += 4)
      for (int64_t i = 0; i < 2; ++i) { // rows 0 and 1, 2 and 3; then their halves
        int64_t x = group + (unit == 1 ? 2 * i : i), y = x + unit;
        next[group + 2 * i] = shuffle(current[x], current[y], low);
        next[group + 2 * i + 1] = shuffle(current[x], current[y], high);
      }
    current = next;
  }
  // Then the parts: even and odd ones of neighbours, until each is at home.
  int64_t parts = n / 4;
  llvm::SmallVector<int64_t> even, odd;
  for (int64_t i = 0; i < n; ++i) {
    int64_t part = i / 4 * 2;
    even.push_back(part % parts * 4 + i % 4 + part / parts * n);
    odd.push_back(even.back() + 4);
  }
  Values columns(n);
  for (int64_t c = 0; c < 4; ++c) {
    Values row;
    for (int64_t part = 0; part < parts; ++part)
      row.push_back(current[4 * part + c]);
    for (int64_t stage = 1; stage < parts; stage *= 2) {
      Values next(parts);
      for (int64_t i = 0; i < parts / 2; ++i) {
        next[i] = shuffle(row[2 * i], row[2 * i + 1], even);
        next[i + parts / 2] = shuffle(row[2 * i], row[2 * i + 1], odd);
      }
      row = next;
    }
    for (int64_t part = 0; part < parts; ++part)
      columns[4 * part + c] = row[part];
  }
  return columns;
}

bool hasRowDots(const Target &target, int64_t depth) {
  int64_t lanes = target.lanes();
  return !ShapedType::isDynamic(depth) && depth > 0 && depth % lanes == 0 && depth / lanes <= 8;
}

/// Sums each of lanes(target) vectors to one lane of the result, in the order of `part`: it gives the vectors of several results at once,
/// and a tree over neighbours keeps few of them alive.
static Values sumEach(Emit &b, int64_t lanes, llvm::function_ref<Values(int64_t)> part) {
  llvm::SmallVector<int64_t> low, high, order(1, 0);
  for (int64_t i = 0; i < lanes / 2; ++i) {
    low.append({i, lanes + i});
    high.append({lanes / 2 + i, lanes + lanes / 2 + i});
  }
  std::function<Values(int64_t, int64_t)> sum = [&](int64_t first, int64_t count) {
    if (count == 1)
      return part(first);
    Values left = sum(first, count / 2), right = sum(first + count / 2, count / 2);
    for (auto [x, y] : llvm::zip(left, right))
      x = b.add(vector::ShuffleOp::create(b, x, y, low), vector::ShuffleOp::create(b, x, y, high));
    return left;
  };
  Values sums = sum(0, lanes);
  // Neighbours were interleaved first, so places of the vectors have their bits in reverse.
  for (int64_t size = 1; size < lanes; size *= 2)
    for (int64_t i = 0; i < size; ++i) {
      order[i] *= 2;
      order.push_back(order[i] + 1);
    }
  for (Value &v : sums)
    v = vector::ShuffleOp::create(b, v, v, order);
  return sums;
}

func::FuncOp rowDots(ModuleOp module, const Target &target, Type key, int64_t depth) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type();
  std::string name = llvm::formatv("row_dots_{0}_{1}", typeName(key), depth);
  return sharedFunction(module, name, {ptr, i64, ptr, ptr, i64, i64, i64, i64}, [&](Emit &b, ValueRange args) {
    Value out = args[0], queries = args[2], keys = args[3], stride = args[4], n = args[5], rows = args[6];
    int64_t lanes = target.lanes();
    VectorType vec = Emit::vec(lanes, f32), keyVec = Emit::vec(lanes, key);
    b.loop(b.c(0), n, b.c(lanes), [&](Value j0) {
      // Key after key, as they lie in memory; the first rows bring them into the cache, and ask for those to come.
      Values keyAt;
      for (int64_t j = 0; j < lanes; ++j)
        keyAt.push_back(b.at(keys, key, b.mul(b.min(b.add(j0, b.c(j)), b.sub(n, b.c(1))), stride)));
      auto dots = [&](Value row, int64_t count) {
        Values query;
        for (int64_t i = 0; i < count; ++i)
          for (int64_t d = 0; d < depth; d += lanes)
            query.push_back(b.load(vec, b.at(queries, f32, b.add(b.mul(b.add(row, b.c(i)), b.c(depth)), b.c(d)))));
        Values sums = sumEach(b, lanes, [&](int64_t j) {
          Values part(count);
          b.prefetch(b.at(keyAt[j], key, args[7]), depth * key.getIntOrFloatBitWidth() / 8);
          for (int64_t d = 0; d < depth; d += lanes) {
            Value x = b.widen(target, b.load(keyVec, b.at(keyAt[j], key, d)), f32);
            for (int64_t i = 0; i < count; ++i) {
              Value q = query[i * (depth / lanes) + d / lanes];
              part[i] = d == 0 ? b.mul(q, x) : b.fma(target, q, x, part[i]);
            }
          }
          return part;
        });
        for (int64_t i = 0; i < count; ++i)
          b.store(sums[i], b.at(out, f32, b.add(b.mul(b.add(row, b.c(i)), args[1]), j0)));
      };
      Value odd = b.rem(rows, b.c(2)), even = b.sub(rows, odd);
      b.loop(b.c(0), even, b.c(2), [&](Value row) { dots(row, 2); });
      b.when(b.eq(odd, b.c(1)), [&] { dots(even, 1); });
    });
  });
}

func::FuncOp packTransposed(ModuleOp module, const Target &target, Type src, Type dst) {
  int64_t lanes = lanesOf(target, dst);
  std::string name = llvm::formatv("pack_transposed_{0}_{1}", typeName(src), typeName(dst));
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr();
  return sharedFunction(module, name, {ptr, ptr, i64, i64, i64}, [&](Emit &b, ValueRange args) {
    Value out = args[0], in = args[1], stride = args[2], n = args[3], k = args[4];
    VectorType inVec = Emit::vec(lanes, src);
    b.loop(b.c(0), b.c(kPanel), b.c(lanes), [&](Value j0) {
      Value outStrip = b.at(out, dst, j0), inStrip = b.at(in, src, b.mul(j0, stride));
      auto some = [&] {
        Value whole = b.le(b.add(j0, b.c(lanes)), n);
        Value kBlocks = b.select(whole, b.sub(k, b.rem(k, b.c(lanes))), b.c(0));
        b.loop(b.c(0), kBlocks, b.c(lanes), [&](Value k0) {
          Values rows;
          for (int64_t r = 0; r < lanes; ++r)
            rows.push_back(b.widen(target, b.load(inVec, b.at(inStrip, src, b.add(b.mul(stride, b.c(r)), k0))), dst));
          Values columns = transposeVectors(b, rows);
          for (int64_t r = 0; r < lanes; ++r)
            b.store(columns[r], b.at(outStrip, dst, b.mul(b.add(k0, b.c(r)), b.c(kPanel))));
        });
        // What is left of k, or columns beyond n: element by element.
        b.loop(b.c(0), b.c(lanes), b.c(1), [&](Value j) {
          Value inside = b.lt(b.add(j0, j), n);
          Value row = b.at(inStrip, src, b.mul(j, stride));
          b.loop(kBlocks, k, b.c(1), [&](Value kk) {
            Value element = b.choose(
                inside, {dst}, [&] { return Values{b.widen(target, b.load(src, b.at(row, src, kk)), dst)}; },
                [&] { return Values{b.zero(dst)}; })[0];
            b.store(element, b.at(outStrip, dst, b.add(b.mul(kk, b.c(kPanel)), j)));
          });
        });
      };
      auto none = [&] {
        b.loop(b.c(0), k, b.c(1), [&](Value kk) { b.store(b.zero(Emit::vec(lanes, dst)), b.at(outStrip, dst, b.mul(kk, b.c(kPanel)))); });
      };
      b.when(b.lt(j0, n), some, none);
    });
  });
}

func::FuncOp packColumns(ModuleOp module, const Target &target, Type src, Type dst) {
  int64_t lanes = lanesOf(target, dst);
  std::string name = llvm::formatv("pack_columns_{0}_{1}", typeName(src), typeName(dst));
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr();
  return sharedFunction(module, name, {ptr, ptr, i64, i64, i64}, [&](Emit &b, ValueRange args) {
    Value out = args[0], in = args[1], stride = args[2], n = args[3], k = args[4];
    Values masks;
    for (int64_t j = 0; j < kPanel; j += lanes)
      masks.push_back(b.laneMask(b.max(b.sub(n, b.c(j)), b.c(0)), lanes));
    b.loop(b.c(0), k, b.c(1), [&](Value kk) {
      Value inRow = b.at(in, src, b.mul(kk, stride)), outRow = b.at(out, dst, b.mul(kk, b.c(kPanel)));
      for (int64_t j = 0; j < kPanel; j += lanes)
        b.store(b.widen(target, b.loadMasked(Emit::vec(lanes, src), b.at(inRow, src, j), masks[j / lanes]), dst), b.at(outRow, dst, j));
    });
  });
}

} // namespace leat::cpu
