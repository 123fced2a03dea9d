"""The kernels that are checked on a GPU: for each a function in Leat's IR, inputs, and what it should give, in float64.

A kernel's sizes are dynamic where a model's are, so one compilation serves all of its cases. The bundle compiles them, run.py checks them.
"""
import dataclasses
from typing import Callable

import leat_ops as oracle
import numpy as np
from caches import CODINGS
from tensors import Tensor, normal

# What an element of a result may be off, as a fraction of its size and of a typical one: roundings of 16 bits, of the result and of what goes into
# attention's second product; f32 is that of long sums.
TOLERANCE = {"f32": 1e-4, "f16": 3e-3, "bf16": 1.5e-2}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """`make(rng, size)` gives the inputs, `oracle(*inputs in float64)` the results. `tiny` sizes also run on the simulator with all checks.

    A `cached` one attends to caches (Coding.module): an artifact of its own, all of whose inputs but the first are stored before."""

    name: str
    operands: tuple  # types: "?x512xbf16"
    results: tuple
    body: str  # computes %r0, %r1, ... from %0, %1, ...; {0} and {r0} stand for types
    make: Callable
    oracle: Callable
    sizes: tuple
    tiny: tuple
    tolerance: float
    cached: bool = False
    plain: bool = False  # a product that cuBLASLt can have instead

    def ir(self):
        if self.cached:
            return self.body
        tensors, outs = ([f"tensor<{t}>" for t in types] for types in (self.operands, self.results))
        body = self.body.format(*tensors, **{f"r{i}": t for i, t in enumerate(outs)})
        arguments = ", ".join(f"%{i}: {t}" for i, t in enumerate(tensors))
        returned = ", ".join(f"%r{i}" for i in range(len(outs)))
        return f"func.func @{self.name}({arguments}) -> ({', '.join(outs)}) {{\n{body}\nreturn {returned} : {', '.join(outs)}\n}}\n"

    def kinds(self):
        return [t.rsplit("x", 1)[-1] for t in self.results]


KERNELS = {}


def add(name, operands, results, body, make, meaning, sizes, tiny, tolerance=None, **more):
    tolerance = TOLERANCE[results[0].rsplit("x", 1)[-1]] if tolerance is None else tolerance
    KERNELS[name] = Kernel(name, tuple(operands), tuple(results), body, make, meaning, tuple(sizes), tuple(tiny), tolerance, **more)


# Products. Rows decide between the launch for few and the one for many.

ROWS, FEW = (1, 2, 7, 8, 9, 64, 129, 300), (1, 70)


def product(lhs, rhs, out, trans):
    words = " {{trans_b}}" if trans else ""
    add(f"matmul_{lhs}{'' if rhs == lhs else '_' + rhs}{'_trans' if trans else ''}", [f"?x512x{lhs}", f"{'768x512' if trans else '512x768'}x{rhs}"], [f"?x768x{out}"],
        f"%r0 = leat.matmul %0, %1{words} : ({{0}}, {{1}}) -> {{r0}}",
        lambda rng, rows: [normal(rng, lhs, rows, 512), normal(rng, rhs, *((768, 512) if trans else (512, 768)), scale=512**-0.5)],
        lambda a, w: [oracle.matmul(a, w, trans_b=trans)], ROWS, FEW, plain=lhs == rhs == out)


for kind in ("f16", "bf16", "f32"):
    for trans in (False, True):
        product(kind, kind, kind, trans)
for trans in (False, True):
    product("f32", "bf16", "f32", trans)
    product("f32", "f16", "f32", trans)
add("matmul_batched", ["3x?x64xbf16", "3x64x96xbf16"], ["3x?x96xbf16"], "%r0 = leat.matmul %0, %1 : ({0}, {1}) -> {r0}",
    lambda rng, rows: [normal(rng, "bf16", 3, rows, 64), normal(rng, "bf16", 3, 64, 96, scale=1 / 8)], lambda a, b: [oracle.matmul(a, b)], ROWS, FEW, plain=True)
