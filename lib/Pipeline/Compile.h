// The compile driver: from an imported model to an artifact, stage by stage.
#pragma once

#include "lib/Frontend/Options.h"
#include "lib/Target/TargetSpec.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"

#include <functional>
#include <string>
#include <vector>

namespace leat {

/// What a compilation produces: the artifact, or the text of the IR after a stage.
enum class Emit {
  ONNX,     ///< the model as read
  Leat,     ///< meaning: leat and linalg ops, with state
  Kernels,  ///< fused, outlined, scheduled
  LLVM,     ///< LLVM IR of kernels and host functions, optimised
  Assembly, ///< the same as machine instructions
  PTX,      ///< device code as text
  Artifact,
};

struct CompileOptions {
  std::string target = "cpu";          ///< where kernels run: cpu or cuda
  std::string gpu = "sm_80";           ///< for cuda: see target::resolveGpu
  std::string ptxas;                   ///< NVIDIA's assembler; empty: where it usually is, if it is there
  std::string targetCpu = "generic";   ///< see target::resolveTarget; for cuda, of the host code
  std::string kvPolicy = "retain=all"; ///< what caches keep, in the grammar of #leat.kv
  /// Let products that allow it (MatMulNBits with accuracy_level 4) quantise their activations to 8 bits: faster, not exact.
  bool int8Activations = false;
  /// Let products with weights in bf16 round their activations to bf16, where the processor has dots of them: faster, not exact.
  bool bf16Activations = false;
  std::string weights = "f32"; ///< how weights of products are stored: f32 (as the model has them), bf16, f16, int8, int4, int8(g=N)
  std::vector<std::string> keepWeights; ///< patterns of names of weights that stay as they are
  bool verbose = false;                 ///< report what happens to each weight
  /// Replace leat ops by their decompositions before kernels are formed: slow, to find out whether a kernel is at fault.
  bool decompose = false;
  std::vector<std::string> decomposeOps; ///< only these, without the dialect's name; empty: all
  /// Launches that need not wait for each other become groups. Off: to find out whether a group is at fault.
  bool groupLaunches = true;
  std::string scheduleFile;   ///< sizes of kernels that replace the chosen ones, see leat-override-schedule; empty: none
  std::string stateOverrides; ///< file with pairs of past and present tensors that the name table misses
  Emit emit = Emit::Artifact;
  std::string dumpStages;  ///< folder that gets the IR after each stage as text; empty: none
  std::string modelName;   ///< recorded in the artifact
  bool embedIR = false;    ///< keep the leat-level IR in the artifact
  bool verifyEach = false; ///< run MLIR's verifier after every pass
  unsigned threads = 0;    ///< 0: all
  /// Called at the beginning of each stage and, where a stage takes long, on the way. `fraction` is that of the stage.
  std::function<void(llvm::StringRef stage, double fraction)> progress;
};

/// Reads a model: ONNX, or Leat's own IR as text (`.mlir`): functions on ranked tensors of leat, linalg, tensor, arith, math and scf ops.
/// On failure `error` is one line.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> loadModel(mlir::MLIRContext &context, llvm::StringRef path,
                                                             const FrontendOptions &options, std::string &error);

/// Compiles `module` in place and writes the result to `output` ("-": standard output). Problems are reported as MLIR diagnostics.
mlir::LogicalResult compileModule(mlir::ModuleOp module, const CompileOptions &options, llvm::StringRef output);

/// What `CompileOptions::weights` did to a compiled module, in a line for people; empty if nothing.
std::string weightsReport(mlir::ModuleOp module);

/// The passes of the stages up to what `options.emit` names; code generation itself is not a pass.
void buildPipeline(mlir::OpPassManager &pm, const CompileOptions &options, const target::TargetSpec &target);
/// Registers the above as `leat-pipeline`.
void registerPipelines();

} // namespace leat
