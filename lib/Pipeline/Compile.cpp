// The stages of a compilation in the order data flows, and what happens between them: dumps, progress, the final writing.
#include "lib/Pipeline/Compile.h"

#include "dialects/Leat/Leat.h"
#include "lib/Artifact/Writer.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/FunctionBodies.h"
#include "lib/Target/Codegen.h"
#include "lib/Target/DeviceCode.h"
#include "passes/CPU/Passes.h"
#include "passes/CPU/Pipeline.h"
#include "passes/CUDA/Passes.h"
#include "passes/CUDA/Pipeline.h"
#include "passes/Fuse/Passes.h"
#include "passes/Host/Passes.h"
#include "passes/Import/Passes.h"
#include "passes/Schedule/Passes.h"
#include "passes/Stream/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

namespace leat {

namespace {

bool forDevice(const CompileOptions &options) { return options.target == "cuda"; }

using BuildStage = void (*)(OpPassManager &, const CompileOptions &, const target::TargetSpec &);

/// Upstream's canonicalizations but for one: folding the cast of a loop's initial value into the loop is wrong when the size changes from
/// one iteration to the next, as it does where a loop collects what it computes.
void canonicalize(OpPassManager &pm) { pm.addPass(createCanonicalizerPass({}, {"(anonymous namespace)::ForOpTensorCastFolder"})); }

void buildImport(OpPassManager &pm, const CompileOptions &, const target::TargetSpec &) {
  OpPassManager &graph = pm.nest<func::FuncOp>();
  graph.addPass(import::createLeatRefineTypes());
  graph.addPass(import::createLeatResolveSequences());
  graph.addPass(import::createLeatRefineTypes());
  graph.addPass(import::createLeatRaiseNorm());
  graph.addPass(import::createLeatRaiseGelu());
  graph.addPass(import::createLeatRaiseRotary());
  graph.addPass(import::createLeatRaiseAttention());
  pm.addPass(import::createImportOnnxPass(expandFunctionBody));
  canonicalize(pm);
  pm.addPass(createCSEPass());
}

void buildStream(OpPassManager &pm, const CompileOptions &options, const target::TargetSpec &) {
  stream::MakeStepOptions step;
  step.overrideFile = options.stateOverrides;
  pm.addPass(stream::createMakeStep(step));
  canonicalize(pm);
  pm.addPass(createCSEPass());
  pm.addPass(stream::createHoistCacheMaps());
  // GPUs have tiles for masks in memory, a thread per row for programs: those only where a policy drops keys and has to know their rule.
  stream::ClassifyMasksOptions masks;
  masks.programs = options.target != "cuda" || !StringRef(options.kvPolicy).starts_with("retain=all");
  pm.nest<func::FuncOp>().addPass(stream::createClassifyMasks(masks));
  canonicalize(pm);
  stream::ApplyKVPolicyOptions policy;
  policy.policy = options.kvPolicy;
  pm.addPass(stream::createApplyKVPolicy(policy));
  stream::NarrowCachesOptions precision;
  precision.policy = options.kvPolicy;
  pm.addPass(stream::createNarrowCaches(precision));
  stream::PageCachesOptions layout;
  layout.policy = options.kvPolicy;
  pm.addPass(stream::createPageCaches(layout));
  canonicalize(pm);
  pm.addPass(createCSEPass());
}

void buildKernels(OpPassManager &pm, const CompileOptions &options, const target::TargetSpec &target) {
  if (options.decompose) {
    fuse::DecomposeOptions decompose;
    decompose.ops.assign(options.decomposeOps.begin(), options.decomposeOps.end());
    if (decompose.ops.empty()) // loops over single elements, no kernel contains them; and caches, which would be copied
      decompose.keep = {"scatter_elements", "scatter_nd", "nonzero", "cache_append", "cache_view"};
    pm.addPass(fuse::createDecompose(decompose));
    canonicalize(pm);
    pm.addPass(createCSEPass());
  }
  pm.addPass(fuse::createFoldBlockOffsets());
  pm.nest<func::FuncOp>().addPass(fuse::createFoldLayouts());
  canonicalize(pm);
  pm.addPass(createCSEPass());
  schedule::QuantizeWeightsOptions weights;
  weights.kind = options.weights;
  weights.keep = SmallVector<std::string>(options.keepWeights.begin(), options.keepWeights.end());
  weights.int8Activations = options.int8Activations;
  pm.addPass(schedule::createQuantizeWeights(weights));
  pm.nest<func::FuncOp>().addPass(fuse::createFormKernels());
  canonicalize(pm);
  pm.addPass(createCSEPass());
  pm.addPass(fuse::createOutlineKernels());
  if (forDevice(options)) { // weights stay row major
    pm.addPass(schedule::createNarrowScales());
    schedule::ScheduleCUDAOptions tiles;
    tiles.gpu = options.gpu;
    tiles.int8Activations = options.int8Activations;
    pm.addPass(schedule::createScheduleCUDA(tiles));
  } else {
    if (llvm::is_contained(target.features, "f16c") || llvm::is_contained(target.features, "+f16c"))
      pm.addPass(schedule::createNarrowScales());
    pm.addPass(schedule::createPackParams());
    schedule::ScheduleCPUOptions schedule;
    schedule.vectorBits = target.vectorBits;
    schedule.int8Activations = options.int8Activations;
    schedule.bf16Activations = options.bf16Activations;
    schedule.bf16Dots = cpu::Target::fromFeatures(target.vectorBits, target.features).hasPairDots();
    schedule.registers = target.vectorBits == 512 ? 32 : 16;
    pm.addPass(schedule::createScheduleCPU(schedule));
  }
  if (!options.scheduleFile.empty()) {
    schedule::OverrideScheduleOptions given;
    given.file = options.scheduleFile;
    pm.addPass(schedule::createOverrideSchedule(given));
  }
  if (options.groupLaunches)
    pm.addPass(host::createGroupLaunches());
}

void buildCode(OpPassManager &pm, const CompileOptions &options, const target::TargetSpec &target) {
  host::LowerHostOptions host;
  host.device = forDevice(options);
  pm.addPass(host::createLowerHost(host));
  if (forDevice(options)) {
    cuda::LowerKernelsToCUDAOptions kernels;
    kernels.gpu = options.gpu;
    pm.addPass(cuda::createLowerKernelsToCUDA(kernels));
    return;
  }
  cpu::LowerKernelsToCPUOptions kernels;
  kernels.vectorBits = target.vectorBits;
  kernels.features.assign(target.features.begin(), target.features.end());
  pm.addPass(cpu::createLowerKernelsToCPU(kernels));
}

struct Stage {
  StringRef name;
  BuildStage build;
  Emit gives; // what can be emitted after it
};

constexpr Stage kStages[] = {
    {"import", buildImport, Emit::ONNX},
    {"stream", buildStream, Emit::Leat},
    {"kernels", buildKernels, Emit::Kernels},
    {"code", buildCode, Emit::Artifact},
};

LogicalResult writeText(ModuleOp module, StringRef path, llvm::function_ref<void(llvm::raw_ostream &)> write) {
  std::error_code error;
  llvm::ToolOutputFile file(path, error, llvm::sys::fs::OF_Text);
  if (error)
    return module.emitError("cannot write '") << path << "': " << error.message();
  write(file.os());
  file.os().flush();
  if (file.os().has_error()) {
    std::string reason = file.os().error().message();
    file.os().clear_error();
    return module.emitError("cannot write '") << path << "': " << reason;
  }
  file.keep();
  return success();
}

LogicalResult dump(ModuleOp module, const CompileOptions &options, unsigned number, StringRef stage) {
  if (options.dumpStages.empty())
    return success();
  if (std::error_code error = llvm::sys::fs::create_directories(options.dumpStages))
    return module.emitError("cannot create the folder '") << options.dumpStages << "': " << error.message();
  SmallString<128> path(options.dumpStages);
  llvm::sys::path::append(path, Twine(number) + "-" + stage + ".mlir");
  return writeText(module, path, [&](llvm::raw_ostream &os) { module.print(os); });
}

/// What products may do to their activations, for the artifact.
std::string activations(const CompileOptions &options) {
  SmallVector<StringRef> kinds;
  if (options.int8Activations)
    kinds.push_back("int8");
  if (options.bf16Activations)
    kinds.push_back("bf16");
  return kinds.empty() ? "exact" : llvm::join(kinds, " ");
}

/// The functions, kernels and constants of the code are in LLVM IR now; this writes the rest of the artifact around them.
LogicalResult emitCode(ModuleOp module, const CompileOptions &options, const target::TargetSpec &spec, std::string irText,
                       StringRef output) {
  auto report = [&](StringRef stage, double fraction) {
    if (options.progress)
      options.progress(stage, fraction);
  };
  std::vector<target::DeviceModule> deviceModules;
  if (forDevice(options)) {
    report("device code", 0);
    target::DeviceOptions device;
    auto gpu = target::resolveGpu(options.gpu);
    if (!gpu)
      return module.emitError(llvm::toString(gpu.takeError()));
    device.gpu = *gpu;
    device.ptxas = options.emit == Emit::PTX ? "" : target::findPtxas(options.ptxas);
    device.pipeline = cuda::buildToNVVM;
    device.verify = options.verifyEach;
    device.threads = options.threads;
    auto modules = target::generateDeviceCode(module, device);
    if (failed(modules))
      return failure();
    deviceModules = std::move(*modules);
    if (options.emit == Emit::PTX)
      return writeText(module, output, [&](llvm::raw_ostream &os) {
        for (const target::DeviceModule &part : deviceModules)
          os << part.ptx;
      });
  }
  target::CodegenOptions codegen;
  codegen.target = spec;
  codegen.threads = options.threads;
  codegen.verify = options.verifyEach;
  codegen.wantLLVM = options.emit == Emit::LLVM;
  codegen.wantAssembly = options.emit == Emit::Assembly;
  codegen.progress = [&](unsigned done, unsigned total) { report("machine code", double(done) / total); };
  cpu::Target cpuTarget = cpu::Target::fromFeatures(spec.vectorBits, spec.features);
  codegen.kernelPipeline = [cpuTarget](OpPassManager &pm) { cpu::buildToLLVM(pm, cpuTarget); };
  report("machine code", 0);
  auto code = target::generateCode(module, codegen);
  if (failed(code))
    return failure();
  if (options.emit == Emit::LLVM || options.emit == Emit::Assembly)
    return writeText(module, output, [&](llvm::raw_ostream &os) { os << (options.emit == Emit::LLVM ? code->llvm : code->assembly); });

  artifact::ArtifactContents contents;
  contents.model = options.modelName;
  contents.targetCpu = spec.cpu;
  contents.features = spec.features;
  contents.sharedObject = std::move(code->sharedObject);
  contents.irText = std::move(irText);
  if (forDevice(options))
    contents.gpu = options.gpu;
  for (target::DeviceModule &part : deviceModules) {
    contents.device.push_back({std::move(part.ptx), std::move(part.cubin), {}});
    for (const target::EntryResources &entry : part.entries)
      contents.device.back().entries.push_back({entry.name, entry.registers, entry.sharedBytes});
  }
  contents.options = {{"target-cpu", options.targetCpu}, {"kv", options.kvPolicy}, {"activations", activations(options)}};
  contents.options.emplace_back("weights", options.weights);
  if (std::string text = weightsReport(module); !text.empty())
    contents.options.emplace_back("weights-report", text);
  if (!options.keepWeights.empty())
    contents.options.emplace_back("weights-keep", llvm::join(options.keepWeights, " "));
  contents.progress = [&](int64_t done, int64_t total) { report("weights", total ? double(done) / total : 1); };
  report("weights", 0);
  if (llvm::Error error = artifact::writeArtifact(module, contents, output))
    return module.emitError(llvm::toString(std::move(error)));
  return success();
}

} // namespace

/// What stands between a diagnostic of MLIR and one line for the user: "file.mlir:3:8: text".
static std::string oneLine(Diagnostic &diagnostic) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto place = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
    os << place.getFilename().getValue() << ":" << place.getLine() << ":" << place.getColumn() << ": ";
  os << diagnostic;
  return text;
}

