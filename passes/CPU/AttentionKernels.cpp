// See AttentionKernels.h.
#include "passes/CPU/AttentionKernels.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace leat::cpu {

/// With 16 lanes: x is a multiple of 1/16 and what is left, of at most 1/32. Sixteenths are looked up, the rest is a short polynomial
/// (minimax fit of (2^f - 1) / f), and the exponent is moved by one instruction, down to 0: even NaN * 2^-inf is 0 there.
static Value exp2ByTable(Emit &b, const Target &target, Value x) {
  auto type = cast<VectorType>(x.getType());
  constexpr double magic = 1.5 * (1 << 19); // numbers near it are 1/16 apart, and their last bits count sixteenths
  llvm::SmallVector<float> powers;
  for (int i = 0; i < 16; ++i)
    powers.push_back(std::exp2(i / 16.0));
  Value table = arith::ConstantOp::create(b, DenseElementsAttr::get(type, llvm::ArrayRef<float>(powers)));
  Value shifted = b.add(x, b.constant(type, magic)), n = b.sub(shifted, b.constant(type, magic)), f = b.sub(x, n);
  Value index = arith::BitcastOp::create(b, type.clone(b.getI32Type()), shifted);
  Value power =
      LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr("llvm.x86.avx512.permvar.sf.512"), ValueRange{table, index}).getResult(0);
  Value p = b.constant(type, 0.0555021353);
  for (double c : {0.240234286, 0.693147182})
    p = b.fma(target, p, f, b.constant(type, c));
  p = b.fma(target, b.mul(power, f), p, power);
  Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1)), nearest = arith::ConstantOp::create(b, b.getI32IntegerAttr(4));
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"), ValueRange{p, n, p, all, nearest})
      .getResult(0);
}

/// Elsewhere: a polynomial on [-0.5, 0.5] (Chebyshev fit of (2^f - 1) / f), then the exponent is moved.
Value exp2Small(Emit &b, const Target &target, Value x) {
  auto type = cast<VectorType>(x.getType());
  if (target.avx512 && type.getNumElements() == 16)
    return exp2ByTable(b, target, x);
  x = b.max(x, b.constant(type, -127.0)); // also -inf
  Value n = x;
  if (target.sse41 || target.avx512) {
    n = math::RoundEvenOp::create(b, x);
  } else { // adding 1.5 * 2^23 leaves no room for a fraction
    Value magic = b.constant(type, 12582912.0);
    n = b.sub(b.add(x, magic), magic);
  }
  Value f = b.sub(x, n), p = b.constant(type, 0.00015453163);
  for (double c : {0.0013390863, 0.009618083, 0.05550357, 0.2402265, 0.6931472, 1.0})
    p = b.fma(target, p, f, b.constant(type, c));
  Type ints = type.clone(b.getI32Type());
  Value exponent = arith::ShLIOp::create(b, arith::FPToSIOp::create(b, ints, n), b.constant(ints, 23));
  Value scaled = arith::BitcastOp::create(b, type, b.add(arith::BitcastOp::create(b, ints, p), exponent));
  Value normal = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, n, b.constant(type, -126.0));
  return b.select(normal, scaled, b.zero(type));
}

