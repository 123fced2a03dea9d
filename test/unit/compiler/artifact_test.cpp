// The artifact writer against the runtime's reader, and the packed layouts against their definition.
#include "lib/Artifact/Layouts.h"
#include "lib/Artifact/Writer.h"
#include "lib/Pipeline/Registration.h"
#include "runtime/artifact/Container.h"
#include "runtime/artifact/Manifest.h"

#include "dialects/Leat/Leat.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include <gtest/gtest.h>
#include <numeric>
#include <unistd.h>

using namespace mlir;

namespace {

std::vector<float> packed(llvm::StringRef layout, RankedTensorType type, const std::vector<float> &source) {
  std::vector<char> bytes;
  llvm::cantFail(
      leat::artifact::findLayout(layout)->pack(type, ArrayRef<char>(reinterpret_cast<const char *>(source.data()), source.size() * 4),
                                               [&](ArrayRef<char> piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); }));
  std::vector<float> result(bytes.size() / 4);
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

TEST(Layouts, Panel64) {
  MLIRContext context;
  for (int64_t k : {1, 5})
    for (int64_t n : {1, 63, 64, 65, 130}) {
      std::vector<float> values(k * n);
      std::iota(values.begin(), values.end(), 1.0f);
      auto f32 = Float32Type::get(&context);
      auto straight = packed("panel64", RankedTensorType::get({k, n}, f32), values);
      auto transposed = packed("panel64t", RankedTensorType::get({n, k}, f32), values);
      int64_t panels = (n + 63) / 64;
      ASSERT_EQ(straight.size(), size_t(panels * k * 64));
      ASSERT_EQ(transposed.size(), straight.size());
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t i = 0; i < k; ++i)
          for (int64_t j = 0; j < 64; ++j) {
            int64_t column = p * 64 + j, at = (p * k + i) * 64 + j;
            EXPECT_EQ(straight[at], column < n ? values[i * n + column] : 0.0f);
            EXPECT_EQ(transposed[at], column < n ? values[column * k + i] : 0.0f);
          }
    }
}

TEST(Layouts, PairsOfPanels) {
  MLIRContext context;
  auto f32 = Float32Type::get(&context);
  for (int64_t n : {1, 64, 130}) {
    const int64_t k = 6;
    std::vector<float> values(k * n);
    std::iota(values.begin(), values.end(), 1.0f);
    auto straight = packed("panel64.2", RankedTensorType::get({k, n}, f32), values);
    auto transposed = packed("panel64t.2", RankedTensorType::get({n, k}, f32), values);
    ASSERT_EQ(straight.size(), size_t((n + 63) / 64 * k * 64));
    ASSERT_EQ(transposed.size(), straight.size());
    for (size_t at = 0; at < straight.size(); ++at) {
      int64_t i = at / 128 % (k / 2) * 2 + at % 2, column = int64_t(at) / (k * 64) * 64 + at / 2 % 64;
      EXPECT_EQ(straight[at], column < n ? values[i * n + column] : 0.0f);
      EXPECT_EQ(transposed[at], column < n ? values[column * k + i] : 0.0f);
    }
  }
  auto odd = leat::artifact::findLayout("panel64.2")->pack(RankedTensorType::get({3, 4}, f32), ArrayRef<char>(), [](ArrayRef<char>) {});
  EXPECT_NE(llvm::toString(std::move(odd)).find("cannot be packed"), std::string::npos);
}

