"""Elementwise, reduction, shape, movement and indexing operators against ONNX Runtime and ONNX's reference implementation."""
import numpy as np
import pytest

from operator_case import Case, Const, check, make_model, typed

rng = np.random.default_rng(11)


def f(*shape, scale=1.0, dtype=np.float32):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def ints(low, high, *shape, dtype=np.int64):
    return rng.integers(low, high, shape).astype(dtype)


def c(*values):
    return Const(np.array(values, np.int64))


special = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3e4, -3e4, np.inf, -np.inf, np.nan, 1e-30, 88.0, -88.0], np.float32)
spread, positive, unit = f(3, 5, scale=3.0), np.abs(f(3, 5)) + 0.1, np.tanh(f(3, 5))

UNARY = [Case(op, [special], name="special") for op in
         ["Abs", "Neg", "Sign", "Exp", "Ceil", "Floor", "Round", "Sigmoid", "Tanh", "Erf", "Relu", "Softplus", "Softsign", "IsNaN", "IsInf", "HardSigmoid", "LeakyRelu"]]
UNARY += [Case(op, [(spread, ["n", 5])]) for op in ["Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Elu", "Selu", "Celu", "HardSwish", "ThresholdedRelu", "Shrink", "Mish"]]
UNARY += [Case(op, [positive]) for op in ["Sqrt", "Log", "Reciprocal"]] + [Case(op, [unit]) for op in ["Asin", "Acos", "Atanh"]] + [Case("Acosh", [positive + 1])]
UNARY += [
    Case("Exp", [f(3, 5, dtype=np.float64)], name="f64", tolerance=1e-12),
    Case("Tanh", [f(3, 5, dtype=np.float16)], name="f16", tolerance=2e-3),
    Case("Abs", [np.array([-128, -1, 0, 127], np.int8)], name="int8"),
    Case("Neg", [ints(-9, 9, 6, dtype=np.int32)], name="int32"),
    Case("Not", [np.array([True, False])]),
    Case("IsInf", [special], {"detect_negative": 0}, name="positive"),
    Case("Clip", [special, np.array(-1, np.float32), np.array(2, np.float32)]),
    Case("Clip", [ints(-9, 9, 6, dtype=np.int32), None, np.array(3, np.int32)], name="no-minimum"),
    Case("Clip", [special, np.array(3, np.float32), np.array(1, np.float32)], name="crossed", reference="onnx"),
]

BINARY = [Case(op, [(f(2, 1, 3), ["a", "b", 3]), (f(4, 3), ["c", 3])], name="dynamic-broadcast") for op in ["Add", "Sub", "Mul", "Div", "Less", "GreaterOrEqual"]]
BINARY += [
    Case("Add", [np.array(2.5, np.float32), f(3)], name="scalar"),
    Case("Add", [f(0, 3), f(1, 3)], name="empty"),
    Case("Add", [(f(1), ["a"]), (f(0), ["b"])], name="empty-dynamic"),
    Case("Div", [np.array([7, -7, 7, -7, 0], np.int32), np.array([2, 2, -2, -2, 5], np.int32)], name="truncates"),
    Case("Div", [np.array([250, 7], np.uint8), np.array([3, 2], np.uint8)], name="uint8", reference="onnx"),
    Case("Mod", [np.array([7, -7, 7, -7], np.int32), np.array([3, 3, -3, -3], np.int32)]),
    Case("Mod", [np.array([7, -7, 7, -7], np.int32), np.array([3, 3, -3, -3], np.int32)], {"fmod": 1}, name="fmod"),
    Case("Mod", [np.array([7.5, -7.5], np.float32), np.array([3, 3], np.float32)], {"fmod": 1}, name="fmod-float"),
    Case("Pow", [positive, Const(np.float32(0.5))], name="root"),
    Case("Pow", [spread, Const(np.float32(2))], name="square"),
    Case("Pow", [positive, f(5)], name="broadcast"),
    Case("Pow", [ints(-4, 4, 6), ints(0, 5, 6)], name="int64"),
    Case("Pow", [positive, ints(-2, 3, 5, dtype=np.int64)], name="integer-exponent"),
    Case("Max", [special, f(17), f(17)]),
    Case("Min", [special, f(1)], name="broadcast"),
    Case("Max", [ints(0, 255, 5, dtype=np.uint8), ints(0, 255, 5, dtype=np.uint8)], name="uint8", reference="onnx"),
    Case("Sum", [f(3), f(2, 3), f(1)]),
    Case("Mean", [f(3), f(2, 3), f(1)]),
    Case("Equal", [special, special], name="nan"),
    Case("Less", [np.array([200, 3], np.uint8), np.array([100, 5], np.uint8)], name="uint8", reference="onnx"),
    Case("And", [np.array([True, False, True]), np.array([True])]),
    Case("Xor", [np.array([True, False, True]), np.array([True, True, False])]),
    Case("BitShift", [np.array([1, 255, 7], np.uint8), np.array([3, 1, 0], np.uint8)], {"direction": "LEFT"}),
    Case("BitShift", [np.array([-8, 4, -1], np.int8), np.array([1, 9, 127], np.int8)], {"direction": "RIGHT"}, opset=28, reference="onnx", name="signed"),
    Case("BitwiseXor", [ints(-99, 99, 4, dtype=np.int32), ints(-99, 99, 4, dtype=np.int32)]),
    Case("PRelu", [f(2, 3, 4), f(3, 1)]),
    Case("Where", [(np.array([[True], [False]]), ["n", 1]), f(2, 3), f(3)]),
]

