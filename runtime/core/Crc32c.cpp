// CRC-32C: eight bytes a step by instruction on x86-64, else by table.
#include "runtime/core/Crc32c.h"

#include <array>
#include <cstring>

namespace leat::rt {

static constexpr auto makeTables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    tables[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i)
    for (int t = 1; t < 8; ++t)
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 255];
  return tables;
}
static constexpr auto tables = makeTables();

uint32_t crc32cPortable(uint32_t crc, const void *data, size_t size) {
  auto bytes = static_cast<const uint8_t *>(data);
  crc = ~crc;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    word ^= crc;
    crc = tables[7][word & 255] ^ tables[6][(word >> 8) & 255] ^ tables[5][(word >> 16) & 255] ^ tables[4][(word >> 24) & 255] ^
          tables[3][(word >> 32) & 255] ^ tables[2][(word >> 40) & 255] ^ tables[1][(word >> 48) & 255] ^ tables[0][word >> 56];
  }
  for (; size; --size)
    crc = (crc >> 8) ^ tables[0][(crc ^ *bytes++) & 255];
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32cFast(uint32_t crc, const void *data, size_t size) {
  auto bytes = static_cast<const uint8_t *>(data);
  uint64_t state = ~crc;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    state = __builtin_ia32_crc32di(state, word);
  }
  auto narrow = static_cast<uint32_t>(state);
  for (; size; --size)
    narrow = __builtin_ia32_crc32qi(narrow, *bytes++);
  return ~narrow;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast)
    return crc32cFast(crc, data, size);
#endif
  return crc32cPortable(crc, data, size);
}

} // namespace leat::rt
