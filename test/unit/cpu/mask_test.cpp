// What masks hide: programs on intervals against enumeration, programs and tensors in the kernels of attention against double loops.
#include "AttentionReference.h"
#include "KernelTest.h"
#include "MaskCases.h"

#include "lib/Pipeline/Registration.h"
#include "passes/CPU/MaskProgram.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Parser/Parser.h"
#include <random>

using namespace leat::test;
using namespace mlir;

namespace {

std::string attend(const std::string &name, const std::string &mask, const std::string &more = "") {
  std::string rows = "tensor<?x6x?x16xf32>", keys = "tensor<?x2x?x16xf32>", lse = "tensor<?x6x?xf32>";
  return "leat.kernel_func @" + name + " inputs 3 -> [" + rows + ", " + lse + "] {\n^bb0(%qq: " + rows + ", %kk: " + keys +
         ", %vv: " + keys + "):\n" + maskConstants() + "  %o, %l = leat.kv_attend q(%qq) k(%kk) v(%vv) " + mask + " {scale = 0.25" + more +
         "} : (" + rows + ", " + keys + ", " + keys + ") -> (" + rows + ", " + lse + ")\n  leat.yield %o, %l : " + rows + ", " + lse +
         "\n}\n";
}

std::string attendBiased(const std::string &name, const std::string &bias) {
  std::string rows = "tensor<?x6x?x16xf32>", keys = "tensor<?x2x?x16xf32>";
  return "leat.kernel_func @" + name + " inputs 4 -> [" + rows + "] {\n^bb0(%q: " + rows + ", %k: " + keys + ", %v: " + keys +
         ", %b: " + bias + "):\n  %o = leat.kv_attend q(%q) k(%k) v(%v) bias(%b) {scale = 0.25} : (" + rows + ", " + keys + ", " + keys +
         ", " + bias + ") -> " + rows + "\n  leat.yield %o : " + rows + "\n}\n";
}

// --- intervals --------------------------------------------------------------------------------------------------------------------------

class MaskIntervals : public testing::Test {
protected:
  void SetUp() override {
    leat::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  Region &parse(const std::string &mask) {
    module = parseSourceString<ModuleOp>(attend("f", mask), &context);
    Region *region = nullptr;
    module->walk([&](leat::KVAttendOp op) { region = &op.getVisible(); });
    return *region;
  }
  /// (may be visible, may be hidden) for b, h, i, j in [low, high]; everything folds, because the bounds are constants.
  std::pair<bool, bool> classify(Region &region, std::array<std::pair<int64_t, int64_t>, 4> bounds) {
    OwningOpRef<ModuleOp> room = ModuleOp::create(UnknownLoc::get(&context));
    OpBuilder b(room->getBodyRegion());
    auto constant = [&](int64_t v) -> Value { return arith::ConstantIndexOp::create(b, b.getUnknownLoc(), v); };
    SmallVector<leat::cpu::MaskProgram::Interval> at;
    for (auto [low, high] : bounds)
      at.push_back({constant(low), constant(high)});
    leat::cpu::MaskProgram program(region, b, b.getUnknownLoc(), b.getIndexType(), [](Value v) { return v; });
    auto [visible, hidden] = program.classify(at);
    auto known = [](Value v) {
      BoolAttr attr;
      EXPECT_TRUE(matchPattern(v, m_Constant(&attr)));
      return attr && attr.getValue();
    };
    return {known(visible), known(hidden)};
  }
  DialectRegistry registry;
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
};

using Seen = std::function<bool(int64_t b, int64_t h, int64_t i, int64_t j)>;

/// (some visible, some hidden) of all combinations.
std::pair<bool, bool> enumerate(const Seen &seen, const std::array<std::pair<int64_t, int64_t>, 4> &bounds) {
  bool visible = false, hidden = false;
  for (int64_t b = bounds[0].first; b <= bounds[0].second; ++b)
    for (int64_t h = bounds[1].first; h <= bounds[1].second; ++h)
      for (int64_t i = bounds[2].first; i <= bounds[2].second; ++i)
        for (int64_t j = bounds[3].first; j <= bounds[3].second && !(visible && hidden); ++j)
          (seen(b, h, i, j) ? visible : hidden) = true;
  return {visible, hidden};
}

std::array<std::pair<int64_t, int64_t>, 4> randomBounds(std::mt19937 &random, int64_t from) {
  auto number = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  std::array<std::pair<int64_t, int64_t>, 4> bounds;
  int64_t most[] = {1, 3, 40, 80};
  for (int d = 0; d < 4; ++d) {
    int64_t low = number(d < 2 ? 0 : from, d < 2 ? 5 : 160);
    bounds[d] = {low, low + number(0, 3) * number(0, most[d]) / 3};
  }
  return bounds;
}

TEST_F(MaskIntervals, AreSoundAndClassifyWhatMasksAreFor) {
  std::mt19937 random(1);
  for (const MaskCase &mask : maskCases()) {
    Region &region = parse(maskText(mask));
    int decided = 0, decidable = 0;
    for (int n = 0; n < 300; ++n) {
      // Positions of queries are negative where there are more queries than keys.
      auto bounds = randomBounds(random, n % 5 ? 0 : -20);
      bounds[3] = {std::max<int64_t>(bounds[3].first, 0), std::max<int64_t>(bounds[3].second, 0)};
      if (bounds[2].first < 0 && std::string(mask.name) == "chunks_with_left_context")
        continue; // C++ has no division that rounds down
      auto [visible, hidden] = enumerate(mask.seen, bounds);
      auto [mayBeVisible, mayBeHidden] = classify(region, bounds);
      ASSERT_TRUE(mayBeVisible || !visible) << mask.name << " skips a visible pair, case " << n;
      ASSERT_TRUE(mayBeHidden || !hidden) << mask.name << " lets a hidden pair through, case " << n;
      decidable += !visible + !hidden;
      decided += !mayBeVisible + !mayBeHidden;
    }
    if (mask.exact)
      EXPECT_EQ(decided, decidable) << mask.name;
    EXPECT_GE(decided * 4, decidable) << mask.name;
  }
}

/// A sink in front of a window: blocks between them are skipped, blocks in them are whole.
TEST_F(MaskIntervals, SkipWhatLiesBetween) {
  Region &region = parse(maskText(maskCases()[4]));
  using Verdict = std::pair<bool, bool>;
  EXPECT_EQ(classify(region, {{{0, 0}, {0, 0}, {200, 207}, {64, 127}}}), Verdict(false, true));
  EXPECT_EQ(classify(region, {{{0, 0}, {0, 0}, {200, 207}, {0, 63}}}), Verdict(true, true));
  EXPECT_EQ(classify(region, {{{0, 0}, {0, 0}, {200, 207}, {193, 199}}}), Verdict(true, false));
}

/// The test finds verdicts about an interval that lacks its last key.
TEST_F(MaskIntervals, AreCheckedByEnumeration) {
  std::mt19937 random(1);
  Region &region = parse(maskText(maskCases()[0]));
  int wrong = 0;
  for (int n = 0; n < 300; ++n) {
    auto bounds = randomBounds(random, 0), less = bounds;
    less[3].second = std::max(less[3].first, less[3].second - 20);
    auto [visible, hidden] = enumerate(maskCases()[0].seen, bounds);
    auto [mayBeVisible, mayBeHidden] = classify(region, less);
    wrong += (visible && !mayBeVisible) || (hidden && !mayBeHidden);
  }
  EXPECT_GT(wrong, 0);
}

/// One op after the other on whatever is there.
std::string randomProgram(std::mt19937 &random) {
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  std::vector<std::string> ints{"%b", "%h", "%i", "%j", "%c0", "%c3", "%c16"}, truths;
  std::string text;
  for (int n = 0; n < 14; ++n) {
    std::string name = "%v" + std::to_string(n);
    auto any = [&](const std::vector<std::string> &of) { return of[below(of.size())]; };
    if (n % 2 == 0) {
      static const char *ops[] = {"addi", "subi", "muli", "minsi", "maxsi", "divsi", "floordivsi", "remsi"};
      size_t op = below(8);
      std::string other = op >= 5 ? std::vector<std::string>{"%c3", "%c7", "%c16"}[below(3)] : op == 2 ? "%c3" : any(ints);
      text += name + " = arith." + ops[op] + " " + any(ints) + ", " + other + " : index\n";
      ints.push_back(name);
    } else if (truths.size() < 2 || below(3) == 0) {
      static const char *predicates[] = {"eq", "ne", "slt", "sle", "sgt", "sge"};
      text += name + " = arith.cmpi " + predicates[below(6)] + ", " + any(ints) + ", " + any(ints) + " : index\n";
      truths.push_back(name);
    } else if (below(4) == 0) {
      text += name + " = arith.select " + any(truths) + ", " + any(ints) + ", " + any(ints) + " : index\n";
      ints.push_back(name);
    } else {
      static const char *ops[] = {"andi", "ori", "xori"};
      text += name + " = arith." + ops[below(3)] + " " + any(truths) + ", " + any(truths) + " : i1\n";
      truths.push_back(name);
    }
  }
  return "visible(%b, %h, %i, %j) {\n" + text + "leat.yield " + truths.back() + " : i1\n}";
}

TEST_F(MaskIntervals, AreSoundForAnyProgram) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    std::string text = randomProgram(random);
    Region &region = parse(text);
    // A single point as an interval is the value itself.
    Seen seen = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
      auto [visible, hidden] = classify(region, {{{b, b}, {h, h}, {i, i}, {j, j}}});
      EXPECT_NE(visible, hidden) << text;
      return visible;
    };
    for (int n = 0; n < 6; ++n) {
      auto bounds = randomBounds(random, -20);
      for (auto &[low, high] : bounds)
        high = std::min(high, low + 4);
      bounds[0].second = bounds[0].first;
      auto [visible, hidden] = enumerate(seen, bounds);
      auto [mayBeVisible, mayBeHidden] = classify(region, bounds);
      ASSERT_TRUE((mayBeVisible || !visible) && (mayBeHidden || !hidden)) << "seed " << seed << "\n" << text;
    }
  }
}