func::FuncOp softmaxColumns(ModuleOp module, const Target &target, bool biased) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type();
  llvm::SmallVector<Type> signature{ptr, ptr, ptr, ptr, i64, i64, i64, f32};
  if (biased)
    signature.append({ptr, f32});
  return sharedFunction(module, biased ? "softmax_columns_biased" : "softmax_columns", signature, [&](Emit &b, ValueRange args) {
    constexpr double kSlack = 8;   // log2 of the largest weight
    constexpr int64_t kUnroll = 4; // chains of maxima and sums that do not wait for each other
    int64_t lanes = target.lanes();
    VectorType vec = Emit::vec(lanes, f32);
    Value keys = args[4], unit = b.splat(args[7], lanes), never = b.constant(vec, -std::numeric_limits<double>::infinity());
    Value scale = biased ? b.splat(args[9], lanes) : Value();
    b.loop(b.c(0), args[6], b.c(lanes), [&](Value column) {
      Value logits = b.at(args[0], f32, column), maximumAt = b.at(args[1], f32, column), sumAt = b.at(args[2], f32, column);
      auto at = [&](Value key, int64_t i) { return b.at(b.at(logits, f32, b.mul(key, b.c(kPanel))), f32, i * kPanel); };
      Value before = b.load(vec, maximumAt);
      Values maxima = b.loop(b.c(0), keys, b.c(kUnroll), Values(kUnroll, before), [&](Value key, ValueRange carried) {
        Values next;
        for (int64_t i = 0; i < kUnroll; ++i) {
          Value x = b.load(vec, at(key, i));
          if (biased) {
            x = b.fma(target, x, scale, b.splat(b.load(f32, b.at(args[8], f32, b.add(key, b.c(i)))), lanes));
            b.store(x, at(key, i));
          }
          next.push_back(b.max(carried[i], x));
        }
        return next;
      });
      Value maximum = b.max(b.max(maxima[0], maxima[1]), b.max(maxima[2], maxima[3]));
      // Weights are relative to any number that is not far below the maximum: a new one costs a pass over what was summed.
      Value far = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, b.mul(b.sub(maximum, before), unit), b.constant(vec, kSlack));
      maximum = b.select(far, maximum, before);
      // A column that has seen nothing yet keeps -inf; subtracting 0 instead gives weights of zero, not NaN.
      Value nothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, never);
      Value reference = b.select(nothing, b.zero(vec), maximum);
      auto weight = [&](Value x) { return exp2Small(b, target, b.mul(b.sub(x, reference), unit)); };
      // Of a column that had seen nothing there is nothing to rescale.
      Value summed = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, before, never);
      Value grows = vector::ReductionOp::create(b, vector::CombiningKind::OR, arith::AndIOp::create(b, far, summed));
      b.store(maximum, maximumAt);
      Value start = b.load(vec, sumAt);
      start = b.choose(
          grows, {vec},
          [&] {
            Value factor = weight(before);
            for (int64_t i = 0; i < lanes; ++i) {
              Value row = b.at(args[3], f32, b.mul(b.add(column, b.c(i)), args[5]));
              Value all = vector::BroadcastOp::create(b, vec, vector::ExtractOp::create(b, factor, i));
              b.loop(b.c(0), args[5], b.c(lanes), [&](Value d) {
                Value p = b.at(row, f32, d);
                b.store(b.mul(b.load(vec, p), all), p);
              });
            }
            return Values{b.mul(start, factor)};
          },
          [&] { return Values{start}; })[0];
      Values sums = b.loop(b.c(0), keys, b.c(kUnroll), Values(kUnroll, b.zero(vec)), [&](Value key, ValueRange carried) {
        Values next;
        for (int64_t i = 0; i < kUnroll; ++i) {
          Value w = weight(b.load(vec, at(key, i)));
          b.store(w, at(key, i));
          next.push_back(b.add(carried[i], w));
        }
        return next;
      });
      b.store(b.add(start, b.add(b.add(sums[0], sums[1]), b.add(sums[2], sums[3]))), sumAt);
    });
  });
}

func::FuncOp maskColumns(ModuleOp module, const Target &target) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type(), i32 = types.getI32Type();
  return sharedFunction(module, "mask_columns", {ptr, ptr, ptr, ptr, i64, i64}, [&](Emit &b, ValueRange args) {
    int64_t lanes = target.lanes();
    VectorType vec = Emit::vec(lanes, f32), ints = Emit::vec(lanes, i32);
    Value never = b.constant(vec, -std::numeric_limits<double>::infinity());
    b.loop(b.c(0), args[5], b.c(lanes), [&](Value column) {
      Value low = b.load(ints, b.at(args[1], i32, column)), high = b.load(ints, b.at(args[2], i32, column));
      b.loop(b.c(0), args[4], b.c(1), [&](Value key) {
        Value position = b.splat(b.load(i32, b.at(args[3], i32, key)), lanes);
        Value at = b.at(args[0], f32, b.add(b.mul(key, b.c(kPanel)), column));
        Value visible = arith::AndIOp::create(b, b.le(low, position), b.le(position, high));
        b.store(b.select(visible, b.load(vec, at), never), at);
      });
    });
  });
}

func::FuncOp widenRows(ModuleOp module, const Target &target, Type src) {
  Emit types(module.getLoc(), module.getContext());
  Type i64 = types.i64(), ptr = types.ptr(), f32 = types.getF32Type();
  std::string name = "widen_rows_";
  llvm::raw_string_ostream(name) << src;
  return sharedFunction(module, name, {ptr, i64, ptr, i64, i64, i64}, [&](Emit &b, ValueRange args) {
    int64_t lanes = target.lanes();
    b.loop(b.c(0), args[5], b.c(1), [&](Value i) {
      Value to = b.at(args[0], f32, b.mul(i, args[1])), from = b.at(args[2], src, b.mul(i, args[3]));
      Value whole = b.sub(args[4], b.rem(args[4], b.c(lanes)));
      auto copy = [&](Value j, Type type) { b.store(b.widen(target, b.load(type, b.at(from, src, j)), f32), b.at(to, f32, j)); };
      b.loop(b.c(0), whole, b.c(lanes), [&](Value j) { copy(j, Emit::vec(lanes, src)); });
      b.loop(whole, args[4], b.c(1), [&](Value j) { copy(j, src); });
    });
  });
}

} // namespace leat::cpu
