"""Sizes that do not fit each other, known at run time only: where ONNX Runtime refuses a call, so does Leat, and the next call works."""
import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest

import test_core_operators
import test_recurrent_operators
import test_spatial_operators
import test_transformer_operators
from leat_runtime import LeatError
from operator_case import Case, Const, make_model, typed

OPS = {
    "": """Add Concat MatMul Gemm MatMulInteger Conv LayerNormalization RMSNormalization DequantizeLinear Split ScatterElements GatherElements OneHot RoiAlign
           NonMaxSuppression ReverseSequence Attention Einsum Where""".split(),
    "com.microsoft": "FusedMatMul MatMulNBits SkipLayerNormalization SkipSimplifiedLayerNormalization".split(),
}
# What depends on values is not refused: indices are brought into range.
BY_VALUE = {("GatherElements", "x0"), ("ReverseSequence", "x0"), ("RoiAlign", "x0")}


def named(case):
    """The case with a name of its own for every size."""
    def dims(i, operand):
        array = operand[0] if isinstance(operand, tuple) else operand
        return array, tuple(f"d{i}_{axis}" for axis in range(array.ndim))

    return dataclasses.replace(case, inputs=[o if o is None or isinstance(o, Const) else dims(i, o) for i, o in enumerate(case.inputs)])


def candidates():
    """Per operator, its cases with ONNX Runtime as the reference."""
    found = {}
    for module in (test_core_operators, test_transformer_operators, test_spatial_operators, test_recurrent_operators):
        for case in (c for cases in vars(module).values() if isinstance(cases, list) for c in cases if isinstance(c, Case)):
            if case.op in OPS.get(case.domain, []) and case.reference == "ort":
                found.setdefault((case.op, case.domain), []).append(case)
    return found


CANDIDATES = candidates()


def changed(values):
    """Every size of every input, one more and one less."""
    for name, array in values.items():
        for axis in range(array.ndim):
            for size in (array.shape[axis] + 1, array.shape[axis] - 1):
                if array.size and size:
                    yield name, axis, values | {name: np.ascontiguousarray(np.take(array, np.arange(size) % array.shape[axis], axis=axis))}


@pytest.mark.parametrize("op,domain", CANDIDATES, ids=lambda v: v or "onnx")
def test_refused_like_onnxruntime(leat, library, tmp_path, op, domain):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    tried = refused = 0
    for number, case in enumerate(CANDIDATES[op, domain][:6]):
        model, values, outputs = make_model(named(case))
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            typed(model, model, session.run(outputs, values))
        except Exception:
            continue  # it needs sizes that are known
        path = tmp_path / f"{number}.onnx"
        onnx.save(model, path)
        if leat("compile", path, "-o", path.with_suffix(".leat"), "--quiet", check=False).returncode:
            continue
        stream = library.load(path.with_suffix(".leat")).session()
        before = stream.run("main", values)
        tried += 1
        for name, axis, feed in changed(values):
            try:
                session.run(outputs, feed)
            except Exception:
                if (op, name) not in BY_VALUE:
                    refused += 1
                    with pytest.raises(LeatError):
                        stream.run("main", feed)
                        pytest.fail(f"{case} took {name} {feed[name].shape} for {values[name].shape}")
        after = stream.run("main", values)
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])
    assert tried and refused


def test_more_elements_than_there_are(leat, tmp_path):
    case = Case("TopK", [(np.zeros(3, np.float32), ["n"]), np.array([2])], outputs=2)
    model, values, outputs = make_model(case)
    typed(model, model, [np.zeros(2, np.float32), np.zeros(2, np.int64)])
    onnx.save(model, tmp_path / "model.onnx")
    leat("compile", tmp_path / "model.onnx", "-o", tmp_path / "model.leat", "--quiet")
    assert leat("run", tmp_path / "model.leat", "--input", "x0=3xf32=5,7,6", "--input", "x1=1xi64=2").stdout.startswith("y0: 2xf32=[7 6]")
    failed = leat("run", tmp_path / "model.leat", "--input", "x0=3xf32=5,7,6", "--input", "x1=1xi64=4", check=False)
    assert failed.returncode == 1 and "more elements than there are in TopK node" in failed.stderr
