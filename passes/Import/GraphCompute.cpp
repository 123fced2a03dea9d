// Element-wise programs and reductions: everything that becomes a linalg.generic.
#include "passes/Import/GraphBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace leat::import {

Value GraphBuilder::empty(ArrayRef<OpFoldResult> dims, Type e) {
  RankedTensorType t = typeOf(dims, e);
  SmallVector<Value> dynamic;
  for (auto [d, s] : llvm::zip(dims, t.getShape()))
    if (ShapedType::isDynamic(s))
      dynamic.push_back(math.value(d));
  return withDims(create<tensor::EmptyOp>(t, dynamic), dims);
}

Value GraphBuilder::generic(ValueRange inputs, ArrayRef<AffineMap> maps, Value init, AffineMap outMap,
                            ArrayRef<utils::IteratorType> iterators, llvm::function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  // The body is made before the op, in a block of its own: sizes and constants that it asks for then land before the op, where they
  // dominate it.
  Region region;
  Block *block = new Block;
  region.push_back(block);
  for (Value in : inputs)
    block->addArgument(elem(in), loc);
  block->addArgument(elem(init), loc);
  OpBuilder inner(ops.getContext());
  inner.setInsertionPointToEnd(block);
  Value result = body(inner, loc, block->getArguments());
  linalg::YieldOp::create(inner, loc, result);

  SmallVector<AffineMap> all(maps);
  all.push_back(outMap);
  SmallVector<Attribute> kinds;
  for (utils::IteratorType it : iterators)
    kinds.push_back(linalg::IteratorTypeAttr::get(ops.getContext(), it));
  auto op = create<linalg::GenericOp>(TypeRange{init.getType()}, inputs, ValueRange{init}, ops.getAffineMapArrayAttr(all),
                                      ops.getArrayAttr(kinds), StringAttr(), StringAttr());
  op.getRegion().takeBody(region);
  return withDims(op.getResult(0), dims(init));
}

Value GraphBuilder::map(ArrayRef<Value> inputs, ArrayRef<AffineMap> maps, ArrayRef<OpFoldResult> resultDims, Type e, ScalarFn body) {
  // Constants of one value and host scalars are written into the body; the rest are operands.
  enum Kind { Operand, Constant, Scalar };
  SmallVector<Kind> kinds;
  SmallVector<Value> operands, scalars(inputs.size());
  SmallVector<TypedAttr> constants(inputs.size());
  SmallVector<AffineMap> operandMaps;
  for (auto [i, in] : llvm::enumerate(inputs)) {
    DenseElementsAttr c = asConstant(in);
    if (c && c.isSplat() && c.getNumElements() > 0) {
      kinds.push_back(Constant);
      constants[i] = cast<TypedAttr>(c.getSplatValue<Attribute>());
      continue;
    }
    auto known = knownScalars(in);
    if (known && known->size() == 1) {
      kinds.push_back(Scalar);
      scalars[i] = materialize((*known)[0], elem(in));
      continue;
    }
    kinds.push_back(Operand);
    operands.push_back(in);
    operandMaps.push_back(maps[i]);
  }
  SmallVector<utils::IteratorType> iterators(resultDims.size(), utils::IteratorType::parallel);
  AffineMap identity = ops.getMultiDimIdentityMap(resultDims.size());
  return generic(operands, operandMaps, empty(resultDims, e), identity, iterators, [&](OpBuilder &b, Location l, ValueRange blockArgs) {
    SmallVector<Value> args;
    size_t next = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (kinds[i] == Operand)
        args.push_back(blockArgs[next++]);
      else if (kinds[i] == Constant)
        args.push_back(arith::ConstantOp::create(b, l, constants[i]));
      else
        args.push_back(scalars[i]);
    }
    return body(b, l, args);
  });
}

Dims GraphBuilder::broadcastDims(ArrayRef<Dims> shapesIn) {
  size_t resultRank = 0;
  for (const Dims &s : shapesIn)
    resultRank = std::max(resultRank, s.size());
  Dims result;
  for (size_t o = 0; o < resultRank; ++o) {
    OpFoldResult r = math.constant(1);
    for (const Dims &s : shapesIn) {
      if (o + s.size() < resultRank)
        continue;
      OpFoldResult d = s[o + s.size() - resultRank];
      auto cd = math.asConstant(d), cr = math.asConstant(r);
      if (cd == 1 || math.equal(d, r))
        continue;
      if (cr == 1) {
        r = d;
      } else if (cd && cr) {
        invalid("sizes " + Twine(*cr) + " and " + Twine(*cd) + " of axis " + Twine(o) + " do not broadcast");
      } else if (cd) {
        require(r, d, "sizes of axis " + Twine(o) + " do not broadcast", true);
        r = d;
      } else if (cr) {
        require(d, r, "sizes of axis " + Twine(o) + " do not broadcast", true);
      } else {
        require(r, d, "sizes of axis " + Twine(o) + " do not broadcast", true);
        // Both unknown: the other one counts where one is 1. min(x, c) is 1 only when x is (for c > 1), so x it is.
        auto limited = [&](OpFoldResult small, OpFoldResult large) {
          auto m = math.asMinWithConstant(small);
          return m && m->second > 1 && math.equal(m->first, large);
        };
        if (limited(r, d))
          r = d;
        else if (!limited(d, r))
          r = math.selectEqual(r, 1, d, r);
      }
    }
    result.push_back(r);
  }
  return result;
}

