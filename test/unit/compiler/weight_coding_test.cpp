// Weights in fewer bits, against definitions in double: rounding, scales, codes, sizes that no block divides, errors, values that are
// refused.
#include "passes/Schedule/WeightCoding.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/APFloat.h"
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <tuple>

using namespace leat::schedule;

namespace {

void inOrder(size_t count, llvm::function_ref<void(size_t)> body) {
  for (size_t i = count; i-- > 0;) // any order is allowed
    body(i);
}

struct Matrix {
  std::vector<float> values; // [k][n]
  int64_t k, n;
  std::vector<char> bytes;
  WeightMatrix view;

  Matrix(mlir::MLIRContext &context, int64_t k, int64_t n, bool transposed, llvm::function_ref<float(int64_t, int64_t)> at) : k(k), n(n) {
    values.resize(k * n);
    bytes.resize(4 * k * n + 1);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j) {
        values[i * n + j] = at(i, j);
        std::memcpy(&bytes[1 + 4 * (transposed ? j * k + i : i * n + j)], &values[i * n + j], 4); // bytes need no alignment
      }
    view.bytes = llvm::ArrayRef<char>(bytes).drop_front();
    view.element = mlir::Float32Type::get(&context);
    view.k = k, view.n = n, view.transposed = transposed;
  }
  float at(int64_t i, int64_t j) const { return i < k ? values[i * n + j] : 0; }
};

int64_t codeAt(const std::string &codes, int bits, int64_t depth, int64_t column, int64_t i) {
  int64_t at = column * depth + i;
  return bits == 8 ? uint8_t(codes[at]) : (uint8_t(codes[at / 2]) >> (at % 2 * 4)) & 15;
}

TEST(WeightCoding, CodesAndErrorsAreWhatTheyMean) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int bits : {4, 8})
    for (auto [k, n, block] : {std::tuple{32, 1, 32},
                               {33, 64, 32},
                               {40, 65, 32},
                               {96, 130, 32},
                               {31, 3, 32},
                               {1, 2, 32},
                               {40, 3, 64},
                               {200, 65, 96},
                               {576, 2, 192}})
      for (bool transposed : {false, true}) {
        Matrix w(context, k, n, transposed, [&](int64_t i, int64_t j) { return j == 1 && i < 32 ? 0.0f : normal(random) * 0.05f; });
        std::pair<int64_t, int64_t> where;
        BlockCoding coding = BlockCoding::forWeights(bits, block, *largestMagnitude(w.view, inOrder, where));
        EXPECT_TRUE(coding.halfScales);
        CodingError error;
        std::vector<float> scales = coding.scales(w.view, inOrder, error);
        std::string codes = coding.codes(w.view, scales, inOrder);
        int64_t blocks = (k + block - 1) / block;
        ASSERT_EQ(scales.size(), size_t(n * blocks));
        ASSERT_EQ(codes.size(), size_t(n * blocks * block * bits / 8));
        double difference = 0, whole = 0, plain = 0;
        for (int64_t j = 0; j < n; ++j)
          for (int64_t b = 0; b < blocks; ++b) {
            double scale = scales[j * blocks + b], most = 0;
            EXPECT_EQ(fromFloat16(toFloat16(scales[j * blocks + b])), scales[j * blocks + b]);
            for (int64_t i = b * block; i < (b + 1) * block; ++i)
              most = std::abs(w.at(i, j)) > std::abs(most) ? w.at(i, j) : most;
            if (most == 0)
              EXPECT_EQ(scale, 0);
            for (int64_t i = b * block; i < (b + 1) * block; ++i) {
              double value = w.at(i, j), zero = 1 << (bits - 1), decoded = (codeAt(codes, bits, blocks * block, j, i) - zero) * scale;
              if (i >= k || scale == 0)
                EXPECT_EQ(decoded, 0);
              // No other code is nearer, but for rounding.
              for (double other : {-1.0, 1.0}) {
                double code = codeAt(codes, bits, blocks * block, j, i) - zero + other;
                if (code >= -zero && code < zero)
                  EXPECT_LE(std::abs(value - decoded), std::abs(value - code * scale) + 1e-6);
              }
              difference += (value - decoded) * (value - decoded);
              whole += value * value;
              // The simplest way to 4 bits, which llama.cpp's Q4_0 is: the largest is -8.
              double step = most / -8, simple = most == 0 ? 0 : std::min(std::max(std::nearbyint(value / step), -8.0), 7.0) * step;
              plain += (value - simple) * (value - simple);
            }
          }
        EXPECT_NEAR(error.difference, difference, 1e-4 * difference + 1e-12);
        EXPECT_NEAR(error.whole, whole, 1e-6 * whole);
        if (bits == 4 && n > 1)
          EXPECT_LT(difference, k > 1 ? 0.97 * plain : plain + 1e-9);
        else if (bits == 8)
          EXPECT_LT(error.relative(), 0.01);
      }
}

