// A tuned kernel for GPUs: written by a generator of its family, where there is one. Kernels without one take the generic form (Generic.h),
// so nothing is unsupported, only slower.
#pragma once

#include "dialects/Leat/Leat.h"
#include "passes/CUDA/Target.h"

#include <memory>

namespace leat::cuda {

class Generator {
public:
  virtual ~Generator() = default;

  /// Writes, beside the kernel @k:
  /// - for each phase an entry point made with createEntry (Entry.h), whose body lowers to LLVM and NVVM;
  /// - func.func @k.geometry(scalars, out): the launch of each phase (LeatGeometry in include/leat/KernelABI.h);
  /// - func.func @k.cost(scalars, out), as for the CPU.
  virtual mlir::LogicalResult emit(KernelFuncOp kernel) = 0;
};

/// The generator of the kernel's family for this GPU; null where there is none.
std::unique_ptr<Generator> createGenerator(KernelFuncOp kernel, const GpuTarget &target);

} // namespace leat::cuda
