// Verifiers of products and convolutions.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

LogicalResult MatmulOp::verify() {
  auto a = rankedType(getLhs()), b = rankedType(getRhs()), y = rankedType(getOutput());
  if (a.getRank() < 2 || b.getRank() < 2)
    return emitOpError("needs operands of rank 2 or more, got ") << a << " and " << b;
  if (y.getRank() != std::max(a.getRank(), b.getRank()))
    return emitOpError("needs a result of rank ") << std::max(a.getRank(), b.getRank()) << ", got " << y;
  int64_t am = a.getDimSize(a.getRank() - (getTransA() ? 1 : 2)), ak = a.getDimSize(a.getRank() - (getTransA() ? 2 : 1));
  int64_t bk = b.getDimSize(b.getRank() - (getTransB() ? 1 : 2)), bn = b.getDimSize(b.getRank() - (getTransB() ? 2 : 1));
  if (!mayBeEqual(ak, bk))
    return emitOpError("contracts dimensions of different size: ") << ak << " and " << bk;
  if (!mayBeEqual(am, y.getDimSize(y.getRank() - 2)) || !mayBeEqual(bn, y.getDimSize(y.getRank() - 1)))
    return emitOpError("has operands ") << a << " and " << b << " that do not give " << y;
  bool shortWeights = a.getElementType().isF32() && (b.getElementType().isBF16() || b.getElementType().isF16());
  if (a.getElementType() != b.getElementType() && !a.getElementType().isInteger(8) && !shortWeights)
    return emitOpError("needs operands of one element type, got ") << a.getElementType() << " and " << b.getElementType();
  return success();
}

LogicalResult MatmulNBitsOp::verify() {
  int64_t bits = getBits(), block = getBlock();
  if (bits != 2 && bits != 4 && bits != 8)
    return emitOpError("knows 2, 4 and 8 bits, got ") << bits;
  if (block != 16 && (block <= 0 || block % 32 != 0))
    return emitOpError("needs a block size of 16 or of a multiple of 32, got ") << block;
  auto codes = rankedType(getCodes());
  int64_t blocks = llvm::divideCeil(getK(), block);
  if (codes.getShape() != ArrayRef<int64_t>{static_cast<int64_t>(getN()), blocks, block * bits / 8})
    return emitOpError("needs codes of shape [") << getN() << ", " << blocks << ", " << block * bits / 8 << "], got " << codes;
  if (rankedType(getScales()).getNumElements() != static_cast<int64_t>(getN()) * blocks)
    return emitOpError("needs ") << getN() * blocks << " scales, got " << getScales().getType();
  auto lhs = rankedType(getLhs()), out = rankedType(getOutput());
  if (lhs.getRank() < 1 || !mayBeEqual(lhs.getShape().back(), getK()))
    return emitOpError("needs activations with last dimension ") << getK() << ", got " << lhs;
  if (out.getRank() != lhs.getRank() || !mayBeEqual(out.getShape().back(), getN()))
    return emitOpError("needs a result with last dimension ") << getN() << ", got " << out;
  return success();
}

LogicalResult ConvOp::verify() {
  auto x = rankedType(getInput()), w = rankedType(getFilter()), y = rankedType(getOutput());
  int64_t r = x.getRank() - 2;
  if (r < 1 || w.getRank() != x.getRank() || y.getRank() != x.getRank())
    return emitOpError("needs input, filter and result of one rank >= 3, got ") << x << ", " << w << ", " << y;
  if (static_cast<int64_t>(getStrides().size()) != r || static_cast<int64_t>(getDilations().size()) != r ||
      static_cast<int64_t>(getPads().size()) != 2 * r)
    return emitOpError("needs ") << r << " strides and dilations and " << 2 * r << " pads";
  if (getGroup() < 1)
    return emitOpError("needs a positive group");
  if (!x.isDynamicDim(1) && !w.isDynamicDim(1) && x.getDimSize(1) != w.getDimSize(1) * static_cast<int64_t>(getGroup()))
    return emitOpError("has ") << x.getDimSize(1) << " input channels but filter and group need " << w.getDimSize(1) * getGroup();
  return success();
}

} // namespace leat
