// Attention (23 to 25), RotaryEmbedding and TensorScatter of the standard. Semantics are those of the errata (onnx 1.23), resolved here
// into explicit operands and attributes: causal is bottom-right aligned after a past, rows without keys give zeros, softcap comes before
// the mask.
//
// Caches: `past` is joined by tensor.concat, TensorScatter is the generic that CacheForms.h describes; attention then reads the joined
// tensor. The stage Stream turns both into appends to a state slot.
#include "passes/Import/Attend.h"
#include "passes/Import/Handlers.h"

#include "dialects/Leat/Leat.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

/// softcap(scale * q k^T), + bias, softmax: the optional fourth result of Attention. Only models that export it pay for it. `first`:
/// position of the first query, by default such that the last query stands at the last key.
static LogicalResult qkMatmulOutput(OpContext &c, const Attend &a, Value first) {
  GraphBuilder &b = c.b;
  int64_t mode = c.integer("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3)
    return c.fail("attribute 'qk_matmul_output_mode' = " + Twine(mode) + " is not one of 0 to 3");
  Dims q = b.dims(a.q), k = b.dims(a.k);
  Type elem = b.elem(a.q), wide = computeType(elem);
  OpFoldResult group = b.math.div(q[1], k[1]);
  Value grouped = b.reshape(a.q, {q[0], k[1], group, q[2], q[3]});
  Value scores = matmul(b, b.convert(grouped, wide), b.convert(b.unsqueeze(a.k, {2}), wide), false, true, wide);
  scores = scaled(b, b.reshape(scores, {q[0], q[1], q[2], k[2]}), a.scale);
  if (mode >= 1 && a.softcap > 0)
    scores = b.elementwise({scores}, wide, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      Value cap = o.c(wide, a.softcap);
      return o.mul(cap, o.tanh(o.div(args[0], cap)));
    });
  if (mode >= 2) {
    if (a.bias)
      scores = sum(b, scores, b.convert(a.bias, wide));
    Value keys = b.math.value(k[2]), queries = b.math.value(q[2]);
    AffineMap id = b.ops.getMultiDimIdentityMap(4);
    scores = b.map({scores}, {id}, b.dims(scores), wide, [&](OpBuilder &ob, Location l, ValueRange args) {
      BodyOps o{ob, l};
      Type index = ob.getIndexType();
      Value j = o.make<linalg::IndexOp>(3), i = o.make<linalg::IndexOp>(2), row = o.make<linalg::IndexOp>(0);
      Value visible = o.make<arith::ConstantOp>(ob.getBoolAttr(true)), end = keys;
      if (a.kvLen) {
        end = o.make<arith::IndexCastOp>(index, Value(o.make<tensor::ExtractOp>(a.kvLen, ValueRange{row})));
        visible = o.lt(j, end);
      }
      Value position = first ? o.add(i, first) : o.sub(o.add(i, end), queries);
      if (a.causal)
        visible = o.both(visible, o.le(j, position));
      if (a.left >= 0)
        visible = o.both(visible, o.le(o.sub(position, j), o.make<arith::ConstantIndexOp>(a.left)));
      if (a.right >= 0)
        visible = o.both(visible, o.le(o.sub(j, position), o.make<arith::ConstantIndexOp>(a.right)));
      return o.select(visible, args[0], o.c(wide, -INFINITY));
    });
  }
  if (mode == 3) {
    auto op = b.create<SoftmaxOp>(b.type(scores), scores, 3, /*log=*/false, /*zero_empty_rows=*/true);
    scores = b.withDims(op.getOutput(), b.dims(scores));
  }
  c.setResult(3, b.convert(scores, elem));
  return success();
}

