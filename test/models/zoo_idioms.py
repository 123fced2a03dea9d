"""Decoders for the zoo that differ in how they write attention, positions and the cache.

Like zoo.py, which has the blocks: each function of MODELS writes one graph and returns its Sample.
"""
import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.graph import BOOL, FLOAT, INT64
from models.zoo import D, DECODER, END, H, HIDDEN, LOWEST, STEPS, VOCAB, Builder, Sample, cache
from models.zoo_decoders import branches

LONGEST = 64  # positions that tables have


def frame(g, layers, attend, ids=None, place=None):
    """A decoder around attend(layer, y) -> y; `place` are embeddings of positions, if it has them."""
    ids = ids or g.ids()
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    x = g("Add", x, place) if place else x
    for i in range(layers):
        x = g("Add", x, attend(i, g.layer_norm(x, HIDDEN)))
        x = g("Add", x, g.linear(g.gelu(g.linear(g.layer_norm(x, HIDDEN), HIDDEN, 64), "tanh"), 64, HIDDEN))
    g("MatMul", g.layer_norm(x, HIDDEN), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])


def heads(g, y, n=H):
    return g.split_heads(g.linear(y, HIDDEN, n * D), n, D)


def output(g, a):
    return g.linear(g.join_heads(a, HIDDEN), HIDDEN, HIDDEN)


def grown(g, past, i, k, v):
    return (g("Concat", past[i][s], new, axis=2, out=f"present.{i}.{name}") for s, (name, new) in enumerate((("key", k), ("value", v))))


def tril(g, before, total):
    """Rows [before, total) of a triangle that is a weight."""
    triangle = g.weight("bias", np.tril(np.ones((1, 1, LONGEST, LONGEST), np.uint8)))
    rows = g("Slice", triangle, before, total, g.const([2]), g.const([1]))
    return g("Cast", g("Slice", rows, g.const([0]), total, g.const([3]), g.const([1])), to=BOOL)


def gpt2_joined(path, layers_too=False):
    """past_0 [2, B, H, P, D], taken apart by Gather and stacked again; `layers_too`: one tensor for all layers, by Split."""
    g = Builder(path)
    ids = g.ids()
    if layers_too:
        whole = g.input("past_key_values", FLOAT, [2, 2, "batch", H, "past", D])
        past = [g("Squeeze", p, g.const([0])) for p in g("Split", whole, g.const([1, 1]), outputs=2, axis=0)]
    else:
        past = [g.input(f"past_{i}", FLOAT, [2, "batch", H, "past", D]) for i in range(2)]
    before = g.dim(past[0], 3)
    total = g("Add", before, g.dim(ids, 1))
    seen = tril(g, before, total)
    steps = g("Range", g("Squeeze", before, g.const([0])), g("Squeeze", total, g.const([0])), g.const(1))
    present = []

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k = g("Concat", g("Gather", past[i], g.const(0), axis=0), k, axis=-2)
        v = g("Concat", g("Gather", past[i], g.const(1), axis=0), v, axis=-2)
        present.append(g("Concat", g.unsqueeze(k, 0), g.unsqueeze(v, 0), axis=0, out=None if layers_too else f"present_{i}"))
        s = g("Where", seen, g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), g.real(-1e4))
        return output(g, g("MatMul", g("Softmax", s, axis=-1), v))

    frame(g, 2, attend, ids, g("Gather", g.random(LONGEST, HIDDEN, scale=0.5), steps))
    if layers_too:
        g("Concat", *[g.unsqueeze(p, 0) for p in present], axis=0, out="present_key_values")
        g.output("present_key_values", FLOAT, [2, 2, "batch", H, "total", D])
    else:
        for i in range(2):
            g.output(f"present_{i}", FLOAT, [2, "batch", H, "total", D])
    g.save(17)
    return Sample(17, STEPS, raised={"kv_attend": 2, "layer_norm": 5}, causal_step=True)


