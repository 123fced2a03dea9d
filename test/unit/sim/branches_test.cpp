// Launches of branches that a device may run at once: they may share what all of them read, and nothing else.
#include "SimTest.h"

using namespace leat::sim;

namespace {

/// out[i] = in[i] for 32 threads, by lines `line` and the next of the source.
std::string copies(const std::string &name, int line, int column) {
  auto at = [&](int l) { return ".loc 1 " + std::to_string(l) + " " + std::to_string(column) + "\n"; };
  return ".visible .entry " + name + R"((.param .u64 in, .param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %rd<9>;
ld.param.u64 %rd0, [in]; ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4;
add.u64 %rd3, %rd0, %rd2; add.u64 %rd4, %rd1, %rd2;
)" + at(line) +
         "ld.global.u32 %r2, [%rd3];\n" + at(line + 1) + "st.global.u32 [%rd4], %r2;\nret;\n}\n";
}

// copy and mix copy; halves: the same of 2 bytes each, to every other place; count: adds to one word by atomics.
const std::string kKernels = R"(.version 8.6
.target sm_80
.address_size 64
.file 1 "source.mlir"
)" + copies("copy", 12, 3) + copies("mix", 22, 5) +
                             R"(.visible .entry halves(.param .u64 in, .param .u64 out) {
.reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>;
ld.param.u64 %rd0, [in]; ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4;
add.u64 %rd3, %rd0, %rd2; add.u64 %rd4, %rd1, %rd2; ld.global.u16 %h1, [%rd3]; st.global.u16 [%rd4], %h1;
ret;
}
.visible .entry count(.param .u64 in, .param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %rd<9>;
ld.param.u64 %rd1, [out]; atom.global.add.u32 %r1, [%rd1], 1;
ret;
}
)";

class BranchesTest : public testing::Test {
protected:
  LaunchResult launch(const char *kernel, int branch, const uint32_t *in, uint32_t *out) {
    LaunchConfig config = {.grid = {1}, .block = {32}};
    config.branches = &branches;
    config.branch = branch;
    return bench.launch(kernel, config, in, out);
  }
  // One error, with both kernels by name.
  static void expectRace(const LaunchResult &result, const char *earlier, const char *later, const char *what) {
    ASSERT_EQ(result.reports.size(), 1u) << text(result);
    const Report &r = result.reports[0];
    EXPECT_EQ(r.kind, "branch-race");
    EXPECT_EQ(r.severity, Severity::Error);
    EXPECT_EQ(r.kernel, later);
    EXPECT_EQ(r.location.file, "source.mlir");
    EXPECT_EQ(r.warp, 0);
    EXPECT_EQ(r.count, 32u); // one a word
    EXPECT_NE(r.message.find(std::string(" by ") + earlier + " cta (0,0,0) warp 0 lane "), std::string::npos) << r.message;
    EXPECT_NE(r.message.find(what), std::string::npos) << r.message;
    std::string json = resultToJson(result);
    EXPECT_NE(json.find("\"kind\": \"branch-race\""), std::string::npos) << json;
    EXPECT_NE(json.find("\"kernel\": \"" + std::string(later) + "\""), std::string::npos) << json;
  }

  Bench bench{kKernels};
  Branches branches;
  uint32_t *x = bench.buffer<uint32_t>(32, "x"), *y = bench.buffer<uint32_t>(32, "y"), *z = bench.buffer<uint32_t>(32, "z");
};

TEST_F(BranchesTest, MayReadTheSame) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  EXPECT_CLEAN(launch("mix", 1, x, z));
}

TEST_F(BranchesTest, AreInOrderWithin) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  EXPECT_CLEAN(launch("mix", 0, y, z));
  EXPECT_CLEAN(launch("copy", 0, x, z));
}

TEST_F(BranchesTest, MayNotWriteTheSame) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  LaunchResult result = launch("mix", 1, x, y);
  expectRace(result, "copy", "mix", "'y' (128 bytes) at 0x");
  EXPECT_EQ(result.reports[0].location.line, 23);
  EXPECT_NE(result.reports[0].message.find("is written in branch 0"), std::string::npos);
  EXPECT_NE(result.reports[0].message.find("'st.global.u32 [%rd4], %r2;'; this is branch 1"), std::string::npos) << text(result);
}

TEST_F(BranchesTest, MayNotReadWhatAnotherWrites) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  LaunchResult result = launch("mix", 1, y, z);
  expectRace(result, "copy", "mix", "is written in branch 0");
  EXPECT_EQ(result.reports[0].location.line, 22);
}

TEST_F(BranchesTest, MayNotWriteWhatAnotherReads) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  EXPECT_CLEAN(launch("copy", 1, x, z)); // a second reader hides nothing
  LaunchResult result = launch("mix", 2, z, x);
  ASSERT_EQ(result.reports.size(), 3u) << text(result); // x with both, and z
  for (const Report &report : result.reports)
    EXPECT_EQ(report.kind, "branch-race");
  EXPECT_NE(text(result).find("is read in branch 0 by copy"), std::string::npos) << text(result);
  EXPECT_NE(text(result).find("is read in branch 1 by copy"), std::string::npos) << text(result);
  EXPECT_NE(text(result).find("is written in branch 1 by copy"), std::string::npos) << text(result);
}

TEST_F(BranchesTest, MayNotCountTogether) {
  EXPECT_CLEAN(launch("count", 0, x, y));
  LaunchResult result = launch("count", 1, x, y);
  EXPECT_TRUE(found(result, "branch-race")) << text(result); // tickets would be drawn by both
}

TEST_F(BranchesTest, ShareWordsButNoBytes) {
  auto *odd = reinterpret_cast<uint32_t *>(reinterpret_cast<uint16_t *>(y) + 1);
  EXPECT_CLEAN(launch("halves", 0, x, y));
  EXPECT_CLEAN(launch("halves", 1, x, odd));
  EXPECT_TRUE(found(launch("halves", 2, x, odd), "branch-race"));
}

TEST_F(BranchesTest, OtherLaunchesComeAfterAll) {
  EXPECT_CLEAN(launch("copy", 0, x, y));
  LaunchConfig config = {.grid = {1}, .block = {32}};
  EXPECT_CLEAN(bench.launch("mix", config, y, x));
  bench.simulator.options.globalRaces = false;
  EXPECT_CLEAN(launch("mix", 1, y, z));
}

} // namespace