# In front of and behind a product: what models fuse with it. Operands that are computed are not copied asynchronously.
add("matmul_silu_residual", ["?x512xbf16", "512x768xbf16", "?x768xbf16"], ["?x768xbf16"], """%c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : bf16
  %m = tensor.dim %0, %c0 : {0}
  %y = leat.matmul %0, %1 : ({0}, {1}) -> {2}
  %e = tensor.empty(%m) : {2}
  %r0 = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%y, %2 : {2}, {2}) outs(%e : {2}) {{
  ^bb0(%a: bf16, %b: bf16, %o: bf16):
    %n = arith.negf %a : bf16
    %x = math.exp %n : bf16
    %d = arith.addf %x, %one : bf16
    %s = arith.divf %a, %d : bf16
    %z = arith.addf %s, %b : bf16
    linalg.yield %z : bf16
  }} -> {2}""",
    lambda rng, rows: [normal(rng, "bf16", rows, 512), normal(rng, "bf16", 512, 768, scale=512**-0.5), normal(rng, "bf16", rows, 768)],
    lambda a, w, r: [(y := oracle.matmul(a, w)) / (1 + np.exp(-y)) + r], ROWS, FEW, tolerance=4e-2)


def coded_rows(x, block):
    """Rows in 8 bits, a block at a time, by the kernel's arithmetic in f32: which code a number gets must not depend on rounding. Few rows stay as they are."""
    if len(x) <= 8:
        return x
    parts = x.astype(np.float32).reshape(len(x), -1, block)
    peak = np.abs(parts).max(-1, keepdims=True)
    return (np.rint(parts * (np.float32(127) / peak)).astype(np.float64) * peak / 127).reshape(x.shape)


def quantised(bits, block=32, activations=None):
    blocks, bytes_ = 512 // block, block * bits // 8
    rows_of = (lambda x: coded_rows(x, block)) if activations else (lambda x: x)
    add(f"matmul_int{bits}{'_int8' if activations else ''}", ["?x512xf32", f"768x{blocks}x{bytes_}xi8", f"768x{blocks}xf16"], ["?x768xf32"],
        f"%r0 = leat.matmul_nbits %0, %1, %2 {{{{{'int8_activations, ' if activations else ''}k = 512, n = 768, bits = {bits}, block = {block}}}}} : "
        "({0}, {1}, {2}) -> {r0}",
        lambda rng, rows: [normal(rng, "f32", rows, 512), Tensor("i8", rng.integers(-128, 128, (768, blocks, bytes_))),
                           Tensor.of("f16", rng.uniform(0.5, 1.5, (768, blocks)) / 64)],
        lambda x, c, s: [oracle.matmul_nbits(rows_of(x), c.astype(np.int8), s, k=512, bits=bits, block=block)], ROWS, FEW)


for bits in (4, 8):
    quantised(bits)
    quantised(bits, 32 if bits == 4 else 256, activations="int8")

# Attention: 8 query heads on 2 KV heads. A size is (batch, queries, keys): prefill, decode over one range of keys and over several.

LENGTHS, SHORT = ((1, 130, 130), (2, 65, 200), (1, 1, 1), (3, 1, 70), (1, 4, 257), (2, 1, 2000), (1, 33, 3)), ((1, 70, 70), (1, 1, 300))


