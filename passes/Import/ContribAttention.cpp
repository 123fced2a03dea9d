// com.microsoft's attention operators: GroupQueryAttention, MultiHeadAttention and the first Attention, with ONNX Runtime's semantics.
#include "passes/Import/Attend.h"
#include "passes/Import/Handlers.h"

#include "dialects/Leat/Leat.h"

#include <cmath>

using namespace mlir;

namespace leat::import {

static double scaleOf(OpContext &c, Value q, bool &known) {
  double given = c.real("scale", 0);
  auto headSize = c.b.math.asConstant(c.b.dim(q, 3));
  known = given != 0 || headSize;
  return given != 0 ? given : headSize ? 1 / std::sqrt(static_cast<double>(*headSize)) : 1;
}

/// Cuts [B, S, N, D] into heads [first, first + count), as [B, count, S, D].
static Value headRange(GraphBuilder &b, Value v, int64_t first, int64_t count) {
  Value part = b.sliceAxis(v, 2, b.math.constant(first), b.math.constant(count));
  return b.transpose(part, {0, 2, 1, 3});
}

//===----------------------------------------------------------------------===//
// GroupQueryAttention
//===----------------------------------------------------------------------===//

/// Keys valid in each row, i64 [B]: seqlens_k + 1, and at least S. Where a prompt is padded on the right, ONNX Runtime counts its rows from
/// the start of the cache; the causal rule then hides the padding from all tokens that count, so the larger length changes nothing else.
static Value validKeys(GraphBuilder &b, Value seqlens, OpFoldResult length) {
  Type i64 = b.ops.getI64Type();
  Value s = b.math.value(length);
  seqlens = b.reshape(seqlens, {b.numElements(seqlens)});
  return b.elementwise({seqlens}, i64, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    Value total = o.add(o.convert(args[0], i64), o.c(i64, 1));
    return o.max(total, o.make<arith::IndexCastOp>(i64, s));
  });
}

static LogicalResult refuseGroupQuery(OpContext &c) {
  if (c.has(12) || c.has(13) || c.text("k_quant_type", "NONE") != "NONE" || c.text("v_quant_type", "NONE") != "NONE")
    return c.fail("quantised caches (k_scale, v_scale, k_quant_type) are not supported; export with a floating-point cache");
  if (c.flag("sliding_window_cache"))
    return c.fail("attribute 'sliding_window_cache' is not supported; compile the model with a --kv policy instead");
  if (c.wants(3) && c.integer("qk_output", 0) != 0)
    return c.fail("attribute 'qk_output' is not supported; drop the fourth result");
  if (c.has(3) != c.has(4))
    return c.fail("past_key and past_value have to be given together");
  return success();
}

