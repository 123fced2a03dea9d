// What generators ask of a linalg.generic that reduces: its loops, how two partial results are combined, and how a result begins and ends.
#pragma once

#include "passes/CPU/Rows.h"

namespace leat::cpu {

class Reduction {
public:
  explicit Reduction(mlir::linalg::GenericOp op);

  mlir::linalg::GenericOp op;
  llvm::SmallVector<unsigned> parallel, reduced; ///< loops
  /// The loop along the innermost dimension of the first input that is not 1.
  std::optional<unsigned> innermost;

  /// Results have the form acc' = combiner(acc, element): parts of the reduced loops can be combined.
  bool splits() const { return !combiners.empty(); }
  /// Neighbours in memory are reduced.
  bool alongRows() const { return innermost && llvm::is_contained(reduced, *innermost); }
  unsigned size() const { return combiners.size(); }

  // --- of results of that form
  mlir::Value identity(KernelBuilder &k, unsigned result) const;
  LaneAccumulators::Combine combine(KernelBuilder &k, unsigned result) const;

  // --- `loops`: coordinates of the iteration space, those of reduced loops are not looked at
  /// What the op's accumulators begin with.
  llvm::SmallVector<mlir::Value> initial(Puller &p, llvm::ArrayRef<Idx> loops);
  /// Ends the kernel's results from those of the op.
  void emit(Puller &p, llvm::ArrayRef<Idx> loops, llvm::ArrayRef<mlir::Value> values);

private:
  llvm::SmallVector<mlir::Operation *> combiners;
};

} // namespace leat::cpu
