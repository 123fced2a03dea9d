// Kernels for sm_90a: tensor copies (TMA) with mbarriers, wgmma from shared memory and from registers, attention by warp-specialised groups,
// and clusters.
#include <cuda.h>
#include <cuda_bf16.h>
#include <stdint.h>

#define INLINE __device__ __forceinline__
INLINE uint32_t sharedAddress(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

// mbarriers and tensor copies.
INLINE void init(uint32_t barrier, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count)); }
INLINE void publishInits() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
INLINE void expectBytes(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
INLINE void arrive(uint32_t barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }
INLINE void wait(uint32_t barrier, int parity) {
  asm volatile("{ .reg .pred done; LOOP: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; @done bra DONE; bra LOOP; DONE: }" ::"r"(barrier),
               "r"(parity)
               : "memory");
}
INLINE void copyTile(uint32_t to, const CUtensorMap *map, int column, int row, uint32_t barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(to), "l"(map),
               "r"(barrier), "r"(column), "r"(row)
               : "memory");
}
INLINE void storeTile(const CUtensorMap *map, int column, int row, uint32_t from) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map), "r"(from), "r"(column), "r"(row) : "memory");
}
INLINE void proxyFence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// wgmma m64n64k16 of bf16: D in 32 registers, A by descriptor or in 4 registers, B by descriptor.
INLINE uint64_t descriptor(uint32_t address, uint32_t leading, uint32_t stride) { // 128-byte swizzle
  return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)(leading >> 4) << 16 | (uint64_t)(stride >> 4) << 32 | 1ull << 62;
}
INLINE void wgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
INLINE void wgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
INLINE void wgmmaWaitAll() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }
#define D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D32(d) D4(d, 0), D4(d, 4), D4(d, 8), D4(d, 12), D4(d, 16), D4(d, 20), D4(d, 24), D4(d, 28)
#define D32_TEXT                                                                                                                           \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}"
#define WGMMA "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " D32_TEXT
template <int TransposeA, int TransposeB> INLINE void multiply(float *d, uint64_t a, uint64_t b, int accumulate) {
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %34, 0; " WGMMA ", %32, %33, p, 1, 1, %35, %36; }"
               : D32(d)
               : "l"(a), "l"(b), "r"(accumulate), "n"(TransposeA), "n"(TransposeB));
}
template <int TransposeB> INLINE void multiplyRegisters(float *d, const uint32_t *a, uint64_t b, int accumulate) {
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %37, 0; " WGMMA ", {%32,%33,%34,%35}, %36, p, 1, 1, %38; }"
               : D32(d)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(TransposeB));
}
INLINE void pin(float *d) { asm volatile("" : D32(d)::"memory"); } // nothing moves over this
INLINE uint32_t swizzled(uint32_t offset) { return offset ^ (offset >> 7 & 7) << 4; }

// What a tensor copy leaves in shared memory.
extern "C" __global__ void dumpTile(const __grid_constant__ CUtensorMap map, uint32_t *out, int column, int row, int bytes) {
  extern __shared__ __align__(1024) uint8_t memory[];
  __shared__ uint64_t barrier;
  uint32_t full = sharedAddress(&barrier);
  if (threadIdx.x == 0) {
    init(full, 1);
    publishInits();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    expectBytes(full, bytes);
    copyTile(sharedAddress(memory), &map, column, row, full);
  }
  wait(full, 0);
  for (int i = threadIdx.x; i < bytes / 4; i += blockDim.x)
    out[i] = ((uint32_t *)memory)[i];
}

