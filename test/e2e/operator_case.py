"""One operator as a model: compiled and run by Leat, compared with ONNX Runtime or ONNX's reference implementation."""
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper
from urllib.parse import quote


@dataclass
class Case:
    """`inputs`: an array, (array, dims) with names for dynamic dimensions, None for an absent operand, or Const(array) for an initializer."""

    op: str
    inputs: list
    attrs: dict = field(default_factory=dict)
    outputs: int = 1
    domain: str = ""
    opset: int = 23
    reference: str = "ort"  # ort, onnx
    tolerance: float = 1e-4
    skip_outputs: tuple = ()  # absent optional results
    name: str = ""

    def __str__(self):
        return f"{self.domain or 'onnx'}.{self.op}{'-' + self.name if self.name else ''}"


@dataclass
class Const:
    array: np.ndarray


def make_model(case):
    infos, values, names, initializers = [], {}, [], []
    for i, operand in enumerate(case.inputs):
        if operand is None:
            names.append("")
            continue
        name = f"x{i}"
        names.append(name)
        if isinstance(operand, Const):
            initializers.append(onnx.numpy_helper.from_array(operand.array, name))
            continue
        array, dims = operand if isinstance(operand, tuple) else (operand, operand.shape)
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(dims)))
        values[name] = array
    while names and not names[-1]:
        names.pop()
    outputs = ["" if i in case.skip_outputs else f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op, names, outputs, name="node", domain=case.domain, **case.attrs)
    results = [onnx.ValueInfoProto(name=o) for o in outputs if o]
    graph = helper.make_graph([node], "case", infos, results, initializers)
    opsets = [helper.make_opsetid("", case.opset)]
    if case.domain:
        opsets.append(helper.make_opsetid(case.domain, 1))
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 10
    return model, values, [o for o in outputs if o]


def typed(model, results, arrays):
    """ONNX Runtime accepts results without types, the standard does not: the reference's results say them."""
    for info, array in zip(model.graph.output, arrays):
        info.CopyFrom(helper.make_tensor_value_info(info.name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim))


def expected(case, model, values, outputs):
    if case.reference == "onnx":
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model).run(outputs, values)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(outputs, values)


def run_leat(leat, folder, model, values, outputs, function="main"):
    path, artifact = folder / "model.onnx", folder / "model.leat"
    onnx.save(model, path)
    leat("compile", path, "-o", artifact)
    args = []
    for name, array in values.items():
        np.save(folder / f"{name}.npy", array)
        args += ["--input", f"{name}=@{folder / f'{name}.npy'}"]
    out = folder / "out"
    leat("run", artifact, *args, "--output-dir", out)
    return [np.load(out / f"{quote(o, safe='')}.npy") for o in outputs]


def check(leat, folder, case):
    model, values, outputs = make_model(case)
    want = expected(case, model, values, outputs)
    typed(model, outputs, want)
    got = run_leat(leat, folder, model, values, outputs)
    for name, w, g in zip(outputs, want, got):
        w = np.asarray(w)
        assert g.shape == w.shape, f"{name}: shape {g.shape}, expected {w.shape}"
        assert g.dtype == w.dtype, f"{name}: type {g.dtype}, expected {w.dtype}"
        if w.dtype.kind in "fV":
            np.testing.assert_allclose(g.astype(np.float64), w.astype(np.float64), rtol=case.tolerance, atol=case.tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(g, w, err_msg=name)
