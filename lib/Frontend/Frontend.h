// Model files to IR: an ONNX model becomes a module of onnx.node ops, its weights entries of the leat dialect's parameter store.
#pragma once

#include "lib/Frontend/Options.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Support/LLVM.h"

#include <string>

namespace leat {

/// Reads the ONNX model at `path`. On failure `error` is one line that says what is wrong, where and what to do; nothing is printed. The
/// leat, onnx and func dialects are loaded into `context`. External data is mapped, not read: the files must stay as they are while the
/// module lives.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> importOnnx(mlir::MLIRContext &context, llvm::StringRef path,
                                                              const FrontendOptions &options, std::string &error);

/// The same for a model in memory, which cannot have external data.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> importOnnxBytes(mlir::MLIRContext &context, llvm::StringRef bytes,
                                                                   const FrontendOptions &options, std::string &error);

} // namespace leat
