// Products on Hopper whose blocks are clusters: results, whether a grid with an odd number of rows of blocks goes without, and what is
// read.
#include "../cpu/KernelTest.h"
#include "DeviceKernels.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace leat::test;

namespace {

// The depths of some go round the ring of four steps twice and end within a step. Two results of a row of blocks may lie outside.
const char *kKernels = R"(
leat.kernel_func @plain inputs 2 -> [tensor<?x136xf16>] attributes {schedule = #leat.schedule<"tile", {rows = 64, cols = 64, depth = 32, stages = 3, group_rows = 128, group_cols = 128, group_depth = 64, group_stages = 4, group_cluster = 2}>} {
^bb0(%a: tensor<?x568xf16>, %b: tensor<568x136xf16>):
  %y = leat.matmul %a, %b : (tensor<?x568xf16>, tensor<568x136xf16>) -> tensor<?x136xf16>
  leat.yield %y : tensor<?x136xf16>
}
leat.kernel_func @trans inputs 2 -> [tensor<?x72xbf16>] attributes {schedule = #leat.schedule<"tile", {rows = 64, cols = 64, depth = 32, stages = 3, group_rows = 128, group_cols = 64, group_depth = 64, group_stages = 2, group_cluster = 2}>} {
^bb0(%a: tensor<?x328xbf16>, %b: tensor<72x328xbf16>):
  %y = leat.matmul %a, %b {trans_b} : (tensor<?x328xbf16>, tensor<72x328xbf16>) -> tensor<?x72xbf16>
  leat.yield %y : tensor<?x72xbf16>
}
leat.kernel_func @wide inputs 2 -> [tensor<?x256xbf16>] attributes {schedule = #leat.schedule<"tile", {rows = 64, cols = 64, depth = 32, stages = 3, group_rows = 64, group_cols = 256, group_depth = 64, group_stages = 3, group_cluster = 2}>} {
^bb0(%a: tensor<?x456xbf16>, %b: tensor<456x256xbf16>):
  %y = leat.matmul %a, %b : (tensor<?x456xbf16>, tensor<456x256xbf16>) -> tensor<?x256xbf16>
  leat.yield %y : tensor<?x256xbf16>
}
leat.kernel_func @batch inputs 2 -> [tensor<?x?x72xf16>] attributes {schedule = #leat.schedule<"tile", {rows = 64, cols = 64, depth = 32, stages = 3, group_rows = 128, group_cols = 128, group_depth = 64, group_stages = 4, group_cluster = 2}>} {
^bb0(%a: tensor<?x?x72xf16>, %b: tensor<?x72x72xf16>):
  %y = leat.matmul %a, %b : (tensor<?x?x72xf16>, tensor<?x72x72xf16>) -> tensor<?x?x72xf16>
  leat.yield %y : tensor<?x?x72xf16>
}
)";

struct Shape {
  const char *kernel, *type;
  int64_t n, k;
  bool trans;
  int64_t blockRows;
};
constexpr Shape kShapes[] = {
    {"plain", "f16", 136, 568, false, 128}, {"trans", "bf16", 72, 328, true, 128}, {"wide", "bf16", 256, 456, false, 64}};

void expectProduct(const Array &got, const Array &a, const Array &b, int64_t batch, int64_t rows, int64_t n, int64_t k, bool trans) {
  double epsilon = got.type == "f16" ? 1e-3 : 8e-3;
  std::vector<double> left = a.values(), right = b.values();
  for (int64_t g = 0; g < batch; ++g)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum += left[(g * rows + i) * k + p] * right[g * k * n + (trans ? j * k + p : p * n + j)];
        ASSERT_NEAR(got.at((g * rows + i) * n + j), sum, epsilon * (1 + std::abs(sum)))
            << g << ", " << i << ", " << j << " of " << rows << " rows";
      }
}

// Late, by chance and early (DeviceJit.cpp), in grids of two, three and four rows of blocks, the last of them full or nearly empty.
TEST(Cluster, Products) {
  auto kernels = Kernels::compile(kKernels, 128);
  ASSERT_TRUE(kernels);
  for (const Shape &shape : kShapes)
    for (int64_t rows : {shape.blockRows + 1, 2 * shape.blockRows, 3 * shape.blockRows - 5, 3 * shape.blockRows + 9}) {
      SCOPED_TRACE(std::string(shape.kernel) + ", " + std::to_string(rows) + " rows");
      Array a = Array::random(shape.type, {rows, shape.k}, 1);
      Array b = Array::random(shape.type, shape.trans ? std::vector<int64_t>{shape.n, shape.k} : std::vector<int64_t>{shape.k, shape.n}, 2);
      Array y(shape.type, {rows, shape.n});
      kernels->run(shape.kernel, {&a, &b}, {&y});
      expectProduct(y, a, b, 1, rows, shape.n, shape.k, shape.trans);
    }
}

TEST(Cluster, Batches) {
  auto kernels = Kernels::compile(kKernels, 128);
  ASSERT_TRUE(kernels);
  for (int64_t rows : {1, 130, 257}) {
    Array a = Array::random("f16", {3, rows, 72}, 1), b = Array::random("f16", {3, 72, 72}, 2), y("f16", {3, rows, 72});
    kernels->run("batch", {&a, &b}, {&y});
    expectProduct(y, a, b, 3, rows, 72, 72, false);
  }
}

// Whole clusters, or none; and what both blocks want is read once.
TEST(Cluster, OnlyWhereTheGridHasWholeOnes) {
  auto kernels = DeviceKernels::compile(kKernels, "sm_90a");
  ASSERT_TRUE(kernels);
  uint64_t sectors[2];
  for (int64_t rows : {256, 300}) {
    auto launches = kernels->geometry("plain", {rows, rows});
    ASSERT_EQ(launches.size(), 3u); // without clusters, for few rows, with clusters
    bool whole = rows == 256;
    EXPECT_EQ(launches[whole ? 0 : 2].grid[0], 0);
    EXPECT_EQ(launches[1].grid[0], 0);
    EXPECT_EQ(launches[whole ? 2 : 0].grid[0], 2);
    EXPECT_EQ(launches[2].cluster[1], 2);
    EXPECT_EQ(launches[0].cluster[1], 1);
  }
  for (bool together : {false, true}) {
    // The same product with and without: from the text without its schedule's last word.
    std::string text = kKernels;
    if (!together)
      for (size_t at; (at = text.find("group_cluster = 2")) != std::string::npos;)
        text.replace(at, 17, "group_cluster = 1");
    auto compiled = DeviceKernels::compile(text, "sm_90a");
    ASSERT_TRUE(compiled);
    Array a = Array::random("f16", {256, 568}, 1), b = Array::random("f16", {568, 136}, 2), y("f16", {256, 136});
    auto outcome = compiled->run("plain", {&a, &b}, {&y});
    EXPECT_TRUE(outcome.errors.empty()) << outcome.errors.front();
    EXPECT_EQ(outcome.launches, 1u);
    sectors[together] = outcome.counters.bulkSectors;
    auto cost = compiled->cost("plain", {&a, &b}, {&y});
    // Left rows for two columns of blocks, right columns for two rows of blocks or, in a cluster, for one.
    EXPECT_EQ(cost[LEAT_COST_REQUESTED], 2 * (256 * 136 + 2 * 256 * 568 + (together ? 1 : 2) * 568 * 136));
  }
  // Half of what is read of the right operand, of 568 rows of 272 bytes.
  EXPECT_NEAR(double(sectors[0] - sectors[1]), 568 * 272 / 32, 568 * 3);
}

} // namespace
