// leat.conv against double loops: one to three dimensions, groups, strides, dilations, pads, epilogue.
#include "KernelJit.h"

#include "gtest/gtest.h"

#include <cmath>
#include <map>

using namespace leat::test;

namespace {

struct Case {
  std::string name;
  std::vector<int64_t> in, filter, strides, dilations, pads; ///< in: [N, C, ...]
  int64_t group;
  bool bias, relu;
  std::string type = "f32";

  size_t rank() const { return strides.size(); }
  std::vector<int64_t> out() const {
    std::vector<int64_t> dims{in[0], filter[0]};
    for (size_t d = 0; d < rank(); ++d)
      dims.push_back((in[d + 2] + pads[d] + pads[rank() + d] - dilations[d] * (filter[d + 2] - 1) - 1) / strides[d] + 1);
    return dims;
  }
};

const Case cases[] = {
    {"one", {2, 3, 70}, {5, 3, 3}, {1}, {1}, {1, 1}, 1, true, false},
    {"stride", {1, 4, 33}, {50, 4, 4}, {2}, {1}, {0, 3}, 1, false, false},
    {"causal", {1, 6, 130}, {6, 1, 4}, {1}, {2}, {6, 0}, 6, true, true},
    {"patches", {1, 3, 28, 42}, {20, 3, 14, 14}, {14, 14}, {1, 1}, {0, 0, 0, 0}, 1, true, false},
    {"two", {2, 4, 9, 20}, {6, 2, 3, 3}, {1, 2}, {2, 1}, {2, 1, 0, 1}, 2, true, true},
    {"dot", {1, 64, 1, 1}, {65, 64, 1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1, false, false},
    {"three", {1, 2, 4, 5, 6}, {3, 2, 2, 3, 1}, {1, 1, 2}, {1, 1, 1}, {0, 1, 0, 1, 1, 0}, 1, true, false},
    {"half", {1, 3, 40}, {4, 3, 5}, {1}, {1}, {2, 2}, 1, true, true, "f16"},
    {"deep", {1, 200, 9}, {49, 200, 3}, {1}, {1}, {1, 1}, 1, true, false},
};

std::string dims(const std::vector<int64_t> &d, const std::string &type) {
  std::string text = "tensor<";
  for (int64_t v : d)
    text += std::to_string(v) + "x";
  return text + type + ">";
}
std::string list(const std::vector<int64_t> &v) {
  std::string text;
  for (int64_t i : v)
    text += (text.empty() ? "" : ", ") + std::to_string(i);
  return text;
}

/// Batch and the last spatial dimension are dynamic.
std::string kernel(const Case &c) {
  auto loose = [&](std::vector<int64_t> d) {
    std::string text = "tensor<?x";
    for (size_t i = 1; i < d.size(); ++i)
      text += (i + 1 == d.size() ? std::string("?") : std::to_string(d[i])) + "x";
    return text + c.type + ">";
  };
  std::string x = loose(c.in), w = dims(c.filter, c.type), y = loose(c.out()), bias = dims({c.filter[0]}, c.type);
  std::string text = "leat.kernel_func @" + c.name + " inputs " + (c.bias ? "3" : "2") + " -> [" + y + "] {\n^bb0(%x: " + x + ", %w: " + w +
                     (c.bias ? ", %b: " + bias : "") + (c.relu ? ", %n: index, %m: index" : "") + "):\n";
  text += "  %y = leat.conv %x, %w" + std::string(c.bias ? ", %b" : "") + " {strides = array<i64: " + list(c.strides) +
          ">, dilations = array<i64: " + list(c.dilations) + ">, pads = array<i64: " + list(c.pads) +
          ">, group = " + std::to_string(c.group) + "} : (" + x + ", " + w + (c.bias ? ", " + bias : "") + ") -> " + y + "\n";
  if (!c.relu)
    return text + "  leat.yield %y : " + y + "\n}\n";
  std::string loops = c.rank() == 1 ? "a, b, c" : "a, b, c, d", map = "affine_map<(" + loops + ") -> (" + loops + ")>";
  text += "  %zero = arith.constant 0.0 : " + c.type + "\n  %e = tensor.empty(%n, %m) : " + y +
          "\n  %z = linalg.generic {indexing_maps = [" + map + ", " + map +
          "], iterator_types = [\"parallel\", \"parallel\", \"parallel\"" + (c.rank() == 1 ? "" : ", \"parallel\"") + "]} ins(%y : " + y +
          ") outs(%e : " + y + ") {\n  ^bb0(%p: " + c.type + ", %o: " + c.type + "):\n    %t = arith.maximumf %p, %zero : " + c.type +
          "\n    linalg.yield %t : " + c.type + "\n  } -> " + y + "\n";
  return text + "  leat.yield %z : " + y + "\n}\n";
}

class Conv : public testing::TestWithParam<unsigned> {};

TEST_P(Conv, AllForms) {
  if (!Kernels::supported(GetParam()))
    GTEST_SKIP() << "this processor has no vectors of " << GetParam() << " bits";
  std::string text;
  for (const Case &c : cases)
    text += kernel(c);
  auto jit = Kernels::compile(text, GetParam());
  ASSERT_TRUE(jit);
  for (const Case &c : cases) {
    SCOPED_TRACE(c.name);
    Array x = Array::random(c.type, c.in, 1), w = Array::random(c.type, c.filter, 2), bias = Array::random(c.type, {c.filter[0]}, 3),
          y(c.type, c.out());
    std::vector<Array *> inputs{&x, &w};
    if (c.bias)
      inputs.push_back(&bias);
    jit->run(c.name, inputs, {&y}, c.relu ? std::vector<int64_t>{y.dims.front(), y.dims.back()} : std::vector<int64_t>{});
    // Everything as three spatial dimensions.
    size_t missing = 3 - c.rank();
    auto spread = [&](std::vector<int64_t> v, int64_t fill) { return v.insert(v.begin(), missing, fill), v; };
    std::vector<int64_t> in = c.in, filter = c.filter, out = y.dims, stride = spread(c.strides, 1), dilation = spread(c.dilations, 1);
    std::vector<int64_t> pad = spread({c.pads.begin(), c.pads.begin() + c.rank()}, 0);
    for (auto *v : {&in, &filter, &out})
      v->insert(v->begin() + 2, missing, 1);
    int64_t perGroup = filter[0] / c.group;
    for (int64_t i = 0; i < y.size(); ++i) {
      int64_t at[5], rest = i;
      for (int d = 4; d >= 0; --d) {
        at[d] = rest % out[d];
        rest /= out[d];
      }
      double sum = c.bias ? bias.at(at[1]) : 0, size = 1;
      for (int64_t ch = 0; ch < filter[1]; ++ch)
        for (int64_t a = 0; a < filter[2]; ++a)
          for (int64_t b = 0; b < filter[3]; ++b)
            for (int64_t e = 0; e < filter[4]; ++e) {
              int64_t p = at[2] * stride[0] - pad[0] + a * dilation[0], q = at[3] * stride[1] - pad[1] + b * dilation[1],
                      r = at[4] * stride[2] - pad[2] + e * dilation[2];
              if (p < 0 || p >= in[2] || q < 0 || q >= in[3] || r < 0 || r >= in[4])
                continue;
              int64_t channel = at[1] / perGroup * filter[1] + ch;
              double v = x.at((((at[0] * in[1] + channel) * in[2] + p) * in[3] + q) * in[4] + r) *
                         w.at((((at[1] * filter[1] + ch) * filter[2] + a) * filter[3] + b) * filter[4] + e);
              sum += v;
              size += std::abs(v);
            }
      if (c.relu)
        sum = std::max(sum, 0.0);
      ASSERT_NEAR(y.at(i), sum, size * (c.type == "f32" ? 3e-6 : 1e-3)) << "element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(VectorBits, Conv, testing::Values(128, 256, 512));

} // namespace
