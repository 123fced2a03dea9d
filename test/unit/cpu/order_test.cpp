// Kernels with an order of their own: running sums, extrema, non-zero coordinates, top-k, scatters, merges of attention parts.
#include "KernelJit.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

using namespace leat::test;

namespace {

class Order : public ::testing::TestWithParam<unsigned> {
protected:
  void SetUp() override {
    if (!Kernels::supported(GetParam()))
      GTEST_SKIP() << "this machine lacks the instructions";
  }
  std::unique_ptr<Kernels> compile(const std::string &text) { return Kernels::compile(text, GetParam()); }
  std::vector<int64_t> sizes() {
    int64_t v = GetParam() / 32;
    return {1, v - 1, v, v + 1, 2 * v + 3, 70};
  }
};

std::string text(const std::string &op, const std::string &ins, const std::string &outs, const std::string &types, int count,
                 const std::string &yields) {
  return "leat.kernel_func @f inputs " + std::to_string(count) + " -> [" + outs + "] {\n^bb0(" + ins + "):\n  " + op + " : (" + types +
         ") -> (" + outs + ")\n  leat.yield " + yields + " : " + outs + "\n}\n";
}

TEST_P(Order, CumSum) {
  for (int axis : {0, 1})
    for (bool exclusive : {false, true})
      for (bool reverse : {false, true}) {
        std::string t = "tensor<?x?xf32>";
        auto kernels = compile("leat.kernel_func @f inputs 1 -> [" + t + "] {\n^bb0(%x: " + t +
                               "):\n  %r = leat.cumsum %x {axis = " + std::to_string(axis) + " : i64" + (exclusive ? ", exclusive" : "") +
                               (reverse ? ", reverse" : "") + "} : " + t + "\n  leat.yield %r : " + t + "\n}\n");
        ASSERT_TRUE(kernels);
        for (int64_t n : sizes()) {
          Array x = Array::random("f32", {5, n}, 1), y("f32", {5, n});
          kernels->run("f", {&x}, {&y});
          int64_t length = axis ? n : 5, lines = axis ? 5 : n, stride = axis ? 1 : n;
          for (int64_t line = 0; line < lines; ++line) {
            double sum = 0;
            for (int64_t j = 0; j < length; ++j) {
              int64_t at = line * (axis ? n : 1) + (reverse ? length - 1 - j : j) * stride;
              if (exclusive)
                ASSERT_NEAR(y.at(at), sum, 1e-5);
              sum += x.at(at);
              if (!exclusive)
                ASSERT_NEAR(y.at(at), sum, 1e-5);
            }
          }
        }
      }
}

TEST_P(Order, ArgReduce) {
  for (const char *type : {"f32", "i32"})
    for (int axis : {0, 1})
      for (bool max : {true, false})
        for (bool last : {false, true}) {
          std::string in = std::string("tensor<?x?x") + type + ">", out = axis ? "tensor<?x1xi64>" : "tensor<1x?xi64>";
          auto kernels = compile(text("%r = leat.arg_reduce %x {axis = " + std::to_string(axis) +
                                          " : i64, max = " + (max ? "true" : "false") + (last ? ", select_last" : "") + "}",
                                      "%x: " + in, out, in, 1, "%r"));
          ASSERT_TRUE(kernels);
          for (int64_t n : sizes()) {
            Array x = Array::random(type, {5, n}, 1, -3, 3.9); // few distinct values: many ties
            for (int64_t i = 0; i < x.size(); ++i)
              x.set(i, std::floor(x.at(i)));
            Array y("i64", axis ? std::vector<int64_t>{5, 1} : std::vector<int64_t>{1, n});
            kernels->run("f", {&x}, {&y});
            for (int64_t line = 0; line < y.size(); ++line) {
              int64_t best = 0, length = axis ? n : 5;
              auto value = [&](int64_t j) { return (max ? 1 : -1) * x.at(axis ? line * n + j : j * n + line); };
              for (int64_t j = 1; j < length; ++j)
                if (last ? value(j) >= value(best) : value(j) > value(best))
                  best = j;
              ASSERT_EQ(y.at(line), best) << type << " axis " << axis << " n " << n;
            }
          }
        }
}

/// Rows that a GPU gives to a block, or to several.
TEST_P(Order, ArgReduceLongRows) {
  for (bool known : {false, true})
    for (bool last : {false, true})
      for (int64_t n : {1, 33, 1024, 1025, 9000}) {
        std::string in = "tensor<2x" + (known ? std::to_string(n) : "?") + "xf16>", out = "tensor<2x1xi64>";
        auto kernels =
            compile(text(std::string("%r = leat.arg_reduce %x {axis = 1 : i64, max = true") + (last ? ", select_last" : "") + "}",
                         "%x: " + in, out, in, 1, "%r"));
        ASSERT_TRUE(kernels);
        Array x = Array::random("f16", {2, n}, 1, -3, 3), y("i64", {2, 1});
        for (int64_t i : {n + n / 7, n + n / 2, 2 * n - 1}) // the second row has its maximum more than once
          x.set(i, 4);
        kernels->run("f", {&x}, {&y});
        for (int64_t row = 0; row < 2; ++row) {
          int64_t best = 0;
          for (int64_t j = 1; j < n; ++j)
            if (double v = x.at(row * n + j), b = x.at(row * n + best); last ? v >= b : v > b)
              best = j;
          ASSERT_EQ(y.at(row), best) << "n " << n << " last " << last;
        }
      }
}

TEST_P(Order, NonZero) {
  auto kernels =
      compile(text("%r, %c = leat.nonzero %x", "%x: tensor<?x?xf32>", "tensor<2x?xi64>, tensor<i64>", "tensor<?x?xf32>", 1, "%r, %c"));
  ASSERT_TRUE(kernels);
  Array x = Array::f32({2, 3}, {0, 1, -0.f, NAN, 0, 2}), coords("i64", {2, 6}), count("i64", {});
  kernels->run("f", {&x}, {&coords, &count});
  ASSERT_EQ(count.at(0), 3);
  std::vector<double> rows{0, 1, 1}, columns{1, 0, 2};
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(coords.at(i), rows[i]);
    EXPECT_EQ(coords.at(6 + i), columns[i]);
  }
}

