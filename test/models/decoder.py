"""Llama-style decoders as ONNX, in the three styles that exporters write.

  decomposed   primitive ops and a growing cache with Optimum's names, as torch.onnx exports (opset 18)
  attention24  the standard's own Attention, RotaryEmbedding, RMSNormalization and a static cache that TensorScatter writes (opset 24)
  gqa          ONNX Runtime's GroupQueryAttention, MatMulNBits and an 8-bit embedding (opset 21 and com.microsoft)

A decoder is a Config and a source of weights: a checkpoint, or random numbers.
"""
import dataclasses

import numpy as np

from models.graph import BOOL, FLOAT, INT32, INT64, Graph

BLOCK = 32  # weights per quantisation block
MICROSOFT = "com.microsoft"
STYLES = ("decomposed", "attention24", "gqa")


@dataclasses.dataclass(frozen=True)
class Config:
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    theta: float = 10000.0
    epsilon: float = 1e-5
    tied: bool = True  # the logits' weight is the embedding

    @property
    def head_dim(self):
        return self.hidden // self.heads

    def frequencies(self):
        """Angle per position of each pair of dimensions, float64 [head_dim / 2]."""
        return self.theta ** -(np.arange(0, self.head_dim, 2, dtype=np.float64) / self.head_dim)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """A matrix [rows, columns] in blocks along the columns: scale * code + offset."""

    codes: np.ndarray  # [rows, columns / BLOCK, BLOCK] uint8 (4 bits used) or int8
    scale: np.ndarray  # [rows, columns / BLOCK] float32
    offset: np.ndarray  # the same

    def dense(self):
        return (self.scale[..., None] * self.codes.astype(np.float32) + self.offset[..., None]).reshape(len(self.codes), -1)

    def rows(self, order):
        return Blocks(self.codes[order], self.scale[order], self.offset[order])

    @staticmethod
    def stack(parts):
        return Blocks(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("codes", "scale", "offset")))


