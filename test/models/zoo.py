"""Small transformer-like graphs with random weights, in the idioms of the exporters that people use.

Each function of MODELS writes one graph and returns a Sample: sizes of its symbolic dimensions and, where random numbers would not do, inputs.
The names say where an idiom comes from: ts is torch.onnx over TorchScript, dynamo its successor, optimum the Hugging Face exporter, ort the graphs
that ONNX Runtime's optimizer or GenAI builder leave.
"""
import dataclasses

import numpy as np
from onnx import numpy_helper

from models.graph import BOOL, FLOAT, FLOAT16, INT32, INT64, Graph

MICROSOFT = "com.microsoft"
LOWEST = float(np.finfo(np.float32).min)
END = np.iinfo(np.int64).max


@dataclasses.dataclass
class Sample:
    opset: int
    sizes: list  # one dict per run: symbol -> size
    inputs: dict = dataclasses.field(default_factory=dict)  # name -> function of (shape, sizes, rng)
    raised: dict = dataclasses.field(default_factory=dict)  # leat op -> how often it must appear
    tolerance: float = 1e-4
    causal_step: bool = False  # the step function's attention must be causal by attribute, without a mask tensor
    regions: int = 0  # how many attentions must have a mask that is a program of positions


class Builder(Graph):
    """A Graph with random weights and the blocks that models share."""

    def __init__(self, path, seed=1, dtype=np.float32):
        super().__init__(path, external=False)
        self.rng, self.dtype, self.weights = np.random.default_rng(seed), dtype, 0

    def random(self, *shape, scale=None, offset=0.0):
        self.weights += 1
        scale = scale if scale is not None else 0.5 / np.sqrt(shape[0] if len(shape) > 1 else 4)
        return self.weight(f"w{self.weights}", (self.rng.standard_normal(shape) * scale + offset).astype(self.dtype))

    def real(self, value):
        return self.const(value, self.dtype)

    def ids(self, name="input_ids", dims=("batch", "sequence")):
        return self.input(name, INT64, list(dims))

    # ---- shapes
    def dim(self, x, axis, attribute=False):
        """A vector of one entry, as Shape, Gather, Unsqueeze."""
        size = self("Gather", self("Shape", x), self.const(axis), axis=0)
        return self("Unsqueeze", size, axes=[0]) if attribute else self("Unsqueeze", size, self.const([0]))

    def shape(self, *entries):
        return self("Concat", *[self.const([e]) if isinstance(e, int) else e for e in entries], axis=0)

    def unsqueeze(self, x, *axes, attribute=False):
        return self("Unsqueeze", x, axes=list(axes)) if attribute else self("Unsqueeze", x, self.const(list(axes)))

    def slice(self, x, start, end, axis, step=1):
        at = lambda v: v if isinstance(v, str) else self.const([v])
        return self("Slice", x, at(start), at(end), self.const([axis]), self.const([step]))

    # ---- layers
    def linear(self, x, inputs, outputs, bias=True):
        y = self("MatMul", x, self.random(inputs, outputs))
        return self("Add", self.random(outputs), y) if bias else y

    def layer_norm(self, x, width, form="op", epsilon=1e-5, axes="attr"):
        w, b = self.random(width, scale=0.1, offset=1), self.random(width)
        if form == "op":
            return self("LayerNormalization", x, w, b, axis=-1, epsilon=epsilon)
        mean = lambda v: self("ReduceMean", v, axes=[-1]) if axes == "attr" else self("ReduceMean", v, self.const([-1]))
        centred = self("Sub", x, mean(x))
        square = self("Pow", centred, self.real(2)) if form == "pow" else self("Mul", centred, centred)
        deviation = self("Sqrt", self("Add", mean(square), self.real(epsilon)))
        return self("Add", self("Mul", self("Div", centred, deviation), w), b)

    def rms_norm(self, x, width, epsilon=1e-6, form="reciprocal", casts=False, weight=True):
        h = self("Cast", x, to=FLOAT) if casts else x
        const = lambda v: self.const(v, np.float32) if casts else self.real(v)
        mean = self("ReduceMean", self("Pow", h, const(2)), self.const([-1]), keepdims=1)
        root = self("Sqrt", self("Add", mean, const(epsilon)))
        if form == "reciprocal":
            y = self("Mul", h, self("Reciprocal", root))
        elif form == "one":
            y = self("Mul", h, self("Div", const(1), root))
        else:
            y = self("Div", h, root)
        if casts:
            y = self("Cast", y, to=FLOAT16)
        return self("Mul", self.random(width, scale=0.1, offset=1), y) if weight else y

    def gelu(self, x, form="erf"):
        half, one = self.real(0.5), self.real(1)
        if form == "erf":
            erf = self("Erf", self("Div", x, self.real(np.sqrt(2))))
            return self("Mul", self("Mul", x, self("Add", erf, one)), half)
        if form == "erf-dynamo":
            erf = self("Erf", self("Mul", x, self.real(np.sqrt(0.5))))
            return self("Mul", self("Mul", half, x), self("Add", one, erf))
        if form == "tanh":
            cube = self("Mul", self("Pow", x, self.real(3)), self.real(0.044715))
            inner = self("Mul", self("Add", x, cube), self.real(np.sqrt(2 / np.pi)))
            return self("Mul", self("Mul", x, half), self("Add", self("Tanh", inner), one))
        if form == "quick":
            return self("Mul", x, self("Sigmoid", self("Mul", x, self.real(1.702))))
        return self("Mul", x, self("Sigmoid", x))  # silu

    def split_heads(self, x, heads, size, attribute=False, perm=(0, 2, 1, 3)):
        shape = self.shape(self.dim(x, 0, attribute), self.dim(x, 1, attribute), heads, size)
        return self("Transpose", self("Reshape", x, shape), perm=list(perm))

    def join_heads(self, x, hidden, attribute=False):
        y = self("Transpose", x, perm=[0, 2, 1, 3])
        return self("Reshape", y, self.shape(self.dim(y, 0, attribute), self.dim(y, 1, attribute), hidden))

    def scores(self, q, k_transposed, scale):
        return self("Mul", self("MatMul", q, k_transposed), self.real(scale))

    def sdpa(self, q, k, v, size, mask=None):
        """torch's scaled_dot_product_attention: roots of the scale on both sides, computed from the shape."""
        d = self("Cast", self("Gather", self("Shape", q), self.const(3), axis=0), to=FLOAT)
        scale = self("Sqrt", self("Div", self.const(1, np.float32), self("Sqrt", d)))
        if self.dtype == np.float16:
            scale = self("Cast", scale, to=FLOAT16)
        s = self("MatMul", self("Mul", q, scale), self("Mul", self("Transpose", k, perm=[0, 1, 3, 2]), scale))
        s = self("Add", s, mask) if mask else s
        return self("MatMul", self("Softmax", s, axis=-1), v)

    def rotate(self, x, cos, sin, size, split=False):
        if split:
            low, high = self("Split", x, outputs=2, axis=-1, num_outputs=2)
        else:
            low, high = self.slice(x, 0, size // 2, 3), self.slice(x, size // 2, END, 3)
        turned = self("Concat", self("Neg", high), low, axis=-1)
        return self("Add", self("Mul", x, cos), self("Mul", turned, sin))

    def rotary_tables(self, position_ids, size, theta=10000.0):
        frequencies = self.const((theta ** -(np.arange(0, size, 2) / size)).astype(np.float32)[None, :, None], np.float32)
        angles = self("MatMul", frequencies, self("Cast", self.unsqueeze(position_ids, 1), to=FLOAT))
        angles = self("Transpose", angles, perm=[0, 2, 1])
        angles = self("Concat", angles, angles, axis=-1)
        tables = [self(f, angles) for f in ("Cos", "Sin")]
        if self.dtype == np.float16:
            tables = [self("Cast", t, to=FLOAT16) for t in tables]
        return [self.unsqueeze(t, 1) for t in tables]

    def expand_ts(self, x, shape, rank):
        """torch.expand over TorchScript: -1 in the shape stands for the size that is there."""
        fill = self("ConstantOfShape", self.const([rank]), value=numpy_helper.from_array(np.ones(1, np.int64)))
        same = self("Equal", shape, self("Mul", fill, self.const(-1)))
        return self("Expand", x, self("Where", same, fill, shape))

    def old_causal_mask(self, ids, past, padding):
        """transformers 4.3x: a triangle filled by comparison, zeros for the past, and the inverted padding mask on top."""
        lowest, zero = self.real(LOWEST), self.real(0)
        b, t = self.dim(ids, 0), self.dim(ids, 1)
        shape = self.shape(t, t)
        full = self("Expand", lowest, shape)
        steps = self("Range", self.const(0), self("Squeeze", t, self.const([0])), self.const(1))
        below = self("Less", steps, self("Reshape", self("Add", steps, self.const(1)), self.shape(t, 1)))
        triangle = self("Where", below, zero, full)
        nothing = self("ConstantOfShape", self.shape(t, past), value=numpy_helper.from_array(np.zeros(1, np.float32)))
        causal = self.unsqueeze(self("Concat", nothing, triangle, axis=-1), 0, 1)
        total = self("Add", t, past)
        causal = self.expand_ts(causal, self.shape(b, 1, t, total), 4)
        seen = self("Cast", self.expand_ts(self.unsqueeze(padding, 1, 2), self.shape(b, 1, t, total), 4), to=FLOAT)
        inverted = self("Sub", self.real(1), seen)
        hidden = self("Where", self("Cast", inverted, to=BOOL), lowest, inverted)
        return self("Add", hidden, causal)

    def repeat_kv(self, x, groups, times, size, ts=False):
        wide = self.unsqueeze(x, 2)
        b, t = self.dim(x, 0), self.dim(x, 2)
        if ts:
            wide = self.expand_ts(wide, self.shape(b, groups, times, t, size), 5)
        else:
            wide = self("Expand", wide, self.shape(b, groups, times, t, size))
        return self("Reshape", wide, self.shape(b, groups * times, t, size))

    def causal_mask(self, q, total, past=None, window=None, padding=None):
        """[., 1, S, T] additive, from ranges."""
        zero, one = self.const(0), self.const(1)
        t = self("Squeeze", total, self.const([0]))
        start = self("Squeeze", past, self.const([0])) if past else zero
        columns = self("Range", zero, t, one)
        rows = self.unsqueeze(self("Range", start, t, one), 1)
        allowed = self("LessOrEqual", columns, rows)
        if window:
            allowed = self("And", allowed, self("Greater", columns, self("Sub", rows, self.const(window))))
        if padding:
            allowed = self("And", allowed, self.unsqueeze(self("Cast", padding, to=BOOL), 1, 2))
        lowest = self.real(np.finfo(self.dtype).min)
        return self("Where", allowed, self.real(0), lowest)

    def padding_mask(self, attention_mask, low=LOWEST, attribute=False):
        keep = self.unsqueeze(self.unsqueeze(attention_mask, 1, attribute=attribute), 2, attribute=attribute)
        return self("Mul", self("Sub", self.real(1), self("Cast", keep, to=FLOAT)), self.real(low))


def ones(shape, sizes, rng):
    return np.ones(shape, np.int64)


def padded(shape, sizes, rng):
    """The last row has two padded tokens at its end."""
    mask = np.ones(shape, np.int64)
    if shape[1] > 2:
        mask[-1, -2:] = 0
    return mask


def positions(shape, sizes, rng):
    start = sizes.get("past", 0)
    return np.broadcast_to(np.arange(start, start + shape[1]), shape).astype(np.int64)


BATCHES = [{"batch": 2, "sequence": 5}, {"batch": 1, "sequence": 1}, {"batch": 3, "sequence": 17}]
H, D, HIDDEN, VOCAB = 4, 8, 32, 61


# ---------------------------------------------------------------- encoders


def bert(path, opset, norm, low, gelu="erf"):
    g = Builder(path)
    attribute = opset < 13
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    bias = g.padding_mask(mask, low, attribute)
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    table = g.weight("position_ids", np.arange(64)[None])
    position = g("Gather", g.random(64, HIDDEN, scale=0.5), g.slice(table, 0, g.dim(ids, 1, attribute), 1))
    x = g.layer_norm(g("Add", x, position), HIDDEN, norm)
    for _ in range(2):
        q = g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D, attribute)
        k = g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D, attribute, perm=(0, 2, 3, 1))
        v = g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D, attribute)
        s = g("Add", g("Div", g("MatMul", q, k), g.real(np.sqrt(D))), bias)
        p = g("Softmax", s, axis=3 if attribute else -1)
        x = g.layer_norm(g("Add", g.linear(g.join_heads(g("MatMul", p, v), HIDDEN, attribute), HIDDEN, HIDDEN), x), HIDDEN, norm)
        x = g.layer_norm(g("Add", g.linear(g.gelu(g.linear(x, HIDDEN, 64), gelu), 64, HIDDEN), x), HIDDEN, norm)
    g("Identity", x, out="last_hidden_state")
    g.output("last_hidden_state", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(opset)
    return Sample(opset, BATCHES, {"attention_mask": padded}, {"kv_attend": 2, "layer_norm": 5})


def distilbert_ts(path):
    """masked_fill with the lowest number where the mask is 0, the mask expanded to the scores; the query is scaled."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    heads = lambda: g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D)
    q = g("Div", heads(), g.real(np.sqrt(D)))
    s = g("MatMul", q, g("Transpose", heads(), perm=[0, 1, 3, 2]))
    hidden = g("Equal", mask, g.const(0))
    hidden = g("Reshape", hidden, g.shape(g.dim(mask, 0), 1, 1, g.dim(mask, 1)))
    hidden = g("Cast", g("Expand", hidden, g("Shape", s)), to=BOOL)
    p = g("Softmax", g("Where", hidden, g.real(LOWEST), s), axis=-1)
    x = g("Add", x, g.join_heads(g("MatMul", p, heads()), HIDDEN))
    # Mean of the tokens that count, normalised: what sentence encoders add.
    weights = g("Cast", g("Expand", g.unsqueeze(mask, 2), g("Shape", x)), to=FLOAT)
    total = g("ReduceSum", g("Mul", x, weights), g.const([1]), keepdims=0)
    count = g("Clip", g("ReduceSum", weights, g.const([1]), keepdims=0), g.real(1e-9))
    mean = g("Div", total, count)
    norm = g("Clip", g("ReduceL2", mean, axes=[1], keepdims=1), g.real(1e-12))
    g("Div", mean, g("Expand", norm, g("Shape", mean)), out="embedding")
    g.output("embedding", FLOAT, ["batch", HIDDEN])
    g.save(14)
    return Sample(14, BATCHES, {"attention_mask": padded}, {"kv_attend": 1})


def vit(path, dynamo):
    g = Builder(path)
    pixels = g.input("pixel_values", FLOAT, ["batch", 3, 16, 16])
    x = g("Conv", pixels, g.random(HIDDEN, 3, 4, 4, scale=0.1), g.random(HIDDEN), kernel_shape=[4, 4], strides=[4, 4])
    if dynamo:
        x = g("Reshape", x, g.const([-1, HIDDEN, 16]))
    else:
        shape = g("Shape", x)
        x = g("Reshape", x, g("Concat", g.slice(shape, 0, 2, 0), g.const([-1]), axis=0))
    x = g("Transpose", x, perm=[0, 2, 1])
    first = g("Expand", g.random(1, 1, HIDDEN, scale=0.5), g.shape(g.dim(x, 0), 1, HIDDEN))
    x = g("Add", g("Concat", first, x, axis=1), g.random(1, 17, HIDDEN, scale=0.5))
    for _ in range(2):
        y = g.layer_norm(x, HIDDEN)
        if dynamo:
            q, k, v = (g("Transpose", g("Reshape", g.linear(y, HIDDEN, HIDDEN), g.const([0, 17, H, D])), perm=[0, 2, 1, 3]) for _ in range(3))
            y = g.sdpa(q, k, v, D)
        else:  # timm: one product for all three
            qkv = g("Reshape", g.linear(y, HIDDEN, 3 * HIDDEN), g.shape(g.dim(y, 0), g.dim(y, 1), 3, H, D))
            qkv = g("Transpose", qkv, perm=[2, 0, 3, 1, 4])
            q, k, v = (g("Gather", qkv, g.const(i), axis=0) for i in range(3))
            s = g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5)
            y = g("MatMul", g("Softmax", s, axis=-1), v)
        x = g("Add", x, g.linear(g.join_heads(y, HIDDEN), HIDDEN, HIDDEN))
        y = g.layer_norm(x, HIDDEN)
        x = g("Add", x, g.linear(g.gelu(g.linear(y, HIDDEN, 64), "erf-dynamo" if dynamo else "erf"), 64, HIDDEN))
    x = g("Gather", g.layer_norm(x, HIDDEN), g.const(0), axis=1)
    g("Gemm", x, g.random(10, HIDDEN), g.random(10), transB=1, out="logits")
    g.output("logits", FLOAT, ["batch", 10])
    g.save(17)
    return Sample(17, [{"batch": 1}, {"batch": 3}], raised={"kv_attend": 2, "layer_norm": 5})


def whisper_encoder(path):
    """Two convolutions, then attention over [batch * heads, T, D] as BART's family writes it."""
    g = Builder(path)
    mel = g.input("input_features", FLOAT, ["batch", 10, 24])
    x = g.gelu(g("Conv", mel, g.random(HIDDEN, 10, 3, scale=0.2), g.random(HIDDEN), kernel_shape=[3], pads=[1, 1]))
    x = g.gelu(g("Conv", x, g.random(HIDDEN, HIDDEN, 3, scale=0.1), g.random(HIDDEN), kernel_shape=[3], pads=[1, 1], strides=[2]))
    x = g("Add", g("Transpose", x, perm=[0, 2, 1]), g.random(12, HIDDEN, scale=0.3))
    y = g.layer_norm(x, HIDDEN)
    flat = lambda v: g("Reshape", g("Transpose", g("Reshape", v, g.shape(g.dim(v, 0), -1, H, D)), perm=[0, 2, 1, 3]), g.const([-1, 12, D]))
    q = flat(g("Mul", g.linear(y, HIDDEN, HIDDEN), g.real(D**-0.5)))
    s = g("MatMul", q, g("Transpose", flat(g.linear(y, HIDDEN, HIDDEN, bias=False)), perm=[0, 2, 1]))
    a = g("MatMul", g("Softmax", s, axis=-1), flat(g.linear(y, HIDDEN, HIDDEN)))
    a = g("Transpose", g("Reshape", a, g.const([-1, H, 12, D])), perm=[0, 2, 1, 3])
    x = g("Add", x, g.linear(g("Reshape", a, g.const([-1, 12, HIDDEN])), HIDDEN, HIDDEN))
    g.layer_norm(x, HIDDEN)
    g("Identity", g.nodes[-1].output[0], out="last_hidden_state")
    g.output("last_hidden_state", FLOAT, ["batch", 12, HIDDEN])
    g.save(17)
    return Sample(17, [{"batch": 1}, {"batch": 3}], raised={"layer_norm": 2, "kv_attend": 1})


def t5_encoder(path):
    """Relative positions in buckets as a bias, no scale, RMS norms."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    n = g("Squeeze", g.dim(ids, 1), g.const([0]))
    span = g("Range", g.const(0), n, g.const(1))
    relative = g("Sub", g.unsqueeze(span, 0), g.unsqueeze(span, 1))
    bucket = g("Mul", g("Cast", g("Greater", relative, g.const(0)), to=INT64), g.const(8))
    distance = g("Abs", relative)
    ratio = g("Log", g("Div", g("Cast", distance, to=FLOAT), g.real(4)))
    large = g("Add", g("Cast", g("Mul", g("Div", ratio, g.real(np.log(16 / 4))), g.real(4)), to=INT64), g.const(4))
    large = g("Min", large, g("Expand", g.const([7]), g("Shape", large)))
    bucket = g("Add", bucket, g("Where", g("Less", distance, g.const(4)), distance, large))
    bias = g.unsqueeze(g("Transpose", g("Gather", g.random(16, H, scale=0.5), bucket), perm=[2, 0, 1]), 0)
    bias = g("Add", bias, g.padding_mask(mask))
    for _ in range(2):
        y = g.rms_norm(x, HIDDEN, form="one")
        q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN, bias=False), H, D) for _ in range(3))
        s = g("Add", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), bias)
        x = g("Add", x, g.linear(g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), HIDDEN, HIDDEN, bias=False))
        y = g.rms_norm(x, HIDDEN, form="one")
        x = g("Add", x, g.linear(g("Relu", g.linear(y, HIDDEN, 64, bias=False)), 64, HIDDEN, bias=False))
    y = g.rms_norm(x, HIDDEN, form="one")
    g("Identity", y, out="last_hidden_state")
    g.output("last_hidden_state", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(18)
    return Sample(18, BATCHES, {"attention_mask": padded}, {"kv_attend": 2, "layer_norm": 5})


def conformer(path):
    """A convolution module: GLU, depthwise convolution, batch normalisation, Swish."""
    g = Builder(path)
    x = g.input("features", FLOAT, ["batch", "time", HIDDEN])
    y = g("Transpose", g.layer_norm(x, HIDDEN, "pow", axes="input"), perm=[0, 2, 1])
    y = g("Conv", y, g.random(2 * HIDDEN, HIDDEN, 1, scale=0.2), g.random(2 * HIDDEN), kernel_shape=[1])
    left, right = g("Split", y, outputs=2, axis=1, num_outputs=2)
    y = g("Mul", left, g("Sigmoid", right))
    y = g("Conv", y, g.random(HIDDEN, 1, 7, scale=0.3), g.random(HIDDEN), kernel_shape=[7], pads=[3, 3], group=HIDDEN)
    y = g("BatchNormalization", y, *[g.random(HIDDEN, scale=0.1, offset=o) for o in (1, 0, 0, 1)])
    y = g("Conv", g.gelu(y, "silu"), g.random(HIDDEN, HIDDEN, 1, scale=0.2), g.random(HIDDEN), kernel_shape=[1])
    g("Add", x, g("Transpose", y, perm=[0, 2, 1]), out="out")
    g.output("out", FLOAT, ["batch", "time", HIDDEN])
    g.save(18)
    return Sample(18, [{"batch": 1, "time": 9}, {"batch": 2, "time": 30}], raised={"layer_norm": 1, "conv": 3})


# ---------------------------------------------------------------- decoders


def cache(g, layers, kv, size=D, dtype=FLOAT):
    """past_key_values.N.key/.value and present.N.*, as Optimum names them."""
    past = []
    for i in range(layers):
        past.append([g.input(f"past_key_values.{i}.{side}", dtype, ["batch", kv, "past", size]) for side in ("key", "value")])
        for side in ("key", "value"):
            g.output(f"present.{i}.{side}", dtype, ["batch", kv, "total", size])
    return past


STEPS = [{"batch": 1, "sequence": 5, "past": 0, "total": 5}, {"batch": 2, "sequence": 1, "past": 6, "total": 7}, {"batch": 1, "sequence": 3, "past": 4, "total": 7}]
DECODER = {"attention_mask": ones, "position_ids": positions}


def gpt2_ts(path):
    """Gemm on flattened rows, a triangle kept as a buffer, Where with the lowest number, gelu_new."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 2, H)
    x = g("Add", g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), g("Gather", g.random(64, HIDDEN, scale=0.5), position_ids))
    triangle = g.weight("bias", np.tril(np.ones((64, 64), bool))[None, None])

    def conv1d(v, inputs, outputs):
        rows = g("Reshape", v, g.const([-1, inputs]))
        y = g("Gemm", rows, g.random(inputs, outputs), g.random(outputs))
        return g("Reshape", y, g.shape(g.dim(v, 0), g.dim(v, 1), outputs))

    for i in range(2):
        q, k, v = g("Split", conv1d(g.layer_norm(x, HIDDEN, "pow"), HIDDEN, 3 * HIDDEN), g.const([HIDDEN] * 3), outputs=3, axis=2)
        q, k, v = (g.split_heads(part, H, D) for part in (q, k, v))
        k = g("Concat", past[i][0], k, axis=2, out=f"present.{i}.key")
        v = g("Concat", past[i][1], v, axis=2, out=f"present.{i}.value")
        s = g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2]))
        d = g("Cast", g("Gather", g("Shape", v), g.const(-1), axis=0), to=FLOAT)
        s = g("Div", s, g("Pow", d, g.real(0.5)))
        total, length = g.dim(k, 2), g.dim(q, 2)
        seen = g("Slice", g("Slice", triangle, g("Sub", total, length), total, g.const([2]), g.const([1])), g.const([0]), total, g.const([3]), g.const([1]))
        s = g("Where", seen, s, g.real(LOWEST))
        x = g("Add", x, conv1d(g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), HIDDEN, HIDDEN))
        x = g("Add", x, conv1d(g.gelu(conv1d(g.layer_norm(x, HIDDEN, "pow"), HIDDEN, 64), "tanh"), 64, HIDDEN))
    g("MatMul", g.layer_norm(x, HIDDEN, "pow"), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(13)
    return Sample(13, STEPS, DECODER, {"kv_attend": 2, "layer_norm": 5})


def llama(path, style="optimum", kv=2, dtype=np.float32, window=None, qk_norm=False, rotary_size=D, softcap=None, mlp="silu", opset=18, split=False):
    """The Llama family: Optimum's decomposed form, torch's SDPA form, and its relatives by one switch each."""
    g = Builder(path, dtype=dtype)
    half = dtype == np.float16
    kind = FLOAT16 if half else FLOAT
    ids, mask, position_ids = g.ids(), g.input("attention_mask", INT64, ["batch", "total"]), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 2, kv, dtype=kind)
    before, length = g.dim(past[0][0], 2), g.dim(ids, 1)
    total = g("Add", before, length)
    ts = style == "ts"
    bias = g.old_causal_mask(ids, before, mask) if ts else g.causal_mask(ids, total, before, window, mask)
    cos, sin = g.rotary_tables(position_ids, rotary_size)
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    norm = lambda v, width=HIDDEN: g.rms_norm(v, width, casts=half)

    def turned(v):
        if rotary_size == D:
            return g.rotate(v, cos, sin, D, split)
        return g("Concat", g.rotate(g.slice(v, 0, rotary_size, 3), cos, sin, rotary_size), g.slice(v, rotary_size, END, 3), axis=-1)

    for i in range(2):
        y = norm(x)
        q, k, v = (g.split_heads(g.linear(y, HIDDEN, n * D, bias=False), n, D) for n in (H, kv, kv))
        if qk_norm:
            q, k = norm(q, D), norm(k, D)
        q, k = turned(q), turned(k)
        k = g("Concat", past[i][0], k, axis=2, out=f"present.{i}.key")
        v = g("Concat", past[i][1], v, axis=2, out=f"present.{i}.value")
        if kv != H:
            k, v = g.repeat_kv(k, kv, H // kv, D, ts), g.repeat_kv(v, kv, H // kv, D, ts)
        if style == "sdpa":
            a = g.sdpa(q, k, v, D, bias)
        else:
            s = g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5)
            if softcap:
                s = g("Mul", g("Tanh", g("Div", s, g.real(softcap))), g.real(softcap))
            s = g("Add", s, bias)
            if half:
                p = g("Cast", g("Softmax", g("Cast", s, to=FLOAT), axis=-1), to=FLOAT16)
            else:
                p = g("Softmax", s, axis=-1)
            a = g("MatMul", p, v)
        x = g("Add", x, g.linear(g.join_heads(a, HIDDEN), HIDDEN, HIDDEN, bias=False))
        y = norm(x)
        gate, up = g.linear(y, HIDDEN, 48, bias=False), g.linear(y, HIDDEN, 48, bias=False)
        x = g("Add", x, g.linear(g("Mul", g.gelu(gate, mlp), up), 48, HIDDEN, bias=False))
    g("MatMul", norm(x), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", kind, ["batch", "sequence", VOCAB])
    g.save(opset)
    return Sample(opset, STEPS, DECODER, {"kv_attend": 2, "layer_norm": 9 if qk_norm else 5, "rotary": 4}, 2e-2 if half else 1e-4, True)


def alibi(path):
    """Slopes times positions as a bias, positions from a running sum of the mask."""
    g = Builder(path)
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "sequence"])
    x = g.layer_norm(g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), HIDDEN)
    place = g("Mul", g("Sub", g("CumSum", mask, g.const(-1)), g.const(1)), mask)
    slopes = g.const((2.0 ** -np.arange(1, H + 1))[None, :, None, None], np.float32)
    bias = g("Mul", slopes, g.unsqueeze(g("Cast", place, to=FLOAT), 1, 2))
    q, k, v = (g.split_heads(g.linear(x, HIDDEN, HIDDEN), H, D) for _ in range(3))
    s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
    s = g("Add", s, g.causal_mask(ids, g.dim(ids, 1)))
    g("Add", x, g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, BATCHES, {"attention_mask": padded}, {"kv_attend": 1})


