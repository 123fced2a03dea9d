// The bytes of parameters and the load budget: what the printed module cannot show.
#include "dialects/Leat/Leat.h"
#include "lib/Frontend/Frontend.h"

#include "mlir/IR/MLIRContext.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace {

// Protobuf by hand: models here are a few fields.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7)
    bytes += char((value & 127) | 128);
  return bytes + char(value);
}
std::string number(int field, uint64_t value) { return varint(uint64_t(field) << 3) + varint(value); }
std::string bytes(int field, const std::string &content) { return varint(uint64_t(field) << 3 | 2) + varint(content.size()) + content; }

template <typename T> std::string raw(const std::vector<T> &values) {
  return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

/// A TensorProto of shape [rows, cols] named w; `content` is its data field.
std::string tensor(int64_t rows, int64_t cols, int dataType, const std::string &content) {
  return number(1, rows) + number(1, cols) + number(2, dataType) + bytes(8, "w") + content;
}
std::string rawData(const std::string &data) { return bytes(9, data); }
std::string entry(const std::string &key, const std::string &value) { return bytes(13, bytes(1, key) + bytes(2, value)); }
std::string externalData(const std::string &location, uint64_t offset) {
  return number(14, 1) + entry("location", location) + entry("offset", std::to_string(offset));
}

std::string node(const std::string &op, const std::string &from, const std::string &to) {
  return bytes(1, bytes(1, from) + bytes(2, to) + bytes(4, op));
}

/// y = Identity applied `nodes` times to the initializer.
std::string model(const std::string &initializer, int nodes = 1) {
  std::string graph = bytes(2, "g") + bytes(5, initializer);
  for (int i = 0; i < nodes; ++i)
    graph += node("Identity", i ? "v" + std::to_string(i) : "w", i + 1 == nodes ? "y" : "v" + std::to_string(i + 1));
  graph += bytes(12, bytes(1, "y"));
  return number(1, 10) + bytes(8, bytes(1, "") + number(2, 21)) + bytes(7, graph);
}

constexpr int f32 = 1, bf16 = 16, i4 = 22;

struct Frontend : testing::Test {
  mlir::MLIRContext context;
  leat::FrontendOptions options;
  std::string error;
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("leat-frontend-" + std::to_string(getpid()));

  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string param() {
    auto bytes = context.getLoadedDialect<leat::LeatDialect>()->params().get("w");
    return std::string(bytes.data(), bytes.size());
  }
  bool load(const std::string &model) { return succeeded(leat::importOnnxBytes(context, model, options, error)); }
  bool loadFile(const std::string &model, const std::string &data) {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "w.bin", std::ios::binary) << data;
    std::ofstream(folder / "model.onnx", std::ios::binary) << model;
    return succeeded(leat::importOnnx(context, (folder / "model.onnx").string(), options, error));
  }
};

std::vector<float> ramp(int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(float(i) * 0.5f);
  return values;
}

TEST_F(Frontend, RawDataIsTheParameter) {
  std::string data = raw(ramp(2048));
  ASSERT_TRUE(load(model(tensor(64, 32, f32, rawData(data))))) << error;
  EXPECT_EQ(param(), data);
}

TEST_F(Frontend, TypedDataIsConverted) {
  std::string data = raw(ramp(2048));
  ASSERT_TRUE(load(model(tensor(64, 32, f32, bytes(4, data))))) << error;
  EXPECT_EQ(param(), data);
}

TEST_F(Frontend, SixteenBitsInInt32) {
  std::string packed;
  for (int i = 0; i < 2048; ++i)
    packed += varint(0x3f80);
  ASSERT_TRUE(load(model(tensor(64, 32, bf16, bytes(5, packed))))) << error;
  EXPECT_EQ(param(), raw(std::vector<uint16_t>(2048, 0x3f80)));
}

TEST_F(Frontend, FourBitsStayPacked) {
  std::string packed;
  for (int i = 0; i < 1024; ++i)
    packed += varint(0x21);
  ASSERT_TRUE(load(model(tensor(64, 32, i4, bytes(5, packed))))) << error;
  EXPECT_EQ(param(), std::string(1024, 0x21));
}

TEST_F(Frontend, ExternalDataIsMapped) {
  std::string data = raw(ramp(2048));
  ASSERT_TRUE(loadFile(model(tensor(64, 32, f32, externalData("w.bin", 64))), std::string(64, 'x') + data)) << error;
  EXPECT_EQ(param(), data);
}

TEST_F(Frontend, MisalignedExternalDataIsCopied) {
  std::string data = raw(ramp(2048));
  ASSERT_TRUE(loadFile(model(tensor(64, 32, f32, externalData("./w.bin", 3))), "xyz" + data)) << error;
  EXPECT_EQ(param(), data);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(context.getLoadedDialect<leat::LeatDialect>()->params().get("w").data()) % 4, 0u);
}

TEST_F(Frontend, MemoryHasNoFolder) {
  EXPECT_FALSE(load(model(tensor(64, 32, f32, externalData("w.bin", 0)))));
  EXPECT_NE(error.find("comes from memory"), std::string::npos) << error;
}

struct Budget : Frontend {
  void refuses(const char *reason) {
    EXPECT_FALSE(load(model(tensor(64, 32, f32, rawData(raw(ramp(2048)))), 10)));
    EXPECT_NE(error.find(reason), std::string::npos) << error;
  }
};

TEST_F(Budget, FileBytes) {
  options.budget.fileBytes = 100;
  refuses("more than the limit of 100");
}
TEST_F(Budget, Fields) {
  options.budget.fields = 20;
  refuses("budget of 20 protobuf fields");
}
TEST_F(Budget, Nodes) {
  options.budget.nodes = 9;
  refuses("budget of 9 nodes");
}
TEST_F(Budget, Tensors) {
  options.budget.tensors = 0;
  refuses("budget of 0 tensors");
}
TEST_F(Budget, ParameterBytes) {
  options.budget.parameterBytes = 8191;
  refuses("budget of 8191 bytes of parameters");
}
TEST_F(Budget, Enough) {
  options.budget.nodes = 10;
  options.budget.tensors = 1;
  options.budget.parameterBytes = 8192;
  EXPECT_TRUE(load(model(tensor(64, 32, f32, rawData(raw(ramp(2048)))), 10))) << error;
}

} // namespace
