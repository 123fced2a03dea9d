// See Decomposer.h.
#include "dialects/Leat/Decomposer.h"
#include "dialects/Leat/Verifiers.h"

#include <limits>

using namespace mlir;

namespace leat {

Type computeType(Type element) {
  return isa<FloatType>(element) && !element.isF64() ? Type(Float32Type::get(element.getContext())) : element;
}

Type sumType(Type element) {
  return element.isInteger() && element.getIntOrFloatBitWidth() <= 8 ? Type(IntegerType::get(element.getContext(), 32))
                                                                     : computeType(element);
}

OpFoldResult Decomposer::size(Value tensor, int64_t dim) { return tensor::getMixedSize(b, loc, tensor, dim); }

Decomposer::Sizes Decomposer::sizes(Value tensor) { return tensor::getMixedSizes(b, loc, tensor); }

Value Decomposer::asIndex(OpFoldResult size) {
  if (auto value = dyn_cast<Value>(size))
    return value;
  return index(*getConstantIntValue(size));
}

SmallVector<Value> Decomposer::broadcastSizes(Value tensor) {
  SmallVector<Value> all;
  for (OpFoldResult size : sizes(tensor))
    all.push_back(asIndex(size));
  return all;
}

AffineMap Decomposer::select(unsigned loops, ArrayRef<int64_t> dims) {
  SmallVector<AffineExpr> exprs;
  for (int64_t dim : dims)
    exprs.push_back(b.getAffineDimExpr(dim));
  return AffineMap::get(loops, 0, exprs, b.getContext());
}

AffineMap Decomposer::broadcast(unsigned loops, Value operand, ArrayRef<int64_t> dims) {
  ArrayRef<int64_t> shape = rankedType(operand).getShape();
  SmallVector<AffineExpr> exprs;
  for (auto [size, dim] : llvm::zip_equal(shape, dims.take_back(shape.size())))
    exprs.push_back(size == 1 ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(dim));
  return AffineMap::get(loops, 0, exprs, b.getContext());
}

static Value makeGeneric(Decomposer &d, Value init, ValueRange operands, ArrayRef<AffineMap> operandMaps, AffineMap resultMap,
                         Decomposer::Formula formula, llvm::function_ref<Value(Decomposer &, Value, Value)> store) {
  SmallVector<AffineMap> maps(operandMaps);
  maps.push_back(resultMap);
  SmallVector<utils::IteratorType> iterators(resultMap.getNumDims(), utils::IteratorType::reduction);
  for (AffineExpr expr : resultMap.getResults())
    iterators[cast<AffineDimExpr>(expr).getPosition()] = utils::IteratorType::parallel;
  return linalg::GenericOp::create(d.b, d.loc, TypeRange{init.getType()}, operands, ValueRange{init}, maps, iterators,
                                   [&](OpBuilder &nested, Location loc, ValueRange args) {
                                     Decomposer in(nested, loc);
                                     Value element = store(in, args.back(), formula(in, args.drop_back()));
                                     linalg::YieldOp::create(nested, loc, element);
                                   })
      .getResult(0);
}

Value Decomposer::each(ArrayRef<OpFoldResult> sizes, Type element, ValueRange operands, ArrayRef<AffineMap> maps, Formula formula) {
  Value init = tensor::EmptyOp::create(b, loc, sizes, element);
  return makeGeneric(*this, init, operands, maps, identity(sizes.size()), formula,
                     [&](Decomposer &in, Value, Value computed) { return in.convert(computed, element); });
}

Value Decomposer::each(ArrayRef<OpFoldResult> sizes, Type element, ValueRange operands, Formula formula) {
  return each(sizes, element, operands, SmallVector<AffineMap>(operands.size(), identity(sizes.size())), formula);
}

Value Decomposer::reduce(ArrayRef<OpFoldResult> sizes, Type element, ValueRange operands, ArrayRef<AffineMap> maps, ArrayRef<int64_t> kept,
                         Combine combine, Formula formula) {
  Sizes outer;
  for (int64_t dim : kept)
    outer.push_back(sizes[dim]);
  return makeGeneric(*this, filled(outer, neutral(element, combine)), operands, maps, select(sizes.size(), kept), formula,
                     [&](Decomposer &in, Value sum, Value computed) { return in.combined(sum, in.convert(computed, element), combine); });
}

SmallVector<Value> Decomposer::forEach(ArrayRef<OpFoldResult> sizes, ValueRange carried,
                                       llvm::function_ref<SmallVector<Value>(Decomposer &, ValueRange, ValueRange)> body) {
  SmallVector<Value> lower(sizes.size(), index(0)), step(sizes.size(), index(1)), upper;
  for (OpFoldResult size : sizes)
    upper.push_back(asIndex(size));
  if (sizes.empty())
    return body(*this, {}, carried);
  return scf::buildLoopNest(b, loc, lower, upper, step, carried,
                            [&](OpBuilder &nested, Location loc, ValueRange at, ValueRange values) -> scf::ValueVector {
                              Decomposer in(nested, loc);
                              SmallVector<Value> next = body(in, at, values);
                              return {next.begin(), next.end()};
                            })
      .results;
}

Value Decomposer::filled(ArrayRef<OpFoldResult> sizes, Value scalar) {
  Value init = tensor::EmptyOp::create(b, loc, sizes, scalar.getType());
  return linalg::FillOp::create(b, loc, scalar, init).getResult(0);
}

Value Decomposer::toType(Value tensor, Type type) {
  auto want = cast<RankedTensorType>(type);
  if (rankedType(tensor).getElementType() != want.getElementType())
    tensor = each(sizes(tensor), want.getElementType(), tensor, [](Decomposer &, ValueRange x) { return x[0]; });
  return tensor.getType() == want ? tensor : tensor::CastOp::create(b, loc, want, tensor).getResult();
}

Value Decomposer::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value Decomposer::loop(int64_t dim) { return linalg::IndexOp::create(b, loc, dim); }

Value Decomposer::constant(Type type, double value) {
  if (auto real = dyn_cast<FloatType>(type))
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(real, value));
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, static_cast<int64_t>(value)));
}

