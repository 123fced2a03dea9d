// LLVM's middle end, for host and device code.
#pragma once

#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"

namespace leat::target {

/// The default pipeline at O2, as far as `tuning` lets it.
void runO2(llvm::Module &module, llvm::TargetMachine &machine, const llvm::PipelineTuningOptions &tuning = {});

} // namespace leat::target
