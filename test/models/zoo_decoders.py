"""More decoders for the zoo: Optimum's merged graphs, torch.export's masks, mixtures of experts, ONNX Runtime's operators with their options.

Like zoo.py, which has the blocks: each function of MODELS writes one graph and returns its Sample.
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models.graph import BOOL, FLOAT, FLOAT16, INT32, INT64
from models.zoo import BATCHES, D, DECODER, END, H, HIDDEN, LOWEST, MICROSOFT, STEPS, VOCAB, Builder, Sample, cache, padded, positions


def subgraph(g, name, outputs, build, inputs=()):
    """A graph that sees g's values: the nodes that `build` appends; it returns the values that `outputs` [(name, type)] are."""
    outer, g.nodes = g.nodes, []
    for (out, _), value in zip(outputs, build()):
        if value != out:
            g("Identity", value, out=out)
    body, g.nodes = g.nodes, outer
    return helper.make_graph(body, name, [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_tensor_value_info(n, t, None) for n, t in outputs])


def branches(g, condition, outputs, then, other):
    """If, with both graphs' outputs under names of their own."""
    pairs = lambda tag: [(f"{n}_{tag}", t) for n, t in outputs]
    return g("If", condition, out=[n for n, _ in outputs], then_branch=subgraph(g, "then", pairs("then"), then),
             else_branch=subgraph(g, "else", pairs("else"), other))


