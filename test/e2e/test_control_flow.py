"""If, Loop and Scan against ONNX Runtime: sizes that change from one iteration to the next, values from outside, nesting, early ends."""
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from operator_case import run_leat

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name, dtype, dims):
    return helper.make_tensor_value_info(name, dtype, dims)


def const(name, array):
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array(array), name))


def model(nodes, inputs, outputs):
    m = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 18)])
    m.ir_version = 9
    onnx.checker.check_model(m)
    return m


def compare(leat, folder, m, feeds_list):
    outputs = [o.name for o in m.graph.output]
    session = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    for i, feeds in enumerate(feeds_list):
        part = folder / str(i)
        part.mkdir()
        expected = session.run(outputs, feeds)
        got = run_leat(leat, part, m, feeds, outputs)
        for name, e, g in zip(outputs, expected, got):
            if e.size == 0 and g.size == 0:
                continue  # the size of what was never computed: each has its own idea
            assert e.shape == g.shape, (name, feeds)
            np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-6, err_msg=name)


def arange(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1


def test_if_with_branches_of_different_shape(leat, tmp_path):
    then = helper.make_graph([helper.make_node("Add", ["x", "x"], ["t"])], "then", [], [value("t", F, [None])])
    other = helper.make_graph([helper.make_node("Concat", ["x", "x"], ["e"], axis=0)], "else", [], [value("e", F, [None])])
    m = model([helper.make_node("If", ["c"], ["r"], then_branch=then, else_branch=other), helper.make_node("Neg", ["r"], ["y"])],
              [value("c", B, []), value("x", F, ["n"])], [value("y", F, [None])])
    compare(leat, tmp_path, m, [{"c": np.array(c), "x": arange(n)} for c in (True, False) for n in (1, 5)])


def test_loop_that_grows_its_tensor(leat, tmp_path):
    body = helper.make_graph(
        [helper.make_node("Concat", ["v_in", "x"], ["v_out"], axis=0), helper.make_node("Identity", ["c_in"], ["c_out"]),
         helper.make_node("ReduceSum", ["v_out"], ["s"], keepdims=0)],
        "body", [value("i", I, []), value("c_in", B, []), value("v_in", F, [None])],
        [value("c_out", B, []), value("v_out", F, [None]), value("s", F, [])])
    m = model([const("true", True), helper.make_node("Loop", ["n", "true", "x"], ["v", "sums"], body=body)],
              [value("n", I, []), value("x", F, ["k"])], [value("v", F, [None]), value("sums", F, [None])])
    compare(leat, tmp_path, m, [{"n": np.array(n, np.int64), "x": arange(3)} for n in (0, 1, 4)])


def test_loop_that_ends_early(leat, tmp_path):
    # Doubles until the sum passes the limit.
    body = helper.make_graph(
        [helper.make_node("Add", ["v_in", "v_in"], ["v_out"]), helper.make_node("ReduceSum", ["v_out"], ["s"], keepdims=0),
         helper.make_node("Less", ["s", "limit"], ["c_out"]), helper.make_node("Identity", ["v_out"], ["row"])],
        "body", [value("i", I, []), value("c_in", B, []), value("v_in", F, [None])],
        [value("c_out", B, []), value("v_out", F, [None]), value("row", F, [None])])
    m = model([const("true", True), const("most", np.int64(20)), helper.make_node("Loop", ["most", "true", "x"], ["v", "rows"], body=body)],
              [value("x", F, ["k"]), value("limit", F, [])], [value("v", F, [None]), value("rows", F, [None, None])])
    compare(leat, tmp_path, m, [{"x": arange(2), "limit": np.array(limit, np.float32)} for limit in (0, 50, 1e9)])


def test_values_that_change_places(leat, tmp_path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["c_in"], ["c_out"]), helper.make_node("Identity", ["b"], ["a_out"]),
         helper.make_node("Mul", ["a", "two"], ["b_out"])],
        "body", [value("i", I, []), value("c_in", B, []), value("a", F, [3]), value("b", F, [3])],
        [value("c_out", B, []), value("a_out", F, [3]), value("b_out", F, [3])])
    m = model([const("true", True), const("two", np.float32(2)), helper.make_node("Loop", ["n", "true", "x", "y"], ["p", "q"], body=body)],
              [value("n", I, []), value("x", F, [3]), value("y", F, [3])], [value("p", F, [3]), value("q", F, [3])])
    compare(leat, tmp_path, m, [{"n": np.array(n, np.int64), "x": arange(3), "y": -arange(3)} for n in (0, 1, 2, 5)])


def test_loop_in_loop(leat, tmp_path):
    inner = helper.make_graph(
        [helper.make_node("Identity", ["ci"], ["co"]), helper.make_node("Cast", ["j"], ["jf"], to=F), helper.make_node("Add", ["w", "jf"], ["w1"]),
         helper.make_node("Mul", ["w1", "x"], ["w_out"])],
        "inner", [value("j", I, []), value("ci", B, []), value("w", F, [None])], [value("co", B, []), value("w_out", F, [None])])
    outer = helper.make_graph(
        [helper.make_node("Identity", ["ci0"], ["co0"]), helper.make_node("Loop", ["i", "ci0", "v"], ["v_out"], body=inner),
         helper.make_node("Identity", ["v_out"], ["row"])],
        "outer", [value("i", I, []), value("ci0", B, []), value("v", F, [None])],
        [value("co0", B, []), value("v_out", F, [None]), value("row", F, [None])])
    m = model([const("true", True), helper.make_node("Loop", ["n", "true", "x"], ["v", "rows"], body=outer)],
              [value("n", I, []), value("x", F, ["k"])], [value("v", F, [None]), value("rows", F, [None, None])])
    compare(leat, tmp_path, m, [{"n": np.array(n, np.int64), "x": np.array([0.5, 1.5], np.float32)} for n in (0, 3, 4)])


