// The multiply-adds of mma.sync and wgmma: f32 (or i32) sums in the order of k, one fused multiply-add each.
#include "runtime/device/sim/LaneTemplates.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim::LEAT_SIM_ISA {

namespace {

template <bool Bf16> float lowHalf(u32 v) { return Bf16 ? bitsFloat(v << 16) : f16ToFloat(u16(v)); }
template <bool Bf16> float highHalf(u32 v) { return Bf16 ? bitsFloat(v & 0xffff0000) : f16ToFloat(u16(v >> 16)); }

// Fragments to matrices, product, back. Lane l = 4g + t holds of A rows g and g + 8, columns 2t, 2t + 1 (+ 8); of B rows 2t, 2t + 1 (+ 8),
// column g; of C rows g and g + 8, columns 2t, 2t + 1.
template <bool Bf16> void mma16By8(float *const *d, const u32 *const *a, const u32 *const *b, const float *const *c, int depth) {
  alignas(32) float A[16][16], B[16][8], C[16][8];
  for (int r = 0; r < depth / 4; ++r) {
    int row = 8 * (r & 1), column = 8 * (r >> 1);
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t) {
        u32 v = a[r][4 * g + t];
        A[row + g][column + 2 * t] = lowHalf<Bf16>(v);
        A[row + g][column + 2 * t + 1] = highHalf<Bf16>(v);
      }
  }
  for (int r = 0; r < depth / 8; ++r)
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t) {
        u32 v = b[r][4 * g + t];
        B[8 * r + 2 * t][g] = lowHalf<Bf16>(v);
        B[8 * r + 2 * t + 1][g] = highHalf<Bf16>(v);
      }
  for (int r = 0; r < 4; ++r)
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t)
        C[g + 8 * (r >> 1)][2 * t + (r & 1)] = c[r][4 * g + t];
  for (int i = 0; i < 16; ++i) {
    float sums[8];
    for (int j = 0; j < 8; ++j)
      sums[j] = C[i][j];
    for (int k = 0; k < depth; ++k)
      for (int j = 0; j < 8; ++j)
        sums[j] = __builtin_fmaf(A[i][k], B[k][j], sums[j]);
    for (int j = 0; j < 8; ++j)
      C[i][j] = sums[j];
  }
  for (int r = 0; r < 4; ++r)
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t)
        d[r][4 * g + t] = C[g + 8 * (r >> 1)][2 * t + (r & 1)];
}

void mma16(float *const *d, const u32 *const *a, const u32 *const *b, const float *const *c, int depth, bool bf16) {
  bf16 ? mma16By8<true>(d, a, b, c, depth) : mma16By8<false>(d, a, b, c, depth);
}

i32 addSum(i32 to, i32 sum, bool saturate) {
  i64 exact = i64(to) + sum;
  if (saturate)
    return exact > INT32_MAX ? INT32_MAX : exact < INT32_MIN ? INT32_MIN : i32(exact);
  return i32(u32(exact));
}

// Byte e of register r of lane 4g + t is row g (+ 8 in odd registers of A), k 4t + e (+ 16 in the last registers).
void mmaBytes(u32 *const *d, const u32 *const *a, const u32 *const *b, const u32 *const *c, const MatrixShape &shape, bool saturate) {
  alignas(32) i32 A[16][32], B[32][8];
  auto byteOf = [](u32 word, int e, Type type) { return type == Type::S8 ? i32(i8(word >> 8 * e)) : i32(u8(word >> 8 * e)); };
  for (int r = 0; r < shape.k / 8; ++r)
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t)
        for (int e = 0; e < 4; ++e)
          A[g + 8 * (r & 1)][4 * t + e + 16 * (r >> 1)] = byteOf(a[r][4 * g + t], e, shape.a);
  for (int r = 0; r < shape.k / 16; ++r)
    for (int g = 0; g < 8; ++g)
      for (int t = 0; t < 4; ++t)
        for (int e = 0; e < 4; ++e)
          B[4 * t + e + 16 * r][g] = byteOf(b[r][4 * g + t], e, shape.b);
  for (int i = 0; i < 16; ++i) {
    i32 sums[8] = {};
    for (int k = 0; k < shape.k; ++k)
      for (int j = 0; j < 8; ++j)
        sums[j] += A[i][k] * B[k][j];
    for (int j = 0; j < 8; ++j) {
      int r = (j & 1) + 2 * (i >> 3), lane = 4 * (i & 7) + (j >> 1);
      d[r][lane] = u32(addSum(i32(c[r][lane]), sums[j], saturate));
    }
  }
}

void wgmmaProduct(WgmmaTile &tile, int n, int depth) {
  for (int i = 0; i < 64; i += 4)
    for (int j = 0; j < n; j += 8) {
      float sums[4][8];
      for (int r = 0; r < 4; ++r)
        for (int q = 0; q < 8; ++q)
          sums[r][q] = tile.c[i + r][j + q];
      for (int k = 0; k < depth; ++k)
        for (int r = 0; r < 4; ++r) {
          float a = tile.a[i + r][k];
          for (int q = 0; q < 8; ++q)
            sums[r][q] = __builtin_fmaf(a, tile.b[k][j + q], sums[r][q]);
        }
      for (int r = 0; r < 4; ++r)
        for (int q = 0; q < 8; ++q)
          tile.c[i + r][j + q] = sums[r][q];
    }
}

void wgmmaBytes(WgmmaTile &tile, int n, int depth, bool saturate) { // the operands are small integers held as floats
  for (int i = 0; i < 64; ++i) {
    i32 sums[256] = {};
    for (int k = 0; k < depth; ++k) {
      i32 a = i32(tile.a[i][k]);
      for (int j = 0; j < n; ++j)
        sums[j] += a * i32(tile.b[k][j]);
    }
    for (int j = 0; j < n; ++j)
      tile.integer[i][j] = addSum(tile.integer[i][j], sums[j], saturate);
  }
}

void widen(const u8 *bytes, Type type, float *out) {
  u16 halves[8];
  u32 words[4];
  switch (type) {
  case Type::BF16:
    std::memcpy(halves, bytes, 16);
    for (int i = 0; i < 8; ++i)
      out[i] = bf16ToFloat(halves[i]);
    return;
  case Type::F16:
    std::memcpy(halves, bytes, 16);
    for (int i = 0; i < 8; ++i)
      out[i] = f16ToFloat(halves[i]);
    return;
  case Type::TF32: // the lowest 13 bits are not read
    std::memcpy(words, bytes, 16);
    for (int i = 0; i < 4; ++i)
      out[i] = bitsFloat(words[i] & ~0x1fffu);
    return;
  case Type::S8:
    for (int i = 0; i < 16; ++i)
      out[i] = float(i8(bytes[i]));
    return;
  case Type::U8:
    for (int i = 0; i < 16; ++i)
      out[i] = float(bytes[i]);
    return;
  default:
    for (int i = 0; i < 16; ++i)
      out[i] = fp8ToFloat(bytes[i], type == Type::E5M2);
  }
}

const MatrixKernels kernels = {mma16, mmaBytes, wgmmaProduct, wgmmaBytes, widen};

} // namespace

const MatrixKernels &matrixKernels() { return kernels; }

} // namespace leat::sim::LEAT_SIM_ISA