static LogicalResult groupQueryAttention(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t heads = c.integer("num_heads"), kvHeads = c.integer("kv_num_heads");
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads)
    return c.fail("num_heads = " + Twine(heads) + " has to be a multiple of kv_num_heads = " + Twine(kvHeads));
  if (failed(refuseGroupQuery(c)))
    return failure();
  if (c.rank(0) != 3)
    return c.fail("its query has rank " + Twine(c.rank(0)) + ", not 3");
  Attend a;
  Value query = c.operand(0);
  Dims dims = b.dims(query);
  if (c.has(1) != c.has(2))
    return c.fail("key and value have to be given together");
  if (c.has(1)) {
    a.q = splitHeads(b, query, heads);
    a.k = c.rank(1) == 4 ? c.operand(1) : splitHeads(b, c.operand(1), kvHeads);
    a.v = c.rank(2) == 4 ? c.operand(2) : splitHeads(b, c.operand(2), kvHeads);
  } else {
    int64_t all = heads + 2 * kvHeads;
    auto hidden = b.math.asConstant(dims[2]);
    if (!hidden || *hidden % all)
      return c.fail("its packed query does not divide into " + Twine(all) + " heads");
    Value packed = b.reshape(query, {dims[0], dims[1], b.math.constant(all), b.math.constant(*hidden / all)});
    a.q = headRange(b, packed, 0, heads);
    a.k = headRange(b, packed, heads, kvHeads);
    a.v = headRange(b, packed, heads + kvHeads, kvHeads);
  }
  // Normalised heads, as Qwen 3 has them.
  auto normed = [&](Value x, int64_t weight) -> Value {
    if (!c.has(weight))
      return x;
    auto op = b.create<LayerNormOp>(b.type(x), x, c.operand(weight), Value(), b.ops.getI64IntegerAttr(3),
                                    b.ops.getF64FloatAttr(c.real("qk_norm_epsilon", 1e-6)), b.ops.getUnitAttr());
    return b.withDims(op.getOutput(), b.dims(x));
  };
  a.q = normed(a.q, 14), a.k = normed(a.k, 15);

  OpFoldResult length = dims[1];
  a.kvLen = validKeys(b, c.operand(5), length);
  Type i64 = b.ops.getI64Type();
  Value s = b.math.value(length);
  Value starts = b.elementwise({a.kvLen}, i64, [&](OpBuilder &ob, Location l, ValueRange args) -> Value {
    return arith::SubIOp::create(ob, l, args[0], arith::IndexCastOp::create(ob, l, i64, s));
  });
  if (c.flag("do_rotary")) {
    if (!c.has(7) || !c.has(8))
      return c.fail("do_rotary needs cos_cache and sin_cache");
    auto width = b.math.asConstant(b.dim(c.operand(7), 1));
    if (!width)
      return c.fail("the width of its cos_cache is not known");
    Value ids = c.has(9) ? c.operand(9) : queryPositions(b, length, starts);
    Value cos = rowsAt(b, c.operand(7), ids), sin = rowsAt(b, c.operand(8), ids);
    bool interleaved = c.flag("rotary_interleaved");
    a.q = rotary(b, a.q, cos, sin, interleaved, 2 * *width);
    a.k = rotary(b, a.k, cos, sin, interleaved, 2 * *width);
  }
  if (c.has(3)) {
    // The cache is as long as the past buffer (shared buffers) or as the whole sequence (grown ones), whichever is more.
    FailureOr<Dims> total = c.scalars(6);
    if (failed(total) || total->size() != 1)
      return c.fail("total_sequence_length has to be one number");
    OpFoldResult entries = b.math.max(b.dim(c.operand(3), 2), (*total)[0]);
    a.k = cacheWrite(b, c.operand(3), a.k, starts, 2, entries, /*circular=*/false, /*zeroRest=*/true);
    a.v = cacheWrite(b, c.operand(4), a.v, starts, 2, entries, /*circular=*/false, /*zeroRest=*/true);
  }
  c.setResult(1, a.k);
  c.setResult(2, a.v);
  bool known;
  a.scale = scaleOf(c, a.q, known);
  if (!known)
    return c.fail("its scale follows from the head size, which is not known");
  a.causal = c.integer("causal", 1) != 0;
  a.softcap = c.real("softcap", 0);
  // local_window_size counts the current token, window_left does not.
  int64_t window = c.integer("local_window_size", -1);
  if (window > 0)
    a.left = window - 1;
  if (c.has(10))
    a.bias = biasFromMask(b, c.operand(10), {dims[0], b.math.constant(heads), length, b.dim(a.k, 2)}, b.elem(a.q), true);
  // One more logit that has no value: zero, or learned for each head.
  Type elem = b.elem(a.q);
  if (c.has(11))
    a.sink = b.convert(c.operand(11), elem);
  else if (c.flag("smooth_softmax"))
    a.sink = b.splat(b.staticDims({heads}), b.attr(elem, 0.0));
  return c.done(joinHeads(b, attend(b, a)));
}

//===----------------------------------------------------------------------===//
// MultiHeadAttention and Attention
//===----------------------------------------------------------------------===//

