// Runs of the sm_90a kernels on random data, with their error against double: for the tests and for the mutations.
#ifndef LEAT_TEST_UNIT_SIM_SM90KERNELS_H
#define LEAT_TEST_UNIT_SIM_SM90KERNELS_H

#include "SimTest.h"

namespace leat::sim {

inline const std::string &sm90() {
  static const std::string ptx = readKernels("sm90.ptx");
  return ptx;
}

struct alignas(64) TensorMapBytes {
  uint8_t bytes[tensorMapBytes];
};

// A row-major matrix of 16-bit elements.
inline TensorMapBytes tensorMap(void *base, int rows, int columns, int boxRows, int boxColumns, int swizzle) {
  TensorMapSpec spec;
  spec.base = base;
  spec.rank = 2;
  spec.elementBytes = 2;
  spec.dims[0] = uint64_t(columns);
  spec.dims[1] = uint64_t(rows);
  spec.strides[0] = uint64_t(columns) * 2;
  spec.box[0] = uint32_t(boxColumns);
  spec.box[1] = uint32_t(boxRows);
  spec.swizzleBytes = swizzle;
  TensorMapBytes map;
  auto status = encodeTensorMap(spec, map.bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return map;
}

// NaN counts as a large error.
inline void addError(double &error, double value, double expected) {
  double difference = std::fabs(value - expected);
  if (!(difference <= error))
    error = std::isnan(difference) ? 1e30 : difference;
}

struct ProductRun {
  LaunchResult result;
  double error = 0;
};
inline ProductRun runProduct(const std::string &ptx, int mode, const Options &options) {
  Bench bench(ptx, options);
  auto a = bench.buffer<uint16_t>(4096, "A", true), b = bench.buffer<uint16_t>(4096, "B", true);
  auto d = bench.buffer<float>(4096, "D");
  Random random(11);
  for (int i = 0; i < 4096; ++i) {
    a[i] = toBf16(random.real());
    b[i] = toBf16(random.real());
  }
  ProductRun run;
  std::string kernel = "product" + std::to_string(mode);
  run.result = bench.launch(kernel.c_str(), {.grid = {}, .block = {128}, .dynamicSharedBytes = 16384}, a, b, d);
  for (int i = 0; i < 64; ++i)
    for (int j = 0; j < 64; ++j) {
      double sum = 0;
      for (int k = 0; k < 64; ++k)
        sum += double(fromBf16(a[i * 64 + k])) * fromBf16(b[j * 64 + k]);
      addError(run.error, d[i * 64 + j], sum);
    }
  return run;
}

struct AttentionRun {
  LaunchResult result;
  double error = 0;
};
inline AttentionRun runAttention(const std::string &ptx, int length, int heads, const Options &options) {
  Bench bench(ptx, options);
  constexpr int size = 64;
  int rows = length * heads, count = rows * size;
  auto q = bench.buffer<uint16_t>(count, "Q", true), k = bench.buffer<uint16_t>(count, "K", true),
       v = bench.buffer<uint16_t>(count, "V", true);
  auto o = bench.buffer<uint16_t>(count, "O");
  Random random(12);
  for (int i = 0; i < count; ++i) {
    q[i] = toBf16(2 * random.real());
    k[i] = toBf16(2 * random.real());
    v[i] = toBf16(random.real());
  }
  TensorMapBytes mapQ = tensorMap(q, rows, size, 128, 64, 128), mapK = tensorMap(k, rows, size, 64, 64, 128),
                 mapV = tensorMap(v, rows, size, 64, 64, 128), mapO = tensorMap(o, rows, size, 64, 64, 128);
  float scale = 1.44269504f / std::sqrt(float(size));
  AttentionRun run;
  run.result =
      bench.launch("attention", {.grid = {uint32_t(length) / 128, uint32_t(heads)}, .block = {384}, .dynamicSharedBytes = 50 * 1024}, mapQ,
                   mapK, mapV, mapO, length, scale);
  std::vector<double> p(length);
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < length; ++i) {
      const uint16_t *row = q + (h * length + i) * size;
      double largest = -1e30, total = 0;
      for (int j = 0; j < length; ++j) {
        double sum = 0;
        for (int x = 0; x < size; ++x)
          sum += double(fromBf16(row[x])) * fromBf16(k[(h * length + j) * size + x]);
        p[j] = sum / std::sqrt(double(size));
        largest = std::max(largest, p[j]);
      }
      for (double &x : p)
        total += x = std::exp(x - largest);
      for (int x = 0; x < size; ++x) {
        double sum = 0;
        for (int j = 0; j < length; ++j)
          sum += p[j] * fromBf16(v[(h * length + j) * size + x]);
        addError(run.error, fromBf16(o[(h * length + i) * size + x]), sum / total);
      }
    }
  return run;
}

} // namespace leat::sim

#endif