CONVERT = [Case("Cast", [x], {"to": to}, reference="onnx", name=f"{x.dtype}-to-{to}") for x, to in [
    (np.array([1.9, -1.9, 0.0], np.float32), 6), (np.array([1.9, -1.9, 0.0], np.float32), 7), (np.array([0.0, 2.0, -0.5], np.float32), 9),
    (np.array([300, -1], np.int32), 2), (np.array([200, 3], np.uint8), 1), (np.array([True, False]), 1), (np.array([True, False]), 7),
    (np.array([1.5, 70000], np.float32), 10), (np.array([1.5, -2], np.float16), 11), (np.array([200, 3], np.uint8), 6), (np.array([0, 5], np.int64), 9)]]

REDUCE = [Case(f"Reduce{op}", [(positive.reshape(3, 5, 1), ["n", 5, 1]), c(1)]) for op in ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]]
REDUCE += [
    Case("ReduceSum", [f(2, 3, 4), c(0, -1)], {"keepdims": 0}, name="two-axes"),
    Case("ReduceSum", [f(2, 3, 4)], {"keepdims": 0}, name="all"),
    Case("ReduceSum", [f(2, 3, 4), c()], {"noop_with_empty_axes": 1}, name="none"),
    Case("ReduceSum", [f(2, 3, 4), np.array([-1, 0], np.int64)], name="run-time-axes"),
    Case("ReduceMean", [f(2, 3, 4), np.array([1], np.int64)], {"keepdims": 0}, name="run-time-axis"),
    Case("ReduceMax", [f(2, 3)], {"axes": [0]}, opset=13, name="attribute"),
    Case("ReduceSum", [f(0, 3), c(0)], name="empty"),
    Case("ReduceMean", [f(3, 4, dtype=np.float16), c(1)], name="f16", tolerance=2e-3),
    Case("ReduceSum", [ints(-9, 9, 3, 4), c(0)], name="int64"),
    Case("ReduceLogSumExp", [np.array([[1000.0, 1000.0], [-np.inf, 0]], np.float32), c(1)], name="large"),
    Case("ArgMax", [(f(3, 5), ["n", 5])], {"axis": 1}), Case("ArgMin", [f(3, 5)], {"axis": 0, "keepdims": 0}),
    Case("ArgMax", [np.array([[3, 7, 7, 1]], np.int32)], {"axis": 1, "select_last_index": 1}, name="last"),
    Case("Softmax", [f(2, 3, 4)], {"axis": 1}), Case("Softmax", [f(2, 3, 4)], {"axis": 1}, opset=11, name="flattened"),
    Case("LogSoftmax", [f(2, 3, 4)]), Case("Hardmax", [f(2, 3, 4)]),
    Case("CumSum", [f(3, 4), c(1)], {"exclusive": 1}), Case("CumSum", [f(3, 4), Const(np.int64(0))], {"reverse": 1}, name="reverse"),
    Case("CumSum", [f(3, 4), np.array(-1, np.int32)], name="run-time-axis"),
    Case("CumProd", [f(3, 5), np.array(1)], opset=26, reference="onnx"), Case("CumProd", [f(3, 5), np.array(0)], {"exclusive": 1, "reverse": 1}, opset=26, reference="onnx", name="exclusive-reverse"),
    Case("DFT", [(f(2, 12, 1), ["n", "t", 1])], {"axis": 1}, opset=17), Case("DFT", [f(2, 9, 2)], {"axis": 1, "inverse": 1}, opset=17, name="inverse"),
    Case("DFT", [f(2, 10, 1), None, Const(np.array(1))], {"onesided": 1}, opset=20, name="one-sided"), Case("DFT", [f(6, 5, 2), np.array(8), Const(np.array(0))], opset=20, reference="onnx", name="padded"),
    Case("STFT", [(f(2, 60, 1), ["n", "t", 1]), Const(np.array(8)), Const(np.hanning(16).astype(np.float32))], opset=17),
    Case("STFT", [f(1, 40, 2), np.array(10), None, np.array(20)], {"onesided": 0}, opset=17, name="both-sides"),
]