def whisper_merged(path):
    """Encoder and decoder merged, BART's products of [B * H, T, D]. The branch with a past was traced with one token: it has no causal mask."""
    g = Builder(path)
    ids = g.ids("input_ids")
    encoder = g.input("encoder_hidden_states", FLOAT, ["batch", "encoder", HIDDEN])
    past = [g.input(f"past_key_values.{i}.{part}.{s}", FLOAT, ["batch", H, "past" if part == "decoder" else "encoder_past", D])
            for i in range(2) for part in ("decoder", "encoder") for s in ("key", "value")]
    use = g.input("use_cache_branch", BOOL, [1])
    outputs = [("logits", FLOAT)] + [(f"present.{i}.{p}.{s}", FLOAT) for i in range(2) for p in ("decoder", "encoder") for s in ("key", "value")]
    table, place, head = g.random(VOCAB, HIDDEN, scale=0.5), g.random(LONGEST, HIDDEN, scale=0.5), g.random(HIDDEN, VOCAB)
    w = [{n: (g.random(HIDDEN, HIDDEN), g.random(HIDDEN)) for n in ("q", "k", "v", "o", "cq", "ck", "cv", "co")} for _ in range(2)]
    norms = [(g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN)) for _ in range(5)]

    def body(cached):
        linear = lambda x, p: g("Add", p[1], g("MatMul", x, p[0]))
        norm = lambda x, p: g("LayerNormalization", x, *p, axis=-1)
        b, t = g.dim(ids, 0), g.dim(ids, 1)
        split = lambda x: g("Transpose", g("Reshape", x, g.shape(b, -1, H, D)), perm=[0, 2, 1, 3])
        flat = lambda x: g("Reshape", x, g.shape(g("Mul", b, g.const([H])), -1, D))
        first = g.dim(past[0], 2) if cached else g.const([0])
        x = g("Add", g("Gather", table, ids), g("Slice", place, first, g("Add", first, t), g.const([0])))

        def attend(q, k, v, mask, o):
            s = g("MatMul", flat(q), g("Transpose", flat(k), perm=[0, 2, 1]))
            n = g.dim(k, 2)
            if mask:
                s = g("Reshape", g("Add", g("Reshape", s, g.shape(b, H, t, n)), mask), g.shape(g("Mul", b, g.const([H])), t, n))
            a = g("MatMul", g("Softmax", s, axis=-1), flat(v))
            a = g("Transpose", g("Reshape", a, g.shape(b, H, t, D)), perm=[0, 2, 1, 3])
            return linear(g("Reshape", a, g.shape(b, t, HIDDEN)), o)

        steps = g("Range", g.const(0), g("Squeeze", t, g.const([0])), g.const(1))
        causal = g("Where", g("LessOrEqual", g.unsqueeze(steps, 0), g.unsqueeze(steps, 1)), g.real(0), g.real(LOWEST))
        causal = None if cached else g("Expand", g.unsqueeze(causal, 0, 1), g.shape(b, 1, t, t))
        present = []
        for i in range(2):
            y = norm(x, norms[2 * i])
            q, k, v = (split(g("Mul", linear(y, w[i][n]), g.real(D**-0.5)) if n == "q" else linear(y, w[i][n])) for n in "qkv")
            if cached:
                k, v = g("Concat", past[4 * i], k, axis=2), g("Concat", past[4 * i + 1], v, axis=2)
            x = g("Add", x, attend(q, k, v, causal, w[i]["o"]))
            y = norm(x, norms[2 * i + 1])
            ck, cv = (past[4 * i + 2], past[4 * i + 3]) if cached else (split(linear(encoder, w[i][n])) for n in ("ck", "cv"))
            x = g("Add", x, attend(split(g("Mul", linear(y, w[i]["cq"]), g.real(D**-0.5))), ck, cv, None, w[i]["co"]))
            empty = lambda: g("Constant", value=numpy_helper.from_array(np.zeros((0, H, 1, D), np.float32)))
            present += [k, v, *((empty(), empty()) if cached else (ck, cv))]
        return [g("MatMul", norm(x, norms[4]), head), *present]

    branches(g, use, outputs, lambda: body(True), lambda: body(False))
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    for i in range(2):
        for part in ("decoder", "encoder"):
            for s in ("key", "value"):
                g.output(f"present.{i}.{part}.{s}", FLOAT, ["batch", H, "total", D] if part == "decoder" else ["encoder_batch", H, "encoder_out", D])
    g.save(17)
    sizes = [{"batch": 1, "sequence": 4, "past": 0, "encoder_past": 0, "encoder": 7}, {"batch": 2, "sequence": 1, "past": 5, "encoder_past": 7, "encoder": 7}]
    return Sample(17, sizes, {"use_cache_branch": lambda s, z, r: np.array([z["past"] > 0])}, {"kv_attend": 8, "layer_norm": 10})