/// The functions of a module in Leat's own IR: what is no ONNX model was checked by no front end.
static LogicalResult checkFunctions(ModuleOp module) {
  bool any = false;
  for (auto function : module.getOps<func::FuncOp>()) {
    any = true;
    if (function.isExternal())
      return function.emitError("function @") << function.getName() << " has no body";
    for (auto [what, types] : {std::pair("argument", function.getArgumentTypes()), std::pair("result", function.getResultTypes())})
      for (auto [i, type] : llvm::enumerate(types))
        if (!isa<RankedTensorType>(type))
          return function.emitError("function @") << function.getName() << " has " << what << " " << i << " of type " << type
                                                  << "; functions that can be run take and give ranked tensors";
  }
  return any ? success() : module.emitError("the file has no func.func to compile");
}

FailureOr<OwningOpRef<ModuleOp>> loadModel(MLIRContext &context, StringRef path, const FrontendOptions &options, std::string &error) {
  if (!path.ends_with(".mlir"))
    return importOnnx(context, path, options, error);
  if (!options.shapes.empty()) {
    error = "shapes cannot be fixed in '" + path.str() + "': IR has its shapes written in it, only ONNX models take --shape";
    return failure();
  }
  if (!llvm::sys::fs::exists(path)) {
    error = ("cannot read '" + path + "': no such file").str();
    return failure();
  }
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (error.empty())
      error = oneLine(diagnostic);
  });
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(path, &context);
  if (!module || failed(checkFunctions(*module)))
    return failure();
  error.clear();
  return module;
}

