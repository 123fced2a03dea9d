// The sizes of a kernel that may be chosen: what code generators read from `#leat.schedule`, and within which bounds.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace leat::schedule {

struct Tunable {
  llvm::StringRef name;
  int64_t low, high, multiple;
  int64_t standard;                   ///< what schedules of CPU kernels have unless something is known that speaks for another value
  llvm::ArrayRef<int64_t> candidates; ///< what a search tries
  bool admits(int64_t value) const { return value >= low && value <= high && value % multiple == 0; }
};

/// The tunables of a strategy, none for an unknown one. A kernel has those that its schedule names.
llvm::ArrayRef<Tunable> tunablesOf(llvm::StringRef strategy);
/// Null if the strategy has no such tunable.
const Tunable *findTunable(llvm::StringRef strategy, llvm::StringRef name);

} // namespace leat::schedule