def opt_flat(path):
    """OPT over TorchScript: products of [B * H, T, D], the sum with the mask bounded from below, masks by comparison."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "total"])
    past = cache(g, 2, H)
    b, t, before = g.dim(ids, 0), g.dim(ids, 1), g.dim(past[0][0], 2)
    bias = g.old_causal_mask(ids, before, mask)
    counted = g("Sub", g("Mul", g("CumSum", mask, g.const(1)), mask), g.const(1))
    place = g("Add", g("Slice", counted, before, g.const([END]), g.const([1])), g.const(2))
    joined = g("Mul", b, g.const([H]))
    flat = lambda v: g("Reshape", v, g.shape(joined, -1, D))

    def attend(i, y):
        q = flat(g.split_heads(g("Mul", g.linear(y, HIDDEN, HIDDEN), g.real(D**-0.5)), H, D))
        k, v = grown(g, past, i, heads(g, y), heads(g, y))
        n = g.dim(k, 2)
        s = g("Reshape", g("MatMul", q, g("Transpose", flat(k), perm=[0, 2, 1])), g.shape(b, H, t, n))
        s = g("Max", g("Add", s, bias), g.real(LOWEST))
        s = g("Reshape", s, g.shape(joined, t, n))
        a = g("Reshape", g("MatMul", g("Softmax", s, axis=-1), flat(v)), g.shape(b, H, t, D))
        return output(g, a)

    frame(g, 2, attend, ids, g("Gather", g.random(LONGEST + 2, HIDDEN, scale=0.5), place))
    g.save(13)
    return Sample(13, STEPS, DECODER, {"kv_attend": 2}, causal_step=True)


def einsum_decoder(path):
    """Attention by Einsum, keys and values repeated for groups of heads."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)
    cos, sin = g.rotary_tables(position_ids, D)

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, g.rotate(k, cos, sin, D), v)
        q = g("Transpose", g.rotate(q, cos, sin, D), perm=[0, 2, 1, 3])
        s = g("Einsum", q, k, equation="bqhd,bhkd->bhqk")
        p = g("Softmax", g("Add", g("Mul", s, g.real(D**-0.5)), bias), axis=-1)
        a = g("Einsum", v, p, equation="b h k d, b h q k -> b q h d")
        return g.linear(g("Reshape", a, g.const([0, 0, HIDDEN])), HIDDEN, HIDDEN)

    frame(g, 1, attend, ids)
    g.save(18)
    return Sample(18, STEPS, DECODER, {"kv_attend": 1, "rotary": 2}, causal_step=True)


