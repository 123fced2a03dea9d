// Kernels for sm_80 that nvcc compiled, against plain C++: reductions, named barriers, warp operations, atomics, softmax, matrix products.
#include "SimTest.h"

using namespace leat::sim;

static const std::string &sm80() {
  static const std::string ptx = readKernels("sm80.ptx");
  return ptx;
}

TEST(Sm80, ReducesRows) {
  for (const Options &options : everyOrder()) {
    constexpr int n = 1000, rows = 5;
    Bench bench(sm80(), options);
    auto in = bench.buffer<float>(n * rows, "in", true), out = bench.buffer<float>(rows, "out");
    auto positive = bench.buffer<int>(rows, "positive");
    Random random(1);
    for (int i = 0; i < n * rows; ++i)
      in[i] = random.real();
    EXPECT_CLEAN(bench.launch("reduceRows", {.grid = {rows}, .block = {256}}, in, out, positive, n));
    for (int r = 0; r < rows; ++r) {
      double sum = 0;
      int count = 0;
      for (int t = 0; t < 256; ++t) {
        float part = 0;
        for (int i = t; i < n; i += 256)
          part += in[r * n + i];
        count += part > 0;
        sum += part;
      }
      EXPECT_NEAR(out[r], sum, 1e-3);
      EXPECT_EQ(positive[r], count);
    }
  }
}

TEST(Sm80, HandsTilesOverByNamedBarriers) {
  for (const Options &options : everyOrder()) {
    Bench bench(sm80(), options);
    auto in = bench.buffer<float>(4096, "in", true), out = bench.buffer<float>(4096, "out");
    for (int i = 0; i < 4096; ++i)
      in[i] = float(i);
    EXPECT_CLEAN(bench.launch("handOver", {.grid = {}, .block = {128}, .dynamicSharedBytes = 32 * 33 * 4}, in, out));
    for (int t = 0; t < 4; ++t)
      for (int r = 0; r < 32; ++r)
        for (int c = 0; c < 32; ++c)
          ASSERT_EQ(out[(t * 32 + c) * 32 + r], in[(t * 32 + r) * 32 + c]);
  }
}

TEST(Sm80, ExchangesValuesInAWarp) {
  Bench bench(sm80());
  auto in = bench.buffer<uint32_t>(64, "in", true), out = bench.buffer<uint32_t>(512, "out");
  Random random(2);
  for (int i = 0; i < 64; ++i)
    in[i] = random.word();
  EXPECT_CLEAN(bench.launch("warpOperations", {.grid = {}, .block = {64}}, in, out));
  for (int t = 0; t < 64; ++t) {
    int lane = t % 32, first = t & 32;
    uint32_t odd = 0, same = 0, sum = 0, largest = 0;
    bool any = false, all = true;
    for (int i = 0; i < 32; ++i) {
      uint32_t v = in[first + i];
      odd |= (v & 1) << i;
      same |= uint32_t((v & 3) == (in[t] & 3)) << i;
      sum += v & 0xff;
      largest = std::max(largest, v);
      any |= v == 77;
      all &= v < 0xfffffff0u;
    }
    uint32_t expected[8] = {odd,
                            same,
                            in[first + (lane & 24) + (((lane * 7 + 3) & 31) & 7)],
                            (lane & 15) >= 3 ? in[t - 3] : in[t],
                            sum,
                            largest,
                            (in[t] & 1) ? in[first + __builtin_ctz(odd)] : 32 - __builtin_popcount(odd),
                            uint32_t(any) | uint32_t(all) << 1};
    for (int k = 0; k < 8; ++k)
      EXPECT_EQ(out[t * 8 + k], expected[k]) << "thread " << t << " value " << k;
  }
}

TEST(Sm80, CountsWithAtomics) {
  for (int threads : {1, 2}) {
    constexpr int n = 5000;
    Options options;
    options.threads = threads;
    Bench bench(sm80(), options);
    auto in = bench.buffer<uint32_t>(n, "in", true), bins = bench.buffer<uint32_t>(65, "bins");
    auto total = bench.buffer<float>(1, "total");
    std::memset(bins, 0, 65 * 4);
    *total = 0;
    uint32_t expected[65] = {};
    Random random(3);
    for (int i = 0; i < n; ++i) {
      in[i] = random.word();
      ++expected[in[i] & 63];
      expected[64] = std::max(expected[64], in[i]);
    }
    EXPECT_CLEAN(bench.launch("histogram", {.grid = {3}, .block = {128}}, in, bins, total, n));
    EXPECT_EQ(std::memcmp(bins, expected, sizeof(expected)), 0);
    EXPECT_EQ(*total, float(n));
  }
}

TEST(Sm80, SoftmaxRows) {
  constexpr int n = 777, rows = 3;
  Bench bench(sm80());
  auto in = bench.buffer<float>(n * rows, "in", true), out = bench.buffer<float>(n * rows, "out");
  Random random(4);
  for (int i = 0; i < n * rows; ++i)
    in[i] = 5 * random.real();
  EXPECT_CLEAN(bench.launch("softmaxRows", {.grid = {rows}, .block = {256}}, in, out, n));
  for (int r = 0; r < rows; ++r) {
    double largest = -1e9, sum = 0;
    for (int i = 0; i < n; ++i)
      largest = std::max<double>(largest, in[r * n + i]);
    for (int i = 0; i < n; ++i)
      sum += std::exp(in[r * n + i] - largest);
    for (int i = 0; i < n; ++i)
      ASSERT_NEAR(out[r * n + i], std::exp(in[r * n + i] - largest) / sum, 1e-6);
  }
}

