// leat.sample against the runtime's sampler: the same token for every filter, row and step.
#include "KernelJit.h"
#include "runtime/decode/Sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace leat::test;

namespace {

constexpr int64_t kSeed = 81985529216486895;

leat::rt::SamplerOptions options(double temperature, int64_t topK = 0, double topP = 1, double minP = 0, double penalty = 1) {
  leat::rt::SamplerOptions o;
  o.temperature = temperature, o.topK = topK, o.topP = topP, o.minP = minP, o.repetitionPenalty = penalty;
  o.seed = kSeed;
  return o;
}

/// `vocabulary` as in a type: a number or "?".
std::unique_ptr<Kernels> compile(const leat::rt::SamplerOptions &o, const std::string &vocabulary, const std::string &type = "f32") {
  auto number = [](double v) { return std::to_string(v) + " : f64"; };
  std::string x = "tensor<?x" + vocabulary + "x" + type + ">";
  return Kernels::compile("leat.kernel_func @f inputs 2 -> [tensor<?xi64>] {\n^bb0(%x: " + x +
                              ", %h: tensor<?x?xi64>, %step: index):\n"
                              "  %t = leat.sample %x history %h : tensor<?x?xi64> step %step {seed = " +
                              std::to_string(kSeed) + " : i64, temperature = " + number(o.temperature) +
                              ", top_k = " + std::to_string(o.topK) + " : i64, top_p = " + number(o.topP) + ", min_p = " + number(o.minP) +
                              ", repetition_penalty = " + number(o.repetitionPenalty) + "} : " + x +
                              " -> tensor<?xi64>\n  leat.yield %t : tensor<?xi64>\n}\n",
                          128);
}

/// What the runtime draws from a row; nothing where it refuses to.
std::optional<int64_t> expected(const leat::rt::SamplerOptions &o, const Array &x, const Array &history, int64_t row, int64_t step) {
  int64_t tokens = x.dims[1], seen = history.dims[1];
  std::vector<float> logits;
  for (int64_t i = 0; i < tokens; ++i)
    logits.push_back(x.at(row * tokens + i));
  auto token = leat::rt::Sampler(o).sample(logits.data(), tokens,
                                           {reinterpret_cast<const int64_t *>(history.bytes.data()) + row * seen, size_t(seen)}, row, step);
  return token ? std::optional(*token) : std::nullopt;
}

TEST(Sample, AgreesWithTheRuntime) {
  for (auto o : {options(0), options(1), options(0.7, 5), options(1.3, 0, 0.8), options(1, 0, 1, 0.2), options(0.9, 20, 0.9, 0.05, 1.3),
                 options(1, 1000)}) {
    auto kernels = compile(o, "61");
    ASSERT_TRUE(kernels);
    Array x = Array::random("f32", {4, 61}, 3, -2, 3), token("i64", {4});
    for (int64_t i = 0; i < 61; ++i) // ties
      x.set(122 + i, 0.25 * (i % 5));
    Array history = Array::i64({4, 3}, {1, -1, 60, 4, 4, 5, 3, 1, 2, 0, 99, -1});
    std::set<int64_t> drawn;
    int64_t otherSeed = 0, steps = Kernels::isSimulated() ? 6 : 200;
    for (int64_t step = 0; step < steps; ++step) {
      kernels->run("f", {&x, &history}, {&token}, {step});
      for (int64_t row = 0; row < 4; ++row) {
        ASSERT_EQ(token.at(row), expected(o, x, history, row, step))
            << "step " << step << " row " << row << " top-k " << o.topK << " top-p " << o.topP;
        drawn.insert(token.at(row));
        auto other = o;
        ++other.seed;
        otherSeed += token.at(row) != expected(other, x, history, row, step);
      }
    }
    // What would agree with anything shows nothing.
    EXPECT_EQ(otherSeed > 0, o.temperature > 0);
    EXPECT_GT(drawn.size(), o.temperature > 0 ? 6u : 2u);
  }
}

/// Rows that a filter cuts where weights are equal, that have nothing to choose from, and lengths around those of warps and blocks.
TEST(Sample, Edges) {
  double (*rows[])(int64_t) = {[](int64_t) { return 0.5; },
                               [](int64_t i) { return double(i % 3); },
                               [](int64_t i) { return i % 7 == 3 ? -1.0 : -INFINITY; },
                               [](int64_t i) { return i % 2 ? NAN : 0.01 * double(i % 97); },
                               [](int64_t i) { return i == 0 ? INFINITY : 1.0; },
                               [](int64_t i) { return -double(i) * 40; },
                               [](int64_t i) { return std::sin(double(i)) * 9; },
                               [](int64_t i) { return 30 + double(i * 7919 % 8191) * 0x1p-14; }};
  int64_t count = std::size(rows);
  for (auto o : {options(1), options(1, 7), options(0.8, 0, 0.5), options(2, 40, 0.7, 0.1), options(1, 0, 0.999999), options(0)})
    for (const char *type : {"f32", "f16"})
      for (int64_t n : {1, 2, 33, 200, 2500}) {
        if (type == std::string("f16") && n != 33)
          continue;
        auto kernels = compile(o, n == 200 ? "?" : std::to_string(n), type);
        ASSERT_TRUE(kernels);
        Array x(type, {count, n}), token("i64", {count}), history("i64", {count, 0});
        for (int64_t row = 0; row < count; ++row)
          for (int64_t i = 0; i < n; ++i)
            x.set(row * n + i, rows[row](i));
        kernels->run("f", {&x, &history}, {&token}, {n});
        for (int64_t row = 0; row < count; ++row) {
          // Of a row without any finite logit, or with one that is infinite, there may be no token to draw: any of them will do.
          auto want = expected(o, x, history, row, n);
          if (want)
            EXPECT_EQ(token.at(row), *want) << "row " << row << " of " << n << ", top-k " << o.topK << " top-p " << o.topP << " " << type;
          else
            EXPECT_TRUE(token.at(row) >= 0 && token.at(row) < n) << "row " << row << " of " << n;
        }
      }
}

} // namespace