def t5_decoder(path):
    """Causal self attention with a cache, then attention over an encoder."""
    g = Builder(path)
    ids = g.ids("decoder_input_ids")
    encoder = g.input("encoder_hidden_states", FLOAT, ["batch", "encoder", HIDDEN])
    mask = g.input("encoder_attention_mask", INT64, ["batch", "encoder"])
    past = cache(g, 1, H)
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    before = g.dim(past[0][0], 2)
    bias = g.causal_mask(ids, g("Add", before, g.dim(ids, 1)), before)
    y = g.rms_norm(x, HIDDEN, form="div")
    q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN, bias=False), H, D) for _ in range(3))
    k = g("Concat", past[0][0], k, axis=2, out="present.0.key")
    v = g("Concat", past[0][1], v, axis=2, out="present.0.value")
    p = g("Softmax", g("Add", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), bias), axis=-1)
    x = g("Add", x, g.linear(g.join_heads(g("MatMul", p, v), HIDDEN), HIDDEN, HIDDEN, bias=False))
    q = g.split_heads(g.linear(g.rms_norm(x, HIDDEN, form="div"), HIDDEN, HIDDEN, bias=False), H, D)
    k, v = (g.split_heads(g.linear(encoder, HIDDEN, HIDDEN, bias=False), H, D) for _ in range(2))
    p = g("Softmax", g("Add", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.padding_mask(mask)), axis=-1)
    x = g("Add", x, g.linear(g.join_heads(g("MatMul", p, v), HIDDEN), HIDDEN, HIDDEN, bias=False))
    g("MatMul", g.rms_norm(x, HIDDEN, form="div"), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(18)
    return Sample(18, [{**s, "encoder": 4 + s["batch"]} for s in STEPS], {"encoder_attention_mask": padded}, {"kv_attend": 2, "layer_norm": 3})


def whisper_decoder(path):
    """Keys and values of the encoder come projected; the causal mask is cut from a constant."""
    g = Builder(path)
    ids = g.ids("input_ids")
    past = cache(g, 1, H)
    cross = [g.input(f"past_key_values.0.encoder.{side}", FLOAT, ["batch", H, "encoder", D]) for side in ("key", "value")]
    before = g.dim(past[0][0], 2)
    length = g.dim(ids, 1)
    total = g("Add", before, length)
    where = g("Slice", g.random(32, HIDDEN, scale=0.5), before, total, g.const([0]), g.const([1]))
    x = g("Add", g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), where)
    full = g.weight("mask", np.triu(np.full((32, 32), -np.inf, np.float32), 1))
    bias = g("Slice", g("Slice", full, before, total, g.const([0]), g.const([1])), g.const([0]), total, g.const([1]), g.const([1]))
    y = g.layer_norm(x, HIDDEN)
    q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN), H, D) for _ in range(3))
    k = g("Concat", past[0][0], k, axis=2, out="present.0.key")
    v = g("Concat", past[0][1], v, axis=2, out="present.0.value")
    a = g.sdpa(q, k, v, D, bias)
    x = g("Add", x, g.linear(g.join_heads(a, HIDDEN), HIDDEN, HIDDEN))
    q = g.split_heads(g("Mul", g.linear(g.layer_norm(x, HIDDEN), HIDDEN, HIDDEN), g.real(D**-0.5)), H, D)
    p = g("Softmax", g("MatMul", q, g("Transpose", cross[0], perm=[0, 1, 3, 2])), axis=-1)
    x = g("Add", x, g.linear(g.join_heads(g("MatMul", p, cross[1]), HIDDEN), HIDDEN, HIDDEN))
    g("MatMul", g.layer_norm(x, HIDDEN), g.random(HIDDEN, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(17)
    return Sample(17, [{**s, "encoder": 9} for s in STEPS], raised={"kv_attend": 2, "layer_norm": 3})


def clip_text(path):
    """A constant causal mask, QuickGelu, and the row of the largest id as the sentence."""
    g = Builder(path)
    ids = g.ids(dims=("batch", 7))
    x = g("Add", g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), g.random(1, 7, HIDDEN, scale=0.5))
    bias = g.weight("mask", np.triu(np.full((1, 1, 7, 7), LOWEST, np.float32), 1))
    y = g.layer_norm(x, HIDDEN)
    q, k, v = (g.split_heads(g.linear(y, HIDDEN, HIDDEN), H, D) for _ in range(3))
    s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), bias)
    x = g("Add", x, g.linear(g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN), HIDDEN, HIDDEN))
    x = g("Add", x, g.linear(g.gelu(g.linear(g.layer_norm(x, HIDDEN), HIDDEN, 64), "quick"), 64, HIDDEN))
    x = g.layer_norm(x, HIDDEN)
    end = g("ArgMax", ids, axis=-1, keepdims=0)
    rows = g("Range", g.const(0), g("Squeeze", g.dim(ids, 0), g.const([0])), g.const(1))
    pooled = g("GatherND", x, g("Concat", g.unsqueeze(rows, 1), g.unsqueeze(end, 1), axis=1))
    g("MatMul", pooled, g.random(HIDDEN, 16), out="text_embeds")
    g.output("text_embeds", FLOAT, ["batch", 16])
    g.save(17)
    return Sample(17, [{"batch": 1}, {"batch": 3}], raised={"kv_attend": 1, "layer_norm": 3})


