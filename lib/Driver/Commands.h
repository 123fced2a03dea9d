// The commands of the leat tool: one source a command, and what they share.
#pragma once

#include "lib/Driver/Args.h"
#include "runtime/core/Status.h"
#include "runtime/session/Model.h"

namespace leat::driver {

/// Exit codes of the tool: documented in docs/cli.md, relied on by scripts.
enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kUnsupported = 3, kBadInput = 4, kInterrupted = 130 };

struct Command {
  CommandSpec spec;
  int (*run)(const Args &args);
};

Command compileCommand();
Command runCommand();
Command generateCommand();
Command benchCommand();
Command inspectCommand();
Command verifyCommand();
Command tokenizeCommand();
Command tuneCommand();

/// What run, generate and bench share: --threads, --device, --weight-pages and --gemm. On a malformed value sets `error`.
std::vector<OptionSpec> modelOptionSpecs();
rt::ModelOptions modelOptions(const Args &args, std::string &error);

/// Prints `error: message` and returns `code`.
int fail(ExitCode code, const std::string &message);
/// The same for a runtime status, with the exit code that its kind has.
int fail(const rt::Status &status);
ExitCode exitCode(const rt::Status &status);

/// A line on stderr for people; nothing when --quiet.
void note(const Args &args, const std::string &message);

} // namespace leat::driver
