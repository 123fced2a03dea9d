// Elementwise kernels and everything that is pulled: broadcasts, transposes, gathers, slices, concatenation, padding, reshapes,
// conversions, rotary embedding. Expected values come from loops over the same index arithmetic.
#include "KernelJit.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace leat::test;

namespace {

class Map : public ::testing::TestWithParam<unsigned> {
protected:
  void SetUp() override {
    if (!Kernels::supported(GetParam()))
      GTEST_SKIP() << "this machine lacks the instructions";
  }
  std::unique_ptr<Kernels> compile(const std::string &text) { return Kernels::compile(text, GetParam()); }
  int64_t lanes() { return GetParam() / 32; }
  std::vector<int64_t> sizes() { return {0, 1, lanes() - 1, lanes(), lanes() + 1, 2 * lanes() + 3}; }
};

template <typename F> void expectEach(const Array &got, F expected, double tolerance = 0) {
  for (int64_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got.at(i), expected(i), tolerance) << "element " << i << " of " << got.size();
}

TEST_P(Map, BroadcastTransposeGather) {
  auto kernels = compile(R"(
#id = affine_map<(a, b) -> (a, b)>
leat.kernel_func @f inputs 4 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %bias: tensor<?xf32>, %table: tensor<?x?xf32>, %ids: tensor<?xi64>, %m: index, %n: index):
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, affine_map<(a, b) -> (b)>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %bias : tensor<?x?xf32>, tensor<?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %a = linalg.index 0 : index
    %b = linalg.index 1 : index
    %id = tensor.extract %ids[%a] : tensor<?xi64>
    %row = arith.index_cast %id : i64 to index
    %g = tensor.extract %table[%row, %b] : tensor<?x?xf32>
    %0 = arith.addf %v, %w : f32
    %1 = arith.addf %0, %g : f32
    linalg.yield %1 : f32
  } -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {n, 3}, 1), bias = Array::random("f32", {n}, 2), table = Array::random("f32", {5, n}, 3),
          y("f32", {3, n});
    Array ids = Array::i64({3}, {4, 0, 2});
    kernels->run("f", {&x, &bias, &table, &ids}, {&y}, {3, n});
    expectEach(
        y, [&](int64_t i) { return x.at(i % n * 3 + i / n) + bias.at(i % n) + table.at(static_cast<int64_t>(ids.at(i / n)) * n + i % n); },
        1e-6);
    // A position outside of the table reads its nearest row, never foreign memory.
    Array wild = Array::i64({3}, {99, -7, 1});
    kernels->run("f", {&x, &bias, &table, &wild}, {&y}, {3, n});
    expectEach(
        y,
        [&](int64_t i) {
          return x.at(i % n * 3 + i / n) + bias.at(i % n) + table.at((i / n == 0 ? 4 : i / n == 1 ? 0 : 1) * n + i % n);
        },
        1e-6);
  }
}

TEST_P(Map, LookupInPackedWeight) {
  auto kernels = compile(R"(
leat.kernel_func @f inputs 2 -> [tensor<?x37xf32>] attributes {leat.layouts = ["panel64t", ""]} {
^bb0(%table: tensor<70x37xf32>, %ids: tensor<?xi64>, %m: index):
  %e = tensor.empty(%m) : tensor<?x37xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<?xi64>) outs(%e : tensor<?x37xf32>) {
  ^bb0(%id: i64, %o: f32):
    %row = arith.index_cast %id : i64 to index
    %b = linalg.index 1 : index
    %g = tensor.extract %table[%row, %b] : tensor<70x37xf32>
    linalg.yield %g : f32
  } -> tensor<?x37xf32>
  leat.yield %r : tensor<?x37xf32>
})");
  ASSERT_TRUE(kernels);
  // Rows of both panels, the second of which is padded from row 70 to 128.
  Array packed = Array::random("f32", {2, 37, 64}, 1), ids = Array::i64({5}, {0, 63, 64, 69, 1000}), y("f32", {5, 37});
  kernels->run("f", {&packed, &ids}, {&y}, {5});
  expectEach(y, [&](int64_t i) {
    int64_t row = std::min<int64_t>(static_cast<int64_t>(ids.at(i / 37)), 69);
    return packed.at((row / 64 * 37 + i % 37) * 64 + row % 64);
  });
}

