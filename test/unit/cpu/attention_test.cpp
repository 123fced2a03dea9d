// leat.kv_attend against double loops: masks, positions, segments, layouts, caches in place, element types, edge sizes.
#include "AttentionReference.h"
#include "KernelTest.h"

using namespace leat::test;

namespace {

const char *kernels = R"(
leat.kernel_func @plain inputs 3 -> [tensor<?x?x?x?xf32>, tensor<?x?x?xf32>] {
^bb0(%q: tensor<?x?x?x?xf32>, %k: tensor<?x?x?x?xf32>, %v: tensor<?x?x?x?xf32>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25} : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> (tensor<?x?x?x?xf32>, tensor<?x?x?xf32>)
  leat.yield %o, %l : tensor<?x?x?x?xf32>, tensor<?x?x?xf32>
}
leat.kernel_func @causal inputs 3 -> [tensor<?x6x?x64xf32>, tensor<?x6x?xf32>] {
^bb0(%q: tensor<?x6x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x64xf32>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25, causal} : (tensor<?x6x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x64xf32>) -> (tensor<?x6x?x64xf32>, tensor<?x6x?xf32>)
  leat.yield %o, %l : tensor<?x6x?x64xf32>, tensor<?x6x?xf32>
}
leat.kernel_func @strips inputs 3 -> [tensor<?x6x?x112xf32>] {
^bb0(%q: tensor<?x6x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x112xf32>):
  %o = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.25, causal} : (tensor<?x6x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x112xf32>) -> tensor<?x6x?x112xf32>
  leat.yield %o : tensor<?x6x?x112xf32>
}
leat.kernel_func @window inputs 4 -> [tensor<?x?x2x20xf32>, tensor<?x2x?xf32>] {
^bb0(%q: tensor<?x?x2x20xf32>, %k: tensor<?x?x2x20xf32>, %v: tensor<?x?x2x20xf32>, %s: tensor<2xf32>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) sink_bias(%s) {scale = 0.25, window_left = 9, window_right = 3, softcap = 1.5, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"}
     : (tensor<?x?x2x20xf32>, tensor<?x?x2x20xf32>, tensor<?x?x2x20xf32>, tensor<2xf32>) -> (tensor<?x?x2x20xf32>, tensor<?x2x?xf32>)
  leat.yield %o, %l : tensor<?x?x2x20xf32>, tensor<?x2x?xf32>
}
leat.kernel_func @lengths inputs 6 -> [tensor<?x4x?x32xf32>, tensor<?x4x?xf32>] {
^bb0(%q: tensor<?x4x?x32xf32>, %k: tensor<?x4x?x32xf32>, %v: tensor<?x4x?x32xf32>, %p: tensor<?x?xi64>, %b: tensor<?x1x?x?xf32>, %n: tensor<?xi64>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) q_pos(%p) bias(%b) kv_len(%n) {scale = 0.25, causal}
     : (tensor<?x4x?x32xf32>, tensor<?x4x?x32xf32>, tensor<?x4x?x32xf32>, tensor<?x?xi64>, tensor<?x1x?x?xf32>, tensor<?xi64>) -> (tensor<?x4x?x32xf32>, tensor<?x4x?xf32>)
  leat.yield %o, %l : tensor<?x4x?x32xf32>, tensor<?x4x?xf32>
}
leat.kernel_func @key_bias inputs 4 -> [tensor<?x?x3x32xf32>, tensor<?x3x?xf32>] {
^bb0(%q: tensor<?x?x3x32xf32>, %k: tensor<?x?x3x32xf32>, %v: tensor<?x?x3x32xf32>, %b: tensor<?x1x1x?xf32>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) bias(%b) {scale = 0.25, q_layout = "bshd", kv_layout = "bshd", o_layout = "bshd"}
     : (tensor<?x?x3x32xf32>, tensor<?x?x3x32xf32>, tensor<?x?x3x32xf32>, tensor<?x1x1x?xf32>) -> (tensor<?x?x3x32xf32>, tensor<?x3x?xf32>)
  leat.yield %o, %l : tensor<?x?x3x32xf32>, tensor<?x3x?xf32>
}
leat.kernel_func @tail inputs 4 -> [tensor<?x4x?x32xf32>, tensor<?x4x?xf32>] {
^bb0(%q: tensor<?x4x?x32xf32>, %k: tensor<?x4x?x32xf32>, %v: tensor<?x4x?x32xf32>, %n: tensor<?xi64>):
  %o, %l = leat.kv_attend q(%q) k(%k) v(%v) kv_len(%n) {scale = 0.25, causal}
     : (tensor<?x4x?x32xf32>, tensor<?x4x?x32xf32>, tensor<?x4x?x32xf32>, tensor<?xi64>) -> (tensor<?x4x?x32xf32>, tensor<?x4x?xf32>)
  leat.yield %o, %l : tensor<?x4x?x32xf32>, tensor<?x4x?xf32>
}
leat.kernel_func @segments inputs 9 -> [tensor<?x3x?x64xf32>, tensor<?x3x?xf32>] {
^bb0(%q0: tensor<?x3x?x64xf32>, %q1: tensor<?x3x?x64xf32>, %k0: !leat.state<tensor<?x1x?x64xf32>>, %v0: !leat.state<tensor<?x1x?x64xf32>>, %k1: tensor<?x1x?x64xf32>, %v1: tensor<?x1x?x64xf32>,
     %p0: tensor<?xi64>, %p1: tensor<?xi64>, %qp: tensor<?xi64>, %n: index, %off: index):
  %kk = leat.cache_view %k0[%off, %n] : !leat.state<tensor<?x1x?x64xf32>> -> tensor<?x1x?x64xf32>
  %vv = leat.cache_view %v0[%off, %n] : !leat.state<tensor<?x1x?x64xf32>> -> tensor<?x1x?x64xf32>
  %o, %l = leat.kv_attend q(%q0, %q1) k(%kk, %k1) v(%vv, %v1) q_pos(%qp) k_pos(%p0, %p1) {scale = 0.25, causal, window_left = 40}
     : (tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>, tensor<?x1x?x64xf32>, tensor<?x1x?x64xf32>, tensor<?x1x?x64xf32>, tensor<?x1x?x64xf32>, tensor<?xi64>, tensor<?xi64>, tensor<?xi64>)
     -> (tensor<?x3x?x64xf32>, tensor<?x3x?xf32>)
  leat.yield %o, %l : tensor<?x3x?x64xf32>, tensor<?x3x?xf32>
}
leat.kernel_func @computed inputs 3 -> [tensor<?x2x?x8xf32>] {
^bb0(%q: tensor<?x2x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>):
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c0 : tensor<?x2x?x8xf32>
  %t = tensor.dim %k, %c2 : tensor<?x2x?x8xf32>
  %e = tensor.empty(%n, %t) : tensor<?x2x?x8xf32>
  %kk = linalg.generic {indexing_maps = [affine_map<(a,b,c,d)->(a,b,c,d)>, affine_map<(a,b,c,d)->(a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%k : tensor<?x2x?x8xf32>) outs(%e : tensor<?x2x?x8xf32>) {
  ^bb0(%x: f32, %w: f32):
    %y = arith.addf %x, %x : f32
    linalg.yield %y : f32
  } -> tensor<?x2x?x8xf32>
  %vv = linalg.generic {indexing_maps = [affine_map<(a,b,c,d)->(a,b,c,d)>, affine_map<(a,b,c,d)->(a,b,c,d)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
    ins(%v : tensor<?x2x?x8xf32>) outs(%e : tensor<?x2x?x8xf32>) {
  ^bb0(%x: f32, %w: f32):
    %y = arith.mulf %x, %x : f32
    linalg.yield %y : f32
  } -> tensor<?x2x?x8xf32>
  %o = leat.kv_attend q(%q) k(%kk) v(%vv) {scale = 0.25} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  leat.yield %o : tensor<?x2x?x8xf32>
}
)";

class Attention : public KernelTest {
  const char *text() const override { return kernels; }
};

TEST_P(Attention, Plain) {
  for (auto [s, t] : kLengths)
    for (auto [d, dv] : {std::pair<int64_t, int64_t>{16, 16}, {64, 64}, {33, 7}, {80, 130}, {1, 1}}) {
      Array q = Array::random("f32", {2, 3, s, d}, 1), k = Array::random("f32", {2, 3, t, d}, 2),
            v = Array::random("f32", {2, 3, t, dv}, 3);
      Array o("f32", {2, 3, s, dv}), lse("f32", {2, 3, s});
      jit->run("plain", {&q, &k, &v}, {&o, &lse});
      Reference r{2, 3, 3, s, d, dv};
      r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
      expectAttention(r, o, &lse, 2e-6);
    }
}

TEST_P(Attention, CausalGroups) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {2, 6, s, 16}, 4, -4, 4), k = Array::random("f32", {2, 2, t, 16}, 5, -4, 4),
          v = Array::random("f32", {2, 2, t, 64}, 6);
    Array o("f32", {2, 6, s, 64}), lse("f32", {2, 6, s});
    jit->run("causal", {&q, &k, &v}, {&o, &lse});
    Reference r{2, 6, 2, s, 16, 64};
    r.causal = true;
    r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
    expectAttention(r, o, &lse, 5e-6);
  }
}

/// Values of 64 columns, and 48 more in narrower strips.
TEST_P(Attention, ValuesInStrips) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {1, 6, s, 16}, 4, -4, 4), k = Array::random("f32", {1, 2, t, 16}, 5, -4, 4),
          v = Array::random("f32", {1, 2, t, 112}, 6);
    Array o("f32", {1, 6, s, 112});
    jit->run("strips", {&q, &k, &v}, {&o});
    Reference r{1, 6, 2, s, 16, 112};
    r.causal = true;
    r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
    expectAttention(r, o, nullptr, 5e-6);
  }
}