TEST(Sm80, LastBlockSumsUp) { // ordered between CTAs by a fence and an atomic: no race
  for (int threads : {1, 2}) {
    constexpr int n = 3000, blocks = 7;
    Options options;
    options.threads = threads;
    Bench bench(sm80(), options);
    auto in = bench.buffer<float>(n, "in", true), parts = bench.buffer<float>(blocks, "parts"), out = bench.buffer<float>(1, "out");
    auto finished = bench.buffer<unsigned>(1, "finished");
    *finished = 0;
    double sum = 0;
    Random random(5);
    for (int i = 0; i < n; ++i)
      sum += in[i] = random.real();
    EXPECT_CLEAN(bench.launch("lastBlockSum", {.grid = {blocks}, .block = {32}}, in, parts, finished, out, n));
    EXPECT_NEAR(*out, sum, 1e-3);
  }
}

template <class Encode, class Decode>
static void runGemm(const char *kernel, int m, int n, int k, const Options &options, Encode encode, Decode decode) {
  Bench bench(sm80(), options);
  auto a = bench.buffer<uint16_t>(m * k, "A", true), b = bench.buffer<uint16_t>(k * n, "B", true);
  auto c = bench.buffer<float>(m * n, "C");
  Random random(6);
  for (int i = 0; i < m * k; ++i)
    a[i] = encode(random.real());
  for (int i = 0; i < k * n; ++i)
    b[i] = encode(random.real());
  auto result =
      bench.launch(kernel, {.grid = {uint32_t(n + 127) / 128, uint32_t(m + 127) / 128}, .block = {256}, .dynamicSharedBytes = 3 * 16384}, a,
                   b, c, m, n, k);
  EXPECT_CLEAN(result);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int x = 0; x < k; ++x)
        sum += double(decode(a[i * k + x])) * decode(b[x * n + j]);
      ASSERT_NEAR(c[i * n + j], sum, 2e-5 * (1 + std::fabs(sum))) << i << ", " << j;
    }
}

TEST(Sm80, MultipliesMatrices) {
  for (const Options &options : everyOrder()) {
    runGemm("gemmBf16", 128, 128, 128, options, toBf16, fromBf16);
    runGemm("gemmF16", 200, 136, 72, options, leat::rt::floatToHalf, leat::rt::halfToFloat); // ragged edges
  }
  Options unchecked;
  unchecked.checks = unchecked.counters = false;
  unchecked.threads = 2;
  runGemm("gemmBf16", 256, 256, 64, unchecked, toBf16, fromBf16);
}

// One mma.sync against a sum of products that begins with `first` and up to 3 more, as `range` makes it a result; A has 16 rows, B 8
// columns of `words` 32-bit words.
template <class Sum, class Value>
static void runMma(
    const char *kernel, int words, int perWord, Value value, double tolerance, double first = 1,
    double (*range)(double) = [](double sum) { return sum; }) {
  Bench bench(sm80());
  auto a = bench.buffer<uint32_t>(16 * words, "A", true), b = bench.buffer<uint32_t>(8 * words, "B", true);
  auto d = bench.buffer<Sum>(128, "D");
  Random random(8);
  auto fill = [&](uint32_t *p, int count) {
    for (int i = 0; i < count; ++i) {
      float f = random.real();
      uint32_t half = leat::rt::floatToHalf(f), other = leat::rt::floatToHalf(random.real());
      uint32_t bits;
      std::memcpy(&bits, &f, 4);
      p[i] = perWord == 1 ? bits : perWord == 2 ? half | other << 16 : random.word();
    }
  };
  fill(a, 16 * words);
  fill(b, 8 * words);
  EXPECT_CLEAN(bench.launch(kernel, {.grid = {}, .block = {32}}, a, b, d));
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      double sum = first + (j & 1) + 2 * (i >= 8);
      for (int k = 0; k < words * perWord; ++k)
        sum += value(a[i * words + k / perWord], k % perWord, true) * value(b[j * words + k / perWord], k % perWord, false);
      ASSERT_NEAR(d[i * 8 + j], range(sum), tolerance) << i << ", " << j;
    }
}

TEST(Sm80, MatrixInstructionsOfOtherTypes) {
  auto tf32 = [](uint32_t w, int, bool) {
    float f;
    w &= ~0x1fffu; // the hardware does not read the lowest 13 bits
    std::memcpy(&f, &w, 4);
    return double(f);
  };
  auto f16 = [](uint32_t w, int i, bool) { return double(leat::rt::halfToFloat(uint16_t(w >> 16 * i))); };
  auto s8 = [](uint32_t w, int i, bool) { return double(int8_t(w >> 8 * i)); };
  auto u8s8 = [](uint32_t w, int i, bool isA) { return isA ? double(uint8_t(w >> 8 * i)) : double(int8_t(w >> 8 * i)); };
  auto s8u8 = [](uint32_t w, int i, bool isA) { return isA ? double(int8_t(w >> 8 * i)) : double(uint8_t(w >> 8 * i)); };
  runMma<float>("mmaTf32k8", 8, 1, tf32, 1e-5);
  runMma<float>("mmaTf32k4", 4, 1, tf32, 1e-5);
  runMma<float>("mmaF16k8", 4, 2, f16, 1e-5);
  runMma<int>("mmaS8k32", 8, 4, s8, 0);
  runMma<int>("mmaS8U8k32", 8, 4, s8u8, 0);
  runMma<int>("mmaU8S8k16", 4, 4, u8s8, 0);
  static constexpr double most = 2147483647, all = 4294967296;
  runMma<int>("mmaWraps", 8, 4, s8, 0, most - 47, [](double sum) { return sum > most ? sum - all : sum; });
  runMma<int>("mmaSaturates", 8, 4, s8, 0, most - 47, [](double sum) { return std::min(sum, most); });
}
