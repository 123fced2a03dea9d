"""leat compile --weights: models with their weights in fewer bits, against ONNX Runtime on weights that were decoded again here."""
import json

import numpy as np
import onnx
import onnxruntime
import pytest

from models.decoder import Config, RandomWeights, export
from models.graph import FLOAT, INT64, Graph

GROUP = {"int8": 256, "int4": 32}  # values of k that share a scale, unless the kind says so
CONFIG = Config(layers=2, hidden=96, ffn=160, heads=4, kv_heads=2, vocab=161, context=256)
KINDS = ("bf16", "f16", "int8", "int4")
GROUPED = KINDS + ("int8(g=32)", "int8(g=96)", "int8(g=65536)", "int4(g=64)")


def group_of(kind):
    name, _, group = kind.partition("(g=")
    return name, int(group.rstrip(")") or 0) or GROUP.get(name)


def with_group(kind):
    name, group = group_of(kind)
    return f"{name}(g={group})" if group else name


def block_for(k, group):
    """The widest multiple of 32 up to the group with which k is filled up by no more than 1/16 above the next multiple of 32."""
    whole = -(-k // 32) * 32
    return max(b for b in range(32, min(group, whole) + 1, 32) if -(-k // b) * b <= whole + k // 16)


def decoded(w, kind):
    """What a weight [k, n] is after it was stored. int4 takes the simplest scale, so that the result is what the compiler finds again."""
    if kind == "f16":
        return w.astype(np.float16).astype(np.float32)
    if kind == "bf16":
        bits = w.astype(np.float32).view(np.uint32)
        return (((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) << 16).astype(np.uint32).view(np.float32)
    kind, group = group_of(kind)
    k, n = w.shape
    block = block_for(k, group)
    blocks = np.pad(w, ((0, -k % block), (0, 0))).reshape(-1, block, n)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(1, keepdims=True), 1)
    scale = (np.abs(largest) / 127 if kind == "int8" else largest / -8).astype(np.float16).astype(np.float32)
    low, high = (-128, 127) if kind == "int8" else (-8, 7)
    inverse = np.where(scale == 0, np.float32(0), np.float32(1) / np.where(scale == 0, np.float32(1), scale))
    codes = np.clip(np.rint(blocks * inverse), low, high)
    return (codes * scale).reshape(-1, n)[:k].astype(np.float32)


def decode_model(path, out, kind, keep=()):
    """The model with each right side of a product (also through a transposition) as it is after it was stored."""
    model = onnx.load(path)
    weights = {i.name: i for i in model.graph.initializer}
    turned = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Transpose" and n.input[0] in weights}
    looked_up = {n.input[0] for n in model.graph.node if n.op_type == "Gather"}
    changed = 0
    for node in model.graph.node:
        if node.op_type not in ("MatMul", "Gemm"):
            continue
        name = node.input[1]
        flip = name in turned or any(a.name == "transB" and a.i for a in node.attribute)
        name = turned.get(name, name)
        if name not in weights or name in keep:
            continue
        w = onnx.numpy_helper.to_array(weights[name])
        stored = f"int8(g={group_of(kind)[1]})" if kind.startswith("int4") and name in looked_up else kind
        w = decoded(w.T, stored).T if flip else decoded(w, stored)
        weights[name].CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(w), name))
        changed += 1
    assert changed
    onnx.save(model, out)
    return out


def report(leat, artifact):
    return dict(json.loads(leat("inspect", artifact, "--format=json").stdout)["options"])


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    """Products of awkward sizes: sums of 40 and 33 values, a column of zeros, Gemm with a transposed weight, a weight that is too short."""
    rng = np.random.default_rng(11)
    w = lambda *shape: (rng.standard_normal(shape) * 0.2).astype(np.float32)
    path = tmp_path_factory.mktemp("layers") / "model.onnx"
    g = Graph(path)
    g.input("x", FLOAT, ["batch", "n", 40])
    first = w(40, 33)
    first[:32, 5] = 0
    h = g("Relu", g("Add", g("MatMul", "x", g.weight("first", first)), g.weight("bias", w(33))))
    h = g("Reshape", h, g.const([-1, 33]))
    h = g("Gemm", h, g.weight("second", w(130, 33)), g.weight("second.bias", w(130)), transB=1)
    h = g("MatMul", h, g.weight("third", w(130, 8)))
    g("MatMul", h, g.weight("short", w(8, 200)), out="y")
    g.output("y", FLOAT, ["rows", 200])
    g.save(18)
    return path


@pytest.mark.parametrize("target", ["native", "generic"])
@pytest.mark.parametrize("kind", GROUPED)
def test_products_of_every_shape(kind, target, layers, leat, compile_model, library, tmp_path):
    reference = decode_model(layers, tmp_path / "decoded.onnx", kind, keep=["short"])
    source = reference if kind.startswith("int4") else layers
    artifact = compile_model(source, f"--weights={kind}", f"--target-cpu={target}")
    session = library.load(artifact).session()
    ort = onnxruntime.InferenceSession(str(reference), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 5, 23, 70):
        x = np.random.default_rng(rows).standard_normal((1, rows, 40)).astype(np.float32)
        np.testing.assert_allclose(session("main", x=x)["y"], ort.run(None, {"x": x})[0], atol=2e-5, rtol=2e-5)
    options = report(leat, artifact)
    assert options["weights"] == kind and options["weights-report"].startswith(f"3 as {with_group(kind)}, ")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return export(tmp_path_factory.mktemp("decoder") / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))


