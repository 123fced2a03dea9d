// Files: mapped for reading, and written whole (a reader sees the old file or the new one, never half of one).
#ifndef LEAT_RUNTIME_CORE_FILE_H
#define LEAT_RUNTIME_CORE_FILE_H

#include "runtime/core/Status.h"

#include <cstddef>
#include <span>
#include <vector>

namespace leat::rt {

// A read-only mapping of a regular file. Pages are shared with every other process that maps it.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  static Result<MappedFile> open(const std::string &path);
  const uint8_t *data() const { return pointer; }
  size_t size() const { return length; }
  // The process no longer holds these pages; they come back when they are read.
  void dropPages(std::span<const uint8_t> bytes) const;

private:
  const uint8_t *pointer = nullptr;
  size_t length = 0;
};

Result<std::vector<uint8_t>> readFile(const std::string &path, size_t limit = SIZE_MAX);
// Writes the pieces one after the other to a temporary file beside `path` and renames it.
Status writeFile(const std::string &path, std::span<const std::span<const uint8_t>> pieces);

} // namespace leat::rt

#endif
