// Kernels for sm_90a that nvcc compiled, against plain C++: tensor copies, wgmma, attention, clusters.
#include "Sm90Kernels.h"

using namespace leat::sim;

TEST(Sm90, TensorCopiesSwizzleAndFill) {
  constexpr int rows = 40, columns = 72, boxRows = 24;
  const int corners[4][2] = {{0, 0}, {24, 8}, {-8, -5}, {48, 30}};
  for (int swizzle : {0, 32, 64, 128})
    for (auto [column, row] : corners) {
      Bench bench(sm90());
      int boxColumns = swizzle ? swizzle / 2 : 64, bytes = boxColumns * boxRows * 2;
      auto tensor = bench.buffer<uint16_t>(rows * columns, "tensor", true), out = bench.buffer<uint16_t>(bytes / 2, "out");
      for (int i = 0; i < rows * columns; ++i)
        tensor[i] = uint16_t(i + 1);
      TensorMapBytes map = tensorMap(tensor, rows, columns, boxRows, boxColumns, swizzle);
      EXPECT_CLEAN(
          bench.launch("dumpTile", {.grid = {}, .block = {64}, .dynamicSharedBytes = uint32_t(bytes)}, map, out, column, row, bytes));
      for (int r = 0; r < boxRows; ++r)
        for (int c = 0; c < boxColumns; ++c) {
          int offset = (r * boxColumns + c) * 2, line = offset / 128;
          int moved = swizzle == 128 ? line % 8 * 16 : swizzle == 64 ? line % 4 * 16 : swizzle == 32 ? line % 2 * 16 : 0;
          int y = row + r, x = column + c;
          uint16_t expected = y >= 0 && y < rows && x >= 0 && x < columns ? tensor[y * columns + x] : 0;
          ASSERT_EQ(out[(offset ^ moved) / 2], expected)
              << "swizzle " << swizzle << " corner " << column << ", " << row << " at " << r << ", " << c;
        }
    }
}

TEST(Sm90, MultipliesTiles) {
  for (const Options &options : everyOrder())
    for (int mode = 0; mode < 4; ++mode) {
      ProductRun run = runProduct(sm90(), mode, options);
      EXPECT_CLEAN(run.result);
      EXPECT_LT(run.error, 1e-5) << "mode " << mode;
    }
}

TEST(Sm90, Attends) {
  for (const Options &options : everyOrder()) {
    AttentionRun run = runAttention(sm90(), 256, 2, options);
    EXPECT_CLEAN(run.result);
    EXPECT_LT(run.error, 0.01);
  }
  Options unchecked;
  unchecked.checks = unchecked.counters = false;
  unchecked.threads = 2;
  AttentionRun run = runAttention(sm90(), 384, 2, unchecked);
  EXPECT_CLEAN(run.result);
  EXPECT_LT(run.error, 0.01);
}

TEST(Sm90, ClustersExchangeSharedMemory) {
  for (const Options &options : everyOrder()) {
    Bench bench(sm90(), options);
    auto in = bench.buffer<float>(4 * 128, "in", true), out = bench.buffer<float>(4 * 128, "out");
    for (int i = 0; i < 512; ++i)
      in[i] = float(i);
    EXPECT_CLEAN(bench.launch("exchangeHalves", {.grid = {4}, .block = {128}}, in, out));
    for (int i = 0; i < 512; ++i)
      ASSERT_EQ(out[i], in[i ^ 128 ^ 1]);
  }
}

TEST(Sm90, MulticastReachesEveryCta) {
  for (const Options &options : everyOrder()) {
    Bench bench(sm90(), options);
    auto tensor = bench.buffer<uint16_t>(32 * 64, "tensor", true);
    auto out = bench.buffer<uint32_t>(4 * 512, "out");
    for (int i = 0; i < 32 * 64; ++i)
      tensor[i] = uint16_t(i);
    TensorMapBytes map = tensorMap(tensor, 32, 64, 16, 64, 0);
    LaunchResult result = bench.launch("multicast", {.grid = {4}, .block = {64}, .dynamicSharedBytes = 2048}, map, out);
    EXPECT_CLEAN(result);
    for (int cta = 0; cta < 4; ++cta)
      EXPECT_EQ(std::memcmp(out + cta * 512, tensor + cta / 2 * 1024, 2048), 0) << "CTA " << cta;
    EXPECT_EQ(result.counters.bulkBytes, 8192u);
  }
}
