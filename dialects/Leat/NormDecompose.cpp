// Softmax and layer normalisation as reductions and elementwise formulas, in the type that the op's documentation names.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat {

using Combine = Decomposer::Combine;

FailureOr<SmallVector<Value>> SoftmaxOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  Type wide = computeType(type.getElementType());
  unsigned rank = type.getRank();
  auto sizes = d.sizes(getInput());
  SmallVector<int64_t> kept;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != static_cast<int64_t>(getAxis()))
      kept.push_back(dim);
  AffineMap all = d.identity(rank), row = d.select(rank, kept);
  bool emptyIsZero = getZeroEmptyRows();

  Value max = d.reduce(sizes, wide, getInput(), all, kept, Combine::Max, [&](Decomposer &, ValueRange x) { return x[0]; });
  Value shifted = d.each(sizes, wide, {getInput(), max}, {all, row}, [&](Decomposer &in, ValueRange x) {
    Value top = x[1];
    if (emptyIsZero) // -inf - 0 stays -inf, where -inf - -inf is NaN
      top = in.choose(in.isInfinite(top, /*negative=*/true), in.constant(wide, 0), top);
    return in.sub(in.convert(x[0], wide), top);
  });
  Value sum = d.reduce(sizes, wide, shifted, all, kept, Combine::Add, [&](Decomposer &in, ValueRange x) { return in.exp(x[0]); });
  Value result = d.each(sizes, wide, {shifted, sum}, {all, row}, [&](Decomposer &in, ValueRange x) {
    Value total = x[1];
    if (emptyIsZero)
      total = in.choose(in.equal(total, in.constant(wide, 0)), in.constant(wide, 1), total);
    return getLog() ? in.sub(x[0], in.log(total)) : in.div(in.exp(x[0]), total);
  });
  return SmallVector<Value>{d.toType(result, getType())};
}

FailureOr<SmallVector<Value>> LayerNormOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  Type wide = computeType(type.getElementType());
  int64_t rank = type.getRank(), axis = getAxis();
  auto sizes = d.sizes(getInput());
  auto kept = llvm::to_vector(llvm::seq<int64_t>(0, axis)), dims = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  AffineMap all = d.identity(rank), row = d.select(rank, kept);
  Decomposer::Sizes outer(sizes.begin(), sizes.begin() + axis);

  Value count = d.index(1);
  for (int64_t dim = axis; dim < rank; ++dim)
    count = d.mul(count, d.asIndex(sizes[dim]));
  Value number = d.convert(count, wide);
  auto meanOf = [&](Value tensor, Decomposer::Formula formula) {
    Value sum = d.reduce(sizes, wide, tensor, all, kept, Combine::Add, formula);
    return d.each(outer, wide, sum, [&](Decomposer &in, ValueRange x) { return in.div(x[0], number); });
  };

  Value centered = d.each(sizes, wide, getInput(), [](Decomposer &, ValueRange x) { return x[0]; });
  if (!getRms()) {
    Value mean = meanOf(centered, [](Decomposer &, ValueRange x) { return x[0]; });
    centered = d.each(sizes, wide, {centered, mean}, {all, row}, [](Decomposer &in, ValueRange x) { return in.sub(x[0], x[1]); });
  }
  Value variance = meanOf(centered, [](Decomposer &in, ValueRange x) { return in.mul(x[0], x[0]); });

  SmallVector<Value> operands{centered, variance};
  SmallVector<AffineMap> maps{all, row};
  for (Value operand : {getScale(), getBias()})
    if (operand) {
      operands.push_back(operand);
      maps.push_back(d.broadcast(rank, operand, dims));
    }
  double epsilon = getEpsilon().convertToDouble();
  Value result = d.each(sizes, type.getElementType(), operands, maps, [&](Decomposer &in, ValueRange x) {
    Value deviation = math::SqrtOp::create(in.b, in.loc, in.add(x[1], in.constant(wide, epsilon)));
    Value y = in.div(x[0], deviation);
    unsigned next = 2;
    if (getScale())
      y = in.mul(y, in.convert(x[next++], wide));
    if (getBias())
      y = in.add(y, in.convert(x[next], wide));
    return y;
  });
  return SmallVector<Value>{d.toType(result, getType())};
}

} // namespace leat
