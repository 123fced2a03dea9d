// How weights are packed in the artifact, by the name in leat.param's `layout`. Generators of kernels decide a layout; this table writes
// it.
#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace leat::artifact {

using ByteSink = llvm::function_ref<void(llvm::ArrayRef<char>)>;

/// A layout: hands the packed bytes of a parameter to `out` piece by piece, so that a large weight is never in memory twice.
struct Layout {
  llvm::StringRef name;
  llvm::Error (*pack)(mlir::RankedTensorType type, llvm::ArrayRef<char> source, ByteSink out);
};

/// Null when the name is unknown.
const Layout *findLayout(llvm::StringRef name);

/// Bytes of `type` as parameters are stored (row major, sub-byte types packed); -1 if it has no such form.
int64_t sourceBytes(mlir::RankedTensorType type);

} // namespace leat::artifact
