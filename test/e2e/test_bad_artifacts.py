"""Damaged artifacts and wrong calls on the command line: one short message, the right exit code, no crash."""
import struct

import numpy as np
import pytest

from models.decoder import Config, RandomWeights, export

CONFIG = Config(layers=1, hidden=32, ffn=32, heads=2, kv_heads=1, vocab=48, context=64)


@pytest.fixture(scope="module")
def artifact(compile_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return compile_model(export(folder / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG)))


def refused(leat, code, *args, words=()):
    done = leat(*args, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and len(done.stderr) < 600, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return done.stderr


def test_truncated(artifact, leat, tmp_path):
    data = artifact.read_bytes()
    bad = tmp_path / "bad.leat"
    for size in (0, 1, 7, 63, 64, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:size])
        refused(leat, 4, "inspect" if size >= 8 else "run", bad)


def test_flipped_bits(artifact, leat, tmp_path):
    data = bytearray(artifact.read_bytes())
    bad = tmp_path / "bad.leat"
    for at in np.random.default_rng(0).integers(8, len(data), 24):
        bit = 1 << int(at) % 8
        data[at] ^= bit
        bad.write_bytes(data)
        done = leat("run", bad, check=False, timeout=60)
        # Padding between sections is covered by nothing and means nothing; then the run ends at its missing inputs.
        assert done.returncode == 4 and done.stderr.count("\n") == 1, (at, done.stderr)
        data[at] ^= bit


def test_other_version(artifact, leat, tmp_path):
    data = bytearray(artifact.read_bytes())
    struct.pack_into("<I", data, 8, 99)
    (tmp_path / "bad.leat").write_bytes(data)
    refused(leat, 4, "run", tmp_path / "bad.leat", words=["99", "leat compile"])


def test_shape_mismatch_names_the_input(artifact, leat):
    inputs = ["--input", "input_ids=1x3xi64=1", "--input", "attention_mask=2x3xi64=1", "--input", "position_ids=1x3xi64=0"]
    inputs += ["--input", "past_key_values.0.key=1x1x0x16xf32", "--input", "past_key_values.0.value=1x1x0x16xf32"]
    refused(leat, 4, "run", artifact, *inputs, words=["batch_size", "attention_mask", "1", "2"])
    inputs[1], inputs[3] = "input_ids=3xi64=1", "attention_mask=1x3xi64=1"
    refused(leat, 4, "run", artifact, *inputs, words=["input_ids", "[3]"])
    inputs[1] = "input_ids=1x3xf32=1"
    refused(leat, 4, "run", artifact, *inputs, words=["input_ids", "f32", "i64"])
    refused(leat, 4, "run", artifact, *inputs[2:], words=["input_ids"])
    refused(leat, 4, "run", artifact, "--input", "inputids=1x3xi64=1", words=["inputids", "did you mean 'input_ids'"])


def test_wrong_usage(artifact, leat, tmp_path):
    refused(leat, 2, "runn", artifact, words=["did you mean 'run'"])
    refused(leat, 2, "run", artifact, "--inptu", "x", words=["did you mean '--input'"])
    refused(leat, 2, "run", words=["MODEL.leat"])
    refused(leat, 2, "compile", artifact, "--emit=wasm", words=["wasm"])
    refused(leat, 2, "compile", "m.onnx", "-o", tmp_path / "x.leat", "--kv=sink(4)", words=["recent(R)"])
    refused(leat, 2, "compile", "m.onnx", "-o", tmp_path / "x.leat", "--kv=top(9,mass)", words=["L6"])
    refused(leat, 4, "run", tmp_path / "nothing.leat", words=["nothing.leat"])


def test_policy_on_a_model_without_state(leat, tmp_path):
    from onnx import TensorProto, helper, save

    info = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "g", [info("x", TensorProto.FLOAT, [2])], [info("y", TensorProto.FLOAT, [2])])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    refused(leat, 3, "compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat", "--kv=recent(8)", words=["no state"])


def test_unsupported_operators_are_all_named(leat, tmp_path):
    from onnx import TensorProto, helper, save

    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Frobnicate", ["x"], ["a"], name="first", domain="acme"), helper.make_node("Whirl", ["a"], ["y"], name="second", domain="acme")]
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, [2])], [info("y", TensorProto.FLOAT, [2])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 3)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    done = leat("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat", check=False)
    assert done.returncode == 3 and "Frobnicate" in done.stderr and "first" in done.stderr and "acme" in done.stderr
    report = leat("inspect", tmp_path / "m.onnx", "--coverage", check=False)
    assert report.returncode == 3
    for word in ("Frobnicate", "Whirl", "first", "second", "acme"):
        assert word in report.stdout


def test_processor_that_the_host_is_not(leat, tmp_path):
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()
    if "avx512_fp16" in flags:
        pytest.skip("this processor has all that the test's artifact needs")
    model = export(tmp_path / "model.onnx", "decomposed", CONFIG, RandomWeights(CONFIG))
    artifact = tmp_path / "model.leat"
    leat("compile", model, "-o", artifact, "--target-cpu=sapphirerapids")
    # Looking is allowed; nothing is mapped as code.
    assert "avx512fp16" in leat("inspect", artifact).stdout
    refused(leat, 3, "run", artifact, words=["avx512fp16", "--target-cpu=native"])
