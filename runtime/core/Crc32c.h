// CRC-32C (Castagnoli), the checksum of artifact sections. Uses the CPU's instruction where there is one.
#ifndef LEAT_RUNTIME_CORE_CRC32C_H
#define LEAT_RUNTIME_CORE_CRC32C_H

#include <cstddef>
#include <cstdint>

namespace leat::rt {

// Continues `crc` (0 to begin) over `size` bytes: crc32c(crc32c(0, a), b) == crc32c(0, a ++ b).
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
// The table-driven path, whatever the CPU: for tests.
uint32_t crc32cPortable(uint32_t crc, const void *data, size_t size);

} // namespace leat::rt

#endif
