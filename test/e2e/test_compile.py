"""leat compile: levels of text, dumps, targets, errors, and that the same input gives the same file."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])
    w = onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32) * 2, "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])], "g", [x], [y], [w])
    path = tmp_path_factory.mktemp("compile") / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("level, sign", [("onnx", 'onnx.node "MatMul"'), ("leat", "leat.matmul"), ("kernels", "leat.launch"),
                                         ("llvm", "define "), ("asm", "leat_main:")])
def test_every_level_has_a_text(leat, model, level, sign):
    assert sign in leat("compile", model, f"--emit={level}").stdout


def test_dump_stages(leat, model, tmp_path):
    leat("compile", model, "-o", tmp_path / "m.leat", "--dump-stages", tmp_path / "stages")
    assert [p.name for p in sorted((tmp_path / "stages").iterdir())] == ["0-onnx.mlir", "1-import.mlir", "2-stream.mlir", "3-kernels.mlir", "4-code.mlir"]


def test_the_same_input_gives_the_same_file(leat, model, tmp_path):
    for name, threads in (("a", 1), ("b", 2)):
        leat("compile", model, "-o", tmp_path / f"{name}.leat", "--threads", threads)
    assert (tmp_path / "a.leat").read_bytes() == (tmp_path / "b.leat").read_bytes()


@pytest.mark.parametrize("cpu", ["generic", "x86-64-v3", "native"])
def test_targets(leat, model, tmp_path, cpu):
    leat("compile", model, "-o", tmp_path / "m.leat", "--target-cpu", cpu)
    result = leat("run", tmp_path / "m.leat", "--input", "x=1x8xf32=1,-1,2,-2,3,-3,4,-4", check=False)
    if result.returncode == 3:
        pytest.skip(result.stderr.strip())
    assert "[2 0 4 0 6 0 8 0]" in result.stdout


@pytest.mark.parametrize("arguments, code, says", [
    (["--target-cpu=z80"], 2, "unknown processor 'z80'"),
    (["--emit=wasm"], 2, "--emit is one of"),
    (["-o", "/nowhere/m.leat"], 1, "cannot write '/nowhere/m.leat'"),
    (["-o", "-"], 2, "give a file name"),
])
def test_mistakes(leat, model, arguments, code, says):
    result = leat("compile", model, *arguments, check=False)
    assert result.returncode == code and says in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_ir_can_be_compiled(leat, model, tmp_path):
    text = leat("compile", model, "--emit=onnx").stdout
    assert "onnx.node" in text
    (tmp_path / "add.mlir").write_text("""
      func.func @main(%x: tensor<?xf32> {onnx.name = "x"}) -> (tensor<?xf32> {onnx.name = "y"}) {
        return %x : tensor<?xf32>
      }""")
    leat("compile", tmp_path / "add.mlir", "-o", tmp_path / "add.leat")
    assert "[1 2]" in leat("run", tmp_path / "add.leat", "--input", "x=2xf32=1,2").stdout
    (tmp_path / "bad.mlir").write_text("func.func @main( {")
    bad = leat("compile", tmp_path / "bad.mlir", check=False)
    assert bad.returncode == 4 and "bad.mlir" in bad.stderr
