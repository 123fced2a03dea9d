"""Models in the idioms of exporters against ONNX Runtime: one artifact each, run at several sizes, and the structure that import must find in it."""
import re
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models import zoo, zoo_decoders, zoo_encoders, zoo_idioms, zoo_masks  # noqa: E402

MODELS = zoo.MODELS | zoo_decoders.MODELS | zoo_encoders.MODELS | zoo_idioms.MODELS | zoo_masks.MODELS
# What has a past that Stream turns into state.
DECODERS = ["whisper-decoder", "t5-decoder", "gpt2-ts", "llama-optimum", "llama-ts", "llama-sdpa", "llama-f16", "llama-split", "mha-rope", "multi-query",
            "mistral-window", "qwen3-norms", "neox-partial-rotary", "gemma-softcap", "standard-opset23", "genai-gqa", "genai-int4", "phi-mha", "bloom-ts",
            "dynamo-llama", "dynamo-window", "dynamo-f16", "dynamo-attention23", "dynamo-attention23-repeat", "gpt-oss-sinks", "genai-gemma", "gpt2-merged", "t5-merged", "ort-gpt2",
            *[n for n in zoo_idioms.MODELS if n != "swin2"], *zoo_masks.CAUSAL]
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def reference(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Products with 4-bit weights in floats: by default ONNX Runtime rounds what they multiply to 8 bits.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def make_inputs(session, sample, sizes, rng):
    feed = {}
    for info in session.get_inputs():
        shape = [sizes[d] if isinstance(d, str) else d for d in info.shape]
        dtype = TYPES[info.type]
        if info.name in sample.inputs:
            value = sample.inputs[info.name](shape, sizes, rng)
        elif np.issubdtype(dtype, np.integer):
            value = rng.integers(0, zoo.VOCAB, shape)
        else:
            value = rng.standard_normal(shape) * 0.7
        feed[info.name] = np.asarray(value).astype(dtype)
    return feed


@pytest.mark.parametrize("name", MODELS)
def test_model(leat, tmp_path, name):
    path = tmp_path / "model.onnx"
    sample = MODELS[name](path)
    session = reference(path)

    text = leat("compile", path, "--emit", "leat", "--quiet", "--output", tmp_path / "model.mlir") and (tmp_path / "model.mlir").read_text()
    main, _, step = text[text.index("func.func @main"):].partition("func.func @step")
    for op, count in sample.raised.items():
        assert len(re.findall(rf"= leat\.{op}\b", main)) == count, f"{op} in {name}"
    programs = re.findall(r"= leat\.kv_attend .* visible \(.*", main)
    assert len(programs) == sample.regions and not any("bias(" in line for line in programs)
    if sample.causal_step:
        for line in re.findall(r"= leat\.kv_attend (?:.* visible \((?:.*\n)*? +\}.*|.*)", step):
            assert "causal" in line and "bias(" not in line and "kv_len(" not in line
        assert "leat.kv_attend" in step

    artifact = tmp_path / "model.leat"
    leat("compile", path, "-o", artifact, "--quiet")
    rng = np.random.default_rng(5)
    for run, sizes in enumerate(sample.sizes):
        feed = make_inputs(session, sample, sizes, rng)
        args = []
        for key, array in feed.items():
            file = tmp_path / f"in-{run}-{quote(key, safe='')}.npy"
            np.save(file, array)
            args += ["--input", f"{key}=@{file}"]
        out = tmp_path / f"out-{run}"
        leat("run", artifact, *args, "--output-dir", out)
        names = [o.name for o in session.get_outputs()]
        for key, want in zip(names, session.run(names, feed)):
            got = np.load(out / f"{quote(key, safe='')}.npy")
            assert got.shape == want.shape and got.dtype == want.dtype, f"{key} at {sizes}: {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
            np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=sample.tolerance, atol=sample.tolerance, err_msg=f"{key} at {sizes}")