TEST_P(Map, GatherAlongLanes) {
  auto kernels = compile(R"(
#id = affine_map<(a, b) -> (a, b)>
leat.kernel_func @f inputs 2 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %ids: tensor<?x?xi64>, %m: index, %n: index):
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%ids : tensor<?x?xi64>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%id: i64, %o: f32):
    %a = linalg.index 0 : index
    %c = arith.index_cast %id : i64 to index
    %g = tensor.extract %x[%a, %c] : tensor<?x?xf32>
    linalg.yield %g : f32
  } -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {2, 9}, 1), ids = Array::random("i64", {2, n}, 2, 0, 8.9), y("f32", {2, n});
    kernels->run("f", {&x, &ids}, {&y}, {2, n});
    expectEach(y, [&](int64_t i) { return x.at(i / n * 9 + static_cast<int64_t>(ids.at(i))); });
  }
}

TEST_P(Map, RangesAndComparisons) {
  auto kernels = compile(R"(
#id = affine_map<(a, b) -> (a, b)>
leat.kernel_func @f inputs 0 -> [tensor<?x?xi1>, tensor<?x?xi64>] {
^bb0(%m: index, %n: index, %from: i64, %limit: f32):
  %e = tensor.empty(%m, %n) : tensor<?x?xi1>
  %r = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<?x?xi1>) {
  ^bb0(%o: i1):
    %a = linalg.index 0 : index
    %b = linalg.index 1 : index
    %c = arith.cmpi sle, %b, %a : index
    linalg.yield %c : i1
  } -> tensor<?x?xi1>
  %f = tensor.empty(%m, %n) : tensor<?x?xi64>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%r : tensor<?x?xi1>) outs(%f : tensor<?x?xi64>) {
  ^bb0(%c: i1, %o: i64):
    %b = linalg.index 1 : index
    %i = arith.index_cast %b : index to i64
    %two = arith.constant 2 : i64
    %j = arith.muli %i, %two : i64
    %k = arith.addi %j, %from : i64
    %zero = arith.constant 0 : i64
    %v = arith.select %c, %k, %zero : i64
    linalg.yield %v : i64
  } -> tensor<?x?xi64>
  leat.yield %r, %s : tensor<?x?xi1>, tensor<?x?xi64>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array r("i1", {4, n}), s("i64", {4, n});
    kernels->run("f", {}, {&r, &s}, {4, n, 100, bitsOf(1)});
    expectEach(r, [&](int64_t i) { return i % n <= i / n; });
    expectEach(s, [&](int64_t i) { return i % n <= i / n ? 2 * (i % n) + 100 : 0; });
  }
}

TEST_P(Map, SliceConcatPad) {
  auto kernels = compile(R"(
leat.kernel_func @f inputs 2 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %m: index, %k: index, %low: index):
  %z = arith.constant 7.0 : f32
  %s = tensor.extract_slice %x[0, 1] [%m, %k] [1, 2] : tensor<?x?xf32> to tensor<?x?xf32>
  %c = tensor.concat dim(1) %s, %y, %s : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  %p = tensor.pad %c low[0, %low] high[1, 2] {
  ^bb0(%i: index, %j: index):
    tensor.yield %z : f32
  } : tensor<?x?xf32> to tensor<?x?xf32>
  leat.yield %p : tensor<?x?xf32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes())
    for (int64_t low : {int64_t(0), int64_t(3), lanes()}) {
      int64_t k = 5, total = 2 * k + n, width = low + total + 2;
      Array x = Array::random("f32", {2, 12}, 1), y = Array::random("f32", {2, n}, 2), r("f32", {3, width});
      kernels->run("f", {&x, &y}, {&r}, {2, k, low});
      expectEach(r, [&](int64_t i) {
        int64_t row = i / width, c = i % width - low;
        if (row == 2 || c < 0 || c >= total)
          return 7.0;
        if (c >= k && c < k + n)
          return y.at(row * n + c - k);
        return x.at(row * 12 + 1 + 2 * (c < k ? c : c - k - n));
      });
    }
}

TEST_P(Map, RotateHalf) {
  // The way exporters write it: concat(-x[32:], x[:32]) * sin + x * cos.
  auto kernels = compile(R"(
#id = affine_map<(a, b) -> (a, b)>
leat.kernel_func @f inputs 2 -> [tensor<?x64xf32>] {
^bb0(%x: tensor<?x64xf32>, %sin: tensor<?x64xf32>, %m: index):
  %hi = tensor.extract_slice %x[0, 32] [%m, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
  %lo = tensor.extract_slice %x[0, 0] [%m, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
  %e = tensor.empty(%m) : tensor<?x32xf32>
  %neg = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%hi : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %0 = arith.negf %a : f32
    linalg.yield %0 : f32
  } -> tensor<?x32xf32>
  %c = tensor.concat dim(1) %neg, %lo : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
  %f = tensor.empty(%m) : tensor<?x64xf32>
  %r = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c, %sin, %x : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) outs(%f : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %d: f32, %o: f32):
    %0 = arith.mulf %a, %b : f32
    %1 = arith.addf %0, %d : f32
    linalg.yield %1 : f32
  } -> tensor<?x64xf32>
  leat.yield %r : tensor<?x64xf32>
})");
  ASSERT_TRUE(kernels);
  Array x = Array::random("f32", {3, 64}, 1), sin = Array::random("f32", {3, 64}, 2), r("f32", {3, 64});
  kernels->run("f", {&x, &sin}, {&r}, {3});
  expectEach(r, [&](int64_t i) { return (i % 64 < 32 ? -x.at(i + 32) : x.at(i - 32)) * sin.at(i) + x.at(i); }, 1e-6);
}

