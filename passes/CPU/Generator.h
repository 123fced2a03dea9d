// A generator writes the functions of one family of kernels. Dispatch.cpp chooses it by the kernel's root op and schedule.
#pragma once

#include "passes/CPU/KernelBuilder.h"
#include "passes/CPU/Pull.h"

#include <memory>

namespace leat::cpu {

/// Bytes moved (a lower bound) and operations of one run (index values), and the bytes that tasks ask for, if that is more (null: it is not).
struct Cost {
  mlir::Value bytes, operations, requested = nullptr;
};
/// Ends a kernel's function Part::Cost: writes `cost`, and what the kernel's ops would move by themselves (LEAT_COST_... in
/// include/leat/KernelABI.h).
void storeCost(KernelBuilder &k, const Cost &cost);

class Generator {
public:
  virtual ~Generator() = default;

  /// Number of independent tasks (index). Must not depend on the number of threads; may depend on scalars only.
  virtual mlir::Value tasks(KernelBuilder &k) = 0;
  /// Code of task `task` (index).
  virtual void run(KernelBuilder &k, mlir::Value task) = 0;
  /// Code of tasks [begin, end). Override to share work between tasks.
  virtual void runRange(KernelBuilder &k, mlir::Value begin, mlir::Value end);
  /// Bytes of scratch per worker (index).
  virtual mlir::Value scratch(KernelBuilder &k);
  /// Kernels of two phases: tasks of the first leave parts in k.shared(), those of the second join them.
  virtual bool hasFinish() { return false; }
  virtual mlir::Value finishTasks(KernelBuilder &k) { return k.idx(0); }
  virtual void finish(KernelBuilder &, mlir::Value) {}
  /// Bytes of k.shared() (index). Should not follow the length of a stream, or its steps would allocate.
  virtual mlir::Value shared(KernelBuilder &k) { return k.idx(0); }
  /// Default: every tensor operand and result moves once; one operation per result element and body op.
  virtual Cost cost(KernelBuilder &k);
};

/// The op that decides the kernel's family: the only one that cannot be pulled; null for elementwise kernels.
mlir::Operation *findRoot(KernelFuncOp kernel);
/// The kernel's generator; null after an error.
std::unique_ptr<Generator> createGenerator(KernelFuncOp kernel, const Target &target);
/// Writes the functions of LeatKernel beside the kernel: @k, @k.tasks, @k.scratch, @k.cost and, for two phases, those of the second.
mlir::LogicalResult emitFunctions(KernelFuncOp kernel, Generator &generator, const Target &target);

// --- families, one file each. `root` is what findRoot gives. --------------------------------------------------------------------
std::unique_ptr<Generator> createMapGenerator(KernelFuncOp kernel);
std::unique_ptr<Generator> createReduceGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createSoftmaxGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createNormGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createMergeGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createCumSumGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createArgReduceGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createNonZeroGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createTopKGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createSampleGenerator(mlir::Operation *root);
std::unique_ptr<Generator> createScatterGenerator(mlir::Operation *root);

/// A parameter of the kernel's schedule, or `otherwise` where there is none.
int64_t scheduled(KernelFuncOp kernel, llvm::StringRef parameter, int64_t otherwise);

// --- parts that generators share ---------------------------------------------------------------------------------------------------
/// Elements that one task of a memory-bound kernel handles, if its schedule does not say.
constexpr int64_t kTaskElements = 4096;
/// The kernel's results that have the shape of `like`.
llvm::SmallVector<unsigned> resultsLike(KernelBuilder &k, mlir::Value like);
/// Row-major coordinates of `linear` over `dims` (index values).
llvm::SmallVector<mlir::Value> delinearize(KernelBuilder &k, mlir::Value linear, mlir::ValueRange dims);

} // namespace leat::cpu