// --- kernels ----------------------------------------------------------------------------------------------------------------------------

const char *kernels() {
  static const std::string text = [] {
    std::string all;
    for (const MaskCase &mask : maskCases()) {
      all += attend(mask.name, maskText(mask));
      if (mask.exact)
        all += attend(std::string(mask.name) + "_and_more", maskText(mask), ", causal, window_left = 50, softcap = 2.0");
    }
    all += attendBiased("row_bias", "tensor<?x1x?x?xf32>") + attendBiased("head_bias", "tensor<6x1x?xf32>") +
           attendBiased("key_bias", "tensor<?x1x1x?xf32>");
    // A number from outside, and two segments with positions.
    std::string t = "tensor<?x3x?x64xf32>", one = "tensor<?x1x?x64xf32>";
    all +=
        "leat.kernel_func @segments inputs 9 -> [" + t + "] {\n^bb0(%q: " + t + ", %k0: " + one + ", %v0: " + one + ", %k1: " + one +
        ", %v1: " + one + ", %p0: tensor<?xi64>, %p1: tensor<?xi64>, %qp: tensor<?xi64>, %bias: tensor<?x?xf32>, %n: index):\n" +
        "  %c16 = arith.constant 16 : index\n" +
        "  %o = leat.kv_attend q(%q, %q) k(%k0, %k1) v(%v0, %v1) q_pos(%qp) k_pos(%p0, %p1) bias(%bias, %bias) visible(%b, %h, %i, %j) {\n"
        "    %x = arith.divsi %i, %c16 : index\n    %y = arith.divsi %j, %c16 : index\n    %s = arith.cmpi sle, %y, %x : index\n"
        "    %p = arith.cmpi sge, %j, %n : index\n    %r = arith.andi %s, %p : i1\n    leat.yield %r : i1\n  } {scale = 0.25} : (" +
        t + ", " + t + ", " + one + ", " + one + ", " + one + ", " + one +
        ", tensor<?xi64>, tensor<?xi64>, tensor<?xi64>, tensor<?x?xf32>, tensor<?x?xf32>) -> " + t + "\n  leat.yield %o : " + t + "\n}\n";
    return all;
  }();
  return text.c_str();
}

