// Softmax, norms and reductions against loops in double: vector widths, sizes around the width, element types, fused producers and
// epilogues.
#include "KernelJit.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace leat::test;

namespace {

class Rows : public ::testing::TestWithParam<unsigned> {
protected:
  void SetUp() override {
    if (!Kernels::supported(GetParam()))
      GTEST_SKIP() << "this machine lacks the instructions";
  }
  std::unique_ptr<Kernels> compile(const std::string &text) { return Kernels::compile(text, GetParam()); }
  std::vector<int64_t> sizes() {
    int64_t v = GetParam() / 32;
    return {0, 1, v - 1, v, v + 1, 2 * v + 3, 9 * v + 2};
  }
};

void expectNear(const Array &got, const std::vector<double> &expected, double tolerance, const std::string &what) {
  ASSERT_EQ(static_cast<size_t>(got.size()), expected.size()) << what;
  for (int64_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]) || std::isinf(expected[i])) {
      ASSERT_TRUE(std::isnan(expected[i]) ? std::isnan(got.at(i)) : got.at(i) == expected[i]) << what << " at " << i << ": " << got.at(i);
      continue;
    }
    ASSERT_NEAR(got.at(i), expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << what << " at " << i;
  }
}

/// Softmax over `axis` of [a, n, c].
std::vector<double> softmax(const Array &x, int axis, bool log) {
  std::vector<double> y(x.size());
  int64_t inner = 1, n = x.dims[axis];
  for (size_t d = axis + 1; d < x.dims.size(); ++d)
    inner *= x.dims[d];
  for (int64_t row = 0; n && row < x.size() / n; ++row) {
    int64_t base = row / inner * n * inner + row % inner;
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; ++i)
      max = std::fmax(max, x.at(base + i * inner));
    for (int64_t i = 0; i < n; ++i)
      sum += std::exp(x.at(base + i * inner) - max);
    for (int64_t i = 0; i < n; ++i) {
      double shifted = x.at(base + i * inner) - max;
      y[base + i * inner] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  }
  return y;
}

std::string softmaxText(const std::string &type, int axis, const std::string &flags) {
  std::string t = "tensor<?x?x?x" + type + ">";
  return "leat.kernel_func @f inputs 1 -> [" + t + "] {\n^bb0(%x: " + t + "):\n  %r = leat.softmax %x {axis = " + std::to_string(axis) +
         " : i64" + flags + "} : " + t + "\n  leat.yield %r : " + t + "\n}\n";
}

TEST_P(Rows, Softmax) {
  for (const char *type : {"f32", "f16", "bf16", "f64"}) {
    if (std::string(type) == "f64" && !Kernels::hasLibrary())
      continue;
    for (int axis : {0, 1, 2})
      for (bool log : {false, true}) {
        if (type != std::string("f32") && axis == 0)
          continue;
        auto kernels = compile(softmaxText(type, axis, log ? ", log" : ""));
        ASSERT_TRUE(kernels);
        double tolerance = std::string(type) == "f32"   ? 2e-6
                           : std::string(type) == "f64" ? 1e-14
                           : std::string(type) == "f16" ? 1e-3
                                                        : 8e-3;
        for (int64_t n : sizes()) {
          std::vector<int64_t> dims{2, 3, 5};
          dims[axis] = n;
          if (axis != 2)
            dims[2] = GetParam() / 32 + 3;
          Array x = Array::random(type, dims, 5, -10, 10), y(type, dims);
          kernels->run("f", {&x}, {&y});
          expectNear(y, softmax(x, axis, log), tolerance, std::string(type) + " axis " + std::to_string(axis) + " n " + std::to_string(n));
        }
      }
  }
}