def whole_text(path, sample, tokens):
    """ONNX Runtime's session, inputs of one call for all tokens without a past, and which of them are cut into steps."""
    session = reference(path)
    feed = make_inputs(session, sample, {**sample.sizes[0], "batch": 1, "sequence": tokens, "past": 0, "total": tokens}, np.random.default_rng(3))
    if "attention_mask" in feed:
        feed["attention_mask"][:] = 1
    return session, feed, {i.name for i in session.get_inputs() if "sequence" in i.shape}


def in_steps(model, feed, growing, cuts):
    """The step's output for pieces of these lengths, joined."""
    inputs, (output,) = (model.names(model.function("step"), side) for side in ("input", "output"))
    stream, pieces, at = model.session(context=64), [], 0
    for length in cuts:
        pieces.append(stream.run("step", {n: feed[n][:, at : at + length] if n in growing else feed[n] for n in inputs})[output])
        at += length
    return np.concatenate(pieces, axis=1).astype(np.float64)


@pytest.mark.parametrize("name", DECODERS)
def test_step_is_the_whole_in_pieces(compile_model, library, tmp_path, name):
    """Token by token, and cut unevenly: what one call of ONNX Runtime gives for all tokens without a past."""
    path, tokens = tmp_path / "model.onnx", 12
    sample = MODELS[name](path)
    session, feed, growing = whole_text(path, sample, tokens)
    model = library.load(compile_model(path))
    inputs, (output,) = (model.names(model.function("step"), side) for side in ("input", "output"))
    want = session.run([output], feed)[0].astype(np.float64)
    assert not [n for n in inputs if n in ("attention_mask", "position_ids")]  # the state knows them
    for cuts in ([1] * tokens, [5, 1, 1, 3, 2]):
        np.testing.assert_allclose(in_steps(model, feed, growing, cuts), want, rtol=sample.tolerance, atol=sample.tolerance, err_msg=f"cuts {cuts}")


@pytest.mark.parametrize("name", DECODERS)
def test_caches_in_8_bits(compile_model, library, tmp_path, name):
    """About what the model says, whatever the form of its caches and heads, and not quite."""
    path, tokens = tmp_path / "model.onnx", 12
    sample = MODELS[name](path)
    session, feed, growing = whole_text(path, sample, tokens)
    model = library.load(compile_model(path, "--kv=prec=i8"))
    (output,) = model.names(model.function("step"), "output")
    want, got = session.run([output], feed)[0].astype(np.float64), in_steps(model, feed, growing, [1] * tokens)
    error = np.sqrt(np.square(got - want).mean() / np.square(want).mean())
    assert 1e-5 < error < 0.03


# Decoders whose step takes a policy, and which of the softmaxes of a graph are over the cache (others read an encoder).
POLICIES = {"gpt2-ts": (0, 1), "gpt2-merged": (0, 1), "gpt2-joined": (0, 1), "gpt2-stacked": (0, 1), "gpt2-first": (0,), "whisper-decoder": (0,), "whisper-merged": (0, 2), "t5-decoder": (0,),
            "llama-ts": (0, 1), "mistral-window": (0, 1), "dynamo-llama": (0, 1), "dynamo-window": (0, 1), "bloom-ts": (0,), "mpt-alibi": (0,), "alibi-from-end": (0,), "alibi-distance": (0,), "sdpa-ts": (0,), "sdpa-ts-one-group": (0,), "sdpa-dynamo": (0,),
            "gpt-oss-sinks": (0, 1), "opt-flat": (0, 1), "einsum-decoder": (0,), "gptj-interleaved": (0, 1), "gptj-whole-heads": (0, 1), "chatglm-pairs": (0,),
            "function-decoder": (0,), "quantised-cache": (0,), "tokens-first": (0,), "gathered-mask": (0,), "gathered-window": (0,), **dict.fromkeys(zoo_masks.CAUSAL, (0,))}


