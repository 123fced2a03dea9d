// The arithmetic of wgmma: operands from shared memory or registers into a tile, product, accumulators back. The accumulator stays in the
// tile over operations that share it.
#include "runtime/device/sim/LaneHandlers.h"
#include "runtime/device/sim/Lanes.h"
#include "runtime/device/sim/Numbers.h"
#include "runtime/device/sim/Wgmma.h"

namespace leat::sim {

// Accumulator register i of lane l in warp q. 32-bit: row 16q + l/4 + 8 ((i/2) % 2), column 8 (i/4) + 2 (l%4) + i%2. f16: two columns in
// one.
static void moveAccumulators(Cta &cta, int group, const Aux &x, WgmmaTile &tile, bool toRegisters) {
  Type type = x.matrix.d;
  for (int q = 0; q < 4; ++q) {
    Warp &warp = cta.warps[group * 4 + q];
    for (size_t i = 0; i < x.d.size(); ++i) {
      u32 *d = lanes<u32>(warp, x.d[i].slot);
      bool half = type == Type::F16;
      int row = q * 16 + 8 * int(half ? i & 1 : i >> 1 & 1), column = half ? 8 * int(i >> 1) : 8 * int(i >> 2) + int(i & 1);
      for (int l = 0; l < 32; ++l) {
        int r = row + l / 4, c = column + 2 * (l % 4);
        if (type == Type::S32) {
          if (toRegisters)
            d[l] = u32(tile.integer[r][c]);
          else
            tile.integer[r][c] = i32(d[l]);
        } else if (type == Type::F32) {
          if (toRegisters)
            d[l] = floatBits(tile.c[r][c]);
          else
            tile.c[r][c] = bitsFloat(d[l]);
        } else if (toRegisters) {
          d[l] = doubleToF16(tile.c[r][c]) | u32(doubleToF16(tile.c[r][c + 1])) << 16;
        } else {
          tile.c[r][c] = f16ToFloat(u16(d[l]));
          tile.c[r][c + 1] = f16ToFloat(u16(d[l] >> 16));
        }
      }
    }
  }
}

// A from registers, as in mma.sync: register r of lane l holds row 16q + l/4 + 8 (r%2), k from p (l%4) + 4p (r/2), p elements.
static void fragmentsToTile(Cta &cta, int group, const Aux &x, WgmmaTile &tile) {
  Type type = x.matrix.a;
  int per = 4 / elementBytes(type);
  float wide[16];
  for (int q = 0; q < 4; ++q)
    for (int r = 0; r < 4; ++r) {
      const u32 *a = lanes<u32>(cta.warps[group * 4 + q], x.a[r].slot);
      for (int l = 0; l < 32; ++l) {
        if (l % 4 == 0)
          matrixKernels().widen(reinterpret_cast<const u8 *>(a + l), type, wide);
        for (int e = 0; e < per; ++e)
          tile.a[q * 16 + l / 4 + 8 * (r & 1)][l % 4 * per + e + 4 * per * (r >> 1)] = wide[l % 4 * per + e] * float(x.matrix.scaleA);
      }
    }
}

static void sharedToTile(Cta &cta, const Aux &x, const WgmmaOp &operation, WgmmaTile &tile) {
  const MatrixShape &shape = x.matrix;
  float wide[16];
  auto chunk = [&](u32 address, Type type) {
    matrixKernels().widen(cta.shared.data() + std::min(address, cta.sharedEnd), type, wide);
    return 16 / elementBytes(type);
  };
  if (!shape.registersA)
    forChunks({operation.descriptorA}, shape.transposeA, 64, elementBytes(shape.a), [&](u32 address, int mn, int k) {
      int count = chunk(address, shape.a);
      for (int e = 0; e < count; ++e)
        (shape.transposeA ? tile.a[mn + e][k] : tile.a[mn][k + e]) = wide[e] * float(shape.scaleA);
    });
  forChunks({operation.descriptorB}, shape.transposeB, shape.n, elementBytes(shape.b), [&](u32 address, int mn, int k) {
    int count = chunk(address, shape.b);
    for (int e = 0; e < count; ++e)
      (shape.transposeB ? tile.b[k][mn + e] : tile.b[k + e][mn]) = wide[e] * float(shape.scaleB);
  });
}

static bool sameAccumulators(const Aux &x, const Aux &y) {
  if (x.d.size() != y.d.size() || x.matrix.d != y.matrix.d)
    return false;
  for (size_t i = 0; i < x.d.size(); ++i)
    if (x.d[i].slot != y.d[i].slot)
      return false;
  return true;
}

void computeWgmma(Cta &cta, int group, u32 from, u32 to) {
  Cluster &cluster = *cta.cluster;
  if (!cluster.tile)
    cluster.tile = std::make_unique<WgmmaTile>();
  WgmmaTile &tile = *cluster.tile;
  Warpgroup &g = cta.warpgroups[group];
  const Aux *held = nullptr; // whose accumulators the tile holds
  for (u32 i = from; i < to; ++i) {
    WgmmaOp &operation = g.ops[i - g.first];
    if (operation.landed)
      continue;
    const Aux &x = *operation.op->aux;
    const MatrixShape &shape = x.matrix;
    if (!held || !sameAccumulators(*held, x)) {
      if (held)
        moveAccumulators(cta, group, *held, tile, true);
      if (operation.scaleD)
        moveAccumulators(cta, group, x, tile, false);
      held = &x;
    }
    if (!operation.scaleD)
      for (int r = 0; r < 64; ++r) {
        std::memset(tile.c[r], 0, shape.n * sizeof(float));
        std::memset(tile.integer[r], 0, shape.n * sizeof(i32));
      }
    if (shape.registersA)
      fragmentsToTile(cta, group, x, tile);
    sharedToTile(cta, x, operation, tile);
    if (shape.d == Type::S32)
      matrixKernels().wgmmaBytes(tile, shape.n, shape.k, x.saturate);
    else
      matrixKernels().wgmma(tile, shape.n, shape.k);
    ++cluster.counters.wgmma;
    cluster.counters.multiplyAdds += u64(64) * u32(shape.n) * u32(shape.k);
    operation.landed = true;
  }
  if (held)
    moveAccumulators(cta, group, *held, tile, true);
}

} // namespace leat::sim
