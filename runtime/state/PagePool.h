// Pages of a session's caches: which of them each row has, where they are, and which are free. A page holds the same entries of all slots
// that lie in pages, one slot behind the other, so a row that grows takes one piece of memory, and what is in use lies together.
#ifndef LEAT_RUNTIME_STATE_PAGEPOOL_H
#define LEAT_RUNTIME_STATE_PAGEPOOL_H

#include "runtime/core/Memory.h"
#include "runtime/device/Device.h"

#include <vector>

namespace leat::rt {

class PagePool {
public:
  // Addresses for `rows` rows of at most `perRow` pages of `pageBytes` bytes. On the host a page takes memory when it is first written. On
  // a device all of them do at once. `device` and `queue` must outlive the pool.
  static Result<PagePool> create(int64_t rows, int64_t perRow, int64_t pageBytes, Device *device = nullptr, Queue *queue = nullptr);

  // Where kernels find them: pages by their numbers, and the numbers, i32 [rows, perRow]. Neither ever moves.
  void *data() const { return device ? deviceMemory.data() : memory.data(); }
  void *table() const { return device ? deviceTable.data() : const_cast<int32_t *>(numbers.data()); }
  int64_t rows() const { return rowCount; }
  // Page `index` of a row, which the row has.
  uint8_t *page(int64_t row, int64_t index) const;

  // The row has at least `pages` pages afterwards: those that it had and others, which were nobody's.
  Status reserve(int64_t row, int64_t pages);
  // The row gives back all but its first `pages`.
  void release(int64_t row, int64_t pages);
  // No row has a page, and the host has the memory back.
  void reset();

  int64_t used() const { return inUse; }
  // Since the pool was made: what a stream has asked for, whatever it gave back.
  int64_t taken() const { return everTaken; }
  // Held by the table and by pages: those in use, on a device all of them.
  int64_t bytes() const {
    return (device ? deviceMemory.bytes() : inUse * pageSize) + static_cast<int64_t>(numbers.size() * sizeof(int32_t));
  }

private:
  int64_t rowCount = 0, rowPages = 0, pageSize = 0;
  int64_t inUse = 0, everTaken = 0;
  int32_t fresh = 0;            // no page from here on was ever taken
  std::vector<int32_t> free;    // taken once and given back: the next to be taken is the last
  std::vector<int64_t> counts;  // pages of each row
  std::vector<int32_t> numbers; // the table
  Memory memory;
  Device *device = nullptr;
  Queue *queue = nullptr;
  DeviceMemory deviceMemory, deviceTable;
};

} // namespace leat::rt

#endif
