// See CodedRows.h. Keys are transposed in words of four bytes, so that a vector holds one value of 16 keys: products with a query need no
// sums across lanes, and a scale is a lane. Values are read as they lie, 16 of a row at a time; their weights were multiplied by the
// scales.
#include "passes/CPU/CodedRows.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <numeric>
#include <utility>

using namespace mlir;

namespace leat::cpu {

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kKeys = kCodedKeys;
/// Between asking for values or factors and reading them. Keys and values take turns, a few pages each: the processor's own prefetching is
/// late for both. Asking for many lines at once would keep others from being read.
constexpr int64_t kAheadBytes = 4096, kAheadFactors = 2048;

bool isConstant(Value value, int64_t expected) {
  APInt constant;
  return matchPattern(value, m_ConstantInt(&constant)) && constant == expected;
}

/// The operands of `value` if an Op makes it.
template <typename Op> Values operandsOf(Value value) {
  auto op = value ? value.getDefiningOp<Op>() : Op();
  return op ? Values(op->getOperands()) : Values();
}
template <typename Op> Value operandOf(Value value) {
  Values operands = operandsOf<Op>(value);
  return operands.empty() ? Value() : operands[0];
}

/// The code of a byte of which the position in its group says which half: (byte >> (position % group / (group / 2) * 4)) & 15.
bool isNibble(Value code, Value byte, int64_t axis, int64_t group) {
  auto masked = operandsOf<arith::AndIOp>(code);
  if (masked.size() != 2 || !isConstant(masked[1], 15))
    return false;
  auto shifted = operandsOf<arith::ShRUIOp>(masked[0]);
  if (shifted.size() != 2 || operandOf<arith::ExtUIOp>(shifted[0]) != byte)
    return false;
  auto shift = operandsOf<arith::MulIOp>(operandOf<arith::IndexCastOp>(shifted[1]));
  if (shift.size() != 2 || !isConstant(shift[1], 4))
    return false;
  auto half = operandsOf<arith::DivUIOp>(shift[0]);
  if (half.size() != 2 || !isConstant(half[1], group / 2))
    return false;
  auto position = operandsOf<arith::RemUIOp>(half[0]);
  auto index = position.size() == 2 ? position[0].getDefiningOp<linalg::IndexOp>() : linalg::IndexOp();
  return index && int64_t(index.getDim()) == axis && isConstant(position[1], group);
}

/// What a row of the op's result is decoded from, by its maps and its body.
std::optional<RowCode> codeOf(linalg::GenericOp op) {
  auto type = dyn_cast<RankedTensorType>(op.getResultTypes().empty() ? Type() : op.getResultTypes()[0]);
  unsigned inputs = op.getNumDpsInputs();
  if (!type || type.getRank() != 4 || type.isDynamicDim(3) || !type.getElementType().isF32() || op.getNumReductionLoops() != 0 ||
      (inputs != 2 && inputs != 3) || !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return std::nullopt;
  Block &body = op.getRegion().front();
  Value result = body.getTerminator()->getOperand(0);
  RowCode code{inputs == 3, type.getDimSize(3), 0};
  // The maps: the leading axes as they are, and what the formula says of the last.
  AffineExpr last = getAffineDimExpr(3, op.getContext());
  auto factorMap = op.getMatchingIndexingMap(op.getDpsInputOperand(1));
  auto division = dyn_cast<AffineBinaryOpExpr>(factorMap.getResults().back());
  auto divisor = division ? dyn_cast<AffineConstantExpr>(division.getRHS()) : AffineConstantExpr();
  if (!divisor || divisor.getValue() < 1 || code.depth % divisor.getValue() != 0)
    return std::nullopt;
  code.group = divisor.getValue();
  auto isMap = [&](unsigned input, AffineExpr expr) {
    SmallVector<AffineExpr> results;
    for (unsigned i = 0; i < 3; ++i)
      results.push_back(getAffineDimExpr(i, op.getContext()));
    results.push_back(expr);
    return op.getMatchingIndexingMap(op.getDpsInputOperand(input)).getResults() == ArrayRef(results);
  };
  auto sums = operandsOf<arith::AddFOp>(result);
  if (code.nibbles != (sums.size() == 2) || !isMap(1, last.floorDiv(code.group)))
    return std::nullopt;
  auto product = operandsOf<arith::MulFOp>(code.nibbles ? sums[0] : result);
  if (product.size() != 2 || operandOf<arith::ExtFOp>(product[1]) != body.getArgument(1))
    return std::nullopt;
  Value integer = operandOf<arith::SIToFPOp>(product[0]);
  if (!code.nibbles)
    return integer == body.getArgument(0) && isMap(0, last) ? std::optional(code) : std::nullopt;
  int64_t half = code.group / 2;
  bool same = operandOf<arith::ExtFOp>(sums[1]) == body.getArgument(2) && isNibble(integer, body.getArgument(0), 3, code.group) &&
              isMap(0, last.floorDiv(code.group) * half + last % half) && isMap(2, last.floorDiv(code.group) + code.groups()) &&
              op.getInputs()[1] == op.getInputs()[2];
  return same ? std::optional(code) : std::nullopt;
}

} // namespace

std::string RowCode::name() const { return llvm::formatv("{0}_{1}_{2}", nibbles ? 4 : 8, depth, group); }

std::optional<CodedRows> traceCodedRows(KernelBuilder &k, Value tensor, int64_t keyAxis) {
  auto op = tensor.getDefiningOp<linalg::GenericOp>();
  if (!op || !k.target.avx512 || k.target.lanes() != kLanes)
    return std::nullopt;
  auto code = codeOf(op);
  if (!code || code->depth % 64 != 0 || code->group % (code->nibbles ? 32 : 16) != 0 || !llvm::isPowerOf2_64(code->factors()))
    return std::nullopt;
  auto codes = traceRows(k, op.getInputs()[0]), factors = traceRows(k, op.getInputs()[1]);
  if (!codes || !factors || !codes->element.isInteger(8) || codes->knownStrides[3] != 1 || codes->knownStrides[keyAxis] != code->bytes() ||
      factors->knownStrides[3] != 1 || !factors->element.isF16() || factors->knownStrides[keyAxis] != code->factors())
    return std::nullopt;
  return CodedRows{*code, *codes, *factors};
}

func::FuncOp stageFactors(ModuleOp module, const Target &target, RowCode code) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type(), f16 = types.getF16Type();
  int64_t count = code.factors();
  return sharedFunction(module, llvm::formatv("stage_factors_{0}", count).str(), {ptr, ptr, i64}, [&](Emit &b, ValueRange args) {
    Value all = b.mul(args[2], b.c(count)), whole = b.sub(args[2], b.rem(args[2], b.c(kLanes)));
    VectorType halves = Emit::vec(kLanes, f16);
    // Each step brings every other element together: the bits of a position turn by one.
    SmallVector<int64_t> even, odd;
    for (int64_t i = 0; i < kLanes; ++i) {
      even.push_back(2 * i);
      odd.push_back(2 * i + 1);
    }
    auto stage = [&](Value j, bool masked) {
      Values vectors;
      b.prefetch(b.at(b.at(args[1], f16, b.mul(j, b.c(count))), b.getI8Type(), kAheadFactors), 2 * kLanes * count);
      for (int64_t i = 0; i < count; ++i) {
        Value first = b.add(b.mul(j, b.c(count)), b.c(i * kLanes)), at = b.at(args[1], f16, first);
        vectors.push_back(
            b.widen(target, masked ? b.loadMasked(halves, at, b.laneMask(b.sub(all, first), kLanes)) : b.load(halves, at), f32));
      }
      for (int64_t step = 1; step < count; step *= 2) {
        Values next(count);
        for (int64_t i = 0; i < count; i += 2) {
          next[i / 2] = vector::ShuffleOp::create(b, vectors[i], vectors[i + 1], even);
          next[i / 2 + count / 2] = vector::ShuffleOp::create(b, vectors[i], vectors[i + 1], odd);
        }
        vectors = next;
      }
      for (int64_t i = 0; i < count; ++i)
        b.store(vectors[i], b.at(args[0], f32, b.add(j, b.c(i * kCodedColumns))));
    };
    b.loop(b.c(0), whole, b.c(kLanes), [&](Value j) { stage(j, false); });
    b.loop(whole, b.mul(b.ceilDiv(args[2], kKeys), b.c(kKeys)), b.c(kLanes), [&](Value j) { stage(j, true); });
  });
}