def logits(session, tokens, cuts=()):
    pieces, begin = [], 0
    for end in [*cuts, len(tokens)]:
        pieces.append(session("step", input_ids=np.asarray(tokens[begin:end])[None])["logits"][0])
        begin = end
    return np.concatenate(pieces)


def reference_logits(path, tokens):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    n = len(tokens)
    feeds = {"input_ids": np.asarray(tokens)[None], "attention_mask": np.ones((1, n), np.int64), "position_ids": np.arange(n)[None]}
    for i in session.get_inputs():
        if i.name.startswith("past"):
            feeds[i.name] = np.zeros((1, CONFIG.kv_heads, 0, CONFIG.head_dim), np.float32)
    return session.run(["logits"], {i.name: feeds[i.name] for i in session.get_inputs()})[0][0]


@pytest.mark.parametrize("kind", KINDS + ("int8(g=64)", "int4(g=96)"))
def test_a_decoder_is_the_one_with_decoded_weights(kind, decoder, compile_model, library, tmp_path):
    reference = decode_model(decoder, tmp_path / "decoded.onnx", kind)
    loaded = library.load(compile_model(reference if kind.startswith("int4") else decoder, f"--weights={kind}"))
    tokens = np.random.default_rng(1).integers(0, CONFIG.vocab, 40)
    expected = reference_logits(reference, tokens)
    np.testing.assert_allclose(logits(loaded.session(), tokens, range(16, 40)), expected, atol=2e-4, rtol=2e-4)
    np.testing.assert_allclose(logits(loaded.session(), tokens), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_embedding_tied_to_the_logits_is_one_copy(kind, decoder, leat, compile_model):
    params = json.loads(leat("inspect", compile_model(decoder, f"--weights={kind}"), "--format=json", "--params").stdout)["params"]
    tied = [p for p in params if p["name"].startswith("model.embed_tokens.weight")]
    assert len(tied) == (1 if kind in ("bf16", "f16") else 2) and all(p["layout"] for p in tied), tied


def test_activations_in_bf16(decoder, leat, compile_model, library):
    tokens = np.random.default_rng(3).integers(0, CONFIG.vocab, 40)
    run = lambda *options: logits(library.load(compile_model(decoder, "--weights=bf16", *options)).session(), tokens, [30])
    exact, rounded = run(), run("--bf16-activations")
    assert np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()
    assert report(leat, compile_model(decoder, "--weights=bf16", "--bf16-activations"))["activations"] == "bf16"
    assert report(leat, compile_model(decoder, "--weights=bf16"))["activations"] == "exact"
    # A processor that cannot multiply such pairs goes on in f32.
    np.testing.assert_array_equal(run("--target-cpu=generic"), run("--target-cpu=generic", "--bf16-activations"))


@pytest.mark.parametrize("options", [["--weights=bf16"], ["--weights=bf16", "--bf16-activations"], ["--weights=int8"], ["--weights=int4"], ["--weights=int4", "--int8-activations"],
                                     ["--weights=int8", "--int8-activations"], ["--weights=int8(g=64)", "--int8-activations"],
                                     ["--weights=int4(g=96)"]], ids=" ".join)
def test_threads_and_neighbours_change_nothing(options, decoder, compile_model, library):
    artifact = compile_model(decoder, *options)
    tokens = np.random.default_rng(2).integers(0, CONFIG.vocab, 37)
    alone = [logits(library.load(artifact, threads=n).session(), tokens, [1, 2, 5, 9, 30]) for n in (1, 2, 3)]
    np.testing.assert_array_equal(alone[0], alone[1])
    np.testing.assert_array_equal(alone[0], alone[2])
    loaded = library.load(artifact)
    ids = np.random.default_rng(5).integers(0, CONFIG.vocab, (3, 11))
    together = loaded.session(batch=3)("step", input_ids=ids)["logits"]
    for row in range(3):
        np.testing.assert_array_equal(loaded.session()("step", input_ids=ids[row : row + 1])["logits"][0], together[row])


@pytest.mark.parametrize("kind", ["int8", "int8(g=32)", "int4", "int4(g=64)"])
def test_activations_of_8_bits_cost_little_and_are_recorded(kind, decoder, leat, compile_model, library):
    exact, short = compile_model(decoder, f"--weights={kind}"), compile_model(decoder, f"--weights={kind}", "--int8-activations")
    tokens = np.random.default_rng(3).integers(0, CONFIG.vocab, 40)
    a, b = logits(library.load(exact).session(), tokens), logits(library.load(short).session(), tokens)
    assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(a)
    assert report(leat, exact)["activations"] == "exact" and report(leat, short)["activations"] == "int8"


def test_weights_that_match_a_pattern_stay(layers, leat, tmp_path):
    artifact = tmp_path / "m.leat"
    said = leat("compile", layers, "-o", artifact, "--weights=int4", "--keep=f*st", "--keep=third", "--verbose").stderr
    assert "weight 'first' stays as it is: a pattern says so" in said and "weight 'short' stays as it is: it has fewer than 32" in said
    assert "weights: 1 as int4(g=32)" in said and "relative error" in said and '("second")' in said
    assert report(leat, artifact)["weights-keep"] == "f*st third"
    said = leat("compile", layers, "-o", artifact, "--weights=int4", "--keep=first").stderr
    assert "stays" not in said and "warning" not in said
    said = leat("compile", layers, "-o", artifact, "--weights=int4", "--keep=first", "--keep=fisrt").stderr
    assert "warning: no weight has a name like 'fisrt', so nothing is kept for it" in said


@pytest.mark.parametrize("options, code, says", [
    (["--weights=int3"], 2, "--weights: 'int3' is no way to store weights: those are f32, bf16, f16, int8, int4, and codes with a group, as in int8(g=64)"),
    (["--weights=int8(g=100)"], 2, "--weights: 'int8(g=100)' has no valid group: (g=N), N a multiple of 32 up to 65536"),
    (["--weights=int4(g=64"], 2, "'int4(g=64' has no valid group"),
    (["--weights=f16(g=32)"], 2, "'f16(g=32)' asks for a group, which only int8 and int4 have"),
    (["--weights=int4", "--keep=["], 2, "--keep '['"),
    (["--keep=first"], 2, "--keep is of no use without --weights"),
])
def test_bad_options(options, code, says, layers, leat, tmp_path):
    result = leat("compile", layers, "-o", tmp_path / "m.leat", *options, check=False)
    assert result.returncode == code and says in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_is_not_finite_is_refused_by_name(kind, leat, tmp_path):
    g = Graph(tmp_path / "m.onnx")
    g.input("x", FLOAT, ["n", 64])
    w = np.ones((64, 32), np.float32)
    w[40, 3] = np.inf
    g("MatMul", "x", g.weight("layer.weight", w), out="y")
    g.output("y", FLOAT, ["n", 32])
    g.save(18)
    result = leat("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat", f"--weights={kind}", check=False)
    assert result.returncode == 3 and "weight 'layer.weight' cannot be stored as" in result.stderr and "k = 40, n = 3" in result.stderr
    leat("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat", f"--weights={kind}", "--keep=layer.weight")


@pytest.mark.parametrize("kind", KINDS)
def test_minilm(kind, minilm, compile_model, library, tmp_path):
    reference = decode_model(minilm, tmp_path / "decoded.onnx", kind)
    session = library.load(compile_model(reference if kind == "int4" else minilm, f"--weights={kind}")).session()
    rng = np.random.default_rng(0)
    feeds = {"input_ids": rng.integers(1000, 20000, (2, 24)), "attention_mask": np.ones((2, 24), np.int64), "token_type_ids": np.zeros((2, 24), np.int64)}
    feeds["attention_mask"][1, 17:] = 0
    ort = onnxruntime.InferenceSession(str(reference), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session("main", **feeds)["last_hidden_state"], ort.run(None, feeds)[0], atol=5e-5, rtol=1e-4)
