"""leat.rotary, leat.kv_attend and leat.attn_merge against NumPy in float64."""
import numpy as np
import pytest

from oracles import leat_ops as oracle
from oracles.reference import DTYPES, Data, OpModule, check, refuses

MODULE = OpModule()
FLOATS = ["f16", "bf16", "f32", "f64"]

# Rotary embedding.

ROTARY = {(form, r): f"{{{{rotary_dim = {r} : i64{words}}}}}" for form, words in (("half", ""), ("interleaved", ", interleaved")) for r in (2, 6, 16)}
for dtype in FLOATS:
    for (form, r), words in ROTARY.items():
        table = f"?x?x{r // 2}x{dtype}"
        MODULE.add(f"rotary_{form}_{r}_{dtype}", [f"?x?x?x16x{dtype}", table, table], [f"?x?x?x16x{dtype}"], f"%r0 = leat.rotary %0, %1, %2 {words} : ({{0}}, {{1}}, {{2}}) -> {{r0}}")
MODULE.add("rotary_shared", ["?x3x?x8xf32", "1x?x4xf32", "1x?x4xf32"], ["?x3x?x8xf32"], "%r0 = leat.rotary %0, %1, %2 {{rotary_dim = 8 : i64}} : ({0}, {1}, {2}) -> {r0}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("form", ["half", "interleaved"])
def test_rotary(run, form, dtype):
    data = Data(1)
    for r in (2, 6, 16):
        for batch, heads, steps in ((1, 1, 1), (2, 3, 5), (2, 1, 17), (0, 2, 3), (2, 2, 0), (1, 0, 2)):
            x, angle = data.normal(dtype, batch, heads, steps, 16), data.rng.uniform(-9, 9, (batch, steps, r // 2))
            cos, sin = np.cos(angle).astype(DTYPES[dtype]), np.sin(angle).astype(DTYPES[dtype])
            check(run(f"rotary_{form}_{r}_{dtype}", x, cos, sin)[0], oracle.rotary(x, cos, sin, rotary_dim=r, interleaved=form != "half"))
        x, angle = data.normal(dtype, 2, 2, 3, 16), data.rng.uniform(1, 2, (2, 3, r // 2))
        cos, sin = np.cos(angle).astype(DTYPES[dtype]), np.sin(angle).astype(DTYPES[dtype])
        result = run(f"rotary_{form}_{r}_{dtype}", x, cos, sin)[0]
        refuses(result, oracle.rotary(x, cos, -sin, rotary_dim=r, interleaved=form != "half"))
        if r > 2:
            refuses(result, oracle.rotary(x, cos, sin, rotary_dim=r, interleaved=form == "half"))


def test_rotary_shared_table(run):
    data = Data(2)
    x, angle = data.normal("f32", 4, 3, 9, 8), data.rng.uniform(-9, 9, (1, 9, 4))
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    check(run("rotary_shared", x, cos, sin)[0], oracle.rotary(x, cos, sin, rotary_dim=8))


# Attention. Heads and sizes are dynamic unless a form says otherwise.

ATTEND = {}  # name -> what the oracle gets besides the tensors


def attend(name, dtype="f32", segments=1, q_pos=None, k_pos=False, bias=None, kv_len=False, sink=False, lse=True, shape="?x?x?x?", lse_type="f32", visible=None, **attributes):
    """`visible` computes %seen from (%b, %h, %i, %j) and constants %c0 to %c16; `mask` is the same for the oracle."""
    types, parts = [], []

    def take(keyword, given):
        first = len(types)
        types.extend(given)
        parts.append(f"{keyword}({', '.join(f'%{i}' for i in range(first, len(types)))})")

    for keyword in "qkv":
        take(keyword, [f"{shape}x{dtype}"] * segments)
    if q_pos:
        take("q_pos", [f"{q_pos}xi64"])
    if k_pos:
        take("k_pos", ["?xi64"] * segments)
    if bias:
        take("bias", [f"{b}x{dtype}" for b in bias])
    if kv_len:
        take("kv_len", ["?xi64"])
    if sink:
        take("sink_bias", [f"?x{dtype}"])
    constants = "".join(f"%c{i} = arith.constant {i} : index\n" for i in (0, 3, 5, 16)) if visible else ""
    if visible:
        parts.append(f"visible(%b, %h, %i, %j) {{{{\n{visible}\nleat.yield %seen : i1\n}}}}")
    words = [f"scale = {attributes['scale']} : f64"] + [key for key, value in attributes.items() if value is True]
    words += [f"{key} = {value} : i64" for key, value in attributes.items() if key.startswith("window")]
    words += [f'{key} = "{value}"' for key, value in attributes.items() if key.endswith("layout")]
    words += [f"softcap = {attributes['softcap']} : f64"] if "softcap" in attributes else []
    results = [f"{shape}x{dtype}"] + ([f"?x?x?x{lse_type}"] if lse else [])
    values, kinds = ", ".join(f"%r{i}" for i in range(len(results))), ", ".join(f"{{r{i}}}" for i in range(len(results)))
    MODULE.add(name, types, results, f"{constants}{values} = leat.kv_attend {' '.join(parts)} {{{{{', '.join(words)}}}}} : ({', '.join(f'{{{i}}}' for i in range(len(types)))}) -> ({kinds})")
    ATTEND[name] = attributes


for dtype in FLOATS:
    attend(f"plain_{dtype}", dtype, scale=0.3)
    attend(f"causal_{dtype}", dtype, scale=0.3, causal=True, softcap=5.0)
    attend(f"ragged_{dtype}", dtype, kv_len=True, scale=0.3, causal=True, window_left=4)
attend("static", shape="2x4x?x16", scale=0.25)
attend("no_lse", lse=False, scale=0.3)
for left, right in ((0, -1), (3, -1), (-1, 0), (-1, 2), (2, 1)):
    attend(f"window_{left}_{right}".replace("-1", "none"), scale=0.3, window_left=left, window_right=right)
attend("softcap", scale=2.0, softcap=1.5)
attend("bias", bias=["?x?x?x?"], scale=0.3)
attend("bias_one", bias=["1x1x?x?"], scale=0.3, causal=True)
attend("bias_rank2", bias=["?x?"], scale=0.3)
attend("bias_heads", bias=["1x?x1x?"], scale=0.3)
attend("lengths", kv_len=True, scale=0.3)
attend("positions", q_pos="?", k_pos=True, scale=0.3, causal=True)
attend("batch_positions", q_pos="?x?", k_pos=True, scale=0.3, causal=True, window_left=5)
attend("sink", sink=True, scale=0.3, causal=True)
attend("segments", segments=2, q_pos="?", k_pos=True, scale=0.3, causal=True, window_left=6)
attend("segments_plain", segments=3, scale=0.3)
attend("segments_bias", segments=2, bias=["?x?x?x?", "?x?"], sink=True, scale=0.3, softcap=2.0)
for q, kv, o in (("bshd", "bhsd", "bhsd"), ("bhsd", "bshd", "bhsd"), ("bhsd", "bhsd", "bshd"), ("bshd", "bshd", "bshd")):
    attend(f"layout_{q}_{kv}_{o}", scale=0.3, causal=True, q_layout=q, kv_layout=kv, o_layout=o)

CHUNKS = "%x = arith.divsi %i, %c5 : index\n%y = arith.divsi %j, %c5 : index\n%seen = arith.cmpi sle, %y, %x : index"
chunks = lambda b, h, i, j: np.trunc(j / 5) <= np.trunc(i / 5)  # divsi rounds to zero
for dtype in FLOATS:
    attend(f"region_chunks_{dtype}", dtype, scale=0.3, visible=CHUNKS, mask=chunks)
attend("region_dilated", scale=0.3, causal=True, mask=lambda b, h, i, j: ((i - j) % 3 == 0) | (j < 5) & (h > 0),
       visible="%d = arith.subi %i, %j : index\n%m = arith.remsi %d, %c3 : index\n%p = arith.cmpi eq, %m, %c0 : index\n%s = arith.cmpi slt, %j, %c5 : index\n"
               "%z = arith.cmpi sgt, %h, %c0 : index\n%q = arith.andi %s, %z : i1\n%seen = arith.ori %p, %q : i1")
attend("region_lengths", kv_len=True, bias=["?x?"], sink=True, scale=0.3, softcap=2.0, visible=CHUNKS, mask=chunks)
attend("region_positions", segments=2, q_pos="?", k_pos=True, scale=0.3, visible=CHUNKS, mask=chunks)

SHAPES = [dict(batch=b, heads=h, kv=kv, queries=s, keys=t, depth=d, value=dv)
          for b, h, kv, s, t, d, dv in [(1, 1, 1, 1, 1, 1, 1), (2, 4, 2, 3, 7, 8, 8), (1, 6, 2, 1, 65, 16, 16), (2, 2, 2, 17, 17, 8, 5), (1, 3, 1, 5, 64, 33, 65), (1, 4, 4, 49, 63, 8, 16),
                                        (1, 2, 1, 4, 0, 8, 8), (0, 2, 1, 3, 4, 8, 8), (1, 2, 2, 0, 4, 8, 8), (1, 9, 3, 16, 129, 64, 64)]]


def tensors(data, shape, dtype="f32", segments=1, layouts=("bhsd", "bhsd")):
    order = lambda x, layout: x if layout == "bhsd" else np.ascontiguousarray(x.swapaxes(1, 2))
    keys = [shape["keys"]] + [3, 66][:segments - 1]
    q = [order(data.normal(dtype, shape["batch"], shape["heads"], shape["queries"], shape["depth"]), layouts[0]) for _ in keys]
    k = [order(data.normal(dtype, shape["batch"], shape["kv"], t, shape["depth"]), layouts[1]) for t in keys]
    v = [order(data.normal(dtype, shape["batch"], shape["kv"], t, shape["value"]), layouts[1]) for t in keys]
    return q, k, v, keys


def agrees(run, name, dtype, q, k, v, **others):
    """Runs and compares; returns the results. `others` are in the order of the op's operands."""
    flat = [x for part in others.values() for x in (part if isinstance(part, list) else [part])]
    results = run(name, *q, *k, *v, *flat)
    output, lse = oracle.kv_attend(q, k, v, **others, **ATTEND[name])
    tolerance = 1e-5 if dtype == "f64" else None  # softmax in f32 or wider
    check(results[0], output, tolerance)
    if len(results) > 1:
        check(results[1], lse)
    return results


def differs(results, q, k, v, **others):
    refuses(results[0], oracle.kv_attend(q, k, v, **others)[0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_attend(run, dtype):
    data = Data(3)
    for shape in SHAPES:
        q, k, v, _ = tensors(data, shape, dtype)
        agrees(run, f"plain_{dtype}", dtype, q, k, v)
        results = agrees(run, f"causal_{dtype}", dtype, q, k, v)
    differs(results, q, k, v, scale=0.3, causal=True)
    differs(results, q, k, v, scale=0.3, softcap=5.0)
    differs(results, q, k, v, scale=0.2, causal=True, softcap=5.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_ragged_lengths(run, dtype):
    data = Data(4)
    for heads, kv, queries, keys in ((2, 1, 1, 70), (4, 2, 3, 9), (1, 1, 65, 65)):
        shape = dict(batch=5, heads=heads, kv=kv, queries=queries, keys=keys, depth=8, value=8)
        q, k, v, _ = tensors(data, shape, dtype)
        lengths = np.array([0, 1, keys // 2, keys - 1, keys])
        results = agrees(run, f"ragged_{dtype}", dtype, q, k, v, kv_len=lengths)
        differs(results, q, k, v, scale=0.3, causal=True, window_left=4)
        differs(results, q, k, v, kv_len=lengths, scale=0.3, causal=True, window_left=3)
        if dtype == "f32":
            results = agrees(run, "lengths", dtype, q, k, v, kv_len=lengths)
            assert not results[0][0].any() and (results[1][0] == -np.inf).all()  # nothing to see
            differs(results, q, k, v, scale=0.3)


@pytest.mark.parametrize("name", [n for n in ATTEND if n.startswith(("window", "static", "no_lse", "softcap"))])
def test_masks(run, name):
    data = Data(5)
    for shape in SHAPES:
        if name != "static":
            q, k, v, _ = tensors(data, shape)
            agrees(run, name, "f32", q, k, v)
    shape = dict(batch=2, heads=4, kv=4, queries=11, keys=11, depth=16, value=16)
    q, k, v, _ = tensors(data, shape)
    results = agrees(run, name, "f32", q, k, v)
    differs(results, q, k, v, scale=ATTEND[name]["scale"], window_right=1)


@pytest.mark.parametrize("name", ["bias", "bias_one", "bias_rank2", "bias_heads"])
def test_bias(run, name):
    data = Data(6)
    for shape in SHAPES:
        q, k, v, _ = tensors(data, shape)
        full = (shape["batch"], shape["heads"], shape["queries"], shape["keys"])
        bias = data.normal("f32", *{"bias": full, "bias_one": (1, 1, *full[2:]), "bias_rank2": full[2:], "bias_heads": (1, full[1], 1, full[3])}[name])
        bias[data.rng.uniform(size=bias.shape) < 0.2] = -np.inf
        results = agrees(run, name, "f32", q, k, v, bias=[bias])
    differs(results, q, k, v, scale=0.3)
    differs(results, q, k, v, bias=[np.roll(bias, 1, -1)], scale=0.3)


def ring(keys, first):
    """Positions in a ring that is not full, or has wrapped: the last are empty or the oldest follow the newest."""
    positions = np.roll(np.arange(first, first + keys), 2)
    positions[keys - keys // 3:] = -1
    return positions


@pytest.mark.parametrize("name", ["positions", "batch_positions"])
def test_positions(run, name):
    data = Data(7)
    for shape in SHAPES:
        q, k, v, _ = tensors(data, shape)
        q_pos = np.arange(shape["queries"]) + shape["keys"]
        if name == "batch_positions":
            q_pos = q_pos + np.arange(shape["batch"])[:, None]
        k_pos = [ring(shape["keys"], 4)]
        results = agrees(run, name, "f32", q, k, v, q_pos=q_pos, k_pos=k_pos)
    differs(results, q, k, v, q_pos=q_pos, k_pos=[np.where(k_pos[0] < 0, q_pos.min(), k_pos[0])], **ATTEND[name])  # empty slots seen
    differs(results, q, k, v, q_pos=q_pos - 8, k_pos=k_pos, **ATTEND[name])


@pytest.mark.parametrize("name", [n for n in ATTEND if n.startswith("region")])
def test_regions(run, name):
    data, attributes = Data(13), ATTEND[name]
    dtype = name.rsplit("_", 1)[1] if "chunks" in name else "f32"
    for shape in SHAPES:
        q, k, v, keys = tensors(data, shape, dtype, segments=2 if "positions" in name else 1)
        others = {}
        if "positions" in name:
            others = dict(q_pos=np.arange(shape["queries"]) + keys[0], k_pos=[ring(keys[0], 0), np.arange(keys[1]) + keys[0]])
        if "lengths" in name:
            others = dict(bias=[data.normal("f32", shape["queries"], shape["keys"])], kv_len=np.maximum(shape["keys"] - 2 - 3 * np.arange(shape["batch"]), 0), sink_bias=data.normal("f32", shape["heads"]))
        results = agrees(run, name, dtype, q, k, v, **others)
    differs(results, q, k, v, **others, **{**attributes, "mask": None})
    differs(results, q, k, v, **others, **{**attributes, "mask": lambda b, h, i, j: attributes["mask"](b, h, i, j + 1)})


def test_sink(run):
    data = Data(8)
    for shape in SHAPES:
        q, k, v, _ = tensors(data, shape)
        sink = data.normal("f32", shape["heads"])
        results = agrees(run, "sink", "f32", q, k, v, sink_bias=sink)
    differs(results, q, k, v, scale=0.3, causal=True)
    differs(results, q, k, v, sink_bias=-sink, scale=0.3, causal=True)


def test_segments(run):
    data = Data(9)
    for shape in SHAPES:
        q, k, v, keys = tensors(data, shape, segments=2)
        k_pos, q_pos = [ring(keys[0], 0), np.arange(keys[1]) + keys[0]], np.arange(shape["queries"]) + keys[0]
        results = agrees(run, "segments", "f32", q, k, v, q_pos=q_pos, k_pos=k_pos)
        biases = [data.normal("f32", shape["batch"], shape["heads"], shape["queries"], keys[0]), data.normal("f32", shape["queries"], keys[1])]
        agrees(run, "segments_bias", "f32", q, k, v, bias=biases, sink_bias=data.normal("f32", shape["heads"]))
        q3, k3, v3, _ = tensors(data, shape, segments=3)
        agrees(run, "segments_plain", "f32", q3, k3, v3)
    differs(results, [q[0], q[0]], k, v, q_pos=q_pos, k_pos=k_pos, **ATTEND["segments"])
    differs(results, q, k, v, q_pos=q_pos, k_pos=k_pos[::-1] if keys[0] == keys[1] else [k_pos[0] * 0 - 1, k_pos[1]], **ATTEND["segments"])


@pytest.mark.parametrize("name", [n for n in ATTEND if n.startswith("layout")])
def test_layouts(run, name):
    data = Data(10)
    for shape in SHAPES:
        q, k, v, _ = tensors(data, shape, layouts=(ATTEND[name]["q_layout"], ATTEND[name]["kv_layout"]))
        agrees(run, name, "f32", q, k, v)


# Merge.

for dtype in FLOATS:
    for parts in (1, 2, 3):
        values, lses = [f"?x?x?xf{dtype[1:]}" if dtype != "bf16" else "?x?x?xbf16"] * parts, ["?x?xf32"] * parts
        names = lambda first: ", ".join(f"%{i}" for i in range(first, first + parts))
        MODULE.add(f"merge_{dtype}_{parts}", values + lses, [values[0], "?x?xf32"],
                   f"%r0, %r1 = leat.attn_merge values({names(0)}) lses({names(parts)}) : ({', '.join(f'{{{i}}}' for i in range(2 * parts))}) -> ({{r0}}, {{r1}})")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_merge(run, dtype, parts):
    data = Data(11)
    for rows, queries, depth in ((1, 1, 1), (2, 5, 17), (3, 1, 64), (0, 2, 8), (2, 0, 8), (2, 2, 0), (1, 49, 65)):
        values = [data.normal(dtype, rows, queries, depth) for _ in range(parts)]
        lses = [data.normal("f32", rows, queries, scale=3) for _ in range(parts)]
        for lse in lses:
            lse[data.rng.uniform(size=lse.shape) < 0.3] = -np.inf
        output, lse = oracle.attn_merge(values, lses)
        results = run(f"merge_{dtype}_{parts}", *values, *lses)
        check(results[0], output, 1e-5 if dtype == "f64" else None)
        check(results[1], lse)
    if parts > 1:
        refuses(results[0], np.mean([oracle.f64(v) for v in values], 0))
        refuses(results[0], oracle.attn_merge(values, lses[::-1])[0])


def test_split_and_merged_is_the_whole(run):
    """What the merge is for: attention over two parts of the keys, joined, is attention over all."""
    data = Data(12)
    shape = dict(batch=2, heads=4, kv=2, queries=5, keys=40, depth=8, value=8)
    q, k, v, _ = tensors(data, shape)
    parts = [run("plain_f32", q[0], k[0][:, :, a:b], v[0][:, :, a:b]) for a, b in ((0, 13), (13, 40))]
    flat = [p[0].reshape(8, 5, 8) for p in parts] + [p[1].reshape(8, 5) for p in parts]
    merged = run("merge_f32_2", *flat)
    output, lse = oracle.kv_attend(q, k, v, scale=0.3)
    check(merged[0].reshape(output.shape), output)
    check(merged[1].reshape(lse.shape), lse)
