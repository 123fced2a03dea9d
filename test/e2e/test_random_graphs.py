"""Fusion must not change results: random graphs against ONNX Runtime. LEAT_GRAPHS=N tries more of them."""
import os

import numpy as np
import onnx
import pytest
from random_graph import RandomGraph

onnxruntime = pytest.importorskip("onnxruntime")
COUNT = int(os.environ.get("LEAT_GRAPHS", "24"))
FIRST = int(os.environ.get("LEAT_GRAPHS_FIRST", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_random_graph(leat, tmp_path, seed):
    graph = RandomGraph(seed)
    model, feeds = graph.model(), graph.feeds()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "m.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    names = [o.name for o in model.graph.output]
    expected = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(names, feeds)

    leat("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat")
    inputs = []
    for name, array in feeds.items():
        np.save(tmp_path / f"{name}.npy", array)
        inputs += ["--input", f"{name}=@{tmp_path / name}.npy"]
    leat("run", tmp_path / "m.leat", *inputs, "--output-dir", tmp_path / "out")
    for name, want in zip(names, expected):
        got = np.load(tmp_path / "out" / f"{name}.npy")
        assert got.shape == want.shape and got.dtype == want.dtype, name
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(want).max(initial=0))), err_msg=name)
