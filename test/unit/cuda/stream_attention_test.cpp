// Attention of streams on Hopper: lengths in memory, rings, sinks beside recent keys, several rotations of the queries. Every case is held
// against what plain attention in the same type loses, at sizes around a block of keys, and what is stored where no key is, is NaN.
#include "../cpu/AttentionReference.h"
#include "../cpu/KernelTest.h"
#include "DeviceKernels.h"

#include <regex>

using namespace leat::test;

namespace {

struct StreamCase {
  const char *name, *type;
  int64_t depth, valueDepth;
  unsigned segments = 1;
  bool positions = false, lengths = false, causal = true;
  int64_t left = -1;
  bool rotated = false; ///< each segment has queries of its own
  bool bias = false;
};

const StreamCase cases[] = {
    {"length64", "f16", 64, 64, 1, false, true},
    {"length128", "bf16", 128, 128, 1, false, true},
    {"length_window", "f16", 128, 128, 1, false, true, true, 100},
    {"length_full", "bf16", 64, 64, 1, false, true, false},
    {"length_biased", "f16", 64, 64, 1, false, true, true, -1, false, true},
    {"ring64", "bf16", 64, 64, 1, true, false, true, 90},
    {"ring_full", "f16", 64, 64, 1, true, false, false},
    {"sinks96", "bf16", 96, 96, 2, true},
    {"sinks128", "f16", 128, 128, 2, true, false, true, 120},
    {"sinks192", "f16", 192, 128, 2, true},
    {"sinks256", "bf16", 256, 256, 2, true},
    {"sinks_length", "f16", 64, 64, 2, true, true},
    {"rotated64", "bf16", 64, 64, 2, true, false, true, -1, true},
    {"rotated128", "bf16", 128, 128, 2, true, false, true, 150, true},
    {"three", "f16", 64, 64, 3, false, true, false},
    {"three_biased", "bf16", 64, 64, 3, true, false, true, -1, false, true},
};

constexpr int64_t kHeads = 2, kKvHeads = 1;

std::string kernelOf(const StreamCase &c) {
  auto tensor = [&](int64_t heads, int64_t depth) {
    return "tensor<?x" + std::to_string(heads) + "x?x" + std::to_string(depth) + "x" + c.type + ">";
  };
  std::string arguments, given, types;
  unsigned inputs = 0;
  auto list = [&](const char *what, const std::string &type, unsigned count, unsigned repeat = 1) {
    given += given.empty() ? std::string(what) + "(" : std::string(" ") + what + "(";
    for (unsigned i = 0; i < count * repeat; ++i) {
      std::string value = "%" + std::string(what) + std::to_string(i / repeat);
      if (i % repeat == 0) {
        arguments += (inputs++ ? ", " : "") + value + ": " + type;
      }
      given += (i ? ", " : "") + value;
      types += (types.empty() ? "" : ", ") + type;
    }
    given += ")";
  };
  list("q", tensor(kHeads, c.depth), c.rotated ? c.segments : 1, c.rotated ? 1 : c.segments);
  list("k", tensor(kKvHeads, c.depth), c.segments);
  list("v", tensor(kKvHeads, c.valueDepth), c.segments);
  if (c.positions) {
    list("q_pos", "tensor<?xi64>", 1);
    list("k_pos", "tensor<?xi64>", c.segments);
  }
  if (c.bias)
    list("bias", "tensor<?x1x?x?xf32>", c.segments);
  if (c.lengths)
    list("kv_len", "tensor<?xi64>", 1);
  std::string options = "scale = 0.25 : f64", o = tensor(kHeads, c.valueDepth), lse = "tensor<?x2x?xf32>";
  if (c.causal)
    options += ", causal";
  if (c.left >= 0)
    options += ", window_left = " + std::to_string(c.left) + " : i64";
  return "leat.kernel_func @" + std::string(c.name) + " inputs " + std::to_string(inputs) + " -> [" + o + ", " + lse + "] {\n^bb0(" +
         arguments + "):\n  %o, %l = leat.kv_attend " + given + " {" + options + "} : (" + types + ") -> (" + o + ", " + lse +
         ")\n  leat.yield %o, %l : " + o + ", " + lse + "\n}\n";
}

/// A module with a kernel for each case.
const char *kernels() {
  static std::string text;
  if (text.empty())
    for (const StreamCase &c : cases)
      text += kernelOf(c);
  return text.c_str();
}

/// Operands of a case and what they mean.
struct Stream {
  Stream(const StreamCase &c, int64_t batch, int64_t queries, std::vector<int64_t> sizes, std::vector<int64_t> live)
      : c(c), sizes(sizes), reference{batch, kHeads, kKvHeads, queries, c.depth, c.valueDepth},
        o(c.type, {batch, kHeads, queries, c.valueDepth}), lse("f32", {batch, kHeads, queries}) {
    Reference &r = reference;
    r.causal = c.causal, r.left = c.left;
    int64_t all = 0, seed = 50;
    for (int64_t n : sizes)
      all += n;
    for (unsigned s = 0; s < c.segments; ++s) {
      if (s == 0 || c.rotated)
        q.push_back(Array::random(c.type, {batch, kHeads, queries, c.depth}, seed++));
      k.push_back(Array::random(c.type, {batch, kKvHeads, sizes[s], c.depth}, seed++));
      v.push_back(Array::random(c.type, {batch, kKvHeads, sizes[s], c.valueDepth}, seed++));
      bias.push_back(Array::random("f32", {batch, 1, queries, sizes[s]}, seed++));
      // A ring that has turned: positions follow those of the segment before, begin somewhere inside, and every seventh slot is empty.
      at.push_back(Array("i64", {sizes[s]}));
      int64_t before = 0;
      for (unsigned earlier = 0; earlier < s; ++earlier)
        before += sizes[earlier];
      for (int64_t j = 0; j < sizes[s]; ++j)
        at[s].set(j, j % 7 == 3 ? -1 : before + (j + sizes[s] / 3) % sizes[s]);
    }
    queryAt = Array("i64", {queries});
    for (int64_t i = 0; i < queries; ++i)
      queryAt.set(i, std::max<int64_t>(0, all - queries) + i);
    lengths = Array::i64({batch}, live);
    for (unsigned s = 0; s < c.segments; ++s) {
      const Array &queriesOf = q[c.rotated ? s : 0];
      Reference::Segment segment{element(queriesOf), element(k[s]), element(v[s]), sizes[s], {}, {}};
      if (c.positions)
        segment.position = [this, s](int64_t j) { return int64_t(at[s].at(j)); };
      if (c.bias)
        segment.bias = [this, s, queries](int64_t b, int64_t, int64_t i, int64_t j) {
          return bias[s].at((b * queries + i) * this->sizes[s] + j);
        };
      r.segments.push_back(segment);
    }
    if (c.positions)
      r.queryPosition = [this](int64_t, int64_t i) { return int64_t(queryAt.at(i)); };
    if (c.lengths)
      r.length = [this](int64_t b) { return int64_t(lengths.at(b)); };
    // What is nobody's may be anything.
    for (unsigned s = 0; s < c.segments; ++s)
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t j = 0; j < sizes[s]; ++j)
          if ((c.lengths && j >= live[b]) || (c.positions && at[s].at(j) < 0)) {
            for (int64_t d = 0; d < c.depth; ++d)
              k[s].set((b * sizes[s] + j) * c.depth + d, std::numeric_limits<double>::quiet_NaN());
            for (int64_t d = 0; d < c.valueDepth; ++d)
              v[s].set((b * sizes[s] + j) * c.valueDepth + d, std::numeric_limits<double>::quiet_NaN());
          }
  }
  Stream(const Stream &) = delete;