Dims GraphBuilder::broadcastDims(ArrayRef<Value> inputs) {
  SmallVector<Dims> list;
  for (Value in : inputs)
    list.push_back(dims(in));
  return broadcastDims(list);
}

namespace {
/// How one input is read at a position of the result.
struct Access {
  AffineMap map;
  /// Set when the map cannot say it: per axis of the input a factor (0 where the input is repeated) and a last valid index, null where not
  /// needed.
  bool dynamic = false;
  SmallVector<Value> factors, lasts;
  int64_t firstAxis = 0;
};
} // namespace

static Access accessFor(GraphBuilder &g, Value v, ArrayRef<OpFoldResult> resultDims) {
  IndexMath &math = g.math;
  Access a;
  Dims own = g.dims(v);
  a.firstAxis = resultDims.size() - own.size();
  SmallVector<AffineExpr> exprs;
  for (auto [i, d] : llvm::enumerate(own)) {
    OpFoldResult r = resultDims[a.firstAxis + i];
    AffineExpr same = g.ops.getAffineDimExpr(a.firstAxis + i);
    auto cd = math.asConstant(d), cr = math.asConstant(r);
    a.factors.push_back({});
    a.lasts.push_back({});
    if (math.equal(d, r) || (cd && *cd != 1)) {
      exprs.push_back(same);
      if (cd && cr && *cd != *cr)
        g.invalid("size " + Twine(*cd) + " does not broadcast to " + Twine(*cr));
    } else if (cd) {
      exprs.push_back(g.ops.getAffineConstantExpr(0));
    } else {
      a.dynamic = true;
      exprs.push_back(same);
      if (auto limited = math.asMinWithConstant(d); limited && math.equal(limited->first, r))
        a.lasts.back() = math.value(math.sub(d, math.constant(1)));
      else
        a.factors.back() = math.value(math.selectEqual(d, 1, math.constant(0), math.constant(1)));
    }
  }
  a.map = AffineMap::get(resultDims.size(), 0, exprs, g.ops.getContext());
  return a;
}

static Value readDynamic(OpBuilder &b, Location loc, Value v, const Access &a) {
  SmallVector<Value> indices;
  for (int64_t i = 0, e = a.factors.size(); i < e; ++i) {
    if (auto c = dyn_cast<AffineConstantExpr>(a.map.getResult(i))) {
      indices.push_back(arith::ConstantIndexOp::create(b, loc, c.getValue()));
      continue;
    }
    Value index = linalg::IndexOp::create(b, loc, a.firstAxis + i);
    if (a.factors[i])
      index = arith::MulIOp::create(b, loc, index, a.factors[i]);
    if (a.lasts[i])
      index = arith::MinSIOp::create(b, loc, index, a.lasts[i]);
    indices.push_back(index);
  }
  return tensor::ExtractOp::create(b, loc, v, indices);
}

