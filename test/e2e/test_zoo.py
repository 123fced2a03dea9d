"""Models in the idioms of exporters against ONNX Runtime: one artifact each, run at several sizes, and the structure that import must find in it."""
import re
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnxruntime
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.zoo import MODELS, VOCAB  # noqa: E402

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def make_inputs(session, sample, sizes, rng):
    feed = {}
    for info in session.get_inputs():
        shape = [sizes[d] if isinstance(d, str) else d for d in info.shape]
        dtype = TYPES[info.type]
        if info.name in sample.inputs:
            value = sample.inputs[info.name](shape, sizes, rng)
        elif np.issubdtype(dtype, np.integer):
            value = rng.integers(0, VOCAB, shape)
        else:
            value = rng.standard_normal(shape) * 0.7
        feed[info.name] = np.asarray(value).astype(dtype)
    return feed


@pytest.mark.parametrize("name", MODELS)
def test_model(leat, tmp_path, name):
    path = tmp_path / "model.onnx"
    sample = MODELS[name](path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

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