def gpt2_merged(path):
    """Optimum's decoder_model_merged: use_cache_branch chooses between the graph with a past and the one without."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "total"])
    past = cache(g, 2, H)
    use = g.input("use_cache_branch", BOOL, [1])
    names = [("logits", FLOAT)] + [(f"present.{i}.{s}", FLOAT) for i in range(2) for s in ("key", "value")]
    table, place = g.random(VOCAB, HIDDEN, scale=0.5), g.random(64, HIDDEN, scale=0.5)
    triangle = g.weight("bias", np.tril(np.ones((64, 64), bool))[None, None])
    norms = [(g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN)) for _ in range(5)]
    sizes = [(HIDDEN, 3 * HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 64), (64, HIDDEN)] * 2
    weights = [(g.random(*s), g.random(s[1]), s) for s in sizes]
    head = g.random(HIDDEN, VOCAB)

    def conv1d(v, k):
        w, b, (inputs, outputs) = weights[k]
        rows = g("Reshape", v, g.const([-1, inputs]))
        return g("Reshape", g("Gemm", rows, w, b), g.shape(g.dim(v, 0), g.dim(v, 1), outputs))

    def body(cached):
        norm = lambda v, k: g("LayerNormalization", v, *norms[k], axis=-1)
        first = g("Squeeze", g.dim(past[0][0], 2), g.const([0])) if cached else g.const(0)
        length = g("Squeeze", g.dim(ids, 1), g.const([0]))
        x = g("Add", g("Gather", table, ids), g("Gather", place, g.unsqueeze(g("Range", first, g("Add", length, first), g.const(1)), 0)))
        keep = g("Cast", g.unsqueeze(mask, 1, 2), to=FLOAT)
        bias = g("Mul", g("Sub", g.real(1), keep), g.real(LOWEST))
        present = []
        for i in range(2):
            q, k, v = g("Split", conv1d(norm(x, 2 * i), 4 * i), g.const([HIDDEN] * 3), outputs=3, axis=2)
            q, k, v = (g.split_heads(part, H, D) for part in (q, k, v))
            if cached:
                k, v = g("Concat", past[i][0], k, axis=2), g("Concat", past[i][1], v, axis=2)
            present += [k, v]
            s = g("Div", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.real(np.sqrt(D)))
            total, new = g.dim(k, 2), g.dim(q, 2)
            seen = g("Slice", g("Slice", triangle, g("Sub", total, new), total, g.const([2])), g.const([0]), total, g.const([3]))
            s = g("Add", g("Where", seen, s, g.real(LOWEST)), bias)
            x = g("Add", x, conv1d(g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), 4 * i + 1))
            x = g("Add", x, conv1d(g.gelu(conv1d(norm(x, 2 * i + 1), 4 * i + 2), "tanh"), 4 * i + 3))
        return [g("MatMul", norm(x, 4), head), *present]

    branches(g, use, names, lambda: body(True), lambda: body(False))
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(17)
    cached = lambda shape, sizes, rng: np.array([sizes["past"] > 0])
    return Sample(17, STEPS, {**DECODER, "use_cache_branch": cached}, {"kv_attend": 4, "layer_norm": 10})


def t5_merged(path):
    """Encoder and decoder in Optimum's merged form: keys of the encoder are made without a cache, and handed on empty with one."""
    g = Builder(path)
    ids = g.ids("input_ids")
    encoder = g.input("encoder_hidden_states", FLOAT, ["batch", "encoder", HIDDEN])
    mask = g.input("encoder_attention_mask", INT64, ["batch", "encoder"])
    past = [g.input(f"past_key_values.0.{part}.{s}", FLOAT, ["batch", H, "past" if part == "decoder" else "encoder_past", D])
            for part in ("decoder", "encoder") for s in ("key", "value")]
    use = g.input("use_cache_branch", BOOL, [1])
    names = [("logits", FLOAT)] + [(f"present.0.{p}.{s}", FLOAT) for p in ("decoder", "encoder") for s in ("key", "value")]
    table, buckets = g.random(VOCAB, HIDDEN, scale=0.5), g.random(8, H, scale=0.5)
    norms = [g.random(HIDDEN, scale=0.1, offset=1) for _ in range(4)]
    w = {n: g.random(HIDDEN, HIDDEN) for n in ("q", "k", "v", "o", "cq", "ck", "cv", "co")}
    up, down = g.random(HIDDEN, 64), g.random(64, HIDDEN)

    def norm(v, k):
        square = g("ReduceMean", g("Pow", v, g.real(2)), axes=[-1])
        return g("Mul", norms[k], g("Mul", v, g("Div", g.real(1), g("Sqrt", g("Add", square, g.real(1e-6))))))

    def heads(v, n):
        return g("Transpose", g("Reshape", g("MatMul", v, w[n]), g.shape(g.dim(v, 0), -1, H, D)), perm=[0, 2, 1, 3])

    def attend(q, k, v, bias, n):
        p = g("Softmax", g("Add", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), bias), axis=-1)
        a = g("Transpose", g("MatMul", p, v), perm=[0, 2, 1, 3])
        return g("MatMul", g("Reshape", a, g.shape(g.dim(a, 0), -1, HIDDEN)), w[n])

    def body(cached):
        x = g("Gather", table, ids)
        y = norm(x, 0)
        q, k, v = (heads(y, n) for n in "qkv")
        if cached:
            k, v = g("Concat", past[0], k, axis=2), g("Concat", past[1], v, axis=2)
        total = g("Squeeze", g.dim(k, 2), g.const([0]))
        columns = g.unsqueeze(g("Range", g.const(0), total, g.const(1)), 0)
        rows = g.unsqueeze(g("Range", g.const(0), total, g.const(1)), 1)
        distance = g("Neg", g("Min", g("Sub", columns, rows), g("ConstantOfShape", g("Shape", g("Sub", columns, rows)),
                                                                value=numpy_helper.from_array(np.zeros(1, np.int64)))))
        ratio = g("Div", g("Log", g("Div", g("Cast", distance, to=FLOAT), g.real(4))), g.real(np.log(16 / 4)))
        large = g("Add", g("Cast", g("Mul", ratio, g.real(4)), to=INT64), g.const(4))
        large = g("Min", large, g("ConstantOfShape", g("Shape", large), value=numpy_helper.from_array(np.full(1, 7))))
        bucket = g("Where", g("Less", distance, g.const(4)), distance, large)
        bias = g.unsqueeze(g("Transpose", g("Gather", buckets, bucket), perm=[2, 0, 1]), 0)
        causal = g("Where", g("LessOrEqual", columns, rows), g.real(0), g.real(LOWEST))
        bias = g("Add", bias, causal)
        new = g("Neg", g.dim(ids, 1))
        bias = g("Slice", bias, new, g.const([END]), g.const([2]), g.const([1]))  # the rows of the new tokens
        x = g("Add", x, attend(q, k, v, bias, "o"))
        y = norm(x, 1)
        ck, cv = (past[2], past[3]) if cached else (heads(encoder, "ck"), heads(encoder, "cv"))
        hidden = g("Mul", g("Sub", g.real(1), g("Cast", g.unsqueeze(mask, 1, 2), to=FLOAT)), g.real(LOWEST))
        x = g("Add", x, attend(heads(y, "cq"), ck, cv, hidden, "co"))
        x = g("Add", x, g("MatMul", g("Relu", g("MatMul", norm(x, 2), up)), down))
        logits = g("MatMul", g("Mul", norm(x, 3), g.real(HIDDEN**-0.5)), g("Transpose", table, perm=[1, 0]))
        empty = lambda: g("Constant", value=numpy_helper.from_array(np.zeros((0, H, 1, D), np.float32)))
        return [logits, k, v, *((empty(), empty()) if cached else (ck, cv))]

    branches(g, use, names, lambda: body(True), lambda: body(False))
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    for s in ("key", "value"):
        g.output(f"present.0.decoder.{s}", FLOAT, ["batch", H, "total", D])
    for s in ("key", "value"):
        g.output(f"present.0.encoder.{s}", FLOAT, ["encoder_batch", H, "encoder_out", D])
    g.save(14)
    sizes = [{"batch": 1, "sequence": 4, "past": 0, "encoder_past": 0, "encoder": 7}, {"batch": 2, "sequence": 1, "past": 5, "encoder_past": 7, "encoder": 7},
             {"batch": 3, "sequence": 1, "past": 1, "encoder_past": 3, "encoder": 3}]
    return Sample(14, sizes, {"encoder_attention_mask": padded, "use_cache_branch": lambda s, z, r: np.array([z["past"] > 0])},
                  {"kv_attend": 4, "layer_norm": 8})


