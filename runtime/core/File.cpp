// File access over the POSIX calls, each failure with its path and reason.
#include "runtime/core/File.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace leat::rt {

static Status failure(const char *what, const std::string &path) {
  int reason = errno;
  Code code = reason == ENOENT || reason == ENOTDIR ? Code::NotFound : Code::Io;
  return error(code, "cannot %s '%s': %s", what, printable(path, 400).c_str(), std::strerror(reason));
}

namespace {
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};
} // namespace

static Status checkRegular(int fd, const std::string &path, size_t &size) {
  struct stat info;
  if (fstat(fd, &info) != 0)
    return failure("read", path);
  if (!S_ISREG(info.st_mode))
    return error(Code::Io, "cannot read '%s': it is not a regular file", printable(path, 400).c_str());
  size = info.st_size;
  return {};
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : pointer(std::exchange(other.pointer, nullptr)), length(std::exchange(other.length, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(pointer, other.pointer);
  std::swap(length, other.length);
  return *this;
}

MappedFile::~MappedFile() {
  if (pointer)
    munmap(const_cast<uint8_t *>(pointer), length);
}

Result<MappedFile> MappedFile::open(const std::string &path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0)
    return failure("open", path);
  MappedFile mapped;
  if (Status status = checkRegular(file.fd, path, mapped.length); !status.ok())
    return status;
  if (mapped.length == 0)
    return mapped;
  void *block = mmap(nullptr, mapped.length, PROT_READ, MAP_SHARED, file.fd, 0);
  if (block == MAP_FAILED)
    return failure("map", path);
  mapped.pointer = static_cast<const uint8_t *>(block);
  return mapped;
}

void MappedFile::dropPages(std::span<const uint8_t> bytes) const {
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t begin = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) & -page,
            end = reinterpret_cast<uintptr_t>(bytes.data() + bytes.size()) & -page;
  if (pointer && begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED); // advice only
}

Result<std::vector<uint8_t>> readFile(const std::string &path, size_t limit) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0)
    return failure("open", path);
  size_t size = 0;
  if (Status status = checkRegular(file.fd, path, size); !status.ok())
    return status;
  if (size > limit)
    return error(Code::BadFile, "'%s' has %zu bytes, more than the %zu that are read", printable(path, 400).c_str(), size, limit);
  std::vector<uint8_t> bytes(size);
  size_t done = 0;
  while (done < size) {
    ssize_t got = ::read(file.fd, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failure("read", path);
    if (got == 0)
      break;
    done += got;
  }
  bytes.resize(done);
  return bytes;
}

Status writeFile(const std::string &path, std::span<const std::span<const uint8_t>> pieces) {
  std::string temporary = formatText("%s.%d.tmp", path.c_str(), static_cast<int>(getpid()));
  Status status;
  {
    Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (file.fd < 0)
      return failure("write", path);
    for (auto piece : pieces) {
      while (!piece.empty() && status.ok()) {
        ssize_t put = ::write(file.fd, piece.data(), piece.size());
        if (put < 0 && errno != EINTR)
          status = failure("write", path);
        else if (put > 0)
          piece = piece.subspan(put);
      }
    }
  }
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0)
    status = failure("write", path);
  if (!status.ok())
    ::unlink(temporary.c_str());
  return status;
}

} // namespace leat::rt