/// Calls `tile(row, count)` for `rows` rows, a few at a time.
static void forRowTiles(Emit &b, Value rows, llvm::function_ref<void(Value, int64_t)> tile) {
  Value left = b.rem(rows, b.c(kCodedRows)), whole = b.sub(rows, left);
  b.loop(b.c(0), whole, b.c(kCodedRows), [&](Value row) { tile(row, kCodedRows); });
  for (int64_t count = 1; count < kCodedRows; ++count)
    b.when(b.eq(left, b.c(count)), [&] { tile(whole, count); });
}

/// Bits [shift, shift + 8) or [shift, shift + 4) of words as floats: the code times 1 / unitAt(shift). No shift that would be undone by
/// another is needed.
static Value isolate(Emit &b, RowCode code, Value words, int64_t shift) {
  auto ints = cast<VectorType>(words.getType());
  VectorType floats = ints.clone(b.getF32Type());
  auto masked = [&](Value x, uint32_t bits) -> Value {
    return arith::AndIOp::create(b, x, arith::ConstantOp::create(b, DenseElementsAttr::get(ints, APInt(32, bits))));
  };
  if (code.nibbles)
    return arith::UIToFPOp::create(b, floats, masked(words, 15u << shift));
  Value up = shift < 24 ? arith::ShLIOp::create(b, words, b.constant(ints, 24 - shift)).getResult() : words; // its sign is the word's
  return arith::SIToFPOp::create(b, floats, shift > 0 ? masked(up, 0xff000000) : up);
}
static float unitAt(RowCode code, int64_t shift) { return std::ldexp(1.0f, -static_cast<int>(code.nibbles ? shift : 24)); }