TEST_P(Rows, SoftmaxOfMaskedRows) {
  Array x = Array::f32({1, 3, 3}, {-INFINITY, -INFINITY, -INFINITY, 0, -INFINITY, 0, NAN, 0, 1}), y("f32", x.dims);
  auto plain = compile(softmaxText("f32", 2, "")), zero = compile(softmaxText("f32", 2, ", zero_empty_rows"));
  ASSERT_TRUE(plain && zero);
  plain->run("f", {&x}, {&y});
  expectNear(y, {NAN, NAN, NAN, 0.5, 0, 0.5, NAN, NAN, NAN}, 1e-7, "plain");
  zero->run("f", {&x}, {&y});
  expectNear(y, {0, 0, 0, 0.5, 0, 0.5, NAN, NAN, NAN}, 1e-7, "zero_empty_rows");
}

TEST_P(Rows, RowsDoNotDependOnTheBatch) {
  auto kernels = compile(softmaxText("f32", 2, ""));
  ASSERT_TRUE(kernels);
  Array x = Array::random("f32", {7, 3, 77}, 1), y("f32", x.dims);
  kernels->run("f", {&x}, {&y});
  for (int64_t row = 0; row < 21; ++row) {
    Array one("f32", {1, 1, 77}), got("f32", {1, 1, 77});
    std::memcpy(one.bytes.data(), x.bytes.data() + row * 77 * 4, 77 * 4);
    kernels->run("f", {&one}, {&got});
    ASSERT_EQ(std::memcmp(got.bytes.data(), y.bytes.data() + row * 77 * 4, 77 * 4), 0);
  }
}

TEST_P(Rows, Norms) {
  for (bool rms : {false, true})
    for (bool operands : {false, true}) {
      std::string text = "leat.kernel_func @f inputs " + std::string(operands ? "3" : "1") +
                         " -> [tensor<?x?xf32>] {\n^bb0(%x: tensor<?x?xf32>" + (operands ? ", %s: tensor<?xf32>, %b: tensor<1xf32>" : "") +
                         "):\n  %r = leat.layer_norm %x " + (operands ? "scale %s : tensor<?xf32> " : "") +
                         (operands && !rms ? "bias %b : tensor<1xf32> " : "") + "{axis = 1 : i64, epsilon = 1.0e-5" + (rms ? ", rms" : "") +
                         "} : tensor<?x?xf32> -> tensor<?x?xf32>\n  leat.yield %r : tensor<?x?xf32>\n}\n";
      auto kernels = compile(text);
      ASSERT_TRUE(kernels);
      for (int64_t n : sizes()) {
        Array x = Array::random("f32", {3, n}, 2, -3, 5), s = Array::random("f32", {n}, 3), b = Array::f32({1}, {0.25f}), y("f32", x.dims);
        if (operands)
          kernels->run("f", {&x, &s, &b}, {&y});
        else
          kernels->run("f", {&x}, {&y});
        std::vector<double> expected;
        for (int64_t row = 0; row < 3; ++row) {
          double mean = 0, variance = 0;
          for (int64_t i = 0; i < n; ++i)
            mean += x.at(row * n + i) / n;
          if (rms)
            mean = 0;
          for (int64_t i = 0; i < n; ++i)
            variance += (x.at(row * n + i) - mean) * (x.at(row * n + i) - mean) / n;
          for (int64_t i = 0; i < n; ++i)
            expected.push_back((x.at(row * n + i) - mean) / std::sqrt(variance + 1e-5) * (operands ? s.at(i) : 1) +
                               (operands && !rms ? 0.25 : 0));
        }
        expectNear(y, expected, 1e-5, "norm of " + std::to_string(n));
      }
    }
}

