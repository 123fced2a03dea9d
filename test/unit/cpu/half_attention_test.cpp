// leat.kv_attend in f16 and bf16: edge sizes, and every head size, mask and layout that GPUs have kernels for, held against what plain
// attention in the same type loses.
#include "AttentionReference.h"
#include "KernelTest.h"

using namespace leat::test;

namespace {

const char *edgeKernels = R"(
leat.kernel_func @half inputs 4 -> [tensor<?x2x?x64xf16>] {
^bb0(%q: tensor<?x2x?x64xf16>, %k: tensor<?x2x?x64xf16>, %v: tensor<?x2x?x64xf16>, %r: tensor<?x2x?x64xf16>):
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c0 : tensor<?x2x?x64xf16>
  %s = tensor.dim %q, %c2 : tensor<?x2x?x64xf16>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25} : (tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>) -> tensor<?x2x?x64xf16>
  %e = tensor.empty(%n, %s) : tensor<?x2x?x64xf16>
  %z = linalg.generic {indexing_maps = [affine_map<(a,b,c,d)->(a,b,c,d)>, affine_map<(a,b,c,d)->(a,b,c,d)>, affine_map<(a,b,c,d)->(a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%o, %r : tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>) outs(%e : tensor<?x2x?x64xf16>) {
  ^bb0(%x: f16, %y: f16, %w: f16):
    %t = arith.addf %x, %y : f16
    linalg.yield %t : f16
  } -> tensor<?x2x?x64xf16>
  leat.yield %z : tensor<?x2x?x64xf16>
}
leat.kernel_func @bf16 inputs 3 -> [tensor<?x2x?x64xbf16>] {
^bb0(%q: tensor<?x2x?x64xbf16>, %k: tensor<?x2x?x64xbf16>, %v: tensor<?x2x?x64xbf16>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25, causal} : (tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>) -> tensor<?x2x?x64xbf16>
  leat.yield %o : tensor<?x2x?x64xbf16>
}
leat.kernel_func @cached inputs 3 -> [tensor<?x2x?x64xbf16>] {
^bb0(%q: tensor<?x2x?x64xbf16>, %k0: !leat.state<tensor<?x1x?x64xbf16>>, %v0: !leat.state<tensor<?x1x?x64xbf16>>, %n: index, %off: index):
  %k = leat.cache_view %k0[%off, %n] : !leat.state<tensor<?x1x?x64xbf16>> -> tensor<?x1x?x64xbf16>
  %v = leat.cache_view %v0[%off, %n] : !leat.state<tensor<?x1x?x64xbf16>> -> tensor<?x1x?x64xbf16>
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25, causal} : (tensor<?x2x?x64xbf16>, tensor<?x1x?x64xbf16>, tensor<?x1x?x64xbf16>) -> tensor<?x2x?x64xbf16>
  leat.yield %o : tensor<?x2x?x64xbf16>
}
)";

class HalfEdges : public KernelTest {
  const char *text() const override { return edgeKernels; }
};

TEST_P(HalfEdges, AnyNumberOfQueriesAndKeys) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f16", {1, 2, s, 64}, 20), k = Array::random("f16", {1, 2, t, 64}, 21),
          v = Array::random("f16", {1, 2, t, 64}, 22);
    Array add = Array::random("f16", {1, 2, s, 64}, 23), o("f16", {1, 2, s, 64});
    jit->run("half", {&q, &k, &v, &add}, {&o});
    Reference r{1, 2, 2, s, 64, 64};
    r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
    Array difference = o;
    for (int64_t i = 0; i < o.size(); ++i)
      difference.set(i, o.at(i) - add.at(i));
    expectAttention(r, difference, nullptr, 3e-3);
    Array qb = Array::random("bf16", {1, 2, s, 64}, 24), kb = Array::random("bf16", {1, 2, t, 64}, 25),
          vb = Array::random("bf16", {1, 2, t, 64}, 26);
    Array ob("bf16", {1, 2, s, 64});
    jit->run("bf16", {&qb, &kb, &vb}, {&ob});
    Reference rb{1, 2, 2, s, 64, 64};
    rb.causal = true;
    rb.segments.push_back({element(qb), element(kb), element(vb), t, {}, {}});
    expectAttention(rb, ob, nullptr, 1e-2);
  }
}

TEST_P(HalfEdges, ACacheIsReadInPlace) {
  // 70 entries after 4 that are skipped, in room for 100.
  int64_t s = 40, used = 70, capacity = 100, skipped = 4;
  Array q = Array::random("bf16", {2, 2, s, 64}, 27), k = Array::random("bf16", {2, 1, capacity, 64}, 28),
        v = Array::random("bf16", {2, 1, capacity, 64}, 29), o("bf16", {2, 2, s, 64});
  jit->run("cached", {&q, &k, &v}, {&o}, {used, skipped});
  auto shifted = [&](const Array &a) {
    return [f = element(a), skipped](int64_t b, int64_t h, int64_t i, int64_t d) { return f(b, h, i + skipped, d); };
  };
  Reference r{2, 2, 1, s, 64, 64};
  r.causal = true;
  r.segments.push_back({element(q), shifted(k), shifted(v), used, {}, {}});
  expectAttention(r, o, nullptr, 1e-2);
}

INSTANTIATE_TEST_SUITE_P(VectorBits, HalfEdges, testing::ValuesIn(Kernels::widths()));

struct HalfCase {
  const char *name, *type;
  int64_t heads, kvHeads, depth, valueDepth;
  bool causal = false;
  int64_t left = -1, right = -1;
  double softcap = 0;
  bool sink = false, bias = false, bshd = false;
};

