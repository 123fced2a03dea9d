// Opening and mapping of model files and external data.
#include "lib/Frontend/ExternalData.h"
#include "lib/Frontend/Text.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace leat::frontend {
namespace {

struct Fd {
  int fd = -1;
  explicit Fd(int fd) : fd(fd) {}
  Fd(const Fd &) = delete;
  Fd &operator=(const Fd &) = delete;
  ~Fd() {
    if (fd >= 0)
      close(fd);
  }
};

/// Components of a relative path that cannot leave its folder; empty if the path is anything else.
std::vector<std::string> innerPath(const std::string &location) {
  std::vector<std::string> parts;
  if (location.empty() || location.front() == '/' || location.size() > 4096 || location.find('\0') != std::string::npos ||
      location.find('\\') != std::string::npos)
    return {};
  for (size_t begin = 0; begin <= location.size();) {
    size_t end = std::min(location.find('/', begin), location.size());
    std::string part = location.substr(begin, end - begin);
    if (part == "..")
      return {};
    if (!part.empty() && part != ".")
      parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

/// Opens beneath `folder` without following a link anywhere. Kernels without openat2 get the same by one open a component.
int openBeneath(int folder, const std::vector<std::string> &parts) {
  constexpr int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  std::string path;
  for (const std::string &part : parts)
    path += (path.empty() ? "" : "/") + part;
  open_how how = {};
  how.flags = flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd = int(syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how)));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
    return fd;
  int at = dup(folder);
  for (size_t i = 0; at >= 0 && i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    int next = openat(at, parts[i].c_str(), flags | O_NOFOLLOW | (last ? 0 : O_DIRECTORY));
    int reason = errno;
    close(at);
    errno = reason;
    at = next;
  }
  return at;
}

std::shared_ptr<const MappedFile> mapOpened(int fd, const struct stat &info, std::string &error) {
  auto file = std::make_shared<MappedFile>();
  file->size = uint64_t(info.st_size);
  if (file->size == 0)
    return file;
  void *at = mmap(nullptr, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED) {
    error = std::string("cannot be mapped: ") + strerror(errno);
    file->size = 0;
    return nullptr;
  }
  file->data = static_cast<const char *>(at);
  return file;
}

} // namespace

MappedFile::~MappedFile() {
  if (data)
    munmap(const_cast<char *>(data), size);
}

std::shared_ptr<const MappedFile> mapFile(const std::string &path, uint64_t limit, std::string &error) {
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info;
  if (file.fd < 0 || fstat(file.fd, &info) != 0) {
    error = std::string("cannot be opened: ") + strerror(errno);
    return nullptr;
  }
  if (!S_ISREG(info.st_mode)) {
    error = "is not a regular file";
    return nullptr;
  }
  if (uint64_t(info.st_size) > limit) {
    error = "has " + std::to_string(info.st_size) + " bytes, more than the limit of " + std::to_string(limit) +
            "; keep the weights as external data";
    return nullptr;
  }
  return mapOpened(file.fd, info, error);
}

std::shared_ptr<const MappedFile> DataFolder::map(const std::string &location, std::string &error) {
  if (auto known = files.find(location); known != files.end())
    return known->second;
  std::string what = "external data file " + quote(location);
  if (folder.empty()) {
    error = what + " cannot be read: the model comes from memory, not from a folder";
    return nullptr;
  }
  std::vector<std::string> parts = innerPath(location);
  if (parts.empty()) {
    error = what + " is not a path inside the model's folder; keep the weights beside the model";
    return nullptr;
  }
  Fd base(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (base.fd < 0) {
    error = "the model's folder " + quote(folder) + " cannot be opened: " + strerror(errno);
    return nullptr;
  }
  Fd file(openBeneath(base.fd, parts));
  if (file.fd < 0) {
    if (errno == ELOOP || errno == EXDEV || errno == EMLINK)
      error = what + " is reached through a symbolic link; put a copy of the file beside the model (cp -L)";
    else if (errno == ENOENT)
      error = what + " is missing; it belongs beside the model";
    else
      error = what + " cannot be opened: " + strerror(errno);
    return nullptr;
  }
  struct stat info;
  if (fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    error = what + " is not a regular file";
    return nullptr;
  }
  if (info.st_nlink > 1) {
    error = what + " has " + std::to_string(info.st_nlink) + " hard links; put a copy of the file beside the model (cp)";
    return nullptr;
  }
  auto mapped = mapOpened(file.fd, info, error);
  if (!mapped)
    error = what + " " + error;
  else
    files.emplace(location, mapped);
  return mapped;
}

} // namespace leat::frontend
