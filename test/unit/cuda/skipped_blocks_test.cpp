// Blocks of keys that no row of a tile sees, by positions or by masks that are tensors, are neither copied nor multiplied: NaN in them does
// not come through, and the simulator's counters show that work shrinks with what is seen. Blocks are 128 keys at most: a key is poisoned
// where none is seen that near.
#include "../cpu/AttentionReference.h"
#include "DeviceKernels.h"

using namespace leat::test;

namespace {

constexpr int64_t kHeads = 2, kDepth = 64, kKeys = 512, kBlock = 128, kWindow = 100;
constexpr double kLeast = -3.4028234663852886e38;

/// Queries of decode, and two tiles of rows.
constexpr int64_t kQueries[] = {4, 100};

std::string kernelOf(const std::string &name, const std::string &list, const std::string &type, const std::string &options) {
  std::string q = "tensor<?x2x?x64xf16>", k = "tensor<?x1x?x64xf16>", at = "tensor<?xi64>", lse = "tensor<?x2x?xf32>";
  bool ring = list == "k_pos";
  return "leat.kernel_func @" + name + " inputs " + (ring ? "5" : "4") + " -> [" + q + ", " + lse + "] {\n^bb0(%q: " + q + ", %k: " + k +
         ", %v: " + k + (ring ? ", %at: " + at : "") + ", %m: " + type + "):\n  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) " +
         (ring ? "q_pos(%at) " : "") + list + "(%m) {scale = 0.25 : f64" + options + "} : (" + q + ", " + k + ", " + k +
         (ring ? ", " + at : "") + ", " + type + ") -> (" + q + ", " + lse + ")\n  leat.yield %o, %l : " + q + ", " + lse + "\n}\n";
}

const std::string &kernels() {
  static const std::string text =
      kernelOf("ring", "k_pos", "tensor<?xi64>", ", causal, window_left = 100 : i64") +
      kernelOf("keys", "bias", "tensor<?x1x1x?xf32>", "") + kernelOf("queries", "bias", "tensor<?x1x?x?xf32>", "") +
      kernelOf("heads", "bias", "tensor<1x2x?x?xf32>", "") + kernelOf("triangle", "bias", "tensor<?x1x?x?xf32>", ", causal");
  return text;
}

/// Operands of one run, and what they mean.
struct Operands {
  Operands(const std::string &kernel, int64_t batch, int64_t queries)
      : kernel(kernel), queries(queries), q(Array::random("f16", {batch, kHeads, queries, kDepth}, 1)),
        k(Array::random("f16", {batch, 1, kKeys, kDepth}, 2)), v(Array::random("f16", {batch, 1, kKeys, kDepth}, 3)), at("i64", {queries}),
        o("f16", {batch, kHeads, queries, kDepth}), lse("f32", {batch, kHeads, queries}),
        reference{batch, kHeads, 1, queries, kDepth, kDepth} {
    bool isRing = kernel == "ring";
    int64_t h = kernel == "heads" ? kHeads : 1, b = kernel == "heads" ? 1 : batch, s = kernel == "keys" ? 1 : queries;
    mask = isRing ? Array("i64", {kKeys}) : Array("f32", {b, h, s, kKeys});
    reference.causal = isRing || kernel == "triangle";
    if (isRing) { // turned by a third, with some empty slots; queries follow the last key
      reference.left = kWindow;
      for (int64_t j = 0; j < kKeys; ++j)
        mask.set(j, j % 97 == 3 ? -1 : (j + kKeys / 3) % kKeys);
      for (int64_t i = 0; i < queries; ++i)
        at.set(i, kKeys - queries + i);
      reference.queryPosition = [this](int64_t, int64_t i) { return int64_t(at.at(i)); };
    }
  }
  Operands(const Operands &) = delete;