  std::vector<Array *> inputs() {
    std::vector<Array *> all;
    auto add = [&](std::vector<Array> &list) {
      for (Array &a : list)
        all.push_back(&a);
    };
    add(q), add(k), add(v);
    if (c.positions) {
      all.push_back(&queryAt);
      add(at);
    }
    if (c.bias)
      add(bias);
    if (c.lengths)
      all.push_back(&lengths);
    return all;
  }

  const StreamCase &c;
  std::vector<int64_t> sizes;
  Reference reference;
  std::vector<Array> q, k, v, bias, at;
  Array queryAt, lengths, o, lse;
};

class StreamAttention : public KernelTest {
  const char *text() const override { return kernels(); }
};

void expectGood(const Stream &stream) {
  auto [error, plain] = errorsOf(stream.reference, stream.o);
  EXPECT_LE(error, 2 * plain);
  expectLse(stream.reference, stream.lse, 1e-2);
}

const StreamCase &caseOf(const std::string &name) {
  return *std::find_if(std::begin(cases), std::end(cases), [&](const StreamCase &c) { return c.name == name; });
}

TEST_P(StreamAttention, EveryCase) {
  for (const StreamCase &c : cases) {
    // Some blocks of each segment, and two tiles of rows for heads of 128.
    std::vector<int64_t> sizes{190, 130, 40};
    sizes.resize(c.segments);
    SCOPED_TRACE(c.name);
    Stream stream(c, c.lengths ? 2 : 1, c.depth == 128 ? 70 : 40, sizes, {180, 31});
    jit->run(c.name, stream.inputs(), {&stream.o, &stream.lse});
    expectGood(stream);
  }
}

