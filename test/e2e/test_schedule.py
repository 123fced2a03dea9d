"""Schedules: what inspect prints, compile reads and tune finds. Sizes of kernels change how work is cut, not what comes out."""
import numpy as np
import pytest

from models.decoder import Config, RandomWeights, export

CONFIG = Config(layers=2, hidden=96, ffn=160, heads=4, kv_heads=2, vocab=120, context=128)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("decoder") / "model.onnx", "attention24", CONFIG, RandomWeights(CONFIG))


def logits(library, artifact):
    tokens = np.random.default_rng(3).integers(0, CONFIG.vocab, (1, 70))
    session = library.load(artifact).session()
    return np.concatenate([session("step", input_ids=tokens[:, a:b])["logits"] for a, b in ((0, 60), (60, 61), (61, 70))], 1)


def schedule_of(leat, artifact):
    """kernel -> (strategy, {parameter: value})"""
    lines = [line.split() for line in leat("inspect", artifact, "--schedule").stdout.splitlines()]
    return {name: (strategy, {k: int(v) for k, v in (p.split("=") for p in params)}) for name, strategy, *params in lines}


def test_override(leat, library, model, compile_model, tmp_path):
    standard = compile_model(model)
    before = schedule_of(leat, standard)
    strategies = {strategy for strategy, _ in before.values()}
    assert {"gemm", "attention", "row"} <= strategies
    file = tmp_path / "schedule"
    file.write_text("# by hand\n* gemm kc=32 mc=12 grain=64\n* attention keys=12\n* row grain=100\n")
    changed = tmp_path / "changed.leat"
    said = leat("compile", model, "-o", changed, "--schedule", file).stderr
    assert "warning" not in said
    after = schedule_of(leat, changed)
    assert before.keys() == after.keys()
    for name, (strategy, params) in before.items():
        expected = {"gemm": {"kc": 32, "mc": 12, "grain": 64}, "attention": {"keys": 12}, "row": {"grain": 100}}.get(strategy, {})
        assert after[name] == (strategy, params | expected), name
    a, b = logits(library, standard), logits(library, changed)
    assert np.abs(a - b).max() < 1e-4  # of 20; keys per step cut the softmax elsewhere
    file.write_text("* gemm kc=32 mc=12 grain=64\n")
    leat("compile", model, "-o", changed, "--quiet", "--schedule", file)
    assert np.array_equal(a, logits(library, changed))


def test_what_inspect_prints_can_be_read(leat, model, compile_model, tmp_path):
    file = tmp_path / "schedule"
    file.write_text(leat("inspect", compile_model(model), "--schedule").stdout)
    said = leat("compile", model, "-o", tmp_path / "again.leat", "--schedule", file).stderr
    assert "warning" not in said
    assert schedule_of(leat, tmp_path / "again.leat") == schedule_of(leat, compile_model(model))


@pytest.mark.parametrize("text,message", [
    ("* gemm mc=7\n", "schedule {file}:1: 'mc' of @"),
    ("\n* gemm kc=x\n", "schedule {file}:2: 'kc=x' is not PARAMETER=NUMBER"),
    ("* gemm keys=64\n", "no kernel that '*' names has a parameter 'keys'"),
])
def test_bad_schedule(leat, model, tmp_path, text, message):
    file = tmp_path / "schedule"
    file.write_text(text)
    result = leat("compile", model, "-o", tmp_path / "m.leat", "--schedule", file, check=False)
    assert result.returncode == 4 and message.format(file=file) in result.stderr and not (tmp_path / "m.leat").exists()
    assert "no such file" in leat("compile", model, "--schedule", tmp_path / "none", check=False).stderr


def test_tune(leat, library, model, compile_model, tmp_path):
    file = tmp_path / "tuned"
    options = ["--function", "step", "--tokens", 24, "--context", 20, "--repetitions", 4, "--share", 0.05]
    said = leat("tune", model, "-o", file, *options, "--gain", 0).stderr
    assert "kernels take 5.0% of it or more" in said and "value 1 of its list" in said
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# leat tune model.onnx: ")
    standard = schedule_of(leat, compile_model(model))
    for line in lines[1:]:
        name, *params = line.split()
        for p in params:
            key, value = p.split("=")
            assert standard[name][1][key] != int(value)
    leat("compile", model, "-o", tmp_path / "m.leat", "--quiet", "--schedule", file)
    assert np.abs(logits(library, compile_model(model)) - logits(library, tmp_path / "m.leat")).max() < 1e-4
    # Nothing is twice as fast: nothing changes.
    assert leat("tune", model, *options, "--gain", 0.9, "--quiet").stdout.count("\n") == 1


def test_tune_refuses(leat, model, tmp_path):
    assert leat("tune", tmp_path / "none.onnx", check=False).returncode == 4
    assert leat("tune", model, "--repetitions", "1", check=False).returncode == 2
    assert leat("tune", model, "-o", tmp_path / "no" / "folder", "--repetitions", 4, "--share", 1, check=False).returncode == 1
