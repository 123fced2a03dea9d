// leat.sample against the runtime's sampler: the same token for every filter, row and step.
#include "KernelJit.h"
#include "runtime/decode/Sampler.h"

#include <gtest/gtest.h>

using namespace leat::test;

namespace {

TEST(Sample, AgreesWithTheRuntime) {
  struct Options {
    double temperature = 1;
    int64_t topK = 0;
    double topP = 1, minP = 0, penalty = 1;
  };
  for (Options o : {Options{0}, Options{1}, Options{0.7, 5}, Options{1.3, 0, 0.8}, Options{1, 0, 1, 0.2}, Options{0.9, 20, 0.9, 0.05, 1.3},
                    Options{1, 1000}}) {
    auto number = [](double v) { return std::to_string(v) + " : f64"; };
    auto kernels = Kernels::compile(
        "leat.kernel_func @f inputs 2 -> [tensor<?xi64>] {\n^bb0(%x: tensor<?x?xf32>, %h: tensor<?x?xi64>, %step: index):\n"
        "  %t = leat.sample %x history %h : tensor<?x?xi64> step %step {seed = 81985529216486895 : i64, temperature = " +
            number(o.temperature) + ", top_k = " + std::to_string(o.topK) + " : i64, top_p = " + number(o.topP) +
            ", min_p = " + number(o.minP) + ", repetition_penalty = " + number(o.penalty) +
            "} : tensor<?x?xf32> -> tensor<?xi64>\n  leat.yield %t : tensor<?xi64>\n}\n",
        128);
    ASSERT_TRUE(kernels);
    Array x = Array::random("f32", {4, 61}, 3, -2, 3), token("i64", {4});
    for (int64_t i = 0; i < 61; ++i) // ties
      x.set(122 + i, 0.25 * (i % 5));
    Array history = Array::i64({4, 3}, {1, -1, 60, 4, 4, 5, 3, 1, 2, 0, 99, -1});
    leat::rt::SamplerOptions options;
    options.temperature = o.temperature;
    options.topK = o.topK;
    options.topP = o.topP;
    options.minP = o.minP;
    options.repetitionPenalty = o.penalty;
    options.seed = 81985529216486895;
    leat::rt::Sampler sampler(options);
    for (int64_t step = 0; step < 200; ++step) {
      kernels->run("f", {&x, &history}, {&token}, {step});
      for (int64_t row = 0; row < 4; ++row) {
        auto expected = sampler.sample(reinterpret_cast<const float *>(x.bytes.data()) + row * 61, 61,
                                       {reinterpret_cast<const int64_t *>(history.bytes.data()) + row * 3, 3}, row, step);
        ASSERT_TRUE(expected);
        ASSERT_EQ(token.at(row), *expected) << "step " << step << " row " << row << " top-k " << o.topK << " top-p " << o.topP;
      }
    }
  }
}

} // namespace
