// The parts of attention that Attend.h names.
#include "passes/Import/Attend.h"
#include "passes/Import/CacheForms.h"

#include "dialects/Leat/Leat.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

Value attend(GraphBuilder &b, const Attend &a) {
  Dims dims = b.dims(a.q);
  dims[3] = b.dim(a.v, 3);
  SmallVector<Value, 1> bias;
  if (a.bias)
    bias.push_back(a.bias);
  OpBuilder &o = b.ops;
  auto op = b.create<KVAttendOp>(TypeRange{b.typeOf(dims, b.elem(a.q))}, a.q, a.k, a.v, a.qPos, ValueRange(), bias, a.kvLen, a.sink,
                                 o.getF64FloatAttr(a.scale), a.causal ? o.getUnitAttr() : UnitAttr(), o.getI64IntegerAttr(a.left),
                                 o.getI64IntegerAttr(a.right), o.getF64FloatAttr(a.softcap), o.getStringAttr("bhsd"),
                                 o.getStringAttr("bhsd"), o.getStringAttr("bhsd"));
  return b.withDims(op.getOutput(), dims);
}

Value splitHeads(GraphBuilder &b, Value v, int64_t heads) {
  Dims d = b.dims(v);
  auto hidden = b.math.asConstant(d[2]);
  if (hidden && (heads <= 0 || *hidden % heads)) {
    b.invalid("a hidden size of " + Twine(*hidden) + " does not divide into " + Twine(heads) + " heads");
    heads = 1;
  }
  OpFoldResult count = b.math.constant(heads);
  return b.transpose(b.reshape(v, {d[0], d[1], count, b.math.div(d[2], count)}), {0, 2, 1, 3});
}

Value joinHeads(GraphBuilder &b, Value v) {
  Value t = b.transpose(v, {0, 2, 1, 3});
  Dims d = b.dims(t);
  return b.reshape(t, {d[0], d[1], b.math.mul(d[2], d[3])});
}

Value biasFromMask(GraphBuilder &b, Value mask, ArrayRef<OpFoldResult> scores, Type elem, bool padLast) {
  if (b.elem(mask).isInteger(1)) {
    mask = b.elementwise({mask}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      return o.select(args[0], o.c(elem, 0), o.c(elem, -INFINITY));
    });
  } else if (!isa<FloatType>(b.elem(mask))) {
    b.invalid("its mask is neither boolean nor floating-point");
    return {};
  }
  Dims own = b.dims(mask);
  if (own.size() > 4) {
    b.invalid("its mask has rank " + Twine(own.size()) + ", more than 4");
    return {};
  }
  if (own.empty())
    return mask;
  OpFoldResult keys = scores[3];
  if (padLast && !b.math.equal(own.back(), keys)) {
    Dims low(own.size(), b.math.constant(0)), high = low;
    high.back() = b.math.max(b.math.sub(keys, own.back()), b.math.constant(0));
    mask = b.pad(mask, low, high, b.scalar(b.attr(b.elem(mask), -INFINITY)));
    own.back() = keys;
    mask = b.withDims(mask, own);
  }
  // Sizes that may be 1 at run time are settled here: leat.kv_attend takes dynamic ones for equal.
  bool settle = false;
  for (size_t i = 0; i < own.size(); ++i) {
    OpFoldResult wanted = scores[4 - own.size() + i];
    auto known = b.math.asConstant(own[i]), target = b.math.asConstant(wanted);
    if (known == 1 || b.math.equal(own[i], wanted))
      continue;
    if (known && target)
      b.invalid("size " + Twine(*known) + " of its mask does not broadcast to " + Twine(*target));
    if (!known)
      own[i] = wanted, settle = true;
  }
  return settle ? b.broadcastTo(mask, own) : mask;
}

Value joinBias(GraphBuilder &b, Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return sum(b, x, y);
}

Value queryPositions(GraphBuilder &b, OpFoldResult length, Value starts) {
  Type i64 = b.ops.getI64Type();
  if (!starts)
    return b.generate({length}, i64,
                      [&](OpBuilder &ob, Location l, ValueRange at) -> Value { return arith::IndexCastOp::create(ob, l, i64, at[0]); });
  return b.generate({b.dim(starts, 0), length}, i64, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
    Value start = convertScalar(ob, l, tensor::ExtractOp::create(ob, l, starts, ValueRange{at[0]}), i64);
    return arith::AddIOp::create(ob, l, start, arith::IndexCastOp::create(ob, l, i64, at[1]));
  });
}

Value cacheWrite(GraphBuilder &b, Value past, Value update, Value at, int64_t axis, OpFoldResult length, bool circular, bool zeroRest) {
  Value all = b.concat({past, update}, axis);
  Dims dims = b.dims(past);
  OpFoldResult before = dims[axis];
  dims[axis] = length;
  Type elem = b.elem(past);
  Value oldSize = b.math.value(before), newSize = b.math.value(b.dim(update, axis)), size = b.math.value(length);
  Value present = b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange index) {
    BodyOps o{ob, l};
    Value zero = o.make<arith::ConstantIndexOp>(0), t = index[axis], start = zero;
    if (at)
      start = o.make<arith::IndexCastOp>(ob.getIndexType(), Value(o.make<tensor::ExtractOp>(at, ValueRange{index[0]})));
    Value relative = o.sub(t, start);
    if (circular) // both are below the size, so one wrap is enough
      relative = o.select(o.lt(relative, zero), o.add(relative, size), relative);
    Value isNew = o.both(o.ge(relative, zero), o.lt(relative, newSize)), isOld = o.lt(t, oldSize);
    if (zeroRest)
      isOld = o.both(isOld, o.lt(t, start));
    // Somewhere in range when neither holds; what is read there is not used.
    Value position = o.select(isNew, o.add(oldSize, relative), o.select(isOld, t, zero));
    SmallVector<Value> source(index);
    source[axis] = position;
    Value v = o.make<tensor::ExtractOp>(all, source);
    return o.select(o.either(isNew, isOld), v, o.c(elem, 0));
  });
  present.getDefiningOp()->setAttr(cacheWriteAttr, b.ops.getI64IntegerAttr(axis));
  return present;
}

Value rowsAt(GraphBuilder &b, Value table, Value ids) {
  Dims dims = b.dims(ids);
  dims.push_back(b.dim(table, 1));
  AffineMap map = AffineMap::get(3, 0, {b.ops.getAffineDimExpr(0), b.ops.getAffineDimExpr(1)}, b.ops.getContext());
  Value size = b.math.value(b.dim(table, 0));
  return b.map({ids}, {map}, dims, b.elem(table), [&](OpBuilder &ob, Location l, ValueRange args) -> Value {
    Value row = bodyIndex(ob, l, args[0], size), column = linalg::IndexOp::create(ob, l, 2);
    return tensor::ExtractOp::create(ob, l, table, ValueRange{row, column});
  });
}

Value rotary(GraphBuilder &b, Value x, Value cos, Value sin, bool interleaved, int64_t rotaryDim) {
  auto op = b.create<RotaryOp>(b.type(x), x, cos, sin, interleaved, rotaryDim);
  return b.withDims(op.getOutput(), b.dims(x));
}

} // namespace leat::import
