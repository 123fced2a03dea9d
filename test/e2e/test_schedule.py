"""Schedules: what inspect prints, compile reads and tune finds. Sizes of kernels change how work is cut, not what comes out."""
import numpy as np
import pytest

from conftest import BUILD
from leat_runtime import Library
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


# Kernels of GPUs, on the simulator and on a stand-in for the driver.

TILES = """func.func @main(%a: tensor<?x96xf32> {onnx.name = "a"}, %w: tensor<96x160xf32> {onnx.name = "w"}, %q: tensor<1x4x?x32xf16> {onnx.name = "q"},
    %k: tensor<1x2x?x32xf16> {onnx.name = "k"}) -> (tensor<?x160xf32> {onnx.name = "y"}, tensor<1x4x?x32xf16> {onnx.name = "o"}) {
  %0 = leat.matmul %a, %w : (tensor<?x96xf32>, tensor<96x160xf32>) -> tensor<?x160xf32>
  %1 = leat.kv_attend q(%q) k(%k) v(%k) {scale = 0.25 : f64, causal} : (tensor<1x4x?x32xf16>, tensor<1x2x?x32xf16>, tensor<1x2x?x32xf16>) -> tensor<1x4x?x32xf16>
  return %0, %1 : tensor<?x160xf32>, tensor<1x4x?x32xf16>
}
"""


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "tiles.mlir"
    path.write_text(TILES)
    return path


def test_override_on_a_gpu(leat, tiles, tmp_path):
    rng = np.random.default_rng(5)
    feed = {"a": rng.standard_normal((70, 96), np.float32), "w": rng.standard_normal((96, 160), np.float32),
            "q": rng.standard_normal((1, 4, 70, 32)).astype(np.float16), "k": rng.standard_normal((1, 2, 90, 32)).astype(np.float16)}
    results, device = [], Library(BUILD, "sim:checked")
    for text in ("", "matmul_* rows=32 cols=32 depth=16 stages=2\n* tile keys=32\n", "* tile rows=128 cols=128 depth=32 keys=128 stages=4\n"):
        (tmp_path / "schedule").write_text(text)
        leat("compile", tiles, "-o", tmp_path / "m.leat", "--target=cuda", "--quiet", "--schedule", tmp_path / "schedule")
        results.append(device.load(tmp_path / "m.leat").session().run("main", feed))
    sizes = schedule_of(leat, tmp_path / "m.leat")
    assert [{k: v for k, v in params.items() if k not in ("columns", "grain", "cublaslt")} for _, params in sizes.values()] == [
        dict(rows=128, cols=128, depth=32, stages=4), dict(rows=128, keys=128, stages=4)]
    for other in results[1:]:
        np.testing.assert_allclose(other["y"], results[0]["y"], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(other["o"].astype(np.float32), results[0]["o"].astype(np.float32), rtol=4e-3, atol=4e-3)
    (tmp_path / "schedule").write_text("matmul_* keys=64\n")
    done = leat("compile", tiles, "-o", tmp_path / "x.leat", "--target=cuda", "--schedule", tmp_path / "schedule", check=False)
    assert done.returncode == 4 and "has a parameter 'keys'" in done.stderr


def test_tune_on_a_gpu(leat, tiles, tmp_path):
    options = ["--target=cuda", "--device=sim", "--tokens", 70, "--repetitions", 4, "--share", 0, "--gain", 0]
    said = leat("tune", tiles, "-o", tmp_path / "tuned", *options, "--parameter=keys").stderr
    assert "2 of 2 kernels" in said and "keys, value 3 of its list: 1 kernels" in said and "rows" not in said
    leat("compile", tiles, "-o", tmp_path / "m.leat", "--target=cuda", "--quiet", "--schedule", tmp_path / "tuned")
    said = leat("tune", tiles, *options, "--parameter=kc", check=False)
    assert said.returncode == 2 and "no kernel that matters has it; there are rows, cols, depth, keys, stages" in said.stderr


def test_tune_passes_over_what_does_not_fit(leat, fake_gpu, tmp_path):
    """Four steps of keys and values of 128 f32 are more than the multiprocessor of the stand-in's GPU has."""
    source = tmp_path / "wide.mlir"
    source.write_text(TILES.replace("32xf16", "128xf32"))
    done = leat("tune", source, "--target=cuda", "--tokens=20", "--repetitions=4", "--share=0", "--gain=0.99", "--parameter=stages", env=fake_gpu)
    assert "stages=4 does not fit attend_1: the GPU's driver failed to set a kernel's shared memory" in done.stderr
    assert "stages, value 3 of its list: 1 kernels" in done.stderr


def test_tune_measures_the_library(leat, fake_gpu, tmp_path):
    """The stand-in for cuBLASLt multiplies on the CPU, which the simulator's interpretation of a kernel cannot be as fast as."""
    source = tmp_path / "product.mlir"
    source.write_text("""func.func @main(%a: tensor<?x96xf32> {onnx.name = "a", onnx.dims = ["n", ""]}, %w: tensor<96x160xf32> {onnx.name = "w"})
    -> (tensor<?x160xf32> {onnx.name = "y"}) {
  %0 = leat.matmul %a, %w : (tensor<?x96xf32>, tensor<96x160xf32>) -> tensor<?x160xf32>
  return %0 : tensor<?x160xf32>
}
""")
    tune = ["tune", source, "-o", tmp_path / "tuned", "--target=cuda", "--size=n=70", "--repetitions=4", "--share=0", "--parameter=cublaslt"]
    assert "cublaslt, value 2 of its list: 1 kernels, faster in 1" in leat(*tune, env=fake_gpu).stderr
    assert "matmul_0 cublaslt=1" in (tmp_path / "tuned").read_text()
    leat("compile", source, "-o", tmp_path / "m.leat", "--target=cuda", "--quiet", "--schedule", tmp_path / "tuned")
    assert "plain product f32 x f32 -> f32: by cuBLASLt, where it can be opened" in leat("inspect", tmp_path / "m.leat").stdout
    results = {}
    for choice, device in (("scheduled", "cuda"), ("generated", "cuda"), ("cublaslt", "cuda"), ("scheduled", "sim")):
        folder = tmp_path / f"{choice}-{device}"
        folder.mkdir()
        leat("run", tmp_path / "m.leat", "--input=a=70x96xf32=rand(1,-1,1)", "--input=w=96x160xf32=rand(2,-1,1)", f"--gemm={choice}", f"--device={device}",
             "--output-dir", folder, env=fake_gpu)
        results[choice, device] = np.load(folder / "y.npy")
    np.testing.assert_array_equal(results["scheduled", "cuda"], results["cublaslt", "cuda"])
    np.testing.assert_array_equal(results["generated", "cuda"], results["scheduled", "sim"])
    np.testing.assert_allclose(results["cublaslt", "cuda"], results["generated", "cuda"], atol=1e-4)
    assert not np.array_equal(results["cublaslt", "cuda"], results["generated", "cuda"])  # another order of sums
    done = leat("run", tmp_path / "m.leat", "--gemm=cublaslt", "--device=sim", check=False)
    assert done.returncode == 3 and "GPU simulator has no library of products" in done.stderr
    done = leat("run", tmp_path / "m.leat", "--gemm=cublas", check=False)
    assert done.returncode == 2 and "--gemm is scheduled, generated or cublaslt, got 'cublas'" in done.stderr
