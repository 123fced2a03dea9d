// mma.sync: one warp multiplies a 16 x k tile by a k x 8 tile held in its registers.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/LaneHandlers.h"
#include "runtime/device/sim/Lanes.h"
#include "runtime/device/sim/Numbers.h"

namespace leat::sim {

namespace {

int elementsPerRegister(Type type) { return type == Type::TF32 ? 1 : (type == Type::F16 || type == Type::BF16) ? 2 : 4; }

// A register's elements as floats; 16 bytes at a time would be four lanes.
void widenRegister(const u32 *reg, Type type, float (*out)[4]) { // out[lane][element]
  int per = elementsPerRegister(type);
  float wide[16];
  for (int l = 0; l < 32; l += 4) {
    matrixKernels().widen(reinterpret_cast<const u8 *>(reg + l), type, wide);
    for (int i = 0; i < 4; ++i)
      for (int e = 0; e < per; ++e)
        out[l + i][e] = wide[i * per + e];
  }
}

struct Tiles {
  float a[16][32], b[32][8], c[16][8];
};

void readOperands(Warp &warp, const Aux &x, Tiles &tiles) {
  int per = elementsPerRegister(x.matrix.a), step = 4 * per; // k that one register column covers
  float wide[32][4];
  for (size_t r = 0; r < x.a.size(); ++r) {
    widenRegister(lanes<u32>(warp, x.a[r].slot), x.matrix.a, wide);
    for (int l = 0; l < 32; ++l)
      for (int e = 0; e < per; ++e)
        tiles.a[l / 4 + 8 * (r & 1)][l % 4 * per + e + step * int(r >> 1)] = wide[l][e];
  }
  for (size_t r = 0; r < x.b.size(); ++r) {
    widenRegister(lanes<u32>(warp, x.b[r].slot), x.matrix.b, wide);
    for (int l = 0; l < 32; ++l)
      for (int e = 0; e < per; ++e)
        tiles.b[l % 4 * per + e + step * int(r)][l / 4] = wide[l][e];
  }
  for (size_t r = 0; r < x.c.size(); ++r) {
    const u32 *c = lanes<u32>(warp, x.c[r].slot);
    for (int l = 0; l < 32; ++l) {
      int column = l % 4 * 2;
      if (x.matrix.c == Type::F16) {
        tiles.c[l / 4 + 8 * r][column] = f16ToFloat(u16(c[l]));
        tiles.c[l / 4 + 8 * r][column + 1] = f16ToFloat(u16(c[l] >> 16));
      } else {
        tiles.c[l / 4 + 8 * (r >> 1)][column + (r & 1)] = bitsFloat(c[l]);
      }
    }
  }
}

void writeResult(Warp &warp, const Aux &x, const Tiles &tiles) {
  for (size_t r = 0; r < x.d.size(); ++r) {
    u32 *d = lanes<u32>(warp, x.d[r].slot);
    for (int l = 0; l < 32; ++l) {
      int column = l % 4 * 2;
      if (x.matrix.d == Type::F16)
        d[l] = doubleToF16(tiles.c[l / 4 + 8 * r][column]) | u32(doubleToF16(tiles.c[l / 4 + 8 * r][column + 1])) << 16;
      else
        d[l] = floatBits(tiles.c[l / 4 + 8 * (r >> 1)][column + (r & 1)]);
    }
  }
}

void multiply(Tiles &tiles, const Aux &x) {
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < x.matrix.k; ++k)
      for (int j = 0; j < 8; ++j)
        tiles.c[i][j] = __builtin_fmaf(tiles.a[i][k], tiles.b[k][j], tiles.c[i][j]);
}

// The registers of a fragment.
template <class T> void pointers(Warp &warp, const std::vector<RegRef> &fragment, T **out) {
  for (size_t i = 0; i < fragment.size(); ++i)
    out[i] = lanes<std::remove_const_t<T>>(warp, fragment[i].slot);
}

} // namespace

Flow mma(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  const Aux &x = *op.aux;
  const MatrixShape &shape = x.matrix;
  Counters &counters = warp.cta->cluster->counters;
  ++counters.mma;
  counters.multiplyAdds += u64(16) * 8 * shape.k;
  const u32 *a[4], *b[2];
  pointers(warp, x.a, a);
  pointers(warp, x.b, b);
  if (shape.d == Type::S32) {
    u32 *d[4];
    const u32 *c[4];
    pointers(warp, x.d, d);
    pointers(warp, x.c, c);
    matrixKernels().mmaBytes(d, a, b, c, shape, x.saturate);
    return Flow::Next;
  }
  if (shape.c == Type::F32 && shape.d == Type::F32 && (shape.a == Type::F16 || shape.a == Type::BF16)) {
    float *d[4];
    const float *c[4];
    pointers(warp, x.d, d);
    pointers(warp, x.c, c);
    matrixKernels().mma16(d, a, b, c, shape.k, shape.a == Type::BF16);
    return Flow::Next;
  }
  Tiles tiles;
  readOperands(warp, x, tiles);
  multiply(tiles, x);
  writeResult(warp, x, tiles);
  return Flow::Next;
}

} // namespace leat::sim
