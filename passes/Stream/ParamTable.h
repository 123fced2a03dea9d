// The numbers of a parameter, for analyses that read tables: rotary angles, triangular masks.
#pragma once

#include "dialects/Leat/Leat.h"

#include <vector>

namespace leat::stream {

/// The elements of a parameter of floats, integers or truth values; empty when they are not to be had.
std::vector<double> readTable(ParamRefOp ref);

} // namespace leat::stream