def mixture(path):
    """Two of four experts by router weight; every expert sees all rows and is weighted, as dynamo unrolls it."""
    g = Builder(path)
    x = g.input("hidden", FLOAT, ["batch", "sequence", HIDDEN])
    rows = g("Reshape", x, g.const([-1, HIDDEN]))
    weights = g("Softmax", g.linear(rows, HIDDEN, 4, bias=False), axis=-1)
    best, which = g("TopK", weights, g.const([2]), outputs=2, axis=-1)
    best = g("Div", best, g("ReduceSum", best, g.const([-1]), keepdims=1))
    dense = g("ScatterElements", g("Mul", weights, g.real(0)), which, best, axis=1)
    total = None
    for i in range(4):
        y = g("Mul", g.gelu(g.linear(rows, HIDDEN, 48, bias=False), "silu"), g.linear(rows, HIDDEN, 48, bias=False))
        y = g("Mul", g.linear(y, 48, HIDDEN, bias=False), g.slice(dense, i, i + 1, 1))
        total = g("Add", total, y) if total else y
    g("Reshape", total, g("Shape", x), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(18)
    return Sample(18, BATCHES)


def gptj(path):
    """Rotary over adjacent pairs: even and odd elements, stacked and flattened."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    x = g.layer_norm(g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids), HIDDEN)
    tables = [g("Gather", g.random(64, D // 2, scale=0.7), position_ids) for _ in range(2)]
    wide = []
    for table in tables:  # each entry twice: [B, S, D/2, 1] -> [B, S, 1, D]
        pair = g("Expand", g.unsqueeze(table, 3), g.const([1, 1, 1, 2]))
        wide.append(g("Reshape", pair, g.shape(g.dim(table, 0), g.dim(table, 1), 1, D)))
    cos, sin = wide

    def rotate(v):  # [B, S, H, D]
        even, odd = g.slice(v, 0, END, 3, 2), g.slice(v, 1, END, 3, 2)
        pairs = g("Concat", g.unsqueeze(g("Neg", odd), 4), g.unsqueeze(even, 4), axis=-1)
        turned = g("Reshape", pairs, g.shape(g.dim(v, 0), g.dim(v, 1), H, D))
        return g("Add", g("Mul", v, cos), g("Mul", turned, sin))

    by_head = lambda v: g("Reshape", v, g.shape(g.dim(v, 0), g.dim(v, 1), H, D))
    q, k, v = (by_head(g.linear(x, HIDDEN, HIDDEN, bias=False)) for _ in range(3))
    q, k, v = (g("Transpose", t, perm=[0, 2, 1, 3]) for t in (rotate(q), rotate(k), v))
    s = g("Add", g.scores(q, g("Transpose", k, perm=[0, 1, 3, 2]), D**-0.5), g.causal_mask(ids, g.dim(ids, 1)))
    a = g.join_heads(g("MatMul", g("Softmax", s, axis=-1), v), HIDDEN)
    # Attention and MLP side by side.
    m = g.linear(g.gelu(g.linear(x, HIDDEN, 64), "tanh"), 64, HIDDEN)
    g("Add", g("Add", g.linear(a, HIDDEN, HIDDEN, bias=False), m), x, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, BATCHES, {"position_ids": positions}, {"kv_attend": 1})


# ---------------------------------------------------------------- operators of the standard and of ONNX Runtime


def standard(path):
    """Opset 24: the standard's own operators, three-dimensional attention with a past."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 1, 2)
    tables = [g.random(64, D // 2, scale=0.7) for _ in range(2)]
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    y = g("RMSNormalization", x, g.random(HIDDEN, scale=0.1, offset=1), axis=-1)
    q, k, v = (g.linear(y, HIDDEN, n * D, bias=False) for n in (H, 2, 2))
    q = g("RotaryEmbedding", q, *tables, position_ids, num_heads=H)
    k = g("RotaryEmbedding", k, *tables, position_ids, num_heads=2)
    a, _, _ = g("Attention", q, k, v, None, *past[0], out=["attended", "present.0.key", "present.0.value"], is_causal=1, q_num_heads=H, kv_num_heads=2)
    x = g("Add", x, g.linear(a, HIDDEN, HIDDEN, bias=False))
    y = g("LayerNormalization", x, g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN), axis=-1)
    g("Add", x, g.linear(g("Gelu", g.linear(y, HIDDEN, 64), approximate="tanh"), 64, HIDDEN), out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(23)
    return Sample(23, STEPS, DECODER, {"kv_attend": 1, "layer_norm": 2, "rotary": 2}, causal_step=True)


def ort_bert(path):
    """What ONNX Runtime's optimizer makes of BERT."""
    g = Builder(path)
    ids = g.input("input_ids", INT32, ["batch", "sequence"])
    mask = g.input("attention_mask", INT32, ["batch", "sequence"])
    segments = g.input("token_type_ids", INT32, ["batch", "sequence"])
    norm = lambda: (g.random(HIDDEN, scale=0.1, offset=1), g.random(HIDDEN))
    x, _ = g("EmbedLayerNormalization", ids, segments, g.random(VOCAB, HIDDEN), g.random(64, HIDDEN), g.random(2, HIDDEN), *norm(), mask,
             outputs=2, domain=MICROSOFT, epsilon=1e-5)
    for _ in range(2):
        a = g("Attention", x, g.random(HIDDEN, 3 * HIDDEN), g.random(3 * HIDDEN), mask, domain=MICROSOFT, num_heads=H)
        a = g("MatMul", a, g.random(HIDDEN, HIDDEN))
        x = g("SkipLayerNormalization", a, x, *norm(), g.random(HIDDEN), domain=MICROSOFT, epsilon=1e-5)
        y = g("BiasGelu", g("MatMul", x, g.random(HIDDEN, 64)), g.random(64), domain=MICROSOFT)
        x = g("SkipLayerNormalization", g("MatMul", y, g.random(64, HIDDEN)), x, *norm(), g.random(HIDDEN), domain=MICROSOFT, epsilon=1e-5)
    g("Identity", x, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    one = lambda shape, sizes, rng: padded(shape, sizes, rng).astype(np.int32)
    return Sample(17, BATCHES, {"attention_mask": one, "token_type_ids": lambda s, z, r: r.integers(0, 2, s).astype(np.int32)}, {"kv_attend": 2, "layer_norm": 5})


def genai(path, quantised=False):
    """GenAI's builder: GroupQueryAttention with rotary inside, skip norms, lengths from the mask."""
    g = Builder(path)
    heads, kv, size = 4, 2, 16
    hidden = heads * size
    ids, mask = g.ids(), g.input("attention_mask", INT64, ["batch", "total"])
    past = cache(g, 2, kv, size)
    last = g("Cast", g("Sub", g("ReduceSum", mask, g.const([1]), keepdims=0), g.const([1])), to=INT32)
    total = g("Cast", g("Gather", g("Shape", mask), g.const(1), axis=0), to=INT32)
    angles = np.arange(64)[:, None] * 10000.0 ** -(np.arange(0, size, 2) / size)
    cos, sin = (g.weight(n, f(angles).astype(np.float32)) for n, f in (("cos_cache", np.cos), ("sin_cache", np.sin)))

    def linear(x, inputs, outputs):
        if not quantised:
            return g("MatMul", x, g.random(inputs, outputs))
        codes = g.weight(f"codes{g.weights}", g.rng.integers(0, 256, (outputs, inputs // 32, 16)).astype(np.uint8))
        return g("MatMulNBits", x, codes, g.random(outputs, inputs // 32, scale=0.02), domain=MICROSOFT, K=inputs, N=outputs, bits=4, block_size=32)

    x = g("Gather", g.random(VOCAB, hidden, scale=0.5), ids)
    weight = lambda: g.random(hidden, scale=0.1, offset=1)
    y = g("SimplifiedLayerNormalization", x, weight(), axis=-1, epsilon=1e-5, stash_type=1)
    for i in range(2):
        packed = linear(y, hidden, (heads + 2 * kv) * size)
        a, _, _ = g("GroupQueryAttention", packed, None, None, *past[i], last, total, cos, sin, domain=MICROSOFT, num_heads=heads, kv_num_heads=kv,
                    do_rotary=1, rotary_interleaved=0, out=[f"a{i}", f"present.{i}.key", f"present.{i}.value"])
        skip = lambda v: g("SkipSimplifiedLayerNormalization", x, v, weight(), outputs=4, domain=MICROSOFT, epsilon=1e-5)
        y, _, _, x = skip(linear(a, hidden, hidden))
        active = g("Mul", g.gelu(linear(y, hidden, 96), "silu"), linear(y, hidden, 96))
        y, _, _, x = skip(linear(active, 96, hidden))
    g("MatMul", y, g.random(hidden, VOCAB), out="logits")
    g.output("logits", FLOAT, ["batch", "sequence", VOCAB])
    g.save(21)
    return Sample(21, STEPS, DECODER, {"kv_attend": 2, "layer_norm": 5, "rotary": 4, **({"matmul_nbits": 10} if quantised else {})}, 5e-4, True)


def phi_ort(path):
    """MultiHeadAttention with a growing cache, com.microsoft's RotaryEmbedding, FastGelu."""
    g = Builder(path)
    ids, position_ids = g.ids(), g.input("position_ids", INT64, ["batch", "sequence"])
    past = cache(g, 1, H)
    tables = [g.random(64, D // 2, scale=0.7) for _ in range(2)]
    x = g("Gather", g.random(VOCAB, HIDDEN, scale=0.5), ids)
    y = g.layer_norm(x, HIDDEN)
    q, k, v = (g.linear(y, HIDDEN, HIDDEN) for _ in range(3))
    q, k = (g("RotaryEmbedding", t, position_ids, *tables, domain=MICROSOFT, num_heads=H, rotary_embedding_dim=0) for t in (q, k))
    a, _, _ = g("MultiHeadAttention", q, k, v, None, None, None, *past[0], domain=MICROSOFT, num_heads=H, unidirectional=1,
                out=["attended", "present.0.key", "present.0.value"])
    m = g("FastGelu", g("MatMul", y, g.random(HIDDEN, 64)), g.random(64), domain=MICROSOFT)
    g("Add", g("Add", g.linear(a, HIDDEN, HIDDEN), g.linear(m, 64, HIDDEN)), x, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, STEPS, DECODER, {"kv_attend": 1, "layer_norm": 1, "rotary": 2})


def dynamic_int8(path):
    """ONNX Runtime's dynamic quantisation of linear layers."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", "sequence", HIDDEN])
    y = x
    for inputs, outputs in ((HIDDEN, 64), (64, HIDDEN)):
        codes, scale, zero = g("DynamicQuantizeLinear", y, outputs=3)
        w = g.weight(f"q{inputs}", g.rng.integers(-100, 100, (inputs, outputs)).astype(np.int8))
        product = g("Cast", g("MatMulInteger", codes, w, zero, g.const(0, np.int8)), to=FLOAT)
        y = g("Add", g("Mul", product, g("Mul", scale, g.real(0.003))), g.random(outputs))
        y = g("Relu", y)
    g("Add", x, y, out="out")
    g.output("out", FLOAT, ["batch", "sequence", HIDDEN])
    g.save(17)
    return Sample(17, BATCHES, tolerance=2e-2)


def static_qdq(path):
    """QuantizeLinear and DequantizeLinear around a linear layer, weights per column."""
    g = Builder(path)
    x = g.input("x", FLOAT, ["batch", HIDDEN])
    dq = lambda v, s, z, **a: g("DequantizeLinear", v, s, z, **a)
    scale, zero = g.real(0.03), g.const(128, np.uint8)
    a = dq(g("QuantizeLinear", x, scale, zero), scale, zero)
    w = g.weight("q", g.rng.integers(-100, 100, (HIDDEN, 16)).astype(np.int8))
    w = dq(w, g.weight("ws", (g.rng.random(16) * 0.01 + 0.001).astype(np.float32)), g.weight("wz", np.zeros(16, np.int8)), axis=1)
    g("Add", g("MatMul", a, w), g.random(16), out="out")
    g.output("out", FLOAT, ["batch", 16])
    g.save(17)
    return Sample(17, [{"batch": 1}, {"batch": 5}])


MODELS = {
    "bert-ts-opset11": lambda p: bert(p, 11, "pow", -10000.0),
    "bert-ts-opset14": lambda p: bert(p, 14, "mul", LOWEST),
    "bert-opset17": lambda p: bert(p, 17, "op", LOWEST, "erf-dynamo"),
    "distilbert-ts": distilbert_ts,
    "vit-timm": lambda p: vit(p, False),
    "vit-dynamo": lambda p: vit(p, True),
    "whisper-encoder": whisper_encoder,
    "whisper-decoder": whisper_decoder,
    "t5-encoder": t5_encoder,
    "t5-decoder": t5_decoder,
    "clip-text": clip_text,
    "conformer": conformer,
    "gpt2-ts": gpt2_ts,
    "gptj": gptj,
    "llama-optimum": llama,
    "llama-ts": lambda p: llama(p, "ts", opset=18),
    "llama-sdpa": lambda p: llama(p, "sdpa"),
    "llama-f16": lambda p: llama(p, dtype=np.float16),
    "llama-split": lambda p: llama(p, split=True),
    "mha-rope": lambda p: llama(p, kv=4),
    "multi-query": lambda p: llama(p, kv=1),
    "mistral-window": lambda p: llama(p, window=3),
    "qwen3-norms": lambda p: llama(p, qk_norm=True),
    "neox-partial-rotary": lambda p: llama(p, kv=4, rotary_size=4, mlp="erf"),
    "gemma-softcap": lambda p: llama(p, softcap=5.0, mlp="tanh"),
    "alibi": alibi,
    "mixture-of-experts": mixture,
    "standard-opset23": standard,
    "ort-bert": ort_bert,
    "genai-gqa": genai,
    "genai-int4": lambda p: genai(p, True),
    "phi-mha": phi_ort,
    "int8-dynamic": dynamic_int8,
    "qdq": static_qdq,
}