class RandomWeights:
    """Weights of a decoder that never trained: the same numbers for the same seed, 4-bit blocks for the linear layers."""

    def __init__(self, config, seed=0):
        self.config = config
        self.seed = seed

    def _rng(self, name):
        return np.random.default_rng([self.seed, *name.encode()])

    def _shape(self, name):
        c = self.config
        return {"q_proj": (c.hidden, c.hidden), "k_proj": (c.kv_heads * c.head_dim, c.hidden), "v_proj": (c.kv_heads * c.head_dim, c.hidden),
                "o_proj": (c.hidden, c.hidden), "gate_proj": (c.ffn, c.hidden), "up_proj": (c.ffn, c.hidden),
                "down_proj": (c.hidden, c.ffn), "lm_head": (c.vocab, c.hidden)}[name.rsplit(".", 1)[-1]]

    def norm(self, name):
        return (1 + 0.1 * self._rng(name).standard_normal(self.config.hidden)).astype(np.float32)

    def linear(self, name):
        rng, (rows, columns) = self._rng(name), self._shape(name)
        codes = rng.integers(0, 16, (rows, columns // BLOCK, BLOCK), dtype=np.uint8)
        scale = (rng.uniform(0.5, 1.5, codes.shape[:2]) * 0.25 / np.sqrt(columns)).astype(np.float16).astype(np.float32)
        offset = (-7.5 * scale + 0.02 * rng.standard_normal(scale.shape) / np.sqrt(columns)).astype(np.float16).astype(np.float32)
        return Blocks(codes, scale, offset)

    def embedding(self):
        rng = self._rng("embedding")
        codes = rng.integers(-127, 128, (self.config.vocab, self.config.hidden // BLOCK, BLOCK), dtype=np.int8)
        scale = (rng.uniform(0.5, 1.5, codes.shape[:2]) / 64).astype(np.float16).astype(np.float32)
        return Blocks(codes, scale, np.zeros_like(scale))


def export(path, style, config, weights, last_logits=False, **options):
    """Writes the decoder to `path` (and path.data); returns the path. `options` are the style's own (accuracy_level of gqa)."""
    return {"decomposed": decomposed, "attention24": attention24, "gqa": gqa}[style](Graph(path), config, weights, last_logits, **options)


def _io(g, config, length, total, last_logits):
    """Cache inputs [layer][key, value], and the outputs' names."""
    shape = lambda n: ["batch_size", config.kv_heads, n, config.head_dim]
    past = [[g.input(f"past_key_values.{i}.{part}", FLOAT, shape(length)) for part in ("key", "value")] for i in range(config.layers)]
    g.output("logits", FLOAT, ["batch_size", 1 if last_logits else "sequence_length", config.vocab])
    present = [[g.output(f"present.{i}.{part}", FLOAT, shape(total)) for part in ("key", "value")] for i in range(config.layers)]
    return past, present


def _linear(g, weights, name, x):
    return g("MatMul", x, g.weight(f"{name}.weight_t", weights.linear(name).dense().T))


def _head(g, config, weights, embedding, x, last_logits):
    """Logits, of all positions or the last, through the embedding or a weight of their own."""
    if last_logits:
        x = g("Slice", x, g.const([-1]), g.const([np.iinfo(np.int64).max]), g.const([1]))
    head = g("Transpose", embedding, perm=[1, 0]) if config.tied else g.weight("lm_head.weight_t", weights.linear("lm_head").dense().T)
    return g("MatMul", x, head, out="logits")


def _tables(g, config):
    angles = np.outer(np.arange(config.context), config.frequencies())
    return g.weight("cos_cache", np.cos(angles).astype(np.float32)), g.weight("sin_cache", np.sin(angles).astype(np.float32))


def decomposed(g, config, weights, last_logits=False):
    heads, kv, dim = config.heads, config.kv_heads, config.head_dim
    ids = g.input("input_ids", INT64, ["batch_size", "sequence_length"])
    mask_in = g.input("attention_mask", INT64, ["batch_size", "total_sequence_length"])
    positions = g.input("position_ids", INT64, ["batch_size", "sequence_length"])
    past, present = _io(g, config, "past_sequence_length", "total_sequence_length", last_logits)

    g.scope = "/model"
    size = lambda v, axis: g("Gather", g("Shape", v), g.const([axis]), axis=0)
    shape = lambda *dims: g("Concat", *[d if isinstance(d, str) else g.const([d]) for d in dims], axis=0)
    batch, length, before = size(ids, 0), size(ids, 1), size(past[0][0], 2)
    total = g("Add", before, length)
    split = {n: shape(batch, length, n, dim) for n in {heads, kv}}
    joined, expanded, repeated = shape(batch, length, heads * dim), shape(batch, kv, heads // kv, total, dim), shape(batch, heads, total, dim)

    # Angles per position, each twice: for the two halves of a head.
    frequencies = g.const(config.frequencies()[None, :, None], np.float32)
    angles = g("MatMul", frequencies, g("Cast", g("Unsqueeze", positions, g.const([1])), to=FLOAT))
    angles = g("Transpose", angles, perm=[0, 2, 1])
    angles = g("Concat", angles, angles, axis=-1)
    cos, sin = (g("Unsqueeze", g(f, angles), g.const([1])) for f in ("Cos", "Sin"))

    # 0 where a key is neither in the future nor padding, the lowest float elsewhere.
    scalar = lambda v: g("Squeeze", v, g.const([0]))
    columns = g("Range", g.const(0), scalar(total), g.const(1))
    rows = g("Unsqueeze", g("Range", scalar(before), scalar(total), g.const(1)), g.const([1]))
    allowed = g("And", g("LessOrEqual", columns, rows), g("Unsqueeze", g("Cast", mask_in, to=BOOL), g.const([1, 2])))
    mask = g("Where", allowed, g.const(0, np.float32), g.const(np.finfo(np.float32).min, np.float32))

    def norm(name, x):
        mean = g("ReduceMean", g("Pow", x, g.const(2, np.float32)), g.const([-1]), keepdims=1)
        inverse = g("Reciprocal", g("Sqrt", g("Add", mean, g.const(config.epsilon, np.float32))))
        return g("Mul", g.weight(f"{name}.weight", weights.norm(name)), g("Mul", x, inverse))

    def rotate(x):
        low = g("Slice", x, g.const([0]), g.const([dim // 2]), g.const([3]), g.const([1]))
        high = g("Slice", x, g.const([dim // 2]), g.const([np.iinfo(np.int64).max]), g.const([3]), g.const([1]))
        return g("Add", g("Mul", x, cos), g("Mul", g("Concat", g("Neg", high), low, axis=-1), sin))

    table = g.weight("model.embed_tokens.weight", weights.embedding().dense())
    x = g("Gather", table, ids)
    for i in range(config.layers):
        layer = f"model.layers.{i}"
        g.scope = f"/{layer}"
        normed = norm(f"{layer}.input_layernorm", x)

        def project(part, n):
            y = _linear(g, weights, f"{layer}.self_attn.{part}_proj", normed)
            return g("Transpose", g("Reshape", y, split[n]), perm=[0, 2, 1, 3])

        def repeat(v):
            return g("Reshape", g("Expand", g("Unsqueeze", v, g.const([2])), expanded), repeated)

        q, k, v = rotate(project("q", heads)), rotate(project("k", kv)), project("v", kv)
        k = g("Concat", past[i][0], k, axis=2, out=present[i][0])
        v = g("Concat", past[i][1], v, axis=2, out=present[i][1])
        scores = g("Mul", g("MatMul", q, g("Transpose", repeat(k), perm=[0, 1, 3, 2])), g.const(dim**-0.5, np.float32))
        mixed = g("MatMul", g("Softmax", g("Add", scores, mask), axis=-1), repeat(v))
        mixed = g("Reshape", g("Transpose", mixed, perm=[0, 2, 1, 3]), joined)
        x = g("Add", x, _linear(g, weights, f"{layer}.self_attn.o_proj", mixed))
        normed = norm(f"{layer}.post_attention_layernorm", x)
        gate, up = (_linear(g, weights, f"{layer}.mlp.{part}_proj", normed) for part in ("gate", "up"))
        x = g("Add", x, _linear(g, weights, f"{layer}.mlp.down_proj", g("Mul", g("Mul", gate, g("Sigmoid", gate)), up)))
    g.scope = ""
    _head(g, config, weights, table, norm("model.norm", x), last_logits)
    return g.save(18)


def attention24(g, config, weights, last_logits=False):
    ids = g.input("input_ids", INT64, ["batch_size", "sequence_length"])
    positions = g.input("position_ids", INT64, ["batch_size", "sequence_length"])
    where = g.input("write_indices", INT64, ["batch_size"])
    cache, updated = _io(g, config, "cache_length", "cache_length", last_logits)
    valid = g("Add", where, g("Shape", ids, start=1, end=2))
    cos, sin = _tables(g, config)
    table = g.weight("model.embed_tokens.weight", weights.embedding().dense())
    x = g("Gather", table, ids)

    def norm(name, x):
        return g("RMSNormalization", x, g.weight(f"{name}.weight", weights.norm(name)), axis=-1, epsilon=config.epsilon)

    for i in range(config.layers):
        layer = f"model.layers.{i}"
        g.scope = f"/{layer}"
        normed = norm(f"{layer}.input_layernorm", x)

        def project(part, n):
            y = g("Reshape", _linear(g, weights, f"{layer}.self_attn.{part}_proj", normed), g.const([0, 0, n, config.head_dim]))
            return g("Transpose", y, perm=[0, 2, 1, 3])

        q = g("RotaryEmbedding", project("q", config.heads), cos, sin, positions)
        k = g("RotaryEmbedding", project("k", config.kv_heads), cos, sin, positions)
        v = project("v", config.kv_heads)
        k, v = (g("TensorScatter", cache[i][s], new, where, axis=2, mode="linear", out=updated[i][s]) for s, new in enumerate((k, v)))
        mixed = g("Attention", q, k, v, None, None, None, valid, is_causal=1)
        mixed = g("Reshape", g("Transpose", mixed, perm=[0, 2, 1, 3]), g.const([0, 0, config.heads * config.head_dim]))
        x = g("Add", x, _linear(g, weights, f"{layer}.self_attn.o_proj", mixed))
        normed = norm(f"{layer}.post_attention_layernorm", x)
        gate, up = (_linear(g, weights, f"{layer}.mlp.{part}_proj", normed) for part in ("gate", "up"))
        x = g("Add", x, _linear(g, weights, f"{layer}.mlp.down_proj", g("Mul", g("Swish", gate), up)))
    g.scope = ""
    _head(g, config, weights, table, norm("model.norm", x), last_logits)
    return g.save(24)


def _pack(codes):
    """Two 4-bit codes a byte, the even one low."""
    return codes[..., 0::2] | codes[..., 1::2] << 4


def gqa(g, config, weights, last_logits=False, accuracy_level=0):
    """Zero points are exact: MatMulNBits with the default 8, and a small product of block sums with what is left of the offsets."""
    ids = g.input("input_ids", INT64, ["batch_size", "sequence_length"])
    mask = g.input("attention_mask", INT64, ["batch_size", "total_sequence_length"])
    past, present = _io(g, config, "past_sequence_length", "total_sequence_length", last_logits)
    contrib = lambda op, *inputs, **attributes: g(op, *inputs, domain=MICROSOFT, **attributes)

    def quantised(name, parts, x):
        blocks = Blocks.stack([weights.linear(f"{name}.{p}_proj") for p in parts])
        rows, columns = len(blocks.codes), blocks.codes.shape[1] * BLOCK
        name = f"{name}.{'_'.join(parts)}"
        y = contrib("MatMulNBits", x, g.weight(f"{name}.codes", _pack(blocks.codes)), g.weight(f"{name}.scale", blocks.scale),
                    K=columns, N=rows, bits=4, block_size=BLOCK, accuracy_level=accuracy_level)
        sums = g("ReduceSum", g("Reshape", x, g.const([0, 0, columns // BLOCK, BLOCK])), g.const([-1]), keepdims=0)
        return g("Add", y, g("MatMul", sums, g.weight(f"{name}.rest_t", (blocks.offset + 8 * blocks.scale).T)))

    scale_of = lambda name: g.weight(f"{name}.weight", weights.norm(name))
    last = g("Cast", g("Sub", g("ReduceSum", mask, g.const([1]), keepdims=0), g.const([1])), to=INT32)
    total = g("Cast", g("Gather", g("Shape", mask), g.const(1), axis=0), to=INT32)
    cos, sin = _tables(g, config)

    # Lookup and logits read the same bytes in two shapes.
    embedding = weights.embedding()
    codes = (embedding.codes.astype(np.int16) + 128).astype(np.uint8)
    scale = g.weight("model.embed_tokens.scale", embedding.scale)
    head_codes = g.weight("lm_head.codes", codes)
    table = g.weight("model.embed_tokens.codes", codes.reshape(config.vocab, config.hidden), view_of=head_codes)
    x = contrib("GatherBlockQuantized", table, ids, scale, bits=8, block_size=BLOCK, gather_axis=0, quantize_axis=1)
    normed = g("SimplifiedLayerNormalization", x, scale_of("model.layers.0.input_layernorm"), axis=-1, epsilon=config.epsilon, stash_type=1)
    for i in range(config.layers):
        layer = f"model.layers.{i}"
        g.scope = f"/{layer}"
        packed = quantised(f"{layer}.self_attn", ["q", "k", "v"], normed)
        mixed, *_ = contrib("GroupQueryAttention", packed, None, None, *past[i], last, total, cos, sin, out=[f"{layer}.mixed", *present[i]],
                            num_heads=config.heads, kv_num_heads=config.kv_heads, scale=config.head_dim**-0.5, do_rotary=1, rotary_interleaved=0)

        def skip_norm(name, skip, y):
            normed, _, _, both = contrib("SkipSimplifiedLayerNormalization", skip, y, scale_of(name), outputs=4, epsilon=config.epsilon)
            return normed, both

        normed, x = skip_norm(f"{layer}.post_attention_layernorm", x, quantised(f"{layer}.self_attn", ["o"], mixed))
        gate, up = (quantised(f"{layer}.mlp", [part], normed) for part in ("gate", "up"))
        down = quantised(f"{layer}.mlp", ["down"], g("Mul", g("Mul", gate, g("Sigmoid", gate)), up))
        normed, x = skip_norm(f"model.layers.{i + 1}.input_layernorm" if i + 1 < config.layers else "model.norm", x, down)
    g.scope = ""
    if last_logits:
        normed = g("Slice", normed, g.const([-1]), g.const([np.iinfo(np.int64).max]), g.const([1]))
    contrib("MatMulNBits", normed, head_codes, scale, out="logits", K=config.hidden, N=config.vocab, bits=8, block_size=BLOCK, accuracy_level=accuracy_level)
    return g.save(21)
