// A module cut into parts that are lowered and compiled at the same time: functions with everything that they refer to.
#pragma once

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

#include <vector>

namespace leat::target {

class PartBuilder {
public:
  explicit PartBuilder(mlir::ModuleOp module);

  mlir::Operation *find(llvm::StringRef name) { return symbols.lookup(name); }
  /// Copies `roots` and what they refer to into a module of its own inside `into`. A function that is no root becomes local: a helper
  /// lives in each part that uses it.
  mlir::ModuleOp build(llvm::ArrayRef<mlir::Operation *> roots, mlir::ModuleOp into);

private:
  void collect(mlir::Operation *root, llvm::SetVector<mlir::Operation *> &into);

  mlir::ModuleOp module;
  llvm::StringMap<mlir::Operation *> symbols;
};

/// Spreads items over at most `count` groups: largest first onto the smallest group. Depends on the sizes only, so that the result of a
/// compilation does not depend on the number of threads.
std::vector<llvm::SmallVector<unsigned>> balance(llvm::ArrayRef<size_t> sizes, unsigned count);

/// Reports what is left of other dialects than LLVM's (and `allowed`) in modules that are to be translated.
mlir::LogicalResult checkLowered(mlir::ModuleOp parts, llvm::ArrayRef<llvm::StringRef> allowed = {});

} // namespace leat::target