static LogicalResult attention(OpContext &c) {
  GraphBuilder &b = c.b;
  Attend a;
  a.q = c.operand(0), a.k = c.operand(1), a.v = c.operand(2);
  int64_t rank = c.rank(0);
  if ((rank != 3 && rank != 4) || c.rank(1) != rank || c.rank(2) != rank)
    return c.fail("Q, K and V have to be all of rank 3 or all of rank 4");
  if (!c.isFloat(0))
    return c.fail("it needs floating-point operands");
  if (rank == 3) {
    int64_t qHeads = c.integer("q_num_heads"), kvHeads = c.integer("kv_num_heads");
    if (qHeads <= 0 || kvHeads <= 0)
      return c.fail("operands of rank 3 need the attributes q_num_heads and kv_num_heads");
    a.q = splitHeads(b, a.q, qHeads), a.k = splitHeads(b, a.k, kvHeads), a.v = splitHeads(b, a.v, kvHeads);
  }
  bool past = c.has(4);
  if (past != c.has(5))
    return c.fail("past_key and past_value have to be given together");
  if (past && c.has(6))
    return c.fail("nonpad_kv_seqlen cannot be combined with past_key and past_value");
  OpFoldResult newKeys = b.dim(a.k, 2), before = past ? b.dim(c.operand(4), 2) : b.math.constant(0);
  if (past) {
    a.k = b.concat({c.operand(4), a.k}, 2);
    a.v = b.concat({c.operand(5), a.v}, 2);
  }
  c.setResult(1, a.k);
  c.setResult(2, a.v);
  Dims q = b.dims(a.q), k = b.dims(a.k);
  auto qHeads = b.math.asConstant(q[1]), kvHeads = b.math.asConstant(k[1]);
  if (qHeads && kvHeads && (*kvHeads == 0 || *qHeads % *kvHeads))
    return c.fail(Twine(*qHeads) + " query heads are no multiple of " + Twine(*kvHeads) + " key heads");
  auto headSize = b.math.asConstant(q[3]);
  if (!c.hasAttr("scale") && !headSize)
    return c.fail("its scale follows from the head size, which is not known");
  a.scale = c.hasAttr("scale") ? c.real("scale") : 1 / std::sqrt(static_cast<double>(*headSize));
  a.causal = c.flag("is_causal");
  a.softcap = c.real("softcap", 0);
  // By presence, not by version: the windows came to opset 25 after its release.
  a.left = c.integer("left_window_size", -1), a.right = c.integer("right_window_size", -1);
  Type elem = b.elem(a.q);
  if (c.has(3))
    a.bias = biasFromMask(b, c.operand(3), {q[0], q[1], q[2], k[2]}, elem, /*padLast=*/c.version() >= 24);
  if (c.has(6))
    a.kvLen = b.convert(c.operand(6), b.ops.getI64Type());
  if (c.has(7)) // only what leat-raise-attention makes: a logit per head that takes weight and gives nothing
    a.sink = c.operand(7);
  bool positional = a.causal || a.left >= 0 || a.right >= 0;
  // The first query stands at the first new key, behind the past, however many keys there are.
  bool placed = positional && !a.kvLen && !b.math.equal(q[2], newKeys);
  if (placed) {
    Value first = b.math.value(before);
    a.qPos = b.generate({q[2]}, b.ops.getI64Type(), [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
      return arith::IndexCastOp::create(ob, l, ob.getI64Type(), arith::AddIOp::create(ob, l, at[0], first));
    });
  }
  Value y = attend(b, a);
  c.setResult(0, rank == 3 ? joinHeads(b, y) : y);
  return c.wants(3) ? qkMatmulOutput(c, a, placed ? b.math.value(before) : Value()) : success();
}

static LogicalResult tensorScatter(OpContext &c) {
  GraphBuilder &b = c.b;
  FailureOr<int64_t> axis = c.axis("axis", -2, c.rank(0));
  if (failed(axis))
    return failure();
  if (*axis == 0)
    return c.fail("attribute 'axis' may not be the batch axis");
  std::string mode = c.text("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return c.fail("attribute 'mode' = \"" + mode + "\" is not linear or circular");
  Value past = c.operand(0);
  return c.done(cacheWrite(b, past, c.operand(1), c.has(2) ? c.operand(2) : Value(), *axis, b.dim(past, *axis), mode == "circular"));
}

