// Device code of a module: entries and what they call, as PTX and, with an assembler, machine code.
#pragma once

#include "lib/Target/Ptx.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <functional>

namespace leat::target {

struct DeviceOptions {
  GpuSpec gpu;
  std::string ptxas;                                   // empty: PTX only
  std::function<void(mlir::OpPassManager &)> pipeline; // lowers device functions to LLVM and NVVM; runs on modules
  bool verify = false;                                 // run MLIR's verifier after each pass
  unsigned threads = 0;                                // 0: as many as the machine has
};

struct DeviceModule {
  std::string ptx, cubin;
  std::vector<EntryResources> entries; // known where there is a cubin
};

/// Takes the functions with `leat.entry` and what only they use out of `module` and compiles them. `leat.kernels` entries gain `module`,
/// the number of the device module that holds the kernel's entries. Registers that spill and other notices of the assembler are warnings.
mlir::FailureOr<std::vector<DeviceModule>> generateDeviceCode(mlir::ModuleOp module, const DeviceOptions &options);

} // namespace leat::target