TEST_P(Rows, NormOverTwoAxesWithProducerAndEpilogue) {
  auto kernels = compile(R"(
#id = affine_map<(a, b, c) -> (a, b, c)>
leat.kernel_func @f inputs 2 -> [tensor<?x3x?xf32>, tensor<?x3x?xf32>] {
^bb0(%x: tensor<?x3x?xf32>, %y: tensor<?x3x?xf32>, %m: index, %n: index):
  %e = tensor.empty(%m, %n) : tensor<?x3x?xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %y : tensor<?x3x?xf32>, tensor<?x3x?xf32>) outs(%e : tensor<?x3x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.addf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x3x?xf32>
  %r = leat.layer_norm %s {axis = 1 : i64, epsilon = 1.0e-5} : tensor<?x3x?xf32> -> tensor<?x3x?xf32>
  %t = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%r, %x : tensor<?x3x?xf32>, tensor<?x3x?xf32>) outs(%e : tensor<?x3x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %0 = arith.mulf %a, %b : f32
    linalg.yield %0 : f32
  } -> tensor<?x3x?xf32>
  leat.yield %t, %s : tensor<?x3x?xf32>, tensor<?x3x?xf32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {2, 3, n}, 2), y = Array::random("f32", {2, 3, n}, 9), t("f32", x.dims), s("f32", x.dims);
    kernels->run("f", {&x, &y}, {&t, &s}, {2, n});
    std::vector<double> sum, expected;
    for (int64_t i = 0; i < x.size(); ++i)
      sum.push_back(x.at(i) + y.at(i));
    for (int64_t row = 0; row < 2; ++row) {
      double mean = 0, variance = 0, count = 3 * n;
      for (int64_t i = 0; i < 3 * n; ++i)
        mean += sum[row * 3 * n + i] / count;
      for (int64_t i = 0; i < 3 * n; ++i)
        variance += std::pow(sum[row * 3 * n + i] - mean, 2) / count;
      for (int64_t i = 0; i < 3 * n; ++i)
        expected.push_back((sum[row * 3 * n + i] - mean) / std::sqrt(variance + 1e-5) * x.at(row * 3 * n + i));
    }
    expectNear(s, sum, 1e-6, "sum");
    expectNear(t, expected, 1e-5, "norm");
  }
}

std::string reduceText(const std::string &type, const std::string &op, const std::string &init, bool inner) {
  std::string in = "tensor<?x?x?x" + type + ">", out = "tensor<?x?x" + type + ">";
  std::string map = inner ? "(a, b)" : "(a, c)";
  std::string kinds = inner ? "\"parallel\", \"parallel\", \"reduction\"" : "\"parallel\", \"reduction\", \"parallel\"";
  return "leat.kernel_func @f inputs 1 -> [" + out + "] {\n^bb0(%x: " + in + ", %m: index, %n: index):\n  %z = arith.constant " + init +
         " : " + type + "\n  %e = tensor.empty(%m, %n) : " + out + "\n  %i = linalg.fill ins(%z : " + type + ") outs(%e : " + out +
         ") -> " + out + "\n  %r = linalg.generic {indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> " + map +
         ">], iterator_types = [" + kinds + "]} ins(%x : " + in + ") outs(%i : " + out + ") {\n  ^bb0(%v: " + type + ", %o: " + type +
         "):\n    %0 = " + op + " %v, %o : " + type + "\n    linalg.yield %0 : " + type + "\n  } -> " + out + "\n  leat.yield %r : " + out +
         "\n}\n";
}

TEST_P(Rows, Reductions) {
  struct Op {
    const char *type, *op, *init;
    double start;
    double (*fold)(double, double);
    double tolerance;
  };
  for (const Op &op : {Op{"f32", "arith.addf", "0.0", 0, [](double a, double b) { return a + b; }, 1e-5},
                       Op{"f16", "arith.addf", "0.0", 0, [](double a, double b) { return a + b; }, 2e-3},
                       Op{"f64", "arith.addf", "0.0", 0, [](double a, double b) { return a + b; }, 1e-13},
                       Op{"f32", "arith.mulf", "1.0", 1, [](double a, double b) { return a * b; }, 1e-5},
                       Op{"f32", "arith.maximumf", "0xFF800000", -INFINITY, [](double a, double b) { return std::fmax(a, b); }, 0},
                       Op{"i64", "arith.addi", "0", 0, [](double a, double b) { return a + b; }, 0},
                       Op{"i32", "arith.minsi", "2147483647", 2147483647, [](double a, double b) { return std::fmin(a, b); }, 0},
                       Op{"i8", "arith.maxsi", "-128", -128, [](double a, double b) { return std::fmax(a, b); }, 0}})
    for (bool inner : {true, false}) {
      auto kernels = compile(reduceText(op.type, op.op, op.init, inner));
      ASSERT_TRUE(kernels);
      for (int64_t n : sizes())
        for (int64_t c : {int64_t(3), int64_t(GetParam() / 32 + 1)}) {
          std::vector<int64_t> dims = inner ? std::vector<int64_t>{2, c, n} : std::vector<int64_t>{2, n, c};
          Array x = Array::random(op.type, dims, 4, -2, 2.9), y(op.type, {2, c});
          kernels->run("f", {&x}, {&y}, {2, c});
          std::vector<double> expected(2 * c, op.start);
          for (int64_t i = 0; i < x.size(); ++i) {
            double &to = expected[inner ? i / n : i / (n * c) * c + i % c];
            to = op.fold(to, x.at(i));
          }
          expectNear(y, expected, op.tolerance, std::string(op.op) + " " + op.type + " n " + std::to_string(n));
        }
    }
}

