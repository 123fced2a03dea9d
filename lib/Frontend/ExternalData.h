// Files that a model names: opened only inside the model's folder, mapped, and every offset checked against the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

namespace leat::frontend {

/// A whole file, mapped read-only. Unmapped when the last tensor that looks into it is gone.
struct MappedFile {
  const char *data = nullptr;
  uint64_t size = 0;
  MappedFile() = default;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();
};

/// Maps a file that the user named. Refuses what is no regular file and what is larger than `limit`.
std::shared_ptr<const MappedFile> mapFile(const std::string &path, uint64_t limit, std::string &error);

/// The folder of a model and the files already mapped from it. The rule has four layers, after the history of attacks on ONNX's own loader:
/// the path must be relative and stay inside by its text; the kernel resolves it beneath the folder and follows no symbolic link; the
/// opened file must be regular and have one name only (a hard link could smuggle in a file from elsewhere); ranges must lie inside the
/// file.
class DataFolder {
public:
  explicit DataFolder(std::string folder) : folder(std::move(folder)) {}
  std::shared_ptr<const MappedFile> map(const std::string &location, std::string &error);

private:
  std::string folder;
  std::unordered_map<std::string, std::shared_ptr<const MappedFile>> files;
};

} // namespace leat::frontend
