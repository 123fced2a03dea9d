// What this CPU (and its operating system) can execute, in LLVM's feature names.
#ifndef LEAT_RUNTIME_ARTIFACT_CPUFEATURES_H
#define LEAT_RUNTIME_ARTIFACT_CPUFEATURES_H

#include "runtime/core/Status.h"

#include <span>
#include <string>

namespace leat::rt {

// Ok when the host has all of `features` ("avx512f", also "+avx512f"; "-x" asks for nothing); else names the first missing one.
Status checkCpuFeatures(std::span<const std::string> features);

} // namespace leat::rt

#endif
