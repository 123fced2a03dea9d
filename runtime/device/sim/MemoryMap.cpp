// Registered memory, kept sorted by address.
#include "runtime/device/sim/MemoryMap.h"

#include <algorithm>

namespace leat::sim {

using rt::formatText;

rt::Status MemoryMap::add(const void *base, size_t bytes, std::string name, bool readOnly) {
  u64 from = u64(reinterpret_cast<uintptr_t>(base));
  if (bytes == 0)
    bytes = 1; // so that the range can be found again
  if (from == 0 || from + bytes > u64(1) << 56 || from + bytes < from)
    return rt::error(rt::Code::InvalidArgument, "memory '%s': 0x%llx is not an address that a kernel can use", name.c_str(),
                     (unsigned long long)from);
  auto at = std::lower_bound(regions.begin(), regions.end(), from, [](const Region &r, u64 address) { return r.base < address; });
  const Region *clash = at != regions.end() && at->base < from + bytes               ? &*at
                        : at != regions.begin() && at[-1].base + at[-1].bytes > from ? &at[-1]
                                                                                     : nullptr;
  if (clash)
    return rt::error(rt::Code::InvalidArgument, "memory '%s' overlaps '%s', which is registered", name.c_str(), clash->name.c_str());
  regions.insert(at, Region{from, bytes, std::move(name), readOnly});
  return {};
}

bool MemoryMap::remove(const void *base) {
  int index = find(u64(reinterpret_cast<uintptr_t>(base)));
  if (index < 0 || regions[index].base != u64(reinterpret_cast<uintptr_t>(base)))
    return false;
  regions.erase(regions.begin() + index);
  return true;
}

int MemoryMap::find(u64 address) const {
  auto at = std::upper_bound(regions.begin(), regions.end(), address, [](u64 a, const Region &r) { return a < r.base; });
  return int(at - regions.begin()) - 1;
}

std::string MemoryMap::describe(u64 address) const {
  int index = find(address);
  std::string text;
  if (index >= 0) {
    const Region &r = regions[index];
    if (address < r.base + r.bytes)
      text =
          formatText("byte %llu of '%s' (%llu bytes)", (unsigned long long)(address - r.base), r.name.c_str(), (unsigned long long)r.bytes);
    else
      text = formatText("%llu bytes past the end of '%s' (%llu bytes)", (unsigned long long)(address - r.base - r.bytes), r.name.c_str(),
                        (unsigned long long)r.bytes);
  }
  if (index + 1 < size() && (index < 0 || regions[index + 1].base - address < address - regions[index].base))
    text += (text.empty() ? "" : ", ") +
            formatText("%llu bytes before '%s'", (unsigned long long)(regions[index + 1].base - address), regions[index + 1].name.c_str());
  return text.empty() ? "no memory is registered" : text;
}

} // namespace leat::sim
