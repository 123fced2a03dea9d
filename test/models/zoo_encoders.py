"""More encoders for the zoo: disentangled and windowed attention, speech, two towers, diffusion, quantised graphs, half precision, Einsum, Scan, functions.

Like zoo.py, which has the blocks: each function of MODELS writes one graph and returns its Sample.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper

from models.graph import BOOL, FLOAT, FLOAT16, INT32, INT64
from models.zoo import BATCHES, D, END, H, HIDDEN, LOWEST, MICROSOFT, VOCAB, Builder, Sample, padded

IMAGES = [{"batch": 1}, {"batch": 3}]


def deberta(path):
    """DeBERTa v2 over TorchScript: scores between contents and relative positions, gathered by distance; masked by Where, and cleared after Softmax."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    n = g("Squeeze", g.dim(ids, 1), g.const([0]))
    keep = g("Cast", mask, to=FLOAT)
    x = g.layer_norm(g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), HIDDEN, "pow")
    x = g("Mul", x, g.unsqueeze(keep, 2))
    wide = g.unsqueeze(mask, 1, 2)
    pair = g("Mul", wide, g.unsqueeze(g("Squeeze", wide, g.const([-2])), -1))
    seen = g("Cast", pair, to=BOOL)
    span = g("Range", g.const(0), n, g.const(1))
    relative = g("Sub", g.unsqueeze(span, 1), g.unsqueeze(span, 0))
    sign = g("Sign", g("Cast", relative, to=FLOAT))
    middle = 4
    near = g("And", g("Less", relative, g.const(middle)), g("Greater", relative, g.const(-middle)))
    distance = g("Where", near, g.const(middle - 1), g("Abs", relative))
    ratio = g("Div", g("Log", g("Div", g("Cast", distance, to=FLOAT), g.real(middle))), g.real(np.log(15 / middle)))
    far = g("Add", g("Ceil", g("Mul", ratio, g.real(middle - 1))), g.real(middle))
    bucket = g("Where", g("LessOrEqual", g("Cast", distance, to=FLOAT), g.real(middle)), g("Cast", relative, to=FLOAT), g("Mul", far, sign))
    bucket = g("Cast", bucket, to=INT64)
    table = g.layer_norm(g.random(16, HIDDEN, scale=0.5), HIDDEN, "pow")
    b, t = g.dim(ids, 0), g.dim(ids, 1)
    joined = g("Mul", b, g.const([H]))
    flat = lambda v, rows: g("Reshape", g("Transpose", g("Reshape", v, g.shape(g.dim(v, 0), g.dim(v, 1), H, -1)), perm=[0, 2, 1, 3]), g.shape(-1, rows, D))
    wq, wk = (g.random(HIDDEN, HIDDEN) for _ in range(2))
    bq, bk = (g.random(HIDDEN) for _ in range(2))
    project = lambda v, w, c: g("Add", g("MatMul", v, w), c)
    q, k, v = flat(project(x, wq, bq), t), flat(project(x, wk, bk), t), flat(g.linear(x, HIDDEN, HIDDEN), t)
    scale = g.real(np.sqrt(D * 3))
    s = g("MatMul", q, g("Div", g("Transpose", k, perm=[0, 2, 1]), scale))
    places = g("Unsqueeze", table, g.const([0]))
    repeat = g.shape(b, 1, 1)
    pk = g("Tile", flat(project(places, wk, bk), g.const([16])), repeat)
    pq = g("Tile", flat(project(places, wq, bq), g.const([16])), repeat)
    index = lambda v: g("Expand", g.unsqueeze(g("Clip", g("Add", v, g.const(8)), g.const(0), g.const(15)), 0), g.shape(joined, t, t))
    c2p = g("GatherElements", g("MatMul", q, g("Transpose", pk, perm=[0, 2, 1])), index(bucket), axis=2)
    p2c = g("GatherElements", g("MatMul", k, g("Transpose", pq, perm=[0, 2, 1])), index(g("Neg", bucket)), axis=2)
    s = g("Add", s, g("Add", g("Div", c2p, scale), g("Div", g("Transpose", p2c, perm=[0, 2, 1]), scale)))
    s = g("Reshape", s, g.shape(-1, H, t, t))
    hidden = g("Not", seen)
    p = g("Where", hidden, g.real(0), g("Softmax", g("Where", hidden, g.real(LOWEST), s), axis=-1))
    a = g("MatMul", g("Reshape", p, g.shape(-1, t, t)), v)
    a = g("Transpose", g("Reshape", a, g.shape(-1, H, t, D)), perm=[0, 2, 1, 3])
    x = g.layer_norm(g("Add", g.linear(g("Reshape", a, g.shape(b, t, -1)), HIDDEN, HIDDEN), x), HIDDEN, "pow")
    g("Identity", x, out="last_hidden_state")
    g.output("last_hidden_state", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, BATCHES, {"attention_mask": padded}, {"layer_norm": 3, "kv_attend": 1})