TEST_P(Map, Reshapes) {
  auto kernels = compile(R"(
#id3 = affine_map<(a, b, c) -> (a, b, c)>
leat.kernel_func @f inputs 1 -> [tensor<?x6x?xf32>] {
^bb0(%x: tensor<?x?xf32>, %m: index, %n: index):
  // [m, 6n] -> transposed inside -> [m, 6, n]: a transpose between keeps it from being one run of memory.
  %c6 = arith.constant 6 : index
  %n6 = arith.muli %n, %c6 : index
  %e = tensor.empty(%m, %n6) : tensor<?x?xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x?xf32>
  %r = tensor.expand_shape %t [[0], [1, 2]] output_shape [%m, 6, %n] : tensor<?x?xf32> into tensor<?x6x?xf32>
  leat.yield %r : tensor<?x6x?xf32>
}
leat.kernel_func @g inputs 1 -> [tensor<?x?xf32>] {
^bb0(%x: tensor<?x?x?xf32>, %m: index, %n: index, %p: index):
  %np = arith.muli %n, %p : index
  %e = tensor.empty(%m, %p, %n) : tensor<?x?x?xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, c, b)>, #id3], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<?x?x?xf32>) outs(%e : tensor<?x?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x?x?xf32>
  %s = tensor.from_elements %m, %np : tensor<2xindex>
  %r = tensor.reshape %t(%s) : (tensor<?x?x?xf32>, tensor<2xindex>) -> tensor<?x?xf32>
  leat.yield %r : tensor<?x?xf32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {6 * n, 2}, 1), r("f32", {2, 6, n});
    kernels->run("f", {&x}, {&r}, {2, n});
    expectEach(r, [&](int64_t i) { return x.at(i % (6 * n) * 2 + i / (6 * n)); });
    Array y = Array::random("f32", {2, n, 3}, 1), s("f32", {2, 3 * n});
    kernels->run("g", {&y}, {&s}, {2, n, 3});
    expectEach(s, [&](int64_t i) { return y.at((i / (3 * n) * n + i % n) * 3 + i % (3 * n) / n); });
  }
}

TEST_P(Map, Conversions) {
  for (auto [from, to, op] : std::vector<std::tuple<const char *, const char *, const char *>>{{"f32", "f16", "arith.truncf"},
                                                                                               {"f16", "f32", "arith.extf"},
                                                                                               {"f32", "bf16", "arith.truncf"},
                                                                                               {"bf16", "f32", "arith.extf"},
                                                                                               {"f64", "f32", "arith.truncf"},
                                                                                               {"f16", "f64", "arith.extf"},
                                                                                               {"i64", "f32", "arith.sitofp"},
                                                                                               {"f32", "i32", "arith.fptosi"},
                                                                                               {"f32", "i64", "arith.fptosi"},
                                                                                               {"i8", "i32", "arith.extsi"},
                                                                                               {"i8", "i64", "arith.extui"},
                                                                                               {"i64", "i8", "arith.trunci"},
                                                                                               {"i1", "f32", "arith.uitofp"},
                                                                                               {"i1", "i64", "arith.extui"}}) {
    std::string in = std::string("tensor<?x") + from + ">", out = std::string("tensor<?x") + to + ">";
    auto kernels = compile("#id = affine_map<(a) -> (a)>\nleat.kernel_func @f inputs 1 -> [" + out + "] {\n^bb0(%x: " + in +
                           ", %n: index):\n  %e = tensor.empty(%n) : " + out +
                           "\n  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = [\"parallel\"]} ins(%x : " + in +
                           ") outs(%e : " + out + ") {\n  ^bb0(%a: " + from + ", %o: " + to + "):\n    %0 = " + op + " %a : " + from +
                           " to " + to + "\n    linalg.yield %0 : " + to + "\n  } -> " + out + "\n  leat.yield %r : " + out + "\n}\n");
    ASSERT_TRUE(kernels) << op;
    Array x = Array::random(from, {71}, 3, std::string(from) == "i1" ? 0 : -100, std::string(from) == "i1" ? 1.99 : 100), y(to, {71}),
          expected(to, {71});
    if (std::string(from) == "f32" && to[0] != 'i') {
      int64_t i = 0;
      for (double v : {65504.0, 65519.0, 65520.0, 1e-5, 6e-8, 2e-8, -3e-8, 0.0, -0.0, double(INFINITY), 1e30})
        x.set(i++, v);
    }
    kernels->run("f", {&x}, {&y}, {71});
    for (int64_t i = 0; i < 71; ++i) {
      double v = x.at(i);
      if (std::string(op) == "arith.extui" && v < 0)
        v += 256;
      if (to[0] == 'i')
        v = std::trunc(v);
      expected.set(i, v);
      ASSERT_EQ(y.at(i), expected.at(i)) << op << " " << from << " to " << to << " of " << x.at(i);
    }
  }
}

