// Where the bytes of parameters are while the compiler works: mapped files or owned memory, by key.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
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
  /// Null data when the key is unknown.
  llvm::ArrayRef<char> get(llvm::StringRef key) const {
    auto it = entries.find(key);
    return it == entries.end() ? llvm::ArrayRef<char>() : it->second.bytes;
  }
  bool contains(llvm::StringRef key) const { return entries.contains(key); }

private:
  llvm::StringMap<Entry> entries;
};

} // namespace leat
