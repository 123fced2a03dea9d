"""leat inspect --traffic: bytes of kernels whose sizes are known by hand."""
import json

import pytest

from models.decoder import Config, RandomWeights, export

CHAIN = """func.func @main(%x: tensor<?x96xf32> {onnx.name = "x", onnx.dims = ["n", ""]}, %w: tensor<96x160xf32> {onnx.name = "w"}) -> (tensor<?x160xf32> {onnx.name = "y"}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x96xf32>
  %0 = leat.matmul %x, %w : (tensor<?x96xf32>, tensor<96x160xf32>) -> tensor<?x160xf32>
  %e = tensor.empty(%n) : tensor<?x160xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<?x160xf32>) outs(%e : tensor<?x160xf32>) {
  ^bb0(%a: f32, %o: f32):
    %z = arith.constant 0.0 : f32
    %r = arith.maximumf %a, %z : f32
    linalg.yield %r : f32
  } -> tensor<?x160xf32>
  return %1 : tensor<?x160xf32>
}
"""
ATTEND = """func.func @main(%q: tensor<1x4x?x64xf16> {onnx.name = "q"}, %k: tensor<1x2x?x64xf16> {onnx.name = "k", onnx.dims = ["", "", "t", ""]},
                        %v: tensor<1x2x?x64xf16> {onnx.name = "v", onnx.dims = ["", "", "t", ""]}) -> (tensor<1x4x?x64xf16> {onnx.name = "y"}) {
  %0 = leat.kv_attend q(%q) k(%k) v(%v) {scale = 0.125 : f64} : (tensor<1x4x?x64xf16>, tensor<1x2x?x64xf16>, tensor<1x2x?x64xf16>) -> tensor<1x4x?x64xf16>
  return %0 : tensor<1x4x?x64xf16>
}
"""


@pytest.fixture
def traffic(leat, tmp_path):
    def of(text, *options, sizes):
        (tmp_path / "f.mlir").write_text(text)
        leat("compile", tmp_path / "f.mlir", "-o", tmp_path / "f.leat", "--quiet", *options)
        return json.loads(leat("inspect", tmp_path / "f.leat", "--traffic", "--format=json", *sizes).stdout)["all"]

    return of


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_fused_activation_moves_nothing(traffic, target):
    shown = traffic(CHAIN, f"--target={target}", sizes=["--size=n=200"])
    rows = 200
    least = 4 * (rows * 96 + 96 * 160 + rows * 160)
    assert shown["calls"] == 1 and shown["bytes"] == least and shown["operations"] == 2 * rows * 96 * 160
    assert shown["unfused_bytes"] == least + 2 * 4 * rows * 160  # the product goes to memory and comes back


def test_tiles_of_a_gpu_ask_for_operands_again(traffic):
    sizes = ["--tokens=100", "--size=t=260"]
    operands, result, keys = 2 * 4 * 100 * 64, 2 * 4 * 100 * 64, 2 * 2 * 260 * 64 * 2
    for options, rows in ((["--target=cuda"], 64), (["--target=cuda", "--gpu=sm_90a"], 192), (["--target=cpu"], None)):
        shown = traffic(ATTEND, *options, sizes=sizes)
        assert shown["bytes"] == operands + keys + result
        # Logits and weights of all pairs, in 16 bits, written and read.
        assert shown["unfused_bytes"] == shown["bytes"] + 4 * 2 * 4 * 100 * 260
        # Each block of rows, which two heads share, reads the keys and values of its KV head.
        blocks = -(-4 * 100 * 260 // rows) if rows else None
        assert shown["requested_bytes"] == (operands + result + blocks * 2 * 64 * 2 if rows else shown["bytes"])


def test_a_table_of_a_stream(leat, compile_model, tmp_path):
    config = Config(layers=2, hidden=64, ffn=96, heads=4, kv_heads=2, vocab=160, context=512)
    path = export(tmp_path / "model.onnx", "decomposed", config, RandomWeights(config))
    artifact = compile_model(path)
    shown = leat("inspect", artifact, "--traffic", "--function=step", "--context=100").stdout.splitlines()
    assert shown[0] == "step: one run of 1 token after 100"
    assert "at least" in shown[1] and "requested" in shown[1] and "unfused" in shown[1]
    names = [k["name"] for k in json.loads(leat("inspect", artifact, "--format=json").stdout)["kernels"]]
    assert shown[-1].startswith("all") and {line.split()[0] for line in shown[2:-1]} <= set(names)
    done = leat("inspect", artifact, "--traffic", "--function=walk", check=False)
    assert done.returncode != 0 and "walk" in done.stderr