TEST_P(Order, TopK) {
  for (bool largest : {true, false})
    for (int axis : {0, 1}) {
      auto kernels = compile(
          text("%v, %i = leat.topk %x, %k {axis = " + std::to_string(axis) + " : i64, largest = " + (largest ? "true" : "false") + "}",
               "%x: tensor<?x?xf32>, %k: index", "tensor<?x?xf32>, tensor<?x?xi64>", "tensor<?x?xf32>, index", 1, "%v, %i"));
      ASSERT_TRUE(kernels);
      for (int64_t n : sizes())
        for (int64_t k : {int64_t(0), int64_t(1), (n + 1) / 2, n}) {
          std::vector<int64_t> dims = axis ? std::vector<int64_t>{3, n} : std::vector<int64_t>{n, 3};
          std::vector<int64_t> outDims = axis ? std::vector<int64_t>{3, k} : std::vector<int64_t>{k, 3};
          Array x = Array::random("f32", dims, n), v("f32", outDims), at("i64", outDims);
          for (int64_t i = 0; i < x.size(); ++i)
            x.set(i, std::floor(x.at(i) * 8));
          if (n > 4)
            x.set(axis ? 4 : 12, NAN);
          kernels->run("f", {&x}, {&v, &at}, {k});
          for (int64_t line = 0; line < 3; ++line) {
            auto value = [&](int64_t j) { return x.at(axis ? line * n + j : j * 3 + line); };
            std::vector<int64_t> order(n);
            std::iota(order.begin(), order.end(), 0);
            // NaN is the largest of all.
            auto key = [&](int64_t j) { return (largest ? -1 : 1) * (std::isnan(value(j)) ? 1e30 : value(j)); };
            std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) != key(b) ? key(a) < key(b) : a < b; });
            for (int64_t j = 0; j < k; ++j)
              ASSERT_EQ(at.at(axis ? line * k + j : j * 3 + line), order[j]) << "n " << n << " k " << k << " axis " << axis;
          }
        }
    }
}