x = f(3, 4, 5)
dyn = (x, ["a", "b", 5])
SHAPES = [
    Case("Shape", [dyn]), Case("Shape", [dyn], {"start": -2}, name="part"), Case("Size", [dyn]),
    Case("Reshape", [dyn, c(0, -1)]), Case("Reshape", [dyn, np.array([5, -1, 2], np.int64)], name="run-time"),
    Case("Reshape", [f(0, 3), c(3, 0)], {"allowzero": 1}, name="zero"),
    Case("Flatten", [dyn], {"axis": 2}), Case("Flatten", [x], {"axis": 0}, name="row"),
    Case("Squeeze", [f(1, 3, 1), c(-1)]), Case("Squeeze", [f(1, 3, 1), np.array([0], np.int64)], name="run-time"),
    Case("Unsqueeze", [dyn, c(0, -1)]), Case("Unsqueeze", [f(3, 4), np.array([1], np.int64)], name="run-time"),
    Case("Expand", [(f(3, 1), ["n", 1]), np.array([2, 1, 6], np.int64)]),
    Case("ConstantOfShape", [np.array([2, 3], np.int64)]),
    Case("Tile", [(f(2, 3), ["a", 3]), c(2, 3)]), Case("Tile", [f(2, 3), np.array([1, 2], np.int64)], name="run-time"),
    Case("Range", [np.array(10, np.int64), np.array(1, np.int64), np.array(-3, np.int64)]), Case("Range", [np.array(0, np.float32), np.array(1, np.float32), np.array(0.3, np.float32)], name="float"),
    Case("EyeLike", [f(3, 4)], {"k": 1}), Case("Trilu", [f(2, 3, 4), np.array(1, np.int64)]), Case("Trilu", [dyn], {"upper": 0}, name="lower"),
    Case("OneHot", [ints(-3, 3, 2, 3), np.array(3, np.int64), np.array([-1, 2], np.float32)], {"axis": 1}),
]

