"""What is measured on a GPU: shapes, what they cost at least, and how a result is checked before it is timed.

Operations of attention count each visible pair of query and key once in either product; bytes count every input and result once.
"""
import dataclasses

import leat_ops as oracle
import numpy as np
from caches import CODINGS
from decoder import Decoder
from kernels import SAMPLING, UNLIKE, words
from tensors import Tensor, large

HEAD = 128
# (query heads, KV heads): of Llama 3 70B, and of 8B.
PREFILL_HEADS, DECODE_HEADS = (64, 8), (32, 8)
WIDTHS = 512, 4096, 8192  # rows and columns of weights; the first for tries
VOCABULARIES = 1000, 49152, 151936  # tokens to choose from; the first for tries


def _attention(name, heads, words):
    q, kv = f"tensor<?x{heads[0]}x?x{HEAD}xbf16>", f"tensor<?x{heads[1]}x?x{HEAD}xbf16>"
    return (f"func.func @{name}(%q: {q}, %k: {kv}, %v: {kv}) -> {q} {{\n  %o = leat.kv_attend q(%q) k(%k) v(%v) {{scale = {HEAD**-0.5:.17g} : f64{words}}} : "
            f"({q}, {kv}, {kv}) -> {q}\n  return %o : {q}\n}}\n")


def _product(name, n):
    a, w = f"tensor<?x{n}xbf16>", f"tensor<{n}x{n}xbf16>"
    return f"func.func @{name}(%a: {a}, %w: {w}) -> {a} {{\n  %y = leat.matmul %a, %w : ({a}, {w}) -> {a}\n  return %y : {a}\n}}\n"


# Weights in codes: bits, values that share a scale, and whether activations are coded as well.
CODED = {"int4": (4, 32, False), "int8": (8, 32, False), "int4 x int8": (4, 32, True), "int8 x int8": (8, 256, True)}


def _quantised(name, n, bits, block, activations):
    x, codes, scales = f"tensor<?x{n}xbf16>", f"tensor<{n}x{n // block}x{block * bits // 8}xi8>", f"tensor<{n}x{n // block}xf16>"
    return (f"func.func @{name}(%x: {x}, %c: {codes}, %s: {scales}) -> {x} {{\n  %y = leat.matmul_nbits %x, %c, %s "
            f"{{{'int8_activations, ' if activations else ''}k = {n}, n = {n}, bits = {bits}, block = {block}}} : ({x}, {codes}, {scales}) -> {x}\n"
            f"  return %y : {x}\n}}\n")


def _choice(name, tokens):
    x = f"tensor<?x{tokens}xf32>"
    op, out = {"arg_max": (f"leat.arg_reduce %x {{axis = 1 : i64, max = true}} : ({x})", "tensor<?x1xi64>"),
               "sample": (f"leat.sample %x step %step {{{words(SAMPLING)}}} : {x}", "tensor<?xi64>")}[name]
    return f"func.func @{name}_{tokens}(%x: {x}) -> {out} {{\n  %step = arith.constant 3 : index\n  %t = {op} -> {out}\n  return %t : {out}\n}}\n"


FUNCTIONS = {"prefill_causal": _attention("prefill_causal", PREFILL_HEADS, ", causal"), "prefill_full": _attention("prefill_full", PREFILL_HEADS, ""),
             "decode": _attention("decode", DECODE_HEADS, "")}
FUNCTIONS |= {f"bf16_{n}": _product(f"bf16_{n}", n) for n in WIDTHS}
FUNCTIONS |= {(name := f"{kind.replace(' ', '_')}_{n}"): _quantised(name, n, *how) for n in WIDTHS for kind, how in CODED.items()}
FUNCTIONS |= {f"{name}_{n}": _choice(name, n) for n in VOCABULARIES for name in ("arg_max", "sample")}
# Artifacts of their own: each has caches.
CACHED = {f"decode_{name}": coding.module(DECODE_HEADS, HEAD, "bf16") for name, coding in CODINGS.items()}

# Of the published sizes of SmolLM2-135M and Llama 3.1 8B; never trained. Two sets of weights, 872 MB in 16 bits, stand for the 32 of the second.
SMOLLM2 = dict(layers=30, hidden=576, ffn=1536, heads=9, kv_heads=3, vocab=49152, tied=True)
LLAMA_8B = dict(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, vocab=128256, distinct=2)
DECODERS = {d.name: d for d in (Decoder("smollm2_bf16", weights="bf16", **SMOLLM2), Decoder("smollm2_int4", weights="int4", **SMOLLM2),
                                Decoder("llama_8b_bf16", weights="bf16", **LLAMA_8B), Decoder("llama_8b_int4", weights="int4", **LLAMA_8B))}
