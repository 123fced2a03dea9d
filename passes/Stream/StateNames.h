// Which input and which output of a model are one state: exporters' naming conventions, and a file that overrides them.
#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace leat::stream {

/// The names that the output of the state `input` has in the conventions we know, most specific first.
llvm::SmallVector<std::string> outputNamesFor(llvm::StringRef input);

/// One line of an override file.
struct StateOverride {
  std::string output;
  bool fixed = false;          // overwritten as a whole
  std::optional<int64_t> axis; // appended along this axis
};

/// Reads `INPUT OUTPUT [append AXIS | fixed]` lines; '#' starts a comment. Null with a reason in `error` on a malformed file.
std::optional<llvm::StringMap<StateOverride>> readOverrides(llvm::StringRef path, std::string &error);

} // namespace leat::stream
