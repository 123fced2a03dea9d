// Caches in pages: attention and appends give what they give on a cache in one block of memory, to the bit, at the edges of pages and with
// rows of different lengths. What no row has, in pools and tables, is absurd.
#include "AttentionReference.h"
#include "KernelTest.h"

#include <numeric>
#include <random>

using namespace leat::test;

namespace {

struct PagedCase {
  const char *type, *cache;
  int64_t page;
};

/// Pages smaller and larger than the blocks of kernels.
const PagedCase cases[] = {{"f32", "f32", 8}, {"f32", "f16", 16}, {"f16", "f16", 64}, {"bf16", "bf16", 128}};

constexpr int64_t kHeads = 6, kKvHeads = 2, kSize = 64, kSink = 3, kRing = 37;

std::string nameOf(const PagedCase &c) { return std::string(c.type) + "_" + c.cache + "_" + std::to_string(c.page); }

/// For each case and layout of the cache: attention of all that is viewed, of ragged rows, and appends, also to a ring behind sinks.
std::string kernelsOf(const PagedCase &c, bool paged) {
  auto tensor = [&](int64_t heads, const std::string &entries, const char *type) {
    return "tensor<?x" + std::to_string(heads) + "x" + entries + "x" + std::to_string(kSize) + "x" + type + ">";
  };
  std::string q = tensor(kHeads, "?", c.type), rows = tensor(kKvHeads, "?", c.cache), lse = "tensor<?x6x?xf32>",
              state = "!leat.state<" + tensor(kKvHeads, paged ? std::to_string(c.page) : "?", c.cache) + ">",
              table = "!leat.state<tensor<?x?xi32>>", name = nameOf(c) + (paged ? "_paged" : "_plain");
  std::string argument = paged ? ", %t: " + table : "", by = paged ? " table(%t)" : "", type = paged ? ", " + table : "";
  std::string text;
  std::string results = "[" + q + ", " + lse + "]";
  // From the first entry on, as compilers know it, or from one that a launch says; ragged: of each row as many as it has.
  for (std::string kind : {"", "_from", "_ragged"}) {
    bool ragged = kind == "_ragged", from = kind == "_from";
    if (ragged && !paged)
      continue;
    std::string views = from ? "" : "  %off = arith.constant 0 : index\n";
    for (std::string x : {"k", "v"})
      views += "  %" + x + "0 = leat.cache_view %" + x + "[%off, %n]" + by + " : " + state + type + " -> " + rows + "\n";
    text += "leat.kernel_func @attend_" + name + kind + " inputs " + std::to_string(3 + paged + ragged) + " -> " + results +
            " {\n^bb0(%q: " + q + ", %k: " + state + ", %v: " + state + argument + (ragged ? ", %l: tensor<?xi64>" : "") + ", %n: index" +
            (from ? ", %off: index" : "") + "):\n" + views + "  %o, %s = leat.kv_attend q(%q) k(%k0) v(%v0)" +
            (ragged ? " kv_len(%l)" : "") + " {scale = 0.25 : f64, causal} : (" + q + ", " + rows + ", " + rows +
            (ragged ? ", tensor<?xi64>" : "") + ") -> (" + q + ", " + lse + ")\n  leat.yield %o, %s : " + q + ", " + lse + "\n}\n";
  }
  for (bool ring : {false, true})
    text += "leat.kernel_func @" + std::string(ring ? "ring_" : "append_") + name + " inputs " + std::to_string(2 + paged) + " -> [" +
            state + "] {\n^bb0(%s: " + state + ", %x: " + rows + argument + ", %at: index):\n  %next = leat.cache_append %s, %x at %at" +
            by + " {axis = 2 : i64" +
            (ring ? ", sink = " + std::to_string(kSink) + " : i64, ring = " + std::to_string(kRing) + " : i64" : std::string()) +
            "} : " + state + ", " + rows + type + "\n  leat.yield %next : " + state + "\n}\n";
  return text;
}

const char *kernels() {
  static std::string text;
  if (text.empty())
    for (const PagedCase &c : cases)
      text += kernelsOf(c, false) + kernelsOf(c, true);
  return text.c_str();
}

/// Pools for the content of caches: pages of all rows in random order, between them some of nobody's.
struct Paged {
  Paged(int64_t page, int64_t batch, int64_t entries, std::function<int64_t(int64_t row)> used, uint32_t seed = 1)
      : page(page), perRow((entries + page - 1) / page + 1), pages(batch * perRow + 3), table("i32", {batch, perRow}) {
    std::vector<int64_t> numbers(pages);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t i = 0; i < perRow; ++i)
        table.set(b * perRow + i, i < (used(b) + page - 1) / page ? numbers[b * perRow + i] : 1 << 22);
  }