// D[64, 64] = A[64, 64] B[64, 64]^T by one warpgroup. Mode 0: both from shared memory; 1: A from registers; 2: B transposed in memory; 3: both.
template <int Mode> INLINE void product(const __nv_bfloat16 *A, const __nv_bfloat16 *B, float *D) {
  extern __shared__ __align__(1024) uint8_t memory[];
  uint8_t *sA = memory, *sB = memory + 8192;
  for (int i = threadIdx.x; i < 4096; i += 128) {
    int r = i / 64, k = i % 64;
    *(__nv_bfloat16 *)(sA + swizzled(Mode == 3 ? k * 128 + r * 2 : r * 128 + k * 2)) = A[i];
    *(__nv_bfloat16 *)(sB + swizzled(Mode >= 2 ? k * 128 + r * 2 : r * 128 + k * 2)) = B[i];
  }
  proxyFence();
  __syncthreads();
  float d[32];
  for (int i = 0; i < 32; i++)
    d[i] = (float)i; // not used: the first product overwrites it
  pin(d);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint32_t a[4][4];
  if (Mode == 1)
    for (int k = 0; k < 4; k++)
      for (int q = 0; q < 4; q++)
        a[k][q] = *(const uint32_t *)(A + (warp * 16 + lane / 4 + (q & 1) * 8) * 64 + k * 16 + lane % 4 * 2 + (q >> 1) * 8);
  wgmmaFence();
  for (int k = 0; k < 4; k++) {
    uint64_t da = Mode == 3 ? descriptor(sharedAddress(sA) + k * 2048, 8192, 1024) : descriptor(sharedAddress(sA) + k * 32, 16, 1024);
    uint64_t db = Mode >= 2 ? descriptor(sharedAddress(sB) + k * 2048, 8192, 1024) : descriptor(sharedAddress(sB) + k * 32, 16, 1024);
    if (Mode == 1)
      multiplyRegisters<0>(d, a[k], db, k > 0);
    else
      multiply<Mode == 3, Mode >= 2>(d, da, db, k > 0);
  }
  wgmmaCommit();
  wgmmaWaitAll();
  for (int i = 0; i < 32; i++)
    D[(warp * 16 + lane / 4 + (i >> 1 & 1) * 8) * 64 + (i >> 2) * 8 + lane % 4 * 2 + (i & 1)] = d[i];
}
#define PRODUCT(mode)                                                                                                                      \
  extern "C" __global__ void __launch_bounds__(128) product##mode(const __nv_bfloat16 *A, const __nv_bfloat16 *B, float *D) { product<mode>(A, B, D); }
PRODUCT(0) PRODUCT(1) PRODUCT(2) PRODUCT(3)

