// A cache policy as data, and its text form.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/MathExtras.h"
#include <cstdint>
#include <optional>
#include <string>

namespace leat {

/// Entries of a page of a paged cache: a power of two. Smaller ones would be little more than their place in the table; larger ones would
/// be mostly empty at the end of short rows.
constexpr int64_t kLeastPage = 8, kLargestPage = 256;
inline bool isPageSize(int64_t entries) { return entries >= kLeastPage && entries <= kLargestPage && llvm::isPowerOf2_64(entries); }

struct KVPolicy {
  enum class Position { Absolute, Rank };
  int64_t sink = 0;    // first tokens that never leave
  int64_t recent = -1; // past tokens visible besides the sinks; -1: all
  Position sinkPosition = Position::Rank;
  Position localPosition = Position::Absolute;
  enum class Precision { AsModel, F16, BF16, F8, I8, I4 };
  Precision precision = Precision::AsModel; // how keys and values are stored
  int64_t group = 0;                        // values that share a scale (I8, I4); 0: 32, or fewer where the head size asks for it
  int64_t page = 0;                         // entries of a page of the cache; 0: a cache is one block of memory

  bool hasScales() const { return precision == Precision::I8 || precision == Precision::I4; }

  bool retainsAll() const { return recent < 0; }
  /// The canonical text.
  std::string str() const;
  /// Null with a one-line reason in `error` when the text is no policy or names one that is not built.
  static std::optional<KVPolicy> parse(llvm::StringRef text, std::string &error);
};

} // namespace leat