class MaskedAttention : public KernelTest {
  const char *text() const override { return kernels(); }
};

TEST_P(MaskedAttention, Programs) {
  for (auto [s, t] : {std::pair<int64_t, int64_t>{1, 1}, {1, 300}, {3, 70}, {17, 130}, {70, 50}}) {
    Array q = Array::random("f32", {2, 6, s, 16}, 4, -4, 4), k = Array::random("f32", {2, 2, t, 16}, 5, -4, 4),
          v = Array::random("f32", {2, 2, t, 16}, 6);
    for (const MaskCase &mask : maskCases()) {
      if (t < s && std::string(mask.name) == "chunks_with_left_context")
        continue; // C++ has no division that rounds down
      for (bool more : {false, true}) {
        if (more && !mask.exact)
          continue;
        Array o("f32", {2, 6, s, 16}), lse("f32", {2, 6, s});
        jit->run(mask.name + std::string(more ? "_and_more" : ""), {&q, &k, &v}, {&o, &lse});
        Reference r{2, 6, 2, s, 16, 16};
        r.causal = more;
        r.left = more ? 50 : -1;
        r.softcap = more ? 2 : 0;
        r.visible = mask.seen;
        r.segments.push_back({element(q), element(k), element(v), t, {}, {}});
        SCOPED_TRACE(std::string(mask.name) + (more ? " and more" : "") + " " + std::to_string(s) + "x" + std::to_string(t));
        expectAttention(r, o, &lse, 5e-6);
        if (HasFatalFailure())
          return;
      }
    }
  }
}

