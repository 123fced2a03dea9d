// The global memory that kernels may touch: registered ranges of host addresses. A global address is a host address.
#ifndef LEAT_RUNTIME_DEVICE_SIM_MEMORYMAP_H
#define LEAT_RUNTIME_DEVICE_SIM_MEMORYMAP_H

#include "runtime/core/Status.h"
#include "runtime/device/sim/Types.h"

#include <string>
#include <vector>

namespace leat::sim {

struct Region {
  u64 base, bytes;
  std::string name;
  bool readOnly;
  bool contains(u64 address, u64 size) const { return address >= base && size <= bytes && address - base <= bytes - size; }
};

class MemoryMap {
public:
  rt::Status add(const void *base, size_t bytes, std::string name, bool readOnly);
  bool remove(const void *base);
  // Index of the last region that starts at or below the address; -1: none.
  int find(u64 address) const;
  const Region &operator[](int index) const { return regions[index]; }
  int size() const { return int(regions.size()); }
  // "16 bytes past the end of 'x' (4096 bytes)".
  std::string describe(u64 address) const;

private:
  std::vector<Region> regions; // by address
};

} // namespace leat::sim

#endif
