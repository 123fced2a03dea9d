// The elementary functions against double precision, at each vector width; a scalar must give the bits of a vector lane.
#include "KernelJit.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <limits>

using namespace leat::test;

namespace {

std::string unary(const std::string &op) {
  return "#id = affine_map<(d0) -> (d0)>\n"
         "leat.kernel_func @f inputs 1 -> [tensor<?xf32>] {\n"
         "^bb0(%x: tensor<?xf32>, %n: index):\n"
         "  %e = tensor.empty(%n) : tensor<?xf32>\n"
         "  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = [\"parallel\"]} ins(%x : tensor<?xf32>) outs(%e : "
         "tensor<?xf32>) {\n"
         "  ^bb0(%a: f32, %o: f32):\n    " +
         op +
         "\n    linalg.yield %y : f32\n  } -> tensor<?xf32>\n"
         "  leat.yield %r : tensor<?xf32>\n}\n";
}

struct Case {
  const char *name;
  std::string op;
  std::function<double(double)> expected;
  double lo, hi;
  double limit; ///< units in the last place
};

class Math : public ::testing::TestWithParam<unsigned> {};

void check(const Case &c, unsigned bits) {
  auto kernels = Kernels::compile(unary(c.op), bits);
  ASSERT_TRUE(kernels) << c.name;
  // Random numbers, powers of two and the special ones, in all positions of a vector and in the tail.
  Array x = Array::random("f32", {4096 + 5}, 7, c.lo, c.hi);
  int64_t at = 0;
  for (double v : {0.0,
                   -0.0,
                   1.0,
                   -1.0,
                   0.5,
                   -0.5,
                   double(INFINITY),
                   -double(INFINITY),
                   double(NAN),
                   1e-30,
                   -1e-30,
                   1e-40,
                   100.0,
                   -100.0,
                   3e38,
                   -3e38,
                   88.7,
                   -88.0,
                   -103.9,
                   0.625,
                   2.5,
                   -2.5})
    x.set(at++, v);
  for (int e = -126; e < 127; ++e, ++at)
    if (double v = std::ldexp(at % 2 ? 1.2345 : 1.0, e); v > c.lo && v < c.hi)
      x.set(at, v);
  Array y("f32", x.dims);
  kernels->run("f", {&x}, {&y}, {x.size()});
  double worst = 0, where = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    double error = ulps(c.expected(x.at(i)), y.at(i));
    if (error > worst)
      worst = error, where = x.at(i);
  }
  EXPECT_LE(worst, c.limit) << c.name << " at " << where << ", expected " << c.expected(where);
  // One by one: everything is tail.
  for (int64_t i = 0; i < 64; ++i) {
    Array one("f32", {1}), got("f32", {1});
    one.set(0, x.at(i));
    kernels->run("f", {&one}, {&got}, {1});
    if (!std::isnan(y.at(i)))
      EXPECT_EQ(std::memcmp(got.bytes.data(), y.bytes.data() + 4 * i, 4), 0) << c.name << " of " << x.at(i);
  }
}

TEST_P(Math, Functions) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this machine lacks the instructions";
  for (const Case &c : std::vector<Case>{
           {"exp", "%y = math.exp %a : f32", [](double x) { return std::exp(x); }, -104, 89, 1.5},
           {"exp2", "%y = math.exp2 %a : f32", [](double x) { return std::exp2(x); }, -150, 128, 1.5},
           {"expm1", "%y = math.expm1 %a : f32", [](double x) { return std::expm1(x); }, -20, 80, 3},
           {"log", "%y = math.log %a : f32", [](double x) { return std::log(x); }, 0, 1e4, 2},
           {"log2", "%y = math.log2 %a : f32", [](double x) { return std::log2(x); }, 0, 1e4, 3},
           {"log10", "%y = math.log10 %a : f32", [](double x) { return std::log10(x); }, 0, 1e4, 3},
           {"log1p", "%y = math.log1p %a : f32", [](double x) { return std::log1p(x); }, -1, 10, 3},
           {"tanh", "%y = math.tanh %a : f32", [](double x) { return std::tanh(x); }, -6, 6, 3},
           {"erf", "%y = math.erf %a : f32", [](double x) { return std::erf(x); }, -5, 5, 3},
           {"sqrt", "%y = math.sqrt %a : f32", [](double x) { return std::sqrt(x); }, 0, 100, 0.51},
           {"rsqrt", "%y = math.rsqrt %a : f32", [](double x) { return 1 / std::sqrt(x); }, 0, 100, 1.5},
           {"floor", "%y = math.floor %a : f32", [](double x) { return std::floor(x); }, -100, 100, 0},
           {"ceil", "%y = math.ceil %a : f32", [](double x) { return std::ceil(x); }, -100, 100, 0},
           {"trunc", "%y = math.trunc %a : f32", [](double x) { return std::trunc(x); }, -100, 100, 0},
           {"roundeven", "%y = math.roundeven %a : f32", [](double x) { return std::nearbyint(x); }, -100, 100, 0},
           {"round", "%y = math.round %a : f32", [](double x) { return std::round(x); }, -100, 100, 0},
           {"atan", "%y = math.atan %a : f32", [](double x) { return std::atan(x); }, -10, 10, 1},
       })
    check(c, GetParam());
}

