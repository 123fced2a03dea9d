// Finds out whether a value of a kernel's region is a buffer seen through strides, so that inner loops can read it in place.
#pragma once

#include "passes/CPU/Pages.h"

#include <optional>

namespace leat::cpu {

/// Element [i...] is at base + offset + sum i_d * strides_d (in elements of `element`, as stored).
struct Strided {
  mlir::BlockArgument argument;
  mlir::Type element;
  mlir::Value offset;                      ///< index
  llvm::SmallVector<mlir::Value> strides;  ///< index
  bool dense = false;                      ///< row major without gaps: leading dimensions may be walked as one
  llvm::SmallVector<int64_t> knownStrides; ///< ShapedType::kDynamic where not constant
};

/// Rows [batch, head, entry, ...] of a cache in memory. Without pages, as they are strided; in pages, entry i of the rows is entry
/// `first` + i of the cache, strides are those inside of a page (of the batch: none), and only entries of one page are evenly spaced.
struct CachedRows : Strided {
  std::optional<Pages> pages;
  mlir::Value first;
};

/// Looks through reshapes, permutations, broadcasts, slices and cache views.
std::optional<Strided> traceStrided(KernelBuilder &k, mlir::Value tensor);

/// The same, and views of caches in pages.
std::optional<CachedRows> traceRows(KernelBuilder &k, mlir::Value tensor);

/// How the compiler stores the parameter behind an operand ("" = row major): `leat.layouts` of the kernel, written by leat-pack-params.
llvm::StringRef operandLayout(KernelFuncOp kernel, mlir::Value operand);
/// Panels that hold neighbours of k side by side: [K/2][64][2].
inline bool isInPairs(llvm::StringRef layout) { return layout.starts_with("panel64") && layout.ends_with(".2"); }

} // namespace leat::cpu
