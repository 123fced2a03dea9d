// Tensor maps as kernels see them here: 128 bytes that hold the whole description, so that they can be copied and passed by value.
#ifndef LEAT_RUNTIME_DEVICE_SIM_TENSORMAP_H
#define LEAT_RUNTIME_DEVICE_SIM_TENSORMAP_H

#include "runtime/device/sim/Simulator.h"
#include "runtime/device/sim/Types.h"

#include <algorithm>

namespace leat::sim {

// False: these bytes are no tensor map.
bool decodeTensorMap(const u8 *bytes, TensorMapSpec &spec);

// XORs address bits 4 to 6 by bits 7 to 9: the swizzles of 128, 64 and 32 bytes, on absolute shared addresses.
inline u32 swizzle(u32 address, int bytes) {
  u32 bits = bytes == 128 ? 7 : bytes == 64 ? 3 : bytes == 32 ? 1 : 0;
  return address ^ (address >> 7 & bits) << 4;
}

inline u32 boxBytes(const TensorMapSpec &map) {
  u32 bytes = u32(map.elementBytes);
  for (int i = 0; i < map.rank; ++i)
    bytes *= map.box[i];
  return bytes;
}

// Calls f(offset in the box, global address of the row's element 0, first and end of the elements inside the tensor) for each row of a box.
template <class F> void forBoxRows(const TensorMapSpec &map, const i32 *at, F f) {
  u32 box[5] = {1, 1, 1, 1, 1}, offset = 0;
  std::copy_n(map.box, map.rank, box);
  u32 i[5] = {};
  for (i[4] = 0; i[4] < box[4]; ++i[4])
    for (i[3] = 0; i[3] < box[3]; ++i[3])
      for (i[2] = 0; i[2] < box[2]; ++i[2])
        for (i[1] = 0; i[1] < box[1]; ++i[1]) {
          bool inside = true;
          i64 address = i64(reinterpret_cast<uintptr_t>(map.base)) + i64(at[0]) * map.elementBytes;
          for (int d = 1; d < map.rank; ++d) {
            i64 index = i64(at[d]) + i[d];
            inside &= index >= 0 && index < i64(map.dims[d]);
            address += index * i64(map.strides[d - 1]);
          }
          i64 first = std::max<i64>(0, -i64(at[0])), end = std::min<i64>(box[0], i64(map.dims[0]) - at[0]);
          if (!inside || end <= first)
            first = end = 0;
          f(offset, u64(address), u32(first), u32(end));
          offset += box[0] * u32(map.elementBytes);
        }
}

} // namespace leat::sim

#endif