TEST_P(Rows, ReduceAll) {
  auto kernels = compile(R"(
leat.kernel_func @f inputs 1 -> [tensor<f32>] {
^bb0(%x: tensor<?x?xf32>):
  %z = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<f32>
  %i = linalg.fill ins(%z : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %r = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%i : tensor<f32>) {
  ^bb0(%v: f32, %o: f32):
    %q = arith.mulf %v, %v : f32
    %0 = arith.addf %o, %q : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  %s = linalg.generic {indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []} ins(%r : tensor<f32>) outs(%e : tensor<f32>) {
  ^bb0(%v: f32, %o: f32):
    %0 = math.sqrt %v : f32
    linalg.yield %0 : f32
  } -> tensor<f32>
  leat.yield %s : tensor<f32>
})");
  ASSERT_TRUE(kernels);
  for (int64_t n : sizes()) {
    Array x = Array::random("f32", {5, n}, 8), y("f32", {});
    kernels->run("f", {&x}, {&y});
    double sum = 2;
    for (double v : x.values())
      sum += v * v;
    expectNear(y, {std::sqrt(sum)}, 1e-6, "all");
  }
}

/// Rows that a GPU gives to a block, or to several; lengths that are known choose before.
TEST_P(Rows, LongReductions) {
  struct Op {
    const char *op, *init;
    double start;
    double (*fold)(double, double);
    double tolerance;
  };
  for (const Op &op : {Op{"arith.addf", "0.0", 0, [](double a, double b) { return a + b; }, 1e-4},
                       Op{"arith.maximumf", "0xFF800000", -INFINITY, [](double a, double b) { return std::fmax(a, b); }, 0}}) {
    std::string text = reduceText("f32", op.op, op.init, true);
    auto dynamic = compile(text);
    ASSERT_TRUE(dynamic);
    for (int64_t n : {3, 33, 1024, 1025, 4096, 4097, 12345}) {
      Array x = Array::random("f32", {1, 2, n}, 4, -2, 2.9), y("f32", {1, 2});
      std::vector<double> expected(2, op.start);
      for (int64_t i = 0; i < x.size(); ++i)
        expected[i / n] = op.fold(expected[i / n], x.at(i));
      dynamic->run("f", {&x}, {&y}, {1, 2});
      expectNear(y, expected, op.tolerance, std::string(op.op) + " n " + std::to_string(n));
      std::string known = text, dims = "x?x" + std::to_string(n) + "xf32>";
      for (size_t at; (at = known.find("x?x?xf32>")) != std::string::npos;)
        known.replace(at, 9, dims);
      auto fixed = compile(known);
      ASSERT_TRUE(fixed);
      Array z("f32", {1, 2});
      fixed->run("f", {&x}, {&z}, {1, 2});
      expectNear(z, expected, op.tolerance, std::string(op.op) + " known n " + std::to_string(n));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Rows, ::testing::ValuesIn(Kernels::widths()));

} // namespace
