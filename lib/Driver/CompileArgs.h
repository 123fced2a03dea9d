// The options that say what code a model becomes: compile has them, and tune, which compiles again and again.
#pragma once

#include "lib/Driver/Args.h"
#include "lib/Pipeline/CompileFile.h"

namespace leat::driver {

std::vector<OptionSpec> compileArgOptions();
/// Sets what they say.
void readCompileArgs(const Args &args, CompileOptions &options, FrontendOptions &frontend);

} // namespace leat::driver