TEST_P(MaskedAttention, SegmentsWithPositionsAndANumberFromOutside) {
  for (int64_t s : {1, 2, 5, 40}) {
    int64_t used = 70, most = 100, least = 25;
    Array q = Array::random("f32", {2, 3, s, 64}, 14), k0 = Array::random("f32", {2, 1, used, 64}, 16),
          v0 = Array::random("f32", {2, 1, used, 64}, 17);
    Array k1 = Array::random("f32", {2, 1, used, 64}, 18), v1 = Array::random("f32", {2, 1, used, 64}, 19);
    Array p0("i64", {used}), p1("i64", {used}), qp("i64", {s}), bias = Array::random("f32", {s, used}, 20);
    for (int64_t j = 0; j < used; ++j) {
      p0.set(j, j > 60 ? -1 : 20 + (j + 30) % 70);
      p1.set(j, most + j);
    }
    for (int64_t i = 0; i < s; ++i)
      qp.set(i, most - 5 + i);
    Array o("f32", {2, 3, s, 64});
    jit->run("segments", {&q, &k0, &v0, &k1, &v1, &p0, &p1, &qp, &bias}, {&o}, {least});
    Reference r{2, 3, 1, s, 64, 64};
    r.queryPosition = [&](int64_t, int64_t i) { return most - 5 + i; };
    r.visible = [&](int64_t, int64_t, int64_t i, int64_t j) { return j / 16 <= i / 16 && j >= least; };
    auto added = [&](int64_t, int64_t, int64_t i, int64_t j) { return bias.at(i * used + j); };
    r.segments.push_back({element(q), element(k0), element(v0), used, added, [&](int64_t j) { return int64_t(p0.at(j)); }});
    r.segments.push_back({element(q), element(k1), element(v1), used, added, [&](int64_t j) { return int64_t(p1.at(j)); }});
    expectAttention(r, o, nullptr, 3e-6);
  }
}

/// Rows [from, to) of each head of a cache [1, heads, keys, depth].
void makeNaN(Array &cache, int64_t from, int64_t to) {
  for (int64_t h = 0; h < cache.dims[1]; ++h)
    for (int64_t j = from; j < to; ++j)
      for (int64_t d = 0; d < cache.dims[3]; ++d)
        cache.set((h * cache.dims[2] + j) * cache.dims[3] + d, std::nan(""));
}

