// leat.matmul with bf16 weights in pairs of k: widened they give the bits of plain panels; multiplied as pairs, the sums of rounded
// activations.
#include "KernelTest.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace leat::test;

namespace {

/// [K, N] in panels of 64 columns, `group` neighbours of k side by side.
Array panels(const Array &b, int64_t k, int64_t n, int64_t group) {
  Array out(b.type, {(n + 63) / 64, k, 64});
  for (int64_t p = 0; p < out.dims[0]; ++p)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < 64; ++j)
        out.set(((p * (k / group) + i / group) * 64 + j) * group + i % group, p * 64 + j < n ? b.at(i * n + p * 64 + j) : 0);
  out.dims = {k, n};
  return out;
}

struct Case {
  std::string name, lhs, layout;
  int64_t k, n;
  bool dots = false, transA = false, doubled = false;
  std::string text() const {
    std::string ks = std::to_string(k), ns = std::to_string(n);
    std::string a = "tensor<" + (transA ? ks + "x?x" : "?x" + ks + "x") + lhs + ">", b = "tensor<" + ks + "x" + ns + "xbf16>",
                y = "tensor<?x" + ns + "x" + lhs + ">";
    std::string twice = !doubled
                            ? ""
                            : "  %c0 = arith.constant 0 : index\n  %m = tensor.dim %x, %c0 : " + a + "\n  %e = tensor.empty(%m) : " + a +
                                  "\n  %a = linalg.generic {indexing_maps = [affine_map<(i,j)->(i,j)>, affine_map<(i,j)->(i,j)>], "
                                  "iterator_types = [\"parallel\", "
                                  "\"parallel\"]} ins(%x : " +
                                  a + ") outs(%e : " + a + ") {\n  ^bb0(%p: " + lhs + ", %o: " + lhs +
                                  "):\n    %s = arith.addf %p, %p : " + lhs + "\n    linalg.yield %s : " + lhs + "\n  } -> " + a + "\n";
    return "leat.kernel_func @" + name + " inputs 2 -> [" + y + "] attributes {leat.layouts = [\"\", \"" + layout +
           "\"], schedule = #leat.schedule<\"gemm\", {bf16 = " + (dots ? "1" : "0") + " : i64}>} {\n^bb0(%x: " + a + ", %b: " + b + "):\n" +
           twice + "  %y = leat.matmul " + (doubled ? "%a" : "%x") + ", %b" + (transA ? " {trans_a}" : "") + " : (" + a + ", " + b +
           ") -> " + y + "\n  leat.yield %y : " + y + "\n}\n";
  }
};

std::string textOf(const std::vector<Case> &cases) {
  std::string text;
  for (const Case &c : cases)
    text += c.text();
  return text;
}

class Pairs : public testing::TestWithParam<unsigned> {};

TEST_P(Pairs, WidenedGiveTheBitsOfPlainPanels) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this processor has no vectors of " << GetParam() << " bits";
  std::vector<Case> cases;
  for (std::string lhs : {"f32", "bf16"}) {
    cases.push_back({"plain_" + lhs, lhs, "panel64", 2070, 130});
    cases.push_back({"pairs_" + lhs, lhs, "panel64.2", 2070, 130});
  }
  auto jit = Kernels::compile(textOf(cases), GetParam());
  ASSERT_TRUE(jit);
  Array w = Array::random("bf16", {2070, 130}, 1), plain = panels(w, 2070, 130, 1), pairs = panels(w, 2070, 130, 2);
  for (std::string lhs : {"f32", "bf16"})
    for (int64_t m : {0, 1, 2, 5, 13, 49}) {
      Array a = Array::random(lhs, {m, 2070}, 2), y(lhs, {m, 130}), z = y;
      jit->run("plain_" + lhs, {&a, &plain}, {&y});
      jit->run("pairs_" + lhs, {&a, &pairs}, {&z});
      EXPECT_TRUE(y.bytes == z.bytes) << m << " rows of " << lhs;
    }
}

INSTANTIATE_TEST_SUITE_P(VectorBits, Pairs, testing::ValuesIn(Kernels::widths()));

TEST(PairDots, SumsOfRoundedActivations) {
  if (!Kernels::supported(512) || !Kernels::hostHas("avx512bf16"))
    GTEST_SKIP() << "this processor has no AVX-512 BF16";
  const std::vector<Case> cases{{"rounded", "f32", "panel64.2", 70, 130, true},
                                {"deep", "f32", "panel64.2", 2102, 64, true},
                                {"computed", "f32", "panel64.2", 34, 65, true, false, true},
                                {"turned", "f32", "panel64.2", 40, 300, true, true},
                                {"short", "bf16", "panel64.2", 70, 130, true},
                                {"short_turned", "bf16", "panel64.2", 38, 70, true, true},
                                {"short_unscheduled", "bf16", "panel64.2", 38, 70, false, true}};
  auto jit = Kernels::compile(textOf(cases), 512, {"avx512bf16"});
  ASSERT_TRUE(jit);
  for (const Case &c : cases) {
    SCOPED_TRACE(c.name);
    Array w = Array::random("bf16", {c.k, c.n}, 1), packed = panels(w, c.k, c.n, 2), first;
    Array all = Array::random(c.lhs, {49, c.k}, 2);
    for (int64_t m : {0, 1, 2, 6, 13, 49}) {
      Array a(c.lhs, c.transA ? std::vector<int64_t>{c.k, m} : std::vector<int64_t>{m, c.k}), y(c.lhs, {m, c.n});
      for (int64_t i = 0; i < m; ++i)
        for (int64_t k = 0; k < c.k; ++k)
          a.set(c.transA ? k * m + i : i * c.k + k, all.at(i * c.k + k));
      jit->run(c.name, {&a, &packed}, {&y});
      Array rounded("bf16", {1});
      for (int64_t i = 0; i < m; ++i) {
        std::vector<double> x(c.k);
        for (int64_t k = 0; k < c.k; ++k) {
          rounded.set(0, all.at(i * c.k + k) * (c.doubled ? 2 : 1));
          x[k] = rounded.at(0);
        }
        for (int64_t n = 0; n < c.n; ++n) {
          double sum = 0, size = 1;
          for (int64_t k = 0; k < c.k; ++k) {
            sum += x[k] * w.at(k * c.n + n);
            size += std::abs(x[k] * w.at(k * c.n + n));
          }
          ASSERT_NEAR(y.at(i * c.n + n), sum, size * (c.lhs == "f32" ? 3e-6 : 1e-2)) << "at " << i << ", " << n << " of " << m;
        }
      }
      if (m == 1)
        first = y;
      else if (m > 1)
        EXPECT_EQ(std::memcmp(first.bytes.data(), y.bytes.data(), first.bytes.size()), 0) << m << " rows";
    }
  }
}

} // namespace