def interleaved_tables(g, position_ids, size):
    """cos and sin [B, S, size / 2] from a table of both."""
    angles = np.outer(np.arange(LONGEST), 10000.0 ** -(np.arange(0, size, 2) / size))
    both = g("Gather", g.weight("embed_positions", np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)), position_ids)
    return reversed(g("Split", both, g.const([size // 2] * 2), outputs=2, axis=-1))


def gptj(path, size=4, tile=True):
    """GPT-J: every two neighbours turn, before heads and tokens change places; the rest of a head stays."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 2, H)
    before = g.dim(past[0][0], 2)
    total = g("Add", before, g.dim(ids, 1))
    seen = tril(g, before, total)
    b, t = g.dim(ids, 0), g.dim(ids, 1)

    def joined(x, heads):  # the last two axes as one
        leading = g("Slice", g("Shape", x), g.const([0]), g.const([-2]), g.const([0])) if tile else g.shape(b, t, heads)
        return g("Reshape", x, g("Concat", leading, g.const([-1] if tile else [size]), axis=0))

    def twice(table):  # repeat_interleave(table[:, :, None, :], 2, 3)
        table = g.unsqueeze(table, 2)
        wide = g.unsqueeze(table, -1)
        wide = g("Tile", wide, g.const([1, 1, 1, 1, 2])) if tile else g("Expand", wide, g.shape(b, t, 1, size // 2, 2))
        return joined(wide, 1)

    cos, sin = (twice(table) for table in interleaved_tables(g, position_ids, size))

    def rotate(x):
        turned, rest = (x, None) if size == D else (g.slice(x, 0, size, 3), g.slice(x, size, END, 3))
        even, odd = g.slice(turned, 0, END, 3, 2), g.slice(turned, 1, END, 3, 2)
        pairs = g("Concat", g.unsqueeze(g("Neg", odd), -1), g.unsqueeze(even, -1), axis=-1)
        y = g("Add", g("Mul", turned, cos), g("Mul", joined(pairs, H), sin))
        y = g("Concat", y, rest, axis=-1) if rest else y
        return g("Transpose", y, perm=[0, 2, 1, 3])

    def attend(i, y):
        split = lambda: g("Reshape", g.linear(y, HIDDEN, HIDDEN, bias=False), g.shape(b, t, H, D))
        q, k, v = rotate(split()), rotate(split()), g("Transpose", split(), perm=[0, 2, 1, 3])
        k, v = grown(g, past, i, k, v)
        s = g("Where", seen, g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.real(LOWEST))
        return output(g, g("MatMul", g("Softmax", g("Div", s, g.real(np.sqrt(D))), axis=-1), v))

    frame(g, 2, attend, ids)
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 2, "rotary": 4}, causal_step=True)


def chatglm(path):
    """ChatGLM: pairs by Reshape, tables of [cos, sin] pairs, half of each head turns; complex numbers by another name."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)
    size = D // 2
    cos, sin = (g.unsqueeze(table, 1) for table in interleaved_tables(g, position_ids, size))

    def rotate(x):
        turned, rest = g("Split", x, g.const([size, D - size]), outputs=2, axis=-1)
        pairs = g("Reshape", turned, g.const([0, 0, 0, size // 2, 2]))
        even, odd = (g("Gather", pairs, g.const(i), axis=-1) for i in (0, 1))
        first = g("Sub", g("Mul", even, cos), g("Mul", odd, sin))
        second = g("Add", g("Mul", odd, cos), g("Mul", even, sin))
        y = g("Reshape", g("Concat", g.unsqueeze(first, -1), g.unsqueeze(second, -1), axis=-1), g.const([0, 0, 0, size]))
        return g("Concat", y, rest, axis=-1)

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, rotate(k), v)
        return output(g, g.sdpa(rotate(q), k, v, D, bias))

    frame(g, 1, attend, ids)
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 1, "rotary": 2}, causal_step=True)


def mpt(path, form="table"):
    """MPT: ALiBi as a table that is cut from its end, "from-end" by a negative start; "distance": the slopes times -|i - j|."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "total"])
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    total = g("Add", before, g.dim(ids, 1))
    slopes = (2.0 ** (-8 / H * np.arange(1, H + 1))).astype(np.float32)
    scalar = lambda v: g("Squeeze", v, g.const([0]))
    columns = g("Range", g.const(0), scalar(total), g.const(1))
    rows = g.unsqueeze(g("Range", scalar(before), scalar(total), g.const(1)), 1)
    if form != "distance":
        table = g.weight("alibi", slopes[:, None, None] * np.arange(1 - LONGEST, 1, dtype=np.float32))
        start = g("Neg", total) if form == "from-end" else g("Max", g.const([0]), g("Sub", g.const([LONGEST]), total))
        alibi = g("Slice", table, start, g.const([END]), g.const([2]))
    else:
        alibi = g("Mul", g.weight("slopes", slopes[None, :, None, None]), g("Neg", g("Cast", g("Abs", g("Sub", columns, rows)), to=FLOAT)))
    hidden = g("Or", g("Greater", columns, rows), g("Not", g("Cast", g.unsqueeze(mask, 1, 2), to=BOOL)))

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, k, v)
        s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), alibi)
        return output(g, g("MatMul", g("Softmax", g("Where", hidden, g.real(LOWEST), s), axis=-1), v))

    frame(g, 1, attend, ids)
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 1})


def function_decoder(path):
    """Attention as a function of the model, as dynamo's first exports have it."""
    g = Builder(path)
    ids = g.ids()
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)
    module, node = "pkg.transformers", helper.make_node
    attention = helper.make_function(module, "scaled_dot_product_attention", ["q", "k", "v", "mask"], ["out"], [
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]), node("Constant", [], ["scale"], value_float=D**-0.5), node("MatMul", ["q", "kt"], ["raw"]),
        node("Mul", ["raw", "scale"], ["scaled"]), node("Add", ["scaled", "mask"], ["scores"]), node("Softmax", ["scores"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["out"])], [helper.make_opsetid("", 18)], [])

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, k, v)
        return output(g, g("scaled_dot_product_attention", q, k, v, bias, domain=module))

    frame(g, 1, attend, ids)
    g.save(18)
    model = onnx.load(path)
    model.functions.append(attention)
    onnx.save(model, path)
    return Sample(18, STEPS, DECODER, {"kv_attend": 1}, causal_step=True)


def quantised_cache(path):
    """Static quantisation: what goes into a product of attention is rounded to 8 bits, the cache too, each time it is read."""
    g = Builder(path)
    ids = g.ids()
    past = cache(g, 1, H)
    before = g.dim(past[0][0], 2)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)

    def fake(v, scale, zero):
        s, z = g.real(scale), g.const(zero, np.uint8)
        return g("DequantizeLinear", g("QuantizeLinear", v, s, z), s, z)

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, k, v)
        s = g.scores(fake(q, 0.02, 130), g("Transpose", fake(k, 0.03, 120), perm=[0, 1, 3, 2]), D**-0.5)
        return output(g, g("MatMul", g("Softmax", g("Add", s, bias), axis=-1), fake(v, 0.02, 128)))

    frame(g, 1, attend, ids)
    g.save(17)
    # A unit of a rounded number, where a sum lies on the edge between two.
    return Sample(17, STEPS, DECODER, {"kv_attend": 1}, 3e-2, causal_step=True)


