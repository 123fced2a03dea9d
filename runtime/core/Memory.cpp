// Large blocks come straight from mmap: zero pages cost nothing until touched, and they can be huge.
#include "runtime/core/Memory.h"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace leat::rt {

static constexpr int64_t slack = 64, largeBlock = 1 << 21 /* a huge page */, limit = int64_t(1) << 46;

Memory::Memory(Memory &&other) noexcept
    : pointer(std::exchange(other.pointer, nullptr)), size(std::exchange(other.size, 0)), mapped(std::exchange(other.mapped, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  if (this != &other) {
    release();
    pointer = std::exchange(other.pointer, nullptr);
    size = std::exchange(other.size, 0);
    mapped = std::exchange(other.mapped, 0);
  }
  return *this;
}

bool Memory::map(int64_t bytes, int flags) {
  // Mapped with room to spare, then cut to begin where a huge page can.
  size_t length = (bytes + slack + 4095) & ~int64_t(4095), mappedLength = length + largeBlock;
  void *block = mmap(nullptr, mappedLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (block == MAP_FAILED)
    return false;
  auto *begin = static_cast<uint8_t *>(block);
  size_t before = -reinterpret_cast<uintptr_t>(block) & (largeBlock - 1);
  if (before)
    munmap(begin, before);
  munmap(begin + before + length, mappedLength - before - length);
  madvise(begin + before, length, MADV_HUGEPAGE); // advice only
  pointer = begin + before;
  mapped = length;
  size = bytes;
  return true;
}

bool Memory::reserve(int64_t bytes) {
  release();
  return bytes >= 0 && bytes <= limit && map(bytes, MAP_NORESERVE);
}

bool Memory::allocate(int64_t bytes) {
  release();
  if (bytes < 0 || bytes > limit)
    return false;
  if (bytes >= largeBlock) {
    if (!map(bytes, 0))
      return false;
  } else {
    size_t length = (bytes + slack + 63) & ~int64_t(63);
    pointer = std::aligned_alloc(64, length);
    if (!pointer)
      return false;
    std::memset(pointer, 0, length);
  }
  size = bytes;
  return true;
}

void Memory::zero() {
  // Dropping private anonymous pages gives zero pages back, without touching them.
  if (!pointer || (mapped && madvise(pointer, mapped, MADV_DONTNEED) == 0))
    return;
  std::memset(pointer, 0, size);
}

void Memory::release() {
  if (mapped)
    munmap(pointer, mapped);
  else
    std::free(pointer);
  pointer = nullptr;
  size = 0;
  mapped = 0;
}

} // namespace leat::rt