Value Decomposer::neutral(Type type, Combine combine) {
  if (combine == Combine::Add)
    return constant(type, 0);
  bool max = combine == Combine::Max;
  if (isa<FloatType>(type))
    return constant(type, max ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity());
  unsigned bits = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  APInt least = max ? APInt::getSignedMinValue(bits) : APInt::getSignedMaxValue(bits);
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, least));
}

Value Decomposer::at(Value tensor, ValueRange coordinates) { return tensor::ExtractOp::create(b, loc, tensor, coordinates); }

Value Decomposer::atBroadcast(Value tensor, ArrayRef<Value> sizes, ArrayRef<Value> coordinates) {
  auto type = rankedType(tensor);
  SmallVector<Value> here;
  for (auto [dim, i] : llvm::enumerate(coordinates.take_back(type.getRank()))) {
    if (type.getDimSize(dim) == 1)
      here.push_back(index(0));
    else
      here.push_back(type.isDynamicDim(dim) ? choose(equal(sizes[dim], index(1)), index(0), i) : i);
  }
  return at(tensor, here);
}

Value Decomposer::convert(Value scalar, Type type) {
  Type have = scalar.getType();
  if (have == type)
    return scalar;
  if (have.isInteger(1) && type.isIndex())
    return arith::IndexCastUIOp::create(b, loc, type, scalar);
  if (have.isIndex() || type.isIndex())
    return isa<FloatType>(type) ? convert(convert(scalar, b.getI64Type()), type)
                                : arith::IndexCastOp::create(b, loc, type, scalar).getResult();
  bool fromBit = have.isInteger(1);
  if (isa<FloatType>(have)) {
    if (!isa<FloatType>(type))
      return arith::FPToSIOp::create(b, loc, type, scalar);
    if (have.getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(b, loc, type, scalar);
    return have.getIntOrFloatBitWidth() > type.getIntOrFloatBitWidth() ? arith::TruncFOp::create(b, loc, type, scalar).getResult()
                                                                       : convert(convert(scalar, b.getF32Type()), type); // f16 and bf16
  }
  if (isa<FloatType>(type))
    return fromBit ? arith::UIToFPOp::create(b, loc, type, scalar).getResult() : arith::SIToFPOp::create(b, loc, type, scalar).getResult();
  if (have.getIntOrFloatBitWidth() > type.getIntOrFloatBitWidth())
    return arith::TruncIOp::create(b, loc, type, scalar);
  return fromBit ? arith::ExtUIOp::create(b, loc, type, scalar).getResult() : arith::ExtSIOp::create(b, loc, type, scalar).getResult();
}

Value Decomposer::add(Value x, Value y) { return combined(x, y, Combine::Add); }

Value Decomposer::sub(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::SubFOp::create(b, loc, x, y).getResult() : arith::SubIOp::create(b, loc, x, y).getResult();
}

Value Decomposer::mul(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::MulFOp::create(b, loc, x, y).getResult() : arith::MulIOp::create(b, loc, x, y).getResult();
}

Value Decomposer::div(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::DivFOp::create(b, loc, x, y).getResult() : arith::DivUIOp::create(b, loc, x, y).getResult();
}

Value Decomposer::rem(Value x, Value y) { return arith::RemUIOp::create(b, loc, x, y); }

Value Decomposer::combined(Value x, Value y, Combine combine) {
  bool real = isa<FloatType>(x.getType());
  switch (combine) {
  case Combine::Add:
    return real ? arith::AddFOp::create(b, loc, x, y).getResult() : arith::AddIOp::create(b, loc, x, y).getResult();
  case Combine::Max:
    return real ? arith::MaximumFOp::create(b, loc, x, y).getResult() : arith::MaxSIOp::create(b, loc, x, y).getResult();
  case Combine::Min:
    return real ? arith::MinimumFOp::create(b, loc, x, y).getResult() : arith::MinSIOp::create(b, loc, x, y).getResult();
  }
  llvm_unreachable("covered");
}

Value Decomposer::less(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, y).getResult()
                                     : arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y).getResult();
}

Value Decomposer::atMost(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLE, x, y).getResult()
                                     : arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, x, y).getResult();
}

Value Decomposer::equal(Value x, Value y) {
  return isa<FloatType>(x.getType()) ? arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, x, y).getResult()
                                     : arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, y).getResult();
}

Value Decomposer::isInfinite(Value x, bool negative) {
  double infinity = std::numeric_limits<double>::infinity();
  return equal(x, constant(x.getType(), negative ? -infinity : infinity));
}

Value Decomposer::position(Value integer, Value size) {
  Value i = convert(integer, b.getIndexType()), zero = index(0);
  i = choose(less(i, zero), add(i, size), i);
  return combined(combined(i, sub(size, index(1)), Combine::Min), zero, Combine::Max);
}

} // namespace leat