Value GraphBuilder::scalarElementwise(ArrayRef<Value> inputs, Type e, ScalarFn body,
                                      llvm::function_ref<OpFoldResult(ArrayRef<OpFoldResult>)> small) {
  SmallVector<Dims> known;
  for (Value in : inputs) {
    auto s = knownScalars(in);
    if (!s)
      return {};
    known.push_back(*s);
  }
  bool hostType = e.isInteger(1) || e.isInteger(32) || e.isInteger(64) || e.isF16() || e.isBF16() || e.isF32() || e.isF64();
  RankedTensorType t = typeOf(broadcastDims(inputs), e);
  if (!hostType || !t.hasStaticShape() || t.getNumElements() > 64 || t.getRank() > 2)
    return {};
  Dims result;
  SmallVector<int64_t> position(t.getRank(), 0);
  for (int64_t n = 0; n < t.getNumElements(); ++n) {
    SmallVector<OpFoldResult> args;
    for (auto [in, s] : llvm::zip(inputs, known)) {
      int64_t linear = 0;
      RankedTensorType it = type(in);
      for (int64_t a = 0; a < it.getRank(); ++a)
        linear = linear * it.getDimSize(a) + (it.getDimSize(a) == 1 ? 0 : position[a + t.getRank() - it.getRank()]);
      args.push_back(s[linear]);
    }
    if (small) {
      result.push_back(small(args));
    } else {
      // The body is written apart, then folded op by op into the place at hand.
      Block block;
      OpBuilder inner(ops.getContext());
      inner.setInsertionPointToEnd(&block);
      SmallVector<Value> values;
      for (auto [s, in] : llvm::zip(args, inputs))
        values.push_back(materialize(s, elem(in)));
      Value r = body(inner, loc, values);
      for (Operation &op : llvm::make_early_inc_range(block)) {
        SmallVector<Value> folded;
        if (succeeded(ops.tryFold(&op, folded)) && folded.size() == op.getNumResults()) {
          for (auto [from, to] : llvm::zip(op.getResults(), folded)) {
            if (r == from)
              r = to;
            from.replaceAllUsesWith(to);
          }
          op.erase();
          continue;
        }
        op.moveBefore(ops.getInsertionBlock(), ops.getInsertionPoint());
      }
      result.push_back(toHost(r));
    }
    for (int64_t a = t.getRank() - 1; a >= 0 && ++position[a] == t.getDimSize(a); --a)
      position[a] = 0;
  }
  return fromScalars(result, t.getShape(), e);
}

Value GraphBuilder::elementwise(ArrayRef<Value> inputs, Type e, ScalarFn body,
                                llvm::function_ref<OpFoldResult(ArrayRef<OpFoldResult>)> small) {
  if (Value v = scalarElementwise(inputs, e, body, small))
    return v;
  Dims resultDims = broadcastDims(inputs);
  SmallVector<Access> accesses;
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  for (Value in : inputs) {
    accesses.push_back(accessFor(*this, in, resultDims));
    if (!accesses.back().dynamic) {
      operands.push_back(in);
      maps.push_back(accesses.back().map);
    }
  }
  return map(operands, maps, resultDims, e, [&](OpBuilder &b, Location l, ValueRange args) {
    SmallVector<Value> all;
    size_t next = 0;
    for (auto [in, a] : llvm::zip(inputs, accesses))
      all.push_back(a.dynamic ? readDynamic(b, l, in, a) : args[next++]);
    return body(b, l, all);
  });
}

Value GraphBuilder::broadcastTo(Value v, ArrayRef<OpFoldResult> resultDims) {
  if (sameDims(dims(v), resultDims))
    return v;
  RankedTensorType t = typeOf(resultDims, elem(v));
  if (auto known = knownScalars(v); known && known->size() == 1 && t.hasStaticShape() && t.getNumElements() <= 64)
    return fromScalars(Dims(t.getNumElements(), (*known)[0]), t.getShape(), elem(v));
  Access a = accessFor(*this, v, resultDims);
  if (a.dynamic)
    return map({}, {}, resultDims, elem(v), [&](OpBuilder &b, Location l, ValueRange) { return readDynamic(b, l, v, a); });
  return map({v}, {a.map}, resultDims, elem(v), [](OpBuilder &, Location, ValueRange args) { return args[0]; });
}

Value GraphBuilder::generate(ArrayRef<OpFoldResult> resultDims, Type e, ScalarFn body) {
  return map({}, {}, resultDims, e, [&](OpBuilder &b, Location l, ValueRange) {
    SmallVector<Value> indices;
    for (size_t i = 0; i < resultDims.size(); ++i)
      indices.push_back(linalg::IndexOp::create(b, l, i));
    Value r = body(b, l, indices);
    for (Value index : indices)
      if (index.use_empty() && index != r)
        index.getDefiningOp()->erase();
    return r;
  });
}

