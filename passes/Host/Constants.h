// Constant tensors of the host program, as read-only data of the shared object.
#pragma once

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

namespace leat::host {

/// The global that holds `values` in buffer form (row major, booleans and sub-byte integers as bytes); equal constants share one.
mlir::LLVM::GlobalOp constantGlobal(mlir::ModuleOp module, mlir::DenseElementsAttr values);

} // namespace leat::host