# For correctness: small, of every kind of weights.
SMALL = dict(layers=2, hidden=128, ffn=192, heads=4, kv_heads=2, vocab=500)
SMALL_DECODERS = {d.name: d for d in (Decoder("small_f32", weights="f32", cache="f32", **SMALL), Decoder("small_bf16", weights="bf16", **SMALL),
                                      Decoder("small_int4", weights="int4", cache="f32", distinct=1, tied=True, **SMALL))}


def decoder_for(name, tiny):
    """The decoder whose speed the row `name` gives; one of the small ones where only the script is tried."""
    return SMALL_DECODERS["small_int4" if DECODERS[name].weights == "int4" else "small_bf16"] if tiny else DECODERS[name]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One row of a table. `tiny` stands in for `size` where only the script is tried."""

    name: str
    kind: str
    size: tuple
    tiny: tuple

    RESULT = "bf16"
    plain = False  # a product that cuBLASLt can have instead
    cached = None  # the artifact whose caches hold all inputs but the first, if it is not "benchmarks", which has none
    TOLERANCE = 5e-2  # of a result's typical size: bf16 rounds values four times as large to 2^-9

    def difference(self, inputs, take, rng):
        """The largest error of a few elements of a result over their typical size. take(index): those elements, as float64."""
        pairs = [(take(index), expected) for index, expected in self.samples(inputs, rng)]
        actual, expected = (np.array([np.ravel(p[i]) for p in pairs], np.float64) for i in (0, 1))
        return float(np.nan_to_num(np.abs(actual - expected), nan=UNLIKE, posinf=UNLIKE).max() / np.sqrt((expected**2).mean()))


class Attention(Benchmark):
    """size: batch, queries, keys. kind: decode, prefill_causal, prefill_full."""

    @property
    def causal(self):
        return self.kind == "prefill_causal"

    @property
    def heads(self):
        return DECODE_HEADS if self.kind == "decode" else PREFILL_HEADS

    def function(self, size):
        return self.kind

    def shapes(self, size):
        batch, queries, keys = size
        return [(batch, self.heads[0], queries, HEAD), *[(batch, self.heads[1], keys, HEAD)] * 2]

    def needed(self, size):
        """Bytes of the inputs, before they are made."""
        return sum(2 * int(np.prod(shape)) for shape in self.shapes(size))

    def inputs(self, rng, size):
        return [large(rng, "bf16", *shape) for shape in self.shapes(size)]

    def operations(self, size):
        batch, queries, keys = size
        return 4 * batch * self.heads[0] * queries * keys * HEAD / (2 if self.causal else 1)

    def samples(self, inputs, rng):
        """(index, what is there in float64) of some elements."""
        q, *cache = inputs
        for _ in range(4):
            b, h, i = (int(rng.integers(n)) for n in q.shape[:3])
            reach = i + 1 if self.causal else cache[0].shape[2]
            k, v = self.entries([part[b, h // (self.heads[0] // self.heads[1]), :reach] for part in cache])
            x = k @ q[b, h, i].f64() * HEAD**-0.5
            weights = np.exp(x - x.max())
            yield (b, h, i), weights @ v / weights.sum()

    def entries(self, parts):
        """Keys and values of one head in float64."""
        return [part.f64() for part in parts]

    def peers(self, torch, inputs):
        """Functions by name, and the inputs that they have."""
        return torch.attention(*inputs, self.causal, flex=self.size[1:] == (8192, 8192)), inputs


class CodedDecode(Attention):
    """kind: f8, i8, i4, of the cache. The peers read one in 16 bits: what the model would cost without codes."""

    heads = DECODE_HEADS
    causal = False

    @property
    def coding(self):
        return CODINGS[self.kind]

    @property
    def cached(self):
        return f"decode_{self.kind}"

    def function(self, size):
        return "attend"

    def inputs(self, rng, size):
        q, *caches = self.shapes(size)
        return [large(rng, "bf16", *q), *(part for shape in caches for part in self.coding.random(rng, *shape))]

    def entries(self, parts):
        if parts[0].kind == "bf16":  # the peers'
            return super().entries(parts)
        of = [part.f64() for part in parts]
        return [self.coding.values(*of[:len(of) // 2]), self.coding.values(*of[len(of) // 2:])]

    def peers(self, torch, inputs):
        theirs = Attention.inputs(self, np.random.default_rng(1), inputs[0].shape[:1] + (1,) + inputs[1].shape[2:3])
        return super().peers(torch, [inputs[0], *theirs[1:]])


class Product(Benchmark):
    """size: rows, and the width of the square weights. kind: bf16."""

    plain = True

    def function(self, size):
        return f"{self.kind}_{size[1]}"

    def needed(self, size):
        return 2 * size[1] * (size[0] + size[1])

    def inputs(self, rng, size):
        return [large(rng, "bf16", *size), large(rng, "bf16", size[1], size[1], scale=size[1]**-0.5)]

    def operations(self, size):
        return 2 * size[0] * size[1]**2

    def samples(self, inputs, rng):
        for _ in range(64):
            row, column = (int(rng.integers(n)) for n in inputs[0].shape)
            yield (row, column), inputs[0][row].f64() @ self.column(inputs, column)

    def column(self, inputs, column):
        return inputs[1][:, column].f64()

    def peers(self, torch, inputs):
        return torch.product(*inputs), inputs


class Quantised(Product):
    """kind: of CODED. The peer multiplies by weights in 16 bits: what the model would cost without quantisation. Activations in codes are compared with
    those that they stand for: the tolerance is several times what codes of 256 values lose."""

    plain = False

    def function(self, size):
        return super().function(size).replace(" ", "_")

    def inputs(self, rng, size):
        n, (bits, block, _) = size[1], CODED[self.kind]
        scales = Tensor.of("f16", rng.uniform(0.5, 1.5, (n, n // block)) / 2**bits / n**0.5)
        return [large(rng, "bf16", *size), large(rng, "i8", n, n // block, block * bits // 8), scales]

    def column(self, inputs, column):
        if len(inputs) == 2:  # the peer's
            return super().column(inputs, column)
        codes, scales = inputs[1].bits[column:column + 1], inputs[2][column:column + 1].f64()
        return oracle.dequantise(codes, scales, None, inputs[0].shape[1], *CODED[self.kind][:2])[0]

    def peers(self, torch, inputs):
        n = inputs[0].shape[1]
        theirs = [inputs[0], large(np.random.default_rng(1), "bf16", n, n, scale=n**-0.5)]
        return torch.product(*theirs), theirs


class Choice(Benchmark):
    """size: rows of logits, tokens. kind: arg_max, sample (SAMPLING)."""

    RESULT, TOLERANCE = "i64", 0

    def function(self, size):
        return f"{self.kind}_{size[1]}"

    def needed(self, size):
        return 4 * size[0] * size[1]

    def inputs(self, rng, size):
        return [large(rng, "f32", *size, scale=4)]

    def operations(self, size):
        return size[0] * size[1]

    def samples(self, inputs, rng):
        x = inputs[0].f64()
        rows = oracle.sample(x, step=3, **SAMPLING) if self.kind == "sample" else oracle.arg_reduce(x, axis=1)
        return ((row, expected) for row, expected in enumerate(rows))

    def peers(self, torch, inputs):
        return torch.arg_max(*inputs) if self.kind == "arg_max" else {}, inputs


K = 1024


def _rows():
    """The most telling first: a run that has to stop early has those."""
    prefill = lambda kind, n: Attention(f"prefill {n // K}K {kind}", f"prefill_{kind}", (1, n, n), (1, 70, 70))
    tiny = lambda batch: (batch if batch < 8 else 2, 1, 300)
    decode = lambda batch, n: Attention(f"decode {batch} x {n // K}K", "decode", (batch, 1, n), tiny(batch))
    coded = lambda batch, n: [CodedDecode(f"decode {batch} x {n // K}K {name}", name, (batch, 1, n), tiny(batch)) for name in CODINGS]
    product = lambda rows, n, kind=Product, of="bf16": kind(f"product {rows} x {n} x {n} {of}", of, (rows, n), (min(rows, 16), WIDTHS[0]))
    gemv = lambda of: product(1, 8192, Quantised, of)
    many = [Quantised(f"product 8192 x 8192 x 8192 {of}", of, (8192, 8192), (16, WIDTHS[0])) for of in ("int8 x int8", "int4 x int8", "int8")]
    first = [prefill("causal", 8 * K), decode(32, 4 * K), decode(1, 64 * K), gemv("int4"), product(8192, 8192), product(1, 8192)]
    rest = coded(32, 4 * K) + [prefill(kind, n * K) for n in (2, 4, 8, 16, 32) for kind in ("causal", "full")]
    rest += [decode(batch, n * K) for batch in (1, 8, 32, 64) for n in (1, 4, 16, 64, 256)]
    rest += [row for batch, n in ((1, 64), (8, 16), (64, 4)) for row in coded(batch, n * K)]
    choice = lambda kind, rows, tokens: Choice(f"{kind} {rows} x {tokens}", kind, (rows, tokens), (min(rows, 2), VOCABULARIES[0]))
    rest += [choice(kind, rows, tokens) for rows, tokens in ((1, 49152), (1, 151936), (64, 151936)) for kind in ("arg_max", "sample")]
    rest += [gemv("int8"), product(16, 8192), product(64, 8192), product(4096, 4096), *many]
    return first + [row for row in rest if row not in first]


BENCHMARKS = {row.name: row for row in _rows()}
