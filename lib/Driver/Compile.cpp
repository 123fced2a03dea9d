// leat compile: a model to an artifact, or to the text of one of the levels on the way.
#include "lib/Driver/Commands.h"
#include "lib/Driver/CompileArgs.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <chrono>
#include <unistd.h>

namespace leat::driver {

namespace {

/// One line per stage on a terminal, overwritten by the next; nothing where nobody watches.
class Progress {
public:
  explicit Progress(bool wanted) : shown(wanted && isatty(2)) {}
  ~Progress() { clear(); }
  void show(llvm::StringRef name, double fraction) {
    if (!shown)
      return;
    std::string percent = fraction > 0 ? llvm::formatv(" {0:P0}", fraction).str() : "";
    fprintf(stderr, "\r\033[K%s%s", name.str().c_str(), percent.c_str());
    fflush(stderr);
  }
  void clear() {
    if (shown)
      fputs("\r\033[K", stderr);
  }

private:
  bool shown;
};

/// Compiler messages as the tool's own: problems first to last, the many of one kind cut short.
class Reports {
public:
  Reports(Progress &progress, bool quiet) : progress(progress), quiet(quiet) {}
  void operator()(const Message &message) {
    if (message.error ? ++errors > kShown : quiet)
      return;
    progress.clear();
    fprintf(stderr, "%s: %s\n", message.error ? "error" : message.note ? "note" : "warning", message.text.c_str());
  }
  ~Reports() {
    if (errors > kShown)
      fprintf(stderr, "error: and %u more; leat inspect --coverage lists what a model needs\n", errors - kShown);
  }

private:
  static constexpr unsigned kShown = 200;
  unsigned errors = 0;
  Progress &progress;
  bool quiet;
};

} // namespace

static int compile(const Args &args) {
  const std::string &model = args.positional[0];
  CompileOptions options;
  FrontendOptions frontend;
  std::string error;
  readCompileArgs(args, options, frontend);
  options.scheduleFile = args.get("schedule");
  options.verbose = args.has("verbose");
  if (std::string ops = args.get("decompose"); !ops.empty()) {
    options.decompose = true;
    if (ops != "all")
      for (llvm::StringRef op : llvm::split(llvm::StringRef(ops), ","))
        options.decomposeOps.push_back(op.trim().str());
  }
  options.dumpStages = args.get("dump-stages");
  options.embedIR = args.has("embed-ir");
  options.modelName = llvm::sys::path::filename(model).str();
  options.threads = args.integer("threads", 0, 0, 1024, error);
  if (!error.empty())
    return fail(kUsage, error);
  std::string emit = args.get("emit", "artifact");
  auto known = parseEmit(emit);
  if (!known)
    return fail(kUsage, "--emit is one of onnx, leat, kernels, llvm, asm, ptx, artifact; got '" + emit + "'");
  options.emit = *known;

  std::string output = args.get("output");
  if (output.empty()) {
    llvm::SmallString<128> path(options.modelName);
    llvm::sys::path::replace_extension(path, ".leat");
    output = options.emit == Emit::Artifact ? path.str().str() : "-";
  }
  auto begin = std::chrono::steady_clock::now();
  Progress progress(!args.has("quiet"));
  options.progress = [&](llvm::StringRef stage, double fraction) { progress.show(stage, fraction); };
  {
    Reports reports(progress, args.has("quiet"));
    Outcome outcome = compileFile(model, frontend, options, output, [&](const Message &message) { reports(message); });
    if (outcome != Outcome::Done)
      return static_cast<int>(outcome);
  }
  progress.clear();
  if (options.emit == Emit::Artifact) {
    uint64_t bytes = 0;
    llvm::sys::fs::file_size(output, bytes);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    note(args, llvm::formatv("compiled {0} to {1} in {2:F1} s ({3:F1} MB)", model, output, seconds, bytes / 1e6).str());
  }
  return kOk;
}

Command compileCommand() {
  Command command{{"compile",
                   "MODEL.onnx|FUNCTIONS.mlir",
                   "compile a model, or functions in Leat's IR, to an artifact (.leat)",
                   {{"output", "FILE", "what to write; -o is short for it (MODEL.leat; standard output for text)", "Output"},
                    {"emit", "LEVEL", "onnx, leat, kernels, llvm, asm, ptx: write the text of this level instead of an artifact", "Output"},
                    {"dump-stages", "DIR", "write the IR after each stage into DIR", "Output"},
                    {"embed-ir", nullptr, "keep the leat-level IR in the artifact", "Output"},
                    {"schedule", "FILE", "sizes of kernels, as leat inspect --schedule prints them and leat tune finds them", "Code"},
                    {"decompose", "OPS",
                     "all, or names of leat ops (softmax,kv_attend): compile their plain definitions instead of kernels; slow", "Other"},
                    {"threads", "N", "threads to compile with (all)", "Other"},
                    {"verbose", nullptr, "also what happens to each weight", "Other"},
                    {"quiet", nullptr, "only errors", "Other"}},
                   1,
                   1},
                  compile};
  llvm::append_range(command.spec.options, compileArgOptions());
  return command;
}

} // namespace leat::driver
