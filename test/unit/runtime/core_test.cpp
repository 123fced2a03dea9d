// Checksums and random numbers against published vectors, conversions against all values, sizes at their limits.
#include "runtime/core/Crc32c.h"
#include "runtime/core/DType.h"
#include "runtime/core/Philox.h"
#include "runtime/core/Tensor.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace leat::rt;

TEST(Crc32c, KnownVectors) { // RFC 3720, appendix B.4
  std::vector<uint8_t> zeros(32, 0), ones(32, 0xff), up(32), down(32);
  for (int i = 0; i < 32; ++i) {
    up[i] = i;
    down[i] = 31 - i;
  }
  for (auto crc : {crc32c, crc32cPortable}) {
    EXPECT_EQ(crc(0, zeros.data(), 32), 0x8a9136aau);
    EXPECT_EQ(crc(0, ones.data(), 32), 0x62a8ab43u);
    EXPECT_EQ(crc(0, up.data(), 32), 0x46dd794eu);
    EXPECT_EQ(crc(0, down.data(), 32), 0x113fdb5cu);
    EXPECT_EQ(crc(0, "123456789", 9), 0xe3069283u);
    EXPECT_EQ(crc(0, nullptr, 0), 0u);
  }
}

TEST(Crc32c, PathsAgreeAndContinue) {
  std::mt19937 random(1);
  std::vector<uint8_t> data(1000);
  for (uint8_t &byte : data)
    byte = random();
  for (size_t begin : {0u, 1u, 3u, 7u})
    for (size_t size : {0u, 1u, 7u, 8u, 9u, 63u, 500u, 900u}) {
      uint32_t whole = crc32cPortable(0, data.data() + begin, size);
      EXPECT_EQ(crc32c(0, data.data() + begin, size), whole);
      size_t cut = size / 3;
      EXPECT_EQ(crc32c(crc32c(0, data.data() + begin, cut), data.data() + begin + cut, size - cut), whole);
    }
}

TEST(Philox, KnownVectors) { // Random123, kat_vectors
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  uint32_t f = 0xffffffff;
  EXPECT_EQ(philox({f, f, f, f}, {f, f}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformIsUniform) {
  int bins[16] = {};
  for (int i = 0; i < 16000; ++i) {
    double u = philoxUniform(7, i % 10, i / 10);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<int>(u * 16)];
  }
  double chi = 0;
  for (int count : bins)
    chi += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi, 44.26); // 15 degrees of freedom, p = 1e-4
}

TEST(DType, HalfRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    float value = halfToFloat(bits);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(value))));
    else
      EXPECT_EQ(floatToHalf(value), bits);
    float wide = bfloatToFloat(bits);
    if (std::isnan(wide))
      EXPECT_TRUE(std::isnan(bfloatToFloat(floatToBfloat(wide))));
    else
      EXPECT_EQ(floatToBfloat(wide), bits);
  }
}

TEST(DType, HalfRoundsToNearestEven) {
  std::mt19937 random(2);
  for (int i = 0; i < 100000; ++i) {
    float value = std::ldexp(static_cast<float>(static_cast<int32_t>(random())), static_cast<int>(random() % 60) - 55);
    auto native = static_cast<_Float16>(value);
    uint16_t bits;
    std::memcpy(&bits, &native, 2);
    ASSERT_EQ(floatToHalf(value), bits) << value;
  }
  EXPECT_EQ(floatToHalf(65519.99f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
}

TEST(DType, EightBitFloats) {
  uint8_t in[] = {0x7e, 0x01, 0x80, 0x7f};
  float out[4];
  ASSERT_TRUE(toFloats(DType::F8E4M3FN, in, 4, out));
  EXPECT_EQ(out[0], 448.0f);
  EXPECT_EQ(out[1], 0x1p-9f);
  EXPECT_TRUE(out[2] == 0 && std::signbit(out[2]));
  EXPECT_TRUE(std::isnan(out[3]));
  uint8_t five[] = {0x7b, 0x7c, 0xfc, 0x7d};
  ASSERT_TRUE(toFloats(DType::F8E5M2, five, 4, out));
  EXPECT_EQ(out[0], 57344.0f);
  EXPECT_EQ(out[1], INFINITY);
  EXPECT_EQ(out[2], -INFINITY);
  EXPECT_TRUE(std::isnan(out[3]));
}

TEST(DType, NamesRoundTrip) {
  for (int i = 1; i <= 26; ++i) {
    auto type = static_cast<DType>(i);
    std::string name = dtypeName(type);
    EXPECT_EQ(dtypeFromName(name.data(), name.size()), type) << name;
  }
  EXPECT_EQ(dtypeFromName("undefined", 9), DType::Undefined);
  EXPECT_EQ(dtypeSize(static_cast<DType>(99)), 0);
  EXPECT_EQ(dtypeSize(static_cast<DType>(-1)), 0);
}

TEST(Tensor, SizesAreChecked) {
  int64_t bytes;
  int64_t huge[] = {int64_t(1) << 40, int64_t(1) << 40}, negative[] = {-1}, zero[] = {0, int64_t(1) << 62, 4};
  EXPECT_FALSE(byteSize(huge, 2, 1, bytes));
  EXPECT_FALSE(byteSize(negative, 1, 1, bytes));
  EXPECT_TRUE(byteSize(zero, 1, 4, bytes));
  EXPECT_EQ(bytes, 0);
  EXPECT_FALSE(Tensor::create(DType::F32, {int64_t(1) << 40, 1 << 20, 1 << 20}).ok());
  EXPECT_FALSE(Tensor::create(DType::F32, {int64_t(1) << 45}).ok());
  EXPECT_FALSE(Tensor::create(DType::String, {1}).ok());
  auto tensor = Tensor::create(DType::F32, {2, 3});
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->bytes(), 24);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->data()) % 64, 0u);
  tensor->as<float>()[5] = 7;
  auto copy = tensor->clone();
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->as<float>()[5], 7);
}

TEST(Status, ForeignTextStaysOnOneLine) { EXPECT_EQ(printable("a\nb\x01"), "a\\x0ab\\x01"); }
