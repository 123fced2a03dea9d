// Short names for the IR that kernels are made of: 64-bit address arithmetic, loads and stores through raw pointers, structured loops.
#pragma once

#include "passes/CPU/Target.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace leat::cpu {

/// Elements of a full vector register.
inline int64_t lanesOf(const Target &target, mlir::Type element) {
  return target.vectorBits / std::max(8u, element.getIntOrFloatBitWidth());
}

using Values = llvm::SmallVector<mlir::Value>;

/// A builder for addresses (i64 and !llvm.ptr) and values; every integer operand here is i64 unless it says otherwise.
class Emit : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  mlir::Type i64() { return getI64Type(); }
  mlir::Type ptr() { return mlir::LLVM::LLVMPointerType::get(getContext()); }
  static mlir::VectorType vec(int64_t lanes, mlir::Type element) { return mlir::VectorType::get({lanes}, element); }

  mlir::Value c(int64_t value) { return mlir::arith::ConstantOp::create(*this, getI64IntegerAttr(value)); }
  /// `value` as an element or splat vector of `type`.
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value zero(mlir::Type type) { return mlir::arith::ConstantOp::create(*this, getZeroAttr(type)); }
  mlir::Value splat(mlir::Value scalar, int64_t lanes) {
    return mlir::vector::BroadcastOp::create(*this, vec(lanes, scalar.getType()), scalar);
  }

  // Arithmetic on whatever type the operands have: float or integer, scalar or vector.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b); ///< integers: floor for non-negative operands
  mlir::Value rem(mlir::Value a, mlir::Value b) { return mlir::arith::RemSIOp::create(*this, a, b); }
  mlir::Value ceilDiv(mlir::Value a, int64_t b) { return div(add(a, c(b - 1)), c(b)); }
  mlir::Value min(mlir::Value a, mlir::Value b); ///< floats: no NaN expected
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value fma(const Target &target, mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value cmp(mlir::arith::CmpIPredicate p, mlir::Value a, mlir::Value b) { return mlir::arith::CmpIOp::create(*this, p, a, b); }
  mlir::Value lt(mlir::Value a, mlir::Value b) { return cmp(mlir::arith::CmpIPredicate::slt, a, b); }
  mlir::Value le(mlir::Value a, mlir::Value b) { return cmp(mlir::arith::CmpIPredicate::sle, a, b); }
  mlir::Value eq(mlir::Value a, mlir::Value b) { return cmp(mlir::arith::CmpIPredicate::eq, a, b); }
  mlir::Value select(mlir::Value cond, mlir::Value a, mlir::Value b) { return mlir::arith::SelectOp::create(*this, cond, a, b); }
  mlir::Value index(mlir::Value a) { return mlir::arith::IndexCastOp::create(*this, getIndexType(), a); }
  mlir::Value fromIndex(mlir::Value a) { return mlir::arith::IndexCastOp::create(*this, getI64Type(), a); }
  /// Converts between numeric types of the same shape (integers are signed).
  mlir::Value convert(mlir::Value value, mlir::Type element);
  /// The same for a value as it is in memory: f16 and bf16 are widened without a library call on every target.
  mlir::Value widen(const Target &target, mlir::Value stored, mlir::Type element);

  /// base + index * sizeof(element).
  mlir::Value at(mlir::Value base, mlir::Type element, mlir::Value index);
  mlir::Value at(mlir::Value base, mlir::Type element, int64_t index) { return index ? at(base, element, c(index)) : base; }
  /// Scalar or vector; never assumes more than the alignment of an element.
  mlir::Value load(mlir::Type type, mlir::Value pointer);
  void store(mlir::Value value, mlir::Value pointer);
  /// Asks for a cache line to be brought into the second cache. `pointer` may lie outside of any buffer.
  void prefetch(mlir::Value pointer) { mlir::LLVM::Prefetch::create(*this, pointer, /*rw=*/0, /*hint=*/2, /*cache=*/1); }
  /// The same into the first cache: in a register tile this gets less in the way of what it reads.
  void prefetchNear(mlir::Value pointer) { mlir::LLVM::Prefetch::create(*this, pointer, /*rw=*/0, /*hint=*/3, /*cache=*/1); }
  /// prefetch for the lines of `bytes`.
  void prefetch(mlir::Value pointer, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64)
      prefetch(at(pointer, getI8Type(), i));
  }
  /// The lanes below `count` (i64, may be negative or beyond the vector).
  mlir::Value laneMask(mlir::Value count, int64_t lanes);
  /// Lanes that are off read as zero and are not touched.
  mlir::Value loadMasked(mlir::VectorType type, mlir::Value pointer, mlir::Value mask);
  void storeMasked(mlir::Value value, mlir::Value pointer, mlir::Value mask);

  Values loop(mlir::Value from, mlir::Value to, mlir::Value step, mlir::ValueRange init,
              llvm::function_ref<Values(mlir::Value iv, mlir::ValueRange carried)> body);
  void loop(mlir::Value from, mlir::Value to, mlir::Value step, llvm::function_ref<void(mlir::Value iv)> body);
  void when(mlir::Value cond, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise = nullptr);
  Values choose(mlir::Value cond, mlir::TypeRange types, llvm::function_ref<Values()> then, llvm::function_ref<Values()> otherwise);

  void call(mlir::func::FuncOp callee, mlir::ValueRange args) { mlir::func::CallOp::create(*this, callee, args); }
};

/// The internal function `name` of the module, made by `body` on first use: parts that many kernels share are compiled once.
mlir::func::FuncOp sharedFunction(mlir::ModuleOp module, llvm::StringRef name, mlir::TypeRange args,
                                  llvm::function_ref<void(Emit &, mlir::ValueRange)> body);

} // namespace leat::cpu