  double biasAt(int64_t b, int64_t h, int64_t i, int64_t j) const {
    int64_t rows = mask.dims[2], hs = mask.dims[1];
    return mask.at((((mask.dims[0] == 1 ? 0 : b) * hs + (hs == 1 ? 0 : h)) * rows + (rows == 1 ? 0 : i)) * kKeys + j);
  }
  /// Hides keys from `from` on, below `to`, of a batch.
  void hide(int64_t b, int64_t from, int64_t to, double value = -kInfinity) {
    int64_t rows = mask.dims[1] * mask.dims[2];
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = from; j < to; ++j)
        mask.set((b * rows + r) * kKeys + j, value);
  }
  bool sees(int64_t b, int64_t h, int64_t i, int64_t j) const {
    int64_t position = kernel == "ring" ? int64_t(mask.at(j)) : j, query = kernel == "ring" ? int64_t(at.at(i)) : i + kKeys - queries;
    if (reference.causal && (position > query || position < 0 || (reference.left >= 0 && query - position > reference.left)))
      return false;
    return kernel == "ring" || biasAt(b, h, i, j) > -1e30;
  }

  DeviceKernels::Outcome run(DeviceKernels &device) {
    std::vector<Array *> inputs{&q, &k, &v};
    if (kernel == "ring")
      inputs.push_back(&at);
    inputs.push_back(&mask);
    auto outcome = device.run(kernel, inputs, {&o, &lse});
    for (const std::string &error : outcome.errors)
      ADD_FAILURE() << "@" << kernel << ": " << error;
    return outcome;
  }
  /// Writes NaN where no key is seen nearby, after the reference has taken the keys as they were. Returns how many.
  int64_t poison() {
    wholeK = k, wholeV = v;
    Reference::Segment segment{element(q), element(wholeK), element(wholeV), kKeys, {}, {}};
    if (kernel == "ring")
      segment.position = [this](int64_t j) { return int64_t(mask.at(j)); };
    else
      segment.bias = [this](int64_t b, int64_t h, int64_t i, int64_t j) { return biasAt(b, h, i, j); };
    reference.segments = {segment};
    int64_t count = 0;
    for (int64_t b = 0; b < reference.batch; ++b) {
      std::vector<bool> seen(kKeys, false);
      for (int64_t j = 0; j < kKeys; ++j)
        for (int64_t h = 0; h < kHeads && !seen[j]; ++h)
          for (int64_t i = 0; i < queries && !seen[j]; ++i)
            seen[j] = sees(b, h, i, j);
      for (int64_t j = 0; j < kKeys; ++j) {
        bool near = false;
        for (int64_t other = std::max<int64_t>(0, j - kBlock + 1); other < std::min(kKeys, j + kBlock); ++other)
          near = near || seen[other];
        if (near)
          continue;
        ++count;
        for (int64_t d = 0; d < kDepth; ++d)
          for (Array *array : {&k, &v})
            array->set((b * kKeys + j) * kDepth + d, std::numeric_limits<double>::quiet_NaN());
      }
    }
    return count;
  }
  void expectGood() {
    auto [error, plain] = errorsOf(reference, o);
    EXPECT_LE(error, 2 * plain);
    if (queries < kQueries[1]) // double loops in f64 take their time
      expectLse(reference, lse, 1e-2);
  }
  bool hasNaN() {
    return llvm::any_of(o.values(), [](double x) { return std::isnan(x); });
  }

  std::string kernel;
  int64_t queries;
  Array q, k, v, at, o, lse, mask = Array("f32", {1}), wholeK = Array("f16", {1}), wholeV = Array("f16", {1});
  Reference reference;
};

uint64_t products(const DeviceKernels::Outcome &outcome) { return outcome.counters.multiplyAdds; }
uint64_t copied(const DeviceKernels::Outcome &outcome) { return outcome.counters.asyncCopyBytes + outcome.counters.bulkBytes; }

