// Finds the command and runs it.
#include "lib/Driver/Driver.h"
#include "lib/Driver/Commands.h"

#include "runtime/device/simdevice/SimDevice.h"

#include <cstdio>
#include <cstring>

namespace leat::driver {

int fail(ExitCode code, const std::string &message) {
  fprintf(stderr, "error: %s\n", message.c_str());
  return code;
}

ExitCode exitCode(const rt::Status &status) {
  switch (status.code()) {
  case rt::Code::Unsupported:
    return kUnsupported;
  case rt::Code::InvalidArgument:
  case rt::Code::NotFound:
  case rt::Code::BadFile:
  case rt::Code::Version:
    return kBadInput;
  default:
    return kFailed;
  }
}

int fail(const rt::Status &status) { return fail(exitCode(status), status.message()); }

std::vector<OptionSpec> modelOptionSpecs() {
  return {
      {"threads", "N", "worker threads (0: one per CPU)", "Execution"},
      {"device", "NAME",
       "cpu, cuda, sim: the kernels of a GPU executed on the CPU, sim:checked: and races and the like found (what the model was "
       "compiled for)",
       "Execution"},
      {"weight-pages", "auto|mapped|huge",
       "what the CPU reads weights from: the file's mapping, or a copy in huge pages, faster where memory is the limit (auto: huge for "
       "large weights where memory is plentiful)",
       "Execution"},
      {"gemm", "scheduled|generated|cublaslt",
       "who multiplies on a GPU where a kernel is a plain product: what its schedule says, as far as cuBLASLt can be opened; the model's "
       "own code; cuBLASLt, or it is an error (scheduled)",
       "Execution"}};
}

rt::ModelOptions modelOptions(const Args &args, std::string &error) {
  rt::ModelOptions options;
  options.threads = static_cast<int>(args.integer("threads", 0, 0, 1024, error));
  options.device = args.get("device");
  std::string pages = args.get("weight-pages", "auto");
  if (pages == "mapped")
    options.weightPages = rt::WeightPages::Mapped;
  else if (pages == "huge")
    options.weightPages = rt::WeightPages::Huge;
  else if (pages != "auto")
    error = "--weight-pages is auto, mapped or huge, got '" + pages + "'";
  std::string gemm = args.get("gemm", "scheduled");
  if (gemm == "generated")
    options.gemm = rt::GemmChoice::Generated;
  else if (gemm == "cublaslt")
    options.gemm = rt::GemmChoice::CublasLt;
  else if (gemm != "scheduled")
    error = "--gemm is scheduled, generated or cublaslt, got '" + gemm + "'";
  options.opener = rt::openSimDevice;
  return options;
}

void note(const Args &args, const std::string &message) {
  if (!args.has("quiet"))
    fprintf(stderr, "%s\n", message.c_str());
}

static const std::vector<Command> &commands() {
  static const std::vector<Command> all{compileCommand(), runCommand(),    generateCommand(), benchCommand(),
                                        inspectCommand(), verifyCommand(), tokenizeCommand(), tuneCommand()};
  return all;
}

static void usage(FILE *to) {
  fprintf(to, "usage: leat COMMAND [arguments]\n\nCompiles ONNX models and runs them as streams.\n\n");
  for (const Command &c : commands())
    fprintf(to, "  %-10s %s\n", c.spec.name, c.spec.summary);
  fprintf(to,
          "\nleat COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not supported, 4 bad input, 130 interrupted.\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return kUsage;
  }
  std::string name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    usage(stdout);
    return kOk;
  }
  if (name == "--version") {
    printf("leat %s\n", LEAT_VERSION);
    return kOk;
  }
  std::vector<std::string> names;
  for (const Command &c : commands()) {
    names.push_back(c.spec.name);
    if (name != c.spec.name)
      continue;
    std::string error;
    auto args = Args::parse(c.spec, argc - 2, argv + 2, error);
    if (!args)
      return fail(kUsage, error);
    if (args->has("help")) {
      fputs(helpText(c.spec).c_str(), stdout);
      return kOk;
    }
    return c.run(*args);
  }
  std::string guess = closest(name, names);
  return fail(kUsage,
              "leat has no command '" + name + "'" + (guess.empty() ? "" : ", did you mean '" + guess + "'?") + "; see leat --help");
}

} // namespace leat::driver