def swin(path):
    """Shifted windows: rolls by slices, windows by six-dimensional reshapes, a constant bias and mask, merged patches."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", 8, 8, HIDDEN])
    roll = lambda v, s: [v := g("Concat", g.slice(v, s, END, a), g.slice(v, 0, s, a), axis=a) for a in (1, 2)][-1]
    y = roll(g.layer_norm(x, HIDDEN, "pow"), 2)
    windows = g("Transpose", g("Reshape", y, g.shape(g.dim(y, 0), 2, 4, 2, 4, HIDDEN)), perm=[0, 1, 3, 2, 4, 5])
    windows = g("Reshape", windows, g.const([-1, 16, HIDDEN]))
    q, k, v = (g.split_heads(g.linear(windows, HIDDEN, HIDDEN), H, D) for _ in range(3))
    s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), g.weight("bias", g.rng.standard_normal((1, H, 16, 16)).astype(np.float32)))
    shift = g.weight("mask", np.where(g.rng.random((1, 4, 1, 16, 16)) < 0.3, -100, 0).astype(np.float32))
    s = g("Reshape", g("Add", g("Reshape", s, g.shape(-1, 4, H, 16, 16)), shift), g.const([-1, H, 16, 16]))
    a = g.linear(g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), HIDDEN, HIDDEN)
    a = g("Transpose", g("Reshape", a, g.const([-1, 2, 2, 4, 4, HIDDEN])), perm=[0, 1, 3, 2, 4, 5])
    x = g("Add", x, roll(g("Reshape", a, g.const([-1, 8, 8, HIDDEN])), -2))
    parts = [g.slice(g.slice(x, i, END, 1, 2), j, END, 2, 2) for j in (0, 1) for i in (0, 1)]
    merged = g("Reshape", g("Concat", *parts, axis=-1), g.const([0, -1, 4 * HIDDEN]))
    y = g.linear(g.layer_norm(merged, 4 * HIDDEN, "pow"), 4 * HIDDEN, 2 * HIDDEN, bias=False)
    pooled = g("Flatten", g("GlobalAveragePool", g("Transpose", y, perm=[0, 2, 1])), axis=1)
    g("Identity", pooled, out="pooled")
    g.output("pooled", FLOAT, ["batch", 2 * HIDDEN])
    g.save(13)
    return Sample(13, IMAGES, raised={"layer_norm": 2, "kv_attend": 1})


def dino(path):
    """Images of any size: positions resized to the patches that there are, layer scales, SwiGLU by Split."""
    g = Builder(path)
    pixels = g.input("pixel_values", FLOAT, ["batch", 3, "height", "width"])
    patches = g("Conv", pixels, g.random(HIDDEN, 3, 4, 4, scale=0.1), g.random(HIDDEN), kernel_shape=[4, 4], strides=[4, 4])
    grid = g.shape(g.dim(patches, 2), g.dim(patches, 3))
    x = g("Transpose", g("Reshape", patches, g.shape(g.dim(patches, 0), HIDDEN, -1)), perm=[0, 2, 1])
    table = g.random(1, 1 + 25, HIDDEN, scale=0.5)
    places = g("Transpose", g("Reshape", g.slice(table, 1, END, 1), g.const([1, 5, 5, HIDDEN])), perm=[0, 3, 1, 2])
    places = g("Resize", places, None, None, g("Concat", g.const([1, HIDDEN]), grid, axis=0), mode="cubic", cubic_coeff_a=-0.75,
               coordinate_transformation_mode="half_pixel", nearest_mode="floor")
    places = g("Reshape", g("Transpose", places, perm=[0, 2, 3, 1]), g.const([1, -1, HIDDEN]))
    first = g.expand_ts(g.random(1, 1, HIDDEN, scale=0.5), g.shape(g.dim(pixels, 0), -1, -1), 3)
    x = g("Add", g("Concat", first, x, axis=1), g("Concat", g.slice(table, 0, 1, 1), places, axis=1))
    y = g.layer_norm(x, HIDDEN)
    q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN), H, D) for _ in range(3))
    a = g.linear(g.join_heads(g.sdpa(q, k, v, D), HIDDEN), HIDDEN, HIDDEN)
    x = g("Add", x, g("Mul", a, g.random(HIDDEN)))
    gate, up = g("Split", g.linear(g.layer_norm(x, HIDDEN), HIDDEN, 96), outputs=2, axis=-1, num_outputs=2)
    x = g("Add", x, g("Mul", g.linear(g("Mul", g.gelu(gate, "silu"), up), 48, HIDDEN), g.random(HIDDEN)))
    g("Identity", g.layer_norm(x, HIDDEN), out="last_hidden_state")
    g.output("last_hidden_state", FLOAT, ["batch", "tokens", HIDDEN])
    g.save(18)
    sizes = [{"batch": 1, "height": 20, "width": 20}, {"batch": 2, "height": 12, "width": 28}]
    return Sample(18, sizes, raised={"kv_attend": 1, "layer_norm": 3})


def wav2vec2(path):
    """Waves: a group norm over time as instance normalisation, strided convolutions, a grouped convolution for positions that is cut by one."""
    g = Builder(path)
    wave = g.input("input_values", FLOAT, ["batch", "samples"])
    x = g("Conv", g.unsqueeze(wave, 1), g.random(HIDDEN, 1, 10, scale=0.3), kernel_shape=[10], strides=[5])
    shape = g("Shape", x)
    one, zero = (g.const(np.full(HIDDEN, v), np.float32) for v in (1, 0))
    y = g("InstanceNormalization", g("Reshape", x, g.const([0, HIDDEN, -1])), one, zero, epsilon=1e-5)
    y = g("Reshape", y, shape)
    x = g.gelu(g("Add", g("Mul", y, g.random(HIDDEN, 1, scale=0.3)), g.random(HIDDEN, 1)))
    x = g.gelu(g("Conv", x, g.random(HIDDEN, HIDDEN, 3, scale=0.1), kernel_shape=[3], strides=[2]))
    x = g.layer_norm(g("Transpose", x, perm=[0, 2, 1]), HIDDEN, "pow")
    p = g("Conv", g("Transpose", x, perm=[0, 2, 1]), g.random(HIDDEN, HIDDEN // 4, 8, scale=0.1), g.random(HIDDEN), kernel_shape=[8], pads=[4, 4], group=4)
    p = g.gelu(g.slice(p, 0, -1, 2))
    x = g.layer_norm(g("Add", x, g("Transpose", p, perm=[0, 2, 1])), HIDDEN, "pow")
    q, k, v = (g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D) for _ in range(3))
    a = g.linear(g.join_heads(g.sdpa(q, k, v, D), HIDDEN), HIDDEN, HIDDEN)
    x = g.layer_norm(g("Add", x, a), HIDDEN, "pow")
    g("LogSoftmax", g.linear(x, HIDDEN, 20), axis=-1, out="logits")
    g.output("logits", FLOAT, ["batch", "frames", 20])
    g.save(14)
    return Sample(14, [{"batch": 1, "samples": 55}, {"batch": 2, "samples": 173}], raised={"kv_attend": 1, "layer_norm": 4, "conv": 3})


def clip(path):
    """Both towers of CLIP: the text's row at the largest id by flat index, both vectors on the sphere, a learned scale."""
    g = Builder(path)
    ids = g.input("input_ids", INT64, ["texts", "sequence"])
    pixels = g.input("pixel_values", FLOAT, ["images", 3, 8, 8])
    mask = g.input("attention_mask", INT64, ["texts", "sequence"])

    def layer(x, bias=None):
        y = g.layer_norm(x, HIDDEN)
        q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN), H, D) for _ in range(3))
        x = g("Add", x, g.linear(g.join_heads(g.sdpa(q, k, v, D, bias), HIDDEN), HIDDEN, HIDDEN))
        return g("Add", x, g.linear(g.gelu(g.linear(g.layer_norm(x, HIDDEN), HIDDEN, 64), "quick"), 64, HIDDEN))

    def unit(x, name):
        length = g("ReduceL2", x, g.const([-1]), keepdims=1)
        return g("Div", x, length, out=name)

    n = g.dim(ids, 1)
    places = g.slice(g.weight("position_ids", np.arange(32)[None]), 0, n, 1)
    x = g("Add", g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), g("Gather", g.random(32, HIDDEN, scale=0.5), places))
    causal = g("Trilu", g("Expand", g.real(LOWEST), g.shape(n, n)), g.const(1), upper=1)
    inverted = g("Sub", g.real(1), g("Cast", g.expand_ts(g.unsqueeze(mask, 1, 2), g.shape(g.dim(ids, 0), 1, n, n), 4), to=FLOAT))
    bias = g("Where", g("Cast", inverted, to=BOOL), g.real(LOWEST), g.unsqueeze(causal, 0, 1))
    x = g.layer_norm(layer(x, bias), HIDDEN)
    end = g("ArgMax", g("Cast", ids, to=INT32), axis=-1, keepdims=0)
    first = g("Mul", g("Range", g.const(0), g("Squeeze", g.dim(ids, 0), g.const([0])), g.const(1)), g("Squeeze", n, g.const([0])))
    pooled = g("Gather", g("Reshape", x, g.const([-1, HIDDEN])), g("Add", first, end), axis=0)
    text = unit(g.linear(pooled, HIDDEN, 16, bias=False), "text_embeds")

    y = g("Conv", pixels, g.random(HIDDEN, 3, 4, 4, scale=0.1), kernel_shape=[4, 4], strides=[4, 4])
    y = g("Transpose", g("Reshape", y, g.shape(g.dim(y, 0), HIDDEN, -1)), perm=[0, 2, 1])
    y = g("Concat", g.expand_ts(g.random(HIDDEN, scale=0.5), g.shape(g.dim(pixels, 0), 1, -1), 3), y, axis=1)
    y = layer(g.layer_norm(g("Add", y, g.random(1, 5, HIDDEN, scale=0.5)), HIDDEN))
    image = unit(g.linear(g.layer_norm(g("Gather", y, g.const(0), axis=1), HIDDEN), HIDDEN, 16, bias=False), "image_embeds")
    scale = g("Exp", g.weight("logit_scale", np.array(1.3, np.float32)))
    logits = g("Mul", g("MatMul", text, g("Transpose", image, perm=[1, 0])), scale, out="logits_per_text")
    g("Transpose", logits, perm=[1, 0], out="logits_per_image")
    for name, shape in (("logits_per_image", ["images", "texts"]), ("logits_per_text", ["texts", "images"]), ("text_embeds", ["texts", 16]),
                        ("image_embeds", ["images", 16])):
        g.output(name, FLOAT, shape)
    g.save(18)
    return Sample(18, [{"texts": 2, "images": 3, "sequence": 7}, {"texts": 1, "images": 1, "sequence": 1}], {"attention_mask": padded},
                  {"kv_attend": 2, "layer_norm": 7})