// Attention with head size 64: a warpgroup that copies, two that compute 64 rows each; keys and values in tiles of 64, double-buffered; the
// result leaves by a tensor copy.
struct __align__(1024) AttentionMemory {
  uint8_t q[16384], k[2][8192], v[2][8192];
  uint64_t queries, keysFull[2], valuesFull[2], keysEmpty[2], valuesEmpty[2];
};
extern "C" __global__ void __launch_bounds__(384, 1)
    attention(const __grid_constant__ CUtensorMap mapQ, const __grid_constant__ CUtensorMap mapK, const __grid_constant__ CUtensorMap mapV,
              const __grid_constant__ CUtensorMap mapO, int length, float scale) {
  extern __shared__ __align__(1024) uint8_t memory[];
  AttentionMemory &s = *(AttentionMemory *)memory;
  int group = threadIdx.x / 128, thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
  int head = blockIdx.y * length, firstRow = head + blockIdx.x * 128, tiles = length / 64;
  if (threadIdx.x == 0) {
    init(sharedAddress(&s.queries), 1);
    for (int i = 0; i < 2; i++) {
      init(sharedAddress(&s.keysFull[i]), 1);
      init(sharedAddress(&s.valuesFull[i]), 1);
      init(sharedAddress(&s.keysEmpty[i]), 2);
      init(sharedAddress(&s.valuesEmpty[i]), 2);
    }
    publishInits();
  }
  __syncthreads();
  if (group == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (thread != 0)
      return;
    expectBytes(sharedAddress(&s.queries), 16384);
    copyTile(sharedAddress(s.q), &mapQ, 0, firstRow, sharedAddress(&s.queries));
    for (int j = 0; j < tiles; j++) {
      int b = j & 1, phase = j >> 1 & 1;
      wait(sharedAddress(&s.keysEmpty[b]), phase ^ 1);
      expectBytes(sharedAddress(&s.keysFull[b]), 8192);
      copyTile(sharedAddress(s.k[b]), &mapK, 0, head + j * 64, sharedAddress(&s.keysFull[b]));
      wait(sharedAddress(&s.valuesEmpty[b]), phase ^ 1);
      expectBytes(sharedAddress(&s.valuesFull[b]), 8192);
      copyTile(sharedAddress(s.v[b]), &mapV, 0, head + j * 64, sharedAddress(&s.valuesFull[b]));
    }
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
  int consumer = group - 1;
  float o[32], largest[2] = {-1e30f, -1e30f}, sums[2] = {0, 0};
  for (int i = 0; i < 32; i++)
    o[i] = 0;
  wait(sharedAddress(&s.queries), 0);
  for (int j = 0; j < tiles; j++) {
    int b = j & 1, phase = j >> 1 & 1;
    float p[32];
    wait(sharedAddress(&s.keysFull[b]), phase);
    wgmmaFence();
    for (int k = 0; k < 4; k++)
      multiply<0, 0>(p, descriptor(sharedAddress(s.q) + consumer * 8192 + k * 32, 16, 1024), descriptor(sharedAddress(s.k[b]) + k * 32, 16, 1024), k > 0);
    wgmmaCommit();
    wgmmaWaitAll();
    pin(p);
    if (thread == 0)
      arrive(sharedAddress(&s.keysEmpty[b]));
    uint32_t fragments[4][4];
    for (int h = 0; h < 2; h++) {
      float m = largest[h];
      for (int i = 0; i < 32; i += 4)
        m = fmaxf(m, fmaxf(p[i + 2 * h], p[i + 2 * h + 1]));
      for (int d = 1; d < 4; d *= 2)
        m = fmaxf(m, __shfl_xor_sync(~0u, m, d));
      float correction = exp2f((largest[h] - m) * scale);
      largest[h] = m;
      sums[h] *= correction;
      for (int i = 0; i < 32; i += 4) {
        float x = exp2f((p[i + 2 * h] - m) * scale), y = exp2f((p[i + 2 * h + 1] - m) * scale);
        sums[h] += x + y;
        __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
        fragments[i / 8][(i / 4 & 1) * 2 + h] = *(uint32_t *)&pair;
        o[i + 2 * h] *= correction;
        o[i + 2 * h + 1] *= correction;
      }
    }
    wait(sharedAddress(&s.valuesFull[b]), phase);
    wgmmaFence();
    for (int k = 0; k < 4; k++)
      multiplyRegisters<1>(o, fragments[k], descriptor(sharedAddress(s.v[b]) + k * 2048, 8192, 1024), 1);
    wgmmaCommit();
    wgmmaWaitAll();
    pin(o);
    if (thread == 0)
      arrive(sharedAddress(&s.valuesEmpty[b]));
  }
  for (int h = 0; h < 2; h++) {
    for (int d = 1; d < 4; d *= 2)
      sums[h] += __shfl_xor_sync(~0u, sums[h], d);
    sums[h] = 1.f / sums[h];
  }
  for (int i = 0; i < 32; i += 2) { // over this group's own queries
    int h = i >> 1 & 1, row = consumer * 64 + warp * 16 + lane / 4 + h * 8, column = (i >> 2) * 8 + lane % 4 * 2;
    *(__nv_bfloat162 *)(s.q + swizzled(row * 128 + column * 2)) = __floats2bfloat162_rn(o[i] * sums[h], o[i + 1] * sums[h]);
  }
  proxyFence();
  asm volatile("bar.sync %0, 128;" ::"r"(group) : "memory");
  if (thread == 0) {
    storeTile(&mapO, 0, firstRow + consumer * 64, sharedAddress(s.q) + consumer * 8192);
    asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
}

// Clusters of two CTAs: each writes its half into the other's shared memory, and adds what arrived.
extern "C" __global__ void __cluster_dims__(2, 1, 1) exchangeHalves(const float *in, float *out) {
  __shared__ float mine[128];
  uint32_t rank, remote;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(sharedAddress(&mine[threadIdx.x])), "r"(rank ^ 1));
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
  asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(remote), "f"(in[blockIdx.x * 128 + threadIdx.x]) : "memory");
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
  out[blockIdx.x * 128 + threadIdx.x] = mine[threadIdx.x ^ 1];
}

// One CTA of a cluster copies a tile to both; each waits on its own mbarrier.
extern "C" __global__ void __cluster_dims__(2, 1, 1) multicast(const __grid_constant__ CUtensorMap map, uint32_t *out) {
  extern __shared__ __align__(1024) uint8_t memory[];
  __shared__ uint64_t barrier;
  uint32_t full = sharedAddress(&barrier), rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (threadIdx.x == 0) {
    init(full, 1);
    publishInits();
    expectBytes(full, 2048);
  }
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
  if (threadIdx.x == 0 && rank == 0)
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(
                     sharedAddress(memory)),
                 "l"(&map), "r"(full), "r"(0), "r"((int)blockIdx.x / 2 * 16), "h"((uint16_t)3)
                 : "memory");
  wait(full, 0);
  for (int i = threadIdx.x; i < 512; i += blockDim.x)
    out[blockIdx.x * 512 + i] = ((uint32_t *)memory)[i];
}
