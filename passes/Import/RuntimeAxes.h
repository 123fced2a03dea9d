// Axes that are only known at run time: small host decisions (per axis: is it meant?) instead of a second set of kernels.
#pragma once

#include "passes/Import/GraphBuilder.h"

namespace leat::import {

/// For each axis of a tensor of this rank, whether it is among `axes` (host scalars, negative ones count from the end); i1 values.
llvm::SmallVector<mlir::Value> axisFlags(GraphBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> axes, int64_t rank);
/// For each axis, the entry of `values` whose place in `axes` names it, else the entry of `fallback`.
Dims valuesByAxis(GraphBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> axes, llvm::ArrayRef<mlir::OpFoldResult> values,
                  llvm::ArrayRef<mlir::OpFoldResult> fallback);
/// The sizes of the axes that are not flagged, `count` of them.
Dims dimsWithout(GraphBuilder &b, llvm::ArrayRef<mlir::OpFoldResult> dims, llvm::ArrayRef<mlir::Value> flags, int64_t count);
/// A tensor made by one of two programs. Each gives a tensor of the sizes `dims` and of type `elem`.
mlir::Value branch(GraphBuilder &b, mlir::Value condition, llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem,
                   llvm::function_ref<mlir::Value()> then, llvm::function_ref<mlir::Value()> otherwise);
/// make(axis) for the axis that the host scalar names; every axis gets a program of its own.
mlir::Value forAxis(GraphBuilder &b, mlir::OpFoldResult axis, llvm::ArrayRef<mlir::OpFoldResult> dims, mlir::Type elem,
                    llvm::function_ref<mlir::Value(int64_t axis)> make);

} // namespace leat::import
