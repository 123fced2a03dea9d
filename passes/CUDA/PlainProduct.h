// Kernels that are one matrix product and nothing else, or a product and its bias: what a library has, too. The kernel's own code stays,
// and beside it there is a function that describes the product of a launch (LeatGemm in include/leat/KernelABI.h).
#pragma once

#include "passes/CPU/KernelBuilder.h"

namespace leat::cuda {

struct PlainProduct {
  MatmulOp product;
  mlir::BlockArgument bias; ///< of the output's columns; null if there is none

  /// The product that `kernel` is: operands of one type, f16, bf16 or f32, as the model has them, sums in f32, a result that is stored as
  /// it is.
  static std::optional<PlainProduct> of(KernelFuncOp kernel);
  /// For people: "bf16 x bf16^T + bias -> bf16".
  std::string describe() const;
};

/// Writes @k.gemm(scalars, out), if the kernel is a plain product whose matrices are evenly spaced in memory. A launch of few rows, for
/// which products have a form of their own, is said to be none.
void emitGemm(KernelFuncOp kernel);

} // namespace leat::cuda
