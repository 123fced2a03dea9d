"""leat.matmul, leat.matmul_nbits and leat.conv against NumPy in float64."""
import itertools

import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import Data, OpModule, check, refuses

MODULE = OpModule()
FLOATS = ["f16", "bf16", "f32", "f64"]
SIZES = [0, 1, 5, 16, 47, 48, 49, 63, 64, 65]

SUM = {"i8": "i32"}
for dtype in FLOATS + ["i8", "i32", "i64"]:
    result = SUM.get(dtype, dtype)
    for flags, words in {"": "", "_ta": "{{trans_a}}", "_tb": "{{trans_b}}", "_tab": "{{trans_a, trans_b}}"}.items():
        MODULE.add(f"matmul_{dtype}{flags}", [f"?x?x{dtype}"] * 2, [f"?x?x{result}"], f"%r0 = leat.matmul %0, %1 {words} : ({{0}}, {{1}}) -> {{r0}}")
BATCHES = {"both": ("?x?x?x?", "?x?x?x?", (2, 3), (2, 3)), "missing": ("?x?x?x?", "?x?", (2, 3), ()), "lhs_missing": ("?x?", "?x?x?", (), (3,)),
           "ones": ("1x?x?x?", "?x1x?x?", (1, 3), (2, 1)), "none": ("?x?x?", "?x?x?", (0,), (0,))}
for name, (lhs, rhs, _, _) in BATCHES.items():
    rank = max(lhs.count("x"), rhs.count("x")) + 1
    MODULE.add(f"batch_{name}", [f"{lhs}xf32", f"{rhs}xf32"], ["?x" * rank + "f32"], "%r0 = leat.matmul %0, %1 : ({0}, {1}) -> {r0}")
MODULE.add("matmul_static", ["3x5xf32", "5x7xf32"], ["3x7xf32"], "%r0 = leat.matmul %0, %1 : ({0}, {1}) -> {r0}")


def operand(data, dtype, *shape):
    return data.integers(dtype, -100, 100, *shape) if dtype[0] == "i" else data.normal(dtype, *shape)


@pytest.mark.parametrize("dtype", FLOATS + ["i8", "i32", "i64"])
def test_matmul(run, dtype):
    data = Data(1)
    sizes = itertools.chain(((m, 17, 33) for m in SIZES), ((3, k, 33) for k in SIZES), ((7, 9, n) for n in SIZES), [(0, 0, 0), (1, 1, 1)])
    for m, k, n in sizes:
        a, b = operand(data, dtype, m, k), operand(data, dtype, k, n)
        expected = oracle.matmul(a, b)
        for flags, lhs, rhs in (("", a, b), ("_ta", a.T, b), ("_tb", a, b.T), ("_tab", a.T, b.T)):
            check(run(f"matmul_{dtype}{flags}", lhs, rhs)[0], expected)
    a, b = operand(data, dtype, 33, 33), operand(data, dtype, 33, 33)
    result = run(f"matmul_{dtype}", a, b)[0]
    refuses(result, oracle.matmul(a, b, trans_b=True))
    refuses(result, oracle.matmul(a[:, :-1], b[:-1]))


@pytest.mark.parametrize("name", BATCHES)
def test_matmul_batches(run, name):
    _, _, lhs, rhs = BATCHES[name]
    data = Data(2)
    a, b = data.normal("f32", *lhs, 5, 19), data.normal("f32", *rhs, 19, 65)
    check(run(f"batch_{name}", a, b)[0], oracle.matmul(a, b))


def test_matmul_static(run):
    data = Data(3)
    a, b = data.normal("f32", 3, 5), data.normal("f32", 5, 7)
    check(run("matmul_static", a, b)[0], oracle.matmul(a, b))


NBITS = [(bits, block, k, n, zeros, dtype)
         for bits, block, k, n, dtype in [(4, 32, 64, 65, "f32"), (4, 16, 50, 1, "f32"), (4, 128, 200, 64, "f32"), (8, 32, 64, 7, "f32"), (8, 64, 100, 63, "f32"),
                                          (2, 16, 40, 33, "f32"), (4, 32, 96, 48, "f16"), (8, 32, 32, 5, "bf16")]
         for zeros in ("none", "float", "packed")]


def nbits_name(bits, block, k, n, zeros, dtype):
    return f"nbits_{bits}_{block}_{k}_{n}_{zeros}_{dtype}"


