// Small kernels, each with one planted defect: the report of that kind has to come. Those marked clean must have none.
#include "SimTest.h"

using namespace leat::sim;

namespace {

struct Case {
  const char *name;
  const char *kind; // "": clean
  const char *body;
  int threads = 64;
  uint32_t grid = 1, cluster = 0;
};
#define CLUSTER "mov.u32 %r9, %cluster_ctarank; xor.b32 %r9, %r9, 1; mapa.shared::cluster.u32 %r11, %r3, %r9;"
#define ARRIVE_WAIT "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"

// g: a word for each thread; sm: dynamic shared memory. r1 thread, r2 sm, r3 the thread's word in sm, r5 lane, r6 warp, r7 the word of the
// thread in the other warp; rd1 the thread's word in g; p1 thread 0, p2 lane 0, p3 not warp 0.
std::string kernelText(const std::string &body) {
  return R"(.version 8.6
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 sm[];
.file 1 "source.mlir"
.visible .entry k(.param .u64 g, .param .align 64 .b8 map[128]) {
.reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<64>; .reg .f32 %f<64>; .reg .b64 %rd<16>;
ld.param.u64 %rd0, [g];
mov.u32 %r1, %tid.x; mov.u32 %r2, sm; mad.lo.u32 %r3, %r1, 4, %r2; and.b32 %r5, %r1, 31; shr.u32 %r6, %r1, 5;
xor.b32 %r7, %r1, 32; mad.lo.u32 %r7, %r7, 4, %r2;
mov.u32 %r10, %ctaid.x; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd1, %rd0, %rd2;
setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r5, 0; setp.ne.u32 %p3, %r6, 0;
.loc 1 42 7
)" + body +
         "\nret;\n}\n";
}

LaunchResult run(const Case &c, Options options = {}) {
  Bench bench(kernelText(c.body), options);
  auto g = bench.buffer<uint32_t>(c.threads, "g");
  std::memset(g, 0, 4 * c.threads);
  alignas(64) char map[128] = {};
  LaunchConfig config = {.grid = {c.grid}, .block = {uint32_t(c.threads)}, .dynamicSharedBytes = 4096};
  if (c.cluster)
    config.cluster = {c.cluster};
  std::vector<const void *> arguments = {&g, map};
  auto result = bench.simulator.launch(*bench.module, "k", config, std::span<const void *const>(arguments));
  EXPECT_TRUE(result.ok()) << c.name << ": " << result.status().message();
  return result.ok() ? std::move(*result) : LaunchResult();
}

const Case cases[] = {
    // Shared memory within a CTA.
    {"store, barrier, load of the other warp's word", "",
     "st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd1], %r8;"},
    {"no barrier between warps", "shared-read-after-write", "st.shared.u32 [%r3], %r1; ld.shared.u32 %r8, [%r7];"},
    {"no bar.warp.sync within a warp", "shared-read-after-write",
     "st.shared.u32 [%r3], %r1; xor.b32 %r9, %r1, 1; mad.lo.u32 %r9, %r9, 4, %r2; ld.shared.u32 %r8, [%r9];"},
    {"bar.warp.sync within a warp", "",
     "st.shared.u32 [%r3], %r1; bar.warp.sync -1; xor.b32 %r9, %r1, 1; mad.lo.u32 %r9, %r9, 4, %r2; ld.shared.u32 %r8, [%r9];"},
    {"write over what another warp reads", "shared-write-after-read",
     "st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r8, [%r7]; st.shared.u32 [%r3], %r8;"},
    {"two warps write one word", "shared-write-after-write", "@%p2 st.shared.u32 [sm], %r1;"},
    {"neighbouring bytes do not race", "",
     "cvt.u16.u32 %h1, %r1; add.u32 %r9, %r2, %r1; st.shared.u8 [%r9], %h1; bar.sync 0; ld.shared.u8 %h2, [%r9];"},
    {"two warps store the same value", "shared-same-value-writes", "mov.u32 %r9, 5; @%p2 st.shared.u32 [sm], %r9;"},
    {"lanes store different values to one word", "shared-store-collision", "st.shared.u32 [sm], %r1;", 32},
    {"what nothing wrote", "shared-unwritten", "ld.shared.u32 %r8, [%r3+512]; st.global.u32 [%rd1], %r8;"},
    {"atomics do not race with each other", "",
     "mov.u32 %r9, 0; @%p1 st.shared.u32 [sm], %r9; bar.sync 0; atom.shared.add.u32 %r8, [sm], 1; bar.sync 0; ld.shared.u32 %r9, [sm];"},
    {"an atomic and a plain read", "shared-atomic-race",
     "mov.u32 %r9, 0; @%p1 st.shared.u32 [sm], %r9; bar.sync 0; atom.shared.add.u32 %r8, [sm], 1; ld.shared.u32 %r9, [sm];"},
    {"an atomic on what nothing wrote", "shared-unwritten", "atom.shared.add.u32 %r8, [sm], 1;"},
    // Addresses.
    {"a row too far in shared memory", "shared-out-of-bounds", "st.shared.u32 [%r3+4000], %r1;"},
    {"a null shared pointer", "shared-out-of-bounds", "mov.u32 %r9, 0; st.shared.u32 [%r9], %r1;"},
    {"one element past a buffer", "global-out-of-bounds", "st.global.u32 [%rd1+4], %r1;"},
    {"one element before a buffer", "global-out-of-bounds", "ld.global.u32 %r8, [%rd1+-4];"},
    {"a null global pointer", "global-out-of-bounds", "mov.u64 %rd3, 0; ld.global.u32 %r8, [%rd3];"},
    {"an index past a thread's array", "local-out-of-bounds",
     ".local .align 4 .b8 array[64]; mov.u64 %rd3, array; st.local.u32 [%rd3+64], %r1;"},
    {"a write to the parameters", "write-to-read-only", "mov.b64 %rd3, map; st.global.u32 [%rd3], %r1;"},
    {"a vector store that is not aligned", "misaligned", "st.shared.v4.u32 [%r3], {%r1, %r1, %r1, %r1};"},
    {"a vector load that is not aligned", "misaligned", "ld.global.v2.u32 {%r8, %r9}, [%rd1];"},
    // Collectives and barriers.
    {"a shuffle from a lane that is elsewhere", "shuffle-inactive-lane",
     "setp.lt.u32 %p4, %r5, 16; @!%p4 bra E; shfl.sync.bfly.b32 %r8, %r1, 16, 31, 0xffff; E:"},
    {"a shuffle with lanes predicated off", "divergent-collective",
     "setp.lt.u32 %p4, %r5, 16; @%p4 shfl.sync.bfly.b32 %r8, %r1, 1, 31, -1;"},
    {"bar.sync on one side of a branch within a warp", "deadlock",
     "setp.lt.u32 %p4, %r5, 16; @%p4 bra A; bar.sync 0; bra E; A: bar.sync 1; E:"},
    {"one warp leaves a barrier out", "deadlock", "@%p3 bra E; bar.sync 1, 64; E: bar.sync 0;"},
    {"warps that give different counts", "barrier-count", "@%p3 bra B; bar.sync 1, 64; bra E; B: bar.sync 1, 96; E:"},
    {"a barrier at which nobody waits", "barrier-unwaited", "bar.arrive 1, 64;"},
    {"barrier 16", "barrier-id", "mov.u32 %r9, 16; bar.sync %r9;"},
    {"trap", "trap", "@%p1 trap;"},
    {"a loop without end", "instruction-budget", "L: add.u32 %r9, %r9, 1; bra L;"},
    {"waiting for a flag that nobody sets", "livelock", "L: ld.volatile.global.u32 %r9, [%rd0]; setp.eq.u32 %p4, %r9, 0; @%p4 bra L;"},
    // cp.async.
    {"cp.async, wait, barrier", "",
     "cp.async.ca.shared.global [%r3], [%rd1], 4; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0; ld.shared.u32 %r8, [%r7];"},
    {"cp.async read before its wait", "cp-async-read-early",
     "cp.async.ca.shared.global [%r3], [%rd1], 4; cp.async.commit_group; ld.shared.u32 %r8, [%r3];"},
    {"cp.async without commit", "cp-async-read-early",
     "cp.async.ca.shared.global [%r3], [%rd1], 4; cp.async.wait_group 0; ld.shared.u32 %r8, [%r3];"},
    {"cp.async waited for, no barrier", "shared-read-after-write",
     "cp.async.ca.shared.global [%r3], [%rd1], 4; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r8, [%r7];"},
    {"cp.async over what another warp reads", "shared-write-after-read",
     "st.shared.u32 [%r3], %r1; bar.sync 0; ld.shared.u32 %r8, [%r7]; cp.async.ca.shared.global [%r3], [%rd1], 4;"},
    {"a store over a cp.async in flight", "write-during-copy", "cp.async.ca.shared.global [%r3], [%rd1], 4; st.shared.u32 [%r3], %r1;"},
    {"cp.async one element past a buffer", "global-out-of-bounds", "cp.async.ca.shared.global [%r3], [%rd1+4], 4; cp.async.wait_all;"},
    // mbarriers.
    {"lane 0 arrives before its warp has synchronised", "shared-read-after-write",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; bar.sync 0; @%p3 bra C; st.shared.u32 [%r3+256], %r1; @%p2 mbarrier.arrive.shared.b64 %rd5, "
     "[sm]; bra E;"
     "C: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra C; ld.shared.u32 %r8, [%r3+128]; E:"},
    {"the same with bar.warp.sync", "",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; bar.sync 0; @%p3 bra C; st.shared.u32 [%r3+256], %r1; bar.warp.sync -1;"
     "@%p2 mbarrier.arrive.shared.b64 %rd5, [sm]; bra E; C: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra C; ld.shared.u32 "
     "%r8, [%r3+128]; E:"},
    {"a wait on the wrong parity", "deadlock",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; bar.sync 0; @%p1 mbarrier.arrive.shared.b64 %rd5, [sm]; bar.sync 0;"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 1; @!%p4 bra L;"},
    {"a test_wait loop that never ends", "livelock",
     "@%p1 mbarrier.init.shared.b64 [sm], 2; bar.sync 0; @%p1 mbarrier.arrive.shared.b64 %rd5, [sm];"
     "L: mbarrier.test_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L;"},
    {"too many arrivals", "mbarrier-overarrive",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; bar.sync 0; @%p2 mbarrier.arrive.shared.b64 %rd5, [sm], 2;"},
    {"an mbarrier that was not initialised", "mbarrier-uninitialised", "@%p1 mbarrier.arrive.shared.b64 %rd5, [sm];"},
    {"an mbarrier used before a barrier after its init", "mbarrier-init-race",
     "@%p1 mbarrier.init.shared.b64 [sm], 2; @%p2 mbarrier.arrive.shared.b64 %rd5, [sm];"},
    {"an mbarrier initialised twice", "mbarrier-reinit", "@%p1 mbarrier.init.shared.b64 [sm], 1; @%p1 mbarrier.init.shared.b64 [sm], 1;"},
    {"an mbarrier that counts to 0", "mbarrier-count", "@%p1 mbarrier.init.shared.b64 [sm], 0;"},
    {"more bytes than an mbarrier can count", "mbarrier-transaction-count",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; @%p1 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [sm], 1048575;"
     "@%p1 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [sm], 16;"},
    // Bulk copies.
    {"a bulk copy that signals an mbarrier which no fence shows it", "mbarrier-init-unfenced",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; bar.sync 0; @%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, [sm], 128;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L;"},
    {"a bulk copy and its wait", "",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; fence.proxy.async.shared::cta; bar.sync 0; @%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, "
     "[sm], 128;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L; ld.shared.u32 %r8, [sm+128];"},
    {"a bulk copy read before its wait", "bulk-copy-read-early",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; fence.proxy.async.shared::cta; bar.sync 0; @%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, "
     "[sm], 128;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm]; bar.sync 0; ld.shared.u32 %r8, "
     "[sm+128];"},
    {"a bulk copy that nobody waits for", "copy-outstanding-at-exit",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; fence.proxy.async.shared::cta; bar.sync 0;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"},
    {"fewer bytes expected than copied", "deadlock",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; fence.proxy.async.shared::cta; bar.sync 0; @%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, "
     "[sm], 64;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L;"},
    {"a bulk store after a proxy fence", "",
     "st.shared.u32 [%r3], %r1; fence.proxy.async.shared::cta; bar.sync 0; @!%p1 bra E;"
     "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [sm], 128; cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0; E:"},
    {"a bulk store without a proxy fence", "missing-proxy-fence",
     "st.shared.u32 [%r3], %r1; bar.sync 0; @!%p1 bra E;"
     "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [sm], 128; cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0; E:"},
    {"a bulk copy over what was written, after a proxy fence", "",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; add.u32 %r9, %r3, 128; st.shared.u32 [%r9], %r1; fence.proxy.async.shared::cta; bar.sync 0;"
     "@%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, [sm], 128;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L;"},
    {"a bulk copy over what was written, without a proxy fence", "missing-proxy-fence",
     "@%p1 mbarrier.init.shared.b64 [sm], 1; @%p1 fence.proxy.async.shared::cta; bar.sync 0; add.u32 %r9, %r3, 128; st.shared.u32 [%r9], %r1;"
     "bar.sync 0; @%p1 mbarrier.arrive.expect_tx.shared.b64 %rd5, [sm], 128;"
     "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [sm+128], [%rd0], 128, [sm];"
     "L: mbarrier.try_wait.parity.shared.b64 %p4, [sm], 0; @!%p4 bra L;"},
    {"a bulk store that is not waited for", "bulk-store-unwaited",
     "st.shared.u32 [%r3], %r1; fence.proxy.async.shared::cta; bar.sync 0; @!%p1 bra E;"
     "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [sm], 128; cp.async.bulk.commit_group; E:"},
    {"a write into what a bulk store still reads", "write-during-async-read",
     "st.shared.u32 [%r3], %r1; fence.proxy.async.shared::cta; bar.sync 0; @!%p1 bra E;"
     "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [sm], 128; cp.async.bulk.commit_group; st.shared.u32 [sm], %r1; "
     "cp.async.bulk.wait_group.read 0; E:"},
    {"no tensor map", "bad-tensor-map",
     "mov.b64 %rd3, map; @%p1 mbarrier.init.shared.b64 [sm], 1; mov.u32 %r9, 0;"
     "@%p1 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [sm+1024], [%rd3, {%r9, %r9}], [sm];"},
    // Global memory.
    {"two warps hand global memory over by a barrier", "",
     "st.global.u32 [%rd1], %r1; bar.sync 0; xor.b32 %r9, %r1, 32; mul.wide.u32 %rd3, %r9, 4; add.u64 %rd3, %rd3, %rd0; ld.global.u32 %r8, "
     "[%rd3];"},
    {"the same without a barrier", "global-race",
     "st.global.u32 [%rd1], %r1; xor.b32 %r9, %r1, 32; mul.wide.u32 %rd3, %r9, 4; add.u64 %rd3, %rd3, %rd0; ld.global.u32 %r8, [%rd3];"},
    {"neighbouring halves of a word do not race", "",
     "mul.wide.u32 %rd3, %r1, 2; add.u64 %rd3, %rd3, %rd0; cvt.u16.u32 %h1, %r1; st.global.u16 [%rd3], %h1; ld.global.u16 %h2, [%rd3];"},
    {"two CTAs write different values to one word", "global-race", "@%p1 st.global.u32 [%rd0], %r10;", 64, 2},
    {"two CTAs write one value to one word", "global-same-value-writes", "mov.u32 %r9, 3; @%p1 st.global.u32 [%rd0], %r9;", 64, 2},
    {"two CTAs add to one word by atomics", "", "atom.global.add.u32 %r8, [%rd0], 1;", 64, 2},
    {"a CTA writes what another has read", "global-race",
     "setp.eq.u32 %p4, %r10, 0; @%p4 ld.global.u32 %r8, [%rd1]; @!%p4 st.global.u32 [%rd1], %r10;", 64, 2},
    {"a flag between CTAs, with a fence", "",
     "@!%p1 bra E; setp.ne.u32 %p4, %r10, 0; @%p4 bra R; st.global.u32 [%rd0], 7; membar.gl; atom.global.exch.b32 %r8, [%rd0+4], 1; bra E;"
     "R: ld.acquire.gpu.global.u32 %r9, [%rd0+4]; setp.eq.u32 %p4, %r9, 0; @%p4 bra R; ld.global.u32 %r8, [%rd0]; E:",
     64, 2},
    {"a flag between CTAs, without a fence", "global-race",
     "@!%p1 bra E; setp.ne.u32 %p4, %r10, 0; @%p4 bra R; st.global.u32 [%rd0], 7; atom.global.exch.b32 %r8, [%rd0+4], 1; bra E;"
     "R: ld.acquire.gpu.global.u32 %r9, [%rd0+4]; setp.eq.u32 %p4, %r9, 0; @%p4 bra R; ld.global.u32 %r8, [%rd0]; E:",
     64, 2},
    {"a flag between CTAs, read without acquiring", "global-race",
     "@!%p1 bra E; setp.ne.u32 %p4, %r10, 0; @%p4 bra R; st.global.u32 [%rd0], 7; membar.gl; atom.global.exch.b32 %r8, [%rd0+4], 1; bra E;"
     "R: ld.volatile.global.u32 %r9, [%rd0+4]; setp.eq.u32 %p4, %r9, 0; @%p4 bra R; ld.global.u32 %r8, [%rd0]; E:",
     64, 2},
    {"a CTA that waits for one that comes later", "",
     "@!%p1 bra E; setp.eq.u32 %p4, %r10, 0; @%p4 bra R; st.global.u32 [%rd0], 7; membar.gl; atom.global.exch.b32 %r8, [%rd0+4], 1; bra E;"
     "R: ld.acquire.gpu.global.u32 %r9, [%rd0+4]; setp.eq.u32 %p4, %r9, 0; @%p4 bra R; ld.global.u32 %r8, [%rd0]; E:",
     64, 2},
    {"a barrier of the whole grid", "",
     "mul.wide.u32 %rd3, %r10, 4; add.u64 %rd3, %rd3, %rd0; @%p1 st.global.u32 [%rd3], %r10; bar.sync 0; @!%p1 bra S;"
     "membar.gl; atom.global.add.u32 %r8, [%rd0+64], 1; L: ld.acquire.gpu.global.u32 %r9, [%rd0+64]; setp.lt.u32 %p4, %r9, 6; @%p4 bra L;"
     "S: bar.sync 0; add.u32 %r9, %r10, 1; rem.u32 %r9, %r9, 6; mul.wide.u32 %rd4, %r9, 4; add.u64 %rd4, %rd4, %rd0; ld.global.u32 %r8, "
     "[%rd4];",
     64, 6},
    {"a barrier of the whole grid that lets one CTA go too early", "global-race",
     "mul.wide.u32 %rd3, %r10, 4; add.u64 %rd3, %rd3, %rd0; @%p1 st.global.u32 [%rd3], %r10; bar.sync 0; @!%p1 bra S;"
     "membar.gl; atom.global.add.u32 %r8, [%rd0+64], 1; L: ld.acquire.gpu.global.u32 %r9, [%rd0+64]; setp.lt.u32 %p4, %r9, 5; @%p4 bra L;"
     "S: bar.sync 0; add.u32 %r9, %r10, 1; rem.u32 %r9, %r9, 6; mul.wide.u32 %rd4, %r9, 4; add.u64 %rd4, %rd4, %rd0; ld.global.u32 %r8, "
     "[%rd4];",
     64, 6},
    {"CTAs that all wait for one that does not come", "livelock",
     "L: ld.acquire.gpu.global.u32 %r9, [%rd0+64]; setp.lt.u32 %p4, %r9, 6; @%p4 bra L;", 64, 6},
    // Clusters of two: r11 the address of the thread's word in the other CTA.
    {"shared memory of the other CTA, between barriers", "",
     CLUSTER ARRIVE_WAIT "st.shared::cluster.u32 [%r11], %r1;" ARRIVE_WAIT "ld.shared.u32 %r8, [%r3];", 64, 2, 2},
    {"before the other CTA has started", "cluster-lifetime", CLUSTER "st.shared::cluster.u32 [%r11], %r1;" ARRIVE_WAIT, 64, 2, 2},
    {"perhaps after the other CTA has ended", "cluster-lifetime", CLUSTER ARRIVE_WAIT "st.shared::cluster.u32 [%r11], %r1;", 64, 2, 2},
    {"read before the other CTA's write is known", "shared-read-after-write",
     CLUSTER ARRIVE_WAIT "st.shared::cluster.u32 [%r11], %r1; ld.shared.u32 %r8, [%r3];" ARRIVE_WAIT, 64, 2, 2},
    {"a relaxed arrival publishes nothing", "shared-read-after-write",
     CLUSTER ARRIVE_WAIT "st.shared::cluster.u32 [%r11], %r1; barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.acquire.aligned;"
                         "ld.shared.u32 %r8, [%r3];" ARRIVE_WAIT,
     64, 2, 2},
    {"a wait without an arrival", "cluster-barrier", "barrier.cluster.wait.acquire.aligned;", 64, 2, 2},
    {"a rank that the cluster does not have", "shared-out-of-bounds", "mapa.shared::cluster.u32 %r11, %r3, 5;", 64, 2, 2},
    // Calls.
    {"a call of a function that is not there", "external-call", ".param .b32 x; call missing, (x);"},
};

class Negative : public testing::TestWithParam<Case> {};

TEST_P(Negative, IsReported) {
  const Case &c = GetParam();
  std::string body = c.body;
  Options options;
  options.instructionBudget = 5000000;
  LaunchResult result = run(c, options);
  if (!*c.kind && c.grid > 1) { // correct kernels run the same on several host threads
    options.threads = 3;
    EXPECT_CLEAN(run(c, options));
  }
  if (*c.kind)
    EXPECT_TRUE(found(result, c.kind)) << "expected " << c.kind << ", got:\n" << text(result);
  else
    EXPECT_CLEAN(result);
}

INSTANTIATE_TEST_SUITE_P(Sim, Negative, testing::ValuesIn(cases), [](const auto &info) {
  std::string name;
  for (const char *p = info.param.name; *p; ++p)
    name += isalnum(static_cast<unsigned char>(*p)) ? *p : '_';
  return name;
});

TEST(Reports, NameLineLocationAndLane) {
  LaunchResult result = run({"", "", "\n\nst.global.u32 [%rd1+4], %r1;"});
  ASSERT_EQ(result.reports.size(), 1u);
  const Report &r = result.reports[0];
  EXPECT_EQ(r.line, 16);
  EXPECT_EQ(r.location.file, "source.mlir");
  EXPECT_EQ(r.location.line, 42);
  EXPECT_EQ(r.location.column, 7);
  EXPECT_EQ(r.warp, 1);
  EXPECT_EQ(r.lane, 31);
  EXPECT_EQ(formatReport(r).substr(0, 66), "source.mlir:42:7: error: global-out-of-bounds: k cta (0,0,0) warp ");
  std::string json = resultToJson(result);
  EXPECT_NE(json.find("\"location\": {\"file\": \"source.mlir\", \"line\": 42, \"column\": 7}"), std::string::npos) << json;
}

TEST(Reports, RepetitionsAreCounted) {
  LaunchResult result = run({"", "", "st.global.u32 [%rd1+256], %r1;"});
  ASSERT_EQ(result.reports.size(), 1u);
  EXPECT_EQ(result.reports[0].count, 64u);
}

TEST(Reports, DeadlockNamesWhoWaitsForWhat) {
  LaunchResult result = run({"", "", "@%p3 bra E; bar.sync 1, 64; E: bar.sync 0;"});
  ASSERT_EQ(result.reports.size(), 1u);
  EXPECT_FALSE(result.finished);
  EXPECT_NE(result.reports[0].message.find("warp 0 lanes 0xffffffff wait at barrier 1 (32 of 64 threads arrived)"), std::string::npos)
      << text(result);
  EXPECT_NE(result.reports[0].message.find("warp 1 lanes 0xffffffff wait at barrier 0 (32 of 64 threads arrived)"), std::string::npos)
      << text(result);
}

TEST(Reports, FirstErrorCanStopTheLaunch) {
  Options options;
  options.stopAtFirst = true;
  LaunchResult result = run({"", "", "st.global.u32 [%rd1+256], %r1; trap;"}, options);
  EXPECT_EQ(result.reports.size(), 1u);
  EXPECT_FALSE(result.finished);
}

} // namespace
