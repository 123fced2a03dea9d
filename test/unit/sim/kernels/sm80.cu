// Kernels for sm_80: reductions, barriers, shuffles, atomics, softmax, and matrix products through cp.async, ldmatrix and mma.sync.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

__device__ __forceinline__ uint32_t sharedAddress(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

// Sums of rows, and how many threads had a positive part.
extern "C" __global__ void reduceRows(const float *in, float *out, int *positive, int n) {
  __shared__ float parts[32];
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    sum += in[(size_t)blockIdx.x * n + i];
  int count = __syncthreads_count(sum > 0);
  for (int d = 16; d; d >>= 1)
    sum += __shfl_xor_sync(~0u, sum, d);
  if (threadIdx.x % 32 == 0)
    parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    float total = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0.f;
    for (int d = 16; d; d >>= 1)
      total += __shfl_down_sync(~0u, total, d);
    if (threadIdx.x == 0) {
      out[blockIdx.x] = total;
      positive[blockIdx.x] = count;
    }
  }
}

// Two warps fill a tile, two write its transpose; named barriers hand it over, both ways.
extern "C" __global__ void handOver(const float *in, float *out) {
  extern __shared__ float tile[];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int t = 0; t < 4; t++) {
    if (warp < 2) {
      asm volatile("bar.sync 2, 128;" ::: "memory");
      for (int r = 0; r < 16; r++)
        tile[(warp * 16 + r) * 33 + lane] = in[(t * 32 + warp * 16 + r) * 32 + lane];
      asm volatile("bar.arrive 1, 128;" ::: "memory");
    } else {
      asm volatile("bar.arrive 2, 128;" ::: "memory");
      asm volatile("bar.sync 1, 128;" ::: "memory");
      for (int r = 0; r < 16; r++) {
        int c = (warp - 2) * 16 + r;
        out[(t * 32 + c) * 32 + lane] = tile[lane * 33 + c];
      }
    }
  }
}

// Eight results a thread from the warp-wide operations.
extern "C" __global__ void warpOperations(const uint32_t *in, uint32_t *out) {
  int thread = threadIdx.x, lane = thread % 32;
  uint32_t v = in[thread], *o = out + thread * 8, odd = __ballot_sync(~0u, v & 1);
  o[0] = odd;
  o[1] = __match_any_sync(~0u, v & 3);
  o[2] = __shfl_sync(~0u, v, (lane * 7 + 3) & 31, 8);
  o[3] = __shfl_up_sync(~0u, v, 3, 16);
  o[4] = __reduce_add_sync(~0u, v & 0xff);
  o[5] = __reduce_max_sync(~0u, v);
  uint32_t divergent;
  if (v & 1)
    divergent = __shfl_sync(odd, v, __ffs(odd) - 1);
  else
    divergent = __popc(__activemask());
  __syncwarp();
  o[6] = divergent;
  o[7] = __any_sync(~0u, v == 77) | __all_sync(~0u, v < 0xfffffff0u) << 1;
}

// A histogram in shared memory, added to global memory by atomics.
extern "C" __global__ void histogram(const uint32_t *in, uint32_t *bins, float *total, int n) {
  __shared__ uint32_t local[64];
  if (threadIdx.x < 64)
    local[threadIdx.x] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    atomicAdd(&local[in[i] & 63], 1u);
    atomicMax(&bins[64], in[i]);
  }
  __syncthreads();
  if (threadIdx.x < 64) {
    atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
    atomicAdd(total, (float)local[threadIdx.x]);
  }
}

extern "C" __global__ void softmaxRows(const float *in, float *out, int n) {
  const float *row = in + (size_t)blockIdx.x * n;
  __shared__ float parts[32];
  int warps = blockDim.x / 32;
  float largest = -1e30f, sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    largest = fmaxf(largest, row[i]);
  for (int d = 16; d; d >>= 1)
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, d));
  if (threadIdx.x % 32 == 0)
    parts[threadIdx.x / 32] = largest;
  __syncthreads();
  for (int i = 0; i < warps; i++)
    largest = fmaxf(largest, parts[i]);
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    sum += exp2f((row[i] - largest) * 1.44269504f);
  for (int d = 16; d; d >>= 1)
    sum += __shfl_xor_sync(~0u, sum, d);
  if (threadIdx.x % 32 == 0)
    parts[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < warps; i++)
    sum += parts[i];
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    out[(size_t)blockIdx.x * n + i] = exp2f((row[i] - largest) * 1.44269504f) / sum;
}