TEST_P(Attention, WindowSoftcapSinkAndLayouts) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {2, s, 2, 20}, 7, -2, 2), k = Array::random("f32", {2, t, 2, 20}, 8, -2, 2),
          v = Array::random("f32", {2, t, 2, 20}, 9);
    Array sink = Array::f32({2}, {0.5f, -kInfinity}), o("f32", {2, s, 2, 20}), lse("f32", {2, 2, s});
    jit->run("window", {&q, &k, &v, &sink}, {&o, &lse});
    Reference r{2, 2, 2, s, 20, 20};
    r.left = 9;
    r.right = 3;
    r.softcap = 1.5;
    r.sink = [&](int64_t h) { return sink.at(h); };
    r.segments.push_back({element(q, true), element(k, true), element(v, true), t, {}, {}});
    expectAttention(r, o, &lse, 5e-6, true);
  }
}

TEST_P(Attention, BiasOfKeys) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {2, s, 3, 32}, 20, -4, 4), k = Array::random("f32", {2, t, 3, 32}, 21, -4, 4),
          v = Array::random("f32", {2, t, 3, 32}, 22), bias = Array::random("f32", {2, 1, 1, t}, 23, -3, 3);
    for (int64_t i = 0; i < bias.size(); ++i)
      if (i % 5 == 0 || i % 7 == 3)
        bias.set(i, i % 5 ? -3.4028235e38 : -kInfinity);
    Array o("f32", {2, s, 3, 32}), lse("f32", {2, 3, s});
    jit->run("key_bias", {&q, &k, &v, &bias}, {&o, &lse});
    Reference r{2, 3, 3, s, 32, 32};
    r.segments.push_back({element(q, true), element(k, true), element(v, true), t, {}, {}});
    r.segments[0].bias = [&, t = t](int64_t b, int64_t, int64_t, int64_t j) { return bias.at(b * t + j); };
    expectAttention(r, o, &lse, 5e-6, true);
    // It is the bias that makes the result.
    Array zero("f32", bias.dims), other("f32", o.dims);
    jit->run("key_bias", {&q, &k, &v, &zero}, {&other, &lse});
    if (s > 0 && t > 0) {
      EXPECT_NE(o.bytes, other.bytes) << s << " x " << t;
    }
  }
}