def bart_decoder(path):
    """BART, Marian and the like over TorchScript: [batch * heads, T, D] products, positions behind two, masks expanded for every head."""
    g = Builder(path)
    ids = g.ids("decoder_input_ids")
    encoder, mask = g.input("encoder_hidden_states", FLOAT, ["batch", "encoder", HIDDEN]), g.input("encoder_attention_mask", INT64, ["batch", "encoder"])
    b, t, n = g.dim(ids, 0), g.dim(ids, 1), g.dim(encoder, 1)
    scalar = lambda v: g("Squeeze", v, g.const([0]))
    place = g("Add", g.expand_ts(g("Range", g.const(0), scalar(t), g.const(1)), g.shape(b, t), 2), g.const(2))
    x = g("Add", g("Mul", g("Gather", g.random(VOCAB, HIDDEN, scale=0.1), ids), g.real(np.sqrt(HIDDEN))), g("Gather", g.random(66, HIDDEN, scale=0.5), place))
    x = g.layer_norm(x, HIDDEN, "pow")
    full = g("Expand", g.real(LOWEST), g.shape(t, t))
    steps = g("Range", g.const(0), scalar(t), g.const(1))
    causal = g("Where", g("Less", steps, g("Reshape", g("Add", steps, g.const(1)), g.shape(t, 1))), g.real(0), full)
    causal = g.expand_ts(g.unsqueeze(causal, 0, 1), g.shape(b, 1, t, t), 4)
    seen = g("Sub", g.real(1), g("Cast", g.expand_ts(g.unsqueeze(mask, 1, 2), g.shape(b, 1, t, n), 4), to=FLOAT))
    hidden = g("Where", g("Cast", seen, to=BOOL), g.real(LOWEST), seen)
    joined = g("Mul", b, g.const([H]))

    def attend(x, source, bias, keys):
        q = g("Mul", g.linear(x, HIDDEN, HIDDEN), g.real(D**-0.5))
        k, v = g.linear(source, HIDDEN, HIDDEN), g.linear(source, HIDDEN, HIDDEN)
        flat = lambda v: g("Reshape", g("Transpose", g("Reshape", v, g.shape(b, -1, H, D)), perm=[0, 2, 1, 3]), g.shape(joined, -1, D))
        q, k, v = flat(q), flat(k), flat(v)
        s = g("Reshape", g("MatMul", q, g("Transpose", k, perm=[0, 2, 1])), g.shape(b, H, t, keys))
        s = g("Reshape", g("Add", s, bias), g.shape(joined, t, keys))
        a = g("MatMul", g("Softmax", s, axis=-1), v)
        a = g("Transpose", g("Reshape", a, g.shape(b, H, t, D)), perm=[0, 2, 1, 3])
        return g.linear(g("Reshape", a, g.shape(b, t, HIDDEN)), HIDDEN, HIDDEN)

    x = g.layer_norm(g("Add", x, attend(x, x, causal, t)), HIDDEN, "pow")
    x = g.layer_norm(g("Add", x, attend(x, encoder, hidden, n)), HIDDEN, "pow")
    x = g.layer_norm(g("Add", x, g.linear(g.gelu(g.linear(x, HIDDEN, 64)), 64, HIDDEN)), HIDDEN, "pow")
    g("Add", g("MatMul", x, g.random(HIDDEN, VOCAB)), g.random(1, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(13)
    return Sample(13, [{**s, "encoder": n} for s, n in zip(BATCHES, (7, 1, 9))], {"encoder_attention_mask": padded}, {"layer_norm": 4, "kv_attend": 2})


def dynamo_llama(path, opset=18, window=None, half=False, sinks=False, repeat=False):
    """torch.export of today's transformers: a boolean mask from broadcast indices and a gathered padding mask; SDPA in f32 tables.

    From opset 23 attention is one operator, `repeat`: with keys and values repeated for all heads. `sinks` is gpt-oss: a logit per head that takes weight and gives nothing.
    """
    dtype, kind = (np.float16, FLOAT16) if half else (np.float32, FLOAT)
    g = Builder(path, dtype=dtype)
    ids, mask, position_ids = g.ids(), g.input("attention_mask", INT64, ["batch", "total"]), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 2, 2, dtype=kind)
    count = lambda v, axis: g("Squeeze", g("Shape", v, start=axis, end=axis + 1), g.const([0]))
    batch, length, before = count(ids, 0), count(ids, 1), count(past[0][0], 2)
    arange = lambda n: g("Range", g.const(0), n, g.const(1))
    total = g("Add", before, length)
    query = g.unsqueeze(g("Add", arange(length), before), 0, 1, 3)  # [1, 1, S, 1]
    key = g.unsqueeze(arange(total), 0, 1, 2)  # [1, 1, 1, T]
    row = g.unsqueeze(arange(batch), 1, 2, 3)
    allowed = g("LessOrEqual", key, query)
    if window:
        allowed = g("And", g("Greater", key, g("Sub", query, g.const(window))), allowed)
    every = g.shape(g("Reshape", batch, g.const([1])), 1, 1, g("Reshape", total, g.const([1])))
    pair = g("Concat", *[g.unsqueeze(g("Expand", i, every), -1) for i in (row, key)], axis=-1)
    allowed = g("And", allowed, g("GatherND", g("Cast", mask, to=BOOL), pair, batch_dims=0))
    shape = g("Concat", g("Reshape", batch, g.const([-1])), g.const([1]), g("Reshape", length, g.const([-1])), g("Reshape", total, g.const([-1])), axis=0)
    allowed = g("Expand", allowed, shape)
    lowest = np.finfo(dtype).min

    frequencies = g.const((10000.0 ** -(np.arange(0, D, 2) / D)).astype(np.float32)[None, :, None], np.float32)
    frequencies = g("Expand", frequencies, g("Concat", g("Reshape", batch, g.const([-1])), g.const([D // 2]), g.const([1]), axis=0))
    angles = g("Transpose", g("MatMul", frequencies, g("Cast", g.unsqueeze(position_ids, 1), to=FLOAT)), perm=[0, 2, 1])
    angles = g("Concat", angles, angles, axis=-1)
    tables = [g("Mul", g(f, angles), g.const(1, np.float32)) for f in ("Cos", "Sin")]
    cos, sin = (g.unsqueeze(g("Cast", t, to=kind) if half else t, 1) for t in tables)
    norm = lambda v: g.rms_norm(v, HIDDEN, casts=half)
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    shape_of = lambda n: g("Concat", g("Reshape", batch, g.const([-1])), g("Reshape", length, g.const([-1])), g.const([-1]), g.const([n]), axis=0)
    for i in range(2):
        y = norm(x)
        q, k, v = (g("Transpose", g("Reshape", g.linear(y, HIDDEN, n * D, bias=False), shape_of(D), allowzero=1), perm=[0, 2, 1, 3]) for n in (H, 2, 2))
        q, k = g.rotate(q, cos, sin, D), g.rotate(k, cos, sin, D)
        k = g("Concat", past[i][0], k, axis=-2, out=f"present.{i}.key")
        v = g("Concat", past[i][1], v, axis=-2, out=f"present.{i}.value")
        if opset < 23 or repeat:
            k, v = (g.repeat_kv(t, 2, H // 2, D) for t in (k, v))
        if opset >= 23:
            a = g("Attention", q, k, v, allowed, scale=D**-0.5)
        else:
            bias = g("Where", allowed, g.real(0), g.real(lowest))
            if sinks:
                s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
                sink = g("Expand", g.weight(f"sinks{i}", g.rng.standard_normal((1, H, 1, 1)).astype(dtype)),
                         g("Concat", g("Reshape", batch, g.const([-1])), g.const([H]), g("Reshape", length, g.const([-1])), g.const([1]), axis=0))
                s = g("Concat", s, sink, axis=-1)
                s = g("Sub", s, g("ReduceMax", s, g.const([-1]), keepdims=1))
                p = g.slice(g("Softmax", s, axis=-1), 0, -1, 3)
                a = g("MatMul", p, v)
            else:
                root = g.real(np.sqrt(D**-0.5))
                s = g("MatMul", g("Mul", q, root), g("Mul", g("Transpose", k, perm=[0, 1, 3, 2]), root))
                p = g("Softmax", g("Add", s, bias), axis=-1)
                p = g("Where", g("IsNaN", p), g.real(0), p)
                a = g("MatMul", p, v)
        a = g("Reshape", g("Transpose", a, perm=[0, 2, 1, 3]), g("Concat", g("Reshape", batch, g.const([-1])), g("Reshape", length, g.const([-1])),
                                                                 g.const([-1]), axis=0), allowzero=1)
        x = g("Add", x, g.linear(a, HIDDEN, HIDDEN, bias=False))
        y = norm(x)
        gate, up = g.linear(y, HIDDEN, 48, bias=False), g.linear(y, HIDDEN, 48, bias=False)
        x = g("Add", x, g.linear(g("Mul", g("Mul", gate, g("Sigmoid", gate)), up), 48, HIDDEN, bias=False))
    g("MatMul", norm(x), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", kind, ["batch", "sequence", VOCAB])
    g.save(opset)
    return Sample(opset, STEPS + [{"batch": 3, "sequence": 9, "past": 2, "total": 11}], DECODER,
                  {"layer_norm": 5, "rotary": 4, "kv_attend": 2}, 4e-3 if half else 1e-4)


def latent_attention(path):
    """DeepSeek's compressed keys: a latent for all heads, normalised and projected, beside one rotary key that all heads share."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    rank, rope, plain = 16, 4, 8
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    y = g.rms_norm(x, HIDDEN)
    cos, sin = g.rotary_tables(position_ids, rope)
    q = g.linear(g.rms_norm(g.linear(y, HIDDEN, rank, bias=False), rank), rank, H * (plain + rope), bias=False)
    q_plain, q_rope = g("Split", g.split_heads(q, H, plain + rope), g.const([plain, rope]), outputs=2, axis=-1)
    latent, k_rope = g("Split", g.linear(y, HIDDEN, rank + rope, bias=False), g.const([rank, rope]), outputs=2, axis=-1)
    kv = g.split_heads(g.linear(g.rms_norm(latent, rank), rank, H * (plain + D), bias=False), H, plain + D)
    k_plain, v = g("Split", kv, g.const([plain, D]), outputs=2, axis=-1)
    k_rope = g.rotate(g("Transpose", g("Reshape", k_rope, g.shape(g.dim(x, 0), g.dim(x, 1), 1, rope)), perm=[0, 2, 1, 3]), cos, sin, rope)
    k_rope = g("Expand", k_rope, g.shape(g.dim(x, 0), H, g.dim(x, 1), rope))
    q = g("Concat", q_plain, g.rotate(q_rope, cos, sin, rope), axis=-1)
    k = g("Concat", k_plain, k_rope, axis=-1)
    s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), (plain + rope) ** -0.5), g.causal_mask(ids, g.dim(ids, 1)))
    a = g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), H * D)
    g("Add", x, g.linear(a, H * D, HIDDEN, bias=False), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(18)
    return Sample(18, BATCHES, {"position_ids": positions}, {"kv_attend": 1, "layer_norm": 3, "rotary": 2})


def bloom(path):
    """BLOOM over TorchScript: ALiBi from the mask, one product for q, k, v by head, baddbmm."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "total"])
    past = cache(g, 1, H)
    b, t, before = g.dim(ids, 0), g.dim(ids, 1), g.dim(past[0][0], 2)
    total = g("Add", before, t)
    place = g("Mul", g("Sub", g("CumSum", mask, g.const(-1)), g.const(1)), mask)
    slopes = g.const((2.0 ** (-8 / H * np.arange(1, H + 1)))[:, None], np.float32)
    alibi = g("Mul", slopes, g("Cast", g.unsqueeze(place, 1), to=FLOAT))  # [B, H, T]
    alibi = g("Reshape", alibi, g.shape(g("Mul", b, g.const([H])), 1, -1))
    x = g.layer_norm(g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), HIDDEN, "pow")
    y = g.layer_norm(x, HIDDEN, "pow")
    fused = g("Reshape", g.linear(y, HIDDEN, 3 * HIDDEN), g.shape(b, t, H, 3, D))
    q, k, v = (g("Transpose", g("Gather", fused, g.const(i), axis=3), perm=[0, 2, 1, 3]) for i in range(3))
    k = g("Concat", past[0][0], k, axis=2, out="present.0.key")
    v = g("Concat", past[0][1], v, axis=2, out="present.0.value")
    flat = lambda v: g("Reshape", v, g.shape(g("Mul", b, g.const([H])), -1, D))
    s = g("Add", g("Mul", alibi, g.real(1)), g("Mul", g("MatMul", flat(q), g("Transpose", flat(k), perm=[0, 2, 1])), g.real(D**-0.5)))
    s = g("Reshape", s, g.shape(b, H, t, -1))
    s = g("Add", s, g.old_causal_mask(ids, before, mask))
    p = g("Reshape", g("Softmax", s, axis=-1), g.shape(g("Mul", b, g.const([H])), t, -1))
    a = g("Reshape", g("MatMul", p, flat(v)), g.shape(b, H, t, D))
    a = g.linear(g.join_heads(a, HIDDEN), HIDDEN, HIDDEN)
    x = g("Add", a, x)
    y = g.layer_norm(x, HIDDEN, "pow")
    x = g("Add", g.linear(g.gelu(g.linear(y, HIDDEN, 64), "tanh"), 64, HIDDEN), x)
    g("MatMul", x, g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(13)
    return Sample(13, STEPS, {"attention_mask": padded}, {"layer_norm": 3, "kv_attend": 1})


def mixtral_ts(path):
    """Mixtral over TorchScript: the rows of each expert by NonZero, gathered, and added back in place."""
    g = Builder(path)
    x = g.input("hidden", FLOAT, ["batch", "sequence", HIDDEN])
    rows = g("Reshape", x, g.const([-1, HIDDEN]))
    routing = g("Softmax", g.linear(rows, HIDDEN, 4, bias=False), axis=1)
    best, which = g("TopK", routing, g.const([2]), outputs=2, axis=-1, largest=1, sorted=1)
    best = g("Div", best, g("ReduceSum", best, g.const([-1]), keepdims=1))
    hot = g("OneHot", which, g.const(4), g.const([0, 1]), axis=-1)  # [N, 2, E]
    hot = g("Transpose", hot, perm=[2, 1, 0])
    total = g("ConstantOfShape", g("Shape", rows), value=numpy_helper.from_array(np.zeros(1, np.float32)))
    for e in range(4):
        found = g("NonZero", g("Gather", hot, g.const(e), axis=0))  # [2, M]
        slot, row = g("Split", found, g.const([1, 1]), outputs=2, axis=0)
        slot, row = g("Squeeze", slot, g.const([0])), g("Squeeze", row, g.const([0]))
        mine = g("Gather", rows, row, axis=0)
        y = g("Mul", g.gelu(g.linear(mine, HIDDEN, 48, bias=False), "silu"), g.linear(mine, HIDDEN, 48, bias=False))
        y = g.linear(y, 48, HIDDEN, bias=False)
        weight = g("GatherND", best, g("Concat", g.unsqueeze(row, -1), g.unsqueeze(slot, -1), axis=-1))
        y = g("Mul", y, g.unsqueeze(weight, -1))
        if e % 2:
            total = g("ScatterND", total, g.unsqueeze(row, -1), y, reduction="add")
        else:
            total = g("ScatterElements", total, g("Expand", g.unsqueeze(row, -1), g("Shape", y)), y, axis=0, reduction="add")
    g("Reshape", total, g("Shape", x), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(16)
    return Sample(16, BATCHES)


def moe_batched(path):
    """Llama 4's experts: all of them as one batched product over stacked weights."""
    g = Builder(path)
    x = g.input("hidden", FLOAT, ["batch", "sequence", HIDDEN])
    rows = g("Reshape", x, g.const([-1, HIDDEN]))
    scores = g.linear(rows, HIDDEN, 4, bias=False)
    best, which = g("TopK", scores, g.const([1]), outputs=2, axis=1)
    nothing = g("Expand", g.real(-np.inf), g("Shape", scores))
    gates = g("Sigmoid", g("Transpose", g("ScatterElements", nothing, which, best, axis=1), perm=[1, 0]))  # [E, N]
    many = g("Reshape", g("Expand", g.unsqueeze(rows, 0), g.shape(4, g.dim(rows, 0), HIDDEN)), g.const([4, -1, HIDDEN]))
    many = g("Mul", many, g.unsqueeze(gates, 2))
    gate, up = g("Split", g("MatMul", many, g.random(4, HIDDEN, 96, scale=0.2)), outputs=2, axis=-1, num_outputs=2)
    y = g("MatMul", g("Mul", up, g.gelu(gate, "silu")), g.random(4, 48, HIDDEN, scale=0.2))
    y = g("ReduceSum", y, g.const([0]), keepdims=0)
    g("Reshape", y, g("Shape", x), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(18)
    return Sample(18, BATCHES)


# ---------------------------------------------------------------- ONNX Runtime's operators


def ort_gpt2(path):
    """What ONNX Runtime's optimizer makes of GPT-2: Attention with a joined past, skip norms, FastGelu."""
    g = Builder(path)
    ids, position_ids = g.input("input_ids", INT32, ["batch", "sequence"]), g.input("position_ids", INT32, ["batch", "sequence"])
    mask = g.input("attention_mask", INT32, ["batch", "total"])
    past = [g.input(f"past_{i}", FLOAT, [2, "batch", H, "past", D]) for i in range(2)]
    norm = lambda: (g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN))
    skip = lambda x, y: g("SkipLayerNormalization", x, y, *norm(), g.random(HIDDEN), outputs=4, domain=MICROSOFT, epsilon=1e-5)
    x = g("Add", g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), g("Gather", g.random(64, HIDDEN, scale=0.5), position_ids))
    y = g("LayerNormalization", x, *norm(), axis=-1, epsilon=1e-5)
    for i in range(2):
        a, _ = g("Attention", y, g.random(HIDDEN, 3 * HIDDEN), g.random(3 * HIDDEN), mask, past[i], domain=MICROSOFT, num_heads=H, unidirectional=1,
                 out=[f"attended{i}", f"present_{i}"])
        y, _, _, x = skip(x, g("MatMul", a, g.random(HIDDEN, HIDDEN)))
        m = g("FastGelu", g("MatMul", y, g.random(HIDDEN, 64)), g.random(64), domain=MICROSOFT)
        y, _, _, x = skip(x, g("MatMul", m, g.random(64, HIDDEN)))
        g.output(f"present_{i}", FLOAT, [2, "batch", H, "total", D])
    g("MatMul", y, g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 2, "layer_norm": 5})


def genai_gemma(path, opset=21):
    """GenAI's builder with separate q, k, v: norms by head, rotary outside, a window and a soft cap, an embedding by scale; zero points in the weights."""
    g = Builder(path)
    kv, size, hidden = 2, 16, 64
    ids, mask, position_ids = g.ids(), g.input("attention_mask", INT64, ["batch", "total"]), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 2, kv, size)
    last = g("Cast", g("Sub", g("ReduceSum", mask, g.const([1]), keepdims=0), g.const([1])), to=INT32)
    total = g("Cast", g("Gather", g("Shape", mask), g.const(1), axis=0), to=INT32)
    angles = np.arange(64)[:, None] * 10000.0 ** -(np.arange(0, size, 2) / size)
    cos, sin = (g.weight(n, f(angles).astype(np.float32)) for n, f in (("cos_cache", np.cos), ("sin_cache", np.sin)))
    serial = iter(range(100))

    def linear(x, inputs, outputs, bits=4, block=16):
        n = next(serial)
        blocks = inputs // block
        codes = g.weight(f"codes{n}", g.rng.integers(0, 256, (outputs, blocks, block * bits // 8)).astype(np.uint8))
        zeros = g.weight(f"zeros{n}", g.rng.integers(0, 256, (outputs, -(-blocks * bits // 8))).astype(np.uint8)) if bits == 4 else None
        scale = g.weight(f"scale{n}", (g.rng.random((outputs, blocks)) * (0.05 if bits == 4 else 0.003)).astype(np.float32))
        return g("MatMulNBits", x, codes, scale, zeros, domain=MICROSOFT, K=inputs, N=outputs, bits=bits, block_size=block, accuracy_level=0)

    by_head = lambda v, n: g("Reshape", g("SimplifiedLayerNormalization", g("Reshape", v, g.const([0, -1, size])), g.random(size, scale=0.1, offset=1),
                                          axis=-1, epsilon=1e-6, stash_type=1), g.const([0, -1, n * size]))
    x = g("Mul", g("Gather", g.random(VOCAB, hidden, scale=0.1), ids), g.real(np.sqrt(hidden)))
    norm = lambda v: g("SimplifiedLayerNormalization", v, g.random(hidden, scale=0.1, offset=1), axis=-1, epsilon=1e-6, stash_type=1)
    for i in range(2):
        y = norm(x)
        q, k, v = linear(y, hidden, 4 * size), linear(y, hidden, kv * size), linear(y, hidden, kv * size, 8, 32)
        q = g("RotaryEmbedding", by_head(q, 4), position_ids, cos, sin, domain=MICROSOFT, num_heads=4)
        k = g("RotaryEmbedding", by_head(k, kv), position_ids, cos, sin, domain=MICROSOFT, num_heads=kv)
        a, _, _ = g("GroupQueryAttention", q, k, v, *past[i], last, total, domain=MICROSOFT, num_heads=4, kv_num_heads=kv, scale=size**-0.5,
                    softcap=[30.0, 0.0][i], local_window_size=[3, -1][i], out=[f"a{i}", f"present.{i}.key", f"present.{i}.value"])
        x = g("Add", x, norm(linear(a, hidden, hidden)))
        y = norm(x)
        active = g("Mul", g("FastGelu", linear(y, hidden, 96, 4, 32), domain=MICROSOFT), linear(y, hidden, 96))
        x = g("Add", x, norm(linear(active, 96, hidden, 4, 32)))
    g("MatMul", norm(x), g.random(hidden, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(opset)
    return Sample(opset, STEPS, DECODER, {"kv_attend": 2, "matmul_nbits": 14}, 1e-3)


def blocked_int4(path):
    """Opset 21: 4-bit weights in blocks through DequantizeLinear, a SwiGLU."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])

    def linear(v, inputs, outputs, kind):
        n = len(g.initializers)
        low = 0 if kind == TensorProto.UINT4 else -8
        codes = g.rng.integers(low, low + 16, inputs * outputs)
        g.initializers.append(helper.make_tensor(f"codes{n}", kind, [inputs, outputs], codes))
        scale = g.weight(f"scale{n}", (g.rng.random((inputs // 16, outputs)) * 0.05 + 0.01).astype(np.float32))
        zero = None
        if kind == TensorProto.UINT4:
            zero = f"zero{n}"
            g.initializers.append(helper.make_tensor(zero, kind, [inputs // 16, outputs], g.rng.integers(0, 16, inputs // 16 * outputs)))
        return g("MatMul", v, g("DequantizeLinear", f"codes{n}", scale, zero, axis=0, block_size=16))

    y = g("Mul", g.gelu(linear(x, HIDDEN, 48, TensorProto.INT4), "silu"), linear(x, HIDDEN, 48, TensorProto.UINT4))
    g("Add", x, linear(y, 48, HIDDEN, TensorProto.INT4), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(21)
    return Sample(21, BATCHES, tolerance=3e-4)


def greedy_loop(path):
    """A Loop that reads its own output: the last id, the next logits, ArgMax, and the ids that grow."""
    g = Builder(path)
    ids, steps = g.ids(), g.input("steps", INT64, [])
    table, w, head = g.random(VOCAB, HIDDEN, scale=0.5), g.random(HIDDEN, HIDDEN), g.random(HIDDEN, VOCAB)

    def body():
        x = g("Gather", table, "ids_in")
        s = g.scores(g("MatMul", x, w), g("Transpose", x, perm=[0, 2, 1]), HIDDEN**-0.5)
        x = g("Add", x, g("MatMul", g("Softmax", s, axis=-1), x))
        x = g("Gather", x, g.const(-1), axis=1)
        logits = g("MatMul", x, head)
        grown = g("Concat", "ids_in", g("ArgMax", logits, axis=-1, keepdims=1), axis=1)
        return [g("Identity", "go"), grown, logits]

    graph = subgraph(g, "body", [("go_out", BOOL), ("ids_out", INT64), ("row", FLOAT)], body,
                     [("step", INT64, []), ("go", BOOL, []), ("ids_in", INT64, ["batch", "length"])])
    g("Loop", steps, g.const(True, bool), ids, body=graph, out=["ids_final", "logits"])
    g.output("ids_final", INT64, ["batch", "grown"])
    g.output("logits", FLOAT, ["steps", "batch", VOCAB])
    g.save(17)
    return Sample(17, BATCHES, {"steps": lambda s, z, r: np.array(1 + z["batch"])})


MODELS = {
    "gpt2-merged": gpt2_merged,
    "t5-merged": t5_merged,
    "bart-decoder-ts": bart_decoder,
    "bloom-ts": bloom,
    "dynamo-llama": dynamo_llama,
    "dynamo-window": lambda p: dynamo_llama(p, 20, window=4),
    "dynamo-f16": lambda p: dynamo_llama(p, half=True),
    "dynamo-attention23": lambda p: dynamo_llama(p, 23),
    "dynamo-attention23-repeat": lambda p: dynamo_llama(p, 23, repeat=True),
    "gpt-oss-sinks": lambda p: dynamo_llama(p, sinks=True),
    "latent-attention": latent_attention,
    "mixtral-ts": mixtral_ts,
    "experts-batched": moe_batched,
    "ort-gpt2": ort_gpt2,
    "genai-gemma": genai_gemma,
    "int4-opset21": blocked_int4,
    "greedy-loop": greedy_loop,
}