MOVES = [
    Case("Transpose", [dyn], {"perm": [2, 0, 1]}), Case("Transpose", [dyn], name="reverse"),
    Case("Concat", [dyn, (f(3, 2, 5), ["a", "c", 5])], {"axis": 1}), Case("Concat", [f(0, 2), f(3, 2)], {"axis": 0}, name="empty"),
    Case("Slice", [dyn, c(1, -3), c(2**63 - 1, -1), c(0, 1)]),
    Case("Slice", [dyn, c(-1), c(-(2**63)), c(2), c(-2)], name="backwards"),
    Case("Slice", [dyn, c(0), c(100), c(1), c(3)], name="steps"),
    Case("Slice", [dyn, np.array([1, -1], np.int64), np.array([9, -4], np.int64), np.array([0, -1], np.int64), np.array([1, -2], np.int64)], name="run-time"),
    Case("Slice", [x], {"starts": [1], "ends": [3], "axes": [1]}, opset=9, name="attributes"),
    Case("Split", [f(7, 2)], {"num_outputs": 3}, outputs=3), Case("Split", [f(2, 6), c(1, 5)], {"axis": 1}, outputs=2, name="sizes"),
    Case("Split", [(f(6, 2), ["n", 2])], {"axis": 0}, outputs=2, opset=13, name="equal"),
    Case("Pad", [(f(2, 3), ["n", 3]), c(1, 0, 0, 2), np.array(7, np.float32)]), Case("Pad", [f(4, 5), c(-1, 1, -1, -2)], name="negative"),
    Case("Pad", [f(4, 5), c(2, 1, 3, 2)], {"mode": "reflect"}, name="reflect"), Case("Pad", [f(4, 5), c(2, 1, 3, 2)], {"mode": "edge"}, name="edge"),
    Case("Pad", [f(4, 5), c(2, 1, 3, 2)], {"mode": "wrap"}, name="wrap"),
    Case("Pad", [f(4, 5), np.array([1, 2], np.int64), None, np.array([-1], np.int64)], name="run-time-axes"),
    Case("DepthToSpace", [f(1, 8, 2, 3)], {"blocksize": 2}), Case("DepthToSpace", [f(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}, name="CRD"),
    Case("SpaceToDepth", [f(1, 2, 4, 6)], {"blocksize": 2}),
    Case("ReverseSequence", [f(4, 3, 2), np.array([4, 1, 3], np.int64)]),
]

INDEXED = [
    Case("Gather", [dyn, ints(-4, 4, 2, 3)], {"axis": 1}), Case("Gather", [f(6, 2), np.array(-1, np.int64)], name="scalar"),
    Case("Gather", [f(6, 2), Const(np.array([[1, 2], [-1, 0]], np.int32))], name="constant"),
    Case("GatherElements", [f(3, 4), ints(-4, 4, 3, 2)], {"axis": 1}),
    Case("GatherND", [f(2, 3, 4), np.array([[0, 1], [1, -1]], np.int64)]), Case("GatherND", [f(2, 3, 4), np.array([[1], [-1]], np.int64)], {"batch_dims": 1}, name="batch"),
    Case("ScatterElements", [f(3, 4), np.array([[1, 0, -1]], np.int64), f(1, 3)], {"axis": 1}),
    Case("ScatterElements", [f(3, 4), np.array([[1, 0, 1]], np.int64), f(1, 3)], {"axis": 1, "reduction": "add"}, name="add"),
    Case("ScatterND", [f(4, 3), np.array([[1], [-1]], np.int64), f(2, 3)]), Case("ScatterND", [f(4, 3), np.array([[1, 2], [0, 0]], np.int64), f(2)], {"reduction": "max"}, name="max"),
    Case("TopK", [(f(3, 7), ["n", 7]), c(3)], outputs=2), Case("TopK", [f(3, 7), np.array([2], np.int64)], {"axis": 0, "largest": 0}, outputs=2, name="smallest"),
    Case("TopK", [ints(0, 2**63, 5, dtype=np.uint64), c(2)], outputs=2, reference="onnx", name="uint64"),
    Case("NonZero", [np.array([[1, 0, 2], [0, 0, 3]], np.float32)]), Case("NonZero", [np.zeros((2, 2), np.float32)], name="none"),
    Case("Compress", [f(3, 4), np.array([False, True, True])], {"axis": 1}), Case("Compress", [f(3, 4), np.array([False, True, True])], name="flat"),
    Case("Unique", [np.array([2, 1, 1, 3, 4, 3], np.float32)], outputs=4), Case("Unique", [np.array([2, 1, 1, 3, 4, 3], np.float32)], {"sorted": 0}, outputs=4, name="in-order"),
]

EINSUM = [Case("Einsum", [f(*s) for s in shapes], {"equation": equation}, reference="onnx", name=equation) for equation, shapes in [
    ("bhsd,bhtd->bhst", [(2, 3, 4, 5), (2, 3, 6, 5)]), ("ij,jk", [(2, 3), (3, 4)]), ("...ij->...ji", [(2, 3, 4)]), ("ii->i", [(3, 3)]), ("ij->", [(3, 4)]),
    ("i,j->ij", [(3,), (4,)]), ("bi,bi->b", [(2, 3), (2, 3)]), ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]), ("...i,...i->...", [(2, 3, 4), (3, 4)])]]


@pytest.mark.parametrize("case", UNARY + BINARY + CONVERT + REDUCE + SHAPES + MOVES + INDEXED + EINSUM, ids=str)
def test_operator(leat, tmp_path, case):
    check(leat, tmp_path, case)


@pytest.mark.parametrize("op", ["Add", "Concat"])
def test_sizes_that_do_not_fit(leat, tmp_path, op):
    """Sizes with names of their own may fit or not; when they do not, the call fails and nothing is read beyond a buffer."""
    case = Case(op, [(f(3, 4), ["a", "b"]), (f(3, 2), ["c", "d"])], {"axis": 0} if op == "Concat" else {})
    model, values, outputs = make_model(case)
    typed(model, outputs, [f(1, 1)])
    import onnx

    onnx.save(model, tmp_path / "model.onnx")
    leat("compile", tmp_path / "model.onnx", "-o", tmp_path / "model.leat")
    args = []
    for name, array in values.items():
        np.save(tmp_path / f"{name}.npy", array)
        args += ["--input", f"{name}=@{tmp_path / f'{name}.npy'}"]
    result = leat("run", tmp_path / "model.leat", *args, check=False)
    assert result.returncode == 1
    assert f"in {op} node" in result.stderr
