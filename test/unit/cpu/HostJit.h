// LLVM's JIT for lowered modules of tests.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"

namespace leat::test {

/// Compiles functions in the LLVM dialect for this machine as processor `cpu`; null after an error, which is printed.
std::unique_ptr<llvm::orc::LLJIT> compileForHost(mlir::ModuleOp module, const std::string &cpu, const std::vector<std::string> &more = {});
/// The address of a function; ends the test process if there is none.
void *lookup(llvm::orc::LLJIT &jit, const std::string &name);

} // namespace leat::test
