// Entry points of device code. An entry takes its arguments by value, in the layout that host kernels see behind pointers: an array of
// buffers and an array of scalars (include/leat/KernelABI.h), then one tensor map for each that its geometry names.
#pragma once

#include "dialects/Leat/Leat.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace leat::cuda {

/// Pointers in the first argument: tensor operands, results, then those of the device (LEAT_DEVICE_BUFFERS).
unsigned bufferCount(KernelFuncOp kernel);
/// Numbers in the second argument.
unsigned scalarCount(KernelFuncOp kernel);
/// The name in PTX of phase `phase` of a kernel.
std::string entryName(KernelFuncOp kernel, unsigned phase);

struct Entry {
  mlir::LLVM::LLVMFuncOp func;  ///< with an open entry block
  mlir::Value buffers, scalars; ///< !llvm.ptr to arrays in parameter space
  llvm::SmallVector<mlir::Value> tensorMaps;
};

/// Starts the entry point of a phase: a kernel for at most `maxThreads` threads per block, which share `sharedBytes`. The caller ends it
/// with llvm.return.
Entry createEntry(KernelFuncOp kernel, unsigned phase, unsigned maxThreads, int64_t sharedBytes = 0, unsigned tensorMaps = 0);

/// The attribute on entries: the kernel that they belong to, the phase, and what a block has. lib/Target takes what has it to device code.
constexpr llvm::StringLiteral kEntryAttr = "leat.entry";
/// The attribute on functions that only entries call: the host has no code for them.
constexpr llvm::StringLiteral kProgramAttr = "leat.program";

} // namespace leat::cuda