std::string weightsReport(ModuleOp module) {
  auto info = module->getAttrOfType<DictionaryAttr>("leat.weights");
  if (!info)
    return "";
  auto integer = [&](StringRef name) { return info.getAs<IntegerAttr>(name).getInt(); };
  auto percent = [&](StringRef name) { return info.getAs<FloatAttr>(name).getValueAsDouble() * 100; };
  return llvm::formatv("{0} as {1}, {2:F1} to {3:F1} MB; relative error {4:F3}% on average, {5:F3}% at most (\"{6}\")", integer("count"),
                       info.getAs<StringAttr>("kind").getValue(), integer("bytes_before") / 1e6, integer("bytes_after") / 1e6,
                       percent("mean_error"), percent("worst_error"), info.getAs<StringAttr>("worst").getValue());
}

LogicalResult compileModule(ModuleOp module, const CompileOptions &options, StringRef output) {
  MLIRContext &context = *module.getContext();
  auto spec = target::resolveTarget(options.targetCpu);
  if (!spec)
    return module.emitError(llvm::toString(spec.takeError()));
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);

  auto print = [&] { return writeText(module, output, [&](llvm::raw_ostream &os) { module.print(os); }); };
  if (failed(dump(module, options, 0, "onnx")))
    return failure();
  if (options.emit == Emit::ONNX)
    return print();
  std::string irText;
  unsigned number = 0;
  for (const Stage &stage : kStages) {
    if (options.progress)
      options.progress(stage.name, 0);
    PassManager pm(&context);
    pm.enableVerifier(options.verifyEach);
    stage.build(pm, options, *spec);
    if (failed(pm.run(module)) || failed(dump(module, options, ++number, stage.name)))
      return failure();
    if (stage.gives == options.emit && options.emit != Emit::Artifact && options.emit != Emit::ONNX)
      return print();
    if (stage.gives == Emit::Leat && options.embedIR)
      llvm::raw_string_ostream(irText) << module;
  }
  return emitCode(module, options, *spec, std::move(irText), output);
}