def attention(name, kind, head, words="", segments=1, value=None, extra="", layout="bhsd", lse=False, **options):
    """`extra`: one more operand, k_pos (a ring that has wrapped, with empty places), kv_len, bias or sink_bias. `options` are the oracle's."""
    value = value or head
    axes = lambda heads, size: f"?x?x{heads}x{size}x{kind}" if layout == "bshd" else f"?x{heads}x?x{size}x{kind}"
    q, k, v, out = axes(8, head), axes(2, head), axes(2, value), axes(8, value)
    more = {"": [], "k_pos": ["?xi64"] * segments, "kv_len": ["?xi64"], "bias": [f"?x8x?x?x{kind}"] * segments, "sink_bias": [f"8x{kind}"]}[extra]
    groups, types = [], []
    for keyword, given in (("q", [q] * segments), ("k", [k] * segments), ("v", [v] * segments), (extra, more)):
        if given:
            groups.append(f"{keyword}({', '.join(f'%{len(types) + i}' for i in range(len(given)))})")
            types += given
    words += f', q_layout = "{layout}", kv_layout = "{layout}", o_layout = "{layout}"' if layout != "bhsd" else ""
    results = [out] + (["?x8x?xf32"] if lse else [])
    names, kinds = ("%r0, %r1", "({r0}, {r1})") if lse else ("%r0", "{r0}")

    def make(rng, size):
        batch, queries, keys = size
        shape = lambda heads, length, last: (batch, length, heads, last) if layout == "bshd" else (batch, heads, length, last)
        lengths = [keys] + [3, 66][:segments - 1]
        made = [normal(rng, kind, *shape(8, queries, head)) for _ in lengths]
        made += [normal(rng, kind, *shape(2, n, size)) for size in (head, value) for n in lengths]
        for n in lengths if extra == "k_pos" else []:
            places = np.roll(np.arange(n), n // 3)
            places[rng.uniform(size=n) < 0.1] = -1
            made.append(Tensor("i64", places))
        if extra == "kv_len":
            made.append(Tensor("i64", rng.integers(1, keys + 1, batch)))
        if extra == "bias":
            made += [normal(rng, kind, batch, 8, queries, n) for n in lengths]
        if extra == "sink_bias":
            made.append(normal(rng, kind, 8))
        return made

    def meaning(*given):
        parts = [list(given[i * segments:(i + 1) * segments]) for i in range(3)]
        last = list(given[3 * segments:])
        more = {extra: last if extra in ("k_pos", "bias") else last[0]} if extra else {}
        output, sums = oracle.kv_attend(*parts, scale=head**-0.5, q_layout=layout, kv_layout=layout, o_layout=layout, **options, **more)
        return [output, sums][:len(results)]

    listed = ", ".join(f"{{{i}}}" for i in range(len(types)))
    add(name, types, results, f"{names} = leat.kv_attend {' '.join(groups)} {{{{scale = {head**-0.5:.17g} : f64{words}}}}} : ({listed}) -> {kinds}",
        make, meaning, LENGTHS, SHORT)


for kind, heads in (("f16", (64, 96, 128, 256)), ("bf16", (64, 96, 128, 256)), ("f32", (64, 128))):
    for head in heads:
        attention(f"attend_{kind}_{head}", kind, head, ", causal", causal=True)
attention("attend_full", "bf16", 128)
attention("attend_192_128", "bf16", 192, ", causal", value=128, causal=True)
attention("attend_window_softcap", "bf16", 128, ", causal, window_left = 50 : i64, softcap = 30.0 : f64", causal=True, window_left=50, softcap=30.0)
attention("attend_ring", "f16", 64, ", causal", extra="k_pos", causal=True)
attention("attend_ragged", "bf16", 128, ", causal", extra="kv_len", causal=True)
attention("attend_bias", "f16", 64, extra="bias")
attention("attend_sink", "bf16", 64, ", causal", extra="sink_bias", causal=True)
attention("attend_segments", "f16", 64, segments=2, lse=True)
attention("attend_bshd", "bf16", 128, ", causal", layout="bshd", causal=True)


def coded_attention(coding, kind, head):
    """Keys and values from a cache in fewer bits than the queries."""
    count, q = len(coding.parts(head)), f"?x8x?x{head}x{kind}"
    stored = lambda given: Tensor.of(kind, coding.values(*given)).f64()
    add(f"attend_{coding.name}_{kind}", [q], [q], coding.module((8, 2), head, kind, ", causal"),
        lambda rng, size: [normal(rng, kind, size[0], 8, size[1], head), *(t for _ in "kv" for t in coding.random(rng, size[0], 2, size[2], head))],
        lambda q, *cache: [oracle.kv_attend([q], [stored(cache[:count])], [stored(cache[count:])], scale=head**-0.5, causal=True)[0]], LENGTHS, SHORT, cached=True)


for coding in CODINGS.values():
    coded_attention(coding, "bf16", 128)
    coded_attention(coding, "f32", 64)

# Rows: a block each, from registers or in several passes.

for name, body, meaning in (("softmax", "%r0 = leat.softmax %0 {{axis = 1 : i64}} : {0}", lambda x: [oracle.softmax(x, 1)]),
                            ("rms_norm", "%r0 = leat.layer_norm %0 {{axis = 1 : i64, epsilon = 1.0e-5 : f64, rms}} : {0} -> {r0}",
                             lambda x: [oracle.layer_norm(x, axis=1, epsilon=1e-5, rms=True)]),
                            ("layer_norm", "%r0 = leat.layer_norm %0 {{axis = 1 : i64, epsilon = 1.0e-5 : f64}} : {0} -> {r0}",
                             lambda x: [oracle.layer_norm(x, axis=1, epsilon=1e-5)])):
    for kind in ("f32", "bf16"):
        add(f"{name}_{kind}", [f"?x?x{kind}"], [f"?x?x{kind}"], body, lambda rng, size, kind=kind: [normal(rng, kind, *size)], meaning,
            ((1, 1), (3, 7), (5, 576), (33, 4096), (2, 20000)), ((3, 7), (2, 576)))

# Reductions of rows: by lanes, a block, several blocks; positions are exact.

LENGTHS = ((1, 1), (3, 7), (300, 32), (2, 1024), (2, 1025), (5, 4097), (1, 49152), (2, 151936))
for kind in ("f32", "bf16"):
    add(f"arg_max_{kind}", [f"?x?x{kind}"], ["?x1xi64"], "%r0 = leat.arg_reduce %0 {{axis = 1 : i64, max = true}} : ({0}) -> {r0}",
        lambda rng, size, kind=kind: [normal(rng, kind, *size)], lambda x: [oracle.arg_reduce(x, axis=1)], LENGTHS, ((3, 7), (2, 1025)), tolerance=0.0)
SAMPLING = dict(seed=7, temperature=0.8, top_k=50, top_p=0.9, min_p=0.01)


def words(options):
    """Options of leat.sample as its attributes."""
    return ", ".join(f"{key} = {value} : {'i64' if isinstance(value, int) else 'f64'}" for key, value in options.items())


for name, options in (("greedy", dict(seed=7, temperature=0.0)), ("sample", SAMPLING), ("sample_all", dict(seed=7, temperature=1.0))):
    add(name, ["?x?xf32"], ["?xi64"], f"%step = arith.constant 3 : index\n%r0 = leat.sample %0 step %step {{{{{words(options)}}}}} : {{0}} -> {{r0}}",
        lambda rng, size: [normal(rng, "f32", *size, scale=4)], lambda x, options=options: [oracle.sample(x, step=3, **options)],
        ((1, 1), (5, 33), (2, 1025), (3, 49152), (2, 151936)), ((3, 70),), tolerance=0.0)

# What has no tuned form: a thread for each element, row or query.

add("rotary", ["?x9x?x64xf32", "?x?x32xf32", "?x?x32xf32"], ["?x9x?x64xf32"], "%r0 = leat.rotary %0, %1, %2 {{rotary_dim = 64 : i64}} : ({0}, {1}, {2}) -> {r0}",
    lambda rng, size: [normal(rng, "f32", size[0], 9, size[1], 64), *(normal(rng, "f32", *size, 32) for _ in "cs")],
    lambda x, cos, sin: [oracle.rotary(x, cos, sin, rotary_dim=64)], ((1, 1), (2, 17), (1, 300)), ((2, 3),))
add("conv", ["?x8x?x?xf32", "16x8x3x3xf32"], ["?x16x?x?xf32"], "%r0 = leat.conv %0, %1 {{strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, "
    "pads = array<i64: 1, 1, 1, 1>, group = 1 : i64}} : ({0}, {1}) -> {r0}",
    lambda rng, size: [normal(rng, "f32", 2, 8, *size), normal(rng, "f32", 16, 8, 3, 3, scale=0.1)],
    lambda x, w: [oracle.conv(x, w, strides=(2, 2), dilations=(1, 1), pads=(1, 1, 1, 1), group=1)], ((1, 1), (17, 40)), ((5, 6),))
add("attn_merge", ["?x?x64xf32"] * 2 + ["?x?xf32"] * 2, ["?x?x64xf32", "?x?xf32"],
    "%r0, %r1 = leat.attn_merge values(%0, %1) lses(%2, %3) : ({0}, {1}, {2}, {3}) -> ({r0}, {r1})",
    lambda rng, size: [*(normal(rng, "f32", *size, 64) for _ in "ab"), *(normal(rng, "f32", *size, scale=3) for _ in "ab")],
    lambda a, b, la, lb: list(oracle.attn_merge([a, b], [la, lb])), ((1, 1), (9, 130)), ((2, 5),))
add("cumsum", ["?x?xf32"], ["?x?xf32"], "%r0 = leat.cumsum %0 {{axis = 1 : i64}} : {0}",
    lambda rng, size: [normal(rng, "f32", *size)], lambda x: [oracle.cumsum(x, axis=1)], ((1, 1), (5, 700)), ((2, 9),), tolerance=1e-3)


UNLIKE = 1e9  # the difference of what cannot be compared


def difference(actual, expected):
    """The largest error of an element over its size and a typical one; UNLIKE where one is finite and the other is not, or shapes differ."""
    expected = np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        return UNLIKE
    if not expected.size:
        return 0.0
    value = actual.f64()
    finite = np.isfinite(expected)
    if not np.array_equal(value[~finite], expected[~finite], equal_nan=True):
        return UNLIKE
    size = np.abs(expected[finite]) + np.sqrt((expected[finite]**2).mean()) if finite.any() else np.ones(0)
    error = np.abs(value[finite] - expected[finite]) / np.maximum(size, 1e-30)
    return float(np.nan_to_num(error, nan=UNLIKE, posinf=UNLIKE).max(initial=0.0))