def with_policy(path, softmaxes, tokens, sinks, recent):
    """The model with everything hidden from each query but the first `sinks` and the last `recent` keys: the dense form of a policy."""
    model = onnx.load(path)
    at = np.arange(tokens)
    visible = (at[None, :] < sinks) | (at[:, None] - at[None, :] <= recent)
    count = 0

    def hide(graph, functions=()):
        nonlocal count
        for container in [graph, *functions]:
            nodes = list(container.node)
            for node in nodes:
                for attribute in node.attribute:
                    if attribute.HasField("g"):
                        hide(attribute.g)
            for node in [n for k, n in enumerate(n for n in nodes if n.op_type == "Softmax") if k in softmaxes]:
                # A learned logit is one more column.
                columns = onnx.helper.make_node("Shape", [node.input[0]], [f"columns{count}"], start=-1)
                size = onnx.helper.make_node("Concat", ["policy_rows", f"columns{count}"], [f"size{count}"], axis=0)
                mask = onnx.helper.make_node("Slice", ["policy", "policy_zeros", f"size{count}"], [f"hidden{count}"])
                add = onnx.helper.make_node("Add", [node.input[0], f"hidden{count}"], [f"masked{count}"])
                node.input[0] = f"masked{count}"
                position = list(container.node).index(node)
                for i, n in enumerate((columns, size, mask, add)):
                    container.node.insert(position + i, n)
                if container is not graph:
                    container.node.insert(position, onnx.helper.make_node("Constant", [], ["policy"], value=numpy_helper.from_array(bias)))
                    container.node.insert(position, onnx.helper.make_node("Constant", [], ["policy_zeros"], value_ints=[0, 0]))
                    container.node.insert(position, onnx.helper.make_node("Constant", [], ["policy_rows"], value_ints=[tokens]))
                count += 1

    bias = np.where(np.pad(visible, ((0, 0), (0, 1)), constant_values=True), 0, -1e30).astype(np.float32)
    hide(model.graph, model.functions)
    for name, value in (("policy", bias), ("policy_zeros", np.zeros(2, np.int64)), ("policy_rows", np.array([tokens]))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.opset_import[0].version = max(model.opset_import[0].version, 15)
    onnx.save(model, path.with_suffix(".policy.onnx"))
    return path.with_suffix(".policy.onnx")


@pytest.mark.parametrize("name", POLICIES)
def test_policy_is_its_dense_form(compile_model, library, tmp_path, name):
    """A ring and sinks, against one call of ONNX Runtime with all that is forgotten hidden."""
    path, tokens = tmp_path / "model.onnx", 17
    sample = MODELS[name](path)
    session, feed, growing = whole_text(path, sample, tokens)
    # A window of the model's own, of 2 or 3 past tokens, hides sinks too.
    for sinks, recent in ((0, 1), (2, 1)) if "window" in name else ((0, 4), (2, 3)):
        dense = reference(with_policy(path, POLICIES[name], tokens, sinks, recent))
        text = f"sink({sinks})+recent({recent}),pos=*:abs" if sinks else f"recent({recent})"
        model = library.load(compile_model(path, f"--kv=retain={text}"))
        (output,) = model.names(model.function("step"), "output")
        want = dense.run([output], feed)[0].astype(np.float64)
        for cuts in ([1] * tokens, [5, 1, 6, 3, 2]):
            np.testing.assert_allclose(in_steps(model, feed, growing, cuts), want, rtol=sample.tolerance, atol=sample.tolerance, err_msg=f"{text} cuts {cuts}")
        assert np.abs(session.run([output], feed)[0] - want).max() > 1e-3  # the control: the policy changes something


@pytest.mark.parametrize("name", ["mask-chunks", "mask-prefix"])
def test_a_policy_needs_a_mask_that_sees_nothing_ahead(leat, tmp_path, name):
    MODELS[name](tmp_path / "model.onnx")
    result = leat("compile", tmp_path / "model.onnx", "-o", tmp_path / "m.leat", "--kv=retain=recent(4)", check=False)
    assert result.returncode != 0 and "its mask is not causal in a way that Leat can prove" in result.stderr and 'node "/MatMul_' in result.stderr


@pytest.mark.parametrize("name,recent", [("mistral-window", 6), ("dynamo-window", 6), ("gathered-window", 6), ("dynamo-attention23-repeat", 15)])
def test_a_policy_within_the_budget_changes_nothing(compile_model, library, tmp_path, name, recent):
    """The budget is that of all tokens, or of the model's own window."""
    path, tokens = tmp_path / "model.onnx", 17
    sample = MODELS[name](path)
    session, feed, growing = whole_text(path, sample, tokens)
    for positions in ("*:abs",) if name == "gathered-window" else ("*:abs", "sink:rank;local:abs"):  # it has learned positions
        model = library.load(compile_model(path, f"--kv=retain=sink(2)+recent({recent}),pos={positions}"))
        (output,) = model.names(model.function("step"), "output")
        want = session.run([output], feed)[0].astype(np.float64)
        np.testing.assert_allclose(in_steps(model, feed, growing, [5, 1, 6, 3, 2]), want, rtol=sample.tolerance, atol=sample.tolerance, err_msg=positions)


@pytest.mark.parametrize("name", ["einsum-decoder", "chatglm-pairs", "tokens-first", "gathered-mask", "bloom-ts", "mpt-alibi", "alibi-from-end", "alibi-distance"])
def test_sinks_stand_at_their_rank(compile_model, library, tmp_path, name):
    """Of one layer, keys depend on nothing but their token and its place: what is kept, run anew as a text of its own, gives the same last row."""
    path, tokens, sinks, recent = tmp_path / "model.onnx", 17, 2, 3
    sample = MODELS[name](path)
    session = reference(path)
    ids = np.random.default_rng(3).integers(0, zoo.VOCAB, tokens)
    model = library.load(compile_model(path, f"--kv=sink({sinks})+recent({recent})"))
    (token_input,), (output,) = (model.names(model.function("step"), side) for side in ("input", "output"))
    for cuts in ([1] * tokens, [5, 1, 6, 3, 2]):
        got = in_steps(model, {token_input: ids[None]}, {token_input}, cuts)[0]
        for t in range(tokens):
            kept = ids[[j for j in range(t + 1) if j < sinks or j >= t - recent]]
            sizes = {**sample.sizes[0], "batch": 1, "sequence": len(kept), "past": 0, "total": len(kept)}
            feed = make_inputs(session, sample, sizes, np.random.default_rng(3)) | {token_input: kept[None]}
            if "attention_mask" in feed:
                feed["attention_mask"][:] = 1
            np.testing.assert_allclose(got[t], session.run([output], feed)[0][0, -1], rtol=1e-4, atol=1e-4, err_msg=f"token {t}, cuts {cuts}")


COUNTS = {
    "minilm/minilm.onnx": {"kv_attend": 6, "layer_norm": 13},
    "smollm2-decomposed/model.onnx": {"kv_attend": 30, "layer_norm": 61, "rotary": 60},
    "smollm2-attention24/model.onnx": {"kv_attend": 30, "layer_norm": 61, "rotary": 60},
    "smollm2-gqa/model.onnx": {"kv_attend": 30, "layer_norm": 61, "rotary": 60, "matmul_nbits": 151},
}


@pytest.mark.parametrize("name", COUNTS)
def test_real_model(leat, name):
    """What import finds in the real models, where they have been exported."""
    path = Path(__file__).resolve().parents[2] / "models" / name
    if not path.exists():
        pytest.skip(f"{name} is not exported; ./dev demo does")
    text = leat("compile", path, "--emit", "leat", "--quiet", "--output", "-").stdout
    main = text[text.index("func.func @main"):].partition("func.func @step")[0]
    for op, count in COUNTS[name].items():
        assert len(re.findall(rf"= leat\.{op}\b", main)) == count, f"{op} in {name}"
