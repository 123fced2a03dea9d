// The GPU that kernels are written for.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace leat::cuda {

struct GpuTarget {
  unsigned sm = 80;   ///< compute capability, major * 10 + minor
  bool exact = false; ///< sm_90a: instructions of this architecture and no later one

  bool hopper() const { return sm == 90 && exact; }
  /// From "sm_80", "sm_90a"; a name that does not look so gives the default.
  static GpuTarget parse(llvm::StringRef name) {
    GpuTarget target;
    if (!name.consume_front("sm_"))
      return target;
    target.exact = name.consume_back("a");
    unsigned number;
    if (!name.getAsInteger(10, number))
      target.sm = number;
    return target;
  }
};

/// Registers of a thread of the groups of warps that attend, and of the thread that brings their tiles: a multiprocessor has 64 Ki.
struct RoleRegisters {
  int64_t consumer, producer;

  /// `places`: what the producer keeps to find keys: for each segment where its blocks begin, where pages are, and where
  /// classes of blocks are.
  static RoleRegisters ofAttention(int64_t groups, int64_t places) {
    if (groups < 3)
      return {232, 48};
    return places == 1 ? RoleRegisters{160, 32} : RoleRegisters{152, 56};
  }
};

} // namespace leat::cuda
