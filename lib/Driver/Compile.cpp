// leat compile: a model to an artifact, or to the text of one of the levels on the way.
#include "lib/Driver/Commands.h"

#include "dialects/Leat/KVPolicy.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Pipeline/Compile.h"
#include "lib/Pipeline/Registration.h"

#include "mlir/IR/Diagnostics.h"
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
    stage = name.str();
    if (!shown)
      return;
    std::string percent = fraction > 0 ? llvm::formatv(" {0:P0}", fraction).str() : "";
    fprintf(stderr, "\r\033[K%s%s", stage.c_str(), percent.c_str());
    fflush(stderr);
  }
  void clear() {
    if (shown)
      fputs("\r\033[K", stderr);
  }
  std::string stage;

private:
  bool shown;
};

/// Compiler messages as the tool's own: problems first to last, the many of one kind cut short.
class Reports {
public:
  Reports(mlir::MLIRContext &context, Progress &progress, bool quiet)
      : handler(&context, [this, &progress, quiet](mlir::Diagnostic &diagnostic) {
          bool error = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
          if (!error && (quiet || diagnostic.getSeverity() != mlir::DiagnosticSeverity::Warning))
            return;
          if (error && ++errors > kShown)
            return;
          std::string text = diagnostic.str();
          // The location is the ONNX node, unless the text names it already or there is none.
          if (auto named = mlir::dyn_cast<mlir::NameLoc>(diagnostic.getLocation()))
            if (text.find(named.getName().strref().rtrim('"').rsplit('"').second.str()) == std::string::npos)
              text += " (in " + named.getName().str() + ")";
          progress.clear();
          fprintf(stderr, "%s: %s\n", error ? "error" : "warning", text.c_str());
        }) {}
  ~Reports() {
    if (errors > kShown)
      fprintf(stderr, "error: and %u more; leat inspect --coverage lists what a model needs\n", errors - kShown);
  }

private:
  static constexpr unsigned kShown = 200;
  unsigned errors = 0;
  mlir::ScopedDiagnosticHandler handler;
};

const std::pair<const char *, Emit> kEmits[] = {{"onnx", Emit::ONNX}, {"leat", Emit::Leat},    {"kernels", Emit::Kernels},
                                                {"llvm", Emit::LLVM}, {"asm", Emit::Assembly}, {"artifact", Emit::Artifact}};

int compile(const Args &args) {
  const std::string &model = args.positional[0];
  CompileOptions options;
  FrontendOptions frontend;
  std::string error;
  frontend.shapes = args.list("shape");
  options.targetCpu = args.get("target-cpu", "native");
  options.kvPolicy = args.get("kv", "retain=all");
  std::string badPolicy;
  if (!KVPolicy::parse(options.kvPolicy, badPolicy))
    return fail(kUsage, "--kv \"" + options.kvPolicy + "\": " + badPolicy);
  options.int8Activations = args.has("int8-activations");
  options.stateOverrides = args.get("states");
  options.dumpStages = args.get("dump-stages");
  options.embedIR = args.has("embed-ir");
  options.modelName = llvm::sys::path::filename(model).str();
  options.threads = args.integer("threads", 0, 0, 1024, error);
  if (!error.empty())
    return fail(kUsage, error);
  std::string emit = args.get("emit", "artifact");
  auto known = llvm::find_if(kEmits, [&](auto &entry) { return emit == entry.first; });
  if (known == std::end(kEmits))
    return fail(kUsage, "--emit is one of onnx, leat, kernels, llvm, asm, artifact; got '" + emit + "'");
  options.emit = known->second;
  if (auto spec = target::resolveTarget(options.targetCpu); !spec)
    return fail(kUsage, llvm::toString(spec.takeError()));

  std::string output = args.get("output");
  if (output.empty()) {
    llvm::SmallString<128> path(options.modelName);
    llvm::sys::path::replace_extension(path, ".leat");
    output = options.emit == Emit::Artifact ? path.str().str() : "-";
  }
  if (options.emit == Emit::Artifact && output == "-")
    return fail(kUsage, "an artifact does not go to standard output: give a file name with -o");

  auto begin = std::chrono::steady_clock::now();
  Progress progress(!args.has("quiet"));
  options.progress = [&](llvm::StringRef stage, double fraction) { progress.show(stage, fraction); };
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  progress.show("reading", 0);
  auto module = loadModel(context, model, frontend, error);
  if (mlir::failed(module)) {
    progress.clear();
    return fail(kBadInput, error);
  }
  {
    Reports reports(context, progress, args.has("quiet"));
    if (mlir::failed(compileModule(**module, options, output))) {
      bool ours = progress.stage == "machine code" || progress.stage == "weights";
      return ours ? kFailed : kUnsupported;
    }
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

} // namespace

Command compileCommand() {
  return {{"compile",
           "MODEL.onnx",
           "compile a model to an artifact (.leat)",
           {{"output", "FILE", "what to write; -o is short for it (MODEL.leat; standard output for text)", "Output"},
            {"emit", "LEVEL", "onnx, leat, kernels, llvm, asm: write the text of this level instead of an artifact", "Output"},
            {"dump-stages", "DIR", "write the IR after each stage into DIR", "Output"},
            {"embed-ir", nullptr, "keep the leat-level IR in the artifact", "Output"},
            {"target-cpu", "CPU", "native (default), generic, x86-64-v3, x86-64-v4, or a processor name", "Code"},
            {"int8-activations", nullptr, "let 4- and 8-bit products that allow it quantise their activations: faster, not exact", "Code"},
            {"shape", "NAME=VALUE", "fix a symbolic dimension (batch=1) or an input's shape (input=1x128); may be repeated", "Model"},
            {"kv", "POLICY", "what caches keep: retain=all, recent(R), sink(S)+recent(R)", "Model"},
            {"states", "FILE",
             "pairs of past and present tensors that are not recognised by name: lines INPUT OUTPUT [append AXIS | fixed]", "Model"},
            {"threads", "N", "threads to compile with (all)", "Other"},
            {"quiet", nullptr, "only errors", "Other"}},
           1,
           1},
          compile};
}

} // namespace leat::driver
