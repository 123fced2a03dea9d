// The generic form of a kernel: the same generator that writes CPU code, for one lane and small tasks; a thread takes a task.
#pragma once

#include "passes/CPU/Generator.h"

namespace leat::cuda {

/// What the generators may assume of a thread.
cpu::Target threadTarget();

/// The generator whose tasks threads take; null after an error. Roots whose CPU generators work on panels get one task per element.
std::unique_ptr<cpu::Generator> createGenericGenerator(KernelFuncOp kernel);

/// What `root` has inside calls a mathematical library, which device code does not have.
bool needsLibrary(mlir::Operation *root);

/// Writes the kernel's functions (as for the CPU), its entries and @k.geometry. If some function in it has no form in PTX, `onHost` is set:
/// the kernel runs on the host, and there is @k.extents instead of entries and geometry.
mlir::LogicalResult emitGeneric(KernelFuncOp kernel, bool &onHost);

// --- generators with one task per element of the root's result -----------------------------------------------------------------------
std::unique_ptr<cpu::Generator> createMatmulElements(MatmulOp op);
std::unique_ptr<cpu::Generator> createNBitsElements(MatmulNBitsOp op);
std::unique_ptr<cpu::Generator> createConvElements(ConvOp op);
/// One task per query and head.
std::unique_ptr<cpu::Generator> createAttendRows(KVAttendOp op);

} // namespace leat::cuda
