"""Small random decoders in every export style, streamed: against ONNX Runtime, a float64 oracle, and against themselves cut differently."""
import dataclasses
import functools
import json

import numpy as np
import onnxruntime
import pytest

from leat_runtime import LeatError
from models.decoder import STYLES, Config, RandomWeights, export
from oracles.cache_coding import stored
from oracles.decoder_oracle import DecoderOracle

CONFIG = Config(layers=2, hidden=64, ffn=96, heads=4, kv_heads=2, vocab=160, context=512)
PROMPT, STEPS = 17, 256
SINK, RECENT = 4, 28


@pytest.fixture(scope="module")
def weights():
    return RandomWeights(CONFIG)


@pytest.fixture(scope="module")
def oracle(weights):
    return DecoderOracle(CONFIG, weights)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(7).integers(0, CONFIG.vocab, PROMPT + STEPS)


@pytest.fixture(scope="module", params=STYLES)
def model(request, weights, tmp_path_factory):
    return request.param, export(tmp_path_factory.mktemp(request.param) / "model.onnx", request.param, CONFIG, weights)


def stream(session, tokens, cuts):
    """Logits of every token, fed in pieces that end at `cuts`."""
    pieces, begin = [], 0
    for end in [*cuts, len(tokens)]:
        if end > begin:
            pieces.append(session("step", input_ids=np.asarray(tokens[begin:end])[None])["logits"][0])
            begin = end
    return np.concatenate(pieces)


