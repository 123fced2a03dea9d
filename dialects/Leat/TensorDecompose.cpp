// Products and convolutions as sums over the contracted loops.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat {

using Combine = Decomposer::Combine;

FailureOr<SmallVector<Value>> MatmulOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getOutput());
  int64_t rank = type.getRank(), m = rank - 2, n = rank - 1, k = rank, loops = rank + 1;
  auto lhs = d.sizes(getLhs()), rhs = d.sizes(getRhs());

  // Batch loops run over the operand that is not broadcast there.
  Decomposer::Sizes sizes;
  for (int64_t dim = 0; dim < m; ++dim) {
    int64_t l = dim - (rank - static_cast<int64_t>(lhs.size())), r = dim - (rank - static_cast<int64_t>(rhs.size()));
    sizes.push_back(l >= 0 && (r < 0 || !isConstantIntValue(lhs[l], 1)) ? lhs[l] : rhs[r]);
  }
  sizes.push_back(lhs[lhs.size() - (getTransA() ? 1 : 2)]);
  sizes.push_back(rhs[rhs.size() - (getTransB() ? 2 : 1)]);
  sizes.push_back(lhs[lhs.size() - (getTransA() ? 2 : 1)]);
  auto map = [&](Value operand, int64_t row, int64_t column) {
    ArrayRef<int64_t> shape = rankedType(operand).getShape();
    SmallVector<AffineExpr> exprs;
    for (auto [i, size] : llvm::enumerate(shape.drop_back(2)))
      exprs.push_back(size == 1 ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(rank - shape.size() + i));
    exprs.push_back(b.getAffineDimExpr(row));
    exprs.push_back(b.getAffineDimExpr(column));
    return AffineMap::get(loops, 0, exprs, b.getContext());
  };
  AffineMap maps[] = {getTransA() ? map(getLhs(), k, m) : map(getLhs(), m, k), getTransB() ? map(getRhs(), n, k) : map(getRhs(), k, n)};
  Type wide = sumType(rankedType(getLhs()).getElementType());
  Value sum = d.reduce(sizes, wide, {getLhs(), getRhs()}, maps, llvm::to_vector(llvm::seq<int64_t>(0, rank)), Combine::Add,
                       [&](Decomposer &in, ValueRange x) { return in.mul(in.convert(x[0], wide), in.convert(x[1], wide)); });
  return SmallVector<Value>{d.toType(sum, type)};
}

/// Element i of row n of an operand [N, width] that may have lost its shape.
static Value atRow(Decomposer &in, Value operand, int64_t width, Value n, Value i) {
  auto type = rankedType(operand);
  if (type.getRank() == 1)
    return in.at(operand, in.add(in.mul(n, in.index(width)), i));
  SmallVector<Value> coordinates{n, i};
  coordinates.resize(type.getRank(), in.index(0)); // [N, width, 1]
  return in.at(operand, coordinates);
}

/// The unsigned code of `bits` bits number i in packed bytes, low bits first; `byteAt` reads a byte.
static Value unpack(Decomposer &in, int64_t bits, Value i, llvm::function_ref<Value(Value byte)> byteAt) {
  Value perByte = in.index(8 / bits);
  Type i32 = in.b.getI32Type();
  Value byte = arith::ExtUIOp::create(in.b, in.loc, i32, byteAt(in.div(i, perByte)));
  Value shift = in.convert(in.mul(in.rem(i, perByte), in.index(bits)), i32);
  Value shifted = arith::ShRUIOp::create(in.b, in.loc, byte, shift);
  return arith::AndIOp::create(in.b, in.loc, shifted, in.constant(i32, (1 << bits) - 1));
}