TEST(WeightCoding, WeightsThatWereQuantisedComeBack) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  std::mt19937 random(7);
  for (int bits : {4, 8})
    for (bool negative : {false, true}) {
      int64_t zero = 1 << (bits - 1), low = bits == 4 ? -8 : -127;
      auto scale = [&](int64_t i, int64_t j) {
        return fromFloat16(toFloat16((0.01f + 0.003f * float(j) + 0.1f * float(i / 32)) * (negative ? -1 : 1)));
      };
      Matrix w(context, 96, 20, true, [&](int64_t i, int64_t j) {
        int64_t code = i % 32 == j ? low : int64_t(random() % (2 * zero - 1)) - zero + 1;
        return float(code) * scale(i, j);
      });
      BlockCoding coding = BlockCoding::forWeights(bits, 32, 2);
      CodingError error;
      coding.scales(w.view, inOrder, error);
      EXPECT_LT(error.relative(), bits == 4 ? 1e-7 : 1e-3); // 8 bits: the largest decides, and f16 rounds its share
    }
}

TEST(WeightCoding, ScalesOutOfRangeOfHalfAreFloat) {
  EXPECT_FALSE(BlockCoding::forWeights(4, 32, 1e-6f).halfScales);
  EXPECT_FALSE(BlockCoding::forWeights(4, 32, 1e6f).halfScales);
  EXPECT_TRUE(BlockCoding::forWeights(4, 32, 1e5f).halfScales);
  EXPECT_TRUE(BlockCoding::forWeights(8, 32, 0).halfScales);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  for (float size : {1e-38f, 1e-20f, 1e-6f, 1e6f}) {
    Matrix w(context, 32, 2, false, [&](int64_t i, int64_t j) { return size * float(i - 8 + j); });
    CodingError error;
    auto scales = BlockCoding::forWeights(4, 32, size * 24).scales(w.view, inOrder, error);
    for (float scale : scales)
      EXPECT_TRUE(std::isfinite(scale));
    if (size > 1e-10f)
      EXPECT_LT(error.relative(), 0.1);
  }
}

TEST(WeightCoding, BlocksAreAsWideAsIsAskedForAndFillLittle) {
  EXPECT_EQ(blockFor(1024, 256), 256);
  EXPECT_EQ(blockFor(1536, 128), 128);
  EXPECT_EQ(blockFor(576, 256), 192); // 3 of 192 instead of 3 of 256
  EXPECT_EQ(blockFor(576, 128), 96);
  EXPECT_EQ(blockFor(608, 128), 128); // 19 x 32: 5 of 128 fill 32 values, a twentieth
  EXPECT_EQ(blockFor(40, 256), 64);   // one block, longer than the sum
  EXPECT_EQ(blockFor(33, 32), 32);
  EXPECT_EQ(blockFor(1000, 65536), 1024);
  for (int64_t k = 1; k < 3000; ++k)
    for (int64_t group : {32, 64, 96, 128, 256, 1024, 65536}) {
      int64_t block = blockFor(k, group), padded = (k + block - 1) / block * block;
      ASSERT_TRUE(block % 32 == 0 && block >= 32 && block <= std::max<int64_t>(group, 32)) << k << " " << group;
      ASSERT_LE(padded, (k + 31) / 32 * 32 + k / 16) << k << " " << group;
    }
}