// Split sums: every block adds its part, the last to finish adds the parts up. Blocks are ordered by a fence and an atomic counter.
extern "C" __global__ void lastBlockSum(const float *in, float *parts, unsigned *finished, float *out, int n) {
  __shared__ bool last;
  float sum = 0;
  for (int i = blockIdx.x * 32 + threadIdx.x; i < n; i += gridDim.x * 32)
    sum += in[i];
  for (int d = 16; d; d >>= 1)
    sum += __shfl_xor_sync(~0u, sum, d);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(finished, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last)
    return;
  __threadfence();
  float total = 0;
  for (int i = threadIdx.x; i < gridDim.x; i += 32)
    total += ((volatile float *)parts)[i];
  for (int d = 16; d; d >>= 1)
    total += __shfl_xor_sync(~0u, total, d);
  if (threadIdx.x == 0)
    *out = total;
}

// C[m, n] = A[m, k] * B[k, n], row-major, f32 sums: 128 x 128 tiles, three stages of cp.async, swizzled rows.
constexpr int tileM = 128, tileN = 128, tileK = 32, stages = 3;
template <class T> __device__ void mma(float *c, const uint32_t *a, const uint32_t *b) {
#define MMA(type)                                                                                                                          \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"         \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                                            \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
  if (sizeof(T) == sizeof(__half) && __is_same(T, __half))
    MMA("f16");
  else
    MMA("bf16");
}
template <bool Transposed> __device__ __forceinline__ void loadMatrices(uint32_t *r, uint32_t address) {
  if (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}
__device__ __forceinline__ void copy16(uint32_t to, const void *from, bool inside) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0));
}
template <class T> __device__ __forceinline__ void gemm(const T *A, const T *B, float *C, int M, int N, int K) {
  extern __shared__ __align__(128) uint8_t memory[];
  uint32_t sA = sharedAddress(memory), sB = sA + stages * tileM * tileK * 2;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warpM = warp % 4 * 32, warpN = warp / 4 * 64;
  int m0 = blockIdx.y * tileM, n0 = blockIdx.x * tileN, steps = (K + tileK - 1) / tileK;
  auto load = [&](int t) {
    uint32_t a = sA + t % stages * tileM * tileK * 2, b = sB + t % stages * tileK * tileN * 2;
    for (int i = threadIdx.x; i < tileM * tileK / 8; i += 256) {
      int r = i / 4, c = i % 4;
      bool inside = m0 + r < M && t * tileK + c * 8 < K;
      copy16(a + r * 64 + ((c ^ (r / 2 & 3)) << 4), A + (size_t)(inside ? m0 + r : 0) * K + (inside ? t * tileK + c * 8 : 0), inside);
    }
    for (int i = threadIdx.x; i < tileK * tileN / 8; i += 256) {
      int r = i / 16, c = i % 16;
      bool inside = t * tileK + r < K && n0 + c * 8 < N;
      copy16(b + r * 256 + ((c ^ (r & 7)) << 4), B + (size_t)(inside ? t * tileK + r : 0) * N + (inside ? n0 + c * 8 : 0), inside);
    }
  };
  float sums[2][8][4] = {};
  for (int t = 0; t < stages - 1; t++) {
    if (t < steps)
      load(t);
    asm volatile("cp.async.commit_group;");
  }
  for (int t = 0; t < steps; t++) {
    asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2));
    __syncthreads();
    if (t + stages - 1 < steps)
      load(t + stages - 1);
    asm volatile("cp.async.commit_group;");
    uint32_t a0 = sA + t % stages * tileM * tileK * 2, b0 = sB + t % stages * tileK * tileN * 2;
    for (int k = 0; k < tileK; k += 16) {
      uint32_t a[2][4], b[8][2];
      for (int i = 0; i < 2; i++) {
        int r = warpM + i * 16 + lane % 16, c = k / 8 + lane / 16;
        loadMatrices<false>(a[i], a0 + r * 64 + ((c ^ (r / 2 & 3)) << 4));
      }
      for (int j = 0; j < 8; j += 2) {
        int r = k + lane % 16, c = (warpN + j * 8) / 8 + lane / 16;
        loadMatrices<true>(&b[j][0], b0 + r * 256 + ((c ^ (r & 7)) << 4));
      }
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 8; j++)
          mma<T>(sums[i][j], a[i], b[j]);
    }
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 8; j++)
      for (int h = 0; h < 2; h++) {
        int r = m0 + warpM + i * 16 + lane / 4 + h * 8, c = n0 + warpN + j * 8 + lane % 4 * 2;
        if (r < M && c < N)
          *(float2 *)&C[(size_t)r * N + c] = make_float2(sums[i][j][2 * h], sums[i][j][2 * h + 1]);
      }
}
extern "C" __global__ void __launch_bounds__(256) gemmBf16(const __nv_bfloat16 *A, const __nv_bfloat16 *B, float *C, int M, int N, int K) {
  gemm<__nv_bfloat16>(A, B, C, M, N, K);
}
extern "C" __global__ void __launch_bounds__(256) gemmF16(const __half *A, const __half *B, float *C, int M, int N, int K) { gemm<__half>(A, B, C, M, N, K); }