const HalfCase halfCases[] = {
    {"d64", "bf16", 2, 1, 64, 64, true},
    {"d96", "f16", 2, 1, 96, 96, true},
    {"d128", "bf16", 4, 1, 128, 128, true},
    {"d128_full", "f16", 2, 1, 128, 128},
    {"d128_three", "f16", 3, 1, 128, 128, true}, // positions do not fill tiles of 128 rows: heads have tiles of their own
    {"d256", "f16", 2, 1, 256, 256, true},
    {"d192_128", "bf16", 2, 1, 192, 128, true},
    {"d96_64", "bf16", 2, 1, 96, 64, true}, // results of another swizzle than queries
    {"d16_80", "f16", 2, 2, 16, 80, false, 40, 7},
    {"cap", "bf16", 1, 1, 64, 64, true, -1, -1, 2.0},
    {"sinks", "f16", 2, 1, 64, 64, true, 60, -1, 0, true},
    {"rows", "bf16", 2, 1, 128, 128, true, 100, -1, 0, false, false, true},
    {"biased", "f16", 1, 1, 64, 64, false, -1, -1, 0, true, true},
};

/// A module with a kernel for each case.
const char *halfKernels() {
  static std::string text;
  if (!text.empty())
    return text.c_str();
  for (const HalfCase &c : halfCases) {
    auto tensor = [&](int64_t heads, int64_t depth) {
      std::string middle = c.bshd ? "?x" + std::to_string(heads) : std::to_string(heads) + "x?";
      return "tensor<?x" + middle + "x" + std::to_string(depth) + "x" + c.type + ">";
    };
    std::string q = tensor(c.heads, c.depth), k = tensor(c.kvHeads, c.depth), v = tensor(c.kvHeads, c.valueDepth),
                o = tensor(c.heads, c.valueDepth), lse = "tensor<?x" + std::to_string(c.heads) + "x?xf32>",
                sink = "tensor<" + std::to_string(c.heads) + "xf32>", bias = "tensor<?x1x?x?xf32>";
    std::string arguments, given, types = q + ", " + k + ", " + v;
    auto also = [&](bool wanted, const char *name, const std::string &value, const std::string &type) {
      if (!wanted)
        return;
      arguments += ", " + value + ": " + type;
      given += std::string(" ") + name + "(" + value + ")";
      types += ", " + type;
    };
    also(c.bias, "bias", "%b", bias);
    also(c.sink, "sink_bias", "%s", sink);
    std::string options = "scale = 0.25 : f64";
    if (c.causal)
      options += ", causal";
    if (c.left >= 0)
      options += ", window_left = " + std::to_string(c.left) + " : i64";
    if (c.right >= 0)
      options += ", window_right = " + std::to_string(c.right) + " : i64";
    if (c.softcap > 0)
      options += ", softcap = " + std::to_string(c.softcap) + " : f64";
    if (c.bshd)
      options += ", q_layout = \"bshd\", kv_layout = \"bshd\", o_layout = \"bshd\"";
    text += "leat.kernel_func @" + std::string(c.name) + " inputs " + std::to_string(3 + c.bias + c.sink) + " -> [" + o + ", " + lse +
            "] {\n^bb0(%q: " + q + ", %k: " + k + ", %v: " + v + arguments + "):\n  %o, %l = leat.kv_attend q(%q) k(%k) v(%v)" + given +
            " {" + options + "} : (" + types + ") -> (" + o + ", " + lse + ")\n  leat.yield %o, %l : " + o + ", " + lse + "\n}\n";
  }
  return text.c_str();
}

class HalfAttention : public KernelTest {
  const char *text() const override { return halfKernels(); }
};

TEST_P(HalfAttention, IsAsGoodAsPlainAttention) {
  for (const HalfCase &c : halfCases)
    for (auto [s, t] : {std::pair<int64_t, int64_t>{40, 290}, {33, 33}, {40, 0}}) {
      if (t < 290 && c.depth != 64) // one block of keys, or none
        continue;
      SCOPED_TRACE(std::string(c.name) + " " + std::to_string(s) + " x " + std::to_string(t));
      auto array = [&, s = s, t = t](int64_t heads, int64_t depth, bool queries, int seed) {
        int64_t length = queries ? s : t;
        std::vector<int64_t> dims = c.bshd ? std::vector<int64_t>{1, length, heads, depth} : std::vector<int64_t>{1, heads, length, depth};
        return Array::random(c.type, dims, seed);
      };
      Array q = array(c.heads, c.depth, true, 40), k = array(c.kvHeads, c.depth, false, 41), v = array(c.kvHeads, c.valueDepth, false, 42);
      Array o = array(c.heads, c.valueDepth, true, 43), lse("f32", {1, c.heads, s}), bias = Array::random("f32", {1, 1, s, t}, 44),
            sink = Array::random("f32", {c.heads}, 45);
      std::vector<Array *> inputs{&q, &k, &v};
      Reference r{1, c.heads, c.kvHeads, s, c.depth, c.valueDepth};
      r.softcap = c.softcap, r.causal = c.causal, r.left = c.left, r.right = c.right;
      r.segments.push_back({element(q, c.bshd), element(k, c.bshd), element(v, c.bshd), t, {}, {}});
      if (c.bias) {
        inputs.push_back(&bias);
        r.segments[0].bias = [&, t = t](int64_t, int64_t, int64_t i, int64_t j) { return bias.at(i * t + j); };
      }
      if (c.sink) {
        inputs.push_back(&sink);
        r.sink = [&](int64_t h) { return sink.at(h); };
      }
      jit->run(c.name, inputs, {&o, &lse});
      auto [error, plain] = errorsOf(r, o, c.bshd);
      EXPECT_LE(error, 2 * plain);
    }
}

// The edges are tested at every width.
INSTANTIATE_TEST_SUITE_P(VectorBits, HalfAttention, testing::Values(Kernels::widths().back()));

} // namespace
