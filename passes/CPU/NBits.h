// What the two generators of quantised products share: the layout of packed weights and the rows of the left operand.
#pragma once

#include "passes/CPU/Operands.h"
#include "passes/CPU/Products.h"

#include "llvm/Support/FormatVariadic.h"

namespace leat::cpu {

/// Codes of a panel are words of 32 bits, [K / group][words][64 columns]. In a group of `group` values of k, byte b of word q holds the
/// codes of k = i * group / perByte + 4 q + b, i-th bits from below: what vpdpbusd wants, and what costs a shift and a mask elsewhere.
struct CodeLayout {
  int64_t bits, block;
  int64_t group() const { return std::min<int64_t>(block, 32); }
  int64_t perByte() const { return 8 / bits; }
  int64_t words() const { return group() / (4 * perByte()); }
};

struct QuantTypes {
  CodeLayout codes;
  mlir::Type scale, zero; ///< as stored; zero null if there are none
  std::string name() const {
    std::string text = llvm::formatv("q{0}_{1}_", codes.bits, codes.block);
    llvm::raw_string_ostream os(text);
    os << scale;
    if (zero)
      os << "_z" << zero;
    return text;
  }
};

class NBitsKernel : public Generator {
public:
  explicit NBitsKernel(MatmulNBitsOp op);
  Cost cost(KernelBuilder &k) override;

protected:
  static int64_t bytesOf(mlir::Value tensor) {
    return KernelBuilder::byteWidth(mlir::cast<mlir::RankedTensorType>(tensor.getType()).getElementType());
  }
  KernelFuncOp kernel() { return op->getParentOfType<KernelFuncOp>(); }
  /// The weight is a parameter in panels.
  bool packed() { return operandLayout(kernel(), op.getCodes()).starts_with("nbits64"); }
  bool packedZeros() {
    return op.getZeros() && !mlir::isa<mlir::FloatType>(mlir::cast<mlir::RankedTensorType>(op.getZeros().getType()).getElementType());
  }
  mlir::Value rowCount(KernelBuilder &k);
  QuantTypes quantTypes(KernelBuilder &k);
  struct PanelWeights {
    mlir::Value codes, scales, zeros;
  };
  PanelWeights panelWeights(KernelBuilder &k, mlir::Value panel);

  /// The rows can be read where they are: dense, floating point, and no block is cut.
  bool direct(KernelBuilder &k);
  /// Where row row0 is then; sets `lhsType`.
  mlir::Value rowsInPlace(KernelBuilder &k, mlir::Value row0);
  /// Sets `lhs` to rows [row0, row0 + rows) of the left operand, [rows][paddedDepth]: in place, or computed into scratch from byte
  /// `scratchAt` on.
  void prepareRows(KernelBuilder &k, mlir::Value row0, mlir::Value rows, int64_t scratchAt);
  /// The epilogue of columns [n0, nEnd), whose sums are at the beginning of the scratch.
  void emitRows(KernelBuilder &k, mlir::Value row0, mlir::Value rows, mlir::Value n0, mlir::Value nEnd);

  MatmulNBitsOp op;
  CodeLayout layout;
  int64_t depth, n, blocks, paddedDepth, panels;
  mlir::Value lhs; ///< of the current task
  mlir::Type lhsType;
};

/// Products with activations in 8 bits; null where the op, its schedule or the target does not allow them.
std::unique_ptr<Generator> createNBitsInt8Generator(MatmulNBitsOp op, const Target &target);

} // namespace leat::cpu