Value GraphBuilder::reduce(Value v, ArrayRef<int64_t> axes, bool keepDims, TypedAttr init, ScalarFn combine, ScalarFn pre) {
  if (axes.empty())
    return map({v}, {ops.getMultiDimIdentityMap(rank(v))}, dims(v), init.getType(),
               [&](OpBuilder &b, Location l, ValueRange args) { return pre ? pre(b, l, args[0]) : args[0]; });
  Dims own = dims(v), kept, resultDims;
  SmallVector<AffineExpr> outExprs;
  SmallVector<utils::IteratorType> iterators;
  for (int64_t i = 0, e = own.size(); i < e; ++i) {
    bool reduced = llvm::is_contained(axes, i);
    iterators.push_back(reduced ? utils::IteratorType::reduction : utils::IteratorType::parallel);
    if (!reduced) {
      resultDims.push_back(own[i]);
      outExprs.push_back(ops.getAffineDimExpr(i));
    }
    kept.push_back(reduced ? math.constant(1) : own[i]);
  }
  Value start = empty(resultDims, init.getType());
  start = withDims(create<linalg::FillOp>(ValueRange{scalar(init)}, ValueRange{start}).getResult(0), resultDims);
  Value r = generic({v}, {ops.getMultiDimIdentityMap(own.size())}, start, AffineMap::get(own.size(), 0, outExprs, ops.getContext()),
                    iterators, [&](OpBuilder &b, Location l, ValueRange args) {
                      Value x = pre ? pre(b, l, args[0]) : args[0];
                      return combine(b, l, ValueRange{args[1], x});
                    });
  return keepDims ? reshape(r, kept) : r;
}

Value bodyConstant(OpBuilder &b, Location loc, Type t, double v) {
  if (isa<FloatType>(t))
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(t, v));
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(t, static_cast<int64_t>(v)));
}

Value bodyIndex(OpBuilder &b, Location loc, Value position, Value size) {
  if (!position.getType().isIndex())
    position = arith::IndexCastOp::create(b, loc, b.getIndexType(), position);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  Value negative = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, position, zero);
  Value wrapped = arith::AddIOp::create(b, loc, position, size);
  Value index = arith::SelectOp::create(b, loc, negative, wrapped, position);
  Value last = arith::SubIOp::create(b, loc, size, one);
  index = arith::MinSIOp::create(b, loc, index, last);
  return arith::MaxSIOp::create(b, loc, index, zero);
}

Value convertScalar(OpBuilder &b, Location loc, Value v, Type to, bool fromUnsigned, bool toUnsigned) {
  Type from = v.getType();
  if (from == to)
    return v;
  auto toFloat = dyn_cast<FloatType>(to), fromFloat = dyn_cast<FloatType>(from);
  if (to.isInteger(1)) {
    Value zero = bodyConstant(b, loc, from, 0);
    if (fromFloat)
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, v, zero);
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v, zero);
  }
  if (fromFloat && toFloat) {
    if (fromFloat.getWidth() < toFloat.getWidth())
      return arith::ExtFOp::create(b, loc, to, v);
    if (fromFloat.getWidth() > toFloat.getWidth())
      return arith::TruncFOp::create(b, loc, to, v);
    return arith::TruncFOp::create(b, loc, to, arith::ExtFOp::create(b, loc, b.getF32Type(), v));
  }
  if (toFloat) {
    if (fromUnsigned || from.isInteger(1))
      return arith::UIToFPOp::create(b, loc, to, v);
    return arith::SIToFPOp::create(b, loc, to, v);
  }
  if (fromFloat) {
    // Narrow integers go through a wider one, so that what does not fit wraps as the C++ conversions of other runtimes do.
    unsigned width = to.getIntOrFloatBitWidth();
    if (width == 64 && toUnsigned)
      return arith::FPToUIOp::create(b, loc, to, v);
    Type wide = b.getIntegerType(width > 32 || (width == 32 && toUnsigned) ? 64 : 32);
    Value i = arith::FPToSIOp::create(b, loc, wide, v);
    return wide == to ? i : arith::TruncIOp::create(b, loc, to, i).getResult();
  }
  unsigned fw = from.getIntOrFloatBitWidth(), tw = to.getIntOrFloatBitWidth();
  if (fw > tw)
    return arith::TruncIOp::create(b, loc, to, v);
  if (fromUnsigned || from.isInteger(1))
    return arith::ExtUIOp::create(b, loc, to, v);
  return arith::ExtSIOp::create(b, loc, to, v);
}

Value GraphBuilder::convert(Value v, Type to, bool fromUnsigned, bool toUnsigned) {
  Type from = elem(v);
  if (from == to)
    return v;
  llvm::function_ref<OpFoldResult(ArrayRef<OpFoldResult>)> none = nullptr;
  auto keep = [](ArrayRef<OpFoldResult> args) { return args[0]; };
  bool hostInts = (from.isInteger(32) || from.isInteger(64)) && (to.isInteger(32) || to.isInteger(64)) && !fromUnsigned && !toUnsigned;
  auto body = [&](OpBuilder &b, Location l, ValueRange args) { return convertScalar(b, l, args[0], to, fromUnsigned, toUnsigned); };
  return hostInts ? elementwise({v}, to, body, keep) : elementwise({v}, to, body, none);
}

} // namespace leat::import