TEST_P(Map, SmallFloats) {
  // All codes decode and encode back; numbers between two codes go to the nearer one.
  for (const char *type : {"f8E4M3FN", "f8E5M2", "f8E4M3FNUZ", "f8E5M2FNUZ"}) {
    std::string t = type;
    auto convert = [&](const std::string &from, const std::string &to, const std::string &op) {
      std::string in = "tensor<?x" + from + ">", out = "tensor<?x" + to + ">";
      return "leat.kernel_func @" + op.substr(6) + " inputs 1 -> [" + out + "] {\n^bb0(%x: " + in +
             ", %n: index):\n  %e = tensor.empty(%n) : " + out +
             "\n  %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = [\"parallel\"]} "
             "ins(%x : " +
             in + ") outs(%e : " + out + ") {\n  ^bb0(%a: " + from + ", %o: " + to + "):\n    %0 = " + op + " %a : " + from + " to " + to +
             "\n    linalg.yield %0 : " + to + "\n  } -> " + out + "\n  leat.yield %r : " + out + "\n}\n";
    };
    auto kernels = compile(convert(t, "f32", "arith.extf") + convert("f32", t, "arith.truncf"));
    ASSERT_TRUE(kernels);
    Array codes("i8", {256}), values("f32", {256}), back("i8", {256});
    for (int64_t i = 0; i < 256; ++i)
      codes.set(i, static_cast<int8_t>(i));
    kernels->run("extf", {&codes}, {&values}, {256});
    kernels->run("truncf", {&values}, {&back}, {256});
    for (int64_t i = 0; i < 256; ++i)
      if (!std::isnan(values.at(i)))
        ASSERT_EQ(back.at(i), codes.at(i)) << type << " code " << i << " is " << values.at(i);
    Array x = Array::random("f32", {2000}, 5, -1.5, 1.5), to("i8", {2000}), got("f32", {2000});
    kernels->run("truncf", {&x}, {&to}, {2000});
    kernels->run("extf", {&to}, {&got}, {2000});
    for (int64_t i = 0; i < 2000; ++i) {
      double best = INFINITY;
      for (int64_t j = 0; j < 256; ++j)
        if (!std::isnan(values.at(j)))
          best = std::min(best, std::abs(values.at(j) - x.at(i)));
      ASSERT_EQ(std::abs(got.at(i) - x.at(i)), best) << type << " of " << x.at(i);
    }
    Array large = Array::f32({2}, {1e6f, NAN}), end("i8", {2}), ends("f32", {2});
    kernels->run("truncf", {&large}, {&end}, {2});
    kernels->run("extf", {&end}, {&ends}, {2});
    ASSERT_TRUE(t == "f8E5M2" ? std::isinf(ends.at(0)) : std::isnan(ends.at(0)));
    ASSERT_TRUE(std::isnan(ends.at(1)));
  }
}

