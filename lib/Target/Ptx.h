// PTX from LLVM IR by LLVM's NVPTX target, and machine code from PTX by NVIDIA's assembler where there is one.
#pragma once

#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>
#include <vector>

namespace llvm {
class Module;
}

namespace leat::target {

struct GpuSpec {
  std::string chip = "sm_80"; // what the code needs: this capability or a later one; with an "a", exactly this one
  std::string features;       // the version of PTX, in LLVM's words

  std::unique_ptr<llvm::TargetMachine> createTargetMachine() const;
};

/// `name`: sm_80 or later, sm_90a.
llvm::Expected<GpuSpec> resolveGpu(llvm::StringRef name);

/// Optimises a module of device code and prints it as PTX. Kernels keep their names; everything else is inlined into them.
std::string emitPtx(llvm::Module &module, llvm::TargetMachine &machine);

/// What an entry needs of a multiprocessor, by the assembler's account.
struct EntryResources {
  std::string name;
  int64_t registers = 0;   // of a thread
  int64_t sharedBytes = 0; // of a block, static
  int64_t spillBytes = 0;  // stores and loads
};

struct Assembled {
  std::string cubin;
  std::vector<EntryResources> entries;
  std::vector<std::string> notices; // serialised wgmma and the like: C75xx
  double seconds = 0;               // of the processor, for the assembler
};

/// Where the assembler is: `given` if it is not empty, else the search path, else CUDA's usual place. Empty if there is none.
std::string findPtxas(llvm::StringRef given);
llvm::Expected<Assembled> assemblePtx(llvm::StringRef ptxas, const GpuSpec &gpu, llvm::StringRef ptx);

} // namespace leat::target