/// The additive mask of ONNX Runtime's integer masks: 0 where a key is visible, mask_filter_value where not.
///   [B] keys before the length        [2B] ends, then starts        [3B + 2] lengths come first
///   [B, T] or [B, S, T] non-zero: visible        [B, 1, M, M] the same, rows and columns of the longest sequence
static FailureOr<Value> paddingBias(OpContext &c, Value mask, ArrayRef<OpFoldResult> scores, Type elem) {
  GraphBuilder &b = c.b;
  Dims own = b.dims(mask);
  double hidden = c.real("mask_filter_value", -10000);
  if (isa<FloatType>(b.elem(mask)))
    return c.fail("its padding mask is floating-point; ONNX Runtime takes integers");
  auto value = [&](BodyOps &o, Value visible) { return o.select(visible, o.c(elem, 0), o.c(elem, hidden)); };
  auto nonZero = [&](BodyOps &o, Value v) { return o.gt(v, o.like(v, 0)); };
  if (own.size() == 1) {
    // One bound for each row, or two; which form it is shows in a size that may be known only at run time.
    auto n = b.math.asConstant(own[0]), batch = b.math.asConstant(scores[0]);
    bool one = b.math.equal(own[0], scores[0]), two = b.math.equal(own[0], b.math.mul(scores[0], b.math.constant(2)));
    bool three = b.math.equal(own[0], b.math.add(b.math.mul(scores[0], b.math.constant(3)), b.math.constant(2)));
    if (!one && !two && !three && (!n || !batch))
      one = true;
    if (!one && !two && !three)
      return c.fail("its mask of " + Twine(*n) + " numbers fits no form for a batch of " + Twine(*batch));
    Value rows = b.math.value(scores[0]);
    Dims dims{scores[0], b.math.constant(1), b.math.constant(1), scores[3]};
    return b.generate(dims, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
      BodyOps o{ob, l};
      auto bound = [&](Value i) -> Value {
        return o.make<arith::IndexCastOp>(ob.getIndexType(), Value(o.make<tensor::ExtractOp>(mask, ValueRange{i})));
      };
      Value visible = o.lt(at[3], bound(at[0]));
      if (two)
        visible = o.both(visible, o.ge(at[3], bound(o.add(at[0], rows))));
      return value(o, visible);
    });
  }
  if (own.size() == 4) {
    Value past = b.math.value(b.math.sub(scores[3], scores[2]));
    return b.generate({scores[0], b.math.constant(1), scores[2], scores[3]}, elem, [&](OpBuilder &ob, Location l, ValueRange at) {
      BodyOps o{ob, l};
      return value(o, nonZero(o, o.make<tensor::ExtractOp>(mask, ValueRange{at[0], at[1], Value(o.add(past, at[2])), at[3]})));
    });
  }
  Value bias = b.elementwise({mask}, elem, [&](OpBuilder &ob, Location l, ValueRange args) {
    BodyOps o{ob, l};
    return value(o, nonZero(o, args[0]));
  });
  // [B, T] to [B, 1, 1, T], [B, S, T] to [B, 1, S, T].
  bias = own.size() == 2 ? b.unsqueeze(bias, {1, 2}) : b.unsqueeze(bias, {1});
  return biasFromMask(b, bias, scores, elem, false);
}

static Value withBias(GraphBuilder &b, Value v, Value bias, OpFoldResult from, OpFoldResult size) {
  return bias ? sum(b, v, b.slice(bias, {from}, {size})) : v;
}

static LogicalResult finishHeads(OpContext &c, Attend &a, Value mask, Value attentionBias) {
  GraphBuilder &b = c.b;
  bool known;
  a.scale = scaleOf(c, a.q, known);
  if (!known)
    return c.fail("its scale follows from the head size, which is not known");
  Dims scores{b.dim(a.q, 0), b.dim(a.q, 1), b.dim(a.q, 2), b.dim(a.k, 2)};
  Type elem = b.elem(a.q);
  if (mask) {
    FailureOr<Value> bias = paddingBias(c, mask, scores, elem);
    if (failed(bias))
      return failure();
    a.bias = *bias;
  }
  if (attentionBias)
    a.bias = joinBias(b, a.bias, biasFromMask(b, attentionBias, scores, elem, false));
  a.causal = c.flag("unidirectional");
  c.setResult(0, joinHeads(b, attend(b, a)));
  return success();
}

