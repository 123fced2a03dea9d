// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random numbers as a function of a key and
// a counter. No state, so a draw does not depend on what was drawn before or beside it.
#ifndef LEAT_RUNTIME_CORE_PHILOX_H
#define LEAT_RUNTIME_CORE_PHILOX_H

#include <array>
#include <cstdint>

namespace leat::rt {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53u) * counter[0], b = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b), uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// The uniform number in [0, 1) of stream `row` at `step`: key = seed, counter = (row, step), 53 bits of the first two words.
inline double philoxUniform(uint64_t seed, uint64_t row, uint64_t step) {
  auto words = philox({uint32_t(row), uint32_t(row >> 32), uint32_t(step), uint32_t(step >> 32)}, {uint32_t(seed), uint32_t(seed >> 32)});
  uint64_t bits = (uint64_t(words[0]) << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

} // namespace leat::rt

#endif
