// The processor to compile for: what LLVM is told, and what the artifact says that it needs.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>
#include <vector>

namespace leat::target {

struct TargetSpec {
  std::string cpu;                   // LLVM's name
  std::string llvmFeatures;          // "+avx2,-sse4a", where they differ from what the name implies
  std::vector<std::string> features; // what the code may use and the host must have, LLVM names
  unsigned vectorBits = 128;

  std::unique_ptr<llvm::TargetMachine> createTargetMachine(llvm::CodeGenOptLevel level) const;
};

/// `cpu`: "generic" (x86-64), "x86-64-v3", "x86-64-v4", "native", or a processor name that LLVM knows.
llvm::Expected<TargetSpec> resolveTarget(llvm::StringRef cpu);

} // namespace leat::target
