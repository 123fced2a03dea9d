// Where the bytes of parameters are while the compiler works, by key: mapped files, owned memory, or a function that makes them when they
// are written.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include <functional>
#include <memory>
#include <string>

namespace leat {

class ParamStore {
public:
  /// Bytes that stay valid while `owner` lives (a mapped file, a parsed message, a vector).
  struct Entry {
    llvm::ArrayRef<char> bytes;
    std::shared_ptr<const void> owner;
  };
  void set(llvm::StringRef key, Entry entry) { entries[key] = std::move(entry); }
  /// Takes over a copy of computed bytes (folded or converted weights).
  void set(llvm::StringRef key, std::string bytes) {
    auto owned = std::make_shared<const std::string>(std::move(bytes));
    entries[key] = Entry{llvm::ArrayRef<char>(owned->data(), owned->size()), owned};
  }
  /// Bytes that are made anew whenever they are loaded, so that a converted model is never in memory as a whole.
  void setComputed(llvm::StringRef key, size_t size, std::function<std::string()> make) { computed[key] = Computed{size, std::move(make)}; }
  /// Null data when the key is unknown, or its bytes are computed.
  llvm::ArrayRef<char> get(llvm::StringRef key) const {
    auto it = entries.find(key);
    return it == entries.end() ? llvm::ArrayRef<char>() : it->second.bytes;
  }
  /// The bytes and what keeps them; computed ones live as long as the caller wants them.
  Entry load(llvm::StringRef key) const {
    auto it = computed.find(key);
    if (it == computed.end())
      return entries.lookup(key);
    auto owned = std::make_shared<const std::string>(it->second.make());
    return Entry{llvm::ArrayRef<char>(owned->data(), owned->size()), owned};
  }
  bool contains(llvm::StringRef key) const { return entries.contains(key) || computed.contains(key); }
  /// In bytes; computes nothing.
  size_t size(llvm::StringRef key) const {
    auto it = computed.find(key);
    return it == computed.end() ? get(key).size() : it->second.size;
  }

private:
  struct Computed {
    size_t size;
    std::function<std::string()> make;
  };
  llvm::StringMap<Entry> entries;
  llvm::StringMap<Computed> computed;
};

} // namespace leat