TEST_P(Map, Rotary) {
  for (bool interleaved : {false, true})
    for (int64_t rotated : {int64_t(8), int64_t(32), int64_t(48)}) {
      std::string half = std::to_string(rotated / 2);
      auto kernels =
          compile("leat.kernel_func @f inputs 3 -> [tensor<?x2x?x48xf32>] {\n^bb0(%x: tensor<?x2x?x48xf32>, %c: tensor<1x?x" + half +
                  "xf32>, %s: tensor<1x?x" + half + "xf32>):\n  %r = leat.rotary %x, %c, %s {rotary_dim = " + std::to_string(rotated) +
                  " : i64" + (interleaved ? ", interleaved" : "") + "} : (tensor<?x2x?x48xf32>, tensor<1x?x" + half + "xf32>, tensor<1x?x" +
                  half + "xf32>) -> tensor<?x2x?x48xf32>\n  leat.yield %r : tensor<?x2x?x48xf32>\n}\n");
      ASSERT_TRUE(kernels);
      Array x = Array::random("f32", {2, 2, 3, 48}, 1), c = Array::random("f32", {1, 3, rotated / 2}, 2),
            s = Array::random("f32", {1, 3, rotated / 2}, 3), y("f32", x.dims);
      kernels->run("f", {&x, &c, &s}, {&y});
      expectEach(
          y,
          [&](int64_t i) {
            int64_t d = i % 48, token = i / 48 % 3, h = rotated / 2;
            if (d >= rotated)
              return x.at(i);
            int64_t pair = interleaved ? d / 2 : d % h;
            bool first = interleaved ? d % 2 == 0 : d < h;
            double cos = c.at(token * h + pair), sin = s.at(token * h + pair),
                   other = x.at(first ? i + (interleaved ? 1 : h) : i - (interleaved ? 1 : h));
            return x.at(i) * cos + (first ? -other : other) * sin;
          },
          1e-6);
    }
}

TEST_P(Map, StateSlots) {
  std::string text = R"(
leat.kernel_func @append inputs 2 -> [!leat.state<tensor<?x2x?x8xf32>>] {
^bb0(%s: !leat.state<tensor<?x2x?x8xf32>>, %x: tensor<?x?x2x8xf32>, %at: index):
  %n = leat.cache_append %s, %x at %at {axis = 2 : i64, layout = "bshd"} : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x?x2x8xf32>
  leat.yield %n : !leat.state<tensor<?x2x?x8xf32>>
}
leat.kernel_func @ring inputs 2 -> [!leat.state<tensor<?x2x?x8xf32>>] {
^bb0(%s: !leat.state<tensor<?x2x?x8xf32>>, %x: tensor<?x2x?x8xf32>, %at: index):
  %n = leat.cache_append %s, %x at %at {axis = 2 : i64, sink = 2 : i64, ring = 5 : i64} : !leat.state<tensor<?x2x?x8xf32>>, tensor<?x2x?x8xf32>
  leat.yield %n : !leat.state<tensor<?x2x?x8xf32>>
}
leat.kernel_func @view inputs 1 -> [tensor<?x2x?x8xf32>] {
^bb0(%s: !leat.state<tensor<?x2x?x8xf32>>, %from: index, %n: index):
  %v = leat.cache_view %s[%from, %n] {axis = 2 : i64} : !leat.state<tensor<?x2x?x8xf32>> -> tensor<?x2x?x8xf32>
  leat.yield %v : tensor<?x2x?x8xf32>
})";
  auto kernels = compile(text);
  ASSERT_TRUE(kernels);
  Array slot = Array::random("f32", {2, 2, 9, 8}, 1), before = slot, x = Array::random("f32", {2, 3, 2, 8}, 2);
  kernels->run("append", {&slot, &x}, {}, {4});
  expectEach(slot, [&](int64_t i) {
    int64_t d = i % 8, t = i / 8 % 9 - 4, h = i / 72 % 2, batch = i / 144;
    return t >= 0 && t < 3 ? x.at(((batch * 3 + t) * 2 + h) * 8 + d) : before.at(i);
  });
  Array view("f32", {2, 2, 3, 8});
  kernels->run("view", {&slot}, {&view}, {4, 3});
  expectEach(view, [&](int64_t i) { return x.at(((i / 48 * 3 + i / 8 % 3) * 2 + i / 24 % 2) * 8 + i % 8); });
  // A ring, by steps of several lengths, one longer than the ring: every place holds the last entry that falls on it.
  Array ring("f32", {1, 2, 7, 8});
  std::vector<double> last(7, 0);
  int64_t seen = 0;
  for (int64_t step : {1, 3, 2, 13, 4}) {
    Array more("f32", {1, 2, step, 8});
    for (int64_t i = 0; i < more.size(); ++i)
      more.set(i, 1000 * (seen + i / 8 % step + 1) + i % 8);
    kernels->run("ring", {&ring, &more}, {}, {seen});
    for (int64_t t = seen; t < seen + step; ++t)
      last[t < 2 ? t : 2 + (t - 2) % 5] = 1000 * (t + 1);
    seen += step;
    expectEach(ring, [&](int64_t i) { return last[i / 8 % 7] ? last[i / 8 % 7] + i % 8 : 0.0; });
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Map, ::testing::Values(128, 256, 512));

} // namespace
