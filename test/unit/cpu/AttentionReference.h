// leat.kv_attend by double loops in f64, and comparison with it.
#pragma once

#include "KernelJit.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <limits>

namespace leat::test {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What the op's description says, one row at a time.
struct Reference {
  int64_t batch, heads, kvHeads, queries, depth, valueDepth;
  double scale = 0.25, softcap = 0;
  bool causal = false;
  int64_t left = -1, right = -1;
  struct Segment {
    std::function<double(int64_t b, int64_t h, int64_t i, int64_t d)> q, k, v;
    int64_t keys;
    std::function<double(int64_t b, int64_t h, int64_t i, int64_t j)> bias;
    std::function<int64_t(int64_t j)> position;
  };
  std::vector<Segment> segments = {};
  std::function<int64_t(int64_t b, int64_t i)> queryPosition = {};
  std::function<int64_t(int64_t b)> length = {};
  std::function<double(int64_t h)> sink = {};
  std::function<bool(int64_t b, int64_t h, int64_t i, int64_t j)> visible = {}; ///< of positions

  /// `coarse`: also the row with weights rounded by `round`, where they are multiplied with values.
  std::vector<double> row(int64_t b, int64_t h, int64_t i, double &lse, std::vector<double> *coarse = nullptr,
                          std::function<double(double)> round = {}) const {
    std::vector<double> sum(valueDepth, 0);
    if (coarse)
      coarse->assign(valueDepth, 0);
    struct Term {
      double x;
      const Segment *segment;
      int64_t j;
    };
    std::vector<Term> terms;
    double maximum = -kInfinity, total = 0;
    for (const Segment &s : segments)
      for (int64_t j = 0; j < s.keys; ++j) {
        int64_t kv = h / (heads / kvHeads);
        int64_t reach = length ? length(b) : s.keys;
        int64_t qp = queryPosition ? queryPosition(b, i) : i + reach - queries, kp = s.position ? s.position(j) : j;
        if ((causal && kp > qp) || (left >= 0 && qp - kp > left) || (right >= 0 && kp - qp > right) || kp < 0 || (length && j >= length(b)) || (visible && !visible(b, h, qp, kp)))
          continue;
        double x = 0;
        for (int64_t d = 0; d < depth; ++d)
          x += s.q(b, h, i, d) * s.k(b, kv, j, d);
        x *= scale;
        if (softcap > 0)
          x = softcap * std::tanh(x / softcap);
        if (s.bias)
          x += s.bias(b, h, i, j);
        terms.push_back({x, &s, j});
        maximum = std::max(maximum, x);
      }
    if (sink)
      maximum = std::max(maximum, sink(h));
    if (maximum == -kInfinity) {
      lse = -kInfinity;
      return sum;
    }
    if (sink)
      total += std::exp(sink(h) - maximum);
    for (const Term &t : terms) {
      double p = std::exp(t.x - maximum);
      total += p;
      double rounded = coarse ? round(p) : 0;
      for (int64_t d = 0; d < valueDepth; ++d) {
        double value = t.segment->v(b, h / (heads / kvHeads), t.j, d);
        sum[d] += p * value;
        if (coarse)
          (*coarse)[d] += rounded * value;
      }
    }
    for (double &v : sum)
      v /= total;
    if (coarse)
      for (double &v : *coarse)
        v /= total;
    lse = maximum + std::log(total);
    return sum;
  }
};

/// Element [b, h, i, d] of an array in layout bhsd (or bshd).
inline std::function<double(int64_t, int64_t, int64_t, int64_t)> element(const Array &a, bool bshd = false) {
  return [&a, bshd](int64_t b, int64_t h, int64_t i, int64_t d) {
    int64_t first = bshd ? i : h, second = bshd ? h : i;
    return a.at(((b * a.dims[1] + first) * a.dims[2] + second) * a.dims[3] + d);
  };
}

inline void expectLse(const Reference &r, const Array &lse, double epsilon) {
  for (int64_t b = 0; b < r.batch; ++b)
    for (int64_t h = 0; h < r.heads; ++h)
      for (int64_t i = 0; i < r.queries; ++i) {
        double expected, got = lse.at((b * r.heads + h) * r.queries + i);
        r.row(b, h, i, expected);
        if (std::isinf(expected))
          ASSERT_EQ(got, expected) << "lse at " << b << ", " << h << ", " << i;
        else
          ASSERT_NEAR(got, expected, epsilon) << "lse at " << b << ", " << h << ", " << i;
      }
}

inline void expectAttention(const Reference &r, const Array &out, const Array *lse, double epsilon, bool bshd = false) {
  auto at = element(out, bshd);
  for (int64_t b = 0; b < r.batch; ++b)
    for (int64_t h = 0; h < r.heads; ++h)
      for (int64_t i = 0; i < r.queries; ++i) {
        double expected;
        std::vector<double> row = r.row(b, h, i, expected);
        for (int64_t d = 0; d < r.valueDepth; ++d)
          ASSERT_NEAR(at(b, h, i, d), row[d], epsilon) << "at " << b << ", " << h << ", " << i << ", " << d;
      }
  if (lse)
    expectLse(r, *lse, 10 * epsilon);
}

/// The largest errors of a result and of plain attention in the same type: weights and results are rounded to it, all else is exact.
inline std::pair<double, double> errorsOf(const Reference &r, const Array &out, bool bshd = false) {
  auto got = element(out, bshd);
  Array rounded(out.type, {1});
  auto round = [&](double x) {
    rounded.set(0, x);
    return rounded.at(0);
  };
  double error = 0, plain = 0;
  for (int64_t b = 0; b < r.batch; ++b)
    for (int64_t h = 0; h < r.heads; ++h)
      for (int64_t i = 0; i < r.queries; ++i) {
        double lse;
        std::vector<double> coarse, exact = r.row(b, h, i, lse, &coarse, round);
        for (int64_t d = 0; d < r.valueDepth; ++d) {
          double difference = std::abs(got(b, h, i, d) - exact[d]);
          error = std::isnan(difference) ? kInfinity : std::max(error, difference);
          plain = std::max(plain, std::abs(round(coarse[d]) - exact[d]));
        }
      }
  return {error, plain};
}

/// Numbers of queries and keys.
constexpr std::pair<int64_t, int64_t> kLengths[] = {{1, 1},   {1, 63},  {1, 64}, {1, 65}, {3, 200}, {15, 15}, {16, 16}, {17, 130},
                                                    {50, 70}, {70, 50}, {0, 5},  {4, 0},  {1, 300}, {2, 777}, {1, 5000}};

} // namespace leat::test
