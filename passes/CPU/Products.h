// What the generators that are built on products (matmul, matmul_nbits, conv, attention) share.
#pragma once

#include "passes/CPU/Generator.h"
#include "passes/CPU/MicroKernels.h"

namespace leat::cpu {

constexpr int64_t kBlockRows = 48; ///< rows of a task: sums of a panel stay in the first cache

/// sums[rows][columns, 64 if not given] (+)= a * panel: see productRows. Index values; `accumulate` is i1. `strip`: 64 or, of columns that
/// fit a vector, that vector if it is not given.
void callProduct(KernelBuilder &k, ProductTypes types, mlir::Value a, mlir::Value rowStride, mlir::Value colStride, mlir::Value panel,
                 mlir::Value panelStride, mlir::Value depth, mlir::Value sums, mlir::Value accumulate, mlir::Value rows,
                 mlir::Value sumsStride = {}, mlir::Value columns = {}, mlir::Value next = {}, mlir::Value step = {},
                 std::optional<int64_t> strip = {});

/// Type of an operand's elements in memory: floats as they are, integers as they are stored.
inline mlir::Type productType(KernelBuilder &k, mlir::Type element) {
  return mlir::isa<mlir::FloatType>(element) ? element : k.storageType(element);
}

/// Coordinates of an operand's batch dimensions where the product's are `batchAt`: right aligned, 0 where the operand's size is 1 or
/// nothing is given.
llvm::SmallVector<mlir::Value> operandBatch(KernelBuilder &k, mlir::RankedTensorType operand, mlir::RankedTensorType product,
                                            llvm::ArrayRef<mlir::Value> batchAt);

/// The carried value as `type`, for operands of a product that are computed by the kernel.
mlir::Value convertCarried(KernelBuilder &k, mlir::Value value, mlir::Type type);

/// Writes where `k.b` does.
Emit emitterAt(KernelBuilder &k);

/// The kernel's results that are elementwise in `root`: an epilogue has no others, so shapes that may be equal are equal.
llvm::SmallVector<unsigned> epilogueResults(KernelBuilder &k, mlir::Value root);

/// Fails if the kernel has a result that no root of it covers.
void checkEpilogue(KernelBuilder &k, mlir::ValueRange roots);

/// Ends elements [n, n + lanes) of `root` at the leading coordinates `at`: they are `sums`, and the kernel's results are computed from
/// them.
void emitElements(KernelBuilder &k, mlir::Value root, llvm::ArrayRef<mlir::Value> at, mlir::Value n, int64_t lanes, mlir::Value sums);

/// Whether emitElements may end sums of type `acc` between products: the kernel has to be short, and sums in vectors as they are everywhere
/// else.
bool isShortEpilogue(KernelBuilder &k, mlir::Type acc);

/// Asks for the lines where emitElements will store results of `count` elements of `root` from `at`, n on.
void fetchResults(KernelBuilder &k, mlir::Value root, llvm::ArrayRef<mlir::Value> at, mlir::Value n, int64_t count);

/// Asks for what emitElements will read beside sums, operands of the shape of `root`, for `count` of its elements from `at`, n on.
void fetchOperands(KernelBuilder &k, mlir::Value root, llvm::ArrayRef<mlir::Value> at, mlir::Value n, int64_t count);

/// Ends a row of a product: columns [n0, nEnd) of `root` at the leading coordinates `at` are sums[offset + n - n0]; the kernel's results
/// are computed from them.
void emitRow(KernelBuilder &k, mlir::Value root, llvm::ArrayRef<mlir::Value> at, mlir::Value n0, mlir::Value nEnd, mlir::Value sums,
             mlir::Value offset, mlir::Type acc);

std::unique_ptr<Generator> createGemmGenerator(MatmulOp op);
std::unique_ptr<Generator> createConvGenerator(ConvOp op);
std::unique_ptr<Generator> createAttendGenerator(KVAttendOp op);
std::unique_ptr<Generator> createNBitsGenerator(MatmulNBitsOp op, const Target &target);

} // namespace leat::cpu
