#include "lib/Pipeline/CompileFile.h"

#include "dialects/Leat/Leat.h"
#include "lib/Pipeline/Registration.h"
#include "lib/Target/Ptx.h"
#include "passes/Schedule/WeightCoding.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace leat {

std::optional<Emit> parseEmit(StringRef word) {
  return llvm::StringSwitch<std::optional<Emit>>(word)
      .Case("onnx", Emit::ONNX)
      .Case("leat", Emit::Leat)
      .Case("kernels", Emit::Kernels)
      .Case("llvm", Emit::LLVM)
      .Case("asm", Emit::Assembly)
      .Case("ptx", Emit::PTX)
      .Case("artifact", Emit::Artifact)
      .Default(std::nullopt);
}

/// The diagnostic as one line. The location is the ONNX node, unless the text names it already or there is none.
static std::string describe(Diagnostic &diagnostic) {
  std::string text = diagnostic.str();
  if (auto named = dyn_cast<NameLoc>(diagnostic.getLocation()))
    if (text.find(named.getName().strref().rtrim('"').rsplit('"').second.str()) == std::string::npos)
      text += " (in " + named.getName().str() + ")";
  return text;
}

/// What is wrong with the options, in one line; empty if nothing.
static std::string misuse(const CompileOptions &options, StringRef output, MLIRContext &context) {
  std::string error;
  if (!KVPolicy::parse(options.kvPolicy, error))
    return "--kv \"" + options.kvPolicy + "\": " + error;
  if (auto spec = target::resolveTarget(options.targetCpu); !spec)
    return llvm::toString(spec.takeError());
  if (!llvm::is_contained({"cpu", "cuda"}, options.target))
    return "--target is cpu or cuda; got '" + options.target + "'";
  if (options.target == "cuda") {
    if (auto gpu = target::resolveGpu(options.gpu); !gpu)
      return llvm::toString(gpu.takeError());
  } else if (options.emit == Emit::PTX) {
    return "only --target=cuda has PTX to print";
  }
  if (options.emit == Emit::Artifact && output == "-")
    return "an artifact does not go to standard output: give a file name";
  if (auto kind = schedule::WeightKind::parse(options.weights); !kind)
    return "--weights: " + llvm::toString(kind.takeError());
  if (!options.keepWeights.empty() && options.weights == "f32")
    return "--keep is of no use without --weights";
  for (const std::string &pattern : options.keepWeights)
    if (auto glob = llvm::GlobPattern::create(pattern); !glob)
      return "--keep '" + pattern + "': " + llvm::toString(glob.takeError());
  if (!options.scheduleFile.empty() && !llvm::sys::fs::exists(options.scheduleFile))
    return "--schedule: cannot read '" + options.scheduleFile + "': no such file";
  for (const std::string &op : options.decomposeOps)
    if (auto known = RegisteredOperationName::lookup("leat." + op, &context);
        !known || !known->hasInterface<linalg::AggregatedOpInterface>())
      return "--decompose: leat has no op '" + op + "' with a decomposition; the dialect's reference lists the ops";
  return "";
}

Outcome compileFile(StringRef model, const FrontendOptions &frontend, CompileOptions options, StringRef output,
                    llvm::function_ref<void(const Message &)> report) {
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  std::string error = misuse(options, output, context);
  if (!error.empty()) {
    report({true, error});
    return Outcome::Usage;
  }
  if (options.modelName.empty())
    options.modelName = llvm::sys::path::filename(model).str();
  std::string stage = "reading";
  auto progress = std::move(options.progress);
  options.progress = [&](StringRef name, double fraction) {
    stage = name.str();
    if (progress)
      progress(name, fraction);
  };

  options.progress("reading", 0);
  auto module = loadModel(context, model, frontend, error);
  if (failed(module)) {
    report({true, error});
    return Outcome::BadInput;
  }
  bool badSchedule = false;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    bool isError = diagnostic.getSeverity() == DiagnosticSeverity::Error;
    badSchedule |= isError && !options.scheduleFile.empty() && StringRef(diagnostic.str()).starts_with("schedule " + options.scheduleFile);
    bool isNote = diagnostic.getSeverity() == DiagnosticSeverity::Remark && options.verbose;
    if (isError || isNote || diagnostic.getSeverity() == DiagnosticSeverity::Warning)
      report({isError, describe(diagnostic), isNote});
  });
  if (succeeded(compileModule(**module, options, output))) {
    if (std::string text = weightsReport(**module); !text.empty())
      report({false, "weights: " + text, /*note=*/true});
    return Outcome::Done;
  }
  if (badSchedule)
    return Outcome::BadInput;
  return stage == "machine code" || stage == "device code" || stage == "weights" ? Outcome::Failed : Outcome::Unsupported;
}

} // namespace leat