  int64_t place(int64_t b, int64_t h, int64_t entry, int64_t d) const {
    int64_t number = int64_t(table.at(b * perRow + entry / page));
    return ((number * kKvHeads + h) * page + entry % page) * kSize + d;
  }
  /// The pool of these rows; entries that the table does not reach are NaN.
  Array pool(const Array &rows) const {
    Array all(rows.type, {pages, kKvHeads, page, kSize});
    for (int64_t i = 0; i < all.size(); ++i)
      all.set(i, std::numeric_limits<double>::quiet_NaN());
    eachOwned(rows, [&](int64_t there, int64_t here) { all.set(there, rows.at(here)); });
    return all;
  }
  /// What the pool has for these rows; what no page has stays as it is.
  Array rows(const Array &pool, Array like) const {
    eachOwned(like, [&](int64_t there, int64_t here) { like.set(here, pool.at(there)); });
    return like;
  }
  void eachOwned(const Array &rows, std::function<void(int64_t, int64_t)> visit) const {
    for (int64_t b = 0; b < rows.dims[0]; ++b)
      for (int64_t h = 0; h < kKvHeads; ++h)
        for (int64_t i = 0; i < rows.dims[2]; ++i)
          if (table.at(b * perRow + i / page) < pages)
            for (int64_t d = 0; d < kSize; ++d)
              visit(place(b, h, i, d), ((b * kKvHeads + h) * rows.dims[2] + i) * kSize + d);
  }

  int64_t page, perRow, pages;
  Array table;
};

class PagedCache : public KernelTest {
  const char *text() const override { return kernels(); }
};

void expectClose(const Array &x, const Array &y, double tolerance) {
  for (int64_t i = 0; i < x.size(); ++i)
    if (x.at(i) != y.at(i)) // also infinities
      ASSERT_NEAR(x.at(i), y.at(i), tolerance);
}

bool sameBits(const Array &x, const Array &y) { return x.bytes == y.bytes; }

/// Queries and entries at the edges of pages and of the blocks of kernels, where the first entry is the first of a page or not.
std::vector<std::pair<int64_t, int64_t>> lengths(int64_t page, int64_t offset) {
  if (offset)
    return {{1, page - offset}, {20, page}};
  return {{1, 0}, {1, page - 1}, {1, page}, {2, 257}, {20, page + 1}};
}

TEST_P(PagedCache, AttentionIsThatOfOneBlock) {
  for (const PagedCase &c : cases)
    for (int64_t offset : {0, 4})
      for (auto [s, n] : lengths(c.page, offset)) {
        SCOPED_TRACE(nameOf(c) + " " + std::to_string(s) + " x " + std::to_string(n) + " from " + std::to_string(offset));
        int64_t batch = s > 2 ? 1 : 2, entries = offset + n;
        Array q = Array::random(c.type, {batch, kHeads, s, kSize}, 1), k = Array::random(c.cache, {batch, kKvHeads, entries, kSize}, 2),
              v = Array::random(c.cache, {batch, kKvHeads, entries, kSize}, 3);
        Array o(c.type, q.dims), lse("f32", {batch, kHeads, s}), expected = o, expectedLse = lse;
        std::string kernel = "attend_" + nameOf(c), kind = offset ? "_from" : "";
        std::vector<int64_t> scalars{n};
        if (offset)
          scalars.push_back(offset);
        jit->run(kernel + "_plain" + kind, {&q, &k, &v}, {&expected, &expectedLse}, scalars);
        Paged cache(c.page, batch, entries, [&](int64_t) { return entries; });
        Array kPool = cache.pool(k), vPool = cache.pool(v);
        jit->run(kernel + "_paged" + kind, {&q, &kPool, &vPool, &cache.table}, {&o, &lse}, scalars);
        // A GPU's kernel for many rows may take other blocks of keys.
        if (s > 2 && !Kernels::oneForm()) {
          expectClose(o, expected, 2e-2);
          expectClose(lse, expectedLse, 1e-2);
          continue;
        }
        EXPECT_TRUE(sameBits(o, expected));
        EXPECT_TRUE(sameBits(lse, expectedLse));
      }
}

