// wgmma's descriptors of matrices in shared memory, and where their 16-byte chunks lie.
#ifndef LEAT_RUNTIME_DEVICE_SIM_DESCRIPTOR_H
#define LEAT_RUNTIME_DEVICE_SIM_DESCRIPTOR_H

#include "runtime/device/sim/TensorMap.h"

namespace leat::sim {

struct Descriptor {
  u64 bits;
  u32 start() const { return u32(bits & 0x3fff) << 4; }
  u32 leadingOffset() const { return u32(bits >> 16 & 0x3fff) << 4; }
  u32 strideOffset() const { return u32(bits >> 32 & 0x3fff) << 4; }
  u32 baseOffset() const { return u32(bits >> 49 & 7); }
  int layout() const { return int(bits >> 62); }
  // Bytes of a swizzled row; 16 without a swizzle.
  int rowBytes() const { return layout() == 1 ? 128 : layout() == 2 ? 64 : layout() == 3 ? 32 : 16; }
  bool reservedBits() const { return bits & 0x3ff1c000c000c000ull; }

  // The chunk with element (mn, k). K-major: kOffset is the byte along k. MN-major (transposed): kOffset is k itself.
  u32 address(bool transposed, int mn, int kOffset, int elementBytes) const {
    u32 width = u32(rowBytes()), m = u32(mn), k = u32(kOffset), at;
    if (!transposed) {
      at = layout() == 0 ? start() + m % 8 * 16 + m / 8 * strideOffset() + k / 16 * leadingOffset()
                         : start() + m % 8 * width + m / 8 * strideOffset() + k;
    } else {
      u32 perRow = width / u32(elementBytes);
      at = start() + m % perRow * u32(elementBytes);
      at += layout() == 0 ? m / perRow * strideOffset() + k % 8 * 16 + k / 8 * leadingOffset()
                          : m / perRow * leadingOffset() + k % 8 * width + k / 8 * strideOffset();
    }
    return swizzle(at, width == 16 ? 0 : int(width)) & 0x3ffff;
  }
};

// Calls f(shared address, mn, k) for each 16-byte chunk of an operand with `rows` rows (mn) and 32 bytes along k.
template <class F> void forChunks(Descriptor descriptor, bool transposed, int rows, int elementBytes, F f) {
  int perChunk = 16 / elementBytes;
  if (!transposed) {
    for (int mn = 0; mn < rows; ++mn)
      for (int byte = 0; byte < 32; byte += 16)
        f(descriptor.address(false, mn, byte, elementBytes), mn, byte / elementBytes);
  } else {
    for (int k = 0; k < 32 / elementBytes; ++k)
      for (int mn = 0; mn < rows; mn += perChunk)
        f(descriptor.address(true, mn, k, elementBytes), mn, k);
  }
}

} // namespace leat::sim

#endif
