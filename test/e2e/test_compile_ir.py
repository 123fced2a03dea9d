"""leat compile of functions in Leat's IR, and of models with ops decomposed."""
import numpy as np
import pytest

from models.decoder import STYLES, Config, RandomWeights, export

SOFTMAX = """func.func @main(%x: tensor<?x?xf32> {onnx.name = "x"}) -> (tensor<?x?xf32> {onnx.name = "y"}) {
  %0 = leat.softmax %x {axis = 1 : i64} : tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
func.func @log(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = leat.softmax %x {axis = 1 : i64, log} : tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}
"""


@pytest.mark.parametrize("options", [[], ["--decompose=all"], ["--decompose=softmax"]])
def test_functions(leat, library, tmp_path, options):
    source, artifact = tmp_path / "functions.mlir", tmp_path / "functions.leat"
    source.write_text(SOFTMAX)
    leat("compile", source, "-o", artifact, "--quiet", *options)
    x = np.random.default_rng(0).standard_normal((3, 17)).astype(np.float32)
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    session = library.load(artifact).session()
    assert np.allclose(session(x=x)["y"], expected, atol=1e-6)
    assert np.allclose(session("log", input0=x)["output0"], np.log(expected), atol=1e-5)


BAD = {
    "syntax": ("func.func @main(%x: tensor<4xf32>", "bad.mlir:1:"),
    "unknown op": ("func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %0 = leat.soft %x : tensor<4xf32>\n  return %0 : tensor<4xf32>\n}", "bad.mlir:2:"),
    "verifier": ("func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %0 = leat.softmax %x {axis = 3 : i64} : tensor<4xf32>\n  return %0 : tensor<4xf32>\n}",
                 "has axis 3 but its operand has rank 1"),
    "scalar": ("func.func @main(%x: index) { return }", "has argument 0 of type 'index'; functions that can be run take and give ranked tensors"),
    "no body": ("func.func private @main(tensor<4xf32>)", "has no body"),
    "no function": ("module {}", "has no func.func to compile"),
    "empty": ("", "has no func.func to compile"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed(leat, tmp_path, name):
    text, message = BAD[name]
    source = tmp_path / "bad.mlir"
    source.write_text(text)
    result = leat("compile", source, "-o", tmp_path / "bad.leat", check=False)
    assert result.returncode == 4, result.stderr
    assert message in result.stderr and result.stderr.startswith("error: ")
    assert not (tmp_path / "bad.leat").exists()


def test_missing_file(leat, tmp_path):
    result = leat("compile", tmp_path / "none.mlir", check=False)
    assert result.returncode == 4 and "no such file" in result.stderr


def test_decompose_names_an_op(leat, tmp_path):
    source = tmp_path / "functions.mlir"
    source.write_text(SOFTMAX)
    result = leat("compile", source, "-o", tmp_path / "x.leat", "--decompose=softmax,sotfmax", check=False)
    assert result.returncode == 2 and "leat has no op 'sotfmax' with a decomposition" in result.stderr


@pytest.mark.parametrize("policy", ["retain=all", "sink(2)+recent(6)"])
@pytest.mark.parametrize("style", STYLES)
def test_decoder_without_kernels(library, compile_model, tmp_path, style, policy):
    """A whole decoder, streamed, from the definitions of its ops: the same logits as from kernels."""
    config = Config(layers=2, hidden=32, ffn=64, heads=4, kv_heads=2, vocab=60, context=64)
    model = export(tmp_path / "model.onnx", style, config, RandomWeights(config))
    tokens = np.random.default_rng(1).integers(0, config.vocab, (1, 20))
    logits = []
    for options in ([], ["--decompose=all"]):
        session = library.load(compile_model(model, f"--kv={policy}", *options)).session()
        logits.append(np.concatenate([session("step", input_ids=tokens[:, a:b])["logits"] for a, b in ((0, 9), (9, 10), (10, 20))], 1))
    assert np.abs(logits[0] - logits[1]).max() < 1e-4
    assert np.abs(logits[0] - logits[1][:, ::-1]).max() > 1e-2