TEST_P(Attention, PositionsBiasAndLengths) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {2, 4, s, 32}, 10), k = Array::random("f32", {2, 4, t, 32}, 11),
          v = Array::random("f32", {2, 4, t, 32}, 12);
    Array position("i64", {2, s}), bias = Array::random("f32", {2, 1, s, t}, 13), length = Array::i64({2}, {t / 2, t});
    for (int64_t i = 0; i < 2 * s; ++i)
      position.set(i, (i * 7) % (t + 3) - 1);
    for (int64_t i = 0; i < bias.size(); i += 5)
      bias.set(i, -kInfinity);
    Array o("f32", {2, 4, s, 32}), lse("f32", {2, 4, s});
    Reference r{2, 4, 4, s, 32, 32};
    r.causal = true;
    r.length = [&](int64_t b) { return int64_t(length.at(b)); };
    r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
    jit->run("tail", {&q, &k, &v, &length}, {&o, &lse});
    expectAttention(r, o, &lse, 3e-6);
    r.queryPosition = [&, s = s](int64_t b, int64_t i) { return int64_t(position.at(b * s + i)); };
    r.segments[0].bias = [&, s = s, t = t](int64_t b, int64_t, int64_t i, int64_t j) { return bias.at((b * s + i) * t + j); };
    jit->run("lengths", {&q, &k, &v, &position, &bias, &length}, {&o, &lse});
    expectAttention(r, o, &lse, 3e-6);
  }
}

