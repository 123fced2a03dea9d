// Ops whose elements depend on order: sorting by counting what comes before, running sums, places of extrema, coordinates of non-zeros.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat {

using Combine = Decomposer::Combine;

/// The loops of a tensor and one more; `axis` of the second map is the additional loop.
static std::pair<AffineMap, AffineMap> pairMaps(Decomposer &d, int64_t rank, int64_t axis) {
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  AffineMap one = d.select(rank + 1, dims);
  dims[axis] = rank;
  return {one, d.select(rank + 1, dims)};
}

FailureOr<SmallVector<Value>> TopKOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  int64_t rank = type.getRank(), axis = getAxis();
  Type i64 = b.getI64Type();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  auto [mine, other] = pairMaps(d, rank, axis);

  // How many elements come before each: larger ones (NaN is the largest), and equal ones with a lower index.
  auto pairs = d.sizes(getInput());
  OpFoldResult length = pairs[axis];
  pairs.push_back(length);
  Value place = d.reduce(pairs, i64, {getInput(), getInput()}, {mine, other}, dims, Combine::Add, [&](Decomposer &in, ValueRange x) {
    Value greater, equal, a = getLargest() ? x[1] : x[0], c = getLargest() ? x[0] : x[1];
    if (isa<FloatType>(type.getElementType())) {
      auto isNan = [&](Value v) { return arith::CmpFOp::create(in.b, in.loc, arith::CmpFPredicate::UNO, v, v).getResult(); };
      Value isNumber = arith::CmpFOp::create(in.b, in.loc, arith::CmpFPredicate::ORD, c, c);
      greater = in.either(in.greater(a, c), in.both(isNan(a), isNumber));
      equal = in.either(in.equal(a, c), in.both(isNan(a), isNan(c)));
    } else {
      greater = in.greater(a, c);
      equal = in.equal(a, c);
    }
    return in.convert(in.either(greater, in.both(equal, in.less(in.loop(rank), in.loop(axis)))), i64);
  });

  // The element at each place, then its value.
  auto sizes = d.sizes(getInput());
  sizes[axis] = getK() ? OpFoldResult(getK()) : b.getIndexAttr(rankedType(getIndices()).getDimSize(axis));
  pairs = sizes;
  pairs.push_back(length);
  Value indices = d.reduce(pairs, i64, place, other, dims, Combine::Add, [&](Decomposer &in, ValueRange x) {
    Value here = in.equal(in.convert(x[0], b.getIndexType()), in.loop(axis));
    return in.convert(in.choose(here, in.loop(rank), in.index(0)), i64);
  });
  Value values = d.each(sizes, type.getElementType(), indices, [&](Decomposer &in, ValueRange x) {
    SmallVector<Value> at;
    for (int64_t dim : dims)
      at.push_back(dim == axis ? in.convert(x[0], b.getIndexType()) : in.loop(dim));
    return in.at(getInput(), at);
  });
  return SmallVector<Value>{d.toType(values, getValues().getType()), d.toType(indices, getIndices().getType())};
}

FailureOr<SmallVector<Value>> CumSumOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  int64_t rank = type.getRank(), axis = getAxis();
  Type wide = computeType(type.getElementType());
  auto sizes = d.sizes(getInput());
  sizes.push_back(sizes[axis]);
  Value sum = d.reduce(sizes, wide, getInput(), pairMaps(d, rank, axis).second, llvm::to_vector(llvm::seq<int64_t>(0, rank)), Combine::Add,
                       [&](Decomposer &in, ValueRange x) {
                         Value from = in.loop(rank), to = in.loop(axis);
                         if (getReverse())
                           std::swap(from, to);
                         Value counts = getExclusive() ? in.less(from, to) : in.atMost(from, to);
                         return in.choose(counts, in.convert(x[0], wide), in.constant(wide, 0));
                       });
  return SmallVector<Value>{d.toType(sum, getType())};
}

FailureOr<SmallVector<Value>> ArgReduceOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  int64_t rank = type.getRank(), axis = getAxis();
  Type element = type.getElementType(), i64 = b.getI64Type();
  auto sizes = d.sizes(getInput());
  SmallVector<int64_t> kept;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != axis)
      kept.push_back(dim);
  AffineMap all = d.identity(rank), row = d.select(rank, kept);
  Value best = d.reduce(sizes, element, getInput(), all, kept, getMax() ? Combine::Max : Combine::Min,
                        [](Decomposer &, ValueRange x) { return x[0]; });
  Combine first = getSelectLast() ? Combine::Max : Combine::Min;
  Value index = d.reduce(sizes, i64, {getInput(), best}, {all, row}, kept, first, [&](Decomposer &in, ValueRange x) {
    Value hit = isa<FloatType>(element) ? arith::CmpFOp::create(in.b, in.loc, arith::CmpFPredicate::UEQ, x[0], x[1]).getResult()
                                        : in.equal(x[0], x[1]);
    return in.choose(hit, in.convert(in.loop(axis), i64), in.neutral(i64, first));
  });
  sizes[axis] = b.getIndexAttr(1);
  Value result = d.each(sizes, i64, index, row, [](Decomposer &, ValueRange x) { return x[0]; });
  return SmallVector<Value>{d.toType(result, getType())};
}

FailureOr<SmallVector<Value>> NonZeroOp::decomposeOperation(OpBuilder &b) {
  Decomposer d(b, getLoc());
  auto type = rankedType(getInput());
  Type i64 = b.getI64Type(), element = type.getElementType();
  auto sizes = d.sizes(getInput());
  Value total = d.index(1);
  for (OpFoldResult size : sizes)
    total = d.mul(total, d.asIndex(size));
  OpFoldResult columns = type.hasStaticShape() ? OpFoldResult(b.getIndexAttr(type.getNumElements())) : OpFoldResult(total);
  Value coords = d.filled({b.getIndexAttr(type.getRank()), columns}, d.constant(i64, 0));
  auto end = d.forEach(sizes, {coords, d.index(0)}, [&](Decomposer &in, ValueRange at, ValueRange carried) {
    Value x = in.at(getInput(), at), zero = in.constant(element, 0), found = carried[0];
    Value hit = isa<FloatType>(element) ? arith::CmpFOp::create(in.b, in.loc, arith::CmpFPredicate::UNE, x, zero).getResult()
                                        : arith::CmpIOp::create(in.b, in.loc, arith::CmpIPredicate::ne, x, zero).getResult();
    for (auto [dim, i] : llvm::enumerate(at)) {
      Value where[] = {in.index(dim), carried[1]};
      Value kept = in.choose(hit, in.convert(i, i64), in.at(found, where));
      found = tensor::InsertOp::create(in.b, in.loc, kept, found, where);
    }
    return SmallVector<Value>{found, in.add(carried[1], in.convert(hit, in.b.getIndexType()))};
  });
  auto countType = rankedType(getCount());
  Value count = d.filled(SmallVector<OpFoldResult>(countType.getRank(), b.getIndexAttr(1)), d.convert(end[1], i64));
  return SmallVector<Value>{d.toType(end[0], getCoords().getType()), d.toType(count, countType)};
}

} // namespace leat