// One warp, one mma.sync of each other type: operands are read in row-major A[16, k] and column-major B[8, k], both as 32-bit words.
#define MMA_KERNEL(name, shape, types, words, sumType, letter, sums, first)                                                                \
  extern "C" __global__ void name(const uint32_t *A, const uint32_t *B, sumType *D) {                                                      \
    int lane = threadIdx.x, g = lane / 4, t = lane % 4;                                                                                    \
    uint32_t a[words / 2], b[words / 4];                                                                                                   \
    for (int r = 0; r < words / 2; r++)                                                                                                    \
      a[r] = A[(g + 8 * (r & 1)) * words + t + 4 * (r >> 1)];                                                                              \
    for (int r = 0; r < words / 4; r++)                                                                                                    \
      b[r] = B[g * words + t + 4 * r];                                                                                                     \
    sumType d[4] = {first, first + 1, first + 2, first + 3};                                                                               \
    sums(shape, types, letter);                                                                                                            \
    for (int i = 0; i < 4; i++)                                                                                                            \
      D[(g + 8 * (i >> 1)) * 8 + 2 * t + (i & 1)] = d[i];                                                                                  \
  }
#define SUMS_8(shape, types, letter)                                                                                                       \
  asm volatile("mma.sync.aligned." shape ".row.col." types " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                        \
               : "+" letter(d[0]), "+" letter(d[1]), "+" letter(d[2]), "+" letter(d[3])                                                    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define SUMS_4(shape, types, letter)                                                                                                       \
  asm volatile("mma.sync.aligned." shape ".row.col." types " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"                                 \
               : "+" letter(d[0]), "+" letter(d[1]), "+" letter(d[2]), "+" letter(d[3])                                                    \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))
MMA_KERNEL(mmaTf32k8, "m16n8k8", "f32.tf32.tf32.f32", 8, float, "f", SUMS_8, 1)
MMA_KERNEL(mmaTf32k4, "m16n8k4", "f32.tf32.tf32.f32", 4, float, "f", SUMS_4, 1)
MMA_KERNEL(mmaF16k8, "m16n8k8", "f32.f16.f16.f32", 4, float, "f", SUMS_4, 1)
MMA_KERNEL(mmaS8k32, "m16n8k32", "s32.s8.s8.s32", 8, int, "r", SUMS_8, 1)
MMA_KERNEL(mmaS8U8k32, "m16n8k32", "s32.s8.u8.s32", 8, int, "r", SUMS_8, 1)
MMA_KERNEL(mmaU8S8k16, "m16n8k16", "s32.u8.s8.s32", 4, int, "r", SUMS_4, 1)
// Sums near the end of the range: about half of them leave it.
MMA_KERNEL(mmaWraps, "m16n8k32", "s32.s8.s8.s32", 8, int, "r", SUMS_8, 2147483600)
MMA_KERNEL(mmaSaturates, "m16n8k32", "satfinite.s32.s8.s8.s32", 8, int, "r", SUMS_8, 2147483600)