for case in NBITS:
    bits, block, k, n, zeros, dtype = case
    blocks = -(-k // block)
    types = [f"?x?x{k}x{dtype}", f"{n}x{blocks}x{block * bits // 8}xi8", f"{n}x{blocks}x{dtype}"]
    if zeros != "none":
        types.append(types[2] if zeros == "float" else f"{n}x{-(-blocks * bits // 8)}xi8")
    MODULE.add(nbits_name(*case), types, [f"?x?x{n}x{dtype}"],
               f"%r0 = leat.matmul_nbits {', '.join(f'%{i}' for i in range(len(types)))} {{{{k = {k} : i64, n = {n} : i64, bits = {bits} : i64, block = {block} : i64}}}} "
               f": ({', '.join(f'{{{i}}}' for i in range(len(types)))}) -> {{r0}}")


@pytest.mark.parametrize("case", NBITS, ids=lambda case: nbits_name(*case))
def test_matmul_nbits(run, case):
    bits, block, k, n, zeros, dtype = case
    data, blocks = Data(4), -(-k // block)
    codes, scales = data.integers("i8", -128, 128, n, blocks, block * bits // 8), data.normal(dtype, n, blocks, scale=0.1)
    offsets = {"none": None, "float": data.normal(dtype, n, blocks, scale=4), "packed": data.integers("i8", -128, 128, n, -(-blocks * bits // 8))}[zeros]
    operands = [codes, scales] + ([] if offsets is None else [offsets])
    # Weights in f16 and bf16 times activations: sums of products that are rounded to f32 only.
    for rows in (0, 1, 2, 5, 47, 49):
        x = data.normal(dtype, 1, rows, k)
        check(run(nbits_name(*case), x, *operands)[0], oracle.matmul_nbits(x, codes, scales, offsets, k=k, bits=bits, block=block))
    result = run(nbits_name(*case), x, *operands)[0]
    refuses(result, oracle.matmul_nbits(x, codes, scales, scales if offsets is None else None, k=k, bits=bits, block=block))
    if bits < 8:  # high bits first
        swapped = sum(((codes.view(np.uint8) >> (i * bits)) & (2**bits - 1)) << (8 - bits - i * bits) for i in range(8 // bits)).astype(np.uint8).view(np.int8)
        refuses(result, oracle.matmul_nbits(x, swapped, scales, offsets, k=k, bits=bits, block=block))


CONVS = {
    "plain": dict(r=2, kernel=(3, 3), strides=(1, 1), dilations=(1, 1), pads=(1, 1, 1, 1), group=1, m=5, c=3),
    "stride": dict(r=2, kernel=(3, 2), strides=(2, 3), dilations=(1, 1), pads=(0, 1, 2, 0), group=1, m=4, c=2),
    "dilated": dict(r=2, kernel=(2, 3), strides=(1, 1), dilations=(3, 2), pads=(0, 0, 0, 0), group=1, m=1, c=1),
    "groups": dict(r=1, kernel=(5,), strides=(1,), dilations=(1,), pads=(2, 2), group=3, m=6, c=9),
    "depthwise": dict(r=1, kernel=(4,), strides=(1,), dilations=(1,), pads=(3, 0), group=49, m=49, c=49),
    "volume": dict(r=3, kernel=(2, 1, 3), strides=(1, 2, 1), dilations=(1, 1, 1), pads=(1, 0, 0, 0, 0, 1), group=2, m=4, c=4),
}
for name, o in CONVS.items():
    for dtype in ("f32", "f16", "f64") if name in ("plain", "groups") else ("f32",):
        spatial, array = "?x" * o["r"], lambda v: "array<i64: " + ", ".join(map(str, v)) + ">"
        weight = f"{o['m']}x{o['c'] // o['group']}x{'x'.join(map(str, o['kernel']))}x{dtype}"
        attributes = (f"{{{{strides = {array(o['strides'])}, dilations = {array(o['dilations'])}, pads = {array(o['pads'])}, group = {o['group']} : i64}}}}")
        types = [f"?x{o['c']}x{spatial}{dtype}", weight, f"{o['m']}x{dtype}"]
        for count in (2, 3):
            MODULE.add(f"conv_{name}_{dtype}_{count}", types[:count], [f"?x{o['m']}x{spatial}{dtype}"],
                       f"%r0 = leat.conv {', '.join(f'%{i}' for i in range(count))} {attributes} : ({', '.join(f'{{{i}}}' for i in range(count))}) -> {{r0}}")


@pytest.mark.parametrize("name", CONVS)
def test_conv(run, name):
    o = CONVS[name]
    data = Data(5)
    least = [d * (k - 1) + 1 - o["pads"][i] - o["pads"][o["r"] + i] for i, (d, k) in enumerate(zip(o["dilations"], o["kernel"]))]
    attributes = {key: o[key] for key in ("strides", "dilations", "pads", "group")}
    for dtype in ("f32", "f16", "f64") if name in ("plain", "groups") else ("f32",):
        w, bias = data.normal(dtype, o["m"], o["c"] // o["group"], *o["kernel"]), data.normal(dtype, o["m"])
        for batch, extra in ((0, 1), (1, 0), (2, 1), (1, 8), (1, 63 if o["r"] == 1 else 13)):
            x = data.normal(dtype, batch, o["c"], *[max(size, 1) + extra for size in least])
            check(run(f"conv_{name}_{dtype}_2", x, w)[0], oracle.conv(x, w, **attributes))
            check(run(f"conv_{name}_{dtype}_3", x, w, bias)[0], oracle.conv(x, w, bias, **attributes))
        result = run(f"conv_{name}_{dtype}_3", x, w, bias)[0]
        refuses(result, oracle.conv(x, w, **attributes))
        refuses(result, oracle.conv(x, w[(...,) + (slice(None, None, -1),) * o["r"]], bias, **attributes))  # convolution, not correlation