class SkippedBlocks : public testing::TestWithParam<const char *> {
protected:
  static DeviceKernels &device() {
    static std::map<std::string, std::unique_ptr<DeviceKernels>> all;
    auto &kernel = all[GetParam()];
    if (!kernel)
      kernel = DeviceKernels::compile(kernels(), GetParam());
    return *kernel;
  }
};

TEST_P(SkippedBlocks, WhatAMaskHidesIsNotRead) {
  for (const char *kernel : {"keys", "queries", "heads", "triangle"})
    for (int64_t queries : kQueries) {
      SCOPED_TRACE(std::string(kernel) + " " + std::to_string(queries));
      Operands open(kernel, 1, queries), hidden(kernel, 1, queries);
      auto all = open.run(device());
      hidden.hide(0, 30, 490);
      EXPECT_GT(hidden.poison(), 100);
      auto some = hidden.run(device());
      hidden.expectGood();
      // 52 of 512 keys: two or three blocks, and the queries.
      EXPECT_LT(2 * products(some), products(all));
      EXPECT_LT(copied(some), copied(all) * 3 / 4);
    }
}

TEST_P(SkippedBlocks, APoisonedKeyThatIsSeenIsNoticed) {
  for (int64_t queries : kQueries) {
    Operands run("queries", 1, queries);
    run.hide(0, 30, 490);
    EXPECT_GT(run.poison(), 100);
    run.mask.set((queries - 1) * kKeys + 256, 0); // by one row
    run.run(device());
    EXPECT_TRUE(run.hasNaN());
  }
}

TEST_P(SkippedBlocks, PositionsOfARing) {
  for (int64_t queries : kQueries) {
    SCOPED_TRACE(queries);
    Operands run("ring", 1, queries);
    EXPECT_GT(run.poison(), 30);
    auto some = run.run(device());
    run.expectGood();
    // Positions that all rows see.
    Operands open("ring", 1, queries);
    for (int64_t j = 0; j < kKeys; ++j)
      open.mask.set(j, kKeys - queries);
    auto all = open.run(device());
    EXPECT_LT(products(some), products(all) * 3 / 4);
    EXPECT_LT(copied(some), copied(all));
  }
}

TEST_P(SkippedBlocks, NothingIsSeen) {
  for (const char *kernel : {"keys", "ring"})
    for (int64_t queries : kQueries) {
      Operands run(kernel, 1, queries);
      for (int64_t j = 0; j < run.mask.size(); ++j)
        run.mask.set(j, std::string(kernel) == "ring" ? -1 : -kInfinity);
      EXPECT_EQ(run.poison(), kKeys);
      run.run(device());
      for (double x : run.o.values())
        ASSERT_EQ(x, 0);
      for (double x : run.lse.values())
        ASSERT_EQ(x, -kInfinity);
    }
}

/// Masks of the least float: as good as -inf beside keys that are seen, and all there is where none is. In decode a part of the keys knows
/// of no other, so that this is about prefill.
TEST_P(SkippedBlocks, TheLeastFloatHidesBesideOthers) {
  Operands padded("keys", 1, kQueries[1]), open("keys", 1, kQueries[1]), alone("keys", 1, kQueries[1]);
  padded.hide(0, 40, kKeys, kLeast);
  EXPECT_GT(padded.poison(), 100);
  EXPECT_LT(2 * products(padded.run(device())), products(open.run(device())));
  padded.expectGood();
  EXPECT_FALSE(padded.hasNaN());
  // The mean of all values: keys are read.
  alone.hide(0, 0, kKeys, kLeast);
  EXPECT_EQ(alone.poison(), kKeys);
  alone.run(device());
  EXPECT_TRUE(alone.hasNaN());
  alone.k = alone.wholeK, alone.v = alone.wholeV;
  alone.run(device());
  alone.expectGood();
}

INSTANTIATE_TEST_SUITE_P(Gpus, SkippedBlocks, testing::Values("sm_80", "sm_90a"));

} // namespace