def tokens_first(path):
    """A cache [B, P, H, D], as it comes from the projections."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = [g.input(f"past_key_values.0.{s}", FLOAT, ["batch", "past", H, D]) for s in ("key", "value")]
    before = g.dim(past[0], 1)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)
    cos, sin = (g("Transpose", t, perm=[0, 2, 1, 3]) for t in g.rotary_tables(position_ids, D))

    def attend(i, y):
        q, k, v = (g("Reshape", g.linear(y, HIDDEN, HIDDEN), g.const([0, 0, H, D])) for _ in range(3))
        k = g("Concat", past[0], g.rotate(k, cos, sin, D), axis=1, out="present.0.key")
        v = g("Concat", past[1], v, axis=1, out="present.0.value")
        s = g.scores(g("Transpose", g.rotate(q, cos, sin, D), perm=[0, 2, 1, 3]), g("Transpose", k, perm=[0, 2, 3, 1]), D**-0.5)
        return output(g, g("MatMul", g("Softmax", g("Add", s, bias), axis=-1), g("Transpose", v, perm=[0, 2, 1, 3])))

    frame(g, 1, attend, ids)
    for s in ("key", "value"):
        g.output(f"present.0.{s}", FLOAT, ["batch", "total", H, D])
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 1, "rotary": 2}, causal_step=True)


def gathered_mask(path, window=None):
    """A mask that is a buffer, its rows gathered by cache_position."""
    g = Builder(path)
    ids, places = g.ids(), g.input("cache_position", INT64, ["sequence"])
    past = cache(g, 1, H)
    total = g("Add", g.dim(past[0][0], 2), g.dim(ids, 1))
    table = np.tril(np.ones((LONGEST, LONGEST), bool))
    table = table & np.triu(np.ones((LONGEST, LONGEST), bool), 1 - window) if window else table
    rows = g("Gather", g.weight("causal_mask", table), places, axis=0)
    allowed = g.unsqueeze(g("Slice", rows, g.const([0]), total, g.const([1])), 0, 1)
    bias = g("Where", allowed, g.real(0), g.real(LOWEST))
    cos, sin = g.rotary_tables(g.unsqueeze(places, 0), D)

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        k, v = grown(g, past, i, g.rotate(k, cos, sin, D), v)
        s = g("Add", g.scores(g.rotate(q, cos, sin, D), g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
        return output(g, g("MatMul", g("Softmax", s, axis=-1), v))

    frame(g, 1, attend, ids)
    g.save(18)
    place = lambda shape, sizes, rng: np.arange(sizes["past"], sizes["past"] + shape[0])
    return Sample(18, STEPS, {"cache_position": place}, {"kv_attend": 1, "rotary": 2}, causal_step=True)


def torch_sdpa(path, exporter, groups):
    """scaled_dot_product_attention of today's transformers through torch's exporters, TorchScript ("ts") and "dynamo".

    TorchScript looks up the padding mask in its flattened form and computes the halves of a rotation from the shape; dynamo exchanges the keys'
    last axes in a form flattened to three. With one group the product of queries and keys repeats it.
    """
    ts = exporter == "ts"
    g = Builder(path)
    ids, mask, position_ids = g.ids(), g.input("attention_mask", INT64, ["batch", "total"]), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 1, groups)
    batch, length, before = g.dim(ids, 0), g.dim(ids, 1), g.dim(past[0][0], 2)
    total = g("Add", before, length)
    arange = lambda n: g("Range", g.const(0), g("Squeeze", n, g.const([0])), g.const(1))
    key, row = g.unsqueeze(arange(total), 0, 1, 2), g.unsqueeze(arange(batch), 1, 2, 3)
    query = g.unsqueeze(g("Add", arange(length), g("Squeeze", before, g.const([0]))), 0, 1, 3)
    if ts:
        flat = g("Reshape", g("Cast", mask, to=BOOL), g.const([-1]))
        at = g("Add", key, g("Mul", row, g.dim(mask, 1)))
        seen = g("Reshape", g("Gather", flat, g("Reshape", at, g.const([-1])), axis=0), g("Shape", at))
    else:
        every = g.shape(batch, 1, 1, total)
        pairs = g("Concat", *[g.unsqueeze(g("Expand", i, every), -1) for i in (row, key)], axis=-1)
        seen = g("GatherND", g("Cast", mask, to=BOOL), pairs)
    allowed = g("And", g("LessOrEqual", key, query), seen)
    bias = g("Where", allowed, g.real(0), g.real(-np.inf if ts else LOWEST))
    cos, sin = g.rotary_tables(position_ids, D)

    def rotate(x):
        if not ts:
            return g.rotate(x, cos, sin, D)
        half = g.unsqueeze(g("Div", g("Gather", g("Shape", x), g.const(3), axis=0), g.const(2)), 0)
        low, high = (g("Slice", x, a, b, g.const([3]), g.const([1])) for a, b in ((g.const([0]), half), (half, g.const([END]))))
        return g("Add", g("Mul", x, cos), g("Mul", g("Concat", g("Neg", high), low, axis=-1), sin))

    def exchanged(k):
        if ts:
            return g("Transpose", k, perm=[0, 1, 3, 2])
        shape = g("Shape", k)
        sizes = lambda start, end: g("Slice", shape, g.const([start]), g.const([end]))
        leading, rows, columns = sizes(-END, -2), sizes(-2, -1), sizes(-1, END)
        flat = g("Reshape", k, g("Concat", g.const([-1]), rows, columns, axis=0))
        return g("Reshape", g("Transpose", flat, perm=[0, 2, 1]), g("Concat", leading, columns, rows, axis=0))

    def attend(i, y):
        q, k, v = (heads(g, y, n) for n in (H, groups, groups))
        k, v = grown(g, past, i, rotate(k), v)
        if groups > 1:
            k, v = (g.repeat_kv(t, groups, H // groups, D, ts) for t in (k, v))
        root = g.real(D**-0.25)
        s = g("Add", g("MatMul", g("Mul", rotate(q), root), g("Mul", exchanged(k), root)), bias)
        p = g("Softmax", s, axis=-1)
        return output(g, g("MatMul", g("Where", g("IsNaN", p), g.real(0), p) if ts else p, v))

    frame(g, 1, attend, ids)
    g.save(18)
    return Sample(18, STEPS, DECODER, {"kv_attend": 1, "rotary": 2})


def swin2(path):
    """Swin 2 in windows of fixed size: cosines of angles between q and k, a learned temperature per head, shifted windows masked."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", 36, HIDDEN])
    n, windows = 9, 4
    y = g("Reshape", x, g.const([-1, n, HIDDEN]))
    unit = lambda v: g("Div", v, g("Expand", g("Max", g("ReduceL2", v, axes=[-1], keepdims=1), g.real(1e-12)), g("Shape", v)))
    q, k, v = (g("Transpose", g("Reshape", g.linear(y, HIDDEN, HIDDEN), g.const([-1, n, H, D])), perm=[0, 2, 1, 3]) for _ in range(3))
    s = g("MatMul", unit(q), g("Transpose", unit(k), perm=[0, 1, 3, 2]))
    s = g("Mul", s, g("Exp", g("Min", g.random(H, 1, 1, offset=2), g.real(4.6))))
    s = g("Add", s, g.random(1, H, n, n, scale=0.5))
    mask = g.weight("mask", np.where(g.rng.random((1, windows, 1, n, n)) < 0.3, -100, 0).astype(np.float32))
    s = g("Reshape", g("Add", g("Reshape", s, g.const([-1, windows, H, n, n])), mask), g.const([-1, H, n, n]))
    a = g("MatMul", g("Softmax", s, axis=-1), v)
    a = g("Reshape", g("Transpose", a, perm=[0, 2, 1, 3]), g.const([-1, n, HIDDEN]))
    g("Reshape", g.linear(a, HIDDEN, HIDDEN), g.const([-1, 36, HIDDEN]), out="out")
    g.output("out", FLOAT, ["batch", 36, HIDDEN])
    g.save(17)
    return Sample(17, [{"batch": 1}, {"batch": 3}], raised={"kv_attend": 1})