void buildPipeline(OpPassManager &pm, const CompileOptions &options, const target::TargetSpec &target) {
  for (const Stage &stage : kStages) {
    stage.build(pm, options, target);
    if (stage.gives == options.emit && options.emit != Emit::ONNX)
      return;
  }
}

namespace {
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<std::string> cpu{*this, "target-cpu", llvm::cl::desc("as leat compile's --target-cpu"), llvm::cl::init("generic")};
  Option<std::string> kv{*this, "kv", llvm::cl::desc("cache policy"), llvm::cl::init("retain=all")};
  Option<std::string> to{*this, "to", llvm::cl::desc("last level: leat, kernels or code"), llvm::cl::init("code")};
};
} // namespace

void registerPipelines() {
  PassPipelineRegistration<PipelineOptions>(
      "leat-pipeline", "all stages from onnx.node to the input of code generation", [](OpPassManager &pm, const PipelineOptions &given) {
        CompileOptions options;
        options.kvPolicy = given.kv;
        options.emit = given.to == "leat" ? Emit::Leat : given.to == "kernels" ? Emit::Kernels : Emit::Artifact;
        auto spec = target::resolveTarget(given.cpu);
        if (!spec)
          llvm::report_fatal_error(spec.takeError(), /*gen_crash_diag=*/false);
        buildPipeline(pm, options, *spec);
      });
}

} // namespace leat
