// ldmatrix, stmatrix, movmatrix: 8 x 8 tiles of 16-bit elements. Row r of tile j is at the address of lane 8j + r; lane l holds elements
// (l / 4, 2 (l % 4)) and the next, or their transposes.
#include "runtime/device/sim/Handlers.h"
#include "runtime/device/sim/Lanes.h"

namespace leat::sim {

static u32 rowLanes(int matrices) { return matrices == 4 ? allLanes : (1u << 8 * matrices) - 1; }

Flow loadMatrix(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  Cluster &cluster = *warp.cta->cluster;
  u16 tiles[4][8][8];
  u32 offsets[32] = {};
  for (int l = 0; l < 8 * op.count; ++l) {
    SharedPlace place = sharedPlace(warp, op, laneAddress(warp, op.address, l), 16, 16, l, "an ldmatrix row");
    if (!place.cta)
      return cluster.aborted ? Flow::Abort : Flow::Next;
    offsets[l] = place.offset;
    if (cluster.checks)
      place.cta->shadow.read(warp, op, place.offset, 16, severalLanes);
    std::memcpy(tiles[l / 8][l % 8], place.data(), 16);
  }
  if (cluster.counting)
    countShared(warp, offsets, rowLanes(op.count), 16);
  for (int j = 0; j < op.count; ++j) {
    u32 *d = lanes<u32>(warp, op.aux->d[j].slot);
    for (int l = 0; l < 32; ++l) {
      int row = l / 4, column = 2 * (l % 4);
      d[l] = op.mode ? tiles[j][column][row] | u32(tiles[j][column + 1][row]) << 16
                     : tiles[j][row][column] | u32(tiles[j][row][column + 1]) << 16;
    }
  }
  return cluster.aborted ? Flow::Abort : Flow::Next;
}

Flow storeMatrix(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  Cluster &cluster = *warp.cta->cluster;
  u32 offsets[32] = {};
  for (int j = 0; j < op.count; ++j) {
    u16 tile[8][8];
    const u32 *s = lanes<u32>(warp, op.aux->a[j].slot);
    for (int l = 0; l < 32; ++l) {
      int row = l / 4, column = 2 * (l % 4);
      (op.mode ? tile[column][row] : tile[row][column]) = u16(s[l]);
      (op.mode ? tile[column + 1][row] : tile[row][column + 1]) = u16(s[l] >> 16);
    }
    for (int r = 0; r < 8; ++r) {
      int l = 8 * j + r;
      SharedPlace place = sharedPlace(warp, op, laneAddress(warp, op.address, l), 16, 16, l, "an stmatrix row");
      if (!place.cta)
        return cluster.aborted ? Flow::Abort : Flow::Next;
      offsets[l] = place.offset;
      if (cluster.checks)
        place.cta->shadow.write(warp, op, *place.cta, place.offset, 16, severalLanes);
      std::memcpy(place.data(), tile[r], 16);
    }
  }
  ++cluster.progress;
  if (cluster.counting)
    countShared(warp, offsets, rowLanes(op.count), 16);
  return cluster.aborted ? Flow::Abort : Flow::Next;
}

Flow transposeMatrix(Warp &warp, const Op &op, u32 mask) {
  Flow flow;
  if (!converged(warp, op, mask, warp.live, flow))
    return flow;
  const u32 *a = lanes<u32>(warp, op.a);
  u32 *d = lanes<u32>(warp, op.d);
  u16 tile[8][8];
  for (int l = 0; l < 32; ++l) {
    tile[l / 4][2 * (l % 4)] = u16(a[l]);
    tile[l / 4][2 * (l % 4) + 1] = u16(a[l] >> 16);
  }
  for (int l = 0; l < 32; ++l)
    d[l] = tile[2 * (l % 4)][l / 4] | u32(tile[2 * (l % 4) + 1][l / 4]) << 16;
  return Flow::Next;
}

} // namespace leat::sim
