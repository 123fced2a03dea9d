// The choice of a tuned generator. Families are added here as they are written.
#include "passes/CUDA/Generator.h"

namespace leat::cuda {

std::unique_ptr<Generator> createGenerator(KernelFuncOp, const GpuTarget &) { return nullptr; }

} // namespace leat::cuda
