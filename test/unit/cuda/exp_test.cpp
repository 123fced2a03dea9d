// exp of f64, which has no instruction and no library on a GPU.
#include "../cpu/KernelJit.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace leat::test;

namespace {

TEST(WideExp, IsWithinAUnitInTheLastPlace) {
  auto kernels = Kernels::compile(R"(
leat.kernel_func @f inputs 1 -> [tensor<?xf64>] {
^bb0(%x: tensor<?xf64>):
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?xf64>
  %e = tensor.empty(%m) : tensor<?xf64>
  %r = linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf64>) outs(%e : tensor<?xf64>) {
  ^bb0(%a: f64, %o: f64):
    %0 = math.exp %a : f64
    linalg.yield %0 : f64
  } -> tensor<?xf64>
  leat.yield %r : tensor<?xf64>
})",
                                  128);
  ASSERT_TRUE(kernels);
  Array near = Array::random("f64", {4000}, 1, -1, 1), far = Array::random("f64", {4000}, 2, -760, 715), x("f64", {8008}), y("f64", {8008});
  for (int64_t i = 0; i < 4000; ++i)
    x.set(i, near.at(i)), x.set(4000 + i, far.at(i));
  const double inf = std::numeric_limits<double>::infinity();
  const double special[] = {0.0, -0.0, inf, -inf, NAN, 709.782712893384, -745.1332191019411, -1e300};
  for (int64_t i = 0; i < 8; ++i)
    x.set(8000 + i, special[i]);
  kernels->run("f", {&x}, {&y});
  for (int64_t i = 0; i < 8008; ++i) {
    long double exact = std::exp(static_cast<long double>(x.at(i)));
    double rounded = static_cast<double>(exact);
    if (std::isnan(x.at(i)) || std::isinf(rounded)) {
      EXPECT_TRUE(std::isnan(rounded) ? std::isnan(y.at(i)) : y.at(i) == rounded) << x.at(i);
      continue;
    }
    double unit = std::nextafter(rounded, inf) - rounded;
    EXPECT_LE(std::abs(static_cast<long double>(y.at(i)) - exact), static_cast<long double>(unit)) << x.at(i);
  }
  EXPECT_EQ(y.at(8000), 1.0);
}

} // namespace
