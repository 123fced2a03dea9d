// Counters against values worked out by hand.
#include "SimTest.h"

#include <numeric>

using namespace leat::sim;

namespace {

// One warp; r1 thread, r2 shared memory, rd0 a buffer of 32 words, rd1 the thread's word in it.
Counters count(const std::string &body) {
  std::string ptx = R"(.version 8.6
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 sm[];
.visible .entry k(.param .u64 g) {
.reg .b32 %r<16>; .reg .b64 %rd<16>;
ld.param.u64 %rd0, [g]; mov.u32 %r1, %tid.x; mov.u32 %r2, sm; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd1, %rd0, %rd2;
)" + body + "\nret;\n}\n";
  Bench bench(ptx);
  auto g = bench.buffer<uint32_t>(32, "g");
  LaunchResult result = bench.launch("k", {.grid = {}, .block = {32}, .dynamicSharedBytes = 32768}, g);
  EXPECT_CLEAN(result);
  return result.counters;
}

TEST(Counters, StridesOfSharedMemory) {
  for (int stride : {1, 2, 3, 4, 8, 16, 32, 33}) {
    Counters c = count("mad.lo.u32 %r7, %r1, " + std::to_string(stride * 4) + ", %r2; st.shared.u32 [%r7], %r1;");
    EXPECT_EQ(c.sharedWavefronts, uint64_t(std::gcd(stride, 32))) << "stride " << stride;
    EXPECT_EQ(c.sharedIdealWavefronts, 1u);
  }
}

TEST(Counters, VectorsOfSharedMemory) {
  const char *v4 = "st.shared.v4.u32 [%r7], {%r1, %r1, %r1, %r1};";
  EXPECT_EQ(count(std::string("mad.lo.u32 %r7, %r1, 16, %r2;") + v4).sharedWavefronts, 4u);
  EXPECT_EQ(count(std::string("mad.lo.u32 %r7, %r1, 128, %r2;") + v4).sharedWavefronts, 32u);
  EXPECT_EQ(count("mad.lo.u32 %r7, %r1, 8, %r2; st.shared.v2.u32 [%r7], {%r1, %r1};").sharedWavefronts, 2u);
  EXPECT_EQ(count("st.shared.u32 [sm], 7; bar.warp.sync -1; ld.shared.u32 %r7, [sm];").bankConflicts(), 0u); // one word: broadcast
}

TEST(Counters, SwizzleRemovesConflictsOfMatrices) {
  const char *store = "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r7], {%r1, %r1, %r1, %r1};";
  Counters plain = count(std::string("mad.lo.u32 %r7, %r1, 128, %r2;") + store);
  Counters swizzled =
      count(std::string("and.b32 %r8, %r1, 7; shl.b32 %r8, %r8, 4; mad.lo.u32 %r7, %r1, 128, %r2; add.u32 %r7, %r7, %r8;") + store);
  EXPECT_EQ(plain.sharedWavefronts, 32u);
  EXPECT_EQ(plain.bankConflicts(), 28u);
  EXPECT_EQ(swizzled.sharedWavefronts, 4u);
}

TEST(Counters, SectorsOfGlobalMemory) {
  EXPECT_EQ(count("st.global.u32 [%rd1], %r1;").globalStoreSectors, 4u);
  EXPECT_EQ(count("ld.global.u32 %r8, [%rd0];").globalLoadSectors, 1u);
  EXPECT_EQ(
      count("sub.u32 %r7, 31, %r1; mul.wide.u32 %rd3, %r7, 4; add.u64 %rd3, %rd3, %rd0; ld.global.u32 %r8, [%rd3];").globalLoadSectors, 4u);
  Counters c = count("ld.global.u32 %r8, [%rd1];");
  EXPECT_EQ(c.globalLoads, 1u);
  EXPECT_EQ(c.globalLoadBytes, 128u);
}

TEST(Counters, Instructions) {
  Counters c = count("");
  EXPECT_EQ(c.warpInstructions, 6u); // five of the prologue, ret
  EXPECT_EQ(c.threadInstructions, 6u * 32);
}

} // namespace