TEST_P(Attention, SegmentsFromACacheAndABuffer) {
  // Queries at positions 90.., a ring of 70 slots (a few empty) after 4 entries that are skipped, and keys of this step.
  for (int64_t s : {1, 5, 33}) {
    int64_t used = 70, capacity = 100;
    Array q0 = Array::random("f32", {2, 3, s, 64}, 14), q1 = Array::random("f32", {2, 3, s, 64}, 15);
    Array k0 = Array::random("f32", {2, 1, capacity, 64}, 16), v0 = Array::random("f32", {2, 1, capacity, 64}, 17);
    Array k1 = Array::random("f32", {2, 1, s, 64}, 18), v1 = Array::random("f32", {2, 1, s, 64}, 19);
    Array p0("i64", {used}), p1("i64", {s}), qp("i64", {s});
    for (int64_t j = 0; j < used; ++j)
      p0.set(j, j > 60 ? -1 : 20 + (j + 30) % 70);
    for (int64_t i = 0; i < s; ++i) {
      p1.set(i, 90 + i);
      qp.set(i, 90 + i);
    }
    Array o("f32", {2, 3, s, 64}), lse("f32", {2, 3, s});
    jit->run("segments", {&q0, &q1, &k0, &v0, &k1, &v1, &p0, &p1, &qp}, {&o, &lse}, {used, 4});
    Reference r{2, 3, 1, s, 64, 64};
    r.causal = true;
    r.left = 40;
    r.queryPosition = [&](int64_t, int64_t i) { return 90 + i; };
    auto shifted = [](std::function<double(int64_t, int64_t, int64_t, int64_t)> f) {
      return [f](int64_t b, int64_t h, int64_t i, int64_t d) { return f(b, h, i + 4, d); };
    };
    r.segments.push_back({element(q0), shifted(element(k0)), shifted(element(v0)), used, {}, [&](int64_t j) { return int64_t(p0.at(j)); }});
    r.segments.push_back({element(q1), element(k1), element(v1), s, {}, [&](int64_t j) { return int64_t(p1.at(j)); }});
    expectAttention(r, o, &lse, 3e-6);
  }
}

TEST_P(Attention, ComputedKeysAndValues) {
  for (auto [s, t] : kLengths) {
    Array q = Array::random("f32", {2, 2, s, 8}, 27), k = Array::random("f32", {2, 2, t, 8}, 28),
          v = Array::random("f32", {2, 2, t, 8}, 29);
    Array o("f32", {2, 2, s, 8});
    jit->run("computed", {&q, &k, &v}, {&o});
    Reference r{2, 2, 2, s, 8, 8};
    auto ke = element(k), ve = element(v);
    r.segments.push_back({element(q),
                          [=](int64_t b, int64_t h, int64_t i, int64_t d) { return 2 * ke(b, h, i, d); },
                          [=](int64_t b, int64_t h, int64_t i, int64_t d) { return ve(b, h, i, d) * ve(b, h, i, d); },
                          t,
                          {},
                          {}});
    expectAttention(r, o, nullptr, 2e-6);
  }
}

TEST_P(Attention, ARowOfABatchIsTheRowAlone) {
  Array q = Array::random("f32", {3, 6, 20, 16}, 30), k = Array::random("f32", {3, 2, 90, 16}, 31),
        v = Array::random("f32", {3, 2, 90, 64}, 32);
  Array o("f32", {3, 6, 20, 64}), lse("f32", {3, 6, 20});
  jit->run("causal", {&q, &k, &v}, {&o, &lse});
  Array q1("f32", {1, 6, 20, 16}), k1("f32", {1, 2, 90, 16}), v1("f32", {1, 2, 90, 64}), o1("f32", {1, 6, 20, 64}), lse1("f32", {1, 6, 20});
  std::memcpy(q1.bytes.data(), q.bytes.data() + q1.bytes.size(), q1.bytes.size());
  std::memcpy(k1.bytes.data(), k.bytes.data() + k1.bytes.size(), k1.bytes.size());
  std::memcpy(v1.bytes.data(), v.bytes.data() + v1.bytes.size(), v1.bytes.size());
  jit->run("causal", {&q1, &k1, &v1}, {&o1, &lse1});
  EXPECT_EQ(std::memcmp(o1.bytes.data(), o.bytes.data() + o1.bytes.size(), o1.bytes.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(VectorBits, Attention, testing::ValuesIn(Kernels::widths()));

} // namespace