@pytest.mark.parametrize("direction", [0, 1])
def test_scan(leat, tmp_path, direction):
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "row"], ["s_out"]), helper.make_node("Mul", ["s_out", "row"], ["out"])],
        "body", [value("s", F, [2]), value("row", F, [2])], [value("s_out", F, [2]), value("out", F, [2])])
    m = model([helper.make_node("Scan", ["s0", "x"], ["last", "all"], num_scan_inputs=1, body=body, scan_input_directions=[direction])],
              [value("s0", F, [2]), value("x", F, ["t", 2])], [value("last", F, [2]), value("all", F, [None, 2])])
    compare(leat, tmp_path, m, [{"s0": arange(2), "x": arange(t, 2)} for t in (1, 4)])


def test_shapes_of_inputs_that_do_not_fit_are_reported(leat, tmp_path):
    m = model([helper.make_node("Reshape", ["x", "shape"], ["y"])], [value("x", F, ["n"]), value("shape", I, [2])], [value("y", F, [None, None])])
    onnx.save(m, tmp_path / "m.onnx")
    leat("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.leat")
    good = leat("run", tmp_path / "m.leat", "--input", "x=6xf32=1,2,3,4,5,6", "--input", "shape=2xi64=2,3")
    assert "2x3xf32" in good.stdout
    bad = leat("run", tmp_path / "m.leat", "--input", "x=6xf32=1,2,3,4,5,6", "--input", "shape=2xi64=2,4", check=False)
    assert bad.returncode != 0 and "6 elements" in bad.stderr and "8 elements" in bad.stderr
    huge = leat("run", tmp_path / "m.leat", "--input", "x=6xf32=1,2,3,4,5,6", "--input", "shape=2xi64=-7,99999999999", check=False)
    assert huge.returncode in (1, 4) and len(huge.stderr.splitlines()) == 1


def test_sequences_of_known_length(leat, tmp_path):
    """torch.split, chunk, unbind and stack as TorchScript exports write them."""
    node = helper.make_node
    nodes = [
        const("two", np.int64(2)), const("three", np.int64(3)), const("zero", np.int64(0)), const("last", np.int64(-1)), const("sizes", [1, 4]), const("one", np.int64(1)),
        node("SplitToSequence", ["x", "two"], ["halves"], axis=-1),  # chunks of two along five: 2, 2, 1
        node("SequenceAt", ["halves", "last"], ["rest"]), node("SequenceAt", ["halves", "one"], ["middle"]),
        node("SplitToSequence", ["x", "sizes"], ["parts"], axis=2), node("SequenceAt", ["parts", "one"], ["four"]),
        node("SplitToSequence", ["x"], ["slices"], axis=1, keepdims=0),  # unbind
        node("SequenceAt", ["slices", "three"], ["fourth"]), node("SequenceLength", ["slices"], ["length"]),
        node("SequenceEmpty", [], ["none"], dtype=F), node("SequenceInsert", ["none", "middle"], ["some"]), node("SequenceInsert", ["some", "middle2", "zero"], ["more"]),
        node("Neg", ["middle"], ["middle2"]), node("ConcatFromSequence", ["more"], ["joined"], axis=2), node("ConcatFromSequence", ["more"], ["stacked"], axis=0, new_axis=1),
        node("SplitToSequence", ["x", "one"], ["rows"], axis=0), node("SequenceAt", ["rows", "zero"], ["row"]),  # of a size that is not known
    ]
    nodes.sort(key=lambda n: n.op_type != "Constant")
    order = [n for n in nodes if n.op_type != "SequenceInsert" and n.output[0] not in ("joined", "stacked")]
    order += [n for n in nodes if n not in order]
    outputs = [value(n, F, ["a", "b", "c", "d"][:r]) for n, r in (("rest", 3), ("middle", 3), ("four", 3), ("fourth", 2), ("joined", 3), ("stacked", 4), ("row", 3))] + [value("length", I, [])]
    m = model(order, [value("x", F, ["n", 4, 5])], outputs)
    onnx.save(m, tmp_path / "m.onnx")
    leat("inspect", tmp_path / "m.onnx", "--coverage")
    rng = np.random.default_rng(2)
    compare(leat, tmp_path, m, [{"x": rng.standard_normal((n, 4, 5)).astype(np.float32)} for n in (1, 3)])


def test_sequence_of_unknown_length_is_refused(leat, tmp_path):
    nodes = [const("last", np.int64(-1)), helper.make_node("SplitToSequence", ["x"], ["rows"], axis=0), helper.make_node("SequenceAt", ["rows", "last"], ["row"])]
    path = tmp_path / "m.onnx"
    onnx.save(model(nodes, [value("x", F, ["n", 4])], [value("row", F, [1, 4])]), path)
    bad = leat("compile", path, "-o", tmp_path / "m.leat", check=False)
    assert bad.returncode == 3 and "SplitToSequence" in bad.stderr and "known" in bad.stderr