struct ArtifactTest : testing::Test {
  ArtifactTest() : path(testing::TempDir() + "leat_artifact_test_" + std::to_string(getpid()) + ".leat") {
    DialectRegistry registry;
    leat::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  ~ArtifactTest() override { unlink(path.c_str()); }
  MLIRContext context;
  std::string path;
};

TEST_F(ArtifactTest, TheRuntimeReadsWhatIsWritten) {
  auto module = parseSourceString<ModuleOp>(R"(module attributes {
      leat.kernels = [{name = "k", description = "adds", strategy = "map"}], leat.messages = ["bad {0}"], onnx.metadata = {author = "me"}} {
    leat.param @w : tensor<2x2xf32> {value = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>}
    leat.param @stored : tensor<2x3xf32> {key = "stored", layout = "panel64"}
    leat.param @nibbles : tensor<3xi4> {value = dense<[1, -1, 7]> : tensor<3xi4>}
    leat.slot @seen : tensor<i64> growth counter
    leat.slot @kv : tensor<?x2x?x4xf32> growth append {axis = 2 : i64, batch_axis = 0 : i64, input_name = "past", output_name = "present"}
    llvm.func @leat_main(!llvm.ptr) -> i64 attributes {leat.function = {name = "main", kind = "main", slots = 3 : i64, launches = 2 : i64, groups = 1 : i64,
      inputs = [{name = "x", dtype = 1 : i32, dims = ["batch", "4"]}], outputs = [{name = "y", dtype = 7 : i32, dims = []}]}}
  })",
                                            &context);
  ASSERT_TRUE(module);
  std::string bytes(24, '\0');
  float values[] = {1, 2, 3, 4, 5, 6};
  std::memcpy(bytes.data(), values, 24);
  context.getLoadedDialect<leat::LeatDialect>()->params().set("stored", bytes);

  leat::artifact::ArtifactContents contents;
  contents.model = "test.onnx";
  contents.targetCpu = "x86-64-v3";
  contents.features = {"avx2"};
  contents.sharedObject = "code";
  contents.options = {{"kv", "retain=all"}};
  int64_t done = 0, total = 0;
  contents.progress = [&](int64_t d, int64_t t) { done = d, total = t; };
  auto error = leat::artifact::writeArtifact(*module, contents, path);
  ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));
  EXPECT_EQ(done, total);

  auto file = llvm::MemoryBuffer::getFile(path);
  ASSERT_TRUE(bool(file));
  std::span<const uint8_t> view(reinterpret_cast<const uint8_t *>((*file)->getBufferStart()), (*file)->getBufferSize());
  auto sections = leat::rt::parseContainer(view, leat::rt::artifactMagic, leat::rt::artifactFormat, "artifact");
  ASSERT_TRUE(sections.ok()) << sections.status().message();
  auto *weights = leat::rt::findSection(*sections, leat::rt::SectionKind::Weights);
  auto *manifest = leat::rt::findSection(*sections, leat::rt::SectionKind::Manifest);
  ASSERT_TRUE(weights && manifest);
  EXPECT_EQ(weights->offset % 4096, 0u);
  auto info = leat::rt::decodeManifest(manifest->bytes, weights->bytes.size());
  ASSERT_TRUE(info.ok()) << info.status().message();
  ASSERT_EQ(info->params.size(), 3u);
  EXPECT_EQ(info->params[1].layout, "panel64");
  EXPECT_EQ(info->params[1].length, 2u * 64 * 4);
  EXPECT_EQ(info->params[1].offset % 64, 0u);
  float packedValues[66];
  std::memcpy(packedValues, weights->bytes.data() + info->params[1].offset, sizeof(packedValues));
  EXPECT_EQ(packedValues[2], 3);
  EXPECT_EQ(packedValues[3], 0);
  EXPECT_EQ(packedValues[64], 4);
  EXPECT_EQ(info->params[2].length, 3u); // one byte each
  EXPECT_EQ(weights->bytes[info->params[2].offset + 1], 15);
  ASSERT_EQ(info->states.size(), 2u);
  EXPECT_EQ(info->states[1].dims[2], -1);
  EXPECT_EQ(info->states[1].inputName, "past");
  ASSERT_EQ(info->functions.size(), 1u);
  EXPECT_EQ(info->functions[0].symbol, "leat_main");
  EXPECT_EQ(info->functions[0].slots, 3);
  EXPECT_EQ(info->functions[0].launches, 2);
  EXPECT_EQ(info->functions[0].groups, 1);
  EXPECT_EQ(info->functions[0].inputs[0].dims[0].symbol, "batch");
  EXPECT_EQ(info->functions[0].inputs[0].dims[1].value, 4);
  EXPECT_EQ(info->messages[0], "bad {0}");
  EXPECT_EQ(info->metadata[0].second, "me");
}

TEST_F(ArtifactTest, SaysWhatIsWrongAndLeavesNoFile) {
  auto module = parseSourceString<ModuleOp>(R"(module { leat.param @w : tensor<4xf32> {key = "nowhere"} })", &context);
  EXPECT_EQ(llvm::toString(leat::artifact::writeArtifact(*module, {}, path)), "the bytes of weight 'w' are missing");
  context.getLoadedDialect<leat::LeatDialect>()->params().set("nowhere", std::string("short"));
  EXPECT_EQ(llvm::toString(leat::artifact::writeArtifact(*module, {}, path)), "weight 'w' has 5 bytes where its type needs 16");
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  EXPECT_NE(llvm::toString(leat::artifact::writeArtifact(*module, {}, "/nowhere/x.leat")), "");
}

} // namespace