TEST_P(Order, Scatters) {
  double (*folds[])(double, double) = {[](double, double b) { return b; }, [](double a, double b) { return a + b; },
                                       [](double a, double b) { return a * b; }, [](double a, double b) { return std::fmax(a, b); },
                                       [](double a, double b) { return std::fmin(a, b); }};
  for (int kind = 0; kind < 5; ++kind) {
    std::string t = "tensor<?x?xf32>", i = "tensor<?x?xi64>", j = "tensor<?x1xi64>";
    auto elements = compile(text("%r = leat.scatter_elements %x, %i, %u {axis = 0 : i64, reduction = " + std::to_string(kind) + " : i32}",
                                 "%x: " + t + ", %i: " + i + ", %u: " + t, t, t + ", " + i + ", " + t, 3, "%r"));
    auto slices = compile(text("%r = leat.scatter_nd %x, %i, %u {reduction = " + std::to_string(kind) + " : i32}",
                               "%x: " + t + ", %i: " + j + ", %u: " + t, t, t + ", " + j + ", " + t, 3, "%r"));
    ASSERT_TRUE(elements && slices);
    for (int64_t n : sizes()) {
      Array x = Array::random("f32", {4, n}, 1), u = Array::random("f32", {3, n}, 2), at = Array::random("i64", {3, n}, 3, -4, 3.9),
            y("f32", {4, n});
      elements->run("f", {&x, &at, &u}, {&y});
      std::vector<double> expected = x.values();
      for (int64_t e = 0; e < u.size(); ++e) {
        double &to = expected[(static_cast<int64_t>(at.at(e)) + 4) % 4 * n + e % n];
        to = folds[kind](to, u.at(e));
      }
      for (int64_t e = 0; e < y.size(); ++e)
        ASSERT_NEAR(y.at(e), expected[e], 1e-6);
      Array rows = Array::i64({3, 1}, {2, -4, 2});
      slices->run("f", {&x, &rows, &u}, {&y});
      expected = x.values();
      for (int64_t e = 0; e < u.size(); ++e) {
        double &to = expected[(static_cast<int64_t>(rows.at(e / n)) + 4) % 4 * n + e % n];
        to = folds[kind](to, u.at(e));
      }
      for (int64_t e = 0; e < y.size(); ++e)
        ASSERT_NEAR(y.at(e), expected[e], 1e-6);
    }
  }
}

TEST_P(Order, AttnMerge) {
  std::string v = "tensor<?x?x?xf32>", l = "tensor<?x?xf32>";
  auto kernels =
      compile(text("%o, %m = leat.attn_merge values(%x, %y) lses(%a, %b)", "%x: " + v + ", %y: " + v + ", %a: " + l + ", %b: " + l,
                   v + ", " + l, v + ", " + v + ", " + l + ", " + l, 4, "%o, %m"));
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {2, 3, n}, 1), y = Array::random("f32", {2, 3, n}, 2), a = Array::random("f32", {2, 3}, 3, -5, 5),
          b = Array::random("f32", {2, 3}, 4, -5, 5), o("f32", x.dims), m("f32", a.dims);
    a.set(0, -INFINITY); // only the second part
    a.set(1, -INFINITY), b.set(1, -INFINITY);
    for (int64_t d = 0; d < n; ++d)
      x.set(d, NAN); // what a part without a key holds does not matter
    kernels->run("f", {&x, &y, &a, &b}, {&o, &m});
    for (int64_t row = 0; row < 6; ++row) {
      double wa = std::exp(a.at(row)), wb = std::exp(b.at(row)), sum = wa + wb;
      if (sum == 0)
        ASSERT_EQ(m.at(row), -INFINITY);
      else
        ASSERT_NEAR(m.at(row), std::log(sum), 1e-5);
      for (int64_t d = 0; d < n; ++d) {
        double expected = sum == 0 ? 0 : ((wa ? wa * x.at(row * n + d) : 0) + wb * y.at(row * n + d)) / sum;
        ASSERT_NEAR(o.at(row * n + d), expected, 1e-5);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Order, ::testing::Values(128, 256, 512));

} // namespace