func::FuncOp codedDots(ModuleOp module, const Target &target, RowCode code) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type();
  constexpr int64_t kChunk = 32; // bytes of a key: with those of another key, a vector
  return sharedFunction(module, "coded_dots_" + code.name(), {ptr, ptr, ptr, ptr, i64, i64, ptr}, [&](Emit &b, ValueRange args) {
    Value out = args[0], queries = args[1], table = args[3], n = args[4], room = args[6];
    Type i8 = b.getI8Type();
    VectorType vec = Emit::vec(kLanes, f32), bytes = Emit::vec(kChunk, i8), words = Emit::vec(kLanes, b.getI32Type());
    SmallVector<int64_t> both(2 * kChunk);
    std::iota(both.begin(), both.end(), 0);
    // Fewer keys than are worked on at a time are brought where there is room behind them. The last ones of more overlap with those before.
    Value few = b.lt(n, b.c(kKeys));
    b.when(few, [&] {
      b.loop(b.c(0), b.mul(n, b.c(code.bytes())), b.c(kChunk),
             [&](Value i) { b.store(b.load(bytes, b.at(args[2], i8, i)), b.at(room, i8, i)); });
    });
    Value codes = b.select(few, room, args[2]), lastKeys = b.max(b.sub(n, b.c(kKeys)), b.c(0));
    forRowTiles(b, args[5], [&](Value row, int64_t count) {
      auto queryAt = [&](int64_t r, int64_t d) { return b.at(queries, f32, b.add(b.mul(b.add(row, b.c(r)), b.c(code.depth)), b.c(d))); };
      // Queries in the units that codes are isolated in.
      auto byteOf = [&](int64_t d) { return code.nibbles ? d / code.group * (code.group / 2) + d % (code.group / 2) : d; };
      auto shiftOf = [&](int64_t d) { return byteOf(d) % 4 * 8 + (code.nibbles && d % code.group >= code.group / 2 ? 4 : 0); };
      auto scaledAt = [&](int64_t r, int64_t d) { return b.at(b.at(room, i8, kKeys * code.bytes()), f32, r * code.depth + d); };
      for (int64_t r = 0; r < count; ++r)
        for (int64_t d = 0; d < code.depth; d += kLanes) {
          SmallVector<float> units;
          for (int64_t i = 0; i < kLanes; ++i)
            units.push_back(unitAt(code, shiftOf(d + i)));
          Value unit = arith::ConstantOp::create(b, DenseElementsAttr::get(vec, ArrayRef<float>(units)));
          b.store(b.mul(b.load(vec, queryAt(r, d)), unit), scaledAt(r, d));
        }
      // What a minimum is multiplied by: the sum of the query's values of the group.
      SmallVector<Values> ofGroup(count);
      for (int64_t r = 0; code.nibbles && r < count; ++r)
        for (int64_t g = 0; g < code.groups(); ++g) {
          Value sum = b.load(vec, queryAt(r, g * code.group));
          for (int64_t d = kLanes; d < code.group; d += kLanes)
            sum = b.add(sum, b.load(vec, queryAt(r, g * code.group + d)));
          ofGroup[r].push_back(vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc));
        }
      b.loop(b.c(0), n, b.c(kKeys), [&](Value next) {
        Value j0 = b.min(next, lastKeys), at = b.at(codes, i8, b.mul(j0, b.c(code.bytes())));
        // Of the first and of the last 16 keys: sums of the group at hand, and over all groups.
        SmallVector<Values> sums(2, Values(count)), totals(2, Values(count));
        auto closeGroup = [&](int64_t g) {
          for (int64_t half = 0; half < 2; ++half) {
            auto factor = [&](int64_t i) { return b.load(vec, b.at(table, f32, b.add(j0, b.c(i * kCodedColumns + half * kLanes)))); };
            for (int64_t r = 0; r < count; ++r) {
              Value sum = std::exchange(sums[half][r], Value()), &total = totals[half][r];
              total = total ? b.fma(target, sum, factor(g), total) : b.mul(sum, factor(g));
              if (code.nibbles)
                total = b.fma(target, b.splat(ofGroup[r][g], kLanes), factor(code.groups() + g), total);
            }
          }
        };
        int64_t perGroup = code.bytes() / code.groups();
        for (int64_t chunk = 0; chunk < code.bytes(); chunk += kChunk) {
          Values keys;
          for (int64_t j = 0; j < kLanes; ++j) {
            auto load = [&](int64_t key) { return b.load(bytes, b.at(at, i8, key * code.bytes() + chunk)); };
            keys.push_back(vector::BitCastOp::create(b, words, vector::ShuffleOp::create(b, load(j), load(j + kLanes), both)));
          }
          keys = transposeVectors(b, keys);
          for (int64_t byte = chunk; byte < chunk + kChunk; ++byte) {
            int64_t g = byte / perGroup, first = g * code.group + byte % perGroup; // the code of the byte, or the lower one
            for (int64_t d = first; d < (g + 1) * code.group && byteOf(d) == byte; d += code.nibbles ? code.group / 2 : code.group) {
              Value x[2];
              for (int64_t half = 0; half < 2; ++half)
                x[half] = isolate(b, code, keys[half * kChunk / 4 + (byte - chunk) / 4], shiftOf(d));
              for (int64_t r = 0; r < count; ++r) {
                Value q = b.splat(b.load(f32, scaledAt(r, d)), kLanes);
                for (int64_t half = 0; half < 2; ++half)
                  sums[half][r] = sums[half][r] ? b.fma(target, q, x[half], sums[half][r]) : b.mul(q, x[half]);
              }
            }
            if (byte % perGroup == perGroup - 1)
              closeGroup(g);
          }
        }
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t r = 0; r < count; ++r)
            b.store(totals[half][r], b.at(out, f32, b.add(b.mul(b.add(row, b.c(r)), b.c(kCodedColumns)), b.add(j0, b.c(half * kLanes)))));
      });
    });
  });
}

