// What a kernel takes, read from its op: enough to lay out the scalars of a launch (include/leat/KernelABI.h).
#pragma once

#include "KernelJit.h"

#include "dialects/Leat/Leat.h"

#include <map>

namespace leat::test {

struct Signature {
  struct Operand {
    bool state;                ///< capacity and length come first, then all dimensions
    std::vector<bool> dynamic; ///< which dimensions are passed
  };
  std::vector<Operand> in, out;
  unsigned scalars; ///< operands beside the tensors

  static std::map<std::string, Signature> ofModule(mlir::ModuleOp module);
  /// All scalars of a launch; ends the test process if the operands do not fit.
  std::vector<int64_t> launchScalars(const std::string &name, const std::vector<Array *> &inputs, const std::vector<Array *> &results,
                                     std::vector<int64_t> scalars) const;
};

} // namespace leat::test
