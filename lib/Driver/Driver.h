// Entry of the leat command line.
#pragma once

namespace leat::driver {
/// Runs the command named by argv[1]; returns the exit code.
int main(int argc, char **argv);
} // namespace leat::driver