FailureOr<SmallVector<Value>> MatmulNBitsOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getOutput());
  Type wide = computeType(rankedType(getLhs()).getElementType());
  int64_t n = getN(), k = getK(), bits = getBits(), block = getBlock(), blocks = llvm::divideCeil(k, block);

  // The weights as a tensor [N, K].
  Value weights = d.each({b.getIndexAttr(n), b.getIndexAttr(k)}, wide, {}, [&](Decomposer &in, ValueRange) {
    Value row = in.loop(0), column = in.loop(1), group = in.div(column, in.index(block));
    auto real = [&](Value integer) { return in.convert(integer, wide); };
    Value code = real(unpack(in, bits, in.rem(column, in.index(block)), [&](Value byte) { return in.at(getCodes(), {row, group, byte}); }));
    Value zero = in.constant(wide, 1 << (bits - 1));
    if (Value zeros = getZeros())
      zero =
          isa<FloatType>(rankedType(zeros).getElementType())
              ? in.convert(atRow(in, zeros, blocks, row, group), wide)
              : real(unpack(in, bits, group, [&](Value byte) { return atRow(in, zeros, llvm::divideCeil(blocks * bits, 8), row, byte); }));
    return in.mul(in.sub(code, zero), in.convert(atRow(in, getScales(), blocks, row, group), wide));
  });

  int64_t rank = type.getRank();
  auto sizes = d.sizes(getLhs());
  sizes.insert(sizes.end() - 1, b.getIndexAttr(n)); // [..., N, K]
  auto result = llvm::to_vector(llvm::seq<int64_t>(0, rank)), left = result;
  left.back() = rank;
  Value sum = d.reduce(sizes, wide, {getLhs(), weights}, {d.select(rank + 1, left), d.select(rank + 1, {rank - 1, rank})}, result,
                       Combine::Add, [&](Decomposer &in, ValueRange x) { return in.mul(in.convert(x[0], wide), x[1]); });
  return SmallVector<Value>{d.toType(sum, type)};
}

FailureOr<SmallVector<Value>> ConvOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getOutput()), inputType = rankedType(getInput());
  int64_t r = type.getRank() - 2, loops = 2 + r + 1 + r; // N, M, outputs, C / group, kernel
  Type wide = sumType(inputType.getElementType());
  auto input = d.sizes(getInput()), filter = d.sizes(getFilter());

  SmallVector<OpFoldResult> before(2, b.getIndexAttr(0)), after = before;
  for (int64_t i = 0; i < r; ++i) {
    before.push_back(b.getIndexAttr(getPads()[i]));
    after.push_back(b.getIndexAttr(getPads()[r + i]));
  }
  Value zero = d.constant(inputType.getElementType(), 0);
  Value padded = tensor::PadOp::create(b, getLoc(), Type(), getInput(), before, after, zero, /*nofold=*/false);

  Decomposer::Sizes sizes{input[0], filter[0]};
  for (int64_t i = 0; i < r; ++i) {
    // (padded - dilation * (K - 1) - 1) / stride + 1, none if the window is larger than the input
    Value reach = d.add(d.mul(d.sub(d.asIndex(filter[2 + i]), d.index(1)), d.index(getDilations()[i])), d.index(1));
    Value room = d.combined(d.add(d.sub(d.asIndex(d.size(padded, 2 + i)), reach), d.index(getStrides()[i])), d.index(0), Combine::Max);
    Value count = d.div(room, d.index(getStrides()[i]));
    sizes.push_back(type.isDynamicDim(2 + i) ? OpFoldResult(count) : b.getIndexAttr(type.getDimSize(2 + i)));
  }
  sizes.append(filter.begin() + 1, filter.end());

  SmallVector<int64_t> filterDims{1};
  for (int64_t i = 0; i <= r; ++i)
    filterDims.push_back(2 + r + i);
  Value perGroup = d.div(d.asIndex(filter[0]), d.index(getGroup())), channels = d.asIndex(filter[1]);
  Value sum = d.reduce(
      sizes, wide, getFilter(), d.select(loops, filterDims), llvm::to_vector(llvm::seq<int64_t>(0, 2 + r)), Combine::Add,
      [&](Decomposer &in, ValueRange x) {
        Value group = in.div(in.loop(1), perGroup);
        SmallVector<Value> at{in.loop(0), in.add(in.mul(group, channels), in.loop(2 + r))};
        for (int64_t i = 0; i < r; ++i)
          at.push_back(in.add(in.mul(in.loop(2 + i), in.index(getStrides()[i])), in.mul(in.loop(3 + r + i), in.index(getDilations()[i]))));
        return in.mul(in.convert(in.at(padded, at), wide), in.convert(x[0], wide));
      });
  if (getBias()) {
    sizes.resize(2 + r);
    sum = d.each(sizes, wide, {sum, getBias()}, {d.identity(2 + r), d.select(2 + r, {1})},
                 [&](Decomposer &in, ValueRange x) { return in.add(x[0], in.convert(x[1], wide)); });
  }
  return SmallVector<Value>{d.toType(sum, type)};
}

} // namespace leat
