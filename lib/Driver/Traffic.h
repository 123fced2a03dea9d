// What leat inspect says of the bytes that kernels move.
#pragma once

#include "lib/Driver/Args.h"

namespace leat::driver {

/// --traffic, and what it needs to know of the run.
std::vector<OptionSpec> trafficOptions();
/// Prints the table of the artifact at `path`; `forDevice`: its kernels are a device's. Returns an exit code.
int printTraffic(const Args &args, const std::string &path, bool forDevice);

} // namespace leat::driver
