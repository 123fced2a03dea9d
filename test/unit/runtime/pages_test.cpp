// Pages of caches: who has which, what they take, and that a state is the same one however its pages lie.
#include "runtime/state/StateSet.h"
#include "test/unit/runtime/TinyModel.h"

#include <gtest/gtest.h>
#include <set>

using namespace leat::rt;
using namespace leat::test;

namespace {

constexpr int64_t kPage = 8;

TEST(PagePool, RowsTakeOnlyTheirOwnPages) {
  auto pool = PagePool::create(3, 5, 4096);
  ASSERT_TRUE(pool.ok());
  auto *table = static_cast<int32_t *>(pool->table());
  void *before = pool->data();
  const int64_t wanted[] = {5, 1, 0};
  for (int64_t pages = 1; pages <= 5; ++pages)
    for (int64_t row = 0; row < 3; ++row)
      ASSERT_TRUE(pool->reserve(row, std::min(pages, wanted[row])).ok());
  EXPECT_EQ(pool->used(), 6);
  EXPECT_EQ(pool->taken(), 6);
  EXPECT_EQ(pool->bytes(), 6 * 4096 + 15 * 4);
  std::set<int32_t> numbers(table, table + 5);
  numbers.insert(table[5]);
  EXPECT_EQ(numbers.size(), 6u);
  EXPECT_LT(*numbers.rbegin(), 6); // those in use lie together
  EXPECT_EQ(pool->reserve(0, 6).code(), Code::Internal);
  // What a row gives back, another takes: no page is anybody's twice.
  pool->release(0, 2);
  EXPECT_EQ(pool->used(), 3);
  ASSERT_TRUE(pool->reserve(2, 4).ok());
  numbers = {table[0], table[1], table[5], table[10], table[11], table[12], table[13]};
  EXPECT_EQ(numbers.size(), 7u);
  EXPECT_LT(*numbers.rbegin(), 7);
  EXPECT_EQ(pool->taken(), 10);
  EXPECT_EQ(pool->data(), before);
  pool->reset();
  EXPECT_EQ(pool->used(), 0);
}

TEST(PagePool, RefusesWhatHasNoNumbers) {
  EXPECT_EQ(PagePool::create(1 << 20, 1 << 20, 64).status().code(), Code::InvalidArgument);
  EXPECT_EQ(PagePool::create(1, 1 << 20, int64_t(1) << 40).status().code(), Code::Capacity);
}

/// A counter, a table, a growing pool of f32 and a ring of bytes.
std::vector<StateInfo> slots() {
  auto slot = [](const char *name, DType dtype, std::initializer_list<int64_t> dims, Growth growth, int axis, int batchAxis, int64_t page) {
    StateInfo info;
    info.name = name, info.dtype = dtype, info.dims = Shape(dims), info.growth = growth, info.axis = axis, info.batchAxis = batchAxis,
    info.page = page;
    return info;
  };
  std::vector<StateInfo> all{slot("seen", DType::I64, {}, Growth::Counter, -1, -1, 0),
                             slot("table", DType::I32, {-1, -1}, Growth::Table, 1, 0, kPage),
                             slot("k", DType::F32, {-1, 2, kPage, 3}, Growth::Append, 2, -1, kPage),
                             slot("ring", DType::I8, {-1, 1, kPage, 5}, Growth::Ring, 2, -1, kPage)};
  all[3].sink = 2, all[3].ring = 9;
  return all;
}

uint8_t &byteOf(StateSet &set, size_t slot, int64_t row, int64_t entry, int64_t byte) {
  const auto *table = static_cast<const int32_t *>(set[1].data);
  int64_t perEntry = slot == 2 ? 12 : 5;
  return static_cast<uint8_t *>(
      set[slot].data)[table[row * set[1].dims[1] + entry / kPage] * 64 * set[slot].capacity + entry % kPage * perEntry + byte];
}

void advance(StateSet &set, int64_t tokens) {
  ASSERT_TRUE(set.reserve(tokens).ok());
  *static_cast<int64_t *>(set[0].data) = tokens;
}

TEST(StatesInPages, MemoryGrowsByPages) {
  auto infos = slots();
  auto set = StateSet::create(infos, 2, 40);
  ASSERT_TRUE(set.ok());
  int64_t empty = set->bytes(), page = 64 * (*set)[2].capacity;
  EXPECT_EQ(page, 2 * kPage * 3 * 4 + 64); // of both slots, each in whole units
  void *where = (*set)[2].data;
  for (int64_t tokens = 1; tokens <= 40; ++tokens) {
    advance(*set, tokens);
    EXPECT_EQ(set->bytes() - empty, 2 * ((tokens + kPage - 1) / kPage) * page) << tokens;
  }
  EXPECT_EQ(set->pagesTaken(), 10);
  EXPECT_EQ((*set)[2].data, where);
  EXPECT_EQ(set->remaining(), 0);
  Status full = set->reserve(41);
  EXPECT_EQ(full.code(), Code::Failed);
  EXPECT_NE(full.message().find("the stream has 41 tokens, the session has room for 40"), std::string::npos) << full.message();
  set->reset();
  EXPECT_EQ(set->bytes(), empty);
}

TEST(StatesInPages, AreSavedLoadedAndForkedByTheirContent) {
  auto infos = slots();
  auto set = StateSet::create(infos, 2, 40);
  ASSERT_TRUE(set.ok());
  advance(*set, 19);
  auto mark = [](size_t slot, int64_t row, int64_t entry) { return uint8_t(1 + slot + 3 * row + 7 * entry); };
  auto each = [&](auto visit) {
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t entry = 0; entry < 19; ++entry) {
        visit(2, row, entry, 11);
        if (entry < 11)
          visit(3, row, entry, 4);
      }
  };
  each([&](size_t slot, int64_t row, int64_t entry, int64_t byte) { byteOf(*set, slot, row, entry, byte) = mark(slot, row, entry); });
  auto expectMarks = [&](StateSet &other) {
    EXPECT_EQ(other.tokens(), 19);
    each([&](size_t slot, int64_t row, int64_t entry, int64_t byte) {
      EXPECT_EQ(byteOf(other, slot, row, entry, byte), mark(slot, row, entry));
    });
  };
  // A session with more room, whose pages have other numbers.
  auto other = StateSet::create(infos, 2, 64);
  ASSERT_TRUE(other.ok());
  advance(*other, 64);
  ASSERT_TRUE(other->copyFrom(*set).ok());
  expectMarks(*other);
  EXPECT_EQ(other->bytes() - set->bytes(), 2 * 3 * 4); // the larger table
  TemporaryFile file(".state");
  ASSERT_TRUE(set->save(file.path, 5, 2).ok());
  advance(*other, 60);
  ASSERT_TRUE(other->load(file.path, 5, 2).ok());
  expectMarks(*other);
  auto small = StateSet::create(infos, 2, 16);
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->load(file.path, 5, 2).code(), Code::Capacity);
  EXPECT_EQ(small->copyFrom(*set).code(), Code::Capacity);
  // Back to a moment: the ring has been written over since.
  auto rewind = StateRewind::take(*set);
  ASSERT_TRUE(rewind.ok());
  each([&](size_t slot, int64_t row, int64_t entry, int64_t byte) {
    byteOf(*set, slot, row, entry, byte) = slot == 3 ? 0 : mark(slot, row, entry);
  });
  int64_t held = set->bytes();
  advance(*set, 30);
  EXPECT_GT(set->bytes(), held);
  ASSERT_TRUE((*rewind)().ok());
  expectMarks(*set);
  EXPECT_EQ(set->bytes(), held);
}

} // namespace
