// Any text as the location of external data: whatever is opened must lie inside the model's folder and be no link.
#include "lib/Frontend/ExternalData.h"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

static void put(const std::string &path, const char *text) {
  int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  if (fd < 0 || write(fd, text, strlen(text)) < 0)
    abort();
  close(fd);
}

/// outer/secret, outer/inside/{a, sub/a} and links from inside to the secret and to outer.
static std::string makeFolders() {
  char outer[] = "/tmp/leat-external-data-XXXXXX";
  if (!mkdtemp(outer))
    abort();
  std::string root = outer, inside = root + "/inside";
  if (mkdir(inside.c_str(), 0700) || mkdir((inside + "/sub").c_str(), 0700))
    abort();
  put(root + "/secret", "secret");
  put(inside + "/a", "public");
  put(inside + "/sub/a", "public");
  if (symlink("../secret", (inside + "/l").c_str()) || symlink("..", (inside + "/d").c_str()))
    abort();
  static const std::string made = root;
  std::atexit([] { std::filesystem::remove_all(made); });
  return inside;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string inside = makeFolders();
  std::string error;
  auto file = leat::frontend::DataFolder(inside).map(std::string(reinterpret_cast<const char *>(data), size), error);
  if (file ? std::string(file->data, file->size) != "public" : error.empty() || error.find('\n') != std::string::npos)
    abort();
  return 0;
}