/// Tables of a rotation for each position, [B, S, R/2], and R.
static LogicalResult applyRotary(OpContext &c, Value cos, Value sin, Value ids) {
  GraphBuilder &b = c.b;
  int64_t rank = c.rank(0);
  if (rank != 3 && rank != 4)
    return c.fail("its operand has rank " + Twine(rank) + ", not 3 or 4");
  int64_t heads = c.integer("num_heads", 0), rotaryDim = c.integer("rotary_embedding_dim", 0);
  auto width = b.math.asConstant(b.dim(cos, b.rank(cos) - 1));
  if (!width)
    return c.fail("the width of its cos table is not known");
  Value x = c.operand(0);
  if (rank == 3 && heads == 0) {
    // com.microsoft: the head size follows from the table.
    auto hidden = b.math.asConstant(b.dim(x, 2));
    if (rotaryDim != 0 || !hidden || *hidden % (2 * *width))
      return c.fail("an operand of rank 3 needs the attribute num_heads");
    heads = *hidden / (2 * *width);
  }
  if (rank == 3)
    x = splitHeads(b, x, heads);
  if (rotaryDim == 0)
    rotaryDim = b.math.asConstant(b.dim(x, 3)).value_or(2 * *width);
  if (rotaryDim != 2 * *width)
    return c.fail("it rotates " + Twine(rotaryDim) + " elements with tables of width " + Twine(*width));
  if (ids)
    cos = rowsAt(b, cos, ids), sin = rowsAt(b, sin, ids);
  else if (b.rank(cos) != 3 || b.rank(sin) != 3)
    return c.fail("without position_ids its tables have to be [batch, sequence, width]");
  cos = b.convert(cos, b.elem(x)), sin = b.convert(sin, b.elem(x));
  // A batch size of the tables that is not known to be 1 or the operand's is settled here.
  auto settled = [&](Value table) {
    Dims own = b.dims(table);
    if (b.math.asConstant(own[0]) == 1 || b.math.equal(own[0], b.dim(x, 0)))
      return table;
    own[0] = b.dim(x, 0);
    return b.broadcastTo(table, own);
  };
  Value y = rotary(b, x, settled(cos), settled(sin), c.flag("interleaved"), rotaryDim);
  return c.done(rank == 3 ? joinHeads(b, y) : y);
}

static LogicalResult rotaryEmbedding(OpContext &c) { return applyRotary(c, c.operand(1), c.operand(2), c.has(3) ? c.operand(3) : Value()); }

/// com.microsoft has another order of operands, and position_ids may be one offset.
static LogicalResult contribRotaryEmbedding(OpContext &c) {
  GraphBuilder &b = c.b;
  if (c.real("scale", 1) != 1)
    return c.fail("attribute 'scale' is not supported");
  if (c.flag("is_packed_batching"))
    return c.fail("packed batches are not supported");
  Value ids = c.operand(1);
  if (c.rank(1) == 1) {
    Value x = c.operand(0);
    OpFoldResult length = b.dim(x, c.rank(0) == 4 ? 2 : 1);
    Value zero = b.math.value(b.math.constant(0));
    Type i64 = b.ops.getI64Type();
    Value offsets = ids;
    ids = b.generate({b.dim(x, 0), length}, i64, [&](OpBuilder &ob, Location l, ValueRange at) -> Value {
      Value first = convertScalar(ob, l, tensor::ExtractOp::create(ob, l, offsets, ValueRange{zero}), i64);
      return arith::AddIOp::create(ob, l, first, arith::IndexCastOp::create(ob, l, i64, at[1]));
    });
  }
  return applyRotary(c, c.operand(2), c.operand(3), ids);
}

void registerAttention(HandlerTable &t) {
  t.add("", "Attention", 23, attention);
  t.add("", "RotaryEmbedding", 23, rotaryEmbedding);
  t.add("", "TensorScatter", 24, tensorScatter);
  t.add("com.microsoft", "RotaryEmbedding", 1, contribRotaryEmbedding);
}

} // namespace leat::import