func::FuncOp codedSums(ModuleOp module, const Target &target, RowCode code, int64_t nextBytes) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type();
  constexpr int64_t kStrip = 64; // values of a row at a time
  return sharedFunction(
      module, llvm::formatv("coded_sums_{0}_{1}", code.name(), nextBytes).str(), {ptr, i64, ptr, ptr, ptr, i64, i64, ptr, ptr},
      [&](Emit &b, ValueRange args) {
        Value out = args[0], weights = args[2], codes = args[3], table = args[4], n = args[5], room = args[7];
        Type i8 = b.getI8Type();
        VectorType vec = Emit::vec(kLanes, f32);
        int64_t groups = code.groups();
        forRowTiles(b, args[6], [&](Value row, int64_t count) {
          auto inRow = [&](Value base, int64_t r, Value at) {
            return b.at(base, f32, b.add(b.mul(b.add(row, b.c(r)), b.c(kCodedColumns)), at));
          };
          auto scaled = [&](int64_t r, int64_t g, Value key) { return b.at(room, f32, b.add(key, b.c((r * groups + g) * kCodedColumns))); };
          // Weights times scales; of the minima, only the sum over all keys is needed.
          auto scale = [&](Value j, ValueRange carried, bool masked) {
            Values next(carried);
            for (int64_t r = 0; r < count; ++r)
              for (int64_t g = 0; g < groups; ++g) {
                auto factor = [&](int64_t i) { return b.load(vec, b.at(table, f32, b.add(j, b.c(i * kCodedColumns)))); };
                Value at = inRow(weights, r, j);
                Value weight = masked ? b.loadMasked(vec, at, b.laneMask(b.sub(n, j), kLanes)) : b.load(vec, at);
                b.store(b.mul(weight, factor(g)), scaled(r, g, j));
                if (code.nibbles)
                  next[r * groups + g] = b.fma(target, weight, factor(groups + g), next[r * groups + g]);
              }
            return next;
          };
          Value whole = b.sub(n, b.rem(n, b.c(kLanes)));
          Values minima(code.nibbles ? count * groups : 0, b.zero(vec));
          minima = b.loop(b.c(0), whole, b.c(kLanes), minima, [&](Value j, ValueRange carried) { return scale(j, carried, false); });
          minima = b.loop(whole, n, b.c(kLanes), minima, [&](Value j, ValueRange carried) { return scale(j, carried, true); });
          for (Value &minimum : minima)
            minimum = b.splat(vector::ReductionOp::create(b, vector::CombiningKind::ADD, minimum, arith::FastMathFlags::reassoc), kLanes);
          VectorType words = Emit::vec(kLanes, b.getI32Type());
          for (int64_t d0 = 0; d0 < code.depth; d0 += kStrip) {
            auto outAt = [&](int64_t r, int64_t v) {
              return b.at(out, f32, b.add(b.mul(b.add(row, b.c(r)), args[1]), b.c(d0 + v * kLanes)));
            };
            auto groupOf = [&](int64_t v) { return (d0 + v * kLanes) / code.group; };
            constexpr int64_t kVectors = kStrip / kLanes;
            Values init;
            for (int64_t r = 0; r < count; ++r)
              for (int64_t v = 0; v < kVectors; ++v) {
                Value before = b.load(vec, outAt(r, v));
                init.push_back(code.nibbles ? b.add(before, minima[r * groups + groupOf(v)]) : before);
              }
            Values sums = b.loop(b.c(0), n, b.c(1), init, [&](Value j, ValueRange carried) {
              Value rowAt = b.at(codes, i8, b.mul(j, b.c(code.bytes())));
              if (d0 == 0) {
                b.prefetch(b.at(rowAt, i8, kAheadBytes), code.bytes());
                b.prefetch(b.at(args[8], i8, b.mul(j, b.c(nextBytes))), nextBytes);
              }
              Values next(carried);
              for (int64_t v = 0; v < kVectors; ++v) {
                int64_t d = d0 + v * kLanes, g = groupOf(v), inGroup = d % code.group, half = code.group / 2;
                int64_t byte = code.nibbles ? g * half + inGroup % half : d;
                Value loaded = b.load(Emit::vec(kLanes, i8), b.at(rowAt, i8, byte)), x;
                if (!code.nibbles)
                  x = arith::ExtSIOp::create(b, words, loaded);
                else if (x = arith::ExtUIOp::create(b, words, loaded); inGroup < half)
                  x = arith::AndIOp::create(b, x, b.constant(words, 15));
                else
                  x = arith::ShRUIOp::create(b, x, b.constant(words, 4));
                x = arith::SIToFPOp::create(b, vec, x);
                for (int64_t r = 0; r < count; ++r) {
                  Value weight = b.splat(b.load(f32, scaled(r, g, j)), kLanes);
                  next[r * kVectors + v] = b.fma(target, weight, x, next[r * kVectors + v]);
                }
              }
              return next;
            });
            for (int64_t i = 0; i < count * kVectors; ++i)
              b.store(sums[i], outAt(i / kVectors, i % kVectors));
          }
        });
      });
}

} // namespace leat::cpu