TEST_P(PagedCache, RowsHaveOnlyTheirOwnPages) {
  for (const PagedCase &c : cases)
    for (int64_t s : {int64_t(1), int64_t(9)}) {
      SCOPED_TRACE(nameOf(c) + " " + std::to_string(s));
      int64_t batch = 3, n = 100;
      std::vector<int64_t> live{n, c.page, 1};
      Array q = Array::random(c.type, {batch, kHeads, s, kSize}, 4), k = Array::random(c.cache, {batch, kKvHeads, n, kSize}, 5),
            v = Array::random(c.cache, {batch, kKvHeads, n, kSize}, 6), length = Array::i64({batch}, live);
      Array o(c.type, q.dims), lse("f32", {batch, kHeads, s});
      Paged cache(c.page, batch, n, [&](int64_t row) { return live[row]; });
      Array kPool = cache.pool(k), vPool = cache.pool(v);
      jit->run("attend_" + nameOf(c) + "_paged_ragged", {&q, &kPool, &vPool, &cache.table, &length}, {&o, &lse}, {n});
      Reference r{batch, kHeads, kKvHeads, s, kSize, kSize};
      r.causal = true;
      r.length = [&](int64_t b) { return live[b]; };
      r.segments.push_back({element(q), element(k), element(v), n, {}, {}});
      expectAttention(r, o, &lse, c.type[0] == 'f' && c.type[1] == '3' ? 1e-5 : 2e-2);
      // A row alone is the row of the batch.
      Array one(c.type, {1, kHeads, s, kSize}), oneQ = one, oneLse("f32", {1, kHeads, s}), oneTable("i32", {1, cache.perRow}),
                                                oneLength = Array::i64({1}, {live[1]});
      auto take = [](Array &to, const Array &from) { std::memcpy(to.bytes.data(), from.bytes.data() + to.bytes.size(), to.bytes.size()); };
      take(oneQ, q), take(oneTable, cache.table);
      jit->run("attend_" + nameOf(c) + "_paged_ragged", {&oneQ, &kPool, &vPool, &oneTable, &oneLength}, {&one, &oneLse}, {n});
      Array second = one;
      take(second, o);
      EXPECT_TRUE(sameBits(one, second));
    }
}

TEST_P(PagedCache, AppendsGoWhereTheTableSays) {
  for (const PagedCase &c : cases)
    for (bool ring : {false, true}) {
      if (ring && c.page > 16)
        continue; // one page
      SCOPED_TRACE(nameOf(c) + (ring ? " ring" : ""));
      int64_t batch = 2, entries = ring ? kSink + kRing : c.page + 15;
      Array rows(c.cache, {batch, kKvHeads, entries, kSize});
      Paged cache(c.page, batch, entries, [&](int64_t) { return entries; });
      Array pool = cache.pool(rows);
      int64_t seen = 0;
      for (int64_t step : {int64_t(1), c.page - 2, int64_t(2), int64_t(0), int64_t(9)}) {
        Array x = Array::random(c.cache, {batch, kKvHeads, step, kSize}, uint32_t(10 + seen));
        std::string name = (ring ? "ring_" : "append_") + nameOf(c);
        jit->run(name + "_plain", {&rows, &x}, {}, {seen});
        jit->run(name + "_paged", {&pool, &x, &cache.table}, {}, {seen});
        seen += step;
        EXPECT_TRUE(sameBits(cache.rows(pool, rows), rows)) << seen;
      }
    }
}

TEST_P(PagedCache, AWrongTableIsNoticed) {
  for (const PagedCase &c : cases) {
    SCOPED_TRACE(nameOf(c));
    int64_t n = 2 * c.page + 1, s = 1;
    Array q = Array::random(c.type, {1, kHeads, s, kSize}, 7), k = Array::random(c.cache, {1, kKvHeads, n, kSize}, 8),
          v = Array::random(c.cache, {1, kKvHeads, n, kSize}, 9);
    Array o(c.type, q.dims), lse("f32", {1, kHeads, s});
    Paged cache(c.page, 1, n, [&](int64_t) { return n; });
    Array kPool = cache.pool(k), vPool = cache.pool(v);
    auto run = [&] {
      jit->run("attend_" + nameOf(c) + "_paged", {&q, &kPool, &vPool, &cache.table}, {&o, &lse}, {n});
      return o;
    };
    Array right = run();
    // The last page has one entry: another in its place brings keys that are nobody's, or a token that is there twice.
    cache.table.set(2, cache.table.at(0));
    EXPECT_FALSE(sameBits(run(), right));
  }
}

INSTANTIATE_TEST_SUITE_P(VectorBits, PagedCache, testing::ValuesIn(Kernels::widths()));

} // namespace