TEST_P(Math, Trigonometry) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this machine lacks the instructions";
  for (auto [op, function] : {std::pair(
                                  "%y = math.sin %a : f32", +[](double x) { return std::sin(x); }),
                              std::pair("%y = math.cos %a : f32", +[](double x) { return std::cos(x); })}) {
    auto kernels = Kernels::compile(unary(op), GetParam());
    ASSERT_TRUE(kernels);
    for (double range : {1.0, 100.0, 1e6}) {
      Array x = Array::random("f32", {5000}, 3, -range, range), y("f32", {5000});
      kernels->run("f", {&x}, {&y}, {x.size()});
      for (int64_t i = 0; i < x.size(); ++i)
        ASSERT_LE(ulps(function(x.at(i)), y.at(i)), 1.0) << op << " of " << x.at(i);
    }
    Array x = Array::f32({3}, {INFINITY, -INFINITY, NAN}), y("f32", {3});
    kernels->run("f", {&x}, {&y}, {3});
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_TRUE(std::isnan(y.at(i)));
  }
}

TEST_P(Math, Doubles) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this machine lacks the instructions";
  for (auto [op, function] : {std::pair(
                                  "%y = math.exp %a : f32", +[](double x) { return std::exp(x); }),
                              std::pair(
                                  "%y = math.erf %a : f32", +[](double x) { return std::erf(x); }),
                              std::pair(
                                  "%y = math.atan %a : f32", +[](double x) { return std::atan(x); }),
                              std::pair(
                                  "%y = math.floor %a : f32", +[](double x) { return std::floor(x); }),
                              std::pair("%y = math.powf %a, %a : f32", +[](double x) { return std::pow(x, x); })}) {
    std::string text = unary(op);
    for (size_t at; (at = text.find("f32")) != std::string::npos;)
      text.replace(at, 3, "f64");
    auto kernels = Kernels::compile(text, GetParam());
    ASSERT_TRUE(kernels);
    Array x = Array::random("f64", {37}, 3, 0, 3), y("f64", {37});
    kernels->run("f", {&x}, {&y}, {x.size()});
    for (int64_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(function(x.at(i)), y.at(i), 1e-13) << op << " of " << x.at(i);
  }
}

TEST_P(Math, ErfBesideOne) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this machine lacks the instructions";
  auto kernels = Kernels::compile(unary("%one = arith.constant 1.0 : f32\n    %g = math.erf %a : f32\n    %y = arith.addf %g, %one : f32"),
                                  GetParam());
  ASSERT_TRUE(kernels);
  Array x = Array::random("f32", {20005}, 11, -5, 5), y("f32", x.dims);
  int64_t at = 0;
  for (double v : {0.0, double(INFINITY), 3e38, 100.0, -double(INFINITY), -3e38, -100.0, 1e-40, double(NAN)})
    x.set(at++, v);
  kernels->run("f", {&x}, {&y}, {x.size()});
  // Outside there is nothing to approximate.
  for (int64_t i = 1; i < 7; ++i)
    EXPECT_EQ(y.at(i), i < 4 ? 2 : 0) << x.at(i);
  EXPECT_TRUE(std::isnan(y.at(8)));
  double worst = 0;
  for (int64_t i = 9; i < x.size(); ++i)
    worst = std::max(worst, std::abs(1 + std::erf(x.at(i)) - y.at(i)));
  EXPECT_LE(worst, GetParam() == 512 ? 2.5e-7 : 5e-7); // a polynomial for each quarter, or a quotient
  // One by one: everything is tail.
  for (int64_t i = 0; i < 64; ++i) {
    Array one("f32", {1}), got("f32", {1});
    one.set(0, x.at(i));
    kernels->run("f", {&one}, {&got}, {1});
    if (!std::isnan(y.at(i)))
      EXPECT_EQ(got.at(0), y.at(i)) << x.at(i);
  }
}

TEST_P(Math, ConstantPowers) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this machine lacks the instructions";
  for (double exponent : {0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5, -1.0, -2.0, 1.7}) {
    auto kernels =
        Kernels::compile(unary("%p = arith.constant " + std::to_string(exponent) + " : f32\n    %y = math.powf %a, %p : f32"), GetParam());
    ASSERT_TRUE(kernels);
    Array x = Array::random("f32", {37}, 3, 0.1, 4), y("f32", {37});
    kernels->run("f", {&x}, {&y}, {37});
    for (int64_t i = 0; i < x.size(); ++i)
      EXPECT_LE(ulps(std::pow(x.at(i), exponent), y.at(i)), 2.5);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Math, ::testing::Values(128, 256, 512));

} // namespace