def diffusion_block(path):
    """A block of a diffusion U-Net: angles of the time step, group norms, attention to itself and to a text, GEGLU, an upsampling."""
    g = Builder(path)
    sample, text = g.input("sample", FLOAT, ["batch", HIDDEN, "height", "width"]), g.input("text", FLOAT, ["batch", "tokens", 24])
    step = g.input("timestep", INT64, [1])
    angles = g("Mul", g("Cast", g.unsqueeze(step, 1), to=FLOAT), g.const(np.exp(-np.log(1e4) * np.arange(8) / 8)[None], np.float32))
    time = g("Concat", g("Cos", angles), g("Sin", angles), axis=-1)
    time = g("Gemm", g.gelu(g("Gemm", time, g.random(HIDDEN, 16), g.random(HIDDEN), transB=1), "silu"), g.random(HIDDEN, HIDDEN), g.random(HIDDEN), transB=1)

    def group_norm(x):
        y = g("InstanceNormalization", g("Reshape", x, g.const([0, 8, -1])), g.const(np.ones(8), np.float32), g.const(np.zeros(8), np.float32), epsilon=1e-5)
        y = g("Reshape", y, g("Shape", x))
        return g("Add", g("Mul", y, g.random(HIDDEN, 1, 1, scale=0.1, offset=1)), g.random(HIDDEN, 1, 1))

    conv = lambda x: g("Conv", x, g.random(HIDDEN, HIDDEN, 3, 3, scale=0.05), g.random(HIDDEN), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    y = g("Add", conv(g.gelu(group_norm(sample), "silu")), g.unsqueeze(time, 2, 3))
    x = g("Add", sample, conv(g.gelu(group_norm(y), "silu")))
    rows = g("Reshape", g("Transpose", group_norm(x), perm=[0, 2, 3, 1]), g.shape(g.dim(x, 0), g("Mul", g.dim(x, 2), g.dim(x, 3)), HIDDEN))

    def attend(x, source, width):
        y = g.layer_norm(x, HIDDEN)
        source = source or y
        q, k, v = (g.split_heads(g.linear(t, n, HIDDEN, bias=False), H, D) for t, n in ((y, HIDDEN), (source, width), (source, width)))
        return g("Add", g.linear(g.join_heads(g.sdpa(q, k, v, D), HIDDEN), HIDDEN, HIDDEN), x)

    rows = attend(attend(rows, None, HIDDEN), text, 24)
    left, right = g("Split", g.linear(g.layer_norm(rows, HIDDEN), HIDDEN, 128), outputs=2, axis=-1, num_outputs=2)
    rows = g("Add", g.linear(g("Mul", left, g.gelu(right)), 64, HIDDEN), rows)
    y = g("Transpose", g("Reshape", rows, g.shape(g.dim(x, 0), g.dim(x, 2), g.dim(x, 3), HIDDEN)), perm=[0, 3, 1, 2])
    y = g("Resize", g("Add", y, x), None, g.const([1, 1, 2, 2], np.float32), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    g("Identity", conv(y), out="out")
    g.output("out", FLOAT, ["batch", HIDDEN, "up", "right"])
    g.save(18)
    sizes = [{"batch": 1, "height": 4, "width": 4, "tokens": 7}, {"batch": 2, "height": 3, "width": 6, "tokens": 1}]
    return Sample(18, sizes, raised={"kv_attend": 2, "layer_norm": 6, "conv": 3})


def reranker(path, opset):
    """A classifier on BERT with the pooler; opset 11's attributes: axes of Squeeze and ReduceSum, sizes of Split, Softmax over what is flat."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    x = g.layer_norm(g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), HIDDEN, "pow")
    bias = g.padding_mask(mask, -10000.0, True)
    qkv = g.linear(x, HIDDEN, 3 * HIDDEN)
    q, k, v = (g.split_heads(p, H, D, True) for p in g("Split", qkv, outputs=3, axis=-1, split=[HIDDEN] * 3))
    s = g("Add", g("Div", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.real(np.sqrt(D))), bias)
    x = g.layer_norm(g("Add", x, g.join_heads(g("MatMul", g("Softmax", s, axis=3), v), HIDDEN, True)), HIDDEN, "pow")
    weights = g("Softmax", g("Squeeze", g.linear(x, HIDDEN, 1), axes=[2]), axis=1)
    pooled = g("ReduceSum", g("Mul", x, g("Unsqueeze", weights, axes=[-1])), axes=[1], keepdims=0)
    pooled = g("Tanh", g("Gemm", g("Add", pooled, g("Gather", x, g.const(0), axis=1)), g.random(HIDDEN, HIDDEN),
                           g.random(HIDDEN), transB=1, alpha=1.0, beta=1.0))
    g("Gemm", pooled, g.random(2, HIDDEN), g.random(2), transB=1, out="logits")
    g.output("logits", FLOAT, ["batch", 2])
    g.save(opset)
    return Sample(opset, BATCHES, {"attention_mask": padded}, {"kv_attend": 1, "layer_norm": 2})


def einsum_attention(path, opset=12):
    """Attention as JAX and Keras write it: Einsum in every product, heads third."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])
    mask = g.input("attention_mask", INT64, ["batch", "sequence"])
    q, k, v = (g("Add", g("Einsum", x, g.random(HIDDEN, H, D), equation="abc,cde->abde"), g.random(H, D)) for _ in range(3))
    q = g("Mul", q, g.real(D**-0.5))
    s = g("Einsum", k, q, equation="aecd,abcd->acbe")
    s = g("Add", s, g.padding_mask(mask, -1e9, opset < 13))
    a = g("Einsum", g("Softmax", s, axis=3), v, equation="acbe,aecd->abcd")
    y = g("Add", g("Einsum", a, g.random(H, D, HIDDEN, scale=0.2), equation="abcd,cde->abe"), g.random(HIDDEN))
    x = g("Add", x, y)
    g("Einsum", x, g.random(16, HIDDEN), equation="...i,oi->...o", out="out")
    g.output("out", FLOAT, ["batch", "sequence", 16])
    g.save(opset)
    return Sample(opset, BATCHES, {"attention_mask": padded}, {"kv_attend": 1})


def bert_f16(path, keep_io):
    """BERT as a converter to half precision leaves it: norms and Softmax whole in f16, or input and output cast at the edges."""
    g = Builder(path, dtype=np.float16)
    kind = FLOAT if keep_io else FLOAT16
    x = source = g.input("x", kind, ["batch", "sequence", HIDDEN])
    mask = g.input("attention_mask", INT64, ["batch", "sequence"])
    if keep_io:
        x = g("Cast", source, to=FLOAT16)
    bias = g("Mul", g("Sub", g.real(1), g("Cast", g.unsqueeze(mask, 1, 2), to=FLOAT16)), g.real(-65504))
    for _ in range(2):
        q, k, v = (g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D) for _ in range(3))
        s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
        a = g("MatMul", g("Softmax", s, axis=-1), v)
        x = g.layer_norm(g("Add", g.linear(g.join_heads(a, HIDDEN), HIDDEN, HIDDEN), x), HIDDEN, "op")
        x = g.layer_norm(g("Add", g.linear(g.gelu(g.linear(x, HIDDEN, 64)), 64, HIDDEN), x), HIDDEN, "op")
    g("Cast", x, to=kind, out="out")
    g.output("out", kind, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, BATCHES, {"attention_mask": padded}, {"kv_attend": 2, "layer_norm": 4}, 6e-3)


def bf16_weights(path):
    """Weights in bf16 that are widened where they are used, and an activation rounded through bf16."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])

    def weight(*shape):
        name = f"b{len(g.initializers)}"
        values = (g.rng.standard_normal(shape) * 0.1).astype(np.float32)
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        g.initializers.append(TensorProto(name=name, data_type=TensorProto.BFLOAT16, dims=shape, raw_data=bits.tobytes()))
        return g("Cast", name, to=FLOAT)

    y = g("LayerNormalization", x, weight(HIDDEN), weight(HIDDEN), axis=-1)
    y = g("Cast", g("Cast", g("MatMul", y, weight(HIDDEN, 64)), to=TensorProto.BFLOAT16), to=FLOAT)
    y = g("MatMul", g.gelu(y, "silu"), weight(64, HIDDEN))
    g("Add", x, y, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(19)
    return Sample(19, BATCHES, raised={"layer_norm": 1}, tolerance=2e-3)


def qdq_bert(path):
    """Static quantisation of a BERT layer: every product between QuantizeLinear and DequantizeLinear, weights per column, biases in int32."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])
    serial = iter(range(1000))

    def fake(v, scale, zero=128):
        s, z = g.real(scale), g.const(zero, np.uint8)
        return g("DequantizeLinear", g("QuantizeLinear", v, s, z), s, z)

    def linear(v, inputs, outputs, scale):
        n = next(serial)
        w = g.weight(f"q{n}", g.rng.integers(-127, 128, (inputs, outputs)).astype(np.int8))
        ws = (g.rng.random(outputs) * 0.002 + 0.001).astype(np.float32)
        w = g("DequantizeLinear", w, g.weight(f"qs{n}", ws), g.weight(f"qz{n}", np.zeros(outputs, np.int8)), axis=1)
        b = g.weight(f"qb{n}", g.rng.integers(-500, 500, outputs).astype(np.int32))
        b = g("DequantizeLinear", b, g.weight(f"qbs{n}", (ws * scale).astype(np.float32)), g.weight(f"qbz{n}", np.zeros(outputs, np.int32)), axis=0)
        return g("Add", g("MatMul", fake(v, scale), w), b)

    heads = lambda scale: g.split_heads(linear(x, HIDDEN, HIDDEN, 0.02), H, D)
    q, k, v = heads(0), heads(0), heads(0)
    s = g("Div", g("MatMul", fake(q, 0.02), g("Transpose", fake(k, 0.02), perm=[0, 1, 3, 2])), g.real(np.sqrt(D)))
    p = fake(g("Softmax", s, axis=-1), 1 / 255, 0)
    a = g.join_heads(g("MatMul", p, fake(v, 0.02)), HIDDEN)
    x = g.layer_norm(g("Add", linear(a, HIDDEN, HIDDEN, 0.02), x), HIDDEN, "op")
    g("Add", x, linear(g.gelu(linear(x, HIDDEN, 64, 0.03)), 64, HIDDEN, 0.03), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    # One unit of a quantised activation, where a sum lies on the edge between two.
    return Sample(17, BATCHES, tolerance=3e-2)


def ort_cross(path):
    """MultiHeadAttention over an encoder with a padding mask and a bias, packed keys and values, QuickGelu, a fused product."""
    g = Builder(path)
    x, encoder = g.input("x", FLOAT, ["batch", "sequence", HIDDEN]), g.input("encoder", FLOAT, ["batch", "encoder", HIDDEN])
    mask = g.input("mask", INT32, ["batch", "encoder"])
    q = g("MatMul", x, g.random(HIDDEN, HIDDEN))
    k, v = (g("MatMul", encoder, g.random(HIDDEN, HIDDEN)) for _ in range(2))
    a = g("MultiHeadAttention", q, k, v, g.random(3 * HIDDEN), mask, domain=MICROSOFT, num_heads=H)
    y = g("SkipLayerNormalization", g("MatMul", a, g.random(HIDDEN, HIDDEN)), x, g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN), g.random(HIDDEN),
          domain=MICROSOFT, epsilon=1e-5)
    q = g("Reshape", g("MatMul", y, g.random(HIDDEN, HIDDEN)), g.const([0, 0, HIDDEN]))
    bias = g.random(1, H, 1, 1, scale=0.5)
    bias = g("Expand", bias, g.shape(g.dim(x, 0), H, g.dim(x, 1), g.dim(encoder, 1)))
    a = g("MultiHeadAttention", q, k, v, None, None, bias, domain=MICROSOFT, num_heads=H, scale=0.3)
    y = g("Add", y, a)
    m = g("QuickGelu", g("MatMul", y, g.random(HIDDEN, 64)), domain=MICROSOFT, alpha=1.702)
    y = g("Add", y, g("FusedMatMul", m, g.random(HIDDEN, 64), domain=MICROSOFT, transB=1, alpha=0.5))
    g("Identity", y, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, [{**s, "encoder": n} for s, n in zip(BATCHES, (7, 3, 11))], {"mask": lambda s, z, r: padded(s, z, r)}, {"kv_attend": 2, "layer_norm": 1})


def scan_layers(path):
    """Layers of one shape as a Scan over stacked weights, as converters from JAX leave them."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])
    w1, w2, n = g.random(3, HIDDEN, 48, scale=0.1), g.random(3, 48, HIDDEN, scale=0.1), g.random(3, HIDDEN, scale=0.1, offset=1)
    outer, g.nodes = g.nodes, []
    y = g("MatMul", g.gelu(g("MatMul", g.layer_norm("state", HIDDEN, "op"), "a"), "silu"), "b")
    g("Add", "state", g("Mul", y, "c"), out="next")
    g("ReduceMean", "next", axes=[1, 2], keepdims=0, out="trace")
    body, g.nodes = g.nodes, outer
    info = helper.make_tensor_value_info
    weights = [info("a", FLOAT, [HIDDEN, 48]), info("b", FLOAT, [48, HIDDEN]), info("c", FLOAT, [HIDDEN])]
    graph = helper.make_graph(body, "layer", [info("state", FLOAT, None), *weights], [info("next", FLOAT, None), info("trace", FLOAT, None)])
    g("Scan", x, w1, w2, n, body=graph, num_scan_inputs=3, out=["out", "traces"])
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.output("traces", FLOAT, [3, "batch"])
    g.save(17)
    return Sample(17, BATCHES)


def functions(path):
    """The first torch.onnx dynamo exports: layers as functions of the model, with attributes handed down, that call other functions."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])
    lib, module = "pkg.onnxscript.torch_lib", "pkg.transformers"
    node = helper.make_node
    ref = node("Softmax", ["s"], ["r"])
    ref.attribute.append(onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT, ref_attr_name="dim"))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(lib, 1)]
    softmax = helper.make_function(lib, "aten_softmax", ["s"], ["r"], [ref], opsets, ["dim"])
    call = node("aten_softmax", ["scores"], ["p"], domain=lib, dim=-1)
    attend = helper.make_function(module, "Attention", ["x", "wq", "wk"], ["y"], [
        node("MatMul", ["x", "wq"], ["q"]), node("MatMul", ["x", "wk"], ["k"]), node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["raw"]), node("Constant", [], ["c"], value_float=HIDDEN**-0.5), node("Mul", ["raw", "c"], ["scores"]), call,
        node("MatMul", ["p", "x"], ["a"]), node("Add", ["x", "a"], ["y"])], opsets, [])
    y = x
    for _ in range(2):
        y = g("Attention", y, g.random(HIDDEN, HIDDEN), g.random(HIDDEN, HIDDEN), domain=module)
    g("Identity", y, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(18)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid(lib, 1))
    model.functions.extend([softmax, attend])
    onnx.save(model, path)
    return Sample(18, BATCHES)


MODELS = {
    "deberta-ts": deberta,
    "swin": swin,
    "dino": dino,
    "wav2vec2": wav2vec2,
    "clip": clip,
    "diffusion-block": diffusion_block,
    "reranker-opset11": lambda p: reranker(p, 11),
    "reranker-opset12": lambda p: reranker(p, 12),
    "einsum-opset12": einsum_attention,
    "einsum-opset20": lambda p: einsum_attention(p, 20),
    "bert-f16": lambda p: bert_f16(p, False),
    "bert-f16-keep-io": lambda p: bert_f16(p, True),
    "bf16-weights": bf16_weights,
    "qdq-bert": qdq_bert,
    "ort-cross": ort_cross,
    "scan-layers": scan_layers,
    "functions": functions,
}
