// The GPU that kernels are written for.
#pragma once

#include "llvm/ADT/StringRef.h"

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

} // namespace leat::cuda