/// Blocks that no row sees are not read: what lies there may be NaN. Where a block is partly visible, it is read.
TEST_P(MaskedAttention, HiddenBlocksAreNotRead) {
  int64_t t = 1024;
  for (int64_t s : {1, 2, 40, 130}) {
    Array q = Array::random("f32", {1, 6, s, 16}, 4), k = Array::random("f32", {1, 2, t, 16}, 5),
          v = Array::random("f32", {1, 2, t, 16}, 6);
    auto poison = [&](int64_t from, int64_t to) {
      makeNaN(k, from, to);
      makeNaN(v, from, to);
    };
    Array o("f32", {1, 6, s, 16}), clean("f32", {1, 6, s, 16}), lse("f32", {1, 6, s});
    jit->run("sinks_and_window", {&q, &k, &v}, {&clean, &lse});
    poison(256, 768); // queries are at 894 and behind, and see 3 sinks and 16 keys
    jit->run("sinks_and_window", {&q, &k, &v}, {&o, &lse});
    EXPECT_EQ(o.bytes, clean.bytes) << s;
    poison(0, 64);
    jit->run("sinks_and_window", {&q, &k, &v}, {&o, &lse});
    EXPECT_TRUE(std::isnan(o.at(0)));
  }
}

/// The same where a tensor hides them. One row that sees one of their keys is enough for them to be read.
TEST_P(MaskedAttention, BlocksHiddenByABiasAreNotRead) {
  int64_t t = 600, from = 256, to = 512;
  double least = std::numeric_limits<float>::lowest();
  struct Case {
    const char *kernel;
    std::vector<int64_t> dims;
  };
  for (int64_t s : {1, 2, 70})
    for (const Case &c : {Case{"row_bias", {1, 1, s, t}}, Case{"head_bias", {6, 1, t}}, Case{"key_bias", {1, 1, 1, t}}})
      for (double hidden : {-kInfinity, least}) {
        if (hidden == least && s <= 2)
          continue; // few rows: tasks for a part of the keys each, which may have nothing else
        SCOPED_TRACE(testing::Message() << c.kernel << ", " << s << " rows, " << hidden);
        Array q = Array::random("f32", {1, 6, s, 16}, 4), k = Array::random("f32", {1, 2, t, 16}, 5),
              v = Array::random("f32", {1, 2, t, 16}, 6), bias = Array::random("f32", c.dims, 7);
        for (int64_t i = 0; i < bias.size(); ++i)
          if (i % t >= from && i % t < to)
            bias.set(i, hidden);
        Array clean("f32", {1, 6, s, 16}), o("f32", {1, 6, s, 16});
        jit->run(c.kernel, {&q, &k, &v, &bias}, {&clean});
        Reference r{1, 6, 2, s, 16, 16};
        bool perRow = c.dims.size() == 4 && c.dims[2] != 1, perHead = c.dims.size() == 3;
        auto added = [&](int64_t, int64_t h, int64_t i, int64_t j) { return bias.at(((perRow ? i : 0) + (perHead ? h : 0)) * t + j); };
        r.segments.push_back({element(q), element(k), element(v), t, added, {}});
        expectAttention(r, clean, nullptr, 3e-6);
        makeNaN(k, from, to);
        makeNaN(v, from, to);
        jit->run(c.kernel, {&q, &k, &v, &bias}, {&o});
        EXPECT_EQ(o.bytes, clean.bytes);
        bias.set(bias.size() - t + from + 70, 0);
        jit->run(c.kernel, {&q, &k, &v, &bias}, {&o});
        EXPECT_TRUE(std::isnan(o.at(o.size() - 1)));
      }
}

/// A row that has nothing but keys under masks of the least float takes their mean, whatever blocks they are in.
TEST_P(MaskedAttention, MasksOfTheLeastFloatAloneCount) {
  int64_t t = 300;
  for (int64_t s : {1, 40}) {
    Array q = Array::random("f32", {1, 6, s, 16}, 4), k = Array::random("f32", {1, 2, t, 16}, 5),
          v = Array::random("f32", {1, 2, t, 16}, 6), bias("f32", {1, 1, s, t}), o("f32", {1, 6, s, 16});
    for (int64_t i = 0; i < s; ++i)
      for (int64_t j = 0; j < t; ++j)
        bias.set(i * t + j, i % 2 == 0 || (j >= 64 && j < 128) ? std::numeric_limits<float>::lowest() : 0);
    jit->run("row_bias", {&q, &k, &v, &bias}, {&o});
    for (int64_t d = 0; d < 16; ++d) {
      double mean = 0;
      for (int64_t j = 0; j < t; ++j)
        mean += v.at(j * 16 + d) / t;
      EXPECT_NEAR(o.at(d), mean, 1e-6) << s;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(VectorBits, MaskedAttention, testing::ValuesIn(Kernels::widths()));

} // namespace
