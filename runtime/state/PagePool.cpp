// See PagePool.h.
#include "runtime/state/PagePool.h"

#include <algorithm>

namespace leat::rt {

Result<PagePool> PagePool::create(int64_t rows, int64_t perRow, int64_t pageBytes, Device *device, Queue *queue) {
  PagePool pool;
  pool.rowCount = rows, pool.rowPages = perRow, pool.pageSize = pageBytes, pool.device = device, pool.queue = queue;
  int64_t pages, bytes;
  if (__builtin_mul_overflow(rows, perRow, &pages) || pages > INT32_MAX || __builtin_mul_overflow(pages, pageBytes, &bytes))
    return error(Code::InvalidArgument, "%lld rows of %lld pages of %lld bytes are not possible: ask for a smaller context or batch",
                 (long long)rows, (long long)perRow, (long long)pageBytes);
  pool.counts.assign(static_cast<size_t>(rows), 0);
  pool.numbers.assign(static_cast<size_t>(pages), 0);
  if (device) {
    if (Status status = pool.deviceMemory.allocate(*device, bytes, "pages of caches"); !status.ok())
      return status;
    if (Status status = pool.deviceTable.allocate(*device, pages * int64_t(sizeof(int32_t)), "the table of pages"); !status.ok())
      return status;
    if (Status status = queue->zero(pool.deviceMemory.data(), bytes); !status.ok())
      return status;
    if (Status status = queue->zero(pool.deviceTable.data(), pool.deviceTable.bytes()); !status.ok())
      return status;
  } else if (!pool.memory.reserve(bytes)) {
    return error(Code::Capacity, "no addresses for %lld bytes of pages: ask for a smaller context or batch", (long long)bytes);
  }
  return pool;
}

uint8_t *PagePool::page(int64_t row, int64_t index) const {
  return static_cast<uint8_t *>(data()) + numbers[static_cast<size_t>(row * rowPages + index)] * pageSize;
}

Status PagePool::reserve(int64_t row, int64_t pages) {
  int64_t &count = counts[static_cast<size_t>(row)], before = count;
  if (pages > rowPages)
    return error(Code::Internal, "row %lld asks for %lld pages, there is room for %lld", (long long)row, (long long)pages,
                 (long long)rowPages);
  if (pages <= before)
    return {};
  int32_t *of = numbers.data() + row * rowPages;
  for (; count < pages; ++count) {
    if (free.empty()) {
      of[count] = fresh++;
    } else {
      of[count] = free.back();
      free.pop_back();
    }
  }
  inUse += pages - before;
  everTaken += pages - before;
  if (!device)
    return {};
  int64_t at = (row * rowPages + before) * int64_t(sizeof(int32_t));
  return queue->copyIn(static_cast<uint8_t *>(deviceTable.data()) + at, of + before, (pages - before) * int64_t(sizeof(int32_t)));
}

void PagePool::release(int64_t row, int64_t pages) {
  int64_t &count = counts[static_cast<size_t>(row)];
  for (; count > pages; --count, --inUse)
    free.push_back(numbers[static_cast<size_t>(row * rowPages + count - 1)]);
}

void PagePool::reset() {
  std::fill(counts.begin(), counts.end(), 0);
  free.clear();
  fresh = 0;
  inUse = 0;
  memory.zero();
  if (device) // what is in pages that a row takes again is not read before it is written, but checks like it defined
    (void)queue->zero(deviceMemory.data(), deviceMemory.bytes());
}

} // namespace leat::rt