TEST(WeightCoding, KindsAreReadAndRefused) {
  auto parsed = [](llvm::StringRef text) { return llvm::cantFail(WeightKind::parse(text)); };
  EXPECT_EQ(parsed("f32").bits, 32);
  EXPECT_FALSE(parsed("bf16").isCodes());
  EXPECT_EQ(parsed("int8").group, kInt8Group);
  EXPECT_EQ(parsed("int4").group, kInt4Group);
  EXPECT_EQ(parsed("int8(g=64)").group, 64);
  EXPECT_EQ(parsed("int4(g=65536)").group, 65536);
  EXPECT_EQ(parsed("int4(g=65536)").name, "int4");
  for (llvm::StringRef text :
       {"", "int3", "int", "int8(", "int8()", "int8(g=)", "int8(g=64", "int8(64)", "int8(g=0)", "int8(g=16)", "int8(g=100)", "int8(g=-32)",
        "int8(g=65568)", "int8(g=99999999999999999999)", "int8(g=64))", "bf16(g=32)", "f32(g=32)", "(g=32)"}) {
    auto kind = WeightKind::parse(text);
    ASSERT_FALSE(kind) << text.str();
    std::string why = llvm::toString(kind.takeError());
    EXPECT_NE(why.find(("'" + text + "'").str()), std::string::npos) << why;
  }
}

TEST(WeightCoding, ValuesThatAreNotFiniteAreFound) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  for (bool transposed : {false, true})
    for (float bad : {INFINITY, -INFINITY, NAN}) {
      Matrix w(context, 300, 70, transposed, [&](int64_t i, int64_t j) { return i == 211 && j == 69 ? bad : float(i); });
      std::pair<int64_t, int64_t> where;
      EXPECT_FALSE(largestMagnitude(w.view, inOrder, where));
      EXPECT_EQ(where, (std::pair<int64_t, int64_t>(211, 69)));
    }
  Matrix w(context, 300, 70, false, [&](int64_t i, int64_t j) { return i == 211 && j == 69 ? -1000.0f : float(i); });
  std::pair<int64_t, int64_t> where;
  EXPECT_EQ(largestMagnitude(w.view, inOrder, where), 1000.0f);
}

TEST(WeightCoding, SixteenBitsRoundToTheNearestEven) {
  std::mt19937 random(3);
  auto check = [](float value) {
    bool lost;
    llvm::APFloat brain(value), half(value);
    brain.convert(llvm::APFloat::BFloat(), llvm::APFloat::rmNearestTiesToEven, &lost);
    half.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven, &lost);
    if (std::isnan(value))
      return; // some not-a-number
    EXPECT_EQ(toBFloat16(value), brain.bitcastToAPInt().getZExtValue()) << value;
    EXPECT_EQ(toFloat16(value), half.bitcastToAPInt().getZExtValue()) << value;
    half.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lost);
    EXPECT_EQ(fromFloat16(toFloat16(value)), half.convertToFloat()) << value;
  };
  for (int i = 0; i < 200000; ++i) {
    uint32_t bits = random();
    float value;
    std::memcpy(&value, &bits, 4);
    check(value);
    check(std::ldexp(float(int32_t(bits)) * 0x1p-31f, int(random() % 48) - 30));
  }
  for (float value : {0.0f, -0.0f, INFINITY, -INFINITY, 65504.0f, 65519.9f, 65520.0f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f, 0x1p-14f, 3.4e38f})
    check(value);
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Matrix w(context, 50, 7, true, [](int64_t i, int64_t j) { return 1.0f + float(i * 7 + j) * 0x1p-9f; });
  std::string stored = toShortFloat(w.view, ShortFloat::BFloat16, inOrder);
  ASSERT_EQ(stored.size(), 2u * 50 * 7);
  uint16_t second;
  std::memcpy(&second, &stored[2], 2);
  EXPECT_EQ(second, toBFloat16(w.at(1, 0))); // in the order of the source
  EXPECT_LT(shortFloatError(w.view, ShortFloat::BFloat16, inOrder).relative(), 0x1p-8);
  EXPECT_GT(shortFloatError(w.view, ShortFloat::BFloat16, inOrder).relative(), 0x1p-11);
  EXPECT_LT(shortFloatError(w.view, ShortFloat::Float16, inOrder).relative(), 0x1p-11);
}

} // namespace
