"""Models in the idioms of exporters against ONNX Runtime: one artifact each, run at several sizes, and the structure that import must find in it."""
import re
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnxruntime
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models import zoo, zoo_decoders, zoo_encoders  # noqa: E402

MODELS = zoo.MODELS | zoo_decoders.MODELS | zoo_encoders.MODELS
# What has a past that Stream turns into state. Not the merged graphs, whose cache is inside an If, nor ort-gpt2, which joins keys and values.
DECODERS = ["whisper-decoder", "t5-decoder", "gpt2-ts", "llama-optimum", "llama-ts", "llama-sdpa", "llama-f16", "llama-split", "mha-rope", "multi-query",
            "mistral-window", "qwen3-norms", "neox-partial-rotary", "gemma-softcap", "standard-opset23", "genai-gqa", "genai-int4", "phi-mha", "bloom-ts",
            "dynamo-llama", "dynamo-window", "dynamo-f16", "dynamo-attention23", "gpt-oss-sinks", "genai-gemma"]
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
    if sample.causal_step:
        for line in re.findall(r"= leat\.kv_attend .*", step):
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


@pytest.mark.parametrize("name", DECODERS)
def test_step_is_the_whole_in_pieces(compile_model, library, tmp_path, name):
    """Token by token, and cut unevenly: what one call of ONNX Runtime gives for all tokens without a past."""
    path, tokens = tmp_path / "model.onnx", 12
    sample = MODELS[name](path)
    session = reference(path)
    sizes = {**sample.sizes[0], "batch": 1, "sequence": tokens, "past": 0, "total": tokens}
    feed = make_inputs(session, sample, sizes, np.random.default_rng(3))
    if "attention_mask" in feed:
        feed["attention_mask"][:] = 1
    growing = {i.name for i in session.get_inputs() if "sequence" in i.shape}
    model = library.load(compile_model(path))
    inputs, (output,) = (model.names(model.function("step"), side) for side in ("input", "output"))
    want = session.run([output], feed)[0].astype(np.float64)
    assert not [n for n in inputs if n in ("attention_mask", "position_ids")]  # the state knows them
    for cuts in ([1] * tokens, [5, 1, 1, 3, 2]):
        stream, pieces, at = model.session(context=64), [], 0
        for length in cuts:
            pieces.append(stream.run("step", {n: feed[n][:, at : at + length] if n in growing else feed[n] for n in inputs})[output])
            at += length
        got = np.concatenate(pieces, axis=1).astype(np.float64)
        np.testing.assert_allclose(got, want, rtol=sample.tolerance, atol=sample.tolerance, err_msg=f"cuts {cuts}")


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