def gpt2_first(path):
    """The first GPT-2 exports: a float triangle that multiplies the scores, 1e4 taken off the rest, keys stored transposed, joined pasts."""
    g = Builder(path)
    ids = g.ids()
    past = [g.input("past_0", FLOAT, [2, "batch", H, "past", D])]
    before = g.dim(past[0], 3)
    total = g("Add", before, g.dim(ids, 1))
    triangle = g.weight("bias", np.tril(np.ones((1, 1, LONGEST, LONGEST), np.float32)))
    steps = g("Range", g("Squeeze", before, g.const([0])), g("Squeeze", total, g.const([0])), g.const(1))

    def attend(i, y):
        q, k, v = (heads(g, y) for _ in range(3))
        old_k, old_v = (g("Squeeze", p, g.const([0])) for p in g("Split", past[i], g.const([1, 1]), outputs=2, axis=0))
        k, v = g("Concat", old_k, k, axis=2), g("Concat", old_v, v, axis=2)
        g("Concat", g.unsqueeze(k, 0), g.unsqueeze(v, 0), axis=0, out=f"present_{i}")
        w = g("Div", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.real(np.sqrt(D)))
        ns, nd = g.dim(w, 3), g.dim(w, 2)
        b = g("Slice", g("Slice", triangle, g("Sub", ns, nd), ns, g.const([2]), g.const([1])), g.const([0]), ns, g.const([3]), g.const([1]))
        w = g("Sub", g("Mul", w, b), g("Mul", g("Sub", g.real(1), b), g.real(1e4)))
        return output(g, g("MatMul", g("Softmax", w, axis=-1), v))

    frame(g, 1, attend, ids, g("Gather", g.random(LONGEST, HIDDEN, scale=0.5), steps))
    g.output("present_0", FLOAT, [2, "batch", H, "total", D])
    g.save(13)
    return Sample(13, STEPS, raised={"kv_attend": 1}, causal_step=True)


MODELS = {
    "gpt2-joined": gpt2_joined,
    "gpt2-first": gpt2_first,
    "gpt2-stacked": lambda p: gpt2_joined(p, layers_too=True),
    "whisper-merged": whisper_merged,
    "opt-flat": opt_flat,
    "einsum-decoder": einsum_decoder,
    "gptj-interleaved": gptj,
    "gptj-whole-heads": lambda p: gptj(p, D, tile=False),
    "chatglm-pairs": chatglm,
    "mpt-alibi": mpt,
    "alibi-from-end": lambda p: mpt(p, "from-end"),
    "alibi-distance": lambda p: mpt(p, "distance"),
    "function-decoder": function_decoder,
    "quantised-cache": quantised_cache,
    "tokens-first": tokens_first,
    "gathered-mask": gathered_mask,
    "gathered-window": lambda p: gathered_mask(p, 5),
    "sdpa-ts": lambda p: torch_sdpa(p, "ts", 2),
    "sdpa-ts-one-group": lambda p: torch_sdpa(p, "ts", 1),
    "sdpa-dynamo": lambda p: torch_sdpa(p, "dynamo", 2),
    "swin2": swin2,
}
