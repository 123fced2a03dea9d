#include "lib/Driver/Ceilings.h"

#include "runtime/core/Memory.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <immintrin.h>
#include <vector>

using namespace leat::rt;

namespace leat::driver {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPasses = 5;

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

typedef uint64_t Words __attribute__((vector_size(64)));

/// Sums of a chunk of memory. `Ahead` bytes before they are read, lines are asked for: the processor's own fetching stops at the end of a
/// page, which a good kernel does not wait for either.
template <int64_t Ahead> uint64_t readChunk(const uint8_t *data, int64_t bytes) {
  Words sums[4] = {};
  for (int64_t at = 0; at < bytes; at += 256)
    for (int64_t i = 0; i < 4; ++i) {
      if (Ahead)
        __builtin_prefetch(data + at + Ahead + 64 * i, 0, 3);
      sums[i] += *reinterpret_cast<const Words *>(data + at + 64 * i);
    }
  Words all = sums[0] + sums[1] + sums[2] + sums[3];
  uint64_t sum = 0;
  for (int i = 0; i < 8; ++i)
    sum += all[i];
  return sum;
}

/// Defines float NAME(rounds, seed): independent chains of one instruction, enough to hide its latency. Returns a value so that nothing is
/// left out, and takes one, so that two calls are not made into one. A macro, because what needs a target is not inlined from elsewhere.
constexpr int kChains = 12;
#define LEAT_CHAINS(NAME, TARGET, VECTOR, FIRST, STEP)                                                                                     \
  __attribute__((target(TARGET))) float NAME(int64_t rounds, float seed) {                                                                 \
    VECTOR a[kChains];                                                                                                                     \
    for (VECTOR &each : a)                                                                                                                 \
      each = FIRST;                                                                                                                        \
    for (int64_t r = 0; r < rounds; ++r)                                                                                                   \
      for (VECTOR &each : a) {                                                                                                             \
        each = STEP;                                                                                                                       \
        asm volatile("" : "+v"(each)); /* the chains are equal: no one may be computed from another */                                     \
      }                                                                                                                                    \
    float sum = 0;                                                                                                                         \
    for (VECTOR &each : a)                                                                                                                 \
      sum += static_cast<float>(each[0]);                                                                                                  \
    return sum;                                                                                                                            \
  }
LEAT_CHAINS(multiplyAdds512, "avx512f", __m512, _mm512_set1_ps(seed), _mm512_fmadd_ps(each, _mm512_set1_ps(0.999f), _mm512_set1_ps(0.001f)))
LEAT_CHAINS(multiplyAdds256, "avx2,fma", __m256, _mm256_set1_ps(seed),
            _mm256_fmadd_ps(each, _mm256_set1_ps(0.999f), _mm256_set1_ps(0.001f)))
LEAT_CHAINS(bfloatDots, "avx512f,avx512bf16", __m512, _mm512_set1_ps(seed),
            _mm512_dpbf16_ps(each, (__m512bh)_mm512_set1_ps(0.01f), (__m512bh)_mm512_set1_ps(0.01f)))
LEAT_CHAINS(byteDots, "avx512f,avx512bw,avx512vnni", __m512i, _mm512_set1_epi32(static_cast<int>(seed)),
            _mm512_dpbusd_epi32(each, _mm512_set1_epi8(3), _mm512_set1_epi8(3)))
#undef LEAT_CHAINS

using Chain = float (*)(int64_t rounds, float seed);

/// `operations` of one instruction.
double rate(ThreadPool &pool, Chain chain, double operations) {
  constexpr int64_t kRounds = 60000;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    std::vector<float> sums(static_cast<size_t>(pool.threads()) * 64);
    auto start = Clock::now();
    pool.forRange(static_cast<int64_t>(sums.size()), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        sums[static_cast<size_t>(i)] = chain(kRounds, static_cast<float>(i));
    });
    best = std::max(best, static_cast<double>(sums.size()) * kRounds * kChains * operations / seconds(start));
  }
  return best;
}

} // namespace

double readBandwidth(ThreadPool &pool) {
  constexpr int64_t kBytes = int64_t(256) << 20, kChunk = int64_t(1) << 20, kRoom = 4096;
  Memory memory;
  if (!memory.allocate(kBytes + kRoom))
    return 0;
  memset(memory.data(), 1, kBytes + kRoom); // pages of its own, not all the zero page
  const auto *data = static_cast<const uint8_t *>(memory.data());
  std::vector<uint64_t> sums(kBytes / kChunk);
  double best = 0;
  // How far ahead is best depends on the processor; the ceiling is what any of them reaches.
  for (auto read : {readChunk<0>, readChunk<512>, readChunk<1024>, readChunk<2048>, readChunk<4096>})
    for (int pass = 0; pass < kPasses; ++pass) {
      auto start = Clock::now();
      pool.forRange(kBytes / kChunk, [&](int64_t begin, int64_t end, int) {
        for (int64_t chunk = begin; chunk < end; ++chunk)
          sums[static_cast<size_t>(chunk)] = read(data + chunk * kChunk, kChunk);
      });
      best = std::max(best, static_cast<double>(kBytes) / seconds(start));
    }
  return best;
}

ArithmeticRates arithmeticRates(ThreadPool &pool) {
  ArithmeticRates rates;
  if (__builtin_cpu_supports("avx512f"))
    rates.f32 = rate(pool, multiplyAdds512, 2 * 16);
  else if (__builtin_cpu_supports("fma"))
    rates.f32 = rate(pool, multiplyAdds256, 2 * 8);
  if (__builtin_cpu_supports("avx512bf16"))
    rates.bf16 = rate(pool, bfloatDots, 2 * 32);
  if (__builtin_cpu_supports("avx512vnni"))
    rates.int8 = rate(pool, byteDots, 2 * 64);
  return rates;
}

/// Bytes per second that a device reads and writes when it copies memory far larger than its caches.
double deviceBandwidth(Device &device) {
  constexpr int64_t kBytes = int64_t(512) << 20;
  DeviceMemory from, to;
  auto queue = device.createQueue();
  if (!queue || !from.allocate(device, kBytes, "a measurement").ok() || !to.allocate(device, kBytes, "a measurement").ok())
    return 0;
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    if (!(*queue)->startTimer(/*cold=*/false).ok() || !(*queue)->copy(to.data(), from.data(), kBytes).ok())
      return 0;
    auto time = (*queue)->stopTimer();
    if (!time.ok() || *time <= 0)
      return 0;
    best = std::max(best, 2e9 * kBytes / static_cast<double>(*time));
  }
  return best;
}

} // namespace leat::driver