def onnxruntime_logits(style, path, tokens):
    """The whole sequence in one call of ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    n = len(tokens)
    feeds = {"input_ids": np.asarray(tokens)[None]}
    length = n if style == "attention24" else 0
    for i in session.get_inputs():
        if i.name == "attention_mask":
            feeds[i.name] = np.ones((1, n), np.int64)
        elif i.name == "position_ids":
            feeds[i.name] = np.arange(n)[None]
        elif i.name == "write_indices":
            feeds[i.name] = np.zeros(1, np.int64)
        elif i.name.startswith("past"):
            feeds[i.name] = np.zeros((1, CONFIG.kv_heads, length, CONFIG.head_dim), np.float32)
    return session.run(["logits"], feeds)[0][0]


def test_prefill_and_256_steps(model, compile_model, library, oracle, tokens):
    style, path = model
    session = library.load(compile_model(path)).session(context=512)
    got = stream(session, tokens, range(PROMPT, len(tokens)))
    expected = oracle.logits(tokens)
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(got, onnxruntime_logits(style, path, tokens), atol=2e-4, rtol=2e-4)
    assert (got.argmax(-1) == expected.argmax(-1)).all()


def test_main_function_keeps_the_onnx_signature(model, compile_model, library, tokens):
    style, path = model
    loaded = library.load(compile_model(path))
    reference = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(3)
    past, new = 9, 5
    length = 16 if style == "attention24" else past
    feeds = {}
    for i in reference.get_inputs():
        feeds[i.name] = {"input_ids": lambda: rng.integers(0, CONFIG.vocab, (1, new)), "attention_mask": lambda: np.ones((1, past + new), np.int64),
                         "position_ids": lambda: np.arange(past, past + new)[None], "write_indices": lambda: np.full(1, past)}.get(
            i.name, lambda: rng.standard_normal((1, CONFIG.kv_heads, length, CONFIG.head_dim)).astype(np.float32))()
    if style == "gqa":  # with a past, ONNX Runtime's operator takes one token at a time
        feeds["input_ids"], feeds["attention_mask"] = feeds["input_ids"][:, :1], feeds["attention_mask"][:, : past + 1]
    expected = dict(zip([o.name for o in reference.get_outputs()], reference.run(None, feeds)))
    got = loaded.session().run("main", feeds)
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-4, rtol=1e-4, err_msg=name)


def test_any_cut_gives_the_same_stream(model, compile_model, library, tokens):
    _, path = model
    loaded = library.load(compile_model(path))
    whole = stream(loaded.session(context=512), tokens[:64], [])
    for seed in range(3):
        cuts = np.sort(np.random.default_rng(seed).integers(1, 63, 6))
        np.testing.assert_allclose(stream(loaded.session(context=512), tokens[:64], cuts), whole, atol=2e-5, rtol=2e-5)
    # The control: a stream that loses its state at a cut is not the same.
    session = loaded.session(context=512)
    first = stream(session, tokens[:32], [])
    session.reset()
    broken = np.concatenate([first, stream(session, tokens[32:64], [])])
    assert np.abs(broken - whole).max() > 1e-2


ONE_LAYER = dataclasses.replace(CONFIG, layers=1)
PRECISIONS = {"f16": ("f16", 0), "bf16": ("bf16", 0), "f8": ("f8", 0), "i8": ("i8", 0), "i8(g=8)": ("i8", 8), "i4": ("i4", 0), "i4(g=2)": ("i4", 2)}
STORED_BYTES = {"f16": 2, "bf16": 2, "f8": 1, "i8": 1 + 2 / 16, "i8(g=8)": 1 + 2 / 8, "i4": 0.5 + 4 / 16, "i4(g=2)": 0.5 + 4 / 2}  # of a value, heads of 16


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory):
    """One layer in a style of export. What its cache holds depends on the tokens only, to the last bit; behind an attention, rounding would magnify what differs
    in the last bit."""
    return functools.cache(lambda style: export(tmp_path_factory.mktemp(style) / "model.onnx", style, ONE_LAYER, RandomWeights(ONE_LAYER)))


@pytest.mark.parametrize("retain", ["retain=all", "sink(4)+recent(28)"])
@pytest.mark.parametrize("precision, style", [(p, STYLES[0]) for p in PRECISIONS] + [(p, s) for p in ("bf16", "i4") for s in STYLES[1:]])
def test_precision_of_caches(retain, precision, style, one_layer, compile_model, library, tokens):
    """Fewer bytes, the error of their coding and no other, and still the same stream however it is cut: the step that brings an entry sees it rounded."""
    narrow, wide = (library.load(compile_model(one_layer(style), f"--kv={retain}{prec}")) for prec in (f",prec={precision}", ""))
    states = [m.session(context=512) for m in (narrow, wide)]
    caches = [s.counters().state_bytes for s in states]
    assert caches[0] < 1.2 * STORED_BYTES[precision] / 4 * caches[1]
    whole = stream(states[0], tokens[:64], [])

    oracle = DecoderOracle(ONE_LAYER, RandomWeights(ONE_LAYER))
    policy = {"sinks": SINK, "recent": RECENT} if "sink" in retain else {}
    exact = oracle.logits(tokens[:64], **policy)
    rounded = oracle.logits(tokens[:64], **policy, stored=lambda x: stored(x, *PRECISIONS[precision]))
    size = lambda x: np.sqrt((x * x).mean())
    # Some values lie so close to a tie that the last bit of a product decides how they are rounded.
    assert size(whole - rounded) < 0.05 * size(rounded - exact) + 1e-6 * size(exact) < 0.2 * size(whole - exact)

    for cuts in ([1, 2, 3, 40], range(1, 64)):
        np.testing.assert_allclose(stream(narrow.session(context=512), tokens[:64], cuts), whole, atol=2e-5, rtol=2e-5)


# What a step is cut into: 1 to 6 rows of a head, at numbers of keys around a vector's and around a block of 256.
ROWS = [30, 1, 1, 2, 3, 4, 5, 6, 200, 1, 2, 3, 4, 5, 6, 1]


@pytest.mark.parametrize("heads, precision, retain", [
    *((2, precision, "retain=all") for precision in ("i8", "i8(g=16)", "i4", "i4(g=64)")), (1, "i8(g=64)", "retain=all"), (1, "i4", "retain=all"),
    (2, "i8", "sink(4)+recent(28)"), (2, "i4", "sink(4)+recent(28)")])
def test_codes_of_wide_heads(heads, precision, retain, compile_model, library, tmp_path):
    """Heads of 64 and 128 values, whose codes few rows read where they are."""
    config = Config(layers=1, hidden=128, ffn=32, heads=heads, kv_heads=heads, vocab=160, context=512)
    weights, ids = RandomWeights(config), np.random.default_rng(9).integers(0, config.vocab, sum(ROWS))
    path = export(tmp_path / "model.onnx", "decomposed", config, weights)
    got = stream(library.load(compile_model(path, f"--kv={retain},prec={precision}")).session(context=512), ids, np.cumsum(ROWS)[:-1])
    policy = {"sinks": SINK, "recent": RECENT} if "sink" in retain else {}
    kind, _, group = precision.partition("(g=")
    oracle = DecoderOracle(config, weights)
    exact = oracle.logits(ids, **policy)
    rounded = oracle.logits(ids, **policy, stored=lambda x: stored(x, kind, int(group.rstrip(")") or 0)))
    size = lambda x: np.sqrt((x * x).mean())
    assert size(got - rounded) < 0.05 * size(rounded - exact) + 1e-6 * size(exact) < 0.2 * size(got - exact)


def test_a_precision_that_does_not_fit(one_layer, leat, tmp_path):
    result = leat("compile", one_layer(STYLES[0]), "-o", tmp_path / "m.leat", "--kv=prec=i8(g=32)", check=False)
    assert result.returncode != 0 and "prec (dimension D7) does not fit cache" in result.stderr
    assert "its heads have 16 values, which are not groups of 32" in result.stderr and not (tmp_path / "m.leat").exists()


def test_rows_of_a_batch_are_rows_alone(model, compile_model, library):
    _, path = model
    loaded = library.load(compile_model(path))
    ids = np.random.default_rng(5).integers(0, CONFIG.vocab, (3, 11))
    together = loaded.session(batch=3)("step", input_ids=ids)["logits"]
    for row in range(3):
        np.testing.assert_array_equal(loaded.session()("step", input_ids=ids[row : row + 1])["logits"][0], together[row])


def test_thread_count_changes_nothing(model, compile_model, library, tokens):
    _, path = model
    artifact = compile_model(path)
    # Short pieces and long, before and after attention splits the keys of one token over threads.
    cuts = [1, 2, 5, 12, 40, *range(240, len(tokens))]
    results = [stream(library.load(artifact, threads=n).session(), tokens, cuts) for n in (1, 2, 3)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("options", [[], ["--kv", "sink(4)+recent(28)"]])
def test_every_benchmarked_run_starts_from_the_same_state(model, options, compile_model, leat):
    def work(repetitions):
        text = leat("bench", compile_model(model[1], *options), "--function", "step", "--tokens", 5, "--context", 40, "--repetitions", repetitions,
                    "--warmup", 2, "--format", "json").stdout
        return {k["name"]: k["operations_per_run"] for k in json.loads(text)["kernels"]}

    assert work(1) == work(4)


def test_a_step_allocates_nothing(model, compile_model, library, tokens):
    _, path = model
    session = library.load(compile_model(path)).session(context=512)
    stream(session, tokens[:PROMPT + 2], range(PROMPT, PROMPT + 2))
    before, held = session.counters(), session.bytes()
    rest = tokens[PROMPT + 2:]
    stream(session, rest, range(1, len(rest)))
    after = session.counters()
    # Also no copy of a cache: it would need a buffer that grows with the stream.
    assert after.allocations == before.allocations and session.bytes() == held
    assert after.runs - before.runs == len(rest)


@pytest.mark.parametrize("policy", [dict(sinks=SINK, recent=RECENT), dict(sinks=SINK, recent=RECENT, rank=False), dict(sinks=0, recent=RECENT)],
                         ids=["sink-rank", "sink-absolute", "recent"])
def test_policies_equal_the_dense_oracle(model, policy, compile_model, library, oracle, tokens):
    _, path = model
    text = f"sink({policy['sinks']})+recent({policy['recent']})" if policy["sinks"] else f"recent({policy['recent']})"
    if not policy.get("rank", True):
        text = f"retain={text},pos=*:abs"
    loaded = library.load(compile_model(path, f"--kv={text}"))
    expected = oracle.logits(tokens, **policy)
    for cuts in (range(1, len(tokens)), [3, 5, 40, 41, 130], []):  # token by token, in pieces, at once
        np.testing.assert_allclose(stream(loaded.session(), tokens, cuts), expected, atol=1e-4, rtol=1e-4)
    # The control: the full cache is something else.
    assert np.abs(oracle.logits(tokens) - expected).max() > 1e-2


def test_endless_stream_has_constant_memory(model, compile_model, library, tokens):
    style, path = model
    if style != "decomposed":
        pytest.skip("one style is enough for a long run")
    session = library.load(compile_model(path, f"--kv=sink({SINK})+recent({RECENT})")).session()
    chunk = np.resize(tokens, (1, 500))
    for _ in range(2):
        session("step", input_ids=chunk)
    held, allocations = session.bytes(), session.counters().allocations
    for _ in range(198):
        logits = session("step", input_ids=chunk)["logits"]
    assert session.tokens() == 100000
    assert session.bytes() == held and session.counters().allocations == allocations
    assert np.isfinite(logits).all()


def test_state_is_saved_loaded_and_forked(model, compile_model, library, tokens, tmp_path):
    _, path = model
    loaded = library.load(compile_model(path))
    session = loaded.session(context=64)
    stream(session, tokens[:20], [])
    session.save(tmp_path / "stream.state")
    fork = session.fork()
    expected = stream(session, tokens[20:30], range(1, 10))
    np.testing.assert_array_equal(stream(fork, tokens[20:30], range(1, 10)), expected)
    other = loaded.session(context=128)
    other.load(tmp_path / "stream.state")
    np.testing.assert_array_equal(stream(other, tokens[20:30], range(1, 10)), expected)
    damaged = (tmp_path / "stream.state").read_bytes()[:-7]
    (tmp_path / "damaged.state").write_bytes(damaged)
    with pytest.raises(LeatError):
        other.load(tmp_path / "damaged.state")


def test_overflow_names_the_policy_that_would_go_on(model, compile_model, library, tokens):
    _, path = model
    session = library.load(compile_model(path)).session(context=16)
    stream(session, tokens[:16], [])
    with pytest.raises(LeatError, match=r"sink\(4\)\+recent"):
        stream(session, tokens[16:17], [])
    # The failed step changed nothing.
    assert session.tokens() == 16
