// .npy: round trips, files as other tools write them, and damaged ones, cut or changed at every byte.
#include "runtime/core/Npy.h"

#include <cstdio>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace leat::rt;

static std::string file(const std::string &header, const std::string &data, int major = 1) {
  std::string out("\x93NUMPY", 6);
  out += static_cast<char>(major);
  out += '\0';
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  if (major > 1)
    out += std::string(2, '\0');
  return out + header + data;
}

static std::string bytesOf(std::initializer_list<int> list) {
  std::string out;
  for (int value : list)
    out += static_cast<char>(value);
  return out;
}

static Result<Tensor> parse(const std::string &bytes, DType expected = DType::Undefined) {
  return parseNpy(bytes.data(), bytes.size(), expected);
}

TEST(Npy, RoundTrip) {
  for (int number = 1; number <= 26; ++number) {
    auto type = static_cast<DType>(number);
    if (type == DType::String)
      continue;
    for (const Shape &shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{1, 2, 1, 2, 1, 2, 1, 2}}) {
      auto tensor = Tensor::create(type, shape);
      ASSERT_TRUE(tensor.ok());
      for (int64_t i = 0; i < tensor->bytes(); ++i)
        tensor->as<uint8_t>()[i] = i + 1;
      auto header = npyHeader(type, shape);
      ASSERT_TRUE(header.ok());
      EXPECT_EQ(header->size() % 64, 0u);
      auto back = parse(*header + std::string(tensor->as<char>(), tensor->bytes()), type);
      ASSERT_TRUE(back.ok()) << back.status().message();
      EXPECT_EQ(back->dtype(), type);
      EXPECT_EQ(back->shape(), shape);
      EXPECT_EQ(std::memcmp(back->data(), tensor->data(), tensor->bytes()), 0);
    }
  }
}

TEST(Npy, Files) {
  std::string path = "npy_test." + std::to_string(getpid()) + ".npy";
  float values[] = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(writeNpy(path, Tensor::borrow(DType::F32, {2, 3}, values)).ok());
  auto back = readNpy(path);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->as<float>()[4], 5);
  std::remove(path.c_str());
  EXPECT_EQ(readNpy(path).status().code(), Code::NotFound);
  EXPECT_EQ(readNpy("/tmp").status().code(), Code::Io);
}

TEST(Npy, Spellings) {
  auto big = parse(file("{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", bytesOf({1, 2, 3, 4})));
  ASSERT_TRUE(big.ok());
  EXPECT_EQ(big->as<int16_t>()[0], 0x0102);
  auto fortran = parse(file("{\"shape\": (2L, 3L), 'fortran_order': True, 'descr': '|u1', }", bytesOf({1, 4, 2, 5, 3, 6})));
  ASSERT_TRUE(fortran.ok()) << fortran.status().message();
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(fortran->as<uint8_t>()[i], i + 1);
  for (int major : {1, 2, 3})
    EXPECT_TRUE(parse(file("{'descr': 'f4', 'fortran_order': False, 'shape': ()}\n", std::string(4, '\0'), major)).ok());
  EXPECT_FALSE(parse(file("{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}", "ab")).ok());
  EXPECT_TRUE(parse(file("{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}", "ab"), DType::BF16).ok());
}

TEST(Npy, Refusals) {
  auto why = [](const std::string &header, const std::string &data = "") { return parse(file(header, data)).status().message(); };
  EXPECT_NE(why("{'descr': [('a','<f4')], 'fortran_order': False, 'shape': (1,)}").find("structured"), std::string::npos);
  EXPECT_NE(why("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}").find("not supported"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}").find("more than 8"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}").find("too large"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,4)}").find("needs more"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000,)}", "abcd").find("needs more"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False}").find("lacks"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'descr': '<f4'}").find("unexpected key"), std::string::npos);
  EXPECT_NE(why("__import__('os')").find("malformed"), std::string::npos);
  EXPECT_NE(why("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}").find("malformed"), std::string::npos);
  EXPECT_EQ(parse(file("", "", 9)).status().code(), Code::Version);
}

TEST(Npy, DamagedAnywhere) {
  std::string good = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", std::string(24, 'x'));
  ASSERT_TRUE(parse(good).ok());
  for (size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(parse(good.substr(0, cut)).ok());
  for (size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] ^= 1 << bit;
      auto result = parse(bad); // may still be a valid file; must not crash, and says why in one line
      if (!result.ok())
        EXPECT_EQ(result.status().message().find('\n'), std::string::npos);
    }
}
