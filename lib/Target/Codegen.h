// From kernels and host functions to the shared object that an artifact holds.
#pragma once

#include "lib/Target/TargetSpec.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <functional>

namespace leat::target {

struct CodegenOptions {
  TargetSpec target;
  std::function<void(mlir::OpPassManager &)> kernelPipeline; // lowers func.func kernels to the LLVM dialect; runs on modules
  bool verify = false;                                       // run MLIR's verifier after each pass
  unsigned threads = 0;                                      // 0: as many as the machine has
  bool wantLLVM = false;                                     // keep the optimised LLVM IR as text
  bool wantAssembly = false;                                 // keep the assembly as text
  std::function<void(unsigned done, unsigned total)> progress;
};

struct CodegenResult {
  std::string sharedObject;
  std::string llvm, assembly;
};

/// `module`: what leat-lower-host and the generators of kernels left: llvm.func host functions, func.func kernels. `leat.kernels` names the
/// kernels; each has the functions
/// @name, @name.tasks, @name.scratch, @name.cost. Functions with `leat.function` are exported. Reports errors on the module.
mlir::FailureOr<CodegenResult> generateCode(mlir::ModuleOp module, const CodegenOptions &options);

} // namespace leat::target
