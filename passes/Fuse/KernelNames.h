// Readable names for kernels: what they compute, in a few words.
#pragma once

#include "passes/Fuse/Grouping.h"

#include <string>

namespace leat::fuse {

/// "matmul_add_gelu": the root, then what follows it; or the most telling of the elementwise ops.
std::string nameOf(const Group &group);

} // namespace leat::fuse
