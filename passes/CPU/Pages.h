// Caches in pages: where an entry of a row is, by the table of the row's pages. All kernels that address such a cache ask here, those of
// GPUs too.
#pragma once

#include "passes/CPU/KernelBuilder.h"

namespace leat::cpu {

/// A pool [pages, heads, entries, size] behind a state of a kernel, and the state that names the pages of each row.
struct Pages {
  mlir::BlockArgument pool, table;
  mlir::Type element;
  int64_t heads, entries, size;

  /// `state` may be what an append in the same kernel returns: it is the same memory.
  static Pages of(mlir::Value state, mlir::Value table);
  /// Elements from a page to the next.
  mlir::Value stride(KernelBuilder &k) const;
  /// The number of the page with entry `entry` of row `row`, which must be one of the row's.
  mlir::Value number(KernelBuilder &k, mlir::Value row, mlir::Value entry) const;
  /// The first value of an entry: an offset into the pool in elements.
  mlir::Value offsetOf(KernelBuilder &k, mlir::Value row, mlir::Value head, mlir::Value entry) const;
};

} // namespace leat::cpu