static LogicalResult multiHeadAttention(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t heads = c.integer("num_heads");
  if (heads <= 0)
    return c.fail("it needs the attribute num_heads");
  if (c.has(8) || c.has(9))
    return c.fail(
        "shared buffers and beam indirection (past_sequence_length, cache_indirection) are not supported; export with a growing cache");
  if (c.wants(3))
    return c.fail("its fourth result (the scores) is not supported");
  Value query = c.operand(0), bias = c.has(3) ? c.operand(3) : Value();
  Attend a;
  OpFoldResult zero = b.math.constant(0), width;
  auto part = [&](Value packed, int64_t i) { // [B, S, N, n, H]
    Dims d = b.dims(packed);
    return b.transpose(b.reshape(b.sliceAxis(packed, 3, b.math.constant(i), b.math.constant(1)), {d[0], d[1], d[2], d[4]}), {0, 2, 1, 3});
  };
  if (c.rank(0) == 5) {
    if (bias)
      return c.fail("packed query, key and value with a bias are not supported");
    a.q = part(query, 0), a.k = part(query, 1), a.v = part(query, 2);
  } else if (c.rank(0) == 3 && c.has(1)) {
    width = b.dim(query, 2);
    a.q = splitHeads(b, withBias(b, query, bias, zero, width), heads);
    Value key = c.operand(1);
    if (c.rank(1) == 5) {
      if (bias)
        return c.fail("packed key and value with a bias are not supported");
      a.k = part(key, 0), a.v = part(key, 1);
    } else if (c.rank(1) == 4) { // keys and values of an encoder, projected once
      a.k = key, a.v = c.operand(2);
    } else {
      Value value = c.operand(2);
      a.k = splitHeads(b, withBias(b, key, bias, width, width), heads);
      a.v = splitHeads(b, withBias(b, value, bias, b.math.mul(width, b.math.constant(2)), b.dim(value, 2)), heads);
    }
  } else {
    return c.fail("a query of rank " + Twine(c.rank(0)) + " in this combination of operands is not one of its forms");
  }
  if (c.has(6) != c.has(7))
    return c.fail("past_key and past_value have to be given together");
  if (c.has(6)) {
    a.k = b.concat({c.operand(6), a.k}, 2);
    a.v = b.concat({c.operand(7), a.v}, 2);
  }
  c.setResult(1, a.k);
  c.setResult(2, a.v);
  return finishHeads(c, a, c.has(4) ? c.operand(4) : Value(), c.has(5) ? c.operand(5) : Value());
}

static LogicalResult contribAttention(OpContext &c) {
  GraphBuilder &b = c.b;
  int64_t heads = c.integer("num_heads");
  if (heads <= 0)
    return c.fail("it needs the attribute num_heads");
  if (c.flag("do_rotary") || c.flag("past_present_share_buffer") || c.has(6))
    return c.fail("do_rotary, past_present_share_buffer and past_sequence_length are not supported");
  if (c.rank(0) != 3 || c.rank(1) != 2)
    return c.fail("its input has to be [batch, sequence, hidden] and its weights a matrix");
  Value x = matmul(b, c.operand(0), c.operand(1), false, false, c.elem(0));
  if (c.has(2))
    x = sum(b, x, c.operand(2));
  OpFoldResult all = b.dim(x, 2);
  Dims widths(3, b.math.div(all, b.math.constant(3)));
  if (auto sizes = c.integers("qkv_hidden_sizes"); sizes && sizes->size() == 3)
    for (int i = 0; i < 3; ++i)
      widths[i] = b.math.constant((*sizes)[i]);
  OpFoldResult from = b.math.constant(0);
  auto next = [&](OpFoldResult width) {
    Value v = splitHeads(b, b.sliceAxis(x, 2, from, width), heads);
    from = b.math.add(from, width);
    return v;
  };
  Attend a;
  a.q = next(widths[0]), a.k = next(widths[1]), a.v = next(widths[2]);
  if (c.has(4)) {
    auto half = [&](int64_t i) { // past is [2, B, H, P, D]
      Dims d = b.dims(c.operand(4));
      return b.reshape(b.sliceAxis(c.operand(4), 0, b.math.constant(i), b.math.constant(1)), {d[1], d[2], d[3], d[4]});
    };
    a.k = b.concat({half(0), a.k}, 2);
    a.v = b.concat({half(1), a.v}, 2);
  }
  if (c.wants(1))
    c.setResult(1, b.concat({b.unsqueeze(a.k, {0}), b.unsqueeze(a.v, {0})}, 0));
  return finishHeads(c, a, c.has(3) ? c.operand(3) : Value(), c.has(5) ? c.operand(5) : Value());
}

static LogicalResult decoderMasked(OpContext &c) {
  return c.fail("it serves beam search inside ONNX Runtime only; export the model with MultiHeadAttention or GroupQueryAttention");
}

void registerContribAttention(HandlerTable &t) {
  StringRef domain = "com.microsoft";
  t.add(domain, "GroupQueryAttention", 1, groupQueryAttention);
  t.add(domain, "MultiHeadAttention", 1, multiHeadAttention);
  t.add(domain, "Attention", 1, contribAttention);
  t.add(domain, "DecoderMaskedMultiHeadAttention", 1, decoderMasked);
  t.add(domain, "DecoderMaskedSelfAttention", 1, decoderMasked);
}

} // namespace leat::import