TEST_P(StreamAttention, SizesAroundABlock) {
  for (const char *name : {"length64", "ring64", "rotated64"}) {
    const StreamCase &c = caseOf(name);
    int64_t block = c.positions ? 96 : 128;
    for (int64_t size : {int64_t(0), int64_t(1), block - 1, block, block + 1})
      for (int64_t other : {int64_t(0), int64_t(1), block}) {
        if (other && c.segments == 1)
          continue;
        // With a length there is room behind it.
        std::vector<int64_t> sizes{c.lengths ? size + 40 : size, other};
        sizes.resize(c.segments);
        SCOPED_TRACE(std::string(name) + " " + std::to_string(size) + " " + std::to_string(other));
        Stream stream(c, 1, 17, sizes, {size});
        jit->run(c.name, stream.inputs(), {&stream.o, &stream.lse});
        expectGood(stream);
      }
  }
}

TEST_P(StreamAttention, AKeyTooManyIsNoticed) {
  for (const char *name : {"length128", "ring64", "sinks128", "length_window"}) {
    const StreamCase &c = caseOf(name);
    SCOPED_TRACE(name);
    std::vector<int64_t> sizes{150, 70};
    sizes.resize(c.segments);
    Stream stream(c, 1, 20, sizes, {140});
    jit->run(c.name, stream.inputs(), {&stream.o, &stream.lse});
    expectGood(stream);
    // One that the last row does not see, or one that it does.
    Reference other = stream.reference;
    if (c.left >= 0)
      ++other.left;
    else if (c.lengths)
      other.length = [](int64_t) { return 139; };
    auto [error, plain] = errorsOf(other, stream.o);
    EXPECT_GT(error, 2 * plain);
  }
}

TEST(StreamControl, WithoutClearingWhatIsStoredComesThrough) {
  const StreamCase &c = caseOf("length64");
  auto device = DeviceKernels::compile(kernelOf(c), "sm_90a");
  ASSERT_TRUE(device);
  Stream stream(c, 1, 20, {100}, {90});
  auto hasNaN = [&] {
    auto outcome = device->run(c.name, stream.inputs(), {&stream.o, &stream.lse});
    for (const std::string &error : outcome.errors)
      ADD_FAILURE() << error;
    return llvm::any_of(stream.o.values(), [](double x) { return std::isnan(x); });
  };
  EXPECT_FALSE(hasNaN());
  std::string &ptx = device->ptx[0], cleared = std::regex_replace(ptx, std::regex(R"(st\.shared\.v4\.b32[^;]*\{0, 0, 0, 0\};)"), "");
  ASSERT_NE(ptx, cleared);
  ptx = cleared;
  EXPECT_TRUE(hasNaN());
}

INSTANTIATE_TEST_SUITE_P(Hopper, StreamAttention, testing::Values(128u));

} // namespace
