// Linux: /proc/meminfo, the transparent huge page setting, and control groups of both versions.
#include "runtime/core/SystemMemory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

namespace leat::rt {

// The number behind `key` at the start of a line, or the file's first word for an empty key. "max", as control groups say, is none.
static std::optional<int64_t> readNumber(const std::string &path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0)
      continue;
    size_t at = std::min(line.find_first_not_of(" \t", key.size()), line.size());
    int64_t value;
    if (std::from_chars(line.data() + at, line.data() + line.size(), value).ec == std::errc())
      return value;
    return std::nullopt;
  }
  return std::nullopt;
}

namespace {
// The files of a version of control groups.
struct GroupFiles {
  const char *mount, *limit, *usage, *cache;
};
constexpr GroupFiles version1{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "},
    version2{"/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file "};
} // namespace

// The least that the group `path` and those above it leave. Within a container the path may be the host's and not exist; the mount's root
// is the container's own group then.
static int64_t roomInGroups(const std::string &root, const GroupFiles &files, std::string path, int64_t room) {
  for (;; path.resize(path.rfind('/'))) {
    if (!path.empty() && path.back() == '/')
      path.pop_back();
    std::string group = root + files.mount + path;
    auto limit = readNumber(group + files.limit, ""), usage = readNumber(group + files.usage, "");
    if (limit && usage) // the page cache that a group is charged for goes when it needs the room
      room = std::min(room, *limit - *usage + readNumber(group + "/memory.stat", files.cache).value_or(0));
    if (path.empty())
      return std::max<int64_t>(room, 0);
  }
}

SystemMemory SystemMemory::read(const std::string &root) {
  SystemMemory memory;
  memory.available = readNumber(root + "/proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  // Lines are "number:controllers:path"; version 2 has no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    std::istringstream parts(line);
    std::string number, controllers, path;
    std::getline(std::getline(std::getline(parts, number, ':'), controllers, ':'), path);
    if (controllers.empty() && number == "0")
      memory.available = roomInGroups(root, version2, path, memory.available);
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      memory.available = roomInGroups(root, version1, path, memory.available);
  }
  std::string setting;
  std::getline(std::ifstream(root + "/sys/kernel/mm/transparent_hugepage/enabled"), setting);
  memory.hugePages = setting.find("[always]") != std::string::npos || setting.find("[madvise]") != std::string::npos;
  return memory;
}

} // namespace leat::rt
