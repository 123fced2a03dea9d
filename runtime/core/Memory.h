// Memory for tensors, states and scratch: 64-byte aligned, zeroed, with huge pages advised for large blocks.
// Every block has a vector's width of slack at its end, so that a full-width load of the last elements stays inside.
#ifndef LEAT_RUNTIME_CORE_MEMORY_H
#define LEAT_RUNTIME_CORE_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace leat::rt {

class Memory {
public:
  Memory() = default;
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  ~Memory() { release(); }

  // Holds at least `bytes` zero bytes afterwards; what was held before is gone. False: negative, absurd, or no memory.
  bool allocate(int64_t bytes);
  // The same, of memory that is not there until it is written: how much of it may ever be is another matter.
  bool reserve(int64_t bytes);
  // All bytes zero again.
  void zero();
  void release();

  void *data() const { return pointer; }
  int64_t bytes() const { return size; }

private:
  bool map(int64_t bytes, int flags);

  void *pointer = nullptr;
  int64_t size = 0;  // asked for
  size_t mapped = 0; // bytes mapped; 0: from the heap
};

} // namespace leat::rt

#endif
